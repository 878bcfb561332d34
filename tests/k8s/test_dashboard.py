"""The dashboard before a real Prometheus that scraped a real service: no line of it stays empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8s.dashboard import ROWS
from tests.k8s.watched import keep_busy, watched
from tests.ops.monitoring import needs_prometheus
from tests.processes import wait_until

pytestmark = [needs_prometheus, pytest.mark.image]
LINES = {expression: panel.title for row in ROWS for panel in row.panels for _, expression in panel.lines}


def test_every_line_of_the_dashboard_has_data(tmp_path: Path) -> None:
    with watched(tmp_path) as (up, prometheus):
        keep_busy(up, 60)

        def empty() -> list[str]:
            asked = {expression: expression.replace("$__rate_interval", "1m") for expression in LINES}
            return [f"{LINES[one]}: {one}" for one, query in asked.items() if not prometheus.ask(query)]

        try:
            wait_until(lambda: not empty(), "data for every line", 20, every=1)
        except AssertionError:
            assert empty() == []
