"""What is held about people: gathered from those who hold it, with the silent ones named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from crafiq.privacy.v1 import privacy_pb2
from crafiq.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from chassis.rpc.client import open_channel
from services.privacy.adapters import Holders
from services.privacy.adapters.holders import FRESH, FRESH_WITH_SILENT
from services.privacy.domain import Row
from tests.integration.in_process import Neighbours
from tests.support import FakeClock

NOBODY_LISTENS = "127.0.0.1:9"


@pytest.fixture
async def silent(privacy: Neighbours) -> AsyncIterator[Holders]:
    """Privacy answers, billing is down."""
    down = open_channel(NOBODY_LISTENS, privacy.infra.tls_dir("privacy"), "billing")
    own = await privacy.channel("privacy")
    yield Holders({"privacy": own, "billing": down}, FakeClock())
    await down.close()


@pytest.mark.promise("2-inventory")
async def test_one_who_is_silent_is_named_and_holds_nothing_up(silent: Holders) -> None:
    found = await silent.data_map()
    assert found.silent == ("billing",)
    [own] = found.descriptions
    assert own.holder == "privacy"
    assert {table.table for table in own.tables} == set(Row.metadata.tables)


async def test_visitors_of_the_same_minute_get_the_same_answer(privacy: Neighbours) -> None:
    clock = FakeClock()
    holders = Holders({"privacy": await privacy.channel("privacy")}, clock)
    first = await holders.data_map()
    clock.forward(FRESH - timedelta(seconds=1))
    assert await holders.data_map() is first
    clock.forward(timedelta(seconds=1))
    assert await holders.data_map() is not first


async def test_one_who_was_silent_is_asked_again_soon(silent: Holders) -> None:
    first = await silent.data_map()
    assert await silent.data_map() is first
    clock = silent._clock
    assert isinstance(clock, FakeClock)
    clock.forward(FRESH_WITH_SILENT)
    assert await silent.data_map() is not first


async def test_only_privacy_may_ask(privacy: Neighbours) -> None:
    holders = Holders({"privacy": await privacy.channel("billing")}, FakeClock())
    assert (await holders.data_map()).silent == ("privacy",)


async def test_the_list_is_public_and_empty_without_peers(calls: PrivacyServiceStub) -> None:
    answer = await calls.ListHoldings(privacy_pb2.ListHoldingsRequest(), timeout=20)
    assert not answer.holdings
    assert not answer.silent_holders
