"""Refresh tokens rotate: each is exchanged once, and a stolen one gives itself away
(RFC 9700, 4.14.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crafiq.identity.v1 import identity_pb2

from chassis.db import Transaction
from chassis.rpc import Call
from services.identity.domain.letters import MailKind, Occasion
from services.identity.domain.mails import Mail
from services.identity.domain.refusals import RefreshTokenInvalid
from services.identity.domain.security import SecurityEvent
from services.identity.domain.sessions import RefreshToken, Session, Showing, tokens_end
from services.identity.handler import cookies
from services.identity.handler.kit import Kit, device, record
from services.identity.handler.tokens import hand_out, revoked
from services.identity.repository import accounts, sessions

SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a refresh token that was shown leads to: its session, and the next token unless it was stolen."""

    session: Session
    next_token: str | None


class Refreshing:
    """RefreshSession."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    async def RefreshSession(
        self, request: identity_pb2.RefreshSessionRequest, call: Call
    ) -> identity_pb2.CreateSessionResponse:
        """Exchange a refresh token, from the body or else from the cookie, for a new pair."""
        token = request.refresh_token or cookies.refresh_token(call)
        # What ends a stolen session commits; only then the refusal is raised.
        async with self.kit.db.transaction() as tx:
            exchange = await self._exchange(tx, token, call)
        if exchange.next_token is None:
            self.kit.revocations.add(exchange.session.id, tokens_end(self.kit.clock.now()))
            self.kit.post()
            raise RefreshTokenInvalid
        # What came as a cookie goes back as one: no script may read it out of an answer.
        in_body = request.refresh_token_in_body and bool(request.refresh_token)
        return hand_out(self.kit, call, exchange.session, exchange.next_token, in_body=in_body)

    async def _exchange(self, tx: Transaction, token: str, call: Call) -> Exchange:
        now = self.kit.clock.now()
        shown = await sessions.shown(tx, self._hash(token), now)
        if shown is None:
            raise RefreshTokenInvalid
        match shown.token.shown(now):
            case Showing.FIRST:
                return Exchange(shown.session, await self._rotate(tx, shown, token, now))
            case Showing.AGAIN:
                return Exchange(shown.session, await self._latest(tx, shown.token, token, now))
            case Showing.STOLEN:
                await self._end_family(tx, shown.session, call)
                return Exchange(shown.session, None)

    async def _rotate(self, tx: Transaction, shown: sessions.Shown, token: str, now: datetime) -> str:
        seed = self.kit.secrets.random(SEED_BYTES)
        successor = self.kit.secrets.successor(token, seed)
        shown.token.rotate(seed, now)
        shown.session.use(now)
        await tx.update(shown.token)
        await tx.update(shown.session)
        await tx.insert(
            RefreshToken(
                token_hash=self._hash(successor),
                account=shown.session.account,
                session=shown.session.id,
                expires_at=shown.session.expires_at,
            )
        )
        return successor

    async def _latest(self, tx: Transaction, row: RefreshToken, token: str, now: datetime) -> str:
        """The end of the chain: the successor may have been exchanged within the same seconds."""
        while row.successor_seed is not None:
            token = self.kit.secrets.successor(token, row.successor_seed)
            row = await sessions.token(tx, self._hash(token), now)
        return token

    async def _end_family(self, tx: Transaction, session: Session, call: Call) -> None:
        await sessions.end(tx, session.account, session.id)
        await record(self.kit, tx, call, SecurityEvent.REFRESH_TOKEN_REUSED, session.account, session.id)
        occasion = Occasion(self.kit.clock.now(), device(call))
        recipient = await accounts.email_of(tx, session.account)
        kind = MailKind.SESSION_ENDED_FOR_SAFETY
        await tx.insert(Mail.about(kind, self.kit.new_id(), session.account, recipient, occasion))
        tx.emit(revoked(session.account, session.id))

    def _hash(self, token: str) -> bytes:
        return self.kit.secrets.hash("refresh", token)
