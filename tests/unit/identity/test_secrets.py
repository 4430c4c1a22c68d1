"""What is handed out, and what is kept of it."""

from __future__ import annotations

import random

import pytest

from services.identity.domain.secrets import Secrets

KEY = bytes(range(32))


def _secrets(seed: int = 1) -> Secrets:
    return Secrets(KEY, random.Random(seed).randbytes)


def test_tokens_have_256_random_bits() -> None:
    secrets = _secrets()
    assert len({secrets.mail_token() for _ in range(100)}) == 100
    assert len(secrets.refresh_token().removeprefix("crt_")) == 43


def test_a_token_cannot_be_found_in_its_hash_nor_used_for_another_purpose() -> None:
    secrets = _secrets()
    token = secrets.refresh_token()
    assert token.encode() not in secrets.hash("refresh", token)
    assert secrets.hash("refresh", token) != secrets.hash("verification", token)


def test_two_tabs_compute_the_same_successor_and_a_thief_of_the_database_does_not() -> None:
    seed, token = bytes(32), "crt_one"
    assert _secrets(1).successor(token, seed) == _secrets(2).successor(token, seed)
    other_key = Secrets(bytes(32), random.Random(1).randbytes)
    assert other_key.successor(token, seed) != _secrets().successor(token, seed)
    assert _secrets().successor("crt_two", seed) != _secrets().successor(token, seed)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Secrets(b"short", random.Random(1).randbytes)
