"""The public HTTP contract as a person's client uses it: the demo and the end-to-end tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

Json = dict[str, Any]


class ApiRefused(Exception):
    """The gateway answered with an error; `status`, `reason` and the sentence are the API's own.

    `again`: the answer says when to ask again.
    """

    def __init__(self, call: str, status: int, body: Json) -> None:
        self.status = status
        self.again = any("retryDelay" in detail for detail in body.get("details", []))
        self.reason = next((d["reason"] for d in body.get("details", []) if "reason" in d), "")
        super().__init__(f"{call} answered {status} {self.reason}: {body.get('message', body)}")


@dataclass(frozen=True)
class ServerSentEvent:
    """One event of a stream (HTML standard, 9.2): `id`, `event`, and `data` as parsed JSON."""

    id: str
    event: str
    data: Json


class Api:
    """Calls the gateway as one person. Bodies and answers are JSON as in API.md."""

    def __init__(self, http: aiohttp.ClientSession, gateway: str) -> None:
        self._http = http
        self._gateway = gateway
        self._headers: dict[str, str] = {}

    def sign_in_with(self, access_token: str) -> None:
        """Send this token with every call from now on."""
        self.send("authorization", f"Bearer {access_token}")

    def send(self, header: str, value: str) -> None:
        """Send this header with every call from now on."""
        self._headers[header] = value

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Call and answer the JSON; raises ApiRefused with the gateway's own sentence."""
        async with self._http.request(
            method, f"{self._gateway}{path}", json=body, headers=self._headers
        ) as answer:
            text = await answer.text()
            try:
                parsed: Json = json.loads(text) if text else {}
            except ValueError:
                parsed = {"message": text[:200]}
            if answer.status >= 400:
                raise ApiRefused(f"{method} {path}", answer.status, parsed)
            return parsed

    async def text(self, path: str) -> str:
        """The body of a GET as it is; raises ApiRefused."""
        async with self._http.get(f"{self._gateway}{path}", headers=self._headers) as answer:
            body = await answer.text()
            if answer.status >= 400:
                raise ApiRefused(f"GET {path}", answer.status, json.loads(body or "{}"))
            return body

    async def get(self, path: str) -> Json:
        """GET."""
        return await self.call("GET", path)

    async def post(self, path: str, **body: Any) -> Json:
        """POST with the keyword arguments as body."""
        return await self.call("POST", path, body)

    async def events(self, path: str) -> AsyncIterator[ServerSentEvent]:
        """The events of a stream until it ends; comments (heartbeats) are passed over."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        headers = {**self._headers, "accept": "text/event-stream"}
        async with self._http.get(f"{self._gateway}{path}", headers=headers, timeout=timeout) as answer:
            if answer.status >= 400:
                raise ApiRefused(f"GET {path}", answer.status, json.loads(await answer.text() or "{}"))
            fields: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\r\n")
                if not line and "data" in fields:
                    data = json.loads(fields["data"])
                    yield ServerSentEvent(fields.get("id", ""), fields.get("event", "message"), data)
                if not line:
                    fields = {}
                elif not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    fields[name] = value

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a URL that needs no credentials."""
        async with self._http.get(url) as answer:
            if answer.status >= 400:
                raise ApiRefused("download", answer.status, {"message": (await answer.text())[:200]})
            return await answer.read()

    async def put(self, url: str, content: bytes, headers: dict[str, str]) -> None:
        """PUT bytes to storage with exactly the headers that the upload named."""
        async with self._http.put(url, data=content, headers=headers) as answer:
            if answer.status >= 400:
                raise ApiRefused("upload", answer.status, {"message": (await answer.text())[:200]})
