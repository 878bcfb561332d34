"""The Grafana dashboard, as data: what is drawn, by which expressions. `python -m k8s.generate` writes it as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphTresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableHide,
)

DECISION_LINE_SECONDS: Final = 0.010
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${source}")
_SPAN: Final = 12
_HEIGHT: Final = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: its lines as (legend, expression); `line`: a level to draw."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    line: float | None = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading, and its panels."""

    title: str
    panels: tuple[Panel, ...]


def _percentile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[$__rate_interval])))"


def _percentiles(metric: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"p{share * 100:g}", _percentile(share, metric)) for share in (0.5, 0.95, 0.99))


ROWS: Final = (
    Row(
        "Customers",
        (
            Panel("Customers by stage", "short", (("{{stage}}", "sum by (stage) (membrane_customers)"),)),
            Panel(
                "Entries into crisis",
                "short",
                (
                    ("{{tenant}}, in the last hour", "membrane_crisis_entries_last_hour"),
                    ("{{tenant}}, usual in this hour", "membrane_crisis_entries_expected"),
                    ("{{tenant}}, thrice the usual", "3 * membrane_crisis_entries_expected"),
                ),
                line=10,
                about="CrisisSpike fires above both: the line, and thrice the usual.",
            ),
            Panel(
                "Stage changes an hour",
                "short",
                (
                    (
                        "{{from}} to {{to}}",
                        'sum by (from, to) (increase(membrane_stage_transitions_total{backfill="false"}[1h]))',
                    ),
                ),
            ),
            Panel("Lifecycle", "short", (("{{lifecycle}}", "sum by (lifecycle) (membrane_lifecycles)"),)),
        ),
    ),
    Row(
        "Decisions",
        (
            Panel(
                "Verdicts by class",
                "ops",
                (
                    (
                        "{{class}}: {{verdict}}",
                        "sum by (class, verdict) (rate(membrane_decisions_total[$__rate_interval]))",
                    ),
                ),
            ),
            Panel(
                "Time to decide",
                "s",
                _percentiles("membrane_decision_duration_seconds"),
                line=DECISION_LINE_SECONDS,
            ),
            Panel(
                "Reasons given",
                "ops",
                (
                    (
                        "{{principle}}",
                        "topk(8, sum by (principle) (rate(membrane_principle_matches_total[$__rate_interval])))",
                    ),
                ),
            ),
            Panel(
                "Pauses that stand",
                "short",
                (("{{what}}", "sum by (what) (membrane_paused)"),),
            ),
        ),
    ),
    Row(
        "The stream",
        (
            Panel(
                "Signals received",
                "ops",
                (("{{outcome}}", "sum by (outcome) (rate(membrane_signals_total[$__rate_interval]))"),),
            ),
            Panel(
                "Lag",
                "s",
                (
                    ("staleness, partition {{partition}}", "membrane_state_staleness_seconds"),
                    ("clock", "membrane_clock_lag_seconds"),
                    (
                        "p99 from receipt to record",
                        _percentile(0.99, "membrane_signal_lag_seconds"),
                    ),
                ),
                line=60,
                about="Above the line decisions narrow to safe defaults.",
            ),
            Panel("Records not yet applied", "short", (("partition {{partition}}", "membrane_log_lag"),)),
            Panel(
                "Signals set aside an hour",
                "short",
                (("{{reason}}", "sum by (reason) (increase(membrane_dead_letters_total[1h]))"),),
            ),
            Panel(
                "Silence of sources",
                "s",
                (("{{source}}", "time() - membrane_source_last_signal_timestamp_seconds"),),
                about="Of the sources that a tenant names.",
            ),
            Panel("Room on the disk", "bytes", (("free", "membrane_disk_free_bytes"),)),
        ),
    ),
    Row(
        "Obligations and models",
        (
            Panel("What is owed", "short", (("{{kind}}: {{state}}", "sum by (kind, state) (membrane_obligations)"),)),
            Panel(
                "Log-loss",
                "none",
                (("{{model}}, {{role}}", "membrane_model_log_loss"),),
                about="Over the latest thousand labels, each tested before it was learned.",
            ),
            Panel(
                "Drift found a day",
                "short",
                (
                    (
                        "{{model}}: {{detector}}",
                        "sum by (model, detector) (increase(membrane_model_drift_total[1d]))",
                    ),
                ),
            ),
            Panel(
                "Models in force",
                "short",
                (("{{kind}}, {{role}}: {{revision}}", "membrane_model_info"),),
            ),
        ),
    ),
)


def dashboard_json() -> str:
    """The dashboard as Grafana reads it."""
    built = (
        dashboard.Dashboard("Membrane")
        .uid("membrane")
        .tags(["membrane"])
        .timezone("browser")
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("source").type("prometheus").label("Prometheus").hide(VariableHide.DONT_HIDE)
        )
    )
    for row in ROWS:
        built = built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built = built.with_panel(_panel(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def _panel(panel: Panel) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.about)
        .unit(panel.unit)
        .min(0)
        .datasource(_SOURCE)
        .span(_SPAN)
        .height(_HEIGHT)
    )
    for letter, (legend, expression) in zip("ABCDEFGH", panel.lines, strict=False):
        drawn = drawn.with_target(
            prometheus.Dataquery().expr(expression).legend_format(legend).datasource(_SOURCE).ref_id(letter)
        )
    if panel.line is None:
        return drawn
    steps = [Threshold(color="transparent", value=None), Threshold(color="red", value=panel.line)]
    style = common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE)
    return drawn.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)).thresholds_style(
        style
    )
