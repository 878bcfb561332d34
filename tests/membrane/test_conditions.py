"""Conditions in CEL against the dictionary of facts."""

from datetime import timedelta

import cel as rust_cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.conditions import MAX_LENGTH, Condition, ConditionFault, compile_condition
from membrane.dictionary import FACTS, CaseFacts
from membrane.given import Given
from membrane.times import HOUR
from tests.membrane.fakes_principles import default_pack

FEATURES = ("contacts_7d", "sentiment_mean_30d")


def faults(text):
    found = compile_condition(text, FEATURES)
    assert not isinstance(found, Condition), text
    return found


def compiled(text):
    found = compile_condition(text, FEATURES)
    assert isinstance(found, Condition), found
    return found


def case(**fields):
    plain = {"case": "k", "category": "terminal", "product": "t-1", "severity": 2, "status": "open", "age_ms": 2 * HOUR}
    return CaseFacts(**(plain | {"has_eta": False, "eta_missed": False, "recurrences": 4} | fields))


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ('stage.nmae == "crisis"', 1, 6, "no fact 'stage.nmae'; did you mean 'stage.name'?"),
        ("case.open > 1 &&\n  risk.relapze", 2, 7, "no fact 'risk.relapze'; did you mean 'risk.relapse'?"),
        ("features.contacts_8d > 1.0", 1, 9, "no fact 'features.contacts_8d'; did you mean 'features.contacts_7d'?"),
        ('stage.name == "crysis"', 1, 15, "no value 'crysis'; did you mean 'crisis'?"),
        ('lifecycle in ["new", "dormnt"]', 1, 22, "no value 'dormnt'; did you mean 'dormant'?"),
        ('"mail" == request.channel', 1, 1, "no value 'mail'; did you mean 'email'?"),
        ('"x" in [stage.name]', 1, 1, "no value 'x'"),
        ('cases.exists(c, c.status == "opne")', 1, 29, "no value 'opne'; did you mean 'open'?"),
        ("cases.exists(c, c.opne)", 1, 18, "no field of a case 'opne'"),
        ('cases.exists(c, c.open == "yes")', 1, 18, "no field of a case 'open'"),
        ("case.open", 1, 1, "must say true or false, not int"),
        ('"crisis"', 1, 1, "must say true or false, not string"),
        ("stage.name == 3", 1, 12, "no matching overload"),
        ("stage.p_crisis > 1", 1, 16, "no matching overload"),
        ("1 +", 1, 4, "Syntax error"),
        ('stage.age > duration("3d")', 1, 22, "CEL has no days"),
        ('stage.age > duration("")', 1, 22, "takes a literal"),
        ("stage.age > duration(stage.name)", 1, 27, "takes a literal"),
        ('stage.age > duration("9999999h")', 1, 22, "takes a literal"),
        ('stage.age > duration("-1h")', 1, 22, "takes a literal"),
        ("case.open" + " + 1" * 99 + " > 0", 1, 1, "nested too deep"),
        ("'\ud800' == stage.name", 1, 1, "must be a CEL expression"),
        ("stage.age > episode.age", 1, 6, "only be compared with one literal"),
        ('stage.age + duration("1h") > duration("2h")', 1, 6, "only be compared with one literal"),
        ("dyn(stage.name) == 3", 1, 4, "dyn() may not stand"),
        ('stage.name.matches("a.*")', 1, 19, "matches() may not stand"),
        ("{1: true}[1]", 1, 1, "maps"),
        ("null == null", 1, 1, "null"),
        ("cases[0].severity == 1", 1, 1, "nothing is known"),
        ("cases.exists(a, cases.exists(b, cases.exists(c, true)))", 1, 13, "2 deep"),
        (" " * MAX_LENGTH + "true", 1, 1, f"at most {MAX_LENGTH} characters"),
        ("", 1, 1, "Syntax error"),
    ],
)
def test_a_faulty_condition_is_refused_with_line_column_and_nearest_name(text, line, column, problem):
    first = faults(text)[0]
    assert (first.line, first.column) == (line, column)
    assert problem in first.problem


def test_every_fault_of_a_condition_is_told():
    assert len(faults('stage.nmae == "x" || cas.open > 2 || lifcycle == "new"')) == 3
    assert len(faults('stage.name == "x" || lifecycle == "y" || stage.age > duration("1d")')) == 3


