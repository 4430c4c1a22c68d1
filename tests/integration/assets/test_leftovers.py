"""What is left over when people stop half-way, and when processes do: it goes, and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chassis.errors import Refusal
from services.assets.jobs import Sweeper
from tests.integration.assets.world import LIBRARY, QUARANTINE, REQUEST_KEY, ROOT, Person, World, header_for
from tests.support import FakeClock, eventually
from tests.unit.assets import makers


def sweeper(world: World, later: timedelta = timedelta()) -> Sweeper:
    """The sweeper as it will be some time from now."""
    desk = world.desk
    clock = FakeClock(datetime.now(UTC) + later)
    return Sweeper(desk.uploads, desk.library, desk.publications, desk.storage, clock)


@asynccontextmanager
async def locked(world: World, table: str) -> AsyncIterator[None]:
    """Nobody can write the table until the block ends."""
    connection = await asyncpg.connect(world.database)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
            yield
    finally:
        await connection.close()


async def waiting(world: World) -> int:
    """How many wait for a lock."""
    waits = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return len(await world.sql(f"SELECT 1 {waits}"))


async def nobody_waits(world: World) -> bool:
    return not await waiting(world)


@pytest.mark.promise("9-asneeded", "2a-input-media")
async def test_an_upload_that_nobody_completes_is_gone_within_the_hour(
    ada: Person, world: World, photo: bytes
) -> None:
    unfinished, finished, empty = await ada.open(photo), await ada.upload(photo), await ada.open(photo)
    await world.put(unfinished, photo)
    key = await world.quarantine_of(unfinished.name)
    await sweeper(world, timedelta(minutes=44)).sweep_quarantine()
    assert key in world.keys(QUARANTINE, ada)
    await sweeper(world, timedelta(minutes=46)).sweep_quarantine()
    assert key not in world.keys(QUARANTINE, ada)
    for upload in (unfinished, empty):
        with pytest.raises(Refusal) as refused:
            await ada.complete(upload.name)
        assert refused.value.reason == "UPLOAD_NOT_FOUND"
    assert (await ada.get(finished.name)).name == finished.name


async def test_the_request_of_an_upload_that_ended_says_so(ada: Person, world: World, photo: bytes) -> None:
    wish = ada.wish(photo, "image/jpeg")
    await ada.call("CreateUpload", wish)
    await sweeper(world, timedelta(minutes=46)).sweep_quarantine()
    with pytest.raises(Refusal, match="open another with POST /v1/uploads and a new requestId") as refused:
        await ada.call("CreateUpload", wish)
    assert refused.value.reason == "UPLOAD_EXPIRED"


async def test_bytes_that_arrive_for_an_upload_that_is_over_are_removed(
    ada: Person, world: World, photo: bytes
) -> None:
    upload = await ada.open(photo)
    await sweeper(world, timedelta(minutes=46)).sweep_quarantine()
    assert await world.put(upload, photo) == 200
    assert len(world.keys(QUARANTINE, ada)) == 1
    await sweeper(world).sweep_quarantine()
    assert not world.keys(QUARANTINE, ada)


async def test_a_completed_upload_is_remembered_for_a_week(ada: Person, world: World, photo: bytes) -> None:
    upload = await ada.open(photo)
    await world.put(upload, photo)
    asset = await ada.complete(upload.name)
    await sweeper(world, timedelta(days=6)).sweep_quarantine()
    assert (await ada.complete(upload.name)).name == asset.name
    await sweeper(world, timedelta(days=8)).sweep_quarantine()
    with pytest.raises(Refusal):
        await ada.complete(upload.name)
    assert (await ada.get(asset.name)).name == asset.name


async def test_bytes_written_and_never_committed_are_removed_and_the_upload_can_be_completed(
    ada: Person, world: World, photo: bytes
) -> None:
    upload = await ada.open(photo)
    await world.put(upload, photo)
    before = world.keys(LIBRARY, ada)
    async with locked(world, "assets"):
        completing = asyncio.create_task(ada.complete(upload.name))
        (left,) = await eventually(lambda: world.keys(LIBRARY, ada) - before)
        await eventually(lambda: waiting(world))
        completing.cancel()
        await eventually(lambda: nobody_waits(world))  # the service has heard that nobody asks any more
    asset = await ada.complete(upload.name)
    assert await world.key_of(asset.name) != left
    await eventually(lambda: left not in world.keys(LIBRARY, ada))
    assert await ada.download(asset.name)


async def test_who_is_too_late_to_commit_what_was_swept_commits_nothing(
    ada: Person, world: World, photo: bytes
) -> None:
    upload = await ada.open(photo)
    await world.put(upload, photo)
    async with locked(world, "assets"):
        before = world.keys(LIBRARY, ada)
        completing = asyncio.create_task(ada.complete(upload.name))
        await eventually(lambda: world.keys(LIBRARY, ada) - before)
        await sweeper(world, timedelta(minutes=4)).sweep_library()
    with pytest.raises(Refusal) as refused:
        await completing
    assert refused.value.status == "ABORTED"
    assert not (await ada.list()).assets
    assert await ada.download((await ada.complete(upload.name)).name)


@pytest.mark.promise("9-delete-now")
async def test_with_the_person_everything_of_theirs_goes(
    ada: Person, bob: Person, world: World, photo: bytes
) -> None:
    """The fence holds: one delete of the subject takes rows along, and the sweeper their objects."""
    source = await ada.upload(photo)
    made = await world.store(header_for(ada, makers.png(), inputs=[source.name]), makers.png())
    unfinished = await ada.open(photo)
    await world.put(unfinished, photo)
    kept = await bob.upload(photo)
    keys = {await world.key_of(asset.name) for asset in (source, made)}
    quarantined = await world.quarantine_of(unfinished.name)

    await world.sql("DELETE FROM subjects WHERE account = $1", ada.id)
    await sweeper(world).sweep_library()
    await sweeper(world).sweep_quarantine()

    left = "SELECT account FROM assets UNION ALL SELECT account FROM uploads UNION ALL "
    left += "SELECT account FROM lineage UNION ALL SELECT account FROM requests"
    assert ada.id not in {row["account"] for row in await world.sql(left)}
    assert not keys & world.keys(LIBRARY, ada)
    assert quarantined not in world.keys(QUARANTINE, ada)
    assert not await world.sql("SELECT 1 FROM objects WHERE key = ANY($1)", list(keys))
    assert await bob.download(kept.name)


async def test_while_storage_is_away_people_are_asked_to_come_back_and_nothing_is_lost(
    world: World, photo: bytes
) -> None:
    away = World(world.infra, world.database)
    async with away.serving(s3_url=f"http://127.0.0.1:{free_port()}"):
        person = await away.person()
        upload = await person.open(photo)
        with pytest.raises(Refusal) as refused:
            await person.complete(upload.name)
        assert refused.value.status == "UNAVAILABLE"
        with pytest.raises(Refusal) as refused:
            await away.store(header_for(person, makers.png()), makers.png())
        assert refused.value.status == "UNAVAILABLE"
    back = Person(world, person.id)
    again = await back.open(photo)
    await world.put(again, photo)
    assert (await back.complete(again.name)).title == back.filename
    assert len((await back.list()).assets) == 1


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def process(world: World, folder: Path, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The service as the launcher runs it; answers the process and its address."""
    s3, infra = world.infra.s3.credentials, world.infra
    secrets = {
        "database_url": world.database, "nats_password": infra.nats.password("assets"),
        "request_key": REQUEST_KEY, "s3_access_key": s3.access, "s3_secret_key": s3.secret,
    }  # fmt: skip
    for name, value in secrets.items():
        (folder / f"crafiq_{name}").write_text(value, encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "CRAFIQ_LISTEN": address,
        "CRAFIQ_METRICS_LISTEN": f"127.0.0.1:{free_port()}", "CRAFIQ_TLS_DIR": str(infra.tls_dir("assets")),
        "CRAFIQ_SECRETS_DIR": str(folder), "CRAFIQ_NATS_URL": infra.nats.url, "CRAFIQ_S3_URL": infra.s3.url,
        "CRAFIQ_PEERS": f'{{"identity":"{world.identity_address}"}}', "CRAFIQ_DRAWN": "0", **more,
    }  # fmt: skip
    running = subprocess.Popen([sys.executable, "-m", "services.assets"], cwd=ROOT, env=environment)
    try:
        yield running, address
    finally:
        if running.poll() is None:
            running.kill()
        running.wait()


