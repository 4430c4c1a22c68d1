"""What was received, for tests that look for what should never have been sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.journal import Journal
from sandbox.media import metadata_in


@dataclass(frozen=True)
class ReceivedFile:
    """A picture that came with a request: `field` of the form, or "images[n].image_url" of JSON."""

    field: str
    filename: str
    content_type: str
    content: bytes

    def described(self) -> dict[str, Any]:
        """Its hash, size and metadata; the bytes themselves are not shown."""
        metadata = metadata_in(self.content)
        return {
            "field": self.field,
            "filename": self.filename,
            "contentType": self.content_type,
            "sizeBytes": len(self.content),
            "sha256": hashlib.sha256(self.content).hexdigest(),
            "hasMetadata": bool(metadata),
            "metadata": metadata,
        }


@dataclass
class Received:
    """One authenticated request and what became of it. charged: OpenAI would bill for it."""

    received_at: datetime
    method: str
    path: str
    request_id: str
    headers: list[str]
    parameters: dict[str, Any] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    status: int | None = None
    charged: bool = False
    fault: str | None = None

    def described(self) -> dict[str, Any]:
        """As GET /sandbox/requests shows it. `status` null: no answer was sent."""
        others = {k: v for k, v in self.parameters.items() if k not in {"prompt", "model"}}
        return {
            "receivedAt": self.received_at.isoformat(),
            "method": self.method,
            "path": self.path,
            "requestId": self.request_id,
            "headers": self.headers,
            "prompt": self.parameters.get("prompt"),
            "model": self.parameters.get("model"),
            "parameters": others,
            "files": self.files,
            "status": self.status,
            "charged": self.charged,
            "fault": self.fault,
        }


class Pictures(Journal[Received]):
    """What was received, and what of it would be charged."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now

    def begin(self, method: str, path: str, request_id: str, headers: list[str]) -> Received:
        """A row for a request that has just come."""
        return self.note(
            Received(self._now(), method, path, request_id, sorted({h.lower() for h in headers}))
        )

    def charge(self, received: Received, pictures: int) -> None:
        """The work is accepted: from here on it costs, whether or not the answer arrives."""
        received.charged = True
        self.accepted += 1
        self.pictures += pictures

    def clear(self) -> None:
        """Forget all rows and counters."""
        super().clear()
        self.accepted = self.pictures = 0
