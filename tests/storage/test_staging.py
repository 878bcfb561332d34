"""A folder that is filled out of sight: whole, on the disk and in its place, or not there at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from membrane.errors import StoreUnavailable, UsageError
from storage.staging import staged


def fill(target: Path) -> None:
    with staged(target, "--out", "last") as part:
        (part / "folder").mkdir()
        (part / "folder" / "file").write_text("a")
        (part / "last").write_text("b")
        (part / "other").write_text("c")
        assert [entry for entry in target.iterdir() if entry.name not in (".part", "lost+found")] == []


def names(target: Path) -> list[str]:
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*"))


@pytest.mark.parametrize("before", ["missing", "missing with its parent", "empty", "killed before", "new file system"])
def test_a_folder_that_is_missing_or_empty_is_filled(tmp_path, before):
    target = tmp_path / "parent" / "target" if before == "missing with its parent" else tmp_path / "target"
    if not before.startswith("missing"):
        target.mkdir()
    if before == "killed before":
        (target / ".part" / "half").mkdir(parents=True)
    if before == "new file system":
        (target / "lost+found").mkdir()
    fill(target)
    assert [name for name in names(target) if name != "lost+found"] == ["folder", "folder/file", "last", "other"]


def test_the_working_directory_is_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(Path())
    assert names(tmp_path) == ["folder", "folder/file", "last", "other"]


@pytest.mark.parametrize("holds", ["file", "folder/file", "nothing, it is a file"])
def test_what_is_not_empty_is_left_alone(tmp_path, holds):
    target = tmp_path / "target"
    path = target if holds.startswith("nothing") else target / holds
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(UsageError, match=f"^--out {target}: a folder that is missing or empty was required"):
        fill(target)
    assert path.read_text() == "mine"


def test_everything_is_on_the_disk_before_what_makes_it_whole_appears(tmp_path, monkeypatch):
    target, told = tmp_path / "target", list[tuple[str, object]]()
    fsync, rename = os.fsync, Path.rename

    def sync(descriptor):
        told.append(("sync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def move(self, to):
        told.append(("move", self.name))
        return rename(self, to)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", move)
    fill(target)
    inode = {name: ("sync", (target / name).stat().st_ino) for name in ("", *names(target))}
    moves = [told.index(("move", name)) for name in ("folder", "other", "last")]
    assert moves == sorted(moves)
    assert {inode[name] for name in names(target)} < set(told[: moves[0]])
    assert told[moves[2] - 1] == told[-1] == inode[""]


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("fails", ["the block", "a move", "Ctrl-C"])
def test_after_an_error_nothing_is_left_and_it_can_be_done_again(tmp_path, monkeypatch, fails, made):
    target, rename = tmp_path / "target", Path.rename
    if not made:
        target.mkdir()

    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def move(self, to):
        if self.name == "last" and to.parent == target:
            raise KeyboardInterrupt if fails == "Ctrl-C" else OSError(errno.EIO, "Input/output error")
        return rename(self, to)

    with monkeypatch.context() as patch:
        if fails == "the block":
            patch.setattr(Path, "write_text", write)
        else:
            patch.setattr(Path, "rename", move)
        with pytest.raises(KeyboardInterrupt if fails == "Ctrl-C" else StoreUnavailable) as caught:
            fill(target)
    if fails != "Ctrl-C":
        assert str(caught.value).startswith(f"{target}: cannot be written now: ")
    assert target.exists() is not made
    assert names(tmp_path) == ([] if made else ["target"])
    fill(target)
    assert names(target) == ["folder", "folder/file", "last", "other"]


def test_a_folder_that_cannot_be_made_is_said_to_be_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="a folder to write to was required: Not a directory"):
        fill(tmp_path / "file" / "target")
