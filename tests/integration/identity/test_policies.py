"""Sign-up asks privacy what is in force, and does without it for a while."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from chassis.errors import Unavailable
from chassis.rpc.client import open_channel
from deploy.local.infra import Infra
from services.identity.adapters.policies import Policies
from services.identity.domain.accounts import AcceptedVersions
from tests.integration.identity.conftest import serving_privacy
from tests.support import FakeClock

IN_FORCE = AcceptedVersions("2025-10-29", "2025-10-29")


async def test_what_is_in_force_is_known_for_half_a_minute_and_longer_in_need(
    infra: Infra, tmp_path: Path
) -> None:
    clock = FakeClock()
    async with serving_privacy(infra, clock, tmp_path) as address:
        channel = open_channel(address, infra.tls_dir("identity"), "privacy")
        policies = Policies(channel, clock)
        assert await policies.current(20) == IN_FORCE
    clock.forward(timedelta(seconds=29))
    assert await policies.current(0.5) == IN_FORCE
    clock.forward(timedelta(hours=1))
    assert await policies.current(0.5) == IN_FORCE
    await channel.close()


async def test_without_ever_an_answer_nobody_can_sign_up(infra: Infra) -> None:
    channel = open_channel("127.0.0.1:1", infra.tls_dir("identity"), "privacy")
    policies = Policies(channel, FakeClock())
    with pytest.raises(Unavailable) as refused:
        await policies.current(0.5)
    assert refused.value.retry_after

    await channel.close()
