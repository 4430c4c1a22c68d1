"""What a column is declared to be, and the constraints that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import CheckConstraint, Column, Enum, ForeignKeyConstraint, MetaData, Table, Text, Uuid
from sqlalchemy.orm import registry
from sqlmodel import AutoString, Field, SQLModel

from chassis.statements import enum_of

SUBJECTS = "subjects.account"


class Category(StrEnum):
    """What kind of personal data (as `options.proto` has it, and what a person did)."""

    EMAIL = "EMAIL"
    NAME = "NAME"
    CREDENTIAL = "CREDENTIAL"
    CONTENT = "CONTENT"
    MEDIA = "MEDIA"
    DEVICE = "DEVICE"
    PAYMENT = "PAYMENT"
    ACTIVITY = "ACTIVITY"


class Purpose(StrEnum):
    """Why it is processed (as `options.proto` has it)."""

    ACCOUNT = "ACCOUNT"
    AUTHENTICATION = "AUTHENTICATION"
    GENERATION = "GENERATION"
    STORAGE = "STORAGE"
    PUBLICATION = "PUBLICATION"
    PAYMENT = "PAYMENT"
    RIGHTS = "RIGHTS"
    SECURITY = "SECURITY"


class Basis(StrEnum):
    """The legal ground: GDPR Article 6(1), letters (a) to (f)."""

    CONSENT = "6(1)(a)"
    CONTRACT = "6(1)(b)"
    LEGAL_OBLIGATION = "6(1)(c)"
    VITAL_INTERESTS = "6(1)(d)"
    PUBLIC_TASK = "6(1)(e)"
    LEGITIMATE_INTERESTS = "6(1)(f)"


class Erase(StrEnum):
    """What erasing the person does to it."""

    DELETE = "DELETE"
    ANONYMISE = "ANONYMISE"
    RETAIN = "RETAIN"


DELETE, ANONYMISE, RETAIN = Erase.DELETE, Erase.ANONYMISE, Erase.RETAIN


@dataclass(frozen=True, slots=True)
class Keep:
    """How long it is kept: a sentence's end, and the longest time if there is one.

    With `months`, it ends that many months after the first day of the month in which it began: what
    is kept under a pepper of the month ends with the pepper.
    """

    rule: str
    at_most: timedelta | None = None
    months: int = 0

    @classmethod
    def days(cls, number: int) -> Keep:
        """That many days, whatever happens to the account."""
        return cls(f"{number} days", timedelta(days=number))

    @classmethod
    def until(cls, event: str, at_most: timedelta | None = None) -> Keep:
        """Until something happens: `Keep.until("the mail is sent", timedelta(hours=24))`."""
        return cls(f"until {event}", at_most)

    @classmethod
    def law(cls, ground: str, duration: timedelta) -> Keep:
        """As long as a law demands: `Keep.law("HGB § 257", timedelta(days=3653))`."""
        return cls(f"as {ground} demands", duration)

    @classmethod
    def by_month(cls, ground: str, months: int) -> Keep:
        """Until the first day of a month: six months from any day in May are over on 1 November."""
        return cls(ground, timedelta(days=31 * months), months)

    def ends(self, begun: datetime) -> datetime | None:
        """When what was begun to be kept then is kept no more; None if no time is set."""
        if self.months:
            years, month = divmod(begun.month - 1 + self.months, 12)
            return datetime(begun.year + years, month + 1, 1, tzinfo=UTC)
        return None if self.at_most is None else begun + self.at_most


ACCOUNT = Keep("while the account lives")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a column holds about a person, why, on which ground, how long, and what erasure does.

    `afterwards`: how long and why a copy under a pseudonym outlives the person; of what is RETAINed.
    """

    category: Category
    purpose: Purpose
    basis: Basis
    keep: Keep
    erase: Erase
    afterwards: Keep | None = None

    def column(self, sa_type: Any = None, **options: Any) -> Any:
        """A field that carries this; `options` are those of `sqlmodel.Field` (default, index, ...)."""
        return _field({"declaration": self}, sa_type, options)


