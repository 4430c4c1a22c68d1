"""The first frame of an MP3 that is no sound: how many frames follow, and how much silence is to be cut off.

Xing and Info (LAME) and VBRI (Fraunhofer) also name the encoder and its settings, and have room for more.
The frame is written anew from what the frames behind it are, with the silence to cut off, which only it says.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_NAMES = (b"Xing", b"Info")
_FRAUNHOFER, _FRAUNHOFER_AT = b"VBRI", 36
# Who writes how much silence there is, where, behind the name.
_TELL_SILENCE, _SILENCE_AT = (b"LAME", b"Lavf", b"Lavc", b"L3.9"), 21
_PARTS = ((1, 4), (2, 4), (4, 100), (8, 4))  # flag and size: frames, bytes, table of contents, quality
_COUNTED = 7
_LAME_SIZE = 36
FARTHEST = 40
"""Bytes of a frame after which it is known whether it is such a one."""


def tells(frame: bytes) -> bool:
    """Whether this is, or begins, such a frame."""
    at = _place(frame)
    return frame[at : at + 4] in _NAMES or frame[_FRAUNHOFER_AT : _FRAUNHOFER_AT + 4] == _FRAUNHOFER


def silent(frame: bytes, size: int) -> bytes:
    """A frame of the same kind with nothing in it; its header says that no checksum follows."""
    return bytes((frame[0], frame[1] | 1, *frame[2:4])).ljust(size, b"\0")


def rebuilt(frame: bytes, sizes: Sequence[int]) -> bytes:
    """The frame as it stays; `sizes` are of all frames, this one first."""
    at = _place(frame)
    name = frame[at : at + 4] if frame[at : at + 4] in _NAMES else _NAMES[0]
    told = struct.pack(">4sIII", name, _COUNTED, len(sizes) - 1, sum(sizes)) + _contents(sizes)
    silence = _silence(frame, at)
    if silence:
        told += (b"LAME".ljust(_SILENCE_AT, b"\0") + silence).ljust(_LAME_SIZE, b"\0")
    quiet = silent(frame, len(frame))
    return quiet[:at] + told + quiet[at + len(told) :] if at + len(told) <= len(frame) else quiet


def _place(frame: bytes) -> int:
    """Where the name stands: behind the header and what a frame of sound has before its samples."""
    first, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    return 4 + ((17 if mono else 32) if first else (9 if mono else 17))


def _silence(frame: bytes, at: int) -> bytes:
    """Three bytes: samples of silence before the sound and behind it; none if it is not said."""
    flags = int.from_bytes(frame[at + 4 : at + 8])
    encoder = at + 8 + sum(size for flag, size in _PARTS if flags & flag)
    if frame[at : at + 4] not in _NAMES or not frame[encoder:].startswith(_TELL_SILENCE):
        return b""
    silence = frame[encoder + _SILENCE_AT : encoder + _SILENCE_AT + 3]
    return silence if len(silence) == 3 else b""


def _contents(sizes: Sequence[int]) -> bytes:
    """A hundred points in time, and where in the file each is, in 256ths of it."""
    total, table, at, frame = sum(sizes), bytearray(), 0, 0
    for percent in range(100):
        while frame < len(sizes) * percent // 100:
            at += sizes[frame]
            frame += 1
        table.append(256 * at // total)
    return bytes(table)
