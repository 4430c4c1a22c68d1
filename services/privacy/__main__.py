"""Privacy, put together: read this and you know everything it works with."""

from __future__ import annotations

import secrets
from functools import partial

from crafiq.privacy.v1 import privacy_pb2

from chassis.pages import Pages
from chassis.service import Service, main
from chassis.settings import ServiceSettings
from promises.standing import keep_promises
from services.privacy.adapters import Holders, packaged
from services.privacy.consumers import Consumers
from services.privacy.domain import SALT_BYTES, Row
from services.privacy.handler import Handler
from services.privacy.repository import Acceptances, Consents, Documents


async def compose(service: Service, settings: ServiceSettings) -> None:
    """Post the packaged documents and wire the service.

    Raises PostedTextChangedError if a posted text was edited.
    """
    db = service.db
    documents, acceptances, consents = Documents(db), Acceptances(db), Consents(db)
    await documents.post(packaged())
    pages = Pages(bytes.fromhex(settings.request_key.get_secret_value()))
    holders = Holders({name: service.peer(name) for name in settings.peers}, service.clock)
    new_salt = partial(secrets.token_bytes, SALT_BYTES)
    handler = Handler(documents, acceptances, consents, holders, pages, new_salt)
    service.offer(privacy_pb2.DESCRIPTOR.services_by_name["PrivacyService"], handler)
    keep_promises(service)
    service.listen(Consumers(documents, acceptances, service.new_id).subscriptions())


async def start() -> None:
    """Serve until told to stop."""
    settings = ServiceSettings.load()
    async with Service("privacy", settings, metadata=Row.metadata) as service:
        await compose(service, settings)
        await service.run()


if __name__ == "__main__":
    main(start)
