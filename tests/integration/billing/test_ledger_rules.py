"""The database keeps the books, whatever a program tries: every forbidden statement, and the sums."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import pytest

from services.billing.repository import Ledger
from tests.integration.billing.conftest import LIFETIME, Sql

NEW_LOT = "INSERT INTO lots VALUES ($1, $2, {balances}, NULL, now())"
TRANSFER = """
INSERT INTO transfers (book, at, transaction, lot, kind, debit, credit, amount, generation)
VALUES ($1, now(), gen_random_uuid(), $2, {values})
"""
CHANGE = "UPDATE holds SET {change} WHERE generation = $1"


@pytest.fixture
async def lot(person: UUID, sql: Sql) -> asyncpg.Record:
    """Somebody's lot of a hundred credits."""
    found = await sql.fetchrow("SELECT lots.* FROM wallets JOIN lots USING (book) WHERE account = $1", person)
    assert found is not None
    return found


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfers SET amount = amount + 1",
        "UPDATE transfers SET book = gen_random_uuid()",
        "DELETE FROM transfers",
        "TRUNCATE transfers",
        "UPDATE lots SET available = available + 1, granted = granted + 1",
        "UPDATE lots SET available = available - 1, settled = settled + 1",
        "UPDATE lots SET book = gen_random_uuid()",
        "UPDATE lots SET expires_at = now()",
        "DELETE FROM lots",
        "TRUNCATE lots",
        "DELETE FROM holds",
        "TRUNCATE holds",
        "MERGE INTO lots USING (SELECT 1) one ON true WHEN MATCHED THEN UPDATE SET granted = 0",
        "WITH gone AS (DELETE FROM transfers RETURNING *) SELECT count(*) FROM gone",
        "INSERT INTO lots TABLE lots ON CONFLICT (lot) DO UPDATE SET held = 9",
    ],
)
async def test_books_can_not_be_rewritten(statement: str, lot: asyncpg.Record, sql: Sql) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute(statement)
    assert await sql.fetchrow("SELECT * FROM lots WHERE lot = $1", lot["lot"]) == lot


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize("balances", ["1, 1, 0, 0, 0", "100, 0, 0, 100, 0"])
async def test_a_lot_begins_empty(balances: str, sql: Sql) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute(NEW_LOT.format(balances=balances), uuid4(), uuid4())


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize("balances", ["0, 1, 0, 0, 0", "0, 1, -1, 0, 0", "0, 0, 0, 1, -1", "0, -1, 1, 0, 0"])
async def test_a_lot_does_not_begin_out_of_balance(balances: str, sql: Sql) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await sql.execute(NEW_LOT.format(balances=balances), uuid4(), uuid4())


@pytest.mark.promise("3-transactions")
@pytest.mark.parametrize(
    "values",
    [
        "'GRANT', 'GRANTED', 'AVAILABLE', 0, NULL",
        "'GRANT', 'GRANTED', 'AVAILABLE', -5, NULL",
        "'GRANT', 'GRANTED', 'GRANTED', 5, NULL",
        "'GRANT', 'SETTLED', 'AVAILABLE', 5, NULL",
        "'GIFT', 'GRANTED', 'AVAILABLE', 5, NULL",
        "'HOLD', 'AVAILABLE', 'SETTLED', 5, gen_random_uuid()",
        "'HOLD', 'AVAILABLE', 'HELD', 5, NULL",
        "'GRANT', 'GRANTED', 'AVAILABLE', 5, gen_random_uuid()",
        # More than there is.
        "'HOLD', 'AVAILABLE', 'HELD', 101, gen_random_uuid()",
        "'CAPTURE', 'HELD', 'SETTLED', 1, gen_random_uuid()",
        "'RELEASE', 'HELD', 'AVAILABLE', 1, gen_random_uuid()",
        "'EXPIRY', 'AVAILABLE', 'EXPIRED', 101, NULL",
    ],
)
async def test_a_transfer_that_would_unbalance_is_refused(values: str, lot: asyncpg.Record, sql: Sql) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await sql.execute(TRANSFER.format(values=values), lot["book"], lot["lot"])
    assert await sql.fetchrow("SELECT * FROM lots WHERE lot = $1", lot["lot"]) == lot


async def test_a_transfer_needs_a_lot_of_its_own_book(lot: asyncpg.Record, sql: Sql) -> None:
    values = TRANSFER.format(values="'GRANT', 'GRANTED', 'AVAILABLE', 5, NULL")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await sql.execute(values, uuid4(), lot["lot"])
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await sql.execute(values, lot["book"], uuid4())


async def test_more_credits_than_an_int32_are_refused(lot: asyncpg.Record, sql: Sql) -> None:
    values = TRANSFER.format(values="'GRANT', 'GRANTED', 'AVAILABLE', 2147483647, NULL")
    with pytest.raises(asyncpg.NumericValueOutOfRangeError):
        await sql.execute(values, lot["book"], lot["lot"])


@pytest.mark.parametrize(
    "change",
    [
        "state = 'HELD', settled_at = NULL",
        "state = 'RELEASED'",
        "captured = 4",
        "credits = 9",
    ],
)
async def test_a_hold_that_ended_stays_as_it_ended(
    change: str, person: UUID, ledger: Ledger, sql: Sql
) -> None:
    generation = uuid4()
    await ledger.place(person, generation, 8, LIFETIME)
    await ledger.settle(generation, 3)
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute(CHANGE.format(change=change), generation)


@pytest.mark.parametrize(
    "change", ["credits = 9", "credits = 9, state = 'RELEASED'", "book = gen_random_uuid()"]
)
async def test_a_hold_is_not_changed_while_it_stands(
    change: str, person: UUID, ledger: Ledger, sql: Sql
) -> None:
    generation = uuid4()
    await ledger.place(person, generation, 8, LIFETIME)
    with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError)):
        await sql.execute(CHANGE.format(change=change), generation)


@pytest.mark.promise("3-transactions")
async def test_what_one_statement_of_several_breaks_none_of_them_changes(
    lot: asyncpg.Record, sql: Sql
) -> None:
    good = TRANSFER.format(values="'HOLD', 'AVAILABLE', 'HELD', 60, gen_random_uuid()")

    async def twice() -> None:
        async with sql.transaction():
            await sql.execute(good, lot["book"], lot["lot"])
            await sql.execute(good, lot["book"], lot["lot"])

    with pytest.raises(asyncpg.CheckViolationError):
        await twice()
    assert await sql.fetchrow("SELECT * FROM lots WHERE lot = $1", lot["lot"]) == lot


@pytest.mark.promise("3-transactions")
async def test_the_trial_balance_is_zero_and_agrees_with_the_transfers(
    person: UUID, ledger: Ledger, sql: Sql
) -> None:
    generation = uuid4()
    await ledger.place(person, generation, 8, LIFETIME)
    await ledger.settle(generation, 3)
    rows = await sql.fetch("SELECT * FROM trial_balance")
    assert {row["account"] for row in rows} == {"GRANTED", "AVAILABLE", "HELD", "SETTLED", "EXPIRED"}
    assert sum(row["balance"] for row in rows) == 0
    assert all(row["balance"] == row["transferred"] for row in rows)
