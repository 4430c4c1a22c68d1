"""Nothing listens beyond this machine, and nobody is let in unasked: every open port is knocked at."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.doors import DOORS, TLS, knock
from tests.processes import listening, listening_sockets, written_down
from tests.running import Running

pytestmark = [pytest.mark.promise("8-least-priv")]


def _open(platform: Running) -> dict[str, int]:
    """The doors that the kernel knows, by the names that the launcher gave them."""
    named = {port: name for name, port in json.loads((platform.state / "ports.json").read_text()).items()}
    return {named.get(port, f"port {port}"): port for _, _, port in listening({platform.process.pid})}


def test_every_port_of_every_process_is_one_of_the_doors(platform: Running) -> None:
    running = set(written_down(platform.state).values())
    found = listening({platform.process.pid})
    assert found == listening(running)
    assert {(protocol, address) for protocol, address, _ in found} == {("tcp", "127.0.0.1")}
    assert set(_open(platform)) == set(DOORS)


def test_who_has_nothing_to_show_is_answered_as_the_table_says(platform: Running) -> None:
    knocks = [(name, port, how) for name, port in _open(platform).items() for how in DOORS[name]]
    with ThreadPoolExecutor(16) as people:
        said = dict(zip(knocks, people.map(lambda each: knock(each[1], each[2]), knocks), strict=True))
    wrong = {
        f"{name}, {how}": f"said {answer!r} and not {DOORS[name][how]!r}"
        for (name, _, how), answer in said.items()
        if answer != DOORS[name][how]
    }
    assert not wrong
    assert all(TLS in door and len(door) > 2 for door in DOORS.values())


def test_sockets_that_are_files_are_their_users_alone(platform: Running) -> None:
    found = listening_sockets({platform.process.pid})
    assert {"admin.sock", ".s.PGSQL.5432"} <= {Path(path).name for path in found}
    for path in found:
        assert stat.S_IMODE(Path(path).stat().st_mode) & 0o077 == 0, f"{path} is open to others"


def test_a_door_that_is_open_would_be_noticed(platform: Running) -> None:
    port = _open(platform)["gateway"]
    assert knock(port, "GET /healthz") == "200"
    assert knock(port, "GET /v1/accounts/me") == "401"
    assert knock(_open(platform)["identity"], "GET /") == ""
