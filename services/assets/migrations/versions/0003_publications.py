"""Publications, append-only, with their likes; the public bytes that are being written."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


# What may change: whose it is, and what says so, becomes nobody's; a takedown. Columns that come later
# are among those that may not.
STAYS = """
CREATE FUNCTION publication_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  free constant text[] := ARRAY['account', 'asset', 'attribution', 'taken_down'];
BEGIN
  IF TG_OP = 'UPDATE'
    AND to_jsonb(NEW) - free = to_jsonb(OLD) - free
    AND (NEW.account IS NULL OR NEW.account IS NOT DISTINCT FROM OLD.account)
    AND (NEW.asset IS NULL OR NEW.asset IS NOT DISTINCT FROM OLD.asset)
    AND (NEW.attribution IS NULL OR NEW.attribution IS NOT DISTINCT FROM OLD.attribution)
    AND NEW.taken_down >= OLD.taken_down
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'what was published stays as it is' USING ERRCODE = 'restrict_violation';
END $$
"""
REFUSED = """
CREATE FUNCTION publications_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what was published stays as it is' USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.create_table(
        "copying",
        sa.Column("publication", sa.Uuid(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("abandoned", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("publication"),
    )
    op.create_index(op.f("ix_copying_noted_at"), "copying", ["noted_at"], unique=False)
    op.create_table(
        "publications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=True),
        sa.Column("asset", sa.Uuid(), nullable=True),
        sa.Column("attribution", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("published_on", sa.Date(), nullable=False),
        sa.Column("licence_version", sa.Text(), nullable=False),
        sa.Column("licence_sha256", sa.Text(), nullable=False),
        sa.Column("training_eligible", sa.Boolean(), nullable=False),
        sa.Column("taken_down", sa.Boolean(), nullable=False),
        sa.CheckConstraint("attribution IN ('NAMED', 'ANONYMOUS')", name="ck_publications_attribution"),
        sa.CheckConstraint(
            "kind IN ('IMAGE', 'MODEL', 'AUDIO', 'VIDEO', 'TEXT')", name="ck_publications_kind"
        ),
        sa.CheckConstraint(
            "account IS NOT NULL OR (asset IS NULL AND attribution IS NULL)", name="ck_publications_anonymous"
        ),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_publications_subject", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["asset"], ["assets.id"], name="fk_publications_asset", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_publications_account"), "publications", ["account"], unique=False)
    op.create_index(
        "ux_publications_asset",
        "publications",
        ["asset"],
        unique=True,
        postgresql_where=sa.text("asset IS NOT NULL"),
    )
    op.create_table(
        "likes",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("publication", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_likes_subject", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["publication"], ["publications.id"], name="fk_likes_publication", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account", "publication"),
    )
    op.create_table(
        "publication_counts",
        sa.Column("publication", sa.Uuid(), nullable=False),
        sa.Column("likes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication"], ["publications.id"], name="fk_counts_publication", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("publication"),
    )
    op.execute(STAYS)
    op.execute(REFUSED)
    op.execute(
        "CREATE TRIGGER publications_stay BEFORE UPDATE OR DELETE ON publications "
        "FOR EACH ROW EXECUTE FUNCTION publication_stays()"
    )
    op.execute(
        "CREATE TRIGGER publications_stay_all BEFORE TRUNCATE ON publications "
        "FOR EACH STATEMENT EXECUTE FUNCTION publications_stay()"
    )
    for trigger in ("publications_stay", "publications_stay_all"):
        op.execute(f"ALTER TABLE publications ENABLE ALWAYS TRIGGER {trigger}")
