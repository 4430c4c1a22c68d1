"""`up` and `down`: the platform of one state folder."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from deploy.local.launcher import Platform
from deploy.local.ports import PortTaken
from deploy.local.processes import PR_SET_PDEATHSIG, StartFailed
from deploy.local.settings import LauncherSettings
from deploy.local.state import StateError, StateFolder

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DOWN_SECONDS = 60.0
CANNOT_START = 1
WRONG_SETTINGS = 2


def say(sentence: str) -> None:
    """Print at once; a terminal that is gone is no reason to stop draining."""
    with contextlib.suppress(OSError):
        print(sentence, flush=True)


def settings() -> LauncherSettings | None:
    """What the environment says; None, after saying what is wrong with it."""
    try:
        return LauncherSettings()
    except ValidationError as error:
        for fault in error.errors():
            print(f"CRAFIQ_{str(fault['loc'][0]).upper()}: {fault['msg']}", file=sys.stderr)
        return None


async def up(services: Sequence[str], *, with_parent: bool) -> int:
    """Start these services and what they need, stay until Ctrl-C or SIGTERM; answers the exit code.

    `with_parent`: end as well when the process that started this one ends, however it does.
    """
    # nats-py's TLS connections end with a warning that says nothing to anyone.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    if with_parent:
        _end_with_parent()
    told = settings()
    if told is None:
        return WRONG_SETTINGS
    try:
        await _serve(told, services)
    except (StartFailed, PortTaken, StateError) as failure:
        print(f"\n{failure}", file=sys.stderr)
        return CANNOT_START
    except asyncio.CancelledError:
        say("Stopped before everything was up.")
        return CANNOT_START
    say("Everything has stopped.")
    return 0


def down() -> int:
    """Stop the platform of this state folder and wait until it has; answers the exit code."""
    told = settings()
    if told is None:
        return WRONG_SETTINGS
    state = StateFolder(told.state)
    launcher = state.holder()
    if launcher is None:
        say(f"Nothing runs in {state.root}.")
        return 0
    os.kill(launcher, signal.SIGTERM)
    until = time.monotonic() + DOWN_SECONDS
    while state.holder() == launcher:
        if time.monotonic() > until:
            print(f"Process {launcher} has not ended after {DOWN_SECONDS:.0f} s.", file=sys.stderr)
            return 1
        time.sleep(0.05)
    say(f"The platform in {state.root} has stopped.")
    return 0


@dataclass
class _Stop:
    """The wish to stop: the first signal drains, the second ends at once."""

    task: asyncio.Task[None] | None
    starting: bool = True
    wanted: asyncio.Event = field(default_factory=asyncio.Event)

    def on_signal(self) -> None:
        if self.wanted.is_set():
            say("Ended without draining.")
            os._exit(CANNOT_START)  # the kernel ends what this process started
        self.wanted.set()
        say("\nStopping: requests in hand are finished first. Once more ends it at once.")
        if self.starting and self.task:
            self.task.cancel()


async def _serve(told: LauncherSettings, services: Sequence[str]) -> None:
    began = time.monotonic()
    stop = _Stop(asyncio.current_task())
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.on_signal)
    say(f"Crafiq starts; its state is in {told.state}")
    async with Platform(told, services=services, announce=say) as platform:
        stop.starting = False
        _greet(platform, time.monotonic() - began)
        await stop.wanted.wait()


def _greet(platform: Platform, seconds: float) -> None:
    gateway, told = platform.gateway.url, platform.topology
    openai, stripe = (
        "the vendor itself, with the key from .env" if key else "sandbox (no key in .env)"
        for key in (told.openai_key, told.stripe_key)
    )
    say(f"\nCrafiq is up after {seconds:.1f} s.")
    say(f"  Gateway  {gateway}")
    say(f"  Inbox    {told.inbox_url}/")
    say(f"  OpenAI   {openai}")
    say(f"  Stripe   {stripe}")
    say(f"  Logs     {platform.state.root / 'logs'}")
    say(f"  Try      curl -s {gateway}/v1/models")
    say("Ctrl-C stops it; `make status` shows it, `make demo` runs the main job on it.")


def _end_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        os._exit(CANNOT_START)
