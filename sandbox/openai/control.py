"""What tests steer the stand-in with; no such thing exists at the vendor."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.faults import FaultPlan
from sandbox.openai import errors
from sandbox.openai.journal import Journal


class Control:
    """Requests received, faults, counters."""

    def __init__(self, journal: Journal, plan: FaultPlan) -> None:
        self._journal = journal
        self._plan = plan

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sandbox/requests", self.list_requests),
            web.delete("/sandbox/requests", self.clear_requests),
            web.get("/sandbox/faults", self.list_faults),
            web.put("/sandbox/faults", self.put_faults),
            web.get("/sandbox/stats", self.stats),
        ]

    async def list_requests(self, _request: web.Request) -> web.Response:
        return web.json_response(self._journal.listed())

    async def clear_requests(self, _request: web.Request) -> web.Response:
        self._journal.clear()
        return web.json_response([])

    async def list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self._plan.listed())

    async def put_faults(self, request: web.Request) -> web.Response:
        try:
            self._plan.replace(await request.read())
        except ValueError as error:
            raise errors.ApiError(400, str(error), code="invalid_fault") from error
        return web.json_response(self._plan.listed())

    async def stats(self, _request: web.Request) -> web.Response:
        """`requests` received, `accepted` (would be charged) and `pictures` in those."""
        counters: dict[str, Any] = {
            "requests": self._journal.total,
            "accepted": self._journal.accepted,
            "pictures": self._journal.pictures,
        }
        return web.json_response(counters)
