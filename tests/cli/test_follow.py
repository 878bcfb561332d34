"""`membrane follow`: events read from a stream that may break."""

import pytest

from cli.follow import Event, events, read_events
from membrane.errors import StoreUnavailable, UsageError

STAGE = [b"id: 1-0\n", b"event: stage\n", b'data: {"customer":"c-1"}\n', b"\n"]
PERMIT = [b"id: 1-1\r\n", b"event: permit\r\n", b'data: {"permit":"p1"}\r\n', b"\r\n"]


class FakeClient:
    """Gives the lines of one connection after the other; an error in their place is raised."""

    def __init__(self, *connections):
        self._connections = list(connections)
        self.asked = []

    def lines(self, path, headers):
        self.asked.append((path, headers))
        for line in self._connections.pop(0):
            if isinstance(line, Exception):
                raise line
            yield line


def test_events_and_signs_of_life_are_told_apart():
    found = list(read_events([b"retry: 1000\n", b"id: 0-9\n", b"\n", *STAGE, b": still here\n", b"\n", *PERMIT]))
    stage, permit = Event("1-0", "stage", {"customer": "c-1"}), Event("1-1", "permit", {"permit": "p1"})
    assert found == [Event("0-9", "", {}), stage, Event("", "", {}), permit]


def test_a_connection_that_breaks_is_made_anew_behind_the_last_event(monkeypatch):
    monkeypatch.setattr("cli.follow._PAUSE_SECONDS", 0)
    client = FakeClient(STAGE, [StoreUnavailable("gone")], PERMIT)
    found = events(client)  # type: ignore[arg-type]
    assert [next(found).kind, next(found).kind] == ["stage", "permit"]
    last = {"Last-Event-ID": "1-0"}
    assert client.asked == [("/v1/stages/stream", {}), ("/v1/stages/stream", last), ("/v1/stages/stream", last)]


def test_who_is_away_for_too_long_and_what_is_refused_are_told(monkeypatch):
    monkeypatch.setattr("cli.follow._PAUSE_SECONDS", 0)
    away = FakeClient([StoreUnavailable("gone")], [StoreUnavailable("gone")])
    with pytest.raises(StoreUnavailable):
        next(events(away, patience_seconds=0))  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        next(events(FakeClient([UsageError("refused")]), "x"))  # type: ignore[arg-type]
