"""What the check says: findings, each with its place, a sentence in both languages and a customer who shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Places:
    """Where the principles of a draft stand in its file."""

    draft: Draft

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

    def path(self, principle: Principle, field: str = "") -> str:
        """The path of a principle, or of a field of it."""
        at = next(place for place, one in enumerate(self.draft.principles.principles) if one is principle)
        return f"principles[{at}].{field}" if field else f"principles[{at}]"


def shows(given: Given, *principles: Principle, candidate: Slot | None = None) -> Witness:
    """The witness that a customer is, with what each principle says of them."""
    return Witness(given, {one.id: one.matches(given) for one in principles}, candidate)
