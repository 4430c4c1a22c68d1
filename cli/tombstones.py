"""`tombstones`: who was erased, by the ledger outside of all databases; and its replay after a restore."""

from __future__ import annotations

import asyncio
import sys

import grpc.aio
from crafiq.promises.v1 import promises_pb2, promises_pb2_grpc

from chassis.rpc import refusal_from
from cli.lifecycle import WRONG_SETTINGS, settings
from cli.local import Local, NotUpError, print_table
from deploy.local.infra import SERVICES
from deploy.local.seaweed import LEDGER
from deploy.local.secret_files import SecretFiles
from deploy.local.state import StateFolder
from promises.ledger import Ledger

NOT_RUNNING = 3
PATIENCE = 60  # seconds


def run(act: str) -> int:
    """`list` or `replay`; answers the exit code: 1 if a service did not answer, 3 if nothing runs."""
    told = settings()
    if told is None:
        return WRONG_SETTINGS
    try:
        local = Local.find(StateFolder(told.state))
        return asyncio.run(_replay(local) if act == "replay" else _list(local))
    except NotUpError as down:
        print(down, file=sys.stderr)
        return NOT_RUNNING


async def _list(local: Local) -> int:
    folder = SecretFiles(local.state).folder("privacy")
    access, secret = (
        (folder / f"crafiq_ledger_{part}_key").read_text(encoding="utf-8") for part in ("access", "secret")
    )
    standing = await Ledger(local.endpoints["s3"], LEDGER, (access, secret)).standing()
    rows = [
        (f"{each.deleted_at:%Y-%m-%d %H:%M:%S}", str(each.account), str(each.erasure)) for each in standing
    ]
    print_table([("deleted (UTC)", "account", "erasure"), *rows], left=3)
    print(
        f"\n{len(rows)} tombstones stand. `./crafiq tombstones replay` applies those that a database lacks."
    )
    return 0


async def _replay(local: Local) -> int:
    failed = 0
    for service in SERVICES:
        async with local.channel(service) as channel:
            holder = promises_pb2_grpc.DataHolderStub(channel)
            try:
                answer = await holder.Replay(promises_pb2.ReplayRequest(), timeout=PATIENCE)
            except grpc.aio.AioRpcError as error:
                failed += 1
                print(f"{service:<12} did not: {refusal_from(error)}")
                continue
        print(f"{service:<12} {answer.applied} tombstones were missing and are applied")
    return 1 if failed else 0
