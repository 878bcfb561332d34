"""Fault 26: what the first version wrote is read by every later one, migrated or refused, never silently reset.

The files are made by tests/faults/first_version/make.py and kept as they were.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from membrane.errors import RecordUnreadable
from membrane.record import decode, encode
from membrane.vocabulary import STAGES
from storage.principles import PrincipleFiles
from tests.faults.conftest import Tell
from tests.faults.first_version.make import CUSTOMER, story
from tests.processes import digest, offsets, run, run_json, up

FOLDER = Path(__file__).parent / "first_version"
RECORD = FOLDER / "record.bin"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory as the first version left it; its principles lie beside the log, by digest."""
    folder = tmp_path / "data"
    (folder / "principles").mkdir(parents=True)
    PrincipleFiles(folder / "principles").install((FOLDER / "principles.yaml").read_bytes())
    for name in ("log", "records-0"):
        with closing(apsw.Connection(str(folder / f"{name}.db"))) as connection:
            connection.execute((FOLDER / f"{name}.sql").read_text()).fetchall()
    return folder


def test_a_record_of_the_first_version_is_read_whole(tell: Tell) -> None:
    body = RECORD.read_bytes()
    record = decode(body)
    assert (record.tenant, record.customer) == ("default", CUSTOMER)
    assert STAGES[record.tracker.stage] == "crisis"
    assert record.state.signals == sum(one["subject"] == CUSTOMER for one in story())
    assert [case.case for case in record.state.cases if case.open] == ["case-4"]
    assert {owed.kind for owed in record.obligations} >= {"agent_call", "promised_time"}
    assert decode(encode(record)) == record
    tell(f"fault 26: the first version's record ({len(body)} bytes) and stores are read; silent resets 0")


def test_a_record_of_a_later_format_is_refused_not_reset() -> None:
    body = bytearray(RECORD.read_bytes())
    body[0] += 1
    with pytest.raises(RecordUnreadable, match="record format"):
        decode(bytes(body))


def test_the_stores_of_the_first_version_are_served_and_go_on(data: Path) -> None:
    expected = json.loads((FOLDER / "expected.json").read_text())
    assert digest(data)["customers"] == expected["customers"]
    with up(data, "--runner", "plain", "--clock", "signals") as service, service.client() as client:
        service.wait_applied()
        assert offsets(data)[1][0] >= expected["log_records"]
        customer = client.get(f"/v1/customers/{CUSTOMER}").json()
        assert customer["stage"]["name"] == "crisis"
        assert len(customer["cases"]) == 5
        items = client.get(f"/v1/customers/{CUSTOMER}/timeline?limit=1000").json()["items"]
        signals = [item["id"] for item in items if item["kind"] == "signal"]
        assert sorted(signals) == sorted(one["id"] for one in story() if one["subject"] == CUSTOMER)
        asked = {
            "customer": CUSTOMER,
            "candidates": [{"id": "a", "domain": "sales", "kind": "upsell", "channel": "sms"}],
        }
        assert client.post("/v1/decisions", json=asked).json()["verdicts"][0]["verdict"] == "forbid"


def test_the_log_of_the_first_version_is_rebuilt(data: Path) -> None:
    expected = json.loads((FOLDER / "expected.json").read_text())
    assert run_json("rebuild", "--data", data)["customers"] == expected["customers"]


def test_stores_of_a_later_version_are_refused_with_a_word(data: Path) -> None:
    with closing(apsw.Connection(str(data / "records-0.db"))) as connection:
        connection.execute("UPDATE store SET version = version + 1")
    refused = run("stream", "--data", data, "--runner", "plain")
    assert refused.returncode == 4
    assert "upgrade Membrane" in refused.stderr
