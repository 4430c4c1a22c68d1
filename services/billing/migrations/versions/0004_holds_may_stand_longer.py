"""A hold that stands may stand longer, if its job is still under way.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A hold ends once, and what it was placed for stays as it was; until it ends, its time may be moved.
GUARD_HOLDS = """
CREATE OR REPLACE FUNCTION holds_end_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'HELD' AND (NEW.state <> 'HELD' OR NEW.captured = OLD.captured)
        AND NEW.generation = OLD.generation AND NEW.book = OLD.book
        AND NEW.credits = OLD.credits AND NEW.placed_at = OLD.placed_at
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a hold ends once' USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.execute(GUARD_HOLDS)
