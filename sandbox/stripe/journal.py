"""What was received, for tests that look for what should never have been sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Received:
    """One authenticated request and what became of it. `client`: what the SDK says about its machine."""

    received_at: datetime
    method: str
    path: str
    request_id: str
    headers: list[str]
    client: str
    idempotency_key: str | None
    parameters: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    replayed: bool = False
    fault: str | None = None

    def described(self) -> dict[str, Any]:
        """As GET /sandbox/requests shows it. `status` null: no answer was sent."""
        return {
            "receivedAt": self.received_at.isoformat(),
            "method": self.method,
            "path": self.path,
            "requestId": self.request_id,
            "headers": self.headers,
            "client": self.client,
            "idempotencyKey": self.idempotency_key,
            "parameters": self.parameters,
            "status": self.status,
            "replayed": self.replayed,
            "fault": self.fault,
        }
