"""Whom a lost stream lost is announced once more."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import cast

import asyncpg
import pytest
from crafiq.identity.v1.events_pb2 import AccountVerified

from chassis.service import Service
from deploy.local.infra import Infra
from tests.integration.identity.people import People
from tests.integration.in_process import Unhurried
from tests.support import Announced


async def confirmed(infra: Infra, identity: Service, account: str, before: timedelta) -> None:
    """Somebody confirmed their address so long before the stream began."""
    info = await identity.bus.jetstream().stream_info("IDENTITY")
    assert info.created is not None
    sql = await asyncpg.connect(infra.postgres.dsn("identity"))
    at = info.created.astimezone(UTC) - before
    await sql.execute("UPDATE accounts SET verified_at = $1 WHERE 'accounts/' || account = $2", at, account)
    await sql.close()


@pytest.mark.promise("2a-account")
async def test_who_confirmed_shortly_before_the_stream_began_is_announced_once_more(
    people: People, identity: Service, infra: Infra, announced: Announced
) -> None:
    lost, heard = await people.signed_in(), await people.signed_in()
    # The clock of other tests may have stood where the stream began.
    await people.rows("UPDATE accounts SET verified_at = verified_at - interval '30 years'")
    await confirmed(infra, identity, lost.account, timedelta(minutes=14))
    await confirmed(infra, identity, heard.account, timedelta(minutes=16))
    job = cast(Unhurried, identity).jobs["announce-again"]
    assert [await job.run(), await job.run()] == [1, 0]
    first, again = await announced(AccountVerified, lost.account, 2)
    assert first == again
    assert len(await announced(AccountVerified, heard.account)) == 1
