"""The stand-ins as they run beside the platform: processes of their own, on free ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import openai
import pytest
import stripe
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.support import free_ports

ROOT = Path(__file__).resolve().parents[3]
API_KEY = "sk-sandbox-0123456789"
STRIPE_KEY = "sk_test_sandbox0123456789"


@dataclass(frozen=True)
class Sandbox:
    """Where it is, and a client that has the key."""

    url: str
    http: aiohttp.ClientSession

    async def switch_on(self, *faults: dict[str, object]) -> None:
        async with self.http.put(f"{self.url}/sandbox/faults", json=list(faults)) as answer:
            assert answer.status == 200, await answer.text()

    async def received(self) -> list[dict[str, object]]:
        async with self.http.get(f"{self.url}/sandbox/requests") as answer:
            rows: list[dict[str, object]] = await answer.json()
            return rows


@dataclass(frozen=True)
class OpenAISandbox(Sandbox):
    """The stand-in for OpenAI."""

    async def stats(self) -> dict[str, int]:
        async with self.http.get(f"{self.url}/sandbox/stats") as answer:
            counters: dict[str, int] = await answer.json()
            return counters


@dataclass(frozen=True)
class SmtpSandbox:
    """Both its sides."""

    host: str
    port: int
    inbox: str
    http: aiohttp.ClientSession

    async def messages(self, to: str) -> list[dict[str, str]]:
        async with self.http.get(f"{self.inbox}/messages", params={"to": to}) as answer:
            rows: list[dict[str, str]] = await answer.json()
            return rows

    async def switch_on(self, *faults: dict[str, object]) -> None:
        async with self.http.put(f"{self.inbox}/faults", json=list(faults)) as answer:
            assert answer.status == 200, await answer.text()


@contextmanager
def _process(module: str, secrets: Path, environment: dict[str, str]) -> Iterator[None]:
    env = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CRAFIQ_SECRETS_DIR": str(secrets), **environment
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, env=env)
    try:
        for name, listen in environment.items():
            if name.endswith("LISTEN"):
                _wait_for(listen)
        yield
    finally:
        process.terminate()
        assert process.wait(30) == 0


@retry(retry=retry_if_exception_type(OSError), stop=stop_after_delay(40), wait=wait_fixed(0.05), reraise=True)
def _wait_for(listen: str) -> None:
    host, port = listen.split(":")
    socket.create_connection((host, int(port)), timeout=1).close()


@pytest.fixture(scope="session")
async def openai_sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenAISandbox]:
    secrets = tmp_path_factory.mktemp("openai")
    (secrets / "crafiq_openai_api_key").write_text(API_KEY)
    (port,) = free_ports(1)
    listen = f"127.0.0.1:{port}"
    key = {"Authorization": f"Bearer {API_KEY}"}
    with _process("sandbox.openai", secrets, {"CRAFIQ_SANDBOX_LISTEN": listen}):
        async with aiohttp.ClientSession(headers=key) as http:
            yield OpenAISandbox(f"http://{listen}", http)


@pytest.fixture
async def vendor(openai_sandbox: OpenAISandbox) -> OpenAISandbox:
    """The stand-in with nothing switched on and nothing received."""
    await openai_sandbox.switch_on()
    await openai_sandbox.http.delete(f"{openai_sandbox.url}/sandbox/requests")
    return openai_sandbox


@pytest.fixture(scope="session")
async def client(openai_sandbox: OpenAISandbox) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's own SDK: a client that we did not write."""
    url = f"{openai_sandbox.url}/v1"
    async with openai.AsyncOpenAI(api_key=API_KEY, base_url=url, max_retries=0, timeout=40) as sdk:
        yield sdk


@pytest.fixture(scope="session")
async def smtp_sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmtpSandbox]:
    secrets = tmp_path_factory.mktemp("smtp")
    (secrets / "crafiq_smtp_password").write_text("a-password-for-mail")
    (secrets / "crafiq_inbox_token").write_text("who-has-this-may-read")
    smtp, http_port = free_ports(2)
    environment = {
        "CRAFIQ_SANDBOX_SMTP_LISTEN": f"127.0.0.1:{smtp}",
        "CRAFIQ_SANDBOX_LISTEN": f"127.0.0.1:{http_port}",
    }
    with _process("sandbox.smtp", secrets, environment):
        async with aiohttp.ClientSession() as http:
            inbox = f"http://127.0.0.1:{http_port}/who-has-this-may-read"
            yield SmtpSandbox("127.0.0.1", smtp, inbox, http)


@pytest.fixture
async def mailbox(smtp_sandbox: SmtpSandbox) -> SmtpSandbox:
    """The stand-in with nothing switched on and no mail."""
    await smtp_sandbox.switch_on()
    await smtp_sandbox.http.delete(f"{smtp_sandbox.inbox}/messages")
    return smtp_sandbox


@dataclass(frozen=True)
class StripeSandbox(Sandbox):
    """The stand-in for Stripe, and Stripe's own SDK: a client that we did not write."""

    client: stripe.StripeClient

    async def become(self, subscription: str, status: str) -> int:
        """Time goes by, a bank says no; answers the status of HTTP."""
        url = f"{self.url}/sandbox/subscriptions/{subscription}"
        async with self.http.put(url, json={"status": status}) as answer:
            return answer.status


@contextmanager
def stripe_process(secrets: Path, port: int, file: Path | None = None) -> Iterator[None]:
    """The stand-in, with what it had before if there is a file."""
    (secrets / "crafiq_stripe_api_key").write_text(STRIPE_KEY)
    kept = {"CRAFIQ_SANDBOX_STRIPE_FILE": str(file)} if file else {}
    with _process("sandbox.stripe", secrets, {"CRAFIQ_SANDBOX_LISTEN": f"127.0.0.1:{port}", **kept}):
        yield


@asynccontextmanager
async def stripe_sdk(port: int, key: str = STRIPE_KEY) -> AsyncIterator[stripe.StripeClient]:
    """The SDK as it comes, but for what it would write into the home folder and tell of this machine."""
    stripe.enable_telemetry = False
    http = stripe.AIOHTTPClient(timeout=40)
    address = {"api": f"http://127.0.0.1:{port}"}
    try:
        yield stripe.StripeClient(key, base_addresses=address, max_network_retries=0, http_client=http)
    finally:
        await http.close_async()


@pytest.fixture(scope="session")
async def stripe_sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StripeSandbox]:
    (port,) = free_ports(1)
    key = {"Authorization": f"Bearer {STRIPE_KEY}"}
    with stripe_process(tmp_path_factory.mktemp("stripe"), port):
        async with aiohttp.ClientSession(headers=key) as http, stripe_sdk(port) as client:
            yield StripeSandbox(f"http://127.0.0.1:{port}", http, client)


@pytest.fixture
async def bank(stripe_sandbox: StripeSandbox) -> StripeSandbox:
    """The stand-in with nothing switched on and nothing received."""
    await stripe_sandbox.switch_on()
    await stripe_sandbox.http.delete(f"{stripe_sandbox.url}/sandbox/requests")
    return stripe_sandbox
