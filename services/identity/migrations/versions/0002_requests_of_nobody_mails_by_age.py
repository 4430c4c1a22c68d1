"""Sign-up requests belong to nobody, and mails end by their age."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # The column stays, empty, because the processes before this one write it; without the key to the
    # account, what they write does not go with it either.
    op.drop_constraint("fk_sign_up_requests_subject", "sign_up_requests", type_="foreignkey")
    op.alter_column("sign_up_requests", "account", existing_type=sa.Uuid(), nullable=True)
    op.drop_index("ix_sign_up_requests_account", table_name="sign_up_requests")
    op.execute("UPDATE sign_up_requests SET account = NULL")
    op.create_index("ix_mails_create_time", "mails", ["create_time"], unique=False)
