"""A customer to whom signals and ticks come one by one, through the engine, as a partition would apply them."""

from __future__ import annotations

from typing import Any

from membrane.engine import Happening, Rules, advance, judge, listen, new_record, receive
from membrane.fold import Folded
from membrane.record import Record, State, Tracker
from membrane.signals import StoredSignal, typed
from membrane.tracker import Score
from membrane.vocabulary import LIFECYCLES, STAGES
from tests.strategies import signal

BY_RULES = Rules(None)


class Customer:
    """`tell` and `tick` give what happened; `score` is what the model says from now on."""

    def __init__(self, rules: Rules = BY_RULES) -> None:
        self.rules = rules
        self.score = Score()
        self.last_tick = 0
        self.told = 0
        self._record: Record | None = None

    def tell(self, kind: str, t: int, /, **data: Any) -> list[Happening]:
        """A signal `cx.<kind>.v1` with event time t comes."""
        self.told += 1
        return self.hear(signal(self.told, kind, t, data))

    def hear(self, item: StoredSignal) -> list[Happening]:
        """A signal comes."""
        received = receive(self.meet(item), item, typed(item), self.last_tick, self.rules)
        if self.score.advisory and received.folded is Folded.NEWS:
            listen([received])
        return judge(received, self.score, self.rules)

    def meet(self, item: StoredSignal) -> Record:
        """The record that a signal is for, new if it is the first."""
        if self._record is None:
            self._record = new_record(item.tenant, item.customer, item.time)
        return self._record

    def tick(self, t: int) -> list[Happening]:
        """The partition's clock says t."""
        self.last_tick = max(self.last_tick, t)
        return advance(self.record, t, self.rules) or []

    @property
    def record(self) -> Record:
        assert self._record is not None
        return self._record

    @property
    def state(self) -> State:
        return self.record.state

    @property
    def tracker(self) -> Tracker:
        return self.record.tracker

    @property
    def stage(self) -> str:
        return str(STAGES[self.tracker.stage])

    @property
    def previous(self) -> str:
        return str(STAGES[self.tracker.previous])

    @property
    def lifecycle(self) -> str:
        """The lifecycle at the last evaluation."""
        return str(LIFECYCLES[self.tracker.lifecycle])
