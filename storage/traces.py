"""Whether this process sends traces: where the standard variables of OpenTelemetry name a collector. Without them
nothing of it is loaded."""

from __future__ import annotations

import importlib.util
import logging
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from storage.otel import Span, Traces

_logger: Final = logging.getLogger("membrane.traces")
INSTALL: Final = "pip install 'cx-membrane[otel]'"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

CURRENT: Final[ContextVar[Span | None]] = ContextVar("span", default=None)
"""The span of the request in hand; None where it is not sampled."""


def open_traces(role: str) -> Traces | None:
    """The traces of a process; None if none are wanted, or what sends them is not installed."""
    if not (are_wanted() and are_installed()):
        return None
    from storage.otel import Traces  # noqa: PLC0415 - an optional extra

    try:
        return Traces(role)
    except ValueError as error:
        _logger.error("traces are not sent: a variable OTEL_... is not as it must be: %s", error)  # noqa: TRY400
        return None


def are_wanted() -> bool:
    """Whether the environment names a collector, and does not switch traces off."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in _ENDPOINTS)


def are_installed() -> bool:
    """Whether the extra is there."""
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:
        return False
