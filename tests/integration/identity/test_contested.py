"""Several sign-ups wait for one address: only who chose the password confirms with the mailed token."""

from __future__ import annotations

import pytest
from crafiq.identity.v1 import identity_pb2

from tests.integration.identity.people import People, refusal


@pytest.mark.promise("2a-account")
async def test_a_foreign_sign_ups_link_in_ones_mailbox_confirms_nothing(people: People) -> None:
    victim = await people.sign_up(password="the owner's password")
    own = await people.mailbox.token(victim.email)
    for number in range(2, 5):
        await people.sign_up(victim.email, password="the thief's password")
        foreign = await people.mailbox.token(victim.email, number)
        for password in ("", victim.password):
            refused = await refusal(people.confirm(foreign, password))
            assert (refused.status, refused.reason) == ("FAILED_PRECONDITION", "SIGN_UP_CONTESTED")
    assert (await refusal(people.confirm(own))).reason == "SIGN_UP_CONTESTED"
    assert (await refusal(people.confirm(own, "the thief's password"))).reason == "SIGN_UP_CONTESTED"
    assert (await people.confirm(own, victim.password)).state == identity_pb2.ACTIVE
    assert (await people.sign_in(victim)).account
    assert len(await people.rows("SELECT 1 FROM accounts WHERE email = :e", e=victim.email)) == 1


@pytest.mark.promise("8-ratelimit")
async def test_guessing_a_contested_sign_ups_password_is_slowed_down(people: People) -> None:
    person = await people.sign_up()
    await people.sign_up(person.email)
    token = await people.mailbox.token(person.email)
    guesses = [(await refusal(people.confirm(token, "a guess"))).reason for _ in range(11)]
    assert guesses == ["SIGN_UP_CONTESTED"] * 10 + ["TOO_MANY_ATTEMPTS"]
