"""Settings come from the environment, secrets from files, and a service says what it lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from chassis.settings import ServiceSettings

TOLD = {
    "CRAFIQ_LISTEN": "127.0.0.1:1",
    "CRAFIQ_METRICS_LISTEN": "127.0.0.1:2",
    "CRAFIQ_TLS_DIR": "tls",
    "CRAFIQ_NATS_URL": "tls://127.0.0.1:3",
    "CRAFIQ_PEERS": '{"identity": "127.0.0.1:4"}',
}
SECRETS = {
    "crafiq_database_url": "postgresql://billing:hush@/billing",
    "crafiq_nats_password": "hush",
    "crafiq_request_key": "5c" * 32,
}


class Settings(ServiceSettings):
    token_key: SecretStr = SecretStr("")
    smtp_port: int = 25


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in TOLD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRAFIQ_SECRETS_DIR", str(tmp_path))
    (tmp_path / "signing").mkdir()
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(value)
    return tmp_path


def test_settings_are_read_from_environment_and_files(told: Path) -> None:
    (told / "crafiq_token_key").write_text("key\n")
    settings = Settings.load()
    assert settings.peers == {"identity": "127.0.0.1:4"}
    assert settings.database_url.get_secret_value() == SECRETS["crafiq_database_url"]
    assert settings.token_key.get_secret_value() == "key"
    assert (settings.smtp_port, settings.trace_ratio) == (25, 0.1)


def test_no_secret_is_shown(told: Path) -> None:
    assert "hush" not in repr(Settings.load())


def test_what_is_missing_is_named_and_no_value_shown(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (told / "crafiq_nats_password").unlink()
    monkeypatch.setenv("CRAFIQ_SMTP_PORT", "hush")
    with pytest.raises(ValidationError) as caught:
        Settings.load()
    assert "nats_password" in str(caught.value)
    assert "hush" not in str(caught.value)


def _said(fault: str) -> list[str]:
    """What a service says whose composition raises this."""
    script = f"""
from chassis.service import main
async def start():
    raise {fault}
main(start)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=30,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_a_service_that_cannot_start_says_why() -> None:
    assert _said("OSError('port 1 is taken')") == ["port 1 is taken"]


def test_a_service_that_is_wired_wrongly_says_where() -> None:
    logged, sentence = _said("TypeError('GetAsset is missing')")
    assert sentence == "GetAsset is missing"
    error = json.loads(logged)["error"]
    assert error["types"] == ["builtins.TypeError"]
    assert error["at"][-1] == "<string>:4 start"
