"""What was posted is not edited, and what was accepted is not rewritten.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REFUSE = """
CREATE FUNCTION rows_stay_as_they_are() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % stay as they were written', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER documents_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON documents"
        " EXECUTE FUNCTION rows_stay_as_they_are()"
    )
    # Not DELETE: a person's acceptances go with the person.
    op.execute(
        "CREATE TRIGGER acceptances_stay BEFORE UPDATE ON acceptances"
        " EXECUTE FUNCTION rows_stay_as_they_are()"
    )
