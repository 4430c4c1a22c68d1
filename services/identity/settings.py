"""What identity is told by its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """Mail goes to `smtp_host:smtp_port` from `mail_from`, over TLS unless that is this machine;
    `token_key`, hex of 32 bytes, keys the hashes of refresh tokens and mailed tokens; `pepper_dir` is a
    folder of this service's own, outside of every backup."""

    smtp_host: str
    smtp_port: int
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    mail_from: str = "Crafiq <no-reply@crafiq.ai>"
    token_key: SecretStr
    pepper_dir: Path
