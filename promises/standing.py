"""What every service does alike for the promises, from its declarations."""

from __future__ import annotations

from chassis.service import Service
from promises.holder import DATA_HOLDER, Holder
from promises.retention import standard_jobs


def keep_promises(service: Service) -> None:
    """Say what is held about people (DataHolder), and end the rows of the standard tables in time."""
    service.offer(DATA_HOLDER, Holder(service.db, service.metadata))
    for job in standard_jobs(service.db):
        service.every(job)
