"""Stripe's API as it is on the wire: customers, prices, subscriptions, invoices."""
