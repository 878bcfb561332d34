"""The report: one line a row on the terminal, tables in docs/performance.md."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.rows import Row


def line(row: Row) -> str:
    """A row for the terminal."""
    bounds = ", ".join(f"{name} {bound}" for name, bound in (("must", row.must), ("aim", row.aim)) if bound)
    control = f"; bare {_figure(row.control)}" if row.control is not None else ""
    note = f"; {row.note}" if row.note else ""
    said = f"{bounds or 'no target'}: {row.verdict}{control}; {row.n}{note}"
    return f"{row.what}: {_figure(row.measured)} {row.unit} ({said})"


def size_line(size: dict[str, float]) -> str:
    """One of the three sizes for the terminal."""
    return "  " + "; ".join(f"{name} {_figure(figure)}" for name, figure in size.items())


def profile_text(what: str, found: dict[str, Any]) -> str:
    """A profile for the terminal."""
    lines = [f"{what}: {found['micros']:.0f} µs, {found['samples']:,} samples"]
    lines += [f"  {micros:7.1f} µs  {step}" for step, micros in found["steps"].items()]
    return "\n".join(lines)


def merged(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What a run of some parts measured, among what earlier runs did: each row carries when it was taken."""
    stamp = {"at": time.strftime("%Y-%m-%d")}
    rows = {row["what"]: row for row in before.get("rows", [])}
    rows.update({row["what"]: {**row, **stamp} for row in now["rows"]})
    kept = {name: now[name] or before.get(name, now[name]) for name in ("sizes", "profiles")}
    paces = {**before.get("pace_ms", {}), **now["pace_ms"]}
    return {**now, **kept, "rows": list(rows.values()), "pace_ms": paces}


def write(page: Path, done: dict[str, Any]) -> None:
    """Put the tables of a full run into the page, between its marks."""
    for name, part in (("figures", _figures(done)), ("scale", _scale(done)), ("profile", _profiles(done))):
        if part:
            _replace(page, name, part)


def write_peers(page: Path, windows: list[dict[str, Any]], routes: list[dict[str, Any]]) -> None:
    """Put the tables of the peers into the page."""
    lines = ["| windows | µs of CPU an event | against ours |", "| --- | ---: | ---: |"]
    lines += [
        f"| {one['what']} | {one['micros']:.1f} | {one['micros'] / windows[0]['micros']:.1f} × |" for one in windows
    ]
    lines += ["", "| decisions | µs of CPU | a second | against ours |", "| --- | ---: | ---: | ---: |"]
    for one in routes:
        share = one["micros"] / routes[0]["micros"]
        lines.append(f"| {one['what']} | {one['micros']:.0f} | {one['per_second']:,.0f} | {share:.2f} × |")
    _replace(page, "peers", "\n".join(lines) + "\n")


def _replace(page: Path, name: str, part: str) -> None:
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- bench: {name} -->\n", f"<!-- end of bench: {name} -->"
    head, rest = text.split(begin)
    page.write_text(head + begin + part + end + rest.split(end)[1], encoding="utf-8")


def _figures(done: dict[str, Any]) -> str:
    machine = done["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}"
    paces = [pace for pair in done["pace_ms"].values() for pace in pair]
    lines = [
        f"{done['size']['customers']:,} customers, {done['seconds']:.0f} s. {where}, Python {machine['python']};",
        f"{versions}. A million additions in Python took {min(paces):.0f} to {max(paces):.0f} ms of CPU meanwhile:",
        "so much did the pace of a core change.",
        "",
        "| what | must | aim | measured | bare route | verdict | N | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in done["rows"]:
        control = _figure(row["control"]) if row["control"] is not None else ""
        cells = [
            row["what"], row["must"] or "", row["aim"] or "", f"{_figure(row['measured'])} {row['unit']}", control,
            row["verdict"], row["n"], row["note"],
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _scale(done: dict[str, Any]) -> str:
    if not done["sizes"]:
        return ""
    lines = ["| | " + " | ".join(f"{size['customers']:,.0f} customers" for size in done["sizes"]) + " |"]
    lines.append("| --- " + "| ---: " * len(done["sizes"]) + "|")
    names = list(done["sizes"][0])[1:]
    lines += [f"| {name} | " + " | ".join(_figure(size[name]) for size in done["sizes"]) + " |" for name in names]
    return "\n".join(lines) + "\n"


def _profiles(done: dict[str, Any]) -> str:
    parts = []
    for what, found in done["profiles"].items():
        parts += [f"Of {what}, {found['micros']:.0f} µs of CPU ({found['samples']:,} samples):", ""]
        parts += ["| step | µs | share |", "| --- | ---: | ---: |"]
        parts += [
            f"| {step} | {micros:.1f} | {micros / found['micros']:.1%} |" for step, micros in found["steps"].items()
        ]
        parts.append("")
    return "\n".join(parts)


def _figure(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
