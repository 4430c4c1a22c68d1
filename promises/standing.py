"""What every service does alike for the promises, from its declarations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from crafiq.identity.v1.events_pb2 import AccountDeleted
from google.protobuf.message import Message

from chassis import retry
from chassis.consumers import Subscription
from chassis.service import Service
from promises.eraser import Eraser
from promises.erasing import Beyond, Erasing
from promises.holder import DATA_HOLDER, Holder
from promises.holdings import Holdings
from promises.ledger import Ledger, place
from promises.retention import standard_jobs
from promises.subjects import tombstoned

LOG = logging.getLogger("crafiq.promises")
DELETES_ACCOUNTS = "identity"
"""The service that announces AccountDeleted and so need not hear of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeps a service's promises, for who has to ask it directly."""

    eraser: Eraser
    holdings: Holdings


def keep_promises(service: Service, erased: Callable[..., Message], beyond: Sequence[Beyond] = ()) -> Kept:
    """Say what is held about people, erase whom it is asked to erase, end what is past its time.

    `erased` is the service's AccountErased; `beyond` is what it holds that is not a row. Before the
    service serves, it erases whom the ledger names and its database does not, as after a restore.
    """
    eraser = Eraser(service.db, Erasing(service.metadata, beyond), erased)
    holdings = Holdings(service.db, service.metadata, eraser.beyond)
    replay = partial(apply_ledger, service, eraser)
    service.offer(DATA_HOLDER, Holder(service.db, service.metadata, holdings, eraser, replay))
    if service.name != DELETES_ACCOUNTS:
        service.listen([Subscription(DELETES_ACCOUNTS, AccountDeleted, eraser.on_account_deleted)])
    service.first(replay)
    service.background(eraser.run)
    for job in standard_jobs(service.db, service.metadata):
        service.every(job)
    return Kept(eraser, holdings)


async def apply_ledger(service: Service, eraser: Eraser) -> int:
    """Erase whom the ledger names and this database does not; answers how many.

    Raises LedgerUnavailable after half a minute.
    """
    if not service.settings.ledger_url:
        LOG.warning("no ledger of tombstones is set: a restored backup would bring erased people back")
        return 0
    ledger, applied = Ledger(*place(service.settings)), 0
    for wanted in await retry.connecting(ledger.standing):
        if not await tombstoned(service.db, wanted.account):
            await eraser.now(wanted)
            applied += 1
    if applied:
        LOG.warning("%d tombstones of the ledger were missing here and are applied", applied)
    return applied
