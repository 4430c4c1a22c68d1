"""Who brings no picture and has none beside the project is given two that are drawn."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from PIL import Image

from cli.demo import example


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone with nothing beside it."""
    monkeypatch.setenv("CRAFIQ_TEST_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("CRAFIQ_STATE", str(tmp_path / "state"))


def test_the_photo_says_who_took_it_with_what_and_where() -> None:
    with Image.open(example.photo()) as photo:
        assert (photo.format, photo.size, photo.mode) == ("JPEG", (512, 512), "RGB")
        tags = photo.getexif()
        assert (tags[example.ARTIST], tags[example.MODEL]) == ("CANARY-AUTHOR", "Test camera")
        assert tags.get_ifd(example.GPS)[2] == (48.0, 51.0, 29.6)
    assert struct.pack(">6I", 48, 1, 51, 1, 148, 5) in example.photo().read_bytes()
    assert 30_000 < example.photo().stat().st_size < 300_000


def test_the_plain_picture_says_nothing_else() -> None:
    with Image.open(example.plain()) as plain:
        assert (plain.format, plain.size, plain.info) == ("PNG", (600, 400), {})


def test_it_is_drawn_once_and_always_the_same() -> None:
    before = example.photo()
    content, when = before.read_bytes(), before.stat().st_mtime_ns
    assert example.photo().stat().st_mtime_ns == when
    before.unlink()
    assert example.photo().read_bytes() == content
    assert list(before.parent.iterdir()) == [before]


def test_real_ones_are_taken_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "astronaut-with-gps.jpg"
    real.write_bytes(b"a photo")
    monkeypatch.setenv("CRAFIQ_TEST_DATA", str(tmp_path))
    assert example.photo() == real
