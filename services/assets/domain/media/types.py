"""The types that the library keeps: how large they may be, how they are told from their bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from services.assets.domain.media import flac, gif, glb, jpeg, ktx2, mp3, mp4, ogg, png, text, wav, webm, webp
from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.refusals import (
    ContentDamaged,
    ContentTooLarge,
    ContentTypeMismatch,
    ContentTypeUnsupported,
)

MEBIBYTE = 1024 * 1024


class MediaKind(StrEnum):
    """What kind of thing an asset is."""

    IMAGE = "IMAGE"
    MODEL = "MODEL"
    AUDIO = "AUDIO"
    VIDEO = "VIDEO"
    TEXT = "TEXT"


LARGEST = {
    MediaKind.IMAGE: 25 * MEBIBYTE,
    MediaKind.MODEL: 50 * MEBIBYTE,
    MediaKind.AUDIO: 50 * MEBIBYTE,
    MediaKind.VIDEO: 100 * MEBIBYTE,
    MediaKind.TEXT: MEBIBYTE,
}
"""Bytes a file may have. They are in memory while they are looked at."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type: its name (RFC 6838), kind, and the ending of its files' names."""

    name: str
    kind: MediaKind
    ending: str
    clean: Callable[[bytes], Cleaned]

    @property
    def largest(self) -> int:
        """How many bytes are taken."""
        return LARGEST[self.kind]


def _picture_in_model(content: bytes) -> tuple[str, bytes]:
    if content.startswith(ktx2.START):
        return "image/ktx2", ktx2.clean(content)
    found = sniff(content)
    if found not in {"image/jpeg", "image/png", "image/webp"}:
        raise ContentDamaged(problem="it has a picture that is none")
    return found, TYPES[found].clean(content).content


TYPES = {
    kind.name: kind
    for kind in (
        MediaType("image/jpeg", MediaKind.IMAGE, "jpg", jpeg.clean),
        MediaType("image/png", MediaKind.IMAGE, "png", png.clean),
        MediaType("image/webp", MediaKind.IMAGE, "webp", webp.clean),
        MediaType("image/gif", MediaKind.IMAGE, "gif", gif.clean),
        MediaType("model/gltf-binary", MediaKind.MODEL, "glb", partial(glb.clean, picture=_picture_in_model)),
        MediaType("audio/wav", MediaKind.AUDIO, "wav", wav.clean),
        MediaType("audio/mpeg", MediaKind.AUDIO, "mp3", mp3.clean),
        MediaType("audio/ogg", MediaKind.AUDIO, "ogg", ogg.clean),
        MediaType("audio/flac", MediaKind.AUDIO, "flac", flac.clean),
        MediaType("video/mp4", MediaKind.VIDEO, "mp4", mp4.clean),
        MediaType("video/webm", MediaKind.VIDEO, "webm", webm.clean),
        MediaType("text/plain", MediaKind.TEXT, "txt", text.clean),
    )
}
# What browsers and tools of some age call them.
_ALSO = {
    "image/jpg": "image/jpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-flac": "audio/flac",
    "application/ogg": "audio/ogg",
    "audio/opus": "audio/ogg",
}
_NOT_MP4 = (b"qt  ", b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"M4A ", b"M4B ")


def media_type(declared: str) -> MediaType:
    """The type that a client means; raises ContentTypeUnsupported."""
    found = TYPES.get(_ALSO.get(declared, declared))
    if found is None:
        raise ContentTypeUnsupported(content_type=declared, taken=", ".join(TYPES))
    return found


def sniff(data: bytes) -> str | None:
    """The type that the bytes begin like; None if it is none of ours."""
    for name, begins in _BEGINNINGS:
        if begins(data):
            return name
    return None


def clean(declared: MediaType, data: bytes) -> Cleaned:
    """What stays of a file of the declared type.

    Raises ContentTooLarge, ContentTypeMismatch, or what the type's module raises.
    """
    if len(data) > declared.largest:
        raise ContentTooLarge(content_type=declared.name, limit=declared.largest)
    found = sniff(data)
    if found != declared.name:
        raise ContentTypeMismatch(declared=declared.name, found=found or "of no type that is taken")
    return declared.clean(data)


def _riff(data: bytes, form: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:12] == form


_BEGINNINGS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("image/jpeg", lambda data: data.startswith(jpeg.START + b"\xff")),
    ("image/png", lambda data: data.startswith(png.START)),
    ("image/gif", lambda data: data.startswith(gif.STARTS)),
    ("image/webp", lambda data: _riff(data, b"WEBP")),
    ("audio/wav", lambda data: _riff(data, b"WAVE")),
    ("model/gltf-binary", lambda data: data.startswith(glb.START)),
    ("audio/flac", lambda data: data.startswith(flac.START)),
    ("audio/ogg", lambda data: data.startswith(ogg.START)),
    ("video/webm", webm.is_webm),
    ("video/mp4", lambda data: data[4:8] == b"ftyp" and not data[8:12].startswith(_NOT_MP4)),
    ("audio/mpeg", mp3.begins),
    ("text/plain", text.is_text),
)
