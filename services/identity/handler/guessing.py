"""Limits on guessing at passwords."""

from __future__ import annotations

from chassis.db import Queries
from chassis.rpc import Call
from services.identity.domain.names import comparable
from services.identity.domain.origins import network
from services.identity.domain.refusals import TooManyAttempts
from services.identity.domain.security import SIGN_INS, SIGN_INS_ANYWHERE, Limit
from services.identity.handler.kit import Kit
from services.identity.repository import security


async def counted(kit: Kit, queries: Queries, limit: Limit, *whose: str) -> bytes:
    """Count an attempt; answers the key that it stands under. Raises TooManyAttempts."""
    key = kit.secrets.hash(limit.purpose, "\x00".join(whose))
    wait = await security.attempt(queries, limit, key, kit.clock.now())
    if wait is not None:
        raise TooManyAttempts(seconds=round(wait.total_seconds()), retry_after=wait)
    return key


async def sign_in_counted(kit: Kit, email: str, call: Call) -> bytes:
    """Count an attempt with this address, known or not, from its network and from anywhere, or neither.

    Answers the key of its network; raises TooManyAttempts. The network's own limit comes first: whom it
    stops uses up nothing of what others have. Only that count is forgotten after the right password:
    what anyone can observe from anywhere depends on attempts alone.
    """
    address = comparable(email)
    async with kit.db.transaction() as tx:
        here = await counted(kit, tx, SIGN_INS, address, network(call.address))
        await counted(kit, tx, SIGN_INS_ANYWHERE, address)
    return here
