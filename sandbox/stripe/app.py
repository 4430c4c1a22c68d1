"""Stripe's endpoints and, beside them, what tests steer and look at them with.

    /v1/customers · /v1/products · /v1/prices · /v1/subscriptions · /v1/invoices (api.py has each)
    GET, DELETE /sandbox/requests · GET, PUT /sandbox/faults · PUT /sandbox/subscriptions/{id}

Everything takes the same key as `Authorization: Bearer`.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from sandbox.control import Control
from sandbox.journal import Journal
from sandbox.stripe import errors
from sandbox.stripe.api import RECEIVED, Api
from sandbox.stripe.journal import Received
from sandbox.stripe.misbehaviour import Misbehaviour
from sandbox.stripe.objects import VERSION
from sandbox.stripe.store import Store

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)


def create_app(api_key: str, now: Callable[[], datetime], file: Path | None = None) -> web.Application:
    """The server, which accepts `api_key` only; `file` keeps what it has for the next one."""
    misbehaviour, journal = Misbehaviour(), Journal[Received]()
    store = Store(now, file)
    api = Api(store, misbehaviour)
    steering = Steering(journal, misbehaviour, api, store)
    app = web.Application(middlewares=[_answers, _only_with(api_key), _recorded(journal, now)])
    app.add_routes([*api.routes(), *steering.routes()])
    return app


class Steering(Control):
    """Requests received, faults, and what becomes of a subscription when time goes by or a bank says no."""

    def __init__(
        self, journal: Journal[Received], misbehaviour: Misbehaviour, api: Api, store: Store
    ) -> None:
        super().__init__(
            journal, misbehaviour.plan, lambda text: errors.ApiError(400, text, code="invalid_fault")
        )
        self._api, self._store = api, store

    def routes(self) -> list[web.RouteDef]:
        return [*super().routes(), web.put("/sandbox/subscriptions/{id}", self.put_subscription)]

    async def clear_requests(self, request: web.Request) -> web.Response:
        """What was answered under Idempotency-Keys is forgotten along: it repeats what was asked."""
        self._api.answers.forget()
        return await super().clear_requests(request)

    async def put_subscription(self, request: web.Request) -> web.Response:
        """`{"status": ...}`"""
        try:
            status = json.loads(await request.read())["status"]
        except (ValueError, KeyError, TypeError) as error:
            raise errors.missing("status") from error
        changed = self._api.subscriptions.become(request.match_info["id"], status)
        self._store.save()
        return web.json_response(changed)


@web.middleware
async def _answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every answer, errors too, in Stripe's shape and with its headers."""
    request[REQUEST_ID] = f"req_{secrets.token_hex(7)}"
    try:
        response = await handler(request)
    except errors.ApiError as error:
        response = web.json_response(error.body, status=error.status, headers=error.headers)
    except web.HTTPException:
        refusal = errors.no_such_url(request.method, request.path)
        response = web.json_response(refusal.body, status=refusal.status)
    response.headers["Request-Id"] = request[REQUEST_ID]
    response.headers["Stripe-Version"] = VERSION
    return response


def _only_with(api_key: str) -> Middleware:
    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise errors.no_key()
        if not hmac.compare_digest(given.encode(), api_key.encode()):
            raise errors.wrong_key(given)
        version = request.headers.get("Stripe-Version", VERSION)
        if version != VERSION:
            raise errors.wrong_version(version)
        return await handler(request)

    return authenticated


def _recorded(journal: Journal[Received], now: Callable[[], datetime]) -> Middleware:
    @web.middleware
    async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        received = request[RECEIVED] = journal.note(_received(request, now()))
        try:
            response = await handler(request)
        except errors.ApiError as error:
            received.status = error.status
            raise
        except web.HTTPException as error:
            received.status = error.status
            raise
        lost = request.transport is None or request.transport.is_closing()
        received.status = None if lost else response.status
        return response

    return recorded


def _received(request: web.Request, at: datetime) -> Received:
    names = sorted({name.lower() for name in request.headers})
    client, key = (request.headers.get(name) for name in ("X-Stripe-Client-User-Agent", "Idempotency-Key"))
    return Received(at, request.method, request.path, request[REQUEST_ID], names, client or "", key)
