"""Deleted objects leave no byte in the volumes, whatever is killed, and the filer no log of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from minio import Minio

from cli.local import storage_of
from cli.scrub import orphans, storage
from cli.scrub.orphans import NONE, Orphans, OrphansNotFoundOut, forget_orphans
from cli.scrub.storage import LOG, ObjectStore, Vacuumed
from cli.search import Needles, Sought
from deploy.local.infra import Infra
from deploy.local.probes import answers
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


async def test_what_a_killed_storage_forgot_to_delete_goes_and_nothing_else(tmp_path: Path) -> None:
    """Killed before it hands a deletion on, it does not know of it any more: nor does a vacuum."""
    async with Infra(tmp_path / "state") as infra:
        client, gone, stays, young = administrator(infra), kind(), kind(), kind()
        for name, its in (("gone", gone), ("stays", stays)):
            client.put_object(BUCKET, name, BytesIO(b"x" * SIZE), SIZE, content_type=its)
        client.remove_object(BUCKET, "gone")
        client = await killed(infra)
        client.put_object(BUCKET, "young", BytesIO(b"y" * SIZE), SIZE, content_type=young)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(storage, "forget_orphans", _nothing_found)
            assert (await vacuumed(infra)).left == 0
        assert volumes_with(infra, gone), "no vacuum takes it: this test would show nothing"

        done = await vacuumed(infra)
        assert done.orphans.size >= SIZE
        assert done.left == 0
        assert not volumes_with(infra, gone)
        assert client.get_object(BUCKET, "stays").read() == b"x" * SIZE
        assert client.get_object(BUCKET, "young").read() == b"y" * SIZE
        assert (await forget_orphans(storage_of(infra.state))).size == 0


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
        await eventually(lambda: _volume_bytes(infra) >= before + size // 3)
        assert (await vacuumed(infra)).left == 0
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

    monkeypatch.setattr(orphans, "_shell", says)
    for words in (
        "",
        'error: need to run "lock" first to continue',
        "\n".join([said(), said()]),
        "\n".join([said(), said(), "error: volume 3 can't be read", said()]),
        "\n".join(["working directory: /tmp/sw_fsck1"] * 3),
    ):
        with pytest.raises(OrphansNotFoundOut, match=f"said: {re.escape(words[-300:]) or 'nothing'}"):
            await forget_orphans(storage_of(infra.state))
    # One could not be deleted; somebody deleted another one in between.
    words = "\n".join([said(":5,01aa", "crafiq-library:1,02bb"), said(), said(":5,01aa", ":5,03cc")])
    assert await forget_orphans(storage_of(infra.state)) == Orphans(size=200, left=1)


async def test_a_storage_that_does_not_answer_is_not_waited_for_for_ever(
    infra: Infra, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(orphans, "PATIENCE", 2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = infra.fleet["s3"].pid
    os.kill(store, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            await forget_orphans(storage_of(infra.state))
    finally:
        os.kill(store, signal.SIGCONT)
    assert _below(tmp_path) == [], "what it wrote down of objects' names"


async def _nothing_found(_: object) -> Orphans:
    return NONE


def _below(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _volume_bytes(infra: Infra) -> int:
    return sum(path.stat().st_size for path in (infra.state.root / "s3").glob("*.dat"))


async def _put(http: aiohttp.ClientSession, url: str, body: AsyncIterator[bytes], size: int) -> int:
    async with http.put(url, data=body, headers={"Content-Length": str(size)}) as answer:
        return answer.status
