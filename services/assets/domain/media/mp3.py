"""MP3 (ISO 11172-3, 13818-3): frames of sound stay; tags before, between and behind them go.

A first frame that is no sound but says how long it is (Xing, Info, VBRI) is written anew.
"""

from __future__ import annotations

import re
from array import array

from services.assets.domain.media import xing
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
    return data.startswith(_TAG) or bool(_run(data, 0))


def clean(data: bytes) -> Cleaned:
    """Keep the frames; raises ContentDamaged if there are none, or hardly any among other things."""
    at, misses = _after_tags(data), 0
    sizes, frames = array("I"), bytearray()
    while found := _SYNC.search(data, at):
        start = found.start()
        run = _run(data, start)
        if run:
            at = start + sum(run)
            frames += data[start:at]
            sizes += run
        else:
            misses, at = misses + 1, start + 1
        if misses > _MOST_MISSES:
            raise ContentDamaged(problem="most of it is not sound")
    if not frames:
        raise ContentDamaged(problem="there is no sound in it")
    _tell_again(frames, sizes)
    return Cleaned((frames,))


def _tell_again(frames: bytearray, sizes: array[int]) -> None:
    """Write frames anew that are no sound: the first tells what follows, those of files behind it nothing."""
    at = 0
    for size in sizes:
        frame = bytes(frames[at : at + xing.FARTHEST])
        if xing.tells(frame):
            frames[at : at + size] = (
                xing.silent(frame, size) if at else xing.rebuilt(bytes(frames[:size]), sizes)
            )
        at += size


def _run(data: bytes, at: int) -> array[int] | None:
    """The sizes of frames of one rate, one behind the other from `at` on; None if they are too few."""
    sizes, alike = array("I"), data[at + 1 : at + 3]
    while (size := frame_size(data, at)) and at + size <= len(data):
        if (data[at + 1] ^ alike[0]) & 0xFE or (data[at + 2] ^ alike[1]) & 0x0C:
            break
        sizes.append(size)
        at += size
    return sizes if len(sizes) >= _IN_A_ROW else None


def _after_tags(data: bytes) -> int:
    """Where the ID3v2 tags at the beginning end; their pictures may look like sound."""
    at = 0
    while data[at : at + 3] == _TAG:
        size = 0
        for digit in data[at + 6 : at + 10]:
            size = size << 7 | digit & 0x7F
        at += 10 + size
    return at
