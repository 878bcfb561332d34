"""What alerts and dashboard ask of Prometheus: it can be parsed, and names only metrics and labels that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from docs.generate import PARTS
from k8s.dashboard import ROWS
from k8s.generate import K8S, RULES, prometheus_rule

ADDED = {"le", "instance", "job"}  # by Prometheus, or by the kind of the metric
METRICS = {
    name: set(re.findall(r"`(\w+)`", labels))
    for name, labels in re.findall(r"^\| `(membrane_\w+)` \| \w+ \| (.*?) \|", PARTS["metrics"](), re.MULTILINE)
}
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
RULES_GIVEN = [rule for group in GROUPS for rule in group["rules"]]
RECORDED = {rule["record"] for rule in RULES_GIVEN if "record" in rule}
DRAWN = [expression for row in ROWS for panel in row.panels for _, expression in panel.lines]


def plain(expression: str) -> str:
    """With a range in the place of Grafana's variable."""
    return expression.replace("$__rate_interval", "1m")


def faults(expression: str) -> Iterator[str]:
    """Metrics and labels of an expression that the code does not have. ValueError if it cannot be parsed."""
    tree = promql_parser.parse(plain(expression))
    for selector in _selectors(tree):
        name = re.sub(r"_(bucket|sum|count)$", "", selector.name)
        if name not in METRICS and name not in RECORDED:
            yield f"no metric {selector.name}"
            continue
        asked = {matcher.name for matcher in selector.matchers.matchers}
        yield from (f"{name} has no label {label}" for label in asked - METRICS.get(name, asked) - ADDED)
    known = set().union(*METRICS.values(), ADDED)
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression)
    named = {word for words in grouped for word in re.findall(r"\w+", words)}
    yield from (f"no metric has the label {label}" for label in named - known)


def _selectors(tree: Any) -> Iterator[Any]:
    if isinstance(tree, promql_parser.VectorSelector):
        yield tree
    for part in ("expr", "lhs", "rhs", "vector_selector"):
        if hasattr(tree, part):
            yield from _selectors(getattr(tree, part))
    for one in getattr(tree, "args", ()):
        yield from _selectors(one)


@pytest.mark.parametrize("expression", [*DRAWN, *(rule["expr"] for rule in RULES_GIVEN)])
def test_an_expression_names_only_what_there_is(expression: str) -> None:
    assert list(_selectors(promql_parser.parse(plain(expression)))) != []
    assert list(faults(expression)) == []


@pytest.mark.parametrize(
    "expression",
    [
        "membrane_customer",
        "sum by (stages) (membrane_customers)",
        'rate(membrane_decisions_total{verdicts="forbid"}[5m])',
        "histogram_quantile(0.5, sum by (le) (rate(membrane_decision_seconds_bucket[5m])))",
        "1 - membrane_log_lag / on (shard) membrane_log_lags",
    ],
)
def test_a_planted_fault_is_found(expression: str) -> None:
    assert list(faults(expression)) != []


def test_the_rule_of_the_operator_holds_the_plain_rules() -> None:
    assert yaml.safe_load(prometheus_rule())["spec"] == {"groups": GROUPS}


def test_the_dashboard_draws_every_line_and_the_limit_of_a_decision() -> None:
    panels = json.loads((K8S / "dashboards/membrane.json").read_text())["panels"]
    targets = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert targets == DRAWN
    limits = [
        step["value"]
        for panel in panels
        if panel["title"] == "Time to decide"
        for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    ]
    assert limits == [None, 0.01]
