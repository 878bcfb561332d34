"""Cases, the problems they report, and recurrences, as parts of the fold.

A *case* is one problem of a customer from report to resolution. A *problem* (category and product, both as first
given) collects the times its cases were reported: openings and reopenings.
"""

from __future__ import annotations

import zlib
from bisect import insort
from typing import Final

from msgspec import UNSET

from membrane import signals as s
from membrane.record import Case, Problem, State
from membrane.signals import StoredSignal
from membrane.tiles import MEASURE, add
from membrane.times import DAY, parse_time
from membrane.vocabulary import CASE_STATUSES, RESOLUTION_CODES

KEPT_CASES: Final = 24
KEPT_BYTES: Final = 1400
KEPT_PROBLEMS: Final = 16
KEPT_PROBLEM_BYTES: Final = 500
KEPT_REPORTS: Final = 8
KEPT_REPLACED: Final = 8
KEPT_NAME_BYTES: Final = 300
RECURRENCE_WINDOW: Final = 30 * DAY
RELAPSE_WINDOW: Final = 60 * DAY
RELAPSE_CASES: Final = 3
UNKNOWN: Final = "unknown"

CaseData = s.CaseOpened | s.CaseUpdated | s.CaseResolved | s.CaseReopened


def apply_case_signal(state: State, data: CaseData, signal: StoredSignal, t: int, clock: int) -> None:
    """case.opened, updated, resolved or reopened; the first signal that names a case opens it."""
    case = next((known for known in state.cases if known.case == data.case), None)
    if case is None:
        case = Case(data.case, t, t)
        state.cases.append(case)
    case.touched_at = max(case.touched_at, t)
    case.opened_at = min(case.opened_at, t)
    if isinstance(data, s.CaseOpened):
        _opened(state, case, data, t, clock)
    elif isinstance(data, s.CaseUpdated):
        _describe(case, data.category, data.product, t)
        _update(case, data, t)
    elif isinstance(data, s.CaseResolved):
        _resolve(case, data, t)
        add(state, t, clock, ((MEASURE["cases_resolved"], 1),))
    else:
        _reopen(case, t)
        add(state, t, clock, ((MEASURE["cases_reopened"], 1),))
    if not isinstance(data, s.CaseResolved):
        _report(state, case)
    _bound_cases(state)


def restate(state: State, data: s.CaseUpdated, t: int) -> bool:
    """Takes in an update that says of a known case what is known of it, as most of them do; else False, and nothing is
    done. The registers' times move, but no value does."""
    case = next((known for known in state.cases if known.case == data.case), None)
    if case is None or t < case.opened_at or not _is_known(case, data):
        return False
    case.touched_at = max(case.touched_at, t)
    _describe(case, data.category, data.product, t)
    _update(case, data, t)
    return True


def _is_known(case: Case, data: s.CaseUpdated) -> bool:
    if data.severity is not None and (data.severity != case.severity or not case.severity_at):
        return False
    if data.status is not None and CASE_STATUSES.index(data.status) != case.status:
        return False
    if data.eta is not UNSET and (case.eta if data.eta is None else parse_time(data.eta)) != case.eta:
        return False
    if data.eta is None and case.eta is not None:
        return False
    return all(
        said is None or said == first == now
        for said, first, now in (
            (data.category, case.category, case.category_now),
            (data.product, case.product, case.product_now),
        )
    )


def _opened(state: State, case: Case, data: s.CaseOpened, t: int, clock: int) -> None:
    if not case.reported_at:
        case.reported_at = t
    elif t != case.reported_at:
        _reopen(case, max(t, case.reported_at))
        case.reported_at = min(t, case.reported_at)
    _describe(case, data.category, data.product, t)
    _set_severity(case, data.severity, t)
    if data.eta is not None:
        _set_eta(case, parse_time(data.eta), t)
    severe = ((MEASURE["cases_severe"], 1),) if data.severity <= 2 else ()
    add(state, t, clock, ((MEASURE["cases_opened"], 1), *severe))


