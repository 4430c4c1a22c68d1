"""A backup that is brought back brings nobody back who was erased since."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from io import BytesIO
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from cli.api import Api
from cli.local import Local
from deploy.local import binaries
from deploy.local.infra import SERVICES
from deploy.local.state import StateFolder
from services.assets.domain.shelves import shelf_of
from tests.e2e.conftest import ROOT, new_person, patiently
from tests.e2e.test_canary import storage
from tests.e2e.test_deletion import KEPT, leave, places_of, receipt, refusal
from tests.personal import used
from tests.running import Running, started
from tests.support import eventually

POSTGRES = binaries.package(binaries.POSTGRES_PACKAGE) / binaries.POSTGRES_FOLDER / "bin"


async def command(*arguments: str | Path, **environment: str) -> str:
    """Run it to its end; answers what it says, raises if it fails."""
    process = await asyncio.create_subprocess_exec(
        *map(str, arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


def dsn(platform: Running, service: str) -> str:
    """Its database, as the administrator reaches it."""
    return str(platform.endpoints["postgres"]).replace("/postgres?", f"/{service}?")


async def back_up(platform: Running, folder: Path) -> None:
    """Dump all databases."""
    for service in SERVICES:
        await command(
            POSTGRES / "pg_dump", "--format=custom", f"--file={folder / service}", dsn(platform, service)
        )


async def bring_back(platform: Running, folder: Path, *services: str) -> None:
    """Restore databases over what is in them."""
    for service in services:
        await command(
            POSTGRES / "pg_restore", "--clean", "--if-exists", "--single-transaction",
            f"--dbname={dsn(platform, service)}", folder / service,
        )  # fmt: skip


def shelf(platform: Running, account: UUID) -> dict[tuple[str, str], bytes]:
    """What storage has of somebody, by bucket and name."""
    s3, found = storage(Local(StateFolder(platform.state), platform.endpoints)), {}
    for bucket in ("crafiq-library", "crafiq-quarantine"):
        for each in s3.list_objects(bucket, prefix=f"{shelf_of(account)}/", recursive=True):
            found[bucket, str(each.object_name)] = s3.get_object(bucket, str(each.object_name)).data
    return found


def put_back(platform: Running, objects: dict[tuple[str, str], bytes]) -> None:
    """A backup of storage is brought back."""
    s3 = storage(Local(StateFolder(platform.state), platform.endpoints))
    for (bucket, name), content in objects.items():
        s3.put_object(bucket, name, BytesIO(content), len(content))


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.promise("9-backup-passive", "9-backup-30d", "9-delete-now")
async def test_a_restored_backup_brings_nobody_back(tmp_path: Path, photo: bytes) -> None:
    state, dumps = tmp_path / "state", tmp_path / "dumps"
    state.mkdir()
    dumps.mkdir()
    timeout = aiohttp.ClientTimeout(total=30)
    with started(state) as platform:
        async with aiohttp.ClientSession(timeout=timeout) as http:
            person, stays = await new_person(platform, http), await new_person(platform, http)
            await patiently(lambda: person.upload(photo, "home.jpg", "image/jpeg"))
            kept = await patiently(lambda: stays.upload(photo, "house.jpg", "image/jpeg"))
            order = await person.order(f"a boat {secrets.token_hex(4)}")
            await person.finished(order["name"])
            number = person.account.removeprefix("accounts/")
            before = await places_of(platform, number)
            assert {"accounts", "assets", "jobs", "wallets", "acceptances"} <= before
            await back_up(platform, dumps)
            objects = await asyncio.to_thread(shelf, platform, UUID(number))
            assert len(objects) >= 2
            await receipt(platform, http, *await leave(person))
            assert await places_of(platform, number) <= KEPT
            assert await asyncio.to_thread(shelf, platform, UUID(number)) == {}
    with started(state, "--services=") as servers:
        await bring_back(servers, dumps, *SERVICES)
        await asyncio.to_thread(put_back, servers, objects)
        assert await asyncio.to_thread(shelf, servers, UUID(number)) == objects
        assert before <= await places_of(servers, number)  # the person has come back
    with started(state) as platform:
        # Before anything was served, so that there is nothing to wait for.
        assert await places_of(platform, number) <= KEPT
        async with aiohttp.ClientSession(timeout=timeout) as http:
            api = Api(http, platform.gateway)
            comes_back = api.post("/v1/sessions", email=person.email, password=person.password)
            assert await refusal(comes_back) == "INVALID_CREDENTIALS"
            session = await api.post("/v1/sessions", email=stays.email, password=stays.password)
            api.sign_in_with(used(session["accessToken"]))
            assert [each["name"] for each in (await api.get("/v1/assets"))["assets"]] == [kept["name"]]

        async def no_object() -> bool:
            return not await asyncio.to_thread(shelf, platform, UUID(number))

        await eventually(no_object, timeout=40)
        # By hand, while everything runs.
        await bring_back(platform, dumps, "assets", "generation")
        assert {"assets", "jobs"} <= await places_of(platform, number)
        await command(
            sys.executable, "-m", "cli", "tombstones", "replay",
            CRAFIQ_STATE=str(state), PYTHONPATH=f"{ROOT}:{ROOT / 'gen'}",
        )  # fmt: skip

        async def gone() -> bool:
            return await places_of(platform, number) <= KEPT

        await eventually(gone, timeout=40)
