"""Serve OpenAI's image API until SIGTERM: `python -m sandbox.openai`."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from sandbox.openai.app import create_app
from sandbox.settings import OpenAISettings, host_and_port


def main() -> None:
    # Its values come from the environment and from secret files.
    settings = OpenAISettings()  # type: ignore[call-arg]  # pydantic-settings fills the fields
    host, port = host_and_port(settings.sandbox_listen)
    app = create_app(settings.openai_api_key.get_secret_value(), lambda: datetime.now(UTC))
    web.run_app(app, host=host, port=port, print=None, access_log=None, shutdown_timeout=2)


if __name__ == "__main__":
    main()
