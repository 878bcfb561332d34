"""Traces by OpenTelemetry's SDK; imported only where they are sent (see `storage.traces`), for it is an optional extra.

The provider is not made the global one: libraries would add spans of their own, which show the paths of requests.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Literal

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

SHARE: Final = 0.01
"""Of the traces that begin here, where OTEL_TRACES_SAMPLER says nothing."""
CLOSE_SECONDS: Final = 1.0
_FAILED: Final = 500
_KINDS: Final = {"server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER}
_propagator: Final = TraceContextTextMapPropagator()

Kind = Literal["server", "consumer"]


class Span:
    """A sampled span under way. Its attributes are ids of ours, places in the log, counts: nothing about a customer."""

    def __init__(self, span: SdkSpan, tracer: Tracer) -> None:
        self._span = span
        self._tracer = tracer
        context = span.get_span_context()
        self.trace_id = f"{context.trace_id:032x}"
        self.traceparent = f"00-{self.trace_id}-{context.span_id:016x}-{context.trace_flags:02x}"

    def note(self, name: str, value: str | int) -> None:
        """An attribute."""
        self._span.set_attribute(name, value)

    def step(self, name: str, began_ns: int, ended_ns: int) -> None:
        """A part of it that is over, between two moments of the wall clock."""
        self._tracer.start_span(name, set_span_in_context(self._span), start_time=began_ns).end(ended_ns)

    def link(self, traceparent: str) -> None:
        """Another span that led to this one."""
        context = _named(traceparent)
        if context.is_valid:
            self._span.add_link(context)

    def answered(self, status: int) -> None:
        """The status of the answer to a request."""
        self.note("http.response.status_code", status)
        if status >= _FAILED:
            self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """It is over, and sent before long."""
        self._span.end()


class Traces:
    """What makes and sends the spans of one process: a span in a hundred that nothing is before, or as the standard
    variables say."""

    def __init__(self, role: str) -> None:
        sampler = None if os.environ.get("OTEL_TRACES_SAMPLER") else ParentBased(TraceIdRatioBased(SHARE))
        self._provider = TracerProvider(sampler, _resource(role), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("membrane")

    def start(self, name: str, traceparent: str, kind: Kind) -> Span | None:
        """A span behind the one that a W3C `traceparent` names, or the first of a trace; None if it is not sampled."""
        parent = set_span_in_context(NonRecordingSpan(_named(traceparent)), Context())
        span = self._tracer.start_span(name, parent, _KINDS[kind])
        return Span(span, self._tracer) if span.is_recording() else None

    def close(self) -> None:
        """Sends what is left, for at most a second."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def _named(traceparent: str) -> SpanContext:
    """The span that a `traceparent` names; one that is not valid if it names none."""
    found = _propagator.extract({"traceparent": traceparent}, Context())
    return get_current_span(found).get_span_context()


def _resource(role: str) -> Resource:
    """Of what a span is; the standard variables have the last word."""
    ours = Resource({"service.name": "membrane", "membrane.role": role})
    return Resource.create(ours.merge(OTELResourceDetector().detect()).attributes)
