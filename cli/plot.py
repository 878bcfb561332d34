"""Plots of counts: panels of stacked bars, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from membrane.errors import UsageError

COLOURS: Final = ("#2f7d4f", "#d9a13b", "#b3413c", "#8a8f98")
_BAR, _HEIGHT, _TOP, _BOTTOM, _LEFT = 62, 190, 52, 40, 46
_LEAST_WIDTH: Final = 480


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars with their labels; `parts` are stacked in this order, each with a value for every bar."""

    title: str
    labels: Sequence[str]
    parts: Mapping[str, Sequence[int]]


def write_plot(path: Path, panels: Sequence[Panel]) -> None:
    """Writes the panels below each other. UsageError for a file that cannot be written."""
    try:
        path.write_text(stacked(panels), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--plot {path}: a file to write was required: {error.strerror}") from error


def stacked(panels: Sequence[Panel]) -> str:
    """The panels below each other as one SVG."""
    width = max([_LEAST_WIDTH, *(_LEFT * 2 + _BAR * len(panel.labels) for panel in panels)])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT * len(panels)}"'
    parts = [f'{head} font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="white"/>']
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate(0 {number * _HEIGHT})">{_panel(panel, width)}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, width: int) -> str:
    totals = [sum(values) for values in zip(*panel.parts.values(), strict=True)]
    scale = (_HEIGHT - _TOP - _BOTTOM) / max([1, *totals])
    floor = _HEIGHT - _BOTTOM
    drawn = [
        f'<text x="{width / 2:g}" y="16" text-anchor="middle" font-weight="bold">{escape(panel.title)}</text>',
        f'<text x="{width / 2:g}" y="32" text-anchor="middle">{_legend(panel)}</text>',
        f'<line x1="{_LEFT}" x2="{width - _LEFT}" y1="{floor}" y2="{floor}" stroke="#999"/>',
    ]
    for place, (label, total) in enumerate(zip(panel.labels, totals, strict=True)):
        x = _LEFT + place * _BAR
        drawn += _bar(x, floor, [values[place] * scale for values in panel.parts.values()])
        centre = x + _BAR / 2
        drawn.append(_text(centre, floor - total * scale - 3, f"{total:,}"))
        drawn.append(_text(centre, floor + 14, label))
    return "".join(drawn)


def _bar(x: float, floor: float, heights: Sequence[float]) -> list[str]:
    drawn = []
    for colour, height in zip(COLOURS, heights, strict=False):
        floor -= height
        drawn.append(f'<rect x="{x + 4:g}" y="{floor:.1f}" width="{_BAR - 8}" height="{height:.1f}" fill="{colour}"/>')
    return drawn


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:g}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'


def _legend(panel: Panel) -> str:
    return " ".join(
        f'<tspan fill="{colour}">■ {escape(name)}</tspan>' for colour, name in zip(COLOURS, panel.parts, strict=False)
    )
