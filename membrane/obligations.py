"""Obligations: what principles make the company owe, opened, met, waived and breached. Pure but for the record given.

The functions that open and close change `record.obligations` in place and return what they changed. An id is made of
principle, customer and what the obligation is once per, so that every process and every replay makes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from membrane import signals as s
from membrane.cases import RELAPSE_CASES
from membrane.dictionary import FactSource
from membrane.entities import entities
from membrane.facts import RecordFacts, SharedFacts
from membrane.ledger import make_room, may_be_paid, obligation_id, openings, was_opened
from membrane.pauses import Pause, paused_until
from membrane.principles import Principle, PrincipleSet, Promise
from membrane.record import BREACHED, MET, OPEN, WAIVED, Obligation, Record, State
from membrane.settings import TenantSettings
from membrane.vocabulary import STAGES

_DUE_ANYWAY: Final = frozenset({"risk.relapse", "case.eta_missed"})
_NARROWED: Final = frozenset({"case", "problem", "product", "survey"})
_MET_BY_CONTACT: Final = frozenset({"agent_call", "status_call", "outage_notice", "rescue_offer"})
_MET_BY_CREDIT: Final = frozenset({"free_service", "service_credit"})
_WAIVED_WITH_CASE: Final = frozenset({"promised_time", "status_call"})
_WAIVED_WITH_PRODUCT: Final = frozenset({"rescue_offer", "service_credit"})


def required(
    principles: PrincipleSet,
    record: Record,
    settings: TenantSettings,
    *,
    t: int,
    at: int,
    pauses: Sequence[Pause] = (),
) -> list[Obligation]:
    """Opens what the principles demand of the record as it is at `t`, dated `at` (a case cannot be owed anything before
    it was opened, which a late signal about the customer may make it seem, nor anything before its principle's
    `valid_from` or while that was paused); nothing is opened twice as far as the
    record knows, and what finds no room is counted in `Record.unopened`.

    The condition is evaluated for the whole customer first, then for each case, problem, product or survey alone.
    """
    if asks_nothing(principles, record):
        return []
    stage, who = STAGES[record.tracker.stage], (record.tenant, record.customer)
    facts = SharedFacts(RecordFacts(record, t, settings), {})
    opened: list[Obligation] = []
    unopened = 0
    for rule in principles.requires_in(stage)[0]:
        promise = rule.promise
        heard = () if rule.locked else pauses
        if promise is None or not rule.counts(who, t) or paused_until(heard, rule.id, t) or not rule.matches(facts):
            continue
        for about in _abouts(rule, promise, record, settings, t):
            begins = max(_begins(record, promise.once_per, about), rule.life.valid_from or 0)
            begins = max(begins, at, paused_until(heard, rule.id, at))
            owed = _obligation(rule, promise, record, about, begins)
            if not _may_open(owed, promise, record):
                continue
            if may_be_paid(record, promise, owed.opened_at) and make_room(record, principles, t):
                record.obligations.append(owed)
                opened.append(owed)
            else:
                unopened += 1
    record.unopened = max(record.unopened, unopened)
    return opened


def settle(
    record: Record, signal_type: str, data: s.Data | None, t: int, principles: PrincipleSet | None = None
) -> list[Obligation]:
    """Closes what a signal of event time `t`, already folded into the record, meets or makes pointless. `principles`
    say where other kinds than the usual ones meet an obligation."""
    closing = _CLOSING.get(signal_type)
    owed = [one for one in record.obligations if one.state in {OPEN, BREACHED}] if closing else []
    if closing is None or data is None or not owed:
        return []
    changed = list(closing(_Settling(record, owed, t, principles.met_by if principles else {}), data))
    for one, state in changed:
        one.state, one.closed_at = state, t
    return [one for one, _ in changed]


def breach(record: Record, t: int) -> list[Obligation]:
    """Marks what is open and was due by `t` as breached; it stays owed, by whom it escalates to if to anybody."""
    late = [one for one in record.obligations if one.state == OPEN and one.due <= t]
    for one in late:
        one.state, one.owner = BREACHED, one.escalate_to or one.owner
    return late


def due_moments(record: Record, principles: PrincipleSet) -> Iterator[int]:
    """The moments at which obligations change by time: due times, next periods, windows of at_most that make room."""
    yield from (one.due for one in record.obligations if one.state == OPEN)
    for rule in principles.requires:
        promise = rule.promise
        if promise is None or not (promise.every_ms or promise.at_most):
            continue
        for opened_at in openings(record, rule.id):
            if promise.every_ms:
                yield opened_at + promise.every_ms
            if promise.at_most is not None:
                yield opened_at + promise.at_most[1]


def require_moments(principles: PrincipleSet, facts: FactSource) -> Iterator[int]:
    """The moments at which time may change conditions of `require` principles that may hold in the present stage: those
    of ages, past or to come, and the next of each other fact, but of those that `membrane.due` has moments for; and
    those to come at which such principles begin to count."""
    timing = principles.requires_in(str(facts.get("stage.name")))[1]
    yield from (edge for edge in timing.edges if edge > facts.t)
    yield from timing.age_moments(facts)  # moves of the stage have moments of their own
    for name in timing.changing:
        if name not in _DUE_ANYWAY and (moment := facts.next_change(name)) is not None:
            yield moment


def asks_nothing(principles: PrincipleSet, record: Record) -> bool:
    """Whether it is plain without any evaluation that no condition of a `require` principle holds, now or by time
    alone: most customers have no trouble."""
    return _is_calm(record.state) and principles.asks_nothing_of_the_calm(STAGES[record.tracker.stage])


def _is_calm(state: State) -> bool:
    return not state.low_scores and len(state.cases) < RELAPSE_CASES and not any(case.open for case in state.cases)


def _abouts(rule: Principle, promise: Promise, record: Record, settings: TenantSettings, t: int) -> Iterable[str]:
    """What the promise is owed for: the entities for which the condition holds when it sees only them."""
    scope = promise.once_per
    if not scope:
        return (entities(record, t, "product") if promise.kind in _WAIVED_WITH_PRODUCT else [])[:1] or [""]
    found = entities(record, t, scope)
    if scope not in _NARROWED:
        return found
    return [one for one in found if rule.matches(RecordFacts(record, t, settings, narrow=(scope, one)))]


def _begins(record: Record, scope: str, about: str) -> int:
    """When the case was opened that an obligation is about, 0 if it is about something else."""
    return next((one.opened_at for one in record.state.cases if scope == "case" and one.case == about), 0)


def _obligation(rule: Principle, promise: Promise, record: Record, about: str, at: int) -> Obligation:
    key = f"{promise.once_per}:{about}" if promise.once_per else f"every:{at}"
    return Obligation(
        obligation=obligation_id(record, rule.id, key),
        principle=rule.id,
        kind=promise.kind,
        owner=promise.owner,
        opened_at=at,
        due=at + promise.due_ms,
        scope=promise.once_per,
        about=about,
        episode_at=record.tracker.episode_at,
        escalate_to=promise.escalate_to,
        approval=promise.approval,
    )


def _may_open(owed: Obligation, promise: Promise, record: Record) -> bool:
    if was_opened(record, owed.obligation):
        return False
    if not (promise.every_ms or promise.at_most):
        return True
    earlier = list(openings(record, owed.principle))
    if promise.every_ms and any(owed.opened_at < at + promise.every_ms for at in earlier):
        return False
    if promise.at_most is None:
        return True
    count, window = promise.at_most
    return sum(at > owed.opened_at - window for at in earlier) < count


# ---- what closes an obligation -------------------------------------------------------------------------------------


class _Settling:
    """What is owed when a signal comes, and which of it the signal may meet (it must not be older)."""

    def __init__(self, record: Record, owed: list[Obligation], t: int, met_by: dict[str, frozenset[str]]) -> None:
        self.record = record
        self.owed = owed
        self.open_by_then = [one for one in owed if one.opened_at <= t]
        self.met_by = met_by


Closed = Iterator[tuple[Obligation, int]]


def _contact(settling: _Settling, data: s.Data) -> Closed:
    if isinstance(data, s.ContactMade):
        for one in settling.open_by_then:
            own = settling.met_by.get(one.principle)
            usual = one.kind in _MET_BY_CONTACT and one.kind == data.kind
            follow_up = one.kind == "survey_follow_up" and data.domain == "service"
            if (usual or follow_up) if own is None else data.kind in own:
                yield one, MET


def _credit(settling: _Settling, data: s.Data) -> Closed:
    """The obligation named, else the one that has been owed longest: one credit pays one debt."""
    if not isinstance(data, s.CreditGiven):
        return
    kinds = settling.met_by
    payable = [one for one in settling.open_by_then if one.kind in _MET_BY_CREDIT or one.principle in kinds]
    named = [one for one in payable if one.obligation == data.obligation]
    alike = [one for one in payable if data.kind in kinds.get(one.principle, {one.kind})]
    oldest = sorted(alike, key=lambda one: (one.opened_at, one.obligation)) if data.obligation is None else []
    yield from ((one, MET) for one in (named or oldest)[:1])


def _promised(settling: _Settling, data: s.Data) -> Closed:
    if isinstance(data, s.CaseOpened | s.CaseUpdated) and isinstance(data.eta, str):
        for one in settling.open_by_then:
            if one.kind == "promised_time" and one.about == data.case:
                yield one, MET


def _resolved(settling: _Settling, data: s.Data) -> Closed:
    if isinstance(data, s.CaseResolved) and not _is_open(settling.record, data.case):
        yield from ((one, WAIVED) for one in settling.owed if one.kind in _WAIVED_WITH_CASE and one.about == data.case)


def _replaced(settling: _Settling, data: s.Data) -> Closed:
    if isinstance(data, s.ProductReplaced):
        yield from (
            (one, WAIVED) for one in settling.owed if one.kind in _WAIVED_WITH_PRODUCT and one.about == data.old
        )


def _is_open(record: Record, case: str) -> bool:
    return any(one.case == case and one.open for one in record.state.cases)


_CLOSING: Final[dict[str, Callable[[_Settling, s.Data], Closed]]] = {
    "cx.contact.made.v1": _contact,
    "cx.credit.given.v1": _credit,
    "cx.case.opened.v1": _promised,
    "cx.case.updated.v1": _promised,
    "cx.case.resolved.v1": _resolved,
    "cx.product.replaced.v1": _replaced,
}
