"""Nothing personal leaves identity but where it is meant to: not in logs, traces, or events."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from crafiq.identity.v1 import events_pb2, identity_pb2

from tests.integration.identity.people import ADDRESS, PATIENCE, People, new_address, refusal
from tests.support import Announced, eventually

NAME, SECRET = "Wilhelmina Zauberstab", "hunter2-but-longer"


@pytest.mark.promise("2b-log-purpose", "8-minimise")
async def test_no_log_line_carries_a_personal_value(people: People, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    email = new_address()
    people.mailbox.plan.replace(json.dumps([{"kind": "temporary", "match": email}]).encode())
    await people.sign_up(email, display_name=NAME, password=SECRET)
    stranger = await people.confirmed(password=SECRET, display_name=NAME)
    await refusal(people.sign_up(email, password=SECRET, username="zauberstab", is_adult=False))
    await refusal(people.stub.SignUp(people.wish("zauberstab@@broken", password=SECRET)))
    await refusal(people.stub.CreateSession(people.credentials(stranger, SECRET + "-wrong")))
    person = await people.sign_in(stranger)
    await refusal(people.confirm("forged-" + "x" * 40))
    said = "\n".join(
        f"{each.getMessage()} {each.exc_text or ''} {each.__dict__}"
        for each in caplog.records
        if each.name != "mail.log"  # the stand-in for other people's mail server, in the same process here
    )
    tokens = [person.access, person.refresh, await people.mailbox.token(stranger.email)]
    for value in (email, stranger.email, NAME, SECRET, "zauberstab", ADDRESS, *tokens):
        assert value not in said


async def test_events_carry_names_of_resources_only(people: People, announced: Announced) -> None:
    person = await people.signed_in(display_name=NAME)
    await people.stub.SignOut(identity_pb2.SignOutRequest(), metadata=person.metadata)
    events = await announced(events_pb2.AccountVerified, person.account)
    events += await announced(events_pb2.SessionRevoked, person.account)
    for value in (person.email, NAME, ADDRESS):
        assert value.encode() not in b"".join(event.SerializeToString() for event in events)


def _spans(traces: Path, method: str) -> str:
    written = traces.read_text(encoding="utf-8") if traces.exists() else ""
    return written if method in written else ""


async def test_traces_name_no_one(people: People, traces: Path) -> None:
    person = await people.signed_in(display_name=NAME)
    written = await eventually(lambda: _spans(traces, "IdentityService/CreateSession"), timeout=PATIENCE)
    for value in (person.email, NAME, ADDRESS, person.access, person.refresh):
        assert value not in written


@pytest.mark.promise("2a-credential")
async def test_a_password_is_kept_as_an_argon2id_hash(people: People) -> None:
    person = await people.signed_in(password=SECRET)
    [row] = await people.rows("SELECT * FROM credentials WHERE account = :account", account=person.id)
    assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert SECRET not in row["password_hash"]


async def test_the_mailed_token_is_kept_as_a_hash(people: People) -> None:
    person = await people.sign_up()
    token = await people.mailbox.token(person.email)
    rows = await people.rows(
        "SELECT v.* FROM verifications v JOIN accounts USING (account) WHERE email = :email",
        email=person.email,
    )
    assert rows
    assert token not in repr(rows)
