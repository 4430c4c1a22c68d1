"""Erasures that are under way, and what they need."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
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
        "vendor_copies",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("heard", sa.Boolean(), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purge_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unwanted", sa.Boolean(), nullable=False),
        sa.Column("erasure", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_vendor_copies_erasure",
        "vendor_copies",
        ["erasure"],
        unique=False,
        postgresql_where=sa.text("erasure IS NOT NULL"),
    )
    op.create_index(op.f("ix_vendor_copies_expire_time"), "vendor_copies", ["expire_time"], unique=False)
    op.create_index(
        "ix_vendor_copies_open",
        "vendor_copies",
        ["unwanted"],
        unique=False,
        postgresql_where=sa.text("purge_time IS NULL"),
    )
