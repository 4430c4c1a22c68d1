"""The rules of the ledger: transfers move balances, nothing else does, and nothing is taken back.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A transfer moves the two balances it names, in the statement that writes it. The row of the lot is the lock
# under which that happens; the CHECKs of `lots` (none negative, debits equal credits) refuse the statement.
MOVE = """
CREATE FUNCTION transfers_move_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE lots SET
        granted = granted + CASE NEW.debit WHEN 'GRANTED' THEN NEW.amount ELSE 0 END,
        available = available + CASE 'AVAILABLE'
            WHEN NEW.credit THEN NEW.amount WHEN NEW.debit THEN -NEW.amount ELSE 0 END,
        held = held + CASE 'HELD'
            WHEN NEW.credit THEN NEW.amount WHEN NEW.debit THEN -NEW.amount ELSE 0 END,
        settled = settled + CASE NEW.credit WHEN 'SETTLED' THEN NEW.amount ELSE 0 END,
        expired = expired + CASE NEW.credit WHEN 'EXPIRED' THEN NEW.amount ELSE 0 END
    WHERE lot = NEW.lot AND book = NEW.book;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a transfer needs a lot of its book' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$
"""

# Depth 1 is a client's own statement, 2 is the trigger above.
GUARD_LOTS = """
CREATE FUNCTION lots_move_by_transfers_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.granted = 0 THEN
        RETURN NEW;  -- the CHECKs make the other balances 0 as well
    ELSIF TG_OP = 'UPDATE' AND pg_trigger_depth() > 1 THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'balances move by transfers only' USING ERRCODE = 'restrict_violation';
END $$
"""

# A hold ends once, and what it was placed for stays as it was.
GUARD_HOLDS = """
CREATE FUNCTION holds_end_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'HELD' AND NEW.state <> 'HELD'
        AND NEW.generation = OLD.generation AND NEW.book = OLD.book
        AND NEW.credits = OLD.credits AND NEW.placed_at = OLD.placed_at
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a hold ends once' USING ERRCODE = 'restrict_violation';
END $$
"""

REFUSE = """
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are not changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""

# Draws the lots that end soonest first. Locks them in one order, so that two orders of one person wait for
# each other and can't deadlock. No row: there is no such wallet. A row whose hold is null: what is available
# does not suffice. Placed before: the hold that stands, and whether it is in this wallet's book.
# Without `enable_seqscan`, plans that were made while the tables were small would be kept when they are not.
PLACE_HOLD = """
CREATE FUNCTION place_hold(
    p_account uuid, p_generation uuid, p_credits integer, p_transaction uuid,
    p_at timestamptz, p_expires_at timestamptz
) RETURNS TABLE (
    available integer, own boolean, generation uuid, book uuid, credits integer, captured integer,
    state text, placed_at timestamptz, expires_at timestamptz, settled_at timestamptz
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_book uuid;
    v_available bigint;
    v_left integer := p_credits;
    v_lot uuid;
    v_drawn integer;
BEGIN
    SELECT book INTO v_book FROM wallets WHERE account = p_account;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT coalesce(sum(usable.available), 0) INTO v_available FROM (
        SELECT available FROM lots
        WHERE book = v_book AND available > 0 AND (expires_at IS NULL OR expires_at > p_at)
        ORDER BY expires_at NULLS LAST, lot FOR UPDATE
    ) usable;
    IF v_available >= p_credits THEN
        INSERT INTO holds (generation, book, credits, captured, state, placed_at, expires_at)
        VALUES (p_generation, v_book, p_credits, 0, 'HELD', p_at, p_expires_at)
        ON CONFLICT (generation) DO NOTHING;
        IF FOUND THEN
            FOR v_lot, v_drawn IN
                SELECT lot, available FROM lots
                WHERE book = v_book AND available > 0 AND (expires_at IS NULL OR expires_at > p_at)
                ORDER BY expires_at NULLS LAST, lot
            LOOP
                v_drawn := least(v_drawn, v_left);
                INSERT INTO transfers (book, at, transaction, lot, kind, debit, credit, amount, generation)
                VALUES (
                    v_book, p_at, p_transaction, v_lot, 'HOLD', 'AVAILABLE', 'HELD', v_drawn, p_generation
                );
                v_left := v_left - v_drawn;
                EXIT WHEN v_left = 0;
            END LOOP;
        END IF;
    END IF;
    RETURN QUERY
        SELECT least(v_available, 2147483647)::integer, h.book = v_book, h.generation, h.book, h.credits,
            h.captured, h.state, h.placed_at, h.expires_at, h.settled_at
        FROM (VALUES (p_generation)) asked (generation) LEFT JOIN holds h ON h.generation = asked.generation;
END $$
"""

