from __future__ import annotations

import msgspec
import numpy as np
import pytest

from membrane.errors import InvalidBundle
from models.bundle import Golden, read_bundle
from models.onnx_model import OnnxModel, load_model
from models.scorer import CLASSES


def load(path, fingerprint="f" * 64):
    return load_model(read_bundle(path), classes=CLASSES["stage"], fingerprint=fingerprint)


def test_a_good_bundle_gives_its_golden_outputs(maker):
    model = load(maker.write())
    golden = model.bundle.golden
    found = model.probabilities(np.array(golden.inputs, np.float32))
    assert np.abs(found - np.array(golden.outputs)).max() < 1e-6


@pytest.mark.parametrize("batch", [1, 2, 7, 256])
def test_a_row_gives_the_same_bytes_whatever_batch_it_comes_in(maker, batch):
    model = load(maker.write())
    rows = maker.rows(1_003)
    whole = model.probabilities(rows)
    parts = [model.probabilities(rows[i : i + batch]) for i in range(0, len(rows), batch)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_no_rows_give_no_outputs(maker):
    assert load(maker.write()).probabilities(maker.rows(0)).shape == (0, 6)


def test_a_row_without_a_distribution_is_all_nan_and_alone(maker):
    rows = maker.rows(5)
    rows[2, 3] = np.nan
    found = load(maker.write()).probabilities(rows)
    assert np.isnan(found).all(axis=1).tolist() == [False, False, True, False, False]


def test_scoring_leaves_its_input_alone(maker):
    rows = maker.rows(5)
    before = rows.tobytes()
    load(maker.write()).probabilities(rows)
    assert rows.tobytes() == before


def test_a_truncated_model_with_a_right_digest_is_refused(maker):
    coef = maker.coef()
    model = maker.model(coef)
    for length in range(0, len(model), len(model) // 20):
        with pytest.raises(InvalidBundle, match="required"):
            load(maker.write(coef=coef, model=model[:length] or b"\0"))


def test_a_flipped_byte_that_passes_the_golden_rows_changes_no_answer_by_a_thousandth(maker):
    """The digest finds every flip; the golden rows behind it leave only such as move the last digits of a weight."""
    coef = maker.coef()
    model = maker.model(coef)
    rows = maker.rows(40)
    wanted = load(maker.write(coef=coef)).probabilities(rows)
    for position in range(0, len(model), 3):
        flipped = bytearray(model)
        flipped[position] ^= 0x40
        try:
            found = load(maker.write(coef=coef, model=bytes(flipped))).probabilities(rows)
        except InvalidBundle:
            continue
        assert np.abs(found - wanted).max() < 1e-3


@pytest.mark.parametrize("versions", [{"opset": 999}, {"ir_version": 999}])
def test_a_model_of_an_unknown_version_is_refused(maker, versions):
    coef = maker.coef()
    with pytest.raises(InvalidBundle, match="can load"):
        load(maker.write(coef=coef, model=maker.model(coef, **versions)))


def test_a_model_of_another_width_is_refused(maker):
    with pytest.raises(InvalidBundle, match="13 columns required"):
        load(maker.write(coef=maker.coef(width=12)))


def test_a_model_without_probabilities_is_refused(maker):
    coef = maker.coef()
    model = maker.onnx.load_from_string(maker.model(coef))
    model.graph.node[1].output[0] = model.graph.output[0].name = "scores"
    with pytest.raises(InvalidBundle, match="output named probabilities"):
        load(maker.write(coef=coef, model=model.SerializeToString()))


def test_a_model_of_too_few_classes_is_refused(maker):
    coef = maker.coef()
    with pytest.raises(InvalidBundle, match="6 classes required"):
        load(maker.write(coef=coef, model=maker.model(coef[:4])))


def test_another_models_outputs_are_refused_by_the_golden_rows(maker):
    with pytest.raises(InvalidBundle, match="golden outputs"):
        load(maker.write(coef=maker.coef(), model=maker.model(maker.coef())))


def test_a_model_that_answers_nan_is_refused(maker):
    coef = maker.coef()
    with pytest.raises(InvalidBundle, match="difference of nan"):
        load(maker.write(coef=coef, model=maker.model(np.full_like(coef, np.nan))))


@pytest.mark.parametrize("golden", [Golden((), ()), Golden(((1.0,),), ((1.0,),)), Golden(((1.0,), (1.0, 2.0)), ())])
def test_a_bundle_with_no_or_misshapen_golden_rows_is_refused(maker, golden):
    with pytest.raises(InvalidBundle, match="golden rows and outputs of shapes"):
        load(maker.write(golden=golden))


def test_a_bundle_of_another_feature_registry_is_refused(maker):
    with pytest.raises(InvalidBundle, match=f"feature fingerprint {'e' * 64} required, got {'f' * 64}"):
        load(maker.write(), fingerprint="e" * 64)


def test_a_bundle_of_other_classes_is_refused(maker):
    with pytest.raises(InvalidBundle, match="classes crisis, recovering"):
        load(maker.write(classes=("a", "b", "c", "d", "e", "f")))


def test_digest_comes_before_golden_rows_and_these_before_the_fingerprint(maker):
    path = maker.write(coef=maker.coef(), model=maker.model(maker.coef()))
    with pytest.raises(InvalidBundle, match="golden"):
        load(path, fingerprint="another")
    (path / "model.onnx").write_bytes(b"")
    with pytest.raises(InvalidBundle, match="sha256"):
        load(path, fingerprint="another")


def test_drivers_are_the_features_that_speak_most_for_the_chosen_class(maker):
    coef = np.zeros((6, 13))
    coef[0, :5] = [3, 1, 2, -4, 0.5]
    model = load(maker.write(coef=coef, linear=True))
    rows = np.ones((2, 13), np.float32)
    first, second = model.drivers(rows, np.array([0, 1]))
    assert [name for name, _ in first] == ["feature_0", "feature_2", "feature_1"]
    assert first[0][1] == pytest.approx(3 * 5 / 6, abs=1e-4)
    assert [name for name, _ in second] == ["feature_3"]


def test_drivers_of_a_row_do_not_depend_on_its_batch(maker):
    model = load(maker.write(linear=True))
    rows, chosen = maker.rows(50), maker.random.integers(0, 6, 50)
    one_by_one = [model.drivers(rows[i : i + 1], chosen[i : i + 1])[0] for i in range(50)]
    assert one_by_one == model.drivers(rows, chosen)


def test_a_model_that_is_not_linear_has_no_drivers(maker):
    assert load(maker.write()).drivers(maker.rows(2), np.array([0, 1])) == [[], []]


def test_a_model_that_takes_text_is_refused(maker):
    coef = maker.coef()
    bundle = read_bundle(maker.write(coef=coef))
    model = maker.onnx.load_from_string(maker.model(coef))
    model.graph.input[0].type.tensor_type.elem_type = maker.onnx.TensorProto.DOUBLE
    with pytest.raises(InvalidBundle, match="required"):
        OnnxModel(msgspec.structs.replace(bundle, model=model.SerializeToString()))
