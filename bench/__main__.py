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

from bench import (
    challengers,
    conditions,
    decisions,
    etiquette,
    freshness,
    generator,
    machine,
    plot,
    profile,
    report,
    streaming,
)
from bench.decisions import FULL, QUICK, Size
from bench.rows import Row
from bench.service import ROOT

_INCIDENTS: Final = ROOT.parent / "shared" / "data" / "uci_incidents"
_PARTS: Final[dict[str, Callable[[Size], Iterator[Row]]]] = {
    "decisions": decisions.beside_signals,
    "alone": decisions.alone,
    "ingest": freshness.ingest,
    "stream": lambda size: streaming.whole_way(size, _INCIDENTS if _INCIDENTS.is_dir() else None),
    "challengers": challengers.beside,
    "two": streaming.two_processes,
    "freshness": freshness.freshness,
    "restart": streaming.restart,
    "principles": etiquette.many,
    "conditions": conditions.equality,
}
_WITHOUT_GENERATOR: Final = frozenset({"stream", "challengers", "two", "restart", "conditions"})
_NOT_QUICK: Final = frozenset({"principles"})


class Run:
    """One run: what it has measured so far, kept after every stage, so that a fault in one costs only that one."""

    def __init__(self, size: Size, *, quick: bool) -> None:
        self.failed: list[str] = []
        self._size = size
        self._quick = quick
        self._began = time.monotonic()
        self._rows: list[Row] = []
        self._paces: dict[str, list[float]] = {}
        self._sizes: list[dict[str, float]] = []
        self._profiles: dict[str, dict[str, Any]] = {}

    def measure(self, name: str) -> None:
        """One part; that it could not be measured is told and remembered."""
        print(f"{name} ...", file=sys.stderr, flush=True)
        before = machine.pace()
        try:
            self._tell(_PARTS[name](self._size))
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            self.failed.append(name)
            print(f"{name}: could not be measured: {error}", file=sys.stderr)
        self._paces[name] = [round(before, 1), round(machine.pace(), 1)]
        self._keep()

    def measure_sizes(self) -> None:
        """Ten thousand, a hundred thousand and a million customers."""
        for customers, days in streaming.SIZES:
            print(f"{customers:,} customers ...", file=sys.stderr, flush=True)
            self._sizes.append(streaming.at_size(customers, days))
            print(report.size_line(self._sizes[-1]), flush=True)
        self._tell(streaming.growth(self._sizes))
        self._keep()

    def measure_profiles(self) -> None:
        """Where the time goes."""
        self._profiles = profile.profiles(self._size)
        for what, found in self._profiles.items():
            print(report.profile_text(what, found), flush=True)
        self._keep()

    def _tell(self, rows: Iterator[Row]) -> None:
        for row in rows:
            self._rows.append(row)
            print(report.line(row), flush=True)

    def _keep(self) -> None:
        """Into bench/results/; what a full run measured goes into the page, each row in its place."""
        done: dict[str, Any] = {
            "machine": machine.facts(),
            "size": asdict(self._size),
            "seconds": round(time.monotonic() - self._began, 1),
            "rows": [row.as_json() for row in self._rows],
            "sizes": self._sizes,
            "pace_ms": self._paces,
            "profiles": self._profiles,
        }
        path = ROOT / "bench" / "results" / ("quick.json" if self._quick else "full.json")
        path.parent.mkdir(exist_ok=True)
        if not self._quick:
            done = report.merged(json.loads(path.read_text()) if path.exists() else {}, done)
        path.write_text(json.dumps(done, indent=1, default=float, ensure_ascii=False) + "\n")
        if not self._quick:
            report.write(ROOT / "docs" / "performance.md", done)
            if done["sizes"]:
                (ROOT / "docs" / "images" / "scale.svg").write_text(plot.scale(done["sizes"]))


def main() -> int:
    """Runs the parts asked for, prints each row as it is measured; 0 even when a target is missed, for it is said, 1
    when a part could not be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog="example: make bench ARGS='--only decisions stream'"
    )
    parser.add_argument("--quick", action="store_true", help="small and short: whether it runs, and rough ratios")
    parser.add_argument("--only", nargs="+", choices=_PARTS, help="these parts alone")
    parser.add_argument("--scale", action="store_true", help="10 k, 100 k and 1 M customers, too (15 minutes)")
    parser.add_argument("--profile", action="store_true", help="where the time goes, by step, too")
    args = parser.parse_args()
    parts = args.only or [name for name in _PARTS if not (args.quick and name in _NOT_QUICK)]
    if not generator.can_be_built():
        print("bench: without a C compiler there is no load generator (Debian: gcc); left out:", file=sys.stderr)
        print("  " + ", ".join(name for name in parts if name not in _WITHOUT_GENERATOR), file=sys.stderr)
        parts = [name for name in parts if name in _WITHOUT_GENERATOR]
    began, run = time.monotonic(), Run(QUICK if args.quick else FULL, quick=args.quick)
    for name in parts:
        run.measure(name)
    if args.scale:
        run.measure_sizes()
    if args.profile:
        run.measure_profiles()
    print(f"{time.monotonic() - began:.0f} s; bench/results/{'quick' if args.quick else 'full'}.json")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
