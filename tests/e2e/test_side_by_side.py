"""Two platforms on one machine: what opens the one opens nothing of the other."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from cli.api import Api, ApiRefused
from deploy.local.infra import SERVICES
from tests.e2e.conftest import Join, Person, new_person
from tests.e2e.doors import DOORS, TLS, knock
from tests.running import Running, started

CERTIFIED = [*SERVICES, *(f"{name}.metrics" for name in SERVICES), "nats"]
"""The doors for which a certificate of the platform's CA is needed."""


def _ports(platform: Running) -> dict[str, int]:
    return dict(json.loads((platform.state / "ports.json").read_text()))


async def _works(person: Person) -> bool:
    order = await person.order("two lighthouses that never meet")
    return (await person.finished(order["name"]))["state"] == "SUCCEEDED"


def _shown(at: Running, whose: Running, into: Path) -> Path:
    """Believing in the CA of `at`, with the gateway's certificate of `whose`."""
    into.mkdir()
    shutil.copy(at.state / "tls" / "gateway" / "ca.crt", into)
    for name in ("tls.crt", "tls.key"):
        shutil.copy(whose.state / "tls" / "gateway" / name, into)
    return into


async def _assert_databases_know_only_their_own(here: Running, there: Running) -> None:
    for service in SERVICES:
        url = (here.state / "secrets" / service / "crafiq_database_url").read_text()
        await (await asyncpg.connect(url)).close()
        foreign = (there.state / "secrets" / "postgres" / service).read_text()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url, password=foreign)


def _assert_doors_know_only_their_own(here: Running, there: Running, folder: Path) -> None:
    ports = _ports(here)
    own, foreign = _shown(here, here, folder / "own"), _shown(here, there, folder / "foreign")
    with ThreadPoolExecutor(16) as people:
        assert all(people.map(lambda name: knock(ports[name], TLS, own), CERTIFIED))
        said = dict(zip(DOORS, people.map(lambda name: knock(ports[name], TLS, foreign), DOORS), strict=True))
    assert {name: word for name, word in said.items() if word} == {}


async def _assert_nobody_is_known_in_both(http: aiohttp.ClientSession, here: Running, theirs: Person) -> None:
    stranger = Api(http, here.gateway)
    with pytest.raises(ApiRefused) as refused:
        await stranger.post("/v1/sessions", email=theirs.email, password=theirs.password)
    assert refused.value.status == 401
    stranger.sign_in_with(theirs.access_token)
    with pytest.raises(ApiRefused) as refused:
        await stranger.get("/v1/accounts/me")
    assert refused.value.status == 401


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.promise("8-isolation")
async def test_two_platforms_know_nothing_of_each_other(
    platform: Running, join: Join, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    person = await join()
    (tmp_path / "other").mkdir()
    with started(tmp_path / "other") as other:
        assert len(_ports(platform)) > 20
        assert not set(_ports(platform).values()) & set(_ports(other).values())
        theirs = await new_person(other, http)
        assert await _works(person)
        assert await _works(theirs)
        assert (await theirs.api.get("/v1/accounts/me"))["name"] == theirs.account
        await _assert_databases_know_only_their_own(platform, other)
        _assert_doors_know_only_their_own(platform, other, tmp_path)
        await _assert_nobody_is_known_in_both(http, platform, theirs)
    assert await _works(person)
    with pytest.raises(aiohttp.ClientError):
        await theirs.api.get("/v1/policy")
