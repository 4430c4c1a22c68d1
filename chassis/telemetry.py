"""Traces, metrics and logs, none with personal data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf.message import Message


def traceparent() -> str:
    """The W3C `traceparent` of what is going on now; an event or a call carries it on. Empty if none."""
    raise NotImplementedError


@contextmanager
def span(name: str, parent: str | None = None, **attributes: str | int) -> Iterator[None]:
    """Trace a piece of work; nothing but a context variable is set when it is not sampled.

    `parent` is a traceparent that came from elsewhere (a request, an event); without it the
    current one is continued, or a new trace begins. Attributes are never personal.
    """
    raise NotImplementedError
    yield


def redact(message: Message) -> dict[str, Any]:
    """A message as a dict for a log line; fields declared `personal` show as "[redacted]"."""
    raise NotImplementedError
