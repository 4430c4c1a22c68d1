"""What the examples are made of: values that a reader recognises, by the names of fields.

`Message.field` goes before `field`. What is not here is made from the field's comment ("such as
`image/jpeg`", "`assets/{uuid}`") or from its rules. A test says so when that is not enough: add the
field here.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

Json = dict[str, Any]


def identifier(of: str) -> str:
    """The same UUID for the same thing, so that examples refer to one another."""
    return str(uuid5(NAMESPACE_URL, f"crafiq:{of}"))


ABSENT = object()
SHA256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
TIME = "2026-03-01T12:00:00Z"
A_MINUTE_LATER = "2026-03-01T12:01:00Z"
SOON = "2026-03-01T12:05:00Z"
ASSET = f"assets/{identifier('assets')}"
GENERATION = f"generations/{identifier('generations')}"

VALUES: Json = {
    "accepted_policy_version": "2025-10-29",
    "accepted_terms_version": "2025-10-29",
    "access_token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImsxIn0.e30.c2lnbmF0dXJl",
    "confirm": True,
    "content_type": "image/jpeg",
    "count": 2,
    "device": "Firefox on Linux",
    "display_name": "Ada Lovelace",
    "email": "ada@example.com",
    "etag": 'W/"1"',
    "expires_at": SOON,
    "filename": "astronaut.jpg",
    "is_adult": True,
    "last_event_id": ABSENT,
    "next_page_token": "",
    "page_size": 20,
    "page_token": ABSENT,
    "parameters": {"quality": "medium", "size": "1024x1024"},
    "password": "correct horse battery staple",
    "prompt": "A copper kettle on a windowsill, morning light",
    "reauth_token": "cmVhdXRoZW50aWNhdGVkLWEtbW9tZW50LWFnbw",
    "refresh_token": ABSENT,
    "region": "US",
    "sha256": SHA256,
    "size_bytes": "183204",
    "terms_sha256": SHA256,
    "text_sha256": SHA256,
    "title": "astronaut.jpg",
    "token": "Zm9yLW9uZS1jb25maXJtYXRpb24tb25seQ",
    "username": "ada",
    "version": "2025-10-29",
    "terms_version": "2025-10-29",
    "policy_version": "2025-10-29",
    "plan_hash": SHA256,
    "receipt_secret": "b25seS1pdHMtb3duZXIta25vd3MtdGhpcy1vbmU",
    "text_version": "2025-10-29",
}
# In one message only.
PRECISE: Json = {
    "Asset.generation": "",
    "Asset.height": 1024,
    "Asset.width": 1024,
    "Balance.available": 92,
    "Balance.held": 8,
    "Balance.settled": 0,
    "CategoryCount.category": "CONTENT",
    "CategoryCount.count": "12",
    "CreateGenerationRequest.input_assets": [ASSET],
    "CreateGenerationRequest.model": "models/gpt-image-2.6-flare",
    "CreateGenerationRequest.task": "IMAGE_TO_IMAGE",
    "CreateSessionRequest.refresh_token_in_body": False,
    "DownloadAssetResponse.expires_at": A_MINUTE_LATER,
    "DownloadAssetResponse.url": "https://storage.example/crafiq-library/5f0c?X-Amz-Signature=9a41",
    "Egress.fields": ["prompt", "image", "size", "quality", "n"],
    "Egress.model": "models/gpt-image-2.6-flare",
    "Egress.outcome": "ANSWERED",
    "Egress.purge_time": ABSENT,
    "Egress.vendor": "vendors/openai",
    "Entry.available_delta": -8,
    "Entry.description": "Set aside for 2 pictures",
    "Entry.held_delta": 8,
    "Entry.generation": GENERATION,
    "Entry.kind": "HOLD",
    "Generation.charged_credits": 0,
    "Generation.end_time": ABSENT,
    "Generation.failure_reason": "",
    "Generation.input_assets": [ASSET],
    "Generation.note": "",
    "Generation.output_assets": [],
    "Generation.quoted_credits": 8,
    "Generation.task": "IMAGE_TO_IMAGE",
    "GetPolicyRequest.policy_version": "2025-10-29",
    "ListAssetsRequest.kind": "IMAGE",
    "ListAssetsRequest.origin": "INPUT",
    "ListEntriesRequest.generation": GENERATION,
    "Model.credits": 4,
    "Model.input_types": ["image/png", "image/jpeg", "image/webp"],
    "Model.max_count": 4,
    "Model.max_inputs": 8,
    "Model.name": "models/gpt-image-2.6-flare",
    "Model.tasks": ["TEXT_TO_IMAGE", "IMAGE_TO_IMAGE"],
    "Model.title": "GPT Image 2.6 Flare",
    "Model.vendor": "vendors/openai",
    "DeletionPlan.silent_holders": [],
    "HolderProgress.cause": "",
    "HolderProgress.found_before": "37",
    "HolderProgress.holder": "assets",
    "HolderProgress.left_now": "0",
    "HolderProgress.state": "VERIFIED",
    "HolderProgress.tries": 0,
    "Erasure.note": "Nothing is found any more; the receipt is signed.",
    "Erasure.state": "RECEIPT_SIGNED",
    "Erasure.supplement_time": ABSENT,
    "PlannedFate.ground": "to prevent fraud, abuse, and chargebacks",
    "PlannedFate.fate": "RETAINED_UNTIL",
    "PlannedFate.policy_text": "Fraud/abuse prevention: We retain your email address (or a hashed form) ...",
    "Policy.terms_text": "Terms of service ...",
    "Policy.text": "Privacy policy ...",
    "RefreshSessionRequest.refresh_token_in_body": False,
    "Session.current": True,
    "UpdateAssetRequest.update_mask": "title",
    "UpdateAccountRequest.update_mask": "username,displayName",
    "Upload.headers": {
        "content-length": "183204",
        "content-type": "image/jpeg",
        "if-none-match": "*",
        "x-amz-checksum-sha256": "WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=",
    },
    "Upload.method": "PUT",
    "Upload.url": "https://storage.example/crafiq-quarantine/5f0c?X-Amz-Signature=9a41",
    "Vendor.models": ["models/gpt-image-2.6-flare"],
    "Vendor.name": "vendors/openai",
    "Vendor.retention": "Keeps what it receives for up to 30 days to monitor abuse, then deletes it.",
    "Vendor.sandbox": False,
    "Vendor.terms_uri": "https://openai.com/policies/services-agreement/",
    "Vendor.title": "OpenAI",
    "Vendor.trains_on_input": False,
}
