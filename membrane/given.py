"""Facts given by hand: for the inline tests of principles and the check of conditions at load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from membrane.dictionary import BY_NAME, CaseFacts, Matters, Value


@dataclass(frozen=True, slots=True)
class Given:
    """A FactSource at moment `t` of the facts in `values`; what is not given is unknown, and nothing changes."""

    values: dict[str, Value] = field(default_factory=dict)
    open_cases: tuple[CaseFacts, ...] = ()
    t: int = 0

    def get(self, name: str) -> Value:
        """The value given, else the fact's `unknown`."""
        if name in self.values:
            return self.values[name]
        return BY_NAME[name].unknown if name in BY_NAME else 0.0

    def anchor(self, name: str) -> int | None:
        """t minus the age given."""
        value = self.values.get(name)
        return self.t - value if isinstance(value, int) else None

    def next_change(self, name: str) -> int | None:  # noqa: ARG002 - facts given by hand do not change
        """Never."""
        return None

    def next_move(self, matters: Matters) -> int | None:  # noqa: ARG002 - as above
        """Never."""
        return None

    def cases(self) -> Sequence[CaseFacts]:
        """The open cases given."""
        return self.open_cases
