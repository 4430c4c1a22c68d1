"""Bad requests for an RPC that people reach by gRPC-Web alone: what no JSON can say, and names."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf import descriptor_pool, json_format, message_factory

from cli.grpc_web import TRAILERS, framed
from tests.e2e.bad_requests import BAD_NAMES, FOREIGN, MARK, Things, kind_of
from tests.e2e.forms import Json
from tools.gateway.surface import Rpc

COMPRESSED = 1
UNFINISHED = {"no bytes", "JSON", "half a frame"}
"""gRPC's server waits for the rest, although the request has ended; the gateway ends it."""
OTHERWISE = {
    "a frame that is longer than it says": ("0", "What follows the message is passed over."),
    "two messages": ("0", "What follows the message is passed over."),
    "compressed, as it says": ("13", "What gRPC's specification asks for where no encoding is named."),
}
"""Another gRPC status than one of a refusal, and why."""


def bad_frames(rpc: Rpc, good: Json, things: Things) -> Iterator[tuple[str, bytes]]:
    """What is wrong, and the body; `good` keeps all rules and names nothing of anybody's."""
    names = {field: kind for field, example in good.items() if (kind := kind_of(example))}
    own = {**good, **{field: f"{kind}/{things.mine[kind]}" for field, kind in names.items()}}
    for field, kind in names.items():
        yield f"{field}: missing", _message(rpc, {k: v for k, v in own.items() if k != field})
        for what, name in {FOREIGN: things.theirs[kind], **BAD_NAMES}.items():
            yield f"{field}: {what}", _message(rpc, {**own, field: f"{kind}/{name}"})
    whole = _message(rpc, own)
    # A field that nobody knows, as long as all that the gateway takes.
    much = b"\xfa\x3f" + _varint(rpc.max_body_bytes) + bytes(rpc.max_body_bytes)
    yield from {
        "no bytes": b"",
        "an empty frame": framed(b""),
        "bytes that are no message": framed(b"\xff" * 20),
        "a text": framed(MARK.encode()),
        "JSON": b"{}",
        "half a frame": whole[:-3],
        "a frame that is longer than it says": whole + whole[5:],
        "a frame of gigabytes": b"\0\xff\xff\xff\xff" + whole[5:],
        "too large": framed(whole[5:] + much),
        "compressed, as it says": framed(whole[5:], COMPRESSED),
        "trailers": framed(whole[5:], TRAILERS),
        "two messages": whole + whole,
    }.items()


def _message(rpc: Rpc, values: Json) -> bytes:
    message = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(rpc.request))()
    json_format.ParseDict(values, message)
    return framed(message.SerializeToString())


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
