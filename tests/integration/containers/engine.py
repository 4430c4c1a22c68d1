"""docker-compose.yml, run by the kernel's namespaces: a container engine as small as this one file needs.

Usage, as root: python -m tests.integration.containers.engine FOLDER

Each container is a process in a network, a mount and a root folder of its own: the image that the Dockerfile
makes (`image.py`) on top of this machine's files, written to by nobody, with the volumes, secrets, networks,
names, user and capabilities that the compose file says, and nothing else. Its conditions, health checks,
hooks and graces are kept as Compose keeps them. What it can't have is the makers' images: servers are the
programs of our lock; PostgreSQL is this machine's, because the one of the lock is built without TLS.

When all is up one container says what it can do, the demo runs against the published ports, what it left
behind is scrubbed, and everything is stopped. Says what happens, a line each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from cli.api import Api
from cli.demo import example, leaving
from cli.demo.run import DEFAULT_PROMPT
from cli.demo.story import STEPS, Story
from cli.progress import Progress
from deploy.local import binaries
from tests.integration.containers.compose import ROOT, Json, compose, seconds
from tests.integration.containers.image import Builder, Image

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/nowhere"))
TOOLS = ("ip", "nsenter", "setpriv", "unshare")
PATIENCE = 120.0  # seconds for a condition
DONE, STARTED = "service_completed_successfully", "service_started"
# What the makers' images have where the compose file names it.
PROGRAMS = {
    "/usr/bin/weed": lambda: binaries.script("weed"),
    "/usr/local/bin/envoy": binaries.envoy,
    "/usr/local/bin/nats-server": lambda: binaries.script("nats-server"),
}
# What the entry point of PostgreSQL's image does with a data folder that is empty.
ENTRYPOINT = """
test -s $PGDATA/PG_VERSION || initdb -D $PGDATA -U postgres --encoding=UTF8 --auth=scram-sha-256 \
  --data-checksums --pwfile=$POSTGRES_PASSWORD_FILE >/dev/null