@pytest.mark.timeout(150)
async def test_a_process_killed_between_write_and_commit_loses_nothing(
    ada: Person, world: World, tmp_path: Path
) -> None:
    header, content = header_for(ada, makers.png()), makers.png()
    before = world.keys(LIBRARY, ada)
    async with locked(world, "assets"):
        with process(world, tmp_path) as (running, address):
            storing = asyncio.create_task(brought(world, header, content, (running, address)))
            (left,) = await eventually(lambda: world.keys(LIBRARY, ada) - before, timeout=60)
            running.kill()
            with pytest.raises(Refusal):
                await storing
    with process(world, tmp_path) as (running, address):
        stored = await brought(world, header, content, (running, address))
        assert (await world.store(header, content)).name == stored.name
        running.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(running.wait, 30) == 0
    assert await world.key_of(stored.name) != left
    await sweeper(world, timedelta(minutes=2)).sweep_library()
    assert left in world.keys(LIBRARY, ada)
    await sweeper(world, timedelta(minutes=4)).sweep_library()
    assert left not in world.keys(LIBRARY, ada)
    assert await ada.download(stored.name)
    rows = await world.sql("SELECT id FROM assets WHERE account = $1", ada.id)
    assert [row["id"] for row in rows] == [UUID(stored.name.removeprefix("assets/"))]


async def brought(
    world: World, header: Any, content: bytes, process: tuple[subprocess.Popen[bytes], str]
) -> Any:
    """Store an Output in a process that may just be starting."""
    running, address = process
    for _ in range(600):
        try:
            return await world.store(header, content, address=address)
        except Refusal as refusal:
            if refusal.status != "UNAVAILABLE" or running.poll() is not None:
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("the process does not answer")
