"""Packs, and what is in them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "packs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_packs_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_packs_account_created", "packs", ["account", "created_at", "id"], unique=False)
    op.create_table(
        "pack_items",
        sa.Column("pack", sa.Uuid(), nullable=False),
        sa.Column("asset", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_pack_items_subject", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["asset"], ["assets.id"], name="fk_pack_items_asset", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["pack"], ["packs.id"], name="fk_pack_items_pack", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pack", "asset"),
    )
    op.create_index(op.f("ix_pack_items_account"), "pack_items", ["account"], unique=False)
    op.create_index(op.f("ix_pack_items_asset"), "pack_items", ["asset"], unique=False)
