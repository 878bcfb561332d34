"""The plots of a model card, as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from training.report import Report

_SIZE, _MARGIN = 260, 42
_BLUE, _GREY = "#1f5fa8", "#8a8f98"
_BAR, _NAMES_WIDTH = 20, 230

Points = Iterable[tuple[float, float]]


def plots(report: Report) -> Iterator[str]:
    """Calibration, ROC curve (of two classes), what was taken for what, and what drives the model."""
    yield _calibration(report)
    if report.roc:
        yield _frame("ROC curve", "false positive rate", "true positive rate", _line(report.roc))
    yield _confusion(report)
    if report.drivers:
        yield _drivers(report)


def _calibration(report: Report) -> str:
    most = max((one.rows for one in report.calibration), default=1)
    bins = [(one.said, one.happened) for one in report.calibration]
    marks = "".join(
        f'<circle cx="{_x(one.said):.1f}" cy="{_y(one.happened):.1f}" r="{2 + 6 * (one.rows / most) ** 0.5:.1f}" '
        f'fill="{_BLUE}" fill-opacity="0.7"><title>{one.rows} rows: said {one.said}, happened {one.happened}</title>'
        "</circle>"
        for one in report.calibration
    )
    return _frame("Calibration (area: rows)", "said", "happened", _line(bins) + marks)


def _frame(title: str, across: str, up: str, inside: str) -> str:
    """A unit square with a diagonal, and what is drawn in it."""
    corner = _x(0), _y(0)
    ticks = "".join(
        f'<text x="{_x(one):.0f}" y="{corner[1] + 14}" text-anchor="middle">{one:g}</text>'
        f'<text x="{corner[0] - 5}" y="{_y(one) + 4:.0f}" text-anchor="end">{one:g}</text>'
        for one in (0, 0.5, 1)
    )
    middle = (_x(0) + _x(1)) / 2
    return _svg(
        title,
        _SIZE + 2 * _MARGIN,
        _SIZE + 2 * _MARGIN,
        f'<rect x="{_MARGIN}" y="{_MARGIN}" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#d5dae1"/>'
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="{_GREY}" stroke-dasharray="4 4"/>'
        f'{ticks}<text x="{middle}" y="{corner[1] + 30}" text-anchor="middle">{escape(across)}</text>'
        f'<text transform="translate(12 {_y(0.5)}) rotate(-90)" text-anchor="middle">{escape(up)}</text>{inside}',
    )


def _confusion(report: Report) -> str:
    classes, left, top = len(report.classes), 80, 66
    cell = _SIZE / classes
    drawn = []
    for i, (name, row) in enumerate(zip(report.classes, report.confusion, strict=True)):
        total = sum(row) or 1
        y = top + i * cell
        drawn.append(f'<text x="{left - 5}" y="{y + cell / 2 + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        drawn.append(
            f'<text transform="translate({left + (i + 0.5) * cell:.1f} {top - 6}) rotate(-30)">{escape(name)}</text>'
        )
        for j, count in enumerate(row):
            share = count / total
            ink = "white" if share > 0.5 else "#1d2530"
            drawn.append(
                f'<rect x="{left + j * cell:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}" fill="{_BLUE}" '
                f'fill-opacity="{share:.3f}" stroke="#d5dae1"/><text x="{left + (j + 0.5) * cell:.1f}" '
                f'y="{y + cell / 2 + 4:.1f}" text-anchor="middle" fill="{ink}">{count:,}</text>'
            )
    return _svg("Label (down), likeliest class (across)", left + _SIZE + 50, top + _SIZE + 18, "".join(drawn))


def _drivers(report: Report) -> str:
    most = max(amount for _, amount in report.drivers)
    drawn = []
    for i, (name, amount) in enumerate(report.drivers):
        y, short = 34 + i * _BAR, name if len(name) <= 34 else f"{name[:33]}…"
        drawn.append(
            f'<text x="{_NAMES_WIDTH - 6}" y="{y + 14}" text-anchor="end">{escape(short)}</text>'
            f'<rect x="{_NAMES_WIDTH}" y="{y + 3}" width="{amount / most * _SIZE:.1f}" height="{_BAR - 6}" '
            f'fill="{_BLUE}"/><text x="{_NAMES_WIDTH + amount / most * _SIZE + 5:.1f}" y="{y + 14}">{amount:.3f}</text>'
        )
    height = 34 + len(report.drivers) * _BAR + 10
    return _svg("Drivers: mean absolute contribution", _NAMES_WIDTH + _SIZE + 60, height, "".join(drawn))


def _line(points: Points) -> str:
    told = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline points="{told}" fill="none" stroke="{_BLUE}" stroke-width="1.5"/>'


def _svg(title: str, width: float, height: float, inside: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="11" role="img">'
        f'<title>{escape(title)}</title><text x="{width / 2:.0f}" y="20" text-anchor="middle" font-weight="bold">'
        f"{escape(title)}</text>{inside}</svg>"
    )


def _x(value: float) -> float:
    return _MARGIN + value * _SIZE


def _y(value: float) -> float:
    return _MARGIN + (1 - value) * _SIZE
