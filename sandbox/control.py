"""What tests steer a stand-in with; no such thing exists at the vendor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from sandbox.faults import FaultPlan
from sandbox.journal import Journal


class Control:
    """Requests received, and faults. `refused` makes the vendor's own error of a sentence."""

    def __init__(self, journal: Journal[Any], plan: FaultPlan, refused: Callable[[str], Exception]) -> None:
        self.journal, self._plan, self._refused = journal, plan, refused

    def routes(self) -> list[web.RouteDef]:
        """`GET, DELETE /sandbox/requests`, `GET, PUT /sandbox/faults`."""
        return [
            web.get("/sandbox/requests", self.list_requests),
            web.delete("/sandbox/requests", self.clear_requests),
            web.get("/sandbox/faults", self.list_faults),
            web.put("/sandbox/faults", self.put_faults),
        ]

    async def list_requests(self, _request: web.Request) -> web.Response:
        return web.json_response(self.journal.listed())

    async def clear_requests(self, _request: web.Request) -> web.Response:
        self.journal.clear()
        return web.json_response([])

    async def list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self._plan.listed())

    async def put_faults(self, request: web.Request) -> web.Response:
        try:
            self._plan.replace(await request.read())
        except ValueError as error:
            raise self._refused(str(error)) from error
        return web.json_response(self._plan.listed())
