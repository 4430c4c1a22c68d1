"""Public bytes pass the gateway; nothing else of storage does, and nothing of who reads."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import pytest
from minio import Minio
from yarl import URL

from deploy.local.infra import SERVICES, Infra
from tests.integration.gateway.conftest import ROOT
from tests.integration.gateway.conftest import _free_port as free_port
from tests.support import eventually
from tools.gateway import build, command

CONTENT = b"\x89PNG" + bytes(range(256)) * 40
WORK = UUID("6f1d5c0e-8b1f-4a44-9a5e-3d2f0c6b7a91")


@pytest.fixture(scope="module")
async def door(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A gateway in front of real storage, in which one work is public; no service is there."""
    folder: Path = tmp_path_factory.mktemp("g")
    keys, port = infra.s3.admin_credentials, free_port()
    storage = Minio(f"127.0.0.1:{infra.s3.port}", keys.access, keys.secret, secure=False, region="us-east-1")
    for bucket in ("crafiq-public", "crafiq-library"):
        for name in ("original", "poster", "thumbnail", "draft"):
            body = io.BytesIO(CONTENT)
            await asyncio.to_thread(
                storage.put_object, bucket, f"{WORK}/{name}", body, len(CONTENT), "image/png"
            )
    config = build(
        (ROOT / "gen" / "crafiq.binpb").read_bytes(),
        listen_port=port,
        upstreams=dict.fromkeys(SERVICES, f"127.0.0.1:{free_port()}"),
        tls_dir=infra.tls_dir("gateway"),
        out_dir=folder,
        origins=[],
        s3=f"127.0.0.1:{infra.s3.port}",
    )
    with (folder / "log").open("wb") as log:
        envoy = await asyncio.create_subprocess_exec(*command(config), stdout=log, stderr=log, env={})
    url = f"http://127.0.0.1:{port}"
    try:
        await eventually(lambda: _up(url), timeout=30)
        yield url
    finally:
        envoy.terminate()
        await envoy.wait()


async def _up(url: str) -> bool:
    try:
        return (await asked(f"{url}/healthz"))[0] == 200
    except aiohttp.ClientError:
        return False


async def asked(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as http, http.request(method, url, headers=named) as answer:
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()


@pytest.mark.promise("5-public-permanent")
@pytest.mark.parametrize("kind", ["original", "poster", "thumbnail"])
async def test_everyone_reads_public_bytes_and_learns_no_time(door: str, kind: str) -> None:
    url = f"{door}/public/{WORK}/{kind}"
    status, headers, body = await asked(url, authorization="Bearer nonsense", cookie="a=b")
    assert (status, body, headers["content-type"]) == (200, CONTENT, "image/png")
    assert headers["cache-control"] == "public, max-age=300"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert not [
        name for name in headers if "amz" in name or name in {"last-modified", "server", "set-cookie"}
    ]
    long_ago, soon = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    assert (await asked(url, if_modified_since=soon))[0] == 200
    assert (await asked(url, if_unmodified_since=long_ago))[0] == 200


async def test_a_part_and_the_headers_alone_can_be_asked_for(door: str) -> None:
    url = f"{door}/public/{WORK}/original"
    status, _, body = await asked(url, range="bytes=4-13")
    assert (status, body) == (206, CONTENT[4:14])
    status, headers, body = await asked(url, "HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(CONTENT)), b"")
    tag = (await asked(url))[1]["etag"]
    assert (await asked(url, if_none_match=tag))[0] == 304


@pytest.mark.promise("8-least-priv")
@pytest.mark.parametrize(
    "path",
    [
        f"/public/{WORK}/original?response-content-type=text/html",
        f"/public/{WORK}/original?acl",
        f"/public/{WORK}/../../crafiq-library/{WORK}/original",
        f"/public/..%2fcrafiq-library/{WORK}/original",
        f"/public/{WORK}/draft",
        f"/public/{WORK}/originals",
        f"/public/{WORK}/",
        f"/public/{WORK}",
        "/public/",
        "/public/?list-type=2",
        "/public?list-type=2",
        f"/crafiq-public/{WORK}/original",
        f"/crafiq-library/{WORK}/original",
    ],
)
async def test_nothing_else_of_storage_is_reachable(door: str, path: str) -> None:
    target = URL(door + path, encoded=True)
    async with aiohttp.ClientSession() as http, http.get(target, allow_redirects=False) as answer:
        assert answer.status in {400, 404}
        assert b"crafiq-" not in await answer.read()


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
async def test_nobody_writes_public_bytes(door: str, method: str) -> None:
    url = f"{door}/public/{WORK}/original"
    assert (await asked(url, method))[0] in {404, 405}
    assert (await asked(url))[2] == CONTENT


async def test_what_is_not_there_is_told_in_our_words(door: str) -> None:
    for path in (f"/public/{uuid4()}/original", f"/public/{uuid4()}/thumbnail", "/public/0/original"):
        status, headers, body = await asked(door + path)
        assert (status, headers["content-type"]) == (404, "application/json")
        assert headers["cache-control"] == "no-store"
        assert json.loads(body)["details"][0]["domain"] == "crafiq.gateway"
