"""What the log keeps when processes are killed, files are torn and disks fail (faults 4, 7, 8 and 9)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import apsw
import msgspec
import pytest

from membrane.errors import StoreUnavailable
from membrane.ports import NewSignal
from storage.directory import DataDir
from storage.log import SignalLog

APPENDER = """
import itertools, sys
from membrane.errors import StoreUnavailable
from membrane.ports import NewSignal
from storage.directory import DataDir
from storage.log import SignalLog

log = SignalLog(DataDir.open(sys.argv[1], 2), clock="signals")
for number in itertools.count(int(sys.argv[2])):
    ids = [f"{number}-{n}" for n in range(5)]
    signals = [NewSignal("t", f"c-{n}", "crm", i, number * 600_000, i.encode()) for n, i in enumerate(ids)]
    try:
        print(number, "".join("+" if accepted else "=" for accepted in log.append(signals, 0)), flush=True)
    except StoreUnavailable:
        print(number, "unavailable", flush=True)
    if len(sys.argv) > 3 and number == int(sys.argv[3]):
        break
"""


def stored(directory: DataDir) -> set[str]:
    log = SignalLog(directory)
    records = [record for partition in range(2) for record in log.read(partition, 0, 10**6)]
    for partition in range(2):
        offsets = [record.offset for record in log.read(partition, 0, 10**6)]
        assert offsets == list(range(len(offsets)))
    log.close()
    ids = [record.body.decode() for record in records if record.customer]
    assert len(ids) == len(set(ids))
    return set(ids)


@pytest.mark.parametrize("seed", [1, pytest.param(range(2, 22), marks=pytest.mark.faults)])
def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path, seed):
    acknowledged: set[str] = set()
    begin = 0
    for attempt in range(3) if isinstance(seed, int) else seed:
        random = Random(attempt)
        with subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(tmp_path), str(begin)], stdout=subprocess.PIPE, text=True
        ) as process:
            lines = [process.stdout.readline()]
            time.sleep(random.uniform(0.02, 0.15))
            process.kill()
            lines += process.stdout.readlines()
        numbers = [int(line.split()[0]) for line in lines if line.endswith("\n")]
        assert all(line.split()[1] in ("+++++", "=====") for line in lines if line.endswith("\n"))
        acknowledged |= {f"{number}-{n}" for number in numbers for n in range(5)}
        found = stored(DataDir.open(tmp_path))
        assert acknowledged <= found
        assert len(found) % 5 == 0
        begin = numbers[-1] - 2
    print(f"seed {seed}: acknowledged {len(acknowledged)}, lost 0")


def append(log: SignalLog, numbers) -> None:
    for number in numbers:
        consents = ((0, 0, bool(number % 2), number),)
        log.append([NewSignal("t", f"c-{number}", "crm", str(number), number, b"%d" % number, consents)], 0)


def whole(path: Path, partitions: int) -> tuple[int, int, int]:
    """Signals, ids and consents that SQLite recovers."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)  # which leaves the files as they are
    signals = sum(connection.execute(f"SELECT count(*) FROM log_{p}").fetchall()[0][0] for p in range(partitions))
    ids = connection.execute("SELECT sum(ids) FROM seen_segments").fetchall()[0][0] or 0
    consents = connection.execute("SELECT count(*) FROM consents").fetchall()[0][0]
    connection.close()
    return signals, ids, consents


@pytest.mark.parametrize("step", [997, pytest.param(1, marks=pytest.mark.faults)])
def test_a_torn_write_ahead_log_recovers_to_the_last_whole_transaction(tmp_path, step):
    directory = DataDir.open(tmp_path / "made", 1)
    log = SignalLog(directory)
    sizes = []
    wal = directory.log_path.with_name("log.db-wal")
    for number in range(1, 7):
        append(log, [number])
        sizes.append(wal.stat().st_size)
    content = wal.read_bytes()
    (tmp_path / "torn").mkdir()
    torn = tmp_path / "torn" / "log.db"
    lengths = {length + near for length in sizes[2:] for near in (-1, 0, 1)} | set(range(sizes[2], sizes[-1], step))
    for length in sorted(length for length in lengths if length <= len(content)):
        shutil.copyfile(directory.log_path, torn)
        torn.with_name("log.db-wal").write_bytes(content[:length])
        expected = sum(size <= length for size in sizes)
        assert whole(torn, 1) == (expected, expected, expected)
    log.close()


