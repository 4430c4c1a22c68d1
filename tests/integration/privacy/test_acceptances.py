"""Who agreed to which pair of texts, written once from the news of a confirmed address."""

from __future__ import annotations

import hashlib
from datetime import UTC
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from crafiq.privacy.v1 import privacy_pb2
from crafiq.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from chassis.deadletters import dead_letters
from services.privacy.adapters import DOCUMENTS
from services.privacy.consumers import Consumers
from services.privacy.domain import PairUnknown
from tests.integration.in_process import Neighbours
from tests.integration.privacy.conftest import ACCEPTED_AT, VERSION, Sql, listening, verified
from tests.support import eventually

ASKED = privacy_pb2.ListAcceptancesRequest()


@pytest.fixture
def consumers(privacy: Neighbours) -> Consumers:
    """What listens."""
    return listening(privacy)


async def tell(privacy: Neighbours, consumers: Consumers, account: UUID) -> None:
    """Deliver the news of a person."""
    async with privacy.service.db.transaction() as tx:
        await consumers.on_account_verified(tx, verified(account))


@pytest.mark.promise("0-acceptance", "0-tos-incorporated")
async def test_a_person_sees_what_they_agreed_to(privacy: Neighbours, calls: PrivacyServiceStub) -> None:
    account = uuid4()
    await privacy.announce("identity", verified(account))

    async def seen() -> list[privacy_pb2.Acceptance]:
        answer = await calls.ListAcceptances(ASKED, metadata=privacy.signed_in(account), timeout=20)
        return list(answer.acceptances)

    [acceptance] = await eventually(seen)
    policy = (DOCUMENTS / f"privacy-policy-{VERSION}.txt").read_bytes()
    terms = (DOCUMENTS / f"terms-{VERSION}.txt").read_bytes()
    assert (acceptance.policy_version, acceptance.terms_version) == (VERSION, VERSION)
    assert acceptance.text_sha256 == hashlib.sha256(policy).hexdigest()
    assert acceptance.terms_sha256 == hashlib.sha256(terms).hexdigest()
    assert acceptance.accept_time.ToDatetime(tzinfo=UTC) == ACCEPTED_AT
    assert acceptance.manner == "SIGN_UP"


async def test_news_that_comes_twice_is_one_acceptance(
    privacy: Neighbours, consumers: Consumers, calls: PrivacyServiceStub
) -> None:
    account = uuid4()
    for _ in range(2):
        await tell(privacy, consumers, account)
    answer = await calls.ListAcceptances(ASKED, metadata=privacy.signed_in(account))
    assert len(answer.acceptances) == 1


async def test_nobody_sees_what_another_person_agreed_to(
    privacy: Neighbours, consumers: Consumers, calls: PrivacyServiceStub
) -> None:
    await tell(privacy, consumers, uuid4())
    answer = await calls.ListAcceptances(ASKED, metadata=privacy.signed_in(uuid4()))
    assert not answer.acceptances
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calls.ListAcceptances(ASKED)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.promise("0-acceptance")
async def test_agreeing_to_what_was_never_posted_is_for_somebody_to_look_at(
    privacy: Neighbours, consumers: Consumers, sql: Sql
) -> None:
    account = uuid4()
    event = verified(account, terms="1999-01-01")

    async def told() -> None:
        async with privacy.service.db.transaction() as tx:
            await consumers.on_account_verified(tx, event)

    with pytest.raises(PairUnknown):
        await told()
    message = await privacy.announce("identity", event)

    async def dead() -> bool:
        return any(letter.message_id == message for letter in await dead_letters(privacy.service.db))

    await eventually(dead, timeout=40)
    assert await sql.fetchval("SELECT count(*) FROM subjects WHERE account = $1", account) == 0


async def test_an_acceptance_is_not_rewritten(privacy: Neighbours, consumers: Consumers, sql: Sql) -> None:
    await tell(privacy, consumers, uuid4())
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute("UPDATE acceptances SET policy_version = 'x'")


@pytest.mark.promise("9-delete-now")
async def test_acceptances_go_with_their_person(privacy: Neighbours, consumers: Consumers, sql: Sql) -> None:
    account = uuid4()
    await tell(privacy, consumers, account)
    await sql.execute("DELETE FROM subjects WHERE account = $1", account)
    assert await sql.fetchval("SELECT count(*) FROM acceptances WHERE account = $1", account) == 0
