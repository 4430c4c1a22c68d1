"""Uploads, assets, their lineage and their objects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


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
        "assets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("object", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Uuid(), nullable=True),
        sa.Column("output_index", sa.Integer(), nullable=True),
        sa.Column("from_upload", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('IMAGE', 'MODEL', 'AUDIO', 'VIDEO', 'TEXT')", name="ck_assets_kind"),
        sa.CheckConstraint("origin IN ('INPUT', 'OUTPUT')", name="ck_assets_origin"),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_assets_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_assets_account_created", "assets", ["account", "created_at", "id"], unique=False)
    op.create_index(
        "ux_assets_output",
        "assets",
        ["generation", "output_index"],
        unique=True,
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
        "uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("quarantine", sa.Uuid(), nullable=False),
        sa.Column("asset", sa.Uuid(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusal", postgresql.JSONB(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_uploads_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_uploads_account_opened", "uploads", ["account", "opened_at"], unique=False)
    op.create_index(
        "ix_uploads_open",
        "uploads",
        ["quarantine"],
        unique=False,
        postgresql_where=sa.text("completed_at IS NULL"),
    )
    op.create_index("ix_uploads_opened", "uploads", ["opened_at"], unique=False)
    op.create_table(
        "lineage",
        sa.Column("output", sa.Uuid(), nullable=False),
        sa.Column("input", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_lineage_subject", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["input"], ["assets.id"], name="fk_lineage_input", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["output"], ["assets.id"], name="fk_lineage_output", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("output", "input"),
    )
    op.create_index(op.f("ix_lineage_account"), "lineage", ["account"], unique=False)
    op.create_index(op.f("ix_lineage_input"), "lineage", ["input"], unique=False)
    op.create_table(
        "objects",
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("asset", sa.Uuid(), nullable=True),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shelved", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["asset"], ["assets.id"], name="fk_objects_asset", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_objects_asset"), "objects", ["asset"], unique=False)
    op.create_index(
        "ix_objects_loose", "objects", ["noted_at"], unique=False, postgresql_where=sa.text("asset IS NULL")
    )
