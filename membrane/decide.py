"""The decision: a request and a customer in, verdicts with their reasons out. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import UNSET

from membrane import decisions as d
from membrane.answering import Manner, candidate_verdicts, choice, pauses
from membrane.arbitration import Contender, score
from membrane.contest import Contest
from membrane.deadline import Deadline, OutOfTime
from membrane.defaults import TABLE, class_default
from membrane.dictionary import SOURCE_SILENT_FACT, Value
from membrane.errors import InvalidRequest
from membrane.facts import About
from membrane.judging import Finding, Judge, fulfils
from membrane.moments import next_moment
from membrane.portrait import episode_part, owed, risks, stage_part, state_part
from membrane.principles import PrincipleSet
from membrane.record import Record
from membrane.scope import slot_of
from membrane.settings import TenantSettings
from membrane.shadow import Shadow, shadows
from membrane.sight import Asked, Sight, View, earliest
from membrane.times import format_optional, format_time, parse_time
from membrane.vocabulary import (
    CHANNEL_INDEX,
    Verdict,
    channel_index,
    class_of,
    domain_index,
)
from membrane.wording import TEXTS

__all__ = ["Decided", "View", "asked_for", "decide", "decide_beside", "default_verdicts"]


class Decided(NamedTuple):
    """An answer, and beside it what the principles in shadow would have said, and the candidates' ids in the order of
    arbitration, whether or not they compete."""

    answer: d.Answer
    shadow: list[Shadow]
    order: list[str]


def decide(
    request: d.DecisionRequest,
    view: View,
    principles: PrincipleSet,
    settings: TenantSettings,
    *,
    t: int,
    degraded: Sequence[str] = (),
    expired: Callable[[], bool] = lambda: False,
) -> d.Answer:
    """The answer to a request at `t` (now, epoch ms), as `decide_beside` gives it."""
    return decide_beside(request, view, principles, settings, t=t, degraded=degraded, expired=expired).answer


def decide_beside(
    request: d.DecisionRequest,
    view: View,
    principles: PrincipleSet,
    settings: TenantSettings,
    *,
    t: int,
    degraded: Sequence[str] = (),
    expired: Callable[[], bool] = lambda: False,
) -> Decided:
    """The answer to a request at `t` (now, epoch ms), with what is tried beside it.

    `view` shows the customer at its clock, or at any moment up to the one asked about. `degraded`: what the server
    knows to be amiss (`very_stale` is shown as `stale`). `expired` says whether the deadline has passed: candidates not
    judged by then get their class's default, and of `until`, `unless` and `valid_until` there is what was found by
    then. InvalidRequest for moments before the customer's clock or over 31 days
    ahead. The server fills in `decision`, `logged`, `state.staleness_seconds` and the models' revisions.
    """
    moment = _moment(request, view, t)
    base = Sight(view if moment <= view.t else view.at(moment), settings, _told_to(view))
    asked = [asked_for(place, one, base, principles, moment) for place, one in enumerate(request.candidates)]
    deadline = Deadline(expired)
    judge = Judge(settings, tuple(cause for cause in degraded if cause in TABLE), deadline)
    contest = Contest(asked, base, judge, request.choose)
    _judge_in_time(contest)
    verdicts = candidate_verdicts(contest, Manner(request.language or settings.language, request.explain))
    valid_until = _valid_until(contest)
    record, general = base.view.record, base.view.facts()
    answer = d.Answer(
        decision="",
        customer=request.customer,
        at=format_time(moment),
        lifecycle=str(general.get("lifecycle")),
        verdicts=verdicts,
        choice=choice(contest, verdicts),
        stage=stage_part(record),
        episode=episode_part(record),
        risks=risks(record, relapse=bool(general.get("risk.relapse"))),
        owed=owed(record),
        state=state_part(record, view.as_of, [*degraded, "deadline"] if deadline.passed else degraded),
        revisions=d.Revisions(principles.name),
        valid_until=format_optional(valid_until),
        pauses=(pauses(contest, principles) or UNSET) if base.pauses else UNSET,
        currency=settings.currency or UNSET,
    )
    order = [one.candidate.id for one in sorted(asked, key=lambda one: one.contender.rank)]
    return Decided(answer, shadows(contest, principles, verdicts), order)


def _told_to(view: View) -> dict[str, Value]:
    """The facts that the server alone can tell."""
    return {SOURCE_SILENT_FACT: True} if view.service_silent else {}


def default_verdicts(request: d.DecisionRequest, cause: str) -> list[tuple[str, Verdict]]:
    """The class defaults (candidate id, verdict) for a request that cannot be judged at all."""
    return [(one.id, class_default(class_of(one.domain, one.kind), one.kind, cause)) for one in request.candidates]


def _moment(request: d.DecisionRequest, view: View, t: int) -> int:
    """The moment that the request is judged at; InvalidRequest where one it names is out of bounds."""
    errors = []
    moment = max(t, view.t)
    if request.at is not None:
        moment = parse_time(request.at)
        if not view.t <= moment <= t + d.AHEAD_MS:
            errors.append(("/at", "must not be before the customer's clock nor more than 31 days from now"))
    for place, candidate in enumerate(request.candidates):
        if candidate.send_at is not None and parse_time(candidate.send_at) > t + d.AHEAD_MS:
            errors.append((f"/candidates/{place}/send_at", "must not be more than 31 days from now"))
    if errors:
        raise InvalidRequest(errors)
    return moment


def asked_for(place: int, candidate: d.Candidate, base: Sight, principles: PrincipleSet, moment: int) -> Asked:
    """A candidate made ready to be judged, if nothing else is said at `moment`."""
    channel = candidate.channel if candidate.channel in CHANNEL_INDEX else "other"
    slot = slot_of(candidate.domain, candidate.kind, channel, candidate.direction)
    consent = base.view.consent(channel_index(channel), domain_index(candidate.domain))
    known_at = _ended_at(candidate, base.view.record)
    lever = principles.lever(candidate.domain, candidate.kind)
    worth = score(candidate.propensity, candidate.value, candidate.context, lever)
    return Asked(
        place,
        candidate,
        Contender(candidate.id, worth, owed=fulfils(candidate, base.owed, principles.met_by)),
        slot,
        principles.etiquette(slot) if slot is not None else None,
        About(channel, consent, known_at is not None, known_at or 0),
        moment if candidate.send_at is None else max(parse_time(candidate.send_at), moment),
        may_be_owed=candidate.domain == "service" or candidate.kind in principles.meeting,
        met_by=principles.met_by,
    )


def _ended_at(candidate: d.Candidate, record: Record | None) -> int | None:
    """When what the candidate asks about ended: as the request says, else as the record knows."""
    about = candidate.about
    if about is None:
        return None
    if about.at is not None:
        return parse_time(about.at)
    if record is None:
        return None
    state = record.state
    for name, ended in ((about.interaction, state.ended), (about.touchpoint, state.ended_touchpoints)):
        if name is not None and name in ended:
            return ended[name]
    return next((one.resolved_at for one in state.cases if one.case == about.case and not one.open), None)


def _judge_in_time(contest: Contest) -> None:
    """Judges the candidates one by one; those that the deadline leaves over get their class's default."""
    for place, asked in enumerate(contest.asked):
        try:
            contest.judge_now(place)
        except OutOfTime:
            verdict = class_default(asked.slot.cls if asked.slot else None, asked.candidate.kind, "deadline")
            contest.default(place, Finding(verdict, "degraded", "deadline", TEXTS["deadline"]))


def _valid_until(contest: Contest) -> int | None:
    """The earliest moment at which time may change anything in the answer, ages shown in reasons apart; None if there
    was no time to find it."""
    base = contest.base
    moments = [base.next_due, *(one.until for one in base.view.claims)]
    try:
        for place, asked in enumerate(contest.asked):
            contest.deadline.check()
            moments.append(next_moment(asked, contest.sight(place, base.t)))
    except OutOfTime:
        return None
    return earliest(moments, base.t)
