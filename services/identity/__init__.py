"""Accounts, credentials, sessions, and every message sent to an address."""
