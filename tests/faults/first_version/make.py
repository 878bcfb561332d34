"""Makes the files of this folder: one record as version 1 stores it, and a small data directory of schema version 1.

    .venv/bin/python -m tests.faults.first_version.make

Run it only to add the files of a new version in a folder of its own: those that are here must never change, for they
stand for what lies on the disks of those who run that version.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from pathlib import Path

import apsw

from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.record_reader import RecordReader
from tests.processes import SINGLE, digest, event, up

HERE = Path(__file__).parent
CUSTOMER = "shop-1"


def story() -> list[dict[str, object]]:
    """A shop in crisis, with something of every part that a record has."""
    problem = {"category": "connectivity", "product": "terminal-1", "severity": 2}
    found = [
        event("opened", "account.opened", CUSTOMER, "2026-10-01T08:00:00Z", timezone="Europe/Madrid", language="es"),
        event("profile", "profile.updated", CUSTOMER, "2026-10-01T08:01:00Z", channels=["email", "phone"]),
        event("consent", "consent.changed", CUSTOMER, "2026-10-02T08:00:00Z", channel="sms", domain="marketing",
              granted=False),
        event("order", "order.placed", CUSTOMER, "2026-10-03T08:00:00Z", amount=250.5, currency="EUR"),
        event("usage", "usage.measured", CUSTOMER, "2026-10-04T08:00:00Z", metric="payments", value=120),
        event("contact", "contact.made", CUSTOMER, "2026-10-05T08:00:00Z", contact="k-1", domain="marketing",
              kind="newsletter", channel="email"),
        event("answer", "contact.answered", CUSTOMER, "2026-10-05T09:00:00Z", contact="k-1", outcome="opened"),
        event("nps", "survey.answered", CUSTOMER, "2026-10-06T08:00:00Z", instrument="nps", score=9, survey="s-1"),
    ]  # fmt: skip
    for number in range(5):
        day = f"2026-10-{10 + 2 * number:02d}"
        found.append(
            event(f"open-{number}", "case.opened", CUSTOMER, f"{day}T08:00:00Z", case=f"case-{number}", **problem)
        )
        if number < 4:
            found.append(event(f"done-{number}", "case.resolved", CUSTOMER, f"{day}T18:00:00Z", case=f"case-{number}",
                               resolution_code="fixed"))  # fmt: skip
    found.append(event("angry", "message.received", CUSTOMER, "2026-10-19T08:00:00Z", channel="chat", sentiment=-0.9))
    return [*found, event("other", "message.received", "shop-2", "2026-10-19T09:00:00Z", channel="email")]


def make(folder: Path) -> None:
    """Writes log.sql and records-0.sql (readable in a diff), record.bin and expected.json. The principles are those of
    principles.yaml; no model, so that the files stand alone."""
    with tempfile.TemporaryDirectory() as temporary:
        data, no_models = Path(temporary, "data"), Path(temporary, "no-models")
        no_models.mkdir()
        options = ("--partitions", 1, "--clock", "signals", "--runner", "plain", "--models", no_models)
        with up(data, *options, "--principles", folder / "principles.yaml") as service, service.client() as client:
            for one in story():
                client.post("/v1/signals", json=one, headers=SINGLE).raise_for_status()
            service.wait_applied()
            service.stop()
        for name in ("log", "records-0"):
            with closing(apsw.Connection(str(data / f"{name}.db"))) as connection:
                (folder / f"{name}.sql").write_text(_dump(connection))
        directory = DataDir.existing(data)
        with closing(RecordReader(directory)) as records, closing(LogReader(directory)) as log:
            body = records.get("default", CUSTOMER)
            assert body is not None
            (folder / "record.bin").write_bytes(body)
            ends = log.end(0)
        expected = {"customers": digest(data)["customers"], "log_records": ends}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def _dump(connection: apsw.Connection) -> str:
    """The whole database as SQL. Blobs are hexadecimal."""
    lines = ["BEGIN;"]
    for name, sql in connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    ).fetchall():
        lines.append(f"{sql};")
        rows = connection.execute(f"SELECT * FROM {name}").fetchall()
        lines += [f"INSERT INTO {name} VALUES({', '.join(map(apsw.format_sql_value, row))});" for row in rows]
    indexes = connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name")
    return "\n".join([*lines, *(f"{sql};" for (sql,) in indexes), "COMMIT;", ""])


if __name__ == "__main__":
    make(HERE)
