"""Every store of a platform, each searched the way that gets at what is in it.

Raw files alone would not do: object storage and streams are encrypted on the disk, and what the outside
world keeps (vendors, mailboxes) is none of our files.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from minio import Minio
from minio.error import S3Error
from nats.js.errors import NotFoundError

from cli.local import Local
from cli.search.files import look_through
from cli.search.needles import Hit, Needles
from cli.search.rows import look_at_rows
from deploy.local.infra import SERVICES
from deploy.local.secret_files import SecretFiles

CHUNK = 1024 * 1024
VENDORS = ("openai", "stripe")
GONE = ("NoSuchKey", "NoSuchVersion")


@dataclass
class Searched:
    """A kind of store: how much of it was searched, and what was found."""

    what: str
    unit: str
    amount: int = 0
    hits: list[Hit] = field(default_factory=list)


class Stores:
    """The stores of a local platform, its sandbox included."""

    def __init__(self, local: Local, http: aiohttp.ClientSession, needles: Needles) -> None:
        self._local, self._http, self._needles = local, http, needles
        self._secrets = SecretFiles(local.state)

    @property
    def beside_files(self) -> dict[str, Callable[[], Awaitable[Searched]]]:
        """How each store is searched that raw files tell nothing of."""
        return {
            "tables": self.rows,
            "objects": self.objects,
            "messages": self.messages,
            "mailboxes": self.mailboxes,
            "vendors": self.vendors,
            "metrics": self.metrics,
        }

    async def rows(self) -> Searched:
        """Every column of every row of all databases."""
        done = Searched("tables", "rows")
        for service in (*SERVICES, "postgres"):
            async with self._local.sql(service) as sql:
                read = await look_at_rows(sql, service, self._needles)
            done.amount += read.rows
            done.hits += read.hits
        return done

    async def files(self) -> Searched:
        """The raw files of databases, streams and volumes, logs and traces of all processes."""
        looked = await asyncio.to_thread(look_through, self._local.state.root, self._needles)
        return Searched("raw files", "bytes", looked.size, looked.hits)

    async def objects(self) -> Searched:
        """Every version of every object, decrypted: its key, what storage says of it, its bytes."""
        return await asyncio.to_thread(self._objects)

    def _objects(self) -> Searched:
        access, secret = (self._secrets.get("s3", f"admin_{part}_key") for part in ("access", "secret"))
        host = self._local.endpoints["s3"].removeprefix("http://")
        client, done = (
            Minio(host, access, secret, secure=False, region="us-east-1"),
            Searched("objects", "objects"),
        )
        for bucket in client.list_buckets():
            for listed in client.list_objects(bucket.name, recursive=True, include_version=True):
                place = f"{bucket.name}/{listed.object_name}"
                done.amount += 1
                done.hits += self._needles.within(place.encode(), f"{place} (key)")
                if not listed.is_delete_marker:
                    done.hits += self._object(client, bucket.name, listed, place)
        return done

    def _object(self, client: Minio, bucket: str, listed: Any, place: str) -> Iterable[Hit]:
        version = listed.version_id if listed.version_id != "null" else None
        try:
            answer = client.get_object(bucket, listed.object_name, version_id=version)
        except S3Error as error:
            if error.code not in GONE:
                raise
            return  # it went meanwhile
        try:
            said = json.dumps(dict(answer.headers), ensure_ascii=False).encode()
            yield from self._needles.within(said, f"{place} (metadata)")
            yield from self._needles.in_stream(answer.stream(CHUNK), place)
        finally:
            answer.close()
            answer.release_conn()

    async def messages(self) -> Searched:
        """Every message of every stream: its subject, headers and body."""
        done = Searched("messages", "messages")
        async with self._local.bus() as bus:
            manager = bus.jsm()
            for stream in await manager.streams_info():
                name, number = stream.config.name or "", max(1, stream.state.first_seq)
                while number <= stream.state.last_seq:
                    with contextlib.suppress(NotFoundError):
                        message = await manager.get_msg(name, number)
                        head = json.dumps([message.subject, message.headers], ensure_ascii=False)
                        content = head.encode() + b" " + (message.data or b"")
                        done.amount += 1
                        done.hits += self._needles.within(content, f"stream {name}, message {number}")
                    number += 1
        return done

    async def mailboxes(self) -> Searched:
        """What the sandbox's mailboxes have, whoever they are."""
        messages = await self._asked(f"{self._local.endpoints['inbox']}/messages")
        return self._told("mailboxes", "messages", messages)

    async def vendors(self) -> Searched:
        """What the sandbox's vendors keep of what they were sent."""
        return self._told("vendors", "requests", await self.kept_by_vendors())

    async def kept_by_vendors(self) -> list[Any]:
        """What each keeps of what it was sent; `vendor` says who does."""
        return [
            {"vendor": vendor, **entry}
            for vendor in VENDORS
            for entry in await self._asked(self._journal(vendor), headers=self._key(vendor))
        ]

    async def clock_runs_out(self, vendor: str, request_id: str) -> None:
        """A vendor's own clock has run out for a request."""
        url = f"{self._journal(vendor)}/{request_id}"
        async with self._http.delete(url, headers=self._key(vendor)) as answer:
            answer.raise_for_status()

    async def metrics(self) -> Searched:
        """What the services tell of themselves, labels and all."""
        done, tls = Searched("metrics", "lines"), self._local.tls("operator")
        for service, url in self._local.endpoints["metrics"].items():
            async with self._http.get(url, ssl=tls, server_hostname=f"{service}.crafiq.internal") as answer:
                answer.raise_for_status()
                text = await answer.read()
            done.amount += text.count(b"\n")
            done.hits += self._needles.within(text, f"metrics of {service}")
        return done

    def _journal(self, vendor: str) -> str:
        return f"{self._local.endpoints['sandbox'][vendor]}/sandbox/requests"

    def _key(self, vendor: str) -> dict[str, str]:
        key = self._secrets.get(f"sandbox-{vendor}", f"crafiq_{vendor}_api_key")
        return {"authorization": f"Bearer {key}"}

    async def _asked(self, url: str, **options: Any) -> Any:
        async with self._http.get(url, **options) as answer:
            answer.raise_for_status()
            return await answer.json()

    def _told(self, what: str, unit: str, entries: list[dict[str, Any]]) -> Searched:
        done = Searched(what, unit, len(entries))
        for number, entry in enumerate(entries):
            for name, value in entry.items():
                text = json.dumps(value, ensure_ascii=False).encode()
                done.hits += self._needles.within(text, f"{what}: {name} of {unit} {number}")
        return done
