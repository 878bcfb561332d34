"""The model card: what a model is for, how good it is and against what, as Markdown and as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from models.bundle import DIGEST, write_bundle
from training import card_plots
from training.fitting import Trained
from training.report import Report

MARKDOWN: Final = "card.md"
PAGE: Final = "card.html"

Cells = Sequence[object]
Section = tuple[str, str, "Rows"]
Rows = list[Cells]

_NAMES: Final = {
    "auc": "AUC", "pr_auc": "PR-AUC", "log_loss": "log-loss", "brier": "Brier score", "ece": "ECE",
    "accuracy": "accuracy", "macro_f1": "macro-F1",
}  # fmt: skip
_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:58rem;margin:2rem auto;padding:0 1rem;color:#1d2530}"
    "table{border-collapse:collapse;margin:.5rem 0 1.2rem}td,th{border-bottom:1px solid #d5dae1;padding:.25rem .7rem;"
    "text-align:left;vertical-align:top}th{background:#f3f5f8}td:not(:first-child){font-variant-numeric:tabular-nums}"
    "code{background:#f3f5f8;padding:.1rem .25rem;overflow-wrap:anywhere}h1{margin-bottom:.2rem}"
    ".plots{display:flex;flex-wrap:wrap;gap:1rem}svg{max-width:100%}.warn{background:#fff4d6;padding:.4rem .8rem}"
)


def write(trained: Trained, out: Path) -> str:
    """Write the bundle and its card into `out` (made if missing); the bundle's digest."""
    bundle = trained.bundle
    digest = write_bundle(out, bundle.manifest, bundle.golden, bundle.model, trees=bundle.trees, encoder=bundle.encoder)
    (out / MARKDOWN).write_text(markdown(trained.report, digest), encoding="utf-8")
    (out / PAGE).write_text(page(trained.report, digest), encoding="utf-8")
    return digest


def markdown(report: Report, digest: str) -> str:
    """The card without plots."""
    parts = [f"# {_title(report)}\n", _intended(report) + "\n"]
    parts += [f"> {note}\n" for note in report.notes]
    for heading, text, rows in _sections(report, digest):
        parts.append(f"## {heading}\n")
        if text:
            parts.append(f"{text}\n")
        if rows:
            head, *rest = ([str(cell).replace("|", "\\|") for cell in row] for row in rows)
            lines = [head, ["---"] * len(head), *rest]
            parts.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(parts)


def page(report: Report, digest: str) -> str:
    """The card as one page that needs nothing else: no script, no font, no picture from elsewhere."""
    parts = [f"<h1>{escape(_title(report))}</h1><p>{escape(_intended(report))}</p>"]
    parts += [f'<p class="warn">{escape(note)}</p>' for note in report.notes]
    for number, (heading, text, rows) in enumerate(_sections(report, digest)):
        parts.append(f"<h2>{escape(heading)}</h2>")
        parts.append(f"<p>{escape(text)}</p>" if text else "")
        parts.append(_html_table(rows) if rows else "")
        if not number:
            parts.append(f'<div class="plots">{"".join(card_plots.plots(report))}</div>')
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(_title(report))}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _title(report: Report) -> str:
    return f"Model card: {report.name}"


def _intended(report: Report) -> str:
    what = "the stage of a customer's relationship" if report.kind == "stage" else "whether a customer will be lost"
    trust = (
        "It learned from simulated customers and is therefore advisory."
        if report.provenance == "simulated"
        else "It learned from the tenant's own labels."
    )
    return f"Says, as calibrated probabilities, {what}. {trust} It decides nothing by itself: principles do."


def _sections(report: Report, digest: str) -> Iterator[Section]:
    yield "How good it is", _judged(report), _figures(report)
    if report.slices:
        yield "Whom it serves worst", "The groups of at least 30 rows with the greatest log-loss.", _slices(report)
    if report.drivers:
        told = "Mean absolute contribution to the logit of the likeliest class, over rows of the test part."
        yield (
            "What drives it",
            told,
            [("feature", "contribution"), *((f"{name}", f"{v:.4f}") for name, v in report.drivers)],
        )
    yield "Calibration", "What was said, and how often it happened.", _calibration(report)
    yield (
        "What it took for what",
        "Rows of the test part by label (down) and likeliest class (across).",
        _confusion(report),
    )
    yield "What competed", "Log-loss on rows that the candidate had not seen, calibrated by them.", _candidates(report)
    yield "The data", "", _data(report)
    yield "How to make it again", "", _provenance(report, digest)


