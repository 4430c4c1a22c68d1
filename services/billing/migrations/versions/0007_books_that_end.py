"""Books of people who left end on a day: they are removed whole, and what they add up to is carried forward.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

HOUSE = "00000000-0000-0000-0000-000000000000"
KINDS = "'GRANT', 'HOLD', 'CAPTURE', 'RELEASE', 'EXPIRY', 'CARRY'"
ROUTES = """
    ('GRANT', 'GRANTED', 'AVAILABLE'), ('HOLD', 'AVAILABLE', 'HELD'), ('CAPTURE', 'HELD', 'SETTLED'),
    ('RELEASE', 'HELD', 'AVAILABLE'), ('EXPIRY', 'AVAILABLE', 'EXPIRED'), ('CARRY', 'GRANTED', 'AVAILABLE'),
    ('CARRY', 'GRANTED', 'SETTLED'), ('CARRY', 'GRANTED', 'EXPIRED')
"""
# More is permitted than before: no row that stands can break it, so that none is read under this lock (0008).
WIDENED = """
ALTER TABLE transfers DROP CONSTRAINT ck_transfers_{name},
    ADD CONSTRAINT ck_transfers_{name} CHECK ({rule}) NOT VALID
"""

# Depth 1 is a client's own statement, 2 is the trigger below: nothing else removes anything.
REFUSE = """
CREATE OR REPLACE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'rows of % are not changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""

# The row of a closed book takes the book along, if its day has come by the database's own clock, whatever
# time who removes it believes it to be. What its lots have stands in the house's book afterwards (that of
# zeros), a transfer for each account (two, should an int32 not hold it), so that no total changes. Booked as
# of the day. Each hold has a HOLD in the same book, from which it is found; those that were given back before
# they were placed have no book, and go with those of their year.
REMOVE = """
CREATE FUNCTION closed_books_take_their_rows_along() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    v_house CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_day timestamptz := (SELECT max(until) FROM closed);
    v_transaction uuid := gen_random_uuid();
BEGIN
    IF EXISTS (
        SELECT FROM closed WHERE until > now()
            OR EXISTS (SELECT FROM wallets WHERE wallets.book = closed.book)
            OR EXISTS (SELECT FROM lots WHERE lots.book = closed.book AND lots.held > 0)
    ) THEN
        RAISE EXCEPTION 'a book stays until its day, while it is somebody''s, and while something is held'
            USING ERRCODE = 'restrict_violation';
    END IF;
    WITH sums AS (
        SELECT sum(available) AS available, sum(settled) AS settled, sum(expired) AS expired
        FROM lots JOIN closed USING (book)
    ), carried AS MATERIALIZED (
        SELECT gen_random_uuid() AS lot, account, least(total - begun, 2000000000)::integer AS amount
        FROM sums
        CROSS JOIN LATERAL (VALUES ('AVAILABLE', available), ('SETTLED', settled), ('EXPIRED', expired))
            AS accounts (account, total)
        CROSS JOIN LATERAL generate_series(0, total - 1, 2000000000) AS begun
    ), opened AS (
        INSERT INTO lots (lot, book, granted, available, held, settled, expired, expires_at, created_at)
        SELECT lot, v_house, 0, 0, 0, 0, 0, NULL, v_day FROM carried
    )
    INSERT INTO transfers (book, at, transaction, lot, kind, debit, credit, amount)
    SELECT v_house, v_day, v_transaction, lot, 'CARRY', 'GRANTED', account, amount FROM carried;
    DELETE FROM holds WHERE generation IN (SELECT generation FROM transfers JOIN closed USING (book));
    DELETE FROM holds WHERE book IS NULL AND settled_at < v_day - interval '10 years';
    DELETE FROM transfers USING closed WHERE transfers.book = closed.book;
    DELETE FROM lots USING closed WHERE lots.book = closed.book;
    RETURN NULL;
END $$
"""
TRIGGERS = (
    """
    CREATE TRIGGER closed_books_remove AFTER DELETE ON closed_books REFERENCING OLD TABLE AS closed
    FOR EACH STATEMENT EXECUTE FUNCTION closed_books_take_their_rows_along()
    """,
    """
    CREATE TRIGGER closed_books_stay BEFORE UPDATE OR TRUNCATE ON closed_books
    EXECUTE FUNCTION ledger_is_append_only()
    """,
)

# Those who left before: ten whole years after the year of the last entry.
CLOSE = """
INSERT INTO closed_books (book, until)
SELECT book, make_timestamptz(extract(year FROM last.at AT TIME ZONE 'UTC')::int + 11, 1, 1, 0, 0, 0, 'UTC')
FROM (
    SELECT DISTINCT book FROM lots WHERE NOT EXISTS (SELECT FROM wallets WHERE wallets.book = lots.book)
) nobodys
CROSS JOIN LATERAL (
    SELECT at FROM transfers WHERE transfers.book = nobodys.book ORDER BY at DESC LIMIT 1
) last
"""


def upgrade() -> None:
    op.create_table(
        "closed_books",
        sa.Column("book", sa.Uuid(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"book <> '{HOUSE}'::uuid", name="ck_closed_books_book"),
        sa.PrimaryKeyConstraint("book"),
    )
    op.create_index(op.f("ix_closed_books_until"), "closed_books", ["until"], unique=False)
    op.create_index(
        "ix_holds_bookless",
        "holds",
        ["settled_at"],
        unique=False,
        postgresql_where=sa.text("book IS NULL"),
    )
    op.execute(WIDENED.format(name="kind", rule=f"kind IN ({KINDS})"))
    op.execute(WIDENED.format(name="route", rule=f"(kind, debit, credit) IN ({ROUTES})"))
    for statement in (REFUSE, REMOVE, *TRIGGERS, CLOSE):
        op.execute(statement)
