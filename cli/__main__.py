"""The `crafiq` command: `./crafiq help` lists what it does."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from cli import lifecycle, operating, status
from cli.reader import while_read
from deploy.local.infra import SERVICES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    known = parser()
    told = known.parse_args(arguments)
    if told.run is None:
        known.print_help()
        return 0
    code: int = told.run(told)
    return code


def parser() -> argparse.ArgumentParser:
    """Everything that it understands."""
    known = argparse.ArgumentParser(prog="crafiq", description="The local platform.")
    known.set_defaults(run=None)
    commands = known.add_subparsers(metavar="command")
    up = commands.add_parser("up", help="start everything and stay until Ctrl-C")
    up.add_argument(
        "--with-parent", action="store_true", help="end when the process that started this one does"
    )
    up.add_argument("--services", help="start only these (a,b), or none: servers and sandbox alone")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="stop the platform of this state folder and wait until it has")
    down.set_defaults(run=lambda _: lifecycle.down())
    shown = commands.add_parser("status", help="processes, queues, lag and versions at a glance")
    shown.set_defaults(run=lambda _: status.status())
    demo = commands.add_parser("demo", help="run the main job on a picture and write a report")
    demo.add_argument("--file", type=Path, help="the picture; without it, the example photo")
    demo.add_argument("--prompt", help="what to make")
    demo.set_defaults(run=_demo)
    operating.add(commands)
    commands.add_parser("help", help="show this")
    return known


def _up(told: argparse.Namespace) -> int:
    named = list(SERVICES) if told.services is None else told.services.split(",")
    services = [name for name in named if name in SERVICES]
    return asyncio.run(lifecycle.up(services, with_parent=told.with_parent))


def _demo(told: argparse.Namespace) -> int:
    # Only the demo needs an HTTP client.
    from cli.demo import example, run  # noqa: PLC0415

    return asyncio.run(run.demo(told.file or example.photo(), told.prompt or run.DEFAULT_PROMPT))


if __name__ == "__main__":
    sys.exit(while_read(main))
