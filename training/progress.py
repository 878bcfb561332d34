"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all, in the same unit."""


def silent(_done: int, _total: int) -> None:
    """Show nothing."""
