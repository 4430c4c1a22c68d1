"""Schemathesis calls everything that the document names, as it says and a little otherwise.

It fails on every answer of 5xx, on every answer in a shape that is not documented, on every call
that needs a person and answers nobody, and if it has left out something of the document.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import Join
from tests.running import Running

DOCUMENT = Path(__file__).resolve().parents[2] / "deploy" / "gateway" / "openapi.json"
REPORT = "calls.har"
CHECKS = (
    "not_a_server_error",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "use_after_free",
)
# Of each run; a little more goes by until it ends.
MOST_SECONDS = 35
EXAMPLES = 15
# It would end the session of everything that comes after it.
ENDS_THE_SESSION = "signOut"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.promise("3-operate", "8-least-priv")]


async def _run(folder: Path, gateway: str, token: str = "", names: dict[str, str] | None = None) -> None:
    """Fails with what schemathesis says, if it found something, and if it did not call everything.

    token: of who calls, by default nobody. names: what to call in place of a parameter of that name, by
    default anything.
    """
    left_out = {ENDS_THE_SESSION} if token else set()
    more = [argument for each in left_out for argument in ("--exclude-operation-id", each)]
    more += ["--header", f"Authorization: Bearer {token}"] if token else []
    told = "".join(f"{name} = {json.dumps(value)}\n" for name, value in (names or {}).items())
    (folder / "schemathesis.toml").write_text(f"[parameters]\n{told}")
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", str(DOCUMENT), "--url", gateway,
        "--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--max-time", str(MOST_SECONDS),
        "--seed", "1", "--request-timeout", "20", "--continue-on-failure", "--generation-database", "none",
        "--no-color", "--report", "har", "--report-har-path", str(folder / REPORT), *more,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    print(report := out.decode())
    assert process.returncode == 0, report[-12_000:]
    answered, everything = _answered(folder / REPORT), _operations().keys() - left_out
    print(f"{sum(answered.values())} answers, of each operation {min(answered.values())} or more")
    assert answered.keys() == everything


def _operations() -> dict[str, tuple[str, re.Pattern[str]]]:
    """Method and path of each operation of the document, by its id."""
    paths = json.loads(DOCUMENT.read_text())["paths"]
    return {
        operation["operationId"]: (
            method.upper(),
            re.compile(re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(path))),
        )
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def _answered(report: Path) -> Counter[str]:
    """How often each operation was called as documented and answered, whatever the answer was."""
    calls = Counter(
        (entry["request"]["method"], urlsplit(entry["request"]["url"]).path)
        for entry in json.loads(report.read_text())["log"]["entries"]
        if entry["response"]["status"]
    )
    return Counter(
        {
            name: number
            for name, (method, path) in _operations().items()
            if (number := sum(n for (used, at), n in calls.items() if used == method and path.fullmatch(at)))
        }
    )


async def test_nobody_gets_the_platform_to_fail(platform: Running, tmp_path: Path) -> None:
    await _run(tmp_path, platform.gateway)


async def test_a_person_who_asks_for_anything_does_not(platform: Running, join: Join, tmp_path: Path) -> None:
    person = await join()
    await _run(tmp_path, platform.gateway, person.access_token)


async def test_a_person_who_asks_for_what_is_theirs_does_not(
    platform: Running, join: Join, photo: bytes, tmp_path: Path
) -> None:
    person = await join()
    asset = await person.upload(photo, "astronaut.jpg", "image/jpeg")
    generation = await person.order("a copper kettle", inputAssets=[asset["name"]])
    await person.finished(generation["name"])
    names = {"asset": asset["name"], "generation": generation["name"]}
    ids = {name: value.split("/")[1] for name, value in names.items()}
    await _run(tmp_path, platform.gateway, person.access_token, ids)
