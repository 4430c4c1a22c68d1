"""Identity as the launcher runs it: a process of its own, told everything by environment and files."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc

from deploy.local.infra import Infra
from tests.integration.identity.people import FROM, PASSWORD, PATIENCE, Mailbox, new_address
from tests.personal import keep
from tests.support import calling, eventually, signing_key

ROOT = Path(__file__).parents[3]


@dataclass
class Process:
    """The running process, a stub to call it, its signing folder, and what it said."""

    process: asyncio.subprocess.Process
    stub: identity_pb2_grpc.IdentityServiceStub
    signing: Path
    log: Path

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    async def kids(self) -> list[str]:
        answer = await self.stub.GetJwks(identity_pb2.GetJwksRequest(), wait_for_ready=True, timeout=40)
        return [key["kid"] for key in json.loads(answer.data)["keys"]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _secrets(folder: Path, infra: Infra) -> Path:
    values = {
        "database_url": infra.postgres.dsn("identity"),
        "nats_password": infra.nats.password("identity"),
        "request_key": secrets.token_hex(32),
        "token_key": secrets.token_hex(32),
    }
    for name, value in values.items():
        (folder / f"crafiq_{name}").write_text(value, encoding="utf-8")
    (folder / "signing").mkdir()
    signing_key(folder / "signing", "first")
    return folder


def _environment(infra: Infra, folder: Path, port: int, privacy: str, smtp: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "CRAFIQ_SECRETS_DIR": str(folder),
        "CRAFIQ_LISTEN": f"127.0.0.1:{port}",
        "CRAFIQ_METRICS_LISTEN": f"127.0.0.1:{_free_port()}",
        "CRAFIQ_TLS_DIR": str(infra.tls_dir("identity")),
        "CRAFIQ_NATS_URL": infra.nats.url,
        "CRAFIQ_PEERS": json.dumps({"privacy": privacy}),
        "CRAFIQ_PEPPER_DIR": str(folder),
        "CRAFIQ_SMTP_HOST": "127.0.0.1",
        "CRAFIQ_SMTP_PORT": str(smtp),
    }


@asynccontextmanager
async def _running(infra: Infra, folder: Path, privacy: str, smtp: int) -> AsyncIterator[Process]:
    port, log = _free_port(), folder / "log"
    environment = _environment(infra, _secrets(folder, infra), port, privacy, smtp)
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.identity", env=environment, cwd=ROOT, stderr=said
        )
    try:
        async with calling(f"127.0.0.1:{port}", infra.tls_dir("gateway"), to="identity") as channel:
            stub = identity_pb2_grpc.IdentityServiceStub(channel)
            yield Process(process, stub, folder / "signing", log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        keep([log])


@pytest.mark.promise("8-secrets")
@pytest.mark.timeout(120)
async def test_it_serves_takes_new_keys_on_sighup_and_drains_on_sigterm(
    infra: Infra, privacy: str, mailbox: Mailbox, tmp_path: Path
) -> None:
    async with _running(infra, tmp_path, privacy, mailbox.port) as identity:
        assert await identity.kids() == ["first"]
        signing_key(identity.signing, "second")
        identity.process.send_signal(signal.SIGHUP)

        async def both() -> bool:
            return set(await identity.kids()) == {"first", "second"}

        await eventually(both, timeout=PATIENCE)
        (identity.signing / "second.pem").write_text("not a key", encoding="utf-8")
        identity.process.send_signal(signal.SIGHUP)
        await eventually(lambda: "could not be read" in identity.said(), timeout=PATIENCE)
        assert await both(), "a broken folder changes nothing"
        identity.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(identity.process.wait(), 40) == 0


@pytest.mark.timeout(120)
async def test_a_process_does_the_main_thing_and_its_log_names_nobody(
    infra: Infra, privacy: str, mailbox: Mailbox, tmp_path: Path
) -> None:
    async with _running(infra, tmp_path, privacy, mailbox.port) as identity:
        await identity.kids()
        email = new_address()
        wish = identity_pb2.SignUpRequest(
            email=email,
            password=PASSWORD,
            is_adult=True,
            accepted_policy_version="2025-10-29",
            accepted_terms_version="2025-10-29",
            request_id="0f9d3a52-7b1f-4b3e-9c1e-" + secrets.token_hex(6),
        )
        await identity.stub.SignUp(wish, metadata=FROM)
        token = await mailbox.token(email)
        await identity.stub.VerifyEmail(identity_pb2.VerifyEmailRequest(token=token))
        answer = await identity.stub.CreateSession(
            identity_pb2.CreateSessionRequest(email=email, password=PASSWORD)
        )
        account = await identity.stub.GetAccount(
            identity_pb2.GetAccountRequest(), metadata=(("authorization", f"Bearer {answer.access_token}"),)
        )
        assert account.email == email
        said = identity.said()
        for value in (email, PASSWORD, token, answer.access_token, FROM[0][1]):
            assert value not in said
