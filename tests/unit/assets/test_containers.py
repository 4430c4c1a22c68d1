"""What containers of video and sound may say, point by point, on real recordings with one thing changed."""

from __future__ import annotations

import io
import struct
from array import array
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import av
import pytest

from chassis.errors import Refusal
from services.assets.domain.media import TYPES, mp4
from services.assets.domain.refusals import ContentDamaged, ContentUnsupported
from tests.unit.assets import makers
from tests.unit.assets.recordings import played, recording
from tests.unit.assets.trees import FORMS, Part

Change = Callable[[Part], object]
REFUSED = (ContentDamaged, ContentUnsupported)


def parts_of(kind: str, content: bytes) -> Iterator[Part]:
    return (part for root in FORMS[kind].read(content) for part in root.walk())


def changed(name: str, path: str, change: Change) -> bytes:
    """The recording after a change of the first of its parts with that path."""
    kind, content = recording(name)
    roots = FORMS[kind].read(content)
    part = next(part for root in roots for part in root.walk() if part.path.endswith(path))
    change(part)
    return FORMS[kind].write(roots)


def cleaned(kind: str, content: bytes) -> bytes:
    return TYPES[kind].clean(content).content


def written(*, at: int, numbers: bytes) -> Change:
    """Numbers written over what stands at that place."""

    def change(part: Part) -> None:
        part.content = part.content[:at] + numbers + part.content[at + len(numbers) :]

    return change


@pytest.mark.parametrize("path", [
    "moov", "moov/mvhd", "moov/trak/tkhd", "moov/trak/edts", "moov/trak/edts/elst", "trak/mdia", "mdia/mdhd",
    "mdia/hdlr", "mdia/minf", "minf/dinf", "dinf/dref", "minf/stbl", "stbl/stsd", "stbl/stts", "stbl/stsc",
    "stbl/stsz", "stbl/stco", "stbl/stss", "stbl/ctts", "stsd/avc1", "avc1/avcC",
])  # fmt: skip
def test_an_mp4_that_says_one_thing_twice_is_refused(path: str) -> None:
    kind, content = recording("H.264 and AAC")
    roots = FORMS[kind].read(content)
    if path == "moov":
        roots.append(next(root for root in roots if root.path == "moov"))
    parents = [part for root in roots for part in root.walk() if part.parts is not None]
    for parent in parents:
        twins = [part for part in parent.parts or [] if part.path.endswith(path)]
        if twins and parent.parts is not None and path != "moov":
            parent.parts.append(twins[0])
            break
    doubled = FORMS[kind].write(roots)
    assert len(doubled) > len(content)
    with pytest.raises(REFUSED):
        cleaned(kind, doubled)


@pytest.mark.parametrize(("path", "at", "number"), [
    ("stbl/stts", 8, 7), ("stbl/stts", 4, 2), ("stbl/ctts", 8, 0), ("stbl/ctts", 8, 10**6),
    ("stbl/stss", 8, 0), ("stbl/stss", 8, 26), ("stbl/stsc", 8, 2), ("stbl/stsc", 12, 0),
    ("stbl/stsc", 16, 2), ("stbl/stsc", 16, 0), ("stbl/stsz", 12, 2**31), ("stbl/stsz", 8, 24),
    ("stbl/stco", 8, 4), ("stbl/stco", 8, 2**32 - 1), ("stbl/stco", 4, 10**6), ("stbl/stsd", 4, 2),
    ("stbl/stsd", 4, 0), ("moov/mvhd", 12, 0), ("mdia/mdhd", 12, 0), ("moov/mvhd", 0, 2 << 24),
])  # fmt: skip
def test_tables_that_contradict_one_another_are_refused(path: str, at: int, number: int) -> None:
    kind, _ = recording("H.264 and AAC")
    with pytest.raises(REFUSED):
        cleaned(kind, changed("H.264 and AAC", path, written(at=at, numbers=number.to_bytes(4))))


