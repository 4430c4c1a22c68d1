"""Print each promise of the policy: its control, its tests, their last results; write docs/promises.md.

Usage: python -m tools.promises          print and write
       python -m tools.promises --check  fail if the document is not up to date; print nothing else

Tests carry the ids: `@pytest.mark.promise("9-delete-now")`. A promise's controls are the parts of the product
that its tests import; tests that come from outside, through the gateway, control the whole platform.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.settings import LauncherSettings

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "services" / "privacy" / "documents" / "promises.tsv"
DOCUMENT = ROOT / "docs" / "promises.md"
RESULTS = "test-results.json"  # in the state folder, written by tests/outcomes.py
PRODUCT = ("chassis", "promises", "services", "tools", "cli", "deploy")
HARNESS = ("deploy.local.infra", "deploy.local.certs", "deploy.local.state", "cli.api", "cli.grpc_web")
PLATFORM = "the whole platform"
NOT_BUILT = "not yet built"
HEAD = """# The promises

Each promise of the privacy policy, who owns it, what controls it and which tests hold it to it.
Written by `make promises` from `services/privacy/documents/promises.tsv` and the ids that tests carry.
What the tests said when they last ran on your machine is what `make promises` prints.
"""


@dataclass(frozen=True)
class Promise:
    """A line of promises.tsv: what the policy says, and the services that keep it."""

    id: str
    owner: str
    text: str


@dataclass(frozen=True)
class MarkedTest:
    """A test function or class that carries ids: `tests/unit/billing/test_domain.py::test_...`."""

    node: str
    ids: tuple[str, ...]
    controls: frozenset[str]

    @property
    def file(self) -> str:
        """Where it stands."""
        return self.node.partition("::")[0]


@dataclass
class Kept:
    """What is known of a promise."""

    promise: Promise
    tests: list[MarkedTest] = field(default_factory=list)

    @property
    def controls(self) -> list[str]:
        """The parts of the product that its tests hold to it."""
        return sorted({control for test in self.tests for control in test.controls})

    def last_result(self, outcomes: dict[str, str]) -> str:
        """What the tests said when they last ran."""
        if not self.tests:
            return NOT_BUILT
        said = Counter(_outcome(test.node, outcomes) for test in self.tests)
        if said["failed"]:
            return f"FAILED ({said['failed']} of {len(self.tests)})"
        if said["passed"] == len(self.tests):
            return "passed"
        return f"passed {said['passed']} of {len(self.tests)}" if said["passed"] else "not run here"


def promises() -> list[Promise]:
    """The promises in the order of the policy."""
    with LIST.open(encoding="utf-8", newline="") as file:
        return [
            Promise(row["id"], row["owner"], row["promise"])
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def marked_tests(folder: Path = ROOT / "tests") -> list[MarkedTest]:
    """Every test that carries ids, read from the sources without running them."""
    return [test for path in sorted(folder.rglob("test_*.py")) for test in _in_file(path, folder.parent)]


def kept() -> list[Kept]:
    """The promises with their tests. Raises KeyError for an id that promises.tsv does not have."""
    found = {promise.id: Kept(promise) for promise in promises()}
    for test in marked_tests():
        for name in test.ids:
            found[name].tests.append(test)
    return list(found.values())


def document() -> str:
    """docs/promises.md: the same for the same sources, so without results and times."""
    rows = [HEAD, "| promise | says | owner | control | tests | state |", "|---|---|---|---|---|---|"]
    for each in kept():
        files = "<br>".join(f"`{file}`" for file in sorted({test.file for test in each.tests}))
        state = "tested" if each.tests else f"{NOT_BUILT}: comes with a later issue"
        says, controls = each.promise.text.replace("|", "\\|"), ", ".join(each.controls)
        rows.append(
            f"| `{each.promise.id}` | {says} | {each.promise.owner} | {controls} | {files} | {state} |"
        )
    return "\n".join(rows) + "\n"


def table(outcomes: dict[str, str]) -> str:
    """What the terminal shows."""
    rows = [("promise", "owner", "control", "tests", "last result")]
    for each in kept():
        controls = _short(each.controls)
        tests = str(len(each.tests) or "-")
        rows.append((each.promise.id, each.promise.owner, controls, tests, each.last_result(outcomes)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    tested = sum(1 for each in kept() if each.tests)
    return (
        "\n".join(line.rstrip() for line in lines) + f"\n\n{tested} of {len(rows) - 1} promises are tested."
    )


def main() -> int:
    """Print and write, or check; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the document is stale")
    check = parser.parse_args().check
    try:
        text = document()
    except KeyError as unknown:
        print(f"A test carries the id {unknown}, which {LIST.relative_to(ROOT)} does not have.")
        return 1
    if not check:
        DOCUMENT.write_text(text, encoding="utf-8")
        print(table(_outcomes()))
    elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
        print("docs/promises.md is not up to date: run `make promises` and commit it.")
        return 1
    return 0


def _in_file(path: Path, root: Path) -> Iterator[MarkedTest]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {
        node.targets[0].id: _ids(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    whole, controls = named.get("pytestmark", ()), _controls(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own = [name for mark in ast.walk(node) for name in _ids_of(mark, named)]
            ids = tuple(dict.fromkeys([*whole, *own]))
            if ids and node.name.lower().startswith("test"):
                yield MarkedTest(f"{path.relative_to(root).as_posix()}::{node.name}", ids, controls)


def _ids(tree: ast.AST) -> tuple[str, ...]:
    return tuple(name for node in ast.walk(tree) for name in _ids_of(node, {}))


def _ids_of(node: ast.AST, named: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    if isinstance(node, ast.Name):  # a mark that was given a name: `promise = pytest.mark.promise(...)`
        return named.get(node.id, ())
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "promise":
        return tuple(str(a.value) for a in node.args if isinstance(a, ast.Constant))
    return ()


def _controls(tree: ast.Module) -> frozenset[str]:
    found = set()
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        ours = [name for name in names if name.split(".")[0] in PRODUCT and not name.startswith(HARNESS)]
        found |= {".".join(name.split(".")[:2]) for name in ours}
    # The transport carries everything; it is what controls only where it alone is tested.
    return frozenset({name for name in found if not name.startswith("chassis")} or found or {PLATFORM})


def _short(names: list[str]) -> str:
    """As much of it as a terminal's line bears."""
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "") if names else "-"


def _outcomes() -> dict[str, str]:
    """What each test said last on this machine, a parametrised one its worst."""
    path = LauncherSettings().state / RESULTS
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _outcome(node: str, outcomes: dict[str, str]) -> str:
    """A class is as good as the worst of its tests."""
    said = [outcome for name, outcome in outcomes.items() if name == node or name.startswith(f"{node}::")]
    return next((worst for worst in ("failed", "skipped", "passed") if worst in said), "not run")


if __name__ == "__main__":
    raise SystemExit(main())
