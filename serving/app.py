"""The ASGI app: four hot routes as plain endpoints, everything else by FastAPI, one way to refuse for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from serving import problems
from serving.answers import send_problem
from serving.auth import Identity, Keys
from serving.batch import DecisionBatch
from serving.cold import add_routes
from serving.customers import PREFIX, Customers
from serving.decisions import Decisions
from serving.ingest import Ingest
from serving.known import Knowledge
from serving.limits import ClientGone, Receive, Scope, Send, header
from serving.openapi import describe
from serving.problems import Problem
from serving.revoking import Revoker
from serving.services import Services
from serving.silence import Silence

Endpoint = Callable[[Scope, Receive, Send, Identity], Awaitable[None]]

OPEN_PATHS: Final = frozenset({"/", "/livez", "/readyz", "/metrics", "/openapi.json"})
_OPEN_PREFIX: Final = "/static/"
_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class Api:
    """The app. Hot routes never reach the router, which knows them only to tell a wrong method (405)."""

    def __init__(self, services: Services) -> None:
        self._keys: Keys = services.keys
        knowledge = Knowledge(
            services.log,
            services.records,
            services.freshness,
            services.principles,
            services.pauses,
            services.claims,
            Silence(services.log, clock=services.config.clock, now_ms=services.config.now_ms),
        )
        self._customer: Endpoint = Customers(services.records, services.log)
        decisions = Decisions(knowledge, services.config, services.metrics, services.decisions, services.claims)
        self.revoker = Revoker(services, decisions)
        self._hot: dict[tuple[str, str], Endpoint] = {
            ("POST", "/v1/decisions"): decisions,
            ("POST", "/v1/decisions/batch"): DecisionBatch(decisions),
            ("POST", "/v1/signals"): Ingest(
                services.log, services.committer, services.metrics, services.config.now_ms, services.contacts_made
            ),
        }
        self.router = _router(services, {path: method for method, path in self._hot})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.router(scope, receive, send)
            return
        try:
            endpoint = self._endpoint(scope["method"], scope["path"])
            if endpoint is not None:
                identity = self._keys.identify(header(scope["headers"], b"authorization"))
                await endpoint(scope, receive, send, identity)
                return
            if not _is_open(scope["path"]):
                scope["identity"] = self._keys.identify(header(scope["headers"], b"authorization"))
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered as a problem
            await send_problem(send, problems.from_error(error))
            return
        with suppress(Exception):  # answered and reported by `_on_error`; the framework raises it once more
            await self.router(scope, receive, send)

    def _endpoint(self, method: str, path: str) -> Endpoint | None:
        found = self._hot.get((method, path))
        if found is None and method == "GET" and path.startswith(PREFIX) and "/" not in path[len(PREFIX) :]:
            return self._customer
        return found


def create_app(services: Services) -> Api:
    """The app over open services; who calls closes them."""
    return Api(services)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(_OPEN_PREFIX)


def _router(services: Services, hot: dict[str, str]) -> FastAPI:
    app = FastAPI(
        title="Membrane",
        description="Whether a department may contact a customer now, what to do instead, until when, and why.",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # its spans would show paths: customers
    )
    for error in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error, _on_error)
    for path, method in hot.items():
        app.add_api_route(path, _served_before, methods=[method], include_in_schema=False)
    app.add_api_route(PREFIX + "{customer}", _served_before, methods=["GET"], include_in_schema=False)
    add_routes(app, services)
    describe(app)
    return app


async def _served_before() -> Response:
    raise AssertionError("a hot route is served before the router")


async def _on_error(request: Request, error: Exception) -> Response:
    problem = _problem(error, request)
    return Response(problem.body(), problem.status, dict(problem.headers), media_type=problems.MEDIA_TYPE)


def _problem(error: Exception, request: Request) -> Problem:
    if isinstance(error, RequestValidationError):
        faults = [(_pointer(one["loc"]), str(one["msg"])) for one in error.errors()]
        return Problem(422, "invalid", "; ".join(f"{pointer}: {what}" for pointer, what in faults), errors=faults)
    if isinstance(error, ClientGone):
        return Problem(400, "incomplete", "the body did not arrive whole")
    if isinstance(error, HTTPException):
        return _of_framework(error, request)
    return problems.from_error(error)


def _pointer(location: tuple[object, ...]) -> str:
    """The name of a parameter, of a location such as ("query", "limit")."""
    return "/".join(map(str, location[1:]))


def _of_framework(error: HTTPException, request: Request) -> Problem:
    if error.status_code == 404:
        return problems.not_found("route")
    if error.status_code == 405:
        headers = {"Allow": ", ".join(_methods(request))}
        return Problem(405, "method-not-allowed", "this route has other methods", headers=headers)
    return Problem(error.status_code, "refused", "the request was refused", headers=error.headers)


def _methods(request: Request) -> list[str]:
    """Every method of a path: the framework names those of the first route alone, and none for a file of the page."""
    if request.url.path.startswith(_OPEN_PREFIX):
        return ["GET", "HEAD"]
    asked = {name: request.scope[name] for name in ("type", "path", "headers")}
    routes = request.app.router.routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)
    ]
