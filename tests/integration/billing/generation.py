"""Generation as billing meets it: mutual TLS and one RPC; the tests say what became of each job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from crafiq.generation.v1 import generation_pb2
from crafiq.generation.v1.generation_pb2_grpc import (
    GenerationServiceServicer,
    add_GenerationServiceServicer_to_server,
)
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.rpc.server import server_credentials


class GenerationPlayed(GenerationServiceServicer):
    """Answers from `outcomes`; a job that is not there is not found; silent while `away`."""

    def __init__(self) -> None:
        self.address = ""
        self.outcomes: dict[str, generation_pb2.Outcome] = {}
        self.asked: list[str] = []
        self.away = False

    async def GetOutcome(
        self, request: generation_pb2.GetOutcomeRequest, context: Any
    ) -> generation_pb2.Outcome:
        self.asked.append(request.generation)
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        if request.generation not in self.outcomes:
            status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="There is no such generation.")
            status.details.add().Pack(error_details_pb2.ErrorInfo(reason="GENERATION_NOT_FOUND"))
            found = rpc_status.to_status(status)
            await context.abort(found.code, found.details, found.trailing_metadata)
        return self.outcomes[request.generation]


@asynccontextmanager
async def played_generation(tls_dir: Path) -> AsyncIterator[GenerationPlayed]:
    """Serve with generation's own certificate until the block ends."""
    played, server = GenerationPlayed(), grpc.aio.server()
    add_GenerationServiceServicer_to_server(played, server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(tls_dir))
    played.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield played
    finally:
        await server.stop(0)
