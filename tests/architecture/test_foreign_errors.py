"""Errors of other people's libraries end where we meet them: each in one place, as something of ours.

`LIBRARIES` says for each library that the product imports where that is. The tests below raise every
class of error that a library has through the code that is named, and look at what comes out.
"""

from __future__ import annotations

import ast
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import aiosmtplib
import asyncpg
import grpc
import grpc.aio
import joserfc.errors
import minio.error
import nats.errors
import nats.js.errors
import pytest
import stripe
import urllib3.exceptions
from crafiq.billing.v1 import billing_pb2  # ours, generated
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from joserfc import jws
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from pydantic import SecretStr

from chassis import events, faults
from chassis.errors import Aborted, NotFound, Refusal, SubjectUnknown, Unavailable
from chassis.rpc import validation
from chassis.rpc.statuses import KINDS, refusal_of, status_of, trailers
from chassis.rpc.tokens import AccessTokens, Revocations
from promises.ledger import LedgerUnavailable
from services.assets.adapters import blobs
from services.assets.adapters.buckets import Buckets
from services.assets.adapters.pictures import decoding
from services.assets.domain.media.types import ContentDamaged
from services.billing.adapters.stripe import _heard as heard_by_stripe
from services.billing.domain import StripeFailed, StripeRefused, StripeUnavailable
from services.generation.adapters.assets import Assets
from services.generation.adapters.openai import OpenAI, OpenAILimits
from services.generation.domain import Delivered, NotAccepted, Order, Task, Unanswered
from services.identity.adapters import smtp
from services.identity.adapters.passwords import Passwords
from services.identity.domain.letters import Letter
from services.privacy.adapters.ledger import TombstoneLedger
from tests.support import FakeClock, Tokens

ROOT = Path(__file__).resolve().parents[2]
# Where the errors of a library become ours. Nobody above that place knows the library.
LIBRARIES = {
    "PIL": ("services/assets/adapters/pictures.py", "services/generation/adapters/pictures.py"),
    "aiohttp": (
        "services/assets/adapters/blobs.py", "services/generation/adapters/assets.py",
        "services/generation/adapters/openai.py", "services/billing/adapters/stripe.py",
    ),
    "aiosmtplib": ("services/identity/adapters/smtp.py",),
    # The second knows a connection that ended; the third, unique constraints.
    "asyncpg": ("chassis/faults.py", "chassis/connections.py", "services/*/repository"),
    "google": ("chassis/rpc/validation.py", "chassis/consumers.py", "chassis/revoked.py"),
    "grpc": ("chassis/rpc/statuses.py", "services/*/adapters"),
    "joserfc": (
        "chassis/rpc/tokens.py", "services/identity/adapters/signing.py",
        "services/privacy/adapters/receipts.py",
    ),
    "minio": (
        "services/assets/adapters/buckets.py", "services/privacy/adapters/ledger.py", "promises/ledger.py",
    ),
    "nacl": ("services/identity/adapters/passwords.py",),
    "nats": (
        "chassis/events.py", "chassis/pulls.py", "chassis/relay.py", "chassis/revoked.py",
        "services/privacy/adapters/bus.py",
    ),
    "stripe": ("services/billing/adapters/stripe.py",),
    "urllib3": (
        "services/assets/adapters/buckets.py", "services/privacy/adapters/ledger.py", "promises/ledger.py",
    ),
}  # fmt: skip
# Nothing that these raise can meet a caller.
SILENT = {
    "alembic": "runs before a service serves; what it raises ends the start",
    "av": "runs in the drawing process only, whose end is all that is seen of it",
    "cryptography": "reads our own certificate at the start",
    "grpc_health": "answers of constants",
    "grpc_reflection": "answers of constants",
    "numpy": "runs in the drawing process only, whose end is all that is seen of it",
    "opentelemetry": "its API is made not to raise",
    "prometheus_client": "counts",
    "protovalidate": "collects violations, and raises for broken rules of ours only",
    "pydantic": "reads settings at the start",
    "pydantic_settings": "reads settings at the start",
    "sqlalchemy": "makes statements when modules are imported; asyncpg runs them",
    "sqlmodel": "declares rows",
    "tenacity": "raises the last error as it is",
    "uvloop": "runs",
}


