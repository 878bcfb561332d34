"""What a decision is made from, and how it is made of that: the first time, and again from the decision log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

import msgspec

from membrane.decide import decide
from membrane.decisions import Answer, DecisionRequest, encode_answer
from membrane.engine import Rules
from membrane.errors import StoreRefused
from membrane.principles import GUARANTEES, PrincipleSet
from membrane.record import Record
from membrane.settings import TenantSettings
from membrane.tracker import ADVISORY
from membrane.view import LogConsent, Progress, View
from storage.principles import PrincipleFiles, compile_principles

NO_PRINCIPLES: Final = PrincipleSet("none", "none", "none", GUARANTEES, (), (), ())
"""What decides when no set can be had: the class defaults of `no_principles` do, and the guarantees hold."""


class Evidence(msgspec.Struct, omit_defaults=True):
    """What a decision was made from, beside the record of that version (None: there was none, or it could not be read):
    enough to make it again. `now` and `go_live` in ms; `progress`: how far the stream was; `looks`: at which look at
    the clock the deadline had passed."""

    now: int
    version: int | None
    principles: str
    consents: Sequence[LogConsent]
    degraded: list[str]
    progress: Progress = Progress()
    churn_threshold: float = ADVISORY
    go_live: int = 0
    looks: int | None = None


class LoggedDecision(msgspec.Struct):
    """A line of the decision log."""

    request: DecisionRequest
    answer: msgspec.Raw
    evidence: Evidence


_decoder: Final = msgspec.json.Decoder(LoggedDecision)


def read_logged(body: bytes) -> LoggedDecision:
    """A line of the decision log. Raises msgspec's errors for other bytes."""
    return _decoder.decode(body)


def judged(
    request: DecisionRequest,
    record: Record | None,
    evidence: Evidence,
    principles: PrincipleSet | None,
    settings: TenantSettings,
    expired: Callable[[], bool],
) -> Answer:
    """The answer but for what only the server knows; InvalidRequest as `membrane.decide`. The customer is seen now, or
    at its own clock when the request names the moment."""
    clock = record.clock if record is not None else 0
    t = max(evidence.now, clock) if request.at is None else clock
    rules = Rules(principles, settings, evidence.churn_threshold, evidence.go_live)
    view = View(record, t, rules, evidence.consents, progress=evidence.progress)
    return decide(
        request,
        view,
        principles or NO_PRINCIPLES,
        settings,
        t=evidence.now,
        degraded=evidence.degraded,
        expired=expired,
    )


def judged_again(
    logged: LoggedDecision, record: Record | None, principles: PrincipleSet | None, settings: TenantSettings
) -> bytes:
    """The encoded answer that a logged decision gets of its record and principles. What only the server knew (id,
    staleness, names of the models) is taken from the log."""
    answer = judged(logged.request, record, logged.evidence, principles, settings, _expired_at(logged.evidence.looks))
    first = msgspec.json.decode(logged.answer, type=Answer)
    answer.decision, answer.logged = first.decision, first.logged
    answer.state.staleness_seconds = first.state.staleness_seconds
    answer.revisions.stage_model = first.revisions.stage_model
    answer.revisions.churn_model = first.revisions.churn_model
    return encode_answer(answer)


def principles_named(files: PrincipleFiles, name: str) -> PrincipleSet | None:
    """The set that an answer names, None if it says that there was none. StoreRefused if its file is gone."""
    if name == NO_PRINCIPLES.name:
        return None
    for digest in files.find(name.rpartition("+")[2]):
        found = compile_principles(files.load(digest), str(files.path(digest)))
        if found.name == name:
            return found
    raise StoreRefused(f"{files.folder}: the file of the principles {name} was required, none came: put it back")


def _expired_at(looks: int | None) -> Callable[[], bool]:
    numbers = count(1)
    return lambda: looks is not None and next(numbers) >= looks
