"""What the fault suites share: logs made beforehand, and a way to say what was measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import digest, run_json, stream

Tell = Callable[[str], None]


@dataclass(frozen=True)
class MadeLog:
    """A log that no stream has seen, the file it was made from; the same log after a run without faults, its digest."""

    data: Path
    applied: Path
    file: Path
    signals: int
    digest: dict[str, Any]

    def copy(self, to: Path, *, applied: bool = False) -> Path:
        """A directory of one's own with the same log, with the records of the run where wanted."""
        shutil.copytree(self.applied if applied else self.data, to)
        return to


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Says a figure of a fault: it is shown at the end of the run."""

    def say(text: str) -> None:
        print(text)
        record_property("fault", text)

    return say


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A file of so many signals of simulated customers."""
    made: dict[int, Path] = {}

    def make(signals: int) -> Path:
        if signals not in made:
            folder = tmp_path_factory.mktemp("simulated")
            whole, cut = folder / "whole.ndjson", folder / "signals.ndjson"
            run_json(
                "simulate-customers", "--customers", max(60, signals // 12), "--days", 20, "--seed", 7,
                "--out", whole, "--truth", folder / "truth.ndjson",
            )  # fmt: skip
            lines = whole.read_bytes().splitlines(keepends=True)[:signals]
            assert len(lines) == signals
            cut.write_bytes(b"".join(lines))
            made[signals] = cut
        return made[signals]

    return make


@pytest.fixture(scope="session")
def made_log(simulated: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], MadeLog]:
    """A log of so many signals, made beforehand."""
    made: dict[int, MadeLog] = {}

    def make(signals: int) -> MadeLog:
        if signals not in made:
            folder = tmp_path_factory.mktemp("log")
            file = simulated(signals)
            counts = run_json("replay", file, "--data", folder / "log", "--clock", "signals", seconds=600)
            assert counts["accepted"] == signals
            shutil.copytree(folder / "log", folder / "applied")
            with stream(folder / "applied", "--runner", "plain") as running:
                running.wait_applied()
                assert running.stop() == 0
            made[signals] = MadeLog(folder / "log", folder / "applied", file, signals, digest(folder / "applied"))
        return made[signals]

    return make
