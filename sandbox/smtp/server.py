"""The SMTP side: takes what a sender hands in, or fails as tests want it to."""

from __future__ import annotations

import asyncio
import hmac
import ssl
import warnings
from collections.abc import Callable
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox.faults import FaultPlan
from sandbox.smtp.inbox import Inbox

LARGEST_MESSAGE = 1024 * 1024
KINDS = frozenset({"refuse", "temporary", "delay", "accepted_answer_lost"})
Login = tuple[str, str]


class Intake:
    """aiosmtpd's hooks. `match` of a fault is looked for in the recipient's address."""

    def __init__(self, inbox: Inbox, plan: FaultPlan) -> None:
        self._inbox = inbox
        self._plan = plan

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._plan.take(address, "refuse"):
            return "550 5.1.1 No such mailbox here"
        if self._plan.take(address, "temporary"):
            return "451 4.3.0 Try again later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        everyone = " ".join(envelope.rcpt_tos)
        delay = self._plan.take(everyone, "delay")
        if delay is not None:
            await asyncio.sleep(delay.seconds)
        self._inbox.take(envelope.mail_from or "", envelope.rcpt_tos, envelope.original_content or b"")
        if self._plan.take(everyone, "accepted_answer_lost") and server.transport is not None:
            server.transport.close()
        return "250 2.0.0 Taken"


def _authenticator(login: Login) -> Callable[[SMTP, Session, Envelope, str, Any], AuthResult]:
    def authenticate(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        given = (data.login, data.password) if isinstance(data, LoginPassword) else (b"", b"")
        same = [hmac.compare_digest(a, b.encode()) for a, b in zip(given, login, strict=True)]
        return AuthResult(success=all(same), handled=False)

    return authenticate


async def listen(
    inbox: Inbox,
    plan: FaultPlan,
    host: str,
    port: int,
    login: Login | None,
    tls: ssl.SSLContext | None = None,
) -> asyncio.AbstractServer:
    """Take mail at host:port; with a login (user, password) only from who knows it.

    With `tls` STARTTLS is offered (RFC 3207); who wants none needs none.
    """
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        with warnings.catch_warnings():
            # aiosmtpd warns of passwords without TLS: whoever is not on this machine uses it.
            warnings.simplefilter("ignore", UserWarning)
            return SMTP(
                Intake(inbox, plan),
                hostname="sandbox.localhost",
                ident="Crafiq sandbox",
                data_size_limit=LARGEST_MESSAGE,
                enable_SMTPUTF8=True,
                auth_required=login is not None,
                tls_context=tls,
                auth_require_tls=False,
                authenticator=_authenticator(login) if login else None,
                loop=loop,
            )

    return await loop.create_server(connection, host, port)
