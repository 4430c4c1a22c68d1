"""Erasing: what becomes of one person's rows, in one transaction, derived from the inventory.

Whoever writes a row of the person holds the key share lock that its foreign key takes, so that the
subject's lock waits for them and their rows go along; whoever comes later is refused by the database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.db import Database, Queries, Record, Statement, Transaction
from promises.inventory import DELETE, RETAIN, RETAINED, UNTIL, Declaration, Subject, declared
from promises.shares import Share
from promises.subjects import fence
from promises.witnesses import Witnesses

LARGE = 10_000
"""Rows of one person in one table above which they go in batches of as many, before the rest."""
PSEUDONYM = "pseudonym"
"""The column of a retained row that says which of them belong together: new at each erasing."""

KNOWN = ("tombstones", "erasures")
"""Where somebody is known who is erased, or is going to be."""

_WHOSE = bindparam("whose", type_=Uuid)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An erasure: whose, under which name, and when the account was deleted."""

    account: UUID
    erasure: UUID
    deleted_at: datetime


class Beyond:
    """What a service holds of a person that is not a row: objects, vendors' copies, a customer at Stripe."""

    reads: Collection[str] = ()
    """The tables with rows of the person that `note` reads: nothing of theirs goes before it did."""

    async def note(self, tx: Transaction, wanted: Wanted, pseudonym: UUID) -> bool:  # noqa: ARG002  # of those who have something
        """Before the rows go, in their transaction: keep what `remove` needs in tables that are not personal.

        Answers whether there may be something to remove. `pseudonym` is that of retained rows. May come
        again for an erasure that was noted before.
        """
        return False

    async def remove(self, wanted: Wanted) -> None:
        """Remove it, after the rows. Called again until it raises nothing; twice is harmless."""

    async def found(self, account: UUID, erasure: UUID | None, /) -> Sequence[Share]:  # noqa: ARG002  # of those who have something
        """What there is, looked for where it lies: of a plan, or (`erasure`) what is still left."""
        return ()


class Erasing:
    """The statements that erase one person, for the tables of `metadata`; and what is `beyond` them."""

    def __init__(self, metadata: MetaData, beyond: Sequence[Beyond] = ()) -> None:
        self.beyond = tuple(beyond)
        self.witnesses = Witnesses(metadata)
        name, _, key = metadata.info["subjects"].partition(".")
        subjects = metadata.tables[name]
        lock = select(subjects.c[key]).where(subjects.c[key] == _WHOSE).with_for_update()
        self._lock: Statement[Record] = Statement(lock.add_cte(_tombstone(metadata).cte("tombstone")))
        owned = [(table, column) for table in metadata.sorted_tables for column in _owners(table)]
        # Who refers to others goes before them: what cascades finds nothing left to do.
        going = [each for each in reversed(owned) if _goes(each[1])]
        self._retained = [_Retained(*each) for each in owned if RETAINED + each[0].name in metadata.tables]
        parts = [
            *(_anonymised(*each) for each in owned if not _goes(each[1])),
            *(each.copy for each in self._retained),
            *(_deleted(*each) for each in going),
            _forgotten(metadata.tables["dead_letters"]),
        ]
        end = delete(subjects).where(subjects.c[key] == _WHOSE)
        ctes = [part.cte(f"part_{number}") for number, part in enumerate(parts)]
        self._erase: Statement[Record] = Statement(end.add_cte(*ctes))
        # What is copied or noted when it goes is there until then, however much it is.
        read = {each.table for each in self._retained}.union(*(each.reads for each in self.beyond))
        self._batches = {t.name: _batch(t, owner) for t, owner in going if t.name not in read}
        known = [metadata.tables[name] for name in KNOWN]
        self._count = _large([*owned, *((table, table.c.account) for table in known)])

    async def reduce(self, db: Database, account: UUID) -> None:
        """Before the transaction: remove what is very much, in batches that hold no lock for long."""
        rows = await self._rows(db, account)
        for name in (name for name in self._batches if rows[name] > LARGE):
            while await db.execute(self._batches[name], whose=account) == LARGE:
                pass

    async def size(self, queries: Queries, account: UUID) -> int | None:
        """Rows of the person in their largest table, up to LARGE + 1; None of who is erased already, or is
        written down to be."""
        rows = await self._rows(queries, account)
        known = [rows.pop(name) for name in KNOWN]
        return None if any(known) else max(rows.values(), default=0)

    async def _rows(self, queries: Queries, account: UUID) -> dict[str, int]:
        return {row["name"]: row["rows"] for row in await queries.all(self._count, whose=account)}

    async def erase(self, tx: Transaction, wanted: Wanted) -> bool:
        """Everything that `wanted` is about, as declared. Again: what is left, if anything is.

        Answers whether there may be something beyond rows that has to be removed.
        Three statements, in this order: each sees what was committed before it began, so that the last
        one finds every row of those whom the lock waited for.
        Raises Contended if a writer under way holds what is to be erased and waits for the subject.
        """
        account = wanted.account
        await tx.claim(fence(account))
        await tx.first(self._lock, whose=account, at=wanted.deleted_at)
        await self.witnesses.collect(tx, account)
        pseudonym = tx.new_id()
        beyond = [await each.note(tx, wanted, pseudonym) for each in self.beyond]
        ends = {each.ends: each.keep.ends(wanted.deleted_at) for each in self._retained}
        named = {"named": pseudonym} if ends else {}
        await tx.execute(self._erase, whose=account, about=f"%.{account}", **named, **ends)
        return any(beyond)


