"""What the cold routes answer: structs that encode to the contract's JSON, and how they are found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.responses import Response

from membrane.errors import MembraneError
from membrane.layers import COMMON
from membrane.principles import Principle
from membrane.times import format_optional, format_time
from membrane.vocabulary import LIFECYCLES, STAGES
from serving.freshness import Freshness, RevisionInForce
from serving.principle_sets import PrincipleSets, Proposal
from serving.problems import invalid_field, not_found, unavailable
from storage.decisions import DecisionLog, LoggedDecision
from storage.log import SignalLog

_SEQUENCE: Final = re.compile(r"\d{1,18}", re.ASCII)
_encoder: Final = msgspec.json.Encoder()


class DecisionPage(msgspec.Struct):
    """Logged decisions, newest first; `next` is the `before` of the following page."""

    items: list[msgspec.Raw]
    next: str | None


class StagesAnswer(msgspec.Struct):
    """Customers by stage and lifecycle, as of the stream's last tick."""

    as_of: str | None
    counts: dict[str, int]
    lifecycles: dict[str, int]


class PrincipleView(msgspec.Struct):
    """One principle: who owns it, what it does, the text shown as the reason, and its life (`rollout` in percent)."""

    id: str
    owner: str
    effect: str
    text: dict[str, str]
    status: str
    valid_from: str | None
    valid_to: str | None
    review_by: str
    approved_by: str
    rollout: int


class PrinciplesAnswer(msgspec.Struct):
    """The set put in force last; `yaml` is its whole file. `over`: the set for everybody that a tenant's own lies over,
    the principles of which are among `principles`."""

    pack: str
    revision: str
    digest: str
    over: str | None
    principles: list[PrincipleView]
    yaml: str


class PutPrinciplesAnswer(msgspec.Struct):
    """The set that the next decisions follow; `changed` is false when it was in force already."""

    pack: str
    revision: str
    digest: str
    changed: bool


class ReadyAnswer(msgspec.Struct):
    """That this process can answer."""

    ready: bool
    missing: list[str]


class _Logged(msgspec.Struct):
    answer: msgspec.Raw


_logged: Final = msgspec.json.Decoder(_Logged)


def json(answer: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(_encoder.encode(answer), status, media_type="application/json")


def parse_sequence(text: str | None) -> int | None:
    """A `next` of a page of decisions, given back; Problem 422 for anything else."""
    if text is None:
        return None
    if _SEQUENCE.fullmatch(text) is None:
        raise invalid_field("before", "must be the `next` of a page")
    return int(text)


def decisions_page(log: DecisionLog, tenant: str, customer: str, limit: int, before: int | None) -> DecisionPage:
    """A page of a customer's logged answers."""
    found = log.by_customer(tenant, customer, limit + 1, before)
    page = found[:limit]
    return DecisionPage([_answer(logged) for logged in page], str(page[-1].seq) if len(found) > limit else None)


def decision(log: DecisionLog, tenant: str, decision: str) -> msgspec.Raw:
    """One logged answer; Problem 404."""
    logged = log.by_id(tenant, decision)
    if logged is None:
        raise not_found("decision")
    return _answer(logged)


def _answer(logged: LoggedDecision) -> msgspec.Raw:
    return _logged.decode(logged.body).answer


def stages(freshness: Freshness, tenant: str) -> StagesAnswer:
    """A tenant's customers by stage and lifecycle, summed over the partitions that can be read."""
    states = freshness.every_state().values()
    as_of = max((state.last_tick for state in states), default=0)
    return StagesAnswer(
        format_time(as_of) if as_of else None,
        _sum(STAGES, [state.stages.get(tenant, {}) for state in states]),
        _sum(LIFECYCLES, [state.lifecycles.get(tenant, {}) for state in states]),
    )


def _sum(names: Sequence[str], counts: Sequence[dict[str, int]]) -> dict[str, int]:
    return {str(name): sum(count.get(name, 0) for count in counts) for name in names}


def principles(log: SignalLog, sets: PrincipleSets, tenant: str) -> PrinciplesAnswer:
    """The set that the log's latest revision records name for a tenant; Problem 404 if there is none, or it cannot be
    read."""
    found = sets.latest(log, tenant)
    if found is None:
        raise not_found("principle set")
    views = [_principle_view(one) for one in found.principles]
    text = sets.files.load(found.digest).decode("utf-8-sig")
    return PrinciplesAnswer(found.pack, found.revision, found.digest, found.over or None, views, text)


def _principle_view(one: Principle) -> PrincipleView:
    life = one.life
    return PrincipleView(
        one.id,
        one.owner,
        one.effect,
        one.text,
        life.status,
        format_optional(life.valid_from),
        format_optional(life.valid_to),
        life.review_by,
        life.approved_by,
        life.rollout,
    )


def put_answer(proposal: Proposal) -> PutPrinciplesAnswer:
    """What came of PUT /v1/principles."""
    found = proposal.principles
    return PutPrinciplesAnswer(found.pack, found.revision, found.digest, proposal.changed)


def ready(log: SignalLog, sets: PrincipleSets) -> ReadyAnswer:
    """Problem 503, naming what is missing, unless the log can be read and its principles compile."""
    missing = []
    try:
        latest: RevisionInForce | None = msgspec.convert(log.revisions().get(COMMON), RevisionInForce | None)
        if latest is None or sets.get(latest.digest) is None:
            missing.append("principles")
    except MembraneError:
        missing.append("log")
    if missing:
        raise unavailable(f"not ready: {', '.join(missing)} missing", extra={"missing": missing})
    return ReadyAnswer(ready=True, missing=[])
