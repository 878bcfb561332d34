"""Turns at the claims: in order within a process, fair between processes, and no event loop stands still."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.errors import StoreUnavailable
from serving.turns import COURTESY_SECONDS, Turns
from storage.claims import ClaimStore, Reserving
from storage.lock import WriterLock, claims_gate

NOW = 1_800_000_000_000


class Process:
    """As one of several at the same files."""

    def __init__(self, folder: Path) -> None:
        self.gate = claims_gate(folder)
        self.turns = Turns(self.gate, 0.05)
        self.store = ClaimStore(folder / "claims.db")

    async def reserve(self, name: str, order: list[str], seconds: float = 0.0) -> str:
        def attempt() -> str | None:
            with self.store.reserving("default", name, NOW) as held:
                if held is None:
                    return None
                order.append(name)
                return name

        return await self.turns.take(attempt, seconds)

    def close(self) -> None:
        self.gate.release()
        self.store.close()


@pytest.fixture
def process(tmp_path):
    made = Process(tmp_path)
    yield made
    made.close()


@settings(max_examples=20)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=12))
def test_within_a_process_whoever_came_first_is_the_next(busy):
    """Whatever the number of attempts that each of them needs."""
    order: list[int] = []

    class Gate(WriterLock):
        def __init__(self) -> None:
            super().__init__("unused")

        def acquire_if_free(self) -> bool:
            return True

    async def all_of_them() -> None:
        turns = Turns(Gate(), 10)

        def attempts(number: int, left: int):
            def attempt() -> int | None:
                nonlocal left
                left -= 1
                if left:
                    return None
                order.append(number)
                return number

            return attempt

        asked = [turns.take(attempts(number, left)) for number, left in enumerate(busy)]
        assert await asyncio.gather(*asked) == list(range(len(busy)))

    asyncio.run(all_of_them())
    assert order == list(range(len(busy)))


def test_the_loop_goes_round_while_another_process_writes(tmp_path, process):
    other, rounds = ClaimStore(tmp_path / "claims.db"), 0

    async def waits() -> None:
        nonlocal rounds
        task = asyncio.create_task(process.reserve("a", [], 10))
        with other.reserving("default", "b", NOW):
            end = perf_counter() + 0.1
            while perf_counter() < end:
                await asyncio.sleep(0)
                rounds += 1
            assert not task.done()
        assert await task == "a"

    asyncio.run(waits())
    other.close()
    assert rounds > 50


def test_when_there_are_no_turns_all_leave_soon_but_for_the_patient(tmp_path, process):
    other, order = ClaimStore(tmp_path / "claims.db"), []

    async def queue() -> float:
        with other.reserving("default", "b", NOW):
            began = perf_counter()
            patient = asyncio.create_task(process.reserve("patient", order, 10))
            hurried = [asyncio.create_task(process.reserve("hurried", order)) for _ in range(30)]
            for one in hurried:
                with pytest.raises(StoreUnavailable, match="somebody else is writing"):
                    await one
            took = perf_counter() - began
        assert await patient == "patient"
        return took

    took = asyncio.run(queue())
    other.close()
    assert 0.05 <= took < 30 * 0.05  # the patience of one and a short try of each
    assert order == ["patient"]


def test_while_turns_are_taken_nobody_is_sent_away(process):
    """However long the queue is."""
    order: list[str] = []

    async def slow() -> str:
        def attempt() -> str:
            time.sleep(0.01)
            order.append("slow")
            return "slow"

        return await process.turns.take(attempt)

    async def queue() -> None:
        assert await asyncio.gather(*(slow() for _ in range(15))) == ["slow"] * 15

    asyncio.run(queue())


def test_two_processes_that_never_stop_asking_both_get_their_turns(tmp_path):
    """In a thread each, with an event loop of its own: neither waits long, whoever was there first."""
    ClaimStore(tmp_path / "claims.db").check()
    waited: dict[str, list[float]] = {"a": [], "b": []}

    async def asks(process: Process, name: str) -> None:
        for _ in range(40):
            began = perf_counter()
            await process.reserve(name, [], 10)
            waited[name].append(perf_counter() - began)
            await asyncio.sleep(0)

    async def four(process: Process, name: str) -> None:
        await asyncio.gather(*(asks(process, name) for _ in range(4)))

    def run(name: str) -> None:
        process = Process(tmp_path)
        asyncio.run(four(process, name))
        process.close()

    threads = [threading.Thread(target=run, args=[name]) for name in waited]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(found) for found in waited.values()] == [160, 160]
    assert max(*waited["a"], *waited["b"]) < 2


def test_who_waits_at_the_gate_is_let_go_first_and_one_that_was_stopped_there_is_passed_by(tmp_path, process):
    stopped, order = claims_gate(tmp_path), []
    stopped.acquire()

    async def passes() -> float:
        began = perf_counter()
        await process.reserve("a", order)
        return perf_counter() - began

    took = asyncio.run(passes())
    stopped.release()
    assert COURTESY_SECONDS <= took < COURTESY_SECONDS + 1
    assert order == ["a"]


def test_without_room_for_the_gate_turns_go_on(tmp_path, process):
    (tmp_path / "run").write_text("no folder")
    order: list[str] = []
    assert asyncio.run(process.reserve("a", order)) == "a"


def test_an_attempt_that_fails_fails_alone(process):
    order: list[str] = []

    def fails() -> Reserving | None:
        raise ZeroDivisionError

    async def both() -> None:
        failing = asyncio.create_task(process.turns.take(fails))
        going_on = asyncio.create_task(process.reserve("a", order))
        with pytest.raises(ZeroDivisionError):
            await failing
        await going_on

    asyncio.run(both())
    assert order == ["a"]
