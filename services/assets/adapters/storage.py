"""Object storage: quarantine, where bytes arrive, the library, where they stay, and what is public."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.blobs import BlobMissing, BlobStore, BlobTooLarge, Presigner
from services.assets.adapters.buckets import Buckets
from services.assets.domain.library import Asset, Content
from services.assets.domain.refusals import ContentChanged, UploadNotFinished
from services.assets.domain.uploads import Upload

LINK_LIVES = timedelta(seconds=60)
ORIGINAL = "original"
"""The rendition of a public work that is the work itself."""
LINK_REPEATS = 30  # seconds in which a link is the same, so that browsers keep what it gave


@dataclass(frozen=True, slots=True)
class Places:
    """The names of the buckets."""

    quarantine: str
    library: str
    public: str


class Storage:
    """What assets does with its buckets. Keys are random and say nothing.

    All methods that speak to storage raise Unavailable if it is not there.
    """

    def __init__(self, presigner: Presigner, blobs: BlobStore, buckets: Buckets, places: Places) -> None:
        self._presigner, self._blobs, self._buckets, self._places = presigner, blobs, buckets, places

    def where_to_put(self, upload: Upload, lives: timedelta) -> tuple[str, dict[str, str]]:
        """The URL for exactly the bytes that were declared, and the headers to send with them."""
        return self._presigner.put(
            self._places.quarantine, str(upload.quarantine), size=upload.size_bytes,
            content_type=upload.content_type, sha256=upload.sha256, expires=lives,
        )  # fmt: skip

    async def uploaded(self, upload: Upload) -> bytes:
        """The bytes in quarantine; raises UploadNotFinished, or ContentChanged if they are too many."""
        try:
            return await self._blobs.get(
                self._places.quarantine, str(upload.quarantine), limit=upload.size_bytes
            )
        except BlobMissing:
            raise UploadNotFinished(upload=upload.name) from None
        except BlobTooLarge:
            raise ContentChanged(what="their number") from None

    async def quarantined(self) -> list[str]:
        """The keys of everything in quarantine."""
        return await self._buckets.names(self._places.quarantine)

    async def discard(self, keys: Iterable[str]) -> None:
        """Remove from quarantine."""
        await self._buckets.delete(self._places.quarantine, list(keys))

    async def shelve(self, key: UUID, content: Content) -> None:
        """Write into the library; the bucket encrypts what is written."""
        await self._blobs.put(
            self._places.library, str(key), content.content,
            content_type=content.media.name, sha256=content.sha256,
        )  # fmt: skip

    async def remove(self, keys: Iterable[UUID]) -> None:
        """Remove from the library."""
        await self._buckets.delete(self._places.library, [str(key) for key in keys])

    async def publish(self, key: UUID, publication: UUID) -> None:
        """Copy from the library to where everyone may read; raises BlobMissing."""
        source = self._places.library, str(key)
        await self._buckets.copy(source, (self._places.public, f"{publication}/{ORIGINAL}"))

    async def unpublish(self, publications: Iterable[UUID]) -> None:
        """Remove public bytes that came to nothing."""
        await self._buckets.delete(self._places.public, [f"{each}/{ORIGINAL}" for each in publications])

    def link(self, asset: Asset, *, saved_as: str | None = None) -> tuple[str, datetime]:
        """A URL that gives the bytes until a time; `saved_as` is the Content-Disposition they come with."""
        response = {"response-content-disposition": saved_as} if saved_as else {}
        return self._presigner.get(
            self._places.library,
            str(asset.object),
            expires=LINK_LIVES,
            window=LINK_REPEATS,
            response=response,
        )
