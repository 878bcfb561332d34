"""Bytewax's own sliding windows (1 h by 5 min, 24 h by 1 h, 7 d by 1 d): a count per customer and window."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

START = datetime(2026, 1, 1, tzinfo=UTC)
events = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
clock = win.EventClock(
    ts_getter=lambda event: datetime.fromtimestamp(event["t"] / 1000, UTC),
    wait_for_system_duration=timedelta(seconds=0),
)
out: list = []
flow = Dataflow("windows")
keyed = op.key_on("key", op.input("in", flow, TestingSource(events, batch_size=1000)), lambda event: event["c"])
for name, length, offset in (
    ("hour", timedelta(hours=1), timedelta(minutes=5)),
    ("day", timedelta(days=1), timedelta(hours=1)),
    ("week", timedelta(days=7), timedelta(days=1)),
):
    windower = win.SlidingWindower(length=length, offset=offset, align_to=START)
    counted = win.fold_window(name, keyed, clock, windower, lambda: 0, lambda n, _: n + 1, lambda a, b: a + b)
    op.output(f"out_{name}", counted.down, TestingSink(out))
began = time.process_time()
run_main(flow)
print(json.dumps({"events": len(events), "cpu": time.process_time() - began, "checksum": sum(n for _, (_, n) in out)}))
