"""What a stand-in is told at its start: environment variables and secret files."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

HOST_PORT = r"^[^:]+:\d+$"


class SandboxSettings(BaseSettings):
    """`CRAFIQ_SANDBOX_LISTEN`: host:port of the HTTP side. Secrets are files in CRAFIQ_SECRETS_DIR."""

    model_config = SettingsConfigDict(
        env_prefix="CRAFIQ_", extra="ignore", secrets_dir=os.environ.get("CRAFIQ_SECRETS_DIR")
    )

    sandbox_listen: str = Field(pattern=HOST_PORT)


class OpenAISettings(SandboxSettings):
    """`crafiq_openai_api_key`: the one key that is accepted."""

    openai_api_key: SecretStr = Field(min_length=8)


class StripeSettings(SandboxSettings):
    """`crafiq_stripe_api_key`: the one key that is accepted.

    `CRAFIQ_SANDBOX_STRIPE_FILE`: where everything stands between two runs, as Stripe does not forget;
    without it, it is gone with the process.
    """

    stripe_api_key: SecretStr = Field(min_length=8)
    sandbox_stripe_file: Path | None = None


class SmtpSettings(SandboxSettings):
    """`CRAFIQ_SANDBOX_SMTP_LISTEN`: host:port of SMTP.

    `CRAFIQ_SANDBOX_SMTP_USER` and the secret `crafiq_smtp_password`: with a password set, mail is
    taken only from who knows both. Secret `crafiq_inbox_token`: when set, the mailbox is read
    under `/<token>/` only; who has the URL has the right.
    """

    sandbox_smtp_listen: str = Field(pattern=HOST_PORT)
    sandbox_smtp_user: str = "crafiq"
    smtp_password: SecretStr | None = None
    inbox_token: SecretStr | None = None


def host_and_port(listen: str) -> tuple[str, int]:
    """`"127.0.0.1:8025"` -> `("127.0.0.1", 8025)`."""
    host, _, port = listen.rpartition(":")
    return host, int(port)
