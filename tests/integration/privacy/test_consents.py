"""Consents: given and withdrawn, in a chain that their person verifies with nothing but SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from crafiq.privacy.v1 import events_pb2, privacy_pb2
from crafiq.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from chassis.rpc import refusal_from
from promises.eraser import Eraser
from promises.erasing import Erasing, Wanted
from services.privacy.domain import Row
from tests.integration.in_process import Neighbours
from tests.integration.privacy.conftest import Sql, listening, verified
from tests.support import Announced, FakeClock

MAIL, TRAINING = privacy_pb2.MARKETING_EMAIL, privacy_pb2.PUBLIC_OUTPUT_TRAINING


class Person:
    """Somebody who decides what is allowed."""

    def __init__(self, account: UUID, calls: PrivacyServiceStub, privacy: Neighbours) -> None:
        self.account, self._calls, self._privacy = account, calls, privacy

    async def sees(self, **page: Any) -> privacy_pb2.Consents:
        """What GET /v1/consents answers."""
        asked = privacy_pb2.GetConsentsRequest(**page)
        return await self._calls.GetConsents(asked, metadata=self._privacy.signed_in(self.account))

    async def sets(self, kind: int, request_id: UUID | None = None, **wish: Any) -> privacy_pb2.ConsentChange:
        """What PUT /v1/consents answers; `granted` comes with the text that is shown now."""
        if wish.get("granted") and "text_sha256" not in wish:
            shown = {c.kind: c.text_sha256 for c in (await self.sees()).consents}
            wish["text_sha256"] = shown[kind]
        asked = privacy_pb2.SetConsentRequest(kind=kind, request_id=str(request_id or uuid4()), **wish)
        return await self._calls.SetConsent(asked, metadata=self._privacy.signed_in(self.account))


@pytest.fixture
async def person(calls: PrivacyServiceStub, privacy: Neighbours) -> Person:
    """Somebody new."""
    return await somebody(calls, privacy)


async def somebody(calls: PrivacyServiceStub, privacy: Neighbours) -> Person:
    db, account = privacy.service.db, uuid4()
    async with db.transaction() as tx:
        await listening(privacy).on_account_verified(tx, verified(account))
    return Person(account, calls, privacy)


def stands(seen: privacy_pb2.Consents) -> dict[int, bool]:
    return {consent.kind: consent.granted for consent in seen.consents}


@pytest.mark.promise("3-marketing-optin", "4-basis-map")
async def test_before_a_decision_only_what_needs_no_consent_is_allowed(person: Person) -> None:
    seen = await person.sees()
    assert stands(seen) == {MAIL: False, TRAINING: True}
    assert {c.kind: c.basis for c in seen.consents} == {MAIL: "6(1)(a)", TRAINING: "6(1)(f)"}
    assert not seen.changes
    for consent in seen.consents:
        assert not consent.HasField("change_time")
        assert hashlib.sha256(consent.text.encode()).hexdigest() == consent.text_sha256


@pytest.mark.promise("4-consent", "4-withdraw", "11-withdraw", "11-object")
async def test_what_is_given_can_be_withdrawn_and_given_again(person: Person, privacy: Neighbours) -> None:
    clock = privacy.service.clock
    assert isinstance(clock, FakeClock)
    for granted in (True, False, True):
        clock.forward(timedelta(seconds=1))
        change = await person.sets(MAIL, granted=granted)
        assert (change.kind, change.granted) == (MAIL, granted)
        assert stands(await person.sees()) == {MAIL: granted, TRAINING: True}
    await person.sets(TRAINING, granted=False)
    seen = await person.sees()
    assert stands(seen) == {MAIL: True, TRAINING: False}
    assert all(consent.HasField("change_time") for consent in seen.consents)


@pytest.mark.promise("4-consent", "0-acceptance")
async def test_a_person_verifies_the_chain_with_nothing_but_sha_256(person: Person) -> None:
    for granted in (True, False, True):
        await person.sets(MAIL, granted=granted)
        await person.sets(TRAINING, granted=not granted)
    seen = await person.sees()
    before = "0" * 64
    for number, change in enumerate(seen.changes, 1):
        said = change.statement.split("\n")
        assert said[1:4] == [
            f"account accounts/{person.account}",
            f"change {number}",
            f"{'granted' if change.granted else 'withdrawn'} {privacy_pb2.ConsentKind.Name(change.kind)}",
        ]
        assert said[4] == f"text {change.text_version} {change.text_sha256}"
        assert said[6:] == [f"after {before}", f"salt {change.salt}"]
        assert change.previous == before
        assert hashlib.sha256(change.statement.encode()).hexdigest() == change.commitment
        before = change.commitment
    assert len(seen.changes) == 6
    assert len({change.salt for change in seen.changes}) == 6


async def test_asked_again_with_the_same_id_the_answer_is_the_same(person: Person) -> None:
    request_id = uuid4()
    first = await person.sets(MAIL, request_id, granted=True)
    await person.sets(MAIL, granted=False)
    assert await person.sets(MAIL, request_id, granted=True) == first
    assert stands(await person.sees())[MAIL] is False
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.sets(TRAINING, request_id, granted=False)
    assert refusal_from(refused.value).reason == "REQUEST_ID_REUSED"


async def test_wishing_what_stands_is_no_change(person: Person) -> None:
    first = await person.sets(MAIL, granted=False)
    assert await person.sets(MAIL, granted=False) == first
    assert len((await person.sees()).changes) == 1


@pytest.mark.promise("4-withdraw", "11-withdraw", "11-object")
async def test_each_change_is_announced_once_with_its_number(person: Person, announced: Announced) -> None:
    request_id = uuid4()
    await person.sets(TRAINING, request_id, granted=False)
    await person.sets(TRAINING, request_id, granted=False)
    await person.sets(TRAINING, granted=False)
    with pytest.raises(grpc.aio.AioRpcError):
        await person.sets(TRAINING, granted=True, text_sha256="00" * 32)
    await person.sets(MAIL, granted=True)
    await person.sets(TRAINING, granted=True)
    events = await announced(events_pb2.ConsentChanged, f"accounts/{person.account}", 3)
    told = [(event.change, event.kind, event.granted) for event in events]
    assert told == [(1, TRAINING, False), (2, MAIL, True), (3, TRAINING, True)]


@pytest.mark.promise("4-consent")
@pytest.mark.parametrize("shown", ["", "00" * 32])
async def test_nothing_is_allowed_on_another_text_than_the_one_shown(shown: str, person: Person) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.sets(MAIL, granted=True, text_sha256=shown)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal_from(refused.value).reason == "CONSENT_TEXT_NOT_SHOWN"
    assert not (await person.sees()).changes


async def test_changes_at_once_make_one_chain(person: Person) -> None:
    shown = {c.kind: c.text_sha256 for c in (await person.sees()).consents}
    wishes = [(kind, granted) for kind in (MAIL, TRAINING) for granted in (True, False)] * 3
    await asyncio.gather(
        *(person.sets(kind, granted=granted, text_sha256=shown[kind]) for kind, granted in wishes)
    )
    changes = (await person.sees()).changes
    assert [change.name for change in changes] == [f"consents/{n}" for n in range(1, len(changes) + 1)]
    assert [change.previous for change in changes[1:]] == [change.commitment for change in changes[:-1]]


async def test_pages_show_each_change_once(person: Person) -> None:
    for number in range(5):
        await person.sets(MAIL, granted=not number % 2)
    whole, paged, token = list((await person.sees()).changes), [], ""
    for expected in (2, 2, 1):
        page = await person.sees(page_size=2, page_token=token)
        assert len(page.changes) == expected
        paged, token = [*paged, *page.changes], page.next_page_token
    assert paged == whole
    assert not token


async def test_nobody_sees_or_changes_what_another_person_allows(
    person: Person, calls: PrivacyServiceStub, privacy: Neighbours
) -> None:
    await person.sets(MAIL, granted=True)
    other = await somebody(calls, privacy)
    assert stands(await other.sees())[MAIL] is False
    token = (await person.sees(page_size=1)).next_page_token or "x"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await other.sees(page_token=token)
    assert refusal_from(refused.value).reason == "PAGE_TOKEN_INVALID"
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await calls.SetConsent(privacy_pb2.SetConsentRequest(kind=MAIL, request_id=str(uuid4())))
    assert unknown.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "wrong",
    [{"kind": 0}, {"kind": 99}, {"request_id": "no"}, {"text_sha256": "G" * 64}, {"text_sha256": "ab"}],
)
async def test_a_wrong_request_is_told_where(
    wrong: dict[str, Any], person: Person, calls: PrivacyServiceStub, privacy: Neighbours
) -> None:
    asked = privacy_pb2.SetConsentRequest(**{"kind": MAIL, "request_id": str(uuid4()), **wrong})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calls.SetConsent(asked, metadata=privacy.signed_in(person.account))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal_from(refused.value).violations


@pytest.mark.promise("9-delete-now", "4-consent")
async def test_when_a_person_goes_rows_and_salts_go_and_the_commitments_stay(
    person: Person, privacy: Neighbours, sql: Sql
) -> None:
    changes = [await person.sets(MAIL, granted=granted) for granted in (True, False)]
    kept = await sql.fetchval("SELECT count(*) FROM commitments")
    db, account = privacy.service.db, person.account
    assert await sql.fetchval("SELECT count(*) FROM consent_changes WHERE account = $1", account) == 2
    eraser = Eraser(db, Erasing(Row.metadata), events_pb2.AccountErased)
    await eraser.through(Wanted(account, uuid4(), db.clock.now()))
    assert await sql.fetchval("SELECT count(*) FROM consent_changes WHERE account = $1", account) == 0
    assert await sql.fetchval("SELECT count(*) FROM tombstones WHERE account = $1", account) == 1
    salts = [bytes.fromhex(change.salt) for change in changes]
    assert await sql.fetchval("SELECT count(*) FROM consent_changes WHERE salt = ANY($1)", salts) == 0
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.sets(MAIL, granted=True)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "This account was deleted" in str(refused.value.details())
    assert await sql.fetchval("SELECT count(*) FROM commitments") == kept
    links = [bytes.fromhex(change.commitment) for change in changes]
    rows = await sql.fetch("SELECT * FROM commitments WHERE commitment = ANY($1)", links)
    assert len(rows) == 2
    assert set(rows[0].keys()) == {"commitment", "previous", "recorded_on"}


@pytest.mark.promise("4-consent")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consent_changes SET granted = NOT granted",
        "UPDATE commitments SET recorded_on = recorded_on",
        "DELETE FROM commitments",
        "TRUNCATE commitments CASCADE",
        # A change that does not follow the one before.
        (
            "INSERT INTO consent_changes SELECT account, 3, kind, granted, text_version, text_sha256,"
            " changed_at, decode(repeat('11', 32), 'hex'), salt, commitment FROM consent_changes"
        ),
    ],
)
async def test_the_ledger_of_consents_is_not_rewritten(statement: str, person: Person, sql: Sql) -> None:
    await person.sets(MAIL, granted=True)
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute(statement)
