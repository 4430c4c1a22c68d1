"""Limits on guessing at passwords: what counts an attempt, and what takes it back."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.db import Queries
from chassis.rpc import Call
from services.identity.domain.names import comparable
from services.identity.domain.origins import network
from services.identity.domain.refusals import TooManyAttempts
from services.identity.domain.security import SIGN_INS, SIGN_INS_ANYWHERE, Limit
from services.identity.handler.kit import Kit
from services.identity.repository import security


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """An attempt to sign in, counted for its address from its network, and for its address from anywhere."""

    here: bytes
    anywhere: bytes


async def counted(kit: Kit, queries: Queries, limit: Limit, *whose: str) -> bytes:
    """Count an attempt; answers the key that it stands under. Raises TooManyAttempts."""
    key = kit.secrets.hash(limit.purpose, "\x00".join(whose))
    wait = await security.attempt(queries, limit, key, kit.clock.now())
    if wait is not None:
        raise TooManyAttempts(seconds=round(wait.total_seconds()), retry_after=wait)
    return key


async def sign_in_counted(kit: Kit, email: str, call: Call) -> SignInAttempt:
    """Count an attempt with this address, known or not, on both keys or on none; raises TooManyAttempts.

    The network's own limit comes first: whom it stops uses up nothing of what others have.
    """
    address = comparable(email)
    async with kit.db.transaction() as tx:
        here = await counted(kit, tx, SIGN_INS, address, network(call.address))
        return SignInAttempt(here, await counted(kit, tx, SIGN_INS_ANYWHERE, address))


async def sign_in_was_right(kit: Kit, attempt: SignInAttempt) -> None:
    """It was no guess. Its network begins anew; what came from elsewhere stays counted, or each
    time that the owner signs in a stranger could guess on."""
    async with kit.db.transaction() as tx:
        await security.forget_attempts(tx, attempt.here)
        await security.take_back_attempt(tx, attempt.anywhere)
