"""Events wait in the outbox, committed with what they announce, until the bus has acknowledged them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import (
    DateTime,
    Insert,
    LargeBinary,
    Text,
    Uuid,
    bindparam,
    column,
    exists,
    func,
    insert,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import SQLModel

from chassis import telemetry
from chassis.events import subject_of
from chassis.statements import Statement, Writing, argument, scalar, table_of, writable

_COLUMNS = ("id", "subject", "payload", "traceparent", "created")
OUTBOX = table("outbox", *(column(name) for name in _COLUMNS))
REQUESTS = table(
    "requests", *(column(name) for name in ("account", "request_id", "body", "result", "created"))
)
_TIME = DateTime(timezone=True)


def arguments(events: Sequence[Message], new_id: Callable[[], UUID], now: datetime) -> dict[str, Any]:
    """What the statements below take for these events."""
    return {
        "event_ids": [new_id() for _ in events],
        "event_subjects": [subject_of(event) for event in events],
        "event_payloads": [event.SerializeToString() for event in events],
        "event_traceparent": telemetry.traceparent(),
        "event_created": now,
    }


def _writes(only_if: Any = None) -> Insert:
    arrays = [
        bindparam("event_ids", type_=ARRAY(Uuid)),
        bindparam("event_subjects", type_=ARRAY(Text)),
        bindparam("event_payloads", type_=ARRAY(LargeBinary)),
    ]
    event = func.unnest(*arrays).table_valued(*_COLUMNS[:3]).render_derived()
    shared = (bindparam("event_traceparent", type_=Text), bindparam("event_created", type_=_TIME))
    source = select(*event.c, *shared)
    return insert(OUTBOX).from_select(_COLUMNS, source if only_if is None else source.where(exists(only_if)))


WRITE = Statement(_writes())
ASK: Any = upsert(REQUESTS).values(
    account=bindparam("asked_account", type_=Uuid),
    request_id=bindparam("asked_id", type_=Uuid),
    body=bindparam("asked_body", type_=LargeBinary),
    result=bindparam("asked_result", type_=Text),
    created=bindparam("asked_at", type_=_TIME),
).on_conflict_do_nothing().returning(literal_column("1").label("one"))  # fmt: skip


@cache
def creation(kind: type[SQLModel], *, asked: bool) -> tuple[Statement[int], Writing]:
    """INSERT of a row with its events, and of the request that it answers; counts the rows: 0 or 1."""
    columns, source = writable(kind), select(*(argument("row_", c) for c in writable(kind)))
    if asked:
        source = source.where(exists(select(ASK.cte("asked"))))
    names = [c.name for c in columns]
    written: Any = (
        insert(table_of(kind)).from_select(names, source).returning(literal_column("1").label("one"))
    )
    row = written.cte("written")
    count = select(func.count()).select_from(row).add_cte(_writes(select(row)).cte("events"))
    return Statement(count, scalar), Writing(names, "row_")
