"""A customer as a decision sees it: the record, advanced to "now" on a copy, with the consents of the log.

Law 7: what a decision sees at t equals what a replay that ends with a tick at t would have written.
"""

from __future__ import annotations

from collections.abc import Sequence

from membrane.contacts import consent_key
from membrane.engine import Rules, advance, next_due
from membrane.entities import entities
from membrane.facts import NOTHING, About, RecordFacts
from membrane.record import Record, copy_of

LogConsent = tuple[int, int, bool, int]
"""(channel index, domain index, granted, event time in ms), as the log's own transaction keeps it."""


class View:
    """One customer at one moment. `record` is None for a customer never seen; it is never changed here."""

    def __init__(self, record: Record | None, t: int, rules: Rules, consents: Sequence[LogConsent] = ()) -> None:
        self.t = t
        self.rules = rules
        self.record = self._advanced(record)
        self._log_consents = consents
        self._consents = {consent_key(channel, domain): (at, granted) for channel, domain, granted, at in consents}

    def at(self, t: int) -> View:
        """The same customer at a later moment."""
        return View(self.record, t, self.rules, self._log_consents)

    def facts(self, about: About = NOTHING, narrow: tuple[str, str] | None = None) -> RecordFacts:
        """The facts, for a request (`about`) and perhaps narrowed to one entity of a scope."""
        return RecordFacts(self.record, self.t, self.rules.settings, about, narrow)

    def entities(self, scope: str) -> list[str]:
        """The entities of a once_per scope."""
        return entities(self.record, self.t, scope) if self.record else []

    def consent(self, channel: int, domain: int) -> str:
        """granted, denied or none: the latest word of the record and the log, a refusal winning a tie."""
        key = consent_key(channel, domain)
        known = [entry for entry in (self._consents.get(key), self._recorded(key)) if entry is not None]
        if not known:
            return "none"
        return "granted" if max(known, key=lambda entry: (entry[0], not entry[1]))[1] else "denied"

    def next_due(self) -> int | None:
        """The first moment > t at which time alone may change the record."""
        return next_due(self.record, self.rules, self.t) if self.record else None

    def _recorded(self, key: int) -> tuple[int, bool] | None:
        return self.record.state.consents.get(key) if self.record else None

    def _advanced(self, record: Record | None) -> Record | None:
        if record is None:
            return None
        due = next_due(record, self.rules, record.clock)
        if due is None or due > self.t:
            return record
        copied = copy_of(record)
        return record if advance(copied, self.t, self.rules) is None else copied
