"""The end of an account: proven, approved, one transaction; what stays is what was said."""

from __future__ import annotations

import asyncio
import hmac
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import grpc.aio
import nats
import pytest
from crafiq.identity.v1 import events_pb2, identity_pb2
from crafiq.privacy.v1 import privacy_pb2
from crafiq.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub
from crafiq.promises.v1 import promises_pb2
from nats.aio.client import Client

from chassis.db import Isolation
from chassis.events import subject_of
from chassis.service import Service
from deploy.local.infra import Infra
from promises.eraser import Eraser
from promises.erasing import Erasing
from promises.ledger import Ledger, LedgerUnavailable, place
from promises.retention import standard_jobs
from promises.standing import apply_ledger
from services.identity.adapters.peppers import Peppers
from services.identity.domain.remembered import NameKind, keyed_hash
from services.identity.jobs.sweeps import sweeps
from services.privacy.adapters import TombstoneLedger
from tests.integration.identity.people import PATIENCE, People, Person, new_address, refusal
from tests.integration.leaving import isolation, later, naming
from tests.support import Announced, FakeClock, calling, eventually

__all__ = ["isolation"]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
promise = pytest.mark.promise("9-delete-now", "11-erase")


class Leaving:
    """What people do who want to leave."""

    def __init__(self, people: People, privacy: PrivacyServiceStub) -> None:
        self.people, self.privacy = people, privacy

    async def plan(self, person: Person) -> privacy_pb2.DeletionPlan:
        return await eventually(lambda: self._plan(person), timeout=20)

    async def _plan(self, person: Person) -> privacy_pb2.DeletionPlan | None:
        request = privacy_pb2.PreviewDeletionRequest()
        plan = await self.privacy.PreviewDeletion(request, metadata=person.metadata, timeout=20)
        whole = any(each.fate == promises_pb2.IN_BACKUPS_UNTIL for each in plan.buckets)
        return plan if whole and not plan.silent_holders else None

    async def proof(self, person: Person) -> str:
        request = identity_pb2.ReauthenticateRequest(password=person.password)
        answer = await self.people.stub.Reauthenticate(request, metadata=person.metadata)
        return answer.reauth_token

    async def wish(self, person: Person, **different: Any) -> identity_pb2.DeleteAccountRequest:
        usual = {
            "reauth_token": different.get("reauth_token") or await self.proof(person),
            "plan_hash": different.get("plan_hash") or (await self.plan(person)).plan_hash,
            "request_id": str(uuid4()),
            "receipt_secret": secrets.token_urlsafe(24),
        }
        return identity_pb2.DeleteAccountRequest(**(usual | different))

    async def delete(self, person: Person, **different: Any) -> str:
        return await self.send(person, await self.wish(person, **different))

    async def send(self, person: Person, wish: identity_pb2.DeleteAccountRequest) -> str:
        answer = await self.people.stub.DeleteAccount(wish, metadata=person.metadata)
        return answer.erasure

    async def left(self, person: Person) -> int:
        """Rows of identity that are this person's."""
        tables = ("accounts", "credentials", "sessions", "refresh_tokens", "security_log", "mails")
        rows = 0
        for name in tables:
            rows += len(await self.people.rows(f"SELECT FROM {name} WHERE account = :whose", whose=person.id))
        return rows


@pytest.fixture(scope="session")
async def bus(infra: Infra) -> Any:
    client = await nats.connect(infra.nats.admin_url, tls=infra.nats.tls)
    yield client
    await client.close()


@pytest.fixture
async def sql(identity: Service, infra: Infra) -> AsyncIterator[Sql]:
    """Identity's database, as identity's own role."""
    connection = await asyncpg.connect(infra.postgres.dsn("identity"))
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def leaving(people: People, privacy: str, infra: Infra) -> Any:
    async with calling(privacy, infra.tls_dir("gateway"), to="privacy") as channel:
        yield Leaving(people, PrivacyServiceStub(channel))


