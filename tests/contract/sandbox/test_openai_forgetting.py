"""The vendor keeps what it was sent for a while by its own clock, and no longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import openai

from sandbox.openai.journal import KEPT_FOR, Pictures

if TYPE_CHECKING:
    from .conftest import OpenAISandbox


async def test_one_request_is_forgotten_by_the_id_that_its_answer_had(
    vendor: OpenAISandbox, client: openai.AsyncOpenAI
) -> None:
    wanted = {"model": "gpt-image-2", "size": "1024x1024", "n": 1}
    for prompt in ("a fox", "a hen"):
        await client.images.with_raw_response.generate(prompt=prompt, **wanted)  # type: ignore[call-overload]
    first, second = await vendor.received()
    url = f"{vendor.url}/sandbox/requests/{first['requestId']}"
    async with vendor.http.delete(url) as answer:
        assert answer.status == 200
    assert await vendor.received() == [second]
    assert (await vendor.stats())["requests"] == 2
    async with vendor.http.delete(url) as answer:
        assert answer.status == 404


def test_what_is_thirty_days_old_is_forgotten() -> None:
    now = [datetime(2026, 5, 1, tzinfo=UTC)]
    journal = Pictures(lambda: now[0])
    for number in range(3):
        journal.begin("POST", "/v1/images/generations", f"req_{number}", [])
        now[0] += timedelta(days=1)
    now[0] = datetime(2026, 5, 1, tzinfo=UTC) + KEPT_FOR + timedelta(hours=1)
    assert [row["requestId"] for row in journal.listed()] == ["req_1", "req_2"]
    assert journal.total == 3
