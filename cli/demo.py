"""`membrane demo`: the story through real processes, told step by step, every step checked."""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cli import story
from cli.client import ApiClient
from cli.exits import DONE, FAILED
from cli.expectations import differences
from cli.feeds import HttpFeed
from cli.follow import Event, events
from cli.output import number, print_json, progress_bar
from cli.processes import command_line, leave_on_sigterm, own_environment
from cli.replay import Counts, send_all
from cli.services import free_port
from cli.story import SHOP, STEPS, Step
from cli.telling import Teller
from membrane.errors import MembraneError, StoreUnavailable
from membrane.times import DAY, parse_time
from storage.clock import wall_ms

BEGAN_DAYS_AGO: Final = 120
CROWD_DAYS: Final = 7
SEED: Final = 7
PARTITIONS: Final = 8
START_SECONDS: Final = 60.0
APPLY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 8.0
HEAR_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01

Answer = dict[str, Any]


def demo(args: argparse.Namespace) -> int:
    """0 if every step came out as told, else 1 with what came instead."""
    leave_on_sigterm()
    teller = Teller(language=args.lang, shown=not args.json)
    teller.begin()
    started = time.monotonic()
    with running_service() as service, ApiClient(service.url) as client:
        teller.note(f"the service is up at {service.url} after {time.monotonic() - started:.1f} s")
        play = Play(client, Follower(service.url), teller, base_ms=_base(wall_ms()))
        play.crowd(args.customers)
        faults = play.story() + play.crowd_seen(args.customers)
        seconds = time.monotonic() - started
        teller.end(faults, len(STEPS), seconds)
        if args.json:
            print_json({"steps": len(STEPS), "faults": faults, "seconds": round(seconds, 1), "url": service.url})
        if not args.once:
            teller.stays(f"{service.url}/?customer={SHOP}")
            service.process.wait()
    return FAILED if faults else DONE


