"""An operator need not wait for the night, in which public works are written anew."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from crafiq.assets.v1 import assets_pb2
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.integration.assets.test_publishing import own, public_bytes, published
from tests.integration.assets.world import PUBLIC, QUARANTINE, Person, World, digest
from tests.unit.assets import makers


async def places(world: World, works: Iterable[assets_pb2.Publication]) -> dict[UUID, Any]:
    """In which order storage keeps works: of each the number of its bytes in the volume."""
    ports = json.loads(world.infra.state.ports.read_text())
    key = OctKey.import_key(world.infra.secrets.get("s3", "jwt_filer_signing_read"))
    token = jwt.encode({"alg": "HS256"}, {"exp": int(time.time()) + 30}, key)
    headers, found = {"Authorization": f"Bearer {token}", "Accept": "application/json"}, {}
    async with aiohttp.ClientSession() as http:
        for work in works:
            url = f"https://127.0.0.1:{ports['s3.filer']}/buckets/{PUBLIC}/{own(work.name)}/"
            async with http.get(url, headers=headers, ssl=world.infra.s3.tls) as answer:
                (entry,) = (await answer.json(content_type=None))["Entries"]
                (chunk,) = entry["chunks"]
                found[own(work.name)] = (chunk["fid"]["volume_id"], chunk["fid"]["file_key"])
    return found


@pytest.mark.promise("9-public-anon")
async def test_works_of_today_are_written_anew_when_an_operator_asks(ada: Person, world: World) -> None:
    works = [await published(ada, (await ada.upload(makers.png(), "image/png")).name) for _ in range(8)]
    before, there = await places(world, works), world.keys(QUARANTINE)
    assert list(before.values()) == sorted(before.values())  # it tells which was first
    request = assets_pb2.BlendPublicWorksRequest()
    answer = await world.call("BlendPublicWorks", request, caller="operator")
    assert answer.works >= len(works)
    after = await places(world, works)
    assert min(after.values()) > max(before.values())
    assert list(after.values()) != sorted(after.values())
    for work in works:
        assert digest(await public_bytes(world, work)) == work.sha256
    assert world.keys(QUARANTINE) <= there
    # The day is not over: they are written once more together with those that are still to come.
    assert not await world.sql("SELECT 1 FROM blended WHERE day = $1", datetime.now(UTC).date())
