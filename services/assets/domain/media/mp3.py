"""MP3 (ISO 11172-3, 13818-3): frames of sound stay; tags before, between and behind them go."""

from __future__ import annotations

import re

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.refusals import ContentDamaged

_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_RATES = (44_100, 48_000, 32_000)
# Kilobits a second by index, layer III: MPEG 1, then MPEG 2 and 2.5.
_BITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_TAG = b"ID3"
_MOST_MISSES = 100_000
_IN_A_ROW = 3  # so many frames that follow one another are no coincidence


def frame_size(data: bytes, at: int) -> int:
    """Length in bytes of the frame of layer III at `at`; 0 if there is none."""
    if len(data) - at < 4 or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return 0
    version, bits, rate = data[at + 1] >> 3 & 3, data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or bits in {0, 15} or rate == 3:
        return 0
    first = version == 3
    samples = _RATES[rate] >> (0 if first else 1 if version == 2 else 2)
    return (144_000 if first else 72_000) * _BITS[not first][bits] // samples + (data[at + 2] >> 1 & 1)


def begins(data: bytes) -> bool:
    """Whether these bytes are MP3, with a tag before the sound or without."""
    return data.startswith(_TAG) or _end_of_run(data, 0) > 0


def clean(data: bytes) -> Cleaned:
    """Keep the frames; raises ContentDamaged if there are none, or hardly any among other things."""
    at, misses, parts = _after_tags(data), 0, []
    while found := _SYNC.search(data, at):
        start = found.start()
        end = _end_of_run(data, start)
        if end:
            parts.append(memoryview(data)[start:end])
        else:
            misses += 1
        if misses > _MOST_MISSES:
            raise ContentDamaged(problem="most of it is not sound")
        at = end or start + 1
    if not parts:
        raise ContentDamaged(problem="there is no sound in it")
    return Cleaned(tuple(parts))


def _end_of_run(data: bytes, at: int) -> int:
    """Where frames that stand one behind the other from `at` on end; 0 if they are too few."""
    count = 0
    while (size := frame_size(data, at)) and at + size <= len(data):
        at += size
        count += 1
    return at if count >= _IN_A_ROW else 0


def _after_tags(data: bytes) -> int:
    """Where the ID3v2 tags at the beginning end; their pictures may look like sound."""
    at = 0
    while data[at : at + 3] == _TAG:
        size = 0
        for digit in data[at + 6 : at + 10]:
            size = size << 7 | digit & 0x7F
        at += 10 + size
    return at
