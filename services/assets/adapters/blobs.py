"""Bytes in S3: presigned URLs (AWS Signature Version 4), and streams over them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import aiohttp

from chassis.clock import Clock
from chassis.errors import AlreadyExists, NotFound, ResourceExhausted, Unavailable

REGION = "us-east-1"
MINUTE = timedelta(seconds=60)
CHUNK = 262_144  # bytes


class BlobMissing(NotFound):
    """Nothing stands under the key."""

    sentence = "These bytes are not there, or not any more."


class BlobExists(AlreadyExists):
    """Something stands under the key already."""

    sentence = "These bytes were stored before."


class BlobTooLarge(ResourceExhausted):
    """There are more bytes than the reader can take."""

    sentence = "This has more than the {limit} bytes that can be handled here."


class StorageUnavailable(Unavailable):
    """Storage does not answer, or not as it should."""

    sentence = "Storage is not available right now; ask again in a moment."


class Presigner:
    """Makes URLs that open one object for one purpose for a while.

    `endpoint` is `http(s)://host:port`; signing is local (36 us), no request is made. Source: AWS,
    "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
    """

    def __init__(self, endpoint: str, access: str, secret: str, clock: Clock) -> None:
        self._endpoint, self._access, self._secret, self._clock = endpoint.rstrip("/"), access, secret, clock
        self._host = urlsplit(endpoint).netloc

    def put(
        self, bucket: str, key: str, *, size: int, content_type: str, sha256: str, expires: timedelta
    ) -> tuple[str, dict[str, str]]:
        """A URL to PUT exactly these bytes once, and the headers that have to be sent with them.

        Length, type, SHA-256 (`sha256` is lower-case hex) and `If-None-Match: *` are signed:
        storage refuses anything else, and a second time.
        """
        headers = {
            "content-type": content_type,
            "if-none-match": "*",
            "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
        }
        signed = {**headers, "content-length": str(size)}  # every client sends the length by itself
        return self._url("PUT", f"/{bucket}/{key}", self._clock.now(), expires, signed, {}), headers

    def get(
        self,
        bucket: str,
        key: str,
        *,
        expires: timedelta = MINUTE,
        window: int = 30,
        response: Mapping[str, str] | None = None,
    ) -> tuple[str, datetime]:
        """A URL to GET the object, and when it ends.

        It is the same within `window` seconds, so that browsers cache; it lives between
        `expires - window` and `expires`, never longer. `response` sets headers of the answer, such
        as `response-content-disposition`.
        """
        seconds = int(self._clock.now().timestamp())
        start = datetime.fromtimestamp(seconds - seconds % window, UTC)
        return self._url("GET", f"/{bucket}/{key}", start, expires, {}, response or {}), start + expires

    def _url(
        self,
        method: str,
        path: str,
        start: datetime,
        expires: timedelta,
        headers: Mapping[str, str],
        response: Mapping[str, str],
    ) -> str:
        stamp, path = f"{start:%Y%m%dT%H%M%SZ}", quote(path)
        scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
        signed = {**headers, "host": self._host}
        parameters = {
            **response,
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self._access}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(int(expires.total_seconds())),
            "X-Amz-SignedHeaders": ";".join(sorted(signed)),
        }
        query = "&".join(f"{_encoded(k)}={_encoded(v)}" for k, v in sorted(parameters.items()))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = f"{method}\n{path}\n{query}\n{lines}\n{';'.join(sorted(signed))}\nUNSIGNED-PAYLOAD"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        secret = f"AWS4{self._secret}".encode()
        for part in (stamp[:8], REGION, "s3", "aws4_request"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        signature = hmac.digest(secret, text.encode(), "sha256").hex()
        return f"{self._endpoint}{path}?{query}&X-Amz-Signature={signature}"


def _encoded(text: str) -> str:
    return quote(text, safe="")


class BlobStore:
    """Moves bytes between a service and its buckets over presigned URLs. A PUT is not retried here."""

    def __init__(self, presigner: Presigner) -> None:
        self._presigner = presigner
        timeouts = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=10)
        self._longest = aiohttp.ClientTimeout(total=MINUTE.total_seconds(), sock_connect=2, sock_read=10)
        self._http = aiohttp.ClientSession(timeout=timeouts, auto_decompress=False)

    async def put(
        self, bucket: str, key: str, body: bytes, *, content_type: str, sha256: str | None = None
    ) -> None:
        """Store `body`; raises BlobExists if the key is taken, StorageUnavailable after a minute.

        Give `sha256` (hex) if it is known: hashing a megabyte takes the event loop a millisecond.
        """
        url, headers = self._presigner.put(
            bucket,
            key,
            size=len(body),
            content_type=content_type,
            sha256=sha256 or hashlib.sha256(body).hexdigest(),
            expires=MINUTE,
        )
        sending = self._http.put(url, data=io.BytesIO(body), headers=headers, timeout=self._longest)
        async with _translated(), sending as answer:
            _check(answer.status)

    async def read(self, bucket: str, key: str, *, chunk: int = CHUNK) -> AsyncGenerator[bytes, None]:
        """Stream an object in chunks of up to `chunk` bytes; raises BlobMissing, StorageUnavailable."""
        url, _ = self._presigner.get(bucket, key)
        async with _translated(), self._http.get(url) as answer:
            _check(answer.status)
            async for part in answer.content.iter_chunked(chunk):
                yield part

    async def get(self, bucket: str, key: str, *, limit: int) -> bytes:
        """A whole object; raises BlobMissing, or BlobTooLarge if it has more than `limit` bytes."""
        parts, size = [], 0
        async for part in self.read(bucket, key):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise BlobTooLarge(limit=limit)
        return b"".join(parts)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _check(status: int) -> None:
    if status == 404:
        raise BlobMissing
    if status == 412:
        raise BlobExists
    if status >= 300:
        raise StorageUnavailable


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        raise StorageUnavailable from error
