"""What the RPCs work with, wired once in `__main__`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from chassis.clock import Clock
from chassis.db import Database, Queries, Transaction
from chassis.pages import Pages
from chassis.rpc import Call, Revocations
from promises.standing import Kept
from services.identity.adapters.erasures import Erasures
from services.identity.adapters.passwords import Passwords
from services.identity.adapters.peppers import Peppers
from services.identity.adapters.policies import Policies
from services.identity.adapters.signing import SigningKeys
from services.identity.domain.accounts import Account
from services.identity.domain.origins import coarse, network_address
from services.identity.domain.refusals import SessionEnded
from services.identity.domain.remembered import NameKind
from services.identity.domain.secrets import Secrets
from services.identity.domain.security import SecurityEntry, SecurityEvent
from services.identity.repository import accounts, remembered, security, sessions


@dataclass(frozen=True, slots=True)
class Kit:
    """The parts. `new_id` gives random UUIDs; `post` wakes whoever sends the mails."""

    db: Database
    clock: Clock
    new_id: Callable[[], UUID]
    pages: Pages
    revocations: Revocations
    secrets: Secrets
    passwords: Passwords
    keys: SigningKeys
    policies: Policies
    erasures: Erasures
    promises: Kept
    peppers: Peppers
    post: Callable[[], None]


def device(call: Call) -> str:
    """The coarse device that a call came from."""
    return coarse(call.user_agent)


async def signed_in(kit: Kit, queries: Queries, call: Call) -> Account:
    """The caller's account, if the session still lives here, whatever the access token says.

    Raises SessionEnded: a session that ended is dead at identity at once, elsewhere within 5 s.
    """
    account = await sessions.account_with_session(queries, call.account, call.caller.session, kit.clock.now())
    if account is None:
        raise SessionEnded
    return account


async def username_is_free(kit: Kit, tx: Transaction, username: str | None, account: UUID) -> bool:
    """Whether an account may call itself so: nobody does, and nobody who left did within six months."""
    if username is None:
        return True
    if await remembered.remembered(tx, kit.peppers.hashes(NameKind.USERNAME, username)):
        return False
    return await accounts.username_is_free(tx, username, account)


async def record(
    kit: Kit, tx: Transaction, call: Call, event: SecurityEvent, account: UUID, session: UUID | None = None
) -> None:
    """Write one line of an account's security log, with where the call came from."""
    await security.log(tx, entry(kit, call, event, account, session))


def entry(
    kit: Kit, call: Call, event: SecurityEvent, account: UUID, session: UUID | None = None
) -> SecurityEntry:
    """A line of an account's security log, with where the call came from."""
    return SecurityEntry(
        id=kit.new_id(), account=account, at=kit.clock.now(), event=event,
        address=network_address(call.address), device=device(call), session=session,
    )  # fmt: skip
