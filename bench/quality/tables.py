"""Public tables through `membrane train --table`'s own way: encoding, candidates, calibration, folds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.quality.parts import DATA, Size
from bench.rows import Bound, Row, at_least, at_most
from training.encoding import table_examples
from training.fitting import Plan, train
from training.report import Report
from training.table_file import read_table_file

SEED: Final = 7


class _Table(NamedTuple):
    """A public table: where it is, its label and the value that counts, and what others published of it."""

    name: str
    file: str
    label: str
    positive: str
    figure: str
    must: Bound
    aim: Bound
    published: str


_TABLES: Final = (
    _Table(
        "ibm_telco", "ibm_telco/telco_customer_churn.csv.gz", "Churn", "Yes", "auc", at_least(0.840), at_least(0.852),
        "LR .849, RF .824, XGBoost .828, EBM .852 (interpret README)",
    ),
    _Table(
        "online_shoppers", "online_shoppers/online_shoppers_intention.csv.gz", "Revenue", "True", "accuracy",
        at_least(0.8963), at_least(0.9063), "LR .8828, XGBoost .9051, CatBoost .9063 (TALENT)",
    ),
    _Table(
        "bank_marketing", "bank_marketing/bankmarketing.csv.gz", "y", "yes", "accuracy", at_least(0.8995),
        at_least(0.9095), "LR .9035, XGBoost .9060, RealMLP .9095 (TALENT); `duration` is known only after the call",
    ),
)  # fmt: skip
_NAMES: Final = {"auc": "AUC", "accuracy": "accuracy"}


def rows(size: Size) -> Iterator[Row]:
    """Of each table: its figure over five folds, and the ECE."""
    for table in _TABLES[: 1 if size.quick else None]:
        report = _trained(DATA / table.file, table, quick=size.quick)
        figure = report.figures[table.figure]
        folds = ", ".join(f"{one:.4f}" for one in report.folds_auc)
        measured = statistics.fmean(report.folds_auc) if table.figure == "auc" else figure.value
        baseline = report.baselines["auc_single_feature" if table.figure == "auc" else "accuracy_prior"]
        n = f"{report.tested:,} rows, {len(report.folds_auc)} folds, seed {report.seed}"
        yield Row(
            f"{table.name}: {_NAMES[table.figure]}", "", round(measured, 4), n, table.must, table.aim, baseline,
            note=f"{table.published}; 95 % {figure.low:.4f} to {figure.high:.4f}; {report.model}; AUC by fold {folds}",
        )  # fmt: skip
        ece = report.figures["ece"]
        yield Row(
            f"{table.name}: ECE", "", round(ece.value, 4), n, at_most(0.03),
            note=f"95 % {ece.low:.4f} to {ece.high:.4f}; log-loss {report.figures['log_loss'].value:.4f}, of the "
            f"shares of the classes {report.baselines['log_loss_prior']:.4f}",
        )  # fmt: skip


def _trained(path: Path, table: _Table, *, quick: bool) -> Report:
    examples, notes = table_examples("churn", read_table_file(path), table.label, positive=table.positive)
    plan = Plan(name=table.name, revision="bench", created="2026-01-01T00:00:00Z", seed=SEED, notes=notes)
    if quick:
        plan = Plan(name=table.name, revision="bench", created=plan.created, folds=2, candidates=("linear",))
    return train("churn", examples, plan).report
