"""What the tests of generation share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chassis.service import Service
from deploy.local.infra import Infra
from tests.integration.generation.peers import Peers, peers
from tests.integration.generation.vendor import OpenAISandbox, openai_sandbox
from tests.integration.generation.world import Person, World, world


@pytest.fixture(scope="session")
async def openai() -> AsyncIterator[OpenAISandbox]:
    """One stand-in for the run; tests tell their requests apart by the prompt."""
    async with openai_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
async def served_peers(infra: Infra) -> AsyncIterator[Peers]:
    async with peers(infra.tls_dir) as served:
        yield served


@pytest.fixture(scope="module")
async def generation(infra: Infra, served_peers: Peers, openai: OpenAISandbox) -> AsyncIterator[World]:
    """The service's surroundings; the service itself is not running."""
    async with world(infra, served_peers, openai) as surroundings:
        yield surroundings


@pytest.fixture(scope="module")
async def service(generation: World) -> AsyncIterator[Service]:
    """The service, running for all tests of a module."""
    async with generation.serving() as running:
        yield running


@pytest.fixture
async def person(generation: World, service: Service) -> AsyncIterator[Person]:
    async with generation.person() as somebody:
        yield somebody


@pytest.fixture
async def other(generation: World, service: Service) -> AsyncIterator[Person]:
    async with generation.person() as somebody:
        yield somebody
