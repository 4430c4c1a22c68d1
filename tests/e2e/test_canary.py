"""What is planted in any store is found there, and nothing else is; of the canary nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import aiosmtplib
import pytest
from aiohttp import web
from minio import Minio

from cli.canary import command
from cli.canary.command import Found
from cli.canary.markers import Markers
from cli.local import Local
from cli.search import Hit, Needles
from cli.search.stores import Searched, Stores
from deploy.local.certs import Certificates
from deploy.local.secret_files import SecretFiles
from deploy.local.state import StateFolder
from deploy.local.topology import SMTP_USER
from tests.running import ROOT, Running


@pytest.fixture
def local(platform: Running) -> Local:
    return Local.find(StateFolder(platform.state))


@contextmanager
def _appended(path: Path, content: bytes) -> Iterator[None]:
    size = path.stat().st_size if path.exists() else None
    with path.open("ab") as file:
        file.write(content)
    yield
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)


def storage(local: Local) -> Minio:
    """Object storage, as its administrator."""
    secrets, host = SecretFiles(local.state), local.endpoints["s3"].removeprefix("http://")
    access, secret = (secrets.get("s3", f"admin_{part}_key") for part in ("access", "secret"))
    return Minio(host, access, secret, secure=False, region="us-east-1")


Http = aiohttp.ClientSession
Planted = AsyncIterator[None]
Remain = Callable[[Local, Http, Markers], Any]


@asynccontextmanager
async def a_row(local: Local, _http: Http, markers: Markers) -> Planted:
    async with local.sql("billing") as sql:
        await sql.execute("INSERT INTO inbox VALUES ($1, now())", markers.word("row"))
        yield
        await sql.execute("DELETE FROM inbox WHERE key = $1", markers.word("row"))


@asynccontextmanager
async def a_raw_file(local: Local, _http: Http, markers: Markers) -> Planted:
    with _appended(local.state.root / "postgres" / "left", b"\0" * 8192 + markers.word("raw file").encode()):
        yield


@asynccontextmanager
async def a_log_line(local: Local, _http: Http, markers: Markers) -> Planted:
    with _appended(local.state.root / "logs" / "left.log", f'{{"m": "{markers.word("log")}"}}\n'.encode()):
        yield


@asynccontextmanager
async def a_trace(local: Local, _http: Http, markers: Markers) -> Planted:
    with _appended(local.state.root / "traces" / "left.jsonl", markers.word("trace").encode().hex().encode()):
        yield


@asynccontextmanager
async def a_message(local: Local, _http: Http, markers: Markers) -> Planted:
    async with local.bus() as bus:
        said = await bus.jetstream().publish(
            "crafiq.billing.v1.Planted.nobody", markers.word("message").encode(), stream="BILLING"
        )
        yield
        await bus.jsm().delete_msg("BILLING", said.seq)


@asynccontextmanager
async def an_object(local: Local, _http: Http, markers: Markers) -> Planted:
    client, content = storage(local), b"." * 2_000_000 + markers.word("object").encode()
    client.put_object("crafiq-public", "planted/content", BytesIO(content), len(content))
    yield
    client.remove_object("crafiq-public", "planted/content")


@asynccontextmanager
async def objects_metadata(local: Local, _http: Http, markers: Markers) -> Planted:
    client = storage(local)
    told = {"x-amz-meta-note": markers.word("object's metadata")}
    client.put_object("crafiq-public", "planted/told", BytesIO(b"x"), 1, metadata=told)
    client.put_object("crafiq-public", f"planted/{markers.word('key')}", BytesIO(b"x"), 1)
    yield
    for name in ("told", markers.word("key")):
        client.remove_object("crafiq-public", f"planted/{name}")


@asynccontextmanager
async def a_vendors_request(local: Local, http: Http, markers: Markers) -> Planted:
    key = SecretFiles(local.state).get("sandbox-openai", "crafiq_openai_api_key")
    url, headers = local.endpoints["sandbox"]["openai"], {"authorization": f"Bearer {key}"}
    body = {"model": "no-such-model", "prompt": markers.word("vendor")}
    async with http.post(f"{url}/v1/images/generations", json=body, headers=headers) as answer:
        assert answer.status == 404
        asked = answer.headers["x-request-id"]
    yield
    await Stores(local, http, Needles([])).clock_runs_out("openai", asked)


@asynccontextmanager
async def a_request_to_stripe(local: Local, http: Http, markers: Markers) -> Planted:
    key = SecretFiles(local.state).get("sandbox-stripe", "crafiq_stripe_api_key")
    url, headers = local.endpoints["sandbox"]["stripe"], {"authorization": f"Bearer {key}"}
    told = {"name": markers.word("Stripe")}
    async with http.post(f"{url}/v1/customers/cus_nobody", data=told, headers=headers) as answer:
        assert answer.status == 404
        asked = answer.headers["request-id"]
    yield
    await Stores(local, http, Needles([])).clock_runs_out("stripe", asked)


@asynccontextmanager
async def a_metric(local: Local, _http: Http, markers: Markers) -> Planted:
    """No service tells such a thing: billing is played, with its certificate."""
    text = f'crafiq_planted_total{{whose="{markers.word("metric")}"}} 1\n'

    async def told(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/metrics", told)
    folder, urls = Certificates(local.state).folder("billing"), local.endpoints["metrics"]
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    port = runner.addresses[0][1]
    true, urls["billing"] = urls["billing"], f"https://127.0.0.1:{port}/metrics"
    yield
    urls["billing"] = true
    await runner.cleanup()


@asynccontextmanager
async def a_mail(local: Local, http: Http, markers: Markers) -> Planted:
    host, _, port = local.endpoints["sandbox"]["smtp"].removeprefix("smtp://").partition(":")
    mail = EmailMessage()
    mail["To"], mail["From"] = "canary@example.com", "nobody@example.com"
    mail.set_content(markers.word("mailbox"))
    password = SecretFiles(local.state).get("sandbox-smtp", "crafiq_smtp_password")
    await aiosmtplib.send(
        mail, hostname=host, port=int(port), username=SMTP_USER, password=password, start_tls=False
    )
    yield
    inbox = local.endpoints["inbox"]
    async with http.delete(f"{inbox}/messages", params={"to": "canary@example.com"}) as answer:
        assert answer.status == 200


PLANTED: dict[str, tuple[Remain, ...]] = {
    "tables": (a_row,),
    "raw files": (a_raw_file, a_log_line, a_trace),
    "messages": (a_message,),
    "objects": (an_object, objects_metadata),
    "vendors": (a_vendors_request, a_request_to_stripe),
    "mailboxes": (a_mail,),
    "metrics": (a_metric,),
}
FIELDS = {
    "tables": {"row"},
    "raw files": {"raw file", "log", "trace"},
    "messages": {"message"},
    "objects": {"object", "object's metadata", "key"},
    "vendors": {"vendor", "Stripe"},
    "mailboxes": {"mailbox"},
    "metrics": {"metric"},
}
PLACES = {
    "row": "billing.inbox.key",
    "raw file": "postgres/left",
    "log": "logs/left.log",
    "trace": "traces/left.jsonl",
    "object": "crafiq-public/planted/content",
    "object's metadata": "crafiq-public/planted/told (metadata)",
    "vendor": "vendors: prompt of requests",
    "Stripe": "vendors: parameters of requests",
    "metric": "metrics of billing",
    "mailbox": "mailboxes: text of messages",
    "message": "stream BILLING, message",
    "key": "crafiq-public/planted/",
}


async def _found(stores: Stores) -> dict[str, dict[str, str]]:
    """By store, the field of each marker and where it stands first."""
    searches: dict[str, Callable[[], Awaitable[Any]]] = {**stores.beside_files, "raw files": stores.files}
    found: dict[str, dict[str, str]] = {}
    for name, search in searches.items():
        done = await search()
        assert done.amount > 0 or name in {"vendors", "mailboxes", "messages"}
        found[name] = {hit.sought.name: hit.place for hit in reversed(done.hits)}
    return found


@pytest.mark.promise("9-delete-now")
async def test_what_is_planted_is_found_in_every_kind_of_store_and_nothing_else_is(
    local: Local, http: aiohttp.ClientSession
) -> None:
    markers, nothing = Markers(), Markers()
    nothing.word("row")
    nothing.uuid("id")
    stores_beside_files = {name: fields for name, fields in FIELDS.items() if name != "raw files"}
    async with AsyncExitStack() as planted:
        for remains in PLANTED.values():
            for remain in remains:
                await planted.enter_async_context(remain(local, http, markers))
        found = await _found(Stores(local, http, Needles(markers.given)))
        clean = await _found(Stores(local, http, Needles(nothing.given)))
    # What is planted in a row is in the raw file of its table too, and the like.
    assert found["raw files"].keys() >= FIELDS["raw files"]
    assert {name: set(found[name]) for name in stores_beside_files} == stores_beside_files
    for name, fields in FIELDS.items():
        assert all(found[name][field].startswith(PLACES[field]) for field in fields), found[name]
    assert clean == {name: {} for name in FIELDS}


async def test_what_a_canary_finds_beside_raw_files_is_counted_by_privacy_too(local: Local) -> None:
    markers = Markers()
    markers.word("row")
    hits = [Hit(markers.given[0], place, 0) for place in ("postgres/left", "billing.inbox.key")]
    searched = [Searched("raw files", "bytes", 9, hits[:1]), Searched("tables", "rows", 9, hits[1:])]
    began = datetime.now(UTC)
    await command.tell(local, Found(began, markers=1, searched=searched, hits=hits))
    await command.tell(local, Found(began, markers=1, searched=searched[:1], hits=hits[:1]))
    async with local.sql("privacy") as sql:
        rows = await sql.fetch("SELECT searched_values, hits FROM scrubs WHERE began_at = $1", began)
    assert [tuple(row) for row in rows] == [(1, 1)]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.promise("9-delete-now", "9-public-anon")
async def test_nothing_of_the_canary_is_left(platform: Running) -> None:
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli", "canary"],
        cwd=ROOT,
        env={**os.environ, "CRAFIQ_STATE": str(platform.state), "PYTHONPATH": f"{ROOT / 'gen'}:{ROOT}"},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()
    kept = platform.state / "canary.json"
    said = json.loads(kept.read_text())
    assert said["clean"]
    assert said["markers"] > 60
    assert said["rpcsUnused"] == []
    assert {each["what"] for each in said["searched"]} == FIELDS.keys()
    assert kept.stat().st_mode & 0o077 == 0
