"""Remember what each test that keeps a promise said last, for `make promises`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

RESULTS = "test-results.json"
WORST = ("failed", "skipped", "passed")


class Outcomes:
    """A pytest plugin: at the end, this run's outcomes replace those of the same tests in earlier runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for set-up, call and tear-down of each test; a parametrised one is as good as its worst."""
        if "promise" in report.keywords and (report.when == "call" or report.outcome != "passed"):
            name = report.nodeid.partition("[")[0].partition("@")[0]  # its parameters, its group
            said = [self._said.get(name, WORST[-1]), report.outcome]
            self._said[name] = min(said, key=WORST.index)

    def pytest_sessionfinish(self) -> None:
        """Write all of them or nothing: another run may be reading."""
        if not self._said:
            return
        earlier = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        scratch.write_text(json.dumps({**earlier, **self._said}, indent=1, sort_keys=True), encoding="utf-8")
        scratch.replace(self._path)
