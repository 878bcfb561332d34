"""The gate and what it judges by: examples that neither model has learned from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from membrane.times import parse_time
from models.bundle import read_bundle
from models.contest import compare_figures, judge
from models.gate import LEAST_LABELS, Latency, passes
from models.held_out import fair_after, hold_out
from models.onnx_model import load_model
from models.scorer import CLASSES
from tests.models.labelled import MADE, examples

FAST = Latency(0.3, 12.0)


class Arena:
    """Bundles and the examples to judge them by."""

    def __init__(self, maker):
        self.maker, self.random = maker, np.random.default_rng(9)
        self.truth = maker.coef()

    def model(self, name, coef, **changes):
        fields = {"provenance": "tenant", "labels_until": MADE - 1, **changes}
        bundle = read_bundle(self.maker.write(name, coef=coef, **fields))
        return load_model(bundle, classes=CLASSES["stage"], fingerprint=bundle.manifest.fingerprint)

    def examples(self, **changes):
        return examples(self.random, self.truth, fingerprint=self.maker.fingerprint, **changes)

    def held_out(self, *models, rows=None):
        rows = self.examples() if rows is None else rows
        return hold_out(rows, "stage", self.maker.fingerprint, [one.bundle.manifest for one in models])

    def judge(self, challenger, champion, rows=None, latency=FAST):
        models = [one for one in (challenger, champion) if one is not None]
        checks = judge(challenger, champion, self.held_out(*models, rows=rows), latency, 0.95)
        return passes(checks), {one.name: one for one in checks}


@pytest.fixture
def arena(maker):
    return Arena(maker)


def test_a_better_model_passes_and_every_check_shows_its_figure(arena):
    passed, checks = arena.judge(arena.model("good", arena.truth), arena.model("poor", arena.truth * 0.3))
    assert passed, checks
    assert list(checks) == [
        "golden rows", "provenance", "latency in a batch", "latency of one row", "labels", "labels of a class",
        "customers", "rows without numbers", "scores as served", "log-loss", "calibration",
    ]  # fmt: skip
    assert checks["labels"].figure == 600
    assert checks["customers"].figure == 120
    assert checks["log-loss"].figure < 0


def test_a_worse_and_an_equal_model_do_not_pass(arena):
    champion = arena.model("champion", arena.truth)
    for name, coef in (("worse", arena.truth * 0.3), ("equal", arena.truth)):
        passed, checks = arena.judge(arena.model(name, coef, revision="2"), champion)
        assert (passed, checks["log-loss"].passed) == (False, False), name


def test_a_sharper_but_overconfident_model_fails_by_its_calibration(arena):
    poor = arena.model("poor", np.zeros_like(arena.truth))
    passed, checks = arena.judge(arena.model("sure", arena.truth * 1.7), poor)
    assert checks["log-loss"].passed
    assert (passed, checks["calibration"].passed) == (False, False)


def test_a_slow_model_does_not_pass(arena):
    good, poor = arena.model("good", arena.truth), arena.model("poor", arena.truth * 0.3)
    for latency, name in ((Latency(21, 12), "latency in a batch"), (Latency(0.3, 501), "latency of one row")):
        passed, checks = arena.judge(good, poor, latency=latency)
        assert (passed, [one.name for one in checks.values() if not one.passed]) == (False, [name])


def test_few_labels_of_few_customers_or_of_one_class_do_not_suffice(arena):
    good, poor = arena.model("good", arena.truth), arena.model("poor", arena.truth * 0.3)
    few = arena.examples(count=LEAST_LABELS - 1)
    assert not arena.judge(good, poor, few)[1]["labels"].passed
    assert not arena.judge(good, poor, arena.examples(customers=29))[1]["customers"].passed
    one_class = [msgspec.structs.replace(one, label=2) for one in arena.examples()]
    assert not arena.judge(good, poor, one_class)[1]["labels of a class"].passed


def test_without_labels_nothing_is_compared_and_nothing_passes(arena):
    good, poor = arena.model("good", arena.truth), arena.model("poor", arena.truth * 0.3)
    passed, checks = arena.judge(good, poor, rows=[])
    assert (passed, "log-loss" in checks, checks["labels"].figure) == (False, False, 0)


def test_a_simulated_model_does_not_replace_a_tenants_and_stays_advisory_where_it_passes(arena):
    simulated = arena.model("simulated", arena.truth, provenance="simulated")
    assert not arena.judge(simulated, arena.model("tenant", arena.truth * 0.3))[1]["provenance"].passed
    passed, checks = arena.judge(simulated, arena.model("seed", arena.truth * 0.3, provenance="simulated"))
    assert passed
    assert "stays advisory" in checks["provenance"].note


def test_where_nothing_answers_the_shares_of_the_classes_are_the_champion(arena):
    assert arena.judge(arena.model("good", arena.truth), None)[0]
    assert not arena.judge(arena.model("flat", arena.truth * 0), None)[1]["log-loss"].passed


def test_a_model_that_gives_no_numbers_for_some_rows_does_not_pass(arena):
    rows = arena.examples()
    rows[7] = msgspec.structs.replace(rows[7], features=(float("nan"), *rows[7].features[1:]))
    passed, checks = arena.judge(arena.model("good", arena.truth), arena.model("poor", arena.truth * 0.3), rows)
    assert (passed, checks["rows without numbers"].figure) == (False, 1)
    assert checks["log-loss"].passed


def test_scores_that_were_logged_must_be_those_that_it_gives_now(arena):
    good, poor = arena.model("good", arena.truth), arena.model("poor", arena.truth * 0.3)
    rows = arena.examples()
    was = good.probabilities(np.array([one.features for one in rows], np.float32))
    served = [
        msgspec.structs.replace(one, scores={good.bundle.revision: tuple(p)})
        for one, p in zip(rows, was.tolist(), strict=True)
    ]
    assert arena.judge(good, poor, served)[1]["scores as served"].figure == 0
    served[3] = msgspec.structs.replace(served[3], scores={good.bundle.revision: (1.0, 0, 0, 0, 0, 0)})
    passed, checks = arena.judge(good, poor, served)
    assert (passed, checks["scores as served"].passed) == (False, False)


def test_labels_that_a_model_may_have_learned_from_are_left_out(arena):
    rows = arena.examples()
    middle = rows[299].labelled_at
    student = arena.model("student", arena.truth, labels_until=middle)
    held_out = arena.held_out(
        student, arena.model("older", arena.truth * 0.3, labels_until=rows[9].labelled_at), rows=rows
    )
    assert len(held_out) == 300
    assert held_out.left_out == {"a model may have learned from it": 300}
    assert min(one.labelled_at for one in rows[300:]) > middle


def test_until_when_a_model_learned_is_what_it_says_or_when_it_was_made(arena):
    created = {"created": "2026-11-22T00:00:00Z"}
    assert fair_after(arena.model("a", arena.truth, labels_until=5).bundle.manifest) == 5
    made = arena.model("b", arena.truth, labels_until=None, **created).bundle.manifest
    assert fair_after(made) == parse_time("2026-11-22T00:00:00Z")
    assert fair_after(msgspec.structs.replace(made, created="lately")) > 2**60
    assert fair_after(msgspec.structs.replace(made, provenance="simulated")) < 0


def test_what_says_nothing_is_left_out_and_counted(arena):
    good = arena.model("good", arena.truth)
    rows = arena.examples(count=6)
    spoil = [
        {"synthetic": True}, {"fingerprint": "e" * 64}, {"features": (1.0,)}, {"label": 6}, {"weight": 0.0},
    ]  # fmt: skip
    rows[:5] = [msgspec.structs.replace(one, **changes) for one, changes in zip(rows, spoil, strict=False)]
    rows += arena.examples(count=2, target="churn")
    held_out = arena.held_out(good, rows=rows)
    assert len(held_out) == 1
    assert held_out.left_out == {"synthetic": 1, "of other features": 2, "without a label that counts": 2}


def test_the_order_of_the_examples_does_not_show(arena):
    good, poor, rows = arena.model("good", arena.truth), arena.model("poor", arena.truth * 0.3), arena.examples()
    assert arena.judge(good, poor, rows) == arena.judge(good, poor, rows[::-1])


def test_a_comparison_has_every_figure_with_its_interval(arena):
    good, poor = arena.model("good", arena.truth), arena.model("poor", arena.truth * 0.3)
    figures = compare_figures(poor, good, arena.held_out(good, poor), 0.95)
    assert list(figures) == ["log_loss", "brier", "ece", "macro_f1", "accuracy"]
    assert figures["log_loss"].low <= figures["log_loss"].difference <= figures["log_loss"].high < 0
    assert compare_figures(poor, good, arena.held_out(good, poor, rows=[]), 0.95) == {}
