"""What a holder had before is null if it was silent, and nobody counted it.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("erasure_holders", "before", nullable=True)
