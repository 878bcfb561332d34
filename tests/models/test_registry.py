from __future__ import annotations

import pytest

from membrane.errors import InvalidBundle
from models.bundle import MODEL, read_bundle
from models.registry import Registry


def test_an_installed_bundle_is_listed_and_loaded_by_its_digest(maker, tmp_path):
    registry, source = Registry(tmp_path / "models"), maker.write()
    digest = registry.install(source)
    assert registry.load(digest) == read_bundle(source)
    assert [(entry.digest, entry.problem) for entry in registry.entries()] == [(digest, None)]


def test_installing_twice_changes_nothing(maker, tmp_path):
    registry, source = Registry(tmp_path / "models"), maker.write()
    assert registry.install(source) == registry.install(source)
    assert [path.name for path in (tmp_path / "models").iterdir()] == [registry.install(source)]


def test_a_damaged_source_leaves_nothing_behind(maker, tmp_path):
    source = maker.write()
    (source / MODEL).write_bytes(b"x")
    with pytest.raises(InvalidBundle, match="sha256"):
        Registry(tmp_path / "models").install(source)
    assert Registry(tmp_path / "models").entries() == []


def test_a_copy_that_fails_half_way_leaves_nothing_behind(maker, tmp_path, monkeypatch):
    def no_space(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.registry._copy_durably", no_space)
    with pytest.raises(OSError, match="No space"):
        Registry(tmp_path / "models").install(maker.write())
    assert list((tmp_path / "models").iterdir()) == []


def test_a_bundle_damaged_after_its_installation_is_told_refused_and_can_be_mended(maker, tmp_path):
    registry, source = Registry(tmp_path / "models"), maker.write()
    digest = registry.install(source)
    (tmp_path / "models" / digest / MODEL).write_bytes(b"x")
    assert "sha256" in registry.entries()[0].problem
    with pytest.raises(InvalidBundle, match="sha256"):
        registry.load(digest)
    assert registry.install(source) == digest
    assert registry.load(digest) == read_bundle(source)


def test_a_bundle_under_another_digest_is_refused(maker, tmp_path):
    registry = Registry(tmp_path / "models")
    digest = registry.install(maker.write())
    (tmp_path / "models" / digest).rename(tmp_path / "models" / ("0" * 64))
    with pytest.raises(InvalidBundle, match="sha256 0000"):
        registry.load("0" * 64)


@pytest.mark.parametrize("digest", ["../../etc", "", "A" * 64])
def test_what_is_no_digest_is_refused_before_any_path_is_made(tmp_path, digest):
    with pytest.raises(InvalidBundle, match="64 hexadecimal digits"):
        Registry(tmp_path).load(digest)


def test_a_missing_bundle_and_an_empty_registry_are_told(tmp_path):
    registry = Registry(tmp_path / "none")
    assert registry.entries() == []
    with pytest.raises(InvalidBundle, match="readable file"):
        registry.load("0" * 64)


def test_foreign_files_are_left_alone(maker, tmp_path):
    registry = Registry(tmp_path / "models")
    registry.install(maker.write())
    (tmp_path / "models" / "notes.txt").write_text("mine")
    assert len(registry.entries()) == 1
