"""Small true files of every type, with a secret wherever files of that type keep what is said about them."""

from __future__ import annotations

import io
import json
import struct
import wave
import zlib
from collections.abc import Sequence
from functools import cache

import av
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

SECRET = b"CANARY-7f3e"
TEXT = SECRET.decode()
SIZE = (48, 32)
UPRIGHT = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Something with edges and gradients, not the same any way up."""
    image = Image.linear_gradient("L").resize(size).convert(mode)
    ImageDraw.Draw(image).rectangle((4, 4, 12, 9), fill=200 if mode in {"L", "P"} else "red")
    return image


def exif(orientation: int = 1) -> bytes:
    """EXIF with an author, a place and an orientation."""
    tags = Image.Exif()
    tags[0x0112], tags[0x013B], tags[0x010F] = orientation, TEXT, TEXT
    tags.get_ifd(0x8825)[1] = "N"
    tags.get_ifd(0x8825)[29] = TEXT
    return tags.tobytes()


def profile() -> bytes:
    """A colour profile whose description is a secret."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    words = "sRGB built-in".encode("utf-16-be")
    assert words in made
    return made.replace(words, (TEXT + "  ").encode("utf-16-be"))


def jpeg(orientation: int = 1, *, progressive: bool = False, mode: str = "RGB") -> bytes:
    """A JPEG with EXIF, XMP, IPTC, a comment, a profile, and a tail."""
    buffer = io.BytesIO()
    options = {"progressive": True} if progressive else {}
    picture(mode).save(
        buffer, "JPEG", quality=90, exif=exif(orientation), comment=SECRET, icc_profile=profile(), **options
    )
    plain = buffer.getvalue()
    extra = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
        for marker, body in (
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + SECRET),
            (0xED, b"Photoshop 3.0\0" + SECRET),
            (0xE0, b"JFXX\0\x10" + SECRET),
            (0xEC, SECRET),
        )
    )
    return plain[:2] + extra + plain[2:] + b"PK\x03\x04" + SECRET


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@cache  # a profile says when it was made
def png(mode: str = "RGB", orientation: int = 1) -> bytes:
    """A PNG with texts, EXIF, a time, a profile, an unknown part, and a tail."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", TEXT)
    info.add_text("Comment", TEXT * 20, zip=True)
    info.add_itxt("XML:com.adobe.xmp", TEXT)
    buffer = io.BytesIO()
    picture(mode).save(
        buffer, "PNG", pnginfo=info, exif=exif(orientation), icc_profile=profile(), dpi=(72, 72)
    )
    plain = buffer.getvalue()
    extra = chunk(b"tIME", bytes(7)) + chunk(b"prVt", SECRET) + chunk(b"caBX", SECRET)
    return plain[:33] + extra + plain[33:] + SECRET


def apng() -> bytes:
    """An animated PNG."""
    buffer = io.BytesIO()
    frames = [picture().rotate(angle) for angle in (90, 180)]
    picture().save(buffer, "PNG", save_all=True, append_images=frames, duration=100)
    return buffer.getvalue()


def webp(*, lossless: bool = False, frames: int = 1, orientation: int = 1) -> bytes:
    """A WebP with EXIF, XMP, a profile, an unknown chunk, and a tail."""
    buffer = io.BytesIO()
    more = [picture().rotate(90 * number) for number in range(1, frames)]
    options = {"save_all": True, "append_images": more} if more else {}
    picture().save(
        buffer,
        "WEBP",
        lossless=lossless,
        exif=exif(orientation),
        xmp=SECRET,
        icc_profile=profile(),
        **options,
    )
    content = buffer.getvalue() + b"UNKN" + struct.pack("<I", len(SECRET)) + SECRET + b"\0"
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:] + SECRET


def gif(frames: int = 3) -> bytes:
    """A GIF with comments, another program's data, and a tail."""
    buffer = io.BytesIO()
    more = [picture("P").rotate(90 * number) for number in range(1, frames)]
    picture("P").save(buffer, "GIF", save_all=True, append_images=more, loop=0, comment=SECRET)
    plain = buffer.getvalue()
    assert plain[-1] == 0x3B
    xmp = b"\x21\xff\x0bXMP DataXMP" + bytes((len(SECRET),)) + SECRET + b"\0"
    return plain[:-1] + xmp + b"\x3b" + SECRET


