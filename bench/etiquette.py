"""Many principles: what 30 and 300 cost a decision with 1, 3 and 10 candidates, in English and Spanish."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench import workloads
from bench.decisions import CONNECTIONS, Size, copied
from bench.generator import run
from bench.machine import cpu_seconds
from bench.rows import Row
from bench.service import ROOT, Running, start
from storage.documents import read_document

PACK: Final = ROOT / "membrane" / "packs" / "default.yaml"
COUNTS: Final = (30, 300)
CANDIDATES: Final = (1, 3, 10)
_CONDITIONS: Final = (
    "features.contacts_out_7d > {n}.0 && features.answers_positive_30d < 1.0",
    'stage.name != "crisis" && stage.p_crisis > 0.{n}',
    "case.open > {n} || case.waiting_on_customer > {n}",
    'problem.recurrences > {n} && lifecycle != "closed"',
    "features.payment_failures_30d > {n}.0",
    'customer.tenure < duration("{n}h") && case.open == 0',
    "contact.complaints_90d > {n} || survey.low_unanswered > {n}",
    'risk.relapse && stage.age > duration("{n}h")',
)
_DOMAINS: Final = ("marketing", "sales", "survey", "billing")


def principle_file(count: int) -> bytes:
    """The pack that ships, with as many more principles as it takes: each about one domain, read from what conditions
    usually read, and true for hardly anybody."""
    document: dict[Any, Any] = dict(read_document(PACK.read_bytes(), str(PACK)).value)
    principles: list[Any] = list(document["principles"])
    for number in range(count - len(principles)):
        text = f"Say nothing when condition {number} of the benchmark holds."
        principles.append(
            {
                "id": f"benchmark-{number}",
                "owner": "insight",
                "text": {"en": text, "es": f"No decir nada cuando se cumple la condición {number} del banco."},
                "applies": {"domains": [_DOMAINS[number % len(_DOMAINS)]]},
                "when": _CONDITIONS[number % len(_CONDITIONS)].format(n=10 + number % 60),
                "effect": "defer",
            }
        )
    return json.dumps({**document, "principles": principles, "revision": f"2099-01-01.{count}"}).encode()


def many(size: Size) -> Iterator[Row]:
    """CPU per decision, saturated, and p99 at 300 decisions/s: the log on, no answer kept."""
    languages = ("en", "es") if size.rounds > 1 else ("es",)
    for count in COUNTS:
        with copied(workloads.store(size.customers, size.days)) as data, start("up", data, "--clock", "signals") as up:
            api = replace(up, pid=up.child("api"))
            _put_in_force(api, principle_file(count))
            for candidates in CANDIDATES:
                for language in languages:
                    yield _row(api, size, count, candidates, language)


def _put_in_force(api: Running, file: bytes) -> None:
    answer = json.loads(api.ask("PUT", "/v1/principles", file, "application/yaml"))
    ask, deadline = workloads.ask("c-1", 1), time.monotonic() + 30
    while not json.loads(api.ask("POST", "/v1/decisions", ask))["revisions"]["principles"].startswith(
        answer["revision"]
    ):
        if time.monotonic() > deadline:
            raise RuntimeError("bench: the principles did not come into force within 30 s")
        time.sleep(0.05)


def _row(api: Running, size: Size, count: int, candidates: int, language: str) -> Row:
    asks: Path = workloads.asks(size.customers, candidates, language=language)
    run(api.port, asks, rate=0, seconds=1.0, connections=CONNECTIONS)
    spent = cpu_seconds(api.pid)
    busy = run(api.port, asks, rate=0, seconds=size.seconds / 2, connections=CONNECTIONS)
    micros = (cpu_seconds(api.pid) - spent) / busy.answered * 1e6
    calm = run(api.port, asks, rate=300, seconds=size.seconds / 2, connections=CONNECTIONS)
    return Row(
        f"{count} principles, {candidates} candidate{'s' * (candidates > 1)}, {language}: CPU per decision", "µs",
        micros, f"{busy.answered + calm.answered:,} requests",
        note=f"p99 at 300/s {calm.ms(99):.2f} ms; {busy.failed + calm.failed} failed",
        details={"saturated": busy.summary(), "at 300/s": calm.summary()},
    )  # fmt: skip
