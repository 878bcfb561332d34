from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from serving.principle_sets import DEFAULT_PACK

FILE = """
pack: ours
revision: 2026-11-23.1
principles:
  - id: quiet
    owner: marketing
    text: {{es: "Calma.", en: "Quiet."}}
    applies: {{domains: [marketing]}}
    when: {when}
    effect: forbid
    tests:
      - {{given: {{stage.name: crisis}}, matches: true}}
      - {{given: {{stage.name: steady}}, matches: {steady}}}
"""


@pytest.fixture
def file(tmp_path):
    def write(when: str = 'stage.name == "crisis"', steady: str = "false"):
        path = tmp_path / "ours.yaml"
        path.write_text(FILE.format(when=when, steady=steady), encoding="utf-8")
        return str(path)

    return write


def test_a_sound_file_is_called_so(file, capsys):
    assert main(["principles", "check", file()]) == 0
    assert "sound: revision 2026-11-23.1, 1 principles" in capsys.readouterr().out


def test_the_pack_that_ships_is_sound_and_its_tests_pass(capsys):
    assert main(["principles", "check", str(DEFAULT_PACK)]) == 0
    assert main(["principles", "test", str(DEFAULT_PACK)]) == 0
    assert "has no tests" not in capsys.readouterr().err


def test_faults_are_told_with_file_line_column_and_field(file, capsys):
    path = file(when='stage.nam == "crisis"')
    assert main(["principles", "check", path]) == 1
    assert f"{path}:9:" in capsys.readouterr().err


def test_faults_in_json_are_a_list(file, capsys):
    assert main(["principles", "check", file(when='stage.nam == "crisis"'), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["sound"], [fault["line"] for fault in told["faults"]]) == (False, [9])


def test_tests_that_pass_are_counted(file, capsys):
    assert main(["principles", "test", file()]) == 0
    assert "2 of 2 tests passed" in capsys.readouterr().out


def test_a_test_that_fails_is_named_and_exits_1(file, capsys):
    assert main(["principles", "test", file(steady="true")]) == 1
    printed = capsys.readouterr()
    assert "principles[0].tests[1]: quiet: a match was required, no match came" in printed.err
    assert "1 of 2 tests passed" in printed.out
    assert main(["principles", "test", file(steady="true"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {"tests": 2, "failed": [{"principle": "quiet", "test": "principles[0].tests[1]"}], "untested": []}


def test_a_tenants_file_is_checked_against_what_it_extends(file, tmp_path, capsys):
    base, own = tmp_path / "base.yaml", tmp_path / "own.yaml"
    text = Path(file()).read_text()
    base.write_text(text.replace("effect: forbid", "effect: forbid\n    locked: true"))
    own.write_text(text.replace("pack: ours", "pack: theirs\nextends: default").replace("forbid", "defer"))
    assert main(["principles", "check", str(own)]) == 0
    assert main(["principles", "check", str(own), "--base", str(base)]) == 1
    told = capsys.readouterr().err
    assert "own.yaml:6:5: principles[0]: loosens 'quiet', which is locked in ours 2026-11-23.1: its effect" in told


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["principles", "check", str(tmp_path / "nowhere.yaml")]) == 1
    assert "nowhere.yaml: a principle file was required" in capsys.readouterr().err
