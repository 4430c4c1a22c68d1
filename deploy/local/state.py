"""The one folder in which a platform keeps its state, and who may use it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Self

OWNER = "state"  # a link in the short folder to the folder that it belongs to
LONGEST_TEMPORARY_FOLDER = 60  # a Unix socket's whole path has 107 bytes


class StateError(Exception):
    """The state folder can't be used; the message says what to do."""


class StateFolder:
    """Paths below the state folder; every folder is its owner's alone (mode 700).

    `runtime` is a second, short-named folder outside: Unix sockets allow no long paths, and a database
    server that runs as another user has to reach its socket.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.endpoints = self.root / "endpoints.json"
        self.processes = self.root / "processes.json"
        self.ports = self.root / "ports.json"
        self._lock = -1

    def folder(self, *parts: str) -> Path:
        """A folder below the state folder, made if it is not there."""
        path = self.root
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in parts:
            path = path / part
            path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def runtime(self) -> Path:
        """The short folder; its name follows from the state folder's, so that a restart finds it again."""
        temporary = tempfile.gettempdir()
        if len(temporary) > LONGEST_TEMPORARY_FOLDER:
            temporary = "/tmp"  # noqa: S108  # owner and mode are checked below
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:10]
        path = Path(temporary) / f"{_runtime_prefix()}{digest}"
        path.mkdir(mode=0o711, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise StateError(f"{path} is not this user's own folder: remove it and start again.")
        if not (path / OWNER).is_symlink():
            (path / OWNER).symlink_to(self.root)
        return path

    def sweep(self) -> None:
        """Remove what killed launchers left in the temporary folder, if their state folders are gone."""
        for path in self.runtime.parent.glob(f"{_runtime_prefix()}*"):
            owner = path / OWNER
            if owner.is_symlink() and not owner.exists():
                shutil.rmtree(path, ignore_errors=True)

    def acquire(self) -> Self:
        """Take the folder for this process; the kernel gives it back however the process ends.

        Raises StateError if another launcher has it.
        """
        descriptor = os.open(self.folder() / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 20).decode().strip() or "unknown"
            os.close(descriptor)
            message = (
                f"A platform is already running in {self.root} (process {pid}): stop it with `make down`."
            )
            raise StateError(message) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock = descriptor
        return self

    def release(self) -> None:
        """Give the folder back."""
        if self._lock >= 0:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = -1

    def holder(self) -> int | None:
        """The process id of the launcher that has the folder now, if there is one."""
        try:
            descriptor = os.open(self.root / "lock", os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(descriptor, 20) or b"0") or None
        finally:
            os.close(descriptor)
        return None


def _runtime_prefix() -> str:
    return f"crafiq-{os.getuid()}-"


def write_private(path: Path, text: str) -> Path:
    """Write a file that only its owner can read, all of it or nothing."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return scratch.replace(path)