program=$1; shift; exec $program -D $PGDATA --listen_addresses='*' "$@"
"""
MAKERS: dict[str, dict[str, str]] = {
    "postgres": {"PATH": f"{POSTGRES}:/usr/bin:/bin", "PGDATA": "/var/lib/postgresql/18/docker"},
}


def missing() -> str:
    """Why this can't run here; empty if it can."""
    if os.geteuid() != 0:
        return "it takes root to make network and mount namespaces"
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"no {', '.join(absent)}"
    tried = subprocess.run(
        ["unshare", "-nm", "sh", "-c", "ip link add x type bridge"], capture_output=True, check=False
    )
    if tried.returncode:
        return "this machine lets nobody make namespaces"
    return "" if (POSTGRES / "postgres").exists() else "no PostgreSQL that is built with TLS"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Engine:
    """The containers of the compose file, their state below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, compose()
        self._services: Json = self._file["services"]
        self._networks = {name: number for number, name in enumerate(self._file["networks"])}
        self._hosts = {name: number for number, name in enumerate(self._services, start=10)}
        self._images: dict[tuple[str, str], Image] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._state = folder / "state"  # what the file calls ./.crafiq-containers

    # ------------------------------------------------------------ what Docker would know

    def prepare(self) -> None:
        """Build the images, make networks and volumes."""
        for service in self._services.values():
            if "build" in service:
                target, arguments = service["build"]["target"], service["build"]["args"]
                key = target, arguments["NAME"]
                if key not in self._images:
                    place = self._folder / "images" / "-".join(key)
                    self._images[key] = Builder(place, arguments).build(target)
        for name, number in self._networks.items():
            _run("ip", "link", "add", f"b{number}", "type", "bridge")
            _run("ip", "link", "set", f"b{number}", "up")
            if not self._file["networks"][name].get("internal"):
                _run("ip", "addr", "add", f"10.77.{number}.1/24", "dev", f"b{number}")
        _run("ip", "link", "set", "lo", "up")
        self._state.mkdir()
        for volume in self._file["volumes"]:
            (self._folder / "volumes" / volume).mkdir(parents=True)
        (self._folder / "volumes" / "postgres").chmod(0o1777)  # as in its maker's image

    def _image(self, name: str) -> Image | None:
        build = self._services[name].get("build")
        return self._images[build["target"], build["args"]["NAME"]] if build else None

    def address(self, name: str, network: str) -> str:
        """Where a container is in a network."""
        return f"10.77.{self._networks[network]}.{self._hosts[name]}"

    def _known_names(self, name: str) -> str:
        """What Docker's name server would tell a container: who shares a network with it."""
        lines = ["127.0.0.1 localhost"]
        for network in self._services[name].get("networks") or []:
            for other, service in self._services.items():
                there = service.get("networks") or []
                if network in there:
                    more = (there[network] or {}).get("aliases", []) if isinstance(there, dict) else []
                    lines.append(" ".join([self.address(other, network), other, *more]))
        return "\n".join(lines) + "\n"

    def _command(self, name: str) -> list[str]:
        service, image = self._services[name], self._image(name)
        told = [str(word) for word in service.get("command", image.command if image else [])]
        if name == "postgres":
            return ["sh", "-c", ENTRYPOINT, "sh", *told]
        return [*service.get("entrypoint", []), *told]

    def _environment(self, name: str) -> dict[str, str]:
        image = self._image(name)
        made = image.env if image else {"PATH": "/usr/local/bin:/usr/bin:/bin", **MAKERS.get(name, {})}
        own = {key: str(value) for key, value in self._services[name].get("environment", {}).items()}
        return {"HOME": "/tmp", **made, **own}  # noqa: S108  # of the container

    # ------------------------------------------------------------ one container

    def start(self, name: str) -> None:
        """Put a container together and start its process."""
        folder = self._folder / "containers" / name
        for part in ("upper", "work", "root"):
            (folder / part).mkdir(parents=True)
        (folder / "hosts").write_text(self._known_names(name))
        (folder / "passwd").write_text(
            f"{Path('/etc/passwd').read_text()}crafiq:x:10001:10001::/tmp:/bin/false\n"
        )
        (folder / "start.sh").write_text("\n".join(["set -e", *self._steps(name, folder)]))
        self._connect(name)
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", f"c-{name}", "unshare", "-m", "sh", folder / "start.sh"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def _connect(self, name: str) -> None:
        space = f"c-{name}"
        _run("ip", "netns", "add", space)
        _run("ip", "-n", space, "link", "set", "lo", "up")
        for network in self._services[name].get("networks") or []:
            number, ours = self._networks[network], f"v{self._networks[network]}-{self._hosts[name]}"
            _run("ip", "link", "add", ours, "type", "veth", "peer", "name", f"e{number}", "netns", space)
            _run("ip", "link", "set", ours, "master", f"b{number}", "up")
            _run("ip", "-n", space, "addr", "add", f"{self.address(name, network)}/24", "dev", f"e{number}")
            _run("ip", "-n", space, "link", "set", f"e{number}", "up")

    def _steps(self, name: str, folder: Path) -> Iterator[str]:
        """How the root folder is put together, and the process started in it."""
        root, service = folder / "root", self._services[name]
        layers = f"lowerdir=/,upperdir={folder / 'upper'},workdir={folder / 'work'}"
        yield f"mount --make-rprivate / && mount -t overlay overlay -o {layers} {root}"
        yield f"mount --bind /proc {root}/proc && mount --rbind /dev {root}/dev"
        for parent in Path(sys.base_prefix).parents:  # the image's Python is this machine's
            yield f"chmod o+x {root}{parent}"
        yield f"mount -t tmpfs tmpfs {root}/run -o mode=755 && mkdir -p {root}/run/secrets"
        for source, target in self._binds(name, folder):
            yield _bound(source, root, target)
        for source, target, *mode in (volume.split(":") for volume in _by_depth(service)):
            yield _bound(self._outside(source), root, target, read_only=mode == ["ro"])
        for place, _, options in (each.partition(":") for each in service.get("tmpfs", [])):
            inside = root / place.lstrip("/").replace("var/run", "run")  # a link, in every distribution
            yield f"mkdir -p {inside} && mount -t tmpfs tmpfs {inside} -o {options}"
        yield f"mount -o remount,ro {root} && mount -o remount,ro {root}/run"
        yield f"exec chroot {root} {shlex.join(self._as_told(name))}"

    def _binds(self, name: str, folder: Path) -> Iterator[tuple[Path, str]]:
        service, image = self._services[name], self._image(name)
        yield folder / "hosts", "/etc/hosts"
        yield folder / "passwd", "/etc/passwd"
        for part in ("app", "opt/venv") if image else ():
            yield image.root / part, f"/{part}"
        for place, find in () if image else PROGRAMS.items():
            yield find(), place
        for secret in service.get("secrets", []):
            file = self._file["secrets"][secret["source"]]["file"]
            yield self._outside(file), f"/run/secrets/{secret['target']}"
        for config in service.get("configs", []):
            yield ROOT / self._file["configs"][config["source"]]["file"], config["target"]

    def _outside(self, source: str) -> Path:
        """Where a mount's source is here; what Docker would make is made."""
        if ".crafiq-containers" not in source:
            return self._folder / "volumes" / source
        path = self._state / source.partition(".crafiq-containers")[2].lstrip("/")
        if source.startswith("./") and not path.exists():
            path.mkdir(parents=True, exist_ok=True)
        return path

    def _as_told(self, name: str) -> list[str]:
        """The command with its user, its capabilities, its environment and nothing of ours."""
        service, image = self._services[name], self._image(name)
        uid, _, gid = service["user"].partition(":")
        capabilities = ",".join(["-all", *(f"+{each.lower()}" for each in service.get("cap_add", []))])
        limits = ["--no-new-privs", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}"]
        where = service.get("working_dir") or (image.workdir if image else "/")
        pairs = [f"{key}={value}" for key, value in self._environment(name).items()]
        return [
            "setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", *limits,
            "env", "-i", "-C", where, *pairs, *self._command(name),
        ]  # fmt: skip

    def inside(
        self, name: str, command: list[str], *, stdin: str = "", patience: float = 20
    ) -> subprocess.CompletedProcess[str]:
        """Run something in a container, as `docker exec` and health checks do."""
        told = self._as_told(name)
        told = [*told[: len(told) - len(self._command(name))], *command]
        enter = ["nsenter", "-t", str(self._processes[name].pid), "-m", "-n", "-r", "-w"]
        return subprocess.run(
            [*enter, *told], input=stdin, capture_output=True, text=True, timeout=patience, check=False
        )

    # ------------------------------------------------------------ all of them

    def up(self) -> None:
        """`setup` alone, as the first time; then all, each when what it waits for is as it has to be."""
        self.start("setup")
        self._await("setup", DONE)
        while waiting := [name for name in self._services if name not in self._processes]:
            for name in waiting:
                needs = {other: how["condition"] for other, how in self._services[name]["depends_on"].items()}
                if set(needs) <= set(self._processes):
                    for other, condition in needs.items():
                        self._await(other, condition)
                    self.start(name)
        self._await("gateway", "service_healthy")
        print("up", flush=True)

    def _await(self, name: str, condition: str) -> None:
        until, process = time.monotonic() + PATIENCE, self._processes[name]
        while time.monotonic() < until:
            code = process.poll()
            if condition == DONE and code == 0:
                return
            assert code is None or (condition == DONE and code == 0), f"{name} ended: {self._log(name)}"
            if condition == STARTED or (condition != DONE and self._healthy(name)):
                return
            time.sleep(0.2)
        raise AssertionError(f"{name} is not {condition}: {self._log(name)}")

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def _healthy(self, name: str) -> bool:
        service, image = self._services[name], self._image(name)
        ask = service["healthcheck"]["test"][1:] if "healthcheck" in service else image.healthcheck
        return self.inside(name, ask).returncode == 0

    def down(self) -> None:
        """As Compose stops: whatever waited for others first, after its hook, within its grace."""
        left = set(self._processes)
        while left:
            wave = [n for n in left if not any(n in self._services[o].get("depends_on", {}) for o in left)]
            for name in wave:
                for hook in self._services[name].get("pre_stop", []):
                    print(f"hook {name} {self.inside(name, hook['command']).returncode}", flush=True)
                if self._processes[name].poll() is None:
                    number = signal.Signals[self._services[name].get("stop_signal", "SIGTERM")]
                    self._processes[name].send_signal(number)
            for name in wave:
                print(f"ended {name} {self._end(name)}", flush=True)
            left -= set(wave)

    def _end(self, name: str) -> int | str:
        try:
            return self._processes[name].wait(seconds(self._services[name]["stop_grace_period"]))
        except subprocess.TimeoutExpired:
            self._processes[name].kill()
            return "killed"

    def published(self) -> Iterator[tuple[int, str]]:
        """Each port of this machine, and where it leads."""
        for name, service in self._services.items():
            for port in service.get("ports", []):
                open_to = [n for n in service["networks"] if not self._file["networks"][n].get("internal")]
                yield int(port.split(":")[1]), self.address(name, open_to[0])

    @property
    def inbox(self) -> str:
        """Where the mailbox is read."""
        token = (self._state / "secrets" / "sandbox-smtp" / "crafiq_inbox_token").read_text()
        return f"http://localhost:8025/{token}"