def test_samples_that_overlap_are_refused() -> None:
    kind, _ = recording("H.264 and AAC")
    first = next(
        part for part in parts_of(kind, recording("H.264 and AAC")[1]) if part.path.endswith("stbl/stco")
    )
    twice = first.content[8:12] * 2
    with pytest.raises(ContentDamaged, match="overlap"):
        cleaned(kind, changed("H.264 and AAC", "stbl/stco", written(at=8, numbers=twice)))


QUARTER, DIAGONAL = (
    (0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30),
    (46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30),
)


def test_a_video_that_is_turned_stays_turned() -> None:
    kind, _ = recording("H.264 and AAC")
    matrix = struct.pack(">9i", *QUARTER)
    content = changed("H.264 and AAC", "moov/trak/tkhd", written(at=40, numbers=matrix))
    after = cleaned(kind, content)
    assert matrix in after
    assert played(after).streams == played(content).streams
    with pytest.raises(ContentUnsupported, match="turned"):
        cleaned(
            kind, changed("H.264 and AAC", "trak/tkhd", written(at=40, numbers=struct.pack(">9i", *DIAGONAL)))
        )


@pytest.mark.parametrize(("path", "code", "says"), [
    ("stsd/avc1", b"apcn", "H.264"), ("stsd/mp4a", b"sowt", "AAC"), ("stsd/avc1", b"encv", "H.264"),
])  # fmt: skip
def test_codings_that_are_not_listed_are_refused(path: str, code: bytes, says: str) -> None:
    def change(part: Part) -> None:
        part.kind = code

    kind, _ = recording("H.264 and AAC")
    with pytest.raises(ContentUnsupported, match=says):
        cleaned(kind, changed("H.264 and AAC", path, change))


def added(content: bytes) -> Change:
    def change(part: Part) -> None:
        part.content += content

    return change


def test_messages_in_the_configuration_of_h265_go() -> None:
    kind, _ = recording("H.265 and AC-3")
    message = b"\x4e\x01\x05" + makers.SECRET

    def change(part: Part) -> None:
        sets = part.content[:22] + bytes((part.content[22] + 1,)) + part.content[23:]
        part.content = sets + b"\xa7\0\1" + struct.pack(">H", len(message)) + message

    content = changed("H.265 and AC-3", "hev1/hvcC", change)
    assert makers.SECRET in content
    after = cleaned(kind, content)
    assert makers.SECRET not in after
    assert played(after).streams == played(content).streams


@pytest.mark.parametrize(("name", "path"), [
    ("AV1 and Opus in MP4", "av01/av1C"), ("AV1 and Opus", "TrackEntry/CodecPrivate"),
])  # fmt: skip
def test_notes_in_the_configuration_of_av1_go(name: str, path: str) -> None:
    kind, _ = recording(name)
    notes = bytes((5 << 3 | 2, len(makers.SECRET))) + makers.SECRET
    content = changed(name, path, added(notes))
    assert makers.SECRET in content
    assert makers.SECRET not in cleaned(kind, content)


@pytest.mark.parametrize(("old", "new", "says"), [
    (b"\x40\x15", b"\xdd\x15", "neither AAC nor MP3"),
    (b"\x05\x80\x80\x80\x05\x11\x90", b"\x05\x80\x80\x80\x05\x11\x80", "channels"),
])  # fmt: skip
def test_sound_that_describes_itself_at_length_is_refused(old: bytes, new: bytes, says: str) -> None:
    kind, content = recording("H.264 and AAC")
    assert old in content
    with pytest.raises(ContentUnsupported, match=says):
        cleaned(kind, content.replace(old, new))


def test_colours_of_a_video_stay_and_texts_of_their_profile_go() -> None:
    kind, _ = recording("H.264 and AAC")

    def change(part: Part) -> None:
        if part.parts is not None:
            part.parts.append(Part("colr", b"colr", b"prof" + makers.profile()))

    content = changed("H.264 and AAC", "stsd/avc1", change)
    text = makers.TEXT.encode("utf-16-be")
    assert text in content
    after = cleaned(kind, content)
    assert text not in after
    assert b"colrprof" in after


