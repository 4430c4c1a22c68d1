"""Signing up and confirming the address."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from statistics import median
from uuid import uuid4

import grpc.aio
import pytest
from crafiq.identity.v1 import events_pb2, identity_pb2

from chassis.rpc import refusal_from
from chassis.service import Service
from services.identity.repository import accounts
from tests.integration.identity.people import PASSWORD, People, Refused, new_address, refusal
from tests.support import Announced, FakeClock


async def test_a_person_signs_up_confirms_and_signs_in(people: People) -> None:
    person = await people.sign_up(username="ada-" + uuid4().hex[:6], display_name="Ada Lovelace")
    answer = await people.confirm(await people.mailbox.token(person.email))
    assert answer.state == identity_pb2.ACTIVE
    account = await people.account_of(await people.sign_in(person))
    assert account.email == person.email
    assert account.display_name == "Ada Lovelace"
    assert account.state == identity_pb2.ACTIVE


@pytest.mark.promise("2a-account")
async def test_nothing_is_usable_before_the_address_is_confirmed(people: People) -> None:
    person = await people.sign_up()
    refused = await refusal(people.sign_in(person))
    assert (refused.status, refused.reason) == ("UNAUTHENTICATED", "INVALID_CREDENTIALS")
    wrong = await refusal(people.stub.CreateSession(people.credentials(person, "something else")))
    assert wrong == refused


@pytest.mark.promise("2a-account")
async def test_signing_up_and_in_tells_nobody_whether_an_address_has_an_account(people: People) -> None:
    owner = await people.confirmed()
    told: list[list[Refused]] = []
    for email in (owner.email, new_address()):
        curious = await people.sign_up(email, password="a stranger's password")
        # Eleven: a counter that the right password sets back would tell as well.
        told.append([await refusal(people.sign_in(curious)) for _ in range(11)])
    assert told[0] == told[1]
    assert [each.reason for each in told[0]] == ["INVALID_CREDENTIALS"] * 10 + ["TOO_MANY_ATTEMPTS"]


@pytest.mark.promise("2a-account")
async def test_a_known_address_gets_the_same_answer_and_its_owner_a_mail(people: People) -> None:
    owner = await people.confirmed()
    answers = [
        await people.stub.SignUp(people.wish(address, password="another password"))
        for address in (owner.email.upper(), new_address())
    ]
    assert answers[0] == answers[1] == identity_pb2.SignUpResponse(state=identity_pb2.UNVERIFIED)
    notice = await people.mailbox.mail(owner.email, 2)
    assert notice.subject == "You already have an account at Crafiq"
    assert "token=" not in notice.text
    await people.sign_in(owner)


async def test_the_owner_is_told_at_most_once_an_hour(people: People, clock: FakeClock) -> None:
    owner = await people.confirmed()
    for _ in range(3):
        await people.sign_up(owner.email)
    clock.forward(timedelta(minutes=61))
    await people.sign_up(owner.email)
    await people.mailbox.mail(owner.email, 3)
    assert len(people.mailbox.mails(owner.email)) == 3, "the confirmation and two notices"


async def test_known_and_unknown_addresses_take_the_same_time(people: People) -> None:
    owner = await people.confirmed()

    async def seconds(email: str) -> float:
        begin = time.monotonic()
        await people.stub.SignUp(people.wish(email))
        return time.monotonic() - begin

    async def apart(turns: int) -> float:
        pairs = [(await seconds(owner.email), await seconds(new_address())) for _ in range(turns)]
        known, unknown = (median(each) for each in zip(*pairs, strict=True))
        return abs(known - unknown)

    # What other programs did during the few, the many average out.
    assert await apart(8) < 0.015 or await apart(32) < 0.015


@pytest.mark.promise("2a-account")
async def test_who_signs_up_first_with_a_foreign_address_gains_nothing(people: People) -> None:
    email = new_address()
    await people.sign_up(email, password="the thief's password", username="thief-" + uuid4().hex[:6])
    await people.mailbox.mail(email)
    victim = await people.sign_up(email, password="the owner's password")
    await people.confirm(await people.mailbox.token(email, 2), victim.password)
    assert (await people.sign_in(victim)).account
    stolen = await refusal(people.stub.CreateSession(people.credentials(victim, "the thief's password")))
    assert stolen.reason == "INVALID_CREDENTIALS"
    assert len(await people.rows("SELECT 1 FROM accounts WHERE email = :e", e=email)) == 1


async def test_links_of_other_sign_ups_end_when_one_is_confirmed(people: People) -> None:
    email = new_address()
    await people.sign_up(email)
    await people.sign_up(email)
    first, second = [await people.mailbox.token(email, number) for number in (1, 2)]
    both = (people.confirm(first, PASSWORD), people.confirm(second, PASSWORD))
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert sum(isinstance(answer, identity_pb2.VerifyEmailResponse) for answer in answers) == 1
    assert len(await people.rows("SELECT 1 FROM accounts WHERE email = :e", e=email)) == 1


async def test_opening_the_link_twice_is_the_same_answer_and_one_announcement(
    people: People, announced: Announced
) -> None:
    person = await people.sign_up()
    token = await people.mailbox.token(person.email)
    assert await people.confirm(token) == await people.confirm(token)
    account = (await people.sign_in(person)).account
    events = await announced(events_pb2.AccountVerified, account)
    assert len(events) == 1
    assert events[0].policy_version == "2025-10-29"
    assert person.email not in str(events[0])


@pytest.mark.parametrize("token", ["x" * 43, "crt_" + "A" * 43])
async def test_a_forged_link_is_refused(people: People, token: str) -> None:
    refused = await refusal(people.confirm(token))
    assert (refused.status, refused.reason) == ("FAILED_PRECONDITION", "VERIFICATION_TOKEN_INVALID")


async def test_a_link_ends_after_a_day(people: People, clock: FakeClock) -> None:
    person = await people.sign_up()
    token = await people.mailbox.token(person.email)
    clock.forward(timedelta(hours=24))
    assert (await refusal(people.confirm(token))).reason == "VERIFICATION_TOKEN_INVALID"


@pytest.mark.promise("2a-account", "9-asneeded")
async def test_unconfirmed_sign_ups_are_purged_after_a_day(
    people: People, clock: FakeClock, identity: Service
) -> None:
    person, kept = await people.sign_up(), await people.confirmed()
    clock.forward(timedelta(hours=24))
    await accounts.sweep(identity.db, clock.now())
    assert not await people.rows("SELECT 1 FROM accounts WHERE email = :e", e=person.email)
    assert not await people.rows("SELECT 1 FROM mails WHERE recipient = :e", e=person.email)
    await people.sign_in(kept)


@pytest.mark.promise("12-adults")
async def test_only_adults_may_sign_up_and_no_birth_date_is_kept(people: People) -> None:
    refused = await refusal(people.sign_up(is_adult=False))
    assert (refused.status, refused.reason) == ("FAILED_PRECONDITION", "ADULTS_ONLY")
    columns = {row[0] for row in await people.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'accounts'"
    )}  # fmt: skip
    assert "adult_confirmed_at" in columns
    assert not [name for name in columns if "birth" in name or "age" in name.split("_")]


@pytest.mark.promise("0-acceptance")
@pytest.mark.parametrize("stale", ["accepted_policy_version", "accepted_terms_version"])
async def test_what_is_accepted_has_to_be_in_force(people: People, stale: str) -> None:
    refused = await refusal(people.sign_up(**{stale: "2001-01-01"}))
    assert (refused.status, refused.reason) == ("FAILED_PRECONDITION", "POLICY_VERSION_NOT_CURRENT")
    assert refused.metadata == {"policyVersion": "2025-10-29", "termsVersion": "2025-10-29"}


async def test_a_taken_user_name_is_refused_whatever_its_case(people: People) -> None:
    name = "Grace-" + uuid4().hex[:6]
    await people.confirmed(username=name)
    refused = await refusal(people.sign_up(username=name.lower()))
    assert (refused.status, refused.reason) == ("ALREADY_EXISTS", "USERNAME_TAKEN")


async def test_a_user_name_taken_before_the_confirmation_is_dropped(people: People) -> None:
    name = "Joan-" + uuid4().hex[:6]
    late = await people.sign_up(username=name)
    await people.confirmed(username=name.upper())
    await people.confirm(await people.mailbox.token(late.email))
    assert (await people.account_of(await people.sign_in(late))).username == ""


async def test_two_confirmations_at_once_leave_one_holder_of_a_user_name(people: People) -> None:
    name = "Hedy-" + uuid4().hex[:6]
    both = [await people.sign_up(username=name), await people.sign_up(username=name)]
    tokens = [await people.mailbox.token(person.email) for person in both]
    await asyncio.gather(*(people.confirm(token) for token in tokens))
    names = [(await people.account_of(await people.sign_in(person))).username for person in both]
    assert sorted(names) == ["", name]


@pytest.mark.parametrize("known", [True, False])
async def test_the_same_request_again_is_the_same_answer_and_no_second_mail(
    people: People, known: bool
) -> None:
    email = (await people.confirmed()).email if known else new_address()
    wish = people.wish(email)
    answers = [await people.stub.SignUp(wish) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    await people.mailbox.mail(email, 2 if known else 1)
    assert len(people.mailbox.mails(email)) == (2 if known else 1)
    assert len(await people.rows("SELECT 1 FROM accounts WHERE email = :e", e=email)) == 1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("different", [{"password": "another password"}, {"display_name": "Somebody"}])
async def test_another_body_under_the_same_request_id_is_refused(
    people: People, known: bool, different: dict[str, str]
) -> None:
    email = (await people.confirmed()).email if known else new_address()
    wish = people.wish(email)
    await people.stub.SignUp(wish)
    other = people.wish(email, request_id=wish.request_id, **different)
    refused = await refusal(people.stub.SignUp(other))
    assert (refused.status, refused.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


@pytest.mark.promise("2a-account")
@pytest.mark.parametrize("hours", [23, 25, 24 * 6, 24 * 8])
async def test_asking_again_tells_at_no_time_whether_the_address_has_an_account(
    people: People, clock: FakeClock, identity: Service, hours: int
) -> None:
    owner = await people.confirmed()
    wishes = [people.wish(email) for email in (owner.email, new_address())]
    for wish in wishes:
        await people.stub.SignUp(wish)
    clock.forward(timedelta(hours=hours))
    await accounts.sweep(identity.db, clock.now())
    told = []
    for wish in wishes:
        other = people.wish(wish.email, request_id=wish.request_id, display_name="Somebody")
        told.append([await _told(people, asked) for asked in (other, wish, other)])
    assert told[0] == told[1]
    remembered = ["REQUEST_ID_REUSED", "UNVERIFIED", "REQUEST_ID_REUSED"]
    assert told[0] == (remembered if hours < 24 else ["UNVERIFIED", "REQUEST_ID_REUSED", "UNVERIFIED"])


async def _told(people: People, wish: identity_pb2.SignUpRequest) -> str:
    """What a sign-up is answered with, or why it is refused."""
    try:
        answer = await people.stub.SignUp(wish)
    except grpc.aio.AioRpcError as error:
        return refusal_from(error).reason
    return identity_pb2.AccountState.Name(answer.state)


async def test_two_of_the_same_request_at_once_make_one_account(people: People) -> None:
    wish = people.wish(new_address())
    await asyncio.gather(*(people.stub.SignUp(wish) for _ in range(4)))
    assert len(await people.rows("SELECT 1 FROM accounts WHERE email = :e", e=wish.email)) == 1


async def test_the_mail_comes_again_when_asked_but_not_twice_a_minute(
    people: People, clock: FakeClock
) -> None:
    person = await people.sign_up()
    clock.forward(timedelta(minutes=2))
    for _ in range(3):
        await people.stub.ResendVerification(identity_pb2.ResendVerificationRequest(email=person.email))
    await people.confirm(await people.mailbox.token(person.email, 2))
    assert len(people.mailbox.mails(person.email)) == 2


async def test_asking_again_answers_the_same_for_any_address_and_mails_no_stranger(people: People) -> None:
    owner, stranger = await people.confirmed(), new_address()
    for email in (owner.email, stranger):
        request = identity_pb2.ResendVerificationRequest(email=email)
        assert await people.stub.ResendVerification(request) == identity_pb2.ResendVerificationResponse()
    assert len(people.mailbox.mails(owner.email)) == 1
    assert not people.mailbox.mails(stranger)


async def test_nobodys_mailbox_is_flooded_by_sign_ups_with_its_address(people: People) -> None:
    email = new_address()
    for _ in range(12):
        await people.sign_up(email)
    links = "SELECT 1 FROM verifications JOIN accounts USING (account) WHERE email = :e"
    queued = await people.rows(links, e=email)
    assert len(queued) == 10


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("email", "a@b\r\nBcc: c@d"),
        ("email", "x" * 250 + "@people.example"),
        ("password", "short"),
        ("password", "x" * 201),
        ("username", "no spaces please"),
        ("username", "-dash"),
        ("username", "../etc"),
        ("display_name", "x" * 81),
        ("request_id", "not-a-uuid"),
        ("request_id", ""),
    ],
)
async def test_what_breaks_a_rule_is_refused_and_the_field_named(
    people: People, field: str, value: str
) -> None:
    refused = await refusal(people.stub.SignUp(people.wish(**{"email": new_address(), field: value})))
    assert refused.status == "INVALID_ARGUMENT"
    assert len(refused.fields) == 1


async def test_marks_that_turn_the_reading_direction_are_refused_in_names(people: People) -> None:
    refused = await refusal(people.sign_up(display_name="gnp.\u202eexe"))
    assert (refused.status, refused.reason) == ("INVALID_ARGUMENT", "NAME_NOT_ALLOWED")
    assert refused.fields == ["displayName"]
