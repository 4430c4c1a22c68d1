"""Packs that everyone sees."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    column = sa.Column("public", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    op.add_column("packs", column)
