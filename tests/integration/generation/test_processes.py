"""Processes that die at the worst moment, and processes that are told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from crafiq.generation.v1 import generation_pb2

from deploy.local.state import write_private
from tests.integration.generation.world import World
from tests.personal import keep
from tests.support import eventually
from tests.unit.generation.test_pictures import picture

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.timeout(180)  # each process is a Python of its own


class Process:
    """`python -m services.generation`, as the launcher starts it."""

    def __init__(self, world: World, folder: Path, **times: str) -> None:
        self.world, self.folder, self.times = world, folder, times
        with socket.socket() as probe, socket.socket() as metrics:
            probe.bind(("127.0.0.1", 0))
            metrics.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
            self.metrics = f"127.0.0.1:{metrics.getsockname()[1]}"
        self.log = folder / f"{uuid4()}.log"
        self.trace = folder / f"{uuid4()}.jsonl"

    async def start(self) -> None:
        settings = self.world.settings()
        secrets = self.folder / "secrets"
        secrets.mkdir(mode=0o700, exist_ok=True)
        for name in ("database_url", "nats_password", "request_key", "openai_api_key"):
            write_private(secrets / f"crafiq_{name}", getattr(settings, name).get_secret_value())
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
            "CRAFIQ_SECRETS_DIR": str(secrets),
            "CRAFIQ_LISTEN": self.address,
            "CRAFIQ_METRICS_LISTEN": self.metrics,
            "CRAFIQ_TLS_DIR": str(settings.tls_dir),
            "CRAFIQ_NATS_URL": settings.nats_url,
            "CRAFIQ_PEERS": json.dumps(settings.peers),
            "CRAFIQ_OPENAI_URL": settings.openai_url,
            "CRAFIQ_OPENAI_SANDBOX": "true",
            "CRAFIQ_OPENAI_SECONDS": "20",
            "CRAFIQ_UNKNOWN": "1",
            "CRAFIQ_LEASE": "1.5",
            "CRAFIQ_RETRY": "0.1",
            "CRAFIQ_TRACE_FILE": str(self.trace),
            "CRAFIQ_TRACE_RATIO": "1",
            **self.times,
        }
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.generation", cwd=ROOT, env=environment, stderr=log, stdout=log
            )
        await eventually(lambda: "serves on" in self.log.read_text(), timeout=60)

    async def end(self, how: signal.Signals) -> None:
        if self.process.returncode is None:
            self.process.send_signal(how)
        await asyncio.wait_for(self.process.wait(), 40)


@asynccontextmanager
async def started(world: World, folder: Path, **times: str) -> AsyncIterator[Process]:
    process = Process(world, folder, **times)
    await process.start()
    try:
        world.address = process.address
        yield process
    finally:
        await process.end(signal.SIGKILL)
        keep([process.log, process.trace])


async def _asked(world: World, prompt: str) -> bool:
    return len(await world.openai.requests(prompt)) == 1


@pytest.mark.promise("3-generate", "3-transactions")
async def test_a_worker_killed_while_the_vendor_works_leads_to_one_end_and_no_second_order(
    generation: World, tmp_path: Path
) -> None:
    prompt = f"a tin drum {uuid4()}"
    await generation.openai.fault({"kind": "delay", "seconds": 30, "match": prompt})
    async with started(generation, tmp_path) as first, generation.person() as person:
        order = await person.order(prompt)
        await eventually(lambda: _asked(generation, prompt), timeout=20)
        await first.end(signal.SIGKILL)
    async with started(generation, tmp_path), generation.person() as next_life:
        next_life.become(person)
        done = await next_life.ended(order.name, timeout=40)
        assert (done.state, done.failure_reason) == (generation_pb2.FAILED, "OUTCOME_UNKNOWN")
        assert done.charged_credits == 0
        await generation.heard(person, "GenerationCreated", "GenerationFailed")
        states = [event.data["note"] for event in await next_life.watch(order.name)]
        assert states[2].startswith("The vendor has not answered.")
        [sent] = await next_life.egress(order.name)
        assert sent.outcome == "UNKNOWN"
    assert len(await generation.openai.requests(prompt)) == 1


@pytest.mark.slow
async def test_a_worker_killed_before_anything_left_is_followed_by_another(
    generation: World, tmp_path: Path
) -> None:
    prompt = f"in copper {uuid4()}"
    async with started(generation, tmp_path) as first, generation.person() as person:
        photo = generation.peers.assets.add(person.account, picture(size=(256, 256)), "image/png")
        generation.peers.assets.slow, opened = 3.0, generation.peers.assets.calls["OpenInput"]
        order = await person.order(prompt, input_assets=[photo])
        await eventually(lambda: generation.peers.assets.calls["OpenInput"] > opened, timeout=20)
        await first.end(signal.SIGKILL)
    generation.peers.assets.slow = 0.0
    async with started(generation, tmp_path), generation.person() as next_life:
        next_life.become(person)
        assert (await next_life.ended(order.name, timeout=40)).state == generation_pb2.SUCCEEDED
        assert len(await next_life.egress(order.name)) == 1
    assert len(await generation.openai.requests(prompt)) == 1


@pytest.mark.slow
async def test_a_process_that_is_told_to_stop_finishes_what_is_in_hand(
    generation: World, tmp_path: Path
) -> None:
    prompt = f"a tin drum {uuid4()}"
    await generation.openai.fault({"kind": "delay", "seconds": 1, "match": prompt})
    async with started(generation, tmp_path) as process, generation.person() as person:
        order = await person.order(prompt)
        await eventually(lambda: _asked(generation, prompt), timeout=20)
        await process.end(signal.SIGTERM)
        assert process.process.returncode == 0
    rows = await generation.sql("SELECT state FROM jobs WHERE id = $1", order.name.partition("/")[2])
    assert [row["state"] for row in rows] == ["SUCCEEDED"]
    await generation.heard(person, "GenerationCreated", "GenerationSucceeded")


@pytest.mark.slow
@pytest.mark.promise("2a-input-text", "8-minimise")
async def test_what_a_person_writes_is_in_no_log_trace_event_or_other_table(
    generation: World, tmp_path: Path
) -> None:
    secret = f"zebra{uuid4().hex}"
    async with started(generation, tmp_path) as process, generation.person() as person:
        for fault in ("delay", "refusal", "garbage", "500"):
            await generation.openai.fault({"kind": fault, "seconds": 0.1, "match": f"{secret} {fault}"})
            order = await person.order(f"{secret} {fault}")
            await person.ended(order.name)
        await person.watch(order.name)
        for bad in ({"parameters": {secret: secret}}, {"model": secret}, {"count": 9}):
            with pytest.raises(Exception, match=r".+") as refused:
                await person.order(secret, **bad)
            assert secret not in str(refused.value) or "model" in bad
        await process.end(signal.SIGTERM)
        written = process.log.read_text() + process.trace.read_text()
    assert "serves on" in written
    assert '"generation.carry_out"' in written
    assert secret not in written
    for name, body in await generation.announced(person.id):
        assert secret.encode() not in body, name
    for table in ("transitions", "attempts", "egress", "requests", "outbox"):
        [row] = await generation.sql(f"SELECT coalesce(string_agg(t::text, ' '), '') AS all FROM {table} t")  # noqa: S608
        assert secret not in row["all"], table


async def _both_worked(processes: tuple[Process, ...]) -> bool:
    return all(
        "carry_out" in process.trace.read_text() if process.trace.exists() else False for process in processes
    )


@pytest.mark.slow
async def test_two_processes_share_the_work_and_a_stream_shows_what_the_other_one_did(
    generation: World, tmp_path: Path
) -> None:
    async with (
        started(generation, tmp_path, CRAFIQ_SLOTS="1") as one,
        started(generation, tmp_path, CRAFIQ_SLOTS="1") as two,
        generation.person() as person,
    ):
        prompts = [f"number {n} {uuid4()}" for n in range(6)]
        # So slow that one of them can't have done it all before the other has looked.
        await generation.openai.fault({"kind": "delay", "seconds": 1, "match": "number ", "times": None})
        orders = [await person.order(prompt) for prompt in prompts]
        streams = await asyncio.gather(*(person.watch(order.name) for order in orders))
        for events in streams:
            assert [event.id for event in events] == [1, 2, 3, 4]
            assert events[-1].data["state"] == "SUCCEEDED"
        for prompt in prompts:
            assert await _asked(generation, prompt)
        await one.end(signal.SIGTERM)
        await two.end(signal.SIGTERM)
        assert await _both_worked((one, two))