@dataclass(frozen=True, slots=True)
class Service:
    """A running `membrane up`."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def running_service() -> Iterator[Service]:
    """`membrane up` on a temporary folder and a free port, gone at the end. StoreUnavailable if it does not start."""
    with tempfile.TemporaryDirectory(prefix="membrane-demo-") as folder:
        port = free_port("127.0.0.1")
        options = ["--data", folder, "--port", str(port), "--clock", "signals", "--partitions", str(PARTITIONS)]
        options += ["--learn", "off"]  # the story has too few labels to learn from
        log = Path(folder, "up.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command_line(["up", *options]), env=own_environment(), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output,
            )  # fmt: skip
        try:
            service = Service(f"http://127.0.0.1:{port}", process)
            _await_start(service, log)
            yield service
        finally:
            _end(process)


def _await_start(service: Service, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while b"ready at" not in log.read_bytes():
        if service.process.poll() is not None or time.monotonic() > deadline:
            raise StoreUnavailable(f"the service did not start: {log.read_text(errors='replace').strip()}")
        time.sleep(_POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _base(now_ms: int) -> int:
    """Midnight, some months ago."""
    return now_ms // DAY * DAY - BEGAN_DAYS_AGO * DAY


class Follower(threading.Thread):
    """Listens to what is revoked, as a platform with a full queue of messages would."""

    def __init__(self, url: str) -> None:
        super().__init__(name="follower", daemon=True)
        self.url = url
        self.revoked: list[Event] = []
        self.start()

    def run(self) -> None:
        with suppress(MembraneError), ApiClient(self.url) as client:
            for event in events(client, patience_seconds=0):
                if event.kind == "permit":
                    self.revoked.append(event)

    def heard(self, known: int, wanted: int) -> list[Event]:
        """The revocations behind the `known` ones, once there are as many as `wanted`, or no more come."""
        deadline = time.monotonic() + HEAR_SECONDS
        while len(self.revoked) < known + wanted and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return self.revoked[known:]


class Play:
    """Sends signals and asks, as engagement platforms would."""

    def __init__(self, client: ApiClient, follower: Follower, teller: Teller, *, base_ms: int) -> None:
        self._client = client
        self._follower = follower
        self._teller = teller
        self._base_ms = base_ms
        self._neighbour = story.neighbour(PARTITIONS)

    def crowd(self, customers: int) -> None:
        """Simulated customers, in the week before the story begins."""
        from training.simulator import simulate

        start_ms = self._base_ms - CROWD_DAYS * DAY
        bar = progress_bar(f"{number(customers)} customers", asked=False)
        counts, started = Counts(), time.monotonic()

        def lines() -> Iterator[bytes]:
            for step in simulate(customers, days=CROWD_DAYS, seed=SEED, start_ms=start_ms):
                yield from (json.dumps(event).encode() for event in step.signals)
                bar(min(step.end_ms, self._base_ms) - start_ms, CROWD_DAYS * DAY)

        feed = HttpFeed(ApiClient(self._follower.url))
        try:
            send_all(lines(), feed, counts)
        finally:
            feed.close()
            bar.close()
        self._teller.note(
            f"{number(customers)} simulated customers: {number(counts.accepted)} of {number(counts.sent)} signals "
            f"stored over HTTP in {time.monotonic() - started:.1f} s"
        )

    def story(self) -> list[str]:
        """Plays every step; what did not come out as told. It ends early when the service does not keep up."""
        faults = []
        for place, step in enumerate(STEPS, 1):
            try:
                faults += [f"step {place}: {fault}" for fault in self._step(step, place)]
            except StoreUnavailable as error:
                return [*faults, f"step {place}: {error}"]
        return faults

    def crowd_seen(self, customers: int) -> list[str]:
        """How many customers are in which stage, once the stream has seen all of them."""
        try:
            seen = self._until(lambda: self._client.get("/v1/stages"), lambda seen: _customers(seen) >= customers)
        except StoreUnavailable as error:
            return [f"{number(customers)} customers: {error}"]
        self._teller.stages(seen["counts"])
        return []

    def _step(self, step: Step, place: int) -> list[str]:
        known = len(self._follower.revoked)
        self._send(step, place)
        answers = self._answers(step)
        revoked = self._follower.heard(known, len(step.expected.revoked))
        obligations = self._client.get(f"/v1/customers/{quote(SHOP)}")["obligations"]
        names = [event.data["candidate"] for event in revoked]
        wrong = differences(step.expected, next(iter(answers.values())), obligations, names)
        self._teller.tell(place, step, answers, wrong, [event.data for event in revoked])
        return wrong

    def _answers(self, step: Step) -> dict[str, Answer]:
        """The answer in each language; where slots are reserved, in the first alone: asking again finds them taken."""
        languages = self._teller.languages[:1] if step.reserve else self._teller.languages
        return {language: self._ask(step, language) for language in languages}

    def _send(self, step: Step, place: int) -> None:
        signals = story.events(step, place, self._base_ms, self._neighbour)
        body = json.dumps(signals).encode()
        self._client.post("/v1/signals", body, "application/cloudevents-batch+json")
        last = signals[-1]
        at = parse_time(last["time"])
        path = f"/v1/customers/{quote(last['subject'])}"
        self._until(lambda: self._client.send("GET", path).json(), lambda seen: _clock(seen) >= at)

    def _ask(self, step: Step, language: str) -> Answer:
        request = {
            "customer": SHOP, "candidates": step.candidates, "choose": step.choose, "language": language,
            "reserve": step.reserve,
        }  # fmt: skip
        answer: Answer = self._client.post("/v1/decisions", json.dumps(request).encode())
        return answer

    def _until(self, ask: Callable[[], Answer], enough: Callable[[Answer], bool]) -> Answer:
        """Asks until it is enough. StoreUnavailable when the stream does not get there."""
        deadline = time.monotonic() + APPLY_SECONDS
        while not enough(answer := ask()):
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the stream did not get there within {APPLY_SECONDS:.0f} s; it said {answer}")
            time.sleep(_POLL_SECONDS)
        return answer


def _clock(customer: Answer) -> int:
    """The time that the stream has brought a customer to; 0 for one it has not met."""
    return parse_time(customer["clock"]) if "clock" in customer else 0


def _customers(answer: Answer) -> int:
    return sum(answer["counts"].values())
