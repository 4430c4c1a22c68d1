"""What is outside of this service: lawyers' documents, other holders, the bus, the ledger, signing keys."""

from services.privacy.adapters.bus import Bus
from services.privacy.adapters.documents import DOCUMENTS, packaged
from services.privacy.adapters.holders import DataMap, Holders
from services.privacy.adapters.ledger import TombstoneLedger
from services.privacy.adapters.receipts import RECEIPT, SUPPLEMENT, ReceiptKeys

__all__ = [
    "DOCUMENTS",
    "RECEIPT",
    "SUPPLEMENT",
    "Bus",
    "DataMap",
    "Holders",
    "ReceiptKeys",
    "TombstoneLedger",
    "packaged",
]
