"""Erasures that are under way, and what they need."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "erasure_cases",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=True),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("plan_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("bus_before", sa.Integer(), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("supplement", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('APPROVED', 'ERASING', 'RECEIPT_SIGNED', 'CLOSED', 'VOIDED')",
            name="ck_erasure_cases_state",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_erasure_cases_account",
        "erasure_cases",
        ["account"],
        unique=False,
        postgresql_where=sa.text("account IS NOT NULL"),
    )
    op.create_index(
        "ix_erasure_cases_due",
        "erasure_cases",
        ["due"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('CLOSED', 'VOIDED')"),
    )
    op.create_table(
        "erasures",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("erasure", sa.Uuid(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows_gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_index(op.f("ix_erasures_due"), "erasures", ["due"], unique=False)
    op.create_table(
        "receipt_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("jwk", postgresql.JSONB(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "scrubs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("searched_bytes", sa.BigInteger(), nullable=False),
        sa.Column("searched_values", sa.Integer(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_scrubs_began_at"), "scrubs", ["began_at"], unique=False)
    op.create_table(
        "erasure_holders",
        sa.Column("erasure", sa.Uuid(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=False),
        sa.Column("left", postgresql.JSONB(), nullable=True),
        sa.Column("vendors", postgresql.JSONB(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('WAITING', 'ANSWERED', 'VERIFIED')", name="ck_erasure_holders_state"),
        sa.ForeignKeyConstraint(
            ["erasure"], ["erasure_cases.id"], name="fk_erasure_holders_case", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("erasure", "holder"),
    )
    op.create_table(
        "erasure_plans",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("plan_hash", sa.Text(), nullable=False),
        sa.Column("buckets", postgresql.JSONB(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_erasure_plans_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account", "plan_hash"),
    )
    op.create_index(op.f("ix_erasure_plans_made_at"), "erasure_plans", ["made_at"], unique=False)
