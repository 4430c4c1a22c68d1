"""Which pair of policy and terms is in force, and what is packaged."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from promises.inventory import check
from services.privacy.adapters import DOCUMENTS, packaged
from services.privacy.domain import (
    DocumentKind,
    NothingInForce,
    PolicyVersionUnknown,
    Posting,
    Row,
    pair_of,
)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def posting(kind: DocumentKind, version: str, effective_at: datetime) -> Posting:
    return Posting(kind, version, "", effective_at, material=False)


POLICY, TERMS = DocumentKind.POLICY, DocumentKind.TERMS
POSTED = [
    posting(TERMS, "t1", day(1)),
    posting(POLICY, "p1", day(1)),
    posting(TERMS, "t2", day(5)),
    posting(POLICY, "p2", day(10)),
    posting(TERMS, "t3", day(10)),
    posting(POLICY, "p3", day(20)),
    posting(TERMS, "t4", day(20)),
]


@pytest.mark.promise("2-inventory")
def test_every_column_says_what_it_holds() -> None:
    assert check(Row.metadata) == []


@pytest.mark.promise("0-tos-incorporated", "13-effective")
@pytest.mark.parametrize(
    ("now", "pair"),
    [(day(1), "p1 t1"), (day(4), "p1 t1"), (day(5), "p1 t2"), (day(10), "p2 t3"), (day(25), "p3 t4")],
)
def test_the_pair_in_force_is_a_matter_of_time(now: datetime, pair: str) -> None:
    assert " ".join(p.version for p in pair_of(POSTED, now)) == pair


@pytest.mark.promise("13-post")
@pytest.mark.parametrize(
    ("version", "pair"),
    [
        # Replaced: with the last terms that stood beside it.
        ("p1", "p1 t2"),
        ("p2", "p2 t3"),
        # Announced, and not in force yet: with the terms that will be.
        ("p3", "p3 t4"),
    ],
)
def test_another_version_comes_with_the_terms_beside_it(version: str, pair: str) -> None:
    assert " ".join(p.version for p in pair_of(POSTED, day(12), version)) == pair


def test_a_version_that_was_never_posted_is_not_found() -> None:
    with pytest.raises(PolicyVersionUnknown):
        pair_of(POSTED, day(12), "p9")
    with pytest.raises(PolicyVersionUnknown):
        pair_of(POSTED, day(12), "t1")


def test_before_anything_is_in_force_nothing_is() -> None:
    with pytest.raises(NothingInForce):
        pair_of(POSTED, datetime(2025, 1, 1, tzinfo=UTC))


@pytest.mark.promise("0-notice", "0-last-updated")
def test_the_packaged_policy_is_the_posted_one() -> None:
    documents = {(d.kind, d.version): d for d in packaged()}
    policy, terms = documents[POLICY, "2025-10-29"], documents[TERMS, "2025-10-29"]
    assert policy.text.startswith("Privacy Policy\n\nLast updated: October 29, 2025")
    assert policy.sha256 == hashlib.sha256(policy.text.encode()).hexdigest()
    assert policy.effective_at == datetime(2025, 10, 29, tzinfo=UTC)
    assert "Licence for public content." in terms.text


def test_every_packaged_text_is_posted() -> None:
    files = {path.read_text(encoding="utf-8") for path in DOCUMENTS.glob("*.txt")}
    assert {document.text for document in packaged()} == files
    assert {document.kind for document in packaged()} == set(DocumentKind)


@pytest.mark.parametrize("effective", ["2025-10-29", "2025-10-29T00:00:00"])
def test_a_date_without_a_zone_is_not_packaged(effective: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text", encoding="utf-8")
    (tmp_path / "versions.toml").write_text(
        '[[document]]\nkind = "POLICY"\nversion = "1"\nfile = "a.txt"\nmaterial = true\n'
        f"effective = {effective}\n",
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match="needs a date, a time and a zone"):
        packaged(tmp_path)


def test_the_promise_list_names_each_promise_once() -> None:
    lines = (DOCUMENTS / "promises.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == ["id", "owner", "promise", "lead"]
    ids = [line.split("\t")[0] for line in lines[1:]]
    assert len(ids) == len(set(ids)) == 143
