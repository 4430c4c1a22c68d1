"""What somebody subscribed to; and who is to be closed at Stripe is found by their name there.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "stripe_subscriptions",
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_stripe_subscriptions_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("subscription"),
    )
    op.create_index(
        op.f("ix_stripe_subscriptions_account"), "stripe_subscriptions", ["account"], unique=False
    )
    # Small while nobody has paid yet: made in a moment.
    op.create_index(op.f("ix_closings_customer"), "closings", ["customer"], unique=False)
