"""Traces pass on, and nothing that is observed says anything about a person."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crafiq.identity.v1 import identity_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from chassis import telemetry

SAMPLED = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
UNSAMPLED = SAMPLED[:-1] + "0"


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[Any]:
    file = tmp_path / "traces" / "test.jsonl"
    telemetry.tracing.start("test", 0.0, file)

    def read() -> list[dict[str, Any]]:
        telemetry.tracing.stop()
        return [json.loads(line) for line in file.read_text().splitlines()]

    yield read
    telemetry.tracing.stop()


def test_an_unsampled_trace_is_passed_on_and_makes_no_span(spans: Any) -> None:
    with telemetry.span("work", UNSAMPLED):
        assert telemetry.traceparent() == UNSAMPLED
    assert telemetry.traceparent() == ""
    assert spans() == []


def test_a_sampled_trace_is_continued(spans: Any) -> None:
    with telemetry.span("outer", SAMPLED, batch=3):
        outer = telemetry.traceparent()
        with telemetry.span("inner"):
            inner = telemetry.traceparent()
    written = {span["name"]: span for span in spans()}
    assert outer[:36] == inner[:36] == SAMPLED[:36]
    assert written["outer"]["parent"] == "b" * 16
    assert written["inner"]["parent"] == written["outer"]["span"] == outer[36:52]
    assert (written["outer"]["service"], written["outer"]["attributes"]) == ("test", {"batch": 3})
    assert written["outer"]["end"] >= written["inner"]["end"]


def test_a_trace_that_begins_here_has_an_id_of_its_own(spans: Any) -> None:
    with telemetry.span("first", ""):
        first = telemetry.traceparent()
        assert telemetry.traceparent() == first
    with telemetry.span("second", ""):
        assert telemetry.traceparent() != first
    assert first.endswith("-00")
    assert spans() == []


def test_the_ratio_decides_which_traces_begin_sampled(tmp_path: Path) -> None:
    telemetry.tracing.start("test", 1.0, tmp_path / "t.jsonl")
    with telemetry.span("work", ""):
        assert telemetry.traceparent().endswith("-01")
    telemetry.tracing.stop()


@pytest.mark.parametrize(
    "junk", ["", "junk", "00-" + "0" * 32 + "-" + "b" * 16 + "-01", SAMPLED + "\n", "ff" + SAMPLED[2:]]
)
def test_a_traceparent_that_is_none_begins_a_new_trace(spans: Any, junk: str) -> None:
    with telemetry.span("work", junk):
        assert telemetry.traceparent()[3:35] != SAMPLED[3:35]
    assert spans() == []


def test_a_fault_shows_its_type_and_not_its_text(spans: Any) -> None:
    with pytest.raises(ValueError, match="somebody"), telemetry.span("work", SAMPLED):
        raise ValueError("somebody@example.com")
    (span,) = spans()
    assert span["fault"] == "ValueError"
    assert "somebody" not in json.dumps(span)


def test_personal_fields_are_redacted_wherever_they_stand() -> None:
    request = identity_pb2.SignUpRequest(
        email="somebody@example.com", password="secret", is_adult=True, accepted_policy_version="2026-01"
    )
    assert telemetry.redact(request) == {
        "email": "[redacted]", "password": "[redacted]", "is_adult": True,
        "accepted_policy_version": "2026-01",
    }  # fmt: skip
    session = identity_pb2.Session(name="sessions/1", device="Firefox", create_time=Timestamp(seconds=1))
    listed = telemetry.redact(identity_pb2.ListSessionsResponse(sessions=[session], next_page_token="t"))
    assert listed["sessions"] == [
        {"name": "sessions/1", "device": "[redacted]", "create_time": {"seconds": 1}}
    ]


def _line(message: str, *args: object, exc_info: Any = None) -> dict[str, Any]:
    record = logging.LogRecord("crafiq.test", logging.ERROR, __file__, 1, message, args, exc_info)
    line: dict[str, Any] = json.loads(telemetry.JsonLines().format(record))
    return line


def test_a_log_line_is_json_with_the_trace() -> None:
    with telemetry.span("work", UNSAMPLED):
        line = _line("sent %d of %s", 3, "five")
    assert (line["message"], line["level"], line["trace"]) == ("sent 3 of five", "ERROR", "a" * 32)


def test_a_log_line_shows_messages_redacted_and_of_errors_the_type() -> None:
    request = identity_pb2.SignUpRequest(email="somebody@example.com", is_adult=True)
    line = _line("got %s and %s", request, ValueError("somebody@example.com"))
    assert line["message"] == 'got {"email": "[redacted]", "is_adult": true} and ValueError'


def test_an_exception_is_logged_by_type_and_place_alone() -> None:
    try:
        try:
            raise KeyError("somebody@example.com")
        except KeyError as error:
            raise RuntimeError("about somebody@example.com") from error
    except RuntimeError as error:
        line = _line("failed", exc_info=(type(error), error, error.__traceback__))
    assert line["error"]["types"] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert "test_telemetry.py" in line["error"]["at"][0]
    assert "somebody" not in json.dumps(line)


async def test_an_error_that_nobody_awaited_is_logged_without_its_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    error = ValueError("somebody@example.com")
    telemetry.log_stray(loop, {"message": "Task exception was never retrieved", "exception": error})
    (record,) = caplog.records
    line = telemetry.JsonLines().format(record)
    assert "builtins.ValueError" in line
    assert "somebody" not in line
