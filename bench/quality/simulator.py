"""Stages of simulated customers: rules, seed model, online learner and retrained model beside the forward filter that
knows the simulator, on the same rows of customers that none of them learned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from sklearn.metrics import f1_score

import models
from bench.quality.alarms import Alarms, alarms, threshold_at
from bench.quality.drift import drift_rows
from bench.quality.parts import Size
from bench.quality.simulated import START, Floats, Part, simulated, tracked
from bench.rows import Row, at_most
from membrane.features import fingerprint
from membrane.vocabulary import STAGES
from models.bundle import read_bundle
from models.online import OnlineModel, untaught
from models.scorer import OnnxScorer
from training.choosing import Rows, Wish, choose
from training.evaluation import expected_calibration_error
from training.forward_filter import stage_posteriors
from training.labels import Labels
from training.rates import CRISIS

SEEDS: Final = {"learn": 101, "choose": 102, "test": 103}
ONLINE_LABELS: Final = 10_000
BUDGETS: Final = (1.0, 2.0)
"""False alarms per 1,000 customer-days that every way may raise on the customers that choose its threshold; the rules
alone raise about one."""
_RULES: Final = "(a) rules only"
_LIMIT: Final = "(e) forward filter"
_LEARN_EVERY: Final = 3
_LOSS_TARGET, _DELAY_TARGET = 1.3, 1.5
_LEAST: Final = 1e-9


class Answers(NamedTuple):
    """What one way of inference says at the rows of a part: the stage that it names (n,), the probabilities (n, 6), and
    `stage.p_crisis` (n,): that of crisis, but where it is served 1 where the rules say crisis."""

    stage: Labels
    probabilities: Floats
    p_crisis: Floats


class Way(NamedTuple):
    """One way of inference on the part that chooses thresholds and on the part that judges."""

    name: str
    choose: Answers
    test: Answers


def rows(size: Size) -> Iterator[Row]:
    """Log-loss, macro-F1, ECE, delay and false alarms of crisis, lead before the rules and flips of each way; then a
    drift."""
    customers, days = (40, 60) if size.quick else (1_000, 150)
    learn = simulated(customers, days, SEEDS["learn"])
    choosing, test = (simulated(customers // share, days, SEEDS[name]) for name, share in (("choose", 2), ("test", 1)))
    ways = list(_ways(learn, choosing, test, quick=size.quick))
    limit = ways[-1]
    for way in ways:
        yield from _of_probabilities(way, limit, test)
        yield _flips(way, test)
    for budget in BUDGETS:
        least = _noticed(limit.choose.p_crisis, limit.test.p_crisis, choosing, test, budget)
        for way in ways:
            yield from _of_alarms(way, least, choosing, test, budget)
    yield from drift_rows(quick=size.quick)


def _ways(learn: Part, choosing: Part, test: Part, *, quick: bool) -> Iterator[Way]:
    """From the least informed to the filter, which is the limit."""
    parts = (choosing, test)
    shares = _shares_by_rule(learn)
    yield Way(
        _RULES, *(Answers(part.rules, shares[part.rules], (part.rules == CRISIS).astype(float)) for part in parts)
    )
    seed = OnnxScorer(fingerprint=fingerprint(), stage=read_bundle(Path(models.__file__).parent / "seed" / "stage"))
    yield Way("(b) seed model", *(_as_served(part, seed.score(part.rows)[0]) for part in parts))
    online = _online(learn)
    yield Way(
        f"(c) online, {ONLINE_LABELS:,} labels",
        *(_as_served(part, np.array([online.probabilities(row) for row in part.rows.tolist()])) for part in parts),
    )
    yield from _retrained(learn, choosing, test, quick=quick)
    yield Way(_LIMIT, *(_filtered(part) for part in parts))


def _retrained(learn: Part, choosing: Part, test: Part, *, quick: bool) -> Iterator[Way]:
    """What the batch trainer makes of the truth, before and behind the tracker's filter."""
    every = np.flatnonzero(learn.counted)[::_LEARN_EVERY]
    held_out = np.flatnonzero(choosing.counted)
    chosen = choose(
        Rows(learn.rows[every].astype(np.float64), learn.truth[every], None, None),
        Rows(choosing.rows[held_out].astype(np.float64), choosing.truth[held_out], None, None),
        Wish(len(STAGES), ("linear",) if quick else ("linear", "trees"), balanced=False, seed=7),
        lambda: None,
    )
    found = [chosen.probabilities(part.rows.astype(np.float64)) for part in (choosing, test)]
    yield Way(f"(d) retrained ({chosen.setting}), unfiltered", *map(_unfiltered, found))
    yield Way("(d) retrained", *(_as_served(part, p) for part, p in zip((choosing, test), found, strict=True)))


