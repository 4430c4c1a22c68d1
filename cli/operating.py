"""What operators do by hand: dead letters, tombstones, receipts."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli import deadletters, receipts, tombstones
from deploy.local.infra import SERVICES


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Teach the command line what operators do."""
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


def _dead_letters(told: argparse.Namespace) -> int:
    services = [told.service] if told.service else SERVICES
    return deadletters.run(told.act, told.id, services, everything=told.all)