def test_the_alpha_of_a_video_stays_and_nothing_else_beside_its_blocks() -> None:
    kind, content = recording("VP9 with alpha")
    path = "BlockMore/BlockAdditional"

    def alphas(of: bytes) -> list[bytes]:
        return [part.content for part in parts_of(kind, of) if part.path.endswith(path)]

    assert len(alphas(content)) == 25
    assert alphas(cleaned(kind, content)) == alphas(content)
    # Captions and measurements stand there as well, under other numbers, or beside pictures without alpha.
    other = changed("VP9 with alpha", "BlockMore/EE", lambda part: setattr(part, "content", b"\4"))
    assert alphas(cleaned(kind, other)) == alphas(content)[1:]
    opaque = changed("VP9 with alpha", "Video/53C0", lambda part: setattr(part, "content", b"\0"))
    assert alphas(cleaned(kind, opaque)) == []


@pytest.mark.parametrize("identifier", [0x6D80, 0x83, 0xD7, 0x86])
def test_a_webm_track_that_is_encoded_twice_or_said_twice_is_refused(identifier: int) -> None:
    kind, _ = recording("VP9 and Opus")

    def change(part: Part) -> None:
        assert part.parts is not None
        part.parts.append(Part("more", identifier.to_bytes(4), b"\1"))

    with pytest.raises(REFUSED):
        cleaned(kind, changed("VP9 and Opus", "Tracks/TrackEntry", change))


def test_a_webm_without_an_index_gets_one() -> None:
    kind, content = recording("VP9 and Opus, live")
    assert b"\x1c\x53\xbb\x6b" not in content
    after = cleaned(kind, content)
    with av.open(io.BytesIO(after)) as file:
        file.seek(0)
        assert next(file.decode(video=0)).pts == 0
    assert [part.path for part in parts_of(kind, after)].count("Segment/Cues/CuePoint") >= 1


def test_what_follows_the_sound_of_a_flac_goes() -> None:
    kind, content = recording("FLAC")
    plain = cleaned(kind, content)
    for tail in (
        content,
        makers.SECRET,
        b"TAG" + makers.SECRET.ljust(125),
        plain[-3000:],
        b"\xff\xf8" * 1000,
    ):
        assert cleaned(kind, content + tail) == plain
    # Also if it does not say how much sound there is.
    unknown = bytearray(content)
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    after = cleaned(kind, bytes(unknown) + makers.SECRET)
    assert after[42:] == plain[42:]


def test_a_flac_keeps_the_seek_points_that_are_true() -> None:
    def with_points(part: Part) -> None:
        part.kind, part.content = b"\3", true + false + b"\xff" * 8 + bytes(10)

    kind, content = recording("FLAC")
    frames = next(part for part in parts_of(kind, content) if part.path == "frames").content
    second = frames.index(frames[:4] + b"\1")
    size = struct.unpack_from(">H", content, 8)[0]
    true, false = struct.pack(">QQH", size, second, size), struct.pack(">QQH", size, second + 1, size)
    after = cleaned(kind, changed("FLAC", "block 4", with_points))
    seeks = [part.content for part in parts_of(kind, after) if part.path == "block 3"]
    assert seeks == [true]


@pytest.mark.parametrize("cut", [1, 2, 100, 5000])
def test_a_flac_that_ends_early_is_refused(cut: int) -> None:
    kind, content = recording("FLAC")
    with pytest.raises(ContentDamaged):
        cleaned(kind, content[:-cut])


def test_the_first_frame_of_an_mp3_tells_numbers_and_no_names() -> None:
    kind, content = recording("MP3")
    frames = [part.content for part in parts_of(kind, content) if part.path.endswith("frame")]
    after = [part.content for part in parts_of(kind, cleaned(kind, content))]
    told = after[0]
    at = told.index(b"Info")
    assert struct.unpack_from(">3I", told, at + 4) == (7, len(frames) - 1, sum(map(len, frames)))
    assert told[at + 116 :].rstrip(b"\0") == b"LAME".ljust(21, b"\0") + frames[0][at + 141 : at + 144]
    assert frames[0][at + 141 : at + 144] != bytes(3)
    assert list(told[at + 16 : at + 116]) == sorted(told[at + 16 : at + 116])
    assert after[1:] == frames[1:]


