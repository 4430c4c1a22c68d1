"""What assets keeps, declared."""

from __future__ import annotations

from datetime import timedelta

from promises.inventory import (
    ACCOUNT,
    ANONYMISE,
    DELETE,
    Base,
    Basis,
    Category,
    Declaration,
    Keep,
    Purpose,
    inventory,
)
from promises.tables import standard

UPLOAD_OPEN = timedelta(minutes=45)
"""An upload that is not completed by then ends, and its bytes go: within the hour, with time to spare."""
UPLOAD_REMEMBERED = timedelta(days=7)
"""How long a completed upload is known, so that asking again gives the same asset."""

NAMES = "a name; what it names says whose it is"


class Row(Base, registry=inventory("assets")):
    """A row of this service."""


standard(Row.metadata)

TITLE = Declaration(Category.CONTENT, Purpose.STORAGE, Basis.CONTRACT, ACCOUNT, DELETE)
FILE = Declaration(Category.MEDIA, Purpose.STORAGE, Basis.CONTRACT, ACCOUNT, DELETE)
"""What a file of a person's is: type, length, digest, dimensions."""
CAME = Declaration(Category.ACTIVITY, Purpose.STORAGE, Basis.CONTRACT, ACCOUNT, DELETE)
"""When a person brought or made it, and from what."""

_OWNED = Keep.until("the owner anonymises the publication, deletes the asset or the account")
PUBLISHED = Declaration(Category.ACTIVITY, Purpose.PUBLICATION, Basis.CONTRACT, _OWNED, ANONYMISE)
"""Of what a public work was made, and whether it says who made it."""
LIKED = Declaration(Category.ACTIVITY, Purpose.PUBLICATION, Basis.CONTRACT, ACCOUNT, DELETE)

OBJECTED = Declaration(Category.ACTIVITY, Purpose.RIGHTS, Basis.LEGAL_OBLIGATION, ACCOUNT, DELETE)
"""What a person decided about their works, as far as it has to be heeded here (GDPR Art. 21)."""

_COMPLETED = Keep.until("the upload is completed or has ended", UPLOAD_OPEN)
_REMEMBERED = Keep.until("the upload is forgotten", UPLOAD_REMEMBERED)
FILE_NAME = Declaration(Category.CONTENT, Purpose.STORAGE, Basis.CONTRACT, _COMPLETED, DELETE)
DECLARED = Declaration(Category.MEDIA, Purpose.STORAGE, Basis.CONTRACT, _REMEMBERED, DELETE)
"""What was said of a file before it came."""
UPLOADED = Declaration(Category.ACTIVITY, Purpose.STORAGE, Basis.CONTRACT, _REMEMBERED, DELETE)
