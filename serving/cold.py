"""The cold routes, by FastAPI: reads, principles, obligations, and what operators and machines ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response, StreamingResponse

from membrane.defaults import defaults_table
from membrane.errors import InvalidPrinciples, MembraneError
from membrane.layers import COMMON
from membrane.signals import schemas
from serving import measures, models_view, permits, reads
from serving.auth import Identity
from serving.checking import check_answer
from serving.erasing import erase
from serving.following import Followers
from serving.insights import spike
from serving.limits import MAX_ACT_BYTES, MAX_PRINCIPLES_BYTES, MAX_SIMULATION_DAYS, header, read_body
from serving.metrics import CONTENT_TYPE
from serving.obligations import PRINTABLE, Act, list_obligations, parse_act, record_act
from serving.one_principle import put_principle
from serving.page import add_page
from serving.pauses import begin, end, listed, parse_pause
from serving.principle_sets import Editor, checked, drafted, propose
from serving.problems import Problem, not_found
from serving.reads import json
from serving.services import Services
from serving.simulation import Simulations, parse_at
from serving.timeline import parse_cursor, timeline

Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=256, description="the `next` of the page before")]
Named = Annotated[str, InPath(min_length=1, max_length=256)]
State = Annotated[Literal["open", "met", "breached", "waived"] | None, Query()]
Force = Annotated[bool, Query(description="go back to an older revision")]
Revision = Annotated[str | None, Query(max_length=32, description="of the set; default: the next one of today")]
LastEvent = Annotated[str | None, Header(max_length=8192, description="go on behind this event")]
Said = Annotated[str, Query(min_length=1, max_length=256, pattern=PRINTABLE)]
Everything = Annotated[bool, Query(alias="all", description="those that have ended, too")]
Days = Annotated[int, Query(ge=1, le=MAX_SIMULATION_DAYS, description="the contacts of so many days")]
At = Annotated[str | None, Query(max_length=40, description="the end of these days; default: the latest signal")]
Owner = Annotated[str | None, Query(max_length=64)]
Tenant = Annotated[str | None, Query(max_length=256, description="the key's own, which is also the default")]
Customer = Annotated[str | None, Query(min_length=1, max_length=256)]


def _requires(*scopes: str) -> Callable[[Request], Awaitable[Identity]]:
    """The identity behind a request, once it is known to have one of the scopes."""

    async def identity(request: Request) -> Identity:
        found: Identity = request.scope["identity"]
        found.must(*scopes)
        return found

    return identity


Reader = Annotated[Identity, Depends(_requires("read"))]
Actor = Annotated[Identity, Depends(_requires("act"))]
Holder = Annotated[Identity, Depends(_requires("decide", "act"))]
Admin = Annotated[Identity, Depends(_requires("admin"))]
READ: Final = [Depends(_requires("read"))]


def add_routes(app: FastAPI, services: Services) -> None:
    """Adds every cold route."""
    for make in (_customers, _principles, _pauses, _obligations, _permits, _about):
        app.include_router(make(services))
    app.include_router(_operations(services))
    add_page(app)


def _customers(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["customers"])

    @router.get("/customers/{customer}/timeline", summary="A customer's timeline, newest first")
    async def customer_timeline(
        identity: Reader, customer: Named, limit: Limit = 100, before: Cursor = None
    ) -> Response:
        cursor = parse_cursor(before)
        page = await services.cold(
            timeline, services.log, services.records, identity.tenant, customer, before=cursor, limit=limit
        )
        return json(page)

    @router.get("/customers/{customer}/decisions", summary="A customer's logged decisions, newest first")
    async def customer_decisions(
        identity: Reader, customer: Named, limit: Limit = 100, before: Cursor = None
    ) -> Response:
        cursor = reads.parse_sequence(before)
        page = await services.cold(reads.decisions_page, services.decisions, identity.tenant, customer, limit, cursor)
        return json(page)

    @router.get("/decisions/{decision}", summary="One logged decision")
    async def decision(identity: Reader, decision: Named) -> Response:
        return json(await services.cold(reads.decision, services.decisions, identity.tenant, decision))

    @router.delete("/customers/{customer}", summary="Erase a customer: out of every file, for ever")
    async def erase_customer(identity: Admin, customer: Named) -> Response:
        receipt = await erase(services, identity.tenant, customer)
        return json(receipt, 200 if receipt.state == "done" else 202)

    followers = Followers(services)

    @router.get("/stages/stream", summary="Stage changes, obligations and revoked permits as server-sent events")
    async def follow(identity: Reader, request: Request, last_event_id: LastEvent = None) -> Response:
        authorization = header(request.scope["headers"], b"authorization")

        def is_welcome() -> bool:
            try:
                services.keys.identify(authorization).must("read")
            except Problem:  # the key was taken away, or has expired
                return False
            return True

        events = await followers.follow(identity.tenant, last_event_id, is_welcome)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @router.get("/stages", summary="How many customers are in each stage and lifecycle")
    async def stages(identity: Reader) -> Response:
        return json(reads.stages(services.freshness, identity.tenant))

    @router.get("/insights/spike", summary="What customers have in common who lately entered crisis")
    async def insights_spike(identity: Reader, tenant: Tenant = None) -> Response:
        return json(await services.cold(spike, services.records, identity.tenant, tenant))

    return router


def _principles(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/principles", tags=["principles"])
    simulations = Simulations(services.config.child, str(services.config.data))

    @router.get("", summary="The principles in force")
    async def principles(identity: Reader) -> Response:
        return json(await services.cold(reads.principles, services.log, services.principles, identity.tenant))

    @router.put("", summary="Put a principle file in force")
    async def put_principles(identity: Admin, request: Request, force: Force = False) -> Response:
        body = await read_body(request.scope, request.receive, cap=MAX_PRINCIPLES_BYTES)
        now_ms = services.config.now_ms()
        files = services.principles.files
        editor = Editor(identity.tenant, services.keys.speaks_for_everybody(identity))
        try:
            proposal = await services.cold(propose, body, services.log, files, now_ms, force=force, editor=editor)
        except InvalidPrinciples:
            services.metrics.principles_refused.inc()
            raise
        services.principles.add(proposal.principles)
        return json(reads.put_answer(proposal))

    @router.put("/{principle}", summary="Put one principle into the set in force")
    async def put_one(identity: Admin, principle: Named, request: Request, revision: Revision = None) -> Response:
        body = await read_body(request.scope, request.receive, cap=MAX_PRINCIPLES_BYTES)
        log, sets, now_ms = services.log, services.principles, services.config.now_ms()
        editor = Editor(identity.tenant, services.keys.speaks_for_everybody(identity))
        try:
            proposal = await services.cold(
                put_principle, principle, body, log, sets, now_ms, editor=editor, revision=revision
            )
        except InvalidPrinciples:
            services.metrics.principles_refused.inc()
            raise
        if proposal.changed:
            sets.add(proposal.principles)
        return json(reads.put_answer(proposal))

    @router.post("/check", summary="Every fault of a principle file, and what is suspicious about it")
    async def check_principles(request: Request, identity: Reader) -> Response:
        body = await read_body(request.scope, request.receive, cap=MAX_PRINCIPLES_BYTES)
        log, files, tenant = services.log, services.principles.files, identity.tenant
        settings, now_ms = services.freshness.settings(tenant), services.config.now_ms()
        return json(
            await services.cold(
                check_answer, lambda data: drafted(data, log, files), body, services.records, tenant, settings, t=now_ms
            )
        )

    @router.post("/simulate", summary="What a draft would have changed of the contacts that were made")
    async def simulate_principles(identity: Admin, request: Request, days: Days = 30, at: At = None) -> Response:
        until = parse_at(at)
        draft = await read_body(request.scope, request.receive, cap=MAX_PRINCIPLES_BYTES)
        if COMMON not in await services.cold(services.log.revisions):
            raise not_found("principle set")
        await services.cold(checked, draft, services.log, services.principles.files)
        outcome = await simulations.run(draft, identity.tenant, days, until)
        return Response(outcome, media_type="application/json")

    return router


def _pauses(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/pauses", tags=["pauses"])

    @router.get("", summary="What is paused, by whom, why and until when")
    async def pauses(identity: Reader, everything: Everything = False) -> Response:
        at = services.freshness.now()
        return json(await services.cold(listed, services.log, identity.tenant, at, everything=everything))

    @router.post("", status_code=201, summary="Pause a domain, a principle, or what persuades a customer")
    async def begin_pause(identity: Admin, request: Request) -> Response:
        asked = parse_pause(await read_body(request.scope, request.receive, cap=MAX_ACT_BYTES))
        at, received_ms = services.freshness.now(), services.config.now_ms()
        sets, tenant = services.principles, identity.tenant
        found = await services.cold(begin, services.log, sets, asked, tenant, at, received_ms)
        services.pauses.forget()
        return json(found, 201)

    @router.delete("/{pause}", summary="End a pause before its time")
    async def end_pause(identity: Admin, pause: Named, by: Said, why: Said) -> Response:
        at, received_ms = services.freshness.now(), services.config.now_ms()
        found = await services.cold(end, services.log, pause, identity.tenant, (by, why), at, received_ms)
        services.pauses.forget()
        return json(found)

    return router


def _obligations(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/obligations", tags=["obligations"])

    @router.get("", summary="What is owed, by due time")
    async def obligations(
        identity: Reader, state: State = None, owner: Owner = None, customer: Customer = None
    ) -> Response:
        principles = await services.cold(services.principles.latest, services.log, identity.tenant)
        asked = {"state": state, "owner": owner, "customer": customer}
        return json(await services.cold(list_obligations, services.records, identity.tenant, principles, **asked))

    async def act(act: Act, obligation: str, request: Request, identity: Identity) -> Response:
        body = parse_act(await read_body(request.scope, request.receive, cap=MAX_ACT_BYTES))
        found = await services.cold(services.records.obligation, identity.tenant, obligation)
        at, received_ms = services.freshness.now(), services.config.now_ms()
        return json(
            await services.cold(record_act, services.log, found, act, body, at=at, received_ms=received_ms), 202
        )

    @router.post("/{obligation}/meet", status_code=202, summary="Say that an obligation was met")
    async def meet(identity: Actor, obligation: Named, request: Request) -> Response:
        return await act("meet", obligation, request, identity)

    @router.post("/{obligation}/waive", status_code=202, summary="Say that an obligation is no longer wanted")
    async def waive(identity: Actor, obligation: Named, request: Request) -> Response:
        return await act("waive", obligation, request, identity)

    return router


def _permits(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/permits", tags=["permits"])
    store = services.claims.store

    @router.get("/{permit}", summary="A permit and what became of it")
    async def permit(identity: Reader, permit: Named) -> Response:
        found = await services.cold(permits.find_permit, store, identity.tenant, permit)
        return json(permits.permit_view(found, services.freshness.now()))

    @router.post("/{permit}/confirm", summary="Say that a permitted contact was made")
    async def confirm(identity: Holder, permit: Named, request: Request) -> Response:
        body = permits.parse_confirm(await read_body(request.scope, request.receive, cap=MAX_ACT_BYTES))
        now, received_ms = services.freshness.now(), services.config.now_ms()
        tenant, log = identity.tenant, services.log
        return json(
            await services.cold(permits.confirm, store, log, tenant, permit, body, now=now, received_ms=received_ms)
        )

    @router.post("/{permit}/release", summary="Say that a permitted contact will not be made")
    async def release(identity: Holder, permit: Named) -> Response:
        now = services.freshness.now()
        return json(await services.cold(permits.release, store, identity.tenant, permit, now=now))

    return router


def _about(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["about"])

    @router.get("/defaults", summary="Verdicts by class for clients that cannot reach us", dependencies=READ)
    async def defaults() -> Response:
        return json(defaults_table())

    @router.get("/schemas", summary="JSON Schemas of every signal type's data", dependencies=READ)
    async def signal_schemas() -> Response:
        return json(schemas())

    @router.get("/models", summary="The models that answer, those beside them, and their history", dependencies=READ)
    async def models() -> Response:
        return json(await services.cold(models_view.models, services.champions, services.log))

    return router


def _operations(services: Services) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/livez", summary="Whether this process runs")
    async def livez() -> Response:
        return json({"live": True})

    @router.get("/readyz", summary="Whether this process can answer, and what is missing")
    async def readyz() -> Response:
        return json(await services.cold(reads.ready, services.log, services.principles))

    @router.get("/metrics", summary="Metrics of every process of this data directory")
    async def metrics() -> Response:
        return Response(await _scrape(services), media_type=CONTENT_TYPE)

    return router


async def _scrape(services: Services) -> bytes:
    """What /metrics tells, once the counters are told what was counted and every gauge that is read from the stores is
    set: beside the event loop all at once, for each change of threads waits while the service is busy."""
    metrics, freshness, log, clock = services.metrics, services.freshness, services.log, services.config.clock
    wall, now = services.config.now_ms(), None
    metrics.flush()
    measures.measure_staleness(freshness, metrics)
    measures.measure_sources(log, freshness, metrics, clock, wall)
    with suppress(MembraneError):
        now = freshness.now()
    return await services.cold(_scraped, services, wall, now)


def _scraped(services: Services, wall: int, now: int | None) -> bytes:
    metrics, records, log = services.metrics, services.records, services.log
    if now is not None:
        measures.measure_stream(records, log, metrics, now)
        measures.measure_pauses(log, metrics, now)
    measures.measure_obligations(records, metrics)
    measures.measure_horizon(log, metrics, wall)
    measures.measure_disk(records, metrics)
    measures.measure_held(records, log, services.principles, metrics)
    models_view.measure_models(log, metrics)
    return metrics.exposition()
