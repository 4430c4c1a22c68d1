"""Every query of the posted documents and of what people agreed to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import bindparam, select, tuple_
from sqlmodel import col

from chassis.db import Database, Queries, Record, Statement, Transaction, scalar
from chassis.pages import Position
from services.privacy.domain import (
    Acceptance,
    Document,
    DocumentKind,
    PostedTextChangedError,
    Posting,
    pair_of,
)

END = datetime.max.replace(tzinfo=UTC)
BEFORE_ALL = (END, "~", "~")
"""Before this position come all versions."""
BEFORE_ALL_ACCEPTANCES = (END, UUID(int=2**128 - 1))


def _posting(record: Record) -> Posting:
    return Posting(**{**record, "kind": DocumentKind(record["kind"])})


HEADERS = select(
    col(Document.kind),
    col(Document.version),
    col(Document.sha256),
    col(Document.effective_at),
    col(Document.material),
)
POSTINGS = Statement(HEADERS, _posting)
ORDER = (col(Document.effective_at), col(Document.kind), col(Document.version))
PAGE = Statement(
    HEADERS.where(
        tuple_(*ORDER) < tuple_(bindparam("at"), bindparam("before_kind"), bindparam("before_version"))
    )
    .order_by(*(column.desc() for column in ORDER))
    .limit(bindparam("rows")),
    _posting,
)
WHICH = (col(Document.kind) == bindparam("of_kind"), col(Document.version) == bindparam("of_version"))
DOCUMENT = Statement(select(Document).where(*WHICH), Document)
TEXT = Statement(select(col(Document.text)).where(*WHICH), scalar)
ACCEPTANCES = Statement(
    select(Acceptance)
    .where(
        col(Acceptance.account) == bindparam("of"),
        tuple_(col(Acceptance.accepted_at), col(Acceptance.id))
        < tuple_(bindparam("before"), bindparam("before_id")),
    )
    .order_by(col(Acceptance.accepted_at).desc(), col(Acceptance.id).desc())
    .limit(bindparam("rows")),
    Acceptance,
)


class Documents:
    """What was posted."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def post(self, packaged: Sequence[Document]) -> None:
        """Post what is not posted yet; several processes may do it at once.

        Raises PostedTextChangedError for a document that differs from what stands under its version.
        """
        for document in packaged:
            posted = await self._find(document)
            if posted is None:
                try:
                    await self._db.insert(document)
                    continue
                except UniqueViolationError:  # another process was faster
                    posted = await self._find(document)
            if posted is None or not document.same_as(posted):
                raise PostedTextChangedError(document.kind, document.version)

    async def _find(self, document: Document) -> Document | None:
        return await self._db.first(DOCUMENT, of_kind=document.kind, of_version=document.version)

    async def all(self, on: Queries | None = None) -> list[Posting]:
        """Every document, without text; there are a handful."""
        return await (on or self._db).all(POSTINGS)

    async def page(self, before: Position | None, rows: int) -> list[Posting]:
        """At most `rows` documents before a position, newest first."""
        at, kind, version = before or BEFORE_ALL
        return await self._db.all(PAGE, at=at, before_kind=kind, before_version=version, rows=rows)

    async def text(self, posting: Posting) -> str:
        """The text of a document."""
        found: str = await self._db.one(TEXT, of_kind=posting.kind, of_version=posting.version)
        return found

    async def policy(self, now: datetime) -> str:
        """The text of the policy in force."""
        policy, _ = pair_of(await self.all(), now)
        return await self.text(policy)


class Acceptances:
    """Who agreed to what."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, tx: Transaction, acceptance: Acceptance) -> None:
        """Keep an acceptance."""
        await tx.insert(acceptance)

    async def of(self, account: UUID, before: Position | None, rows: int) -> list[Acceptance]:
        """At most `rows` acceptances of a person before a position, newest first."""
        at, last = before or BEFORE_ALL_ACCEPTANCES
        return await self._db.all(ACCEPTANCES, of=account, before=at, before_id=last, rows=rows)
