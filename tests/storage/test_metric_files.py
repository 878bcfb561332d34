"""The files through which processes share their metrics are reserved before they are mapped."""

from __future__ import annotations

import errno
import os

import pytest

from membrane.errors import StoreUnavailable
from storage.metric_files import DIRECTORY_VARIABLE, forget_all, use_directory


def test_metric_files_are_reserved_before_they_are_mapped(tmp_path, monkeypatch):
    monkeypatch.setenv(DIRECTORY_VARIABLE, "")
    use_directory(tmp_path / "metrics", ["counter", "histogram"])
    files = list((tmp_path / "metrics").iterdir())
    assert {file.name for file in files} == {f"{kind}_{os.getpid()}.db" for kind in ("counter", "histogram")}
    assert all(file.stat().st_blocks * 512 >= 1 << 16 for file in files)
    assert os.environ[DIRECTORY_VARIABLE] == str(tmp_path / "metrics")
    forget_all(tmp_path / "metrics")
    assert list((tmp_path / "metrics").iterdir()) == []


def test_a_full_disk_is_told_now_instead_of_killing_later(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    with pytest.raises(StoreUnavailable, match="No space left"):
        use_directory(tmp_path / "metrics", ["counter"])
