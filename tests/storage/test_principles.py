from __future__ import annotations

from hashlib import sha256

import pytest

import storage.principles
from membrane.errors import InvalidPrinciples, StoreUnavailable
from storage.principles import PrincipleFiles


@pytest.fixture
def files(tmp_path):
    return PrincipleFiles(tmp_path)


def test_what_is_installed_is_loaded_by_its_digest(files, tmp_path):
    digest = files.install(b"pack: x\n")
    assert digest == sha256(b"pack: x\n").hexdigest()
    assert files.load(digest) == b"pack: x\n"
    assert files.install(b"pack: x\n") == digest
    assert [path.name for path in tmp_path.iterdir()] == [f"{digest}.yaml"]


def test_a_missing_digest_is_an_error(files):
    with pytest.raises(InvalidPrinciples, match="the file of this digest was required"):
        files.load("0" * 64)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_what_is_no_digest_names_no_file(files, digest):
    with pytest.raises(InvalidPrinciples, match="a SHA-256 in hexadecimal was required"):
        files.load(digest)


def test_changed_bytes_are_an_error_until_they_are_installed_again(files):
    digest = files.install(b"pack: x\n")
    files.path(digest).write_bytes(b"pack: y\n")
    with pytest.raises(InvalidPrinciples, match="the bytes of this digest were required, others came"):
        files.load(digest)
    files.install(b"pack: x\n")
    assert files.load(digest) == b"pack: x\n"


def test_a_disk_that_refuses_leaves_nothing_half_written(files, tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.durable.os, "fsync", fail)
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        files.install(b"pack: x\n")
    assert list(tmp_path.iterdir()) == []
