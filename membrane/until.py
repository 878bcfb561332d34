"""`until`: the earliest moment at which time alone changes a verdict."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from membrane.contest import Contest, Group
from membrane.deadline import OutOfTime
from membrane.decisions import AHEAD_MS
from membrane.sight import earliest
from membrane.times import DAY
from membrane.vocabulary import Verdict

MOST_MOMENTS: Final = 64
MOST_WHILE_LOSING: Final = 8
HORIZON_MS: Final = 400 * DAY


def first_changes(contest: Contest, group: Group) -> dict[int, int | None]:
    """For each candidate of a group the first moment after the contest's base at which its verdict is another one,
    None when there is none among the next 64 moments within 400 days (8 once all that is left is deferred for a rival),
    or none was found before the deadline. What is allowed is looked at for the 31 days in which it may be asked for.

    Between two moments that a condition, a cap, quiet hours or the record itself names nothing changes by time, so only
    these are looked at, in order.
    """
    found: dict[int, int | None] = dict.fromkeys(group)
    with suppress(OutOfTime):
        _find_changes(contest, group, found)
    return found


def _find_changes(contest: Contest, group: Group, found: dict[int, int | None]) -> None:
    t = contest.base.t
    before = contest.standings(group, t)
    blocked = any(standing.verdict is not Verdict.ALLOW for standing in before.values())
    end = t + (HORIZON_MS if blocked else AHEAD_MS)
    lost = {place for place, standing in before.items() if standing.lost_to is not None}
    patience = MOST_WHILE_LOSING
    for _ in range(MOST_MOMENTS):
        pending = [place for place in group if found[place] is None]
        patience -= lost.issuperset(pending)
        if patience < 0:
            break
        moment = earliest((contest.next_moment(place, group, t) for place in pending), t)
        if moment is None or moment > end:
            break
        t = moment
        if len(group) == 1 and not blocked and contest.surely_blocked(group[0], t):
            found[group[0]] = t
            break
        for place, standing in contest.standings(group, t).items():
            if found[place] is None and standing.verdict is not before[place].verdict:
                found[place] = t
            if standing.lost_to is not None:
                lost.add(place)
