"""The alert rules: promtool's own tests of them, and what they say of metrics, people and pages exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from docs.generate import metrics

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "k8s/alerts"
RULES = yaml.safe_load((FOLDER / "membrane.rules.yaml").read_text())["groups"]
TESTS = yaml.safe_load((FOLDER / "membrane.tests.yaml").read_text())["tests"]
ALERTS = {rule["alert"]: rule for group in RULES for rule in group["rules"] if "alert" in rule}
NAMED = {
    "CrisisSpike", "DecisionSlow", "StreamStalled", "SourceSilent", "DeadLettersGrowing", "ModelDrifting",
    "ObligationsBreached", "ObligationStorm", "OverBlock", "UnsafeDefaults", "LogFull", "PausedLong",
}  # fmt: skip
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: `make system`")


def promtool(*words: str) -> str:
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_the_rules_parse_and_behave_as_their_tests_say():
    promtool("check", "rules", "membrane.rules.yaml")
    assert "SUCCESS" in promtool("test", "rules", "membrane.tests.yaml")


@pytest.mark.parametrize("alert", sorted(NAMED))
def test_each_alert_is_tested_to_be_silent_to_fire_and_to_recover(alert):
    looks = [
        [bool(one["exp_alerts"]) for one in test["alert_rule_test"] if one["alertname"] == alert] for test in TESTS
    ]
    assert any(one[:1] == [False] and one[-1:] == [False] and True in one for one in looks)


def test_the_alerts_are_those_that_were_promised():
    assert set(ALERTS) == NAMED


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_each_alert_says_how_bad_whose_what_and_where_to_read_on(alert):
    labels, annotations = ALERTS[alert]["labels"], ALERTS[alert]["annotations"]
    assert labels["severity"] in ("critical", "warning")
    assert labels["audience"] in ("cx", "service")
    assert annotations["summary"]
    assert annotations["runbook_url"] == f"docs/runbooks/{alert}.md"


def test_each_expression_names_metrics_and_recorded_series_that_exist():
    declared = set(re.findall(r"\| `(membrane_\w+)` \|", metrics()))
    histograms = {name for name in declared if name.endswith("_seconds")}
    series = declared | {name + suffix for name in histograms for suffix in ("_bucket", "_count", "_sum")}
    recorded = {rule["record"] for group in RULES for rule in group["rules"] if "record" in rule}
    for group in RULES:
        for rule in group["rules"]:
            used = set(re.findall(r"\bmembrane_\w+", rule["expr"]))
            assert used <= series, rule
            assert set(re.findall(r"\bmembrane:[\w:]+", rule["expr"])) <= recorded, rule


def test_each_alert_has_a_runbook_and_each_runbook_an_alert():
    assert {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")} == set(ALERTS)
