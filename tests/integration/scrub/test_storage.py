"""Deleted objects leave no byte in the volumes, whatever is killed, and the filer no log of them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import aiohttp
import psutil
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from minio import Minio

from cli.local import storage_of
from cli.scrub import orphans
from cli.scrub.asked import TOLD_TO_END
from cli.scrub.orphans import OrphansNotFoundOut, Pieces, delete_orphans, still_there
from cli.scrub.storage import LOG, ObjectStore, Vacuumed
from cli.search import Needles, Sought
from deploy.local.fleet import start_ticks
from deploy.local.infra import Infra
from deploy.local.probes import answers
from tests.running import ROOT
from tests.support import eventually

SIZE = 20_000
BUCKET = "crafiq-library"


def kind() -> str:
    """A type for an object: it stands beside the object's encrypted bytes and shows where they are."""
    return f"image/{secrets.token_hex(9)}"


def administrator(infra: Infra) -> Minio:
    keys = infra.s3.admin_credentials
    return Minio(infra.s3.url.removeprefix("http://"), keys.access, keys.secret, secure=False)


def volumes_with(infra: Infra, value: str) -> set[str]:
    """The volumes in which a value stands."""
    needles = Needles([Sought("it", value.encode())])
    files = (infra.state.root / "s3").glob("*.dat")
    return {path.name for path in files if needles.in_file(path, "")[1]}


async def vacuumed(infra: Infra) -> Vacuumed:
    async with aiohttp.ClientSession() as http:
        return await ObjectStore(storage_of(infra.state), http).vacuum()


async def logged(infra: Infra, value: str) -> None:
    """The filer logs something, as it does once a minute."""
    ports = json.loads(infra.state.ports.read_text())
    key = OctKey.import_key(infra.secrets.get("s3", "jwt_filer_signing"))
    token = jwt.encode({"alg": "HS256"}, {"exp": int(time.time()) + 30}, key)
    url = f"https://127.0.0.1:{ports['s3.filer']}{LOG}/2026-01-01/00-00.x"
    headers, body = {"Authorization": f"Bearer {token}"}, os.urandom(5000) + value.encode()
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.put(url, data=body, ssl=infra.s3.tls) as answer,
    ):
        assert answer.status == 201


async def killed(infra: Infra) -> Minio:
    """Storage is killed and started again; a client for it."""
    os.kill(infra.fleet["s3"].pid, signal.SIGKILL)

    await eventually(lambda: infra.fleet["s3"].restarts)
    await eventually(answers(f"{infra.s3.url}/healthz"), timeout=60)
    return administrator(infra)


async def test_the_bytes_of_deleted_objects_and_the_filers_log_go(infra: Infra) -> None:
    client = administrator(infra)
    gone, stays, told = kind(), kind(), kind()
    for name, its in (("scrub/gone", gone), ("scrub/stays", stays)):
        client.put_object(BUCKET, name, BytesIO(b"x" * SIZE), SIZE, content_type=its)
    await logged(infra, told)
    client.remove_object(BUCKET, "scrub/gone")
    assert volumes_with(infra, gone)
    assert volumes_with(infra, told)
    done = await vacuumed(infra)
    assert done.volumes > 0
    assert done.deleted >= SIZE
    assert done.left == 0
    assert not volumes_with(infra, gone)
    assert not volumes_with(infra, told)
    assert volumes_with(infra, stays)
    assert client.get_object(BUCKET, "scrub/stays").read() == b"x" * SIZE
    client.remove_object(BUCKET, "scrub/stays")


async def test_the_filers_log_of_the_last_minute_goes_too(infra: Infra) -> None:
    """It is in the filer's memory, and would be written after the scrub."""
    client, gone = administrator(infra), kind()

    def log_tells() -> bool:
        return any(not name.startswith(BUCKET) for name in volumes_with(infra, gone))

    for name in ("scrub/told", "scrub/not-told"):
        client.put_object(BUCKET, name, BytesIO(b"x" * SIZE), SIZE, content_type=gone)
    async with aiohttp.ClientSession() as http:
        store = ObjectStore(storage_of(infra.state), http)
        await store.write_log()
        assert log_tells()
        for name in ("scrub/told", "scrub/not-told"):
            client.remove_object(BUCKET, name)
        await store.vacuum()
        await store.write_log()
    assert not volumes_with(infra, gone)


