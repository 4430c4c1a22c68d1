"""What comes back: answers, headers, refusals, faults, and what is observed of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

import asyncpg
import grpc.aio
import pytest
from crafiq.assets.v1 import assets_pb2 as a
from crafiq.assets.v1.assets_pb2_grpc import AssetsServiceStub
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import REGISTRY

from chassis import telemetry
from chassis.errors import NotFound, SubjectUnknown, Unavailable
from chassis.rpc import Call, refusal_from, wrap
from chassis.rpc.client import open_channel
from chassis.rpc.server import MAX_MESSAGE
from tests.support import eventually

from .conftest import ANN, ASSET, Served, status_of

METHOD = "/crafiq.assets.v1.AssetsService/GetAsset"


class AssetNotFound(NotFound):
    sentence = "There is no asset {asset} in your library; GET /v1/assets lists what there is."


def _raising(*errors: Exception) -> Any:
    """A handler that fails with one error after the other, and then answers."""
    waiting = list(errors)

    async def get(request: a.GetAssetRequest, call: Call) -> a.Asset:
        if waiting:
            raise waiting.pop(0)
        return a.Asset(name=request.name)

    return get


async def _error(served: Served) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.get()
    return caught.value


def _failures(status: str) -> float:
    return REGISTRY.get_sample_value("crafiq_rpc_failures_total", {"method": METHOD, "status": status}) or 0


async def test_a_refusal_arrives_with_its_sentence_and_reason(served: Served) -> None:
    before = _failures("NOT_FOUND")
    served.assets.get = _raising(AssetNotFound(asset=ASSET))
    error = await _error(served)
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert (
        error.details() == f"There is no asset {ASSET} in your library; GET /v1/assets lists what there is."
    )
    refusal = refusal_from(error)
    assert (refusal.reason, refusal.domain) == ("ASSET_NOT_FOUND", "crafiq.assets")
    assert refusal.metadata == {"asset": ASSET}
    assert _failures("NOT_FOUND") == before + 1


async def test_a_request_against_the_rules_never_reaches_the_handler(served: Served) -> None:
    served.assets.get = _raising(AssertionError("reached"))
    async with served.channel() as channel:
        call = AssetsServiceStub(channel).GetAsset
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(a.GetAssetRequest(name="elsewhere"), metadata=served.tokens.metadata(ANN))
    refusal = refusal_from(caught.value)
    assert (refusal.status, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert refusal.violations == (("name", "does not have prefix `assets/`"),)


async def test_a_fault_of_ours_tells_the_caller_an_id_and_the_log_a_place(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.assets.get = _raising(asyncpg.UniqueViolationError("Key (email)=(ann@example.com) exists"))
    error = await _error(served)
    assert error.code() == grpc.StatusCode.INTERNAL
    packed = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(packed).details[0].Unpack(info)
    assert (info.reason, dict(info.metadata)) == ("INTERNAL", {"errorId": UUID(int=7).hex})
    assert "ann@" not in f"{error.details()}{packed!r}"
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    line = telemetry.JsonLines().format(record)
    assert UUID(int=7).hex in line
    assert "asyncpg.exceptions.UniqueViolationError" in line
    assert "ann@" not in line


async def test_a_peer_that_does_not_answer_makes_us_unavailable(served: Served) -> None:
    async def ask_a_dead_peer(request: a.GetAssetRequest, call: Call) -> a.Asset:
        folder = served.certificates.folder("assets")
        async with open_channel("127.0.0.1:1", folder, "billing") as channel:
            return await AssetsServiceStub(channel).GetAsset(request, timeout=call.time_remaining())

    served.assets.get = ask_a_dead_peer
    refusal = refusal_from(await _error(served))
    assert isinstance(refusal, Unavailable)
    assert refusal.retry_after is not None


async def test_headers_reach_the_client_with_the_answer_and_with_a_refusal(served: Served) -> None:
    async def get(request: a.GetAssetRequest, call: Call) -> a.Asset:
        call.set_header("Set-Cookie", "one=1")
        call.set_header("Set-Cookie", "two=2")
        if request.name.endswith("0"):
            raise AssetNotFound(asset=request.name)
        return a.Asset()

    served.assets.get = get
    async with served.channel() as channel:
        for name in ("assets/1", "assets/0"):
            request = a.GetAssetRequest(name=name)
            call = AssetsServiceStub(channel).GetAsset(request, metadata=served.tokens.metadata(ANN))
            headers = await call.initial_metadata()
            assert [value for key, value in headers if key == "set-cookie"] == ["one=1", "two=2"]
            assert await call.code() == (
                grpc.StatusCode.OK if name.endswith("1") else grpc.StatusCode.NOT_FOUND
            )


async def test_an_account_that_is_not_known_yet_is_waited_for(served: Served) -> None:
    served.assets.get = _raising(SubjectUnknown(ANN), SubjectUnknown(ANN))
    assert (await served.get()).name == ASSET


async def test_an_account_that_stays_unknown_makes_us_unavailable(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrap, "SUBJECT_WAIT", 0.2)
    served.assets.get = _raising(*[SubjectUnknown()] * 100)
    refusal = refusal_from(await _error(served))
    assert (refusal.status, refusal.reason) == ("UNAVAILABLE", "ACCOUNT_NOT_YET_KNOWN")
    assert refusal.retry_after is not None


@pytest.mark.promise("9-delete-now")
async def test_an_account_that_was_deleted_is_refused(served: Served) -> None:
    served.erased.add(ANN)
    served.assets.get = _raising(*[SubjectUnknown(ANN)] * 100)
    refusal = refusal_from(await _error(served))
    assert (refusal.status, refusal.reason) == ("FAILED_PRECONDITION", "ACCOUNT_ERASED")


async def test_the_deadline_of_the_caller_is_the_handlers(served: Served) -> None:
    seen: list[float] = []

    async def get(request: a.GetAssetRequest, call: Call) -> a.Asset:
        seen.append(call.time_remaining())
        return a.Asset()

    async def given(most: float, **more: float) -> bool:
        """Whether the handler has what the caller has, but for the moment that the way takes."""
        await served.get(**more)
        assert seen[-1] <= most
        return seen[-1] > most - 1

    served.assets.get = get
    await eventually(lambda: given(3, timeout=3))
    await eventually(lambda: given(5))  # a call that names no deadline gets five seconds


async def test_a_call_that_takes_too_long_is_cancelled(served: Served) -> None:
    cancelled = asyncio.Event()

    async def get(request: a.GetAssetRequest, call: Call) -> a.Asset:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return a.Asset()

    served.assets.get = get
    assert await status_of(served.get(timeout=2)) == grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(cancelled.wait(), 20)


async def test_the_server_ends_a_call_without_a_deadline(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get(request: a.GetAssetRequest, call: Call) -> a.Asset:
        assert not call.bounded
        await asyncio.Event().wait()
        return a.Asset()

    served.assets.get = get
    monkeypatch.setattr(wrap, "UNBOUNDED", 0.1)
    folder = served.certificates.folder("gateway")
    async with open_channel(served.address, folder, "assets") as channel:
        call = AssetsServiceStub(channel).GetAsset
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(a.GetAssetRequest(name=ASSET), metadata=served.tokens.metadata(ANN))
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert refusal_from(caught.value).reason == "DEADLINE_EXCEEDED"


async def test_the_trace_of_the_caller_is_continued(served: Served) -> None:
    seen: list[str] = []

    async def get(request: a.GetAssetRequest, call: Call) -> a.Asset:
        seen.append(telemetry.traceparent())
        return a.Asset()

    served.assets.get = get
    with telemetry.span("test", "00-" + "a" * 32 + "-" + "b" * 16 + "-00"):
        await served.get()
    await served.get()
    assert seen[0] == "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
    assert seen[1][3:35] != "a" * 32


async def test_a_request_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    big = a.UpdateAssetRequest(asset=a.Asset(name=ASSET, title="x" * (MAX_MESSAGE + 1)))
    folder = served.certificates.folder("gateway")
    async with grpc.aio.secure_channel(
        served.address,
        grpc.ssl_channel_credentials(
            *((folder / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt"))
        ),
        options=[
            ("grpc.ssl_target_name_override", "assets.crafiq.internal"),
            ("grpc.max_send_message_length", -1),
        ],
    ) as channel:
        call = AssetsServiceStub(channel).UpdateAsset(big, metadata=served.tokens.metadata(ANN), timeout=10)
        assert await status_of(call) == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_bytes_that_are_no_message_are_the_callers_fault(served: Served) -> None:
    folder = served.certificates.folder("gateway")
    async with open_channel(served.address, folder, "assets") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHOD)(b"\xff\xff", metadata=served.tokens.metadata(ANN), timeout=5)
    assert refusal_from(caught.value).reason == "REQUEST_MALFORMED"
