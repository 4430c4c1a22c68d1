"""An independent mail client hands in, and the mailbox shows it as API.md says."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

import aiosmtplib
import pytest

from deploy.local.certs import Certificates
from deploy.local.state import StateFolder
from sandbox.faults import FaultPlan
from sandbox.smtp.inbox import Inbox
from sandbox.smtp.server import KINDS, listen

if TYPE_CHECKING:
    from .conftest import SmtpSandbox


def _mail(to: str, subject: str = "Confirm your address") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Crafiq <no-reply@crafiq.example>"
    message["To"] = to
    message["Subject"] = subject
    message.set_content("Grüße! https://crafiq.example/verify?token=" + "t" * 120 + "\n")
    message.add_alternative("<p>Grüße!</p>", subtype="html")
    return message


async def _send(mailbox: SmtpSandbox, to: str, *, password: str = "a-password-for-mail") -> None:
    await aiosmtplib.send(
        _mail(to),
        hostname=mailbox.host,
        port=mailbox.port,
        username="crafiq",
        password=password,
        start_tls=False,
        timeout=30,
    )


async def test_a_message_can_be_read_by_its_recipient(mailbox: SmtpSandbox) -> None:
    await _send(mailbox, "Ada@example.org")
    await _send(mailbox, "bob@example.org")
    (message,) = await mailbox.messages("ada@example.org")
    assert message["from"] == "no-reply@crafiq.example"
    assert message["subject"] == "Confirm your address"
    assert message["text"] == "Grüße! https://crafiq.example/verify?token=" + "t" * 120 + "\n"
    assert message["html"] == "<p>Grüße!</p>\n"
    assert set(message) == {"to", "from", "subject", "text", "html", "receivedAt"}


async def test_the_page_shows_mail_and_runs_nothing_of_it(mailbox: SmtpSandbox) -> None:
    await _send(mailbox, "ada@example.org")
    async with mailbox.http.get(f"{mailbox.inbox}/") as answer:
        page = await answer.text()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "Confirm your address" in page
    assert '<a href="https://crafiq.example/verify?token=' in page


@pytest.mark.parametrize("path", ["/messages", "/", "/faults"])
async def test_who_has_not_the_url_reads_nothing(mailbox: SmtpSandbox, path: str) -> None:
    outside = mailbox.inbox.rsplit("/", 1)[0]
    async with mailbox.http.get(f"{outside}{path}") as answer:
        assert answer.status == 404


async def test_mail_is_taken_only_from_who_knows_the_password(mailbox: SmtpSandbox) -> None:
    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await _send(mailbox, "ada@example.org", password="guessed")
    with pytest.raises(aiosmtplib.SMTPResponseException):
        await aiosmtplib.send(
            _mail("ada@example.org"), hostname=mailbox.host, port=mailbox.port, start_tls=False
        )
    assert await mailbox.messages("ada@example.org") == []


@pytest.mark.parametrize(("kind", "code"), [("refuse", 550), ("temporary", 451)])
async def test_a_recipient_can_be_refused(mailbox: SmtpSandbox, kind: str, code: int) -> None:
    await mailbox.switch_on({"kind": kind, "match": "ada@"})
    await _send(mailbox, "bob@example.org")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await _send(mailbox, "ada@example.org")
    assert refused.value.recipients[0].code == code
    await _send(mailbox, "ada@example.org")
    assert len(await mailbox.messages("ada@example.org")) == 1


async def test_an_answer_can_be_lost_after_the_mail_was_taken(mailbox: SmtpSandbox) -> None:
    await mailbox.switch_on({"kind": "accepted_answer_lost"})
    with pytest.raises(aiosmtplib.SMTPException):
        await _send(mailbox, "ada@example.org")
    assert len(await mailbox.messages("ada@example.org")) == 1


async def test_an_answer_can_be_late(mailbox: SmtpSandbox) -> None:
    await mailbox.switch_on({"kind": "delay", "seconds": 1, "match": "ada@"})
    await _send(mailbox, "ada@example.org")
    assert len(await mailbox.messages("ada@example.org")) == 1


async def test_a_fault_that_does_not_exist_is_refused(mailbox: SmtpSandbox) -> None:
    async with mailbox.http.put(f"{mailbox.inbox}/faults", json=[{"kind": "earthquake"}]) as answer:
        assert answer.status == 400


async def test_a_person_empties_their_own_mailbox_and_nobody_elses(mailbox: SmtpSandbox) -> None:
    for to in ("ada@example.org", "Ada@example.org", "bob@example.org"):
        await _send(mailbox, to)
    async with mailbox.http.delete(f"{mailbox.inbox}/messages", params={"to": "ada@example.org"}) as answer:
        assert answer.status == 200
    assert not await mailbox.messages("ada@example.org")
    assert len(await mailbox.messages("bob@example.org")) == 1


async def test_who_wants_to_speak_in_private_may(tmp_path: Path) -> None:
    certificates = Certificates(StateFolder(tmp_path))
    ours, inbox = certificates.folder("sandbox-smtp"), Inbox(lambda: datetime.now(UTC))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ours / "tls.crt", ours / "tls.key")
    server = await listen(inbox, FaultPlan(KINDS), "127.0.0.1", 0, ("crafiq", "a-password"), tls)
    there = {"hostname": "localhost", "port": server.sockets[0].getsockname()[1], "start_tls": True}
    try:
        await aiosmtplib.send(
            _mail("ada@example.org"), username="crafiq", password="a-password",
            cert_bundle=str(ours / "ca.crt"), timeout=30, **there,
        )  # fmt: skip
        with pytest.raises(ssl.SSLCertVerificationError):  # nobody whom this machine knows vouches for it
            await aiosmtplib.send(_mail("bob@example.org"), timeout=30, **there)
    finally:
        server.close()
    assert [message.recipient for message in inbox.messages()] == ["ada@example.org"]
