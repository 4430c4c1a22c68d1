"""The tables that every service has, declared as all are."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)

from promises.inventory import DELETE, SUBJECTS, Plain, Subject

NAMES = "names only: accounts/{uuid} and the like, which nothing resolves once the person is erased"


def _plain(name: str, kind: Any, why: str, *rest: Any, **options: Any) -> Column[Any]:
    options.setdefault("nullable", False)
    return Column(name, kind, *rest, info={"declaration": Plain(why)}, **options)


def _when(name: str, why: str = "when", **options: Any) -> Column[Any]:
    return _plain(name, DateTime(timezone=True), why, **options)


def standard(metadata: MetaData) -> None:
    """Add outbox, inbox, requests, dead letters, leases, tombstones and subjects to a service's tables.

    A service whose inventory names another table of subjects has that in place of `subjects`.
    """
    subjects = metadata.info["subjects"]
    if subjects == SUBJECTS:
        Table("subjects", metadata, _account(primary_key=True), _when("since"))
    _erasures(metadata)
    _messages(metadata)
    Table(
        "requests",
        metadata,
        Column("account", Uuid, primary_key=True, info={"declaration": Subject(DELETE)}),
        _plain("request_id", Uuid, "chosen at random by the client", primary_key=True),
        _plain("body", LargeBinary, "a keyed hash of the request, to know it again"),
        _plain("result", Text, NAMES),
        _when("created", index=True),
        ForeignKeyConstraint(["account"], [subjects], "fk_requests_subject", ondelete="CASCADE"),
    )
    Table(
        "leases",
        metadata,
        _plain("name", Text, "a job of this service", primary_key=True),
        _plain("holder", Uuid, "the process that runs it", nullable=True),
        _when("until", "when the lease ends if it is not renewed"),
        _when("due", "when it runs next"),
    )


def _account(**options: Any) -> Column[Any]:
    return _plain("account", Uuid, "accounts/{uuid}: only rows that refer to it say who", **options)


def _erasures(metadata: MetaData) -> None:
    Table("tombstones", metadata, _account(primary_key=True), _when("erased_at"))
    Table(
        "erasures",
        metadata,
        _account(primary_key=True),
        _plain("erasure", Uuid, "the case's id; nothing in it says whose it was"),
        _when("deleted_at", "when the account was deleted"),
        _when("rows_gone_at", "when no row was left", nullable=True),
        _plain("tries", Integer, "how often it did not get through"),
        _when("due", "when it is tried again; until then somebody is at it", index=True),
        _plain("cause", Text, "a constant: why it did not get through"),
    )


def _messages(metadata: MetaData) -> None:
    Table(
        "outbox",
        metadata,
        _plain("number", BigInteger, "the order", Identity(always=True), primary_key=True),
        _plain("id", Uuid, "the message's id on the bus"),
        _plain("subject", Text, NAMES),
        _plain("traceparent", Text, "the trace it belongs to"),
        _plain("payload", LargeBinary, NAMES),
        _when("created"),
    )
    Table("inbox", metadata, _plain("key", Text, NAMES, primary_key=True), _when("claimed", index=True))
    Table(
        "dead_letters",
        metadata,
        _plain(
            "message_id", Text, "the message's id on the bus; what the bus refused says so", primary_key=True
        ),
        _plain("subject", Text, NAMES),
        _plain("payload", LargeBinary, NAMES),
        _plain("reason", Text, "a refusal's reason, the name of an error's type, or the bus's own reason"),
        _plain("tries", Integer, "how often it was tried"),
        _plain("replay", Boolean, "whether an operator asked to try it again"),
        _when("died", index=True),
        Index("ix_dead_letters_replay", "replay", postgresql_where=text("replay")),
    )
