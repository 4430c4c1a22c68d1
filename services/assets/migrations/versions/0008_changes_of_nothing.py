"""Renditions of publications take a change of nothing."""

from alembic import op

revision = "0008"
down_revision = "0007"

# A scrub writes rows of nobody's again as they are, so that nothing tells in which transaction each was made.
STAYS = """
CREATE FUNCTION publication_rendition_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'what was published stays as it is' USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.execute(STAYS)
    op.execute("DROP TRIGGER publication_renditions_stay ON publication_renditions")
    op.execute(
        "CREATE TRIGGER publication_renditions_stay BEFORE UPDATE OR DELETE ON publication_renditions "
        "FOR EACH ROW EXECUTE FUNCTION publication_rendition_stays()"
    )
    op.execute(
        "CREATE TRIGGER publication_renditions_stay_all BEFORE TRUNCATE ON publication_renditions "
        "FOR EACH STATEMENT EXECUTE FUNCTION publications_stay()"
    )
    for trigger in ("publication_renditions_stay", "publication_renditions_stay_all"):
        op.execute(f"ALTER TABLE publication_renditions ENABLE ALWAYS TRIGGER {trigger}")
