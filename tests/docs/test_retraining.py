"""The ten commands of the page on retraining, run in their order by bash, with fewer customers."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from tests import processes
from tests.docs.pages import DOCS, ROOT, examples

PAGE = DOCS / "retraining.md"
SECONDS = 240


def test_the_commands_lead_to_a_decision_that_names_the_new_model(tmp_path: Path) -> None:
    script = "".join(one.body for one in examples(PAGE, "sh"))
    assert "--customers 600" in script
    script = script.replace("--customers 600", "--customers 200").replace("8080", str(processes.free_port()))
    script = script.replace(".venv/bin/membrane", f"{shlex.quote(sys.executable)} -m cli.main")
    told = tmp_path / "told.txt"
    with told.open("wb") as output:
        running = subprocess.Popen(
            ["bash", "-c", "set -euo pipefail\n" + script], cwd=tmp_path, stdout=output, stderr=output,
            env={**processes.environment(), "PYTHONPATH": str(ROOT)}, start_new_session=True,
        )  # fmt: skip
        try:
            code = running.wait(SECONDS)
        finally:
            os.killpg(running.pid, signal.SIGTERM)
    text = told.read_text()
    assert code == 0, text
    answer = json.loads(next(line for line in reversed(text.splitlines()) if line.startswith('{"decision"')))
    digest = (tmp_path / "churn-model" / "digest").read_text()
    assert answer["revisions"]["churn_model"].endswith(f"+{digest[:8]}")


def test_the_dry_run_that_is_shown_is_what_comes() -> None:
    shown = next(one.body for one in examples(PAGE, "console") if "--dry-run" in one.body)
    command, *lines = shown.splitlines()
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *shlex.split(command)[2:]],
        cwd=ROOT, capture_output=True, text=True, check=False, env=processes.environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert (done.stderr + done.stdout).splitlines() == lines