def test_the_first_frame_of_a_second_mp3_behind_the_first_says_nothing() -> None:
    kind, content = recording("MP3")
    after = [part.content for part in parts_of(kind, cleaned(kind, content + content))]
    frames = [part.content for part in parts_of(kind, content) if part.path.endswith("frame")]
    assert after[len(frames)] == frames[0][:4].ljust(len(frames[0]), b"\0")
    assert after[len(frames) + 1 :] == frames[1:]


def test_a_first_frame_of_another_encoder_becomes_one_of_the_known_kind() -> None:
    kind, content = recording("MP3")
    frames = [part.content for part in parts_of(kind, content) if part.path.endswith("frame")]
    other = frames[0][:4] + bytes(32) + b"VBRI" + makers.SECRET.ljust(len(frames[0]) - 40, b"\1")
    after = cleaned(kind, other + b"".join(frames[1:]))
    assert makers.SECRET not in after
    assert b"Xing" in after[:40]
    assert played(after).streams


def test_an_ogg_of_more_than_one_stream_is_refused() -> None:
    for name in ("Vorbis", "Opus"):
        kind, content = recording(name)
        with pytest.raises(ContentUnsupported, match="more than one stream"):
            cleaned(kind, content + content)
        assert cleaned(kind, content + makers.SECRET) == cleaned(kind, content)
        page = makers.ogg_page(0, 2, [b"fishead\0" + makers.SECRET], serial=5)
        with pytest.raises(ContentUnsupported, match="more than one stream"):
            cleaned(kind, page + content)


def test_a_header_among_the_sounds_of_vorbis_is_refused() -> None:
    kind, content = recording("Vorbis")
    comments = next(part for part in parts_of(kind, content) if part.path == "comments").content
    with pytest.raises(ContentDamaged, match="between its sounds"):
        cleaned(kind, changed("Vorbis", "sound", lambda part: setattr(part, "content", comments)))


def test_a_wave_of_any_lawful_length_keeps_whole_samples() -> None:
    kind, content = recording("WAVE")
    assert cleaned(kind, changed("WAVE", "data", added(b"abc"))) == cleaned(kind, content)
    head = struct.pack("<HHIIHH", 0xFFFE, 2, 48_000, 0, 4, 16) + struct.pack("<HHIH", 22, 16, 3, 1)
    guid = bytes.fromhex("000000001000800000aa00389b71")
    extensible = changed("WAVE", "fmt ", lambda part: setattr(part, "content", head + guid + makers.SECRET))
    after = cleaned(kind, extensible)
    assert makers.SECRET not in after
    assert played(after).streams == played(content).streams
    for wrong in (head + bytes(14), struct.pack("<HHIIHH", 0x11, 2, 48_000, 0, 4, 16), head[:14]):
        with pytest.raises(REFUSED):
            cleaned(kind, changed("WAVE", "fmt ", lambda part, wrong=wrong: setattr(part, "content", wrong)))
    lying = bytearray(content)
    at = lying.index(b"data")
    lying[at + 4 : at + 8] = struct.pack("<I", len(lying))
    with pytest.raises(ContentDamaged):
        cleaned(kind, bytes(lying))


def test_an_empty_chunk_may_stand_where_another_begins() -> None:
    def track(*chunks: tuple[int, int]) -> SimpleNamespace:
        offsets, lengths = (array("Q", side) for side in zip(*chunks, strict=True))
        return SimpleNamespace(samples=SimpleNamespace(offsets=offsets, lengths=lengths))

    tracks: Any = [track((2, 3), (5, 2)), track((2, 0))]
    content, moved = mp4._collected(b"0123456789", [(0, 10)], tracks)
    assert (bytes(content), [list(each) for each in moved]) == (b"23456", [[0, 3], [0]])
    with pytest.raises(Refusal):
        mp4._collected(b"0123456789", [(0, 10)], [*tracks, track((4, 2))])