def _describe(case: Case, category: str | None, product: str | None, t: int) -> None:
    if category is not None:
        if not case.category_at or (t, category) < (case.category_at, case.category):
            case.category, case.category_at = category, t
        if (t, category) > (case.category_now_at, case.category_now):
            case.category_now, case.category_now_at = category, t
    if product is not None:
        if not case.product_at or (t, product) < (case.product_at, case.product):
            case.product, case.product_at = product, t
        if (t, product) > (case.product_now_at, case.product_now):
            case.product_now, case.product_now_at = product, t


def _update(case: Case, data: s.CaseUpdated, t: int) -> None:
    if data.severity is not None:
        _set_severity(case, data.severity, t)
    if data.status is not None:
        status = CASE_STATUSES.index(data.status)
        if (t, -status) > (case.status_at, -case.status):
            case.status, case.status_at = status, t
    if isinstance(data.eta, str):
        _set_eta(case, parse_time(data.eta), t)
    elif data.eta is None:
        _set_eta(case, None, t)


def _set_severity(case: Case, severity: int, t: int) -> None:
    if not case.severity_at or (t, -severity) > (case.severity_at, -case.severity):
        case.severity, case.severity_at = severity, t


def _set_eta(case: Case, eta: int | None, t: int) -> None:
    if (t, eta is not None, eta or 0) > (case.eta_at, case.eta is not None, case.eta or 0):
        case.eta, case.eta_at = eta, t


def _resolve(case: Case, data: s.CaseResolved, t: int) -> None:
    code = RESOLUTION_CODES.index(data.resolution_code) if data.resolution_code else -1
    case.resolved_at, case.code = max((case.resolved_at, case.code), (t, code))


def _reopen(case: Case, t: int) -> None:
    if t not in case.reopenings:
        insort(case.reopenings, t)
        del case.reopenings[:-KEPT_REPORTS]


def _report(state: State, case: Case) -> None:
    """Bring the reports of this case's problem in line with what is now known of the case."""
    name = zlib.crc32(case.case.encode())
    for problem in state.problems:
        if (problem.category, problem.product) != (case.category, case.product):
            _without(problem, name)
    if case.reported_at:
        _add_reports(state, _problem(state, case.category, case.product), case, name)
    state.problems = [problem for problem in state.problems if problem.reports]
    state.problems.sort(key=lambda problem: (problem.reports[-2], problem.category, problem.product))
    problems = state.problems
    while len(problems) > KEPT_PROBLEMS or (len(problems) > 1 and _problem_bytes(problems) > KEPT_PROBLEM_BYTES):
        del problems[0]
        state.overflow += 1


def _add_reports(state: State, problem: Problem, case: Case, name: int) -> None:
    _without(problem, name)
    pairs = sorted([*reports(problem), *((t, name) for t in (case.reported_at, *case.reopenings))])
    problem.reports = [number for pair in pairs[-KEPT_REPORTS:] for number in pair]


def _problem_bytes(problems: list[Problem]) -> int:
    return sum(len(problem.category) + len(problem.product) for problem in problems)


def _problem(state: State, category: str, product: str) -> Problem:
    known = find_problem(state, category, product)
    if known is None:
        known = Problem(category, product, [])
        state.problems.append(known)
    return known


def _without(problem: Problem, name: int) -> None:
    if name in problem.reports[1::2]:
        problem.reports = [number for t, other in reports(problem) if other != name for number in (t, other)]


def _bound_cases(state: State) -> None:
    cases = state.cases
    while len(cases) > KEPT_CASES or (len(cases) > 1 and _case_bytes(cases) > KEPT_BYTES):
        cases.remove(min(cases, key=lambda known: (known.touched_at, known.case)))
        state.overflow += 1


