"""`python -m bench.upkeep`: backup, restore, trim, rebuild and erasure of a directory of many customers, with what must
be equal checked on the way. Prints a line a step; about five minutes at 100,000 customers.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from typing import Any, Final

from bench import workloads
from bench.decisions import copied
from bench.machine import facts
from bench.service import Running, membrane, start
from membrane.times import format_time
from storage.clock import wall_ms

PER_SECOND: Final = 500
_BATCH: Final = 50
_MEDIA_TYPE: Final = "application/cloudevents-batch+json"


class Sender(threading.Thread):
    """Sends signals at a steady rate until told to stop; notes how long each batch took to be acknowledged."""

    def __init__(self, up: Running, customers: int) -> None:
        super().__init__()
        self.took: list[float] = []
        self.enough = threading.Event()
        self._up = up
        self._customers = customers

    def run(self) -> None:
        random, began, run = Random(17), time.monotonic(), f"{time.time_ns():x}"
        while not self.enough.is_set():
            number, now = len(self.took), format_time(wall_ms())
            events = [
                workloads.live_event(f"{run}-{number}-{place}", f"c-{random.randrange(self._customers)}", now, random)
                for place in range(_BATCH)
            ]
            sent = time.monotonic()
            self._up.ask("POST", "/v1/signals", json.dumps(events).encode(), _MEDIA_TYPE)
            self.took.append(time.monotonic() - sent)
            time.sleep(max(0.0, began + len(self.took) * _BATCH / PER_SECOND - time.monotonic()))


def main() -> int:
    """1 if something that must be equal is not."""
    parser = argparse.ArgumentParser(prog="python -m bench.upkeep", description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--store", type=Path, help="a directory with uniform-N applied, instead of making one")
    args = parser.parse_args()
    source = args.store or workloads.store(args.customers, args.days)
    equal = True
    _say(f"machine: {facts()}")
    with copied(source) as data, tempfile.TemporaryDirectory(prefix="membrane-bench-") as folder:
        out, again = Path(folder) / "backup", Path(folder) / "again"
        with start("up", data) as up:
            sender = Sender(up, args.customers)
            sender.start()
            time.sleep(5)
            alone = sorted(sender.took)
            told = membrane("backup", "--data", data, "--out", out)
            during = sorted(sender.took[len(alone) :])
            _say(f"backup under {PER_SECOND} signals/s: {_size(told)}")
            _say(f"acknowledged in (p50, greatest) before it {_quantiles(alone)}, during it {_quantiles(during)}")
            trimmed, seconds = _timed("trim", "--data", data, "--before", format_time(wall_ms()))
            dropped = sum(one["records"] for one in trimmed["partitions"])
            _say(f"trim under the same load: {dropped:,} records of the log in {seconds:.1f} s")
            before = time.monotonic()
            receipt = json.loads(up.ask("DELETE", "/v1/customers/c-1"))
            _say(f"erasure under the same load: {receipt['state']} in {time.monotonic() - before:.2f} s")
            sender.enough.set()
            sender.join()
        restored = membrane("restore", "--from", out, "--data", again)
        equal &= _check("restored, digest", _hashes(membrane("digest", "--data", again)), _hashes(told))
        _say(f"restore: {_size(restored)}")
        live = membrane("digest", "--data", data)
        rebuilt, seconds = _timed("rebuild", "--data", data)
        live, rebuilt = _applied(live, rebuilt, data)
        equal &= _check("trimmed and rebuilt, digest", _hashes(rebuilt), _hashes(live))
        _say(f"rebuild from the checkpoint: {seconds:.1f} s")
        rebuilt, seconds = _timed("rebuild", "--data", again)
        _say(f"rebuild of the restored one from the beginning: {sum(rebuilt['offsets']):,} records, {seconds:.1f} s")
    return 0 if equal else 1


def _applied(live: dict[str, Any], rebuilt: dict[str, Any], data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two digests of the same offsets: where the service ended before it had applied all, those after a second rebuild,
    which must equal the first."""
    return (live, rebuilt) if live["offsets"] == rebuilt["offsets"] else (rebuilt, membrane("rebuild", "--data", data))


def _timed(*words: object) -> tuple[Any, float]:
    began = time.monotonic()
    return membrane(*words), time.monotonic() - began


def _hashes(told: dict[str, Any]) -> list[Any]:
    return [told[name] for name in ("customers", "records_sha256", "outbox_sha256", "offsets")]


def _check(what: str, found: object, wanted: object) -> bool:
    _say(f"{what}: {'equal' if found == wanted else f'NOT EQUAL: {found} instead of {wanted}'}")
    return found == wanted


def _size(told: dict[str, Any]) -> str:
    return f"{told['customers']:,} customers, {told['bytes'] / 2**20:.0f} MiB in {told['seconds']:.1f} s"


def _quantiles(took: list[float]) -> str:
    return f"{took[len(took) // 2] * 1000:.0f} ms, {took[-1] * 1000:.0f} ms" if took else "none"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
