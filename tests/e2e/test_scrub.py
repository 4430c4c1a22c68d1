"""A scrub of a platform in use finds what was planted and nothing of who left; the supplement follows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from cli.api import Api, ApiRefused
from cli.receipts import verified
from tests.e2e.conftest import Join
from tests.e2e.test_deletion import leave, receipt
from tests.personal import used
from tests.running import Running, started
from tests.scrubbing import scrub
from tests.support import eventually

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One whose storage nobody killed: a scrub spares for an hour what that leaves, and supplements wait."""
    with started(tmp_path_factory.mktemp("scrubbed")) as running:
        yield running


@pytest.mark.promise("9-delete-now", "9-delete-preview", "11-erase")
async def test_a_scrub_finds_nothing_of_who_left_and_the_supplement_follows(
    platform: Running, http: aiohttp.ClientSession, join: Join
) -> None:
    name = used(f"scrubbed{secrets.token_hex(6)}")
    person = await join(username=name, displayName=used("Scrubbed Away Person"))
    pack = used(f"a pack of {secrets.token_hex(8)}")
    await person.api.post("/v1/packs", title=pack, requestId="0b5e7c3e-1111-4222-8333-444455556666")
    erasure, secret = await leave(person)
    await receipt(platform, http, erasure, secret)
    await eventually(lambda: _sent(platform, http, person.email), timeout=40)

    values = [person.email, person.password, name, pack]
    code, said = await scrub(platform, values)
    assert (code, said["hits"], said["unfinished"], said["clean"]) == (0, [], [], True)
    assert said["searchedValues"] > len(values)  # services told what they had erased
    assert said["searchedBytes"] > 50_000_000
    assert said["tablesRewritten"] > 50
    assert said["deletedObjectBytesLeft"] == 0
    for value in values:
        assert value not in (platform.state / "scrub.json").read_text()

    anybody = Api(http, platform.gateway)
    anybody.send("X-Receipt-Secret", secret)
    signed = await eventually(lambda: _supplement(anybody, erasure), timeout=30, every=0.25)
    supplement = verified(signed, await anybody.text("/v1/receipts/keys"))[1]
    assert (supplement["scrub"]["searchedBytes"], supplement["scrub"]["hits"]) == (said["searchedBytes"], 0)
    assert (await anybody.get(f"/v1/{erasure}"))["state"] == "CLOSED"


async def _sent(platform: Running, http: aiohttp.ClientSession, email: str) -> bool:
    async with http.get(f"{platform.endpoints['inbox']}/messages", params={"to": email}) as answer:
        return len(await answer.json()) == 2


async def _supplement(api: Api, erasure: str) -> str:
    try:
        return await api.text(f"/v1/{erasure}/supplement")
    except ApiRefused:
        return ""


@contextmanager
def lying_in(file: Path, content: bytes) -> Iterator[None]:
    """A file that somebody left behind."""
    file.write_bytes(content)
    try:
        yield
    finally:
        file.unlink()


async def test_what_is_left_is_found_told_and_reported_by_its_number_only(
    platform: Running, join: Join
) -> None:
    person, planted = await join(), f"planted {secrets.token_hex(8)}"
    living = used(f"lives on {secrets.token_hex(8)}")
    await person.api.post("/v1/packs", title=living, requestId="0b5e7c3e-1111-4222-8333-444455556667")
    with lying_in(platform.state / "postgres" / "left-behind", b"\0" * 99 + planted.encode("utf-16-le")):
        code, said = await scrub(platform, [planted, living])
    assert (code, said["clean"], said["valuesFound"]) == (1, False, 1)
    # More than one if somebody who left before had a name for something that somebody else has as well.
    assert said["valuesFoundInLivingRows"] >= 1
    assert said["hits"] == [{"value": "line 1", "place": "postgres/left-behind", "at": 99}]
    assert planted not in json.dumps(said)
