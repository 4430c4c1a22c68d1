"""Every query of billing: the ledger, and who is a customer at Stripe."""

from services.billing.repository.customers import Customers
from services.billing.repository.ledger import Ledger

__all__ = ["Customers", "Ledger"]
