"""A confirmed address opens a wallet with the first credits, once."""

from __future__ import annotations

from uuid import UUID, uuid4

import grpc
import pytest
from crafiq.billing.v1 import billing_pb2
from crafiq.billing.v1.billing_pb2_grpc import BillingServiceStub

from chassis.db import Database
from chassis.rpc import wrap
from services.billing.consumers import Consumers
from services.billing.domain import Balance, Gift
from services.billing.repository import Ledger
from tests.integration.billing.conftest import GRANT, Sql, erase, verified
from tests.integration.in_process import Neighbours
from tests.support import eventually


async def test_a_new_person_has_the_first_credits(person: UUID, ledger: Ledger) -> None:
    assert await ledger.balance(person) == Balance(GRANT, 0, 0)


async def test_the_news_of_a_person_told_twice_gives_credits_once(
    billing: Neighbours, ledger: Ledger, sql: Sql
) -> None:
    account, after = uuid4(), uuid4()
    first = await billing.announce("identity", verified(account))
    # The same message again, and the same news as another message: both are handled before the next person's.
    await billing.announce("identity", verified(account), message_id=first)
    await billing.announce("identity", verified(account))
    await billing.announce("identity", verified(after))
    await eventually(lambda: has_wallet(ledger, after))
    assert await ledger.balance(account) == Balance(GRANT, 0, 0)
    book = await ledger.book(account)
    assert await sql.fetchval("SELECT count(*) FROM transfers WHERE book = $1", book) == 1


async def test_a_message_that_is_delivered_again_changes_nothing(
    person: UUID, ledger: Ledger, billing: Neighbours
) -> None:
    consumers = Consumers(ledger, Gift(GRANT))
    async with database(billing).transaction() as tx:
        await consumers.on_account_verified(tx, verified(person))
    assert await ledger.balance(person) == Balance(GRANT, 0, 0)


async def test_a_crash_before_the_commit_leaves_nothing_and_the_next_try_gives_all(
    ledger: Ledger, billing: Neighbours
) -> None:
    account, consumers = uuid4(), Consumers(ledger, Gift(GRANT))

    async def crash() -> None:
        async with database(billing).transaction() as tx:
            await consumers.on_account_verified(tx, verified(account))
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await crash()
    assert await ledger.book(account) is None
    async with database(billing).transaction() as tx:
        await consumers.on_account_verified(tx, verified(account))
    assert await ledger.balance(account) == Balance(GRANT, 0, 0)


async def test_a_house_that_gives_nothing_opens_an_empty_wallet(ledger: Ledger, billing: Neighbours) -> None:
    account = uuid4()
    async with database(billing).transaction() as tx:
        await Consumers(ledger, Gift(0)).on_account_verified(tx, verified(account))
    assert await ledger.balance(account) == Balance(0, 0, 0)
    assert await ledger.entries(account, None, None, 10) == []


@pytest.mark.promise("9-delete-now")
async def test_an_erased_persons_credits_are_nobodys_and_stay_in_the_books(
    person: UUID, ledger: Ledger, sql: Sql, person_calls: BillingServiceStub, billing: Neighbours
) -> None:
    book = await ledger.book(person)
    await erase(sql, person)
    assert await ledger.book(person) is None
    assert await sql.fetchval("SELECT sum(available) FROM lots WHERE book = $1", book) == GRANT
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person_calls.GetBalance(
            billing_pb2.GetBalanceRequest(), metadata=billing.signed_in(person), timeout=10
        )
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_person_ahead_of_the_news_waits_for_it(
    person_calls: BillingServiceStub, billing: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrap, "SUBJECT_WAIT", 8.0)
    account = uuid4()
    asked = person_calls.GetBalance(
        billing_pb2.GetBalanceRequest(), metadata=billing.signed_in(account), timeout=10
    )
    await billing.announce("identity", verified(account))
    assert (await asked).available == GRANT


def database(billing: Neighbours) -> Database:
    return billing.service.db


async def has_wallet(ledger: Ledger, account: UUID) -> bool:
    return await ledger.book(account) is not None
