"""Settings: from the environment, secrets from files, checked before anything starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What every service is told: `CRAFIQ_<FIELD>` in the environment, secrets as files of that name.

    A service adds its own fields in a subclass. Addresses are `host:port`; every socket speaks
    mutual TLS with the certificate in `tls_dir` (`ca.crt`, `tls.crt`, `tls.key`).
    """

    model_config = SettingsConfigDict(
        env_prefix="CRAFIQ_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    listen: str
    metrics_listen: str
    tls_dir: Path
    nats_url: str
    peers: dict[str, str] = {}
    public_url: str = "http://localhost:8080"
    trace_file: Path | None = None
    trace_ratio: float = 0.1
    log_level: str = "INFO"

    ledger_url: str = ""
    """Where the ledger of tombstones is (S3); `ledger_bucket` in it, read with a pair of keys."""
    ledger_bucket: str = "crafiq-tombstones"
    ledger_access_key: SecretStr | None = None
    ledger_secret_key: SecretStr | None = None

    database_url: SecretStr
    nats_password: SecretStr
    request_key: SecretStr
    """Hex of 32 bytes: keys the hash of request bodies and of page tokens."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment and the folder of secrets that `CRAFIQ_SECRETS_DIR` names.

        Raises pydantic.ValidationError, which names what is missing and shows no secret.
        """
        return cls(_secrets_dir=os.environ.get("CRAFIQ_SECRETS_DIR"))  # type: ignore[call-arg]  # the rest is read
