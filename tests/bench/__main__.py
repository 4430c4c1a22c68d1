"""What this costs against the bare libraries, in one run.

Usage: python -m tests.bench [calls] [storage] [platform]

Without names all of them run, and `bench.json` in the state folder gets the rows (API.md).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from deploy.local.settings import LauncherSettings
from deploy.local.state import StateFolder, write_private
from tests.bench import events, ledger, platform, sign_ins, through
from tests.bench.rows import Row, as_json, as_table
from tests.bench.servers import on_servers, quiet

LONGEST_SECONDS = 600
BENCHES: dict[str, Callable[[], list[Row]]] = {
    "calls": lambda: on_servers(through.rows, sign_ins.rows),
    "storage": lambda: on_servers(events.rows, ledger.rows),
    "platform": platform.rows,
}


def _give_up() -> None:
    print(f"Not done after {LONGEST_SECONDS} s: the machine is too busy to measure on.", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGKILL)  # the kernel ends what this process started


def main(wanted: list[str]) -> int:
    """Run, print the table, write the file; the exit code says only whether it could be measured."""
    if unknown := set(wanted) - set(BENCHES):
        print(f"There is no {', '.join(sorted(unknown))}: choose from {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    quiet()
    limit = threading.Timer(LONGEST_SECONDS, _give_up)
    limit.daemon = True
    limit.start()
    rows: list[Row] = []
    for name in wanted or BENCHES:
        began = time.monotonic()
        rows += BENCHES[name]()
        print(f"{name}: measured in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(as_table(rows))
    if not wanted:
        state = StateFolder(LauncherSettings().state)
        write_private(state.folder() / "bench.json", as_json(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
