"""Pathway's sliding windows of the same lengths and hops over the file, read whole: a count per customer and window."""

import json
import sys
import time

import pathway as pw

HOUR, DAY = 3_600_000, 86_400_000


class Event(pw.Schema):
    c: str
    t: int


table = pw.io.jsonlines.read(sys.argv[1], schema=Event, mode="static")
counts = []
for hop, duration in ((300_000, HOUR), (HOUR, DAY), (DAY, 7 * DAY)):
    windows = table.windowby(table.t, window=pw.temporal.sliding(hop=hop, duration=duration), instance=table.c)
    counts.append(windows.reduce(n=pw.reducers.count()).reduce(total=pw.reducers.sum(pw.this.n)))
found = []


def changed(key, row, time, is_addition):  # noqa: ARG001 - the names are Pathway's
    if is_addition:
        found.append(row["total"])


for one in counts:
    pw.io.subscribe(one, on_change=changed)
began = time.process_time()
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
events = sum(1 for _ in open(sys.argv[1], encoding="utf-8"))
print(json.dumps({"events": events, "cpu": time.process_time() - began, "checksum": sum(found)}))
