"""Fault 24 (load time): twelve broken principle files, each refused with file, line and column by every way in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.principle_sets import DEFAULT_PACK
from tests.faults.conftest import Tell
from tests.processes import run, up

PACK = DEFAULT_PACK.read_text()
WHEN = 'when: stage.name == "crisis"\n    effect: forbid'
YAML = {"Content-Type": "application/yaml"}


def swapped(old: str, new: str) -> Callable[[], bytes]:
    assert old in PACK
    return lambda: PACK.replace(old, new, 1).encode()


MUTANTS: dict[str, Callable[[], bytes]] = {
    "a misspelled fact": swapped(WHEN, WHEN.replace("stage.name", "stage.nmae")),
    "an impossible value": swapped(WHEN, WHEN.replace("crisis", "crysis")),
    "days, which conditions do not have": swapped(
        WHEN, WHEN.replace('stage.name == "crisis"', 'stage.age > duration("3d")')
    ),
    "a condition that is no yes or no": swapped(WHEN, WHEN.replace(' == "crisis"', "")),
    "a condition that breaks off": swapped(WHEN, WHEN.replace('"crisis"', "(")),
    "an unknown effect": swapped("effect: forbid", "effect: forbdi"),
    "an unknown field": swapped("    owner: service\n", "    ownr: service\n"),
    "an unknown domain": swapped("{domains: [marketing, sales]}", "{domains: [marketign, sales]}"),
    "two principles of one id": swapped("id: no-survey-before-a-promised-time", "id: no-selling-in-crisis"),
    "a key that is there twice": swapped("effect: forbid", "effect: forbid\n    effect: allow"),
    "an alias bomb": lambda: b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n" + PACK.encode(),
    "a file that breaks off": lambda: PACK.encode()[: len(PACK) // 3] + b'\n  "',
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    with up(tmp_path_factory.mktemp("principles") / "data", "--runner", "plain") as running:
        yield running


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_principle_file_is_refused_with_its_place_and_the_last_good_one_stays(
    service, tmp_path: Path, mutant: str
) -> None:
    file = tmp_path / "etiquette.yaml"
    file.write_bytes(MUTANTS[mutant]())
    checked = run("principles", "check", file, "--json")
    assert checked.returncode == 1
    faults = json.loads(checked.stdout)["faults"]
    assert faults
    assert all(fault["line"] >= 1 and fault["column"] >= 1 and fault["problem"] for fault in faults)
    assert {fault["file"] for fault in faults} == {str(file)}
    with service.client() as client:
        before = client.get("/v1/principles").json()
        refused = client.put("/v1/principles", content=file.read_bytes(), headers=YAML)
        assert refused.status_code == 422
        assert f"line {faults[0]['line']}, column {faults[0]['column']}" in refused.text
        told = client.post("/v1/principles/check", content=file.read_bytes(), headers=YAML)
        assert told.status_code == 200
        assert client.get("/v1/principles").json() == before


def test_a_first_start_with_a_broken_file_is_refused_and_a_later_one_keeps_the_last_good(
    tmp_path: Path, tell: Tell
) -> None:
    file, data = tmp_path / "etiquette.yaml", tmp_path / "data"
    file.write_bytes(MUTANTS["a misspelled fact"]())
    refused = run("up", "--data", data, "--port", 0, "--principles", file)
    assert refused.returncode == 1
    assert f"{file}:" in refused.stderr
    file.write_text(PACK)
    with up(data, "--runner", "plain", "--principles", file) as running:
        assert running.stop() == 0
    file.write_bytes(MUTANTS["an unknown effect"]())
    with up(data, "--runner", "plain", "--principles", file) as running, running.client() as client:
        assert "the last good revision" in running.errors()
        assert client.get("/v1/principles").json()["yaml"] == PACK
    tell(f"fault 24: {len(MUTANTS)} mutants refused with file, line and column at load; the last good set stays")
