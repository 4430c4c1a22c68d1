"""Retention of the standard tables."""

from __future__ import annotations

from chassis.db import Database
from chassis.jobs import Job


def standard_jobs(db: Database) -> list[Job]:
    """Inbox rows go after 14 days (messages live 7), requests after 7; `service.every(job)` each."""
    raise NotImplementedError
