"""Principle files in one line each, for the tests of the check."""

from __future__ import annotations

from typing import Any

from membrane.features import FEATURE_NAMES
from membrane.lint.check import lint
from membrane.lint.findings import Finding
from membrane.principle_file import Draft, read_draft
from membrane.principles import Principle, PrincipleSet
from membrane.vocabulary import FindingKind
from tests.membrane.fakes_principles import PACK, TEXT, read_yaml


def rule(when: str, effect: str = "forbid", **fields: Any) -> dict[str, Any]:
    """One principle of a document; `require` owes an agent call per problem unless said otherwise."""
    plain: dict[str, Any] = {"owner": "service", "text": TEXT, "when": when, "effect": effect}
    if effect == "require":
        plain["obligation"] = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "problem"}
    else:
        plain["applies"] = {"domains": ["marketing"]}
    if effect == "modify":
        plain["set"] = {"tone": "warm"}
    return plain | fields


def draft(*rules: dict[str, Any], **parts: Any) -> Draft:
    """A draft of these principles, called a, b, c…"""
    named = [{"id": "abcdefgh"[place]} | one for place, one in enumerate(rules)]
    document = {"pack": "test", "revision": "2026-11-22.1", "principles": named, **parts}
    return read_draft(document, {}, digest="0" * 64, features=FEATURE_NAMES)


def draft_of_text(text: str, base: PrincipleSet | None = None) -> Draft:
    """A draft of a file, with the places of everything in it, perhaps over a base."""
    document, marks = read_yaml(text)
    return read_draft(document, marks, digest="0" * 64, features=FEATURE_NAMES, base=base)


def default_draft() -> Draft:
    """The pack that ships."""
    return draft_of_text(PACK.read_text(encoding="utf-8"))


def found(kind: FindingKind, *rules: dict[str, Any], **parts: Any) -> list[Finding]:
    """The findings of one kind about such principles."""
    return [one for one in lint(draft(*rules, **parts)).findings if one.kind is kind]


def only(condition: str, effect: str = "forbid", **fields: Any) -> Principle:
    """A principle of such a condition."""
    return draft(rule(condition, effect, **fields)).principles.principles[0]
