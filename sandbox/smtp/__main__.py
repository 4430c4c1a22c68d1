"""Take mail and show it until SIGTERM: `python -m sandbox.smtp`."""

from __future__ import annotations

import asyncio
import signal
import ssl
from datetime import UTC, datetime

from aiohttp import web

from sandbox.faults import FaultPlan
from sandbox.settings import SmtpSettings, host_and_port
from sandbox.smtp.inbox import Inbox
from sandbox.smtp.server import KINDS, listen
from sandbox.smtp.web import create_app


async def serve(settings: SmtpSettings) -> None:
    """Both sides in one loop; returns after SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    inbox, plan = Inbox(lambda: datetime.now(UTC)), FaultPlan(KINDS)
    token = settings.inbox_token.get_secret_value() if settings.inbox_token else ""
    runner = web.AppRunner(create_app(inbox, plan, token), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, *host_and_port(settings.sandbox_listen), shutdown_timeout=2).start()
    password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
    login = (settings.sandbox_smtp_user, password) if password else None
    server = await listen(inbox, plan, *host_and_port(settings.sandbox_smtp_listen), login, _tls(settings))
    await stop.wait()
    server.close()
    await runner.cleanup()


def _tls(settings: SmtpSettings) -> ssl.SSLContext | None:
    if settings.tls_dir is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_dir / "tls.crt", settings.tls_dir / "tls.key")
    return context


if __name__ == "__main__":
    # Its values come from the environment and from secret files.
    asyncio.run(serve(SmtpSettings()))  # type: ignore[call-arg]  # pydantic-settings fills the fields
