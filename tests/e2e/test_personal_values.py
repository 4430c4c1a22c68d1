"""The last of the end-to-end tests: no log has what the others told the platform, nor a secret of its own.

tests/e2e/conftest.py puts it at the end. It stops the platform first, so that everything that is
still on its way to a file arrives there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import ssl
from pathlib import Path

import asyncpg
import nats
import pytest
from nats.js.errors import NotFoundError

from deploy.local.infra import SERVICES, Infra
from tests.e2e.conftest import Join
from tests.personal import all_used, assert_discreet, found_in, overheard, used, written
from tests.running import Running, servers
from tests.secret_values import secrets_of, told_to

WRITES = (*SERVICES, "gateway", "postgres", "nats", "s3")


async def _events(platform: Running, into: Path) -> Path:
    """Everything that was ever announced: subjects, headers, bodies. Streams are encrypted on the disk."""
    tls = platform.state / "tls" / "nats"
    context = ssl.create_default_context(cafile=tls / "ca.crt")
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    client = await nats.connect(platform.endpoints["nats"], tls=context, allow_reconnect=False)
    manager = client.jsm()
    with into.open("wb") as file:
        for stream in await manager.streams_info():
            for number in range(max(1, stream.state.first_seq), stream.state.last_seq + 1):
                with contextlib.suppress(NotFoundError):
                    message = await manager.get_msg(stream.config.name, number)
                    file.write(
                        f"{message.subject} {message.headers} ".encode() + (message.data or b"") + b"\n"
                    )
    await client.close()
    return into


@pytest.mark.timeout(180)
@pytest.mark.promise("2a-input-text", "8-minimise", "2b-interaction-nocontent", "2b-log")
async def test_no_log_trace_or_event_holds_a_personal_value_of_the_whole_suite(
    platform: Running, join: Join, photo: bytes, tmp_path: Path
) -> None:
    person = await join(displayName=used("Zenobia Quillfeather-Ashdown"))
    asset = await person.upload(photo, "zenobia-at-home.jpg", "image/jpeg")
    order = await person.order("zenobia's blue velvet armchair", inputAssets=[asset["name"]])
    assert (await person.finished(order["name"]))["state"] == "SUCCEEDED"
    events = await _events(platform, tmp_path / "events")
    assert person.account.encode() in events.read_bytes()
    told = told_to(platform.process.pid, tmp_path / "processes")
    platform.stop()
    # The sandbox stands in for somebody outside; it is asked for as much discretion as we are.
    logs = written(platform.state)
    assert {f"{name}.log" for name in WRITES} <= {path.name for path in logs if path.stat().st_size}
    assert any(path.suffix == ".jsonl" and path.stat().st_size for path in logs)
    assert len(all_used()) > 5
    assert found_in([*logs, events, told], all_used()) == []
    ours = secrets_of(platform.state)
    assert len(ours) > 40
    assert all(f"services.{name}" in told.read_text() for name in SERVICES)
    assert found_in([*logs, events, told], _but_for_the_inbox(ours)) == []


def _but_for_the_inbox(ours: dict[bytes, str]) -> dict[bytes, str]:
    """The launcher prints the URL of development's mailbox, and whoever has it may read there."""
    return {value: file for value, file in ours.items() if not file.endswith("crafiq_inbox_token")}


def test_what_is_looked_for_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "some.log").write_text("{}\nsaid Zo\\u00eb Quill/feather here\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"name in some\.log, line 2: said Zo\\u00eb Quill"):
        assert_discreet(tmp_path.iterdir(), {"Zoë Quill/feather": "name", "nobody's words": "prompt"})


def test_what_a_service_logs_in_a_test_would_be_found(tmp_path: Path) -> None:
    planted = f"planted-{secrets.token_hex(8)}"
    with (
        pytest.raises(AssertionError, match=r"prompt in in-process\.log, line 1: .*planted"),
        overheard(tmp_path, {planted: "prompt"}),
    ):
        logging.getLogger("crafiq.test").info("ordered %s", planted)


@pytest.mark.slow
async def test_what_servers_log_would_be_found(tmp_path: Path) -> None:
    planted = f"planted-{secrets.token_hex(8)}"

    async def tell() -> None:
        async with servers() as infra:
            connection = await asyncpg.connect(infra.postgres.admin_dsn)
            await connection.execute("SET log_statement = 'all'")
            await connection.execute(f"SELECT '{planted}'")
            await connection.close()

    with (
        pytest.raises(AssertionError, match=r"email in \d+-postgres\.log, line \d+: .*planted"),
        overheard(tmp_path, {planted: "email"}),
    ):
        await tell()


@pytest.mark.promise("8-secrets")
async def test_a_secret_that_a_process_was_told_would_be_found(tmp_path: Path, infra: Infra) -> None:
    ours = secrets_of(infra.state.root)
    for where, more in (("command", {}), ("environment", {"DSN": infra.postgres.dsn("billing")})):
        words = [infra.nats.admin_url] if where == "command" else []
        process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 60; true", *words, env=more)
        try:
            told = told_to(process.pid, tmp_path / where)
            (said, *_) = found_in([told], ours)
            assert said.startswith("secrets/nats/admin in" if words else "secrets/postgres/billing in")
        finally:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
