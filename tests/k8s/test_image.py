"""The steps of the Dockerfile's first stage, where no engine can build it: carried out in a folder and a clean venv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
MOST_MIB = 750
STEP_SECONDS = 600


def steps() -> list[tuple[str, str]]:
    """(instruction, words) of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def stages() -> list[list[tuple[str, str]]]:
    """The steps, stage by stage."""
    found: list[list[tuple[str, str]]] = []
    for step in steps():
        if step[0] == "FROM":
            found.append([])
        found[-1].append(step)
    return found


def copied() -> set[str]:
    """What the first stage copies from the checkout."""
    return {name for word, rest in stages()[0] if word == "COPY" for name in rest.split()[:-1]}


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied() == let_in
    assert [name for name in let_in if not (ROOT / name).exists()] == []


def test_the_image_holds_every_package_that_ships() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "k8s"}
    assert packages <= copied()


def test_the_image_runs_as_the_user_and_on_the_port_of_the_manifests() -> None:
    last = dict(stages()[-1])
    manifest = (ROOT / "k8s/overlays/single/stateful-set.yaml").read_text()
    assert f"runAsUser: {last['USER'].split(':')[0]}\n" in manifest
    assert f"containerPort: {last['EXPOSE']}}}" in manifest


@pytest.mark.image
def test_what_is_installed_runs_the_service_and_is_as_small_as_told(tmp_path: Path) -> None:
    venv = _built(tmp_path)
    packages = venv / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) / 2**20
    print(f"site-packages: {size:.0f} MiB")
    assert size < MOST_MIB
    port, data = processes.free_port(), tmp_path / "data"
    words = [venv / "bin/membrane", "up", "--data", data, "--port", str(port), "--learn", "on"]
    variables = {**processes.environment(), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}
    told = tmp_path / "told"
    with told.open("wb") as output:
        running = subprocess.Popen(words, cwd=tmp_path, env=variables, stdout=output, stderr=output)
    service = processes.Service(running, data, port, told)
    try:
        service.wait_ready()
        assert service.pid("learn") > 0
        code = service.stop()
    finally:
        service.kill()
    assert code == 0, service.errors()
    trained = subprocess.run(
        [venv / "bin/membrane", "train", "churn", "--data", data, "--out", tmp_path / "model"],
        cwd=tmp_path, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert trained.returncode == 1, trained.stderr  # there are no labels yet, and the trainer says so
    assert "Traceback" not in trained.stderr


def _built(folder: Path) -> Path:
    """The first stage carried out under `folder`; its venv."""
    venv, build = folder / "venv", folder / "build"
    build.mkdir()
    variables = {**os.environ, "VENV": str(venv), "PATH": f"{_python(folder)}{os.pathsep}{os.environ['PATH']}"}
    for word, rest in stages()[0]:
        if word == "COPY":
            *names, _ = rest.split()
            for name in names:
                _copy(ROOT / name, build / name)
        elif word == "RUN":
            done = subprocess.run(
                ["/bin/sh", "-ec", rest], cwd=build, env=variables, capture_output=True, text=True,
                timeout=STEP_SECONDS, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{rest}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        else:
            assert word in {"FROM", "ARG", "WORKDIR"}, f"{word}: this test does not carry it out"
    return venv


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def _python(folder: Path) -> Path:
    """A folder in which `python` is the interpreter that this checkout's venv was made of."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "python").symlink_to(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]
    return tools
