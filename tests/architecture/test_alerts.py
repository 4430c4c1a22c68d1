"""Alerts and runbooks: every alert has a page, every page an alert, and what an alert asks for is counted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from cli import __main__ as cli
from deploy.containers.place import METRICS
from deploy.local.infra import SERVICES

ROOT = Path(__file__).resolve().parents[2]
OBSERVABILITY, RUNBOOKS = ROOT / "deploy" / "observability", ROOT / "docs" / "runbooks"
RULES: dict[str, Any] = yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
HEADINGS = [
    "What it means",
    "What people notice",
    "How to look",
    "What to do",
    "How to know that it is over",
]
OF_THE_SCRAPE = {"job", "instance", "service"}  # prometheus.yml sets them
# Counted by others, and by whom.
OTHERS = {
    "up": "Prometheus itself: whether a target answered",
    "node_filesystem_avail_bytes": "node_exporter",
    "node_filesystem_size_bytes": "node_exporter",
}
SUFFIXES = {"Counter": ["_total"], "Gauge": [""], "Histogram": ["_bucket", "_sum", "_count"]}


@cache
def _counted() -> dict[str, set[str]]:
    """Every metric that our code counts, as Prometheus names it, with its labels."""
    found: dict[str, set[str]] = {}
    for package in ("chassis", "promises", "services"):
        for path in (ROOT / package).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
                    found.update(_metric(call))
    return found


def _metric(call: ast.Call) -> Iterator[tuple[str, set[str]]]:
    kind = {"Metric": "Counter"}.get(name := getattr(call.func, "id", ""), name)
    named = call.args[0].value if isinstance(call.args[0], ast.Constant) else None
    if kind in SUFFIXES and isinstance(named, str) and named.startswith("crafiq_"):
        labels = set(ast.literal_eval(call.args[2])) if len(call.args) > 2 else set()
        more = {"le"} if kind == "Histogram" else set()
        for suffix in SUFFIXES[kind]:
            yield named + suffix, labels | more


def _selectors(expression: Any) -> Iterator[promql.VectorSelector]:
    """Every series that an expression asks for."""
    if isinstance(expression, promql.VectorSelector):
        yield expression
    for part in ("expr", "lhs", "rhs", "vector_selector"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from _selectors(inner)
    for inner in getattr(expression, "args", None) or []:
        yield from _selectors(inner)


def test_a_few_alerts_in_groups_with_names_of_their_own() -> None:
    assert set(RULES) == {"groups"}
    assert len({group["name"] for group in RULES["groups"]}) == len(RULES["groups"])
    assert 10 <= len({alert["alert"] for alert in ALERTS}) == len(ALERTS) <= 20


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_urgent_it_is_what_happened_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"([A-Z][a-z]+)+", alert["alert"])
    assert re.fullmatch(r"\d+[mh]", alert.get("for", "1m"))
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["runbook"] == f"docs/runbooks/{alert['alert']}.md"
    assert 10 < len(alert["annotations"]["summary"]) < 120


KEPT = {
    "CertificateEnds": pytest.mark.promise("8-tls"),
    "ErasuresOverdue": pytest.mark.promise("9-delete-now"),
    "ScrubOverdue": pytest.mark.promise("9-delete-now"),
    "ErasuresUnscrubbed": pytest.mark.promise("9-delete-now"),
    "RemainsFound": pytest.mark.promise("9-delete-now"),
}


@pytest.mark.parametrize(
    "alert", [pytest.param(each, marks=KEPT.get(each["alert"], ()), id=each["alert"]) for each in ALERTS]
)
def test_an_alert_asks_only_for_what_somebody_counts(alert: dict[str, Any]) -> None:
    counted = _counted()
    selectors = list(_selectors(promql.parse(alert["expr"])))
    assert selectors
    for selector in selectors:
        asked = {matcher.name for matcher in selector.matchers.matchers}
        if selector.name in OTHERS:
            continue
        assert selector.name in counted, f"nothing counts {selector.name}"
        assert asked <= counted[selector.name] | OF_THE_SCRAPE
        grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", alert["expr"]))))
        assert grouped <= counted[selector.name] | OF_THE_SCRAPE
    shown = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    known = set().union(*(counted.get(s.name, {"mountpoint"}) for s in selectors)) | OF_THE_SCRAPE
    assert shown <= known


def test_everything_that_is_counted_is_found() -> None:
    counted = _counted()
    assert counted["crafiq_rpc_seconds_bucket"] == {"method", "le"}
    assert counted["crafiq_dead_letters"] == set()
    assert counted["crafiq_vendor_results_total"] == {"vendor", "result"}


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert["alert"] for alert in ALERTS}
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (yes|no) \|", _read("README"), re.MULTILINE)
    wakes = {alert["alert"]: "yes" if alert["labels"]["severity"] == "page" else "no" for alert in ALERTS}
    assert [(name, name, wakes[name]) for name in wakes] == sorted(
        listed, key=lambda row: [*wakes].index(row[0])
    )


def _read(page: str) -> str:
    return (RUNBOOKS / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_a_runbook_has_every_part_and_something_in_it(alert: dict[str, Any]) -> None:
    title, *parts = re.split(r"^#+ ", _read(alert["alert"]), flags=re.MULTILINE)[1:]
    assert title.strip() == alert["alert"]
    assert [part.split("\n")[0] for part in parts] == HEADINGS
    assert all(len(part.split()) > 5 for part in parts)


@pytest.mark.parametrize("page", sorted(path.stem for path in RUNBOOKS.glob("*.md")))
def test_what_a_runbook_tells_to_use_is_there(page: str) -> None:
    text, counted = _read(page), set(_counted())
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= set(targets)
    assert set(re.findall(r"\./crafiq ([a-z-]+)", text)) <= set(COMMANDS)
    assert "python -m" not in text, "outside make that finds no package"
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (RUNBOOKS / link).exists(), link
    for path in re.findall(r"`((?:deploy|services|docs)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
    for metric in re.findall(r"crafiq_[a-z_]+", text):
        assert any(name.startswith(metric) for name in counted) or metric.startswith(SECRETS), metric


SECRETS = ("crafiq_openai_api_key", "crafiq_smtp_password", "crafiq_stripe_api_key")
COMMANDS = re.findall(r"^    ([a-z-]+)", cli.parser().format_help(), re.MULTILINE)


def test_everything_with_metrics_is_asked_for_them() -> None:
    config = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    ours = next(job for job in config["scrape_configs"] if job["job_name"] == "crafiq")
    assert ours["scheme"] == "https"
    assert ours["static_configs"] == [{"targets": [f"{name}:{METRICS}" for name in (*SERVICES, "gateway")]}]
