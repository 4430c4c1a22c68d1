"""Each image has what its process needs, and of others' packages only its own group."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.containers.once import USER
from deploy.containers.place import GRPC, METRICS
from deploy.local.infra import SERVICES
from deploy.local.launcher import SANDBOX
from tests.integration.containers.compose import ROOT, Json, mounts
from tests.integration.containers.image import Builder, Image, in_context

BUILT = [*SERVICES, *SANDBOX, "setup", "scrub"]
# One stands for all in `make test`: the one with the most packages.
SAMPLE = [name if name == "assets" else pytest.param(name, marks=pytest.mark.slow) for name in BUILT]

LOADED = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
files = [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]
print(json.dumps([files, sys.base_prefix, sys.dont_write_bytecode]))
"""
SETTINGS = """
import importlib, sys
from chassis.settings import ServiceSettings
settings = getattr(importlib.import_module(sys.argv[1]), "Settings", ServiceSettings).load()
print(*sorted(settings.peers))
"""
SETTLE = """
import sys
from pathlib import Path
from deploy.containers.once import settle
settle(Path(sys.argv[1]))
"""


@contextmanager
def built(process: Json) -> Iterator[Image]:
    """The image that compose builds for a process, in a folder that anybody may look into."""
    with tempfile.TemporaryDirectory(prefix="crafiq-image-") as folder:
        Path(folder).chmod(0o755)
        assert process["build"].keys() == {"context", "target", "args"}
        yield Builder(Path(folder), process["build"]["args"]).build(process["build"]["target"])


def _module(name: str, process: Json, image: Image) -> str:
    """What the container runs, by its command or the image's."""
    words = (
        " ".join(process.get("command", image.command)).replace("${NAME}", image.env.get("NAME", "")).split()
    )
    module = words[words.index("-m") + 1]
    assert module in {f"services.{name}", name.replace("-", "."), "deploy.containers", f"cli.{name}"}
    return f"{module}.__main__"


@pytest.mark.parametrize("name", SAMPLE)
def test_an_image_has_what_its_process_imports_and_nothing_else(
    name: str, processes: Json, state: Path
) -> None:
    with built(processes[name]) as image:
        module = _module(name, processes[name], image)
        loaded = image.run(["python", "-c", LOADED, module])
        assert loaded.returncode == 0, loaded.stderr
        files, base, _ = json.loads(loaded.stdout)
        assert not [file for file in files if not file.startswith((str(image.root), base))]
        compiled = [file for file in files if file.endswith(".py") and file.startswith(str(image.root))]
        assert compiled
        assert all(_compiled(Path(file)) for file in compiled)
        assert image.user == f"{USER}:{USER}"
        if name in SERVICES:
            _serves(image, module, processes[name], state)
        if name == "setup":
            _settles(image)


def _compiled(file: Path) -> bool:
    return (file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc").is_file()


def _serves(image: Image, module: str, process: Json, state: Path) -> None:
    """With what compose gives it, the service gets as far as settings go, and can be asked how it is."""
    secrets = image.inside("/run/secrets")
    secrets.mkdir(parents=True)
    for secret in process["secrets"]:
        owner, _, file = secret["source"].partition(".")
        (secrets / secret["target"]).write_bytes((state / "secrets" / owner / file).read_bytes())
    for inside, (outside, _) in mounts(process).items():
        if outside.startswith("./.crafiq-containers/tls/"):
            image.inside(inside).mkdir(parents=True)
            for part in (state / outside.removeprefix("./.crafiq-containers/")).iterdir():
                (image.inside(inside) / part.name).write_bytes(part.read_bytes())
    read = image.run(["python", "-c", SETTINGS, module], process["environment"])
    assert read.stdout.split() == sorted(SERVICES), read.stderr
    assert image.exposed == [str(GRPC), str(METRICS)]
    asked = image.run(image.healthcheck, process["environment"])
    assert asked.returncode == 1
    assert "UNAVAILABLE" in asked.stderr, "it could not even ask"


def _settles(image: Image) -> None:
    """All that is read for it (protos, the public document) is in the image."""
    image.inside("/state").mkdir(mode=0o777)
    done = image.run(["python", "-c", SETTLE, "/state"])
    assert done.returncode == 0, done.stderr
    assert image.inside("/state/gateway/envoy.json").is_file()


def test_the_dockerfile_is_a_good_one_by_dockers_own_grammar() -> None:
    said = subprocess.run(
        [Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout


def test_every_image_is_built_by_compose_from_a_group_of_its_own(processes: Json) -> None:
    builds = {name: process["build"] for name, process in processes.items() if "build" in process}
    assert set(builds) == {*BUILT, "prepare"}
    targets = {name: (build["target"], build["args"]["NAME"]) for name, build in builds.items()}
    assert targets == {
        **{name: ("service", name) for name in SERVICES},
        **dict.fromkeys(SANDBOX, ("sandbox", "sandbox")),
        **dict.fromkeys(("setup", "prepare"), ("setup", "setup")),
        "scrub": ("scrub", "scrub"),
    }
    assert {"packages", "base"} == set(Builder(ROOT, {}).stages) - {target for target, _ in targets.values()}


@pytest.mark.parametrize(
    "path",
    [
        ".env", ".git/config", ".crafiq/secrets/identity/crafiq_token_key", "services/identity/.env",
        ".crafiq-containers/tls/ca/ca.key", "deploy/.crafiq-x/secrets/a", "chassis/a.pyc", "tests/running.py",
    ],
)  # fmt: skip
def test_no_secret_and_no_state_is_sent_to_the_builder(path: str) -> None:
    assert not in_context(path)


@pytest.mark.parametrize(
    "path", ["requirements/billing.txt", "gen/crafiq.binpb", "services/billing/__main__.py"]
)
def test_what_images_copy_is_sent_to_the_builder(path: str) -> None:
    assert in_context(path)
