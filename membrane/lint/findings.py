"""What the check says: findings, each with its place, a sentence in both languages and a customer who shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from membrane.document import place
from membrane.given import Given
from membrane.lint.sentences import SENTENCES
from membrane.principle_file import Draft
from membrane.principle_tests import given_form
from membrane.principles import Principle
from membrane.scope import Slot
from membrane.vocabulary import FindingKind

Severity = Literal["error", "warning"]

_WARNINGS: Final = frozenset(
    {FindingKind.SHADOWED, FindingKind.GAP, FindingKind.STARVATION, FindingKind.NUMBER, FindingKind.OVER_BLOCK}
)


@dataclass(frozen=True, slots=True)
class Witness:
    """A customer who shows a finding: `given` as in the tests of a file, `matches` says of each principle whether it
    matches them, `candidate` is the interaction that it is about, if it is about one."""

    given: Given
    matches: dict[str, bool]
    candidate: Slot | None = None

    def form(self) -> dict[str, Any]:
        """As JSON has it."""
        slot = self.candidate
        asked = {"domain": slot.domain, "kind": slot.kind, "channel": slot.channel} if slot else None
        return {"given": given_form(self.given), "candidate": asked, "matches": self.matches}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: `principles` are the ids that it is about, `text` says what is so, by language."""

    kind: FindingKind
    severity: Severity
    principles: tuple[str, ...]
    line: int
    column: int
    text: dict[str, str]
    witness: Witness | None

    def form(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "kind": str(self.kind),
            "severity": self.severity,
            "principles": list(self.principles),
            "line": self.line,
            "column": self.column,
            "text": self.text,
            "witness": None if self.witness is None else self.witness.form(),
        }


class Places:
    """A draft under check: the set as it would be in force (`principles`), and where its parts stand in the file; what
    the file only extends stands where it says so. `lasting`: the set without the principles that have ended by `t`."""

    def __init__(self, draft: Draft, t: int | None = None) -> None:
        self.draft = draft
        self.principles = draft.whole
        lasting = tuple(one for one in draft.whole.principles if t is None or not one.life.has_ended(t))
        self.lasting = replace(draft.whole, principles=lasting)
        self._ids = {one.id: place for place, one in enumerate(draft.principles.principles)}

    def finding(
        self,
        kind: FindingKind,
        principles: Iterable[str],
        path: str,
        witness: Witness | None,
        *,
        severity: Severity | None = None,
        **words: Any,
    ) -> Finding:
        """A finding at the value of a path; `words` fill its sentence."""
        line, column = place(self.draft.positions, path)
        ids = tuple(principles)
        filled = {"ids": ", ".join(ids), **words}
        text = {language: sentence.format(**filled) for language, sentence in SENTENCES[kind].items()}
        graded = severity or ("warning" if kind in _WARNINGS else "error")
        return Finding(kind, graded, ids, line, column, text, witness)

    def owns(self, *principles: Principle) -> bool:
        """Whether one of the principles stands in the file."""
        return any(one.id in self._ids for one in principles)

    def path(self, principle: Principle, field: str = "") -> str:
        """The path of a principle that stands in the file, or of a field of it."""
        known = self.draft.principles.principles
        same = (place for place, one in enumerate(known) if one is principle)
        at = next(same, self._ids[principle.id])  # what is laid over a locked one is a copy of it
        return f"principles[{at}].{field}" if field else f"principles[{at}]"

    def first_path(self, principles: Iterable[Principle], otherwise: str = "principles") -> str:
        """The path of the first of the principles that stands in the file; of none where the file extends, or
        `otherwise`."""
        one = next(filter(self.owns, principles), None)
        if one is not None:
            return self.path(one)
        return otherwise if self.draft.base is None else "extends"


def shows(given: Given, *principles: Principle, candidate: Slot | None = None) -> Witness:
    """The witness that a customer is, with what each principle says of them."""
    return Witness(given, {one.id: one.matches(given) for one in principles}, candidate)
