"""An asset is gone: who refers to it forgets it, whatever is under way at that moment.

Everything that writes a job holds its person (the foreign key does), and looks here after that. Who hears
of a deletion notes it, and then waits until nobody holds the person: so it finds every job that was
written without knowing, and all later ones know.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from chassis.db import Queries, Record, Statement, Transaction, scalar
from services.generation.domain import Job

ALONE = Statement(text("SELECT account FROM subjects WHERE account = :owner FOR UPDATE"), scalar)
NOTED = Statement(text("SELECT key FROM inbox WHERE key = ANY(:keys)"), scalar)
NAMING = Statement(
    text(
        "SELECT * FROM jobs WHERE account = :owner AND "
        "((inputs @> CAST(:named AS jsonb) AND inputs <> '[]') OR id = :made_by) FOR NO KEY UPDATE"
    ),
    Job,
)
FORGET: Statement[Record] = Statement(
    text("UPDATE jobs SET inputs = :inputs, outputs = :outputs WHERE id = :job")
)
# Whether it was sent or made: what a vendor has of it is of no use to anybody any more.
UNWANTED: Statement[Record] = Statement(
    text(
        "UPDATE vendor_copies SET unwanted = TRUE FROM egress WHERE egress.account = :owner "
        "AND vendor_copies.id = egress.id AND vendor_copies.purge_time IS NULL "
        "AND ((egress.assets @> CAST(:named AS jsonb) AND egress.assets <> '[]') "
        "OR egress.generation = :made_by)"
    )
)


async def forget(tx: Transaction, account: UUID, asset: str, made_by: UUID | None) -> None:
    """An asset of somebody, an Output of `made_by` if it was one, is gone. Twice is once.

    The record of what left goes on to name it: it says what was sent.
    """
    if not await tx.claim(_key(asset)) or await tx.first(ALONE, owner=account) is None:
        return
    for job in await tx.all(NAMING, owner=account, named=[asset], made_by=made_by):
        job.forget(asset)
        await tx.execute(FORGET, job=job.id, inputs=job.inputs, outputs=job.outputs)
    await tx.execute(UNWANTED, owner=account, named=[asset], made_by=made_by)


async def gone(queries: Queries, assets: Sequence[str]) -> set[str]:
    """Which of these were deleted, as far as it is known here. Ask once the person is held."""
    keys = {_key(asset): asset for asset in assets}
    return {keys[key] for key in await queries.all(NOTED, keys=list(keys))} if keys else set()


def _key(asset: str) -> str:
    return f"deleted:{asset}"
