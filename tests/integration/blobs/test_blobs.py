"""Presigned URLs bind what they say, on a real S3 server; bytes go in and come out."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import uuid4

import aiohttp
import pytest

from chassis.clock import Clock
from deploy.local.infra import Infra
from services.assets.adapters.blobs import (
    BlobExists,
    BlobMissing,
    BlobStore,
    BlobTooLarge,
    Presigner,
    StorageUnavailable,
)
from services.assets.adapters.buckets import BlobInfo, Buckets

BODY = b"some bytes of a picture"
LIBRARY, QUARANTINE = "crafiq-library", "crafiq-quarantine"
TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
def presigner(infra: Infra) -> Presigner:
    keys = infra.s3.credentials
    return Presigner(infra.s3.url, keys.access, keys.secret, Clock())


@pytest.fixture
async def store(presigner: Presigner) -> AsyncIterator[BlobStore]:
    store = BlobStore(presigner)
    yield store
    await store.close()


@pytest.fixture
def buckets(infra: Infra) -> Iterator[Buckets]:
    keys = infra.s3.credentials
    buckets = Buckets(infra.s3.url, keys.access, keys.secret)
    yield buckets
    buckets.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def key() -> str:
    return f"tests/{uuid4()}/ä b+c"


def _put(presigner: Presigner, key: str) -> tuple[str, dict[str, str]]:
    return presigner.put(
        QUARANTINE,
        key,
        size=len(BODY),
        content_type="image/png",
        sha256=hashlib.sha256(BODY).hexdigest(),
        expires=TEN_MINUTES,
    )


async def test_a_client_uploads_with_the_url_and_its_headers(
    presigner: Presigner, http: aiohttp.ClientSession, buckets: Buckets, key: str
) -> None:
    url, headers = _put(presigner, key)
    async with http.put(url, data=BODY, headers=headers) as answer:
        assert answer.status == 200
    assert await buckets.stat(QUARANTINE, key) == BlobInfo(len(BODY), "image/png")


async def test_an_upload_url_takes_nothing_but_what_it_was_made_for(
    presigner: Presigner, http: aiohttp.ClientSession, buckets: Buckets, key: str
) -> None:
    url, headers = _put(presigner, key)
    async with http.put(url, data=BODY.upper(), headers=headers) as answer:
        assert answer.status == 400, "other bytes of the same length"
    for body, changed in [
        (BODY + b"x", {}),
        (BODY, {"content-type": "text/html"}),
        (BODY, {"x-amz-checksum-sha256": ""}),
        (BODY, {"if-none-match": ""}),
    ]:
        sent = {name: value for name, value in {**headers, **changed}.items() if value}
        async with http.put(url, data=body, headers=sent) as answer:
            assert answer.status == 403, changed
    assert await buckets.stat(QUARANTINE, key) is None


async def test_an_upload_url_works_once(presigner: Presigner, http: aiohttp.ClientSession, key: str) -> None:
    url, headers = _put(presigner, key)
    answers = []
    for _ in range(2):
        async with http.put(url, data=BODY, headers=headers) as answer:
            answers.append(answer.status)
    assert answers == [200, 412]


async def test_a_download_url_sets_what_the_answer_says(
    presigner: Presigner, http: aiohttp.ClientSession, store: BlobStore, key: str
) -> None:
    await store.put(LIBRARY, key, BODY, content_type="image/png")
    asked = {"response-content-disposition": 'attachment; filename="p.png"'}
    url, ends = presigner.get(LIBRARY, key, response=asked)
    async with http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, BODY)
        assert answer.headers["content-disposition"] == asked["response-content-disposition"]
    assert ends > Clock().now()
    async with http.get(url.replace("p.png", "q.png")) as answer:
        assert answer.status == 403


async def test_bytes_come_back_whole_and_in_parts(store: BlobStore, key: str) -> None:
    body = bytes(range(256)) * 16_384  # 4 MiB
    await store.put(LIBRARY, key, body, content_type="model/gltf-binary")
    assert await store.get(LIBRARY, key, limit=len(body)) == body
    parts = [part async for part in store.read(LIBRARY, key, chunk=100_000)]
    assert b"".join(parts) == body
    assert max(len(part) for part in parts) <= 100_000


async def test_what_is_too_large_is_not_read_to_its_end(store: BlobStore, key: str) -> None:
    await store.put(LIBRARY, key, BODY, content_type="image/png")
    with pytest.raises(BlobTooLarge):
        await store.get(LIBRARY, key, limit=len(BODY) - 1)


async def test_a_key_is_written_once(store: BlobStore, key: str) -> None:
    await store.put(LIBRARY, key, BODY, content_type="image/png")
    with pytest.raises(BlobExists):
        await store.put(LIBRARY, key, BODY, content_type="image/png")


async def test_a_digest_that_is_wrong_is_refused(store: BlobStore, key: str) -> None:
    with pytest.raises(StorageUnavailable):
        await store.put(LIBRARY, key, BODY, content_type="image/png", sha256="00" * 32)


async def test_nothing_is_missing_and_not_an_error_to_delete(
    store: BlobStore, buckets: Buckets, key: str
) -> None:
    with pytest.raises(BlobMissing):
        await store.get(LIBRARY, key, limit=1)
    with pytest.raises(BlobMissing):
        await buckets.copy((LIBRARY, key), (QUARANTINE, key))
    assert await buckets.stat(LIBRARY, key) is None
    await buckets.delete(LIBRARY, [key])


async def test_objects_are_copied_listed_and_deleted_by_the_thousand(
    store: BlobStore, buckets: Buckets, key: str
) -> None:
    await store.put(LIBRARY, f"{key}/0", BODY, content_type="image/png")
    for number in range(1, 4):
        await buckets.copy((LIBRARY, f"{key}/0"), (LIBRARY, f"{key}/{number}"))
    assert sorted(await buckets.names(LIBRARY, f"{key}/")) == [f"{key}/{number}" for number in range(4)]
    await buckets.delete(LIBRARY, [f"{key}/{number}" for number in range(1500)])
    assert await buckets.names(LIBRARY, f"{key}/") == []


async def test_storage_that_is_not_there_is_unavailable() -> None:
    store = BlobStore(Presigner("http://127.0.0.1:1", "access", "secret", Clock()))
    buckets = Buckets("http://127.0.0.1:1", "access", "secret")
    with pytest.raises(StorageUnavailable):
        await store.put(LIBRARY, "k", BODY, content_type="image/png")
    with pytest.raises(StorageUnavailable):
        await store.get(LIBRARY, "k", limit=1)
    for call in (buckets.stat(LIBRARY, "k"), buckets.delete(LIBRARY, ["k"]), buckets.names(LIBRARY)):
        with pytest.raises(StorageUnavailable):
            await call
    await store.close()
    buckets.close()