def test_a_torn_log_takes_new_signals(tmp_path):
    directory = DataDir.open(tmp_path / "made", 1)
    log = SignalLog(directory)
    append(log, range(5))
    shutil.copytree(directory.path, tmp_path / "torn")
    log.close()
    with (tmp_path / "torn" / "log.db-wal").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 1)
    recovered = SignalLog(DataDir.open(tmp_path / "torn"))
    assert recovered.end(0) == 4
    append(recovered, range(7))
    assert [record.body for record in recovered.read(0, 0, 9)] == [b"%d" % number for number in range(7)]
    recovered.close()


@pytest.fixture
def small_disk(tmp_path: Path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a tmpfs of 1 MiB needs root and a kernel that lets it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_acknowledges_nothing_and_goes_on_once_there_is_room(small_disk):
    ballast = small_disk / "ballast"
    directory = DataDir.open(small_disk / "data", 1)
    ballast.write_bytes(b"x" * 200_000)
    log = SignalLog(directory)
    acknowledged: list[int] = []

    def fill() -> None:
        for number in range(10_000):
            log.append([NewSignal("t", "c", "crm", str(number), 0, b"%06d" % number * 300)], 0)
            acknowledged.append(number)

    with pytest.raises(StoreUnavailable, match="full"):
        fill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            log.append([NewSignal("t", "c", "crm", "again", 0, b"y" * 60_000)] * 2, 0)
    assert [int(record.body[:6]) for record in log.read(0, 0, 10_000)] == acknowledged
    ballast.unlink()
    assert log.append([NewSignal("t", "c", "crm", str(len(acknowledged)), 0, b"room")], 0) == [True]
    log.close()


@pytest.mark.parametrize("when", ["6+", "6..9", "7", pytest.param("1..40", marks=pytest.mark.faults)])
def test_a_failed_fsync_is_never_acknowledged(tmp_path, when):
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("injecting errors into fsync needs strace")
    DataDir.open(tmp_path, 2)
    inject = f"inject=fsync,fdatasync:error=EIO:when={when}"
    injected = [strace, "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=fsync,fdatasync", "-e", inject]
    appender = [sys.executable, "-c", APPENDER, str(tmp_path), "0", "12"]
    shown = subprocess.run([*injected, *appender], capture_output=True, text=True, check=False)
    if "ptrace" in shown.stderr or "PTRACE" in shown.stderr:
        pytest.skip("injecting errors into fsync needs a kernel that lets strace attach")
    answers = [line.split()[1] for line in shown.stdout.splitlines()]
    assert len(answers) == 13, shown.stderr
    assert "unavailable" in answers or when == "1..40"
    if when.endswith("+"):
        first = answers.index("unavailable")
        assert set(answers[first:]) == {"unavailable"}
    else:
        assert answers[-1] == "+++++" or when == "1..40"
    acknowledged = {f"{number}-{n}" for number, answer in enumerate(answers) if "+" in answer for n in range(5)}
    assert acknowledged <= stored(DataDir.open(tmp_path))


def test_what_was_not_acknowledged_is_accepted_or_known_when_it_is_sent_again(tmp_path):
    arguments = [sys.executable, "-c", APPENDER, str(tmp_path), "0", "3"]
    first = subprocess.run(arguments, capture_output=True, text=True, check=True)
    again = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in first.stdout.splitlines()] == ["+++++"] * 4
    assert [line.split()[1] for line in again.stdout.splitlines()] == ["====="] * 4
    assert msgspec.json.encode(sorted(stored(DataDir.open(tmp_path)))) == msgspec.json.encode(
        sorted(f"{number}-{n}" for number in range(4) for n in range(5))
    )
