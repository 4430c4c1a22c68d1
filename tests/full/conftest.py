"""People of the end-to-end tests, for the tests of `make test-full` alone."""

from __future__ import annotations

from tests.e2e.conftest import http, join, photo

__all__ = ["http", "join", "photo"]
