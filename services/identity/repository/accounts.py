"""Accounts, credentials, and the links that confirm addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import ARRAY, Uuid, any_, bindparam, delete, func, select, text
from sqlmodel import col

from chassis.db import Database, Queries, Record, RequestIdReused, Statement, Transaction, scalar
from promises.retention import ending, in_batches
from services.identity.domain.accounts import (
    UNVERIFIED_LIFETIME,
    Account,
    AccountState,
    Credential,
    SignUpRequest,
    Verification,
)
from services.identity.domain.names import comparable
from services.identity.domain.refusals import UsernameTaken

_ADDRESS = func.lower(Account.email) == bindparam("address")
_IS_ACTIVE = col(Account.state) == AccountState.ACTIVE
_IS_UNVERIFIED = col(Account.state) == AccountState.UNVERIFIED

LOCK_ADDRESS = Statement(text("SELECT pg_advisory_xact_lock(hashtextextended(:address, 0))"))
LOCK_USERNAME = Statement(text("SELECT pg_advisory_xact_lock(hashtextextended(:username, 1))"))
ACTIVE_BY_ADDRESS = Statement(select(Account).where(_ADDRESS, _IS_ACTIVE), Account)
UNVERIFIED_BY_ADDRESS = Statement(
    select(Account).where(_ADDRESS, _IS_UNVERIFIED).order_by(col(Account.create_time).desc()).limit(3),
    Account,
)
_BY_ID = select(Account).where(col(Account.account) == bindparam("id_"))
BY_ID = Statement(_BY_ID, Account)
# Not the key: who signs in meanwhile refers to it and need not wait.
BY_ID_LOCKED = Statement(_BY_ID.with_for_update(key_share=True), Account)
BY_ID_ENDING = Statement(_BY_ID.with_for_update(), Account)
USERNAME_HOLDERS = Statement(
    select(func.count()).where(
        func.lower(Account.username) == bindparam("wanted"),
        _IS_ACTIVE,
        col(Account.account) != bindparam("id_"),
    ),
    scalar,
)
DELETE_RIVALS = Statement(
    delete(Account).where(_ADDRESS, _IS_UNVERIFIED, col(Account.account) != bindparam("winner"))
)
RIVALS = Statement(
    select(func.count()).where(_ADDRESS, _IS_UNVERIFIED, col(Account.account) != bindparam("winner")), scalar
)
VERIFICATION = Statement(
    select(Verification).where(col(Verification.token_hash) == bindparam("hash_")), Verification
)
SIGN_UP_REQUEST = Statement(
    select(SignUpRequest).where(col(SignUpRequest.request_id) == bindparam("id_")), SignUpRequest
)
PASSWORD_HASH = Statement(
    select(col(Credential.password_hash)).where(col(Credential.account) == bindparam("id_")), scalar
)


@dataclass(frozen=True, slots=True)
class PublicName:
    """What anyone may know of a person."""

    account: UUID
    username: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a sign-in is checked against."""

    account: UUID
    state: AccountState
    password_hash: str


def _sign_in(record: Record) -> SignIn:
    return SignIn(record["account"], AccountState(record["state"]), record["password_hash"])


_IDS = bindparam("ids", type_=ARRAY(Uuid))
PUBLIC_NAMES = Statement(
    select(col(Account.account), col(Account.username)).where(
        col(Account.account) == any_(_IDS), _IS_ACTIVE, col(Account.username).is_not(None)
    ),
    lambda record: PublicName(record["account"], record["username"]),
)
# The active account of an address; where there is none, the latest sign-up for it.
SIGN_IN = Statement(
    select(col(Account.account), col(Account.state), col(Credential.password_hash))
    .join(Credential, col(Credential.account) == col(Account.account))
    .where(_ADDRESS)
    .order_by(_IS_ACTIVE.desc(), col(Account.create_time).desc())
    .limit(1),
    _sign_in,
)


VERIFIED_BETWEEN = Statement(
    select(col(Account.account)).where(
        _IS_ACTIVE, col(Account.verified_at).between(bindparam("since"), bindparam("until"))
    ),
    scalar,
)


async def lock_address(tx: Transaction, email: str) -> None:
    """Until the transaction ends nobody else signs up with or confirms this address."""
    await tx.execute(LOCK_ADDRESS, address=comparable(email))


async def active_by_address(queries: Queries, email: str) -> Account | None:
    """The account that an address belongs to."""
    return await queries.first(ACTIVE_BY_ADDRESS, address=comparable(email))


