"""Clients as people have them, in front of the gateway of tests/integration/gateway or of the platform."""

from __future__ import annotations

import pytest

from tests.clients.node import Node, installed
from tests.e2e.conftest import http, join
from tests.integration.gateway.conftest import certificates, folder, gateway, services, somebody, upstream

__all__ = ["certificates", "folder", "gateway", "http", "join", "services", "somebody", "upstream"]


@pytest.fixture(scope="session")
def node() -> Node:
    """Node with connect-web and EventSource."""
    return installed()