@pytest.mark.timeout(180)
async def test_what_a_killed_storage_forgot_to_delete_goes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it hands a deletion on, it does not know of it any more: nor does a vacuum."""
    async with Infra(tmp_path / "state") as infra, aiohttp.ClientSession() as http:
        client, gone, stays, young = administrator(infra), kind(), kind(), kind()
        for name, its in (("gone", gone), ("stays", stays)):
            client.put_object(BUCKET, name, BytesIO(b"x" * SIZE), SIZE, content_type=its)
        store = ObjectStore(storage_of(infra.state), http)
        await store.all_handed_on()  # which it does each second: so not in the next moment
        client.remove_object(BUCKET, "gone")
        client = await killed(infra)
        client.put_object(BUCKET, "young", BytesIO(b"y" * SIZE), SIZE, content_type=young)

        # It might be of an upload that is under way: it is left, and told.
        done = await store.vacuum()
        assert (len(done.orphans.spared), done.orphans.size, done.left) == (1, 0, 0)
        assert done.deleted == 0, "what the scrub itself wrote and deleted is no object"
        assert volumes_with(infra, gone)

        monkeypatch.setattr(orphans, "SPARED", 1)  # those seconds are over
        done = await store.vacuum()
        assert done.orphans == Pieces(size=done.orphans.size)
        assert SIZE <= done.orphans.size < 2 * SIZE
        assert done.left == 0
        assert not volumes_with(infra, gone)
        assert client.get_object(BUCKET, "stays").read() == b"x" * SIZE
        assert client.get_object(BUCKET, "young").read() == b"y" * SIZE


async def test_what_is_deleted_meanwhile_is_on_its_way_and_not_spared(infra: Infra) -> None:
    client, names = administrator(infra), [f"scrub/meanwhile-{number}" for number in range(100)]
    for name in names:
        client.put_object(BUCKET, name, BytesIO(b"x"), 1)

    async def delete() -> None:
        for name in names:
            await asyncio.to_thread(client.remove_object, BUCKET, name)
            await asyncio.sleep(0.04)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(delete())
        done = await vacuumed(infra)
    assert done.orphans.spared == frozenset()


async def test_an_upload_under_way_is_no_orphan(infra: Infra) -> None:
    """Its first bytes are in a volume before it has a name: they are left alone, and it ends whole."""
    client, size = administrator(infra), 24 * 2**20
    url = client.presigned_put_object(BUCKET, "scrub/under-way")
    whole, half, go_on = os.urandom(size), asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield whole[: size * 3 // 4]
        half.set()
        await go_on.wait()
        yield whole[size * 3 // 4 :]

    before = _volume_bytes(infra)
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
        sent = tasks.create_task(_put(http, url, body(), size))
        await half.wait()
        await eventually(lambda: _volume_bytes(infra) >= before + size * 2 // 3)
        done = await vacuumed(infra)
        assert (done.left, done.orphans.size) == (0, 0)
        assert len(done.orphans.spared) >= 2
        go_on.set()
        assert await sent == 200
    assert client.get_object(BUCKET, "scrub/under-way").read() == whole
    client.remove_object(BUCKET, "scrub/under-way")


def said(*pieces: str) -> str:
    """What the check says if it finds these."""
    total = f"Total\t\tentries:9\torphan:{len(pieces)}\t11.11%\t{len(pieces) * 100}B"
    return "\n".join(["working directory: /tmp/sw_fsck1", *pieces, "", total])


async def test_a_check_that_ends_early_is_no_proof(infra: Infra, monkeypatch: pytest.MonkeyPatch) -> None:
    async def says(*_: object) -> str:
        return words

    at = storage_of(infra.state)
    monkeypatch.setattr(orphans, "_shell", says)
    for words in (  # noqa: B007  # `says` says them
        "",
        'error: need to run "lock" first to continue',
        "\n".join([said(), said()]),
        "\n".join([said(), said(), "error: volume 3 can't be read", said()]),
        "\n".join(["working directory: /tmp/sw_fsck1"] * 3),
    ):
        with pytest.raises(OrphansNotFoundOut, match="its check said: "):
            await delete_orphans(at)
    with pytest.raises(OrphansNotFoundOut):
        await still_there(at, Pieces())

    one, two, three = ":5,01aa", "crafiq-library:1,02bb", ":5,03cc"
    words = "\n".join([said(one, two, three), said(one, two), said()])
    found = await delete_orphans(at)
    assert found == Pieces(frozenset({"5,01aa", "1,02bb"}), 200, frozenset({"5,03cc"}))
    # One could not be deleted, an upload has ended, and somebody deleted something in between.
    words = said(one, ":5,04dd")
    assert await still_there(at, found) == Pieces(frozenset({"5,01aa"}), 200)


async def test_whatever_the_check_says_the_vacuum_comes(
    infra: Infra, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, gone = administrator(infra), kind()

    async def refuses(*_: object) -> str:
        return "error: lock is lost"

    client.put_object(BUCKET, "scrub/gone", BytesIO(b"x" * SIZE), SIZE, content_type=gone)
    client.remove_object(BUCKET, "scrub/gone")
    monkeypatch.setattr(orphans, "_shell", refuses)
    with pytest.raises(OrphansNotFoundOut, match="lock is lost"):
        await vacuumed(infra)
    assert not volumes_with(infra, gone)


async def test_a_storage_that_does_not_answer_is_not_waited_for_for_ever(
    infra: Infra, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(orphans, "PATIENCE", 2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = infra.fleet["s3"].pid
    os.kill(store, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            await delete_orphans(storage_of(infra.state))
    finally:
        os.kill(store, signal.SIGCONT)
    assert _below(tmp_path) == [], "what it wrote down of objects' names"


ASKS = """
import asyncio, sys
from pathlib import Path
from cli.local import storage_of
from cli.scrub.asked import ended_when_told
from cli.scrub.orphans import delete_orphans
from deploy.local.state import StateFolder
async def main():
    with ended_when_told():
        await delete_orphans(storage_of(StateFolder(Path(sys.argv[1]))))
asyncio.run(main())
"""


async def test_who_is_told_to_end_meanwhile_leaves_no_list_and_nobody_who_deletes(
    infra: Infra, tmp_path: Path
) -> None:
    store = infra.fleet["s3"].pid
    os.kill(store, signal.SIGSTOP)
    try:
        asks = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ASKS, str(infra.state.root)),
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
            stderr=asyncio.subprocess.DEVNULL,
        )
        await eventually(lambda: _children(asks.pid) and _below(tmp_path))
        (shell,) = _children(asks.pid)
        asks.terminate()
        assert await asyncio.wait_for(asks.wait(), 20) == TOLD_TO_END
    finally:
        os.kill(store, signal.SIGCONT)
    assert _below(tmp_path) == []
    assert start_ticks(shell) is None


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def _below(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _volume_bytes(infra: Infra) -> int:
    return sum(path.stat().st_size for path in (infra.state.root / "s3").glob("*.dat"))


async def _put(http: aiohttp.ClientSession, url: str, body: AsyncIterator[bytes], size: int) -> int:
    async with http.put(url, data=body, headers={"Content-Length": str(size)}) as answer:
        return answer.status
