"""What billing does when time passes."""

from __future__ import annotations

from services.billing.repository import Ledger


class Expiry:
    """Books what is left of lots whose time is over. The balance goes by the clock anyway."""

    def __init__(self, ledger: Ledger, batch: int = 200) -> None:
        self._ledger, self._batch = ledger, batch

    async def run(self) -> int:
        """Book until nothing is left to book; answers how many lots there were."""
        total = 0
        while booked := await self._ledger.expire(self._batch):
            total += booked
        return total
