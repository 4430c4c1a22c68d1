"""The reading side: JSON for tests, a page for people.

GET, DELETE /messages?to=ADDRESS · DELETE /messages · GET /faults · PUT /faults · GET /
"""

from __future__ import annotations

import html
import re
from itertools import islice

from aiohttp import web

from sandbox.faults import FaultPlan
from sandbox.smtp.inbox import Inbox, Message

SHOWN = 100
_LINK = re.compile(r"https?://[^\s<>&]+(?:&amp;[^\s<>&]+)*")
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox mailbox</title>
<style>body{{font:16px/1.5 system-ui;max-width:46rem;margin:2rem auto;padding:0 1rem}}
article{{border-top:1px solid #ccc;padding:1rem 0}}pre{{white-space:pre-wrap}}small{{color:#666}}</style>
<h1>Sandbox mailbox</h1><p>{count} messages, newest first. Nothing here was sent to anyone.</p>
{articles}</html>"""


def create_app(inbox: Inbox, plan: FaultPlan, token: str = "") -> web.Application:
    """The server; with a token everything stands under `/<token>/`, and nothing elsewhere."""
    mailbox = Mailbox(inbox, plan)
    app = web.Application()
    app.add_routes(
        [
            web.get("/messages", mailbox.list_messages),
            web.delete("/messages", mailbox.clear),
            web.get("/faults", mailbox.list_faults),
            web.put("/faults", mailbox.put_faults),
            web.get("/", mailbox.page),
        ]
    )
    if not token:
        return app
    outer = web.Application()
    outer.add_subapp(f"/{token}", app)
    return outer


class Mailbox:
    """The endpoints."""

    def __init__(self, inbox: Inbox, plan: FaultPlan) -> None:
        self._inbox = inbox
        self._plan = plan

    async def list_messages(self, request: web.Request) -> web.Response:
        messages = self._inbox.messages(request.query.get("to"))
        return web.json_response([m.described() for m in messages])

    async def clear(self, request: web.Request) -> web.Response:
        self._inbox.clear(request.query.get("to"))
        return web.json_response([])

    async def list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self._plan.listed())

    async def put_faults(self, request: web.Request) -> web.Response:
        try:
            self._plan.replace(await request.read())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(self._plan.listed())

    async def page(self, request: web.Request) -> web.Response:
        messages = self._inbox.messages(request.query.get("to"))
        articles = "".join(_article(m) for m in islice(reversed(messages), SHOWN))
        return web.Response(
            text=_PAGE.format(count=len(messages), articles=articles),
            content_type="text/html",
            # A message is a stranger's text: nothing in it may run or load.
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )


def _article(message: Message) -> str:
    text = _LINK.sub(lambda m: f'<a href="{m[0]}" rel="noreferrer">{m[0]}</a>', html.escape(message.text))
    head = f"To {html.escape(message.recipient)} from {html.escape(message.sender)}"
    when = f"{message.received_at:%Y-%m-%d %H:%M:%S}"
    title = f"<h2>{html.escape(message.subject)}</h2><small>{head}, {when}</small>"
    return f"<article>{title}<pre>{text}</pre></article>"
