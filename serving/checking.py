"""POST /v1/principles/check: the faults of a principle file, and what is suspicious about one that loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from membrane.errors import InvalidPrinciples, RecordUnreadable
from membrane.lint.check import Report, lint
from membrane.principle_file import Draft
from membrane.read_back import read_back
from membrane.record import Record, decode
from membrane.settings import TenantSettings
from serving.freshness import read_state
from storage.record_reader import RecordReader

MOST_RECORDS: Final = 20_000
"""So many customers are looked at for what a file would cost the departments, the same share of each partition."""


class FaultView(msgspec.Struct):
    """One fault of a principle file; `kind` is that of the findings it belongs to, if any."""

    line: int
    column: int
    field: str
    problem: str
    kind: str


class WitnessView(msgspec.Struct):
    """A customer who shows a finding: facts as in the tests of a file, the interaction asked for, and which principles
    match."""

    given: dict[str, Any]
    candidate: dict[str, str] | None
    matches: dict[str, bool]


class FindingView(msgspec.Struct):
    """Something suspicious about a principle file."""

    kind: str
    severity: str
    principles: list[str]
    line: int
    column: int
    text: dict[str, str]
    witness: WitnessView | None


class ReadBackView(msgspec.Struct):
    """What a condition says."""

    principle: str
    en: str
    es: str


class CheckAnswer(msgspec.Struct):
    """Every fault of a principle file, none if `valid`; what was found in a valid one after `tried` customers (all that
    there were to try, if `complete`), and what its conditions say."""

    valid: bool
    revision: str | None
    faults: list[FaultView]
    findings: list[FindingView]
    read_back: list[ReadBackView]
    tried: int
    complete: bool


def check_answer(
    drafted: Callable[[bytes], Draft],
    body: bytes,
    records: RecordReader,
    tenant: str,
    settings: TenantSettings,
    *,
    t: int,
) -> CheckAnswer:
    """What there is to say of a file (read by `drafted`), for a tenant's customers, at `t` (now, epoch ms)."""
    try:
        draft = drafted(body)
    except InvalidPrinciples as error:
        return _answer(None, InvalidPrinciples(error.faults), Report([], 0, complete=True))
    report = lint(draft, customers_of(records, tenant), settings, t=t)
    if draft.faults:
        return _answer(None, InvalidPrinciples(draft.faults), report)
    answer = _answer(draft.principles.revision, InvalidPrinciples([]), report)
    answer.read_back = [
        ReadBackView(one.id, read_back(one.condition.tree, "en"), read_back(one.condition.tree, "es"))
        for one in draft.principles.principles
    ]
    return answer


def _answer(revision: str | None, error: InvalidPrinciples, report: Report) -> CheckAnswer:
    faults = [FaultView(one.line, one.column, one.field, one.problem, one.kind) for one in error.faults]
    findings = [msgspec.convert(finding.form(), FindingView) for finding in report.findings]
    return CheckAnswer(not faults, revision, faults, findings, [], report.tried, report.complete)


def customers_of(records: RecordReader, tenant: str | None = None) -> Iterator[tuple[Record, int]]:
    """Customers of a tenant (None: of all) with their clocks, at most `MOST_RECORDS`; one whose record cannot be read
    is left out. StoreUnavailable or RecordUnreadable where a store cannot be read."""
    partitions = records.directory.partitions
    for partition in range(partitions):
        with records.snapshot(partition) as snapshot:
            tick = read_state(snapshot.meta).last_tick
            stored = [body for _, body in islice(snapshot.records(), max(MOST_RECORDS // partitions, 1))]
        for body in stored:
            try:
                record = decode(body)
            except RecordUnreadable:
                continue
            if tenant in {None, record.tenant}:
                yield record, max(record.clock, tick)
