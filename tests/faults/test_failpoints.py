"""Fault 2: the stream dies at each named point of a commit; its store is as it was before or after, never between."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest

from storage.digest import Digest, digest
from storage.records import FAILPOINTS
from tests.faults.conftest import MadeLog, Tell
from tests.faults.sizes import short_and_full
from tests.processes import ROOT, environment, offsets

SEED = 20261123
SIGNALS = 3_000
# Applies partition 0 of the log of argv[1]; dies at the argv[3]-th passing of the point argv[2], and prints the digest
# after each commit until then.
DYING_STREAM = """
import functools, os, signal, sys
from pathlib import Path
import msgspec
from storage.digest import digest
from storage.records import RecordStore
from stream.runner import StreamConfig, run_stream

data, wanted, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
passed = 0

def failpoint(name):
    global passed
    passed += name == wanted
    if passed == at:
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "committed":
        print(msgspec.json.encode(digest(data)).decode(), flush=True)

RecordStore.open_for_writing = functools.partial(RecordStore.open_for_writing, failpoint=failpoint)
run_stream(StreamConfig(data, "plain", 50, share=(0, 8)))
"""
NEVER = 10**9


def run_dying(data: Path, point: str, at: int) -> list[Digest]:
    """The digests after each commit, up to the end of the log or to its death."""
    words = [sys.executable, "-c", DYING_STREAM, str(data), point, str(at)]
    states = [digest(data)]
    end = offsets(data)[1][0]
    with subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while states[-1].offsets[0] < end and (line := process.stdout.readline()):
            states.append(msgspec.json.decode(line, type=Digest))
        if states[-1].offsets[0] == end:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    return states


@pytest.mark.parametrize("commits", short_and_full(1, 10))
def test_a_death_at_any_named_point_of_a_commit_leaves_the_state_before_or_after_it(
    tmp_path: Path, made_log: Callable[[int], MadeLog], tell: Tell, commits: int
) -> None:
    made, random = made_log(SIGNALS), Random(SEED)
    states = run_dying(made.copy(tmp_path / "clean"), "none", NEVER)
    assert len(states) > 10
    seen = set()
    for point in FAILPOINTS:
        for at in random.sample(range(1, len(states)), commits):
            data = made.copy(tmp_path / f"{point}-{at}")
            assert run_dying(data, point, at) == states[:at]
            assert digest(data) == states[at if point == "committed" else at - 1]
            assert run_dying(data, "none", NEVER)[-1] == states[-1]
            seen.add(point)
    tell(
        f"fault 2: seed {SEED}: points covered {len(seen)} / named {len(FAILPOINTS)}, {len(seen) * commits} deaths, "
        "states between 0, digest after the resume equal"
    )
