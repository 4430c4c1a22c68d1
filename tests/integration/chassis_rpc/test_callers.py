"""Who gets in: certificates, services, people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import grpc.aio
import pytest
from crafiq.assets.v1 import assets_pb2 as a
from crafiq.assets.v1.assets_pb2_grpc import AssetsServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from chassis.errors import Refusal
from chassis.rpc import Call, refusal_from
from tests.support import calling

from .conftest import ANN, ASSET, Served, status_of

REQUEST = a.GetAssetRequest(name=ASSET)
HEADER = a.StoreOutputRequest.Header(
    account=f"accounts/{ANN}",
    generation=f"generations/{ANN}",
    content_type="image/png",
    size_bytes=6,
    sha256="0" * 64,
)


async def _refused(served: Served, caller: str = "gateway", *metadata: tuple[str, str]) -> Refusal:
    async with served.channel(caller) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AssetsServiceStub(channel).GetAsset(REQUEST, metadata=metadata)
        return refusal_from(caught.value)


async def test_a_signed_in_person_is_answered(served: Served) -> None:
    assert (await served.get()).name == ASSET


async def test_the_handler_knows_who_calls_and_from_where(served: Served) -> None:
    seen: list[Call] = []

    async def look(request: a.GetAssetRequest, call: Call) -> a.Asset:
        seen.append(call)
        return a.Asset()

    served.assets.get = look
    session = uuid4()
    bearer = ("authorization", f"Bearer {served.tokens.access(ANN, session)}")
    async with served.channel() as channel:
        await AssetsServiceStub(channel).GetAsset(
            REQUEST, metadata=(bearer, ("x-forwarded-for", "1.1.1.1, 192.0.2.7"), ("x-note", "hello"))
        )
    (call,) = seen
    assert (call.caller.service, call.account, call.caller.session) == ("gateway", ANN, session)
    assert call.method == "/crafiq.assets.v1.AssetsService/GetAsset"
    assert (call.address, call.metadata["x-note"]) == ("192.0.2.7", "hello")
    assert "grpc" in call.user_agent
    assert call.still_signed_in()
    served.revocations.add(session, served.clock.now() + timedelta(minutes=5))
    assert not call.still_signed_in()


@pytest.mark.promise("9-delete-now")
async def test_who_deleted_their_account_is_signed_in_no_more(served: Served) -> None:
    seen: list[Call] = []
    gone = uuid4()

    async def look(request: a.GetAssetRequest, call: Call) -> a.Asset:
        seen.append(call)
        return a.Asset()

    served.assets.get = look
    async with served.channel() as channel:
        call = AssetsServiceStub(channel).GetAsset
        await call(REQUEST, metadata=served.tokens.metadata(gone))
        served.revocations.add_account(gone, served.clock.now() + timedelta(minutes=5))
        assert not seen[0].still_signed_in()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(REQUEST, metadata=served.tokens.metadata(gone))
    assert refusal_from(refused.value).reason == "CREDENTIAL_INVALID"


async def test_the_cookie_signs_in_where_no_bearer_came(served: Served) -> None:
    cookie = ("cookie", f"theme=dark; __Host-crafiq_access={served.tokens.access(ANN)}")
    async with served.channel() as channel:
        assert (await AssetsServiceStub(channel).GetAsset(REQUEST, metadata=(cookie,))).name == ASSET


async def test_nobody_is_asked_to_sign_in(served: Served) -> None:
    refusal = await _refused(served)
    assert (refusal.status, refusal.reason) == ("UNAUTHENTICATED", "SIGN_IN_REQUIRED")


async def test_a_bad_credential_is_refused(served: Served) -> None:
    expired = served.tokens.access(ANN, lives=timedelta(seconds=-10))
    for token in ("rubbish", expired, f"{served.tokens.access(ANN)}x"):
        refusal = await _refused(served, "gateway", ("authorization", f"Bearer {token}"))
        assert (refusal.status, refusal.reason) == ("UNAUTHENTICATED", "CREDENTIAL_INVALID")


async def test_a_service_is_not_a_person_even_with_a_token(served: Served) -> None:
    refusal = await _refused(served, "billing", *served.tokens.metadata(ANN))
    assert (refusal.status, refusal.reason) == ("PERMISSION_DENIED", "CALLER_NOT_ALLOWED")


async def test_only_listed_services_may_call_what_is_theirs(served: Served) -> None:
    async def parts() -> AsyncIterator[a.StoreOutputRequest]:
        yield a.StoreOutputRequest(header=HEADER)
        yield a.StoreOutputRequest(chunk=b"abc")
        yield a.StoreOutputRequest(chunk=b"def")

    async with served.channel("generation") as channel:
        stored = await AssetsServiceStub(channel).StoreOutput(parts())
        assert (stored.size_bytes, stored.title) == (6, "generation")
    for caller in ("gateway", "billing", "assets"):
        async with served.channel(caller) as channel:
            call = AssetsServiceStub(channel).StoreOutput(parts(), metadata=served.tokens.metadata(ANN))
            assert await status_of(call) == grpc.StatusCode.PERMISSION_DENIED


async def test_without_a_certificate_of_ours_there_is_no_connection(served: Served, stranger: Path) -> None:
    async with calling(served.address, stranger, to="assets") as channel:
        call = AssetsServiceStub(channel).GetAsset(REQUEST, metadata=served.tokens.metadata(ANN))
        assert await status_of(call) == grpc.StatusCode.UNAVAILABLE
    ca = (served.certificates.folder("gateway") / "ca.crt").read_bytes()
    options = [("grpc.ssl_target_name_override", "assets.crafiq.internal")]
    async with grpc.aio.secure_channel(served.address, grpc.ssl_channel_credentials(ca), options) as channel:
        assert (
            await status_of(AssetsServiceStub(channel).GetAsset(REQUEST, timeout=5))
            == grpc.StatusCode.UNAVAILABLE
        )
    async with grpc.aio.insecure_channel(served.address) as channel:
        assert (
            await status_of(AssetsServiceStub(channel).GetAsset(REQUEST, timeout=5))
            == grpc.StatusCode.UNAVAILABLE
        )


async def test_a_client_does_not_speak_to_another_service_than_it_meant(served: Served) -> None:
    async with served.channel(to="billing") as channel:
        call = AssetsServiceStub(channel).GetAsset(REQUEST, metadata=served.tokens.metadata(ANN))
        assert await status_of(call) == grpc.StatusCode.UNAVAILABLE


async def test_health_and_reflection_answer_every_certificate_of_ours(served: Served) -> None:
    async with served.channel("billing") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "crafiq.assets.v1.AssetsService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        async for answer in reflection.ServerReflectionInfo(asked):
            names = {each.name for each in answer.list_services_response.service}
    assert "crafiq.assets.v1.AssetsService" in names