async def unverified_by_address(queries: Queries, email: str) -> list[Account]:
    """The latest sign-ups that wait for this address to be confirmed, three at most."""
    return await queries.all(UNVERIFIED_BY_ADDRESS, address=comparable(email))


async def verified_between(queries: Queries, since: datetime, until: datetime) -> list[UUID]:
    """Who confirmed their address in that time."""
    return await queries.all(VERIFIED_BETWEEN, since=since, until=until)


async def locked(tx: Transaction, account: UUID) -> Account | None:
    """An account, nobody else's to change until the transaction ends."""
    return await tx.first(BY_ID_LOCKED, id_=account)


async def locked_for_good(tx: Transaction, account: UUID) -> Account | None:
    """An account that is about to go: nobody refers to it any more until the transaction ends."""
    return await tx.first(BY_ID_ENDING, id_=account)


async def find(queries: Queries, account: UUID) -> Account | None:
    """An account, if there is one."""
    return await queries.first(BY_ID, id_=account)


async def email_of(queries: Queries, account: UUID) -> str:
    """The address of an account that is surely there."""
    return (await queries.one(BY_ID, id_=account)).email


async def for_confirmation(tx: Transaction, account: UUID) -> Account | None:
    """An account whose address is being confirmed, its address locked before the row: two
    sign-ups for one address that are confirmed at once take turns, and the second finds itself gone."""
    unlocked = await tx.first(BY_ID, id_=account)
    if unlocked is None:
        return None
    await lock_address(tx, unlocked.email)
    return await locked(tx, account)


async def username_is_free(tx: Transaction, username: str | None, account: UUID) -> bool:
    """Whether an active account may call itself so; it stays true until the transaction ends."""
    if username is None:
        return True
    await tx.execute(LOCK_USERNAME, username=comparable(username))
    return not await tx.one(USERNAME_HOLDERS, wanted=comparable(username), id_=account)


async def save(tx: Transaction, account: Account) -> None:
    """Write an account; raises UsernameTaken."""
    try:
        await tx.update(account)
    except UniqueViolationError as taken:
        if taken.constraint_name == "ux_accounts_active_username":
            raise UsernameTaken from None
        raise


async def has_rivals(queries: Queries, account: Account) -> bool:
    """Whether other sign-ups wait for the address of an account."""
    rivals = await queries.one(RIVALS, address=comparable(account.email), winner=account.account)
    return bool(rivals)


async def delete_rivals(tx: Transaction, winner: Account) -> None:
    """Remove the other sign-ups for an address that was confirmed, with all that they have."""
    await tx.execute(DELETE_RIVALS, address=comparable(winner.email), winner=winner.account)


async def verification(queries: Queries, token_hash: bytes) -> Verification | None:
    """The link that a token belongs to."""
    return await queries.first(VERIFICATION, hash_=token_hash)


async def sign_up_request(queries: Queries, request_id: UUID) -> SignUpRequest | None:
    """A sign-up that was answered before."""
    return await queries.first(SIGN_UP_REQUEST, id_=request_id)


async def remember_sign_up(tx: Transaction, request: SignUpRequest) -> None:
    """Note that a sign-up was answered; raises RequestIdReused if another one takes its id right now."""
    try:
        await tx.insert(request)
    except UniqueViolationError:
        raise RequestIdReused from None


async def sign_in(queries: Queries, email: str) -> SignIn | None:
    """What a sign-in with this address is checked against; None for an address nobody gave."""
    return await queries.first(SIGN_IN, address=comparable(email))


async def password_hash(queries: Queries, account: UUID) -> str | None:
    """The Argon2id hash of an account."""
    found: str | None = await queries.first(PASSWORD_HASH, id_=account)
    return found


async def public_names(queries: Queries, accounts: Sequence[UUID]) -> list[PublicName]:
    """Those of the accounts that have a user name."""
    return await queries.all(PUBLIC_NAMES, ids=list(accounts))


# A deleted account takes its credential, links, mails and log lines along: the keys cascade.
UNCONFIRMED = ending("accounts", "state = 'UNVERIFIED' AND create_time <= :before")
EXPIRED_LINKS = ending("verifications", "expires_at <= :now")
OLD_REQUESTS = ending("sign_up_requests", "create_time <= :before")


async def sweep(db: Database, now: datetime) -> None:
    """End sign-ups that nobody confirmed, links that ended, and what is remembered of requests."""
    await in_batches(db, UNCONFIRMED, before=now - UNVERIFIED_LIFETIME)
    await in_batches(db, EXPIRED_LINKS, now=now)
    await in_batches(db, OLD_REQUESTS, before=now - UNVERIFIED_LIFETIME)
