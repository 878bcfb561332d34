"""Quix Streams: its windows need a Kafka broker, so this is only its state store (RocksDB) under our own tiles: one get
and one set of a JSON value for each event, in transactions of 1,000."""

import json
import sys
import tempfile
import time

from quixstreams.state.rocksdb import RocksDBStore
from quixstreams.state.rocksdb.options import RocksDBOptions

HOUR, DAY = 3_600_000, 86_400_000
LEVELS = (("f", 300_000, 12), ("h", HOUR, 24), ("d", DAY, 7))
events = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
total = 0
with tempfile.TemporaryDirectory() as folder:
    store = RocksDBStore(name="windows", stream_id="events", base_dir=folder, options=RocksDBOptions())
    store.assign_partition(0)
    began = time.process_time()
    for first in range(0, len(events), 1000):
        transaction = store.start_partition_transaction(0)
        for event in events[first : first + 1000]:
            state, t = transaction.as_state(prefix=event["c"]), event["t"]
            tiles = state.get("tiles") or {"f": {}, "h": {}, "d": {}}
            for name, size, count in LEVELS:
                last = t // size
                kept = {tile: n for tile, n in tiles[name].items() if int(tile) > last - count}
                kept[str(last)] = kept.get(str(last), 0) + 1
                tiles[name] = kept
                total += sum(kept.values())
            state.set("tiles", tiles)
        transaction.prepare()
        transaction.flush()
    cpu = time.process_time() - began
    store.close()
print(json.dumps({"events": len(events), "cpu": cpu, "checksum": total}))
