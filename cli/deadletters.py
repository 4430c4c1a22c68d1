"""`dead-letters`: messages that a service could not handle or send, listed, shown, and given to it again.

Events carry names only, so nothing that is printed here says who somebody is.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import asyncpg
from crafiq.options.v1 import options_pb2
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError

from chassis.db import Database
from chassis.deadletters import DeadLetter, dead_letters
from chassis.deadletters import replay as ask_again
from cli.lifecycle import WRONG_SETTINGS, settings
from cli.local import Local, NotUpError, print_table
from deploy.local.infra import SERVICES
from deploy.local.state import StateFolder

NOT_RUNNING = 3
MOST = 10_000  # of one service; more than that is no case for looking at each
PATIENCE = timedelta(seconds=20)
POLL = 0.5  # seconds
HANDLED, SENT = "handled it", "sends it again"


@dataclass(frozen=True)
class Found:
    """A dead letter, and the service that could not handle or send it."""

    service: str
    db: Database
    letter: DeadLetter

    @property
    def event(self) -> str:
        """The event's full name."""
        return self.letter.subject.rpartition(".")[0]


def run(wanted: str, message_id: str | None, services: Sequence[str], *, everything: bool) -> int:
    """`list`, `show` or `replay`; answers the exit code: 1 if something is wrong, 3 if nothing runs."""
    told = settings()
    if told is None:
        return WRONG_SETTINGS
    if wanted != "list" and not message_id and not everything:
        print(f"Say which: ./crafiq dead-letters {wanted} ID; `list` shows the ids.", file=sys.stderr)
        return WRONG_SETTINGS
    acts: dict[str, Callable[[list[Found]], Awaitable[int]]] = {
        "list": _list,
        "show": _show,
        "replay": _replay,
    }
    try:
        return asyncio.run(_with_letters(StateFolder(told.state), services, message_id, acts[wanted]))
    except NotUpError as down:
        print(down, file=sys.stderr)
        return NOT_RUNNING


async def _with_letters(
    state: StateFolder,
    services: Sequence[str],
    message_id: str | None,
    act: Callable[[list[Found]], Awaitable[int]],
) -> int:
    local = Local.find(state)
    async with AsyncExitStack() as stack:
        found: list[Found] = []
        for service in services:
            db = await stack.enter_async_context(local.database(service))
            found += [Found(service, db, letter) for letter in await _letters(db)]
        if message_id is not None:
            found = [each for each in found if each.letter.message_id == message_id]
            if not found:
                print(f"There is no dead letter {message_id}; `./crafiq dead-letters list` shows them.")
                return 1
        return await act(found)


async def _letters(db: Database) -> list[DeadLetter]:
    try:
        return await dead_letters(db, MOST)
    except asyncpg.UndefinedTableError:
        return []  # the service never ran here


async def _list(found: list[Found]) -> int:
    if not found:
        print("There are no dead letters.")
        return 0
    rows = [("service", "died (UTC)", "reason", "event", "id", "tries")]
    for each in sorted(found, key=lambda each: each.letter.died):
        letter = each.letter
        died = f"{letter.died:%Y-%m-%d %H:%M:%S}"
        rows.append((each.service, died, letter.reason, each.event, letter.message_id, str(letter.tries)))
    print_table(rows, left=5)
    print("\n`./crafiq dead-letters show ID` shows one, `replay ID` or `replay --all` tries again.")
    return 0


async def _show(found: list[Found]) -> int:
    for each in found:
        letter = each.letter
        print(f"id       {letter.message_id}")
        failed = "send" if letter.unsent else "handle"
        print(f"service  {each.service} could not {failed} it: {letter.reason}, tried {letter.tries} times")
        print(f"died     {letter.died:%Y-%m-%d %H:%M:%S} UTC")
        print(f"event    {each.event}")
        print(f"{_body(each.event, letter.payload)}\n")
    return 0


def _body(event: str, payload: bytes) -> str:
    """The event as JSON, without what is declared personal (which an event may not have)."""
    for service in SERVICES:
        try:
            importlib.import_module(f"crafiq.{service}.v1.events_pb2")
        except ModuleNotFoundError:
            continue  # it announces nothing
    try:
        message = message_factory.GetMessageClass(Default().FindMessageTypeByName(event)).FromString(payload)
    except (KeyError, DecodeError):
        return f"{len(payload)} bytes that this version can't read"
    for field, _ in message.ListFields():
        if field.GetOptions().Extensions[options_pb2.personal]:
            message.ClearField(field.name)
    return json_format.MessageToJson(message)


async def _replay(found: list[Found]) -> int:
    """Ask the services to try again, and wait for what comes of it."""
    for each in found:
        await ask_again(each.db, each.letter.message_id)
    print(f"{len(found)} asked for." if found else "There are no dead letters.", flush=True)
    waiting, outcomes, until = found, [], monotonic() + PATIENCE.total_seconds()
    while waiting and monotonic() < until:
        await asyncio.sleep(POLL)
        left = []
        for each in waiting:
            if outcome := await _outcome(each):
                print(f"{each.letter.message_id} {outcome}", flush=True)
                outcomes.append(outcome)
            else:
                left.append(each)
        waiting = left
    for each in waiting:
        print(
            f"{each.letter.message_id} waits until {each.service} runs: `make status` shows whether it does."
        )
    return 0 if all(outcome.endswith((HANDLED, SENT)) for outcome in outcomes) and not waiting else 1


async def _outcome(asked: Found) -> str:
    """What came of trying again; empty while nothing has."""
    letters = {letter.message_id: letter for letter in await _letters(asked.db)}
    now = letters.get(asked.letter.message_id)
    if now is None:
        return f"{asked.service} {SENT if asked.letter.unsent else HANDLED}"
    return f"{asked.service} failed again: {now.reason}" if now.tries > asked.letter.tries else ""
