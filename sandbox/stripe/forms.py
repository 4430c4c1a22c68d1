"""Form-encoded requests with nested names: `items[0][price]=price_1&metadata[wallet]=x`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox.stripe import errors

FORM = "application/x-www-form-urlencoded"
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_INSIDE = re.compile(r"\[([^\[\]]*)\]")
Tree = dict[str, Any]


async def read(request: web.Request) -> Tree:
    """What a request asks for: the body of a POST, else the query. Raises ApiError."""
    if request.method != "POST":
        return parse(parse_qsl(request.query_string, keep_blank_values=True))
    body = await request.text()
    if body and request.content_type != FORM:
        raise errors.wrong_content_type()
    return parse(parse_qsl(body, keep_blank_values=True))


def parse(pairs: Iterable[tuple[str, str]]) -> Tree:
    """Nested dicts; a list is a dict whose keys are its places. Raises ApiError for names that contradict."""
    tree: Tree = {}
    for name, value in pairs:
        matched = _NAME.fullmatch(name)
        if matched is None:
            raise errors.unknown(name)
        *outer, last = [matched[1], *_INSIDE.findall(matched[2])]
        place = tree
        for step in outer:
            place = place.setdefault(_key(place, step), {})
            if not isinstance(place, dict):
                raise errors.invalid("object", name)
        place[_key(place, last)] = value
    return tree


def _key(place: Tree, step: str) -> str:
    """`name[]=a&name[]=b`: the next place."""
    return step or str(len(place))
