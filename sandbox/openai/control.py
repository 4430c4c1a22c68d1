"""What tests steer the stand-in with, and its counters."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.control import Control
from sandbox.faults import FaultPlan
from sandbox.openai import errors
from sandbox.openai.journal import Pictures


class Counted(Control):
    """Requests received, faults, counters."""

    def __init__(self, journal: Pictures, plan: FaultPlan) -> None:
        super().__init__(journal, plan, lambda text: errors.ApiError(400, text, code="invalid_fault"))
        self._pictures = journal

    def routes(self) -> list[web.RouteDef]:
        """And `GET /sandbox/stats`."""
        return [*super().routes(), web.get("/sandbox/stats", self.stats)]

    async def stats(self, _request: web.Request) -> web.Response:
        """`requests` received, `accepted` (would be charged) and `pictures` in those."""
        counters: dict[str, Any] = {
            "requests": self._pictures.total,
            "accepted": self._pictures.accepted,
            "pictures": self._pictures.pictures,
        }
        return web.json_response(counters)
