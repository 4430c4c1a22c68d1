"""Mails leave once, survive outages, and are given up after a day."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.service import Service
from services.identity.adapters.peppers import Peppers
from services.identity.adapters.smtp import Mailer, SmtpServer
from services.identity.domain.letters import TEMPLATES, MailKind, Occasion
from services.identity.domain.mails import Mail
from services.identity.jobs.postman import Postman
from services.identity.jobs.sweeps import sweeps
from tests.integration.identity.people import PATIENCE, People, new_address
from tests.support import FakeClock, eventually

QUEUE = "SELECT * FROM mails WHERE recipient = :email"


@pytest.fixture
async def faults(people: People) -> AsyncIterator[None]:
    yield
    people.mailbox.plan.replace(b"[]")


def _fails(people: People, kind: str, match: str, times: int | None = None) -> None:
    people.mailbox.plan.replace(json.dumps([{"kind": kind, "match": match, "times": times}]).encode())


async def _waits(people: People, clock: FakeClock, email: str, *, seconds: int) -> bool:
    """Whether the mail was given back to the queue, to be tried again in so many seconds."""
    return [row["due_at"] for row in await _queued(people, email)] == [
        clock.now() + timedelta(seconds=seconds)
    ]


async def _queued(people: People, email: str) -> list[dict[str, object]]:
    return [dict(row) for row in await people.rows(QUEUE, email=email)]


async def test_a_mail_that_was_sent_leaves_nothing_behind(people: People) -> None:
    person = await people.sign_up()
    mail = await people.mailbox.mail(person.email)
    assert mail.subject == "Confirm your address for Crafiq"
    assert "no-reply@crafiq.ai" in mail.sender
    assert mail.html
    assert await eventually(lambda: _gone(people, person.email), timeout=PATIENCE)


async def _gone(people: People, email: str) -> bool:
    return not await _queued(people, email)


@pytest.mark.usefixtures("faults")
async def test_a_mail_survives_an_outage_of_the_mail_server(people: People, clock: FakeClock) -> None:
    email = new_address()
    _fails(people, "temporary", email)
    await people.sign_up(email)

    await eventually(lambda: _waits(people, clock, email, seconds=5), timeout=PATIENCE)
    clock.forward(timedelta(seconds=6))
    await eventually(lambda: _waits(people, clock, email, seconds=10), timeout=PATIENCE)
    people.mailbox.plan.replace(b"[]")
    clock.forward(timedelta(seconds=11))
    await people.confirm(await people.mailbox.token(email))
    assert len(people.mailbox.mails(email)) == 1


@pytest.mark.usefixtures("faults")
async def test_an_address_that_does_not_exist_is_not_tried_again(people: People) -> None:
    email = new_address()
    _fails(people, "refuse", email)
    await people.sign_up(email)
    await eventually(lambda: _gone(people, email), timeout=PATIENCE)
    assert not people.mailbox.mails(email)


@pytest.mark.usefixtures("faults")
async def test_a_mail_is_given_up_after_a_day(
    people: People, clock: FakeClock, identity: Service, peppers: Peppers
) -> None:
    email = new_address()
    _fails(people, "temporary", email)
    await people.sign_up(email)
    clock.forward(timedelta(hours=24))
    await _sweep(identity, clock, peppers)
    assert await _gone(people, email)


@pytest.mark.promise("9-asneeded")
async def test_a_mail_that_nobody_ever_claims_ends_within_the_day(
    people: People, clock: FakeClock, identity: Service, peppers: Peppers
) -> None:
    person = await people.signed_in()
    mails = [
        Mail.about(kind, uuid4(), person.id, new_address(), Occasion(clock.now(), "curl"))
        for kind in (MailKind.SIGN_UP_ATTEMPTED, MailKind.SESSION_ENDED_FOR_SAFETY)
    ]
    for mail in mails:
        mail.due_at += timedelta(days=30)
        await identity.db.insert(mail)
    clock.forward(timedelta(hours=22))
    await _sweep(identity, clock, peppers)
    assert [await _gone(people, mail.recipient) for mail in mails] == [False, False]
    clock.forward(timedelta(hours=2))
    await _sweep(identity, clock, peppers)
    assert [await _gone(people, mail.recipient) for mail in mails] == [True, True]


async def _sweep(identity: Service, clock: FakeClock, peppers: Peppers) -> None:
    for job in sweeps(identity.db, clock, peppers):
        await job.run()


@pytest.mark.usefixtures("faults")
async def test_a_mail_whose_receipt_was_lost_carries_the_same_id(people: People, clock: FakeClock) -> None:
    email = new_address()
    _fails(people, "accepted_answer_lost", email, 1)
    await people.sign_up(email)

    await eventually(lambda: _waits(people, clock, email, seconds=5), timeout=PATIENCE)
    clock.forward(timedelta(seconds=6))
    first, second = await people.mailbox.mail(email), await people.mailbox.mail(email, 2)
    assert first.text == second.text


async def test_two_senders_send_a_mail_once(people: People, identity: Service, clock: FakeClock) -> None:
    mailer = Mailer(SmtpServer("127.0.0.1", people.mailbox.port, "no-reply@crafiq.ai"), clock)
    others = [Postman(identity.db, clock, mailer, "https://crafiq.example") for _ in range(3)]
    persons = [await people.sign_up() for _ in range(3)]
    await asyncio.gather(*(other.deliver_due() for other in others))
    for person in persons:
        await people.mailbox.mail(person.email)
        await eventually(lambda email=person.email: _gone(people, email), timeout=PATIENCE)
        assert len(people.mailbox.mails(person.email)) == 1


@pytest.mark.promise("3-service-mail", "3-marketing-optin")
async def test_every_mail_that_is_queued_has_a_class_of_its_template(people: People) -> None:
    assert {template.mail_class for template in TEMPLATES.values()} == {"SERVICE"}
    checks = await people.rows(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_mails_mail_class'"
    )
    assert "SERVICE" in checks[0][0]
