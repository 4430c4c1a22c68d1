"""`make chaos`: a hundred kills and more, while people leave."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic

import aiohttp

from cli.api import Json
from tests.chaos.audit import lost, mentions
from tests.chaos.plan import Kind, Round, rounds
from tests.chaos.rounds import Ground
from tests.running import Running, started
from tests.scrubbing import scrub

ROUNDS, CUTS = 18, 2
SECONDS = 15.0  # for one answer


def main() -> int:
    """Play the plan of a seed; answers the exit code."""
    told = _arguments()
    # nats-py's TLS connections end with a warning that says nothing to anyone.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    plan = rounds(told.seed, told.rounds, cuts=min(CUTS, told.rounds))
    plan = plan if told.only is None else [plan[told.only]]
    print(f"SEED={told.seed}: {len(plan)} rounds, {sum(each.kills for each in plan)} kills", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="crafiq-chaos-"))
    try:
        with started(folder) as running:
            asyncio.run(_play(running, plan))
    except BaseException:
        print(f"\nFailed. `make chaos SEED={told.seed}` plays it again; state and logs are left in {folder}.")
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of an earlier run")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", type=int, help="the number of one round, from 0")
    return parser.parse_args()


async def _play(running: Running, plan: list[Round]) -> None:
    began = monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as http:
        ground = await Ground.of(running, http)
        try:
            for number, each in enumerate(plan):
                _announce(number, each)
                said = monotonic()
                told = await ground.play(each)
                print(f"  {told}, {monotonic() - said:.1f} s in all", flush=True)
            assert await lost(ground.anybody(), ground.dead, name_of="") == []
            assert mentions(running.state, *ground.marks) == []
            code, scrubbed = await scrub(ground.running, ground.marks)
            assert code == 0, scrubbed
        finally:
            if ground.running is not running:
                ground.running.stop()
    _sum_up(ground, scrubbed, monotonic() - began)


def _sum_up(ground: Ground, scrubbed: Json, seconds: float) -> None:
    kills, others = Counter[str](), Counter[str]()
    for (kind, part), number in ground.injector.done.items():
        if kind is Kind.KILL:
            kills[part] += number
        else:
            others[kind] += number
    print(f"\n{kills.total()} processes killed: {', '.join(f'{p} {n}' for p, n in kills.most_common())};")
    print(f"{others[Kind.STOP]} stopped, {others[Kind.FREEZE]} frozen for a while.")
    print(f"{len(ground.marks)} people left; their {len(ground.dead)} public works are there, as nobody's.")
    spared = scrubbed["orphanObjectPiecesSpared"]
    print(f"A scrub found nothing of them; what killed storage forgot it takes in an hour: {spared} pieces.")
    print(f"Everything is as it has to be, after {seconds:.0f} s.")


def _announce(number: int, plan: Round) -> None:
    print(f"round {number}: {len(plan.waits)} leave")
    for fault in plan.faults:
        print(f"  {fault}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
