"""Access tokens are believed exactly as long as they are identity's, unexpired and not revoked."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from chassis.errors import Unavailable
from chassis.rpc import AccessTokens, Caller, Revocations
from tests.support import FakeClock, Tokens

ANN, PHONE = UUID(int=1), UUID(int=2)


class Verifier:
    """A verifier whose keys and time the test holds; counts how often it asked for keys."""

    def __init__(self, size: int = 100) -> None:
        self.clock = FakeClock()
        self.minted = Tokens(self.clock)
        self.published: list[ECKey] | None = [self.minted.key]
        self.asked = 0
        self.revocations = Revocations(self.clock)
        self.tokens = AccessTokens(self._fetch, self.clock, self.revocations, size=size)

    async def _fetch(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.published is None:
            raise ConnectionRefusedError
        return json.dumps(KeySet(list(self.published)).as_dict(private=False)).encode()

    async def check(self, token: str) -> Caller | None:
        return self.tokens.known(token) or await self.tokens.verify(token)

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token with something changed; None leaves a claim out."""
        now = int(self.clock.now().timestamp())
        usual = {
            "iss": "crafiq-identity", "aud": "crafiq", "sub": f"accounts/{ANN}", "sid": f"sessions/{PHONE}",
            "iat": now, "exp": now + 300,
        }  # fmt: skip
        said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        top = {"alg": "ES256", "typ": "at+jwt", "kid": "test", **(header or {})}
        return jwt.encode(top, said, self.minted.key, algorithms=["ES256"])


@pytest.fixture
def verifier() -> Verifier:
    return Verifier()


async def test_a_valid_token_says_who_calls(verifier: Verifier) -> None:
    caller = await verifier.check(verifier.minted.access(ANN, PHONE, roles=("support",)))
    ends = verifier.clock.now() + timedelta(minutes=5)
    assert caller == Caller("gateway", ANN, PHONE, frozenset({"support"}), ends)


async def test_a_token_is_verified_once_a_minute_and_not_after_its_end(verifier: Verifier) -> None:
    token = verifier.minted.access(ANN, PHONE, lives=timedelta(seconds=90))
    assert await verifier.check(token)
    assert verifier.tokens.known(token)
    verifier.clock.forward(timedelta(seconds=61))
    assert verifier.tokens.known(token) is None
    assert await verifier.check(token)
    verifier.clock.forward(timedelta(seconds=29))
    assert await verifier.check(token) is None


async def test_a_revoked_session_ends_at_once_even_if_it_was_verified(verifier: Verifier) -> None:
    token, other = verifier.minted.access(ANN, PHONE), verifier.minted.access(ANN, uuid4())
    caller = await verifier.check(token)
    assert caller
    assert verifier.tokens.alive(caller)
    verifier.revocations.add(PHONE, verifier.clock.now() + timedelta(minutes=5))
    assert await verifier.check(token) is None
    assert not verifier.tokens.alive(caller)
    assert await verifier.check(other)


@pytest.mark.promise("9-delete-now")
async def test_an_account_that_ended_ends_all_its_sessions_at_once(verifier: Verifier) -> None:
    first, second, another = (verifier.minted.access(who, uuid4()) for who in (ANN, ANN, uuid4()))
    caller = await verifier.check(first)
    assert caller
    verifier.revocations.add_account(ANN, verifier.clock.now() + timedelta(minutes=5))
    assert [await verifier.check(token) for token in (first, second)] == [None, None]
    assert not verifier.tokens.alive(caller)
    assert await verifier.check(another)


def test_an_account_that_ended_is_forgotten_when_no_token_of_it_is_left() -> None:
    clock = FakeClock()
    revocations = Revocations(clock)
    revocations.add_account(ANN, clock.now() + timedelta(minutes=5))
    clock.forward(timedelta(minutes=5))
    revocations.add(PHONE, clock.now() + timedelta(minutes=5))
    assert (ANN in revocations, PHONE in revocations) == (False, True)


async def test_a_revocation_is_forgotten_when_the_last_token_has_ended(verifier: Verifier) -> None:
    verifier.revocations.add(PHONE, verifier.clock.now() + timedelta(minutes=5))
    verifier.clock.forward(timedelta(minutes=6))
    verifier.revocations.add(UUID(int=3), verifier.clock.now() + timedelta(minutes=5))
    assert PHONE not in verifier.revocations


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody"},
        {"aud": "another"},
        {"aud": ["crafiq"]},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": None},
        {"iat": 4_000_000_000, "exp": 4_000_000_300},
        {"exp": 1e300},
        {"sub": None},
        {"sub": "accounts/ann"},
        {"sub": f"sessions/{ANN}"},
        {"sid": None},
        {"sid": str(PHONE)},
        {"roles": 7},
    ],
)
async def test_claims_that_are_not_ours_are_not_believed(verifier: Verifier, claims: dict[str, Any]) -> None:
    assert await verifier.check(verifier.token())
    assert await verifier.check(verifier.token(**claims)) is None


