"""What accounts, sessions and mails are, and what may happen to them."""

from promises.tables import standard
from services.identity.domain import accounts, mails, remembered, security, sessions
from services.identity.domain.rows import Row

standard(Row.metadata)

__all__ = ["Row", "accounts", "mails", "remembered", "security", "sessions"]
