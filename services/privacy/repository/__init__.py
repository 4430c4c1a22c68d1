"""Every query of privacy, by noun."""

from services.privacy.repository.consents import Consents
from services.privacy.repository.documents import Acceptances, Documents
from services.privacy.repository.erasures import Erasures

__all__ = ["Acceptances", "Consents", "Documents", "Erasures"]
