"""What the routes share: the clocks, the stream's word of itself, ticks, metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from membrane.errors import StoreUnavailable
from membrane.ports import PartitionMeta, RecordKind
from membrane.times import HOUR, SECOND
from serving.freshness import NOTHING_YET, read_state
from serving.run import _helper_ended


def ticks(api) -> int:
    return sum(record.kind is RecordKind.TICK for record in api.services.log.read(0, 0, 1000))


def maintain(api, until) -> None:
    """Runs the maintenance until a condition holds."""

    async def run() -> None:
        task = asyncio.create_task(api.services.maintain())
        for _ in range(500):
            if until():
                break
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert until()


def test_under_the_wall_clock_the_api_ticks_every_ten_seconds(api):
    maintain(api, lambda: ticks(api) == 1)
    api.clock.ms += 9 * SECOND
    maintain(api, lambda: True)
    api.clock.ms += 1 * SECOND
    maintain(api, lambda: ticks(api) == 2)


def test_under_the_clock_of_the_signals_only_signals_tick(make_api, event):
    api = make_api(clock="signals")
    api.send(event(time="2026-11-20T08:59:00Z"))
    api.clock.ms += HOUR
    maintain(api, lambda: ticks(api) == 0)
    api.send(event(id="2", time="2026-11-20T09:00:00Z"))
    assert ticks(api) == 1


def test_a_store_that_refuses_does_not_end_the_maintenance(api, monkeypatch):
    calls = []

    def tick(now_ms):
        calls.append(now_ms)
        raise StoreUnavailable("full")

    monkeypatch.setattr(api.services.log, "tick", tick)
    monkeypatch.setattr("serving.services.MAINTAIN_SECONDS", 0.01)
    maintain(api, lambda: len(calls) > 2)


@pytest.mark.parametrize("broken", ["log.tick", "principles.retry"])
def test_an_error_of_ours_ends_neither_the_maintenance_nor_its_other_half(api, monkeypatch, caplog, broken):
    calls = Counter()

    def fail(*_):
        calls[broken] += 1
        raise RuntimeError("dictionary changed size during iteration")

    names = {"log.tick", "principles.retry"}
    for name in names:
        part, method = name.split(".")
        monkeypatch.setattr(
            getattr(api.services, part), method, fail if name == broken else lambda *_, n=name: calls.update([n])
        )
    monkeypatch.setattr("serving.services.MAINTAIN_SECONDS", 0.01)
    maintain(api, lambda: all(calls[name] > 2 for name in names))
    assert "RuntimeError at test_services.py" in caplog.text


def test_a_helper_that_ends_ends_the_process_with_a_word(caplog):
    async def run(work) -> int | None:
        stop = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(work())
        await asyncio.wait([task])
        _helper_ended(task, stop)
        return stop.result() if stop.done() else None

    async def fail() -> None:
        raise RuntimeError

    async def cancelled() -> None:
        raise asyncio.CancelledError

    assert [asyncio.run(run(work)) for work in (fail, cancelled)] == [4, None]
    assert "a task beside the API ended" in caplog.text
    assert "RuntimeError at" in caplog.text


def test_a_principle_file_that_was_put_right_is_in_force_without_a_restart(api, monkeypatch):
    monkeypatch.setattr("serving.services.MAINTAIN_SECONDS", 0.01)
    sets, digest = api.services.principles, api.services.log.revisions()["principles"]["digest"]
    file = sets.files.path(digest)
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    sets._compiled.clear()
    assert sets.get(digest) is None
    file.write_bytes(whole)
    api.write()
    maintain(api, lambda: sets.get(digest) is not None)


def test_what_the_stream_says_is_kept_for_a_tenth_of_a_second(api):
    api.write(last_tick=1)
    freshness = api.services.freshness
    assert freshness.state(0).last_tick == 1
    api.write(last_tick=2)
    api.clock.ms -= 1  # writing lets 100 ms pass
    assert freshness.state(0).last_tick == 1
    api.clock.ms += 1
    assert freshness.state(0).last_tick == 2


@pytest.mark.parametrize("meta", [b"", b"{", b"[]", b'{"stages": 7}'])
def test_a_meta_that_says_nothing_is_no_state(meta):
    assert read_state(PartitionMeta(0, meta)) == NOTHING_YET
