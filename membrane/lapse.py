"""The lapse rule: for which silence a customer counts as lost who never says so, such as "no order.placed for 30d"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from membrane.document import hint
from membrane.signals import TYPES
from membrane.times import DAY, HOUR

MAX_LAPSE_MS: Final = 366 * DAY
_RULE: Final = re.compile(r"no (\S+(?: or \S+)*) for (\d{1,5})(d|h)", re.ASCII)
_UNITS: Final = {"d": DAY, "h": HOUR}
_NAMES: Final = {type_.removeprefix("cx.").removesuffix(".v1"): type_ for type_ in sorted(TYPES)}


@dataclass(frozen=True, slots=True)
class Lapse:
    """A customer lapses at a moment after which no signal of these `types` comes for `ms`."""

    types: tuple[str, ...]
    ms: int

    @property
    def mark(self) -> int:
        """Tells rules that listen to other signals apart."""
        return crc32(" ".join(self.types).encode())

    def lapsed(self, times: Iterable[int], cutoff: int, until: int) -> bool | None:
        """Whether a customer had lapsed at `cutoff`, from the times of their signals of these types and what is known
        up to and with `until`: no time lies in (cutoff, cutoff + ms]. None where that cannot be known yet.

        >>> rule = read_lapse("no order.placed for 1d")
        >>> rule.lapsed([0], 0, 2 * DAY), rule.lapsed([DAY], 0, DAY), rule.lapsed([], 0, DAY - 1)
        (True, False, None)
        """
        end = cutoff + self.ms
        if any(cutoff < t <= min(end, until) for t in times):
            return False
        return True if until >= end else None


def read_lapse(text: str) -> Lapse:
    """The rule of a text: `no SIGNAL for 30d`, or `no SIGNAL or SIGNAL for 720h`, a signal by its name with or without
    `cx.` and `.v1`. ValueError says what was required and what came.

    >>> read_lapse("no order.placed or usage.measured for 30d").types
    ('cx.order.placed.v1', 'cx.usage.measured.v1')
    """
    match = _RULE.fullmatch(" ".join(text.split()))
    if match is None:
        raise ValueError(f"must be such as 'no order.placed for 30d', came '{text}'")
    ms = int(match[2]) * _UNITS[match[3]]
    if not 0 < ms <= MAX_LAPSE_MS:
        raise ValueError(f"must be for more than nothing and at most 366d, came '{match[2]}{match[3]}'")
    return Lapse(tuple(dict.fromkeys(_type(name) for name in match[1].split(" or "))), ms)


def _type(name: str) -> str:
    short = name.removeprefix("cx.").removesuffix(".v1")
    if short not in _NAMES:
        raise ValueError(f"there is no signal '{name}'{hint(short, _NAMES)}")
    return _NAMES[short]
