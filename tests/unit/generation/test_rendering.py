"""What people see of a job, now and at each state it went through."""

from __future__ import annotations

import json

from services.generation.domain import Delivered, Job, JobState, Rules, Transition
from services.generation.domain.refusals import StreamsTooMany
from services.generation.handler import rendering
from tests.unit.generation.test_jobs import NOW, tried


def history() -> tuple[Job, list[Transition]]:
    one = tried(count=2)
    steps = [
        one.conclude(Delivered((b"1", b"2")), Rules(), NOW),
        one.kept("assets/1", 2, Rules(), NOW),
        one.kept("assets/2", 2, Rules(), NOW),
    ]
    return one.job, steps


def parsed(event: bytes) -> dict[str, str]:
    assert event.endswith(b"\n\n")
    return dict(line.split(": ", 1) for line in event.decode().strip().split("\n"))


def test_an_event_has_its_number_its_kind_and_the_resource_on_one_line() -> None:
    job, steps = history()
    event = parsed(rendering.state_event(job, steps[-1]))
    assert event["id"] == "5"
    assert event["event"] == "state"
    shown = json.loads(event["data"])
    assert shown["state"] == "SUCCEEDED"
    assert shown["outputAssets"] == ["assets/1", "assets/2"]
    assert shown["chargedCredits"] == shown["quotedCredits"] == 8
    assert shown["endTime"] == "2026-11-23T12:00:00Z"
    assert shown["etag"] == '"5"'


def test_a_state_of_the_past_is_shown_without_what_came_later() -> None:
    job, steps = history()
    shown = json.loads(parsed(rendering.state_event(job, steps[1]))["data"])
    assert shown["state"] == "RUNNING"
    assert shown["note"] == "1 of 2 Outputs are stored."
    assert shown["outputAssets"] == ["assets/1"]
    assert shown["chargedCredits"] == 0
    assert "endTime" not in shown


def test_words_with_line_breaks_do_not_break_the_stream() -> None:
    job, steps = history()
    job.prompt = "one\ndata: two\n\nevent: state"
    event = parsed(rendering.state_event(job, steps[0]))
    assert json.loads(event["data"])["prompt"] == job.prompt


def test_outside_there_are_five_states() -> None:
    shown = {state.value: state.outside for state in JobState}
    assert shown == {
        "RESERVED": "QUEUED", "SUBMITTING": "RUNNING", "ACCEPTED": "RUNNING", "RUNNING": "RUNNING",
        "UNKNOWN": "RUNNING", "SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED", "CANCELLED": "CANCELLED",
    }  # fmt: skip


def test_what_breaks_a_stream_is_said_in_it_without_values() -> None:
    refused = json.loads(parsed(rendering.error_event(StreamsTooMany(limit=8)))["data"])
    assert refused["reason"] == "STREAMS_TOO_MANY"
    broken = json.loads(parsed(rendering.error_event(ValueError("somebody's words")))["data"])
    assert broken["reason"] == "INTERNAL"
    assert "somebody" not in broken["message"]


def test_a_transition_belongs_to_the_person_whose_job_it_is() -> None:
    job, steps = history()
    assert {step.account for step in steps} == {job.account}
