"""SeaweedFS: the bytes of deleted objects, and the log in which the filer tells what became of each."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
from joserfc import jwt
from joserfc.jwk import OctKey

from cli.local import Storage
from cli.scrub.orphans import Pieces, delete_orphans, still_there
from deploy.local.certs import client
from deploy.local.secret_files import SecretFiles

LOG = "/topics/.system/log"
"""Where the filer logs names, types and digests of what came and went, once a minute, for good."""
FILL, FILLS = {"Seaweed-Fill": "x" * 800_000}, 12
"""What an entry is called, and how often: the log is also written when 8 MB came together."""
ROUNDS = 8
PAUSE = 1.5  # seconds between them
SECONDS = 60
POLL = 0.1
MARKS, MARK = "/topics/.system/marks", b"x"


@dataclass
class Vacuumed:
    """Bytes of deleted objects before and after, in how many volumes.

    `orphans` are what storage had forgotten: bytes of them, and what of them is still there.
    """

    volumes: int = 0
    deleted: int = 0
    left: int = 0
    orphans: Pieces = field(default_factory=Pieces)


class ObjectStore:
    """SeaweedFS, as its operator has to do with it."""

    def __init__(self, storage: Storage, http: aiohttp.ClientSession) -> None:
        # The volume server's own door has no lock, and tells what is no secret (ADR 0018).
        schemes = {"master": "https", "volume": "http", "filer": "https"}
        self._url = {name: f"{scheme}://{storage.at[name]}" for name, scheme in schemes.items()}
        self._tls = client(storage.state.folder("tls", "s3"))
        self._secrets = SecretFiles(storage.state)
        self._storage, self._http = storage, http

    async def vacuum(self) -> Vacuumed:
        """Remove the filer's log and the bytes of whatever was deleted until now.

        Raises OrphansNotFoundOut, aiohttp.ClientError, TimeoutError; what volumes know of is removed all the
        same.
        """
        done = Vacuumed()
        try:
            await self._forget_log()
            async with asyncio.timeout(SECONDS):
                await self.write_log()
            await self._forget_log()
            async with asyncio.timeout(SECONDS):
                await self.all_handed_on()
            orphans = await delete_orphans(self._storage)
        except Exception:
            await self._vacuum(done)
            raise
        await self._vacuum(done)
        async with asyncio.timeout(SECONDS):
            await self.all_handed_on()  # what somebody deleted meanwhile was on its way
        done.orphans = await still_there(self._storage, orphans)
        return done

    async def _vacuum(self, done: Vacuumed) -> None:
        volumes = await self._volumes()
        # The log, and what it was filled up with, is in volumes of no bucket.
        done.volumes, done.deleted = len(volumes), _deleted(each for each in volumes if each["Collection"])
        for _ in range(ROUNDS):
            await self._get(f"{self._url['master']}/vol/vacuum?garbageThreshold=0")
            done.left = _deleted(await self._volumes())
            if not done.left:
                break
            await asyncio.sleep(PAUSE)

    async def write_log(self) -> None:
        """Have the filer write the log that it has in its memory: what it writes later tells of later."""
        url, writes = self._mark(), self._may("filer_signing")
        for _ in range(FILLS):
            await self._ask("PUT", url, {**writes, **FILL}, MARK)
        await self._ask("DELETE", f"{self._url['filer']}{MARKS}?recursive=true", writes)
        name = url.rpartition("/")[2]
        while not await self._is_logged(name):
            await asyncio.sleep(POLL)

    async def _is_logged(self, name: str) -> bool:
        for day in await self._list(LOG):
            for file in await self._list(day):
                url = f"{self._url['filer']}{file}"
                if name in await self._ask("GET", url, self._may("filer_signing_read")):
                    return True
        return False

    async def _list(self, folder: str) -> list[str]:
        headers = {**self._may("filer_signing_read"), "Accept": "application/json"}
        url = f"{self._url['filer']}{folder}/"
        async with self._http.get(url, headers=headers, ssl=self._tls) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return []
            answer.raise_for_status()
            return [entry["FullPath"] for entry in (await answer.json())["Entries"] or []]

    def _mark(self) -> str:
        return f"{self._url['filer']}{MARKS}/{secrets.token_hex(9)}"

    async def all_handed_on(self) -> None:
        """Wait until the volumes know of all deletions: the filer hands them on once a second, in order.

        A mark that is deleted after them tells; two, because those of one round go in any order.
        """
        for _ in range(2):
            await self._mark_is_gone()

    async def _mark_is_gone(self) -> None:
        url = self._mark()
        writes, reads = self._may("filer_signing"), self._may("filer_signing_read")
        await self._ask("PUT", url, writes, MARK)
        [chunk] = json.loads(await self._ask("GET", f"{url}?metadata=true", reads))["chunks"]
        await self._ask("DELETE", url, writes)
        volume = f"{self._url['volume']}/{chunk['file_id']}"
        reads = self._may("signing_read", fid=chunk["file_id"])
        while True:
            async with self._http.head(volume, headers=reads) as answer:
                if answer.status == HTTPStatus.NOT_FOUND:
                    return
                answer.raise_for_status()
            await asyncio.sleep(POLL)

    async def _volumes(self) -> list[dict[str, Any]]:
        found = await self._get(f"{self._url['volume']}/status")
        return list(found.get("Volumes") or [])

    async def _forget_log(self) -> None:
        url = f"{self._url['filer']}{LOG}?recursive=true&ignoreRecursiveError=true"
        headers = self._may("filer_signing")
        async with self._http.delete(url, headers=headers, ssl=self._tls) as answer:
            if answer.status != HTTPStatus.NOT_FOUND:  # there is none in the first minute
                answer.raise_for_status()

    def _may(self, what: str, **claims: str) -> dict[str, str]:
        """The header with which the server lets its operator do something for a while."""
        key = OctKey.import_key(self._secrets.get("s3", f"jwt_{what}"))
        claimed = {**claims, "exp": int(time.time()) + SECONDS}
        return {"Authorization": f"Bearer {jwt.encode({'alg': 'HS256', 'typ': 'JWT'}, claimed, key)}"}

    async def _ask(self, method: str, url: str, headers: dict[str, str], data: bytes | None = None) -> str:
        async with self._http.request(method, url, headers=headers, data=data, ssl=self._tls) as answer:
            answer.raise_for_status()
            return await answer.text(errors="replace")

    async def _get(self, url: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self._ask("GET", url, {}))
        return found


def _deleted(volumes: Iterable[dict[str, Any]]) -> int:
    return sum(each["DeletedByteCount"] for each in volumes)
