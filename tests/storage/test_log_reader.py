"""What is read back from the log, and what a reader says when it cannot."""

from __future__ import annotations

import threading

import apsw
import pytest

from membrane.errors import RecordUnreadable, StoreUnavailable
from membrane.ports import RecordKind
from storage.dedup import Horizon
from storage.log_reader import _END, _EVERY_REVISION, _READ, _REVISIONS, _TIMELINE, LogReader
from storage.schema import for_partition


def test_a_timeline_is_the_customers_own_records_newest_first(log, make_signal):
    log.append([make_signal(str(n), customer=f"c-{n % 2}") for n in range(6)], 0)
    log.append_record(RecordKind.ACT, b"{}", 1, customer=("t", "c-0"))
    log.tick(10_000)
    mine = log.timeline("t", "c-0", None, 10)
    assert [record.kind for record in mine] == [RecordKind.ACT] + [RecordKind.SIGNAL] * 3
    assert [record.offset for record in mine] == sorted((record.offset for record in mine), reverse=True)
    assert log.timeline("t", "c-0", None, 2) == mine[:2]
    assert log.timeline("t", "c-0", mine[1].offset, 10) == mine[2:]
    assert log.timeline("u", "c-0", None, 10) == []


def test_a_reader_needs_no_writer(log, make_signal):
    log.append([make_signal("1")], 5 * 86_400_000)
    log.close()
    reader = LogReader(log.directory)
    assert reader.end(0) + reader.end(1) == 1
    assert reader.horizon() == Horizon(5 * 86_400_000, 1)
    assert reader.greatest_time() == 1_000
    reader.close()


def test_the_change_counter_moves_with_each_append_and_stays_still_without(log, make_signal):
    reader = LogReader(log.directory)
    before = reader.change_counter()
    assert reader.change_counter() == before
    log.append([make_signal("1")], 0)
    assert reader.change_counter() != before
    reader.close()


@pytest.mark.parametrize("sql", [_READ, _END, _TIMELINE, _REVISIONS, _EVERY_REVISION])
def test_no_question_to_the_log_reads_all_of_it(log, sql):
    connection = apsw.Connection(str(log.directory.log_path))
    values = [0] * sql.count("?")
    plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {for_partition(sql, 0)}", values))
    assert "SEARCH log_0" in plan
    assert "SCAN" not in plan
    connection.close()


def test_threads_read_over_connections_of_their_own(log, make_signal):
    log.append([make_signal(str(n)) for n in range(50)], 0)
    partition = 0 if log.end(0) else 1
    found = []
    threads = [threading.Thread(target=lambda: found.append(len(log.read(partition, 0, 99)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [50] * 4


def test_a_missing_log_is_not_available(directory):
    directory.log_path.unlink()
    with pytest.raises(StoreUnavailable, match=r"log\.db: not available"):
        LogReader(directory).end(0)


def test_a_damaged_log_cannot_be_read(directory):
    directory.log_path.write_bytes(b"x" * 8192)
    with pytest.raises(RecordUnreadable, match=r"log\.db: cannot be read"):
        LogReader(directory).end(0)


def test_a_reader_recovers_once_the_log_is_back(directory, log, make_signal):
    log.append([make_signal("1")], 0)
    log.close()
    content = directory.log_path.read_bytes()
    directory.log_path.write_bytes(b"x" * 8192)
    reader = LogReader(directory)
    with pytest.raises(RecordUnreadable):
        reader.end(0)
    directory.log_path.write_bytes(content)
    assert reader.end(0) + reader.end(1) == 1
    reader.close()
