"""Identity: settings, and everything wired once."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path
from secrets import token_bytes

from crafiq.identity.v1 import identity_pb2
from crafiq.identity.v1.events_pb2 import AccountErased

from chassis.clock import Clock
from chassis.pages import Pages
from chassis.service import Service, main
from promises.standing import keep_promises
from services.identity.adapters.erasures import Erasures
from services.identity.adapters.passwords import Passwords
from services.identity.adapters.peppers import Peppers
from services.identity.adapters.policies import Policies
from services.identity.adapters.signing import SigningKeys
from services.identity.adapters.smtp import Mailer, SmtpServer
from services.identity.consumers import Consumers, Remembering
from services.identity.domain import Row
from services.identity.domain.secrets import Secrets
from services.identity.handler import Handler, Kit, announced
from services.identity.jobs.postman import Postman
from services.identity.jobs.repeating import Repeating
from services.identity.jobs.sweeps import sweeps
from services.identity.settings import Settings


def compose(service: Service, settings: Settings, keys: SigningKeys) -> None:
    """Wire the service."""
    login = (settings.smtp_user, settings.smtp_password)
    server = SmtpServer(settings.smtp_host, settings.smtp_port, settings.mail_from, *login)
    postman = Postman(service.db, service.clock, Mailer(server, service.clock), settings.public_url)
    peppers = Peppers(settings.pepper_dir, service.clock, token_bytes)
    others = {name: service.peer(name) for name in settings.peers if name != service.name}
    kit = Kit(
        db=service.db,
        clock=service.clock,
        new_id=service.new_id,
        pages=Pages(bytes.fromhex(settings.request_key.get_secret_value())),
        revocations=service.revocations,
        secrets=Secrets(bytes.fromhex(settings.token_key.get_secret_value()), token_bytes),
        passwords=Passwords(),
        keys=keys,
        policies=Policies(service.peer("privacy"), service.clock),
        erasures=Erasures(others),
        promises=keep_promises(service, AccountErased, [Remembering(service.db, peppers)]),
        peppers=peppers,
        post=postman.wake,
    )
    service.offer(identity_pb2.DESCRIPTOR.services_by_name["IdentityService"], Handler(kit))
    service.listen(Consumers(postman.wake).subscriptions())
    repeating = Repeating(service.db, service.bus, partial(announced, kit))
    for job in (*sweeps(service.db, service.clock, peppers), repeating.job()):
        service.every(job)
    service.background(postman.run)
    service.background(keys.keep_fresh)


async def start() -> None:
    """Serve until told to stop; SIGHUP reads the signing keys `<kid>.pem` again."""
    settings, clock = Settings.load(), Clock()
    keys = SigningKeys(Path(os.environ["CRAFIQ_SECRETS_DIR"]) / "signing", clock)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, keys.reload_or_keep)
    async with Service("identity", settings, metadata=Row.metadata, clock=clock, jwks=keys.jwks) as service:
        compose(service, settings, keys)
        await service.run()


if __name__ == "__main__":
    main(start)
