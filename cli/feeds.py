"""Where a replay sends its signals: the API, or a log without any API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec

from cli.client import ApiClient
from cli.output import complain
from membrane.signals import MAX_SIGNAL_BYTES
from storage.clock import wall_ms

if TYPE_CHECKING:
    from serving.incoming import Incoming

BATCH_TYPE: Final = "application/cloudevents-batch+json"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A signal that its sender must mend: its place in the batch, where in it, and what was required."""

    index: int
    pointer: str
    detail: str


@dataclass(slots=True)
class Verdict:
    """What became of one batch."""

    accepted: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    refused: list[Refusal] = field(default_factory=list)


class Feed(Protocol):
    """Takes batches of signals, each the JSON of one CloudEvent."""

    def send(self, events: Sequence[bytes]) -> Verdict:
        """Sends one batch; returns when all that was accepted is on the disk."""


class HttpFeed:
    """POST /v1/signals. A line that is no JSON would spoil its whole batch, so it is refused here."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def send(self, events: Sequence[bytes]) -> Verdict:
        """Raises StoreUnavailable when the API does not answer, that or UsageError when it refuses the batch."""
        faults = [_fault(event) for event in events]
        sound = [index for index, fault in enumerate(faults) if fault is None]
        refused = [Refusal(index, "", fault) for index, fault in enumerate(faults) if fault is not None]
        if not sound:
            return Verdict(refused=refused)
        body = b"[" + b",".join(events[index] for index in sound) + b"]"
        answer = self._client.post("/v1/signals", body, BATCH_TYPE)
        refused += [
            Refusal(sound[one["index"]], one["problem"]["pointer"], one["problem"]["detail"])
            for one in answer["rejected"]
        ]
        refused.sort(key=lambda one: one.index)
        return Verdict(answer["accepted"], answer["duplicates"], answer["dead_lettered"], refused)

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()


class LogFeed:
    """Straight into the log of a data directory (made ready if it is new), beside any other writer of it."""

    def __init__(self, data: Path, tenant: str, clock: Literal["wall", "signals"]) -> None:
        from cli.prepare import Wishes, prepare
        from storage.directory import DataDir
        from storage.log import SignalLog

        # Principles come before the signals that they judge.
        for warning in prepare(data, Wishes(), wall_ms()):
            complain(warning)
        self._log = SignalLog(DataDir.existing(data), clock=clock)
        self._tenant = tenant
        self._runner = asyncio.Runner()

    def send(self, events: Sequence[bytes]) -> Verdict:
        """Raises StoreUnavailable when the disk refuses."""
        return self._runner.run(self._send(events))

    def close(self) -> None:
        """Closes the log."""
        self._runner.close()
        self._log.close()

    async def _send(self, events: Sequence[bytes]) -> Verdict:
        from serving.incoming import Fates, new_signals, sort_events

        now_ms = wall_ms()
        incoming = await sort_events(events, self._tenant, now_ms)
        signals = new_signals(incoming.signals)
        letters = [letter for letter, _ in incoming.dead_letters]
        answers = self._log.append(signals, now_ms, letters) if signals or letters else []
        fates = Fates.of(incoming, answers)
        return Verdict(fates.accepted, fates.duplicates, fates.dead_lettered, _refusals(incoming))


def _refusals(incoming: Incoming) -> list[Refusal]:
    return [Refusal(one.index, one.problem.pointer, one.problem.detail) for one in incoming.rejected]


def _fault(line: bytes) -> str | None:
    if len(line) > MAX_SIGNAL_BYTES:
        return f"at most {MAX_SIGNAL_BYTES} bytes are allowed for a signal"
    try:
        line.decode()
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "must be JSON in UTF-8"
    except RecursionError:
        pass  # too deep for a signal: the API says so
    return None
