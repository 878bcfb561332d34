"""Whether an exported model gives what its source gives."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from membrane.errors import InvalidBundle

Floats = npt.NDArray[np.float64]

TOLERANCE: Final = 1e-5


def require_equal(exported: Floats, source: Floats) -> None:
    """InvalidBundle unless two sets of probabilities (n, classes) agree within 1e-5, and on the greatest class of
    every row in which the source's two greatest are further apart than that."""
    worst = float(np.abs(exported - source).max())
    if not worst <= TOLERANCE:
        raise InvalidBundle(f"export: probabilities within {TOLERANCE} of the source required, got {worst}")
    ranked = np.sort(source, axis=1)
    decided = ranked[:, -1] - ranked[:, -2] > TOLERANCE
    others = int((exported.argmax(axis=1) != source.argmax(axis=1))[decided].sum())
    if others:
        raise InvalidBundle(f"export: the same greatest class as the source required, got another in {others} rows")
