"""What the processes are told, and what they are not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.infra import SERVICES
from deploy.local.launcher import Platform
from deploy.local.processes import Program
from deploy.local.settings import LauncherSettings
from tests.personal import found_in
from tests.secret_values import secrets_of


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / "env"


@pytest.fixture
def platform(tmp_path: Path, env_file: Path) -> Iterator[Platform]:
    """Everything settled, nothing started."""
    settings = LauncherSettings(state=tmp_path / "state", env_file=env_file)
    platform = Platform(settings, chance=random.Random())
    platform.state.folder()
    platform.choose()
    yield platform
    platform.ports.close()


def _programs(platform: Platform) -> list[Program]:
    services = [platform.topology.service(name) for name in SERVICES]
    told = platform.topology
    return [*services, told.sandbox_openai(), told.sandbox_stripe(), told.sandbox_smtp()]


def test_a_process_gets_its_own_settings_and_nothing_of_the_launchers(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-shell")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for program in _programs(platform):
        given = set(program.environment) - {"PATH", "HOME", "LANG", "PYTHONPATH"}
        assert all(name.startswith("CRAFIQ_") for name in given)


async def test_secrets_are_in_files_and_in_no_environment(platform: Platform, tmp_path: Path) -> None:
    """As declared; tests/e2e/test_personal_values.py looks at the processes themselves."""
    servers = [
        platform.nats.program(),
        platform.s3.program(platform.origins),
        await platform.postgres.program(),
    ]
    door = platform.gateway.program(platform.certificates, platform.topology.peers, "127.0.0.1:1")
    told = tmp_path / "told"
    programs = [*_programs(platform), *servers, door]
    told.write_text("\n".join(f"{p.command} {dict(p.environment)}" for p in programs))
    secrets = secrets_of(platform.state.root)
    assert len(secrets) > 40
    assert found_in([told], secrets) == []


def test_each_service_has_the_secrets_that_it_needs_and_no_others(platform: Platform) -> None:
    _programs(platform)
    database, ledger = ("crafiq_database_url", "crafiq_nats_password", "crafiq_request_key"), "crafiq_ledger"
    common = {*database, f"{ledger}_access_key", f"{ledger}_secret_key"}
    own = {
        "identity": {"crafiq_token_key", "crafiq_smtp_password", "signing"},
        "assets": {"crafiq_s3_access_key", "crafiq_s3_secret_key"},
        "generation": {"crafiq_openai_api_key"},
        "billing": {"crafiq_stripe_api_key", "crafiq_stripe_webhook_secret"},
        "privacy": {"receipts"},
    }
    for name in SERVICES:
        found = {path.name for path in platform.secrets.folder(name).iterdir()}
        assert found == common | own.get(name, set())


def test_without_a_key_the_sandbox_stands_in_for_the_vendor(platform: Platform) -> None:
    told = platform.topology.service("generation").environment
    assert told["CRAFIQ_OPENAI_URL"] == f"http://127.0.0.1:{platform.topology.openai}/v1"
    assert told["CRAFIQ_OPENAI_SANDBOX"] == "true"


def test_a_key_makes_the_vendor_take_over_and_its_removal_the_sandbox(
    platform: Platform, env_file: Path
) -> None:
    env_file.write_text("# mine\nexport OPENAI_API_KEY='sk-real'\n")
    told = platform.topology.service("generation").environment
    key = platform.secrets.folder("generation") / "crafiq_openai_api_key"
    assert told["CRAFIQ_OPENAI_URL"] == "https://api.openai.com/v1"
    assert told["CRAFIQ_OPENAI_SANDBOX"] == "false"
    assert key.read_text() == "sk-real"
    env_file.unlink()
    told = platform.topology.service("generation").environment
    assert told["CRAFIQ_OPENAI_SANDBOX"] == "true"
    assert key.read_text() != "sk-real"


def test_stripe_too_is_the_sandbox_until_there_is_a_key(platform: Platform, env_file: Path) -> None:
    key = platform.secrets.folder("billing") / "crafiq_stripe_api_key"
    told = platform.topology.service("billing").environment
    assert told["CRAFIQ_STRIPE_URL"] == f"http://127.0.0.1:{platform.topology.stripe}"
    assert key.read_text() == (platform.secrets.folder("sandbox-stripe") / key.name).read_text()
    signs = key.with_name("crafiq_stripe_webhook_secret")
    made = signs.read_text()
    assert len(made) > 32
    platform.topology.service("billing")
    assert signs.read_text() == made
    env_file.write_text("STRIPE_API_KEY=sk_test_real\nSTRIPE_WEBHOOK_SECRET=whsec_real\n")
    told = platform.topology.service("billing").environment
    assert told["CRAFIQ_STRIPE_URL"] == "https://api.stripe.com"
    assert (key.read_text(), signs.read_text()) == ("sk_test_real", "whsec_real")
