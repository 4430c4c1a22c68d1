"""What assets is told by its environment."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr

from chassis.settings import ServiceSettings
from services.assets.jobs import WRITING


class Settings(ServiceSettings):
    """`s3_url`: where storage is, also for people; `examined`, `drawn`: files looked at, drawn at a time;
    `idle_days`: after how long what is in no pack and not used is removed; `writing`: how long a write to
    storage may take, before its writer counts as dead."""

    s3_url: str
    s3_quarantine: str = "crafiq-quarantine"
    s3_library: str = "crafiq-library"
    s3_public: str = "crafiq-public"
    s3_access_key: SecretStr
    s3_secret_key: SecretStr
    examined: int = 2
    drawn: int = 1
    writing: timedelta = WRITING
    # Not less than there has to be for two notices and the time between them.
    idle_days: int = Field(default=180, ge=60)

    @property
    def idle(self) -> timedelta:
        """`idle_days` as a time."""
        return timedelta(days=self.idle_days)
