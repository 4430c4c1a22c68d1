"""Files are drawn in a process that knows nothing, can open nothing, and does not outlive its file."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from PIL import Image

from services.assets.adapters import drawing
from services.assets.adapters.renderer import Renderer, RenderingFailed
from services.assets.domain.refusals import ContentDamaged
from services.assets.domain.renditions import KINDS, RenditionKind
from services.assets.domain.renditions import drawn as looked_at
from tests.support import eventually
from tests.unit.assets import makers, reels
from tests.unit.assets.models import CORNERS, Model, ball
from tests.unit.assets.test_drawing import kept, of

ROOT = Path(__file__).resolve().parents[3]


async def parts(content: bytes) -> AsyncGenerator[bytes, None]:
    """A file as it comes from storage."""
    for at in range(0, len(content), 65_536):
        yield content[at : at + 65_536]


def artists() -> set[int]:
    """The processes that this one started and that draw."""
    mine = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (process / "stat").read_text(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == os.getpid() and drawing.__name__.encode() in command:
            mine.add(int(process.name))
    return mine


def jailed(process: int) -> bool:
    """Whether it has given up what it has to (seccomp is the last of it)."""
    return "Seccomp:\t2" in Path(f"/proc/{process}/status").read_text()


def known_of(process: int) -> tuple[bytes, list[str], int]:
    """A process' environment, what it has open, who it is."""
    folder = Path(f"/proc/{process}")
    opened = [str(each.readlink()) for each in (folder / "fd").iterdir()]
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return (folder / "environ").read_bytes(), opened, int(status["Uid"].split()[0])


FILES = {
    "image/jpeg": makers.jpeg(),
    "image/png": makers.png(),
    "image/webp": makers.webp(frames=2),
    "image/gif": makers.gif(),
    "model/gltf-binary": makers.glb(),
    "audio/wav": kept(makers.wav(), "audio/wav"),
    "audio/mpeg": makers.mp3(),
    "audio/flac": makers.flac(),
    "video/mp4": reels.film([reels.scene((64, 64))] * 5),
    "video/webm": reels.film([reels.scene((64, 64))] * 5, "webm"),
    "text/plain": kept(makers.text(), "text/plain"),
}


@pytest.mark.promise("2b-output")
@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "video/mp4", "audio/wav", "model/gltf-binary", "text/plain"]
)
async def test_a_poster_and_a_thumbnail_come_out_and_the_process_is_gone(content_type: str) -> None:
    pictures = looked_at(await Renderer().draw(content_type, parts(FILES[content_type])))
    assert tuple(pictures) == KINDS
    for kind, picture in pictures.items():
        assert 0 < max(picture.width or 0, picture.height or 0) <= kind.box
    assert not artists()


async def test_a_file_that_shows_nothing_has_no_pictures() -> None:
    assert looked_at(await Renderer().draw("text/plain", parts("日本語".encode()))) == {}


@pytest.mark.promise("8-least-priv")
async def test_the_process_is_told_nothing_and_holds_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAFIQ_SECRETS_DIR", "/somewhere/secret")
    told: list[tuple[bytes, list[str], int]] = []

    async def asks_before_it_sends() -> AsyncGenerator[bytes, None]:
        (own,) = await eventually(artists)
        await eventually(lambda: jailed(own), timeout=20)
        told.append(known_of(own))
        assert os.getpriority(os.PRIO_PROCESS, own) > os.getpriority(os.PRIO_PROCESS, 0)  # others go first
        yield FILES["image/png"]

    assert await Renderer().draw("image/png", asks_before_it_sends())
    ((environment, opened, user),) = told
    names = {line.partition(b"=")[0] for line in environment.split(b"\0") if line}
    assert names <= {b"PYTHONPATH", b"OPENBLAS_NUM_THREADS", b"LC_CTYPE"}
    assert len(opened) == 3
    assert all(each.startswith(("pipe:", "socket:")) for each in opened)
    assert user != 0 or os.geteuid() != 0


