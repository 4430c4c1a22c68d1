"""What is written to people: each kind of mail with its class, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from html import escape
from urllib.parse import quote


class MailClass(StrEnum):
    """Why we may write. SERVICE: what the account needs; it never carries marketing (policy, 3)."""

    SERVICE = "SERVICE"


class MailKind(StrEnum):
    """The mails there are."""

    CONFIRM_ADDRESS = "CONFIRM_ADDRESS"
    SIGN_UP_ATTEMPTED = "SIGN_UP_ATTEMPTED"
    SESSION_ENDED_FOR_SAFETY = "SESSION_ENDED_FOR_SAFETY"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of mail. The texts may use {when}, {until} and {device}; `action` labels the link."""

    mail_class: MailClass
    subject: str
    paragraphs: tuple[str, ...]
    action: str | None = None


TEMPLATES: Mapping[MailKind, Template] = {
    MailKind.CONFIRM_ADDRESS: Template(
        MailClass.SERVICE,
        "Confirm your address for Crafiq",
        (
            "On {when} somebody signed up for Crafiq with this address, from {device}.",
            "If that was you, confirm the address until {until}. The account can be used from then on.",
            "If it was not you, do not open the link: whoever signed up chose the password.",
            "Without the confirmation everything about it is deleted by then.",
        ),
        "Confirm my address",
    ),
    MailKind.SIGN_UP_ATTEMPTED: Template(
        MailClass.SERVICE,
        "You already have an account at Crafiq",
        (
            "On {when} somebody tried to sign up for Crafiq with this address, from {device}.",
            "You already have an account with it, so nothing was changed and nothing was made.",
            "If that was you, sign in with the password that you have. If it was not you, do nothing.",
        ),
    ),
    MailKind.SESSION_ENDED_FOR_SAFETY: Template(
        MailClass.SERVICE,
        "We ended one of your sessions at Crafiq",
        (
            "On {when} a sign-in token of yours that was already replaced was used again, from {device}.",
            "That happens when somebody has copied it, so we ended the session it belonged to, everywhere.",
            "Please sign in again. If you do not know this device, look at your list of sessions then.",
        ),
    ),
    MailKind.ACCOUNT_DELETED: Template(
        MailClass.SERVICE,
        "Your account at Crafiq was deleted",
        (
            "On {when} your account at Crafiq was deleted, as you asked.",
            "What was private is erased within moments; what you made public stays, without your name.",
            "The receipt is where you were shown it, for whoever has the secret that was made for it.",
            "This is our last message: your address is forgotten with it.",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it is handed over: subject, plain text, HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a letter speaks of: when it happened, from what coarse device, until when the link works."""

    when: datetime
    device: str
    until: datetime | None = None
    token: str | None = None


def write(kind: MailKind, occasion: Occasion, public_url: str) -> Letter:
    """The letter of a kind; its only links are to `public_url`, and nothing in it is loaded or counted."""
    template = TEMPLATES[kind]
    values = {
        "when": _moment(occasion.when),
        "until": _moment(occasion.until) if occasion.until else "",
        "device": occasion.device,
    }
    paragraphs = [text.format(**values) for text in template.paragraphs]
    link = f"{public_url}/verify?token={quote(occasion.token or '', safe='')}" if template.action else None
    return Letter(
        template.subject,
        _text(paragraphs, link, public_url),
        _html(paragraphs, (template.action, link), public_url),
    )


def _moment(at: datetime) -> str:
    return f"{at:%d %B %Y, %H:%M} UTC"


def _text(paragraphs: list[str], link: str | None, public_url: str) -> str:
    parts = ["Hello,", *paragraphs[:2], *([link] if link else []), *paragraphs[2:]]
    return "\n\n".join([*parts, f"Crafiq - {public_url}/imprint"]) + "\n"


def _html(paragraphs: list[str], action: tuple[str | None, str | None], public_url: str) -> str:
    label, link = action
    button = [f'<p><a href="{escape(link)}">{escape(label)}</a></p>'] if label and link else []
    told = [f"<p>{escape(text)}</p>" for text in ["Hello,", *paragraphs]]
    imprint = f'<p><small><a href="{escape(public_url)}/imprint">Crafiq - imprint</a></small></p>'
    body = "".join([*told[:3], *button, *told[3:], imprint])
    return f'<!doctype html><html lang="en"><body>{body}</body></html>\n'
