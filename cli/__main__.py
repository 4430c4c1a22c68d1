"""The `crafiq` command: `python -m cli help` lists what it does."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from cli import deadletters, lifecycle, receipts, status, tombstones
from deploy.local.infra import SERVICES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    parser = _parser()
    told = parser.parse_args(arguments)
    if told.run is None:
        parser.print_help()
        return 0
    code: int = told.run(told)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crafiq", description="The local platform.")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="command")
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
    _add_for_operators(commands)
    commands.add_parser("help", help="show this")
    return parser


def _add_for_operators(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    letters = commands.add_parser("dead-letters", help="messages that a service could not handle or send")
    letters.add_argument("act", choices=("list", "show", "replay"))
    letters.add_argument("id", nargs="?", help="the message's id, from `list`")
    letters.add_argument("--all", action="store_true", help="replay every one")
    letters.add_argument("--service", choices=SERVICES, help="only those of this service")
    letters.set_defaults(run=_dead_letters)
    ledger = commands.add_parser("tombstones", help="who was erased, by the ledger outside of databases")
    ledger.add_argument("act", choices=("list", "replay"), help="replay: after a backup was brought back")
    ledger.set_defaults(run=lambda told: tombstones.run(told.act))
    receipt = commands.add_parser("receipt", help="whether the receipt of an erasure is ours")
    receipt.add_argument("act", choices=("verify",))
    receipt.add_argument("file", type=Path, help="a receipt or a supplement, as GET /v1/erasures/... gave it")
    receipt.add_argument("--keys", help="a JWK Set, as a file or a URL; else that of the local platform")
    receipt.set_defaults(run=lambda told: receipts.run(told.file, told.keys))


def _up(told: argparse.Namespace) -> int:
    named = list(SERVICES) if told.services is None else told.services.split(",")
    services = [name for name in named if name in SERVICES]
    return asyncio.run(lifecycle.up(services, with_parent=told.with_parent))


def _dead_letters(told: argparse.Namespace) -> int:
    services = [told.service] if told.service else SERVICES
    return deadletters.run(told.act, told.id, services, everything=told.all)


def _demo(told: argparse.Namespace) -> int:
    # Only the demo needs an HTTP client.
    from cli.demo import run  # noqa: PLC0415

    return asyncio.run(run.demo(told.file or run.default_file(), told.prompt or run.DEFAULT_PROMPT))


if __name__ == "__main__":
    sys.exit(main())
