"""Promises and the tests that keep them: what `make promises` derives."""

from __future__ import annotations

import json

import pytest

from tests.outcomes import Outcomes
from tools.promises import DOCUMENT, document, kept, marked_tests, promises

NAMES = [promise.id for promise in promises()]


def test_every_id_that_a_test_carries_is_a_promise() -> None:
    foreign = {test.node: set(test.ids) - set(NAMES) for test in marked_tests()}
    assert not {node: ids for node, ids in foreign.items() if ids}


def test_no_promise_is_listed_twice() -> None:
    assert len(NAMES) == len(set(NAMES)) == 143


def test_marks_are_found_wherever_they_stand() -> None:
    found = {test.node: test for test in marked_tests()}
    on_the_module = [test for test in found.values() if test.file == "tests/e2e/test_security_matrix.py"]
    assert on_the_module
    assert all("8-least-priv" in test.ids for test in on_the_module)
    # A mark with a name of its own, used as a decorator.
    assert any("9-delete-now" in t.ids for t in found.values() if t.file.endswith("promises/test_fence.py"))
    assert "promises.inventory" in found_controls("2-inventory")


def found_controls(promise: str) -> list[str]:
    return next(each.controls for each in kept() if each.promise.id == promise)


def test_the_document_has_a_line_for_each_promise() -> None:
    lines = document().splitlines()
    assert all(any(line.startswith(f"| `{name}` |") for line in lines) for name in NAMES)
    assert DOCUMENT.exists()


def test_a_promise_is_as_good_as_its_worst_test() -> None:
    tested = next(each for each in kept() if len(each.tests) > 1)
    nodes = [test.node for test in tested.tests]
    assert tested.last_result(dict.fromkeys(nodes, "passed")) == "passed"
    assert tested.last_result({**dict.fromkeys(nodes, "passed"), nodes[0]: "failed"}).startswith("FAILED")
    assert tested.last_result({}) == "not run here"
    assert next(each for each in kept() if not each.tests).last_result({}) == "not yet built"


def test_outcomes_of_parameters_and_of_earlier_runs_come_together(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("outcomes") / "state" / "results.json"
    first, second = Outcomes(path), Outcomes(path)
    for name, outcome in (("t.py::a[1]", "failed"), ("t.py::a[2]", "passed"), ("t.py::b", "passed")):
        first.pytest_runtest_logreport(report(name, outcome))
    first.pytest_sessionfinish()
    second.pytest_runtest_logreport(report("t.py::b", "failed"))
    second.pytest_sessionfinish()
    assert json.loads(path.read_text()) == {"t.py::a": "failed", "t.py::b": "failed"}


def report(name: str, outcome: str) -> pytest.TestReport:
    return pytest.TestReport(name, ("", 0, ""), {"promise": 1}, outcome, None, "call")  # type: ignore[arg-type]
