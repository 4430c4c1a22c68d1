"""What the migrations make is what the rows say, in every service."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Column, MetaData, Table, Text

from chassis.migrate import newest
from deploy.local.infra import SERVICES, Infra
from promises.inventory import check
from tools.migration import drift, folder_of, metadata_of


@pytest.mark.parametrize("service", SERVICES)
async def test_the_migrated_schema_is_the_declared_one(infra: Infra, service: str) -> None:
    assert not await drift(infra.postgres.admin_dsn, metadata_of(service), folder_of(service))


@pytest.mark.parametrize("service", SERVICES)
def test_the_newest_revision_is_found_as_alembic_finds_it(service: str) -> None:
    assert newest(folder_of(service)) == set(ScriptDirectory(str(folder_of(service))).get_heads())


@pytest.mark.promise("2-inventory", "8-minimise")
@pytest.mark.parametrize("service", SERVICES)
def test_every_column_is_declared_and_no_declaration_contradicts_another(service: str) -> None:
    assert not check(metadata_of(service))


async def test_drift_is_seen(infra: Infra, tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "0001_first.py").write_text(
        "from alembic import op\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade() -> None:\n    op.execute('CREATE TABLE things (name text PRIMARY KEY, gone text)')\n",
        encoding="utf-8",
    )
    metadata = MetaData()
    wanted = CheckConstraint("name <> ''", name="ck_things_name")
    Table("things", metadata, Column("name", Text, primary_key=True), wanted)
    assert await drift(infra.postgres.admin_dsn, metadata, tmp_path) == [
        "- column things.gone: text",
        "+ constraint things.ck_things_name: CHECK ((name <> ''::text))",
    ]
