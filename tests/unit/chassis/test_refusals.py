"""Every refusal reaches a caller as `google.rpc.Status`, and comes back from a peer as it was."""

from __future__ import annotations

import importlib
import pkgutil
import string
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import grpc.aio
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

import chassis
import services
from chassis.errors import InvalidRequest, NotFound, Refusal, ResourceExhausted, SubjectUnknown, Unavailable
from chassis.rpc import refusal_from
from chassis.rpc.statuses import internal, refusal_of, status_of, trailers


class LibraryFull(ResourceExhausted):
    sentence = "Your library holds {limit} items; remove some first."


def _all_refusals() -> Iterator[type[Refusal]]:
    for package in (chassis, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not {"__main__", "migrations"} & set(module.name.split(".")):
                importlib.import_module(module.name)
    waiting = [Refusal]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        yield kind


def _arrived(status: status_pb2.Status, kind: type) -> object:
    for detail in status.details:
        found = kind()
        if detail.Unpack(found):
            return found
    return None


def _over_the_wire(status: status_pb2.Status, refusal: Refusal | None) -> grpc.aio.AioRpcError:
    codes = {code.value[0]: code for code in grpc.StatusCode}
    trailing = grpc.aio.Metadata(*trailers(status, refusal))
    return grpc.aio.AioRpcError(codes[status.code], grpc.aio.Metadata(), trailing, status.message)


def test_every_refusal_of_the_project_has_a_code_and_a_sentence_that_can_be_said() -> None:
    for kind in _all_refusals():
        if kind is Refusal:
            continue
        variables = {name for _, name, _, _ in string.Formatter().parse(kind.sentence) if name}
        refusal = kind(**dict.fromkeys(variables, "x"))
        status = status_of(refusal, "crafiq.test")
        assert code_pb2.Code.Name(status.code) == kind.status, kind
        assert status.code != code_pb2.UNKNOWN, kind
        assert "{" not in status.message, kind
        assert status.message.endswith((".", "!", "?")), f"{kind}: a sentence ends"
        assert kind.reason == kind.reason.upper()


def test_a_refusal_says_its_reason_domain_and_variables() -> None:
    status = status_of(LibraryFull(limit=500), "crafiq.assets")
    info = _arrived(status, error_details_pb2.ErrorInfo)
    assert status.message == "Your library holds 500 items; remove some first."
    assert info == error_details_pb2.ErrorInfo(
        reason="LIBRARY_FULL", domain="crafiq.assets", metadata={"limit": "500"}
    )


def test_a_refusal_comes_back_from_a_peer_as_it_was() -> None:
    said = LibraryFull(limit=500, retry_after=timedelta(seconds=90), violations=[("assets[0]", "too many")])
    heard = refusal_from(_over_the_wire(status_of(said, "crafiq.assets"), said))
    assert isinstance(heard, ResourceExhausted)
    assert (heard.reason, heard.domain, str(heard)) == ("LIBRARY_FULL", "crafiq.assets", str(said))
    assert (heard.metadata, heard.violations) == ({"limit": "500"}, (("assets[0]", "too many"),))
    assert heard.retry_after == timedelta(seconds=90)
    assert status_of(heard, "crafiq.generation") == status_of(said, "crafiq.assets")


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_a_peer_that_does_not_answer_is_unavailable(code: grpc.StatusCode) -> None:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "socket closed")
    heard = refusal_of(error)
    assert isinstance(heard, Unavailable)
    assert heard.retry_after == timedelta(seconds=1)
    assert "socket" not in str(heard)


def test_a_fault_of_a_peer_is_unavailable_and_does_not_show() -> None:
    heard = refusal_from(_over_the_wire(internal("abc", "crafiq.assets"), None))
    assert isinstance(heard, Unavailable)
    assert "abc" not in str(heard)


def test_a_fault_of_ours_says_an_id_and_nothing_else() -> None:
    assert refusal_of(ValueError("somebody@example.com")) is None
    assert refusal_of(asyncpg.UniqueViolationError("somebody@example.com")) is None
    info = _arrived(internal("abc", "crafiq.assets"), error_details_pb2.ErrorInfo)
    assert info == error_details_pb2.ErrorInfo(
        reason="INTERNAL", domain="crafiq.assets", metadata={"errorId": "abc"}
    )


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), SubjectUnknown()])
def test_what_passes_is_unavailable_and_says_when_to_ask_again(error: Exception) -> None:
    refusal = refusal_of(error)
    assert isinstance(refusal, Unavailable)
    retry = _arrived(status_of(refusal, "crafiq.test"), error_details_pb2.RetryInfo)
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.seconds == 1
    assert ("retry-after", "1") in trailers(status_of(refusal, "crafiq.test"), refusal)


def test_an_invalid_request_names_its_first_fault() -> None:
    refusal = InvalidRequest(
        field="requestId", rule="must be a UUID", violations=[("requestId", "must be a UUID")]
    )
    assert (refusal.reason, str(refusal)) == ("INVALID_REQUEST", "Check `requestId`: must be a UUID.")
    bad = _arrived(status_of(refusal, "crafiq.test"), error_details_pb2.BadRequest)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert bad.field_violations[0].field == "requestId"


def test_a_reason_is_the_name_of_the_class() -> None:
    class NoSuchGLBFile(NotFound):
        sentence = "There is none."

    assert NoSuchGLBFile.reason == "NO_SUCH_GLBFILE"
    assert NotFound.reason == "NOT_FOUND"
