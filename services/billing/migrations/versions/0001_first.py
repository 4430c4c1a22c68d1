# ruff: noqa: E501 - generated from the domain
"""The tables of the ledger.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("replay", sa.Boolean(), nullable=False),
        sa.Column("died", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index(op.f("ix_dead_letters_died"), "dead_letters", ["died"], unique=False)
    op.create_index(
        "ix_dead_letters_replay", "dead_letters", ["replay"], unique=False, postgresql_where=sa.text("replay")
    )
    op.create_table(
        "holds",
        sa.Column("generation", sa.Uuid(), nullable=False),
        sa.Column("book", sa.Uuid(), nullable=True),
        sa.Column("credits", sa.Integer(), nullable=False),
        sa.Column("captured", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'HELD') = (settled_at IS NULL)", name="ck_holds_settled"),
        sa.CheckConstraint("book IS NOT NULL OR (state = 'RELEASED' AND credits = 0)", name="ck_holds_book"),
        sa.CheckConstraint("state IN ('HELD', 'CAPTURED', 'RELEASED')", name="ck_holds_state"),
        sa.CheckConstraint("captured BETWEEN 0 AND credits", name="ck_holds_captured"),
        sa.PrimaryKeyConstraint("generation"),
    )
    op.create_index(
        "ix_holds_stale", "holds", ["expires_at"], unique=False, postgresql_where=sa.text("state = 'HELD'")
    )
    op.create_table(
        "inbox",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("claimed", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_inbox_claimed"), "inbox", ["claimed"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "lots",
        sa.Column("lot", sa.Uuid(), nullable=False),
        sa.Column("book", sa.Uuid(), nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.Column("available", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Integer(), nullable=False),
        sa.Column("expired", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("granted = available + held + settled + expired", name="ck_lots_balanced"),
        sa.CheckConstraint(
            "least(granted, available, held, settled, expired) >= 0", name="ck_lots_not_negative"
        ),
        sa.PrimaryKeyConstraint("lot"),
        postgresql_with={"fillfactor": 60},
    )
    op.create_index(op.f("ix_lots_book"), "lots", ["book"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "subjects",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "tombstones",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "transfers",
        sa.Column("book", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("transaction", sa.Uuid(), nullable=False),
        sa.Column("lot", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(generation IS NOT NULL) = (kind IN ('HOLD', 'CAPTURE', 'RELEASE'))",
            name="ck_transfers_generation",
        ),
        sa.CheckConstraint(
            "(kind, debit, credit) IN (('GRANT', 'GRANTED', 'AVAILABLE'), ('HOLD', 'AVAILABLE', 'HELD'), ('CAPTURE', 'HELD', 'SETTLED'), ('RELEASE', 'HELD', 'AVAILABLE'), ('EXPIRY', 'AVAILABLE', 'EXPIRED'))",
            name="ck_transfers_route",
        ),
        sa.CheckConstraint(
            "kind IN ('GRANT', 'HOLD', 'CAPTURE', 'RELEASE', 'EXPIRY')", name="ck_transfers_kind"
        ),
        sa.CheckConstraint("amount > 0", name="ck_transfers_amount"),
        sa.PrimaryKeyConstraint("book", "at", "transaction", "lot", "kind"),
    )
    op.create_index(
        "ix_transfers_generation",
        "transfers",
        ["generation"],
        unique=False,
        postgresql_where=sa.text("generation IS NOT NULL"),
    )
    op.create_table(
        "requests",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_requests_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account", "request_id"),
    )
    op.create_index(op.f("ix_requests_created"), "requests", ["created"], unique=False)
    op.create_table(
        "wallets",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("book", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_wallets_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account"),
        sa.UniqueConstraint("book"),
    )
