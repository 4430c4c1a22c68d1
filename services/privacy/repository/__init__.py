"""Every query of privacy, by noun."""

from services.privacy.repository.consents import Consents
from services.privacy.repository.documents import Acceptances, Documents

__all__ = ["Acceptances", "Consents", "Documents"]
