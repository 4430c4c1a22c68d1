"""Each method is wrapped once, at registration: trace, caller, access, rules, deadline, errors, metrics.

One coroutine around the handler instead of a chain of interceptors, which would cost a third of
the throughput.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Never
from uuid import UUID, uuid4

import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import code_pb2
from prometheus_client import Counter, Histogram

from chassis import telemetry
from chassis.errors import AccountErased, DeadlineExceeded, SubjectUnknown
from chassis.rpc import contract, statuses
from chassis.rpc.access import gate, peer_service
from chassis.rpc.calls import UNBOUNDED, Call
from chassis.rpc.tokens import AccessTokens
from chassis.rpc.validation import check

LOG = logging.getLogger("crafiq.rpc")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SECONDS = Histogram("crafiq_rpc_seconds", "Time a call took on the server.", ["method"], buckets=BUCKETS)
FAILURES = Counter("crafiq_rpc_failures", "Calls that were not answered OK.", ["method", "status"])
CODES = {code.value[0]: code for code in grpc.StatusCode}
SUBJECT_POLL, SUBJECT_WAIT = 0.05, 2.0  # seconds

Context = grpc.aio.ServicerContext[Any, Any]


async def _never(_account: UUID) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What wrapped methods share. `erased` says whether an account's tombstone stands here."""

    domain: str
    tokens: AccessTokens
    new_id: Callable[[], UUID] = uuid4
    erased: Callable[[UUID], Awaitable[bool]] = _never


class Wrapped:
    """One RPC of a handler, as grpc.aio calls it."""

    def __init__(self, method: MethodDescriptor, handler: object, around: Surroundings) -> None:
        self.name, self._around = f"/{method.containing_service.full_name}/{method.name}", around
        self._streams_in, self._streams_out = bool(method.client_streaming), bool(method.server_streaming)
        self._admit = gate(method, around.tokens)
        self._handle = getattr(handler, method.name)
        self._observe = SECONDS.labels(self.name).observe
        self._request, self._response = contract.messages(method)

    def method_handler(self) -> grpc.RpcMethodHandler[Any, Any]:
        """What a server registers."""
        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[self._streams_in, self._streams_out]
        serve = self._serve_many if self._streams_out else self._serve_one
        handler: grpc.RpcMethodHandler[Any, Any] = make(serve, None, self._response.SerializeToString)
        return handler

    async def _serve_one(self, request: Any, context: Context) -> Message:
        call, span = self._begin(context)
        try:
            call.caller = await self._admit(peer_service(context.peer_identities()), call.metadata)
            response = await (self._run if call.bounded else self._run_bounded)(self._read(request), call)
            if call.headers:
                await context.send_initial_metadata(tuple(call.headers))
        except Exception as error:
            fault = error
        except BaseException:
            self._end(call, span, "CANCELLED")
            raise
        else:
            self._end(call, span)
            return response
        return await self._abort(fault, call, span, context)

    async def _serve_many(self, request: Any, context: Context) -> None:
        call, span = self._begin(context)
        try:
            call.caller = await self._admit(peer_service(context.peer_identities()), call.metadata)
            async with aclosing(self._handle(self._read(request), call)) as responses:
                async for response in responses:
                    if call.headers:
                        await context.send_initial_metadata(tuple(call.headers))
                        call.headers.clear()
                    await context.write(response)
        except Exception as error:
            fault = error
        except BaseException:
            self._end(call, span, "CANCELLED")
            raise
        else:
            self._end(call, span)
            return
        await self._abort(fault, call, span, context)

    def _begin(self, context: Context) -> tuple[Call, telemetry.Span | None]:
        pairs: Any = context.invocation_metadata() or ()
        metadata: dict[str, str] = dict(pairs)
        span = telemetry.begin(self.name, metadata.get("traceparent", ""))
        return Call(self.name, metadata, context.time_remaining(), self._around.tokens.alive), span

    def _read(self, request: Any) -> Any:
        """Bytes become messages only here, after it is known who sends them."""
        return self._read_each(request) if self._streams_in else check(self._request, request)

    async def _read_each(self, requests: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for request in requests:
            yield check(self._request, request)

    async def _run(self, request: Any, call: Call) -> Message:
        try:
            response: Message = await self._handle(request, call)
        except SubjectUnknown as unknown:
            return await self._run_once_known(request, call, unknown)
        return response

    async def _run_bounded(self, request: Any, call: Call) -> Message:
        if self._streams_in:  # as long as the client keeps sending
            return await self._run(request, call)
        try:
            async with asyncio.timeout(UNBOUNDED) as limit:
                return await self._run(request, call)
        except TimeoutError as error:
            raise (DeadlineExceeded() if limit.expired() else error) from error

    async def _run_once_known(self, request: Any, call: Call, unknown: SubjectUnknown) -> Message:
        """Wait for the event that makes the account known; a stream that was read can't be run again."""
        until = time.monotonic() + (0 if self._streams_in else SUBJECT_WAIT)
        account = unknown.account or call.caller.account
        while True:
            if account is not None and await self._around.erased(account):
                raise AccountErased from unknown
            if time.monotonic() >= until:
                raise unknown
            await asyncio.sleep(SUBJECT_POLL)
            try:
                response: Message = await self._handle(request, call)
            except SubjectUnknown as again:
                unknown = again
            else:
                return response

    def _end(self, call: Call, span: telemetry.Span | None, fault: str = "") -> None:
        self._observe(time.monotonic() - call.started)
        if fault:
            FAILURES.labels(self.name, fault).inc()
        if span is not None:
            telemetry.finish(span, fault)

    async def _abort(
        self, error: Exception, call: Call, span: telemetry.Span | None, context: Context
    ) -> Never:
        refusal = statuses.refusal_of(error)
        if refusal is not None:
            status = statuses.status_of(refusal, self._around.domain)
        else:
            error_id = self._around.new_id().hex
            LOG.error("fault %s in %s", error_id, self.name, exc_info=error)
            status = statuses.internal(error_id, self._around.domain)
        self._end(call, span, code_pb2.Code.Name(status.code))
        if call.headers:
            await context.send_initial_metadata(tuple(call.headers))
        await context.abort(CODES[status.code], status.message, statuses.trailers(status, refusal))
