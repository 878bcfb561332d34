"""A span for each traced signal that the stream applies, from the decoded block to the commit of what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.block import Decoded, DecodedSignal

if TYPE_CHECKING:
    from storage.otel import Span, Traces

Application = tuple[int, "Span"]
"""The offset of a signal and the span of its application."""


def begun(traces: Traces, block: Decoded) -> list[Application]:
    """Those of a block's signals that came with a trace."""
    applications: list[Application] = []
    for one in block.records:
        if isinstance(one, DecodedSignal) and one.signal is not None and one.signal.traceparent:
            span = traces.start("apply", one.signal.traceparent, "consumer")
            if span is not None:
                span.note("membrane.partition", block.partition)
                span.note("membrane.offset", one.offset)
                span.note("membrane.block.records", len(block.records))
                applications.append((one.offset, span))
    return applications


def ended(applications: list[Application], next_offset: int) -> None:
    """Those before an offset are over; the others begin again with the next block."""
    for offset, span in applications:
        if offset < next_offset:
            span.end()