@promise
@pytest.mark.promise("9-account-active")
async def test_from_the_answer_on_there_is_no_account(people: People, leaving: Leaving, bus: Client) -> None:
    person, other = await people.signed_in(username=f"u{uuid4().hex[:8]}"), await people.signed_in()
    second = await people.sign_in(person)
    heard = await bus.subscribe(subject_of(events_pb2.AccountDeleted(account=person.account)))
    erasure = await leaving.delete(person)
    assert await leaving.left(person) == 0
    assert await leaving.left(other) > 0
    for session in (person, second):
        refused = await refusal(people.account_of(session))
        assert refused.reason in ("SESSION_ENDED", "CREDENTIAL_INVALID")
        assert (await refusal(people.refresh(session.refresh))).reason == "REFRESH_TOKEN_INVALID"
    assert (await refusal(people.sign_in(person))).reason == "INVALID_CREDENTIALS"
    message = await heard.next_msg(timeout=20)
    assert events_pb2.AccountDeleted.FromString(message.data).erasure == erasure


@promise
async def test_the_farewell_is_the_last_that_has_the_address(
    people: People, leaving: Leaving, clock: FakeClock
) -> None:
    person = await people.signed_in()
    await leaving.delete(person)
    mail = await people.mailbox.mail(person.email, 2)
    assert mail.subject == "Your account at Crafiq was deleted"
    assert "this is our last message" in mail.text.lower()
    await eventually(lambda: _farewells(people, person), timeout=20)
    assert await _everywhere(people, person.email) == []


async def _farewells(people: People, person: Person) -> bool:
    rows = await people.rows("SELECT FROM retained_farewells WHERE recipient = :to", to=person.email)
    return not rows


async def _everywhere(people: People, value: str) -> list[str]:
    """In which tables of identity a value stands in the clear."""
    tables = await people.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = []
    for row in tables:
        name = row["tablename"]
        here = f"SELECT FROM {name} AS t WHERE position(lower(:value) IN lower(t::text)) > 0"
        if await people.rows(here, value=value):
            found.append(name)
    return found


@promise
async def test_a_farewell_that_cannot_be_sent_ends_within_the_day(
    people: People, leaving: Leaving, identity: Service, clock: FakeClock, peppers: Peppers
) -> None:
    person = await people.signed_in()
    await leaving.delete(person)
    await eventually(lambda: _farewells(people, person), timeout=PATIENCE)  # its own, which goes out
    await people.rows(
        "INSERT INTO retained_farewells (id, recipient, create_time, attempts, due_at, until)"
        " VALUES (gen_random_uuid(), :to, :at, 3, :later, :later)",
        to=person.email, at=clock.now(), later=clock.now() + timedelta(days=9),
    )  # fmt: skip
    clock.forward(timedelta(hours=24))
    for job in sweeps(identity.db, clock, peppers):
        await job.run()
    assert await _farewells(people, person)


@promise
async def test_without_a_fresh_proof_of_this_very_session_nothing_happens(
    people: People, leaving: Leaving, clock: FakeClock
) -> None:
    person, other = await people.signed_in(), await people.signed_in()
    plan = (await leaving.plan(person)).plan_hash
    second = await people.sign_in(person)
    proofs = [person.access, await leaving.proof(other), await leaving.proof(second), "x.y.z"]
    for proof in proofs:
        wish = await leaving.wish(person, reauth_token=proof, plan_hash=plan)
        assert (await refusal(leaving.send(person, wish))).reason == "REAUTHENTICATION_NEEDED"
    old = await leaving.proof(person)
    clock.forward(timedelta(minutes=5))
    person = await people.sign_in(person)
    wish = await leaving.wish(person, reauth_token=old, plan_hash=plan)
    assert (await refusal(leaving.send(person, wish))).reason == "REAUTHENTICATION_NEEDED"
    assert await leaving.left(person) > 0


@promise
@pytest.mark.promise("9-delete-preview")
async def test_what_was_not_shown_is_not_done(people: People, leaving: Leaving) -> None:
    person = await people.signed_in()
    await leaving.plan(person)
    wish = await leaving.wish(person, plan_hash="0" * 64)
    assert (await refusal(leaving.send(person, wish))).reason == "DELETION_PLAN_UNKNOWN"
    assert await leaving.left(person) > 0


@promise
@pytest.mark.parametrize(
    ("field", "value"),
    [("request_id", "7"), ("plan_hash", "abc"), ("receipt_secret", "short"), ("receipt_secret", "ä" * 30)],
)
async def test_a_wish_that_is_malformed_is_refused(
    people: People, leaving: Leaving, field: str, value: str
) -> None:
    person = await people.signed_in()
    wish = identity_pb2.DeleteAccountRequest(
        reauth_token="x", plan_hash="0" * 64, request_id=str(uuid4()), receipt_secret="s" * 22
    )
    setattr(wish, field, value)
    assert (await refusal(leaving.send(person, wish))).reason == "INVALID_REQUEST"


