"""Recordings by real encoders: what leaves them, and that they play as before."""

from __future__ import annotations

import pytest

from services.assets.domain.media import TYPES, clean, sniff
from tests.unit.assets.recordings import NAMES, played, recording, said

each = pytest.mark.parametrize("name", NAMES)
FIXED = {
    "video/mp4": {
        "major_brand": "isom", "minor_version": "512", "compatible_brands": "isomiso2mp41", "language": "und",
    },
    "video/webm": {"encoder": "-", "alpha_mode": "1"},
    "audio/mpeg": {"encoder": "LAME"},
}  # fmt: skip


def cleaned(name: str) -> bytes:
    kind, content = recording(name)
    assert sniff(content) == kind
    return clean(TYPES[kind], content).content


@each
@pytest.mark.promise("2a-input-media", "5-ai-min-input")
def test_nothing_that_was_said_of_a_recording_stays(name: str) -> None:
    _, before = recording(name)
    assert sum(word in before for word in said()) >= 5, "the recording says nothing about itself"
    after = cleaned(name)
    assert [word for word in said() if word in after] == []


@each
def test_a_recording_plays_as_before(name: str) -> None:
    before, after = played(recording(name)[1]), played(cleaned(name))
    assert before.streams
    assert before.streams == after.streams
    assert before.duration == after.duration


@each
@pytest.mark.promise("2a-input-media")
def test_a_player_is_told_nothing_about_a_recording(name: str) -> None:
    kind, before = recording(name)
    assert played(before).told
    told = played(cleaned(name)).told
    assert told.items() <= FIXED.get(kind, {}).items()


@each
def test_a_clean_recording_stays_as_it_is(name: str) -> None:
    kind, after = recording(name)[0], cleaned(name)
    assert sniff(after) == kind
    assert clean(TYPES[kind], after).content == after