def wav() -> bytes:
    """A WAVE with tags before the sound and behind it, and a tail."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(range(256)) * 8)
    plain = buffer.getvalue()
    info = b"INFOIART" + struct.pack("<I", len(SECRET)) + SECRET + b"\0"
    tags = b"LIST" + struct.pack("<I", len(info)) + info + b"bext" + struct.pack("<I", 12) + SECRET + b"\0"
    content = plain[:12] + tags + plain[12:] + tags
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:] + SECRET


def mp3() -> bytes:
    """Silence of 10 frames, with tags of all sorts around and between."""
    frame = b"\xff\xfb\x90\x64" + bytes(413)
    front = b"ID3\x04\0\0\0\0\x02\0" + SECRET.ljust(256, b"\0")
    back = b"APETAGEX" + SECRET.ljust(24, b"\0") + b"TAG" + SECRET.ljust(125, b"\0")
    return front + frame * 5 + SECRET + frame * 5 + back


@cache
def _crc_steps(bits: int, polynomial: int) -> list[int]:
    table = []
    for value in range(256):
        register = value << (bits - 8)
        for _ in range(8):
            carry = register >> (bits - 1)
            register = (register << 1 & (1 << bits) - 1) ^ (polynomial if carry else 0)
        table.append(register)
    return table


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    table, register = _crc_steps(bits, polynomial), 0
    for byte in data:
        register = (register << 8 & (1 << bits) - 1) ^ table[register >> (bits - 8) ^ byte]
    return register


def flac_frames(count: int = 3) -> bytes:
    """Frames of 192 samples of one channel, all the same (RFC 9639, 9.2.4)."""
    frames = bytearray()
    for number in range(count):
        # Numbers are coded as UTF-8 codes letters.
        head = b"\xff\xf8\x19\x08" + chr(number).encode("utf-8", "surrogatepass")
        frame = head + bytes((_crc(head, 8, 0x07),)) + b"\x00\x12\x34"
        frames += frame + _crc(frame, 16, 0x8005).to_bytes(2, "big")
    return bytes(frames)


def flac() -> bytes:
    """FLAC with comments, a picture, padding, another program's block and an old tag."""
    info = (
        struct.pack(">HH", 192, 192)
        + bytes(6)
        + (44_100 << 44 | 15 << 36 | 576).to_bytes(8, "big")
        + bytes(16)
    )
    blocks = [
        (0, info),
        (4, struct.pack("<I", 0) + SECRET),
        (2, SECRET),
        (6, SECRET),
        (3, bytes(18)),
        (1, SECRET),
    ]
    content = b"fLaC"
    for number, (kind, body) in enumerate(blocks, 1):
        content += bytes((kind | 0x80 * (number == len(blocks)),)) + len(body).to_bytes(3, "big") + body
    return content + flac_frames() + b"TAG" + SECRET.ljust(125, b"\0")


def ogg_page(
    number: int,
    flags: int,
    packets: Sequence[bytes],
    serial: int = 77,
    *,
    open_end: bool = False,
    position: int = 0,
) -> bytes:
    """A page; with `open_end` its last packet goes on on the next."""
    lacing = b""
    for index, packet in enumerate(packets):
        full, rest = divmod(len(packet), 255)
        unfinished = open_end and index == len(packets) - 1
        lacing += b"\xff" * full + (b"" if unfinished and not rest else bytes((rest,)))
    head = (
        b"OggS\0"
        + bytes((flags,))
        + struct.pack("<qIII", position, serial, number, 0)
        + bytes((len(lacing),))
        + lacing
    )
    page = bytearray(head + b"".join(packets))
    page[22:26] = _crc(bytes(page), 32, 0x04C11DB7).to_bytes(4, "little")
    return bytes(page)


def ogg_comments(start: bytes, end: bytes = b"") -> bytes:
    """A comment header with a maker and an artist."""
    words = b"ARTIST=" + SECRET
    return start + struct.pack("<I", len(SECRET)) + SECRET + struct.pack("<II", 1, len(words)) + words + end


def opus() -> bytes:
    """Ogg Opus with comments that fill more than a page, and a tail."""
    tags = ogg_comments(b"OpusTags") + SECRET * 100
    pages = [
        ogg_page(0, 2, [b"OpusHead\x01\x01" + bytes(9)]),
        ogg_page(1, 0, [tags[:510]], open_end=True),
        ogg_page(2, 1, [tags[510:]]),
        ogg_page(3, 0, [b"\xfc\xff\xfe" * 20, b"\xfc\xff\xfe" * 100]),
        ogg_page(4, 4, [b"\xfc\xff\xfe"]),
    ]
    return b"".join(pages) + SECRET


