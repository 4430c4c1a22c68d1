"""The security log and how it fades."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from chassis.service import Service
from services.identity.domain.security import SecurityEntry, SecurityEvent
from services.identity.repository import security
from tests.integration.identity.people import ADDRESS, People, refusal
from tests.support import FakeClock

LOG = "SELECT event, address, device FROM security_log WHERE account = :account ORDER BY at, event"


async def _log(people: People, account: UUID) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in await people.rows(LOG, account=account)]


async def test_what_happens_to_an_account_is_logged_with_address_and_device(people: People) -> None:
    person = await people.signed_in()
    await refusal(people.stub.CreateSession(people.credentials(person, "wrong")))
    entries = await _log(people, person.id)
    assert {event for event, *_ in entries} == {
        "SIGNED_UP", "ADDRESS_CONFIRMED", "SIGNED_IN", "SIGN_IN_FAILED",
    }  # fmt: skip
    assert ("SIGNED_IN", ADDRESS, "a Python program on Linux") in entries


async def _entry(people: People, account: UUID, clock: FakeClock, address: str) -> None:
    await people.db.insert(
        SecurityEntry(
            id=uuid4(),
            account=account,
            at=clock.now(),
            event=SecurityEvent.SIGNED_IN,
            address=address,
            device="curl",
        )
    )


@pytest.mark.promise("2b-log", "9-asneeded")
async def test_addresses_are_coarse_after_thirty_days_and_rows_gone_after_twelve_months(
    people: People, clock: FakeClock, identity: Service
) -> None:
    person = await people.signed_in()
    for address in ("198.51.100.23", "2001:db8:aa:bb::1", ""):
        await _entry(people, person.id, clock, address)
    clock.forward(timedelta(days=29))
    await _entry(people, person.id, clock, "192.0.2.1")
    await security.sweep(identity.db, clock.now())
    assert "198.51.100.23" in await _addresses(people, person.id), "full for thirty days"
    clock.forward(timedelta(days=1))
    await security.sweep(identity.db, clock.now())
    await security.sweep(identity.db, clock.now())
    assert await _addresses(people, person.id) >= {"198.51.100.0/24", "2001:db8:aa::/48", "192.0.2.1"}
    clock.forward(timedelta(days=335))
    await security.sweep(identity.db, clock.now())
    assert await _addresses(people, person.id) == {"192.0.2.0/24"}


@pytest.mark.promise("9-seclog-6m")
async def test_addresses_of_who_is_gone_become_coarse_as_well(
    people: People, clock: FakeClock, identity: Service
) -> None:
    line = {"own": uuid4(), "at": clock.now(), "until": clock.now() + timedelta(days=180)}
    await people.rows(
        "INSERT INTO retained_security_log (id, pseudonym, at, event, address, until)"
        " VALUES (:own, :own, :at, 'SIGNED_IN', '198.51.100.23', :until)",
        **line,
    )
    clock.forward(timedelta(days=31))
    await security.sweep(identity.db, clock.now())
    [kept] = await people.rows("SELECT address FROM retained_security_log WHERE id = :own", own=line["own"])
    assert kept["address"] == "198.51.100.0/24"


async def _addresses(people: People, account: UUID) -> set[str]:
    return {address for _, address, _ in await _log(people, account)}


async def test_limits_are_forgotten_after_an_hour(
    people: People, clock: FakeClock, identity: Service
) -> None:
    await people.rows("DELETE FROM throttles")  # those of other tests end when their clocks say so
    await refusal(people.sign_in(await people.sign_up(password="somebody's password")))
    clock.forward(timedelta(hours=2))
    await security.sweep(identity.db, clock.now())
    assert not await people.rows("SELECT 1 FROM throttles")
