"""What 0007 permits transfers to be is looked up in those that stand, while others go on writing.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("kind", "route"):
        op.execute(f"ALTER TABLE transfers VALIDATE CONSTRAINT ck_transfers_{name}")
