"""Every query of billing: the ledger, its books as wholes, and who is a customer at Stripe."""

from services.billing.repository.books import Books
from services.billing.repository.customers import Customers
from services.billing.repository.ledger import Ledger

__all__ = ["Books", "Customers", "Ledger"]
