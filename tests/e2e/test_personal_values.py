"""The last of the end-to-end tests: what the others told the platform about people is in no log of it.

tests/e2e/conftest.py puts it at the end. It stops the platform first, so that everything that is
still on its way to a file arrives there.
"""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import nats
import pytest
from nats.js.errors import NotFoundError

from deploy.local.infra import SERVICES
from tests.e2e.conftest import Join
from tests.e2e.personal import all_used, found_in, used
from tests.running import Running

# The sandbox stands in for somebody outside; it is asked for as much discretion as we are.
LOGS = ("logs", "traces")
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
    platform.stop()
    logs = [path for folder in LOGS for path in (platform.state / folder).rglob("*") if path.is_file()]
    assert {f"{name}.log" for name in WRITES} <= {path.name for path in logs if path.stat().st_size}
    assert any(path.suffix == ".jsonl" and path.stat().st_size for path in logs)
    assert len(all_used()) > 5
    assert found_in([*logs, events, platform.state / "up.log"], all_used()) == {}


def test_what_is_looked_for_would_be_found(tmp_path: Path) -> None:
    value = "Zoë Quill/feather"
    (tmp_path / "some.log").write_text(r"said Zo\u00eb Quill/feather here", encoding="utf-8")
    assert found_in(tmp_path.iterdir(), [value, "nobody's words"]) == {"some.log": [value]}
