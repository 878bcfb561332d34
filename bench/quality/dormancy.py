"""cdnow: who orders no more, from replayed purchases alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from bench.quality.parts import DATA, Size
from bench.rows import Row, at_least
from membrane.features import FEATURE_NAMES
from membrane.lapse import Lapse
from membrane.times import DAY, parse_date
from training.cdnow import write_cdnow
from training.cutoffs import Question
from training.fitting import Plan, train
from training.gathering import churn_from_signals
from training.measures import Ranking
from training.signal_file import SignalFile

CUTOFF: Final = parse_date("1997-10-01")
EARLIER: Final = parse_date("1997-04-01")
_PLAN: Final = Plan(
    name="cdnow-churn", revision="bench", created="2026-01-01T00:00:00Z", candidates=("linear", "pairs")
)
_QUICK: Final = replace(_PLAN, folds=2, candidates=("linear",), resamples=10)


def rows(size: Size) -> Iterator[Row]:
    """No order in the 273 days after 1997-09-30, judged by folds of the customers; and no order in 182 days, learned of
    an earlier cutoff and judged by the later one."""
    plan = _QUICK if size.quick else _PLAN
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cdnow.ndjson"
        write_cdnow(DATA / "cdnow", path)
        file = SignalFile(path)
        found = _row(file, "cdnow, no order in 273 days: AUC", (CUTOFF,), 273, plan)
        yield replace(found, must=at_least(0.78), aim=at_least(0.80))
        yield _row(file, "cdnow, no order in 182 days, judged half a year later: AUC", (EARLIER, CUTOFF), 182, plan)


def _row(file: SignalFile, what: str, cutoffs: tuple[int, ...], days: int, plan: Plan) -> Row:
    span = days * DAY
    found = churn_from_signals(file, Question(cutoffs, span, Lapse(("cx.order.placed.v1",), span)))
    examples = found.examples
    report = train("churn", examples, replace(plan, horizon_ms=found.horizon_ms)).report
    judged = slice(None) if examples.times is None else examples.times == CUTOFF
    labels = examples.labels[judged] == 1

    def alone(name: str) -> float:
        auc = Ranking(examples.rows[judged, FEATURE_NAMES.index(name)], labels).auc(np.ones(len(labels)))
        return max(auc, 1 - auc)

    auc, ece = report.figures["auc"], report.figures["ece"]
    return Row(
        what, "", round(auc.value, 4), f"{report.tested:,} customers, seed {plan.seed}",
        control=round(alone("order_recency"), 4),
        note=f"baseline: recency alone; frequency alone {alone('orders_total'):.4f}; 95 % {auc.low:.4f} to "
        f"{auc.high:.4f}; ECE {ece.value:.4f}; {labels.mean():.1%} ordered no more; {report.model}; {report.split}",
    )  # fmt: skip
