"""The house rules that a reader could only hope for, as checks."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

from deploy.local.infra import SERVICES

ROOT = Path(__file__).resolve().parents[2]
CODE = ("chassis", "promises", "services", "sandbox", "cli", "deploy", "tools")
FILE_LINES = 300
FUNCTION_LINES = 30
MAIN_LINES = 80
# Lines of code: without blanks, comments and docstrings (docs/adr/0009-what-the-budgets-count.md).
PACKAGE_LINES = {
    "chassis": 2390,  # what they are for, and what left: the record
    "promises": 1500,
}
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip
# Over budget, each with its reason.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {
    "tools/gateway/bootstrap.py:bootstrap": "one JSON object, easier to read whole",
    "tools/gateway/routes.py:route_config": "one JSON object, easier to read whole",
}


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def _python_files() -> list[Path]:
    files = _tracked(*(f"{folder}/**.py" for folder in CODE))
    return [f for f in files if "migrations" not in f.parts]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _code_lines(path: Path) -> int:
    """Lines on which something stands that runs."""
    text = path.read_text(encoding="utf-8")
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def test_there_is_code_to_check() -> None:
    assert len(_python_files()) > 50


def test_files_stay_small() -> None:
    over = {
        _name(f): _lines(f)
        for f in _python_files()
        if _lines(f) > (MAIN_LINES if f.name == "__main__.py" else FILE_LINES) and _name(f) not in LONG_FILES
    }
    assert not over, f"Split these by noun, or list them with a reason: {over}"


def test_functions_stay_small() -> None:
    over = {}
    for path in _python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            if length > FUNCTION_LINES and f"{_name(path)}:{node.name}" not in LONG_FUNCTIONS:
                over[f"{_name(path)}:{node.name}"] = length
    assert not over, f"Split these, or list them with a reason: {over}"


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return 0
    return (first.end_lineno or first.lineno) - first.lineno + 1


@pytest.mark.parametrize(("package", "budget"), PACKAGE_LINES.items())
def test_the_shared_packages_stay_small(package: str, budget: int) -> None:
    total = sum(_code_lines(f) for f in _python_files() if f.relative_to(ROOT).parts[0] == package)
    assert 0 < total <= budget, "Simplify, or move what only one service needs to that service."


def test_what_explains_code_does_not_count_as_code(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text(
        '"""What it is.\n\nAt length."""\n\n# Why.\nA = (\n    1,  # one\n)\n\n\ndef f():\n    """It."""\n'
    )
    assert _code_lines(file) == 4


def test_nothing_is_left_for_later_without_a_name() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [
        f"{_name(f)}:{number}"
        for f in [*_python_files(), *_tracked("tests/**.py", "proto/**.proto")]
        for number, line in enumerate(f.read_text(encoding="utf-8").splitlines(), 1)
        if marks.search(line) and f != Path(__file__)
    ]
    assert not found


def test_every_exception_to_the_type_checker_has_its_reason() -> None:
    bare = re.compile(r"#\s*type:\s*ignore(\[[^\]]*\])?\s*$")
    found = [
        f"{_name(f)}:{number}"
        for f in _python_files()
        for number, line in enumerate(f.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert not found, "Say why after it: `# type: ignore[code]  # reason`"


def test_every_service_has_the_same_files() -> None:
    allowed = {
        "__init__", "__main__", "domain", "handler", "repository", "consumers", "jobs", "adapters",
        "settings", "migrations", "documents", "README.md", "py.typed",
    }  # fmt: skip
    for service in SERVICES:
        folder = ROOT / "services" / service
        assert (folder / "README.md").is_file()
        names = {p.name.removesuffix(".py") for p in folder.iterdir() if p.name != "__pycache__"}
        assert names <= allowed, f"services/{service} has {sorted(names - allowed)}"
        assert {"__main__", "domain", "handler", "repository", "consumers", "migrations"} <= names


def test_the_project_names_no_machine_and_no_registry() -> None:
    places = re.compile(
        r"(/wor" r"k/|/far" r"m/|/roo" r"t/|p" r"ypi\.org|registry\.n" r"pmjs|deb\.d" r"ebian)"
    )
    found = []
    for path in _tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{_name(path)}:{n}" for n, line in enumerate(text.splitlines(), 1) if places.search(line)]
    assert not found
