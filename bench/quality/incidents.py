"""uci_incidents: does the same trouble come back within 30 days, and is the promised time missed? Both as they could
have been told at the moment that a case was opened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from bench.quality.parts import DATA, Size
from bench.rows import Row
from membrane.features import FEATURE_NAMES, features, fingerprint
from membrane.fold import fold
from membrane.record import State
from membrane.signals import CaseOpened, check
from membrane.times import DAY, format_time, parse_date
from training.fitting import Examples, Plan, train
from training.measures import Ranking
from training.tables import read_table
from training.uci import FILE_NAME, uci_events

WITHIN_MS: Final = 30 * DAY
CASES_END: Final = parse_date("2016-06-01")
"""Hardly a case of the data was opened later, so that of the last 30 days before it nobody knows what came back."""
LONG_AGO_DAYS: Final = 365.0
CASE_COLUMNS: Final = ("reports_of_this_product", "log_reports", "days_since_its_last", "problems_known", "severity")
"""Beside the features of the customer: reports of the same product in the record, at most eight of each problem."""
_PLAN: Final = Plan(
    name="uci-incidents", revision="bench", created="2026-01-01T00:00:00Z", candidates=("linear", "additive", "pairs")
)
_QUICK: Final = replace(_PLAN, candidates=("linear",), resamples=10)


class Openings(NamedTuple):
    """Of each case when it was opened: the row (n, features), its own opening among what is known; the moment and the
    caller; what came of it; and how many such cases (of the subcategory, of any) the caller had had so far."""

    rows: npt.NDArray[np.float64]
    times: npt.NDArray[np.int64]
    callers: npt.NDArray[np.str_]
    again: npt.NDArray[np.int64]
    missed: npt.NDArray[np.int64]
    same_so_far: npt.NDArray[np.float64]
    any_so_far: npt.NDArray[np.float64]


def rows(size: Size) -> Iterator[Row]:
    """The AUC of each question, beside counts so far; judged by the latest fifth of the cases."""
    plan = _QUICK if size.quick else _PLAN
    found = openings()
    known = found.times < CASES_END - WITHIN_MS
    yield _row("same caller and subcategory again within 30 days", found.again, found, known, plan)
    yield _row("promised time (SLA) missed", found.missed, found, found.times < CASES_END, plan)


def openings() -> Openings:
    """All of the data set, through the fold that serves."""
    folder = DATA / "uci_incidents"
    met = {
        row["number"]: row["made_sla"]
        for row in read_table(folder / FILE_NAME, "uci_incidents", ("number", "made_sla"))
    }
    states: defaultdict[str, State] = defaultdict(State)
    same, anything = Counter[tuple[str, str]](), Counter[str]()
    opened: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    found: list[tuple[list[float], int, str, tuple[str, str], int, int, int]] = []
    for event in uci_events(folder):
        if "subject" not in event:
            continue
        signal = check(msgspec.json.encode(event), "default")
        stored, data = signal.stored, signal.typed
        fold(states[stored.customer], stored, data, stored.time)
        if isinstance(data, CaseOpened):
            caller, kind = stored.customer, (stored.customer, str(data.product))
            row = [*features(states[caller], stored.time), *of_this_case(states[caller], data, stored.time)]
            missed = int(met[data.case] == "false")
            found.append((row, stored.time, caller, kind, missed, same[kind], anything[caller]))
            same[kind] += 1
            anything[caller] += 1
            opened[kind].append(stored.time)
    table, times, callers, kinds, missed_all, same_so_far, any_so_far = zip(*found, strict=True)
    again = [any(t < later <= t + WITHIN_MS for later in opened[kind]) for t, kind in zip(times, kinds, strict=True)]
    return Openings(
        np.array(table, np.float64), np.array(times, np.int64), np.array(callers), np.array(again, np.int64),
        np.array(missed_all, np.int64), np.array(same_so_far, np.float64), np.array(any_so_far, np.float64),
    )  # fmt: skip


def of_this_case(state: State, opened: CaseOpened, t: int) -> list[float]:
    """What a record knows of the case that was opened at `t` (CASE_COLUMNS), its own opening left out."""
    same = [one for one in state.problems if one.product == opened.product]
    before = sorted(at for one in same for at in one.reports[::2])[:-1]
    days = (t - before[-1]) / DAY if before else LONG_AGO_DAYS
    return [
        float(len(before)),
        float(np.log1p(len(before))),
        min(days, LONG_AGO_DAYS),
        float(len(state.problems)),
        float(opened.severity),
    ]


def _row(what: str, labels: npt.NDArray[np.int64], found: Openings, known: npt.NDArray[np.bool_], plan: Plan) -> Row:
    examples = Examples(
        rows=found.rows[known],
        names=(*FEATURE_NAMES, *CASE_COLUMNS),
        labels=labels[known],
        fingerprint=fingerprint(),
        times=found.times[known],
        groups=found.callers[known],
    )
    test_from = int(np.quantile(found.times[known], 0.8, method="higher"))
    report = train("churn", examples, replace(plan, horizon_ms=WITHIN_MS, test_from=test_from)).report
    judged = known & (found.times >= test_from)
    truth = labels[judged] == 1

    def alone(column: npt.NDArray[np.float64]) -> float:
        return Ranking(column[judged], truth).auc(np.ones(len(truth)))

    auc, loss = report.figures["auc"], report.figures["log_loss"]
    return Row(
        f"uci_incidents, {what}: AUC", "", round(auc.value, 4),
        f"{report.tested:,} cases from {format_time(test_from)[:10]} on, {report.learned:,} learned, seed {plan.seed}",
        control=round(alone(found.same_so_far), 4),
        note=f"baseline: cases of the caller and subcategory so far; cases of the caller so far "
        f"{alone(found.any_so_far):.4f}; 95 % {auc.low:.4f} to {auc.high:.4f}; log-loss {loss.value:.4f}, of the "
        f"shares {report.baselines['log_loss_prior']:.4f}; {truth.mean():.1%} of the judged, {labels.mean():.1%} of "
        f"all; {report.model}",
    )  # fmt: skip
