"""Whoever reads what a command says, and may stop."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable


def while_read(command: Callable[[], int]) -> int:
    """A command's exit code; as a shell gives it, if whoever reads has enough, as `head` has."""
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        # What is still to be written at the end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def _nobody_reads() -> bool:
    """Whether it was our own output that broke, and not a connection."""
    out = select.poll()
    out.register(sys.stdout, 0)
    return bool(out.poll(0))
