"""A request is refused with every fault, spelled as the client spells it, and without its values."""

from __future__ import annotations

import pytest
from crafiq.assets.v1 import assets_pb2
from crafiq.generation.v1 import generation_pb2
from google.protobuf.message import Message

from chassis.errors import InvalidRequest
from chassis.rpc.validation import check

UUID = "6f1f3a8e-6f0e-4c9e-8a8f-2b8f0c2d6a11"
UPLOAD = {
    "filename": "photo.jpg", "content_type": "image/jpeg", "size_bytes": 1, "sha256": "0" * 64,
    "request_id": UUID,
}  # fmt: skip


def _refused(request: Message) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check(type(request), request.SerializeToString())
    return caught.value


def test_what_keeps_the_rules_passes() -> None:
    request = assets_pb2.CreateUploadRequest(**UPLOAD)
    assert check(assets_pb2.CreateUploadRequest, request.SerializeToString()) == request


def test_every_fault_is_told_in_the_spelling_of_json() -> None:
    wrong = {**UPLOAD, "content_type": "JPEG of Ann", "size_bytes": 0, "request_id": "not mine"}
    refusal = _refused(assets_pb2.CreateUploadRequest(**wrong))
    assert [field for field, _ in refusal.violations] == ["contentType", "sizeBytes", "requestId"]
    assert str(refusal).startswith("Check `contentType`: does not match regex pattern")
    assert refusal.reason == "INVALID_REQUEST"


def test_no_value_is_told() -> None:
    wrong = {**UPLOAD, "filename": "Ann" * 100, "content_type": "JPEG of Ann"}
    refusal = _refused(assets_pb2.CreateUploadRequest(**wrong))
    assert "Ann" not in str(refusal)
    assert "Ann" not in str(refusal.violations)


def test_a_fault_inside_says_where() -> None:
    header = assets_pb2.StoreOutputRequest.Header(
        account="accounts/x", generation="generations/x", size_bytes=1
    )
    refusal = _refused(assets_pb2.StoreOutputRequest(header=header))
    assert [field for field, _ in refusal.violations] == ["header.contentType", "header.sha256"]


def test_a_fault_in_a_list_says_which() -> None:
    request = generation_pb2.CreateGenerationRequest(
        task=generation_pb2.TEXT_TO_IMAGE, request_id=UUID, input_assets=["assets/a", "elsewhere/b"], count=1
    )
    assert "inputAssets[1]" in [field for field, _ in _refused(request).violations]


def test_a_choice_that_was_not_made_is_a_fault() -> None:
    assert [field for field, _ in _refused(assets_pb2.StoreOutputRequest()).violations] == ["part"]
