"""The container `scrub` of docker-compose.yml: a scrub every 20 hours, or as CRAFIQ_SCRUB_EVERY says.

Usage: python -m cli.scrub daily                                     what the container runs
       docker compose exec scrub python -m cli.scrub scrub [--json]  one now

What the daily ones said is in the volume `scrub`, in logs/scrub.log.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from cli.contained import Contained
from cli.scrub.asked import asked
from deploy.containers.place import STATE
from deploy.local.rounds import Rounds
from deploy.local.settings import LauncherSettings
from deploy.local.state import StateFolder


def main() -> int:
    """Do what the argument says; answers the exit code, as of `crafiq scrub`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("act", choices=("daily", "scrub"))
    parser.add_argument("--json", action="store_true", help="say how it went as JSON")
    parser.add_argument(
        "--witness-file", help="look for these values as well, one a line; - is standard input"
    )
    told = parser.parse_args()
    remembers = StateFolder(STATE / "scrub")
    if told.act == "daily":
        asyncio.run(_daily(remembers))
        return 0
    return asked(Contained.at, remembers, told.witness_file, as_json=told.json)


async def _daily(remembers: StateFolder) -> None:
    """Until it is told to end."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    command, every = (sys.executable, "-m", "cli.scrub"), LauncherSettings().scrub_every
    rounds = Rounds(remembers, lambda said: print(said, flush=True), command, scrub=every)
    rounds.begin()
    await told.wait()
    await rounds.end()


if __name__ == "__main__":
    sys.exit(main())