@promise
async def test_the_same_wish_twice_at_once_is_one_deletion(
    people: People, leaving: Leaving, bus: Client
) -> None:
    person = await people.signed_in()
    heard = await bus.subscribe(subject_of(events_pb2.AccountDeleted(account=person.account)))
    wish = await leaving.wish(person)
    answers = await asyncio.gather(*(leaving.send(person, wish) for _ in range(3)), return_exceptions=True)
    done = [each for each in answers if isinstance(each, str)]
    assert set(done) == {f"erasures/{wish.request_id}"}
    assert await leaving.left(person) == 0
    ids = {(await heard.next_msg(timeout=20)).headers["Nats-Msg-Id"]}
    with suppress(TimeoutError):
        while more := await heard.next_msg(timeout=0.5):  # at most repeated by the relay under the same id
            ids.add((more.headers or {})["Nats-Msg-Id"])
    assert len(ids) == 1


@promise
@pytest.mark.promise("9-fraud-6m", "9-seclog-6m", "2a-username")
async def test_what_is_kept_is_the_declared_and_says_nothing_once_the_pepper_is_gone(
    people: People, leaving: Leaving, identity: Service, clock: FakeClock, peppers: Peppers
) -> None:
    person = await people.signed_in(username=f"u{uuid4().hex[:8]}")
    username = (await people.account_of(person)).username
    await leaving.delete(person)
    deleted = clock.now()
    kept, lines = await _kept(people, peppers, person, username, deleted)
    assert {row["kind"] for row in kept} == {"ADDRESS", "USERNAME"}
    assert {"SIGNED_UP", "ADDRESS_CONFIRMED", "REAUTHENTICATED"} <= {line["event"] for line in lines}
    assert set(lines[0].keys()) == {"id", "pseudonym", "at", "event", "address", "until"}
    month = deleted.month - 1 + 6
    ends = datetime(deleted.year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    assert {row["until"] for row in (*kept, *lines)} == {ends}
    assert person.id not in {value for row in (*kept, *lines) for value in row.values()}


async def _kept(
    people: People, peppers: Peppers, person: Person, username: str, deleted: datetime
) -> tuple[list[Any], list[Any]]:
    """What is kept of somebody's names, and of their security log."""
    pepper = peppers.of(deleted)
    assert pepper is not None
    names = {NameKind.ADDRESS: person.email.upper(), NameKind.USERNAME: username}
    hashes = [keyed_hash(pepper, kind, spelling) for kind, spelling in names.items()]
    kept = await people.rows("SELECT * FROM retained_names WHERE keyed_hash = ANY (:hashes)", hashes=hashes)
    [pseudonym] = {row["pseudonym"] for row in kept}
    lines = await people.rows("SELECT * FROM retained_security_log WHERE pseudonym = :named", named=pseudonym)
    return kept, lines


@pytest.mark.promise("9-fraud-6m", "9-seclog-6m")
async def test_what_is_kept_ends_on_its_day_and_not_before(
    people: People, leaving: Leaving, identity: Service, clock: FakeClock, peppers: Peppers
) -> None:
    person = await people.signed_in(username=f"u{uuid4().hex[:8]}")
    username = (await people.account_of(person)).username
    await leaving.delete(person)
    kept, lines = await _kept(people, peppers, person, username, clock.now())
    pseudonym, ends = kept[0]["pseudonym"], kept[0]["until"]
    jobs = [job for job in standard_jobs(identity.db, identity.metadata) if "retained_" in job.name]

    async def left() -> list[int]:
        for job in jobs:
            await job.run()
        counted = [
            await people.rows(f"SELECT FROM {table} WHERE pseudonym = :named", named=pseudonym)
            for table in ("retained_names", "retained_security_log")
        ]
        return [len(rows) for rows in counted]

    clock.forward(ends - clock.now() - timedelta(seconds=1))
    assert await left() == [2, len(lines)]
    assert len(lines) > 2
    clock.forward(timedelta(seconds=2))

    async def gone() -> bool:  # the service sweeps by itself too, and what it has in hand is passed over here
        return await left() == [0, 0]

    await eventually(gone, timeout=20)


@promise
async def test_the_browser_that_deleted_may_fetch_the_receipt_and_has_no_session(
    people: People, leaving: Leaving
) -> None:
    person = await people.signed_in()
    wish = await leaving.wish(person)
    call = people.stub.DeleteAccount(wish, metadata=person.metadata)
    erasure = (await call).erasure
    cookies = [str(value) for name, value in await call.initial_metadata() if name == "set-cookie"]
    receipt = [cookie for cookie in cookies if cookie.startswith("__Secure-crafiq_receipt=")]
    assert receipt == [
        f"__Secure-crafiq_receipt={wish.receipt_secret}; Path={path};"
        " Max-Age=2592000; HttpOnly; Secure; SameSite=Strict"
        for path in (f"/v1/{erasure}", f"/v1/{erasure}:watch")
    ]
    cleared = {cookie.partition("=")[0] for cookie in cookies if "=; " in cookie and "Max-Age=0" in cookie}
    assert cleared == {"__Host-crafiq_access", "__Secure-crafiq_refresh"}
    assert len(cookies) == 5


@pytest.mark.promise("9-fraud-6m")
def test_a_months_pepper_is_destroyed_on_its_day(tmp_path: Path) -> None:
    clock = FakeClock(datetime(2026, 5, 20, tzinfo=UTC))
    peppers = Peppers(tmp_path, clock, secrets.token_bytes)
    first = peppers.of(clock.now())
    assert first is not None
    assert peppers.of(clock.now()) == first
    assert (tmp_path / "2026-05.key").stat().st_mode & 0o777 == 0o600
    kept = hmac.digest(first, b"ADDRESS a@b.example", "sha256")
    assert kept in peppers.hashes(NameKind.ADDRESS, " A@b.example ")
    clock.forward(datetime(2026, 10, 31, 23, 59, tzinfo=UTC) - clock.now())
    assert peppers.destroy() == 0
    clock.forward(timedelta(minutes=1))
    assert peppers.destroy() == 1
    assert peppers.of(datetime(2026, 5, 20, tzinfo=UTC)) is None
    assert kept not in peppers.hashes(NameKind.ADDRESS, "a@b.example")
    assert not list(tmp_path.iterdir())


@pytest.mark.promise("9-rejoin")
async def test_who_comes_back_gets_everything_but_the_welcome(
    people: People, leaving: Leaving, announced: Announced
) -> None:
    person = await people.signed_in()
    await leaving.delete(person)
    await people.sign_up(person.email.upper())
    answer = await people.confirm(await _newest_token(people, person.email))
    assert answer.sign_up_credits_withheld
    again = await people.sign_in(person)
    assert again.account != person.account
    [event] = await announced(events_pb2.AccountVerified, again.account)
    assert event.returning
    newcomer = await people.sign_up(new_address())
    answer = await people.confirm(await people.mailbox.token(newcomer.email))
    assert not answer.sign_up_credits_withheld


async def _newest_token(people: People, address: str) -> str:
    """Of the mail that confirms, which is one of three: sign-up, farewell, sign-up."""
    await people.mailbox.mail(address, 3)
    subjects = [mail.subject for mail in people.mailbox.mails(address)]
    last = max(number for number, subject in enumerate(subjects, 1) if subject.startswith("Confirm"))
    return await people.mailbox.token(address, last)


@pytest.mark.promise("2a-username")
async def test_a_user_name_that_was_somebodys_is_nobodys_for_a_while(
    people: People, leaving: Leaving, clock: FakeClock, peppers: Peppers
) -> None:
    name = f"u{uuid4().hex[:8]}"
    await leaving.delete(await people.signed_in(username=name))
    refused = await refusal(people.sign_up(username=name.upper()))
    assert refused.reason == "USERNAME_TAKEN"


@promise
async def test_what_cannot_be_written_into_the_ledger_is_not_deleted(
    people: People, leaving: Leaving, infra: Infra, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await people.signed_in()
    wish = await leaving.wish(person)

    async def away(*_: object) -> None:
        raise LedgerUnavailable

    monkeypatch.setattr(TombstoneLedger, "write", away)
    assert (await refusal(leaving.send(person, wish))).reason == "LEDGER_UNAVAILABLE"
    assert await leaving.left(person) > 0
    monkeypatch.undo()
    assert await leaving.send(person, wish) == f"erasures/{wish.request_id}"


@promise
@pytest.mark.promise("8-restore-check", "9-backup-passive")
async def test_who_comes_back_with_a_backup_is_erased_again_before_anything_is_served(
    people: People, leaving: Leaving, identity: Service, infra: Infra, clock: FakeClock
) -> None:
    person = await people.signed_in()
    rows = await people.rows("SELECT * FROM accounts WHERE account = :whose", whose=person.id)
    await leaving.delete(person)
    columns = ", ".join(rows[0].keys())
    marks = ", ".join(f":{name}" for name in rows[0].keys())  # noqa: SIM118  # of a record
    await people.rows(f"INSERT INTO accounts ({columns}) VALUES ({marks})", **dict(rows[0]))  # noqa: S608
    for table, column in (("tombstones", "account"), ("inbox", "key")):
        key = person.id if column == "account" else f"verified:{person.id}"
        await people.rows(f"DELETE FROM {table} WHERE {column} = :key", key=key)  # noqa: S608
    assert await leaving.left(person) == 1
    starting = Eraser(identity.db, Erasing(identity.metadata), events_pb2.AccountErased)
    await apply_ledger(identity, starting)
    assert await leaving.left(person) == 0
    ledger = Ledger(*place(identity.settings))
    assert person.id in {each.account for each in await ledger.standing()}


@promise
@pytest.mark.timeout(120)
async def test_who_is_at_work_for_them_at_that_moment_leaves_nothing(
    people: People, leaving: Leaving, sql: Sql, isolation: Isolation
) -> None:
    """They sign in, refresh, rename themselves, prove who they are, end sessions while the account goes."""
    chance, ends = random.Random(20261127), Counter[str]()
    for turn in range(10):
        if turn >= 2 and min(ends["done"], ends["refused"]) > 3:
            break  # else a machine that stood still let all be done before, or nobody
        ada = await people.signed_in(username=f"u{uuid4().hex[:8]}")
        others = [await people.sign_in(ada) for _ in range(2)]
        wish, called = await leaving.wish(ada), f"Ada {uuid4().hex}"
        at_work: list[Awaitable[Any]] = [
            people.sign_in(ada),
            *(people.refresh(each.refresh) for each in others),
            _rename(people, ada, called),
            _rename(people, others[0], called),
            leaving.proof(ada),
            _end(people, others[0], others[1]),
            people.stub.SignOut(identity_pb2.SignOutRequest(), metadata=others[0].metadata),
        ]
        tasks = [later(chance.uniform(0, 0.15), each) for each in at_work]
        outcomes = await asyncio.gather(*tasks, later(0.05, leaving.send(ada, wish)), return_exceptions=True)
        assert outcomes[-1] == f"erasures/{wish.request_id}"
        for outcome in outcomes[:-1]:
            ends["refused" if isinstance(outcome, BaseException) else "done"] += 1
            assert not isinstance(outcome, BaseException) or _known(outcome), outcome
        assert await leaving.left(ada) == 0
        await eventually(partial(_unnamed, sql, ada))  # once the relay has sent what it had to
        for name in (called, *(each.refresh for each in others)):
            assert await _everywhere(people, name) == []
    assert min(ends["done"], ends["refused"]) > 3, ends  # the race was one


async def _rename(people: People, person: Person, name: str) -> identity_pb2.Account:
    account = identity_pb2.Account(display_name=name)
    request = identity_pb2.UpdateAccountRequest(account=account)
    request.update_mask.paths.append("display_name")
    return await people.stub.UpdateAccount(request, metadata=person.metadata)


async def _end(people: People, person: Person, other: Person) -> None:
    """One of the person's sessions ends another."""
    listed = await people.stub.ListSessions(identity_pb2.ListSessionsRequest(), metadata=person.metadata)
    others = [each.name for each in listed.sessions if not each.current]
    if others:  # else the account went after its session was looked at and before the list was
        request = identity_pb2.DeleteSessionRequest(name=others[0])
        await people.stub.DeleteSession(request, metadata=other.metadata)


def _known(error: BaseException) -> bool:
    """A refusal that tells a person what to do, and no fault."""
    known = ("UNAUTHENTICATED", "FAILED_PRECONDITION", "ABORTED", "NOT_FOUND")
    return isinstance(error, grpc.aio.AioRpcError) and error.code().name in known


async def _unnamed(sql: Sql, person: Person) -> bool:
    found = await naming(sql.fetch, person.id)
    assert not found, found
    return True
