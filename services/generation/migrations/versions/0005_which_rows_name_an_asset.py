"""Which rows name an asset: so that they can forget it, and its copies can be found."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for table, column in (("jobs", "inputs"), ("egress", "assets")):
        op.create_index(
            f"ix_{table}_{column}",
            table,
            [column],
            postgresql_using="gin",
            postgresql_ops={column: "jsonb_path_ops"},
            postgresql_where=sa.text(f"{column} <> '[]'"),
        )
