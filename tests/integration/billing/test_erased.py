"""The running service, told that somebody deleted their account."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from crafiq.identity.v1 import events_pb2
from crafiq.promises.v1 import promises_pb2
from crafiq.promises.v1.promises_pb2_grpc import DataHolderStub
from pydantic import SecretStr

from services.billing import jobs
from services.billing.adapters.stripe import stripe_at
from services.billing.jobs import Payments
from services.billing.repository import Customers
from tests.integration.billing.till import KEY, Bank
from tests.integration.in_process import Neighbours
from tests.support import eventually


@pytest.mark.promise("9-cancel-sub", "9-delete-now", "11-erase")
async def test_told_twice_it_cancels_and_deletes_once_and_finds_nothing_afterwards(
    billing: Neighbours, bank: Bank, person: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOOKING_SECONDS", 15.0)
    async with stripe_at(bank.url, SecretStr(KEY)) as stripe:
        customer = await Payments(Customers(billing.service.db), stripe).customer_for(person)
    subscriptions = [await bank.subscribe(customer) for _ in range(2)]
    privacy = DataHolderStub(await billing.channel("privacy"))
    plan = await privacy.Preview(promises_pb2.PreviewRequest(account=f"accounts/{person}"), timeout=20)
    erased_now = next(each for each in plan.buckets if each.fate == promises_pb2.ERASED_NOW)
    assert {each.category: each.count for each in erased_now.counts}["PAYMENT"] == 2 + 1 + 2

    erasure = uuid4()
    event = events_pb2.AccountDeleted(account=f"accounts/{person}", erasure=f"erasures/{erasure}")
    event.delete_time.FromJsonString("2026-01-01T12:00:00Z")
    first = await billing.announce("identity", event)
    await billing.announce("identity", event, message_id=first)
    await billing.announce("identity", event)

    async def finished() -> promises_pb2.Findings | None:
        asked = promises_pb2.VerifyRequest(account=f"accounts/{person}", erasure=f"erasures/{erasure}")
        found = await privacy.Verify(asked, timeout=20)
        return found if found.standing.progress == promises_pb2.FINISHED else None

    found = await eventually(finished)
    assert found is not None
    assert (list(found.left), list(found.found)) == ([], [])
    assert await bank.deleted(customer)
    assert [await bank.status(each) for each in subscriptions] == ["canceled"] * 2
    assert len(await bank.requests(customer, "DELETE")) == 1
    assert len([row for each in subscriptions for row in await bank.requests(each, "DELETE")]) == 2
