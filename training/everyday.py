"""The everyday life of simulated customers: joining, using, ordering, paying, speaking, leaving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from membrane.times import DAY, HOUR, SECOND
from training import rates
from training.world import World

_LANGUAGES: Final = (("es", "Europe/Madrid"), ("en", "Europe/London"))


class Everyday:
    """What customers do by themselves. `usage` is each customer's usual level; `actions` go by kind of arrival."""

    def __init__(self, world: World, usage: list[float], drift: rates.Drift = rates.NO_DRIFT) -> None:
        self._world = world
        self._usage = usage
        self._drift = drift
        self.actions: dict[str, Callable[[int, int], None]] = {
            "message": self._message,
            "usage": self._measure,
            "order": self._order,
            "payment_failed": self._fail_payment,
            "self_service": self._serve_oneself,
        }

    def introduce(self, t: int, customer: int) -> None:
        """What is known of an established customer."""
        language, timezone = _LANGUAGES[customer % len(_LANGUAGES)]
        data = {"timezone": timezone, "language": language, "segment": "retail", "channels": ["email", "phone", "sms"]}
        self._world.emit(t, "crm", "profile.updated", customer, data)

    def open_account(self, t: int, customer: int) -> None:
        """A new customer, and the steps of becoming one."""
        language, timezone = _LANGUAGES[customer % len(_LANGUAGES)]
        data = {"product": self._world.product(customer), "timezone": timezone, "language": language}
        self._world.emit(t, "crm", "account.opened", customer, data)
        for step, days in (("welcome", 0), ("first_payment", 2), ("settled", 12)):
            self._world.later(t + days * DAY + self._world.delay(6 * HOUR), customer, self._onboard, step)

    def _onboard(self, t: int, customer: int, step: str) -> None:
        data = {"journey": "onboarding", "step": step, "status": "done"}
        self._world.emit(t, "crm", "journey.moved", customer, data)

    def close_account(self, t: int, customer: int, *, satisfied: bool) -> None:
        """A customer leaves."""
        self._world.emit(t, "crm", "account.closed", customer, {"reason": "moved_on" if satisfied else "dissatisfied"})

    def _message(self, t: int, customer: int) -> None:
        world, stage = self._world, self._world.stage[customer]
        channel = world.pick(rates.MESSAGE_CHANNELS, rates.MESSAGE_CHANNEL_ODDS[stage])
        interaction = world.name("interaction")
        mean, noise = rates.SENTIMENT[stage]
        self._say(t, customer, channel, world.random.gauss(mean + self._drift.tone_at(t), noise), interaction)
        if channel in ("phone", "chat"):
            seconds = int(world.random.lognormvariate(5.7, 0.6))
            data = {
                "interaction": interaction,
                "channel": channel,
                "direction": "inbound",
                "handled_by": "human",
                "duration_seconds": seconds,
                "resolved": world.chance(rates.SATISFACTION[stage]),
            }
            world.later(t + seconds * SECOND, customer, self._end_interaction, data)

    def _say(self, t: int, customer: int, channel: str, tone: float, interaction: str) -> None:
        data = {"channel": channel, "sentiment": round(min(1.0, max(-1.0, tone)), 2), "sentiment_by": "simulator"}
        self._world.emit(t, "helpdesk", "message.received", customer, {**data, "interaction": interaction})

    def thank(self, t: int, customer: int) -> None:
        """A crisis that ended well is followed by a kind word, now and then by a credit."""
        world = self._world
        if world.chance(0.6):
            tone = world.random.uniform(0.3, 0.8)
            world.later(t + world.delay(3 * HOUR), customer, self._say, "email", tone, world.name("interaction"))
        if world.chance(0.3):
            world.later(t + world.delay(DAY), customer, self._give_credit)

    def _give_credit(self, t: int, customer: int) -> None:
        data = {"kind": "service_credit", "amount": 10, "currency": "EUR"}
        self._world.emit(t, "billing", "credit.given", customer, data)

    def _end_interaction(self, t: int, customer: int, data: dict[str, Any]) -> None:
        self._world.emit(t, "helpdesk", "interaction.ended", customer, data)

    def _serve_oneself(self, t: int, customer: int) -> None:
        data = {"interaction": self._world.name("interaction"), "channel": "web", "handled_by": "self_service"}
        resolved = self._world.chance(rates.SATISFACTION[self._world.stage[customer]])
        self._end_interaction(t, customer, {**data, "resolved": resolved})

    def _measure(self, t: int, customer: int) -> None:
        level = self._usage[customer] * rates.USAGE_FACTOR[self._world.stage[customer]]
        value = round(level * self._world.random.lognormvariate(0.0, 0.15), 1)
        data = {"metric": "transactions", "value": value, "product": self._world.product(customer)}
        self._world.emit(t, "meters", "usage.measured", customer, data)

    def _order(self, t: int, customer: int) -> None:
        data = {"amount": self._amount(), "currency": "EUR", "product": self._world.product(customer)}
        self._world.emit(t, "billing", "order.placed", customer, data)
        if self._world.chance(0.05):
            self._world.later(t + self._world.delay(DAY), customer, self._cancel, data)

    def _cancel(self, t: int, customer: int, order: dict[str, Any]) -> None:
        self._world.emit(t, "billing", "order.cancelled", customer, order)

    def _fail_payment(self, t: int, customer: int) -> None:
        self._world.emit(t, "billing", "payment.failed", customer, {"amount": self._amount(), "currency": "EUR"})

    def _amount(self) -> float:
        return round(self._world.random.lognormvariate(3.4, 0.7), 2)
