"""Events wait in the outbox, committed with what they announce, until the bus has acknowledged them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.sql.dml import UpdateBase

from chassis.db import Record, Statement

T = TypeVar("T")


def with_event(clause: UpdateBase, into: Callable[[Record], T] | type[T] | None = None) -> Statement[T]:
    """A data-modifying clause that has `.returning(...)`, and its event, as one statement.

    Run it with `await db.announce(STATEMENT, event, **values)`. The event is written only if the
    clause touched a row (at most one event).
    """
    raise NotImplementedError
