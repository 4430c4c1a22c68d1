"""The inventory: a column says what it holds about a person, or that it holds nothing, and why.

    class Row(Base, registry=inventory("assets")):
        \"\"\"What assets keeps.\"\"\"

    TITLE = Declaration(Category.CONTENT, Purpose.STORAGE, Basis.CONTRACT, ACCOUNT, ANONYMISE)

    class Asset(Row, table=True):
        __tablename__ = "assets"
        id: UUID = plain("a random name", primary_key=True)
        account: UUID | None = subject(ANONYMISE)
        title: str | None = TITLE.column()
        state: AssetState = plain("where it stands", Text)  # a StrEnum: text, with a generated CHECK

The foreign key to the subject (`fk_<table>_subject`), the CHECK of an anonymised table
(`ck_<table>_anonymous`) and those of enums (`ck_<table>_<column>`) are generated, never written.
"""

from promises.inventory.checks import RETAINED, UNTIL, check, describe
from promises.inventory.declarations import (
    ACCOUNT,
    ANONYMISE,
    DELETE,
    RETAIN,
    SUBJECTS,
    Base,
    Basis,
    Category,
    Declaration,
    Erase,
    Keep,
    Plain,
    Purpose,
    Subject,
    declared,
    inventory,
    plain,
    subject,
)

__all__ = [
    "ACCOUNT",
    "ANONYMISE",
    "DELETE",
    "RETAIN",
    "RETAINED",
    "SUBJECTS",
    "UNTIL",
    "Base",
    "Basis",
    "Category",
    "Declaration",
    "Erase",
    "Keep",
    "Plain",
    "Purpose",
    "Subject",
    "check",
    "declared",
    "describe",
    "inventory",
    "plain",
    "subject",
]
