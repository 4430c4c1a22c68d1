"""The queue of mails: a row is written with what it tells of, and goes when it was sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Text

from promises.inventory import DELETE, plain, subject
from services.identity.domain.letters import TEMPLATES, Letter, MailClass, MailKind, Occasion, write
from services.identity.domain.rows import MAILED_DEVICE, MAILED_TOKEN, MOMENT, RECIPIENT, Row

# Gone within the day that is declared, with time to spare for a sweep that is late.
GIVE_UP_AFTER = timedelta(hours=23)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)


class Mail(Row, table=True):
    """One mail to one address. The token of its link stands here in the clear, until it is sent."""

    __tablename__ = "mails"

    id: UUID = plain("a random name", primary_key=True)
    account: UUID = subject(DELETE)
    mail_class: MailClass = plain("why we may write", Text)
    kind: MailKind = plain("which template", Text)
    recipient: str = RECIPIENT.column(Text)
    token: str | None = MAILED_TOKEN.column(Text, default=None)
    device: str = MAILED_DEVICE.column(Text)
    create_time: datetime = plain("when what it tells of happened", MOMENT, index=True)
    link_until: datetime | None = plain("when its link ends", MOMENT, default=None)
    attempts: int = plain("how often it was handed over", default=0)
    due_at: datetime = plain("when to hand it over next", MOMENT, index=True)

    @classmethod
    def about(cls, kind: MailKind, mail: UUID, account: UUID, recipient: str, occasion: Occasion) -> Mail:
        """A mail of a kind, due at once."""
        return cls(
            id=mail, account=account, mail_class=TEMPLATES[kind].mail_class, kind=kind, recipient=recipient,
            token=occasion.token, device=occasion.device, create_time=occasion.when,
            link_until=occasion.until, due_at=occasion.when,
        )  # fmt: skip

    def letter(self, public_url: str) -> Letter:
        """How it reads."""
        occasion = Occasion(self.create_time, self.device, self.link_until, self.token)
        return write(self.kind, occasion, public_url)

    def pause(self) -> timedelta:
        """How long to wait after a failed attempt."""
        return pause_after(self.attempts)


def pause_after(attempts: int) -> timedelta:
    """How long a mail waits after so many failed attempts: 5 s, doubling, 15 minutes at most."""
    doubled = 1 << min(attempts - 1, 10)
    return min(_FIRST_PAUSE * doubled, _LONGEST_PAUSE)
