"""The tables that every service has."""

from __future__ import annotations

from sqlalchemy import MetaData


def standard(metadata: MetaData) -> None:
    """Add outbox, inbox, requests, dead_letters, leases, tombstones, and subjects (unless the service has its own)."""
    raise NotImplementedError