# Ends a hold once: captures up to `p_credits` from the lots it was drawn from, in the same order, and
# releases the rest. No row: there is no hold, or it ended before.
SETTLE_HOLD = """
CREATE FUNCTION settle_hold(p_generation uuid, p_credits integer, p_transaction uuid, p_at timestamptz)
RETURNS SETOF holds LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_hold holds;
    v_left integer;
    v_drawn transfers;
    v_taken integer;
BEGIN
    UPDATE holds SET
        captured = least(p_credits, credits),
        state = CASE WHEN least(p_credits, credits) > 0 THEN 'CAPTURED' ELSE 'RELEASED' END,
        settled_at = p_at
    WHERE generation = p_generation AND state = 'HELD' RETURNING * INTO v_hold;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_left := v_hold.captured;
    FOR v_drawn IN
        SELECT t.* FROM transfers t JOIN lots l USING (lot)
        WHERE t.generation = p_generation AND t.kind = 'HOLD' ORDER BY l.expires_at NULLS LAST, l.lot
    LOOP
        v_taken := least(v_left, v_drawn.amount);
        v_left := v_left - v_taken;
        INSERT INTO transfers (book, at, transaction, lot, kind, debit, credit, amount, generation)
        SELECT v_drawn.book, p_at, p_transaction, v_drawn.lot, leg.kind, 'HELD', leg.credit, leg.amount,
            p_generation
        FROM (VALUES ('CAPTURE', 'SETTLED', v_taken), ('RELEASE', 'AVAILABLE', v_drawn.amount - v_taken))
            AS leg (kind, credit, amount)
        WHERE leg.amount > 0;
    END LOOP;
    RETURN NEXT v_hold;
END $$
"""

EACH_ROW = "CREATE TRIGGER {name} {when} FOR EACH ROW EXECUTE FUNCTION {does}()"
APPEND_ONLY = """
CREATE TRIGGER {table}_stay BEFORE {changes} OR TRUNCATE ON {table}
EXECUTE FUNCTION ledger_is_append_only()
"""
TRIGGERS = [
    EACH_ROW.format(name="transfers_move", when="AFTER INSERT ON transfers", does="transfers_move_balances"),
    EACH_ROW.format(
        name="lots_guard", when="BEFORE INSERT OR UPDATE ON lots", does="lots_move_by_transfers_only"
    ),
    EACH_ROW.format(name="holds_guard", when="BEFORE UPDATE ON holds", does="holds_end_once"),
    APPEND_ONLY.format(table="transfers", changes="UPDATE OR DELETE"),
    APPEND_ONLY.format(table="lots", changes="DELETE"),
    APPEND_ONLY.format(table="holds", changes="DELETE"),
]

# Each account of the house's whole ledger: the balance that stands, and what its transfers add up to. Credits
# are positive, debits negative: the balances sum to 0, and both columns agree.
TRIAL_BALANCE = """
CREATE VIEW trial_balance AS
SELECT account, coalesce(balance, 0) AS balance, coalesce(transferred, 0) AS transferred
FROM (
    SELECT -sum(granted) AS granted, sum(available) AS available, sum(held) AS held,
        sum(settled) AS settled, sum(expired) AS expired
    FROM lots
) balances
CROSS JOIN LATERAL (VALUES
    ('GRANTED', granted), ('AVAILABLE', available), ('HELD', held), ('SETTLED', settled), ('EXPIRED', expired)
) AS accounts (account, balance)
LEFT JOIN (
    SELECT account, sum(amount) AS transferred
    FROM (
        SELECT debit AS account, -amount AS amount FROM transfers
        UNION ALL SELECT credit, amount FROM transfers
    ) legs
    GROUP BY account
) moved USING (account)
"""


def upgrade() -> None:
    for function in (MOVE, GUARD_LOTS, GUARD_HOLDS, REFUSE, PLACE_HOLD, SETTLE_HOLD):
        op.execute(function)
    for statement in (*TRIGGERS, TRIAL_BALANCE):
        op.execute(statement)
