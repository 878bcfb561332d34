"""`membrane dead-letters replay`: what was set aside and could be processed now goes into the log after all."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Final

from cli.exits import DONE
from cli.output import number, print_json, progress_bar, say
from storage.clock import wall_ms
from storage.directory import DataDir

if TYPE_CHECKING:
    from storage.log import SignalLog
    from storage.set_aside import DeadLetter

AT_ONCE: Final = 500
_OUTCOMES: Final = ("accepted", "duplicates", "erased", "left")


def replay(args: argparse.Namespace) -> int:
    """Sends the letters again, oldest first. One that is in the log is a dead letter no more; running it twice, or
    again after an interruption, stores nothing twice."""
    from storage.log import SignalLog

    counts, bar = Counter[str](), progress_bar("replay", asked=args.progress)
    with closing(SignalLog(DataDir.existing(args.data), clock=args.clock)) as log:
        newest = log.dead_letters(1)
        seq, last = 0, newest[0].seq if newest else 0
        try:
            while letters := [one for one in log.letters_after(seq, AT_ONCE) if one.seq <= last]:
                counts += _send(log, letters)
                seq = letters[-1].seq
                bar(seq, last)
        finally:
            bar.close()
    told = {name: counts[name] for name in _OUTCOMES}
    if args.json:
        print_json(told)
    else:
        say(", ".join(f"{number(count)} {name}" for name, count in told.items()))
    return DONE


def _send(log: SignalLog, letters: Sequence[DeadLetter]) -> Counter[str]:
    """Appends those that can be processed now; what became of each."""
    from serving.incoming import new_signals, sort_events

    now = wall_ms()
    checked, sent = [], []
    for letter in letters:
        incoming = asyncio.run(sort_events([letter.payload], letter.tenant, now))
        if incoming.signals:
            checked += incoming.signals
            sent.append(letter)
    taken = log.send_again(new_signals(checked), sent, now) if sent else []
    return Counter(
        accepted=taken.count(True),
        duplicates=taken.count(False),
        erased=taken.count(None),
        left=len(letters) - len(sent),
    )
