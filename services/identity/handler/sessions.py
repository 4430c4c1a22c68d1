"""Signing in and out, and the list of sessions."""

from __future__ import annotations

from uuid import UUID

from crafiq.identity.v1 import identity_pb2
from google.protobuf.empty_pb2 import Empty

from chassis import pages
from chassis.rpc import Call
from services.identity.domain.accounts import AccountState
from services.identity.domain.refusals import InvalidCredentials, SessionNotFound
from services.identity.domain.security import PROOFS, SecurityEvent
from services.identity.domain.sessions import RefreshToken, Session, tokens_end
from services.identity.handler import cookies
from services.identity.handler.evenly import REFUSAL_TAKES, taking_at_least
from services.identity.handler.guessing import counted, sign_in_counted
from services.identity.handler.kit import Kit, device, entry, record, signed_in
from services.identity.handler.tokens import hand_out, prove, revoked
from services.identity.repository import accounts, security, sessions

LIST = "sessions"


class Sessions:
    """CreateSession, ListSessions, DeleteSession, SignOut, Reauthenticate."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    async def CreateSession(
        self, request: identity_pb2.CreateSessionRequest, call: Call
    ) -> identity_pb2.CreateSessionResponse:
        """Sign in: a new session, its tokens as cookies and, if asked for, in the body."""
        async with taking_at_least(REFUSAL_TAKES, only_refusals=True):
            account, attempts = await self._checked(request, call)
        token = self.kit.secrets.refresh_token()
        session = Session.begin(self.kit.new_id(), account, device(call), self.kit.clock.now())
        first = RefreshToken(
            token_hash=self.kit.secrets.hash("refresh", token),
            account=account,
            session=session.id,
            expires_at=session.expires_at,
        )
        line = entry(self.kit, call, SecurityEvent.SIGNED_IN, account, session.id)
        await sessions.begin(self.kit.db, session, first, line, attempts)
        return hand_out(self.kit, call, session, token, in_body=request.refresh_token_in_body)

    async def ListSessions(
        self, request: identity_pb2.ListSessionsRequest, call: Call
    ) -> identity_pb2.ListSessionsResponse:
        """The caller's living sessions, newest first."""
        account = await signed_in(self.kit, self.kit.db, call)
        size = pages.size(request.page_size)
        after = self.kit.pages.decode(LIST, account.account, request.page_token)
        rows = await sessions.page(self.kit.db, account.account, after, size + 1, self.kit.clock.now())
        answer = identity_pb2.ListSessionsResponse()
        answer.sessions.extend(_message(row, call.caller.session) for row in rows[:size])
        if len(rows) > size:
            last = rows[size - 1]
            answer.next_page_token = self.kit.pages.encode(LIST, call.account, (last.create_time, last.id))
        return answer

    async def DeleteSession(self, request: identity_pb2.DeleteSessionRequest, call: Call) -> Empty:
        """End one of the caller's sessions, this one included."""
        await signed_in(self.kit, self.kit.db, call)
        session = _session_id(request.name)
        if session is None or not await self._end(call, session, SecurityEvent.SESSION_REVOKED):
            raise SessionNotFound(session=request.name)
        if session == call.caller.session:
            cookies.clear_session(call)
        return Empty()

    async def SignOut(self, _request: identity_pb2.SignOutRequest, call: Call) -> Empty:
        """End the caller's own session and clear its cookies."""
        # Signing out of a session that ended already is no error.
        if call.caller.session:
            await self._end(call, call.caller.session, SecurityEvent.SIGNED_OUT)
        cookies.clear_session(call)
        return Empty()

    async def Reauthenticate(
        self, request: identity_pb2.ReauthenticateRequest, call: Call
    ) -> identity_pb2.ReauthenticateResponse:
        """Prove again who is calling; wrong passwords count for the account, not for its address."""
        account = await signed_in(self.kit, self.kit.db, call)
        key = await counted(self.kit, self.kit.db, PROOFS, account.name)
        known = await accounts.password_hash(self.kit.db, account.account)
        right = await self.kit.passwords.matches(known, request.password)
        event = SecurityEvent.REAUTHENTICATED if right else SecurityEvent.REAUTHENTICATION_FAILED
        async with self.kit.db.transaction() as tx:
            # Checking a password takes its time, and the session may have ended meanwhile.
            await signed_in(self.kit, tx, call)
            await record(self.kit, tx, call, event, account.account, call.caller.session)
            if right:
                await security.forget_attempts(tx, key)
        if not right:
            raise InvalidCredentials
        return prove(self.kit, call)

    async def _checked(self, request: identity_pb2.CreateSessionRequest, call: Call) -> tuple[UUID, bytes]:
        """The account that address and password open, and the key under which this attempt is counted.

        One password check, whatever is true.

        A sign-up that waits is refused as a stranger is: who signs up with a foreign address and then
        signs in would learn otherwise whether the address has an account.
        """
        key = await sign_in_counted(self.kit, request.email, call)
        known = await accounts.sign_in(self.kit.db, request.email)
        encoded = known.password_hash if known else None
        right = await self.kit.passwords.matches(encoded, request.password)
        if known is None or known.state is not AccountState.ACTIVE:
            raise InvalidCredentials
        if not right:
            async with self.kit.db.transaction() as tx:
                await record(self.kit, tx, call, SecurityEvent.SIGN_IN_FAILED, known.account)
            raise InvalidCredentials
        return known.account, key

    async def _end(self, call: Call, session: UUID, event: SecurityEvent) -> bool:
        async with self.kit.db.transaction() as tx:
            if not await sessions.end(tx, call.account, session):
                return False
            await record(self.kit, tx, call, event, call.account, session)
            tx.emit(revoked(call.account, session))
        self.kit.revocations.add(session, tokens_end(self.kit.clock.now()))
        return True


def _session_id(name: str) -> UUID | None:
    try:
        return UUID(name.removeprefix("sessions/"))
    except ValueError:
        return None


def _message(session: Session, current: UUID | None) -> identity_pb2.Session:
    message = identity_pb2.Session(name=session.name, device=session.device, current=session.id == current)
    message.create_time.FromDatetime(session.create_time)
    message.last_used_time.FromDatetime(session.last_used_time)
    return message
