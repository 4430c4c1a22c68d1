"""PrivacyService: one method per RPC."""

from services.privacy.handler.consents import Consenting
from services.privacy.handler.documents import Reading
from services.privacy.handler.holdings import Holding

__all__ = ["Handler"]


class Handler(Reading, Consenting, Holding):
    """`crafiq.privacy.v1.PrivacyService`: what was posted and agreed to, what is allowed, what is held."""
