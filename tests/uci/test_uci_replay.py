"""The real stream: uci_incidents replayed over HTTP into a running Membrane, and checked against the CSV alone."""

from __future__ import annotations

import csv
import gzip
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from membrane.cases import recurrences
from membrane.fold import fold
from membrane.ledger import KEPT
from membrane.ports import RecordKind
from membrane.record import State, decode
from membrane.signals import CaseOpened, check, typed
from membrane.stages import CRISIS_RECURRENCES
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.record_reader import RecordReader
from tests import processes
from tests.uci import from_csv

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "uci_incidents"
ROWS, WITHOUT_CALLER = 71_859, 29

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the data set uci_incidents is not beside this checkout")


@pytest.fixture(scope="module")
def signals_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uci") / "uci.ndjson"
    done = processes.run("dataset", "uci_incidents", "--from", FOLDER, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def by_hand() -> tuple[set[str], set[tuple[str, str, str, datetime]]]:
    return from_csv.count(FOLDER / "incidents_callers_half0.csv.gz")


def test_fifth_reports_are_those_of_the_csv(signals_file: Path, by_hand: tuple[set[str], Any]) -> None:
    """The fold alone: the bounds of a record leave none out, at the moment of the report."""
    states: dict[str, State] = {}
    found: set[str] = set()
    for line in signals_file.read_bytes().splitlines():
        if b'"subject"' not in line:
            continue
        signal = check(line, "default").stored
        state = states.setdefault(signal.customer, State())
        data = typed(signal)
        fold(state, signal, data, max(signal.time, state.last_at))
        if isinstance(data, CaseOpened):
            case = next(case for case in state.cases if case.case == data.case)
            if recurrences(state, case) >= CRISIS_RECURRENCES:
                found.add(data.case)
    print(f"fifth reports: {len(by_hand[0])} in the CSV, {len(found)} found")
    assert found == by_hand[0]


def test_the_replay_counts_every_row_and_owes_the_calls_of_the_csv(
    tmp_path: Path, signals_file: Path, by_hand: tuple[Any, set[tuple[str, str, str, datetime]]]
) -> None:
    with processes.up(tmp_path / "data", "--clock", "signals") as running:
        counts = processes.run_json("replay", signals_file, "--url", running.url, seconds=300)
        running.wait_applied()
        with running.client() as client:
            processes.wait_until(
                lambda: sum(client.get("/v1/stages").json()["counts"].values()) == len(_callers()),
                "every caller in one stage",
            )
            stages = client.get("/v1/stages").json()
    print(f"uci_incidents: {counts}; stages at the end: {stages['counts']}")
    assert _signals(tmp_path / "data") == ROWS - WITHOUT_CALLER
    # A batch whose answer was lost is sent again, and is then a duplicate.
    assert counts["accepted"] + counts["duplicates"] == ROWS - WITHOUT_CALLER
    assert counts["rejected"] == WITHOUT_CALLER
    assert sum(counts[name] for name in ("accepted", "rejected", "duplicates", "dead_lettered")) == ROWS
    owed, full = _calls(tmp_path / "data")
    left_out = by_hand[1] - owed
    print(
        f"agent calls: {len(by_hand[1])} by the CSV, {len(owed)} owed; not opened because the caller's record was full"
        f" of {KEPT} still owed: {sorted((caller, category, product) for caller, category, product, _ in left_out)}"
    )
    assert owed <= by_hand[1]
    assert {caller for caller, *_ in left_out} <= full


def _calls(data: Path) -> tuple[set[tuple[str, str, str, datetime]], set[str]]:
    """The agent calls owed, and the callers who are owed as much as a record keeps."""
    directory = DataDir.existing(data)
    reader = RecordReader(directory)
    found = set()
    for row in reader.obligations("default", limit=1_000_000):
        owed = msgspec.json.decode(row.body)
        if owed["kind"] == "agent_call":
            category, product = owed["about"].split(" · ")
            began = datetime.fromisoformat(owed["problem_since"]).replace(second=0, tzinfo=None)
            found.add((owed["customer"], category, product, began))
    full = set()
    for partition in range(directory.partitions):
        with reader.snapshot(partition) as snapshot:
            records = [decode(body) for _, body in snapshot.records()]
        full |= {record.customer for record in records if len(record.obligations) == KEPT}
    return found, full


def _signals(data: Path) -> int:
    """How many signals the log holds; the minutes that passed between them are records, too."""
    directory, found = DataDir.existing(data), 0
    with closing(LogReader(directory)) as log:
        for partition in range(directory.partitions):
            records = log.read(partition, 0, log.end(partition))
            found += sum(record.kind is RecordKind.SIGNAL for record in records)
    return found


def _callers() -> set[str]:
    with gzip.open(FOLDER / "incidents_callers_half0.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return {row["caller_id"] for row in csv.DictReader(file) if row["caller_id"] != "?"}
