"""A handler that is not what its descriptor says does not start."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from crafiq.assets.v1 import assets_pb2 as a
from crafiq.generation.v1 import generation_pb2
from google.api.httpbody_pb2 import HttpBody

from chassis.rpc import Call
from chassis.rpc.contract import verify
from tests.support import complete

GENERATION = generation_pb2.DESCRIPTOR.services_by_name["GenerationService"]
ASSETS = a.DESCRIPTOR.services_by_name["AssetsService"]


class Declared:
    async def ListAssets(self, request: a.ListAssetsRequest, call: Call) -> a.ListAssetsResponse:
        raise NotImplementedError

    async def GetAsset(self, request: a.GetAssetRequest, call: Call) -> a.Asset:
        raise NotImplementedError

    async def OpenInput(self, request: a.OpenInputRequest, call: Call) -> a.OpenInputResponse:
        raise NotImplementedError

    async def StoreOutput(self, requests: AsyncIterator[a.StoreOutputRequest], call: Call) -> a.Asset:
        raise NotImplementedError

    def _private(self) -> None:
        """Not an RPC, and nobody's business."""


Assets = complete(ASSETS, Declared)


def test_a_handler_with_every_method_starts() -> None:
    verify(ASSETS, Assets())


def test_a_missing_method_is_named() -> None:
    class Fewer:
        pass

    with pytest.raises(TypeError, match="GetAsset is missing"):
        verify(ASSETS, Fewer())


def test_a_method_that_is_no_rpc_is_named() -> None:
    class More(Assets):
        async def PurgeAssets(self, request: a.GetAssetRequest, call: Call) -> a.Asset:
            raise NotImplementedError

    with pytest.raises(TypeError, match="PurgeAssets is not an RPC"):
        verify(ASSETS, More())


def test_wrong_types_are_named() -> None:
    class Mistaken(Assets):
        async def GetAsset(self, request: a.ListAssetsRequest, call: Call) -> a.Asset:  # type: ignore[override]  # the point
            raise NotImplementedError

        async def ListAssets(self, request: a.ListAssetsRequest, call: Call) -> a.Asset:  # type: ignore[override]  # the point
            raise NotImplementedError

        async def StoreOutput(self, requests: a.StoreOutputRequest, call: Call) -> a.Asset:  # type: ignore[override]  # the point
            raise NotImplementedError

        def OpenInput(self, request: a.OpenInputRequest, call: Call) -> a.OpenInputResponse:  # type: ignore[override]  # the point
            raise NotImplementedError

    with pytest.raises(TypeError) as caught:
        verify(ASSETS, Mistaken())
    message = str(caught.value)
    assert "GetAsset: request must be GetAssetRequest" in message
    assert "ListAssets: return must be ListAssetsResponse" in message
    assert "StoreOutput: requests must be a stream of StoreOutputRequest" in message
    assert "OpenInput: must be an async function" in message


def test_a_stream_is_an_async_generator() -> None:
    class Generation:
        async def WatchGeneration(
            self, request: generation_pb2.WatchGenerationRequest, call: Call
        ) -> HttpBody:
            raise NotImplementedError

    with pytest.raises(TypeError, match="WatchGeneration: return must be a stream of HttpBody"):
        verify(GENERATION, Generation())
