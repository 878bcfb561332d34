"""Small tables with a known relation between columns and label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

HEADER = "id,tenure,plan,region,noise,churn"


def lines(rows: int = 240, seed: int = 1) -> list[str]:
    """Customers of the basic plan leave more often, old ones less; the rest says nothing."""
    random = np.random.default_rng(seed)
    told = []
    for row in range(rows):
        tenure, gold = int(random.integers(0, 60)), random.random() < 0.5
        leaves = random.random() < 1 / (1 + np.exp(-(1.5 - tenure / 12 - 2 * gold)))
        plan, region = ("gold" if gold else "basic"), ("north", "south")[row % 2]
        cell = "" if row % 40 == 7 else tenure
        told.append(f"c-{row},{cell},{plan},{region},{random.normal():.4f},{'yes' if leaves else 'no'}")
    return told


def written(path: Path, *more: str, header: str = HEADER, rows: list[str] | None = None) -> Path:
    path.write_text("\n".join([header, *(lines() if rows is None else rows), *more]) + "\n", encoding="utf-8")
    return path
