"""The forward filter that knows the simulator: the posterior of a customer's latent stage given its signals so far.

It is the limit for every model that learns from simulated customers. Hidden are the stage, when it began (its dwell
time is a gamma distribution), whether the product is fragile, how active the customer is and its usual level of use;
each has its true prior, and each signal its true likelihood (`training.likelihoods`). That nothing came is evidence,
too: arrivals are Poisson processes by hour of the week, answers and resolutions come after delays of a known
distribution. What tips a relationship over is itself a signal (a case opens when strain or crisis begins, the end of a
crisis resolves what is open, leaving closes the account): such moves happen at signals only, the others in silence.

It is exact but for numerical approximations, each finer with a finer `Grid` (time passes in steps; silent beginnings
are known to a bin of days; level of use and activity lie on grids), and but for this, by which the true posterior may
know a little more: whether a contact or survey will be answered, and whether an interaction was resolved, is judged by
the stage at the time of the answer instead of that of the question (hours and minutes earlier); the kind word, the
credit and the new product after a crisis say nothing of how long ago it was once the customer recovers no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from membrane.times import DAY, parse_time
from membrane.vocabulary import STAGES
from training import likelihoods as likely
from training.belief import Belief, Grid, Hypothesis, put
from training.rates import AT_RISK, CRISIS, INITIAL_SHARE, RECOVERING, STEADY, STRAINED, THRIVING
from training.world import Event

Floats = npt.NDArray[np.float64]

_SILENT: Final = (RECOVERING, AT_RISK, THRIVING, STEADY)  # what may begin without a signal
_BAD: Final = frozenset({CRISIS, STRAINED})  # what begins with a case
_THANKED, _CREDITED = 1, 2
_WORDS: Final = {_THANKED: likely.THANKS_COME, _CREDITED: likely.CREDIT_COMES}
_SELLING: Final = frozenset({"marketing", "sales"})
_AWAITED_FOR: Final = 8  # mean delays
_STRAY_CREDITS: Final = 1e-4  # per hour, for customers who are not recovering


class _Since(NamedTuple):
    """Since when something is awaited (epoch ms), and what it is: a severity, or a department."""

    at: int
    what: int | str


def stage_posteriors(
    events: Iterable[Event], moments: Sequence[int], start_ms: int, grid: Grid | None = None
) -> tuple[Floats, int]:
    """(moments, 6) the posterior at each moment (epoch ms, ascending) given all events of one customer up to and with
    it, NaN where it is no customer; and how many groups of events were impossible under every hypothesis.

    `start_ms` is where the simulation began."""
    found = np.empty((len(moments), len(STAGES)))
    one = ForwardFilter(start_ms, grid or Grid())
    groups = ((t, list(group)) for t, group in groupby(events, key=lambda event: parse_time(event["time"])))
    upcoming = next(groups, None)
    for row, moment in enumerate(moments):
        while upcoming is not None and upcoming[0] <= moment:
            one.take(*upcoming)
            upcoming = next(groups, None)
        one.wait(moment)
        found[row] = one.posterior()
    return found, one.surprises


class ForwardFilter:
    """The filter of one customer."""

    def __init__(self, start_ms: int, grid: Grid) -> None:
        """`start_ms` is where the simulation began: established customers entered their first stage there."""
        self.surprises = 0
        self._t = start_ms
        self._belief = Belief(grid)
        self._gone = self._opted_out = self._replaced = False
        self._open: dict[str, _Since] = {}  # cases, with their severity
        self._solved: dict[str, _Since] = {}
        self._contacts: dict[str, _Since] = {}  # with their domain
        self._surveys: dict[str, _Since] = {}
        self._interactions: set[str] = set()
        self._handlers: dict[str, Callable[[int, dict[str, Any]], None]] = {
            "case.opened": self._report,
            "case.reopened": self._reopen,
            "message.received": self._message,
            "interaction.ended": self._end_interaction,
            "credit.given": self._credit,
            "usage.measured": self._measure,
            "order.placed": lambda _t, _data: self._arrived("order"),
            "payment.failed": lambda _t, _data: self._arrived("payment_failed"),
            "contact.made": self._contact,
            "contact.answered": self._contact_answer,
            "survey.sent": self._survey,
            "survey.answered": self._survey_answer,
            "product.replaced": self._new_product,
            "account.closed": self._close,
        }

    def posterior(self) -> Floats:
        """(6,) the probability of each stage; NaN before the first signal and after the account closed."""
        return np.full(len(STAGES), np.nan) if self._gone or not self._belief.keys else self._belief.by_stage()

    def take(self, t: int, events: Sequence[Event]) -> None:
        """All events of one moment."""
        belief = self._belief
        if not belief.keys:
            self._begin(t, events)
        self.wait(t)
        before = belief.keys, belief.weights
        named = [(event["type"].removeprefix("cx.").removesuffix(".v1"), event["data"]) for event in events]
        resolved = [data for name, data in named if name == "case.resolved"]
        if resolved:
            self._resolve(t, resolved)
        for name, data in named:
            if name in self._handlers:
                self._handlers[name](t, data)
        if not belief.normalise():
            self.surprises += 1
            belief.keys, belief.weights = before

    def wait(self, t: int) -> None:
        """Let time pass until t without a signal."""
        if not self._belief.keys or self._gone:
            self._t = max(self._t, t)
            return
        while self._t < t:
            self._step(min(t, self._t + self._belief.grid.step_ms))
        self._forget()

    def _begin(self, t: int, events: Sequence[Event]) -> None:
        """Where the first signal is not that of a newcomer, the customer was there from the start."""
        stages = set(range(len(STAGES)))
        if events[0]["type"] == "cx.account.opened.v1":
            self._t = t
            reports = any(event["type"] == "cx.case.opened.v1" for event in events)
            stages = stages & _BAD if reports else stages - _BAD
        begun = [Hypothesis(stage, stage != STEADY and self._t) for stage in sorted(stages)]
        self._belief.replace({key: INITIAL_SHARE[key.stage] * self._belief.prior for key in begun})
        # Who recovers from the start was in no crisis before, after which something might come.
        self._belief.renamed(lambda key: key._replace(told=sum(_WORDS) * (key.stage == RECOVERING)))

    # ---- time without signals

    def _step(self, end: int) -> None:
        begin, self._t = self._t, end
        belief, stages = self._belief, self._belief.stages
        before, after = (likely.dwell_survival(stages, self._ages(t, begin)) for t in (begin, end))
        stays = after / before
        own = self._own_silence(begin, end)[:, None] * self._no_reopening(begin, end)
        quiet = self._quiet(begin, end)
        moved: dict[Hypothesis, Floats] = {}
        for key, weight in self._moved(own * (1 - stays), np.sqrt(quiet), (begin + end) // 2):
            put(moved, key, weight)
        belief.weights = belief.weights * ((own * stays)[:, :, None] * quiet[stages][:, None])[..., None]
        belief.add(moved)
        belief.normalise()

    def _moved(self, leaves: Floats, silence: Floats, t: int) -> Iterator[tuple[Hypothesis, Floats]]:
        """What goes over without a signal about t, by where it goes. `leaves` (hypotheses, 2) is what goes anywhere,
        `silence` (6, activities) that of half the time."""
        belief, bin_ms = self._belief, self._belief.grid.bin_ms
        since = t // bin_ms * bin_ms + bin_ms // 2
        families: dict[tuple[int, frozenset[str]], list[int]] = {}
        for index, key in enumerate(belief.keys):
            if key.stage != CRISIS or not self._open:  # the end of a crisis with open cases is a signal
                families.setdefault((key.stage, key.slow), []).append(index)
        for (before, slow), members in families.items():
            mass = np.einsum("hfal,hf->fal", belief.weights[members], leaves[members])
            for after in _SILENT:
                odds = likely.FOLLOWS[before, after]
                if odds:
                    factor = odds * silence[before] * silence[after]
                    yield Hypothesis(after, after != STEADY and since, slow), mass * factor[:, None]

    def _quiet(self, begin: int, end: int) -> Floats:
        """(6, activities) how probable it is in each stage that nothing came and nobody left."""
        exposure = likely.exposure(begin, end)
        rate = likely.BY_PROFILE @ exposure
        if self._opted_out:
            rate = rate - likely.SELLING * exposure[likely.OFFICE]
        stays = np.exp(-likely.LEAVING * (end - begin) / DAY)
        for awaited, chance, delay in (
            (self._contacts, likely.ANSWERED, likely.ANSWER_DELAY_MS),
            (self._surveys, likely.SURVEY_ANSWERED, likely.SURVEY_DELAY_MS),
        ):
            for one in awaited.values():
                stays = stays * likely.still_out(chance, delay, begin - one.at, end - one.at)
        return np.asarray(stays[:, None] * np.exp(-rate[:, None] * self._belief.activity))

    def _own_silence(self, begin: int, end: int) -> Floats:
        """(hypotheses,) that no open case was resolved, and that no word came after a crisis."""
        found = np.ones(len(self._belief.keys))
        for index, key in enumerate(self._belief.keys):
            if key.stage == CRISIS:  # its cases wait for its end
                continue
            for name, case in self._open.items():
                slow = name in key.slow
                found[index] *= likely.case_survival(int(case.what), begin - case.at, end - case.at, slow=slow)
            if key.stage == RECOVERING:
                for bit, (chance, delay) in _WORDS.items():
                    if not key.told & bit and begin - key.since < _AWAITED_FOR * delay:
                        found[index] *= likely.still_out(chance, delay, begin - key.since, end - key.since)[0]
        return found

    def _no_reopening(self, begin: int, end: int) -> Floats:
        """(2,) by fragility, that no resolved case was reopened."""
        found = np.ones(2)
        for case in self._solved.values():
            found *= likely.still_out(self._reopening(), likely.REOPENING_DELAY_MS, begin - case.at, end - case.at)
        return found

    def _reopening(self) -> Floats:
        return likely.REOPENING[[0, 0]] if self._replaced else likely.REOPENING

    def _forget(self) -> None:
        """Drop what has been awaited for long."""
        for awaited, delay in (
            (self._contacts, likely.ANSWER_DELAY_MS),
            (self._surveys, likely.SURVEY_DELAY_MS),
            (self._solved, likely.REOPENING_DELAY_MS),
        ):
            for name in [name for name, one in awaited.items() if self._t - one.at > _AWAITED_FOR * delay]:
                del awaited[name]
        self._belief.tidy()

    def _ages(self, t: int, begin: int) -> Floats:
        """(hypotheses,) the ages of the stages at t in days, that of steady, which has no memory, from `begin` on."""
        return np.array([max(0, t - (key.since or begin)) / DAY for key in self._belief.keys])

    def _hazards(self, t: int) -> Floats:
        """(hypotheses, 2) the rate per hour at which each stage ends now."""
        return likely.dwell_hazard(self._belief.stages, self._ages(t, t)) / 24

    # ---- signals

    def _arrived(self, kind: str, says: Floats | float = 1.0) -> None:
        """An arrival of the kind, with the likelihood (6,) of what it says."""
        rate = likely.RATE[:, likely.KIND[kind]] * says
        self._belief.seen(rate[:, None] * self._belief.activity)

    def _report(self, t: int, data: dict[str, Any]) -> None:
        """A case: one that comes at its rate, or the beginning of strain or crisis."""
        belief, case, grade = self._belief, data["case"], data["severity"]
        odds, tips = likely.severity(grade), likely.tipping(grade)
        rate = likely.RATE[:, likely.KIND["case"]] * likely.weight_at(t, "case") * odds
        hazards = self._hazards(t)
        begins = {CRISIS: tips, STRAINED: odds[STRAINED]}
        found: dict[Hypothesis, Floats] = {}
        for index, (key, weight) in enumerate(zip(belief.keys, belief.weights, strict=True)):
            told = _with_case(key, case)
            if key.stage in _BAD and key.since == t:  # a newcomer, and this is why it is in that stage
                put(found, told, weight * begins[key.stage])
                continue
            put(found, told, weight * (rate[key.stage] * belief.activity)[:, None])
            for after, likelihood in begins.items():
                share = likely.FOLLOWS[key.stage, after] * likelihood
                if share:
                    over = _with_case(Hypothesis(after, t, key.slow), case)
                    put(found, over, weight * (share * hazards[index])[:, None, None])
        self._open[case] = _Since(t, grade)
        belief.replace(found)
        belief.seen_fragile(likely.category(data["category"], replaced=self._replaced))

    def _resolve(self, t: int, resolved: Sequence[dict[str, Any]]) -> None:
        """Cases resolved at one moment: one whose time has come, or all that are open, by the end of a crisis."""
        belief, names = self._belief, {data["case"] for data in resolved}
        codes = [data["resolution_code"] for data in resolved]
        cured = float(np.prod([likely.cure(code) for code in codes])) * (names == self._open.keys())
        hazards = self._hazards(t)
        found: dict[Hypothesis, Floats] = {}
        for index, (key, weight) in enumerate(zip(belief.keys, belief.weights, strict=True)):
            if key.stage == CRISIS:
                put(found, Hypothesis(RECOVERING, t), weight * (cured * hazards[index])[:, None, None])
            elif len(codes) == 1:
                (name,) = names
                case = self._open[name]
                rate = likely.case_hazard(int(case.what), t - case.at, slow=name in key.slow)
                over = key._replace(slow=key.slow - names)
                put(found, over, weight * (rate * likely.resolution(codes[0])))
        for name in names:
            self._solved[name] = _Since(t, self._open.pop(name).what)
        belief.replace(found)

    def _reopen(self, t: int, data: dict[str, Any]) -> None:
        case = self._solved.pop(data["case"], None)
        if case is None:  # longer ago than anybody waits for it
            case = _Since(t - int(_AWAITED_FOR * likely.REOPENING_DELAY_MS), likely.USUAL_SEVERITY)
        self._belief.seen_fragile(likely.comes_now(self._reopening(), likely.REOPENING_DELAY_MS, t - case.at))
        self._open[data["case"]] = _Since(t, case.what)
        self._belief.renamed(lambda key: _with_case(key, data["case"]))

    def _message(self, t: int, data: dict[str, Any]) -> None:
        """A message that comes at its rate, or the kind word after a crisis."""
        self._interactions.add(data["interaction"])
        kind = likely.thanks(data["channel"], data["sentiment"])
        thanks = self._word(t, _THANKED, kind) if kind else {}
        says = likely.message(data["channel"], data["sentiment"])
        self._arrived("message", says * likely.weight_at(t, "message"))
        self._belief.add(thanks)

    def _word(self, t: int, bit: int, says: float = 1.0) -> dict[Hypothesis, Floats]:
        """What follows a crisis, by those hypotheses for which it is still to come."""
        chance, delay = _WORDS[bit]
        return {
            key._replace(told=key.told | bit): weight * (says * likely.comes_now(chance, delay, t - key.since)[0])
            for key, weight in zip(self._belief.keys, self._belief.weights, strict=True)
            if key.stage == RECOVERING and not key.told & bit
        }

    def _credit(self, t: int, _data: dict[str, Any]) -> None:
        recovering = self._word(t, _CREDITED)
        self._belief.seen(np.full(len(STAGES), _STRAY_CREDITS))
        self._belief.add(recovering)

    def _end_interaction(self, _t: int, data: dict[str, Any]) -> None:
        satisfied = likely.SATISFIED if data["resolved"] else 1 - likely.SATISFIED
        if data["interaction"] in self._interactions:
            self._interactions.remove(data["interaction"])
            self._belief.seen(satisfied)
        else:
            self._arrived("self_service", satisfied)

    def _measure(self, _t: int, data: dict[str, Any]) -> None:
        self._arrived("usage")
        self._belief.seen_level(likely.usage(data["value"], self._belief.levels))
        self._belief.refine()

    def _contact(self, t: int, data: dict[str, Any]) -> None:
        if data["domain"] != "survey":  # that is told by survey.sent
            self._arrived(data["domain"])
            self._contacts[data["contact"]] = _Since(t, data["domain"])

    def _contact_answer(self, t: int, data: dict[str, Any]) -> None:
        contact = self._contacts.pop(data["contact"], None)
        if contact is not None:
            self._belief.seen(likely.comes_now(likely.ANSWERED, likely.ANSWER_DELAY_MS, t - contact.at))
            if contact.what in _SELLING:
                self._belief.seen(likely.outcome(data["outcome"]))
        self._opted_out = self._opted_out or data["outcome"] in ("unsubscribed", "complained")

    def _survey(self, t: int, data: dict[str, Any]) -> None:
        if data["instrument"] == "nps":
            self._arrived("relationship_survey")
        self._surveys[data["survey"]] = _Since(t, data["instrument"])

    def _survey_answer(self, t: int, data: dict[str, Any]) -> None:
        survey = self._surveys.pop(data["survey"], None)
        if survey is not None:
            self._belief.seen(likely.comes_now(likely.SURVEY_ANSWERED, likely.SURVEY_DELAY_MS, t - survey.at))
        self._belief.seen(likely.score(data["instrument"], data["score"]))

    def _new_product(self, _t: int, _data: dict[str, Any]) -> None:
        """Only a fragile one is replaced, by one that is not."""
        self._replaced = True
        self._belief.seen_fragile(np.array([0.0, 1.0]))

    def _close(self, _t: int, _data: dict[str, Any]) -> None:
        self._gone = True


def _with_case(key: Hypothesis, case: str) -> Hypothesis:
    """The hypothesis once a case is opened: one that is reported while strained takes longer."""
    if key.stage == CRISIS:  # its end resolves everything
        return key._replace(slow=frozenset())
    return key._replace(slow=key.slow | {case}) if key.stage == STRAINED else key