def _case_bytes(cases: list[Case]) -> int:
    return sum(
        len(known.case)
        + len(known.category)
        + len(known.product)
        + (len(known.category_now) if known.category_now != known.category else 0)
        + (len(known.product_now) if known.product_now != known.product else 0)
        for known in cases
    )


def replace_product(state: State, data: s.ProductReplaced, signal: StoredSignal, t: int, clock: int) -> None:
    """product.replaced: what was reported about the old product until now no longer counts."""
    state.replaced[data.old] = max(state.replaced.get(data.old, 0), t)
    state.overflow += keep_latest(state.replaced, KEPT_REPLACED)


def keep_latest(times: dict[str, int], kept: int) -> int:
    """Drop the oldest names of `name -> time` beyond `kept`, or beyond KEPT_NAME_BYTES of names; how many fell out."""
    dropped = 0
    while len(times) > kept or (len(times) > 1 and sum(map(len, times)) > KEPT_NAME_BYTES):
        del times[min(times, key=lambda name: (times[name], name))]
        dropped += 1
    return dropped


def find_problem(state: State, category: str, product: str) -> Problem | None:
    """The problem of a category and product, if it was reported."""
    for known in state.problems:
        if known.product == product and known.category == category:
            return known
    return None


def problem_key(problem: Problem) -> int:
    """What stands for a problem in `Tracker.problems`."""
    return zlib.crc32(f"{problem.category}\x1f{problem.product}".encode())


def problem_since(problem: Problem, known: int, cleared: int) -> int:
    """When a problem began, now that its latest report is in; `known` is what was said so far (0: nothing), `cleared`
    when its product was last replaced. It ends after 30 days without a report, or when the product is replaced."""
    times = problem.reports[::2]
    if not known:
        return times[0]
    latest = times[-1]
    gap = latest - times[-2] if len(times) > 1 else 0
    return latest if gap > RECURRENCE_WINDOW or known <= cleared < latest else known


def reports(problem: Problem) -> list[tuple[int, int]]:
    """(time, case hash) of each report, by time."""
    return list(zip(problem.reports[::2], problem.reports[1::2], strict=True))


def recurrences(state: State, case: Case) -> int:
    """Reports of earlier cases of the same problem in the 30 days before this one opened, since the last replacement.

    At most 8: the latest reports are kept. "More than three recurrences" is the fifth report.
    """
    problem = find_problem(state, case.category, case.product)
    if problem is None or not case.reported_at or len(problem.reports) <= 2:  # its own report alone
        return 0
    since = max(case.reported_at - RECURRENCE_WINDOW, state.replaced.get(case.product, 0))
    if problem.reports[-2] <= since:
        return 0
    own = zlib.crc32(case.case.encode())
    return sum(since < t < case.reported_at and name != own for t, name in reports(problem))


def missed_eta(case: Case, t: int) -> bool:
    """Whether a promised time has passed with the ball in our court."""
    return case.open and case.status == 0 and case.eta is not None and case.eta < t


def relapse_products(state: State, t: int) -> list[str]:
    """Products at risk of relapse: three or more cases of one problem in 60 days, all resolved, not replaced since."""
    if len(state.cases) < RELAPSE_CASES:
        return []
    counts: dict[tuple[str, str], int] = {}
    blocked = set()
    for case in state.cases:
        if not case.product or not case.reported_at:
            continue
        key = (case.category, case.product)
        if case.open:
            blocked.add(key)
        elif t - RELAPSE_WINDOW < case.reported_at <= t and case.reported_at > state.replaced.get(case.product, 0):
            counts[key] = counts.get(key, 0) + 1
    found = {key[1] for key, count in counts.items() if count >= RELAPSE_CASES and key not in blocked}
    return sorted(found)


def open_at(state: State, t: int) -> bool:
    """Whether a case was open at t, as far as is known."""
    return any(case.opened_at <= t and (case.open or case.resolved_at > t) for case in state.cases)
