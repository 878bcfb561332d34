"""Where the time goes: stacks of the running processes, sampled by py-spy, put under the steps of their work.

A sample belongs to the innermost step of its stack, so that the steps do not overlap; what is in no step is
"everything else", and the whole adds up to the CPU time that the kernel counted.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

Steps = Mapping[str, tuple[str, ...]]
"""Step -> the functions it begins with, as `file:function`; `file:` for any function of a file."""

ELSE: Final = "everything else"
PER_SECOND: Final = 500
_FRAME: Final = re.compile(r"^(?P<function>.+) \((?P<file>[^()]*?)(?::\d+)?\)$")

STREAM: Final[Steps] = {
    "read the log": ("stream/tail.py:", "storage/log_reader.py:"),
    "decode the signals": ("stream/block.py:decode_block",),
    "load and decode the records": ("stream/steps.py:_load", "storage/records.py:load"),
    "what is due fires": ("stream/steps.py:_pass_ticks", "membrane/engine.py:_fire", "storage/records.py:due_before"),
    "fold": ("membrane/fold.py:fold",),
    "features": ("membrane/features.py:features",),
    "model": ("stream/infer.py:infer", "membrane/tracker.py:estimate"),
    "stage": ("membrane/engine.py:_evaluate",),
    "obligations": ("membrane/engine.py:_require", "membrane/obligations.py:settle"),
    "late signals' deadlines": ("membrane/engine.py:_deadlines", "membrane/engine.py:_put_off"),
    "when it is due next": ("membrane/engine.py:next_due",),
    "encode the records": ("membrane/record.py:encode",),
    "write": ("storage/records.py:commit",),
}
DECISION: Final[Steps] = {
    "read and parse the request": ("serving/limits.py:", "serving/decisions.py:parse"),
    "who asks": ("serving/auth.py:",),
    "read the customer": ("serving/known.py:of",),
    "bring the customer to now": ("serving/decisions.py:_view",),
    "judge the candidates": ("membrane/decide.py:_judge_in_time", "membrane/decide.py:_asked"),
    "until, unless and reasons": ("membrane/answering.py:",),
    "valid_until": ("membrane/decide.py:_valid_until",),
    "the rest of the answer": ("membrane/decide.py:decide",),
    "encode and log": ("serving/decisions.py:_logged",),
    "count": ("serving/decisions.py:_count",),
    "send": ("serving/answers.py:",),
    "write the decision log": ("storage/decisions.py:",),
}


@contextmanager
def sampled(pid: int, seconds: float) -> Iterator[Counter[str]]:
    """Samples a running process for so long; the stacks are in the counter once the context has ended."""
    found: Counter[str] = Counter()
    with tempfile.NamedTemporaryFile(suffix=".raw") as out:
        words = [Path(sys.executable).with_name("py-spy"), "record", "--pid", pid, "--duration", seconds]
        words += ["--rate", PER_SECOND, "--format", "raw", "--output", out.name, "--threads", "--nonblocking"]
        spy = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield found
        if spy.wait() != 0:
            raise RuntimeError("bench: py-spy could not read the process (it needs the right to trace it)")
        for line in Path(out.name).read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            found[stack] += int(count)


def by_step(stacks: Counter[str], steps: Steps) -> dict[str, float]:
    """The share of the samples in each step, in the order of the steps; they add up to 1."""
    counts = Counter(dict.fromkeys([*steps, ELSE], 0))
    for stack, count in stacks.items():
        counts[_step(stack, steps)] += count
    return {step: count / max(1, sum(counts.values())) for step, count in counts.items()}


def _step(stack: str, steps: Steps) -> str:
    for frame in reversed(stack.split(";")):
        match = _FRAME.match(frame)
        if match is None:
            continue
        for step, functions in steps.items():
            for function in functions:
                file, _, name = function.partition(":")
                if match["file"].endswith(file) and name in ("", match["function"].rpartition(".")[2]):
                    return step
    return ELSE
