"""Control of objects in S3: what is not a stream of bytes (minio)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error

from services.assets.adapters.blobs import BlobMissing, StorageUnavailable

T = TypeVar("T")
MISSING = ("NoSuchKey", "NoSuchObject", "NotFound")


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What storage says of an object: length in bytes, type."""

    size: int
    content_type: str


class Buckets:
    """minio's client in threads, four at a time; every call has a timeout and is tried once.

    All raise StorageUnavailable if storage does not answer as it should.
    """

    def __init__(self, endpoint: str, access: str, secret: str) -> None:
        url = urlsplit(endpoint)
        pool = urllib3.PoolManager(maxsize=4, timeout=urllib3.Timeout(connect=2, read=10), retries=False)
        self._minio = Minio(
            url.netloc, access_key=access, secret_key=secret, secure=url.scheme == "https",
            region="us-east-1", http_client=pool,
        )  # fmt: skip
        self._threads = ThreadPoolExecutor(4, "buckets")

    async def stat(self, bucket: str, key: str) -> BlobInfo | None:
        """What stands under a key; None if nothing does."""
        try:
            found = await self._run(lambda: self._minio.stat_object(bucket, key))
        except BlobMissing:
            return None
        return BlobInfo(found.size or 0, found.content_type or "")

    async def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects, any number of them; those that are not there are no error."""
        if not keys:
            return
        names = [DeleteObject(key) for key in keys]
        # The errors are found while they are listed; those that are told are of objects still there.
        if await self._run(lambda: list(self._minio.remove_objects(bucket, names))):
            raise StorageUnavailable

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """Copy an object inside storage: (bucket, key) to (bucket, key). Raises BlobMissing."""
        await self._run(lambda: self._minio.copy_object(*target, CopySource(*source)))

    async def names(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys under a prefix, all of them."""
        found = await self._run(lambda: list(self._minio.list_objects(bucket, prefix, recursive=True)))
        return [each.object_name for each in found if each.object_name]

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except S3Error as error:
            raise (BlobMissing() if error.code in MISSING else StorageUnavailable()) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StorageUnavailable from error
