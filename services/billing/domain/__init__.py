"""The credit ledger: its rows and their rules, what it refuses, what it answers."""

from services.billing.domain.refusals import (
    HoldCaptured,
    HoldMismatch,
    HoldReleased,
    HoldUnknown,
    InsufficientCredits,
    NameInvalid,
    id_of,
)
from services.billing.domain.rows import (
    Hold,
    HoldState,
    Lot,
    Row,
    Transfer,
    TransferKind,
    Wallet,
)
from services.billing.domain.views import (
    Balance,
    Entry,
    Gift,
    Outcome,
    Placement,
)

__all__ = [
    "Balance",
    "Entry",
    "Gift",
    "Hold",
    "HoldCaptured",
    "HoldMismatch",
    "HoldReleased",
    "HoldState",
    "HoldUnknown",
    "InsufficientCredits",
    "Lot",
    "NameInvalid",
    "Outcome",
    "Placement",
    "Row",
    "Transfer",
    "TransferKind",
    "Wallet",
    "id_of",
]
