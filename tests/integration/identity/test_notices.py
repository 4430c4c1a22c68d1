"""People are told before files of theirs are removed, and who removes them hears when they were told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from uuid import UUID, uuid4

import nats
import pytest
from crafiq.assets.v1.events_pb2 import RemovalScheduled
from crafiq.identity.v1.events_pb2 import NoticeSent
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from chassis import events
from chassis.service import Service
from deploy.local.infra import Infra
from services.identity.consumers import Consumers
from services.identity.domain.letters import Letter, MailKind, Occasion
from services.identity.domain.mails import Mail
from services.identity.jobs.postman import Postman
from services.identity.jobs.sweeps import sweeps
from services.identity.repository.mails import PEOPLES
from tests.integration.identity.people import PATIENCE, People, Person
from tests.support import Announced, FakeClock, eventually

promise = pytest.mark.promise("9-housekeeping", "3-service-mail")


@pytest.fixture(scope="session")
async def assets(infra: Infra) -> AsyncIterator[Client]:
    """Assets on the bus."""
    bus = await events.connect(
        infra.nats.url, "assets", infra.nats.password("assets"), infra.tls_dir("assets")
    )
    yield bus
    await bus.drain()


@pytest.fixture
async def faults(people: People) -> AsyncIterator[None]:
    yield
    people.mailbox.plan.replace(b"[]")


def scheduled(account: str, clock: FakeClock, count: int = 3) -> RemovalScheduled:
    event = RemovalScheduled(account=account, notice=f"notices/{uuid4()}", count=count)
    event.remove_time.FromDatetime(clock.now() + timedelta(days=30))
    return event


async def say(assets: Client, event: RemovalScheduled) -> None:
    body = event.SerializeToString()
    headers = {"Nats-Msg-Id": str(uuid4())}
    await assets.jetstream().publish(events.subject_of(event), body, headers=headers)


async def waiting(people: People, event: RemovalScheduled) -> list[dict[str, object]]:
    rows = await people.rows("SELECT * FROM mails WHERE id = :id", id=own(event.notice))
    return [dict(row) for row in rows]


def own(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])


@promise
async def test_one_mail_says_what_goes_when_and_how_to_keep_it_and_that_it_went_out_is_announced(
    people: People, assets: Client, clock: FakeClock, announced: Announced
) -> None:
    person = await people.signed_in()
    event = scheduled(person.account, clock)
    await say(assets, event)
    mail = await people.mailbox.mail(person.email, 2)
    assert mail.subject == "Files in your Crafiq library are going to be removed"
    day = event.remove_time.ToDatetime(tzinfo=UTC)
    assert f"From {day:%d %B %Y, %H:%M} UTC on we remove 3 files from your Crafiq library" in mail.text
    assert "To keep a file, put it into a pack." in mail.text
    [told] = await announced(NoticeSent, person.account)
    assert told.notice == event.notice
    assert told.send_time.ToDatetime(tzinfo=UTC) == clock.now()
    assert await waiting(people, event) == []


@promise
async def test_a_notice_that_is_heard_of_twice_is_one_mail(
    people: People, identity: Service, clock: FakeClock, announced: Announced
) -> None:
    person, woken = await people.signed_in(), 0
    event = scheduled(person.account, clock, count=1)

    def wake() -> None:
        nonlocal woken
        woken += 1

    for _ in range(2):
        async with identity.db.transaction() as tx:
            await Consumers(wake).on_removal_scheduled(tx, event)
    assert woken == 1
    assert "we remove 1 file from" in (await people.mailbox.mail(person.email, 2)).text
    assert len(await announced(NoticeSent, person.account)) == 1
    assert len(people.mailbox.mails(person.email)) == 2


@promise
async def test_of_nobody_there_is_nothing_to_tell(
    people: People, identity: Service, clock: FakeClock
) -> None:
    event = scheduled(f"accounts/{uuid4()}", clock)
    async with identity.db.transaction() as tx:
        await Consumers(pytest.fail).on_removal_scheduled(tx, event)
    assert await waiting(people, event) == []


@promise
@pytest.mark.usefixtures("faults")
async def test_a_mail_that_is_given_up_has_not_gone_out(
    people: People, assets: Client, clock: FakeClock, identity: Service, announced: Announced
) -> None:
    person = await people.signed_in()
    _fails(people, person, "temporary")
    event, again = scheduled(person.account, clock), scheduled(person.account, clock)
    await say(assets, event)
    await eventually(lambda: waiting(people, event), timeout=PATIENCE)
    clock.forward(timedelta(hours=24))
    jobs = sweeps(identity.db, clock, None)  # type: ignore[arg-type]  # of the mails alone
    [sweep] = [job for job in jobs if job.name == "give-up-mails"]

    async def given_up() -> bool:  # what the postman has in hand is passed over
        await sweep.run()
        return await _is_gone(people, event)

    await eventually(given_up, timeout=PATIENCE)
    people.mailbox.plan.replace(b"[]")
    await say(assets, again)
    [told] = await announced(NoticeSent, person.account)
    assert told.notice == again.notice


@promise
@pytest.mark.usefixtures("faults")
async def test_an_address_that_refuses_mail_for_good_was_told_as_well_as_can_be(
    people: People, assets: Client, clock: FakeClock, announced: Announced
) -> None:
    person = await people.signed_in()
    _fails(people, person, "refuse")
    event = scheduled(person.account, clock)
    await say(assets, event)
    [told] = await announced(NoticeSent, person.account)
    assert told.notice == event.notice
    assert len(people.mailbox.mails(person.email)) == 1


@promise
@pytest.mark.promise("9-delete-now")
async def test_of_who_leaves_while_the_mail_is_sent_nothing_is_announced(
    people: People, clock: FakeClock, identity: Service, announced: Announced, infra: Infra
) -> None:
    person, stays = await people.signed_in(), await people.signed_in()

    class Leaving:
        """Takes so long that its person is gone when it is done."""

        async def send(self, _letter: Letter, _recipient: str, _mail: UUID) -> None:
            await people.rows("DELETE FROM accounts WHERE account = :whose", whose=person.id)

    postman = Postman(identity.db, clock, Leaving(), "https://crafiq.example")  # type: ignore[arg-type]  # all it does
    kind = MailKind.REMOVAL_SCHEDULED
    for each in (person, stays):
        mail = Mail.about(kind, uuid4(), each.id, each.email, Occasion(clock.now(), "", clock.now(), files=1))
        mail.due_at += timedelta(days=1)  # not for the postman who is on duty
        await identity.db.insert(mail)
        await postman._deliver(PEOPLES, mail)
    await announced(NoticeSent, stays.account)  # and what was announced before it is there as well
    bus = await nats.connect(infra.nats.admin_url, tls=infra.nats.tls)
    with pytest.raises(NotFoundError):
        await bus.jsm().get_last_msg("IDENTITY", events.subject_of(NoticeSent(account=person.account)))
    await bus.close()


@pytest.mark.promise("9-delete-now")
async def test_who_left_between_the_queue_and_the_post_gets_no_mail(
    people: People, clock: FakeClock, identity: Service
) -> None:
    person, sent = await people.signed_in(), list[str]()

    class Sending:
        async def send(self, _letter: Letter, recipient: str, _mail: UUID) -> None:
            sent.append(recipient)

    postman = Postman(identity.db, clock, Sending(), "https://crafiq.example")  # type: ignore[arg-type]  # all it does
    occasion = Occasion(clock.now(), "", clock.now(), files=1)
    mail = Mail.about(MailKind.REMOVAL_SCHEDULED, uuid4(), person.id, person.email, occasion)
    mail.due_at += timedelta(days=1)
    await identity.db.insert(mail)
    await people.rows("DELETE FROM accounts WHERE account = :whose", whose=person.id)
    await postman._deliver(PEOPLES, mail)
    assert not sent


def _fails(people: People, person: Person, kind: str) -> None:
    plan = [{"kind": kind, "match": person.email, "times": None}]
    people.mailbox.plan.replace(json.dumps(plan).encode())


async def _is_gone(people: People, event: RemovalScheduled) -> bool:
    return not await waiting(people, event)