def _as_served(part: Part, scores: Floats) -> Answers:
    """Behind the tracker: its filter, and the rules as the floor."""
    return Answers(*tracked(part, scores))


def _unfiltered(probabilities: Floats) -> Answers:
    return Answers(probabilities.argmax(axis=1), probabilities, probabilities[:, CRISIS])


def _filtered(part: Part) -> Answers:
    bounds = np.searchsorted(part.customers, np.arange(len(part.logs) + 1))
    found = np.concatenate([
        stage_posteriors(log.events, part.times[begin:end].tolist(), START)[0]
        for log, begin, end in zip(part.logs, bounds[:-1], bounds[1:], strict=True)
    ])  # fmt: skip
    return _unfiltered(np.nan_to_num(found))  # of those who have left there is no truth either


def _online(learn: Part) -> OnlineModel:
    """River's pipeline after its first labels: rows of all customers in order of time, labelled at once."""
    known = np.flatnonzero(learn.counted)
    if len(known) > ONLINE_LABELS:
        known = np.random.default_rng(SEEDS["learn"]).choice(known, ONLINE_LABELS, replace=False)
    model = OnlineModel("stage", untaught("stage", learn.rows.shape[1]))
    for index in known[np.argsort(learn.times[known], kind="stable")].tolist():
        model.learn(learn.rows[index].tolist(), int(learn.truth[index]), 1.0)
    return model


def _shares_by_rule(learn: Part) -> Floats:
    """(6, 6) how often the truth is which stage where the rules name one."""
    counts = np.ones((len(STAGES), len(STAGES)))
    np.add.at(counts, (learn.rules[learn.counted], learn.truth[learn.counted]), 1)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


# ---- probabilities ------------------------------------------------------------------------------------------


def log_losses(answers: Answers, part: Part) -> Floats:
    """(counted rows,) of the probabilities."""
    found = np.maximum(answers.probabilities[part.counted], _LEAST)
    at = found[np.arange(len(found)), part.truth[part.counted]]
    return np.asarray(-np.log(at / found.sum(axis=1)))


def _of_probabilities(way: Way, limit: Way, test: Part) -> Iterator[Row]:
    truth, found = test.truth[test.counted], way.test.probabilities[test.counted]
    loss, least = (float(log_losses(one.test, test).mean()) for one in (way, limit))
    must = None if way is limit else at_most(round(_LOSS_TARGET * least, 4))
    note = "the limit" if way is limit else f"{loss / least:.2f} times the filter's"
    yield Row(f"{way.name}: log-loss", "", round(loss, 4), test.n, must, control=round(least, 4), note=note)
    likeliest, named = (
        f1_score(truth, stage, labels=range(len(STAGES)), average="macro", zero_division=0.0)
        for stage in (found.argmax(axis=1), way.test.stage[test.counted])
    )
    ece = expected_calibration_error(found.argmax(axis=1) == truth, found.max(axis=1))
    yield Row(
        f"{way.name}: macro-F1 of the likeliest stage", "", round(likeliest, 4), test.n,
        note=f"of the stage in force {named:.4f}; ECE {ece:.4f}",
    )  # fmt: skip


# ---- alarms ------------------------------------------------------------------------------------------


class _Noticed(NamedTuple):
    threshold: float
    alarms: Alarms


