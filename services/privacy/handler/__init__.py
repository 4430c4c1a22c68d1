"""PrivacyService: one method per RPC."""

from services.privacy.handler.approving import Approving
from services.privacy.handler.consents import Consenting
from services.privacy.handler.documents import Reading
from services.privacy.handler.erasures import Erasing
from services.privacy.handler.holdings import Holding

__all__ = ["Handler"]


class Handler(Reading, Consenting, Holding, Approving, Erasing):
    """`crafiq.privacy.v1.PrivacyService`: what was posted, agreed to, allowed; what is held, and erased."""
