"""`make bench-quality`: every part that is there, into docs/quality.md and bench/results/quality.json."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Final

from bench import machine, report
from bench.quality.parts import DATA, PARTS, RESULTS, Size
from bench.rows import Row
from bench.service import ROOT

PAGE: Final = ROOT / "docs" / "quality.md"
_PACKAGES: Final = ("scikit-learn", "river", "onnxruntime", "numpy")
_WITHOUT_DATA: Final = frozenset({"simulator"})


def main() -> int:
    """Runs the parts asked for, prints each row as it is measured, and keeps a part when it is done; 0 even when a
    target is missed, for it is said, 1 when a part could not be measured."""
    there = [name for name in PARTS if find_spec(f"bench.quality.{name}")]
    parser = argparse.ArgumentParser(
        prog="python -m bench.quality", description=__doc__, epilog="example: make bench-quality ARGS='--only tables'"
    )
    parser.add_argument("--only", nargs="+", choices=there, help="these parts alone")
    parser.add_argument("--quick", action="store_true", help="whether it runs; nothing is kept")
    args = parser.parse_args()
    failed = []
    for name in args.only or there:
        if name not in _WITHOUT_DATA and not DATA.is_dir():
            print(f"{name}: left out, the public data are required in {DATA}", file=sys.stderr)
            failed.append(name)
            continue
        began, found = time.process_time(), []
        for row in _rows(name, Size(args.quick)):
            print(report.line(row), flush=True)
            found.append(row.as_json())
        if not args.quick:
            _keep(name, {"rows": found, "cpu_seconds": round(time.process_time() - began), **_where()})
    return 1 if failed else 0


def _rows(name: str, size: Size) -> Iterator[Row]:
    rows: Iterator[Row] = importlib.import_module(f"bench.quality.{name}").rows(size)
    return rows


def _where() -> dict[str, Any]:
    facts = machine.facts()
    packages = {name: version(name) for name in _PACKAGES}
    return {"at": time.strftime("%Y-%m-%d"), "cpu": facts["cpu"], "python": facts["python"], "packages": packages}


def _keep(name: str, part: dict[str, Any]) -> None:
    """Into the results, and into the page where it has a place for this part."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept[name] = part
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    from docs.generate import rendered  # noqa: PLC0415 - it reads the results that were just written

    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
