"""The stand-ins as they run beside the platform: processes of their own, on free ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import openai
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

ROOT = Path(__file__).resolve().parents[3]
API_KEY = "sk-sandbox-0123456789"


@dataclass(frozen=True)
class OpenAISandbox:
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


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


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
        assert process.wait(10) == 0


@retry(retry=retry_if_exception_type(OSError), stop=stop_after_delay(20), wait=wait_fixed(0.05), reraise=True)
def _wait_for(listen: str) -> None:
    host, port = listen.split(":")
    socket.create_connection((host, int(port)), timeout=1).close()


@pytest.fixture(scope="session")
async def openai_sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenAISandbox]:
    secrets = tmp_path_factory.mktemp("openai")
    (secrets / "crafiq_openai_api_key").write_text(API_KEY)
    (port,) = _free_ports(1)
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
    async with openai.AsyncOpenAI(api_key=API_KEY, base_url=url, max_retries=0, timeout=10) as sdk:
        yield sdk


@pytest.fixture(scope="session")
async def smtp_sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmtpSandbox]:
    secrets = tmp_path_factory.mktemp("smtp")
    (secrets / "crafiq_smtp_password").write_text("a-password-for-mail")
    (secrets / "crafiq_inbox_token").write_text("who-has-this-may-read")
    smtp, http_port = _free_ports(2)
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
