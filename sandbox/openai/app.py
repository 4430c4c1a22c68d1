"""OpenAI's image endpoints and, beside them, what tests steer and look at it with.

    POST /v1/images/generations · POST /v1/images/edits · GET /v1/models · GET /v1/models/{id}
    GET, DELETE /sandbox/requests · GET, PUT /sandbox/faults · GET /sandbox/stats

Everything takes the same key as `Authorization: Bearer`.
"""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime

from aiohttp import web
from aiohttp.typedefs import Middleware

from sandbox.openai import catalogue, errors, forms, parameters, work
from sandbox.openai.control import Counted
from sandbox.openai.journal import Pictures, Received, ReceivedFile
from sandbox.openai.misbehaviour import Misbehaviour

LARGEST_BODY = 64 * 1024 * 1024
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
RECEIVED: web.RequestKey[Received] = web.RequestKey("received", Received)


def create_app(api_key: str, now: Callable[[], datetime]) -> web.Application:
    """The server, which accepts `api_key` only; `now` decides which models still exist."""
    journal, misbehaviour = Pictures(now), Misbehaviour()
    images = Images(journal, misbehaviour, now)
    app = web.Application(
        middlewares=[_answers, _only_with(api_key), _recorded(journal)], client_max_size=LARGEST_BODY
    )
    app.add_routes(
        [
            web.get("/v1/models", images.list_models),
            web.get("/v1/models/{model}", images.get_model),
            web.post("/v1/images/generations", images.generate),
            web.post("/v1/images/edits", images.edit),
            *Counted(journal, misbehaviour.plan).routes(),
        ]
    )
    return app


class Images:
    """The image endpoints."""

    def __init__(self, journal: Pictures, misbehaviour: Misbehaviour, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._misbehaviour = misbehaviour
        self._now = now

    async def list_models(self, _request: web.Request) -> web.Response:
        models = [m.listed() for m in catalogue.available(self._now().date())]
        return web.json_response({"object": "list", "data": models})

    async def get_model(self, request: web.Request) -> web.Response:
        model = catalogue.find(request.match_info["model"], self._now().date())
        return web.json_response(model.listed())

    async def generate(self, request: web.Request) -> web.Response:
        fields = await forms.read_json(request)
        request[RECEIVED].parameters = fields
        wanted = parameters.read(fields, parameters.GENERATION_FIELDS, self._now().date())
        return await self._work(request, wanted, [], None)

    async def edit(self, request: web.Request) -> web.Response:
        raw, files = await forms.read_edit(request)
        fields = parameters.from_form(raw) if request.content_type == "multipart/form-data" else raw
        request[RECEIVED].parameters = fields
        request[RECEIVED].files = await asyncio.to_thread(lambda: [f.described() for f in files])
        pictures, mask = forms.sort_pictures(files)
        wanted = parameters.read(fields, parameters.EDIT_FIELDS, self._now().date())
        return await self._work(request, wanted, pictures, mask)

    async def _work(
        self,
        request: web.Request,
        wanted: parameters.Wanted,
        files: list[ReceivedFile],
        mask: ReceivedFile | None,
    ) -> web.Response:
        received = request[RECEIVED]
        sources = await asyncio.to_thread(work.decode, files)
        masks = await asyncio.to_thread(work.decode, [mask] if mask else [])
        self._misbehaviour.before_acceptance(wanted, received)
        self._journal.charge(received, wanted.n)
        await self._misbehaviour.delay(wanted, received)
        encoded = await asyncio.to_thread(work.made, wanted, sources, masks[0] if masks else None)
        encoded = self._misbehaviour.spoil(wanted, received, encoded)
        if self._misbehaviour.loses_the_answer(wanted, received) and request.transport is not None:
            request.transport.abort()
        body = work.answer(wanted, sources, encoded, int(self._now().timestamp()))
        return web.json_response(body)


@web.middleware
async def _answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every answer, errors too, in OpenAI's shape and with its headers."""
    request[REQUEST_ID] = f"req_{uuid.uuid4().hex}"
    begun = time.monotonic()
    try:
        response = await handler(request)
    except errors.ApiError as error:
        response = web.json_response(error.body, status=error.status, headers=error.headers)
    except web.HTTPException as error:
        refusal = errors.too_large() if error.status == 413 else _unrouted(request)
        response = web.json_response(refusal.body, status=refusal.status)
    response.headers["x-request-id"] = request[REQUEST_ID]
    response.headers["openai-processing-ms"] = str(round((time.monotonic() - begun) * 1000))
    response.headers["openai-version"] = "2020-10-01"
    response.headers["openai-organization"] = "org-sandbox"
    if request.path.startswith("/v1/images/"):
        response.headers.update(_RATE_LIMITS)
    return response


_RATE_LIMITS = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-limit-images": "250",
    "x-ratelimit-remaining-images": "249",
    "x-ratelimit-reset-images": "240ms",
}


def _unrouted(request: web.Request) -> errors.ApiError:
    return errors.no_such_url(request.method, request.path)


def _only_with(api_key: str) -> Middleware:
    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise errors.no_key()
        if not hmac.compare_digest(given.encode(), api_key.encode()):
            raise errors.wrong_key(given)
        return await handler(request)

    return authenticated


def _recorded(journal: Pictures) -> Middleware:
    @web.middleware
    async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        received = journal.begin(request.method, request.path, request[REQUEST_ID], list(request.headers))
        request[RECEIVED] = received
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
