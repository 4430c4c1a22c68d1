"""What Postgres says, in our words: errors of asyncpg that mean the same to every service."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg

from chassis.errors import Aborted, AlreadyExists, InvalidArgument, SubjectUnknown, Unavailable

FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What a query may raise because of the database or the way to it (timeouts are OSErrors)."""

_CONTENDED = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,  # a migration changed a table under us
    asyncpg.OutdatedSchemaCacheError,
)
_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement timeout
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.InternalClientError,  # what asyncpg makes of a server that ended between two of its messages
    OSError,
)
_KEY = re.compile(r"=\(([0-9a-f-]{36})\)")


class Contended(Aborted):
    """A serialization failure, deadlock or lock timeout: nothing was written; run it again."""

    sentence = "Somebody else is changing the same thing; ask again."


class DatabaseUnavailable(Unavailable):
    """The database can't be reached, is shutting down, or took too long."""

    sentence = "This can't be read or stored right now; ask again in a moment."


class TextNotStorable(InvalidArgument):
    """A null character in a text: valid UTF-8, which Postgres has no place for."""

    sentence = "A text in this request has a null character in it; leave it out."


class RequestIdReused(AlreadyExists):
    """A `request_id` came again with another body (AIP-155)."""

    sentence = "This requestId was used for a different request; choose a new one."


def translated(error: BaseException) -> Exception | None:
    """The error that callers are to see in its place; None if it stays as it is."""
    constraint = str(getattr(error, "constraint_name", None) or "")
    if isinstance(error, asyncpg.ForeignKeyViolationError) and re.fullmatch("fk_.*_subject", constraint):
        key = _KEY.search(error.detail or "")
        return SubjectUnknown(UUID(key[1]) if key else None)
    if isinstance(error, asyncpg.CheckViolationError) and re.fullmatch("ck_.*_anonymous", constraint):
        return SubjectUnknown()
    if isinstance(error, (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)):
        return TextNotStorable()
    if isinstance(error, _CONTENDED):
        return Contended()
    # asyncpg has no class of its own for a connection that it found closed or took back, or a closing pool.
    closed = isinstance(error, asyncpg.InterfaceError) and re.search("clos|released", str(error))
    return DatabaseUnavailable() if closed or isinstance(error, _UNAVAILABLE) else None


async def heard(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask something of the database; raises `translated` errors, also those of a call that asks nothing."""
    try:
        return await ask()
    except FAULTS as error:
        if (fault := translated(error)) is None:
            raise
        raise fault from error
