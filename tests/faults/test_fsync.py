"""Fault 4 (and 8 through the API): every 202 stands behind an fsync of the log, and none follows one that failed.

SIGKILL proves nothing here, for the page cache survives it: strace looks at the calls themselves.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Tell
from tests.faults.sizes import short_and_full
from tests.processes import SINGLE, Service, event, serve, up

SYSCALLS = "recvfrom,read,write,writev,sendto,sendmsg,fsync,fdatasync"
LOG_SYNC = re.compile(r"(?:fsync|fdatasync)\(\d+<[^>]*/log\.db(?:-wal)?>")


def can_trace() -> bool:
    """Whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is missing, or tracing is not permitted here")


def traced(data: Path, trace: Path, *options: str) -> object:
    """`membrane serve` under strace."""
    words = ["strace", "-f", "-y", "-qq", "-s", "48", "-e", "signal=none", "-e", f"trace={SYSCALLS}"]
    return serve(data, prefix=[*words, *options, "-o", str(trace)])


def happened(trace: Path) -> Iterator[str]:
    """What matters of a trace, in order: request, sync, failed sync, and answers by their status."""
    pending: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        thread, _, call = line.partition(" ")
        call = call.lstrip()
        if call.endswith("<unfinished ...>"):
            pending[thread] = call.removesuffix("<unfinished ...>")
            if '"HTTP/1.1 ' not in call:  # an answer counts from when it is begun, all else when it is done
                continue
        elif call.startswith("<... "):
            call = pending.pop(thread, "") + call.partition("resumed>")[2]
            if '"HTTP/1.1 ' in call:
                continue
        if LOG_SYNC.match(call):
            yield "sync" if call.endswith("= 0") else "failed sync"
        elif '"POST /v1/signals HTTP/1.1' in call:
            yield "request"
        elif answer := re.search(r'"HTTP/1\.1 (\d{3}) ', call):
            yield answer[1]


def send(service: Service, numbers: range) -> list[tuple[int, int, str | None]]:
    """Single POSTs, one after the other: (number, status, Retry-After)."""
    with service.client() as client:
        found = []
        for number in numbers:
            signal_ = event(number, "message.received", f"c-{number}", "2026-11-20T00:00:00Z", channel="email")
            answer = client.post("/v1/signals", json=signal_, headers=SINGLE)
            found.append((number, answer.status_code, answer.headers.get("retry-after")))
        return found


@pytest.mark.parametrize("posts", short_and_full(10, 100))
def test_the_log_is_fsynced_between_each_request_and_its_202(tmp_path: Path, tell: Tell, posts: int) -> None:
    data, trace = tmp_path / "data", tmp_path / "trace"
    with traced(data, trace) as api:
        assert [status for _, status, _ in send(api, range(posts))] == [202] * posts
        os.kill(api.pid("api"), signal.SIGTERM)
        api.process.wait(30)
    seen = list(happened(trace))
    requests = [place for place, what in enumerate(seen) if what == "request"]
    assert len(requests) == posts
    synced = 0
    for place in requests:
        answer = seen.index("202", place)
        assert "request" not in seen[place + 1 : answer]
        synced += "sync" in seen[place + 1 : answer]
    assert synced == posts
    tell(f"fault 4: {posts} single POSTs under strace: {synced} with an fsync of the log between request and 202")


@pytest.mark.parametrize("when", [3, 5, *(pytest.param(n, marks=pytest.mark.faults) for n in range(6, 14))])
def test_no_202_follows_a_failed_fsync_and_what_was_acknowledged_is_served_after_a_restart(
    tmp_path: Path, tell: Tell, when: int
) -> None:
    data, trace = tmp_path / "data", tmp_path / "trace"
    with serve(data) as api:  # makes the directory; the injection counts the calls of each thread from its start
        assert send(api, range(1))[0][1] == 202
        assert api.stop() == 0
    inject = f"inject=fdatasync,fsync:error=EIO:when={when}+"
    with traced(data, trace, "-e", inject) as api:
        answers = send(api, range(1, 16))
    seen = list(happened(trace))
    failed = seen.index("failed sync")
    assert "202" not in seen[failed:]
    assert seen[failed:].count("503") >= 3
    assert {(status, wait) for _, status, wait in answers} <= {(202, None), (503, "1")}
    acknowledged = [0, *(number for number, status, _ in answers if status == 202)]
    with up(data, "--runner", "plain") as again, again.client() as client:
        again.wait_applied()
        for number in acknowledged:
            items = client.get(f"/v1/customers/c-{number}/timeline").json()["items"]
            assert [item["id"] for item in items if item["kind"] == "signal"] == [str(number)]
    tell(
        f"fault 4: EIO from fsync {when} of a thread on: {len(acknowledged)} acknowledged before, 202 after it 0, "
        f"{seen[failed:].count('503')} answers 503 with Retry-After, acknowledged and lost 0"
    )
