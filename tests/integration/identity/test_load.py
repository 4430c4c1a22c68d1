"""Passwords are expensive on purpose, and the others do not wait for them."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import pytest

from services.identity.adapters.passwords import Passwords
from services.identity.domain.refusals import PasswordChecksBusy

SALT = bytes(16)


async def test_argon2_does_not_block_the_loop() -> None:
    passwords, turns = Passwords(), 0
    work = [asyncio.create_task(passwords.hash("a password", SALT)) for _ in range(20)]
    while not all(task.done() for task in work):
        await asyncio.sleep(0.001)
        turns += 1
    assert len({task.result() for task in work}) == 1
    assert turns > 2 * len(work), "on the loop itself it would get one turn between two hashes"


@pytest.mark.promise("8-ratelimit")
async def test_beyond_the_queue_the_answer_is_to_come_back() -> None:
    passwords = Passwords(waiting=2)
    answers = await asyncio.gather(
        *(passwords.matches(None, "a password") for _ in range(6)), return_exceptions=True
    )
    busy = [answer for answer in answers if isinstance(answer, PasswordChecksBusy)]
    assert len(busy) == 2
    assert all(each.retry_after for each in busy)
    assert await passwords.matches(None, "a password") is False, "and afterwards there is room again"


async def test_a_password_typed_on_another_keyboard_is_the_same() -> None:
    passwords = Passwords()
    encoded = await passwords.hash("Caf\u00e9 au lait", SALT)
    assert await passwords.matches(encoded, "Cafe\u0301 au lait")
    assert not await passwords.matches(encoded, "Cafe au lait")
    assert not await passwords.matches("not a hash", "Cafe au lait")


async def test_an_unknown_address_costs_as_much_as_a_known_one() -> None:
    passwords = Passwords()
    encoded = await passwords.hash("a password", SALT)

    async def seconds(known: str | None) -> float:
        begin = time.process_time()
        await passwords.matches(known, "a guess")
        return time.process_time() - begin

    # In turns: what else the machine does falls upon both.
    costs = [(await seconds(encoded), await seconds(None)) for _ in range(24)]
    known, unknown = (median(each) for each in zip(*costs, strict=True))
    assert 0.7 < known / unknown < 1.4, costs
