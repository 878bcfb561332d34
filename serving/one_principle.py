"""PUT /v1/principles/{id}: the set in force with one principle added or replaced, under a revision of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from membrane.errors import Fault, InvalidPrinciples
from membrane.principles import PrincipleSet, next_revision, parse_revision
from membrane.times import format_time
from serving.principle_sets import Editor, PrincipleSets, Proposal, check_newer, checked, replaced
from serving.problems import Problem, invalid_field, not_found
from storage.documents import read_document
from storage.log import SignalLog
from storage.principle_text import Edited, with_principle

_NOT_EDITABLE: Final = (
    "one principle cannot be put into the text of the file in force; change the file and PUT it as a whole"
)
_MOST_TRIES: Final = 64
"""Each time somebody else was first."""


def put_principle(
    name: str,
    principle: bytes,
    log: SignalLog,
    sets: PrincipleSets,
    now_ms: int,
    *,
    editor: Editor,
    revision: str | None = None,
) -> Proposal:
    """Puts the own file of the editor's tenant, or without one that for everybody, in force with this principle (YAML,
    with the id `name`) in it. The revision is the next one of today unless it is given. What says the same already
    changes nothing.

    Of several who do so at once each finds the work of those before it in the file, and leaves it there.

    Raises InvalidPrinciples with all faults of the principle, by the lines of its own text; Problem 403 where the file
    is the one for everybody and the editor may not change that, 404 without a set in force, 422 for another id or what
    is no revision, 409 where the file's text cannot be edited or the revision is no newer one, and what `propose` does.
    """
    if read_document(principle).value.get("id") != name:
        raise invalid_field("id", "must be the one that the path names")
    if revision is not None:
        _check_revision(revision)
    for _ in range(_MOST_TRIES):
        found = sets.latest(log, editor.tenant)
        if found is None:
            raise not_found("principle set")
        kind = editor.kind_of(found)
        wanted = revision or next_revision(found.revision, format_time(now_ms)[:10])
        edited = with_principle(sets.files.load(found.digest), principle, wanted)
        if edited is None:
            raise Problem(409, "conflict", _NOT_EDITABLE)
        if not edited.changed:
            return Proposal(found, changed=False)
        new = _checked(edited, log, sets)
        check_newer(wanted, found.revision, force=False)
        sets.files.install(edited.data)
        if replaced(log, kind, new, now_ms, digest=found.digest):
            return Proposal(new, changed=True)
    raise Problem(409, "conflict", "others are changing the set at the same moment: try again")


def _checked(edited: Edited, log: SignalLog, sets: PrincipleSets) -> PrincipleSet:
    try:
        return checked(edited.data, log, sets.files)
    except InvalidPrinciples as error:
        raise InvalidPrinciples([_in_principle(fault, edited) for fault in error.faults]) from None


def _check_revision(revision: str) -> None:
    try:
        parse_revision(revision)
    except ValueError:
        raise invalid_field("revision", "must be YYYY-MM-DD.N, such as 2026-11-22.1") from None


def _in_principle(fault: Fault, edited: Edited) -> Fault:
    """A fault of the whole file, as one of the principle's own text."""
    field = fault.field.removeprefix(edited.path).removeprefix(".") or "document"
    return replace(fault, line=fault.line - edited.line + 1, column=fault.column - edited.indent, field=field)
