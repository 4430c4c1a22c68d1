"""PrivacyService: one method per RPC."""

from services.privacy.handler.consents import Consenting
from services.privacy.handler.documents import Reading

__all__ = ["Handler"]


class Handler(Reading, Consenting):
    """`crafiq.privacy.v1.PrivacyService`: what was posted and agreed to, what is allowed."""
