"""Questions to the services' databases. Each asks for what should not be there, and answers it as text."""

from __future__ import annotations

OPEN_CASES = "SELECT id::text || ' is ' || state FROM erasure_cases WHERE state IN ('APPROVED', 'ERASING')"
UNDER_WAY = "SELECT account::text || ' ' || cause FROM erasures"
UNSENT = "SELECT subject FROM outbox"
DEAD = "SELECT subject || ': ' || reason FROM dead_letters"

UNBALANCED = """
SELECT account || ' has ' || balance || ', was given ' || transferred FROM trial_balance
WHERE balance <> transferred
"""
NOT_ZERO = "SELECT 'all have ' || sum(balance) FROM trial_balance HAVING sum(balance) <> 0"
LOTS = """
SELECT lot::text || ' does not follow from its transfers' FROM lots
JOIN LATERAL (
    SELECT
        coalesce(sum(amount) FILTER (WHERE credit = 'AVAILABLE'), 0)
            - coalesce(sum(amount) FILTER (WHERE debit = 'AVAILABLE'), 0) AS available,
        coalesce(sum(amount) FILTER (WHERE credit = 'HELD'), 0)
            - coalesce(sum(amount) FILTER (WHERE debit = 'HELD'), 0) AS held,
        coalesce(sum(amount) FILTER (WHERE credit = 'SETTLED'), 0) AS settled
    FROM transfers WHERE transfers.lot = lots.lot
) AS moved ON true
WHERE (lots.available, lots.held, lots.settled) IS DISTINCT FROM (moved.available, moved.held, moved.settled)
"""
WELCOMED_TWICE = """
SELECT book::text || ' was welcomed ' || count(*) || ' times' FROM transfers
WHERE kind = 'GRANT' GROUP BY book HAVING count(*) > 1
"""
HELD = "SELECT generation::text || ' is held' FROM holds WHERE state = 'HELD'"
SETTLEMENTS = """
SELECT generation::text || ': ' || state || ', captured ' || captured || ' of ' || credits
    || ', settled in ' || endings || ' transactions' FROM holds
JOIN LATERAL (
    SELECT
        coalesce(sum(amount) FILTER (WHERE kind = 'HOLD'), 0) AS placed,
        coalesce(sum(amount) FILTER (WHERE kind = 'CAPTURE'), 0) AS taken,
        coalesce(sum(amount) FILTER (WHERE kind = 'RELEASE'), 0) AS returned,
        count(DISTINCT transaction) FILTER (WHERE kind <> 'HOLD') AS endings
    FROM transfers WHERE transfers.generation = holds.generation
) AS moved ON true
WHERE state <> 'HELD' AND credits > 0 AND
    (placed, taken, returned, endings) IS DISTINCT FROM (credits, captured, credits - captured, 1)
"""
CAPTURED = "SELECT generation, captured FROM holds WHERE state <> 'HELD'"

JOBS = """
SELECT id::text || ' is ' || state FROM jobs WHERE state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')
"""
ENDINGS = """
SELECT generation::text || ' ended ' || count(*) || ' times' FROM transitions
WHERE state IN ('SUCCEEDED', 'FAILED', 'CANCELLED') GROUP BY generation HAVING count(*) <> 1
"""
PRICES = "SELECT id, charged_credits FROM outcomes"

ACCEPTED_TWICE = """
SELECT account::text || ' accepted ' || count(*) || ' times' FROM acceptances
GROUP BY account HAVING count(*) > 1
"""
