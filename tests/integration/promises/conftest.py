"""The same made-up library."""

from tests.integration.chassis_data.conftest import account, database_url, db, library_url, new_account, sql

__all__ = ["account", "database_url", "db", "library_url", "new_account", "sql"]
