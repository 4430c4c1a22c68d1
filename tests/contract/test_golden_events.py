"""What an event looks like on the wire, byte by byte: older code, and events of last week, have to be read.

An event only grows. When a field is added, a line is added to GOLDEN, and those that are there stay.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from crafiq.assets.v1 import events_pb2 as assets
from crafiq.billing.v1 import events_pb2 as billing
from crafiq.generation.v1 import events_pb2 as generation
from crafiq.identity.v1 import events_pb2 as identity
from crafiq.privacy.v1 import events_pb2 as privacy
from crafiq.privacy.v1 import privacy_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

PROTOS = Path(__file__).resolve().parents[2] / "proto"
ACCOUNT, ACCOUNT_BYTES = (
    "accounts/0190a7a1-0000-7000-8000-000000000001",
    b"\x0a\x2daccounts/0190a7a1-0000-7000-8000-000000000001",
)
JOB, JOB_BYTES = (
    "generations/0190a7a1-0000-7000-8000-000000000002",
    b"\x12\x30generations/0190a7a1-0000-7000-8000-000000000002",
)
ERASURE, ERASURE_BYTES = (
    "erasures/0190a7a1-0000-7000-8000-000000000004",
    b"\x12\x2derasures/0190a7a1-0000-7000-8000-000000000004",
)

# Each version of each event, the newest last, every field of it set; and its bytes.
GOLDEN: list[tuple[Message, bytes]] = [
    (
        identity.AccountVerified(
            account=ACCOUNT,
            policy_version="2025-11-01",
            terms_version="2025-12",
            accepted_at=Timestamp(seconds=1_767_225_600, nanos=5),
        ),
        ACCOUNT_BYTES + b"\x12\x0a2025-11-01\x1a\x072025-12\x22\x08\x08\x80\xf2\xd6\xca\x06\x10\x05",
    ),
    (
        identity.AccountVerified(
            account=ACCOUNT,
            policy_version="2025-11-01",
            terms_version="2025-12",
            accepted_at=Timestamp(seconds=1_767_225_600, nanos=5),
            returning=True,
        ),
        ACCOUNT_BYTES + b"\x12\x0a2025-11-01\x1a\x072025-12\x22\x08\x08\x80\xf2\xd6\xca\x06\x10\x05\x28\x01",
    ),
    (
        identity.SessionRevoked(account=ACCOUNT, session="sessions/0190a7a1-0000-7000-8000-000000000003"),
        ACCOUNT_BYTES + b"\x12\x2dsessions/0190a7a1-0000-7000-8000-000000000003",
    ),
    (
        identity.AccountDeleted(account=ACCOUNT, erasure=ERASURE),
        ACCOUNT_BYTES + ERASURE_BYTES,
    ),
    (
        identity.AccountDeleted(
            account=ACCOUNT, erasure=ERASURE, delete_time=Timestamp(seconds=1_767_225_600, nanos=5)
        ),
        ACCOUNT_BYTES + ERASURE_BYTES + b"\x1a\x08\x08\x80\xf2\xd6\xca\x06\x10\x05",
    ),
    *[
        (service.AccountErased(account=ACCOUNT, erasure=ERASURE), ACCOUNT_BYTES + ERASURE_BYTES)
        for service in (identity, assets, generation, billing, privacy)
    ],
    (generation.GenerationCreated(account=ACCOUNT, generation=JOB), ACCOUNT_BYTES + JOB_BYTES),
    (
        generation.GenerationSucceeded(account=ACCOUNT, generation=JOB, credits=300),
        ACCOUNT_BYTES + JOB_BYTES + b"\x18\xac\x02",
    ),
    (
        generation.GenerationFailed(account=ACCOUNT, generation=JOB, reason="CONTENT_REFUSED"),
        ACCOUNT_BYTES + JOB_BYTES + b"\x1a\x0fCONTENT_REFUSED",
    ),
    (generation.GenerationCancelled(account=ACCOUNT, generation=JOB), ACCOUNT_BYTES + JOB_BYTES),
    (
        privacy.ConsentChanged(
            account=ACCOUNT, change=300, kind=privacy_pb2.PUBLIC_OUTPUT_TRAINING, granted=True
        ),
        ACCOUNT_BYTES + b"\x10\xac\x02\x18\x02\x20\x01",
    ),
]


def _events() -> list[Descriptor]:
    """Every event that the protos have."""
    found: list[Descriptor] = []
    for proto in sorted(PROTOS.rglob("events.proto")):
        module = str(proto.relative_to(PROTOS).with_suffix("")).replace("/", ".") + "_pb2"
        found += importlib.import_module(module).DESCRIPTOR.message_types_by_name.values()
    return found


@pytest.mark.parametrize(("event", "golden"), GOLDEN, ids=lambda each: type(each).__name__)
def test_an_event_is_written_and_read_as_ever(event: Message, golden: bytes) -> None:
    assert event.SerializeToString(deterministic=True) == golden
    assert type(event).FromString(golden) == event


@pytest.mark.parametrize("event", _events(), ids=lambda each: each.full_name)
def test_every_event_has_its_bytes_pinned_whole(event: Descriptor) -> None:
    versions = [message for message, _ in GOLDEN if message.DESCRIPTOR.full_name == event.full_name]
    assert versions, "Pin it: a line in GOLDEN with every field set, and its bytes."
    pinned = {field.name for field, _ in versions[-1].ListFields()}
    assert pinned == {field.name for field in event.fields}, "Add a line with the new fields; keep the old."
