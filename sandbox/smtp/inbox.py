"""The messages, newest last, within a bound of memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from typing import Any

MOST_MESSAGES = 5000
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """One message as one recipient got it, read when asked for; one to two recipients is two of these."""

    recipient: str
    sender: str
    content: bytes
    received_at: datetime

    @cached_property
    def _parsed(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def subject(self) -> str:
        """Its subject, decoded."""
        return str(self._parsed.get("Subject", ""))

    @property
    def text(self) -> str:
        """Its plain text."""
        return _body(self._parsed, "plain")

    @property
    def html(self) -> str:
        """The same as HTML."""
        return _body(self._parsed, "html")

    def described(self) -> dict[str, Any]:
        """As GET /messages shows it."""
        return {
            "to": self.recipient,
            "from": self.sender,
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "receivedAt": self.received_at.isoformat(),
        }


class Inbox:
    """Every recipient's mailbox. The oldest messages go when there are too many or too large ones."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._messages: deque[Message] = deque()
        self._bytes = 0

    def take(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Keep `content`, an RFC 5322 message, for each recipient of the envelope."""
        for recipient in recipients:
            self._messages.append(Message(recipient, sender, content, self._now()))
            self._bytes += len(content)
        while len(self._messages) > MOST_MESSAGES or self._bytes > MOST_BYTES:
            self._bytes -= len(self._messages.popleft().content)

    def messages(self, recipient: str | None = None) -> list[Message]:
        """Those of one recipient, or all; the case of addresses does not matter."""
        if recipient is None:
            return list(self._messages)
        wanted = recipient.lower()
        return [m for m in self._messages if m.recipient.lower() == wanted]

    def clear(self, recipient: str | None = None) -> None:
        """Forget the messages of one recipient, as who owns a mailbox may, or all."""
        gone = self.messages(recipient)
        self._messages = deque(message for message in self._messages if message not in gone)
        self._bytes = sum(len(message.content) for message in self._messages)


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""
