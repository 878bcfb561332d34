"""The README's commands are run from a copy of the tree, as a stranger would run them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests import processes

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240


def blocks(page: Path) -> list[str]:
    """The commands of a page, block by block."""
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what is under version control (and what is about to be), with this checkout's .venv as it is."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    tree = tmp_path / "membrane"
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    (tree / ".venv").mkdir()
    for part in ("bin", "lib", "lib64", "include", "pyvenv.cfg"):
        if (ROOT / ".venv" / part).exists():
            (tree / ".venv" / part).symlink_to(ROOT / ".venv" / part)
    (tree / ".venv" / ".installed").touch()  # so that `make` in the copy installs nothing into our .venv
    return tree


@pytest.mark.parametrize("page", ["README.md", "README.es.md"])
def test_every_command_of_the_readme_works_in_its_order(page: str, copy: Path) -> None:
    port = processes.free_port()
    script = "set -euo pipefail\n" + "\n".join(blocks(ROOT / page)).replace("8080", str(port))
    assert "membrane up" in script
    environment = {**processes.environment(), "PYTHONPATH": str(copy), "NO_COLOR": "1"}
    told = copy / "told.txt"
    with told.open("wb") as output:
        # `membrane up` stays in the background: the script's own end counts, then its whole session is ended.
        running = subprocess.Popen(
            ["bash", "-c", script], cwd=copy, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code = running.wait(SECONDS)
        finally:
            os.killpg(running.pid, signal.SIGTERM)
    text = told.read_text()
    assert code == 0, text
    assert "All 10 steps came out as told." in text
    assert '"verdict":"forbid"' in text
    assert "promised_time" in text