TRIES = """
import ctypes, json, os, resource, socket, subprocess, threading
from services.assets.adapters.drawing import jail
libc = ctypes.CDLL(None, use_errno=True)

def traced():
    if libc.ptrace(16, os.getppid(), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")

def read_of_others():
    if libc.process_vm_readv(os.getppid(), 0, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "process_vm_readv")

tries = {
    "read a file": lambda: open("/etc/passwd"), "write a file": lambda: open("/tmp/x", "w"),
    "make a socket": socket.socket, "make a pipe": os.pipe, "close one and open another":
    lambda: (os.close(0), open("/etc/passwd")), "run a program": lambda: os.execv("/bin/true", ["true"]),
    "start a process": os.fork, "start a thread": lambda: threading.Thread(target=print).start(),
    "stop another": lambda: os.kill(os.getppid(), 0), "look into another": traced,
    "read another's memory": read_of_others, "limit another": lambda: resource.prlimit(os.getppid(), 7),
    "become root again": lambda: os.setuid(0) if os.getuid() else os.setuid(1),
    "take much memory": lambda: bytearray(2 << 30),
    "lift a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)),
}
jail.enter()
got = []
for name, attempt in tries.items():
    try:
        attempt()
        got.append(name)
    except (OSError, MemoryError, RuntimeError, ValueError):
        pass
print(json.dumps(got))
"""


@pytest.mark.promise("8-least-priv")
def test_code_that_got_into_a_decoder_could_do_nothing() -> None:
    run = subprocess.run(
        [sys.executable, "-c", TRIES], capture_output=True, timeout=50, check=True,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert json.loads(run.stdout) == []


async def test_a_process_that_takes_too_long_is_stopped() -> None:
    async def never_ends() -> AsyncGenerator[bytes, None]:
        while True:
            yield bytes(1000)
            await asyncio.sleep(0.05)

    begun = time.monotonic()
    with pytest.raises(RenderingFailed, match="too slow"):
        await Renderer(seconds=1).draw("image/png", never_ends())
    assert time.monotonic() - begun < 20
    assert not artists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
async def test_a_process_that_dies_or_hangs_is_a_try_that_failed(number: signal.Signals) -> None:
    async def kills_it() -> AsyncGenerator[bytes, None]:
        yield FILES["image/png"][:10]
        (own,) = await eventually(artists)
        os.kill(own, number)
        yield bytes(3_000_000)

    with pytest.raises(RenderingFailed):
        await Renderer(seconds=2).draw("image/png", kills_it())
    assert not artists()


def test_a_process_that_died_before_the_file_came_is_a_try_that_failed() -> None:
    async def late() -> AsyncGenerator[bytes, None]:
        (process,) = await eventually(artists)
        os.kill(process, signal.SIGKILL)
        await eventually(lambda: not artists())
        await asyncio.sleep(0.1)  # the loop has heard of it: there is nothing to write to any more
        yield b"x"

    with pytest.raises(RenderingFailed, match="-9"):
        uvloop.run(Renderer().draw("text/plain", late()))  # the loop that services run on


async def test_a_process_goes_when_nobody_waits_for_it_any_more() -> None:
    async def waits() -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(60)
        yield b""

    drawing_one = asyncio.create_task(Renderer().draw("image/png", waits()))
    await eventually(artists)
    drawing_one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing_one
    assert not artists()


async def test_a_process_ends_with_the_service_that_started_it() -> None:
    program = (
        "import asyncio\nfrom services.assets.adapters.renderer import Renderer\n"
        "async def wait():\n    await asyncio.sleep(60)\n    yield b''\n"
        "asyncio.run(Renderer().draw('image/png', wait()))\n"
    )
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=paths)

    def children() -> list[str]:
        return Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()

    try:
        (own,) = await eventually(children, timeout=20)
        await eventually(lambda: jailed(int(own)), timeout=20)
    finally:
        service.kill()
        await service.wait()
    await eventually(lambda: not Path(f"/proc/{own}").exists())


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("image/jpeg", b""),
        ("image/jpeg", makers.png()),
        ("image/png", makers.png()[:200]),
        ("video/mp4", makers.mp4()),
        ("video/mp4", b"#EXTM3U\nfile:///etc/passwd\n"),
        ("audio/mpeg", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("model/gltf-binary", makers.text()),
        ("nothing/known", b"x"),
    ],
)
async def test_what_is_not_what_it_says_is_a_try_that_failed(content_type: str, content: bytes) -> None:
    with pytest.raises(RenderingFailed):
        await Renderer().draw(content_type, parts(content))


