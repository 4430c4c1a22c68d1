"""What a signed-in client is handed: access token, refresh token, proof."""

from __future__ import annotations

from uuid import UUID

from crafiq.identity.v1 import events_pb2, identity_pb2

from chassis.rpc import Call, mint
from services.identity.domain.keys import ACCESS_LIFETIME
from services.identity.domain.refusals import SessionEnded
from services.identity.domain.sessions import REAUTH_LIFETIME, Session
from services.identity.handler import cookies
from services.identity.handler.kit import Kit


def hand_out(
    kit: Kit, call: Call, session: Session, refresh: str, *, in_body: bool
) -> identity_pb2.CreateSessionResponse:
    """A fresh access token and the refresh token: as cookies always, in the body what belongs there."""
    now = kit.clock.now()
    expires_at = min(now + ACCESS_LIFETIME, session.expires_at)
    access = mint(kit.keys.signer(), session.account, session.id, now=now, expires_at=expires_at)
    cookies.set_session(call, access, refresh)
    answer = identity_pb2.CreateSessionResponse(
        access_token=access,
        account=f"accounts/{session.account}",
        refresh_token=refresh if in_body else None,
    )
    answer.expires_at.FromDatetime(expires_at)
    # RFC 6749, 5.1: nobody between us and the client may keep tokens.
    call.set_header("cache-control", "no-store")
    return answer


def prove(kit: Kit, call: Call) -> identity_pb2.ReauthenticateResponse:
    """The proof that the caller's session was authenticated again, for five minutes."""
    if call.caller.session is None:
        raise SessionEnded
    now = kit.clock.now()
    expires_at = now + REAUTH_LIFETIME
    token = kit.keys.reauth_token(call.account, call.caller.session, now=now, expires_at=expires_at)
    answer = identity_pb2.ReauthenticateResponse(reauth_token=token)
    answer.expires_at.FromDatetime(expires_at)
    call.set_header("cache-control", "no-store")
    return answer


def revoked(account: UUID, session: UUID) -> events_pb2.SessionRevoked:
    """The announcement that a session ended before its time."""
    return events_pb2.SessionRevoked(account=f"accounts/{account}", session=f"sessions/{session}")
