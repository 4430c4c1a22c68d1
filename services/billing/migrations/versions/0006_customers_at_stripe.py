"""Customers at Stripe, and which of them are to be closed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "closings",
        sa.Column("book", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("erasure", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('OPENING', 'ADOPTED', 'WANTED', 'CLOSED')", name="ck_closings_state"),
        sa.PrimaryKeyConstraint("book"),
    )
    op.create_index("ix_closings_due", "closings", ["state", "due"], unique=False)
    op.create_index(op.f("ix_closings_erasure"), "closings", ["erasure"], unique=False)
    op.create_table(
        "stripe_customers",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_stripe_customers_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account"),
        sa.UniqueConstraint("customer"),
    )
