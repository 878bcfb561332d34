"""What four departments and the survey team send in the simulator, and what comes back."""

from __future__ import annotations

from membrane.signals import SCORE_RANGES
from membrane.times import HOUR
from training import rates
from training.world import World

_SOURCE = "campaigns"
_SELLING = frozenset({"marketing", "sales"})


class Outreach:
    """Contacts, their answers, surveys and theirs; remembers who opted out of selling."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._opted_out: set[int] = set()

    def contact(self, t: int, customer: int, domain: str) -> None:
        """A department writes or calls; whoever opted out hears no more selling."""
        world = self._world
        if domain in _SELLING and customer in self._opted_out:
            return
        contact = self._made(t, customer, domain, world.pick(rates.CONTACT_KINDS[domain]))
        if world.chance(rates.ANSWERED[world.stage[customer]]):
            world.later(t + world.delay(5 * HOUR), customer, self._answer, contact, domain)

    def survey(self, t: int, customer: int, instrument: str, touchpoint: str | None = None) -> None:
        """A survey goes out, and perhaps comes back."""
        world = self._world
        contact = self._made(t, customer, "survey", instrument)
        sent = {"survey": world.name("survey"), "instrument": instrument, "contact": contact}
        if touchpoint is not None:
            sent["touchpoint"] = touchpoint
        world.emit(t, "surveys", "survey.sent", customer, sent)
        if world.chance(rates.SURVEY_ANSWERED[world.stage[customer]]):
            world.later(t + world.delay(12 * HOUR), customer, self._survey_answer, sent)

    def after_resolution(self, t: int, customer: int, case: str) -> None:
        """Half of the resolved cases are asked about within two days."""
        if self._world.chance(0.5):
            instrument = self._world.pick(("csat", "ces"))
            self._world.later(t + self._world.delay(16 * HOUR), customer, self.survey, instrument, f"case/{case}")

    def _made(self, t: int, customer: int, domain: str, kind: str) -> str:
        channels = rates.CONTACT_CHANNELS.get(domain, ("email", "app"))
        contact = self._world.name("contact")
        data = {"domain": domain, "kind": kind, "channel": self._world.pick(channels), "contact": contact}
        self._world.emit(t, _SOURCE, "contact.made", customer, data)
        return contact

    def _answer(self, t: int, customer: int, contact: str, domain: str) -> None:
        world = self._world
        odds = rates.OUTCOME_ODDS[world.stage[customer]] if domain in _SELLING else (0.8, 0.1, 0.0, 0.1, 0.0, 0.0)
        outcome = world.pick(rates.OUTCOMES, odds)
        world.emit(t, _SOURCE, "contact.answered", customer, {"contact": contact, "outcome": outcome})
        if outcome in ("unsubscribed", "complained"):
            self._opted_out.add(customer)

    def _survey_answer(self, t: int, customer: int, sent: dict[str, str]) -> None:
        world = self._world
        low, high = SCORE_RANGES[sent["instrument"]]
        share = min(1.0, max(0.0, world.random.gauss(rates.SATISFACTION[world.stage[customer]], 0.15)))
        data = {**sent, "score": round(low + (high - low) * share)}
        world.emit(t, "surveys", "survey.answered", customer, data)
