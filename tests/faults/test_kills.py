"""Faults 1, 4 and 13: SIGKILL at random points, of the stream, of the API and of `up`; then a rebuild."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from random import Random

import apsw
import httpx
import pytest

from membrane.ports import RecordKind
from membrane.signals import read_stored
from storage.directory import DataDir
from storage.log_reader import LogReader
from tests.faults.conftest import MadeLog, Tell
from tests.faults.sizes import percentile
from tests.processes import (
    BATCH,
    Service,
    applied,
    digest,
    offsets,
    run,
    run_json,
    stream,
    up,
    wait_applied,
    wait_until,
)

SEED = 20261123
NOTHING_LEARNED = sha256(b"").hexdigest()
SHARES = {
    "plain": ["0/1"],
    "bytewax": ["0/1"],
    "two bytewax": ["0/2", "1/2"],
}


@pytest.mark.parametrize("engine", SHARES)
@pytest.mark.parametrize(("signals", "kills"), [(3_000, 3), pytest.param(100_000, 20, marks=pytest.mark.faults)])
def test_killing_the_stream_anywhere_changes_nothing(
    tmp_path: Path, made_log: Callable[[int], MadeLog], tell: Tell, engine: str, signals: int, kills: int
) -> None:
    made, random = made_log(signals), Random(f"{SEED} {engine}")
    data = made.copy(tmp_path / "data")
    total = sum(offsets(data)[1])
    # Most kills fall into the work, at places spread over the log; the others anywhere, the start-up among it.
    places = sorted(random.randrange(total) for _ in range(kills))
    resumed: list[float] = []
    for number, place in enumerate(places):
        with ExitStack() as stack:
            began, before = time.monotonic(), applied(data)
            running = [stack.enter_context(one) for one in _streams(data, engine)]
            if number % 4 == 3:
                time.sleep(random.uniform(0.05, 1.0))
            else:
                wait_until(lambda: applied(data) > before, "the first commit", every=0.005)  # noqa: B023
                resumed.append(time.monotonic() - began)
                wait_until(lambda: applied(data) >= place, "the next place", every=0.002)  # noqa: B023
                time.sleep(random.uniform(0, 0.03))
            random.choice(running).kill()
        assert applied(data) < total, "the log was too short for the kills"
    with ExitStack() as stack:
        running = [stack.enter_context(one) for one in _streams(data, engine)]
        wait_applied(data)
        assert [one.stop() for one in running] == [0] * len(running)
    assert digest(data) == made.digest
    assert made.digest["examples_sha256"] != NOTHING_LEARNED
    assert _waiting_effects(data) == _waiting_effects(data, distinct=True)
    tell(
        f"fault 1: {engine}, seed {SEED}: {kills} kills, {signals:,} signals, lost 0, doubled 0, digest equal, "
        f"resume p50 {percentile(resumed, 0.5):.1f} s, p95 {percentile(resumed, 0.95):.1f} s"
    )


def _streams(data: Path, engine: str) -> list[object]:
    runner = "plain" if engine == "plain" else "bytewax"
    return [stream(data, "--runner", runner, "--batch", 32, "--share", share) for share in SHARES[engine]]


class Sender(threading.Thread):
    """Sends a file in batches, keeps sending what got no answer, and notes what was acknowledged."""

    def __init__(self, service: Service, lines: list[bytes], batch: int) -> None:
        super().__init__()
        self.acknowledged: set[tuple[str, str]] = set()
        self.counts: Counter[str] = Counter()
        self.sent = 0
        self._service = service
        self._lines = lines
        self._batch = batch

    def run(self) -> None:
        with self._service.client(timeout=10.0) as client:
            for start in range(0, len(self._lines), self._batch):
                lines = self._lines[start : start + self._batch]
                answer = _insist(client, b"[" + b",".join(lines) + b"]")
                self.counts.update({name: answer[name] for name in ("accepted", "duplicates", "dead_lettered")})
                assert not answer["rejected"]
                self.acknowledged |= {(event["source"], event["id"]) for event in map(json.loads, lines)}
                self.sent = start + len(lines)


def _insist(client: httpx.Client, body: bytes) -> dict[str, int]:
    while True:
        try:
            answer = client.post("/v1/signals", content=body, headers=BATCH)
        except httpx.HTTPError:
            time.sleep(0.02)
            continue
        if answer.status_code == 202:
            return answer.json()
        assert answer.status_code == 503, answer.text


@pytest.mark.parametrize("runner", ["plain", "bytewax"])
@pytest.mark.parametrize(("signals", "kills"), [(1_500, 3), pytest.param(100_000, 20, marks=pytest.mark.faults)])
def test_killing_up_or_the_api_during_ingest_loses_nothing_that_was_acknowledged(
    tmp_path: Path, simulated: Callable[[int], Path], tell: Tell, runner: str, signals: int, kills: int
) -> None:
    data, random = tmp_path / "data", Random(f"{SEED} {runner}")
    lines = simulated(signals).read_bytes().splitlines()
    options = ("--runner", runner, "--clock", "signals")
    places = [signals * (number + 1) // (kills + 1) for number in range(kills)]
    killed: Counter[str] = Counter()
    with ExitStack() as stack:
        running = stack.enter_context(up(data, *options))
        sender = Sender(running, lines, batch=25)
        sender.start()
        for number, place in enumerate(places):
            wait_until(lambda: sender.sent >= place or not sender.is_alive(), "signals sent", 300, every=0.001)  # noqa: B023
            time.sleep(random.uniform(0, 0.02))
            role = ("up", "stream", "api")[number % 3]
            killed[role] += 1
            if role == "up":
                running.kill()
                running = stack.enter_context(up(data, *options, port=running.port))
            else:
                _kill_child(running, role)
        sender.join(600)
        assert not sender.is_alive()
        running.wait_applied()
        seen = digest(data)
        assert running.stop() == 0
    stored = _stored_ids(data)
    assert len(stored) == len(set(stored)) == signals
    assert sender.acknowledged - set(stored) == set()
    rebuilt = run_json("rebuild", "--data", data, seconds=600)
    assert rebuilt == seen
    assert _waiting_effects(data) == 0
    tell(
        f"faults 1, 4, 13: {runner}, seed {SEED}: {kills} kills {dict(killed)} during ingest, "
        f"{len(sender.acknowledged):,} acknowledged, lost 0, doubled 0, digest equal to rebuild, effects sent again 0"
    )


def _kill_child(running: Service, role: str) -> None:
    """Kills a child of `up` and waits for the next one: five restarts a minute are allowed."""
    pid = running.pid(role)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running.pid(role) != pid, f"another {role}")


def _stored_ids(data: Path) -> list[tuple[str, str]]:
    directory = DataDir.existing(data)
    with closing(LogReader(directory)) as log:
        records = [record for p in range(directory.partitions) for record in log.read(p, 0, 10**7)]
    signals = [read_stored(record.body) for record in records if record.kind is RecordKind.SIGNAL]
    return [(signal.source, signal.id) for signal in signals]


def _waiting_effects(data: Path, *, distinct: bool = False) -> int:
    what, found = "count(DISTINCT id)" if distinct else "count(*)", 0
    for path in sorted(data.glob("records-*.db")):
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            found += connection.execute(f"SELECT {what} FROM effects WHERE delivered = 0").fetchone()[0]
    return found


def test_a_stream_without_its_principle_file_waits_and_kills_meanwhile_change_nothing(
    tmp_path: Path, made_log: Callable[[int], MadeLog], tell: Tell
) -> None:
    made = made_log(3_000)
    data = made.copy(tmp_path / "data")
    folder = DataDir.existing(data).principles_path
    (file,) = folder.iterdir()
    file.rename(tmp_path / file.name)
    for _ in range(2):
        with stream(data, "--runner", "plain") as running:
            wait_until(lambda: "put it back" in running.errors(), "the word of the stream")
            running.kill()
    refused = run("rebuild", "--data", data)
    assert (refused.returncode, file.name in refused.stderr) == (4, True)
    with stream(data, "--runner", "bytewax") as running:
        wait_until(lambda: "put it back" in running.errors(), "the word of the stream")
        (tmp_path / file.name).rename(file)
        wait_applied(data)
        assert running.stop() == 0
    assert digest(data) == made.digest
    tell("fault 12: started, killed and rebuilt without the principle file: nothing applied behind it, digest equal")


def test_a_stream_that_is_rebuilt_beside_a_running_one_is_refused(
    tmp_path: Path, made_log: Callable[[int], MadeLog]
) -> None:
    made = made_log(3_000)
    data = made.copy(tmp_path / "data")
    with stream(data, "--runner", "plain") as running:
        wait_until(lambda: applied(data) > 0, "the first commit")
        refused = run("rebuild", "--data", data)
        assert (refused.returncode, "one writer at a time" in refused.stderr) == (3, True)
        running.wait_applied()
    assert digest(data) == made.digest
