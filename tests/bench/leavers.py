"""People for benches, put straight into the tables of running services: an account, a session, so many rows.

Column by column as the tables are declared, so that a new column gets a value by its type. The first ten
rows of somebody are an account with a session, subjects, a wallet and what was agreed to; of the others 40 %
are of generation, 40 % of assets, 10 % lines of the security log and 10 % requests that billing answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from crafiq.assets.v1 import events_pb2 as assets_events
from crafiq.generation.v1 import events_pb2 as generation_events
from crafiq.identity.v1 import events_pb2 as identity_events
from crafiq.privacy.v1 import events_pb2 as privacy_events
from crafiq.privacy.v1 import privacy_pb2
from sqlalchemy import BigInteger, Boolean, DateTime, Integer, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import AutoString

from chassis.events import subject_of
from cli.local import Local
from deploy.local.state import StateFolder
from services.assets.domain import Row as Assets
from services.assets.domain.shelves import key_on_shelf
from services.billing.domain import Row as Billing
from services.generation.domain import Row as Generation
from services.identity.domain import Row as Identity
from services.privacy.domain import Row as Privacy
from tests.running import Running

TABLES: Mapping[str, MetaData] = {
    "identity": Identity.metadata,
    "assets": Assets.metadata,
    "generation": Generation.metadata,
    "billing": Billing.metadata,
    "privacy": Privacy.metadata,
}
FEWEST, RECENT = 10, 100
STATES = ("RESERVED", "SUBMITTING", "RUNNING", "SUCCEEDED")
RENDITIONS = ("poster", "thumbnail")
PER_JOB = 3 + len(STATES)
"""Rows that a generation has: itself, its states, a try at a vendor, what was sent."""
PER_ASSET = 3 + len(RENDITIONS)
"""Rows that an asset has: itself, its renditions, its place in a pack, a request. `objects` and
`renderings` are nobody's, and not counted."""
Known = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Leaver:
    """Somebody with an account, signed in, and how many rows they have in all services together."""

    rows: int = FEWEST
    account: UUID = field(default_factory=uuid4)
    session: UUID = field(default_factory=uuid4)
    password_hash: str = "-"

    @property
    def email(self) -> str:
        """Where nobody reads."""
        return f"{self.account}@example.com"

    def identity(self) -> list[tuple[str, list[Known]]]:
        """Rows by table, those that others refer to first."""
        now, lines = datetime.now(UTC), max(0, self.rows - FEWEST) // 10 + 1
        return [
            ("accounts", [{"state": "ACTIVE", "email": self.email}]),
            ("credentials", [{"password_hash": self.password_hash}]),
            ("sessions", [{"id": self.session, "expires_at": now + timedelta(days=1)}]),
            ("security_log", [{"event": "SIGNED_IN", "address": "192.0.2.0/24"}] * lines),
        ]

    def assets(self) -> list[tuple[str, list[Known]]]:
        """As `identity`."""
        number = max(0, self.rows - FEWEST) * 2 // 5 // PER_ASSET
        ids, pack, own = [uuid4() for _ in range(number)], uuid4(), partial(key_on_shelf, self.account)
        return [
            ("subjects", [{}]),
            ("assets", [{"id": each, "kind": "IMAGE", "origin": "INPUT", "object": each} for each in ids]),
            ("packs", [{"id": pack}] if ids else []),
            ("pack_items", [{"pack": pack, "asset": each} for each in ids]),
            ("renditions", [{"asset": each, "kind": kind} for each in ids for kind in RENDITIONS]),
            ("renderings", [{"id": each, "asset": each} for each in ids]),
            ("objects", [{"key": own(uuid4()), "asset": each, "shelved": True} for each in ids]),
            ("requests", [{}] * number),
        ]

    def generation(self) -> list[tuple[str, list[Known]]]:
        """As `identity`."""
        ids = [uuid4() for _ in range(max(0, self.rows - FEWEST) * 2 // 5 // PER_JOB)]
        return [
            ("subjects", [{}]),
            ("jobs", [{"id": each, "state": "SUCCEEDED", "task": "TEXT_TO_IMAGE"} for each in ids]),
            ("transitions", [
                {"generation": each, "seq": seq, "state": state}
                for each in ids for seq, state in enumerate(STATES)
            ]),
            ("attempts", [{"generation": each, "state": "DONE"} for each in ids]),
            ("egress", [{"generation": each, "outcome": "ANSWERED"} for each in ids]),
        ]  # fmt: skip

    def billing(self) -> list[tuple[str, list[Known]]]:
        """As `identity`."""
        requests = [{}] * (max(0, self.rows - FEWEST) // 10)
        return [("subjects", [{}]), ("wallets", [{"book": uuid4()}]), ("requests", requests)]

    def privacy(self) -> list[tuple[str, list[Known]]]:
        """As `identity`."""
        return [("subjects", [{}]), ("acceptances", [{"manner": "SIGN_UP"}])]


class People:
    """The databases of a platform, and how people come into them."""

    def __init__(self, pools: Mapping[str, Any]) -> None:
        self.pools = pools

    async def settle(self, *leavers: Leaver) -> None:
        """They have accounts from now on."""
        for name, pool in self.pools.items():
            async with pool.acquire() as connection, connection.transaction():
                for leaver in leavers:
                    await copy(connection, name, leaver)

    async def analyse(self) -> None:
        """The databases know how large they are."""
        for pool in self.pools.values():
            await pool.execute("VACUUM ANALYZE")


@asynccontextmanager
async def opened(running: Running) -> AsyncIterator[People]:
    """Connected as the databases' administrator until the block ends."""
    async with AsyncExitStack() as stack:
        pools = {}
        for name in TABLES:
            url = running.endpoints["postgres"].replace("/postgres?", f"/{name}?")
            pools[name] = await stack.enter_async_context(asyncpg.create_pool(url, min_size=1, max_size=4))
        yield People(pools)


async def announce(state: Path) -> None:
    """What others did in the last days is on the bus: of each service that announces more than erasures."""
    async with Local.find(StateFolder(state)).bus() as bus:
        for _ in range(RECENT):
            whom, what = f"accounts/{uuid4()}", str(uuid4())
            for event in (
                identity_events.SessionRevoked(account=whom, session=f"sessions/{what}"),
                assets_events.AssetDeleted(account=whom, asset=f"assets/{what}"),
                generation_events.GenerationCreated(account=whom, generation=f"generations/{what}"),
                privacy_events.ConsentChanged(account=whom, kind=privacy_pb2.MARKETING_EMAIL, change=1),
            ):
                headers = {"Nats-Msg-Id": str(uuid4())}
                await bus.publish(subject_of(event), event.SerializeToString(), headers=headers)
        await bus.flush()


async def copy(connection: Any, service: str, leaver: Leaver) -> None:
    """What somebody has in one service."""
    for table, rows in getattr(leaver, service)():
        columns = [c for c in TABLES[service].tables[table].columns if not (c.identity or c.computed)]
        usual: dict[str, Any] = {c.name: _MADE[type(c.type)] for c in columns if not c.nullable}
        usual |= {"account": lambda: leaver.account}
        names = [c.name for c in columns]
        await connection.copy_records_to_table(
            table, records=[_record(names, row, usual) for row in rows], columns=names
        )


def _record(names: Sequence[str], row: Known, usual: Known) -> tuple[Any, ...]:
    """What is known of a row; the usual for the rest, null where that is allowed."""
    return tuple(row[name] if name in row else usual[name]() if name in usual else None for name in names)


_MADE: dict[type, Any] = {
    Uuid: uuid4,
    Text: str,
    AutoString: str,
    DateTime: partial(datetime.now, UTC),
    Integer: int,
    BigInteger: int,
    Boolean: bool,
    LargeBinary: lambda: uuid4().bytes,
    JSONB: lambda: "[]",
}
