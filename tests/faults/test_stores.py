"""Faults 9, 10, 12 and 13: torn, flipped, lost, swapped, foreign and newer files, met through the commands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import apsw
import httpx
import pytest

from membrane.ports import partition_of
from tests.faults.conftest import MadeLog, Tell
from tests.faults.sizes import short_and_full
from tests.processes import SINGLE, digest, event, run, run_json, serve

SEED = 20261123
SIGNALS = 600
SIGNALS_CLOCK = ("--clock", "signals")  # under the wall clock the API would write ticks
ASKED = [{"id": "a", "domain": "marketing", "kind": "upsell", "channel": "email"}]


def execute(path: Path, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
    with closing(apsw.Connection(str(path))) as connection:
        return connection.execute(sql, values).fetchall()


# Fault 9


@pytest.mark.parametrize("cuts", short_and_full(4, 100))
def test_a_torn_log_is_read_up_to_its_last_whole_record(tmp_path: Path, tell: Tell, cuts: int) -> None:
    data, random, signals = tmp_path / "data", Random(SEED), 6
    ends: list[int] = []
    with serve(data, *SIGNALS_CLOCK) as api, api.client() as client:
        for number in range(signals):
            client.post("/v1/signals", json=_message(number), headers=SINGLE).raise_for_status()
            ends.append((data / "log.db-wal").stat().st_size)
        api.kill()
    wal = data / "log.db-wal"
    assert wal.stat().st_size == ends[-1]
    found = set()
    for number in range(cuts):
        at = random.randrange(ends[-4], ends[-1]) if number else ends[-1]
        torn = tmp_path / "torn"
        shutil.copytree(data, torn)
        with (torn / "log.db-wal").open("r+b") as file:
            file.truncate(at)
        whole = sum(end <= at for end in ends)
        assert run_json("rebuild", "--data", torn)["customers"] == whole
        found.add(whole)
        shutil.rmtree(torn)
    tell(f"fault 9: seed {SEED}: the log torn at {cuts} places of its last 3 records: whole ones kept, states {found}")


def _message(number: int) -> dict[str, Any]:
    return event(number, "message.received", f"c-{number}", "2026-11-20T00:00:00Z", channel="email")


# Fault 10


@pytest.mark.parametrize("flips", short_and_full(60, 500))
def test_a_flipped_bit_in_a_stored_record_is_never_answered_as_data(
    tmp_path: Path, made_log: Callable[[int], MadeLog], tell: Tell, flips: int
) -> None:
    data, random = made_log(SIGNALS).copy(tmp_path / "data", applied=True), Random(SEED)
    unreadable = 0
    with serve(data, *SIGNALS_CLOCK) as api, api.client() as client:
        truth = _all_customers(client, data)
        for _ in range(flips):
            customer = random.choice(sorted(truth))
            path = data / f"records-{partition_of('default', customer, 8)}.db"
            body = execute(path, "SELECT body FROM records WHERE customer = ?", (customer,))[0][0]
            broken = _flip(body, random)
            execute(path, "UPDATE records SET body = ? WHERE customer = ?", (broken, customer))
            answer = client.get(f"/v1/customers/{customer}")
            assert answer.status_code == 503 or answer.json() == truth[customer]
            decided = client.post("/v1/decisions", json={"customer": customer, "candidates": ASKED}).json()
            assert decided["verdicts"][0]["verdict"] == "forbid"
            assert "record_unreadable" in decided["state"]["degraded"]
            unreadable += answer.status_code == 503
            execute(path, "UPDATE records SET body = ? WHERE customer = ?", (body, customer))
        assert _all_customers(client, data) == truth
    tell(f"fault 10: seed {SEED}: {flips} flips in records: {unreadable} unreadable, silent-wrong 0, unsafe-allow 0")


@pytest.mark.parametrize("rounds", short_and_full(2, 25))
def test_flipped_bits_anywhere_in_the_files_of_the_stores_give_no_wrong_record(
    tmp_path: Path, made_log: Callable[[int], MadeLog], tell: Tell, rounds: int
) -> None:
    """Raw bytes of the files: one in an inner page can make a record "not found", which allows nothing more."""
    data, random = made_log(SIGNALS).copy(tmp_path / "data", applied=True), Random(SEED)
    with serve(data, *SIGNALS_CLOCK) as api, api.client() as client:
        truth = _all_customers(client, data)
        allowed = {customer: _verdict(client, customer) for customer in truth}
        assert api.stop() == 0
    outcomes = {"true": 0, "unreadable": 0, "not found": 0}
    for _ in range(rounds):
        broken = tmp_path / "broken"
        shutil.copytree(data, broken)
        for _ in range(20):
            _flip_in_file(random.choice(sorted(broken.glob("records-?.db"))), random)
        with serve(broken, *SIGNALS_CLOCK) as api, api.client() as client:
            for customer in truth:
                answer = client.get(f"/v1/customers/{customer}")
                outcome = {200: "true", 503: "unreadable", 404: "not found"}[answer.status_code]
                outcomes[outcome] += 1
                assert outcome != "true" or answer.json() == truth[customer]
                assert not (_verdict(client, customer) == "allow" and allowed[customer] != "allow")
        shutil.rmtree(broken)
    assert outcomes["true"] > 0
    tell(f"fault 10: seed {SEED}: {20 * rounds} flips in the files: answers {outcomes}, silent-wrong 0, unsafe-allow 0")


def _all_customers(client: httpx.Client, data: Path) -> dict[str, Any]:
    names = [row[0] for path in data.glob("records-?.db") for row in execute(path, "SELECT customer FROM records")]
    return {name: client.get(f"/v1/customers/{name}").raise_for_status().json() for name in sorted(names)}


def _verdict(client: httpx.Client, customer: str) -> str:
    answer = client.post("/v1/decisions", json={"customer": customer, "candidates": ASKED})
    return answer.json()["verdicts"][0]["verdict"] if answer.status_code == 200 else "forbid"


def _flip(body: bytes, random: Random) -> bytes:
    place = random.randrange(len(body) * 8)
    flipped = bytearray(body)
    flipped[place // 8] ^= 1 << place % 8
    return bytes(flipped)


def _flip_in_file(path: Path, random: Random) -> None:
    with path.open("r+b") as file:
        place = random.randrange(path.stat().st_size)
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << random.randrange(8)]))


# Fault 12


def lose(data: Path, _other: Path) -> None:
    (data / "records-3.db").unlink()


def swap(data: Path, _other: Path) -> None:
    (data / "records-3.db").rename(data / "kept")
    (data / "records-4.db").rename(data / "records-3.db")
    (data / "kept").rename(data / "records-4.db")


def bring_from_another_log(data: Path, other: Path) -> None:
    shutil.copy(other / "records-3.db", data / "records-3.db")


def make_newer(data: Path, _other: Path) -> None:
    execute(data / "records-3.db", "UPDATE store SET version = version + 1")


def truncate(data: Path, _other: Path) -> None:
    with (data / "records-3.db").open("r+b") as file:
        file.truncate(5_000)


def overwrite(data: Path, _other: Path) -> None:
    (data / "records-3.db").write_bytes(b"no database at all" * 1_000)


@pytest.mark.parametrize("harm", [lose, swap, bring_from_another_log, make_newer, truncate, overwrite])
def test_a_store_that_does_not_belong_is_refused_with_a_hint_and_rebuilt_to_the_same_digest(
    tmp_path: Path, made_log: Callable[[int], MadeLog], tell: Tell, harm: Callable[[Path, Path], None]
) -> None:
    made = made_log(SIGNALS)
    data = made.copy(tmp_path / "data", applied=True)
    if harm is bring_from_another_log:
        run_json("replay", made.file, "--data", tmp_path / "other", "--clock", "signals")
    harm(data, tmp_path / "other")
    refused = run("stream", "--data", data, "--runner", "plain")
    assert refused.returncode == 4
    assert f"run `membrane rebuild --data {data}`" in refused.stderr
    assert "Traceback" not in refused.stderr
    with serve(data, *SIGNALS_CLOCK) as api, api.client() as client:
        answers = {client.get(f"/v1/customers/{name}").status_code for name in ("c-1", "c-2", "c-3", "c-4", "c-5")}
        assert answers <= {200, 503, 404}
    assert run_json("rebuild", "--data", data) == made.digest
    tell(f"fault 12: {harm.__name__.replace('_', ' ')}: refused with the hint, digest after rebuild equal")


def test_a_log_that_is_lost_foreign_or_newer_is_refused_and_nothing_is_made_in_its_place(
    tmp_path: Path, made_log: Callable[[int], MadeLog]
) -> None:
    made = made_log(SIGNALS)
    lost, newer, foreign = (made.copy(tmp_path / name) for name in ("lost", "newer", "foreign"))
    (lost / "log.db").unlink()
    execute(newer / "log.db", "UPDATE meta SET value = value + 1 WHERE name = 'version'")
    (foreign / "log.db").unlink()
    execute(foreign / "log.db", "CREATE TABLE somebody_elses(x)")
    for data in (lost, newer, foreign):
        refused = run("up", "--data", data, "--port", 0)
        assert refused.returncode == 4
        assert "log.db" in refused.stderr
    assert not (lost / "log.db").exists()


# Fault 13


def test_a_rebuild_into_a_live_and_into_an_empty_store_gives_the_same_and_sends_no_effect_again(
    tmp_path: Path, made_log: Callable[[int], MadeLog], tell: Tell
) -> None:
    made = made_log(SIGNALS)
    empty, live = made.copy(tmp_path / "empty"), made.copy(tmp_path / "live", applied=True)
    effects = _effects(live, "delivered = 0")
    assert effects > 0
    for data in (empty, live):
        assert run_json("rebuild", "--data", data) == made.digest == digest(data)
        assert (_effects(data, "delivered = 0"), _effects(data, "delivered = 1")) == (0, effects)
    tell(f"fault 13: rebuild of an empty and of a live store: digest equal, effects {effects}, sent again 0")


def _effects(data: Path, which: str) -> int:
    return sum(execute(path, f"SELECT count(*) FROM effects WHERE {which}")[0][0] for path in data.glob("records-?.db"))
