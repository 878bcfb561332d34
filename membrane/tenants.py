"""The tenants' file: what each tenant sets for itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, get_args

from membrane.cases import KEPT_REPORTS
from membrane.document import DocumentReader, Positions
from membrane.errors import InvalidPrinciples
from membrane.lapse import read_lapse
from membrane.settings import Consent, Language, Recurrences, TenantSettings, zone_of
from membrane.times import DAY, MINUTE, format_duration

MAX_TENANTS: Final = 100
MAX_CATEGORIES: Final = 32
MAX_RECURRENCES: Final = KEPT_REPORTS - 2
"""The greatest number that can be passed: of the reports that are kept one is the case's own."""
MAX_RECURRENCE_DAYS: Final = 30
MAX_SOURCES: Final = 32
MIN_CADENCE_MS, MAX_CADENCE_MS = MINUTE, 30 * DAY
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_FIELDS: Final = TenantSettings.__struct_fields__


def read_tenants(document: Any, positions: Positions, file: str = "") -> dict[str, TenantSettings]:
    """The settings in a parsed tenants' file, by tenant. InvalidPrinciples lists every fault."""
    reader = _Reader(positions, file)
    fields = reader.mapping(document, "", ("tenants",))
    tenants = reader.mapping_of_any(fields.get("tenants", {}), "tenants")
    if len(tenants) > MAX_TENANTS:
        reader.fault("tenants", f"must have at most {MAX_TENANTS} tenants, came {len(tenants)}")
    found = {str(name): reader.settings(value, f"tenants.{name}") for name, value in tenants.items()}
    if reader.faults:
        raise InvalidPrinciples(sorted(reader.faults, key=lambda fault: (fault.line, fault.column)))
    return found


class _Reader(DocumentReader):
    """Reads the settings of one tenant."""

    def mapping_of_any(self, value: Any, path: str) -> dict[Any, Any]:
        """A mapping whose keys are names."""
        return self.mapping(value, path, (), value if isinstance(value, dict) else ())

    def settings(self, value: Any, path: str) -> TenantSettings:
        """What one tenant sets; what it leaves out is as for everybody."""
        fields, before = self.mapping(value, path, (), _FIELDS), len(self.faults)
        read: dict[str, Callable[[Any, str], Any]] = {
            "timezone": self._zone,
            "language": lambda value, at: self.choice(value, at, get_args(Language)),
            "consent": lambda value, at: self.choice(value, at, get_args(Consent)),
            "billing_categories": self._categories,
            "churn_threshold": self._probability,
            "go_live": self.moment,
            "currency": self._currency,
            "recurrences": self._recurrences,
            "lapse": self._lapse,
            "sources": self._sources,
        }
        given = {name: read[name](fields[name], f"{path}.{name}") for name in _FIELDS if name in fields}
        return TenantSettings(**given) if len(self.faults) == before else TenantSettings()

    def _zone(self, value: Any, path: str) -> str:
        found = self.text(value, path)
        if found and zone_of(found) is None:
            self.fault(path, f"must be an IANA name such as America/Bogota, came '{found}'")
        return found

    def _categories(self, value: Any, path: str) -> tuple[str, ...]:
        items = self.items(value, path, least=1)
        if len(items) > MAX_CATEGORIES:
            self.fault(path, f"must have at most {MAX_CATEGORIES} items, came {len(items)}")
        return tuple(self.text(item, at) for at, item in items)

    def _probability(self, value: Any, path: str) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
            return float(value)
        self.fault(path, "must be a probability above 0, at most 1")
        return 1.0

    def _currency(self, value: Any, path: str) -> str:
        if isinstance(value, str) and _CURRENCY.fullmatch(value):
            return value
        self.fault(path, "must be three capital letters such as COP")
        return ""

    def _recurrences(self, value: Any, path: str) -> Recurrences:
        names = Recurrences.__struct_fields__
        fields = self.mapping(value, path, (), names)
        highest = dict(zip(names, (MAX_RECURRENCES, MAX_RECURRENCE_DAYS), strict=True))
        return Recurrences(
            **{
                name: self.count(fields[name], f"{path}.{name}", low=1, high=highest[name])
                for name in names
                if name in fields
            }
        )

    def _lapse(self, value: Any, path: str) -> str:
        found = self.text(value, path)
        try:
            if found:
                read_lapse(found)
        except ValueError as error:
            self.fault(path, str(error))
        return found

    def _sources(self, value: Any, path: str) -> dict[str, int]:
        given = self.mapping_of_any(value, path)
        if len(given) > MAX_SOURCES:
            self.fault(path, f"must have at most {MAX_SOURCES} sources, came {len(given)}")
        return {str(name): self._cadence(silence, f"{path}.{name}") for name, silence in given.items()}

    def _cadence(self, value: Any, path: str) -> int:
        before, found = len(self.faults), self.duration(value, path)
        if len(self.faults) == before and not MIN_CADENCE_MS <= found <= MAX_CADENCE_MS:
            low, high = format_duration(MIN_CADENCE_MS), format_duration(MAX_CADENCE_MS)
            self.fault(path, f"must be from {low} to {high}, came '{value}'")
        return found
