"""The servers that the local runtime brings: who may do what, and where they listen."""

from __future__ import annotations

import json
import os
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO

import aiohttp
import asyncpg
import nats
import pytest
from minio import Minio
from minio.error import S3Error
from nats.aio.client import Client

from cli.search import Needles, Sought
from deploy.local import seaweed
from deploy.local.certs import client
from deploy.local.infra import SERVICES, Infra
from tests.processes import listening
from tests.support import eventually


async def test_a_service_has_its_own_database_and_no_other(infra: Infra) -> None:
    own = await asyncpg.connect(infra.postgres.dsn("billing"))
    assert await own.fetchval("SELECT current_user || '/' || current_database()") == "billing/billing"
    await own.execute("CREATE TABLE mine (id int)")
    await own.execute("DROP TABLE mine")
    await own.close()
    foreign = infra.postgres.dsn("billing").replace("@/billing", "@/identity")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(foreign)


async def test_the_database_log_has_no_value_of_a_failed_statement(infra: Infra) -> None:
    connection = await asyncpg.connect(infra.postgres.dsn("billing"))
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute("SELECT 'somebody@example.com'::int")
    with pytest.raises(asyncpg.PostgresError):
        await connection.fetch("SELECT $1::text::uuid", "somebody@example.com")
    await connection.close()
    log = (infra.state.root / "logs" / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "somebody" not in log


@asynccontextmanager
async def _bus(infra: Infra, service: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A connection as a service, and what the server said against it."""
    said: list[str] = []

    async def heard(error: Exception) -> None:
        said.append(str(error).lower())

    client = await nats.connect(
        infra.nats.url, tls=infra.nats.tls, user=service, password=infra.nats.password(service),
        inbox_prefix=f"_INBOX_{service}".encode(), error_cb=heard, allow_reconnect=False,
    )  # fmt: skip
    try:
        yield client, said
    finally:
        await client.close()


async def test_a_service_announces_as_itself(infra: Infra) -> None:
    async with _bus(infra, "billing") as (client, said):
        stored = await client.jetstream().publish("crafiq.billing.v1.Tested.nobody", b"")
        assert stored.stream == "BILLING"
        assert not said


@pytest.mark.promise("9-delete-now")
async def test_what_was_announced_ends_after_seven_days_in_every_stream(infra: Infra) -> None:
    """Nothing else surely ends bytes on the bus's disk; the supplement's date follows from it."""
    bus = await nats.connect(infra.nats.admin_url, tls=infra.nats.tls)
    try:
        streams = {each.config.name: each.config for each in await bus.jsm().streams_info()}
    finally:
        await bus.close()
    assert streams.keys() == {service.upper() for service in SERVICES}
    assert {config.max_age for config in streams.values()} == {timedelta(days=7).total_seconds()}


@pytest.mark.parametrize(
    "subject",
    [
        "crafiq.identity.v1.AccountDeleted.somebody",
        "$JS.API.STREAM.PURGE.BILLING",
        "$JS.API.STREAM.DELETE.IDENTITY",
        "$JS.API.CONSUMER.MSG.NEXT.IDENTITY.privacy",
        "$JS.API.CONSUMER.DELETE.IDENTITY.privacy",
        "$JS.ACK.IDENTITY.privacy.1.1.1.1.0",
    ],
)
async def test_a_service_speaks_for_no_other(infra: Infra, subject: str) -> None:
    async with _bus(infra, "billing") as (client, said):
        await client.publish(subject, b"")
        refused = await eventually(lambda: said)
        assert "permissions violation for publish" in refused[0]


@pytest.mark.parametrize("subject", ["crafiq.>", "_INBOX_identity.>", "$JS.EVENT.ADVISORY.>"])
async def test_a_service_hears_nothing_that_is_not_for_it(infra: Infra, subject: str) -> None:
    async with _bus(infra, "billing") as (client, said):
        await client.subscribe(subject)
        refused = await eventually(lambda: said)
        assert "permissions violation for subscription" in refused[0]


async def test_the_bus_knows_password_and_certificate(infra: Infra) -> None:
    async def quiet(error: Exception) -> None:
        del error

    ours = infra.nats.tls
    without = ssl.create_default_context(cafile=infra.tls_dir("billing") / "ca.crt")
    for tls, password in ((ours, "wrong"), (without, infra.nats.password("billing"))):
        with pytest.raises((nats.errors.Error, OSError)):
            await nats.connect(
                infra.nats.url, tls=tls, user="billing", password=password,
                allow_reconnect=False, error_cb=quiet,
            )  # fmt: skip


async def test_assets_may_use_its_buckets_and_make_none(infra: Infra) -> None:
    keys = infra.s3.credentials
    client = Minio(infra.s3.url.removeprefix("http://"), keys.access, keys.secret, secure=False)
    stored = client.put_object("crafiq-library", "a", BytesIO(b"marker-in-the-clear"), 19)
    assert stored.http_headers is not None
    assert stored.http_headers["x-amz-server-side-encryption"] == "AES256"
    with pytest.raises(S3Error):
        client.make_bucket("another-bucket")
    needles = Needles([Sought("it", b"marker-in-the-clear")])
    files = [path for path in (infra.state.root / "s3").rglob("*") if path.is_file()]
    assert not [path for path in files if needles.in_file(path, "")[1]]


@pytest.mark.promise("8-least-priv")
async def test_storages_inner_doors_know_nobody_but_itself_and_its_operator(infra: Infra) -> None:
    ports = json.loads(infra.state.ports.read_text())
    for door, path in (("master", "/vol/status"), ("filer", "/healthz"), ("admin", "/metrics")):
        url = f"https://127.0.0.1:{ports[f's3.{door}']}{path}"
        async with aiohttp.ClientSession() as http:
            async with http.get(url, ssl=infra.s3.tls) as answer:
                assert answer.status == 200
            for process in ("assets", "privacy", "operator"):  # of our CA, as all are
                known = client(infra.tls_dir(process))
                known.load_verify_locations(infra.state.folder("tls", "s3") / "ca.crt")
                with pytest.raises(aiohttp.ClientError):
                    await http.get(url, ssl=known)


async def test_nobody_walks_into_storage_by_another_door(infra: Infra) -> None:
    ports = json.loads(infra.state.ports.read_text())
    async with aiohttp.ClientSession() as http:
        filer = f"https://127.0.0.1:{ports['s3.filer']}/buckets/crafiq-library/"
        async with http.get(filer, ssl=infra.s3.tls) as answer:
            assert answer.status == 401
        async with http.get(f"{infra.s3.url}/crafiq-library/a") as answer:
            assert answer.status == 403


async def test_objects_of_many_pieces_come_back_whole(infra: Infra) -> None:
    keys = infra.s3.credentials
    storage = Minio(infra.s3.url.removeprefix("http://"), keys.access, keys.secret, secure=False)
    large = os.urandom(9 << 20)
    storage.put_object("crafiq-library", "large", BytesIO(large), len(large))
    assert storage.get_object("crafiq-library", "large").read() == large
    storage.remove_object("crafiq-library", "large")


async def test_the_first_object_of_a_bucket_finds_its_place_made(infra: Infra) -> None:
    ports = json.loads(infra.state.ports.read_text())
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"https://127.0.0.1:{ports['s3.master']}/vol/status", ssl=infra.s3.tls) as answer,
    ):
        made = await answer.text()
    for bucket in (*seaweed.BUCKETS, seaweed.LEDGER):
        assert f'"Collection":"{bucket}"' in made


async def test_secrets_are_their_owners_alone(infra: Infra) -> None:
    root = infra.state.root
    private = [p for name in ("secrets", "tls", "logs") for p in (root / name).rglob("*")]
    for path in [root, *root.iterdir(), *private]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path} has mode {mode:o}"


async def test_everything_listens_on_loopback(infra: Infra) -> None:
    found = listening({process.pid for process in infra.fleet})
    assert {(protocol, address) for protocol, address, _ in found} == {("tcp", "127.0.0.1")}
    assert {port for _, _, port in found} == {infra.ports.chosen[name] for name in ("nats", *seaweed.PORTS)}
