"""What a tenant may set: how the shared machinery reads its customers."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from membrane.lapse import read_lapse

Language = Literal["en", "es"]
Consent = Literal["opt_out", "opt_in"]


class Recurrences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes back too often: `more_than` so many recurrences of one problem within `days` are a crisis; a problem
    ends after so many days without a report."""

    more_than: int = 3
    days: int = 30


class TenantSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tenant's settings. `consent`: whether a known customer may be addressed unless they said no (`opt_out`) or
    only if they said yes (`opt_in`). `currency`: the only one whose amounts are summed; empty: all of them, as they
    come. `lapse`: a rule of `membrane.lapse`, empty where there is none. `sources`: the longest silence (ms) that is
    usual for a source. ValueError for a time zone that does not exist, or a lapse rule that is none."""

    timezone: str = "UTC"
    language: Language = "en"
    consent: Consent = "opt_out"
    billing_categories: tuple[str, ...] = ("billing", "invoice", "payment")
    churn_threshold: float = 0.5
    """Calibrated probability of churn from which a customer counts as at risk."""
    go_live: int = 0
    """Signals before it (epoch ms) build state but cause nothing; 0: as for everybody."""
    currency: str = ""
    recurrences: Recurrences = Recurrences()
    lapse: str = ""
    sources: dict[str, int] = {}

    def __post_init__(self) -> None:
        if zone_of(self.timezone) is None:
            raise ValueError(f"timezone must be an IANA name such as America/Bogota, came {self.timezone!r}")
        if self.lapse:
            read_lapse(self.lapse)


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name, None if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
