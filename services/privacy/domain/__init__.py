"""Documents that were posted, who accepted which, and what people allow."""

from services.privacy.domain.consents import (
    SALT_BYTES,
    Chain,
    Commitment,
    ConsentChange,
    ConsentKind,
    ConsentTextNotShown,
    Wish,
)
from services.privacy.domain.documents import (
    Acceptance,
    Document,
    DocumentKind,
    Manner,
    NothingInForce,
    PairUnknown,
    PolicyVersionUnknown,
    PostedTextChangedError,
    Posting,
    newest,
    pair_of,
)
from services.privacy.domain.row import Row

__all__ = [
    "SALT_BYTES",
    "Acceptance",
    "Chain",
    "Commitment",
    "ConsentChange",
    "ConsentKind",
    "ConsentTextNotShown",
    "Document",
    "DocumentKind",
    "Manner",
    "NothingInForce",
    "PairUnknown",
    "PolicyVersionUnknown",
    "PostedTextChangedError",
    "Posting",
    "Row",
    "Wish",
    "newest",
    "pair_of",
]
