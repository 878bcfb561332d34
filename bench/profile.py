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
from typing import Any, Final

from bench import workloads
from bench.decisions import CONNECTIONS, Size, copied
from bench.generator import run
from bench.machine import cpu_by_thread
from bench.service import start
from bench.streaming import drain

Steps = Mapping[str, tuple[str, ...]]
"""Step -> the functions it begins with, as `file:function`; `file:` for any function of a file."""

ELSE: Final = "everything else"
PER_SECOND: Final = 400
_WORKING: Final = "(stream/"
_FRAME: Final = re.compile(r"^(?P<function>.+) \((?P<file>[^()]*?)(?::\d+)?\)$")

STREAM: Final[Steps] = {
    "read the log": ("stream/tail.py:", "storage/log_reader.py:"),
    "decode the signals": ("stream/block.py:",),
    "load and decode the records": ("stream/steps.py:_load", "storage/records.py:load"),
    "find and fire what is due": (
        "stream/steps.py:_pass_ticks",
        "membrane/engine.py:_fire",
        "storage/records.py:due_before",
    ),
    "fold": ("membrane/fold.py:fold",),
    "features": ("membrane/features.py:features",),
    "model": ("stream/infer.py:infer", "membrane/tracker.py:estimate"),
    "stage": ("membrane/engine.py:_evaluate",),
    "obligations": ("membrane/engine.py:_require", "membrane/obligations.py:settle"),
    "late signals' deadlines": ("membrane/engine.py:_deadlines", "membrane/engine.py:_put_off"),
    "when it is due next": ("membrane/engine.py:next_due",),
    "encode the records": ("membrane/record.py:encode",),
    "write": ("storage/records.py:commit",),
    "the steps themselves": ("stream/steps.py:",),
}
DECISION: Final[Steps] = {
    "the server, in": ("uvicorn/protocols/http/httptools_impl.py:data_received",),
    "read and parse the request": ("serving/limits.py:", "serving/decisions.py:parse"),
    "read the customer": ("serving/known.py:of",),
    "bring the customer to now": ("serving/decisions.py:_view",),
    "judge the candidates": ("membrane/decide.py:_judge_in_time", "membrane/decide.py:_asked"),
    "until, unless and reasons": ("membrane/answering.py:",),
    "valid_until": ("membrane/decide.py:_valid_until",),
    "the rest of the answer": ("membrane/decide.py:decide",),
    "encode and log": ("serving/decisions.py:_logged",),
    "count": ("serving/decisions.py:_count",),
    "measure": ("prometheus_client/metrics.py:observe",),
    "the server, out": ("serving/answers.py:",),
    "write the decision log": ("storage/decisions.py:",),
}


def profiles(size: Size) -> dict[str, dict[str, Any]]:
    """Microseconds of CPU by step: of a signal of `uniform-N` in the stream, of a decision with one and three
    candidates in a saturated API."""
    return {
        "a signal": _stream(size),
        "a decision, one candidate": _decision(size, 1),
        "a decision, three candidates": _decision(size, 3),
    }


def _stream(size: Size) -> dict[str, Any]:
    log = workloads.log(f"uniform-{size.customers}x{size.days}", workloads.signals(size.customers, size.days))
    stacks: Counter[str] = Counter()
    with copied(log) as data:
        done = drain(data, watched=lambda pid: _sampled(pid, stacks, size.seconds))
    return _table(done.cpu_micros, Counter({stack: n for stack, n in stacks.items() if _WORKING in stack}), STREAM)


def _decision(size: Size, candidates: int) -> dict[str, Any]:
    asks = workloads.asks(size.customers, candidates)
    stacks: Counter[str] = Counter()
    with copied(workloads.store(size.customers, size.days)) as data, start("up", data, "--clock", "signals") as up:
        pid = up.child("api")
        run(up.port, asks, rate=0, seconds=1.0, connections=CONNECTIONS)
        spent = cpu_by_thread(pid)
        alone = run(up.port, asks, rate=0, seconds=size.seconds, connections=CONNECTIONS)
        micros = {one: (now - spent.get(one, 0)) / alone.answered * 1e6 for one, now in cpu_by_thread(pid).items()}
        with _sampled(pid, stacks, size.seconds):
            run(up.port, asks, rate=0, seconds=size.seconds + 1.0, connections=CONNECTIONS)
    # A thread that waits for the interpreter's lock looks busy to the sampler: each counts by its own CPU time.
    steps = dict.fromkeys([*DECISION, ELSE], 0.0)
    for thread, spent_there in micros.items():
        own = Counter({stack: n for stack, n in stacks.items() if stack.startswith(f"thread ({thread})")})
        for step, share in by_step(own, DECISION).items() if own else [(ELSE, 1.0)]:
            steps[step] += share * spent_there
    return {"micros": sum(micros.values()), "samples": sum(stacks.values()), "steps": steps}


def _table(micros: float, stacks: Counter[str], steps: Steps) -> dict[str, Any]:
    shares = by_step(stacks, steps)
    return {
        "micros": micros,
        "samples": sum(stacks.values()),
        "steps": {step: share * micros for step, share in shares.items()},
    }


@contextmanager
def _sampled(pid: int, found: Counter[str], seconds: float) -> Iterator[None]:
    """Samples a running process for so long; the stacks are in the counter once the context has ended."""
    with tempfile.NamedTemporaryFile(suffix=".raw") as out:
        words = [Path(sys.executable).with_name("py-spy"), "record", "--pid", pid, "--duration", max(1, round(seconds))]
        words += ["--rate", PER_SECOND, "--format", "raw", "--output", out.name, "--threads"]
        spy = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        yield
        complaint = spy.communicate()[1]
        if spy.returncode != 0:
            raise RuntimeError(f"bench: py-spy could not read the process: {complaint.decode().strip()[-200:]}")
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
