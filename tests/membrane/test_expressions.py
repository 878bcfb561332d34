"""What the tree of a condition says without an engine."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.conditions import Condition, compile_condition
from membrane.expressions import AgeBound, Threshold
from membrane.features import AGES, FEATURE_NAMES
from membrane.given import Given
from membrane.times import DAY, HOUR, MINUTE
from membrane.vocabulary import STAGES


def compiled(text):
    found = compile_condition(text, ("contacts_7d", *FEATURE_NAMES))
    assert isinstance(found, Condition), found
    return found


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ('stage.name == "crisis"', {"stage.name"}),
        ("case.open > case.waiting_on_customer && profile.vulnerable", None),
        ("cases.exists(c, c.severity == 1)", {"cases"}),
        ("cases.exists(c, c.eta_missed)", {"cases", "case.eta_missed"}),
        ("features.contacts_7d > 3.0", {"features.contacts_7d"}),
        ("true", set()),
    ],
)
def test_a_condition_names_the_facts_it_reads(text, reads):
    expected = {"case.open", "case.waiting_on_customer", "profile.vulnerable"} if reads is None else reads
    assert compiled(text).reads == expected


@pytest.mark.parametrize(
    ("op", "mirrored", "moments"),
    [
        (">=", "<=", (HOUR,)),
        ("<", ">", (HOUR,)),
        (">", "<", (HOUR + 1,)),
        ("<=", ">=", (HOUR + 1,)),
        ("==", "==", (HOUR, HOUR + 1)),
        ("!=", "!=", (HOUR, HOUR + 1)),
    ],
)
def test_an_age_changes_a_comparison_at_its_literal_or_one_millisecond_later(op, mirrored, moments):
    expected = (AgeBound("stage.age", op, HOUR),)
    assert compiled(f'stage.age {op} duration("1h")').ages == expected
    assert compiled(f'duration("1h") {mirrored} stage.age').ages == expected
    assert expected[0].moments_ms == moments


@pytest.mark.parametrize(
    ("text", "op", "ms"),
    [
        ("features.silence >= 20.0", ">=", 20 * DAY),
        ("20.0 >= features.silence", "<=", 20 * DAY),
        ("features.open_case_age_hours > 1.5", ">", 90 * MINUTE),
        ("features.silence > 0.123456789", ">=", 10_666_667),  # the first whole millisecond beyond
        ("features.silence < 1e300", "<", 86_399_999_999_999_999),  # never reached
    ],
)
def test_a_feature_that_is_an_age_changes_a_comparison_at_its_literal(text, op, ms):
    found = compiled(text)
    [bound] = found.ages
    assert (bound.op, bound.ms, found.changing) == (op, ms, frozenset())
    assert AGES[bound.fact.removeprefix("features.")].unit_ms in {DAY, HOUR}


@given(st.floats(0, 365, allow_subnormal=False), st.sampled_from(["features.silence", "features.open_case_age_hours"]))
def test_the_moment_of_a_feature_that_is_an_age_is_right_to_the_last_bit(literal, name):
    [bound] = compiled(f"{name} >= {literal!r}").ages
    unit = AGES[name.removeprefix("features.")].unit_ms
    assert (bound.ms - 1) / unit < literal <= bound.ms / unit


@pytest.mark.parametrize(
    ("text", "changing"),
    [
        ("features.silence + 1.0 > 2.0 || features.silence < 3.0", {"features.silence"}),
        ("features.silence > features.tenure", {"features.silence", "features.tenure"}),
        ("features.silence in [3.0]", {"features.silence"}),
        ("features.silence > 3.0 && features.contacts_in_7d > 1.0", {"features.contacts_in_7d"}),
        ('stage.age > duration("1h") && case.open > 0', {"stage.age", "case.open"}),
    ],
)
def test_ages_that_are_reckoned_with_change_by_themselves(text, changing):
    assert compiled(text).changing == changing


def test_literals_add_up_their_units_and_ages_of_cases_are_named_apart():
    found = compiled('closed.age < duration("1h30m2s5ms") || cases.exists(c, c.age > duration("2h"))')
    assert set(found.ages) == {AgeBound("closed.age", "<", 5_402_005), AgeBound("cases.age", ">", 2 * HOUR)}


def test_thresholds_name_literals_members_of_lists_and_other_facts():
    found = compiled(
        'case.open > 2 && 3 > case.open && stage.name in ["crisis", "steady"] && case.open > case.eta_missed'
    )
    assert set(found.thresholds) == {
        Threshold("case.open", 2),
        Threshold("case.open", 3),
        Threshold("stage.name", "crisis"),
        Threshold("stage.name", "steady"),
        Threshold("case.open", "case.eta_missed", other_is_fact=True),
        Threshold("case.eta_missed", "case.open", other_is_fact=True),
    }


def test_ages_have_no_thresholds():
    assert compiled('stage.age > duration("72h")').thresholds == ()


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ('stage.name == "crisis" && !(case.open > 2 || risk.relapse)', True),
        ('stage.name in ["crisis", "steady"]', True),
        ("incident.active ? case.open > 1 : true", True),
        ("case.open in [1, case.eta_missed]", False),
        ("case.open + 1 > 2", False),
        ("cases.exists(c, c.severity == 1)", False),
    ],
)
def test_what_cannot_fail_is_evaluated_without_the_engine(text, closed):
    found = compiled(text)
    assert (found.evaluate is not found.by_engine) is closed


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ('stage.name == "crisis"', {"crisis"}),
        ('"crisis" == stage.name && case.open > 0', {"crisis"}),
        ('stage.name in ["strained", "crisis"] && stage.name != "crisis"', {"strained"}),
        ('stage.name == "crisis" || stage.name == "steady" && case.open > 0', {"crisis", "steady"}),
        ('stage.name == "crisis" || case.open > 0', None),
        ('!(stage.name == "crisis")', None),
        ('stage.name == "crisis" ? true : false', None),
        ("case.open > 0", None),
    ],
)
def test_a_condition_names_the_stages_outside_of_which_it_cannot_hold(text, stages):
    assert compiled(text).position.stages == (None if stages is None else frozenset(stages))


STAGE_TERMS = st.sampled_from(
    [f'stage.name == "{stage}"' for stage in STAGES]
    + [f'stage.name != "{stage}"' for stage in STAGES]
    + ['stage.name in ["crisis", "strained"]', "case.open > 0", "profile.vulnerable", "!risk.relapse"]
)
STAGE_CONDITIONS = st.recursive(
    STAGE_TERMS,
    lambda inner: st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map("({0[0]} {0[1]} {0[2]})".format),
)


@given(STAGE_CONDITIONS, st.integers(0, 1), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_in_any_other_stage_the_engine_says_no(text, cases, vulnerable, relapse):
    condition = compiled(text)
    for stage in STAGES:
        given_facts = {"stage.name": str(stage), "case.open": cases}
        given_facts |= {"profile.vulnerable": vulnerable, "risk.relapse": relapse}
        if condition.position.stages is not None and stage not in condition.position.stages:
            assert condition.by_engine(Given(given_facts)) is False
