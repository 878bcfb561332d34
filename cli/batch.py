"""`membrane decide --batch`: a file of decision requests, a line each, to an API or a data directory.

A file of any size goes through: what is held of it is one part and its answers.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from cli.client import ApiClient
from cli.exits import DONE, FAILED
from cli.output import complain, number, print_json, progress_bar, say
from cli.replay import chosen_url, open_input
from membrane.errors import InvalidRequest, StoreUnavailable, UsageError
from serving.limits import MAX_DECISION_BYTES, too_large
from serving.lines import Line, Lines

PATH: Final = "/v1/decisions/batch"
MEDIA_TYPE: Final = "application/x-ndjson"
PART_BYTES: Final = 32 * 1024
"""So little fits into the buffers of a connection: the API can go on answering while all of it is being sent."""

Ask = Callable[[Sequence[bytes]], Sequence[bytes]]
"""Requests in, as many answers and problems out."""


class _Told(msgspec.Struct):
    """What tells a problem from an answer."""

    status: int | None = None


_told: Final = msgspec.json.Decoder(_Told)
_any: Final = msgspec.json.Decoder()


@dataclass(slots=True)
class Counts:
    """What became of the lines."""

    lines: int = 0
    failed: int = 0


def decide_batch(args: argparse.Namespace) -> int:
    """Asks for every line and writes the answers in their order; 1 if some of them are problems."""
    counts = Counts()
    bar = progress_bar("decide", asked=args.progress)
    try:
        with _asking(args) as ask, open_input(args.batch, "requests") as (file, size), _output(args.out) as out:
            done = 0
            for part, read in parts(file):
                out.writelines(answer + b"\n" for answer in answered(part, ask, counts))
                done += read
                if size:
                    bar(done, size)
            out.flush()
    finally:
        bar.close()
        _report(counts, args)
    return FAILED if counts.failed else DONE


def parts(file: BinaryIO) -> Iterator[tuple[list[Line], int]]:
    """The lines of a file, some at a time, and how many bytes were read for them."""
    lines = Lines(MAX_DECISION_BYTES)
    while chunk := file.read(PART_BYTES):
        yield list(lines.feed(chunk)), len(chunk)
    yield list(lines.end()), 0


def answered(part: Sequence[Line], ask: Ask, counts: Counts) -> Iterator[bytes]:
    """The answers to a part; a problem names its line in the whole file. StoreUnavailable if some do not come."""
    asked = [line for _, line in part if line is not None]
    answers = ask(asked) if asked else []
    if len(answers) != len(asked):
        raise StoreUnavailable(f"{len(asked)} answers were required, {len(answers)} came: the answer broke off")
    coming = iter(answers)
    for place, line in part:
        answer = too_large(MAX_DECISION_BYTES).body() if line is None else next(coming)
        counts.lines += 1
        if _told.decode(answer).status is not None:
            counts.failed += 1
            answer = msgspec.json.encode({**_any.decode(answer), "line": place})
        yield answer


@contextmanager
def _asking(args: argparse.Namespace) -> Iterator[Ask]:
    url = chosen_url(args)
    if url is None:
        with _asking_directory(args) as ask:
            yield ask
    else:
        with ApiClient(url, args.key) as client:
            # One key a part: what is sent again after a broken connection reserves nothing twice.
            yield lambda lines: client.post_lines(PATH, b"\n".join(lines), MEDIA_TYPE, secrets.token_hex(16))


@contextmanager
def _asking_directory(args: argparse.Namespace) -> Iterator[Ask]:
    from cli.decide import directory_config
    from serving.asking import asking
    from serving.problems import Problem, from_error

    with asking(directory_config(args)) as decisions:

        def answer(line: bytes) -> bytes:
            try:
                return decisions.answer(line, args.tenant)
            except (Problem, InvalidRequest) as error:
                return from_error(error).body()

        yield lambda lines: [answer(line) for line in lines]


@contextmanager
def _output(path: Path | None) -> Iterator[BinaryIO]:
    """Where the answers go. UsageError for a file that cannot be written."""
    if path is None:
        yield sys.stdout.buffer
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise UsageError(f"--out {path}: a file to write was required: {error.strerror}") from error
    with file:
        yield file


def _report(counts: Counts, args: argparse.Namespace) -> None:
    """The counts: beside the answers where these are on standard output, else in their place."""
    text = f"{number(counts.lines)} decisions asked for, {number(counts.failed)} of them failed"
    if args.out is None:
        complain(text)
    elif args.json:
        print_json({"lines": counts.lines, "failed": counts.failed})
    else:
        say(text)
