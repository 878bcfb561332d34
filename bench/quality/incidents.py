"""uci_incidents: does the same trouble come back within 30 days, and is the promised time missed? Both as they could
have been told when the case was opened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from bench.rows import Row
from bench.service import ROOT
from membrane.features import FEATURE_NAMES, features, fingerprint
from membrane.fold import fold
from membrane.record import State
from membrane.signals import CaseOpened, check
from membrane.times import DAY, format_time, parse_time
from training.fitting import Examples, Plan, Trained, train
from training.tables import read_table
from training.uci import FILE_NAME, uci_events

FOLDER: Final = ROOT.parent / "shared" / "data" / "uci_incidents"
HORIZON_MS: Final = 30 * DAY
CASES_END: Final = parse_time("2016-06-01T00:00:00Z")
"""The data hold hardly a case that was opened later: whether one came back cannot be known for the last 30 days."""
_OUTCOME: Final = ("number", "made_sla")


class Openings(NamedTuple):
    """A row (n, features) for each case at the moment that it was opened, its opening among what is known."""

    rows: npt.NDArray[np.float32]
    times: npt.NDArray[np.int64]
    callers: npt.NDArray[np.str_]
    cases: tuple[str, ...]
    again: npt.NDArray[np.int64]
    """1 if the same caller opens a case of the same subcategory within 30 days."""
    same_before: npt.NDArray[np.float64]
    """Such cases of that caller so far."""
    any_before: npt.NDArray[np.float64]
    """Cases of that caller so far."""
