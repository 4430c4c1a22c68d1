"""SeaweedFS: the bytes of deleted objects, and the log in which the filer tells what became of each."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from joserfc import jwt
from joserfc.jwk import OctKey

from deploy.local.certs import client
from deploy.local.secret_files import SecretFiles
from deploy.local.state import StateFolder

LOG = "/topics/.system/log"
"""Where the filer logs names, types and digests of what came and went, once a minute, for good."""
DRAIN = 1.5  # seconds in which the filer hands on what was deleted
ROUNDS = 8
SECONDS = 30


@dataclass
class Vacuumed:
    """Bytes of deleted objects before and after; how many volumes there are."""

    volumes: int = 0
    deleted: int = 0
    left: int = 0


class ObjectStore:
    """The doors of a local SeaweedFS that only its operator may use."""

    def __init__(self, state: StateFolder, http: aiohttp.ClientSession) -> None:
        ports = json.loads(state.ports.read_text(encoding="utf-8"))
        # The volume server's own door has no lock, and tells what is no secret (ADR 0018).
        schemes = {"master": "https", "volume": "http", "filer": "https"}
        self._url = {name: f"{scheme}://127.0.0.1:{ports[f's3.{name}']}" for name, scheme in schemes.items()}
        self._tls = client(state.folder("tls", "s3"))
        self._key = OctKey.import_key(SecretFiles(state).get("s3", "jwt_filer_signing"))
        self._http = http

    async def vacuum(self) -> Vacuumed:
        """Remove the filer's log and the bytes of whatever was deleted."""
        before = await self._volumes()
        await self._forget_log()
        done = Vacuumed(len(before), sum(each["DeletedByteCount"] for each in before))
        for _ in range(ROUNDS):
            await asyncio.sleep(DRAIN)
            deleted = sum(each["DeletedByteCount"] for each in await self._volumes())
            done.deleted = max(done.deleted, deleted)
            await self._get(f"{self._url['master']}/vol/vacuum?garbageThreshold=0")
            done.left = sum(each["DeletedByteCount"] for each in await self._volumes())
            if not done.left:
                break
        return done

    async def _volumes(self) -> list[dict[str, Any]]:
        found = await self._get(f"{self._url['volume']}/status")
        return list(found.get("Volumes") or [])

    async def _forget_log(self) -> None:
        claims = {"exp": int(time.time()) + SECONDS}
        token = jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, self._key)
        url = f"{self._url['filer']}{LOG}?recursive=true&ignoreRecursiveError=true"
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.delete(url, headers=headers, ssl=self._tls) as answer:
            if answer.status not in (204, 404):  # there is none in the first minute
                answer.raise_for_status()

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._http.get(url, ssl=self._tls) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json(content_type=None)
            return found
