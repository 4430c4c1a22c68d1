"""What is outside of this service: the documents of lawyers, and what other services hold."""

from services.privacy.adapters.documents import DOCUMENTS, packaged
from services.privacy.adapters.holders import DataMap, Holders

__all__ = ["DOCUMENTS", "DataMap", "Holders", "packaged"]
