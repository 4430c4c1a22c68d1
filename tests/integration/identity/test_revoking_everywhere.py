"""A session that ends at identity is dead at every other service within five seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from statistics import median
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from crafiq.billing.v1 import billing_pb2
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub
from crafiq.identity.v1 import identity_pb2
from crafiq.identity.v1.events_pb2 import AccountDeleted

from chassis import events
from deploy.local.infra import Infra
from services.billing.__main__ import Settings, compose
from services.billing.domain import Row
from services.identity.adapters.signing import SigningKeys
from tests.integration.identity.conftest import settings_for
from tests.integration.identity.people import PATIENCE, People, Person, refusal
from tests.integration.in_process import Unhurried
from tests.support import FakeClock, calling, eventually, running, standing_still

EVERYWHERE = 5.0  # seconds: what is promised


class Line:
    """The way to the bus, which can be cut and mended."""

    def __init__(self, url: str) -> None:
        self._bus = urlsplit(url)
        self._ends: list[asyncio.StreamWriter] = []
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        self._server.close()
        while self._ends:
            self._ends.pop().close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._bus.hostname, self._bus.port)
        self._ends += [writer, back]
        await asyncio.gather(_carry(reader, back), _carry(there, writer))


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()


class Elsewhere:
    """Billing, and what it says to somebody's access token."""

    def __init__(self, stub: BillingServiceStub) -> None:
        self._stub = stub

    def balance(self, person: Person) -> Any:
        return self._stub.GetBalance(billing_pb2.GetBalanceRequest(), metadata=person.metadata, timeout=5)

    async def refuses(self, person: Person) -> bool:
        try:
            await self.balance(person)
        except Exception:  # whatever it is, `refusal` says
            return (await refusal(self.balance(person))).reason == "CREDENTIAL_INVALID"
        return False


@asynccontextmanager
async def billing(infra: Infra, clock: FakeClock, keys: SigningKeys, line: Line) -> AsyncIterator[Elsewhere]:
    url = f"tls://127.0.0.1:{line.port}"
    told = settings_for(infra, "billing", peers={"generation": "127.0.0.1:1"}) | {"nats_url": url}
    settings = Settings(**told)
    async with (
        Unhurried("billing", settings, metadata=Row.metadata, clock=clock, jwks=keys.jwks) as service,
        compose(service, settings),
        running(service) as address,
        calling(address, infra.tls_dir("gateway"), to="billing") as channel,
    ):
        yield Elsewhere(BillingServiceStub(channel))


@pytest.fixture
async def line(infra: Infra) -> AsyncIterator[Line]:
    line = Line(infra.nats.url)
    await line.mend()
    yield line
    await line.cut()


@pytest.fixture
async def elsewhere(
    infra: Infra, clock: FakeClock, keys: SigningKeys, line: Line
) -> AsyncIterator[Elsewhere]:
    async with billing(infra, clock, keys, line) as elsewhere:
        yield elsewhere


async def sign_out(people: People, person: Person) -> float:
    """When it was answered."""
    await people.stub.SignOut(identity_pb2.SignOutRequest(), metadata=person.metadata)
    return time.monotonic()


async def known(people: People, elsewhere: Elsewhere) -> Person:
    """Somebody who is signed in, and whom billing knows by now."""
    person = await people.signed_in()
    assert await eventually(lambda: elsewhere.balance(person), timeout=20)
    return person


@pytest.mark.promise("3-authenticate")
async def test_a_session_that_ends_is_dead_elsewhere_within_five_seconds(
    people: People, elsewhere: Elsewhere
) -> None:
    took = []
    for _ in range(3):
        person = await known(people, elsewhere)
        other = await people.sign_in(person)
        async with standing_still() as lost:
            ended = await sign_out(people, person)
            await eventually(lambda person=person: elsewhere.refuses(person), timeout=PATIENCE)
            took.append(time.monotonic() - ended - lost())
        assert await elsewhere.balance(other), "another session of the same person lives on"
    print(f"dead elsewhere after {', '.join(f'{1000 * each:.0f} ms' for each in took)}")
    assert max(took) < EVERYWHERE


@pytest.mark.promise("9-delete-now", "3-authenticate")
async def test_every_session_of_a_deleted_account_is_dead_elsewhere_within_a_second(
    people: People, elsewhere: Elsewhere, infra: Infra
) -> None:
    stranger, took = await known(people, elsewhere), []
    bus = await events.connect(
        infra.nats.url, "identity", infra.nats.password("identity"), infra.tls_dir("identity")
    )
    for _ in range(3):
        person = await known(people, elsewhere)
        other = await people.sign_in(person)
        account = (await people.account_of(person)).name
        deleted = AccountDeleted(account=account, erasure=f"erasures/{uuid4()}")
        async with standing_still() as lost:
            await bus.jetstream().publish(events.subject_of(deleted), deleted.SerializeToString())
            told = time.monotonic()
            await eventually(lambda person=person: elsewhere.refuses(person), timeout=PATIENCE)
            took.append(time.monotonic() - told - lost())
        assert await elsewhere.refuses(other)
        assert await elsewhere.balance(stranger)
    await bus.close()
    print(f"dead elsewhere after {', '.join(f'{1000 * each:.0f} ms' for each in took)}")
    assert max(took) < EVERYWHERE
    assert median(took) < 1, "the machine has other things to do as well"


@pytest.mark.promise("3-authenticate")
async def test_a_process_that_starts_later_knows_it_too(
    people: People, elsewhere: Elsewhere, infra: Infra, clock: FakeClock, keys: SigningKeys, line: Line
) -> None:
    person = await known(people, elsewhere)
    await sign_out(people, person)
    await eventually(lambda: elsewhere.refuses(person), timeout=PATIENCE)
    async with billing(infra, clock, keys, line) as younger:
        await eventually(lambda: younger.refuses(person), timeout=EVERYWHERE)


@pytest.mark.promise("3-authenticate")
async def test_without_the_bus_a_token_ends_by_age(
    people: People, elsewhere: Elsewhere, clock: FakeClock, line: Line
) -> None:
    person = await known(people, elsewhere)
    await line.cut()
    await sign_out(people, person)
    assert (await refusal(people.account_of(person))).status == "UNAUTHENTICATED", "identity knows at once"
    assert await elsewhere.balance(person)
    clock.forward(timedelta(minutes=5))
    assert await elsewhere.refuses(person)


@pytest.mark.promise("3-authenticate")
async def test_what_ended_while_the_bus_was_away_is_heard_when_it_is_back(
    people: People, elsewhere: Elsewhere, line: Line
) -> None:
    person = await known(people, elsewhere)
    await line.cut()
    await sign_out(people, person)
    assert not await elsewhere.refuses(person)
    await line.mend()
    back = time.monotonic()
    await eventually(lambda: elsewhere.refuses(person), timeout=PATIENCE)
    print(f"dead {time.monotonic() - back:.1f} s after the bus was back")
