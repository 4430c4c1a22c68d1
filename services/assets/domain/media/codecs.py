"""How pictures and sound are coded, as containers say it: read, checked and written anew for decoders.

Of what an encoder wrote here stay numbers that a decoder needs and, word for word, the parameter sets of
H.264, H.265 and AV1, which are coded pictures themselves and are bounded in size.
"""

from __future__ import annotations

import struct

from services.assets.domain.media.bits import Bits
from services.assets.domain.media.cursor import Cursor
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported

_PARAMETERS_LARGEST = 4096  # bytes of one set; with scaling lists they have 1,000
_SPS, _PPS, _SPS_EXTENSION = 7, 8, 13
_HEVC_SETS = frozenset({32, 33, 34})
_WITHOUT_CHROMA = frozenset({66, 77, 88})
_SEQUENCE_HEADER = 1
_AAC, _MP3 = frozenset({0x40, 0x66, 0x67, 0x68}), frozenset({0x69, 0x6B})
_AAC_LARGEST = 16
_STREAM, _DECODER, _SPECIFIC = 3, 4, 5


def avc(cursor: Cursor) -> bytes:
    """AVCDecoderConfigurationRecord of H.264 (ISO 14496-15, 5.3.3.1)."""
    head = _versioned(cursor, 1) + bytes(cursor.take(3))
    lengths = cursor.number(1) | 0xFC
    parts = [head, bytes((lengths,)), _avc_sets(cursor, _SPS, 0xE0), _avc_sets(cursor, _PPS)]
    if head[1] not in _WITHOUT_CHROMA and cursor.left >= 4:
        chroma, luma_bits, chroma_bits = cursor.take(3)
        parts += [
            bytes((chroma | 0xFC, luma_bits | 0xF8, chroma_bits | 0xF8)),
            _avc_sets(cursor, _SPS_EXTENSION),
        ]
    return b"".join(parts)


def _avc_sets(cursor: Cursor, kind: int, reserved: int = 0) -> bytes:
    count = cursor.number(1) & ~reserved
    sets = [_parameters(cursor) for _ in range(count)]
    if any(one[0] & 31 != kind for one in sets):
        raise ContentDamaged(problem="it does not say how its pictures are coded")
    return bytes((count | reserved,)) + b"".join(struct.pack(">H", len(one)) + one for one in sets)


def _parameters(cursor: Cursor) -> bytes:
    one = bytes(cursor.take(cursor.number(2)))
    if not 2 <= len(one) <= _PARAMETERS_LARGEST:
        raise ContentDamaged(problem="it does not say how its pictures are coded")
    return one


def hevc(cursor: Cursor) -> bytes:
    """HEVCDecoderConfigurationRecord of H.265 (ISO 14496-15, 8.3.3.1); messages (SEI) in it go."""
    head = _versioned(cursor, 1) + bytes(cursor.take(21))
    arrays = []
    for _ in range(cursor.number(1)):
        kind = cursor.number(1) & 0xBF
        sets = [_parameters(cursor) for _ in range(cursor.number(2))]
        if kind & 63 not in _HEVC_SETS:
            continue
        if any(one[0] >> 1 & 63 != kind & 63 for one in sets):
            raise ContentDamaged(problem="it does not say how its pictures are coded")
        listed = b"".join(struct.pack(">H", len(one)) + one for one in sets)
        arrays.append(struct.pack(">BH", kind, len(sets)) + listed)
    return head + bytes((len(arrays),)) + b"".join(arrays)


def av1(cursor: Cursor) -> bytes:
    """AV1CodecConfigurationRecord (AV1 in ISO-BMFF, 2.3.3); of its units the sequence header stays."""
    head = _versioned(cursor, 0x81) + bytes(cursor.take(3))
    units = []
    while cursor.left:
        start, first = cursor.at, cursor.number(1)
        if first & 0x85 or not first & 2:
            raise ContentDamaged(problem="it does not say how its pictures are coded")
        size = shift = 0
        while (digit := cursor.number(1)) & 0x80 and shift < 28:
            size, shift = size | (digit & 0x7F) << shift, shift + 7
        cursor.take(size | digit << shift)
        if first >> 3 == _SEQUENCE_HEADER and cursor.at - start <= _PARAMETERS_LARGEST:
            units.append(bytes(cursor.data[start : cursor.at]))
    return head + b"".join(units[:1])


