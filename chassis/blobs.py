"""Bytes in S3: presigned URLs (AWS Signature Version 4), and streams over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from chassis.clock import Clock


class Presigner:
    """Makes URLs that open one object for one purpose for a while.

    `endpoint` is `http(s)://host:port`; signing is local (36 us), no request is made.
    """

    def __init__(self, endpoint: str, access: str, secret: str, clock: Clock) -> None:
        self._endpoint, self._access, self._secret, self._clock = endpoint, access, secret, clock

    def put(
        self, bucket: str, key: str, *, size: int, content_type: str, sha256: str, expires: timedelta
    ) -> tuple[str, dict[str, str]]:
        """A URL to PUT exactly these bytes once, and the headers that have to be sent with them.

        Length, type, SHA-256 (`sha256` is lower-case hex) and `If-None-Match: *` are signed:
        storage refuses anything else, and a second time.
        """
        raise NotImplementedError

    def get(
        self, bucket: str, key: str, *, expires: timedelta = timedelta(seconds=60), window: int = 30
    ) -> tuple[str, datetime]:
        """A URL to GET the object, and when it ends; the same within a `window` of seconds, so that browsers cache.

        It lives between `expires - window` and `expires`, never longer.
        """
        raise NotImplementedError


class BlobStore:
    """Moves bytes between a service and its buckets over presigned URLs."""

    def __init__(self, presigner: Presigner) -> None:
        self._presigner = presigner

    async def put(self, bucket: str, key: str, body: bytes, *, content_type: str) -> None:
        """Store `body`; raises BlobExists if the key is taken, Unavailable if storage is not there."""
        raise NotImplementedError

    def read(self, bucket: str, key: str, *, chunk: int = 262_144) -> AsyncIterator[bytes]:
        """Stream an object in chunks of up to `chunk` bytes; raises BlobMissing."""
        raise NotImplementedError

    async def get(self, bucket: str, key: str, *, limit: int) -> bytes:
        """A whole object; raises BlobMissing, or BlobTooLarge if it has more than `limit` bytes."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError
