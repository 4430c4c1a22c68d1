"""What is held about people, everywhere."""

from __future__ import annotations

from collections.abc import Iterator

from crafiq.privacy.v1 import privacy_pb2
from crafiq.promises.v1 import promises_pb2

from chassis.rpc import Call
from services.privacy.handler.shelf import Shelf


class Holding(Shelf):
    """ListHoldings."""

    async def ListHoldings(
        self, _request: privacy_pb2.ListHoldingsRequest, _call: Call
    ) -> privacy_pb2.ListHoldingsResponse:
        """The data map, without the names of tables and columns."""
        found = await self.holders.data_map()
        return privacy_pb2.ListHoldingsResponse(
            holdings=[holding for each in found.descriptions for holding in _holdings(each)],
            silent_holders=found.silent,
        )


def _holdings(description: promises_pb2.Description) -> Iterator[privacy_pb2.Holding]:
    """One for all columns that are declared alike, in the order of categories."""
    columns = [column for table in description.tables for column in table.columns]
    declared = (_holding(description.holder, column) for column in columns if column.basis)
    alike = {holding.SerializeToString(deterministic=True): holding for holding in declared}
    yield from sorted(alike.values(), key=lambda each: (each.category, each.purpose, each.retention))


def _holding(holder: str, column: promises_pb2.Column) -> privacy_pb2.Holding:
    limited = column.HasField("retention_limit")
    return privacy_pb2.Holding(
        holder=holder,
        category=column.category,
        purpose=column.purpose,
        basis=column.basis,
        retention=column.retention,
        retention_limit=column.retention_limit if limited else None,
        erasure=promises_pb2.Erasure.Name(column.erasure),
    )
