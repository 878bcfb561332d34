"""What a department's reader does: the ten examples, and the way from the template to a principle in force."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from cli.main import main
from cli.prepare import Wishes, prepare
from membrane.lint.check import lint
from membrane.principle_tests import coverage, run_tests
from membrane.principles import Effect
from serving.config import ServeConfig
from serving.services import Services
from storage.clock import wall_ms
from storage.principles import DEFAULT_PACK, compile_principles, draft_of
from tests.docs.pages import DOCS, ROOT, examples, text
from tests.serving.conftest import Api, Clock

HEADER = "pack: ten\nrevision: 2026-01-01.1\nextends: default\n"


def ten() -> bytes:
    """The examples of the section in one file."""
    section = text("principles.md").split("\n## Ten examples\n")[1].split("\n## ")[0]
    bodies = re.findall(r"^```yaml\nprinciples:\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return (HEADER + "principles:\n" + "".join(bodies)).encode()


def test_the_ten_examples_show_every_effect_and_each_is_tested_in_every_way():
    found = compile_principles(ten(), base=compile_principles(DEFAULT_PACK.read_bytes()))
    assert len(found.principles) == 10
    assert {one.effect for one in found.principles} == set(Effect)
    results = run_tests(found)
    assert [one for one in results if not one.passed] == []
    seen = coverage(found, results)
    assert [name for name, one in seen.items() if not (one.matched and one.not_matched and one.errors)] == []


def test_beside_the_pack_that_ships_nothing_is_wrong_with_the_ten_examples():
    report = lint(draft_of(ten(), base=compile_principles(DEFAULT_PACK.read_bytes())))
    assert [(one.kind, one.principles) for one in report.findings] == []


def test_every_field_of_a_principle_and_an_obligation_stands_in_an_example():
    shown = "".join(one.body for one in examples(DOCS / "principles.md", "yaml"))
    described = re.findall(r"^\| (`[a-z_`, ]+`) \| (?:yes|–|with|one of)", text("principles.md"), re.MULTILINE)
    names = {name for cell in described for name in re.findall(r"`(\w+)`", cell)}
    assert {"id", "when", "obligation", "once_per", "breaker", "met_by"} <= names
    assert [name for name in sorted(names) if not re.search(rf"\b{name}:", shown)] == []


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Path:
    """A data directory with a week's contacts, in the folder where the commands are typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "membrane").symlink_to(ROOT / "membrane")
    prepare(Path("shop"), Wishes(partitions=1), wall_ms())
    contact = {"domain": "marketing", "kind": "newsletter", "channel": "email"}
    events = [("message.received", {"channel": "chat"})] * 5 + [("contact.made", contact)]
    lines = [
        {"specversion": "1.0", "id": str(number), "source": "crm", "subject": "c-1", "type": f"cx.{name}.v1",
         "time": f"2026-11-20T10:0{number}:00Z", "data": data}
        for number, (name, data) in enumerate(events)
    ]  # fmt: skip
    Path("week.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["replay", "week.ndjson", "--data", "shop", "--clock", "signals"]) == 0
    return Path("shop")


def test_from_the_template_to_a_principle_in_force_it_takes_five_commands(shop, capsys):
    [shown] = [one.body for one in examples(DOCS / "principles.md", "sh") if one.mark == "five commands"]
    copy, *commands, put = [shlex.split(line) for line in shown.splitlines()]
    assert len(commands) == 3
    assert copy[0] == "cp"
    shutil.copy(copy[1], copy[2])
    for program, *arguments in commands:
        assert program == "membrane"
        capsys.readouterr()
        assert main(arguments) == 0
    assert "held back" in capsys.readouterr().out
    assert put[:4] == ["curl", "-s", "-X", "PUT"]
    api = Api(Services.open(ServeConfig(data=shop)), Clock(wall_ms()))
    try:
        path = put[4].removeprefix("http://127.0.0.1:8080")
        answer = api.put(path, content=Path(put[6].removeprefix("@")).read_bytes())
        assert (answer.status_code, answer.json()["changed"]) == (200, True)
        live = {one["id"]: one["status"] for one in api.get("/v1/principles").json()["principles"]}
        assert live["no-newsletter-after-many-contacts"] == "live"
        assert "no-selling-in-crisis" in live
    finally:
        api.close()


def test_the_template_holds_back_what_it_says_in_the_simulation(shop, capsys):
    template = str(ROOT / "membrane" / "packs" / "template.yaml")
    capsys.readouterr()
    assert main(["principles", "simulate", "--draft", template, "--data", str(shop), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["by_principle"]["no-newsletter-after-many-contacts"]["held_back"] == 1
