"""Recordings by real encoders and muxers (FFmpeg, through PyAV), full of what is said about them; and how they play.

Nothing here is shared with the code that cleans: files are written and read by another program.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import av

from tests.unit.assets import makers

WORDS = {
    "title": "CANARY-title-7f3e", "artist": "CANARY-artist-7f3e", "album": "CANARY-album-7f3e",
    "comment": "CANARY-comment-7f3e", "copyright": "CANARY-copyright-7f3e", "encoder": "CANARY-encoder-7f3e",
    "description": "CANARY-description-7f3e", "lyrics": "CANARY-lyrics-7f3e", "date": "1987-06-05",
    "location": "+47.3769+008.5417/", "creation_time": "2021-03-04T05:06:07Z",
}  # fmt: skip
CHAPTER, SUBTITLE, ATTACHED = "CANARY-chapter-7f3e", "CANARY-subtitle-7f3e", b"CANARY-attached-7f3e"
_MOMENT = 1614834367  # creation_time in seconds since 1970
# As MP4 counts (seconds since 1904), as Matroska does (nanoseconds since 2001).
MOMENTS = (struct.pack(">I", _MOMENT + 2_082_844_800), struct.pack(">q", (_MOMENT - 978_307_200) * 10**9))
RATE, PICTURES = 48_000, 25


def said() -> Iterator[bytes]:
    """Everything that the recordings say about themselves, in the encodings that files use."""
    for word in (*WORDS.values(), CHAPTER, SUBTITLE, ATTACHED.decode()):
        yield from (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be"))
    yield from MOMENTS


def record(
    form: str, *, video: str = "", audio: str = "", options: Mapping[str, str] | None = None,
    more: Callable[[Any], Callable[[], None]] | None = None, channels: str = "stereo", chapters: bool = True,
) -> bytes:  # fmt: skip
    """A second of pictures and sound in a container; `more` adds tracks and answers what writes them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form, options=dict(options or {})) as out:
        out.metadata.update(WORDS)
        streams = [
            *([_picture_stream(out, video)] if video else []),
            *([_sound_stream(out, audio, channels)] if audio else []),
        ]
        for stream in streams:
            stream.metadata.update({"title": WORDS["title"], "language": "deu", "handler_name": WORDS["artist"]})
        finish = more(out) if more else None
        if chapters:
            half = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": CHAPTER}}
            out.set_chapters([half])
        feeds = [_pictures() if stream.type == "video" else _sound(stream) for stream in streams]
        for stream, feed in zip(streams, feeds, strict=True):
            for frame in feed:
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        if finish:
            finish()
    return buffer.getvalue()


def _picture_stream(out: Any, codec: str) -> Any:
    stream = out.add_stream(codec, rate=PICTURES)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    if codec == "libx265":
        stream.options = {"x265-params": "log-level=none"}
    if codec == "libsvtav1":
        stream.options = {"preset": "12"}
    return stream


def _sound_stream(out: Any, codec: str, channels: str) -> Any:
    stream = out.add_stream(codec, rate=RATE, layout=channels)
    if codec == "vorbis":
        stream.codec_context.options = {"strict": "experimental"}
    return stream


def _pictures() -> Iterator[av.VideoFrame]:
    for number in range(PICTURES):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for index, plane in enumerate(frame.planes):
            rows = [
                bytes((x * (index + 2) + y * 3 + number * 7) & 255 for x in range(plane.width)).ljust(plane.line_size, b"\0")
                for y in range(plane.height)
            ]
            plane.update(b"".join(rows))
        frame.pts, frame.time_base = number, Fraction(1, PICTURES)
        yield frame


def _sound(stream: Any) -> Iterator[av.AudioFrame]:
    context = stream.codec_context
    size = 960
    planar = context.format.is_planar
    for start in range(0, RATE, size):
        frame = av.AudioFrame(format=context.format.name, layout=context.layout.name, samples=size)
        channels = context.layout.nb_channels
        samples = [math.sin((start + i) / 20) * 0.6 + math.sin((start + i) ** 1.2 / 90) * 0.2 for i in range(size)]
        kind = {"s16": "h", "s16p": "h", "s32": "i", "s32p": "i", "flt": "f", "fltp": "f"}[context.format.name]
        scale = {"h": 32_000, "i": 2_000_000_000}.get(kind, 1)
        values = [sample * scale if kind == "f" else int(sample * scale) for sample in samples]
        if not planar:
            values = [value for value in values for _ in range(channels)]
        for plane in frame.planes:
            plane.update(struct.pack(f"<{len(values)}{kind}", *values).ljust(plane.buffer_size, b"\0"))
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        yield frame


