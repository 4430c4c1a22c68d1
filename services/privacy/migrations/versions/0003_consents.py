"""The ledger of consents: changes in a chain, and the commitments that outlive their person.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KINDS = "'POLICY', 'TERMS', 'MARKETING_EMAIL_TEXT', 'PUBLIC_OUTPUT_TRAINING_TEXT'"
# A change comes after the one before, and the first after nothing (32 zero bytes).
CHAINED = """
CREATE FUNCTION consent_changes_are_chained() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_before bytea := decode(repeat('00', 32), 'hex');
BEGIN
    IF NEW.number <> 1 THEN
        SELECT commitment INTO v_before FROM consent_changes
        WHERE account = NEW.account AND number = NEW.number - 1;
    END IF;
    IF NEW.previous = v_before THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a change follows the one before' USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.drop_constraint("ck_documents_kind", "documents")
    op.create_check_constraint("ck_documents_kind", "documents", f"kind IN ({KINDS})")
    op.create_table(
        "commitments",
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("commitment"),
    )
    op.create_table(
        "consent_changes",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("text_version", sa.Text(), nullable=False),
        sa.Column("text_sha256", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('MARKETING_EMAIL', 'PUBLIC_OUTPUT_TRAINING')", name="ck_consent_changes_kind"
        ),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_consent_changes_subject", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["commitment"], ["commitments.commitment"]),
        sa.PrimaryKeyConstraint("account", "number"),
        sa.UniqueConstraint("commitment"),
    )
    op.execute(CHAINED)
    op.execute(
        "CREATE TRIGGER consent_changes_chained BEFORE INSERT ON consent_changes"
        " FOR EACH ROW EXECUTE FUNCTION consent_changes_are_chained()"
    )
    # Not DELETE: changes go with their person, commitments stay.
    op.execute(
        "CREATE TRIGGER consent_changes_stay BEFORE UPDATE ON consent_changes"
        " EXECUTE FUNCTION rows_stay_as_they_are()"
    )
    op.execute(
        "CREATE TRIGGER commitments_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON commitments"
        " EXECUTE FUNCTION rows_stay_as_they_are()"
    )
