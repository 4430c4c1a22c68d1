"""Control of objects in S3: what is not a stream of bytes. Only assets imports it (minio)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What storage says of an object: length in bytes, type."""

    size: int
    content_type: str


class Buckets:
    """minio's client in threads, four at a time; every call has a timeout."""

    def __init__(self, endpoint: str, access: str, secret: str) -> None:
        raise NotImplementedError

    async def stat(self, bucket: str, key: str) -> BlobInfo | None:
        """What stands under a key; None if nothing does."""
        raise NotImplementedError

    async def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects, any number of them; those that are not there are no error. Raises Unavailable."""
        raise NotImplementedError

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """Copy an object inside storage: (bucket, key) to (bucket, key). Raises BlobMissing."""
        raise NotImplementedError

    async def names(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys under a prefix."""
        raise NotImplementedError
