"""What a record of the log puts in force: a revision of principles, models or settings, a pause of a principle."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from membrane.errors import StoreRefused
from membrane.layers import COMMON
from membrane.pauses import PauseRecord
from membrane.settings import TenantSettings
from stream.in_force import CHALLENGERS, InForce, word_of
from stream.meta import Meta, Revision, copied


@dataclass(frozen=True, slots=True)
class Switched:
    """The meta behind a record, whether customers are judged by something else from then on, and what the record names
    and is not there: nothing behind it may be applied then, nor itself."""

    meta: Meta
    rules_changed: bool = False
    missing: StoreRefused | None = None


class _Named(msgspec.Struct):
    digest: str


class _Revision(msgspec.Struct):
    kind: str
    revision: str = ""
    digest: str = ""
    go_live: int = 0
    tenants: dict[str, TenantSettings] = {}
    challengers: list[_Named] = []


def revise(in_force: InForce, meta: Meta, offset: int, body: bytes) -> Switched:
    """Switches to what a revision names. Challengers judge nobody. MsgspecError for a body that is none."""
    revision = msgspec.json.decode(body, type=_Revision)
    if revision.kind in CHALLENGERS:
        meta.challengers[revision.kind] = [one.digest for one in revision.challengers]
        in_force.challenge(meta)
        return Switched(meta)
    revised = copied(meta)
    word = word_of(revision.kind)
    try:
        if revision.kind == "settings":
            revised.go_live = revision.go_live
        elif revision.kind == "tenants":
            revised.tenants = revision.tenants
        elif in_force.fits(revision.kind, revision.digest):
            revised.revisions[revision.kind] = Revision(revision.revision, revision.digest, offset)
            revised.unreadable = [one for one in revised.unreadable if one != word]
        else:  # the last good one goes on, as at every replay
            revised.unreadable = sorted({*revised.unreadable, word})
        return _switched(in_force, revised, offset)
    except StoreRefused as missing:
        return _waiting(meta, word, missing)


def pause(in_force: InForce, meta: Meta, offset: int, body: bytes) -> Switched:
    """A principle counts no more, or again; what else may be paused concerns decisions alone. A pause that had run out
    by the last tick is forgotten. MsgspecError for a body that is none."""
    said = msgspec.json.decode(body, type=PauseRecord)
    if said.pause.what != "principle":
        return Switched(meta)
    revised = copied(meta)
    standing = [one for one in revised.pauses if one.until > meta.last_tick]
    revised.pauses = [one for one in standing if one.id != said.pause.id]
    if said.act == "pause":
        revised.pauses.append(said.pause)
    try:
        return _switched(in_force, revised, offset)
    except StoreRefused as missing:
        return _waiting(meta, COMMON, missing)


def _switched(in_force: InForce, revised: Meta, offset: int) -> Switched:
    before = in_force.all_rules()
    in_force.use(revised)
    revised.revision_offset = offset
    changed = in_force.all_rules() != before
    revised.revised |= changed
    return Switched(revised, changed)


def _waiting(meta: Meta, word: str, missing: StoreRefused) -> Switched:
    meta.unreadable = sorted({*meta.unreadable, word})
    return Switched(meta, missing=missing)
