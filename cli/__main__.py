"""The `crafiq` command: `python -m cli up|down|status|dead-letters|demo`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from cli import deadletters, lifecycle, status
from deploy.local.infra import SERVICES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    parser = _parser()
    told = parser.parse_args(arguments)
    match told.command:
        case "up":
            return asyncio.run(lifecycle.up(_named(told.services), with_parent=told.with_parent))
        case "down":
            return lifecycle.down()
        case "status":
            return status.status()
        case "dead-letters":
            services = [told.service] if told.service else SERVICES
            return deadletters.run(told.act, told.id, services, everything=told.all)
        case "demo":
            return _demo(told.file, told.prompt)
    parser.print_help()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crafiq", description="The local platform.")
    commands = parser.add_subparsers(dest="command", metavar="up|down|status|dead-letters|demo|help")
    up = commands.add_parser("up", help="start everything and stay until Ctrl-C")
    up.add_argument(
        "--with-parent", action="store_true", help="end when the process that started this one does"
    )
    up.add_argument("--services", help="start only these (a,b), or none: servers and sandbox alone")
    commands.add_parser("down", help="stop the platform of this state folder and wait until it has")
    commands.add_parser("status", help="processes, queues, lag and versions at a glance")
    letters = commands.add_parser("dead-letters", help="messages that a service could not handle or send")
    letters.add_argument("act", choices=("list", "show", "replay"))
    letters.add_argument("id", nargs="?", help="the message's id, from `list`")
    letters.add_argument("--all", action="store_true", help="replay every one")
    letters.add_argument("--service", choices=SERVICES, help="only those of this service")
    demo = commands.add_parser("demo", help="run the main job on a picture and write a report")
    demo.add_argument("--file", type=Path, help="the picture; without it, the example photo")
    demo.add_argument("--prompt", help="what to make")
    commands.add_parser("help", help="show this")
    return parser


def _named(services: str | None) -> list[str]:
    if services is None:
        return list(SERVICES)
    return [name for name in services.split(",") if name in SERVICES]


def _demo(file: Path | None, prompt: str | None) -> int:
    # Only the demo needs an HTTP client.
    from cli.demo import run  # noqa: PLC0415

    return asyncio.run(run.demo(file or run.default_file(), prompt or run.DEFAULT_PROMPT))


if __name__ == "__main__":
    sys.exit(main())
