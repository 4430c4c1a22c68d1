"""`crafiq status` says how the last scrub and the last canary ended."""

from __future__ import annotations

import json
from pathlib import Path

from cli.status import proofs
from deploy.local.state import StateFolder


def test_what_never_ran_is_said_so(tmp_path: Path) -> None:
    assert list(proofs(StateFolder(tmp_path))) == [
        "Scrub    never ran here: `make scrub`",
        "Canary   never ran here: `make canary`",
    ]


def test_the_last_scrub_and_the_last_canary_are_told(tmp_path: Path) -> None:
    ended = "2026-05-01T12:00:00.123456+00:00"
    (tmp_path / "scrub.json").write_text(
        json.dumps({"last": {"ended": ended, "clean": True}, "signatures": {}})
    )
    (tmp_path / "canary.json").write_text(json.dumps({"ended": ended, "clean": False}))
    assert list(proofs(StateFolder(tmp_path))) == [
        "Scrub    2026-05-01 12:00:00 UTC, found nothing",
        "Canary   2026-05-01 12:00:00 UTC, FOUND SOMETHING, or could not do everything",
    ]
