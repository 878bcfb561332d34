from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from membrane.ports import Commit, partition_of
from membrane.principle_tests import run_tests
from membrane.record import Contact, Record, State, encode
from membrane.times import DAY, HOUR
from membrane.tracker import start
from membrane.vocabulary import CHANNELS, DOMAINS
from serving.principle_sets import DEFAULT_PACK
from storage.directory import DataDir
from storage.principles import compile_principles
from storage.records import RecordStore

NOON = 20_000 * DAY + 12 * HOUR

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


NEVER = 'stage.name == "crisis" && lifecycle == "unknown"'


def test_an_error_exits_1_and_is_told_with_its_place_and_a_customer(file, capsys):
    path = file(when=NEVER)
    assert main(["principles", "check", path]) == 1
    printed = capsys.readouterr()
    assert f"{path}:9:11: error: unreachable: quiet matches no customer there can be" in printed.out
    assert '    shown by {"lifecycle": "active", "stage.name": "crisis"}' in printed.out
    assert "not sound: revision 2026-11-23.1" in printed.out
    assert main(["principles", "check", path, "--language", "es"]) == 1
    assert "no se cumple con ningún cliente posible" in capsys.readouterr().out


def test_warnings_alone_exit_0(file, capsys):
    assert main(["principles", "check", file(), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sound"] is True
    assert {finding["severity"] for finding in told["findings"]} == {"warning"}
    assert told["complete"] is True
    assert told["tried"] > 0


def test_nothing_is_found_in_the_pack_that_ships(capsys):
    assert main(["principles", "check", str(DEFAULT_PACK), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_a_fault_of_a_kind_is_among_the_findings_too(file, tmp_path, capsys):
    path = tmp_path / "ours.yaml"
    path.write_text((tmp_path / file()).read_text("utf-8").replace('es: "Calma.", ', ""), "utf-8")
    assert main(["principles", "check", str(path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [fault["kind"] for fault in told["faults"]] == ["missing_translation"]
    [finding] = told["findings"]
    assert (finding["kind"], finding["principles"]) == ("missing_translation", ["quiet"])
    assert finding["witness"] == {"given": {"stage.name": "crisis"}, "candidate": None, "matches": {"quiet": True}}
    assert main(["principles", "check", str(path)]) == 1
    printed = capsys.readouterr()
    assert "principles[0].text: misses the field 'es'" in printed.err
    assert "error: missing_translation: quiet" in printed.out


def test_customers_are_saved_as_tests_that_pass_and_only_once(file, capsys):
    path = Path(file(when=NEVER))
    before = path.read_text("utf-8")
    assert main(["principles", "check", str(path), "--save"]) == 1
    assert "tests saved" in capsys.readouterr().out
    after = path.read_text("utf-8")
    assert "      - {given: {lifecycle: active, stage.name: crisis}, matches: false}\n" in after
    assert [line for line in after.splitlines() if line in before.splitlines()] == before.splitlines()
    outcomes = run_tests(compile_principles(path.read_bytes()))
    saved = [
        outcome for outcome in outcomes if outcome.path not in ("principles[0].tests[2]", "principles[0].tests[3]")
    ]
    assert main(["principles", "check", str(path), "--save", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["saved"] == 0
    assert path.read_text("utf-8") == after
    assert saved
    assert all(outcome.passed for outcome in saved)


def test_conditions_are_read_back_in_the_language_asked_for(file, capsys):
    path = file()
    assert main(["principles", "check", path, "--read-back", "--language", "es"]) == 0
    assert "quiet: Cuando la etapa de la relación es «crisis»." in capsys.readouterr().out
    assert main(["principles", "check", path, "--read-back", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)["read_back"]
    assert told["en"] == "When the stage of the relationship is crisis."
    assert told["es"] == "Cuando la etapa de la relación es «crisis»."


def test_what_a_file_would_have_refused_is_counted_over_a_data_directory(file, tmp_path, capsys):
    directory = DataDir.open(tmp_path / "data", 2)
    for partition in range(2):
        store = RecordStore.open_for_writing(directory, partition)
        records = [one for one in map(contacted, range(40)) if partition_of("default", one.customer, 2) == partition]
        due = [("default", one.customer, None) for one in records]
        store.commit(Commit([("default", one.customer, encode(one)) for one in records], due))
        store.close()
    everybody = file(when='stage.name != "none"')
    assert main(["principles", "check", everybody, "--data", str(directory.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    [finding] = [one for one in found if one["kind"] == "over_block"]
    assert "Of 40 contacts that marketing made in the last 30 days, 40 (100 %)" in finding["text"]["en"]
    assert finding["witness"]["given"] == {"stage.name": "steady"}
    assert main(["principles", "check", everybody, "--data", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err


def contacted(number: int) -> Record:
    """A steady customer to whom marketing has just written."""
    contact = Contact(f"k-{number}", NOON - HOUR, DOMAINS.index("marketing"), CHANNELS.index("email"), "newsletter")
    state = State(first_at=NOON - 400 * DAY, contacts=[contact])
    return Record("default", f"c-{number}", 1, NOON, 0, state, start(NOON - 90 * DAY))


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
    assert told.pop("coverage")["principles"] == {
        "quiet": {"effect": "forbid", "matched": 1, "not_matched": 1, "errors": 0}
    }
    assert told == {"tests": 2, "failed": [{"principle": "quiet", "test": "principles[0].tests[1]"}], "untested": []}


def test_what_the_tests_have_seen_is_told_by_effect_and_what_they_have_not_by_name(file, capsys):
    assert main(["principles", "test", file()]) == 0
    printed = capsys.readouterr()
    assert "forbid: of 1 principles 1 were seen matching, 1 not matching, 0 failing" in printed.out
    assert "require: of 0 principles" in printed.out
    assert "quiet has no test in which it fails" in printed.err
    assert main(["principles", "test", file(), "--json"]) == 0
    verdicts = json.loads(capsys.readouterr().out)["coverage"]["verdicts"]
    assert verdicts["forbid"] == {"principles": 1, "matched": 1, "not_matched": 1, "errors": 0}


def test_the_tests_of_the_pack_that_ships_cover_every_effect_in_every_way(capsys):
    assert main(["principles", "test", str(DEFAULT_PACK), "--json"]) == 0
    for seen in json.loads(capsys.readouterr().out)["coverage"]["verdicts"].values():
        assert seen["principles"] == seen["matched"] == seen["not_matched"] == seen["errors"] > 0


def test_a_tenants_file_is_checked_against_what_it_extends(file, tmp_path, capsys):
    base, own = tmp_path / "base.yaml", tmp_path / "own.yaml"
    text = Path(file()).read_text()
    base.write_text(text.replace("effect: forbid", "effect: forbid\n    locked: true"))
    own.write_text(text.replace("pack: ours", "pack: theirs\nextends: default").replace("forbid", "defer"))
    assert main(["principles", "check", str(own)]) == 0
    assert main(["principles", "check", str(own), "--base", str(base)]) == 1
    told = capsys.readouterr().err
    assert "own.yaml:6:5: principles[0]: loosens 'quiet', which is locked in ours 2026-11-23.1: its effect" in told


def test_a_tenants_file_is_looked_at_together_with_the_base_that_is_named(file, tmp_path, capsys):
    base, own = tmp_path / "base.yaml", tmp_path / "own.yaml"
    base.write_text(Path(file(when="case.open < 0")).read_text())
    again = Path(file()).read_text().replace("pack: ours", "pack: theirs\nextends: default").replace("quiet", "calm")
    own.write_text(again)
    assert main(["principles", "check", str(own)]) == 0
    assert "own.yaml:6:5: warning: shadowed: Wherever calm matches" in capsys.readouterr().out
    assert main(["principles", "check", str(own), "--base", str(base), "--save"]) == 0
    told = capsys.readouterr().out
    assert "own.yaml:6:5: warning: gap" in told
    assert "shadowed" not in told


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["principles", "check", str(tmp_path / "nowhere.yaml")]) == 1
    assert "nowhere.yaml: a principle file was required" in capsys.readouterr().err