@cache
def vorbis_headers() -> tuple[bytes, bytes, bytes]:
    """An encoder's headers, with a maker and an artist in the second, and something behind the third."""
    encoder = av.CodecContext.create("vorbis", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "fltp"
    encoder.options = {"strict": "experimental"}
    encoder.open()
    private = bytes(encoder.extradata or b"")
    start = private.index(b"\x01vorbis")
    setup = private.index(b"\x05vorbis")
    comments = ogg_comments(b"\x03vorbis", b"\x01") + SECRET
    return private[start : start + 30], comments, private[setup:] + SECRET


def vorbis() -> bytes:
    """Ogg Vorbis, with comments that fill more than a page."""
    first, comments, setup = vorbis_headers()
    comments += SECRET * 100
    pages = [
        ogg_page(0, 2, [first]),
        ogg_page(1, 0, [comments[:510]], open_end=True),
        ogg_page(2, 1, [comments[510:], setup]),
        ogg_page(3, 4, [b"\0" * 40]),
    ]
    return b"".join(pages)


def box(kind: bytes, *parts: bytes) -> bytes:
    """An MP4 box."""
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def _table(kind: bytes, *numbers: int) -> bytes:
    return box(kind, bytes(4), struct.pack(f">{len(numbers)}I", *numbers))


def mp4_track(handler: bytes, sizes: Sequence[int], offset: int, *, entry: bytes = b"") -> bytes:
    """A track whose samples all stand in one chunk."""
    table = box(
        b"stbl", box(b"stsd", bytes(4), struct.pack(">I", 1), entry), _table(b"stts", 1, len(sizes), 1),
        _table(b"stsc", 1, 1, len(sizes), 1), _table(b"stsz", 0, len(sizes), *sizes),
        _table(b"stco", 1, offset),
    )  # fmt: skip
    data = box(b"dinf", box(b"dref", bytes(4), struct.pack(">I", 1), box(b"url ", b"\0\0\0\1")))
    media = box(
        b"mdia", box(b"mdhd", bytes(4), b"WHEN" * 2, struct.pack(">III", 1000, 3, 0)),
        box(b"hdlr", bytes(8), handler, bytes(12), SECRET),
        box(b"minf", box(b"vmhd", bytes(12)), data, table),
    )  # fmt: skip
    head = struct.pack(">IIII", 1, 0, 1000, 0) + bytes(12) + UPRIGHT + bytes(8)
    return box(b"trak", box(b"tkhd", bytes(4), b"WHEN" * 2, head), media, box(b"udta", SECRET))


def mp4(*, gap: bytes = SECRET) -> bytes:
    """MP4 with pictures, sound, where the camera was, tags, and bytes that nothing refers to."""
    sets = b"\x01\x42\xc0\x1e\xff\xe1" + b"\0\x04\x67\x42\xc0\x1e" + b"\1\0\x04\x68\xce\x3c\x80"
    entry = box(
        b"avc1", bytes(24), struct.pack(">HH", 640, 360), bytes(14), SECRET.ljust(32, b"\0"), bytes(4),
        box(b"avcC", sets, SECRET), box(b"uuid", SECRET.ljust(24)),
        box(b"pasp", struct.pack(">II", 1, 1), SECRET),
    )  # fmt: skip
    decoder = b"\x04\x11\x40\x15" + bytes(11) + b"\x05\x02\x12\x10"
    sound = box(
        b"mp4a", bytes(16), struct.pack(">HHII", 2, 16, 0, 44_100 << 16),
        box(b"esds", bytes(4), b"\x03" + bytes((len(decoder) + 3,)) + bytes(3) + decoder, SECRET),
        box(b"udta", SECRET),
    )  # fmt: skip
    head = box(b"ftyp", b"isom\0\0\2\0isommp42")

    def movie(at: int) -> bytes:
        return box(
            b"moov",
            box(b"mvhd", bytes(4), b"WHEN" * 2, struct.pack(">II", 1000, 3), bytes(16), UPRIGHT, bytes(28)),
            mp4_track(b"vide", [5, 6], at, entry=entry),
            mp4_track(b"soun", [7], at + 11, entry=sound),
            mp4_track(b"meta", [len(SECRET)], at + 18, entry=box(b"gpmd", bytes(8))),
            box(b"udta", box(b"meta", SECRET)), box(b"uuid", SECRET.ljust(32)),
        )  # fmt: skip

    start = len(head) + len(movie(0)) + 8
    data = box(b"mdat", b"PICT1", b"PICT22", b"SOUND33", SECRET, gap)
    return head + movie(start) + data + box(b"uuid", SECRET) + box(b"free", SECRET)


def element(identifier: int, *parts: bytes, unknown: bool = False) -> bytes:
    """An EBML element."""
    body = b"".join(parts)
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + (b"\x01" + b"\xff" * 7 if unknown else (1 << 56 | len(body)).to_bytes(8, "big")) + body


def track(number: int, kind: int, codec: bytes, *more: bytes) -> bytes:
    """A track of WebM."""
    known = element(0xD7, bytes((number,))), element(0x83, bytes((kind,))), element(0x86, codec)
    return element(0xAE, *known, *more)


def webm(*, live: bool = False) -> bytes:
    """WebM with pictures and sound, tags, a title, an attachment, a date, chapters."""
    head = element(0x1A45DFA3, element(0x4282, b"webm"), element(0x4287, b"\x02"))
    info = element(
        0x1549A966, element(0x2AD7B1, b"\x0f\x42\x40"), element(0x7BA9, SECRET), element(0x4461, b"WHENWHEN"),
        element(0x4D80, SECRET), element(0x5741, SECRET),
    )  # fmt: skip
    video = element(0xE0, element(0xB0, b"\x02\x80"), element(0xBA, b"\x01\x68"))
    packets = vorbis_headers()
    private = bytes((2, len(packets[0]), len(packets[1]))) + b"".join(packets)
    tracks = element(
        0x1654AE6B,
        track(1, 1, b"V_VP9", element(0x536E, SECRET), video),
        track(2, 2, b"A_VORBIS", element(0x63A2, private)),
    )  # fmt: skip
    cluster = element(
        0x1F43B675,
        element(0xE7, b"\0"),
        element(0xA3, b"\x81\0\0\x80PICTURES"),
        element(0xEC, SECRET),
        unknown=live,
    )
    tags, files = element(0x1254C367, SECRET), element(0x1941A469, SECRET)
    body = (info, tracks, cluster, cluster, tags, files, element(0x1043A770, SECRET))
    return head + element(0x18538067, *body, unknown=live) + (b"" if live else SECRET)


def glb(*, inner: bytes | None = None, **changes: object) -> bytes:
    """A triangle with a picture in it, notes everywhere, an avatar's author, and hidden bytes."""
    inner = jpeg() if inner is None else inner
    mesh = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    binary = mesh + SECRET + b"\0" + inner
    document: dict[str, object] = {
        "asset": {"version": "2.0", "copyright": TEXT, "generator": TEXT, "extras": {"who": TEXT}},
        "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0, "name": "triangle", "extras": TEXT}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "extras": [TEXT]}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "name": TEXT}],
        "bufferViews": [
            {"buffer": 0, "byteLength": len(mesh)},
            {"buffer": 0, "byteOffset": len(mesh) + len(SECRET) + 1, "byteLength": len(inner), "name": TEXT},
        ],
        "images": [{"bufferView": 1, "mimeType": "image/jpeg", "name": TEXT + ".jpg"}],
        "buffers": [{"byteLength": len(binary)}],
        "extensionsUsed": ["VRM", "KHR_materials_unlit", "KHR_xmp_json_ld"],
        "extensions": {"VRM": {"meta": {"author": TEXT}}, "KHR_xmp_json_ld": {"packets": [TEXT]}},
    }  # fmt: skip
    text = json.dumps({**document, **changes}).encode()
    chunks = b"".join(
        struct.pack("<II", len(body) + -len(body) % 4, kind) + body + pad * (-len(body) % 4)
        for kind, body, pad in (
            (0x4E4F534A, text, b" "),
            (0x004E4942, binary, b"\0"),
            (0x54534554, SECRET, b"\0"),
        )
    )
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks + SECRET


def text() -> bytes:
    """Words with a byte order mark."""
    return b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe\n"


FILES = {
    "image/jpeg": jpeg,
    "image/png": png,
    "image/webp": webp,
    "image/gif": gif,
    "model/gltf-binary": glb,
    "audio/wav": wav,
    "audio/mpeg": mp3,
    "audio/ogg": opus,
    "audio/flac": flac,
    "video/mp4": mp4,
    "video/webm": webm,
    "text/plain": text,
}