def _imports() -> Iterator[tuple[str, str]]:
    for package in ("chassis", "promises", "services"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    yield str(path.relative_to(ROOT)), name.split(".")[0]


OURS = {"chassis", "promises", "services", "crafiq", *sys.stdlib_module_names}


def test_every_library_of_the_product_has_a_place_where_its_errors_end() -> None:
    imported = {library for _, library in _imports()} - OURS
    assert imported == set(LIBRARIES) | set(SILENT)


def _caught() -> Iterator[tuple[str, str]]:
    """Where an error is caught by a name that was imported from a library: the file, the library."""
    for package in ("chassis", "promises", "services"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            origin = dict(_origins(tree))
            for handler in ast.walk(tree):
                if isinstance(handler, ast.ExceptHandler) and handler.type is not None:
                    for name in ast.walk(handler.type):
                        if isinstance(name, ast.Name) and origin.get(name.id, "") in LIBRARIES:
                            yield str(path.relative_to(ROOT)), origin[name.id]


def _origins(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names of a file, and the library that each is from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            tops = [(each.asname, each.name.split(".")[0]) for each in node.names]
            yield from ((name or top, top) for name, top in tops)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((each.asname or each.name, node.module.split(".")[0]) for each in node.names)


# Not about an error, but about what is there: a table, a stream, a consumer.
LOOKING = {
    ("chassis/migrate.py", "asyncpg"), ("chassis/relay.py", "nats"),
    ("services/assets/adapters/drawing/pictures.py", "PIL"),  # in the drawing process
    # What a peer's refusal means for an order: it is taken apart there.
    ("services/generation/handler/ordering.py", "grpc"),
}  # fmt: skip


def test_an_error_of_a_library_is_caught_where_its_errors_end_and_nowhere_else() -> None:
    caught = set(_caught())
    assert len(caught) > 15
    assert caught >= LOOKING, "an exception that is not needed any more"
    assert not {(path, library) for path, library in caught if not _at_home(path, library)} - LOOKING


def _at_home(path: str, library: str) -> bool:
    patterns = [pattern for place in LIBRARIES[library] for pattern in (f"{place}*", f"{place}/*")]
    return any(Path(path).match(pattern) for pattern in patterns)


def _all(*roots: type[BaseException], but: tuple[type[BaseException], ...] = ()) -> list[type[BaseException]]:
    """These classes and everything below them."""
    found, waiting = [], list(roots)
    while waiting:
        kind = waiting.pop()
        if kind not in found and not issubclass(kind, but):
            found.append(kind)
            waiting += kind.__subclasses__()
    return sorted(found, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def _one(kind: type[BaseException]) -> BaseException:
    """An error of a class, whatever its constructor asks for."""
    return kind.__new__(kind)


def _named(kind: type[BaseException]) -> str:
    return kind.__name__


def _of(*modules: str) -> list[type[Exception]]:
    """Every class of error that these modules have."""
    there = [each for name in modules for each in vars(sys.modules[name]).values()]
    errors = {each for each in there if isinstance(each, type) and issubclass(each, Exception)}
    return sorted((each for each in errors if each.__module__ in modules), key=_named)


# ---------------------------------------------------------------- Postgres

POSTGRES = [kind for kind in _all(asyncpg.PostgresError) if getattr(kind, "sqlstate", None)]
AWAY = ("08", "53", "57")  # no connection; out of resources; somebody intervenes (PostgreSQL, appendix A)
CONTENDED = ("40001", "40P01", "55P03")


@pytest.mark.parametrize("kind", POSTGRES, ids=_named)
def test_what_postgres_says_is_busy_away_or_our_own_fault(kind: type[asyncpg.PostgresError]) -> None:
    said = faults.translated(_one(kind))
    state = str(kind.sqlstate)
    if state in CONTENDED:
        assert isinstance(said, Aborted)
    elif state[:2] in AWAY:
        assert isinstance(said, Unavailable)
    else:
        assert said is None or isinstance(said, Refusal | SubjectUnknown)


def test_nothing_that_asyncpg_raises_passes_the_database_unheard() -> None:
    errors = _of("asyncpg.exceptions", "asyncpg.exceptions._base")
    assert len(errors) > 200
    assert not [kind for kind in errors if not issubclass(kind, (*faults.FAULTS, Warning))]


# ---------------------------------------------------------------- peers


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_a_peer_that_did_not_mean_its_error_for_callers_is_away(code: grpc.StatusCode) -> None:
    none = grpc.aio.Metadata()
    said = refusal_of(grpc.aio.AioRpcError(code, none, none, "text of a library"))
    assert isinstance(said, Unavailable)
    assert "library" not in str(said)


@pytest.mark.parametrize("kind", KINDS.values(), ids=_named)
def test_a_peers_refusal_is_the_same_refusal_here(kind: type[Refusal]) -> None:
    there = kind()
    trailing = grpc.aio.Metadata(*trailers(status_of(there, "crafiq.billing"), there))
    code = next(c for c in grpc.StatusCode if c.value[0] == code_pb2.Code.Value(kind.status))
    here = refusal_of(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, ""))
    assert type(here) is kind
    assert here.domain == "crafiq.billing"


@pytest.mark.parametrize("error", [grpc.RpcError(), ConnectionResetError(), TimeoutError()])
def test_what_has_no_answer_is_away(error: Exception) -> None:
    assert isinstance(refusal_of(error), Unavailable)


# ---------------------------------------------------------------- storage

HTTP = _all(aiohttp.ClientError)
MINIO = _all(minio.error.MinioException, urllib3.exceptions.HTTPError, but=(minio.error.S3Error,))


@pytest.mark.parametrize("kind", [*HTTP, TimeoutError], ids=_named)
async def test_storage_that_can_not_be_reached_is_away(kind: type[BaseException]) -> None:
    with pytest.raises(blobs.StorageUnavailable):
        async with blobs._translated():
            raise _one(kind)


@pytest.fixture
def buckets() -> Iterator[Buckets]:
    made = Buckets("http://127.0.0.1:1", "access", "secret")
    yield made
    made.close()


def _raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise error

    return call


@pytest.mark.parametrize("kind", [*MINIO, OSError, ConnectionError], ids=_named)
async def test_storages_control_that_fails_is_away(kind: type[BaseException], buckets: Buckets) -> None:
    with pytest.raises(blobs.StorageUnavailable):
        await buckets._run(_raising(_one(kind)))


@pytest.mark.parametrize(("code", "expected"), [("NoSuchKey", NotFound), ("AccessDenied", Unavailable)])
async def test_what_storage_says_is_missing_or_away(
    code: str, expected: type[Refusal], buckets: Buckets
) -> None:
    error = _one(minio.error.S3Error)
    object.__setattr__(error, "code", code)
    with pytest.raises(expected):
        await buckets._run(_raising(error))


@pytest.mark.parametrize("kind", [*MINIO, OSError], ids=_named)
async def test_a_ledger_that_can_not_be_reached_is_away(kind: type[BaseException]) -> None:
    keys = ("access", "secret")
    theirs = TombstoneLedger("http://127.0.0.1:1", "ledger", keys, timedelta(days=1))
    with pytest.raises(LedgerUnavailable):
        await theirs._asked(_raising(_one(kind)))


# ---------------------------------------------------------------- Stripe


@pytest.mark.parametrize("kind", _all(stripe.StripeError), ids=_named)
@pytest.mark.parametrize("status", [None, 400, 402, 404, 409, 429, 500, 503])
def test_whatever_stripe_says_is_a_refusal_of_ours(kind: type[BaseException], status: int | None) -> None:
    error: Any = _one(kind)
    error.http_status, error.code = status, "some_code"
    with pytest.raises((StripeUnavailable, StripeFailed, StripeRefused)) as raised, heard_by_stripe():
        raise error
    assert isinstance(raised.value, StripeRefused) == (status in (400, 402, 404))


# ---------------------------------------------------------------- vendors, and Inputs on their way to them


class Broken:
    """An HTTP client whose every call fails in one way."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    @asynccontextmanager
    async def post(self, *_: object, **__: object) -> AsyncIterator[Any]:
        raise self._error
        yield

    get = post


ORDER = Order("gpt-image", Task.TEXT_TO_IMAGE, "a kettle", 1, {}, ())
UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)  # provably


@pytest.mark.parametrize("kind", [*HTTP, TimeoutError, OSError, ConnectionResetError], ids=_named)
async def test_every_error_on_the_way_to_a_vendor_is_a_result(kind: type[BaseException]) -> None:
    http: Any = Broken(_one(kind))
    result = await OpenAI(http, "http://vendor/v1", SecretStr("k"), OpenAILimits()).generate(ORDER)
    assert isinstance(result, NotAccepted if issubclass(kind, UNSENT) else Unanswered)
    assert not isinstance(result, Delivered)


@pytest.mark.parametrize("kind", [*HTTP, TimeoutError], ids=_named)
async def test_an_input_that_can_not_be_read_is_away(kind: type[BaseException]) -> None:
    http: Any = Broken(_one(kind))
    stub: Any = None
    with pytest.raises(Unavailable):
        await Assets(stub, http)._read("http://storage/x", 1)


# ---------------------------------------------------------------- mail


LETTER = Letter("Subject", "text", "<p>text</p>")


MAIL = [*_all(aiosmtplib.SMTPException), OSError, ConnectionError, TimeoutError, ssl.SSLError]


@pytest.mark.parametrize("kind", MAIL, ids=_named)
async def test_mail_that_is_not_taken_waits(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = _one(kind)
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error.recipients = [aiosmtplib.SMTPRecipientRefused(451, "later", "somebody@example.com")]

    async def send(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(smtp.aiosmtplib, "send", send)
    mailer = smtp.Mailer(smtp.SmtpServer("127.0.0.1", 25, "hello@crafiq.example"), FakeClock())
    with pytest.raises(smtp.MailServerUnavailable) as raised:
        await mailer.send(LETTER, "somebody@example.com", uuid4())
    assert "somebody" not in str(raised.value)


# ---------------------------------------------------------------- passwords, tokens, messages, pictures, bus


@pytest.mark.parametrize("kind", _all(CryptoError), ids=_named)
def test_a_password_that_can_not_be_verified_is_not_the_one(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argon2id, "verify", _raising(_one(kind)))
    assert Passwords(threads=1)._check("$argon2id$...", "guess") is False


UNREADABLE = [*_all(joserfc.errors.JoseError), ValueError, KeyError, TypeError, OverflowError]


@pytest.mark.parametrize("kind", UNREADABLE, ids=_named)
async def test_a_token_that_can_not_be_read_is_nobodys(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(jws, "extract_compact", _raising(_one(kind)))
    assert await AccessTokens(Tokens(clock).jwks, clock, Revocations(clock)).verify("a.b.c") is None


def test_bytes_that_are_no_message_are_malformed() -> None:
    with pytest.raises(DecodeError):
        billing_pb2.PlaceHoldRequest.FromString(b"\xff\xff")
    with pytest.raises(validation.RequestMalformed):
        validation.check(billing_pb2.PlaceHoldRequest, b"\xff\xff")


@pytest.mark.parametrize("kind", [OSError, ValueError, SyntaxError, MemoryError, RecursionError, KeyError])
def test_whatever_a_decoder_raises_means_that_a_picture_is_damaged(kind: type[BaseException]) -> None:
    with pytest.raises(ContentDamaged), decoding():
        raise kind


@pytest.mark.parametrize("kind", _of("nats.errors", "nats.js.errors"), ids=_named)
async def test_every_error_of_the_bus_is_one_that_loops_outlive(kind: type[BaseException]) -> None:
    class Bus:
        closed = False

        async def drain(self) -> None:
            raise _one(kind)

        async def close(self) -> None:
            self.closed = True

    bus: Any = Bus()
    await events.leave(bus)
    assert bus.closed
    assert issubclass(kind, nats.errors.Error | OSError)
