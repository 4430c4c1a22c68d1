"""Who objects to training, and the works that it takes out."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "training_objections",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_training_objections_subject", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "training_withdrawn",
        sa.Column("publication", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication"],
            ["publications.id"],
            name="fk_training_withdrawn_publication",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("publication"),
    )
