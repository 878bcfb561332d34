from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.main import main
from cli.replay import batches, chosen_url
from membrane.errors import UsageError


def event(number: int, **changes: Any) -> dict[str, Any]:
    made = {
        "specversion": "1.0",
        "id": str(number),
        "source": "test",
        "type": "cx.usage.measured.v1",
        "subject": f"c-{number % 3}",
        "time": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
        "data": {"metric": "payments", "value": number},
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def write(path: Path, events: list[Any]) -> Path:
    path.write_bytes(b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in events))
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """1,000 sound signals, two of them twice, a blank line, and one of each kind of bad one."""
    sound = [event(number) for number in range(1000)]
    bad = [b"{not json", b'{"id": "\xff"}', event(2000, subject=None)]
    letters = [event(3000, type="cx.unheard.of.v1"), event(3001, time="2999-01-01T00:00:00Z")]
    return write(tmp_path / "mixed.ndjson", [*sound, *sound[:2], b"", *bad, *letters])


COUNTS = {"accepted": 1000, "duplicates": 2, "dead_lettered": 2, "rejected": 3, "sent": 1007}


def replayed(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["replay", *map(str, arguments), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_the_four_counts_add_up_to_what_was_sent_into_a_log(mixed, tmp_path, capsys):
    told = replayed(capsys, mixed, "--data", tmp_path / "data")
    assert {name: told[name] for name in COUNTS} == COUNTS
    assert told["refusals"][2] == "line 1006: /subject: required"


def test_a_second_time_all_are_duplicates(mixed, tmp_path, capsys):
    replayed(capsys, mixed, "--data", tmp_path / "data")
    told = replayed(capsys, mixed, "--data", tmp_path / "data")
    assert (told["accepted"], told["duplicates"]) == (0, 1002)


def test_over_http_the_counts_are_the_same(mixed, tmp_path, capsys, start):
    running = start("up", "--data", tmp_path / "data", "--port", 0)
    running.wait_for("http://")
    url = (tmp_path / "data" / "run" / "api.url").read_text()
    told = replayed(capsys, mixed, "--url", url)
    assert {name: told[name] for name in COUNTS} == COUNTS
    assert told["refusals"][2] == "line 1006: /subject: required"
    assert main(["decide", "--url", url, "--customer", "c-1", "--domain", "service", "--kind", "agent_call",
                 "--channel", "phone"]) == 0  # fmt: skip
    assert "service-agent_call: allow" in capsys.readouterr().out
    assert main(["doctor", "--data", str(tmp_path / "data")]) == 0
    assert f"ok    api: {url} is ready" in capsys.readouterr().out


def test_principles_are_in_force_before_the_first_signal(mixed, tmp_path, capsys):
    replayed(capsys, mixed, "--data", tmp_path / "data", "--clock", "signals")
    main(["doctor", "--data", str(tmp_path / "data")])
    assert "ok    principles: revision" in capsys.readouterr().out


def test_people_see_the_counts_and_why_lines_were_rejected(mixed, tmp_path, capsys):
    assert main(["replay", str(mixed), "--data", str(tmp_path / "data"), "--rate", "100000"]) == 0
    printed = capsys.readouterr()
    assert "1,000 accepted, 2 duplicates, 2 dead-lettered, 3 rejected: 1,007 signals" in printed.out
    assert "line 1006: /subject: required" in printed.err


def test_many_refusals_are_counted_and_a_few_are_shown(tmp_path, capsys):
    file = write(tmp_path / "bad.ndjson", [event(number, subject=None) for number in range(9)])
    told = replayed(capsys, file, "--data", tmp_path / "data")
    assert (told["rejected"], len(told["refusals"])) == (9, 5)


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["replay", str(tmp_path / "nowhere"), "--data", str(tmp_path / "data")]) == 1
    assert "nowhere: a file of signals was required" in capsys.readouterr().err


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=60))
def test_batches_keep_every_line_in_order_within_their_bounds(lines):
    found = list(batches(lines, signals=7, size=100))
    kept = [(place, line.strip()) for place, line in enumerate(lines, 1) if line.strip()]
    assert [line for batch in found for line in batch] == kept
    assert all(0 < len(batch) <= 7 for batch in found)
    assert all(len(batch) == 1 or sum(len(line) for _, line in batch) <= 100 for batch in found)


def target(**given_: object) -> argparse.Namespace:
    return argparse.Namespace(**{"url": None, "data": None, **given_})


def test_a_flag_wins_over_the_other_target_in_the_environment(monkeypatch):
    monkeypatch.setenv("MEMBRANE_URL", "http://there")
    assert chosen_url(target(url="http://there", data=Path("here"))) is None
    monkeypatch.setenv("MEMBRANE_DATA", "here")
    assert chosen_url(target(url="http://flag", data=Path("here"))) == "http://flag"


def test_exactly_one_target_is_required():
    with pytest.raises(UsageError, match="is required"):
        chosen_url(target())
    with pytest.raises(UsageError, match="both came"):
        chosen_url(target(url="http://there", data=Path("here")))
