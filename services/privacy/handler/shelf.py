"""What the methods of the handler share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.clock import Clock
from chassis.pages import Pages
from services.privacy.adapters import Holders, TombstoneLedger
from services.privacy.repository import Acceptances, Consents, Documents, Erasures


@dataclass
class Shelf:
    """What is read and written; `new_salt` gives SALT_BYTES random bytes."""

    documents: Documents
    acceptances: Acceptances
    consents: Consents
    erasures: Erasures
    ledger: TombstoneLedger
    holders: Holders
    pages: Pages
    new_salt: Callable[[], bytes]

    @property
    def clock(self) -> Clock:
        """The time as the database's rows have it."""
        return self.consents.db.clock


def moment(at: datetime) -> Timestamp:
    """A time as the API has it."""
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
