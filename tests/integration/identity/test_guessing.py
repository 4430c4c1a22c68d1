"""Guessing at passwords is bounded, and nobody's guesses lock somebody else out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest
from crafiq.identity.v1 import identity_pb2

from tests.integration.identity.people import (
    ADDRESS,
    People,
    Person,
    Refused,
    coming_from,
    new_address,
    refusal,
)
from tests.support import FakeClock

STRANGER = "198.51.100.1"


async def _guess(people: People, person: Person, address: str = STRANGER) -> Refused:
    wrong = people.credentials(person, "a guess")
    return await refusal(people.stub.CreateSession(wrong, metadata=coming_from(address)))


async def _guesses(people: People, person: Person, addresses: Iterable[str]) -> list[str]:
    return [(await _guess(people, person, address)).reason for address in addresses]


async def _reauthenticate(people: People, person: Person, password: str = "") -> None:
    request = identity_pb2.ReauthenticateRequest(password=password or person.password)
    await people.stub.Reauthenticate(request, metadata=person.metadata)


async def _counts(people: People) -> list[int]:
    return [row[0] for row in await people.rows("SELECT attempts FROM throttles ORDER BY 1")]


@pytest.mark.promise("8-ratelimit")
@pytest.mark.parametrize("known", [True, False])
async def test_guessing_is_slowed_down_more_and_more(people: People, clock: FakeClock, known: bool) -> None:
    person = await people.confirmed() if known else Person(new_address())
    assert await _guesses(people, person, [STRANGER] * 10) == ["INVALID_CREDENTIALS"] * 10
    refused = await _guess(people, person)
    assert (refused.status, refused.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_ATTEMPTS")
    waits = []
    for _ in range(4):
        clock.forward(timedelta(seconds=(await _guess(people, person)).retry_seconds))
        assert (await _guess(people, person)).reason == "INVALID_CREDENTIALS"
        waits.append((await _guess(people, person)).retry_seconds)
    assert waits == [2, 4, 8, 16]


async def test_guessing_side_by_side_gives_no_more_guesses(people: People) -> None:
    person = Person(new_address())
    guesses = await asyncio.gather(*(_guess(people, person) for _ in range(20)))
    assert sum(each.reason == "INVALID_CREDENTIALS" for each in guesses) == 10


async def test_the_right_password_after_the_pause_begins_anew(people: People, clock: FakeClock) -> None:
    person = await people.confirmed()
    await _guesses(people, person, [ADDRESS] * 10)
    assert (await refusal(people.sign_in(person))).reason == "TOO_MANY_ATTEMPTS"
    clock.forward(timedelta(seconds=1))
    await people.sign_in(person)
    assert (await _guess(people, person, ADDRESS)).reason == "INVALID_CREDENTIALS"


@pytest.mark.promise("8-ratelimit")
async def test_a_strangers_guesses_keep_nobody_from_signing_in_elsewhere(people: People) -> None:
    person = await people.confirmed()
    for _ in range(3):
        guesses = await _guesses(people, person, [STRANGER] * 12)
        assert guesses[-2:] == ["TOO_MANY_ATTEMPTS"] * 2
    assert (await people.sign_in(person)).account


@pytest.mark.promise("8-ratelimit")
async def test_a_strangers_guesses_keep_nobody_from_proving_who_they_are(people: People) -> None:
    person = await people.signed_in()
    await _guesses(people, person, [STRANGER] * 12)
    await _reauthenticate(people, person)


async def test_wrong_proofs_keep_nobody_from_signing_in(people: People) -> None:
    person = await people.signed_in()
    proofs = [(await refusal(_reauthenticate(people, person, "a guess"))).reason for _ in range(11)]
    assert proofs[-1] == "TOO_MANY_ATTEMPTS"
    assert (await people.sign_in(person)).account


@pytest.mark.promise("8-ratelimit")
@pytest.mark.parametrize("network", ["198.51.100.{}", "2001:db8:aa:{}::1"])
async def test_a_network_guesses_as_one(people: People, network: str) -> None:
    addresses = [network.format(host) for host in range(1, 12)]
    guesses = await _guesses(people, Person(new_address()), addresses)
    assert guesses == ["INVALID_CREDENTIALS"] * 10 + ["TOO_MANY_ATTEMPTS"]


@pytest.mark.promise("8-ratelimit", "2a-account")
@pytest.mark.parametrize("known", [True, False])
async def test_guesses_from_everywhere_are_bounded_and_tell_nothing(
    people: People, clock: FakeClock, known: bool
) -> None:
    person = await people.confirmed() if known else Person(new_address())
    await people.rows("DELETE FROM throttles")
    await _guesses(people, person, ["192.0.2.1", "198.51.100.1"])
    # In place of 197 guesses from other networks.
    await people.rows("UPDATE throttles SET attempts = 199 WHERE attempts = 2")
    networks = iter(f"10.0.{number}.1" for number in range(100))
    told = []
    for _ in range(8):
        assert (await _guess(people, person, next(networks))).reason == "INVALID_CREDENTIALS"
        refused = await _guess(people, person, next(networks))
        told.append((refused.reason, refused.retry_seconds))
        clock.forward(timedelta(seconds=refused.retry_seconds))
    assert told == [("TOO_MANY_ATTEMPTS", wait) for wait in (1, 2, 4, 8, 16, 32, 60, 60)]


async def test_whom_their_network_stops_uses_up_nothing_of_the_others(people: People) -> None:
    person = Person(new_address())
    await people.rows("DELETE FROM throttles")
    await _guesses(people, person, [STRANGER] * 30)
    assert await _counts(people) == [10, 10]


async def test_whom_all_the_others_stop_is_not_stopped_longer_by_trying(
    people: People, clock: FakeClock
) -> None:
    person = await people.confirmed()
    await people.rows("DELETE FROM throttles")
    await _guesses(people, person, ["192.0.2.1", "198.51.100.1"])
    await people.rows("UPDATE throttles SET attempts = 230 WHERE attempts = 2")
    await _guess(people, person, "10.0.0.1")
    for _ in range(12):
        assert (await refusal(people.sign_in(person))).reason == "TOO_MANY_ATTEMPTS"
    clock.forward(timedelta(minutes=1))
    assert (await people.sign_in(person)).account


async def test_the_owner_who_signs_in_gives_a_stranger_no_more_guesses(people: People) -> None:
    person = await people.confirmed()
    await people.rows("DELETE FROM throttles")
    await _guesses(people, person, ["192.0.2.1", "198.51.100.1"])
    for _ in range(3):
        await people.sign_in(person)
    assert await _counts(people) == [1, 1, 5]
