"""The plot of the three sizes: small panels over a logarithmic number of customers, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Final

PANELS: Final = (
    "stream: CPU µs a signal", "record bytes, mean", "log bytes a customer", "exec to readyz, s", "stream MiB",
    "API MiB",
)  # fmt: skip
_WIDTH, _HEIGHT, _COLUMNS, _MARGIN = 300, 170, 3, 40
_FONT: Final = 'font-family="sans-serif" font-size="11"'


def scale(sizes: Sequence[dict[str, float]]) -> str:
    """The panels of PANELS over `customers`, each from zero."""
    rows = -(-len(PANELS) // _COLUMNS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH * _COLUMNS} {_HEIGHT * rows}" {_FONT}>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, name in enumerate(PANELS):
        x, y = number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{_panel(name, sizes)}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(name: str, sizes: Sequence[dict[str, float]]) -> str:
    top = max(size[name] for size in sizes) or 1
    first, last = log10(sizes[0]["customers"]), log10(sizes[-1]["customers"])
    points = [
        (
            _MARGIN + (log10(size["customers"]) - first) / max(last - first, 1e-9) * (_WIDTH - 2 * _MARGIN),
            _HEIGHT - 30 - size[name] / top * (_HEIGHT - 75),
            size,
        )
        for size in sizes
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#1f5fa8"/>'
        f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{size[name]:,.3g}</text>'
        f'<text x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle" fill="#555">{size["customers"]:,.0f}</text>'
        for x, y, size in points
    )
    axis = f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{_HEIGHT - 30}" y2="{_HEIGHT - 30}" stroke="#999"/>'
    title = f'<text x="{_WIDTH / 2}" y="18" text-anchor="middle" font-weight="bold">{escape(name)}</text>'
    return f'{title}{axis}<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>{marks}'
