"""Notices that files are going to be removed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KINDS = (
    "'CONFIRM_ADDRESS', 'SIGN_UP_ATTEMPTED', 'SESSION_ENDED_FOR_SAFETY', 'ACCOUNT_DELETED', "
    "'REMOVAL_SCHEDULED'"
)


def upgrade() -> None:
    op.drop_constraint("ck_mails_kind", "mails")
    op.create_check_constraint("ck_mails_kind", "mails", f"kind IN ({KINDS})")
    op.add_column("mails", sa.Column("files", sa.Integer(), nullable=True))
