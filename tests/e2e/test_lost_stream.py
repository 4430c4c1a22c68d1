"""The bus loses a stream, and with it whom a service had not heard of yet."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import aiohttp
import pytest
from nats.aio.client import Client

from cli.api import ApiRefused
from cli.local import Local
from deploy.local.state import StateFolder
from tests.e2e.conftest import Person, new_person
from tests.processes import written_down
from tests.running import started
from tests.support import eventually

STREAM = "IDENTITY"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.promise("2a-account")
async def test_who_was_lost_with_the_stream_has_their_credits_all_the_same(tmp_path: Path) -> None:
    with started(tmp_path) as platform:
        async with aiohttp.ClientSession() as http, Local.find(StateFolder(platform.state)).bus() as bus:
            platform.process.send_signal(signal.SIGSTOP)  # or it starts billing again
            try:
                os.kill(written_down(platform.state)["billing"], signal.SIGKILL)
                person = await new_person(platform, http)
                await eventually(lambda: _holds_any(bus))
                info = await bus.jsm().stream_info(STREAM)
                await bus.jsm().delete_stream(STREAM)
                await bus.jsm().add_stream(info.config)
            finally:
                platform.process.send_signal(signal.SIGCONT)
            await eventually(lambda: has_credits(person), timeout=60, every=0.5)


async def _holds_any(bus: Client) -> bool:
    return bool((await bus.jsm().stream_info(STREAM)).state.messages)


async def has_credits(person: Person) -> bool:
    try:
        return bool((await person.balance())["available"])
    except ApiRefused:
        return False
