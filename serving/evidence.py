"""What a decision is made from, and how it is made of that: the first time, and again from the decision log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

import msgspec
from msgspec.structs import replace

from membrane.caps import Claim
from membrane.decide import Decided, decide_beside
from membrane.decisions import Answer, Candidate, DecisionRequest, encode_answer
from membrane.engine import rules_for
from membrane.errors import StoreRefused
from membrane.layers import layered
from membrane.pauses import Pause
from membrane.principles import GUARANTEES, PrincipleSet
from membrane.record import Record
from membrane.reserving import Granted, reserve
from membrane.settings import TenantSettings
from membrane.shadow import Shadow
from membrane.view import LogConsent, Progress, View
from serving.known import CLAIMS_UNREADABLE
from storage.principles import PrincipleFiles, compile_principles

NO_PRINCIPLES: Final = PrincipleSet("none", "none", "none", GUARANTEES, (), (), ())
"""What decides when no set can be had: the class defaults of `no_principles` do, and the guarantees hold."""
_OVER: Final = " over "


class Evidence(msgspec.Struct, omit_defaults=True):
    """What a decision was made from, beside the record of that version (None: there was none, or it could not be read):
    enough to make it again. `now` and `go_live` in ms; `progress`: how far the stream was; `looks`: at which look at
    the clock the deadline had passed; `claims`: those that were there before the ones it made itself; `settings`: the
    tenant's, None for those of everybody; `service_silent`: a source of cases or messages was silent."""

    now: int
    version: int | None
    principles: str
    consents: Sequence[LogConsent]
    degraded: list[str]
    progress: Progress = Progress()
    churn_is_advisory: bool = True
    go_live: int = 0
    looks: int | None = None
    claims: Sequence[Claim] = []
    pauses: Sequence[Pause] = []
    settings: TenantSettings | None = None
    service_silent: bool = False


class LoggedDecision(msgspec.Struct, omit_defaults=True):
    """A line of the decision log. `shadow` is what principles on trial would have said."""

    request: DecisionRequest
    answer: msgspec.Raw
    evidence: Evidence
    shadow: list[Shadow] = []


class Case(msgspec.Struct):
    """All that an answer depends on: whose customer is asked about, and what is known of it."""

    tenant: str
    record: Record | None
    evidence: Evidence
    principles: PrincipleSet | None

    @property
    def settings(self) -> TenantSettings:
        """What the tenant's customers are judged by."""
        return self.evidence.settings or _EVERYBODY


_EVERYBODY: Final = TenantSettings()
_decoder: Final = msgspec.json.Decoder(LoggedDecision)


def read_logged(body: bytes) -> LoggedDecision:
    """A line of the decision log. Raises msgspec's errors for other bytes."""
    return _decoder.decode(body)


def judged(
    request: DecisionRequest, case: Case, expired: Callable[[], bool], claims: Sequence[Claim] | None = None
) -> Decided:
    """The answer but for what only the server knows, and what is tried beside it; InvalidRequest as `membrane.decide`.
    The customer is seen now, or at its own clock when the request names the moment; `claims` other than those of the
    evidence where they are given."""
    evidence, record = case.evidence, case.record
    clock = record.clock if record is not None else 0
    t = max(evidence.now, clock) if request.at is None else clock
    rules = rules_for(  # what the stream of the customer's partition judges by
        case.principles,
        case.settings,
        evidence.pauses,
        churn_is_advisory=evidence.churn_is_advisory,
        go_live=evidence.go_live,
    )
    who = (case.tenant, request.customer)
    view = View(record, t, rules, evidence.consents, progress=evidence.progress, who=who)
    ahead = t - evidence.now if request.at is None else 0  # a clock set back does not end claims before their time
    held = evidence.claims if claims is None else claims
    view.service_silent = evidence.service_silent
    view.claims = [replace(one, until=one.until + ahead) for one in held] if ahead else held
    return decide_beside(
        request,
        view,
        case.principles or NO_PRINCIPLES,
        case.settings,
        t=evidence.now,
        degraded=evidence.degraded,
        expired=expired,
    )


def reserves(request: DecisionRequest, evidence: Evidence) -> bool:
    """Whether an answer grants permits: it is for now, and the claims could be read and written."""
    return request.reserve and request.at is None and CLAIMS_UNREADABLE not in evidence.degraded


def reserved(
    request: DecisionRequest, case: Case, expired: Callable[[], bool], new_permit: Callable[[Candidate], str]
) -> tuple[Decided, list[Granted]]:
    """The same with permits; what is tried beside it is that of the first look."""

    def deciding(asked: DecisionRequest, claims: Sequence[Claim]) -> Decided:
        return judged(asked, case, expired, claims)

    return reserve(request, case.evidence.claims, deciding, new_permit, case.evidence.now)


def judged_again(logged: LoggedDecision, tenant: str, record: Record | None, principles: PrincipleSet | None) -> bytes:
    """The encoded answer that a logged decision gets of its record and principles. What only the server knew (id,
    permits, staleness, names of the models) is taken from the log."""
    request, case = logged.request, Case(tenant, record, logged.evidence, principles)
    expired = _expired_at(logged.evidence.looks)
    first = msgspec.json.decode(logged.answer, type=Answer)
    if reserves(request, logged.evidence):
        permits = {one.candidate: one.permit or "" for one in first.verdicts}
        answer = reserved(request, case, expired, lambda candidate: permits[candidate.id])[0].answer
    else:
        answer = judged(request, case, expired).answer
    answer.decision, answer.logged = first.decision, first.logged
    answer.state.staleness_seconds = first.state.staleness_seconds
    answer.revisions.stage_model = first.revisions.stage_model
    answer.revisions.churn_model = first.revisions.churn_model
    return encode_answer(answer)


def principles_named(files: PrincipleFiles, name: str) -> PrincipleSet | None:
    """The set that an answer names, a tenant's own over another where it names both; None if it says that there was
    none. StoreRefused if a file is gone."""
    if name == NO_PRINCIPLES.name:
        return None
    own, over, base = name.partition(_OVER)
    return layered(_named(files, base), _named(files, own)) if over else _named(files, own)


def _named(files: PrincipleFiles, name: str) -> PrincipleSet:
    for digest in files.find(name.rpartition("+")[2]):
        found = compile_principles(files.load(digest), str(files.path(digest)))
        if found.name == name:
            return found
    raise StoreRefused(f"{files.folder}: the file of the principles {name} was required, none came: put it back")


def _expired_at(looks: int | None) -> Callable[[], bool]:
    numbers = count(1)
    return lambda: looks is not None and next(numbers) >= looks
