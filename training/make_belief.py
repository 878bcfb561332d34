"""`python -m training.make_belief [FILE]`: counts the odds of `membrane.belief` on simulated customers again
(`make belief`). Models do not depend on them."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from membrane.signals import CheckedSignal, check
from membrane.times import parse_time
from membrane.vocabulary import STAGES
from training.counting import Counts, Floats, Odds, Stretch, odds
from training.simulator import simulate

FILE: Final = Path("membrane/belief_odds.py")
CUSTOMERS, DAYS, SEED = 2_000, 180, 11
_START: Final = parse_time("2026-01-01T00:00:00Z")
_HEAD: Final = '''"""The odds of `membrane.belief`, by stage in the order of STAGES: counted on simulated customers.

Written by `python -m training.make_belief`: {customers:,} customers, {days} days, seed {seed}. Contexts: nothing open;
an open case; one of severity 1 or 2. Matrices are [context][after][before], rates per day, use as logarithms against
that of steady.
"""

from __future__ import annotations

from typing import Final

Stages = tuple[float, float, float, float, float, float]
Matrix = tuple[Stages, Stages, Stages, Stages, Stages, Stages]

SILENT: Final[Stages] = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
'''
_TYPES: Final = {
    "first": "Stages",
    "passes": "tuple[Matrix, Matrix, Matrix]",
    "comes": "dict[str, tuple[Stages, Stages, Stages]]",
    "says": "dict[str, Stages]",
    "moves": "dict[str, tuple[Matrix, Matrix, Matrix]]",
    "says_moved": "dict[str, Stages]",
    "use": "Stages",
    "use_variance": "Stages",
}


def counted(customers: int, days: int, seed: int) -> Odds:
    """The odds that simulated customers show."""
    counts = Counts()
    for signals, stretches in _sequences(customers, days, seed):
        counts.add(signals, stretches)
    return odds(counts)


def _sequences(customers: int, days: int, seed: int) -> Iterator[tuple[list[CheckedSignal], list[Stretch]]]:
    signals: defaultdict[str, list[CheckedSignal]] = defaultdict(list)
    truths: defaultdict[str, list[Stretch]] = defaultdict(list)
    encode = msgspec.json.Encoder().encode
    for step in simulate(customers, days=days, seed=seed, start_ms=_START):
        for one in step.truths:
            if "stage" in one:
                stretch = Stretch(parse_time(one["since"]), parse_time(one["until"]), STAGES.index(one["stage"]))
                truths[one["customer"]].append(stretch)
        for event in step.signals:
            signals[event["subject"]].append(check(encode(event), "default"))
    for customer, own in signals.items():
        yield own, sorted(truths[customer])


def written(found: Odds, head: str) -> str:
    """The module's text."""
    parts = [f"{name.upper()}: Final[{_TYPES[name]}] = {_literal(value)}\n" for name, value in found._asdict().items()]
    return head + "".join(parts)


def _literal(value: Floats | dict[str, Floats], indent: str = "") -> str:
    inner = indent + "    "
    if isinstance(value, dict):
        lines = (f"{inner}{json.dumps(key)}: {_literal(one, inner)},\n" for key, one in value.items())
        return "{\n" + "".join(lines) + indent + "}"
    if value.ndim == 1:
        return "(" + ", ".join(repr(float(f"{number:.4g}")) for number in value.tolist()) + ")"
    return "(\n" + "".join(f"{inner}{_literal(np.asarray(one), inner)},\n" for one in value) + indent + ")"


def main(file: Path) -> None:
    """Write them."""
    found = counted(CUSTOMERS, DAYS, SEED)
    file.write_text(written(found, _HEAD.format(customers=CUSTOMERS, days=DAYS, seed=SEED)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
