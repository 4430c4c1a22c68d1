"""The compose file brings the platform up, the demo runs on it, and all of it stops in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploy.containers.once import USER
from deploy.local.infra import SERVICES
from deploy.local.launcher import DRAIN_ORDER
from tests.integration.containers import engine
from tests.integration.containers.compose import ROOT, Json, compose

# In namespaces of its own everything ends with the first process, and no network or mount is seen outside.
ALONE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]

# What billing can do in its container.
MAY = {
    "user": USER,
    "capabilities": 0,
    "no new privileges": 1,
    "secrets": sorted(secret["target"] for secret in compose()["services"]["billing"]["secrets"]),
    "certificates": ["billing"],
    "writes": ["/state/traces", "/tmp"],  # noqa: S108  # of the container
}


@pytest.mark.promise("8-secrets", "9-delete-now")
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(engine.missing()), reason=engine.missing() or "it can run here")
def test_the_demo_runs_in_containers_that_can_do_nothing_else() -> None:
    with tempfile.TemporaryDirectory(prefix="crafiq-engine-") as folder:
        Path(folder).chmod(0o755)
        own = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && exec "$@"'
        command = [*ALONE, "sh", "-c", own, "sh", sys.executable, "-m", engine.__name__, folder]
        said = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
            capture_output=True, text=True, timeout=570, check=False,
        )  # fmt: skip
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    lines = [line.partition(" ")[::2] for line in said.stdout.splitlines()]
    heard = [(what, more) for what, more in lines if what in ("up", "may", "demo", "scrub", "hook", "ended")]
    assert [what for what, _ in heard[:5]] == ["up", "may", "demo", "scrub", "scrub"]
    assert json.loads(heard[1][1]) == MAY
    _scrubbed(*(json.loads(more) for _, more in heard[3:5]))
    stops = [each for each in heard[5:] if each != ("ended", "scrub 0")]
    assert stops[:2] == [("hook", "gateway 0"), ("ended", "gateway 0")], "the door is closed first"
    ended = dict(more.split(" ") for what, more in heard if what == "ended")
    assert {name: code for name, code in ended.items() if code != "0"} == {}
    order = [name for name in ended if name in SERVICES]
    assert set(order[:2]) == set(DRAIN_ORDER[0])


def _scrubbed(planted: Json, clean: Json) -> None:
    """What was planted is found in each volume, and of who left in the demo nothing in any."""
    places = {hit["place"] for hit in planted["hits"]}
    assert places == {
        f"{at}/left-behind" for at in ("gateway", "nats/data", "postgres", "s3", "stripe", "traces")
    }
    assert (planted["valuesFound"], planted["unfinished"]) == (1, [])
    assert (clean["clean"], clean["hits"], clean["unfinished"]) == (True, [], [])
    assert clean["searchedValues"] > 1, "services told nothing of who left"
    assert clean["searchedBytes"] > 50_000_000
    assert (clean["tables"] > 50, clean["deletedObjectBytesLeft"]) == (True, 0)
