"""A customer as a decision sees it: the record, advanced to "now" on a copy, with the consents of the log.

Law 7: what a decision sees at t equals what a replay that ends with a tick at t would have written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from membrane.caps import Claim
from membrane.contacts import consent_key
from membrane.engine import Rules, advance, next_due
from membrane.facts import NOTHING, About, RecordFacts
from membrane.forecast import Forecast, copied_tracker
from membrane.life import Who
from membrane.pauses import Pause
from membrane.record import Record


class Progress(NamedTuple):
    """How far the stream is with a record: see `membrane.engine.advance` for `fired_until` and `revised`; `due` is
    `membrane.engine.next_due` of the record as it was stored (0: it is not known)."""

    fired_until: int = 0
    revised: bool = False
    due: int | None = 0


LogConsent = tuple[int, int, bool, int]
"""(channel index, domain index, granted, event time in ms), as the log's own transaction keeps it."""


_NONE: Final = Progress()


class View:
    """One customer at one moment. `record` is None for a customer never seen, of whom `who` says the tenant and id; it
    is never changed here. `as_of` is the clock of the record as it was stored. For whoever makes the view
    to set: `claims`, the slots of contact caps that are held, and whether a source of cases or messages is silent."""

    def __init__(
        self,
        record: Record | None,
        t: int,
        rules: Rules,
        consents: Sequence[LogConsent] = (),
        forecast: Forecast | None = None,
        progress: Progress = _NONE,
        who: Who = ("", ""),
    ) -> None:
        self.t = t
        self.claims: Sequence[Claim] = ()
        self.service_silent = False
        self.who = (record.tenant, record.customer) if record is not None else who
        self._due = progress.due
        self.as_of = record.clock if record is not None else None
        self.rules = rules
        self.record = self._advanced(record, progress) if forecast is None else record
        self._forecast = forecast
        self._log_consents = consents
        self._consents = {consent_key(channel, domain): (at, granted) for channel, domain, granted, at in consents}

    @property
    def pauses(self) -> tuple[Pause, ...]:
        """The tenant's pauses, and the customer's."""
        return self.rules.pauses

    def at(self, t: int) -> View:
        """The same customer at a later moment."""
        return self._same(View(self.record, t, self.rules, self._log_consents, progress=Progress(self.t)))

    def foresee(self, t: int) -> View:
        """The same customer later, as far as facts go: obligations are as they are now. Cheaper than `at`."""
        forecast = self._ahead()
        if forecast is None:
            return self.at(t)
        return self._same(View(forecast.record_at(t), t, self.rules, self._log_consents, forecast))

    def facts(self, about: About = NOTHING, narrow: tuple[str, str] | None = None) -> RecordFacts:
        """The facts, for a request (`about`) and perhaps narrowed to one entity of a scope."""
        return RecordFacts(self.record, self.t, self.rules.settings, about, narrow, self._ahead())

    def consent(self, channel: int, domain: int) -> str:
        """granted, denied or none: the latest word of the record and the log, a refusal winning a tie."""
        key = consent_key(channel, domain)
        known = [entry for entry in (self._consents.get(key), self._recorded(key)) if entry is not None]
        if not known:
            return "none"
        return "granted" if max(known, key=lambda entry: (entry[0], not entry[1]))[1] else "denied"

    def next_due(self) -> int | None:
        """The first moment > t at which time alone may change the record."""
        if self._due is None or self._due > self.t:
            return self._due
        return next_due(self.record, self.rules, self.t) if self.record else None

    def _same(self, later: View) -> View:
        later.as_of, later.who, later.claims = self.as_of, self.who, self.claims
        later.service_silent = self.service_silent
        return later

    def _ahead(self) -> Forecast | None:
        if self._forecast is None and self.record is not None:
            self._forecast = Forecast(self.record, self.t, self.rules.limits)
        return self._forecast

    def _recorded(self, key: int) -> tuple[int, bool] | None:
        return self.record.state.consents.get(key) if self.record else None

    def _advanced(self, record: Record | None, progress: Progress) -> Record | None:
        if record is None:
            return None
        fired_until, revised, due = progress
        if due == 0:
            due = self._due = next_due(record, self.rules, max(record.clock, fired_until))
        if not revised and (due is None or due > self.t):
            return record
        copied = _copied(record)
        happened = advance(copied, self.t, self.rules, fired_until=fired_until, revised=revised)
        self._due = 0
        return record if happened is None else copied


def _copied(record: Record) -> Record:
    """A copy of what time changes; the state, which only signals change, is shared."""
    return replace(
        record,
        tracker=copied_tracker(record.tracker),
        obligations=[replace(owed) for owed in record.obligations],
        overdue=list(record.overdue),
    )
