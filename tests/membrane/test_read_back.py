"""Conditions read back: every sentence of the pack that ships, as it was read and found right."""

from __future__ import annotations

from pathlib import Path

import pytest

from membrane.conditions import Condition, compile_condition
from membrane.dictionary import CASE_FIELDS, CASE_WORDS, FACTS
from membrane.features import FEATURE_NAMES
from membrane.read_back import read_back
from tests.membrane.fakes_principles import default_pack

PINNED = [line.strip() for line in Path(__file__).with_name("read_back.txt").read_text("utf-8").splitlines()]
SENTENCES = {PINNED[n]: (PINNED[n + 1], PINNED[n + 2]) for n in range(0, len(PINNED), 3)}
"""By the id of a principle of the pack that ships, or by a condition: the sentence in English and in Spanish."""
PACK = {one.id: one.condition for one in default_pack().principles}


def said(when: str, language: str = "en") -> str:
    condition = compile_condition(when, FEATURE_NAMES)
    assert isinstance(condition, Condition), condition
    return read_back(condition.tree, language)


@pytest.mark.parametrize("name", PACK)
def test_every_condition_of_the_pack_that_ships_is_read_back_in_both_languages(name: str):
    tree = PACK[name].tree
    assert (read_back(tree, "en"), read_back(tree, "es")) == SENTENCES[name]


@pytest.mark.parametrize("when", [name for name in SENTENCES if name not in PACK])
def test_the_rest_of_the_language_is_read_back_too(when: str):
    assert (said(when), said(when, "es")) == SENTENCES[when]


@pytest.mark.parametrize(
    "when",
    [
        "true",
        "case.open > 1 ? risk.relapse : profile.vulnerable",
        "case.open > 0 && cases[0].has_eta && cases[0].severity + 1 > 2",
        "-case.open * 2 - 1 < 5",
        "cases.map(c, c.severity).exists(x, x == 1)",
        "cases.map(c, c.severity > 2, c.product).exists(x, x == '')",
        "'x' in cases.map(c, c.product)",
        "case.open in []",
        "cases.exists(c, c.category.contains('bill') || c.product.startsWith('a') || c.product.endsWith('b'))",
        "[1, 2].exists(x, x == case.open)",
        "(case.open > 1) == (case.open < 9)",
        "has(cases[0].product) || case.open == 0",
    ],
)
@pytest.mark.parametrize("language", ["en", "es"])
def test_whatever_may_stand_in_a_condition_is_said(when: str, language: str):
    sentence = said(when, language)
    assert sentence.endswith(".")
    assert "{" not in sentence
    assert "@" not in sentence


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_every_fact_and_value_has_words(fact):
    literals = {"bool": "true", "int": "1", "double": "1.0", "duration": 'duration("1h")'}
    for value in [f'"{value}"' for value in fact.values] or [literals[fact.type]]:
        assert fact.en in said(f"{fact.name} == {value}")
        assert fact.es in said(f"{fact.name} == {value}", "es")
    for value in fact.values:
        assert f"«{value}»" not in said(f'{fact.name} == "{value}"')  # it has words of its own


@pytest.mark.parametrize("field", CASE_FIELDS)
def test_every_field_of_a_case_has_words(field):
    literals = {"bool": "true", "int": "1", "string": '""', "duration": 'duration("1h")'}
    literal = '"open"' if field == "status" else literals[CASE_FIELDS[field]]
    for language in ("en", "es"):
        assert CASE_WORDS[field][language] in said(f"cases.exists(c, c.{field} == {literal})", language)
