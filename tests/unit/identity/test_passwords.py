"""Passwords are hashed as the rest of the world does it, whoever's code that is."""

from __future__ import annotations

import os

import nacl.exceptions
import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import VerifyMismatchError
from nacl.pwhash import argon2id

from services.identity.adapters.passwords import NICE, Passwords
from services.identity.domain.refusals import PasswordChecksBusy

ANOTHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
SALT = b"0123456789abcdef"
WORDS = ["correct horse battery", "grüße aus köln", "\N{SNOWMAN} 雪だるま", "x" * 128, ""]


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(threads=1)


@pytest.mark.promise("2a-credential")
@pytest.mark.parametrize("password", WORDS)
async def test_another_library_makes_the_same_hash(passwords: Passwords, password: str) -> None:
    assert await passwords.hash(password, SALT) == ANOTHER.hash(password, salt=SALT)


async def test_nobodys_hash_is_nobodys(passwords: Passwords) -> None:
    assert [await passwords.matches(None, password) for password in WORDS] == [False] * len(WORDS)


async def test_threads_stand_back_behind_the_loop_and_the_loop_does_not(passwords: Passwords) -> None:
    assert await passwords._run(lambda: os.nice(0)) == os.nice(0) + NICE


async def test_without_memory_people_are_asked_to_come_again(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise nacl.exceptions.RuntimeError("Unexpected error in key derivation")

    monkeypatch.setattr(argon2id, "kdf", none_left)
    with pytest.raises(PasswordChecksBusy):
        await passwords.hash("correct horse battery", SALT)


@pytest.mark.parametrize("password", WORDS)
async def test_hashes_go_both_ways(passwords: Passwords, password: str) -> None:
    assert ANOTHER.verify(await passwords.hash(password, SALT), password)
    theirs = ANOTHER.hash(password)
    assert await passwords.matches(theirs, password)
    assert not await passwords.matches(theirs, password + "!")
    with pytest.raises(VerifyMismatchError):
        ANOTHER.verify(await passwords.hash(password, SALT), password + "!")


async def test_what_is_kept_says_how_it_was_made(passwords: Passwords) -> None:
    made = extract_parameters(await passwords.hash("correct horse battery", SALT))
    assert (made.type, made.version, made.memory_cost, made.time_cost) == (Type.ID, 19, 19 * 1024, 2)
    assert (made.parallelism, made.salt_len, made.hash_len) == (1, 16, 32)


@pytest.mark.parametrize(
    "broken", ["", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$x", "y" * 500, "\u00e9"]
)
async def test_what_is_no_hash_is_nobodys(passwords: Passwords, broken: str) -> None:
    assert not await passwords.matches(broken, "")


async def test_composed_and_decomposed_letters_are_the_same(passwords: Passwords) -> None:
    assert await passwords.matches(await passwords.hash("gru\u0308ße", SALT), "gr\u00fcße")
