"""The tables of generation.

Revision ID: 0001
Revises:
"""

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
        "egress",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Uuid(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("fields_sent", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("assets", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("sent_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purge_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sandbox", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('SENT', 'ANSWERED', 'NOT_ACCEPTED', 'UNKNOWN')", name="ck_egress_outcome"
        ),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_egress_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_egress_generation", "egress", ["account", "generation", "sent_time", "id"], unique=False
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("unit_credits", sa.Integer(), nullable=False),
        sa.Column("outputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("charged_credits", sa.Integer(), nullable=False),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Uuid(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "failure_reason IN ('CONTENT_REFUSED', 'INPUT_UNAVAILABLE', 'INTERNAL', 'ORDER_REFUSED', "
            "'OUTCOME_UNKNOWN', 'OUTPUT_INVALID', 'STORAGE_UNAVAILABLE', 'VENDOR_UNAVAILABLE')",
            name="ck_jobs_failure_reason",
        ),
        sa.CheckConstraint(
            "state IN ('RESERVED', 'SUBMITTING', 'ACCEPTED', 'RUNNING', 'UNKNOWN', 'SUCCEEDED', 'FAILED', "
            "'CANCELLED')",
            name="ck_jobs_state",
        ),
        sa.CheckConstraint(
            "task IN ('TEXT_TO_IMAGE', 'IMAGE_TO_IMAGE', 'TEXT_TO_3D', 'IMAGE_TO_3D', 'TEXT_TO_AUDIO', "
            "'TEXT_TO_SPEECH', 'TEXT_TO_VIDEO')",
            name="ck_jobs_task",
        ),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_jobs_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_jobs_account",
        "jobs",
        ["account", sa.literal_column("create_time DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_jobs_under_way",
        "jobs",
        ["account"],
        unique=False,
        postgresql_where=sa.text("state IN ('SUBMITTING', 'ACCEPTED', 'RUNNING', 'UNKNOWN')"),
    )
    op.create_index(
        "ix_jobs_waiting",
        "jobs",
        ["create_time"],
        unique=False,
        postgresql_where=sa.text("state = 'RESERVED'"),
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
        "attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('CLAIMED', 'SENT', 'ANSWERED', 'NOT_ACCEPTED', 'UNKNOWN', 'ABANDONED', 'DONE')",
            name="ck_attempts_state",
        ),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_attempts_subject", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["generation"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_attempts_account"), "attempts", ["account"], unique=False)
    op.create_index(op.f("ix_attempts_generation"), "attempts", ["generation"], unique=False)
    op.create_index(
        "ix_attempts_open",
        "attempts",
        ["claimed_until"],
        unique=False,
        postgresql_where=sa.text("state IN ('CLAIMED', 'SENT', 'ANSWERED')"),
    )
    op.create_table(
        "transitions",
        sa.Column("generation", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('RESERVED', 'SUBMITTING', 'ACCEPTED', 'RUNNING', 'UNKNOWN', 'SUCCEEDED', 'FAILED', "
            "'CANCELLED')",
            name="ck_transitions_state",
        ),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_transitions_subject", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["generation"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("generation", "seq"),
    )
    op.create_index(op.f("ix_transitions_account"), "transitions", ["account"], unique=False)
