"""People who sign up, and what they do: the sentences that the tests of identity are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import grpc.aio
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc
from google.rpc import code_pb2, error_details_pb2
from grpc_status import rpc_status
from sqlalchemy import text

from chassis.db import Database, Statement
from sandbox.faults import FaultPlan
from sandbox.smtp.inbox import Inbox
from sandbox.smtp.inbox import Message as Mail
from tests.personal import used
from tests.support import eventually

POLICY, TERMS = "2025-10-29", "2025-10-29"
PASSWORD = "correct horse battery"
ADDRESS = "203.0.113.77"
# The postman looks every 2 s by itself, and the machine may be busy.
PATIENCE = 20.0


def coming_from(address: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call from a network address, as the gateway sends it."""
    return (("x-forwarded-for", used(address, "network address")),)


FROM = coming_from(ADDRESS)


class Mailbox:
    """The sandbox's mailbox: what came for an address, and faults to switch on."""

    def __init__(self, inbox: Inbox, plan: FaultPlan, port: int) -> None:
        self.inbox, self.plan, self.port = inbox, plan, port

    def mails(self, address: str) -> list[Mail]:
        return self.inbox.messages(address)

    async def mail(self, address: str, number: int = 1) -> Mail:
        """The mail with this number to an address, once it is there."""
        await eventually(lambda: len(self.mails(address)) >= number, timeout=PATIENCE)
        return self.mails(address)[number - 1]

    async def token(self, address: str, number: int = 1) -> str:
        """The token of the link in a mail."""
        found = re.search(r"[?&]token=([\w-]+)", (await self.mail(address, number)).text)
        assert found
        return used(found[1], "token of a mail")


@dataclass
class Person:
    """Somebody with an address and a password, and what signing in gave them."""

    email: str
    password: str = PASSWORD
    account: str = ""
    access: str = ""
    refresh: str = ""

    @property
    def id(self) -> UUID:
        return UUID(self.account.removeprefix("accounts/"))

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.access}"), *FROM)


@dataclass(frozen=True)
class Refused:
    """A refusal as it came over the wire."""

    status: str
    reason: str
    metadata: dict[str, str]
    retry_seconds: float
    fields: list[str]


async def refusal(call: Any) -> Refused:
    """What an RPC was refused with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return _read(error)
    raise AssertionError("it was answered, and should have been refused")


def _read(error: grpc.aio.AioRpcError) -> Refused:
    status = rpc_status.from_call(error)
    assert status is not None, error
    info, retry, bad = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RetryInfo(),
        error_details_pb2.BadRequest(),
    )
    for detail in status.details:
        for kind in (info, retry, bad):
            detail.Unpack(kind)
    return Refused(
        code_pb2.Code.Name(status.code),
        info.reason,
        dict(info.metadata),
        retry.retry_delay.ToTimedelta().total_seconds(),
        [violation.field for violation in bad.field_violations],
    )


class People:
    """Does what people do, through the RPCs."""

    def __init__(self, stub: identity_pb2_grpc.IdentityServiceStub, mailbox: Mailbox, db: Database) -> None:
        self.stub, self.mailbox, self.db = stub, mailbox, db

    def wish(self, email: str, **different: Any) -> identity_pb2.SignUpRequest:
        """A sign-up that would be accepted."""
        usual = {
            "email": email,
            "password": PASSWORD,
            "is_adult": True,
            "accepted_policy_version": POLICY,
            "accepted_terms_version": TERMS,
            "request_id": str(uuid4()),
        }
        wish = identity_pb2.SignUpRequest(**(usual | different))
        for field in ("email", "password", "username", "display_name"):
            used(getattr(wish, field), field)
        return wish

    async def sign_up(self, email: str = "", **different: Any) -> Person:
        """Somebody who signed up and did not confirm yet."""
        email = email or new_address()
        person = Person(email, different.get("password", PASSWORD))
        await self.stub.SignUp(self.wish(email, **different), metadata=FROM)
        return person

    async def confirmed(self, email: str = "", **different: Any) -> Person:
        """Somebody whose address is confirmed."""
        person = await self.sign_up(email, **different)
        await self.confirm(await self.mailbox.token(person.email))
        return person

    async def confirm(self, token: str, password: str = "") -> identity_pb2.VerifyEmailResponse:
        return await self.stub.VerifyEmail(identity_pb2.VerifyEmailRequest(token=token, password=password))

    async def signed_in(self, **different: Any) -> Person:
        """Somebody with a fresh session."""
        return await self.sign_in(await self.confirmed(**different))

    async def sign_in(self, person: Person) -> Person:
        """The same person in another session."""
        answer = await self.stub.CreateSession(self.credentials(person), metadata=FROM)
        access = used(answer.access_token, "access token")
        refresh = used(answer.refresh_token, "refresh token")
        return Person(person.email, person.password, answer.account, access, refresh)

    def credentials(self, person: Person, password: str | None = None) -> identity_pb2.CreateSessionRequest:
        password = used(password or person.password, "password")
        return identity_pb2.CreateSessionRequest(
            email=used(person.email, "email"), password=password, refresh_token_in_body=True
        )

    async def refresh(self, token: str) -> identity_pb2.CreateSessionResponse:
        return await self.stub.RefreshSession(
            identity_pb2.RefreshSessionRequest(refresh_token=token, refresh_token_in_body=True)
        )

    async def account_of(self, person: Person) -> identity_pb2.Account:
        return await self.stub.GetAccount(identity_pb2.GetAccountRequest(), metadata=person.metadata)

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        """What the database holds."""
        return await self.db.all(Statement(text(sql)), **values)


def new_address() -> str:
    """An address nobody used before."""
    return used(f"p{uuid4().hex[:12]}@people.example", "email")
