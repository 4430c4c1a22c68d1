"""Deleted objects leave no byte in the volumes, and the filer no log of them."""

from __future__ import annotations

import json
import os
import secrets
import time
from io import BytesIO

import aiohttp
from joserfc import jwt
from joserfc.jwk import OctKey
from minio import Minio

from cli.scrub.storage import LOG, ObjectStore
from cli.search import Needles, Sought
from deploy.local.infra import Infra


def volumes_with(infra: Infra, value: str) -> set[str]:
    """The volumes in which a value stands."""
    needles = Needles([Sought("it", value.encode())])
    files = (infra.state.root / "s3").glob("*.dat")
    return {path.name for path in files if needles.in_file(path, "")[1]}


async def logged(infra: Infra, value: str) -> None:
    """The filer logs something, as it does once a minute."""
    ports = json.loads(infra.state.ports.read_text())
    key = OctKey.import_key(infra.secrets.get("s3", "jwt_filer_signing"))
    token = jwt.encode({"alg": "HS256"}, {"exp": int(time.time()) + 30}, key)
    url = f"https://127.0.0.1:{ports['s3.filer']}{LOG}/2026-01-01/00-00.x"
    headers, body = {"Authorization": f"Bearer {token}"}, os.urandom(5000) + value.encode()
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.put(url, data=body, ssl=infra.s3.tls) as answer,
    ):
        assert answer.status == 201


async def test_the_bytes_of_deleted_objects_and_the_filers_log_go(infra: Infra) -> None:
    keys = infra.s3.admin_credentials
    client = Minio(infra.s3.url.removeprefix("http://"), keys.access, keys.secret, secure=False)
    gone, stays, told = (f"image/{secrets.token_hex(9)}" for _ in range(3))
    for name, kind in (("scrub/gone", gone), ("scrub/stays", stays)):
        # What an object is called a type of stands beside its encrypted bytes.
        client.put_object("crafiq-library", name, BytesIO(b"x" * 20_000), 20_000, content_type=kind)
    await logged(infra, told)
    client.remove_object("crafiq-library", "scrub/gone")
    assert volumes_with(infra, gone)
    assert volumes_with(infra, told)
    async with aiohttp.ClientSession() as http:
        done = await ObjectStore(infra.state, http).vacuum()
    assert done.volumes > 0
    assert done.deleted >= 20_000
    assert done.left == 0
    assert not volumes_with(infra, gone)
    assert not volumes_with(infra, told)
    assert volumes_with(infra, stays)
    assert client.get_object("crafiq-library", "scrub/stays").read() == b"x" * 20_000
    client.remove_object("crafiq-library", "scrub/stays")
