"""The plain runner: the same partitions in a loop, without an engine. Also what `rebuild` and the tests run on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from stream.block import decode_block
from stream.partition import Partition

IDLE_SECONDS: Final = 0.002


def run_plain(partitions: Mapping[int, Partition], stopping: Callable[[], bool]) -> None:
    """Run until told to stop."""
    while not stopping():
        worked = False
        for partition in partitions.values():
            block = partition.next_block()
            if block is not None:
                partition.write(partition.apply(decode_block(block)))
                worked = worked or bool(block.records)
        if not worked:
            time.sleep(IDLE_SECONDS)
