"""What nobody uses is counted down: what was there before begins to be idle now."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # The default is for versions that do not know the column, and stays.
    column = sa.Column(
        "idle_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )
    op.add_column("assets", column)
    op.create_index(op.f("ix_assets_idle_since"), "assets", ["idle_since"], unique=False)
    op.create_table(
        "countdowns",
        sa.Column("asset", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("remove_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("notice", sa.Uuid(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_countdowns_subject", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["asset"], ["assets.id"], name="fk_countdowns_asset", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("asset"),
    )
    op.create_index(op.f("ix_countdowns_account"), "countdowns", ["account"], unique=False)