def _bound(source: Path, root: Path, target: str, *, read_only: bool = False) -> str:
    place = root / target.lstrip("/")
    make = f"mkdir -p {place}" if source.is_dir() else f"mkdir -p {place.parent} && touch {place}"
    lock = f" && mount -o remount,ro,bind {place}" if read_only else ""
    return f"{make} && mount --bind {source} {place}{lock}"


def _by_depth(service: Json) -> list[str]:
    """Mounts, those that others lie in first."""
    volumes: list[str] = service.get("volumes", [])
    return sorted(volumes, key=lambda volume: volume.split(":")[1])


@contextlib.asynccontextmanager
async def _forwarded(ports: Iterator[tuple[int, str]]) -> Any:
    """127.0.0.1 of this machine leads to the containers, as Docker publishes ports."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async with contextlib.AsyncExitStack() as stack:
        for port, address in ports:

            async def lead(r: Any, w: Any, address: str = address, port: int = port) -> None:
                inner, outer = await asyncio.open_connection(address, port)
                await asyncio.gather(pump(r, outer), pump(inner, w))

            await stack.enter_async_context(await asyncio.start_server(lead, "127.0.0.1", port))
        yield


class HereOnly(aiohttp.abc.AbstractResolver):
    """Names below .localhost are this machine, as RFC 6761 has it, whatever its resolver thinks."""

    async def resolve(self, host: str, port: int = 0, *_: object, **__: object) -> Any:
        assert host == "localhost" or host.endswith(".localhost"), host
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing to close."""


