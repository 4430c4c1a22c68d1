"""The way of a job through its states, and what follows from each end of a try at a vendor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.generation.domain import (
    Attempt,
    AttemptState,
    ContentRefused,
    Delivered,
    Egress,
    FailureReason,
    Input,
    Job,
    JobState,
    NotAccepted,
    Order,
    Outcome,
    Result,
    RetryPolicy,
    Route,
    Rules,
    Task,
    Try,
    Unanswered,
    Wish,
    quote,
)
from services.generation.domain.refusals import TransitionForbidden
from services.generation.domain.states import NEXT
from tests.unit.generation.test_catalogue import SHIPPED

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RULES = Rules(RetryPolicy(tries=3, first=timedelta(seconds=1), longest=timedelta(seconds=5)))


def reserved(count: int = 1) -> Job:
    wish = Wish("", Task.TEXT_TO_IMAGE, "a brass key", (), count, {})
    job, step = Job.reserve(uuid4(), uuid4(), quote(SHIPPED, wish, NOW), NOW)
    assert (step.seq, step.state) == (1, JobState.RESERVED)
    return job


class _Vendor:
    """What a route needs for an egress record."""

    def fields(self, order: Order) -> tuple[str, ...]:
        return ("prompt", "model", *(["image"] if order.inputs else []))

    async def generate(self, order: Order) -> Result:
        raise NotImplementedError


ROUTE = Route("openai", _Vendor(), SHIPPED.vendors["openai"], sandbox=True)


def tried(count: int = 1, *, sent: bool = True) -> Try:
    job = reserved(count)
    attempt_id = uuid4()
    job.submit(attempt_id, NOW)
    attempt = Attempt.begin(attempt_id, job, RULES.lease, NOW)
    if not sent:
        return Try(job, attempt, None)
    attempt.state = AttemptState.SENT
    order = Order(job.model, Task(job.task), job.prompt, job.count, job.parameters, ())
    return Try(job, attempt, Egress.of(attempt, order, ROUTE, NOW))


def test_a_delivered_job_was_seen_in_every_state_and_is_charged_once() -> None:
    one = tried(count=2)
    steps = [
        one.conclude(Delivered((b"1", b"2"), "req_1"), RULES, NOW),
        one.kept("assets/1", 2, RULES, NOW),
        one.kept("assets/2", 2, RULES, NOW),
    ]
    assert [(s.seq, s.state, s.outputs) for s in steps] == [
        (3, JobState.RUNNING, 0),
        (4, JobState.RUNNING, 1),
        (5, JobState.SUCCEEDED, 2),
    ]
    assert one.job.charged_credits == one.job.quoted_credits == 8
    assert one.attempt.state == AttemptState.DONE
    assert one.attempt.reference == "req_1"
    assert one.egress is not None
    assert one.egress.outcome == Outcome.ANSWERED


@pytest.mark.promise("3-transactions")
def test_only_what_was_delivered_is_charged() -> None:
    one = tried(count=3)
    one.conclude(Delivered((b"1", b"2", b"3")), RULES, NOW)
    step = one.kept("assets/1", 1, RULES, NOW)
    assert step.state == JobState.SUCCEEDED
    assert one.job.charged_credits == 4
    assert "1 of 3" in step.note


def test_nothing_that_is_what_it_claims_to_be_is_a_failure() -> None:
    one = tried()
    one.conclude(Delivered(()), RULES, NOW)
    step = one.settled(FailureReason.OUTPUT_INVALID, NOW)
    assert step.state == JobState.FAILED
    assert one.job.failure_reason == FailureReason.OUTPUT_INVALID
    assert one.job.charged_credits == 0


def test_refused_content_is_not_asked_for_again() -> None:
    one = tried()
    assert one.conclude(ContentRefused(), RULES, NOW).state == JobState.FAILED
    assert one.job.failure_reason == FailureReason.CONTENT_REFUSED


def test_what_was_provably_not_accepted_is_asked_for_again_later_and_later() -> None:
    one = tried()
    step = one.conclude(NotAccepted("HTTP_429", again=True), RULES, NOW)
    assert step.state == JobState.RESERVED
    assert one.job.not_before == NOW + timedelta(seconds=1)
    one.job.submit(uuid4(), NOW)
    one.conclude(NotAccepted("HTTP_429", again=True), RULES, NOW)
    assert one.job.not_before == NOW + timedelta(seconds=2)
    one.job.submit(uuid4(), NOW)
    assert one.conclude(NotAccepted("HTTP_429", again=True), RULES, NOW).state == JobState.FAILED
    assert one.job.failure_reason == FailureReason.VENDOR_UNAVAILABLE


def test_the_vendors_own_wait_is_kept_within_bounds() -> None:
    policy = RetryPolicy(first=timedelta(seconds=1), longest=timedelta(seconds=60))
    asked = NotAccepted("HTTP_429", again=True, wait=timedelta(seconds=20))
    assert policy.delay(1, asked) == timedelta(seconds=20)
    assert policy.delay(1, NotAccepted("", again=True, wait=timedelta(hours=9))) == timedelta(seconds=60)
    assert policy.delay(1, NotAccepted("HTTP_401")) is None


@pytest.mark.promise("5-egress-log")
def test_the_record_says_when_nothing_arrived_and_that_no_copy_exists() -> None:
    one = tried()
    one.conclude(NotAccepted("ClientConnectorError", again=True, arrived=False), RULES, NOW)
    assert one.egress is not None
    assert one.egress.outcome == Outcome.NOT_ACCEPTED
    assert one.egress.expire_time is None


@pytest.mark.promise("5-egress-log", "5-ai-min-input")
def test_the_record_says_what_leaves_how_much_of_it_and_how_long_it_may_live_there() -> None:
    one = tried()
    order = Order("m", Task.IMAGE_TO_IMAGE, "für", 1, {}, (Input("assets/1", b"12345", "image/png"),))
    record = Egress.of(one.attempt, order, ROUTE, NOW)
    assert record.fields_sent == ["prompt", "model", "image"]
    assert record.assets == ["assets/1"]
    assert record.size_bytes == 4 + 5
    assert record.expire_time == NOW + timedelta(days=30)
    assert (record.region, record.sandbox, record.outcome) == ("US", True, Outcome.SENT)


def test_without_an_answer_nobody_else_is_asked_and_the_fate_is_awaited() -> None:
    one = tried()
    step = one.conclude(Unanswered("TimeoutError"), RULES, NOW)
    assert step.state == JobState.UNKNOWN
    assert one.job.deadline == NOW + timedelta(minutes=15)
    assert one.expire(NOW).state == JobState.FAILED
    assert one.job.failure_reason == FailureReason.OUTCOME_UNKNOWN
    assert one.job.charged_credits == 0


def test_an_answer_that_comes_after_all_is_delivered() -> None:
    one = tried()
    one.conclude(Unanswered("WORKER_GONE"), RULES, NOW)
    assert one.conclude(Delivered((b"1",)), RULES, NOW).state == JobState.RUNNING
    assert one.kept("assets/1", 1, RULES, NOW).state == JobState.SUCCEEDED


def test_a_worker_that_was_given_up_and_stores_an_output_has_a_lease_again() -> None:
    one = tried(count=2)
    one.conclude(Delivered((b"1", b"2"), "req_1"), RULES, NOW)
    late = NOW + RULES.lease
    assert one.abandon(RULES, late).state == JobState.UNKNOWN
    assert not one.attempt.open
    assert one.kept("assets/1", 2, RULES, late).state == JobState.RUNNING
    assert (one.attempt.state, one.attempt.claimed_until) == (AttemptState.ANSWERED, late + RULES.lease)
    assert (one.attempt.cause, one.attempt.end_time, one.attempt.reference) == ("", None, "req_1")
    assert one.egress is not None
    assert one.egress.outcome == Outcome.ANSWERED
    assert one.kept("assets/2", 2, RULES, late).state == JobState.SUCCEEDED
    assert one.attempt.state == AttemptState.DONE


def test_what_was_stored_before_the_worker_died_is_delivered_in_the_end() -> None:
    one = tried(count=2)
    one.conclude(Delivered((b"1", b"2")), RULES, NOW)
    one.kept("assets/1", 2, RULES, NOW)
    assert one.abandon(RULES, NOW).state == JobState.UNKNOWN
    assert one.expire(NOW).state == JobState.SUCCEEDED
    assert one.job.charged_credits == 4


def test_a_worker_that_died_before_anything_left_costs_nothing_but_time() -> None:
    one = tried(sent=False)
    assert one.abandon(RULES, NOW).state == JobState.RESERVED
    assert one.attempt.state == AttemptState.ABANDONED


def test_a_worker_that_died_after_it_may_have_sent_is_not_followed_by_another() -> None:
    one = tried()
    assert one.abandon(RULES, NOW).state == JobState.UNKNOWN


def test_a_job_that_ends_its_workers_ends_itself() -> None:
    job = reserved()
    for _ in range(RULES.retry.tries):
        job.submit(uuid4(), NOW)
        one = Try(job, Attempt.begin(uuid4(), job, RULES.lease, NOW), None)
        if job.attempts < RULES.retry.tries:
            assert one.abandon(RULES, NOW).state == JobState.RESERVED
    assert one.abandon(RULES, NOW).state == JobState.FAILED
    assert one.job.failure_reason == FailureReason.INTERNAL


@pytest.mark.parametrize("end", [state for state in JobState if not NEXT[state]])
def test_nothing_follows_an_end(end: JobState) -> None:
    job = reserved()
    job.state = end
    for follow in (
        lambda: job.submit(uuid4(), NOW),
        lambda: job.fail(FailureReason.INTERNAL, NOW),
        lambda: job.lose(NOW, NOW),
        lambda: job.keep("assets/1", 1, NOW),
    ):
        with pytest.raises(TransitionForbidden):
            follow()


RESULTS = st.one_of(
    st.just(Delivered((b"1", b"2"))),
    st.just(ContentRefused()),
    st.builds(NotAccepted, st.just("HTTP_429"), again=st.booleans()),
    st.just(Unanswered("TimeoutError")),
)


@pytest.mark.promise("3-generate")
@settings(deadline=None)  # a busy machine is no fault of the rules
@given(st.lists(RESULTS, min_size=1, max_size=6), st.integers(0, 2))
def test_whatever_vendors_do_states_are_numbered_and_nothing_undelivered_is_charged(
    results: list[Result], good: int
) -> None:
    one = tried(count=2)
    numbers = [1, 2]
    for result in results:
        if one.job.ended:
            break
        if one.job.state == JobState.RESERVED:
            numbers.append(one.job.submit(uuid4(), NOW).seq)
        if one.job.state == JobState.UNKNOWN and isinstance(result, Unanswered):
            continue
        numbers.append(one.conclude(result, RULES, NOW).seq)
        if isinstance(result, Delivered):
            numbers += [one.kept(f"assets/{n}", good, RULES, NOW).seq for n in range(good)]
            if not good:
                numbers.append(one.settled(FailureReason.OUTPUT_INVALID, NOW).seq)
    assert numbers == list(range(1, len(numbers) + 1))
    assert one.job.charged_credits == 4 * len(one.job.outputs)
    assert (one.job.end_time is not None) == one.job.ended
