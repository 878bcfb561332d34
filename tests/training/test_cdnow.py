from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from membrane.errors import UsageError
from membrane.signals import check
from tests.training.panel import written
from training.cdnow import FILE_NAME, write_cdnow

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "cdnow"
PURCHASES = (
    "customer_id,date,n_cds,amount_usd\n00002,1997-01-12,1,12.0\n00001,1997-01-01,1,11.77\n00002,1997-01-12,5,77.0\n"
)


def test_each_row_is_an_order_of_its_customer_in_time_order(tmp_path):
    counts = write_cdnow(written(tmp_path, {FILE_NAME: PURCHASES}), tmp_path / "out")
    events = [msgspec.json.decode(line) for line in (tmp_path / "out").read_bytes().splitlines()]
    assert counts["cx.order.placed.v1"] == 3
    assert [(one["id"], one["subject"], one["time"], one["data"]["amount"]) for one in events] == [
        ("2", "00001", "1997-01-01T12:00:00Z", 11.77),
        ("1", "00002", "1997-01-12T12:00:00Z", 12.0),
        ("3", "00002", "1997-01-12T12:00:00Z", 77.0),
    ]


def test_a_missing_file_or_column_is_named(tmp_path):
    with pytest.raises(UsageError, match="this file of cdnow"):
        write_cdnow(tmp_path, tmp_path / "out")
    written(tmp_path, {FILE_NAME: "customer_id,date\n1,1997-01-01\n"})
    with pytest.raises(UsageError, match="amount_usd not found"):
        write_cdnow(tmp_path, tmp_path / "out")


@pytest.mark.skipif(not (DATA / FILE_NAME).is_file(), reason="../shared/data/cdnow is not here")
def test_every_line_of_the_whole_is_a_valid_signal(tmp_path):
    assert write_cdnow(DATA, tmp_path / "out")["cx.order.placed.v1"] == 69_659
    customers = {check(line, "default").stored.customer for line in (tmp_path / "out").read_bytes().splitlines()}
    assert len(customers) == 23_570
