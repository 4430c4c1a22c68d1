"""A service starts other programs while calls come and go: neither does the other any harm."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: gRPC decides when it begins. uvloop forks as services do, asyncio's loop would not.
CALLS_AND_PROGRAMS = """
import chassis
import asyncio, sys, grpc.aio, uvloop

ECHO = grpc.unary_unary_rpc_method_handler(lambda request, context: request)

async def calls(address):
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary("/echo.Echo/Say")
        while True:
            await call(b"x")

async def main():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("echo.Echo", {"Say": ECHO})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    calling = [asyncio.create_task(calls(f"127.0.0.1:{port}")) for _ in range(4)]
    for _ in range(40):
        program = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "")
        if ended := await program.wait():
            sys.exit(f"ended with {ended}")
    if failed := [task for task in calling if task.done()]:
        sys.exit(repr(failed))
    for task in calling:
        task.cancel()
    await asyncio.wait(calling)
    await server.stop(5)  # a loop that ends amid calls writes about them to stderr

uvloop.run(main())
"""


def test_programs_are_started_beside_calls() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CALLS_AND_PROGRAMS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
