from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from membrane.errors import UsageError
from models.bundle import read_bundle
from models.onnx_model import OnnxModel
from models.scorer import load_bundle
from training.card import write
from training.fitting import Examples, Plan, train

PLAN = Plan(
    name="test", revision="2026-01-01.1", created="2026-01-01T00:00:00Z", folds=2, resamples=10,
    candidates=("linear",),
)  # fmt: skip
CONTEST = replace(PLAN, candidates=("linear", "pairs"))
NAMES = ("signal", "curve", "noise")
FINGERPRINT = "f" * 64


def churn(rows=600, seed=1, **more):
    random = np.random.default_rng(seed)
    values = random.normal(0, 1, (rows, 3))
    logit = 1.5 * values[:, 0] + 2 * np.cos(2 * values[:, 1])
    labels = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    return Examples(rows=values, names=NAMES, labels=labels, fingerprint=FINGERPRINT, **more)


def stages(counts, **more):
    random = np.random.default_rng(2)
    labels = random.permutation(np.repeat(np.arange(6), counts))
    values = np.column_stack((labels + random.normal(0, 0.5, len(labels)), *random.normal(0, 1, (2, len(labels)))))
    return Examples(rows=values, names=NAMES, labels=labels, fingerprint=FINGERPRINT, **more)


@pytest.fixture(scope="module")
def trained():
    return train("churn", churn(slices={"half": np.repeat(["a", "b"], 300)}), CONTEST)


def test_the_best_candidate_is_kept_and_beats_the_baselines(trained):
    report = trained.report
    assert report.model.startswith("pairs")
    assert {one.name for one in report.candidates} == {"linear", "pairs"}
    assert report.figures["log_loss"].value < report.baselines["log_loss_prior"]
    assert report.figures["auc"].value > report.baselines["auc_single_feature"]
    assert report.single_feature == "signal"
    assert [name for name, _ in report.drivers][2:] in ([], ["noise"])
    assert {one.value for one in report.slices} == {"a", "b"}
    assert sum(map(sum, report.confusion)) == report.tested == 600


def test_what_is_written_can_be_loaded_and_answers_as_the_source(trained, tmp_path):
    write(trained, tmp_path)
    bundle = read_bundle(tmp_path)
    model = load_bundle(bundle, "churn", FINGERPRINT)
    rows = churn().rows.astype(np.float32)
    assert model.probabilities(rows) == pytest.approx(OnnxModel(trained.bundle).probabilities(rows))
    assert bundle.manifest.metrics["auc"] == trained.report.figures["auc"].value
    assert model.drivers(rows[:1], np.ones(1, int))[0]


def test_the_same_examples_and_plan_give_the_same_bundle(trained):
    again = train("churn", churn(slices={"half": np.repeat(["a", "b"], 300)}), CONTEST)
    assert again.bundle == trained.bundle
    assert msgspec.json.encode(again.report) == msgspec.json.encode(trained.report)


def test_with_times_the_latest_rows_judge_and_the_label_before_is_a_baseline():
    times = np.arange(600) * 1000
    examples = churn(times=times, groups=(np.arange(600) % 100).astype(str), delays_ms=np.full(600, 86_400_000))
    report = train("churn", examples, PLAN).report
    assert (report.learned, report.chosen_by, report.tested) == (360, 120, 120)
    assert report.period == ("1970-01-01T00:00:00Z", "1970-01-01T00:09:59Z")
    assert 0.3 < report.baselines["accuracy_no_change"] < 0.7
    assert report.delay.median_days == 1


def test_labels_that_are_not_believed_count_less():
    examples = churn()
    wrong = churn(rows=200, seed=9)
    mixed = Examples(
        rows=np.concatenate((examples.rows, wrong.rows)), names=NAMES, fingerprint=FINGERPRINT,
        labels=np.concatenate((examples.labels, 1 - wrong.labels)),
        weights=np.concatenate((np.ones(600), np.full(200, 1e-6))),
    )  # fmt: skip
    assert train("churn", mixed, PLAN).report.figures["auc"].value > 0.68


def test_balanced_classes_are_calibrated_back():
    report = train("churn", churn(), replace(PLAN, balanced=True)).report
    assert report.figures["ece"].value < 0.1


def test_stages_with_too_few_labels_are_left_out_and_told():
    found = train("stage", stages([60, 5, 60, 0, 60, 60]), PLAN)
    told = " ".join(found.report.notes)
    assert "recovering: 5 rows are too few" in told
    assert "at_risk: 0 rows are too few" in told
    probabilities = OnnxModel(found.bundle).probabilities(stages([60, 5, 60, 0, 60, 60]).rows.astype(np.float32))
    assert probabilities.shape == (245, 6)
    assert probabilities[:, [1, 3]].max() < 1e-3
    assert set(found.report.figures) == {"auc", "log_loss", "brier", "ece", "accuracy", "macro_f1"}


def test_a_feature_that_knows_the_label_is_told():
    examples = churn()
    leaking = np.column_stack((examples.rows, examples.labels))
    found = train("churn", replace(examples, rows=leaking, names=(*NAMES, "closed")), PLAN)
    assert any(note.startswith("closed alone separates the classes") for note in found.report.notes)


@pytest.mark.parametrize(
    ("kind", "examples", "problem"),
    [
        ("churn", churn(rows=40), "at least 100 rows are required, got 40"),
        ("stage", stages([200, 3, 0, 0, 0, 0]), "at least 20 rows of two classes are required, got 200 of crisis"),
        ("churn", replace(churn(), rows=np.full((600, 3), np.nan)), "finite features are required"),
        (
            "churn",
            churn(rows=200, groups=np.where(churn(rows=200).labels == 1, "a", np.arange(200).astype(str))),
            "every part to learn from must hold labels of all 2 classes",
        ),
    ],
    ids=["few rows", "one class", "no number", "one customer"],
)
def test_examples_that_do_not_suffice_are_refused(kind, examples, problem):
    with pytest.raises(UsageError, match=problem):
        train(kind, examples, PLAN)
