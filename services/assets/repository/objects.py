"""Objects in storage, as rows: noted before they are written, shelved with an asset, forgotten when gone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from chassis.db import Statement, scalar
from services.assets.domain.shelves import bounds, shelf_of

SHELVE = Statement(
    text(
        "UPDATE objects SET asset = :owner, shelved = TRUE "
        "WHERE key = :object_key AND asset IS NULL AND NOT shelved"
    )
)
# Marked before they are removed: whoever wrote one of them and is late can't shelve it any more.
LOOSE = Statement(
    text(
        """
        UPDATE objects SET shelved = TRUE WHERE key IN (
          SELECT key FROM objects WHERE asset IS NULL AND (shelved OR noted_at <= :noted_before)
          LIMIT :most FOR UPDATE SKIP LOCKED)
        RETURNING key
        """
    ),
    scalar,
)
FORGET = Statement(text("DELETE FROM objects WHERE key = ANY(:keys) AND asset IS NULL"))
# Marked, so that it is no asset's from now on; it waits for who is about to commit one.
ABANDON = Statement(
    text("UPDATE objects SET shelved = TRUE WHERE key = ANY(:keys) AND asset IS NULL RETURNING key"), scalar
)
# What is not shelved is being written, or its writer died: it is not forgotten before it is gone.
_BEING_WRITTEN = (
    "SELECT (SELECT count(*) FROM objects WHERE key BETWEEN :least AND :greatest AND NOT shelved) "
    "+ (SELECT count(*) FROM copying WHERE shelf = :shelf)"
)
BEING_WRITTEN = Statement(text(_BEING_WRITTEN), scalar)
FORGET_SHELF = Statement(
    text(
        "WITH gone AS (DELETE FROM objects"  # noqa: S608  # our own words
        f" WHERE key BETWEEN :least AND :greatest AND asset IS NULL AND shelved) {_BEING_WRITTEN}"
    ),
    scalar,
)
HELD = Statement(
    text(
        "SELECT (SELECT count(*) FROM objects WHERE key BETWEEN :least AND :greatest) "
        "+ (SELECT count(*) FROM uploads WHERE account = :owner AND completed_at IS NULL)"
    ),
    scalar,
)


def on_shelf(account: UUID) -> dict[str, Any]:
    """How statements name what is a person's."""
    least, greatest = bounds(account)
    return {"least": least, "greatest": greatest, "shelf": shelf_of(account)}
