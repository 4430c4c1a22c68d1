"""What all rows of privacy have in common."""

from __future__ import annotations

from sqlalchemy import DateTime

from promises import tables
from promises.inventory import ACCOUNT, DELETE, Base, Basis, Category, Declaration, Purpose, inventory

MOMENT = DateTime(timezone=True)
# GDPR Art. 7(1) and 5(2): who relies on an agreement must be able to show it, while it is relied on.
AGREED = Declaration(Category.ACTIVITY, Purpose.RIGHTS, Basis.LEGAL_OBLIGATION, ACCOUNT, DELETE)


class Row(Base, registry=inventory("privacy")):
    """What privacy keeps."""


tables.standard(Row.metadata)