def _owners(table: Table) -> Iterator[Column[Any]]:
    return (column for column in table.columns if isinstance(declared(column), Subject))


def _goes(owner: Column[Any]) -> bool:
    what = declared(owner)
    return isinstance(what, Subject) and what.erase is DELETE


def _tombstone(metadata: MetaData) -> Any:
    table = metadata.tables["tombstones"]
    values = {"account": _WHOSE, "erased_at": bindparam("at", type_=DateTime(timezone=True))}
    return upsert(table).values(values).on_conflict_do_nothing()


def _anonymised(table: Table, owner: Column[Any]) -> Any:
    personal = {c.name: None for c in table.columns if isinstance(declared(c), Declaration)}
    return update(table).where(owner == _WHOSE).values({owner.name: None, **personal})


def _deleted(table: Table, owner: Column[Any]) -> Any:
    return delete(table).where(owner == _WHOSE)


def _forgotten(letters: Table) -> Any:
    return delete(letters).where(letters.c.subject.like(bindparam("about", type_=Text)))


def _large(tables: Sequence[tuple[Table, Column[Any]]]) -> Statement[Record]:
    """How many rows each table has of the person, counted to one more than LARGE."""
    counts = []
    for table, owner in tables:
        some = select(literal(1)).select_from(table).where(owner == _WHOSE).limit(LARGE + 1).subquery()
        name = cast(literal(table.name), Text).label("name")
        counts.append(select(name, func.count().label("rows")).select_from(some))
    return Statement(union_all(*counts))


def _batch(table: Table, owner: Column[Any]) -> Statement[Record]:
    place: Any = literal_column("ctid")
    some = select(place).select_from(table).where(owner == _WHOSE).limit(LARGE)
    return Statement(delete(table).where(place == any_(func.array(some.scalar_subquery()))))


class _Retained:
    """How the columns of a table that are declared RETAIN come into the table that keeps them: `copy`.

    `ends` is the name of the argument that says when they end, as `keep` has it.
    """

    def __init__(self, table: Table, owner: Column[Any]) -> None:
        target = table.metadata.tables[RETAINED + table.name]
        kept = {c.name: d for c in table.columns if isinstance(d := declared(c), Declaration)}
        self.table = table.name
        self.keep = next(d.afterwards for d in kept.values() if d.afterwards is not None)
        self.ends = f"ends_{self.table}"
        values: dict[str, Any] = {n: table.c[n] for n, d in kept.items() if d.erase is RETAIN}
        values |= {
            "id": func.gen_random_uuid(),
            PSEUDONYM: bindparam("named", type_=Uuid),
            UNTIL: bindparam(self.ends, type_=DateTime(timezone=True)),
        }
        names = [column.name for column in target.columns]
        source = select(*(values[name] for name in names)).where(owner == _WHOSE)
        self.copy: Any = insert(target).from_select(names, source)
