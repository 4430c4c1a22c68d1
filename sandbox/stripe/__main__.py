"""Serve Stripe's API until SIGTERM: `python -m sandbox.stripe`."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from sandbox.settings import StripeSettings, host_and_port
from sandbox.stripe.app import create_app


def main() -> None:
    # Its values come from the environment and from secret files.
    settings = StripeSettings()  # type: ignore[call-arg]  # pydantic-settings fills the fields
    host, port = host_and_port(settings.sandbox_listen)
    key = settings.stripe_api_key.get_secret_value()
    app = create_app(key, lambda: datetime.now(UTC), settings.sandbox_stripe_file)
    web.run_app(app, host=host, port=port, print=None, access_log=None, shutdown_timeout=2)


if __name__ == "__main__":
    main()
