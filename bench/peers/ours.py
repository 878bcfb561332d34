"""Our own windows over the events of a file: tiles, and the three sums read after every event."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict

from membrane.record import State
from membrane.tiles import LEVELS, MEASURE, WINDOWS, add


def main() -> None:
    """Prints events, seconds of CPU and a checksum."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - as the other scripts do
        events = [json.loads(line) for line in file]
    began, total, amounts = time.process_time(), 0, ((MEASURE["in"], 1),)
    states: defaultdict[str, State] = defaultdict(State)
    index = MEASURE["in"]
    for event in events:
        state, t = states[event["c"]], event["t"]
        add(state, t, t, amounts)
        for window in ("1h", "24h", "7d"):
            level, count = WINDOWS[window]
            last = t // LEVELS[level][0]
            tiles = (state.tiles_5m, state.tiles_1h, state.tiles_1d)[level]
            total += sum(sums.get(index, 0) for tile, sums in tiles.items() if last - count < tile <= last)
    print(json.dumps({"events": len(events), "cpu": time.process_time() - began, "checksum": total}))


if __name__ == "__main__":
    main()
