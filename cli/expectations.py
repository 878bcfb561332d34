"""What a step of the story must lead to, and where what came differs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

Data = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must follow from a step. Reasons name the principle (or `arbitration`) that must, or must not, be given;
    `permits` are the candidates that get one, `revoked` those whose permit is revoked in this step; `owed` is
    everything open or breached, `closed` the states that the latest of a kind must have ended in."""

    stage: str
    relapse: bool = False
    verdicts: dict[str, str]
    reasons: dict[str, str] | None = None
    no_reason: dict[str, str] | None = None
    unless: dict[str, str] | None = None
    until: tuple[str, ...] = ()
    permits: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()
    owed: frozenset[str] = frozenset()
    closed: dict[str, str] | None = None


def differences(expected: Expected, answer: Data, obligations: list[Data], revoked: Collection[str]) -> list[str]:
    """Where an answer, the shop's obligations in the record and the permits revoked (by candidate) are not as told."""
    verdicts = {verdict["candidate"]: verdict for verdict in answer["verdicts"]}
    owed = sorted(one["kind"] for one in answer["owed"])
    found = [
        _difference("stage", expected.stage, (answer["stage"] or {}).get("name")),
        _difference("relapse risk", expected.relapse, answer["risks"]["relapse"]),
        _difference("owed", sorted(expected.owed), owed),
        _difference("permits", sorted(expected.permits), sorted(name for name in verdicts if verdicts[name]["permit"])),
        _difference("revoked", sorted(expected.revoked), sorted(revoked)),
    ]
    for candidate, verdict in expected.verdicts.items():
        found.append(_difference(candidate, verdict, verdicts[candidate]["verdict"]))
    for candidate, reason in (expected.reasons or {}).items():
        given = _reasons(verdicts[candidate])
        found.append(None if reason in given else f"{candidate}: reason {reason} was told, came {sorted(given)}")
    for candidate, reason in (expected.no_reason or {}).items():
        found.append(f"{candidate}: {reason} still holds" if reason in _reasons(verdicts[candidate]) else None)
    for candidate, fact in (expected.unless or {}).items():
        facts = _unless_facts(verdicts[candidate])
        found.append(None if fact in facts else f"{candidate}: unless {fact} was told, came {sorted(facts)}")
    endless = [candidate for candidate in expected.until if not verdicts[candidate]["until"]]
    found += [f"{candidate}: an end in time was told, none came" for candidate in endless]
    for kind, state in (expected.closed or {}).items():
        found.append(_difference(f"the latest {kind}", state, _latest_state(obligations, kind)))
    return [difference for difference in found if difference is not None]


def _difference(what: str, told: object, came: object) -> str | None:
    return None if told == came else f"{what}: {told} was told, came {came}"


def _latest_state(obligations: list[Data], kind: str) -> str | None:
    of_kind = [(one["opened_at"], one["state"]) for one in obligations if one["kind"] == kind]
    return max(of_kind)[1] if of_kind else None


def _reasons(verdict: Data) -> set[str]:
    return {name for reason in verdict["reasons"] for name in (reason["id"], reason["source"])}


def _unless_facts(verdict: Data) -> set[str]:
    return {one["fact"] for changes in (verdict["unless"] or {"any": []})["any"] for one in changes}
