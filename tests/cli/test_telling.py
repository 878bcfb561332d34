from __future__ import annotations

from cli.story import STEPS
from cli.telling import Teller, alike
from tests.cli.answers import answer


def test_verdicts_that_differ_only_in_their_candidate_are_told_together():
    verdicts = [answer(verdict={"candidate": name, **more})["verdicts"][0]
                for name, more in (("a", {}), ("b", {"verdict": "allow"}), ("c", {}))]  # fmt: skip
    assert alike(verdicts) == [[0, 2], [1]]


def test_a_step_is_told_with_its_reasons_in_both_languages(capsys):
    spanish = answer(
        verdict={"reasons": [{"source": "principle", "id": "no-selling", "text": "No vender.", "facts": {}}]}
    )
    modified = {"modifications": [{"set": {"skip": ["ivr", "bot"], "mention_case": True}, "by": "person"}]}
    english = answer(verdict=modified)
    teller = Teller(language="both", shown=True)
    teller.tell(3, STEPS[2], {"en": english, "es": spanish}, ["stage: wrong"])
    printed = capsys.readouterr().out
    for text in (
        STEPS[2].title["en"], STEPS[2].title["es"], "crisis since 2026-01-01T00:00:00Z", "relapse risk: no",
        "x forbid until 2026-01-03T00:00:00Z: ad", "No. / No vender. [no-selling]",
        "with skip: ivr, bot, mention_case: true [person]", "unless stage.name were steady",
        "owed: agent_call by service, due 2026-01-01T04:00:00Z (open)", "NOT AS TOLD: stage: wrong",
    ):  # fmt: skip
        assert text in printed
    assert "\x1b" not in printed


def test_an_answer_that_ran_out_of_time_in_one_language_is_told_in_the_other(capsys):
    english, spanish = answer(), answer(verdict={"reasons": []})
    Teller(language="both", shown=True).tell(3, STEPS[2], {"en": english, "es": spanish}, [])
    assert "       No. [no-selling]" in capsys.readouterr().out


def test_permits_who_won_and_what_was_revoked_are_told(capsys):
    permitted = answer(verdict={"verdict": "allow", "reasons": [], "permit": "p1", "permit_until": "12:15"})
    lost = {"source": "arbitration", "id": "one-at-a-time", "text": "Another.", "facts": {"lost_to": "upsell"}}
    teller = Teller(language="en", shown=True)
    teller.tell(3, STEPS[2], {"en": permitted}, [], [{"candidate": "news", "cause": {"id": "no-selling"}}])
    teller.tell(3, STEPS[2], {"en": answer(verdict={"reasons": [lost]})}, [])
    printed = capsys.readouterr().out
    for text in (
        "ad, with a permit until 12:15",
        "the permit of news [no-selling]",
        "[arbitration: upsell was chosen]",
    ):
        assert text in printed


def test_the_end_says_how_it_came_out_and_the_time(capsys):
    teller = Teller(language="en", shown=True)
    teller.end([], 9, 12.34)
    teller.end(["step 1: stage"], 9, 1.0)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "All 9 steps came out as told.", "Total time: 12.3 s",
        "1 things did not come out as told:", "  step 1: stage", "Total time: 1.0 s",
    ]  # fmt: skip


def test_nothing_is_printed_unless_shown(capsys):
    Teller(language="en", shown=False).begin()
    assert capsys.readouterr().out == ""
