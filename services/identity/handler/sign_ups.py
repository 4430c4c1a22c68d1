"""Signing up and confirming the address."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crafiq.identity.v1 import events_pb2, identity_pb2

from chassis.db import RequestIdReused, Transaction
from chassis.rpc import Call
from services.identity.domain.accounts import (
    AcceptedVersions,
    Account,
    AccountState,
    Credential,
    SignUpRequest,
    Verification,
)
from services.identity.domain.letters import MailKind, Occasion
from services.identity.domain.mails import Mail
from services.identity.domain.names import comparable, display_name, user_name
from services.identity.domain.refusals import (
    AdultsOnly,
    PolicyVersionNotCurrent,
    SignUpContested,
    UsernameTaken,
    VerificationTokenInvalid,
)
from services.identity.domain.remembered import NameKind
from services.identity.domain.security import (
    CONFIRMATION_MAILS,
    CONFIRMATIONS,
    RESENT_MAILS,
    SIGN_UP_NOTICES,
    Limit,
    SecurityEvent,
)
from services.identity.handler.evenly import SIGN_UP_TAKES, taking_at_least
from services.identity.handler.guessing import counted
from services.identity.handler.kit import Kit, device, record, username_is_free
from services.identity.repository import accounts, remembered, security

SALT_BYTES = 16


class SignUps:
    """SignUp, VerifyEmail, ResendVerification. None of them says whether an address is known."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    async def SignUp(self, request: identity_pb2.SignUpRequest, call: Call) -> identity_pb2.SignUpResponse:
        """Open an unverified account, or tell the owner of a known address; one answer for both."""
        if not request.is_adult:
            raise AdultsOnly
        shown_name = display_name(request.display_name)
        in_force = await self.kit.policies.current(min(2.0, call.time_remaining()))
        async with taking_at_least(SIGN_UP_TAKES):
            password_hash = await self._hashed(request)
            account = self._new_account(request, shown_name)
            async with self.kit.db.transaction() as tx:
                await accounts.lock_address(tx, account.email)
                if not await self._asked_again(tx, request, password_hash):
                    _check_versions(request, in_force)
                    if not await username_is_free(self.kit, tx, account.username, account.account):
                        raise UsernameTaken
                    owner = await accounts.active_by_address(tx, account.email)
                    if owner:
                        await self._notify_owner(tx, owner, call)
                    else:
                        await self._open(tx, account, password_hash, call)
                    await self._remember(tx, request, password_hash)
            self.kit.post()
        return identity_pb2.SignUpResponse(state=identity_pb2.UNVERIFIED)

    async def VerifyEmail(
        self, request: identity_pb2.VerifyEmailRequest, call: Call
    ) -> identity_pb2.VerifyEmailResponse:
        """Confirm an address: this sign-up becomes the account, the others for the address go.

        Where there are others, the token may come from a mail that somebody else caused: only the
        password tells whose sign-up it is.
        """
        now = self.kit.clock.now()
        proven = await self._proven(request, now)
        async with self.kit.db.transaction() as tx:
            account = await self._confirming(tx, request.token, now)
            event = await announced(self.kit, tx, account)
            if account.state is AccountState.UNVERIFIED:
                if not proven and await accounts.has_rivals(tx, account):
                    raise SignUpContested
                free = await username_is_free(self.kit, tx, account.username, account.account)
                account.verify(now, username_is_free=free)
                await accounts.delete_rivals(tx, account)
                await accounts.save(tx, account)
                await record(self.kit, tx, call, SecurityEvent.ADDRESS_CONFIRMED, account.account)
                tx.emit(event)
        withheld = event.returning
        return identity_pb2.VerifyEmailResponse(state=identity_pb2.ACTIVE, sign_up_credits_withheld=withheld)

    async def ResendVerification(
        self, request: identity_pb2.ResendVerificationRequest, call: Call
    ) -> identity_pb2.ResendVerificationResponse:
        """Mail a fresh link to each waiting sign-up of the address; one answer for any address."""
        async with taking_at_least(SIGN_UP_TAKES):
            async with self.kit.db.transaction() as tx:
                await accounts.lock_address(tx, request.email)
                if await self._allowed(tx, RESENT_MAILS, request.email):
                    for waiting in await accounts.unverified_by_address(tx, request.email):
                        await self._send_link(tx, waiting, call)
            self.kit.post()
        return identity_pb2.ResendVerificationResponse()

    async def _hashed(self, request: identity_pb2.SignUpRequest) -> str:
        # The salt is made of the request's id, so that the same request gives the same hash: it is
        # compared when the request is repeated, and no fast hash of a password is stored anywhere.
        salt = self.kit.secrets.hash("salt", request.request_id)[:SALT_BYTES]
        return await self.kit.passwords.hash(request.password, salt)

    def _new_account(self, request: identity_pb2.SignUpRequest, shown_name: str | None) -> Account:
        now = self.kit.clock.now()
        return Account(
            account=self.kit.new_id(), state=AccountState.UNVERIFIED, email=request.email.strip(),
            username=user_name(request.username), display_name=shown_name, adult_confirmed_at=now,
            policy_version=request.accepted_policy_version, terms_version=request.accepted_terms_version,
            create_time=now,
        )  # fmt: skip

    def _body_hash(self, request: identity_pb2.SignUpRequest, password_hash: str) -> bytes:
        body = identity_pb2.SignUpRequest()
        body.CopyFrom(request)
        body.password = password_hash
        return self.kit.secrets.hash("sign-up", body.SerializeToString(deterministic=True).hex())

    async def _asked_again(
        self, tx: Transaction, request: identity_pb2.SignUpRequest, password_hash: str
    ) -> bool:
        earlier = await accounts.sign_up_request(tx, UUID(request.request_id))
        if earlier and earlier.body_hash != self._body_hash(request, password_hash):
            raise RequestIdReused
        return earlier is not None

    async def _remember(
        self, tx: Transaction, request: identity_pb2.SignUpRequest, password_hash: str
    ) -> None:
        await accounts.remember_sign_up(
            tx,
            SignUpRequest(
                request_id=UUID(request.request_id), body_hash=self._body_hash(request, password_hash),
                create_time=self.kit.clock.now(),
            ),
        )  # fmt: skip

    async def _open(self, tx: Transaction, account: Account, password_hash: str, call: Call) -> None:
        await tx.insert(account)
        await tx.insert(Credential(account=account.account, password_hash=password_hash))
        await record(self.kit, tx, call, SecurityEvent.SIGNED_UP, account.account)
        if await self._allowed(tx, CONFIRMATION_MAILS, account.email):
            await self._send_link(tx, account, call)

    async def _send_link(self, tx: Transaction, account: Account, call: Call) -> None:
        token, until = self.kit.secrets.mail_token(), account.unverified_until
        token_hash = self.kit.secrets.hash("verification", token)
        await tx.insert(Verification(token_hash=token_hash, account=account.account, expires_at=until))
        occasion = Occasion(self.kit.clock.now(), device(call), until, token)
        await self._mail(tx, MailKind.CONFIRM_ADDRESS, account, occasion)

    async def _notify_owner(self, tx: Transaction, owner: Account, call: Call) -> None:
        if await self._allowed(tx, SIGN_UP_NOTICES, owner.email):
            occasion = Occasion(self.kit.clock.now(), device(call))
            await self._mail(tx, MailKind.SIGN_UP_ATTEMPTED, owner, occasion)

    async def _mail(self, tx: Transaction, kind: MailKind, account: Account, occasion: Occasion) -> None:
        await tx.insert(Mail.about(kind, self.kit.new_id(), account.account, account.email, occasion))

    async def _allowed(self, tx: Transaction, limit: Limit, email: str) -> bool:
        key = self.kit.secrets.hash(limit.purpose, comparable(email))
        return await security.attempt(tx, limit, key, self.kit.clock.now()) is None

    async def _proven(self, request: identity_pb2.VerifyEmailRequest, now: datetime) -> bool:
        """Whether the password is the one of the token's sign-up; raises TooManyAttempts.

        Guesses are counted for each sign-up: nobody without its token can use them up.
        """
        token_hash = self.kit.secrets.hash("verification", request.token)
        verification = await accounts.verification(self.kit.db, token_hash) if request.password else None
        if verification is None or not verification.valid(now):
            return False
        await counted(self.kit, self.kit.db, CONFIRMATIONS, str(verification.account))
        known = await accounts.password_hash(self.kit.db, verification.account)
        return await self.kit.passwords.matches(known, request.password)

    async def _confirming(self, tx: Transaction, token: str, now: datetime) -> Account:
        verification = await accounts.verification(tx, self.kit.secrets.hash("verification", token))
        if verification is None or not verification.valid(now):
            raise VerificationTokenInvalid
        account = await accounts.for_confirmation(tx, verification.account)
        if account is None:
            raise VerificationTokenInvalid
        return account


def _check_versions(request: identity_pb2.SignUpRequest, in_force: AcceptedVersions) -> None:
    accepted = AcceptedVersions(request.accepted_policy_version, request.accepted_terms_version)
    if accepted != in_force:
        raise PolicyVersionNotCurrent(policyVersion=in_force.policy, termsVersion=in_force.terms)


async def announced(kit: Kit, tx: Transaction, account: Account) -> events_pb2.AccountVerified:
    """What is said of who confirmed; `returning` if somebody with this address left within six months: then
    the sign-up grant is withheld."""
    event = events_pb2.AccountVerified(
        account=account.name,
        policy_version=account.policy_version,
        terms_version=account.terms_version,
        returning=await remembered.remembered(tx, kit.peppers.hashes(NameKind.ADDRESS, account.email)),
    )
    event.accepted_at.FromDatetime(account.create_time)
    return event
