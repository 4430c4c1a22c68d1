"""What a person may tell the launcher: `CRAFIQ_<FIELD>` in the environment, keys in `.env`."""

from __future__ import annotations

from pathlib import Path

from dotenv import dotenv_values
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[2]


class LauncherSettings(BaseSettings):
    """All have defaults.

    `state`: the state folder. `gateway_port`: this port and no other. `gateway_tls_port`: serve HTTPS with
    the development certificate as well. `gateway_limit_factor`: multiplies every rate limit.
    `scrub_every`, `canary_every`: seconds from the beginning of one scrub or canary to that of the next; 0
    leaves them to people. What is erased just behind a scrub is there until the next has ended, and has to be
    gone within 24 hours.
    `trace_ratio`: how many of the calls are traced. `env_file`: where the vendors' keys stand.
    `service_settings`: more of what services are told, by name.
    """

    model_config = SettingsConfigDict(env_prefix="CRAFIQ_", extra="ignore", frozen=True)

    state: Path = ROOT / ".crafiq"
    gateway_port: int | None = Field(default=None, ge=1, le=65535)
    gateway_tls_port: int | None = Field(default=None, ge=1, le=65535)
    gateway_limit_factor: int = Field(default=1, ge=1)
    scrub_every: int = Field(default=20 * 3600, ge=0)
    canary_every: int = Field(default=3600, ge=0)
    trace_ratio: float = Field(default=0.1, ge=0, le=1)
    env_file: Path = ROOT / ".env"
    service_settings: dict[str, dict[str, str]] = Field(default_factory=dict)

    def key(self, name: str) -> str | None:
        """A vendor's key from the file; None means that the sandbox stands in for the vendor."""
        return dotenv_values(self.env_file).get(name) or None
