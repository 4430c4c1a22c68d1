"""Erasures that are under way, and what they need."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KINDS = "'CONFIRM_ADDRESS', 'SIGN_UP_ATTEMPTED', 'SESSION_ENDED_FOR_SAFETY', 'ACCOUNT_DELETED'"


def upgrade() -> None:
    op.drop_constraint("ck_mails_kind", "mails")
    op.create_check_constraint("ck_mails_kind", "mails", f"kind IN ({KINDS})")
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
        "retained_farewells",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_retained_farewells_create_time"), "retained_farewells", ["create_time"], unique=False
    )
    op.create_index(op.f("ix_retained_farewells_due_at"), "retained_farewells", ["due_at"], unique=False)
    op.create_index(op.f("ix_retained_farewells_until"), "retained_farewells", ["until"], unique=False)
    op.create_table(
        "retained_names",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pseudonym", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("keyed_hash", sa.LargeBinary(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('ADDRESS', 'USERNAME')", name="ck_retained_names_kind"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_retained_names_keyed_hash"), "retained_names", ["keyed_hash"], unique=False)
    op.create_index(op.f("ix_retained_names_until"), "retained_names", ["until"], unique=False)
    op.create_table(
        "retained_security_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pseudonym", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_retained_security_log_until"), "retained_security_log", ["until"], unique=False)
