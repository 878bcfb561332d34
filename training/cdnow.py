"""The reader of cdnow: the purchases of a cohort of new customers of 1997 as CloudEvents.

One row is one order.placed: `id` = row number (from 1), `source` = `cdnow`. Of an order the data know the day alone:
noon is ours. A customer exists from its first order on; nothing says that one ever left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from training.ndjson import Event, write_events
from training.progress import Progress, silent
from training.tables import read_table

FILE_NAME: Final = "cdnow_transactions.csv.gz"
ORDERED_AT: Final = "T12:00:00Z"
_COLUMNS: Final = ("customer_id", "date", "amount_usd")


def write_cdnow(source_dir: Path, out: Path, progress: Progress = silent) -> Counter[str]:
    """Write the data set in `source_dir` as NDJSON to `out`, in time order (orders of one day by row number).

    Returns the number of lines by type. Progress in lines. Raises UsageError if the file or a column is missing."""
    events = sorted(_orders(source_dir / FILE_NAME), key=lambda event: str(event["time"]))
    return write_events(events, out, progress)


def _orders(path: Path) -> Iterator[Event]:
    for line, row in enumerate(read_table(path, "cdnow", _COLUMNS), 1):
        yield {
            "specversion": "1.0",
            "id": str(line),
            "source": "cdnow",
            "type": "cx.order.placed.v1",
            "time": row["date"] + ORDERED_AT,
            "datacontenttype": "application/json",
            "subject": row["customer_id"],
            "data": {"amount": float(row["amount_usd"]), "currency": "USD"},
        }
