"""Sending mail over SMTP (RFC 5321), encrypted wherever it leaves the machine."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from uuid import UUID

import aiosmtplib
from pydantic import SecretStr

from chassis.clock import Clock
from services.identity.domain.letters import Letter


class AddressRefused(Exception):
    """The mail server will never take mail for this address."""


class MailServerUnavailable(Exception):
    """The mail could not be handed over now."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail goes, and who we are there. Port 465 speaks TLS at once, others STARTTLS."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: SecretStr | None = None


class Mailer:
    """Hands letters to the mail server."""

    def __init__(self, server: SmtpServer, clock: Clock) -> None:
        self._server, self._clock = server, clock

    async def send(self, letter: Letter, recipient: str, mail: UUID) -> None:
        """Hand over one letter; `mail` becomes its Message-ID, so that a second copy is recognised.

        Raises AddressRefused or MailServerUnavailable; neither names the recipient.
        """
        server = self._server
        try:
            await aiosmtplib.send(
                self._message(letter, recipient, mail),
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password.get_secret_value() if server.password else None,
                use_tls=server.port == 465,
                start_tls=not (_on_this_machine(server.host) or server.port == 465),
                timeout=15,
            )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            codes = [each.code for each in refused.recipients]
            if all(500 <= code < 600 for code in codes):
                raise AddressRefused from None
            raise MailServerUnavailable(f"the recipient is refused for now, {codes}") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailServerUnavailable(type(error).__name__) from None

    def _message(self, letter: Letter, recipient: str, mail: UUID) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._server.sender
        message["To"] = recipient
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = f"<{mail}@{parseaddr(self._server.sender)[1].rpartition('@')[2]}>"
        # RFC 3834: keeps out-of-office replies away.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        message.add_alternative(letter.html, subtype="html")
        return message


def _on_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