PLANTED = "a value that somebody left behind"

# What a process of ours finds that it may do.
ASKED = """
import json, os, pathlib
def writes(path):
    try:
        pathlib.Path(path, "x").touch()
    except OSError:
        return False
    return True
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
places = ("/app", "/opt/venv", "/etc", "/run/secrets", "/state/tls/billing", "/state/traces", "/tmp")
print("may", json.dumps({
    "user": os.getuid(),
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no new privileges": int(status["NoNewPrivs"]),
    "secrets": sorted(os.listdir("/run/secrets")),
    "certificates": os.listdir("/state/tls"),
    "writes": [place for place in places if writes(place)],
}))
"""


async def _tell(engine: Engine, out: Path) -> None:
    connector = aiohttp.TCPConnector(resolver=HereOnly())
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        _forwarded(engine.published()),
        aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
    ):
        api, progress = Api(http, "http://localhost:8080"), Progress(STEPS + leaving.STEPS)
        story = Story(api, engine.inbox, out, progress)
        seen = await story.run(example.photo(), DEFAULT_PROMPT)
        await leaving.Leaving(api, story.password, out, progress).run(seen)
    print("demo", flush=True)


def _scrub(engine: Engine, volumes: Path) -> None:
    """Twice, the first time with something in each volume that nothing removes."""
    now = ["python", "-m", "cli.scrub", "scrub", "--json", "--witness-file", "-"]
    left = [
        volumes / name / "left-behind" for name in ("postgres", "nats", "s3", "traces", "stripe", "gateway")
    ]
    for file in left:
        file.write_text(PLANTED)
        file.chmod(0o644)
    for _ in range(2):
        ran = engine.inside("scrub", now, stdin=PLANTED, patience=120)
        assert ran.stdout, ran.stderr
        print(f"scrub {json.dumps(json.loads(ran.stdout))}", flush=True)
        for file in left:
            file.unlink(missing_ok=True)


def main() -> None:
    """Bring it up, run the demo, take it down."""
    folder = Path(sys.argv[1])
    engine = Engine(folder)
    engine.prepare()
    try:
        engine.up()
        print(engine.inside("billing", ["python", "-c", ASKED]).stdout.strip(), flush=True)
        asyncio.run(_tell(engine, folder / "demo"))
        _scrub(engine, folder / "volumes")
    finally:
        engine.down()


if __name__ == "__main__":
    main()
