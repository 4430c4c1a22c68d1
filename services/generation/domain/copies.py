"""What vendors still have of what they were sent: the purge ledger. It is about sendings, not about people.

A line is written before anything leaves and closed when the vendor's copy is gone, by its word or
by its own clock. Whose it was stands in the record of what left (`egress`), which goes with its person.
"""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import Index, Text, text

from promises.inventory import plain
from services.generation.domain.attempts import Egress
from services.generation.domain.jobs import TIME, Row
from services.generation.domain.vendors import NotAccepted, Result


class VendorCopy(Row, table=True):
    """One sending. `unwanted`: it is wanted gone; `erasure`: because its person deleted the account."""

    __tablename__ = "vendor_copies"
    __table_args__ = (
        Index("ix_vendor_copies_open", "unwanted", postgresql_where=text("purge_time IS NULL")),
        Index("ix_vendor_copies_erasure", "erasure", postgresql_where=text("erasure IS NOT NULL")),
    )

    id: UUID = plain("the id of the attempt", primary_key=True)
    vendor: str = plain("who received it", Text)
    reference: str = plain("the vendor's own id of the request", Text)
    heard: bool = plain("whether it is known how the sending ended")
    expire_time: datetime = plain("when the vendor's copy ends by its own clock", TIME, index=True)
    purge_time: datetime | None = plain("when the vendor said that its copy is gone", TIME)
    unwanted: bool = plain("whether it should be gone before its time")
    erasure: UUID | None = plain("the case's id; nothing in it says whose it was")

    @classmethod
    def of(cls, egress: Egress) -> Self:
        """What is about to leave. Raises ValueError if nobody knows until when it would live."""
        if egress.expire_time is None:
            raise ValueError("a sending without an end of the vendor's copy")
        return cls(
            id=egress.id, vendor=egress.vendor, reference="", heard=False, expire_time=egress.expire_time,
            purge_time=None, unwanted=False, erasure=None,
        )  # fmt: skip


def arrived(result: Result) -> bool:
    """Whether the vendor can have a copy, given the end of a try."""
    return not isinstance(result, NotAccepted) or result.arrived
