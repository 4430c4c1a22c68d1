"""Traces and logs, none with personal data. Metrics are where they are counted."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from crafiq.options.v1 import options_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

REDACTED = "[redacted]"
_W3C = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")
_SAMPLED, _FINE = trace.TraceFlags(trace.TraceFlags.SAMPLED), trace.Status()


class _Trace:
    """A `traceparent`, made up only when somebody asks for it: most calls of most traces never do."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def __str__(self) -> str:
        if not self._text:
            bits = tracing.chance.getrandbits
            self._text = f"00-{bits(128) or 1:032x}-{bits(64) or 1:016x}-00"
        return self._text


_current: ContextVar[_Trace | None] = ContextVar("traceparent", default=None)


class Span:
    """Sampled work under way, a root if `above` (a traceparent) is empty.

    The SDK hears of it when it ends: spans that it makes itself cost three times as much.
    """

    __slots__ = ("attributes", "context", "name", "parent", "since")

    def __init__(self, name: str, above: str) -> None:
        bits = tracing.chance.getrandbits
        trace_id, self.parent = int(above[3:35] or "0", 16) or bits(128) or 1, None
        if above:
            self.parent = trace.SpanContext(trace_id, int(above[36:52], 16), is_remote=True)
        self.context = trace.SpanContext(trace_id, bits(64) or 1, is_remote=False, trace_flags=_SAMPLED)
        self.name, self.since, self.attributes = name, time.time_ns(), dict[str, str | int]()

    def __str__(self) -> str:
        return f"00-{self.context.trace_id:032x}-{self.context.span_id:016x}-01"


class Tracing:
    """Where sampled spans go. Before `start` no trace begins here, but the contexts of others pass on."""

    def __init__(self) -> None:
        self.ratio = 0.0
        self.chance = random.Random()  # noqa: S311  # sampling, not a secret
        self._resource = Resource({})
        self._processor: BatchSpanProcessor | None = None
        self._file: IO[str] | None = None

    @property
    def started(self) -> bool:
        """Whether spans go anywhere."""
        return self._processor is not None

    def start(self, service: str, ratio: float, out: Path) -> None:
        """Sample `ratio` of the traces that begin here; append finished spans to `out` as JSON lines."""
        self.stop()
        out.parent.mkdir(parents=True, exist_ok=True)
        self._file = out.open("a", encoding="utf-8")
        self._processor = BatchSpanProcessor(ConsoleSpanExporter(out=self._file, formatter=_json_line))
        self._resource, self.ratio = Resource({"service.name": service}), ratio

    def stop(self) -> None:
        """Write what is waiting and close the file."""
        if self._processor is not None and self._file is not None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]  # of the SDK
            self._file.close()
        self.ratio, self._processor, self._file = 0.0, None, None

    def hear(self, span: Span, status: trace.Status) -> None:
        """Take a span that ended now."""
        if self._processor is not None:
            ended = ReadableSpan(
                span.name, span.context, span.parent, self._resource, span.attributes, status=status,
                start_time=span.since, end_time=time.time_ns(),
            )  # fmt: skip
            self._processor.on_end(ended)


tracing = Tracing()


def _json_line(span: ReadableSpan) -> str:
    # A tenth of the cost of the SDK's own to_json; hex ids as in W3C, times in nanoseconds since 1970.
    context = span.get_span_context()
    line = {
        "name": span.name,
        "service": span.resource.attributes["service.name"],
        "trace": f"{context.trace_id:032x}" if context else "",
        "span": f"{context.span_id:016x}" if context else "",
        "parent": f"{span.parent.span_id:016x}" if span.parent else "",
        "start": span.start_time,
        "end": span.end_time,
        "fault": span.status.description or "",
        "attributes": dict(span.attributes or {}),
    }
    return f"{json.dumps(line)}\n"


def traceparent() -> str:
    """The W3C `traceparent` of what is going on now; an event or a call carries it on. Empty if none."""
    return str(_current.get() or "")


def begin(name: str, parent: str | None = None) -> Span | None:
    """Enter a piece of work: set the context of this task; answer a span only if it is sampled.

    Whoever began the trace has decided whether it is. The unsampled path makes no span.
    """
    above = traceparent() if parent is None else parent
    if above and not _W3C.fullmatch(above):
        above = ""
    if above[-1:] != "1" and (above or tracing.chance.random() >= tracing.ratio):
        _current.set(_Trace(above))
        return None
    span = Span(name, above) if tracing.started else None
    _current.set(_Trace(str(span or above)))
    return span


def finish(span: Span, fault: str = "") -> None:
    """End a span; `fault` is a status or the name of an error's type, never its text."""
    tracing.hear(span, trace.Status(trace.StatusCode.ERROR, fault) if fault else _FINE)


@contextmanager
def span(name: str, parent: str | None = None, **attributes: str | int) -> Iterator[None]:
    """Trace a piece of work; nothing but a context variable is set when it is not sampled.

    `parent` is a traceparent that came from elsewhere (a request, an event); without it the
    current one is continued, or a new trace begins. Attributes are never personal.
    """
    before = _current.get()
    begun, fault = begin(name, parent), ""
    if begun is not None:
        begun.attributes.update(attributes)
    try:
        yield
    except BaseException as error:
        fault = type(error).__name__
        raise
    finally:
        if begun is not None:
            finish(begun, fault)
        _current.set(before)


def redact(message: Message) -> dict[str, Any]:
    """A message as a dict for a log line: fields declared `personal` show as "[redacted]".

    Of bytes and maps, whose content is the client's own words, only the length is shown.
    """
    shown: dict[str, Any] = {}
    for field, value in message.ListFields():
        kind = field.message_type
        if field.GetOptions().HasExtension(options_pb2.personal):
            shown[field.name] = REDACTED
        elif field.type == FieldDescriptor.TYPE_BYTES or (kind is not None and kind.GetOptions().map_entry):
            shown[field.name] = len(value)
        elif kind is None:
            shown[field.name] = list(value) if field.is_repeated else value
        else:
            shown[field.name] = [redact(each) for each in value] if field.is_repeated else redact(value)
    return shown


def describe(error: BaseException) -> dict[str, Any]:
    """An exception without its values: types of the chain, and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    types: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(types) < 5:
        types.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
        cause = cause.__cause__ or cause.__context__
    return {"types": types, "at": [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames[-12:]]}


def _safe(argument: object) -> object:
    if isinstance(argument, Message):
        return json.dumps(redact(argument))
    return type(argument).__qualname__ if isinstance(argument, BaseException) else argument


class JsonLines(logging.Formatter):
    """One JSON object a line; messages of our protos are redacted, exceptions show no values."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        if isinstance(record.args, tuple):
            record.args = tuple(_safe(argument) for argument in record.args)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := traceparent():
            line["trace"] = current[3:35]
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe(record.exc_info[1])
        return json.dumps(line, default=str)


def log_to_stderr(level: str) -> None:
    """Send all logs of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=level, force=True)


def log_stray(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A loop's exception handler: asyncio's own prints the exception, and so its values."""
    error = context.get("exception")
    logging.getLogger("crafiq.stray").error("an error that nobody awaited", exc_info=error)
