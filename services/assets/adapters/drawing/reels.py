"""Films and sounds, decoded by FFmpeg (PyAV): one stream, in this thread, whatever is whole of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar, cast

import av
import av.subtitles.stream  # else it is imported at the first film, when nothing can be opened any more
from av.container import InputContainer
from av.stream import Stream

S = TypeVar("S", bound=Stream)


@contextmanager
def reel(content: bytes, format_name: str) -> Iterator[InputContainer]:
    """The file, open; read as this format and no other."""
    with av.open(io.BytesIO(content), "r", format=format_name) as container:
        for stream in (*container.streams.video, *container.streams.audio):
            stream.codec_context.thread_count = 1
        yield container


def pictures(container: InputContainer, *, alone: bool) -> Iterator[av.VideoFrame]:
    """The frames of the film; `alone`: only those that need no other, which is quick."""
    for stream in container.streams.video[:1]:
        stream.codec_context.skip_frame = "NONKEY" if alone else "DEFAULT"
        for packet in _whole(container, stream):
            with suppress(av.error.InvalidDataError):  # a frame is broken; the next may be whole
                yield from packet.decode()


def sounds(container: InputContainer) -> Iterator[av.AudioFrame]:
    """The frames of the sound."""
    for stream in container.streams.audio[:1]:
        for packet in _whole(container, stream):
            with suppress(av.error.InvalidDataError):
                yield from packet.decode()


def _whole(container: InputContainer, stream: S) -> Iterator[av.Packet[S]]:
    """The packets of a stream, up to where the file breaks off."""
    with suppress(av.error.InvalidDataError):
        yield from cast("Iterator[av.Packet[S]]", container.demux(stream))
