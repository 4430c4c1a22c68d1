"""The Dockerfile, followed without Docker: each stage is a folder, each instruction is done in it.

What the base image brings (Python, pip, users) is this machine's; what a RUN does is done for real where it
makes files of the image, with the image's paths put below the folder. An instruction that is not known here
is a failure, so that none is passed over.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dockerfile_parse import DockerfileParser

from tests.integration.containers.compose import ROOT

BASE = re.compile(r"python:3\.11\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?")
PYTHON = Path(sys.base_prefix) / "bin" / "python3.11"
UV = Path(sys.executable).parent / "uv"
NOBODY = 65534


@dataclass
class Image:
    """A file system, and what is said of the process that runs in it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "root"
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    exposed: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        """A path of the image, here."""
        return self.root / path.lstrip("/")

    def run(
        self, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run something as the container would: the image's paths and environment, and nobody's rights."""
        paths = {name: self._placed(value) for name, value in {**self.env, **(env or {})}.items()}
        program, *arguments = (self._placed(part) for part in command)
        return subprocess.run(
            [shutil.which(program, path=paths["PATH"]) or program, *arguments],
            cwd=self.inside(self.workdir), env=paths, capture_output=True, text=True, timeout=60, check=False,
            **_rights(),
        )  # fmt: skip

    def _placed(self, text: str) -> str:
        """Paths that the image has, as they are here."""
        return re.sub(r"(?<![\w./-])/(?=(app|opt|run|state|tmp)\b)", f"{self.root}/", text)


@cache
def _rights() -> dict[str, Any]:
    """Nobody's, if this is root and nobody may run this machine's Python (it may lie in root's home)."""
    if os.geteuid() != 0:
        return {}
    rights = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run([PYTHON, "-c", "import json"], check=True, capture_output=True, **rights)
    except (PermissionError, subprocess.CalledProcessError):
        return {}
    return rights


class Builder:
    """Builds targets; `folder` is where file systems are made, `arguments` are the build's."""

    def __init__(self, folder: Path, arguments: Mapping[str, str]) -> None:
        self._folder, self._arguments = folder, arguments
        self._stages: dict[str, list[tuple[str, str]]] = {}
        self._defaults: dict[str, str] = {}
        self._built: dict[str, Image] = {}
        instructions = [
            (each["instruction"], each["value"])
            for each in DockerfileParser(fileobj=io.BytesIO((ROOT / "Dockerfile").read_bytes())).structure
            if each["instruction"] != "COMMENT"
        ]
        stage: list[tuple[str, str]] = []
        for name, value in instructions:
            if name == "FROM":
                base, _, label = value.partition(" AS ")
                stage = self._stages[label] = [("FROM", base)]
            elif self._stages:
                stage.append((name, value))
            else:
                key, _, default = value.partition("=")
                self._defaults[key] = default

    @property
    def stages(self) -> list[str]:
        """The names of all stages."""
        return list(self._stages)

    def build(self, target: str) -> Image:
        """The image of a stage."""
        if target not in self._built:
            (_, base), *rest = self._stages[target]
            image = self._begin(target, _expanded(base, self._defaults))
            for name, value in rest:
                getattr(self, f"_{name.lower()}")(image, value)
            self._built[target] = image
        return self._built[target]

    def _begin(self, target: str, base: str) -> Image:
        root = self._folder / target
        root.mkdir(parents=True)
        if base not in self._stages:
            assert BASE.fullmatch(base), f"{base} is not pinned"
            return Image(root, env={"PATH": f"{PYTHON.parent}:{os.defpath}"})
        before = self.build(base)
        image = deepcopy(before)
        image.root = root
        _copied(before.root, root)
        return image

    def _arg(self, image: Image, value: str) -> None:
        key, _, default = value.partition("=")
        image.arguments[key] = self._arguments.get(key, default)

    def _env(self, image: Image, value: str) -> None:
        for pair in shlex.split(value):
            key, _, given = pair.partition("=")
            image.env[key] = _expanded(given, image.arguments | image.env)

    def _workdir(self, image: Image, value: str) -> None:
        image.workdir = value
        image.inside(value).mkdir(parents=True, exist_ok=True)

    def _user(self, image: Image, value: str) -> None:
        image.user = value

    def _expose(self, image: Image, value: str) -> None:
        image.exposed += value.split()

    def _cmd(self, image: Image, value: str) -> None:
        image.command = json.loads(value)

    def _healthcheck(self, image: Image, value: str) -> None:
        image.healthcheck = json.loads(value.partition("CMD ")[2])

    def _copy(self, image: Image, value: str) -> None:
        *options, source, target = _expanded(value, image.arguments | image.env).split()
        if options:
            (origin,) = options
            _copied(self.build(origin.removeprefix("--from=")).inside(source), image.inside(target))
            return
        outside = ROOT / source
        sent = [path for path in ([outside] if outside.is_file() else outside.rglob("*")) if path.is_file()]
        sent = [path for path in sent if in_context(path.relative_to(ROOT).as_posix())]
        assert sent, f"COPY {value}: nothing of it is sent to the builder"
        for path in sent:
            below = path.relative_to(outside) if outside.is_dir() else Path(path.name)
            into = (
                image.inside(target) / below
                if outside.is_dir() or target.endswith("/")
                else image.inside(target)
            )
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)

    def _run(self, image: Image, value: str) -> None:
        command = re.sub(r"--mount=\S+\s+", "", value)
        if re.fullmatch(r"groupadd .+ && useradd .+", command):
            return  # of this machine there are no users to be made
        if command.startswith("pip install"):
            assert "--require-hashes -r /tmp/uv.txt" in command
            _same_uv(image.inside("/tmp/uv.txt"))  # noqa: S108  # of the image
            return
        program, *arguments = (image._placed(part) for part in shlex.split(command))
        run = {"python": PYTHON, "uv": UV}[program]
        env = {key: part for key, part in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        # Packages come from the cache of this machine, which `make setup` filled, or from elsewhere.
        for offline in ("1", "0"):
            done = subprocess.run(
                [run, *arguments], env={**env, "UV_OFFLINE": offline}, capture_output=True, text=True,
                timeout=120, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return
        raise AssertionError(f"{value}: {done.stderr}")


def _same_uv(lock: Path) -> None:
    """This machine's uv is the one that the image would install."""
    wanted = re.match(r"uv==(\S+)", lock.read_text(encoding="utf-8"))
    said = subprocess.run([UV, "--version"], capture_output=True, text=True, check=True).stdout
    assert wanted
    assert said.split()[1] == wanted[1]


def _expanded(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], text)


def _copied(source: Path, target: Path) -> None:
    """A copy that takes no room: the same files under other names."""
    shutil.copytree(source, target, symlinks=True, copy_function=os.link, dirs_exist_ok=True)


def in_context(path: str) -> bool:
    """Whether a file of the project is sent to the builder: the last line that fits decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and _matches(line.removeprefix("!"), path):
            sent = line.startswith("!")
    return sent


def _matches(pattern: str, path: str) -> bool:
    """Go's filepath.Match with `**`; a folder stands for all below it."""
    translated = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
    return re.match(f"{translated}(/|$)", path) is not None