@pytest.mark.parametrize(
    "text", ["-" * 999 + "1", "1" + " + 1" * 450, "(" * 900 + "true" + ")" * 900, "[" * 900, "\0", "1u == 1u"]
)
def test_wild_text_is_refused_and_never_raises(text):
    assert faults(text)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_every_fact_of_the_dictionary_can_stand_in_a_condition(fact):
    literal = {"string": f'"{fact.unknown}"', "bool": str(fact.unknown).lower(), "duration": 'duration("1s")'}
    text = f"{fact.name} == {literal.get(fact.type, repr(fact.unknown))}"
    assert compiled(text).evaluate(Given()) is (fact.type != "duration")


def test_the_facts_given_decide():
    text = 'stage.name == "crisis" && stage.age > duration("72h")'
    values = {"stage.name": "crisis", "stage.age": 72 * HOUR}
    assert compiled(text).evaluate(Given(values)) is False
    assert compiled(text).evaluate(Given(values | {"stage.age": 72 * HOUR + 1})) is True


def test_open_cases_are_seen_one_by_one():
    condition = compiled('cases.exists(c, c.severity <= 2 && c.age > duration("1h") && c.recurrences > 3)')
    assert condition.evaluate(Given(open_cases=(case(severity=3), case()))) is True
    assert condition.evaluate(Given(open_cases=(case(severity=3), case(recurrences=3)))) is False


def test_a_failing_evaluation_says_nothing():
    overflow = compiled("case.open + 9223372036854775807 > 0")
    assert overflow.evaluate(Given({"case.open": 1})) is None
    assert compiled("case.open > 0").by_engine(Given({"case.open": 2**70})) is None


def test_a_cost_bomb_is_stopped_by_the_engines_budget():
    numbers = ", ".join(map(str, range(150)))
    bomb = f"[{numbers}].all(a, [{numbers}].all(b, a + b + case.open >= 0))"
    assert isinstance(compile_condition(bomb), tuple)
    assert compile_condition(bomb) == (ConditionFault(1, 1, "fails for a customer of whom nothing is known"),)


leaves = st.sampled_from(
    [
        'stage.name == "crisis"',
        'stage.name != "steady"',
        'stage.name in ["crisis", "strained"]',
        'stage.age > duration("72h")',
        'duration("72h") >= stage.age',
        "case.open > case.waiting_on_customer",
        "case.open <= 2",
        "3 > case.open",
        "case.open in [0, 2]",
        "stage.p_crisis >= 0.4",
        "risk.relapse",
        "risk.relapse == false",
        "lifecycle < stage.name",
    ]
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("(({}) == ({}))".format, inner, inner),
    ),
    max_leaves=6,
)
facts = st.fixed_dictionaries(
    {
        "stage.name": st.sampled_from(["crisis", "strained", "steady", "none"]),
        "lifecycle": st.sampled_from(["new", "active", "unknown"]),
        "stage.age": st.sampled_from([0, 72 * HOUR - 1, 72 * HOUR, 72 * HOUR + 1]),
        "case.open": st.integers(0, 4),
        "case.waiting_on_customer": st.integers(0, 4),
        "stage.p_crisis": st.sampled_from([0.0, 0.4, 0.41, 1.0]),
        "risk.relapse": st.booleans(),
    }
)


@given(conditions, facts)
def test_closures_say_what_the_engine_says(text, values):
    condition = compiled(text)
    assert condition.evaluate is not condition.by_engine
    assert condition.evaluate(Given(values)) is condition.by_engine(Given(values))


def by_rust(text, values):
    """What another implementation of the language says, with facts as nested maps."""
    context = {}
    for fact in FACTS:
        first, _, second = fact.name.partition(".")
        value = values.get(fact.name, fact.unknown)
        value = timedelta(milliseconds=value) if fact.type == "duration" else value
        if second:
            context.setdefault(first, {})[second] = value
        else:
            context[first] = value
    return rust_cel.evaluate(text, context)


@given(conditions, facts)
def test_another_implementation_of_the_language_agrees(text, values):
    assert compiled(text).evaluate(Given(values)) is by_rust(text, values)


@given(st.sampled_from([one.condition for one in default_pack().principles]), facts)
def test_another_implementation_agrees_on_the_shipped_pack(condition, values):
    assert condition.evaluate(Given(values)) is condition.by_engine(Given(values)) is by_rust(condition.source, values)
