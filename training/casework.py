"""The life of simulated cases: reported, promised, delayed, resolved, reopened, relapsing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from membrane.times import DAY, HOUR, format_time
from training import rates
from training.world import World

_SOURCE = "helpdesk"


@dataclass(slots=True)
class Case:
    """One open case."""

    id: str
    category: str
    severity: int


class Casework:
    """Opens, updates and resolves the cases of all customers; only open ones are kept."""

    def __init__(self, world: World, after_resolution: Callable[[int, int, str], None]) -> None:
        self._world = world
        self._after_resolution = after_resolution  # (t, customer, case id)
        self._open: dict[int, list[Case]] = {}

    def report(self, t: int, customer: int, severity: int | None = None) -> None:
        """A problem is reported: on a fragile product mostly the same one again."""
        world = self._world
        relapse = world.is_fragile(customer) and world.chance(0.8)
        odds = rates.SEVERITY_ODDS[world.stage[customer]]
        case = Case(
            world.name("case"),
            rates.RELAPSING_CATEGORY if relapse else world.pick(rates.CATEGORIES),
            severity or world.random.choices((1, 2, 3, 4), odds)[0],
        )
        self._open.setdefault(customer, []).append(case)
        data: dict[str, Any] = {"case": case.id, "category": case.category, "severity": case.severity}
        if case.category != "billing":
            data["product"] = world.product(customer)
        if world.chance(0.35):
            data["eta"] = self._promise(t, case)
        elif world.chance(0.6):
            world.later(t + world.delay(4 * HOUR), customer, self._promise_later, case)
        world.emit(t, _SOURCE, "case.opened", customer, data)
        if world.chance(0.15):
            world.later(t + world.delay(6 * HOUR), customer, self._ask_back, case)
        self._plan_resolution(t, customer, case)

    def open_crisis(self, t: int, customer: int) -> None:
        """What tips a relationship over: a grave report."""
        self.report(t, customer, 1 if self._world.chance(0.7) else 2)

    def end_crisis(self, t: int, customer: int) -> None:
        """Everything open is really solved; on a fragile product the customer may take another one."""
        world = self._world
        for case in list(self._open.get(customer, ())):
            self._resolve(t, customer, case, world.pick(rates.RESOLUTIONS[:3], (0.6, 0.2, 0.2)))
        if world.is_fragile(customer) and world.chance(0.35):
            world.later(t + world.delay(4 * DAY), customer, self._replace)

    def forget(self, customer: int) -> None:
        """The customer has left."""
        self._open.pop(customer, None)

    def _is_open(self, customer: int, case: Case) -> bool:
        return case in self._open.get(customer, ())

    def _promise(self, t: int, case: Case) -> str:
        hours = rates.SOLVED_WITHIN_MS[case.severity - 1] // HOUR
        return format_time(t + int(self._world.random.uniform(0.8, 2.5) * hours) * HOUR)

    def _promise_later(self, t: int, customer: int, case: Case) -> None:
        if self._is_open(customer, case):
            data = {"case": case.id, "eta": self._promise(t, case)}
            self._world.emit(t, _SOURCE, "case.updated", customer, data)

    def _ask_back(self, t: int, customer: int, case: Case) -> None:
        if self._is_open(customer, case):
            self._world.emit(t, _SOURCE, "case.updated", customer, {"case": case.id, "status": "waiting_on_customer"})
            self._world.later(t + self._world.delay(8 * HOUR), customer, self._answer_back, case)

    def _answer_back(self, t: int, customer: int, case: Case) -> None:
        if self._is_open(customer, case):
            self._world.emit(t, _SOURCE, "case.updated", customer, {"case": case.id, "status": "open"})

    def _plan_resolution(self, t: int, customer: int, case: Case) -> None:
        world = self._world
        hours = rates.SOLVED_WITHIN_MS[case.severity - 1] * world.random.lognormvariate(0.0, 0.6)
        if world.stage[customer] == rates.STRAINED:
            hours *= rates.STRAINED_DELAY
        world.later(t + int(hours), customer, self._resolve_when_due, case)

    def _resolve_when_due(self, t: int, customer: int, case: Case) -> None:
        in_crisis = self._world.stage[customer] == rates.CRISIS  # then the end of the crisis resolves it
        if self._is_open(customer, case) and not in_crisis:
            code = self._world.pick(rates.RESOLUTIONS, rates.RESOLUTION_ODDS)
            self._resolve(t, customer, case, code)

    def _resolve(self, t: int, customer: int, case: Case, code: str) -> None:
        world = self._world
        self._open[customer].remove(case)
        if not self._open[customer]:
            del self._open[customer]
        world.emit(t, _SOURCE, "case.resolved", customer, {"case": case.id, "resolution_code": code})
        self._after_resolution(t, customer, case.id)
        reopening = 0.12 if world.is_fragile(customer) else 0.04
        if world.chance(reopening):
            world.later(t + world.delay(2 * DAY), customer, self._reopen, case)

    def _reopen(self, t: int, customer: int, case: Case) -> None:
        self._open.setdefault(customer, []).append(case)
        self._world.emit(t, _SOURCE, "case.reopened", customer, {"case": case.id})
        self._plan_resolution(t, customer, case)

    def _replace(self, t: int, customer: int) -> None:
        old = self._world.product(customer)
        self._world.replace_product(customer)
        new = self._world.product(customer)
        self._world.emit(t, "billing", "product.replaced", customer, {"old": old, "new": new})
