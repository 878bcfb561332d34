"""Backup beside a running service, and its restoration elsewhere."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.main import main
from cli.prepare import Wishes, prepare
from membrane.times import DAY, format_time
from storage.backup import MANIFEST
from storage.checkpoints import TRIM
from storage.clock import wall_ms
from storage.digest import digest
from storage.lock import dir_lock
from tests.cli.test_replay import event as line
from tests.cli.test_replay import write
from tests.processes import BATCH, event, run_json, up


@pytest.fixture
def data(tmp_path, capsys):
    """A directory with signals of three customers, applied."""
    prepare(tmp_path / "data", Wishes(partitions=2), 1_000)
    file = write(tmp_path / "signals", [line(number) for number in range(20)])
    main(["replay", str(file), "--data", str(tmp_path / "data"), "--clock", "signals"])
    main(["rebuild", "--data", str(tmp_path / "data")])
    capsys.readouterr()
    return tmp_path / "data"


def back_up(data, out):
    return main(["backup", "--data", str(data), "--out", str(out)])


def restore(backup, data):
    return main(["restore", "--from", str(backup), "--data", str(data)])


def test_what_is_restored_is_what_was_backed_up(data, tmp_path, capsys):
    out, again = tmp_path / "out", tmp_path / "again"
    assert back_up(data, out) == 0
    assert "(3 customers)" in capsys.readouterr().out
    assert restore(out, again) == 0
    capsys.readouterr()
    assert digest(again) == digest(data) == digest(out)
    assert [path.name for path in out.rglob("*") if path.name.endswith(("-wal", "-shm", ".part"))] == []
    assert main(["doctor", "--data", str(again)]) == 0
    assert main(["rebuild", "--data", str(again)]) == 0
    assert digest(again) == digest(data)


def test_neither_goes_into_a_folder_that_holds_something(data, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    assert back_up(data, out) == 0
    assert back_up(data, out) == 1
    assert restore(out, data) == 1
    told = capsys.readouterr().err
    assert f"--out {out}: a folder that is missing or empty was required" in told
    assert f"--data {data}: a folder that is missing or empty was required" in told
    assert restore(tmp_path / "nowhere", tmp_path / "new") == 1
    assert "a finished backup was required, it has no backup.json" in capsys.readouterr().err


@pytest.mark.parametrize("harm", ["changed", "missing", "outside", "newer", "no JSON"])
def test_a_backup_that_is_not_what_was_written_is_refused_and_nothing_is_left(data, tmp_path, harm, capsys):
    out, again = tmp_path / "out", tmp_path / "again"
    back_up(data, out)
    manifest = json.loads((out / MANIFEST).read_text())
    if harm == "changed":
        body = bytearray((out / "records-1.db").read_bytes())
        body[len(body) // 2] ^= 1
        (out / "records-1.db").write_bytes(body)
    elif harm == "missing":
        (out / "log.db").unlink()
    elif harm == "outside":
        manifest["files"]["../../escaped"] = manifest["files"]["log.db"]
    elif harm == "newer":
        manifest["format"] = 99
    (out / MANIFEST).write_text("{" if harm == "no JSON" else json.dumps(manifest))
    assert restore(out, again) == 4
    assert capsys.readouterr().err.startswith("membrane: ")
    assert not again.exists()


def test_the_working_directory_is_a_target_like_any_other(data, tmp_path, monkeypatch, capsys):
    for name in ("out", "again"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "out")
    assert back_up(data, ".") == 0
    monkeypatch.chdir(tmp_path / "again")
    assert restore("../out", ".") == 0
    capsys.readouterr()
    assert digest(tmp_path / "again") == digest(data)


def test_a_folder_that_cannot_be_replaced_is_filled(data, tmp_path, monkeypatch):
    """A mount point: whoever renames another folder over it is told that it is busy."""
    out, again, rename = tmp_path / "out", tmp_path / "again", Path.rename

    def move(self, target):
        if Path(target) in (out, again):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", move)
    for folder in (out, again):
        folder.mkdir()
    assert back_up(data, out) == 0
    assert restore(out, again) == 0
    assert digest(again) == digest(data)


@contextmanager
def at_most(size):
    """No file of this process can get larger: as good as a full disk, where none may be mounted."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_target_that_cannot_take_more_is_named_and_nothing_is_left(data, tmp_path, capsys):
    out, again = tmp_path / "out", tmp_path / "again"
    again.mkdir()
    with at_most(40_000):
        assert back_up(data, out) == 4
    assert capsys.readouterr().err.startswith(f"membrane: {out}/.part/log.db: cannot be written now: ")
    assert not out.exists()
    assert back_up(data, out) == 0
    with at_most(40_000):
        assert restore(out, again) == 4
    assert capsys.readouterr().err == f"membrane: {again}: cannot be written now: File too large\n"
    assert list(again.iterdir()) == []
    assert restore(out, again) == 0


