"""Uploads, assets and titles: their rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from promises.inventory import check
from services.assets.domain import Asset, Content, Declared, Delivery, Origin, Row, Upload
from services.assets.domain.media import TYPES
from services.assets.domain.refusals import (
    ContentChanged,
    ContentDamaged,
    ContentTooLarge,
    ContentTypeUnsupported,
    EtagMismatch,
    TitleNotAllowed,
    UploadExpired,
    UploadNotFinished,
    again,
    remembered,
)
from services.assets.domain.titles import disposition, file_name, title

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DIGEST = "0" * 64


def an_upload(**declared: object) -> Upload:
    given_ = {"file_name": "cat.jpg", "content_type": "image/jpeg", "size": 5, "sha256": DIGEST, **declared}
    return Upload.open(uuid4(), Declared(**given_), (uuid4(), uuid4(), uuid4()), NOW)  # type: ignore[arg-type]


def an_output(name: str = "image/png") -> Asset:
    content = Content(TYPES[name], b"bytes", DIGEST, 4, 3)
    return Asset.made(Delivery(uuid4(), uuid4(), 1), uuid4(), content, uuid4(), NOW)


@pytest.mark.promise("2-inventory")
def test_every_column_is_declared() -> None:
    assert check(Row.metadata) == []


def test_an_upload_becomes_an_asset_under_the_name_chosen_for_it() -> None:
    upload = an_upload()
    asset = Asset.brought(upload, Content(TYPES["image/jpeg"], b"clean", DIGEST, 4, 3), uuid4(), NOW)
    upload.complete(NOW)
    assert (asset.id, asset.account, asset.title) == (upload.asset, upload.account, "cat.jpg")
    assert (asset.origin, asset.size_bytes, asset.width, asset.from_upload) == (Origin.INPUT, 5, 4, True)
    assert upload.file_name is None


def test_an_upload_ends_within_the_hour_and_its_urls_with_it() -> None:
    upload = an_upload()
    assert upload.url_lives(NOW) == timedelta(minutes=15)
    assert upload.url_lives(NOW + timedelta(minutes=40)) == timedelta(minutes=5)
    with pytest.raises(UploadExpired):
        upload.still_open(NOW + timedelta(minutes=45))
    upload.complete(NOW)
    assert upload.still_open(NOW + timedelta(days=1)) is upload


def test_the_same_bytes_are_refused_the_same_way_again() -> None:
    upload = an_upload()
    refusal = ContentDamaged(problem="it ends too early")
    assert upload.refuse(refusal)
    with pytest.raises(ContentDamaged) as repeated:
        upload.not_refused()
    assert str(repeated.value) == str(refusal)
    assert upload.file_name is None


def test_what_may_end_otherwise_is_not_remembered() -> None:
    assert not an_upload().refuse(UploadNotFinished(upload="uploads/1"))
    assert remembered(UploadNotFinished(upload="uploads/1")) is None
    changed = ContentChanged(what="their SHA-256")
    assert str(again(remembered(changed) or {})) == str(changed)


@pytest.mark.parametrize(("content_type", "size", "refusal"), [
    ("image/svg+xml", 5, ContentTypeUnsupported), ("text/html", 5, ContentTypeUnsupported),
    ("image/jpeg", 26 * 2**20, ContentTooLarge), ("text/plain", 2**20 + 1, ContentTooLarge),
    ("video/mp4", 101 * 2**20, ContentTooLarge),
])  # fmt: skip
def test_what_is_not_taken_is_refused_before_it_is_sent(
    content_type: str, size: int, refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        an_upload(content_type=content_type, size=size)


def test_old_names_of_types_are_understood() -> None:
    assert an_upload(content_type="audio/x-wav").content_type == "audio/wav"
    assert an_upload(content_type="image/jpg").content_type == "image/jpeg"


@pytest.mark.promise("3-no-train-uploads")
def test_what_descends_from_an_upload_is_known_to_even_when_the_upload_is_gone() -> None:
    made, child = an_output(), an_output()
    made.descend([], 0)
    assert not made.from_upload
    child.descend([made], 1)
    assert not child.from_upload
    child.descend([made], 2)
    assert child.from_upload
    grandchild = an_output()
    grandchild.descend([child], 1)
    assert grandchild.from_upload


def test_a_rename_that_missed_a_change_is_refused() -> None:
    asset = an_output()
    first = asset.etag
    asset.rename("One", first)
    assert asset.title == "One"
    assert asset.etag != first
    with pytest.raises(EtagMismatch):
        asset.rename("Two", first)
    asset.rename("Three", "")
    assert asset.title == "Three"


@pytest.mark.parametrize("text", [
    "../../etc/passwd", "a/b.jpg", "C:\\photos\\me.jpg", "a\0b", "a\nb", "a\x7fb", "exe.\u202egpj", "\u2066a",
    "a\u200bb",
    "", "  ", "..", ".", "a\u2028b", "\ufeffa", "a\ue000",
])  # fmt: skip
def test_titles_that_deceive_are_refused(text: str) -> None:
    with pytest.raises(TitleNotAllowed) as refused:
        title(text, "filename")
    assert refused.value.violations[0][0] == "filename"
    assert not text.strip(" .") or text not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "Grüße aus Köln.jpg",
        "日本の写真.png",
        "عکس\u200cها",
        "👩\u200d🚀",
        "שלום.jpg",
        "a b (1).jpg",
        ".hidden",
    ],
)
def test_titles_of_all_languages_are_kept(text: str) -> None:
    assert title(f"  {text} ", "filename") == text


def test_titles_are_composed() -> None:
    assert title("e\u0301", "filename") == "é"


@pytest.mark.parametrize(("text", "saved"), [
    ("cat.jpg", "cat.jpg"), ("CAT.JPG", "CAT.jpg"), ("cat.png.exe", "cat.png.exe.jpg"),
    ("a:b*c?", "a_b_c_.jpg"),
    ("con", "crafiq-con.jpg"), ("...", "crafiq.jpg"), ("ü" * 200, "ü" * 90 + ".jpg"), ("a. .", "a.jpg"),
])  # fmt: skip
def test_a_saved_file_has_a_name_that_systems_take_and_its_true_ending(text: str, saved: str) -> None:
    assert file_name(text, "jpg") == saved


@given(st.text(max_size=200))
def test_no_title_breaks_out_of_its_header(text: str) -> None:
    header = disposition(file_name(text, "jpg"))
    assert header.isascii()
    assert header.isprintable()
    assert header.startswith('attachment; filename="')
    assert header.count('"') == 2
    assert "filename*=UTF-8''" in header


def test_names_are_names() -> None:
    asset = an_output()
    assert UUID(asset.name.removeprefix("assets/")) == asset.id
    assert asset.title == "output-2.png"