@dataclass(frozen=True, slots=True)
class Plain:
    """A column that says nothing about a person, and why it does not."""

    why: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The column that says whose row it is."""

    erase: Erase


def plain(why: str, sa_type: Any = None, **options: Any) -> Any:
    """A field that says nothing about a person: `why` is shown to those who ask."""
    return _field({"declaration": Plain(why)}, sa_type, options)


def subject(erase: Erase, **options: Any) -> Any:
    """The field `account`: whose row it is. The foreign key cascades (DELETE) or sets null (ANONYMISE).

    It is indexed; say `index=False` where another index begins with it.
    """
    if not options.get("primary_key"):
        options.setdefault("index", True)
    return _field({"declaration": Subject(erase)}, Uuid, options)


def _field(info: dict[str, Any], sa_type: Any, options: dict[str, Any]) -> Any:
    extra = dict(options.pop("sa_column_kwargs", {}))
    if sa_type is not None:
        options["sa_type"] = sa_type
    return Field(sa_column_kwargs={**extra, "info": info}, **options)


def declared(column: Column[Any]) -> Declaration | Plain | Subject | None:
    """What a column was declared to be."""
    found: Declaration | Plain | Subject | None = column.info.get("declaration")
    return found


def inventory(service: str, subjects: str = SUBJECTS) -> registry:
    """The registry of a service's rows; `subjects` is the table.column with one row a living person.

    Identity says `inventory("identity", subjects="accounts.<key>")`: there the account is the subject.
    """
    return registry(metadata=MetaData(info={"service": service, "subjects": subjects}))


class Base(SQLModel):
    """What a service's `Row` inherits from: generates the constraints that declarations stand for."""

    def __init__(self, **values: Any) -> None:
        """What SQLModel makes of a table's row (it checks nothing there either), in a fifth of the time.

        Raises TypeError for what is no column. No session of SQLAlchemy's ever sees a row, so none is told.
        """
        usual = _usual(type(self))
        if unknown := values.keys() - usual.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}.")
        row = self.__dict__
        for name, value in usual.items():
            if name in values:
                row[name] = values[name]
            elif value is not ...:
                row[name] = value

    @classmethod
    def __table_cls__(cls, name: str, metadata: MetaData, *args: Any, **options: Any) -> Table:
        """Called by SQLAlchemy to make the table of a class."""
        columns = [arg for arg in args if isinstance(arg, Column)]
        for column in columns:
            _settle_type(name, column)
        enums = {c.name: kind for c in columns if (kind := enum_of(cls, c.name)) is not None}
        return Table(name, metadata, *args, *_constraints(name, metadata, columns, enums), **options)


@cache
def _usual(kind: type[SQLModel]) -> dict[str, Any]:
    """What stands in each column of a new row of which nothing else is said; `...`: nothing does."""
    if made := [name for name, field in kind.model_fields.items() if field.default_factory]:
        raise TypeError(f"{kind.__name__}.{made[0]}: time, ids and chance come in by the front door.")
    return {n: ... if field.is_required() else field.get_default() for n, field in kind.model_fields.items()}


def _settle_type(table: str, column: Column[Any]) -> None:
    if isinstance(column.type, AutoString):
        column.type = Text()
    if isinstance(column.type, Enum):
        raise TypeError(f"{table}.{column.name}: enums are text here; name the type: plain('why', Text).")


def _constraints(
    table: str, metadata: MetaData, columns: list[Column[Any]], enums: dict[str, type[StrEnum]]
) -> list[Any]:
    made: list[Any] = []
    for name, kind in enums.items():
        values = ", ".join(f"'{member.value}'" for member in kind)
        made.append(CheckConstraint(f"{name} IN ({values})", name=f"ck_{table}_{name}"))
    for column in columns:
        what = declared(column)
        if isinstance(what, Subject):
            rule = "CASCADE" if what.erase is DELETE else "SET NULL"
            target = [metadata.info["subjects"]]
            made.append(ForeignKeyConstraint([column.name], target, f"fk_{table}_subject", ondelete=rule))
            personal = [c.name for c in columns if isinstance(declared(c), Declaration)]
            if what.erase is not DELETE and personal:
                nothing = " AND ".join(f"{name} IS NULL" for name in personal)
                rule = f"{column.name} IS NOT NULL OR ({nothing})"
                made.append(CheckConstraint(rule, name=f"ck_{table}_anonymous"))
    return made
