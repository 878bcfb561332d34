from __future__ import annotations

import numpy as np
import pytest

from membrane.errors import UsageError
from models.bundle import read_bundle
from models.onnx_model import load_model
from models.scorer import CLASSES
from tests.training.learning import COLUMNS, Rows, examples
from tests.training.test_prequential import of, taught
from training.growing import grow, up_to
from training.merging import Merged, Place
from training.prequential import LEARNER, TREES, figures_of

ALL = 2**62


def test_trees_are_learned_from_the_examples_and_measured_on_those_after_them(tmp_path):
    rows = of("churn", 900)
    digest = grow("churn", iter(rows[:300]), COLUMNS, tmp_path, parent="before")
    bundle = read_bundle(tmp_path, digest)
    manifest = bundle.manifest
    assert (manifest.parent, manifest.provenance, manifest.name) == ("before", "tenant", "trees-churn")
    assert manifest.labels_until == max(row.labelled_at for row in rows[:300])
    model = load_model(bundle, classes=CLASSES["churn"], fingerprint=COLUMNS.fingerprint)

    target = taught("churn", rows[:300])
    target.beside[TREES] = model
    for row in rows[300:]:
        target.test_and_learn(row, None)
    trees = figures_of(target.window, TREES)
    assert trees["rows"] == len(rows) - 300 < figures_of(target.window, LEARNER)["rows"]
    answers = model.probabilities(np.array([row.features for row in rows[300:]], np.float32))
    labels = np.array([row.label for row in rows[300:]])
    weights = np.array([row.weight for row in rows[300:]])
    losses = -np.log(answers[np.arange(len(labels)), labels])
    assert trees["log_loss"] == pytest.approx(np.average(losses, weights=weights), abs=1e-4)


def test_too_few_examples_are_told(tmp_path):
    with pytest.raises(UsageError, match="at least 100 rows are required"):
        grow("stage", iter(of("stage", 60)), COLUMNS, tmp_path / "out", parent=None)
    assert not (tmp_path / "out").exists()


def test_only_what_the_learner_has_passed_is_grown_from():
    every = list(examples(200))
    merged = Merged(Rows(every), [Place() for _ in range(4)], lambda: ALL)
    merged.look()
    for _ in range(120):
        merged.next()
    places = merged.places
    found = list(up_to(Merged(Rows(every), [Place() for _ in range(4)], lambda: ALL), places))
    assert len(found) == 120
    assert {one.partition: one.number for one in found} == {p: place.number for p, place in enumerate(places)}
