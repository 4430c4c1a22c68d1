"""What privacy hears of a scrub: supplements are signed by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

import grpc.aio
import pytest
from crafiq.privacy.v1 import privacy_pb2, privacy_pb2_grpc
from google.protobuf import empty_pb2

from cli.local import Local
from cli.scrub.orphans import SPARED, Pieces
from cli.scrub.outcome import Outcome
from cli.scrub.work import tell_privacy

BEGAN = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Privacy(privacy_pb2_grpc.PrivacyServiceServicer):
    """Remembers what it is told."""

    async def ReportScrub(  # type: ignore[override]
        self, request: privacy_pb2.ReportScrubRequest, _: object
    ) -> empty_pb2.Empty:
        self.heard = request
        return empty_pb2.Empty()


class Reached:
    """A platform of which there is privacy only."""

    def __init__(self, port: int) -> None:
        self._port = port

    @asynccontextmanager
    async def channel(self, service: str) -> AsyncIterator[grpc.aio.Channel]:
        assert service == "privacy"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            yield channel


@pytest.mark.parametrize("spared", [0, 3])
async def test_a_scrub_that_spared_bytes_counts_as_one_from_before_they_came(spared: int) -> None:
    """Else a supplement would say that somebody's bytes are gone, and some were left until the next scrub."""
    privacy, server = Privacy(), grpc.aio.server()
    privacy_pb2_grpc.add_PrivacyServiceServicer_to_server(privacy, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        done = Outcome(began=BEGAN, values=7)
        done.objects.orphans = Pieces(spared=frozenset(f"5,{number:02x}" for number in range(spared)))
        await tell_privacy(cast(Local, Reached(port)), done)
    finally:
        await server.stop(0)
    earlier = timedelta(seconds=SPARED if spared else 0)
    assert privacy.heard.begin_time.ToDatetime(tzinfo=UTC) == BEGAN - earlier
    assert privacy.heard.searched_values == 7