def _noticed(choose: Floats, judge: Floats, choosing: Part, test: Part, budget: float) -> _Noticed:
    """Probabilities of crisis on both parts, with the least threshold that keeps within the budget on the first."""
    threshold = threshold_at(choosing, choose, budget)
    return _Noticed(threshold, alarms(test, judge >= threshold))


def _of_alarms(way: Way, least: _Noticed, choosing: Part, test: Part, budget: float) -> Iterator[Row]:
    """By the estimate, and by `stage.p_crisis` where that is another and the rules alone stay within the budget."""
    by_rules = alarms(test, test.rules == CRISIS)
    if way.name == _RULES:
        if budget == BUDGETS[0]:
            yield from _alarm_rows(way.name, _Noticed(1.0, by_rules), least, by_rules, test)
        return
    name, estimates = f"{way.name}, {budget:g} in 1,000", (way.choose.probabilities, way.test.probabilities)
    choose, judge = (one[:, CRISIS] for one in estimates)
    yield from _alarm_rows(name, _noticed(choose, judge, choosing, test, budget), least, by_rules, test)
    if not way.name.startswith(_LIMIT):
        yield _matched(name, judge, least.alarms, test)
    if (way.test.p_crisis != judge).any():
        found = _noticed(way.choose.p_crisis, way.test.p_crisis, choosing, test, budget)
        if found.threshold <= 1:
            yield from _alarm_rows(f"{name}, the rules as floor", found, least, by_rules, test)


def _matched(name: str, judge: Floats, least: Alarms, test: Part) -> Row:
    """The target's own words: the delay at no more false alarms than the filter, on the same customers."""
    threshold = threshold_at(test, judge, least.false_per_1000)
    found = alarms(test, judge >= threshold)
    return Row(
        f"{name}: delay at no more false alarms than the filter, mean", "h", round(found.mean, 2), test.n,
        at_most(round(_DELAY_TARGET * least.mean, 2)), control=round(least.mean, 2),
        note=f"{found.false_per_1000:.2f} of {least.false_per_1000:.2f}; p(crisis) from {threshold:.3f} on; p90 "
        f"{found.p90:.1f} (filter {least.p90:.1f})",
    )  # fmt: skip


def _alarm_rows(name: str, found: _Noticed, limit: _Noticed, by_rules: Alarms, test: Part) -> Iterator[Row]:
    one, least = found.alarms, limit.alarms
    yield Row(
        f"{name}: delay to notice a crisis, mean", "h", round(one.mean, 2), test.n, control=round(least.mean, 2),
        note=f"median {one.median:.1f}, p90 {one.p90:.1f} (filter {least.p90:.1f}); {one.missed:.1%} end unnoticed",
    )  # fmt: skip
    yield Row(
        f"{name}: false alarms", "per 1,000 customer-days", round(one.false_per_1000, 2), test.n,
        control=round(least.false_per_1000, 2), note=f"p(crisis) from {found.threshold:.3f} on",
    )  # fmt: skip
    later = by_rules.delays > 0
    lead = (by_rules.delays - one.delays)[later]
    if one is not by_rules and later.any():
        yield Row(
            f"{name}: lead before the rules, median", "h", round(float(np.median(lead)), 2),
            f"{int(later.sum())} crises that the rules notice late or never",
            note=f"mean {lead.mean():.1f}; earlier in {np.mean(lead > 0):.0%}, later in {np.mean(lead < 0):.0%}",
        )  # fmt: skip


def _flips(way: Way, test: Part) -> Row:
    counts = [_changes(stage, test) for stage in (way.test.stage, test.truth)]
    named, true = (round(count / test.customer_months, 3) for count in counts)
    return Row(
        f"{way.name}: flips of the stage", "per customer-month", named, test.n, control=true, note="truth beside it"
    )


def _changes(stage: Labels, test: Part) -> int:
    same = (test.customers[1:] == test.customers[:-1]) & test.counted[1:] & test.counted[:-1]
    return int((same & (stage[1:] != stage[:-1])).sum())
