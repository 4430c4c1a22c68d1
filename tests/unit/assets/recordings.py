"""Recordings by real encoders (FFmpeg, through PyAV), full of what is said about them; and how they play.

Nothing here is shared with the code that cleans: files are written and read by another program.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import av

from tests.unit.assets import makers

WORDS = {
    "title": "CANARY-title-7f3e", "artist": "CANARY-artist-7f3e", "album": "CANARY-album-7f3e",
    "comment": "CANARY-comment-7f3e", "copyright": "CANARY-copyright-7f3e", "encoder": "CANARY-encoder-7f3e",
    "description": "CANARY-description-7f3e", "lyrics": "CANARY-lyrics-7f3e", "date": "1987-06-05",
    "location": "+47.3769+008.5417/", "creation_time": "2021-03-04T05:06:07Z",
}  # fmt: skip
CHAPTER, SUBTITLE, PLACE = "CANARY-chapter-7f3e", "CANARY-subtitle-7f3e", b"CANARY-place-7f3e"
_MOMENT = 1614834367  # creation_time in seconds since 1970
# As MP4 counts (seconds since 1904), as Matroska does (nanoseconds since 2001).
MOMENTS = (struct.pack(">I", _MOMENT + 2_082_844_800), struct.pack(">q", (_MOMENT - 978_307_200) * 10**9))
RATE, PICTURES = 48_000, 25
_THOUSANDTH = Fraction(1, 1000)

More = Callable[[Any], Callable[[], None]]


def said() -> Iterator[bytes]:
    """Everything that the recordings say about themselves, in the encodings that files use."""
    for word in (*WORDS.values(), CHAPTER, SUBTITLE, PLACE.decode(), makers.TEXT):
        yield from (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be"))
    yield from MOMENTS


def record(
    form: str, *, video: str = "", audio: str = "", options: Mapping[str, str] | None = None,
    more: Sequence[More] = (), chapters: bool = False, alpha: bool = False,
) -> bytes:  # fmt: skip
    """A second of pictures and sound in a container; each of `more` adds a track, then writes it."""
    with TemporaryDirectory() as folder, _no_more_urgent_than_before():
        file = Path(folder, "recording")
        with av.open(file, "w", format=form, options=dict(options or {})) as out:
            out.metadata.update(WORDS)
            streams = [
                *([_picture_stream(out, video, alpha)] if video else []),
                *([_sound_stream(out, audio)] if audio else []),
            ]
            for stream in streams:
                told = {"title": WORDS["title"], "language": "deu", "handler_name": WORDS["artist"]}
                # Players know LAME by its name in an MP3, and only then cut off its silence.
                named = {"encoder": WORDS["encoder"]} if stream.type == "video" else {}
                stream.metadata.update(told | named)
            if chapters:
                half = {
                    "id": 1,
                    "start": 0,
                    "end": 500,
                    "time_base": _THOUSANDTH,
                    "metadata": {"title": CHAPTER},
                }
                out.set_chapters([half])
            written = [add(out) for add in more]
            for stream in streams:
                for frame in _pictures(stream.pix_fmt) if stream.type == "video" else _sound(stream):
                    out.mux(stream.encode(frame))
                out.mux(stream.encode(None))
            for write in written:
                write()
        return file.read_bytes()


@contextmanager
def _no_more_urgent_than_before() -> Iterator[None]:
    """SVT-AV1, when root runs it, puts the process before all others of the machine, and leaves it there."""
    policy, how = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, how)


def _picture_stream(out: Any, codec: str, alpha: bool) -> Any:
    stream = out.add_stream(codec, rate=PICTURES)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p" if alpha else "yuv420p"
    if alpha:
        stream.options = {"auto-alt-ref": "0"}
    if codec == "libx265":
        stream.options = {"x265-params": "log-level=none"}
    if codec == "libsvtav1":
        stream.options = {"preset": "12"}
    return stream


def _sound_stream(out: Any, codec: str) -> Any:
    stream = out.add_stream(codec, rate=RATE, layout="stereo")
    if codec == "vorbis":
        stream.codec_context.options = {"strict": "experimental"}
    return stream


def _pictures(form: str) -> Iterator[av.VideoFrame]:
    for number in range(PICTURES):
        frame = av.VideoFrame(64, 48, form)
        for index, plane in enumerate(frame.planes):
            rows = (
                bytes((x * (index + 2) + y * 3 + number * 7) & 255 for x in range(plane.width))
                for y in range(plane.height)
            )
            plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
        frame.pts, frame.time_base = number, Fraction(1, PICTURES)
        yield frame


@cache
def _wave(start: int, size: int) -> tuple[float, ...]:
    """Something between music and noise."""
    times = range(start, start + size)
    return tuple(math.sin(time / 20) * 0.6 + math.sin(time**1.2 / 90) * 0.2 for time in times)


def _sound(stream: Any) -> Iterator[av.AudioFrame]:
    context, size = stream.codec_context, 960
    name, channels = context.format.name, context.layout.nb_channels
    code, scale = {"s": ("h", 32_000), "f": ("f", 1)}[name[0]]
    if name.startswith("s32"):
        code, scale = "i", 2_000_000_000
    for start in range(0, RATE, size):
        frame = av.AudioFrame(format=name, layout=context.layout.name, samples=size)
        values = [value * scale if code == "f" else int(value * scale) for value in _wave(start, size)]
        if not context.format.is_planar:
            values = [value for value in values for _ in range(channels)]
        for plane in frame.planes:
            plane.update(struct.pack(f"<{len(values)}{code}", *values).ljust(plane.buffer_size, b"\0"))
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        yield frame


def _with_packet(content: bytes, add: Callable[[Any], Any]) -> More:
    """A track of one packet."""

    def more(out: Any) -> Callable[[], None]:
        stream = add(out)

        def write() -> None:
            packet = av.Packet(content)
            packet.stream, packet.pts, packet.dts, packet.duration = stream, 0, 0, 500
            packet.time_base = _THOUSANDTH
            out.mux(packet)

        return write

    return more


def _cover(out: Any) -> Any:
    stream = out.add_mux_stream("mjpeg", width=48, height=32)
    stream.disposition = av.stream.Disposition.attached_pic
    return stream


COVER = _with_packet(makers.jpeg(), _cover)
PLACES = _with_packet(PLACE, lambda out: out.add_data_stream("bin_data"))
SUBTITLES = _with_packet(
    struct.pack(">H", len(SUBTITLE)) + SUBTITLE.encode(), lambda out: out.add_mux_stream("mov_text")
)
WEB_SUBTITLES = _with_packet(SUBTITLE.encode(), lambda out: out.add_mux_stream("webvtt"))

_MADE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "H.264 and AAC": ("video/mp4", partial(
        record, "mp4", video="libx264", audio="aac", chapters=True, more=(SUBTITLES, PLACES, COVER),
    )),
    "H.264 and AAC, description first": ("video/mp4", partial(
        record, "mp4", video="libx264", audio="aac", options={"movflags": "faststart"}, chapters=True,
    )),
    "H.264 and AAC, any tag": ("video/mp4", partial(
        record, "mp4", video="libx264", audio="aac",
        options={"movflags": "use_metadata_tags", "write_tmcd": "1"},
    )),
    "H.265 and AC-3": ("video/mp4", partial(record, "mp4", video="libx265", audio="ac3")),
    "AV1 and Opus in MP4": ("video/mp4", partial(record, "mp4", video="libsvtav1", audio="libopus")),
    "VP9 and MP3 in MP4": ("video/mp4", partial(record, "mp4", video="libvpx-vp9", audio="libmp3lame")),
    "H.264 and FLAC": ("video/mp4", partial(record, "mp4", video="libx264", audio="flac")),
    "VP8 and Vorbis": ("video/webm", partial(
        record, "webm", video="libvpx", audio="vorbis", chapters=True, more=(WEB_SUBTITLES,),
    )),
    "VP9 and Opus": ("video/webm", partial(
        record, "webm", video="libvpx-vp9", audio="libopus", chapters=True,
    )),
    "VP9 and Opus, live": ("video/webm", partial(
        record, "webm", video="libvpx-vp9", audio="libopus", options={"live": "1"},
    )),
    "VP9 with alpha": ("video/webm", partial(record, "webm", video="libvpx-vp9", alpha=True)),
    "AV1 and Opus": ("video/webm", partial(record, "webm", video="libsvtav1", audio="libopus")),
    "MP3": ("audio/mpeg", partial(
        record, "mp3", audio="libmp3lame", more=(COVER,), options={"write_id3v1": "1"},
    )),
    "FLAC": ("audio/flac", partial(record, "flac", audio="flac", more=(COVER,))),
    "Vorbis": ("audio/ogg", partial(record, "ogg", audio="vorbis", chapters=True)),
    "Opus": ("audio/ogg", partial(record, "ogg", audio="libopus", chapters=True)),
    "WAVE": ("audio/wav", partial(
        record, "wav", audio="pcm_s16le", options={"write_bext": "1", "write_peak": "on"},
    )),
    "WAVE of floats": ("audio/wav", partial(record, "wav", audio="pcm_f32le")),
}  # fmt: skip
NAMES = tuple(_MADE)


@cache
def recording(name: str) -> tuple[str, bytes]:
    """The type and the bytes of a recording."""
    kind, make = _MADE[name]
    return kind, make()


class Played(NamedTuple):
    """What a player makes of a file: of each track the digest of what is decoded and when it is due."""

    streams: list[tuple[str, str, list[object]]]
    duration: int | None
    told: dict[str, str]


def played(content: bytes) -> Played:
    """All of a file as FFmpeg plays it; covers and words are not played."""
    with av.open(io.BytesIO(content)) as file:
        cover = av.stream.Disposition.attached_pic
        tracks = [
            stream for stream in (*file.streams.video, *file.streams.audio) if not stream.disposition & cover
        ]
        digests = {stream.index: hashlib.sha256() for stream in tracks}
        times: dict[int, list[object]] = {
            stream.index: [stream.duration, stream.time_base] for stream in tracks
        }
        for packet in file.demux(tracks):
            for frame in packet.decode():
                digests[packet.stream.index].update(frame.to_ndarray().tobytes())
                times[packet.stream.index].append(frame.pts)
        told = dict(file.metadata)
        for said in (*file.streams, *file.chapters()):
            told |= said.metadata if isinstance(said, av.stream.Stream) else said["metadata"]
        return Played(
            [(s.codec_context.name, digests[s.index].hexdigest(), times[s.index]) for s in tracks],
            file.duration,
            told,
        )
