"""`membrane probe`: a synthetic signal all the way to a decision, for a customer of the tenant `_probe`."""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

from cli.client import KEY_REFUSED, ApiClient
from cli.decide import PATH, directory_config
from cli.exits import DONE, UNHEALTHY
from cli.feeds import Feed, HttpFeed, LogFeed
from cli.output import complain, print_json, say
from cli.replay import chosen_url
from membrane.errors import MembraneError, StoreUnavailable, UsageError
from membrane.signals import PROBE

POLL_SECONDS = 0.02
_REQUEST = json.dumps(
    {
        "customer": PROBE,
        "candidates": [{"id": "probe", "domain": "service", "kind": "ticket_reply", "channel": "email"}],
        "explain": "none",
    }
).encode()


class _Target(Protocol):
    """What is probed."""

    feed: Feed

    def decide(self) -> dict[str, Any]:
        """The answer to a request for the probe's customer."""

    def version(self) -> int | None:
        """The version of the customer's record; None before the first."""


def probe(args: argparse.Namespace) -> int:
    """Sends a signal, waits until the stream has applied it, asks for a decision; 4 if that takes too long."""
    began = time.monotonic()
    told: dict[str, Any] = {"ok": False, "signal_seconds": None, "applied_seconds": None, "decision_seconds": None}
    try:
        with _target(args, began + args.within) as target:
            problem = _through(target, told, began, args.within)
    except UsageError:
        raise
    except MembraneError as error:
        problem = str(error)
    told |= {"ok": not problem, "problem": problem}
    if args.json:
        print_json(told)
    elif problem:
        complain(f"probe: {problem}: `membrane doctor` says more")
    else:
        say(
            f"a signal was stored after {told['signal_seconds']:.3f} s, applied after {told['applied_seconds']:.3f} s, "
            f"and a decision came after {told['decision_seconds']:.3f} s: {told['verdict']}"
        )
    return UNHEALTHY if problem else DONE


def _through(target: _Target, told: dict[str, Any], began: float, within: float) -> str:
    """What went wrong, if anything did; notes in `told` when each thing happened."""
    before, at = target.version(), target.decide()["at"]
    sent = target.feed.send([_event(at)])
    if sent.accepted != 1:
        return f"a signal was sent and not accepted: {[one.detail for one in sent.refused] or sent}"
    told["signal_seconds"] = round(time.monotonic() - began, 3)
    while target.version() == before:
        if time.monotonic() - began > within:
            return f"the stream did not apply a signal within {within} s"
        time.sleep(POLL_SECONDS)
    told["applied_seconds"] = round(time.monotonic() - began, 3)
    answer = target.decide()
    told["decision_seconds"] = round(time.monotonic() - began, 3)
    told |= {"verdict": answer["verdicts"][0]["verdict"], "degraded": answer["state"]["degraded"]}
    if told["verdict"] != "allow":
        return f"help was asked for, and the verdict is {told['verdict']}"
    return "" if told["decision_seconds"] <= within else f"the decision did not come within {within} s"


def _event(at: str) -> bytes:
    event = {
        "specversion": "1.0",
        "id": uuid.uuid4().hex,
        "source": PROBE,
        "type": "cx.usage.measured.v1",
        "subject": PROBE,
        "time": at,
        "data": {"metric": "probe", "value": 1},
    }
    return json.dumps(event).encode()


class _Api:
    def __init__(self, client: ApiClient) -> None:
        self.feed: Feed = HttpFeed(client)
        self._client = client

    def decide(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.post(PATH, _REQUEST)
        return answer

    def version(self) -> int | None:
        reply = self._client.send("GET", f"/v1/customers/{PROBE}")
        if reply.status == 404:
            return None
        version: int = self._client.expect_success(reply).json()["version"]
        return version


class _Directory:
    def __init__(self, feed: LogFeed, decisions: Any, records: Any) -> None:
        self.feed: Feed = feed
        self._decisions = decisions
        self._records = records

    def decide(self) -> dict[str, Any]:
        from serving.problems import Problem

        try:
            answer: dict[str, Any] = json.loads(self._decisions.answer(_REQUEST, PROBE))
        except Problem as problem:
            raise StoreUnavailable(problem.detail) from problem
        return answer

    def version(self) -> int | None:
        from membrane.record import decode

        stored = self._records.get(PROBE, PROBE)
        return None if stored is None else decode(stored).version


@contextmanager
def _target(args: argparse.Namespace, deadline: float) -> Iterator[_Target]:
    url = chosen_url(args)
    if url is not None:
        key = args.key or PROBE
        patience = max(0.1, deadline - time.monotonic())
        # Of what is sent here only the key is the user's.
        with ApiClient(url, key, patience_seconds=patience, mistakes=KEY_REFUSED) as client:
            try:
                yield _Api(client)
            except UsageError as error:
                wanted = f"--key: a key of the tenant {PROBE} that may ingest, read and decide was required"
                raise UsageError(f"{wanted}: {error}") from error
        return
    from serving.asking import asking
    from storage.directory import DataDir
    from storage.record_reader import RecordReader

    directory = DataDir.existing(args.data)
    with (
        closing(LogFeed(args.data, PROBE, args.clock)) as feed,
        asking(directory_config(args)) as decisions,
        closing(RecordReader(directory)) as records,
    ):
        yield _Directory(feed, decisions, records)
