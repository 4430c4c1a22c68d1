"""Everything that identity keeps is declared."""

from __future__ import annotations

import pytest

from promises.inventory import Declaration, check, declared
from services.identity.domain import Row


@pytest.mark.promise("2-inventory")
def test_the_inventory_has_no_fault() -> None:
    assert check(Row.metadata) == []


@pytest.mark.promise("2-inventory")
@pytest.mark.parametrize(
    ("table", "column", "category"),
    [
        ("accounts", "email", "EMAIL"),
        ("accounts", "username", "NAME"),
        ("accounts", "display_name", "NAME"),
        ("credentials", "password_hash", "CREDENTIAL"),
        ("mails", "recipient", "EMAIL"),
        ("mails", "token", "CREDENTIAL"),
        ("sessions", "device", "DEVICE"),
        ("security_log", "address", "DEVICE"),
        ("refresh_tokens", "token_hash", "CREDENTIAL"),
    ],
)
def test_what_is_personal_is_declared_as_what_it_is(table: str, column: str, category: str) -> None:
    declaration = declared(Row.metadata.tables[table].columns[column])
    assert isinstance(declaration, Declaration)
    assert declaration.category == category


def test_everything_personal_ends_with_the_account_or_on_its_day() -> None:
    for table in Row.metadata.sorted_tables:
        if any(isinstance(declared(column), Declaration) for column in table.columns):
            owners = [key for key in table.foreign_key_constraints if key.ondelete == "CASCADE"]
            kept = table.name.startswith("retained_") and "until" in table.columns
            assert table.name == "accounts" or kept or owners
