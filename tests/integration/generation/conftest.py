"""What the tests of generation share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.generation.vendor import OpenAISandbox, openai_sandbox


@pytest.fixture(scope="session")
async def openai() -> AsyncIterator[OpenAISandbox]:
    """One stand-in for the run; tests tell their requests apart by the prompt."""
    async with openai_sandbox() as sandbox:
        yield sandbox
