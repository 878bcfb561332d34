"""The main panels of the dashboard as SVG, by what a real Prometheus scraped: `python -m tests.k8s.picture FILE`."""

from __future__ import annotations

import sys
import tempfile
import time
from html import escape
from pathlib import Path
from typing import Any

import httpx

from k8s.dashboard import ROWS, Panel
from tests.k8s.watched import keep_busy, watched
from tests.ops.monitoring import Monitoring

SHOWN = (
    "Customers by stage", "Entries into crisis", "Verdicts by class", "Time to decide", "Signals received",
    "What is owed",
)  # fmt: skip
SECONDS = 75
COLOURS = ("#1f5fa8", "#d9a13b", "#2f7d4f", "#b3413c", "#7a5aa6", "#8a8f98", "#3aa6a0", "#c46ba0")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 470, 220, 52, 180, 34, 26
MOST_LINES = 8


def lines(
    prometheus: Monitoring, panel: Panel, start: float, end: float
) -> list[tuple[str, list[tuple[float, float]]]]:
    """(legend, points) of a panel, those with the greatest last value first."""
    found = []
    for legend, expression in panel.lines:
        query = {
            "query": expression.replace("$__rate_interval", "20s"), "start": start, "end": end, "step": "1"
        }  # fmt: skip
        answer = httpx.get(f"{prometheus.prometheus}/api/v1/query_range", params=query, trust_env=False).json()
        for series in answer["data"]["result"]:
            name = legend
            for label, value in series["metric"].items():
                name = name.replace("{{" + label + "}}", value)
            found.append((name, [(float(at), float(value)) for at, value in series["values"] if value != "NaN"]))
    return sorted((one for one in found if one[1]), key=lambda one: -one[1][-1][1])[:MOST_LINES]


def drawn(panel: Panel, found: list[tuple[str, list[tuple[float, float]]]], start: float, end: float) -> str:
    """One panel."""
    scale = 1000 if panel.unit == "s" else 1
    levels = [value for _, points in found for _, value in points] + ([panel.line] if panel.line else [])
    top = max(levels, default=1) * 1.1 or 1
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(at: float, value: float) -> str:
        x = LEFT + (at - start) / (end - start) * (right - LEFT)
        return f"{x:.1f},{floor - value / top * (floor - TOP):.1f}"

    unit = {"s": "ms", "ops": "per second"}.get(panel.unit, "")
    parts = [
        f'<text x="{LEFT}" y="18" font-weight="bold">{escape(panel.title)}{f" ({unit})" if unit else ""}</text>',
        f'<line x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}" stroke="#999"/>',
        f'<text x="{LEFT}" y="{HEIGHT - 8}" fill="#555">0 s</text>',
        f'<text x="{right}" y="{HEIGHT - 8}" fill="#555" text-anchor="end">{end - start:.0f} s</text>',
    ]
    for level in (0.0, top / 2, top):
        label = f"{level * scale:,.0f}" if level * scale >= 100 else f"{level * scale:.3g}"
        y = floor - level / top * (floor - TOP)
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{label}</text>')
    if panel.line:
        y = floor - panel.line / top * (floor - TOP)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d00" stroke-dasharray="5 3"/>')
    for number, (name, points) in enumerate(found):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(place(*point) for point in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        parts.append(f'<text x="{right + 8}" y="{TOP + 10 + number * 15}" fill="{colour}">{escape(name[:40])}</text>')
    return "".join(parts)


def picture(prometheus: Monitoring, start: float, end: float) -> str:
    """The panels, two beside each other."""
    panels: dict[str, Any] = {panel.title: panel for row in ROWS for panel in row.panels}
    rows = -(-len(SHOWN) // 2)
    box = f"0 0 {WIDTH * 2} {HEIGHT * rows}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif" font-size="10.5">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, title in enumerate(SHOWN):
        body = drawn(panels[title], lines(prometheus, panels[title], start, end), start, end)
        parts.append(f'<g transform="translate({number % 2 * WIDTH} {number // 2 * HEIGHT})">{body}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Runs a service under Prometheus for a while, and draws it."""
    with tempfile.TemporaryDirectory() as folder, watched(Path(folder)) as (up, prometheus):
        start = time.time()
        keep_busy(up, SECONDS)
        queries = {
            line.replace("$__rate_interval", "1m") for row in ROWS for one in row.panels for _, line in one.lines
        }
        print("empty:", [query for query in queries if not prometheus.ask(query)])
        Path(sys.argv[1]).write_text(picture(prometheus, start, time.time()), encoding="utf-8")


if __name__ == "__main__":
    main()
