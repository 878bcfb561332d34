"""The safe defaults by class: what a candidate gets when we know less than we should.

Persuasion fails closed, care fails open, money and irreversible acts wait.
"""

from __future__ import annotations

from typing import Final

from membrane.precedence import strongest
from membrane.vocabulary import InteractionClass, Stage, Verdict

ALLOW, DEFER, FORBID = Verdict.ALLOW, Verdict.DEFER, Verdict.FORBID
BY_PRINCIPLES: Final = None
"""The cell says nothing of its own: principles, caps and consents decide."""

IRREVERSIBLE: Final = frozenset({"collections", "suspension", "contract_change"})
"""Kinds of money_in that are forbidden where the others only wait."""
CALM: Final = frozenset({Stage.STEADY, Stage.THRIVING})
MODEL_CAUSES: Final = frozenset({"model_missing", "model_invalid"})

_C = InteractionClass
_BLIND: Final[dict[InteractionClass, Verdict | None]] = {
    _C.PERSUASION: FORBID,
    _C.SURVEY: DEFER,
    _C.HELP: ALLOW,
    _C.DUTY: ALLOW,
    _C.CARE_MONEY: DEFER,
    _C.MONEY_IN: DEFER,  # FORBID for IRREVERSIBLE
}
_RULES_ONLY: Final[dict[InteractionClass, Verdict | None]] = {
    _C.PERSUASION: BY_PRINCIPLES,  # FORBID where a principle needs the model
    _C.SURVEY: BY_PRINCIPLES,
    _C.HELP: ALLOW,
    _C.DUTY: ALLOW,
    _C.CARE_MONEY: DEFER,
    _C.MONEY_IN: DEFER,
}
TABLE: Final[dict[str, dict[InteractionClass, Verdict | None]]] = {
    "stale": _BLIND | {_C.PERSUASION: BY_PRINCIPLES},  # FORBID unless the stage is calm
    "very_stale": _BLIND,
    "record_unreadable": _BLIND,
    "claims_unreadable": _BLIND,
    "no_principles": _BLIND,
    "deadline": _BLIND,
    "model_missing": _RULES_ONLY,
    "model_invalid": _RULES_ONLY,
    "consents_unreadable": dict.fromkeys(_C, BY_PRINCIPLES) | {_C.PERSUASION: FORBID, _C.SURVEY: FORBID},
}
"""cause -> class -> verdict. `stale`: 60 s to 15 min; `very_stale`: more. Other causes change no verdict."""


def default_verdict(
    cls: InteractionClass, kind: str, cause: str, stage: str | None, *, needs_model: bool = False
) -> Verdict | None:
    """The verdict of one cell, None where principles decide. `stage`: the last one known; `needs_model`: whether a
    principle for the candidate reads what only a model gives.

    >>> default_verdict(InteractionClass.PERSUASION, "upsell", "stale", "strained").value
    'forbid'
    """
    if cls is _C.PERSUASION and cause == "stale" and stage not in CALM:
        return FORBID
    if cls is _C.PERSUASION and cause in MODEL_CAUSES and needs_model:
        return FORBID
    if kind in IRREVERSIBLE and TABLE.get(cause) is _BLIND:
        return FORBID
    return TABLE.get(cause, {}).get(cls, BY_PRINCIPLES)


def class_default(cls: InteractionClass | None, kind: str, cause: str) -> Verdict:
    """The verdict for a candidate that cannot be judged at all; `cls` None is an unknown domain."""
    if cls is None:
        return FORBID
    return strongest([default_verdict(cls, kind, cause, None) or ALLOW])


def defaults_table() -> list[dict[str, str | None]]:
    """The whole table as rows of class, kind (where it matters), cause and verdict, for clients that cannot reach us;
    the verdict `by_principles` needs us."""
    return [
        {
            "class": cls,
            "kind": kind,
            "cause": cause,
            "verdict": default_verdict(cls, kind or "", cause, None) or "by_principles",
        }
        for cause in TABLE
        for cls in _C
        for kind in ([None, *sorted(IRREVERSIBLE)] if cls is _C.MONEY_IN else [None])
    ]
