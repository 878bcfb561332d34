from __future__ import annotations

import numpy as np
import pytest

from membrane.errors import InvalidBundle
from models.linear_graph import Affine
from models.onnx_model import load_model
from models.registry import Registry
from models.scorer import CLASSES
from tests.training.learning import COLUMNS
from tests.training.test_prequential import of, taught
from training.publishing import draft, install


@pytest.mark.parametrize("kind", ["stage", "churn"])
def test_a_bundle_answers_as_river_does_and_may_answer(kind, tmp_path):
    target = taught(kind, of(kind, 900))
    bundle = install(tmp_path, draft(target, COLUMNS, None))
    model = load_model(bundle, classes=CLASSES[kind], fingerprint=COLUMNS.fingerprint)
    rows = np.array([one.row() for one in target.window])
    assert model.probabilities(rows) == pytest.approx(target.probabilities(rows), abs=1e-6)
    manifest = bundle.manifest
    assert (manifest.provenance, manifest.name) == ("tenant", f"online-{kind}")
    assert manifest.metrics["log_loss"] < manifest.metrics["log_loss_majority"]
    assert manifest.metrics["learned"] == target.learned


def test_a_second_time_is_the_same_bundle_and_the_next_names_its_parent(tmp_path):
    target = taught("stage", of("stage", 300))
    first = install(tmp_path, draft(target, COLUMNS, None))
    assert install(tmp_path, draft(target, COLUMNS, None)).digest == first.digest
    assert [entry.digest for entry in Registry(tmp_path).entries()] == [first.digest]
    assert draft(target, COLUMNS, first.revision).manifest.parent == first.revision
    assert not list(tmp_path.glob(".*"))


def test_an_export_that_differs_from_river_is_refused(monkeypatch):
    target = taught("churn", of("churn", 300))
    affine = target.affine()
    monkeypatch.setattr(target, "affine", lambda: Affine(*affine[:-1], affine.intercept + np.array([0.0, 1e-3])))
    with pytest.raises(InvalidBundle, match="within 1e-05 of the source required"):
        draft(target, COLUMNS, None)


def test_drivers_speak_for_the_likeliest_class(tmp_path):
    target = taught("churn", of("churn", 1_200))
    bundle = install(tmp_path, draft(target, COLUMNS, None))
    model = load_model(bundle, classes=CLASSES["churn"], fingerprint=COLUMNS.fingerprint)
    rows = np.array([one.row() for one in target.window])
    closes = np.ones(len(rows), np.int64)
    affine = target.affine().moving()
    inside = np.clip(rows, affine.low, affine.high)
    logit = ((inside - affine.mean) / affine.scale) @ (affine.coef[1] - affine.coef[0])
    every = model.drivers(rows, closes, at_most=len(COLUMNS.names))
    against = model.drivers(rows, 0 * closes, at_most=len(COLUMNS.names))
    said = [
        sum(amount for _, amount in one) - sum(amount for _, amount in other)
        for one, other in zip(every, against, strict=True)
    ]
    assert 2 * np.array(said) == pytest.approx(logit, abs=2e-3)  # drivers are rounded to four digits
