"""The mails, by class and by content."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from services.identity.domain.letters import TEMPLATES, Letter, MailClass, MailKind, Occasion, write

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PUBLIC = "https://crafiq.example"


def _letter(kind: MailKind) -> Letter:
    occasion = Occasion(NOW, "Firefox on Linux", NOW + timedelta(days=1), "a-b_c" * 9, 3)
    return write(kind, occasion, PUBLIC)


@pytest.mark.promise("3-service-mail")
@pytest.mark.parametrize("kind", MailKind)
def test_every_mail_has_a_class(kind: MailKind) -> None:
    assert TEMPLATES[kind].mail_class is MailClass.SERVICE


@pytest.mark.promise("3-service-mail", "3-marketing-optin")
@pytest.mark.parametrize("kind", MailKind)
def test_a_service_mail_carries_no_marketing(kind: MailKind) -> None:
    letter = _letter(kind)
    words = r"offer|discount|upgrade|newsletter|sale|price|subscribe|premium|deal|% off"
    assert not re.search(words, f"{letter.subject} {letter.text}".lower())


@pytest.mark.promise("7-no-crosssite", "1-imprint")
@pytest.mark.parametrize("kind", MailKind)
def test_a_mail_loads_nothing_and_links_to_us_only(kind: MailKind) -> None:
    letter = _letter(kind)
    assert not re.search(r"<(img|script|link|iframe|style)|url\(", letter.html)
    links = re.findall(r"https?://[^\s\"<]+", letter.text + letter.html)
    assert all(link.startswith(PUBLIC + "/") for link in links)
    assert f"{PUBLIC}/imprint" in links


def test_the_confirmation_carries_its_token_in_text_and_html() -> None:
    letter = _letter(MailKind.CONFIRM_ADDRESS)
    for body in (letter.text, letter.html):
        assert f"{PUBLIC}/verify?token={'a-b_c' * 9}" in body
    assert "02 January 2026, 12:00 UTC" in letter.text


@pytest.mark.promise("9-housekeeping")
@pytest.mark.parametrize(("files", "said"), [(1, "1 file from"), (2, "2 files from")])
def test_the_notice_says_how_many_files_go_when_and_where_to_keep_them(files: int, said: str) -> None:
    occasion = Occasion(NOW, "", NOW + timedelta(days=30), files=files)
    letter = write(MailKind.REMOVAL_SCHEDULED, occasion, PUBLIC)
    for body in (letter.text, letter.html):
        assert f"From 31 January 2026, 12:00 UTC on we remove {said}" in body
        assert f"{PUBLIC}/library" in body
        assert "token" not in body


@pytest.mark.promise("2a-account")
def test_the_confirmation_says_to_a_stranger_what_opening_its_link_would_do() -> None:
    letter = _letter(MailKind.CONFIRM_ADDRESS)
    for body in (letter.text, letter.html):
        assert "somebody signed up for Crafiq with this address, from Firefox on Linux" in body
        assert "If it was not you, do not open the link: whoever signed up chose the password" in body


def test_a_mail_quotes_no_markup() -> None:
    letter = write(MailKind.SIGN_UP_ATTEMPTED, Occasion(NOW, "<b>x</b>"), PUBLIC)
    assert "<b>" not in letter.html
