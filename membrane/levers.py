"""Levers: by how much more or less, in percent, a domain's or a kind's candidates count in arbitration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from membrane.document import DocumentReader
from membrane.vocabulary import KINDS, InteractionClass

Levers = Mapping[tuple[str, str], int]
"""Percent by (domain, kind); the kind is empty where a lever is for the whole domain."""
LEAST, MOST = -100, 900
COMPETING: Final = {
    domain: classes[InteractionClass.PERSUASION]
    for domain, classes in KINDS.items()
    if InteractionClass.PERSUASION in classes
}
"""The kinds that compete, by domain: nothing else is ever chosen among."""


def factor(levers: Levers, domain: str, kind: str) -> float:
    """What a score is multiplied by: the lever of the kind, else that of its domain, else 1.

    >>> factor({("sales", ""): -20, ("sales", "renewal"): 55}, "sales", "renewal")
    1.55
    """
    percent = levers.get((domain, kind))
    return (100 + (levers.get((domain, ""), 0) if percent is None else percent)) / 100


def read_lever(reader: DocumentReader, value: Any, path: str) -> tuple[tuple[str, str], int]:
    """One lever of a principle file; faults go to the reader."""
    fields = reader.mapping(value, path, ("domain", "percent"), ("kind",))
    domain = reader.choice(fields.get("domain", next(iter(COMPETING))), f"{path}.domain", COMPETING)
    kinds = COMPETING.get(domain, ())
    kind = reader.choice(fields["kind"], f"{path}.kind", kinds) if "kind" in fields and kinds else ""
    return (domain, kind), reader.count(fields.get("percent", 0), f"{path}.percent", low=LEAST, high=MOST)
