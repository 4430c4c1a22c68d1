"""The one place where refusals become `google.rpc.Status`, and the other way round (AIP-193)."""

from __future__ import annotations

from datetime import timedelta

import grpc.aio
from google.rpc import code_pb2, error_details_pb2, status_pb2

from chassis.errors import Refusal, SubjectUnknown, Unavailable

DETAILS = "grpc-status-details-bin"
SOON = timedelta(seconds=1)
KINDS = {kind.status: kind for kind in Refusal.__subclasses__()}

# Refusals of these kinds say when to ask again, even if who raised them did not.
AGAIN = ("UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED")


class AccountNotYetKnown(Unavailable):
    """The event that makes an account known here has not arrived in time."""

    sentence = "This account was confirmed a moment ago and is not ready here yet; ask again in a moment."


def refusal_of(error: Exception) -> Refusal | None:
    """What an error that left a handler means for the caller; None if it is a fault of ours.

    Errors of Postgres are refusals when they leave chassis.db, those of S3 when they leave their adapter.
    """
    if isinstance(error, Refusal):
        refusal = error
    elif isinstance(error, grpc.RpcError):
        refusal = refusal_from(error)
    elif isinstance(error, SubjectUnknown):
        refusal = AccountNotYetKnown()
    elif isinstance(error, ConnectionError | TimeoutError):
        refusal = Unavailable()
    else:
        return None
    if refusal.retry_after is None and refusal.status in AGAIN:
        refusal.retry_after = SOON
    return refusal


def status_of(refusal: Refusal, domain: str) -> status_pb2.Status:
    """A refusal as it travels: code, sentence, ErrorInfo, and BadRequest or RetryInfo if it has them."""
    status = status_pb2.Status(code=code_pb2.Code.Value(refusal.status), message=str(refusal))
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason, domain=refusal.domain or domain, metadata=refusal.metadata
    )
    status.details.add().Pack(info)
    if refusal.violations:
        bad = error_details_pb2.BadRequest()
        for field, description in refusal.violations:
            bad.field_violations.add(field=field, description=description)
        status.details.add().Pack(bad)
    if refusal.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(refusal.retry_after)
        status.details.add().Pack(retry)
    return status


def internal(error_id: str, domain: str) -> status_pb2.Status:
    """A fault of ours: it says nothing but an id that the log knows."""
    message = f"Something went wrong on our side. If it happens again, tell us this number: {error_id}."
    status = status_pb2.Status(code=code_pb2.INTERNAL, message=message)
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=domain, metadata={"errorId": error_id})
    status.details.add().Pack(info)
    return status


def trailers(
    status: status_pb2.Status, refusal: Refusal | None = None
) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata of an error; `retry-after` becomes the HTTP header at the gateway."""
    details: tuple[tuple[str, str | bytes], ...] = ((DETAILS, status.SerializeToString()),)
    if refusal is None or refusal.retry_after is None:
        return details
    return (*details, ("retry-after", str(max(1, round(refusal.retry_after.total_seconds())))))


def refusal_from(error: grpc.RpcError) -> Refusal:
    """The refusal that a peer answered with, with its status, reason, sentence and metadata.

    It is an instance of the class of its status (ResourceExhausted, ...), its `reason` the peer's.
    What a peer did not mean for a caller (INTERNAL, no answer) becomes Unavailable.
    """
    trailing = error.trailing_metadata() if isinstance(error, grpc.aio.AioRpcError) else None
    packed = next((value for key, value in trailing or () if key == DETAILS), None)
    if not isinstance(packed, bytes):
        return Unavailable()
    status = status_pb2.Status.FromString(packed)
    kind = KINDS.get(code_pb2.Code.Name(status.code))
    return Unavailable() if kind is None else _rebuilt(kind, status)


def _rebuilt(kind: type[Refusal], status: status_pb2.Status) -> Refusal:
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details:
        for known in (info, bad, retry):
            detail.Unpack(known)
    refusal = kind(
        violations=[(each.field, each.description) for each in bad.field_violations],
        retry_after=retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
    )
    refusal.args = (status.message,)
    refusal.reason, refusal.domain, refusal.metadata = info.reason, info.domain, dict(info.metadata)
    return refusal