async def broken(content_type: str, seed: int) -> None:
    """Draw a file with a few of its bytes changed."""
    chance = random.Random(f"{content_type}{seed}")
    content = bytearray(FILES[content_type])
    for _ in range(chance.choice((1, 3, 30))):
        content[chance.randrange(len(content))] = chance.randrange(256)
    del content[chance.choice((len(content), chance.randrange(len(content)))) :]
    begun = time.monotonic()
    with suppress(RenderingFailed):
        looked_at(await Renderer(seconds=30).draw(content_type, parts(bytes(content))))
    assert time.monotonic() - begun < 25


@pytest.mark.parametrize("content_type", FILES)
async def test_broken_files_do_nothing_worse_than_fail(content_type: str) -> None:
    for seed in range(2):
        await broken(content_type, seed)
    assert not artists()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("content_type", FILES)
async def test_many_broken_files_do_nothing_worse_than_fail(content_type: str) -> None:
    for seed in range(2, 60):
        await broken(content_type, seed)


def endless() -> Model:
    """A node that is its own child, very often."""
    model = Model()
    own = model.square()
    model.json["nodes"][own]["children"] = [own] * 100_000
    return model


def enormous() -> Model:
    """It says that it has a million million points."""
    model = Model()
    model.mesh(POSITION=CORNERS)
    model.json["accessors"][0]["count"] = 2**40
    return model


def glass(layers: int) -> Model:
    """Panes behind panes, all as large as the picture."""
    model = Model()
    for number in range(layers):
        model.square((1, 1, 1, 0.1), node={"translation": [0, 0, 0.01 * number]}, alphaMode="BLEND")
    return model


@pytest.mark.parametrize(
    ("make", "pictures"),
    [
        (enormous, 0),
        pytest.param(endless, 2, marks=pytest.mark.slow),
        pytest.param(lambda: glass(300), 0, marks=pytest.mark.slow),
        pytest.param(lambda: glass(8), 2, marks=pytest.mark.slow),
    ],
)
async def test_models_made_to_keep_a_process_busy_do_not(make: Any, pictures: int) -> None:
    begun = time.monotonic()
    found = await Renderer().draw("model/gltf-binary", parts(make().glb()))
    assert time.monotonic() - begun < 40
    assert len(found) == pictures


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_the_largest_files_are_drawn_within_their_limits() -> None:
    ramp = Image.linear_gradient("L").resize((8192, 8192))
    large = Image.merge("RGBA", (ramp, ramp.rotate(90), ramp, ramp))
    for kind, content_type in (("PNG", "image/png"), ("WEBP", "image/webp")):
        options = {"compress_level": 1} if kind == "PNG" else {"method": 0, "quality": 50}
        assert await Renderer().draw(content_type, parts(of(large, kind, **options)))
    points, faces = ball(860)
    model = Model()
    model.mesh(faces, POSITION=points, NORMAL=points)
    assert await Renderer().draw("model/gltf-binary", parts(model.glb()))


def test_pictures_of_a_process_that_lies_are_refused() -> None:
    large = [makers.webp(), makers.webp()]
    assert [picture.content for picture in looked_at(large).values()] != large  # its metadata go
    with pytest.raises(ContentDamaged):
        looked_at([b"not WebP", b"not WebP"])
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        looked_at(large[:1])
    assert RenditionKind.THUMBNAIL.box == 256


async def test_more_than_pictures_are_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.assets.adapters.renderer.LARGEST", 100)
    with pytest.raises(RenderingFailed, match="too much"):
        await Renderer().draw("image/png", parts(FILES["image/png"]))


def test_the_service_itself_never_loads_what_only_drawing_needs() -> None:
    program = "import sys, services.assets.__main__; print({'av', 'numpy'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
    )  # fmt: skip
    assert run.stdout.strip() == "set()"
