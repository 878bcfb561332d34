"""Fault 32: SIGTERM and restart under load, and every order in which the processes may start."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from random import Random

import apsw
import pytest

from membrane.ports import RecordKind
from membrane.signals import read_stored
from storage.directory import DataDir
from storage.log_reader import LogReader
from tests.faults.conftest import Tell
from tests.faults.sizes import short_and_full
from tests.processes import SINGLE, Service, event, free_port, serve, stream, up, wait_applied, wait_until

SEED = 20261123
AT = "2026-11-20T00:00:00Z"
ASK = [{"id": "a", "domain": "sales", "kind": "upsell", "channel": "email"}]


class Client(threading.Thread):
    """Signals and decisions in turn on a kept connection; tries again what got no answer, and notes what got one."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(name=name, daemon=True)
        self.acknowledged: set[str] = set()
        self.decided: set[str] = set()
        self.unanswered: set[str] = set()
        self.torn = 0
        self.port = port
        self.done = threading.Event()

    def run(self) -> None:
        numbers = itertools.count()
        while not self.done.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            with suppress(OSError, http.client.HTTPException), closing(connection):
                while not self.done.is_set():
                    self._signal(connection, f"{self.name}-{next(numbers)}")
                    self._decide(connection)
            time.sleep(0.01)

    def _signal(self, connection: http.client.HTTPConnection, number: str) -> None:
        sent = event(number, "message.received", f"c-{self.name}", AT, channel="email")
        connection.request("POST", "/v1/signals", json.dumps(sent), SINGLE)
        self.unanswered.add(number)
        answer = self._answer(connection, 202)
        self.unanswered.discard(number)
        assert answer["accepted"] == 1
        self.acknowledged.add(number)

    def _decide(self, connection: http.client.HTTPConnection) -> None:
        asked = {"customer": f"c-{self.name}", "candidates": ASK}
        connection.request("POST", "/v1/decisions", json.dumps(asked), {"Content-Type": "application/json"})
        self.decided.add(self._answer(connection, 200)["decision"])

    def _answer(self, connection: http.client.HTTPConnection, status: int) -> dict[str, object]:
        answer = connection.getresponse()
        try:
            body = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.torn += 1
            raise
        assert answer.status == status, body
        return body


@pytest.mark.parametrize("kind", ["up", "serve"])
@pytest.mark.parametrize("restarts", short_and_full(2, 20))
def test_sigterm_and_restart_under_load_drop_nothing_in_flight(
    tmp_path: Path, tell: Tell, kind: str, restarts: int
) -> None:
    """What was processed was answered: every signal in the log and every decision logged is known to its sender."""
    data, port, random = tmp_path / "data", free_port(), Random(SEED)
    clients = [Client(str(number), port) for number in range(4)]
    options = ("--runner", "plain") if kind == "up" else ()
    start = up if kind == "up" else serve
    for number in range(restarts + 1):
        with start(data, *options, port=port) as service:
            if number == 0:
                for client in clients:
                    client.start()
            answered = sum(len(client.acknowledged) for client in clients)
            wait_until(lambda: sum(len(c.acknowledged) for c in clients) > answered + 20, "answers")  # noqa: B023
            time.sleep(random.uniform(0, 0.2))
            if number == restarts:
                for client in clients:
                    client.done.set()
                    client.join(30)
            began = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - began < 5
    assert not any(client.is_alive() for client in clients)
    stored, logged = _stored(data), _logged(data)
    acknowledged = set().union(*(client.acknowledged for client in clients))
    decided = set().union(*(client.decided for client in clients))
    assert acknowledged - stored == set()
    assert decided - logged == set()
    assert sum(client.torn for client in clients) == 0
    assert stored - acknowledged == set()
    assert logged - decided == set()
    tell(
        f"fault 32: seed {SEED}: {restarts} SIGTERMs and restarts of `{kind}` under load: {len(acknowledged):,} "
        f"signals and {len(decided):,} decisions answered, dropped in flight 0, torn answers 0"
    )


def _stored(data: Path) -> set[str]:
    directory = DataDir.existing(data)
    with closing(LogReader(directory)) as log:
        records = [record for p in range(directory.partitions) for record in log.read(p, 0, 10**7)]
    return {read_stored(record.body).id for record in records if record.kind is RecordKind.SIGNAL}


def _logged(data: Path) -> set[str]:
    path = str(data / "decisions.db")
    with closing(apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM decisions")}


@pytest.mark.parametrize("order", ["serve stream", "stream serve", "both at once", "up"])
def test_every_order_of_start_on_an_empty_directory_ends_in_a_served_customer(
    tmp_path: Path, tell: Tell, order: str
) -> None:
    data, first = tmp_path / "data", event(1, "message.received", "c", AT, channel="email")
    with ExitStack() as stack:
        if order == "up":
            api: Service = stack.enter_context(up(data))
        elif order == "stream serve":
            running = stack.enter_context(stream(data, "--runner", "plain"))
            wait_until((data / "log.db").exists, "the directory made by the stream")
            api = stack.enter_context(serve(data))
            assert running.process.poll() is None
        else:
            api = stack.enter_context(serve(data, ready=order == "serve stream"))
            with api.client() as client:
                if order == "serve stream":
                    asked = {"customer": "c", "candidates": ASK}
                    assert client.post("/v1/decisions", json=asked).json()["verdicts"][0]["verdict"] == "forbid"
                stack.enter_context(stream(data, "--runner", "plain"))
                api.wait_ready()
        with api.client() as client:
            assert client.post("/v1/signals", json=first, headers=SINGLE).status_code == 202
            wait_applied(data)
            assert client.get("/v1/customers/c").status_code == 200
            assert client.get("/readyz").json() == {"ready": True, "missing": []}
    tell(f"fault 32: started as {order}: served")
