"""What each answer of OpenAI means: whether it can have been accepted decides about asking again."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from services.generation.adapters.openai import read_answer
from services.generation.domain import (
    ContentRefused,
    Delivered,
    FailureReason,
    NotAccepted,
    Unanswered,
)

ID = {"x-request-id": "req_1"}


def error(code: str | None) -> bytes:
    return json.dumps({"error": {"message": "words of a person", "type": "t", "code": code}}).encode()


def test_pictures_come_as_base64() -> None:
    data = [{"b64_json": base64.b64encode(content).decode()} for content in (b"one", b"two")]
    answer = json.dumps({"created": 1, "data": data}).encode()
    assert read_answer(200, ID, answer) == Delivered((b"one", b"two"), "req_1")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"null", b"[]", b"{}", b'{"data": null}', b'{"data": [{}]}', b'{"data": ["x"]}',
        b'{"data": [{"b64_json": 7}]}', b'{"data": [{"b64_json": "***"}]}', b"\xff\xfe", b'{"data": 1}',
    ],
)  # fmt: skip
def test_an_answer_without_pictures_is_an_answer_all_the_same(body: bytes) -> None:
    assert read_answer(200, ID, body) == Delivered((), "req_1")


@pytest.mark.parametrize("code", ["moderation_blocked", "content_policy_violation"])
def test_refused_content_is_told_apart_from_a_refused_order(code: str) -> None:
    assert read_answer(400, ID, error(code)) == ContentRefused("req_1")
    refused = read_answer(400, ID, error("invalid_value"))
    assert isinstance(refused, NotAccepted)
    assert refused.reason == FailureReason.ORDER_REFUSED
    assert not refused.again


def test_too_many_requests_may_be_repeated_when_the_vendor_says_so() -> None:
    refused = read_answer(429, {**ID, "retry-after": "7"}, error("rate_limit_exceeded"))
    assert isinstance(refused, NotAccepted)
    assert refused.again
    assert refused.wait == timedelta(seconds=7)


@pytest.mark.parametrize("status", [301, 302, 401, 402, 403, 404, 405, 422])
def test_what_will_be_refused_again_is_not_repeated(status: int) -> None:
    refused = read_answer(status, ID, error(None))
    assert isinstance(refused, NotAccepted)
    assert not refused.again


def test_an_empty_account_is_not_a_rate_limit() -> None:
    refused = read_answer(429, ID, error("insufficient_quota"))
    assert isinstance(refused, NotAccepted)
    assert not refused.again
    assert refused.reason == FailureReason.VENDOR_UNAVAILABLE


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 520])
def test_after_a_failure_of_theirs_it_is_not_known_what_became_of_it(status: int) -> None:
    assert read_answer(status, ID, b"") == Unanswered(f"HTTP_{status}", "req_1")


@pytest.mark.promise("2a-input-text")
def test_nothing_that_a_vendor_writes_goes_any_further() -> None:
    for status in (200, 400, 401, 429, 500):
        assert "words of a person" not in repr(read_answer(status, ID, error("moderation_blocked")))


def test_a_reference_is_short() -> None:
    assert len(read_answer(500, {"x-request-id": "x" * 9000}, b"").reference) == 200
