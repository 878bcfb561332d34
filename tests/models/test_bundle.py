from __future__ import annotations

import hashlib

import msgspec
import pytest

from membrane.errors import InvalidBundle
from models.bundle import DIGEST, GOLDEN, MANIFEST, MODEL, Linear, read_bundle, write_bundle


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
