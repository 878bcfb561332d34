"""`make bench`: every row of the targets, with its control, into docs/performance.md and bench/results/."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from bench import decisions, freshness, machine, report, streaming
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
}


def main() -> int:
    """Runs the parts asked for, prints each row as it is measured; 0 even when a target is missed, for it is said."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog="example: make bench ARGS='--only decisions stream'"
    )
    parser.add_argument("--quick", action="store_true", help="small and short: whether it runs, and rough ratios")
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=list(_PARTS), help="these parts alone")
    parser.add_argument("--scale", action="store_true", help="10 k, 100 k and 1 M customers, too (about 20 minutes)")
    args = parser.parse_args()
    size, began = QUICK if args.quick else FULL, time.monotonic()
    rows: list[Row] = []
    paces: dict[str, list[float]] = {}
    for name in args.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        before = machine.pace()
        for row in _PARTS[name](size):
            rows.append(row)
            print(report.line(row), flush=True)
        paces[name] = [round(before, 1), round(machine.pace(), 1)]
    sizes = [streaming.at_size(count, days) for count, days in streaming.SIZES] if args.scale else []
    done = {**_result(rows, sizes, size, time.monotonic() - began), "pace_ms": paces}
    path = ROOT / "bench" / "results" / ("quick.json" if args.quick else "full.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(done, indent=1, default=float) + "\n")
    if len(args.only) == len(_PARTS):
        report.write(ROOT / "docs" / "performance.md", done)
    print(f"{done['seconds']:.0f} s; {path.relative_to(ROOT)}")
    return 0


def _result(rows: list[Row], sizes: list[dict[str, float]], size: Size, seconds: float) -> dict[str, Any]:
    return {
        "machine": machine.facts(),
        "size": vars(size) if hasattr(size, "__dict__") else {"customers": size.customers, "days": size.days},
        "seconds": round(seconds, 1),
        "rows": [row.as_json() for row in rows],
        "sizes": sizes,
    }


if __name__ == "__main__":
    sys.exit(main())
