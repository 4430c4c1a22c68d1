"""What a person asks for is one trace, through every service and event that has to do with it."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from tests.e2e.conftest import Join
from tests.running import Running
from tests.support import eventually

Span = dict[str, Any]
WRITTEN = 40.0  # seconds; spans are written in batches, every five
ORDER = "generation CreateGeneration"
# Whoever verifies a token asks for the keys now and then: that is of no order.
NOW_AND_THEN = "identity GetJwks"


def _spans(platform: Running) -> list[Span]:
    files = (platform.state / "traces").glob("*.jsonl")
    lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _title(span: Span) -> str:
    """`billing PlaceHold`, `billing consume GenerationSucceeded`."""
    *verb, name = span["name"].split(" ")
    return " ".join([span["service"], *verb, re.split(r"[./]", name)[-1]])


def _tree(root: Span, spans: list[Span]) -> tuple[str, ...]:
    """A span and all below it, a line each, indented; siblings by their names."""
    below = [each for each in spans if each["parent"] == root["span"] and _title(each) != NOW_AND_THEN]
    lines = [line for each in sorted(below, key=_title) for line in _tree(each, spans)]
    return (_title(root), *(f"  {line}" for line in lines))


def _trees(platform: Running, title: str, since: float) -> list[tuple[str, ...]]:
    """Those that began under that name after a moment."""
    spans = _spans(platform)
    roots = [each for each in spans if not each["parent"] and each["start"] > since * 1e9]
    return [_tree(root, spans) for root in roots if _title(root) == title]


async def test_an_order_is_one_trace_from_the_click_to_the_ledger(
    platform: Running, join: Join, photo: bytes
) -> None:
    person = await join()
    asset = await person.upload(photo, "astronaut.jpg", "image/jpeg")
    since = time.time()
    order = await person.order("a glass fox", inputAssets=[asset["name"]], count=2)
    await person.finished(order["name"])
    expected = (
        ORDER,
        "  assets CheckInputs",
        "  billing PlaceHold",
        "  generation carry_out",
        "    assets OpenInput",
        "    assets StoreOutput",
        "    assets StoreOutput",
        "    billing consume GenerationSucceeded",
    )

    def whole() -> bool:
        assert _trees(platform, ORDER, since) == [expected]
        return True

    await eventually(whole, timeout=WRITTEN, every=0.5)


async def test_a_confirmed_address_is_one_trace_into_every_service(platform: Running, join: Join) -> None:
    since = time.time()
    await join()
    others = ("assets", "billing", "generation", "privacy")
    expected = ("identity VerifyEmail", *(f"  {name} consume AccountVerified" for name in others))

    def whole() -> bool:
        assert _trees(platform, "identity VerifyEmail", since) == [expected]
        return True

    await eventually(whole, timeout=WRITTEN, every=0.5)


async def test_spans_tell_where_time_went_and_nothing_of_anybody(
    platform: Running, join: Join, photo: bytes
) -> None:
    person, since = await join(), time.time()
    asset = await person.upload(photo, "astronaut.jpg", "image/jpeg")

    def ours() -> list[Span]:
        return [each for each in _spans(platform) if each["start"] > since * 1e9]

    spans = await eventually(
        lambda: [s for s in ours() if _title(s) == "assets CompleteUpload"], timeout=WRITTEN
    )
    assert all(each["start"] < each["end"] for each in spans)
    written = json.dumps(ours())
    for word in (person.account, asset["name"], person.email, "astronaut"):
        assert word.rpartition("/")[2] not in written
    assert {key for each in ours() for key in each["attributes"]} <= {"vendor"}
