"""The migrations make what the rows say."""

from __future__ import annotations

from deploy.local.infra import Infra
from services.assets.domain import Row
from tools.migration import drift, folder_of


async def test_the_migrations_make_what_the_rows_say(infra: Infra) -> None:
    assert await drift(infra.postgres.admin_dsn, Row.metadata, folder_of("assets")) == []
