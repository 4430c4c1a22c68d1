"""Sessions and refresh tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Insert, and_, bindparam, delete, or_, select
from sqlmodel import col

from chassis.db import Database, Queries, Statement, Transaction
from chassis.pages import Position
from chassis.statements import Writing, argument, table_of, writable
from promises.retention import ending, in_batches
from services.identity.domain.accounts import Account
from services.identity.domain.rows import Row
from services.identity.domain.security import SecurityEntry, Throttle
from services.identity.domain.sessions import RefreshToken, Session

_LIVES = col(Session.expires_at) > bindparam("now")
_MINE = and_(col(Session.id) == bindparam("id_"), col(Session.account) == bindparam("owner"))

# The session first, then its token: the order in which deleting a session takes its locks.
SESSION_OF_TOKEN_LOCKED = Statement(
    select(Session)
    .where(
        col(Session.id)
        == select(col(RefreshToken.session))
        .where(col(RefreshToken.token_hash) == bindparam("hash_"))
        .scalar_subquery(),
        _LIVES,
    )
    .with_for_update(),
    Session,
)
TOKEN = Statement(
    select(RefreshToken).where(
        col(RefreshToken.token_hash) == bindparam("hash_"), col(RefreshToken.expires_at) > bindparam("now")
    ),
    RefreshToken,
)
ACCOUNT_WITH_SESSION = Statement(
    select(Account).join(Session, col(Session.account) == col(Account.account)).where(_MINE, _LIVES),
    Account,
)
DELETE_MINE = Statement(delete(Session).where(_MINE))
_NEWEST_FIRST = (col(Session.create_time).desc(), col(Session.id).desc())
_OF_OWNER = and_(col(Session.account) == bindparam("owner"), _LIVES)
FIRST_PAGE = Statement(
    select(Session).where(_OF_OWNER).order_by(*_NEWEST_FIRST).limit(bindparam("count")), Session
)
NEXT_PAGE = Statement(
    select(Session)
    .where(
        _OF_OWNER,
        or_(
            col(Session.create_time) < bindparam("at_"),
            and_(col(Session.create_time) == bindparam("at_"), col(Session.id) < bindparam("last")),
        ),
    )
    .order_by(*_NEWEST_FIRST)
    .limit(bindparam("count")),
    Session,
)


def _prefix(kind: type[Row]) -> str:
    return f"{table_of(kind).name}_"


def _insert(kind: type[Row]) -> Insert:
    return table_of(kind).insert().values({c.name: argument(_prefix(kind), c) for c in writable(kind)})


def _writing(kind: type[Row]) -> Writing:
    return Writing([c.name for c in writable(kind)], _prefix(kind))


# One statement, one round trip; keys are checked at its end, when all three rows stand.
BEGIN = Statement(
    _insert(SecurityEntry).add_cte(
        _insert(Session).cte("session"),
        _insert(RefreshToken).cte("token"),
        delete(Throttle).where(col(Throttle.key) == bindparam("attempts")).cte("forgotten"),
    )
)
_BEGUN = _writing(Session), _writing(RefreshToken), _writing(SecurityEntry)


@dataclass(frozen=True, slots=True)
class Shown:
    """A refresh token that was shown, and its session, which is locked."""

    session: Session
    token: RefreshToken


async def begin(
    queries: Queries, session: Session, token: RefreshToken, entry: SecurityEntry, attempts: bytes
) -> None:
    """Write a new session, its first token and the line about it; forget the attempts under that key."""
    rows = zip(_BEGUN, (session, token, entry), strict=True)
    values = {name: value for writing, row in rows for name, value in writing.values(row).items()}
    await queries.execute(BEGIN, **values, attempts=attempts)


async def shown(tx: Transaction, token_hash: bytes, now: datetime) -> Shown | None:
    """What a living refresh token belongs to; two that show tokens of one session take turns."""
    session = await tx.first(SESSION_OF_TOKEN_LOCKED, hash_=token_hash, now=now)
    if session is None:
        return None
    # A statement of its own: it sees what the one before us in turn has written.
    found = await tx.first(TOKEN, hash_=token_hash, now=now)
    return Shown(session, found) if found else None


async def token(tx: Transaction, token_hash: bytes, now: datetime) -> RefreshToken:
    """A token that is surely there."""
    return await tx.one(TOKEN, hash_=token_hash, now=now)


async def account_with_session(
    queries: Queries, account: UUID, session: UUID | None, now: datetime
) -> Account | None:
    """The account, if this session of it still lives."""
    return await queries.first(ACCOUNT_WITH_SESSION, owner=account, id_=session, now=now)


async def end(tx: Transaction, account: UUID, session: UUID) -> bool:
    """Remove a session and its tokens; False if the account has no such session."""
    return await tx.execute(DELETE_MINE, owner=account, id_=session) > 0


async def page(
    queries: Queries, account: UUID, after: Position | None, count: int, now: datetime
) -> list[Session]:
    """Living sessions, newest first, `count` of those that come after `after` (create time and id)."""
    if after is None:
        return await queries.all(FIRST_PAGE, owner=account, count=count, now=now)
    return await queries.all(NEXT_PAGE, owner=account, count=count, now=now, at_=after[0], last=after[1])


EXPIRED = ending("sessions", "expires_at <= :now")
EXPIRED_TOKENS = ending("refresh_tokens", "expires_at <= :now")


async def sweep(db: Database, now: datetime) -> None:
    """End sessions and tokens that expired."""
    await in_batches(db, EXPIRED, now=now)
    await in_batches(db, EXPIRED_TOKENS, now=now)
