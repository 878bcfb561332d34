"""Every alert has a runbook with the same parts, and its commands run against a service as it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving.principle_sets import DEFAULT_PACK
from tests.docs.pages import DOCS, ROOT, examples, links, prose
from tests.processes import BATCH, Service, environment, event, service, wait_until

PAGES = sorted((DOCS / "runbooks").glob("*.md"))
PARTS = ["What it means", "What to look at", "What to do", "What to roll back first"]
PROBLEMS = 3


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in ./shop with a few customers in crisis, whom something is owed."""
    folder = tmp_path_factory.mktemp("runbooks")
    (folder / "before.yaml").write_bytes(DEFAULT_PACK.read_bytes())
    now = datetime.now(UTC)
    events = [
        {
            "specversion": "1.0", "id": f"{customer}-{number}", "source": "desk", "subject": f"c-{customer}",
            "type": "cx.case.opened.v1", "time": (now - timedelta(seconds=60 - number)).isoformat(),
            "data": {"case": f"A{number}", "category": "net", "product": "T1", "severity": 1},
        }
        for customer in range(PROBLEMS) for number in range(6)
    ]  # fmt: skip
    with service("up", folder / "shop") as up:
        with up.client() as client:
            client.post("/v1/signals", content=json.dumps(events), headers=BATCH).raise_for_status()
            wait_until(lambda: bool(owed(up)), "something owed")
        yield up


def owed(up: Service) -> list[str]:
    with up.client() as client:
        found = client.get("/v1/obligations", params={"state": "open"}).json()["obligations"]
    return [one["obligation"] for one in found]


def named(up: Service, script: str) -> str:
    """With names that this service has in the place of those in capitals."""
    with up.client() as client:
        principles = client.get("/v1/principles").json()["principles"]
        if "PAUSE" in script:
            asked = {"domain": "survey", "until": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
            pause = client.post("/v1/pauses", json={**asked, "by": "ana", "why": "outage"}).json()["pause"]
            script = script.replace(" PAUSE ", f" {pause} ")
    free = next(one["id"] for one in principles if one["owner"] == "marketing")
    script = script.replace("OBLIGATION", owed(up)[0]).replace(" PRINCIPLE ", f" {free} ")
    return script.replace("127.0.0.1:8080", f"127.0.0.1:{up.port}")


def test_every_page_has_the_four_parts_and_nothing_but_links_that_resolve():
    for page in PAGES:
        assert re.findall(r"^## (.*)$", prose(page), re.MULTILINE) == PARTS, page.name
        assert all((page.parent / link).exists() for link in links(page)), page.name


def run(shop: Service, script: str) -> None:
    """The commands of a page, as they stand there, one after the other."""
    script = named(shop, script)
    script = re.sub(r"^membrane ", f"{shlex.quote(sys.executable)} -m cli.main ", script, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + script.replace("curl -s", "curl -sf")],
        cwd=shop.data.parent, env={**environment(), "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, script + done.stdout[-500:] + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_run(page: Path, shop: Service) -> None:
    run(shop, "".join(one.body for one in examples(page, "sh")))


@pytest.mark.slow
def test_a_stream_that_hangs_goes_on_after_what_its_page_says_to_do(shop: Service) -> None:
    hung = shop.pid("stream")
    os.kill(hung, signal.SIGSTOP)
    _, what_to_do = examples(DOCS / "runbooks" / "StreamStalled.md", "sh")
    run(shop, what_to_do.body)
    wait_until(lambda: shop.pid("stream") != hung, "another stream")
    now = datetime.now(UTC).isoformat()
    with shop.client() as client:
        opened = event("after", "case.opened", "c-after", now, case="A1", category="net", severity=1)
        client.post("/v1/signals", json=[opened], headers=BATCH).raise_for_status()
        wait_until(lambda: client.get("/v1/customers/c-after").status_code == 200, "the signal applied")
