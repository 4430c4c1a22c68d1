"""Object storage: quarantine, where bytes arrive, the library, where they stay, and what is public."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.clock import Clock
from services.assets.adapters.blobs import BlobMissing, BlobStore, BlobTooLarge, Presigner
from services.assets.adapters.buckets import Buckets
from services.assets.domain.library import Content
from services.assets.domain.refusals import ContentChanged, UploadNotFinished
from services.assets.domain.shelves import key_at, path_of, shelf_of
from services.assets.domain.uploads import Upload

LINK_LIVES = timedelta(seconds=60)
RESTAMP_TRIES = 3
ORIGINAL = "original"
"""The rendition of a public work that is the work itself."""
LINK_REPEATS = 30  # seconds in which a link is the same, so that browsers keep what it gave


@dataclass(frozen=True, slots=True)
class Places:
    """The names of the buckets."""

    quarantine: str
    library: str
    public: str


@asynccontextmanager
async def opened(url: str, keys: tuple[str, str], places: Places, clock: Clock) -> AsyncIterator[Storage]:
    """Storage at `url`, with these credentials; its connections and threads end when the block does."""
    presigner = Presigner(url, *keys, clock)
    blobs, buckets = BlobStore(presigner), Buckets(url, *keys)
    try:
        yield Storage(presigner, blobs, buckets, places)
    finally:
        buckets.close()
        await blobs.close()


class Storage:
    """What assets does with its buckets. Keys say nothing (domain/shelves).

    All methods that speak to storage raise Unavailable if it is not there.
    """

    def __init__(self, presigner: Presigner, blobs: BlobStore, buckets: Buckets, places: Places) -> None:
        self._presigner, self._blobs, self._buckets, self._places = presigner, blobs, buckets, places

    def where_to_put(self, upload: Upload, lives: timedelta) -> tuple[str, dict[str, str]]:
        """The URL for exactly the bytes that were declared, and the headers to send with them."""
        return self._presigner.put(
            self._places.quarantine, path_of(upload.quarantine), size=upload.size_bytes,
            content_type=upload.content_type, sha256=upload.sha256, expires=lives,
        )  # fmt: skip

    async def uploaded(self, upload: Upload) -> bytes:
        """The bytes in quarantine; raises UploadNotFinished, or ContentChanged if they are too many."""
        try:
            return await self._blobs.get(
                self._places.quarantine, path_of(upload.quarantine), limit=upload.size_bytes
            )
        except BlobMissing:
            raise UploadNotFinished(upload=upload.name) from None
        except BlobTooLarge:
            raise ContentChanged(what="their number") from None

    async def quarantined(self, account: UUID | None = None) -> list[UUID]:
        """The keys of everything in quarantine, or of what is a person's."""
        return await self._keys(self._places.quarantine, account)

    async def shelved(self, account: UUID) -> list[UUID]:
        """The keys of everything that lies on a person's shelf in the library."""
        return await self._keys(self._places.library, account)

    async def _keys(self, bucket: str, account: UUID | None) -> list[UUID]:
        prefix = f"{shelf_of(account)}/" if account else ""
        return [key_at(path) for path in await self._buckets.names(bucket, prefix)]

    async def discard(self, keys: Iterable[UUID]) -> None:
        """Remove from quarantine."""
        await self._buckets.delete(self._places.quarantine, [path_of(key) for key in keys])

    async def shelve(self, key: UUID, content: Content) -> None:
        """Write into the library; the bucket encrypts what is written."""
        await self._blobs.put(
            self._places.library, path_of(key), content.content,
            content_type=content.media.name, sha256=content.sha256,
        )  # fmt: skip

    async def remove(self, keys: Iterable[UUID]) -> None:
        """Remove from the library."""
        await self._buckets.delete(self._places.library, [path_of(key) for key in keys])

    def read(self, key: UUID) -> AsyncGenerator[bytes, None]:
        """The bytes of an object in the library; raises BlobMissing."""
        return self._blobs.read(self._places.library, path_of(key))

    def read_public(self, publication: UUID) -> AsyncGenerator[bytes, None]:
        """The bytes of a public work; raises BlobMissing."""
        return self._blobs.read(self._places.public, f"{publication}/{ORIGINAL}")

    async def publish(self, key: UUID, publication: UUID, rendition: str = ORIGINAL) -> None:
        """Copy from the library to where everyone may read; raises BlobMissing."""
        source = self._places.library, path_of(key)
        await self._buckets.copy(source, (self._places.public, f"{publication}/{rendition}"))

    async def show(self, publication: UUID, rendition: str, content: Content) -> None:
        """Write a rendition of a public work, in place of one that somebody wrote and did not commit."""
        key = f"{publication}/{rendition}"
        await self._buckets.delete(self._places.public, [key])
        await self._blobs.put(
            self._places.public, key, content.content,
            content_type=content.media.name, sha256=content.sha256,
        )  # fmt: skip

    async def hide(self, publication: UUID, renditions: Iterable[str]) -> None:
        """Remove renditions of a public work that may not be shown."""
        await self._buckets.delete(self._places.public, [f"{publication}/{each}" for each in renditions])

    async def restamp(self, publication: UUID, aside: UUID) -> None:
        """Write the objects of a public work anew, so that they carry the time of now and none of before.

        By way of `aside` in quarantine: copied to its own place, an object gets another date and nothing
        else. What is left there by whoever dies in between is swept like everything in quarantine; so may
        be what is on its way, and then it is begun again.
        """
        for key in await self._buckets.names(self._places.public, f"{publication}/"):
            for tries_left in reversed(range(RESTAMP_TRIES)):
                try:
                    await self._by_way_of(path_of(aside), (self._places.public, key))
                    break
                except BlobMissing:
                    if not tries_left:
                        raise
        await self.discard([aside])

    async def _by_way_of(self, aside: str, place: tuple[str, str]) -> None:
        await self._buckets.copy(place, (self._places.quarantine, aside))
        await self._buckets.copy((self._places.quarantine, aside), place)

    async def unpublish(self, publications: Iterable[UUID]) -> None:
        """Remove public bytes that came to nothing: all that lies under these publications."""
        found = [await self._buckets.names(self._places.public, f"{each}/") for each in publications]
        await self._buckets.delete(self._places.public, [key for keys in found for key in keys])

    def link(self, key: UUID, *, saved_as: str | None = None) -> tuple[str, datetime]:
        """A URL that gives the bytes until a time; `saved_as` is the Content-Disposition they come with."""
        response = {"response-content-disposition": saved_as} if saved_as else {}
        return self._presigner.get(
            self._places.library,
            path_of(key),
            expires=LINK_LIVES,
            window=LINK_REPEATS,
            response=response,
        )