@pytest.fixture
def mount(tmp_path):
    """Mounts a file system of so many KiB on a folder."""
    mounted = []

    def mount(folder, size):
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"the right to mount a file system is missing: {done.stderr.strip()}")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_an_empty_volume_is_filled(data, tmp_path, mount):
    out, again = tmp_path / "out", tmp_path / "again"
    mount(out, 8_000)
    mount(again, 8_000)
    assert back_up(data, out) == 0
    assert restore(out, again) == 0
    assert digest(again) == digest(data)


def test_a_volume_that_is_too_small_is_said_to_be_full(data, tmp_path, mount, capsys):
    small, out = tmp_path / "small", tmp_path / "out"
    mount(small, 60)
    assert back_up(data, small) == 4
    assert capsys.readouterr().err == f"membrane: {small}/.part/log.db: cannot be written now: the disk is full\n"
    assert back_up(data, out) == 0
    assert restore(out, small) == 4
    assert capsys.readouterr().err == f"membrane: {small}: cannot be written now: No space left on device\n"
    assert list(small.iterdir()) == []


@pytest.mark.parametrize("command", ["backup", "trim", "rebuild"])
def test_who_comes_while_a_customer_is_erased_waits_and_is_told_who_does_not_end(data, tmp_path, command, monkeypatch):
    more = {"backup": ["--out", str(tmp_path / "out")], "trim": ["--before", "2026-01-01T00:00:00Z"], "rebuild": []}
    words = [command, "--data", str(data), *more[command]]
    erasing = dir_lock(data, TRIM).acquire()
    for module in ("cli.backup", "cli.stores"):
        monkeypatch.setattr(f"{module}.ERASURE_SECONDS", 0.05)
    assert main(words) == 3
    monkeypatch.undo()
    ending = threading.Timer(0.2, erasing.release)
    ending.start()
    assert main(words) == 0
    ending.join()


@pytest.mark.slow
def test_a_backup_under_load_is_equal_up_to_its_offsets(tmp_path):
    """A sender at 500 signals/s meanwhile; what is restored has the digest that was told, and goes on from there."""
    data, out, again = tmp_path / "data", tmp_path / "out", tmp_path / "again"
    with up(data, "--partitions", 2, "--runner", "plain") as running:
        enough = threading.Event()
        sender = threading.Thread(target=send, args=(running, enough))
        sender.start()
        time.sleep(1.0)
        told = run_json("backup", "--data", data, "--out", out)
        enough.set()
        sender.join()
        assert running.stop() == 0
    assert run_json("restore", "--from", out, "--data", again)["offsets"] == told["offsets"]
    found = digest(again)
    assert (found.records_sha256, found.outbox_sha256) == (told["records_sha256"], told["outbox_sha256"])
    assert all(done <= end for done, end in zip(told["offsets"], told["log_ends"], strict=True))
    assert found.customers > 0
    with up(again, "--runner", "plain") as running:
        running.wait_applied()
        assert running.stop() == 0
    before = digest(again)
    assert all(done >= end for done, end in zip(before.offsets, told["log_ends"], strict=True))
    rebuilt = run_json("rebuild", "--data", again)
    assert (rebuilt["records_sha256"], rebuilt["outbox_sha256"]) == (before.records_sha256, before.outbox_sha256)


def send(service, enough, per_second=500, size=50):
    """Signals of a hundred customers until it is enough."""
    at, number, began = format_time(wall_ms() - DAY), 0, time.monotonic()
    with service.client() as client:
        while not enough.is_set():
            events = [
                event(number + place, "message.received", f"c-{(number + place) % 100}", at, channel="email")
                for place in range(size)
            ]
            assert client.post("/v1/signals", headers=BATCH, content=json.dumps(events)).status_code == 202
            number += size
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
