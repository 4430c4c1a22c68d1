"""Schemathesis calls everything that the document names, as it says and a little otherwise.

It fails on every answer of 5xx, on every answer in a shape that is not documented, and on every call
that needs a person and answers nobody.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Join
from tests.running import Running

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
ENDS_THE_SESSION = ("--exclude-operation-id", "signOut")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def _run(folder: Path, gateway: str, *more: str, names: dict[str, str] | None = None) -> None:
    """Fails with what schemathesis says, if it found something.

    names: what to call in place of a parameter of that name, by default anything.
    """
    told = "".join(f"{name} = {json.dumps(value)}\n" for name, value in (names or {}).items())
    (folder / "schemathesis.toml").write_text(f"[parameters]\n{told}")
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{gateway}/openapi.json",
        "--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--max-time", str(MOST_SECONDS),
        "--seed", "1", "--request-timeout", "20", "--continue-on-failure", "--generation-database", "none",
        "--no-color", *more,
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


async def test_nobody_gets_the_platform_to_fail(platform: Running, tmp_path: Path) -> None:
    await _run(tmp_path, platform.gateway)


async def test_a_person_who_asks_for_anything_does_not(platform: Running, join: Join, tmp_path: Path) -> None:
    person = await join()
    await _run(tmp_path, platform.gateway, *ENDS_THE_SESSION, "--header", _bearer(person.access_token))


async def test_a_person_who_asks_for_what_is_theirs_does_not(
    platform: Running, join: Join, photo: bytes, tmp_path: Path
) -> None:
    person = await join()
    asset = await person.upload(photo, "astronaut.jpg", "image/jpeg")
    generation = await person.order("a copper kettle", inputAssets=[asset["name"]])
    await person.finished(generation["name"])
    names = {"asset": asset["name"], "generation": generation["name"]}
    await _run(
        tmp_path, platform.gateway, *ENDS_THE_SESSION, "--header", _bearer(person.access_token),
        names={name: value.split("/")[1] for name, value in names.items()},
    )  # fmt: skip


def _bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"
