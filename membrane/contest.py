"""All candidates of one request together: each judged at its own moment, then arbitration among those that persuade."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from membrane.arbitration import group_of, winner
from membrane.dictionary import Value
from membrane.facts import SharedFacts
from membrane.judging import Finding, Judge, verdict_of
from membrane.moments import forbidden_from, next_verdict_moment
from membrane.principles import Principle
from membrane.sight import Asked, Sight, earliest
from membrane.vocabulary import InteractionClass, Verdict

Changes = tuple[tuple[str, Value], ...]
"""Facts with the values that they are imagined to have."""
Group = tuple[int, ...]
"""Places in the request of candidates that compete; one that competes with nobody is a group of its own."""


class Standing(Struct, frozen=True):
    """What became of a candidate; `lost_to` is the id of the one chosen instead."""

    verdict: Verdict
    lost_to: str | None = None


class Contest:
    """Judges the candidates of a request at any moment from `base` on, as they are or with one fact changed. What would
    take new work raises OutOfTime once the deadline has passed; what is known is told whenever it is asked for.

    `modifying` holds what changes the manner of each candidate that is allowed, `defaulted` the places of those that
    were not judged at all.
    """

    def __init__(self, asked: list[Asked], base: Sight, judge: Judge, choose: str) -> None:
        self.asked = asked
        self.base = base
        self.judge = judge
        self.groups = _groups(asked, choose)
        self.deadline = judge.deadline
        self.modifying: dict[int, list[Principle]] = {}
        self.defaulted: set[int] = set()
        self._sights = {(base.t, base.t, full): base for full in (False, True)}
        self._findings: dict[tuple[int, int], list[Finding]] = {}
        self._verdicts: dict[tuple[int, int, Changes], Verdict] = {}
        self._moments: dict[tuple[int, int, tuple[str, ...]], int | None] = {}

    def judge_now(self, place: int) -> None:
        """Works out what is said of a candidate at the base moment, but for what would change it."""
        self.deadline.check()
        if self.own_verdict(place, self.base.t) is Verdict.ALLOW:
            asked = self.asked[place]
            self.modifying[place] = self.judge.modifying(asked, self.sight(place, self.base.t))

    def default(self, place: int, finding: Finding) -> None:
        """Says what speaks for the verdict at the base moment in place of judging."""
        self.defaulted.add(place)
        self._findings[place, self.base.t] = [finding]
        self._verdicts[place, self.base.t, ()] = finding.verdict

    def facts(self, place: int) -> SharedFacts:
        """The facts for a candidate at the base moment, or when it would go out; now for one that was not judged."""
        sight = self.base if place in self.defaulted else self.sight(place, self.base.t)
        return sight.facts(self.asked[place])

    def sight(self, place: int, t: int) -> Sight:
        """How the customer looks when the candidate would go out: at t, or at its own later moment. What is owed by
        then matters only to what could fulfil it; for the rest a forecast of the facts will do."""
        asked = self.asked[place]
        moment, exactly = max(t, asked.at), asked.may_be_owed
        key = (moment, t if self.base.view.claims else moment, exactly)
        found = self._sights.get(key)
        if found is None:
            self.deadline.check()
            found = self._sights[key] = self.base.later(moment, exactly=exactly, asked_at=key[1])
        return found

    def surely_blocked(self, place: int, t: int) -> bool:
        """Whether a candidate is plainly not allowed at t; False says nothing."""
        return self.judge.surely_blocks(self.asked[place], self.sight(place, t))

    def findings(self, place: int, t: int) -> list[Finding]:
        """What speaks for the candidate's verdict at t, arbitration apart."""
        key = (place, t)
        found = self._findings.get(key)
        if found is None:
            found = self._findings[key] = self.judge.findings(self.asked[place], self.sight(place, t))
        return found

    def own_verdict(self, place: int, t: int, changes: Changes = ()) -> Verdict:
        """The verdict on the candidate alone."""
        key = (place, t, changes)
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdicts[key] = self._own_verdict(place, t, changes)
        return verdict

    def _own_verdict(self, place: int, t: int, changes: Changes) -> Verdict:
        found = self.findings(place, t)
        if not changes:
            return verdict_of(found)
        self.deadline.check()
        return self.judge.changed_verdict(self.asked[place], self.sight(place, t), found, dict(changes))

    def verdict_if(self, place: int, group: Group, *changes: tuple[str, Value]) -> Verdict:
        """What would become of a candidate at the base moment if facts were others."""
        alone = self.own_verdict(place, self.base.t, changes)
        if alone is not Verdict.ALLOW or len(group) == 1:
            return alone
        return self.standings(group, self.base.t, changes)[place].verdict

    def next_moment(self, place: int, group: Group, t: int) -> int | None:
        """The earliest moment after t at which time alone may change what becomes of a candidate.

        One that is allowed by itself depends on those that would be chosen before it, too. While it loses it is
        deferred whatever would only defer it: then only what forbids it matters, and what may stop the winner, quiet
        hours that would defer both apart.
        """
        self.deadline.check()
        asked = self.asked[place]
        if self.own_verdict(place, t) is not Verdict.ALLOW or len(group) == 1:
            return self._own_next_moment(place, t)
        lost_to = self.standings(group, t)[place].lost_to
        if lost_to is None:
            before = [other for other in group if self.asked[other].contender.rank < asked.contender.rank]
            return earliest((self._own_next_moment(other, t) for other in (place, *before)), t)
        chosen = next(other for other in group if self.asked[other].candidate.id == lost_to)
        quiet = asked.etiquette.quiet_hours if asked.etiquette and not asked.may_be_owed and asked.at <= t else ()
        stopped = self._own_next_moment(chosen, t, tuple(one.id for one in quiet))
        return earliest([forbidden_from(asked, self.sight(place, t)), stopped], t)

    def _own_next_moment(self, place: int, t: int, besides: tuple[str, ...] = ()) -> int | None:
        key = (place, t, besides)
        if key not in self._moments:
            asked, sight = self.asked[place], self.sight(place, t)
            apart = besides if asked.at <= t else ()  # one that goes out later has quiet hours of its own
            found = next_verdict_moment(asked, sight, self.findings(place, t), apart)
            ends = [one.until for one in self.base.view.claims] if asked.at > t else []
            self._moments[key] = earliest([found, *ends], t) if ends else found
        return self._moments[key]

    def standings(self, group: Group, t: int, changes: Changes = ()) -> dict[int, Standing]:
        """What becomes of each of a group at t."""
        verdicts = {place: self.own_verdict(place, t, changes) for place in group}
        if len(group) == 1:
            return {place: Standing(verdict) for place, verdict in verdicts.items()}
        allowed = [place for place in group if verdicts[place] is Verdict.ALLOW]
        chosen = winner(self.asked[place].contender for place in allowed)
        return {
            place: Standing(Verdict.DEFER, chosen)
            if verdict is Verdict.ALLOW and self.asked[place].candidate.id != chosen
            else Standing(verdict)
            for place, verdict in verdicts.items()
        }


def _groups(asked: Iterable[Asked], choose: str) -> list[Group]:
    competing: dict[str, list[int]] = {}
    alone: list[Group] = []
    for place, one in enumerate(asked):
        persuades = one.slot is not None and one.slot.cls is InteractionClass.PERSUASION
        group = group_of(choose, one.candidate.domain) if persuades else None
        if group is None:
            alone.append((place,))
        else:
            competing.setdefault(group, []).append(place)
    return [*map(tuple, competing.values()), *alone]
