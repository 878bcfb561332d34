"""`membrane replay`: a file of signals, over HTTP or straight into a log, with the same checks."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from cli.client import ApiClient
from cli.exits import DONE
from cli.feeds import Feed, HttpFeed, LogFeed, Verdict
from cli.options import came_from_environment
from cli.output import complain, number, print_json, progress_bar, say
from membrane.errors import UsageError

BATCH_SIGNALS: Final = 500
BATCH_BYTES: Final = 1_000_000
SHOWN_REFUSALS: Final = 5

Line = tuple[int, bytes]
"""A line and its number, from 1."""


@dataclass(slots=True)
class Counts:
    """What became of what was sent; the first four add up to `sent`. `refusals` says why, for the first few."""

    accepted: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    rejected: int = 0
    sent: int = 0
    refusals: list[str] = field(default_factory=list)

    def add(self, batch: list[Line], verdict: Verdict) -> None:
        """Counts one more batch."""
        room = SHOWN_REFUSALS - len(self.refusals)
        for refusal in verdict.refused[:room]:
            line = batch[refusal.index][0]
            self.refusals.append(f"line {line}: {refusal.pointer or '/'}: {refusal.detail}")
        self.accepted += verdict.accepted
        self.duplicates += verdict.duplicates
        self.dead_lettered += verdict.dead_lettered
        self.rejected += len(verdict.refused)
        self.sent += len(batch)


def replay(args: argparse.Namespace) -> int:
    """Sends the file, batch by batch; prints the four counts."""
    counts, started = Counts(), time.monotonic()
    bar = progress_bar("replay", asked=args.progress)
    try:
        with open_feed(args) as feed, open_input(args.file, "signals") as (file, size):
            reader = _watched(file, lambda done: bar(done, size), shown=size > 0)
            send_all(reader, feed, counts, pace=_pace(args.rate))
    finally:
        bar.close()
        _report(counts, time.monotonic() - started, as_json=args.json)
    return DONE


def _at_once(_sent: int) -> None:
    """No pace: as fast as it goes."""


def send_all(lines: Iterable[bytes], feed: Feed, counts: Counts, *, pace: Callable[[int], None] = _at_once) -> None:
    """Sends all lines in order; `counts` is kept up to date."""
    for batch in batches(lines):
        verdict = feed.send([line for _, line in batch])
        counts.add(batch, verdict)
        pace(counts.sent)


def batches(lines: Iterable[bytes], signals: int = BATCH_SIGNALS, size: int = BATCH_BYTES) -> Iterator[list[Line]]:
    """Groups of lines for one request each; empty lines are left out."""
    batch: list[Line] = []
    filled = 0
    for place, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if batch and (len(batch) == signals or filled + len(text) >= size):
            yield batch
            batch, filled = [], 0
        batch.append((place, text))
        filled += len(text) + 1
    if batch:
        yield batch


@contextmanager
def open_feed(args: argparse.Namespace) -> Iterator[Feed]:
    """Where signals go: the API of --url or the log of --data. UsageError unless one of them is given."""
    feed: HttpFeed | LogFeed
    if chosen_url(args) is not None:
        feed = HttpFeed(ApiClient(args.url, args.key))
    else:
        feed = LogFeed(args.data, args.tenant, args.clock)
    try:
        yield feed
    finally:
        feed.close()


def chosen_url(args: argparse.Namespace) -> str | None:
    """The URL to talk to, None for --data. What comes from the environment yields to a flag."""
    url: str | None = args.url
    if url is None and args.data is None:
        raise UsageError("--url URL or --data DIR is required")
    if url is None or args.data is None:
        return url
    if came_from_environment("--data", args.data):
        return url
    if came_from_environment("--url", url):
        return None
    raise UsageError("--url or --data is required, both came")


@contextmanager
def open_input(name: str, what: str) -> Iterator[tuple[BinaryIO, int]]:
    """The file of `what` (- is standard input) and its size, 0 where that is not known. UsageError if it cannot be
    read."""
    if name == "-":
        yield sys.stdin.buffer, 0
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise UsageError(f"{name}: a file of {what} was required: {error.strerror}") from error
        yield file, Path(name).stat().st_size


def _watched(file: BinaryIO, progress: Callable[[int], None], *, shown: bool) -> Iterator[bytes]:
    done = 0
    for line in file:
        yield line
        done += len(line)
        if shown:
            progress(done)


def _pace(rate: int | None) -> Callable[[int], None]:
    """Waits until so many signals may have been sent."""
    started = time.monotonic()

    def wait(sent: int) -> None:
        if rate is not None:
            time.sleep(max(0.0, started + sent / rate - time.monotonic()))

    return wait


def _report(counts: Counts, seconds: float, *, as_json: bool) -> None:
    rate = round(counts.sent / seconds) if seconds else 0
    for refusal in counts.refusals:
        complain(refusal)
    if counts.rejected > len(counts.refusals):
        complain(f"and {number(counts.rejected - len(counts.refusals))} more lines that were rejected")
    if as_json:
        print_json({**asdict(counts), "seconds": round(seconds, 3), "signals_per_second": rate})
        return
    say(
        f"{number(counts.accepted)} accepted, {number(counts.duplicates)} duplicates, "
        f"{number(counts.dead_lettered)} dead-lettered, {number(counts.rejected)} rejected: "
        f"{number(counts.sent)} signals in {seconds:.1f} s, {number(rate)} signals/s"
    )
