"""The safe defaults by class, one test a cell."""

import pytest

from membrane.defaults import IRREVERSIBLE, TABLE, class_default, default_verdict, defaults_table
from membrane.vocabulary import InteractionClass, Stage, Verdict

ALLOW, DEFER, FORBID, BY_PRINCIPLES = Verdict.ALLOW, Verdict.DEFER, Verdict.FORBID, None
BLIND = ["very_stale", "record_unreadable", "claims_unreadable", "no_principles", "deadline"]
MODEL = ["model_missing", "model_invalid"]
C = InteractionClass

CELLS = [
    *[(C.PERSUASION, "upsell", cause, FORBID) for cause in BLIND],
    *[(C.SURVEY, "nps", cause, DEFER) for cause in BLIND],
    *[(C.HELP, "ticket_reply", cause, ALLOW) for cause in BLIND],
    *[(C.DUTY, "recall", cause, ALLOW) for cause in BLIND],
    *[(C.CARE_MONEY, "refund", cause, DEFER) for cause in BLIND],
    *[(C.MONEY_IN, "invoice", cause, DEFER) for cause in BLIND],
    *[(C.MONEY_IN, "payment_reminder", cause, DEFER) for cause in BLIND],
    *[(C.MONEY_IN, kind, cause, FORBID) for kind in sorted(IRREVERSIBLE) for cause in BLIND],
    (C.PERSUASION, "upsell", "stale", BY_PRINCIPLES),
    (C.SURVEY, "nps", "stale", DEFER),
    (C.HELP, "ticket_reply", "stale", ALLOW),
    (C.DUTY, "recall", "stale", ALLOW),
    (C.CARE_MONEY, "refund", "stale", DEFER),
    (C.MONEY_IN, "invoice", "stale", DEFER),
    *[(C.MONEY_IN, kind, "stale", DEFER) for kind in sorted(IRREVERSIBLE)],
    *[(C.PERSUASION, "upsell", cause, BY_PRINCIPLES) for cause in MODEL],
    *[(C.SURVEY, "nps", cause, BY_PRINCIPLES) for cause in MODEL],
    *[(C.HELP, "ticket_reply", cause, ALLOW) for cause in MODEL],
    *[(C.DUTY, "recall", cause, ALLOW) for cause in MODEL],
    *[(C.CARE_MONEY, "refund", cause, DEFER) for cause in MODEL],
    *[(C.MONEY_IN, kind, cause, DEFER) for kind in ("invoice", *sorted(IRREVERSIBLE)) for cause in MODEL],
    (C.PERSUASION, "upsell", "consents_unreadable", FORBID),
    (C.SURVEY, "nps", "consents_unreadable", FORBID),
    *[(cls, "x", "consents_unreadable", BY_PRINCIPLES) for cls in (C.HELP, C.DUTY, C.CARE_MONEY, C.MONEY_IN)],
]


@pytest.mark.parametrize(("cls", "kind", "cause", "expected"), CELLS)
def test_each_cell_of_the_table(cls, kind, cause, expected):
    assert default_verdict(cls, kind, cause, Stage.STEADY) is expected


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (Stage.STEADY, BY_PRINCIPLES),
        (Stage.THRIVING, BY_PRINCIPLES),
        (Stage.CRISIS, FORBID),
        (Stage.RECOVERING, FORBID),
        (Stage.STRAINED, FORBID),
        (Stage.AT_RISK, FORBID),
        ("none", FORBID),
        (None, FORBID),
    ],
)
def test_while_stale_only_calm_customers_may_be_persuaded(stage, expected):
    assert default_verdict(C.PERSUASION, "upsell", "stale", stage) is expected


@pytest.mark.parametrize("cause", MODEL)
def test_persuasion_that_needs_the_model_is_forbidden_without_it(cause):
    assert default_verdict(C.PERSUASION, "upsell", cause, Stage.STEADY, needs_model=True) is FORBID
    assert default_verdict(C.SURVEY, "nps", cause, Stage.STEADY, needs_model=True) is BY_PRINCIPLES


def test_other_causes_change_no_verdict():
    for cause in ("principles_last_good", "log_full", "source_silent"):
        assert all(default_verdict(cls, "x", cause, None) is BY_PRINCIPLES for cls in C)


def test_a_candidate_that_cannot_be_judged_gets_its_class_default():
    assert class_default(C.PERSUASION, "upsell", "record_unreadable") is FORBID
    assert class_default(C.HELP, "agent_call", "record_unreadable") is ALLOW
    assert class_default(C.MONEY_IN, "suspension", "no_principles") is FORBID
    assert class_default(None, "x", "record_unreadable") is FORBID


def test_the_table_for_clients_has_a_row_for_each_class_and_cause():
    rows = defaults_table()
    assert {(row["class"], row["cause"]) for row in rows} == {(cls, cause) for cls in C for cause in TABLE}
    assert {"class": C.HELP, "kind": None, "cause": "stale", "verdict": ALLOW} in rows
    assert {"class": C.MONEY_IN, "kind": "suspension", "cause": "very_stale", "verdict": FORBID} in rows
    assert {"class": C.SURVEY, "kind": None, "cause": "model_missing", "verdict": "by_principles"} in rows