async def test_another_type_of_token_is_no_access_token(verifier: Verifier) -> None:
    assert await verifier.check(verifier.token({"typ": "JWT"})) is None


async def test_only_es256_is_believed(verifier: Verifier) -> None:
    secret = OctKey.import_key(json.dumps(verifier.minted.key.as_dict(private=False)))
    claims = jwt.decode(verifier.token(), verifier.minted.key, algorithms=["ES256"]).claims
    header = {"alg": "HS256", "typ": "at+jwt", "kid": "test"}
    assert await verifier.check(jwt.encode(header, claims, secret, algorithms=["HS256"])) is None
    middle = verifier.token().split(".")[1]
    nothing = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoidGVzdCJ9"  # {"alg":"none", ...}
    assert await verifier.check(f"{nothing}.{middle}.") is None


async def test_a_stranger_with_our_kid_is_not_believed(verifier: Verifier) -> None:
    assert await verifier.check(Tokens(verifier.clock).access(ANN)) is None


@given(st.text(max_size=60) | st.lists(st.sampled_from(["e30", "W10", "bnVsbA", "Ijci", ""])).map(".".join))
async def test_whatever_comes_is_answered(text: str) -> None:
    assert await Verifier().check(text) is None


async def test_a_new_key_is_asked_for_once_a_second_at_most(verifier: Verifier) -> None:
    assert await verifier.check(verifier.token())
    second = ECKey.generate_key("P-256", {"kid": "second"}, private=True)
    newer = verifier.minted.access
    verifier.minted.key = second
    assert [await verifier.check(newer(ANN)) for _ in range(5)] == [None] * 5
    assert verifier.asked == 1
    verifier.published = [second]
    verifier.clock.forward(timedelta(seconds=1))
    assert await verifier.check(newer(ANN))
    assert verifier.asked == 2


async def test_who_comes_while_keys_are_on_their_way_waits_for_them(verifier: Verifier) -> None:
    tokens = [verifier.minted.access(uuid4()) for _ in range(5)]
    assert all(await asyncio.gather(*(verifier.check(token) for token in tokens)))
    assert verifier.asked == 1


async def test_a_withdrawn_key_ends_within_five_minutes(verifier: Verifier) -> None:
    old = verifier.minted.access(ANN, lives=timedelta(hours=1))
    assert await verifier.check(old)
    verifier.published = [ECKey.generate_key("P-256", {"kid": "second"}, private=True)]
    verifier.clock.forward(timedelta(minutes=5))
    assert await verifier.check(old) is None


async def test_without_keys_nobody_is_called_a_liar(verifier: Verifier) -> None:
    verifier.published = None
    with pytest.raises(Unavailable):
        await verifier.check(verifier.token())


async def test_keys_outlive_an_outage_of_identity(verifier: Verifier) -> None:
    assert await verifier.check(verifier.token())
    verifier.published = None
    verifier.clock.forward(timedelta(minutes=10))
    assert await verifier.check(verifier.minted.access(ANN))


async def test_only_so_many_tokens_are_remembered() -> None:
    verifier = Verifier(size=2)
    first, second, third = (verifier.minted.access(ANN, uuid4()) for _ in range(3))
    for token in (first, second, first, third):
        assert await verifier.check(token)
    assert [verifier.tokens.known(t) is not None for t in (first, second, third)] == [True, False, True]


def test_a_revocation_is_forgotten_when_no_token_is_left_to_revoke() -> None:
    clock = FakeClock()
    revocations = Revocations(clock)
    early, again, late = uuid4(), uuid4(), uuid4()
    for session in (early, again):
        revocations.add(session, clock.now() + timedelta(minutes=5))
    clock.forward(timedelta(minutes=3))
    revocations.add(again, clock.now() + timedelta(minutes=5))
    clock.forward(timedelta(minutes=2))
    revocations.add(late, clock.now() + timedelta(minutes=5))
    assert [each in revocations for each in (early, again, late)] == [False, True, True]
