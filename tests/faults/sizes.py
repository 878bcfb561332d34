"""Every fault has a short form, part of `make test`, and a full one, marked `faults`."""

from __future__ import annotations

from typing import Any

import pytest


def short_and_full(short: Any, full: Any) -> list[Any]:
    """The values of a parameter for the two forms."""
    return [pytest.param(short, id="short"), pytest.param(full, id="full", marks=pytest.mark.faults)]


def percentile(values: list[float], share: float) -> float:
    """The value that a share of the values does not exceed.

    >>> percentile([3.0, 1.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
