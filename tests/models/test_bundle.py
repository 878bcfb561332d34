from __future__ import annotations

import hashlib

import msgspec
import pytest

from membrane.errors import InvalidBundle
from models.bundle import DIGEST, ENCODER, GOLDEN, MANIFEST, MODEL, TREES, Linear, read_bundle, write_bundle
from models.encoder import Encoder, Numeric
from models.registry import Registry
from models.trees import Trees

STUMP = Trees(
    roots=(0,), outputs=(0,), feature=(0, 0, 0), threshold=(0.5, 0.0, 0.0), left=(1, 1, 2), right=(2, 1, 2),
    value=(0.0, -1.0, 1.0), base=(0.0,), scale=((0.5,) * 6,), shift=(0.0,) * 6,
)  # fmt: skip
COLUMNS = Encoder((Numeric("age", 40.0, flagged=False),))


@pytest.fixture
def extended(maker, tmp_path):
    """A bundle with trees and an encoder."""
    plain = read_bundle(maker.write())
    write_bundle(tmp_path / "more", plain.manifest, plain.golden, plain.model, trees=STUMP, encoder=COLUMNS)
    return tmp_path / "more"


def test_trees_and_an_encoder_are_kept_where_there_are_any(extended, maker):
    bundle = read_bundle(extended)
    assert (bundle.trees, bundle.encoder) == (STUMP, COLUMNS)
    plain = read_bundle(maker.write("plain"))
    assert (plain.trees, plain.encoder) == (None, None)


@pytest.mark.parametrize("name", [TREES, ENCODER])
def test_trees_and_encoder_are_covered_by_the_digest(extended, name):
    body = (extended / name).read_bytes()
    (extended / name).write_bytes(body.replace(b"0.5", b"0.6").replace(b"40.0", b"41.0"))
    with pytest.raises(InvalidBundle, match=f"{name}: sha256"):
        read_bundle(extended)


def test_an_installed_bundle_has_all_its_files(extended, tmp_path):
    registry = Registry(tmp_path / "models")
    assert registry.load(registry.install(extended)) == read_bundle(extended)


def test_trees_that_cannot_be_walked_are_refused(extended, tmp_path):
    bundle = read_bundle(extended)
    broken = msgspec.json.encode(STUMP).replace(b'"left":[1,1,2]', b'"left":[0,1,2]')
    (tmp_path / "more" / TREES).write_bytes(broken)
    digests = {**bundle.manifest.digests, TREES: hashlib.sha256(broken).hexdigest()}
    body = msgspec.json.encode(msgspec.structs.replace(bundle.manifest, digests=digests))
    (extended / MANIFEST).write_bytes(body)
    (extended / DIGEST).write_text(hashlib.sha256(body).hexdigest())
    with pytest.raises(InvalidBundle, match="a trees is required, but trees: nodes before their children"):
        read_bundle(extended)


def test_a_bundle_reads_back_as_it_was_written(maker):
    path = maker.write(linear=True)
    bundle = read_bundle(path)
    assert bundle.manifest.features == maker.features
    assert bundle.digest == (path / DIGEST).read_text().strip()
    assert bundle.model == (path / MODEL).read_bytes()
    assert bundle.revision == f"2026-11-22.1+{bundle.digest[:8]}"
    assert read_bundle(path, bundle.digest) == bundle


def test_the_same_content_gives_the_same_digest(maker, tmp_path):
    bundle = read_bundle(maker.write())
    again = write_bundle(tmp_path / "again", bundle.manifest, bundle.golden, bundle.model)
    assert again == bundle.digest


def test_a_simulated_bundle_is_advisory_and_a_tenants_is_not(maker):
    assert read_bundle(maker.write("a")).advisory
    assert not read_bundle(maker.write("b", provenance="tenant")).advisory


@pytest.mark.parametrize("name", [MANIFEST, MODEL, GOLDEN, DIGEST])
def test_a_missing_file_is_refused_by_its_name(maker, name):
    path = maker.write()
    (path / name).unlink()
    with pytest.raises(InvalidBundle, match=rf"{name}: a readable file is required"):
        read_bundle(path)


@pytest.mark.parametrize("name", [MANIFEST, MODEL, GOLDEN])
def test_a_file_cut_anywhere_is_refused(maker, name):
    path = maker.write()
    whole = (path / name).read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        (path / name).write_bytes(whole[:length])
        with pytest.raises(InvalidBundle, match="sha256"):
            read_bundle(path)


@pytest.mark.parametrize("name", [MANIFEST, MODEL, GOLDEN, DIGEST])
def test_a_flipped_bit_in_any_region_is_refused(maker, name):
    path = maker.write(linear=True)
    whole = (path / name).read_bytes()
    regions = range(0, len(whole.rstrip()), max(1, len(whole) // 300))
    for bit, position in enumerate(regions):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << bit % 8
        (path / name).write_bytes(flipped)
        with pytest.raises(InvalidBundle, match="required"):
            read_bundle(path)


def test_another_digest_than_the_one_asked_for_is_refused(maker):
    with pytest.raises(InvalidBundle, match="sha256 0000"):
        read_bundle(maker.write(), "0" * 64)


def test_a_manifest_with_a_right_digest_and_a_wrong_field_is_refused(maker):
    with pytest.raises(InvalidBundle, match="manifest is required, but Invalid enum value"):
        read_bundle(maker.write(kind="magic", coef=maker.coef()))


def test_linear_weights_of_another_width_are_refused(maker):
    manifest = read_bundle(maker.write()).manifest
    with pytest.raises(ValueError, match="6 classes x 13 features"):
        msgspec.structs.replace(
            manifest, linear=Linear(mean=(0.0,), scale=(1.0,), low=(0.0,), high=(1.0,), coef=((1.0,),) * 6)
        )


def test_a_manifest_that_names_other_files_is_refused(maker):
    path = maker.write()
    manifest = msgspec.json.decode((path / MANIFEST).read_bytes())
    manifest["digests"]["../escape"] = "0" * 64
    body = msgspec.json.encode(manifest)
    (path / MANIFEST).write_bytes(body)
    (path / DIGEST).write_text(hashlib.sha256(body).hexdigest())
    with pytest.raises(InvalidBundle, match=r"digests of model.onnx and golden.json required"):
        read_bundle(path)