def vp9(cursor: Cursor) -> bytes:
    """VPCodecConfigurationBox (VP in ISO-BMFF), without initialisation data: neither has any."""
    cursor.take(4)
    return struct.pack(">I", 1 << 24) + bytes(cursor.take(6)) + bytes(2)


def vp9_features(cursor: Cursor) -> bytes:
    """Profile, level, bit depth and subsampling (WebM container guidelines, VP9 CodecPrivate)."""
    kept: dict[int, int] = {}
    while cursor.left:
        name, size = cursor.number(1), cursor.number(1)
        value = cursor.take(size)
        if 1 <= name <= 4 and size == 1:
            kept[name] = value[0]
    return b"".join(bytes((name, 1, value)) for name, value in sorted(kept.items()))


def elementary(cursor: Cursor) -> bytes:
    """ES_Descriptor (ISO 14496-1, 7.2.6) of AAC or MP3: which it is, and how AAC is configured."""
    cursor.take(4)
    stream = _descriptor(cursor, _STREAM)
    flags = stream.take(3)[2]
    if flags & 0x40:
        raise ContentUnsupported(problem="its data are in another file")
    stream.take((2 if flags & 0x80 else 0) + (2 if flags & 0x20 else 0))
    decoder = _descriptor(stream, _DECODER)
    kind = decoder.take(13)[0]
    config = b""
    if kind in _AAC:
        config = _described(_SPECIFIC, _aac(_descriptor(decoder, _SPECIFIC)))
    elif kind not in _MP3:
        raise ContentUnsupported(problem="its sound is neither AAC nor MP3")
    described = _described(_DECODER, bytes((kind, 0x15)) + bytes(11) + config)
    return bytes(4) + _described(_STREAM, bytes(3) + described + _described(6, b"\x02"))


def _descriptor(cursor: Cursor, kind: int) -> Cursor:
    if cursor.number(1) != kind:
        raise ContentDamaged(problem="it does not say how its sound is coded")
    size = 0
    for _ in range(4):
        digit = cursor.number(1)
        size = size << 7 | digit & 0x7F
        if not digit & 0x80:
            break
    return cursor.sub(size)


def _described(kind: int, body: bytes) -> bytes:
    return bytes((kind, len(body))) + body


def _aac(cursor: Cursor) -> bytes:
    """AudioSpecificConfig (ISO 14496-3, 1.6.2.1): a few bytes, unless channels are listed with a comment."""
    config = bytes(cursor.take(cursor.left))
    if not 2 <= len(config) <= _AAC_LARGEST:
        raise ContentUnsupported(problem="its sound says at length how it is coded")
    bits = Bits.big(config + bytes(8))
    bits.skip(6 if bits.number(5) == 31 else 0)
    bits.skip(24 if bits.number(4) == 15 else 0)
    if not bits.number(4):
        raise ContentUnsupported(problem="its sound lists its channels one by one")
    return config


def ac3(cursor: Cursor) -> bytes:
    """AC3SpecificBox (ETSI TS 102 366, F.4)."""
    return bytes(cursor.take(3))


def eac3(cursor: Cursor) -> bytes:
    """EC3SpecificBox (ETSI TS 102 366, F.6), of one stream with another one that depends on it at most."""
    return bytes(cursor.take(min(cursor.left, 10)))


def _versioned(cursor: Cursor, version: int) -> bytes:
    if cursor.number(1) != version:
        raise ContentUnsupported(problem="it is coded in a way that is not known yet")
    return bytes((version,))
