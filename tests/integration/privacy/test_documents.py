"""The policy and the terms: posted once, immutable, there for everyone to read."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from crafiq.privacy.v1 import privacy_pb2
from crafiq.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from chassis.rpc import refusal_from
from services.privacy.adapters import DOCUMENTS, packaged
from services.privacy.domain import Document, DocumentKind, PostedTextChangedError
from services.privacy.repository import Documents
from tests.integration.in_process import Neighbours
from tests.integration.privacy.conftest import VERSION, Sql


@pytest.fixture
def documents(privacy: Neighbours) -> Documents:
    """The repository itself."""
    return Documents(privacy.service.db)


@pytest.mark.promise("0-notice", "0-tos-incorporated")
async def test_everyone_can_read_the_policy_and_the_terms_in_force(calls: PrivacyServiceStub) -> None:
    policy = await calls.GetPolicy(privacy_pb2.GetPolicyRequest())
    assert (policy.policy_version, policy.terms_version) == (VERSION, VERSION)
    posted = (DOCUMENTS / f"privacy-policy-{VERSION}.txt").read_bytes()
    assert policy.text.encode() == posted
    assert policy.text_sha256 == hashlib.sha256(posted).hexdigest()
    assert policy.terms_sha256 == hashlib.sha256(policy.terms_text.encode()).hexdigest()
    assert policy.effective_time.ToDatetime(tzinfo=UTC) == datetime(2025, 10, 29, tzinfo=UTC)


@pytest.mark.promise("13-post")
async def test_a_version_is_read_by_its_name(calls: PrivacyServiceStub) -> None:
    asked = privacy_pb2.GetPolicyRequest(policy_version=VERSION)
    assert await calls.GetPolicy(asked) == await calls.GetPolicy(privacy_pb2.GetPolicyRequest())


async def test_a_version_that_is_not_there_is_not_found(calls: PrivacyServiceStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calls.GetPolicy(privacy_pb2.GetPolicyRequest(policy_version="1999-01-01"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert refusal_from(refused.value).reason == "POLICY_VERSION_UNKNOWN"


@pytest.mark.promise("13-post")
async def test_every_version_is_listed_newest_first(calls: PrivacyServiceStub) -> None:
    whole = await calls.ListPolicyVersions(privacy_pb2.ListPolicyVersionsRequest())
    versions = list(whole.versions)
    assert {(v.kind, v.version) for v in versions} >= {
        (privacy_pb2.TERMS, VERSION),
        (privacy_pb2.POLICY, VERSION),
    }
    times = [v.effective_time.ToDatetime() for v in versions]
    assert times == sorted(times, reverse=True)
    assert all(v.sha256 for v in versions)
    paged: list[privacy_pb2.PolicyVersion] = []
    asked = privacy_pb2.ListPolicyVersionsRequest(page_size=1)
    while len(paged) < len(versions):
        page = await calls.ListPolicyVersions(asked)
        paged += page.versions
        asked.page_token = page.next_page_token
    assert paged == versions
    assert not asked.page_token


async def test_a_page_token_of_nowhere_is_refused(calls: PrivacyServiceStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calls.ListPolicyVersions(privacy_pb2.ListPolicyVersionsRequest(page_token="made-up"))
    assert refusal_from(refused.value).reason == "PAGE_TOKEN_INVALID"


async def test_posting_what_is_posted_changes_nothing(documents: Documents, sql: Sql) -> None:
    before = await sql.fetch("SELECT * FROM documents")
    await documents.post(packaged())
    assert await sql.fetch("SELECT * FROM documents") == before


@pytest.mark.promise("13-post", "0-acceptance")
@pytest.mark.parametrize(
    "change",
    [
        {"text": "Other words."},
        {"effective_at": datetime(2025, 10, 30, tzinfo=UTC)},
        {"material": False},
    ],
)
async def test_a_service_with_other_words_under_a_posted_version_does_not_start(
    change: dict[str, Any], documents: Documents
) -> None:
    edited = [Document(**{**d.model_dump(), **change}) for d in packaged() if d.kind is DocumentKind.POLICY]
    with pytest.raises(PostedTextChangedError, match="post the change as a new version"):
        await documents.post(edited)


@pytest.mark.promise("13-post")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET text = 'x'",
        "UPDATE documents SET effective_at = now()",
        "DELETE FROM documents",
        "TRUNCATE documents",
    ],
)
async def test_what_was_posted_can_not_be_edited_or_removed(statement: str, sql: Sql) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute(statement)


def test_the_packaged_folder_is_read_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\n")
    (tmp_path / "versions.toml").write_text(
        '[[document]]\nkind = "TERMS"\nversion = "1"\nfile = "a.txt"\neffective = 2026-01-01T00:00:00Z\n'
        "material = false\n",
        encoding="utf-8",
    )
    [document] = packaged(tmp_path)
    assert document.text == "one\r\ntwo\n"
    assert document.sha256 == hashlib.sha256(b"one\r\ntwo\n").hexdigest()


@pytest.mark.promise("13-effective")
async def test_a_version_that_is_announced_is_not_in_force_before_its_day(
    documents: Documents, calls: PrivacyServiceStub
) -> None:
    from_when = datetime(2099, 1, 1, tzinfo=UTC)  # no other test's clock comes there
    text = "Words to come."
    await documents.post(
        [
            Document(
                kind=DocumentKind.POLICY,
                version="2099-announced",
                text=text,
                sha256=hashlib.sha256(text.encode()).hexdigest(),
                effective_at=from_when,
                material=True,
            )
        ]
    )
    assert (await calls.GetPolicy(privacy_pb2.GetPolicyRequest())).policy_version == VERSION
    asked = privacy_pb2.GetPolicyRequest(policy_version="2099-announced")
    assert (await calls.GetPolicy(asked)).text == text
