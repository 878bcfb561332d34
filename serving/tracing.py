"""A span for each sampled request of a hot route. The app is wrapped only where traces are sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from serving.limits import Message, Receive, Scope, Send, header
from storage.traces import CURRENT

if TYPE_CHECKING:
    from storage.otel import Span, Traces

App = Callable[[Scope, Receive, Send], Awaitable[None]]
_TRACED: Final = frozenset({("POST", "/v1/signals"), ("POST", "/v1/decisions")})


class Traced:
    """The app behind it, with the span of a request in `CURRENT` while it is answered."""

    def __init__(self, app: App, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span = self._begun(scope)
        if span is None:
            await self._app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.answered(message["status"])
            await send(message)

        before = CURRENT.set(span)
        try:
            await self._app(scope, receive, noted)
        finally:
            CURRENT.reset(before)
            span.end()

    def _begun(self, scope: Scope) -> Span | None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) not in _TRACED:
            return None
        traceparent = (header(scope["headers"], b"traceparent") or b"").decode("latin-1")
        span = self._traces.start(f"{scope['method']} {scope['path']}", traceparent, "server")
        if span is not None:
            span.note("http.request.method", scope["method"])
            span.note("http.route", scope["path"])
        return span
