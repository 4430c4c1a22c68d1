"""Every service says what it holds about people: all of it, one of them, and what would become of that."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import grpc
import pytest
from crafiq.promises.v1 import promises_pb2, promises_pb2_grpc

from cli.api import Json
from tests.e2e.conftest import Join
from tests.e2e.matrix import DEADLINE, SERVICES, Doors
from tests.running import Running
from tests.support import eventually

ACCOUNT = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
async def doors(platform: Running) -> AsyncIterator[Doors]:
    doors = Doors(platform.state)
    yield doors
    await doors.close()


def holder(doors: Doors, service: str, certificate: str = "privacy") -> promises_pb2_grpc.DataHolderStub:
    return promises_pb2_grpc.DataHolderStub(doors.channel(service, certificate))


@pytest.mark.promise("2-inventory", "9-asneeded")
@pytest.mark.parametrize("service", SERVICES)
async def test_each_service_describes_every_column(doors: Doors, service: str) -> None:
    told = await holder(doors, service).Describe(promises_pb2.DescribeRequest(), timeout=DEADLINE)
    assert told.holder == service
    columns = [column for table in told.tables for column in table.columns]
    assert any(column.personal for column in columns)
    for column in columns:
        if not column.personal:
            assert column.why, column
        elif column.category != "ACCOUNT":
            assert column.purpose, column
            assert column.basis, column
            assert column.retention, column
            assert column.erasure, column


@pytest.mark.promise("9-delete-preview")
async def test_what_is_held_of_a_person_is_found_everywhere_and_nowhere_of_nobody(
    doors: Doors, join: Join
) -> None:
    person = (await join()).account
    for service in SERVICES:
        ask = holder(doors, service)

        async def known(ask: promises_pb2_grpc.DataHolderStub = ask) -> bool:
            found = await ask.Verify(promises_pb2.VerifyRequest(account=person), timeout=DEADLINE)
            return bool(found.found)

        await eventually(known)
        plan = await ask.Preview(promises_pb2.PreviewRequest(account=person), timeout=DEADLINE)
        assert {promises_pb2.ERASED_NOW, promises_pb2.IN_BACKUPS_UNTIL} <= {b.fate for b in plan.buckets}
        nobody = await ask.Verify(promises_pb2.VerifyRequest(account=f"accounts/{ACCOUNT}"), timeout=DEADLINE)
        assert not nobody.found


async def test_an_account_that_is_none_is_refused(doors: Doors) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await holder(doors, "billing").Verify(
            promises_pb2.VerifyRequest(account="somebody"), timeout=DEADLINE
        )
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.promise("2-inventory", "9-asneeded", "4-basis-map")
async def test_everyone_can_read_what_is_held_where_why_and_how_long(
    platform: Running, http: aiohttp.ClientSession
) -> None:
    async def complete() -> Json | None:
        async with http.get(f"{platform.gateway}/v1/policy/holdings") as answer:
            assert answer.status == 200
            told: Json = await answer.json()
            return None if told["silentHolders"] else told

    told = await eventually(complete, timeout=20)
    assert {holding["holder"] for holding in told["holdings"]} == set(SERVICES)
    for holding in told["holdings"]:
        assert all(holding[name] for name in ("category", "purpose", "basis", "retention", "erasure"))
    emails = [holding for holding in told["holdings"] if holding["category"] == "EMAIL"]
    assert {holding["holder"] for holding in emails} == {"identity"}
