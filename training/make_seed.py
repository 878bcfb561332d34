"""`python -m training.make_seed [FOLDER]`: makes the seed bundles again (`make seed-models`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from membrane.features import FEATURE_NAMES, fingerprint
from membrane.times import format_time, parse_time
from training.replay import feature_rows
from training.seed_bundles import Recipe, make_seed_bundles

FOLDER: Final = Path("models/seed")
REVISION: Final = "2026-11-22.1"
_START: Final = parse_time("2026-01-01T00:00:00Z")


def main(folder: Path) -> None:
    """Make both bundles in `folder` and say how good they are."""
    recipe = Recipe(
        features=FEATURE_NAMES,
        fingerprint=fingerprint(),
        revision=REVISION,
        created="2026-11-22T00:00:00Z",
        start_ms=_START,
    )
    metrics = make_seed_bundles(feature_rows, folder, recipe, _tell)
    for kind, figures in metrics.items():
        told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        sys.stdout.write(f"{kind}: {told}\n")


def _tell(done: int, total: int) -> None:
    sys.stderr.write(f"\rsimulated until {format_time(_START + done)}   ")
    if done >= total:
        sys.stderr.write("\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
