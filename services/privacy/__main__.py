"""Privacy, put together: read this and you know everything it works with."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from functools import partial
from pathlib import Path

from crafiq.privacy.v1 import privacy_pb2
from crafiq.privacy.v1.events_pb2 import AccountErased

from chassis.jobs import Job
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.settings import ServiceSettings
from promises.ledger import place
from promises.standing import keep_promises
from services.privacy.adapters import Bus, Holders, ReceiptKeys, TombstoneLedger, packaged
from services.privacy.consumers import Consumers, Opening
from services.privacy.domain import SALT_BYTES, Row
from services.privacy.handler import Handler
from services.privacy.jobs import Caseworker, Tools, Watch
from services.privacy.repository import Acceptances, Consents, Documents, Erasures


class Settings(ServiceSettings):
    """`tombstones_locked`: how long nobody can remove one; as long as the oldest backup, and a margin."""

    tombstones_locked: timedelta = timedelta(days=35)


async def compose(service: Service, settings: Settings, keys: ReceiptKeys) -> None:
    """Post the packaged documents and wire the service.

    Raises PostedTextChangedError if a posted text was edited.
    """
    db, clock = service.db, service.clock
    documents, acceptances, consents, erasures = Documents(db), Acceptances(db), Consents(db), Erasures(db)
    await documents.post(packaged())
    await erasures.keep_keys(keys.public)
    holders = Holders({name: service.peer(name) for name in settings.peers}, clock)
    ledger = TombstoneLedger(*place(settings), settings.tombstones_locked)
    tools = Tools(holders, Bus(service.bus, holders.names), ledger, keys)
    caseworker = Caseworker(erasures, tools, clock)
    pages = Pages(bytes.fromhex(settings.request_key.get_secret_value()))
    new_salt = partial(secrets.token_bytes, SALT_BYTES)
    handler = Handler(documents, acceptances, consents, erasures, ledger, holders, pages, new_salt)
    service.offer(privacy_pb2.DESCRIPTOR.services_by_name["PrivacyService"], handler)
    keep_promises(service, AccountErased, [Opening(erasures, holders.names, caseworker.hear)])
    service.listen(Consumers(documents, acceptances, service.new_id, caseworker.hear).subscriptions())
    service.background(caseworker.run)
    service.background(Watch(erasures, clock).run)
    service.every(Job("old plans", timedelta(hours=1), erasures.sweep_plans))
    service.every(Job("ledger", timedelta(hours=6), ledger.sweep))


async def start() -> None:
    """Serve until told to stop; receipts are signed with `receipts/<kid>.pem` beside the secrets."""
    settings = Settings.load()
    keys = ReceiptKeys(Path(os.environ["CRAFIQ_SECRETS_DIR"]) / "receipts")
    async with Service("privacy", settings, metadata=Row.metadata) as service:
        await compose(service, settings, keys)
        await service.run()


if __name__ == "__main__":
    main(start)
