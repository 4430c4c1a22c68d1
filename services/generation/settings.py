"""What generation is told by its environment."""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr

from chassis.settings import ServiceSettings
from services.generation.domain import RetryPolicy, Rules


class Settings(ServiceSettings):
    """`retry`: the first wait for a vendor; `storing`: the longest for storage. Seconds; else as Rules."""

    openai_url: str = "https://api.openai.com/v1"
    openai_sandbox: bool = False
    openai_api_key: SecretStr
    openai_seconds: float = 180
    slots: int = 8
    share: int = 4
    unknown: float = 900
    lease: float = 30
    retry: float = 1
    storing: float = 30

    def rules(self) -> Rules:
        """What jobs go by."""
        retry, unknown, lease = (timedelta(seconds=n) for n in (self.retry, self.unknown, self.lease))
        return Rules(RetryPolicy(first=retry), self.slots, self.share, unknown, lease)
