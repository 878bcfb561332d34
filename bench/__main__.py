"""`make bench`: every row of the targets, with its control, into docs/performance.md and bench/results/."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Final

from bench import conditions, decisions, etiquette, freshness, generator, machine, plot, profile, report, streaming
from bench.decisions import FULL, QUICK, Size
from bench.rows import Row
from bench.service import ROOT

_INCIDENTS: Final = ROOT.parent / "shared" / "data" / "uci_incidents"
_PARTS: Final[dict[str, Callable[[Size], Iterator[Row]]]] = {
    "decisions": decisions.beside_signals,
    "alone": decisions.alone,
    "ingest": freshness.ingest,
    "stream": lambda size: streaming.whole_way(size, _INCIDENTS if _INCIDENTS.is_dir() else None),
    "two": streaming.two_processes,
    "freshness": freshness.freshness,
    "restart": streaming.restart,
    "principles": etiquette.many,
    "conditions": conditions.equality,
}
_WITHOUT_GENERATOR: Final = frozenset({"stream", "two", "restart", "conditions"})
_NOT_QUICK: Final = frozenset({"principles"})


def main() -> int:
    """Runs the parts asked for, prints each row as it is measured; 0 even when a target is missed, for it is said, 1
    when a part could not be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog="example: make bench ARGS='--only decisions stream'"
    )
    parser.add_argument("--quick", action="store_true", help="small and short: whether it runs, and rough ratios")
    parser.add_argument("--only", nargs="+", choices=_PARTS, help="these parts alone")
    parser.add_argument("--scale", action="store_true", help="10 k, 100 k and 1 M customers, too (about 15 minutes)")
    parser.add_argument("--profile", action="store_true", help="where the time goes, by step, too")
    args = parser.parse_args()
    size, began = QUICK if args.quick else FULL, time.monotonic()
    rows: list[Row] = []
    failed: list[str] = []
    parts = args.only or [name for name in _PARTS if not (args.quick and name in _NOT_QUICK)]
    if not generator.can_be_built():
        print("bench: without a C compiler there is no load generator (Debian: gcc); left out:", file=sys.stderr)
        print("  " + ", ".join(name for name in parts if name not in _WITHOUT_GENERATOR), file=sys.stderr)
        parts = [name for name in parts if name in _WITHOUT_GENERATOR]
    paces: dict[str, list[float]] = {}
    for name in parts:
        print(f"{name} ...", file=sys.stderr, flush=True)
        before = machine.pace()
        try:
            for row in _PARTS[name](size):
                rows.append(row)
                print(report.line(row), flush=True)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            failed.append(name)
            print(f"{name}: could not be measured: {error}", file=sys.stderr)
        paces[name] = [round(before, 1), round(machine.pace(), 1)]
    sizes = []
    for customers, days in streaming.SIZES if args.scale else ():
        print(f"{customers:,} customers ...", file=sys.stderr, flush=True)
        sizes.append(streaming.at_size(customers, days))
        print(report.size_line(sizes[-1]), flush=True)
    if sizes:
        for row in streaming.growth(sizes):
            rows.append(row)
            print(report.line(row), flush=True)
    profiles = profile.profiles(size) if args.profile else {}
    for what, found in profiles.items():
        print(report.profile_text(what, found), flush=True)
    done = {**_result(rows, sizes, size, time.monotonic() - began), "pace_ms": paces, "profiles": profiles}
    _keep(done, quick=args.quick)
    return 1 if failed else 0


def _keep(done: dict[str, Any], *, quick: bool) -> None:
    """Into bench/results/; what a full run measured goes into the page, each row in its place."""
    path = ROOT / "bench" / "results" / ("quick.json" if quick else "full.json")
    path.parent.mkdir(exist_ok=True)
    if not quick:
        done = report.merged(json.loads(path.read_text()) if path.exists() else {}, done)
    path.write_text(json.dumps(done, indent=1, default=float, ensure_ascii=False) + "\n")
    if not quick:
        report.write(ROOT / "docs" / "performance.md", done)
        if done["sizes"]:
            (ROOT / "docs" / "images" / "scale.svg").write_text(plot.scale(done["sizes"]))
    print(f"{done['seconds']:.0f} s; {path.relative_to(ROOT)}")


def _result(rows: list[Row], sizes: list[dict[str, float]], size: Size, seconds: float) -> dict[str, Any]:
    return {
        "machine": machine.facts(),
        "size": asdict(size),
        "seconds": round(seconds, 1),
        "rows": [row.as_json() for row in rows],
        "sizes": sizes,
    }


if __name__ == "__main__":
    sys.exit(main())
