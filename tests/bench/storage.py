"""Bytes into the library and out again through assets, against the same calls of storage alone.

A file is taken in by a PUT of its owner, a GET and a PUT of assets, and a DELETE; storage alone is these
four with the same credentials and the same clients, without anyone who looks at the bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from chassis.clock import Clock
from deploy.local import seaweed
from services.assets.adapters.blobs import BlobStore, Presigner
from services.assets.adapters.buckets import Buckets
from services.assets.domain.shelves import key_on_shelf, path_of
from tests.bench.rows import Row, compare, rate
from tests.e2e.conftest import Person
from tests.running import Running

SIZES = {"64 KiB": (64 * 1024, 4), "8 MiB": (8 * 1024 * 1024, 2)}
"""How large a file is, and how many are under way."""
GOAL, TURN_SECONDS = 0.6, 0.5
TYPE = "audio/wav"  # its waveform is drawn meanwhile, at a low priority


class Shelf:
    """Storage with the credentials of assets."""

    def __init__(self, blobs: BlobStore, buckets: Buckets) -> None:
        self.blobs, self.buckets = blobs, buckets

    async def fill(self, account: UUID, number: int, content: bytes) -> list[str]:
        """Put so many objects on somebody's shelf; answers where they are."""
        keys = [path_of(key_on_shelf(account, uuid4())) for _ in range(number)]
        for start in range(0, number, 16):
            await asyncio.gather(*(self._put(key, content) for key in keys[start : start + 16]))
        return keys

    async def removed(self, keys: list[str]) -> float:
        """Milliseconds that storage takes to delete them."""
        began = time.perf_counter()
        await self.buckets.delete(seaweed.LIBRARY, keys)
        return (time.perf_counter() - began) * 1000

    async def _put(self, key: str, content: bytes) -> None:
        await self.blobs.put(seaweed.LIBRARY, key, content, content_type="image/png")

    async def take_in(self, content: bytes, digest: str) -> None:
        """What storage does while assets takes a file in."""
        key = path_of(uuid4())
        await self.blobs.put(seaweed.QUARANTINE, key, content, content_type=TYPE, sha256=digest)
        again = await self.blobs.get(seaweed.QUARANTINE, key, limit=len(content))
        await self.blobs.put(seaweed.LIBRARY, key, again, content_type=TYPE, sha256=digest)
        await self.buckets.delete(seaweed.QUARANTINE, [key])


@asynccontextmanager
async def shelf_of(running: Running) -> AsyncIterator[Shelf]:
    """The storage of a running platform."""
    secrets, url = running.state / "secrets" / "assets", str(running.endpoints["s3"])
    access, secret = ((secrets / f"crafiq_s3_{name}_key").read_text() for name in ("access", "secret"))
    blobs, buckets = BlobStore(Presigner(url, access, secret, Clock())), Buckets(url, access, secret)
    try:
        yield Shelf(blobs, buckets)
    finally:
        buckets.close()
        await blobs.close()


def sound(size: int) -> bytes:
    """A WAV file of so many bytes: 16 bits, one channel, noise that no compression makes smaller."""
    body = hashlib.shake_256(b"crafiq").digest(size - 44)
    form = b"fmt " + (16).to_bytes(4, "little") + b"\x01\x00\x01\x00"
    form += (44100).to_bytes(4, "little") + (88200).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    head = b"RIFF" + (size - 8).to_bytes(4, "little") + b"WAVE" + form
    return head + b"data" + len(body).to_bytes(4, "little") + body


async def _of_size(person: Person, shelf: Shelf, named: str) -> list[Row]:
    size, in_flight = SIZES[named]
    content = sound(size)
    digest = hashlib.sha256(content).hexdigest()
    asset = (await person.upload(content, "noise.wav", TYPE))["name"]
    key = (await shelf.fill(uuid4(), 1, content))[0]
    load = f"{size:,} B; HTTP to gateway and storage; {in_flight} in flight"
    alone = f"{load}; alone: PUT, GET, PUT, DELETE"
    return [
        await compare(
            f"upload into the library, {named} / storage alone",
            GOAL,
            lambda: rate(lambda: person.upload(content, "noise.wav", TYPE), in_flight, TURN_SECONDS),
            lambda: rate(lambda: shelf.take_in(content, digest), in_flight, TURN_SECONDS),
            load=alone,
            unit="files/s",
        ),
        await compare(
            f"download, {named} / storage alone",
            GOAL,
            lambda: rate(lambda: person.download(asset), in_flight, TURN_SECONDS),
            lambda: rate(lambda: shelf.blobs.get(seaweed.LIBRARY, key, limit=size), in_flight, TURN_SECONDS),
            load=load,
            unit="files/s",
        ),
    ]


async def rows(running: Running, person: Person) -> list[Row]:
    """Both ways, small and large."""
    async with shelf_of(running) as shelf:
        return [row for named in SIZES for row in await _of_size(person, shelf, named)]