def _judged(report: Report) -> str:
    return (
        f"{report.tested:,} rows; {report.split}. Intervals: the middle 95 % of {report.resamples} draws with "
        f"replacement (seed {report.seed}). The ECE of a draw is greater than that of the rows themselves."
    )


def _figures(report: Report) -> Rows:
    rows: Rows = [("figure", "value", "95 % interval", "baselines")]
    for name, figure in report.figures.items():
        beside = [_baseline(report, key, value) for key, value in report.baselines.items() if _about(key) == name]
        rows.append((_NAMES[name], f"{figure.value:.4f}", f"{figure.low:.4f} – {figure.high:.4f}", "; ".join(beside)))
    if report.folds_auc:
        mean = sum(report.folds_auc) / len(report.folds_auc)
        rows.append(("AUC by fold", f"{mean:.4f}", ", ".join(f"{one:.4f}" for one in report.folds_auc), ""))
    return rows


def _about(baseline: str) -> str:
    return next((name for name in sorted(_NAMES, key=len, reverse=True) if baseline.startswith(f"{name}_")), "")


def _baseline(report: Report, key: str, value: float) -> str:
    if key == "auc_single_feature":
        return f"best single feature ({report.single_feature}) {value:.4f}"
    if key == "accuracy_no_change":
        share = report.baselines["rows_no_change"]
        return f"no change {value:.4f} (where a label was known before: {share:.0%} of the rows)"
    return f"shares of the classes {value:.4f}"


def _slices(report: Report) -> Rows:
    rows = (
        (f"{one.column} = {one.value}", f"{one.rows:,}", f"{one.log_loss:.4f}", f"{one.ece:.4f}",
         "" if one.auc is None else f"{one.auc:.4f}")
        for one in report.slices
    )  # fmt: skip
    return [("rows where", "rows", "log-loss", "ECE", "AUC"), *rows]


def _calibration(report: Report) -> Rows:
    rows = ((f"{one.said:.3f}", f"{one.happened:.3f}", f"{one.rows:,}") for one in report.calibration)
    return [("said", "happened", "rows"), *rows]


def _confusion(report: Report) -> Rows:
    rows = ((name, *(f"{cell:,}" for cell in row)) for name, row in zip(report.classes, report.confusion, strict=True))
    return [("label", *report.classes), *rows]


def _candidates(report: Report) -> Rows:
    rows = ((one.name, one.rounds or "", f"{one.log_loss:.4f}") for one in report.candidates)
    return [("candidate", "rounds of boosting", "log-loss"), *rows]


def _data(report: Report) -> Rows:
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(report.classes, report.shares, strict=True))
    rows: Rows = [
        ("what", ""),
        ("source", report.source),
        ("SHA-256", report.source_sha256),
        ("rows", f"{report.rows:,}, of which {report.learned:,} were learned from"),
        ("columns after encoding", f"{report.features:,}"),
        ("labels", shares),
        ("provenance", report.provenance),
    ]
    if report.period is not None:
        rows.append(("period", f"{report.period[0]} to {report.period[1]}"))
    if report.delay is not None:
        rows.append(("label delay", f"median {report.delay.median_days:g} days, p90 {report.delay.p90_days:g} days"))
    return rows


def _provenance(report: Report, digest: str) -> Rows:
    return [
        ("what", ""),
        ("command", report.command),
        ("model", report.model),
        ("revision", f"{report.revision}+{digest[:8]} (file {DIGEST}: {digest})"),
        ("created", report.created),
        ("seed", report.seed),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())),
    ]


def _html_table(rows: Rows) -> str:
    head, *rest = rows
    lines = ["".join(f"<th>{escape(str(cell))}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rest]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