def with_words(codec: str) -> Callable[[Any], Callable[[], None]]:
    """A track of subtitles."""

    def add(out: Any) -> Callable[[], None]:
        stream = out.add_mux_stream(codec)
        text = SUBTITLE.encode()

        def finish() -> None:
            packet = av.Packet(struct.pack(">H", len(text)) + text if codec == "mov_text" else text)
            packet.stream, packet.pts, packet.dts, packet.duration = stream, 0, 0, 500
            packet.time_base = Fraction(1, 1000)
            out.mux(packet)

        return finish

    return add


class Played(NamedTuple):
    """What a player makes of a file: digests of decoded pictures and sound, their times, and what it is told."""

    streams: tuple[tuple[str, int, str], ...]
    times: tuple[tuple[object, ...], ...]
    told: dict[str, str]


def played(content: bytes) -> Played:
    """Decode all of it with FFmpeg."""
    with av.open(io.BytesIO(content)) as file:
        kept = [stream for stream in file.streams if stream.type in {"video", "audio"}]
        digests = {stream.index: hashlib.sha256() for stream in kept}
        counts, stamps = dict.fromkeys(digests, 0), {index: [] for index in digests}
        for frame_of, frame in ((p.stream.index, f) for p in file.demux(kept) for f in p.decode()):
            counts[frame_of] += 1
            stamps[frame_of].append((frame.pts or 0) * frame.time_base if frame.time_base else None)
            digests[frame_of].update(frame.to_ndarray().tobytes())
        told = dict(file.metadata) | {k: v for stream in file.streams for k, v in stream.metadata.items()}
        told |= {f"chapter {one['id']}": str(one["metadata"]) for one in file.chapters()}
        return Played(
            tuple((stream.codec_context.name, counts[stream.index], digests[stream.index].hexdigest()) for stream in kept),
            tuple((file.duration, stream.duration and stream.duration * stream.time_base, *stamps[stream.index]) for stream in kept),
            told,
        )


if __name__ == "__main__":
    for args in [dict(form="mp4", video="libx264", audio="aac"), dict(form="mp4", video="libx265", audio="aac"), dict(form="mp4", video="libsvtav1", audio="libopus"),
      dict(form="mp4", video="libx264", audio="aac", options={"movflags":"faststart"}),
      dict(form="mp4", video="libx264", audio="alac"), dict(form="mp4", video="libx264", audio="ac3"), dict(form="mp4", video="libx264", audio="flac"),dict(form="mp4", video="libvpx-vp9", audio="libmp3lame"),
      dict(form="mp4", video="libx264", audio="aac", more=with_words("mov_text")),
      dict(form="webm", video="libvpx", audio="vorbis"), dict(form="webm", video="libvpx-vp9", audio="libopus"),  dict(form="webm", video="libsvtav1", audio="libopus"),
      dict(form="webm", video="libvpx-vp9", audio="libopus", more=with_words("webvtt")),
      dict(form="webm", video="libvpx-vp9", audio="libopus", options={"live":"1"}),
      dict(form="mp3", audio="libmp3lame", chapters=False),
      dict(form="flac", audio="flac", chapters=False), dict(form="ogg", audio="vorbis"), dict(form="ogg", audio="libopus"), dict(form="wav", audio="pcm_s16le", chapters=False)]:
        import time, traceback
        t=time.time()
        try:
            data = record(**args)
        except Exception as e:
            print(args, repr(e)); continue
        Path(f"/tmp/play/{args['form']}-{args.get('video')}-{args.get('audio')}{'-m' if 'more' in args else ''}{'-o' if 'options' in args else ''}.bin").write_bytes(data)
        found=[w for w in said() if w in data]
        from services.assets.domain.media import clean, sniff, TYPES
        s=sniff(data); 
        try:
            c=clean(TYPES[s],data).content
            left=[w for w in said() if w in c]
            a,b=played(data),played(c)
            left=(left, a.streams==b.streams, a.times==b.times, b.told, clean(TYPES[s],c).content==c)
            if a.times!=b.times: print([t[:4] for t in a.times],[t[:4] for t in b.times])
        except Exception as e: left=repr(e)
        print(args, len(data), round(time.time()-t,2), len(found), s, left)
