"""What every part of the quality bench shares: where the data are, and how large a run is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.service import ROOT

PARTS: Final = ("tables", "prequential", "dormancy", "incidents", "simulator")
RESULTS: Final[Path] = ROOT / "bench" / "results" / "quality.json"
DATA: Final[Path] = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Size:
    """A full run, or one that only shows that the parts run."""

    quick: bool = False
