"""Each part of the platform is killed, stopped or slowed down while people work.

Afterwards: the books balance, every job has one end and one settlement, every event had one effect, and
nobody's things are anybody else's.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from random import Random

import aiohttp
import pytest

from tests.chaos.conftest import all_is_well, arrived, in_time
from tests.chaos.load import busy, recovery
from tests.chaos.people import SLOW, slow_vendor, vendor_heard
from tests.chaos.plan import PARTS, SERVICES
from tests.chaos.rounds import Ground
from tests.chaos.storm import operator
from tests.running import started
from tests.support import eventually

STORES = ("nats", "postgres", "s3")
OUTAGE = 4.0  # seconds
CHANGES, RELAYS = 200, 4


@pytest.mark.timeout(180)
@pytest.mark.promise("3-transactions", "2b-output-owner")
async def test_what_is_killed_under_load_loses_nothing(ground: Ground, chance: Random) -> None:
    one, two = await arrived(ground, 2)
    seconds = {}
    async with busy(one):
        for part in (chance.choice(SERVICES), chance.choice(STORES)):
            await ground.injector.kill(part)
            seconds[part] = await recovery(ground.injector, part, two)
    await all_is_well(ground, one, two)
    in_time(seconds)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.promise("3-transactions", "2b-output-owner")
async def test_each_part_is_killed_under_load_and_all_is_well_within_seconds(
    ground: Ground, chance: Random
) -> None:
    worker, *probes = await arrived(ground, 1 + len(PARTS))
    seconds = {}
    async with busy(worker):
        for part, probe in zip(chance.sample(PARTS, len(PARTS)), probes, strict=True):
            await ground.injector.kill(part)
            seconds[part] = await recovery(ground.injector, part, probe)
    await all_is_well(ground, worker, *probes)
    in_time(seconds)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.promise("3-transactions", "2b-output-owner")
async def test_the_launcher_is_killed_under_load_and_all_is_well_after_a_start(tmp_path: Path) -> None:
    with started(tmp_path) as running:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
            ground = await Ground.of(running, http)
            worker, probe = await arrived(ground, 2)
            try:
                async with busy(worker):
                    await ground.injector.cut()
                    took = await recovery(ground.injector, "gateway", probe)
                await all_is_well(ground, worker, probe)
            finally:
                ground.injector.running.stop()
    in_time({"launcher": took})


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", STORES)
async def test_a_store_that_was_away_is_found_again(ground: Ground, part: str) -> None:
    worker, probe = await arrived(ground, 2)
    async with busy(worker):
        async with ground.injector.down(part):
            await asyncio.sleep(OUTAGE)
        took = await recovery(ground.injector, part, probe)
    await all_is_well(ground, worker, probe)
    in_time({part: took})


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", [*STORES, *SERVICES])
async def test_who_is_slow_is_waited_for(ground: Ground, part: str) -> None:
    worker, probe = await arrived(ground, 2)
    async with busy(worker):
        async with ground.injector.frozen(part):
            await asyncio.sleep(OUTAGE)
        took = await recovery(ground.injector, part, probe)
    await all_is_well(ground, worker, probe)
    in_time({part: took})


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.promise("3-generate", "3-transactions")
async def test_a_worker_killed_while_the_vendor_works_costs_nothing_and_asks_once(ground: Ground) -> None:
    (someone,) = await arrived(ground, 1)
    await slow_vendor(ground.running, ground.http, 30)
    order = await someone.order(f"a tin drum {SLOW}")

    async def asked() -> bool:
        return await vendor_heard(ground.running, ground.http, someone.mark) == 1

    await eventually(asked, timeout=40)
    await ground.injector.kill("generation")
    done = await someone.ended(order)
    assert (done["state"], done["failureReason"], done["chargedCredits"]) == ("FAILED", "OUTCOME_UNKNOWN", 0)
    assert await asked()
    await all_is_well(ground, someone)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_relay_killed_while_it_publishes_announces_everything_once_and_in_order(
    ground: Ground, chance: Random
) -> None:
    (someone,) = await arrived(ground, 1)

    shown = {each["kind"]: each for each in (await someone.api.get("/v1/consents"))["consents"]}
    text = shown["PUBLIC_OUTPUT_TRAINING"]["textSha256"]

    async def changing() -> None:
        for number in range(CHANGES):
            wish = {"kind": "PUBLIC_OUTPUT_TRAINING", "granted": bool(number % 2), "textSha256": text}
            await someone.api.call("PUT", "/v1/consents", {**wish, "requestId": str(uuid.uuid4())})

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(changing())
        for _ in range(RELAYS):
            await asyncio.sleep(chance.uniform(0, 0.5))
            await ground.injector.kill("privacy")
            await ground.injector.is_back("privacy")
    subject = f"crafiq.privacy.v1.ConsentChanged.{someone.account}"
    async with operator(ground.running) as bus:

        async def announced() -> bool:
            info = await bus.jsm().stream_info("PRIVACY", subjects_filter=subject)
            return (info.state.subjects or {}).get(subject) == CHANGES

        await eventually(announced, timeout=60)
    async with ground.audit.database("assets") as sql:
        heard = "SELECT change FROM training_objections WHERE account = $1"
        await eventually(lambda: _is(sql.fetchval(heard, uuid.UUID(someone.account)), CHANGES), timeout=60)
    await all_is_well(ground, someone)


async def _is(found: object, wanted: object) -> bool:
    return (await found) == wanted  # type: ignore[misc]  # asyncpg is typed loosely
