"""What differs between two JSON documents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final, NamedTuple

MISSING: Final = None
"""What stands for a member that one of the two does not have."""


class Difference(NamedTuple):
    """A place, as a JSON pointer, and what the first and the second document have there."""

    pointer: str
    before: Any
    after: Any


def differences(before: Any, after: Any, pointer: str = "") -> Iterator[Difference]:
    """The smallest places at which they differ, in the order of the first document.

    >>> [*differences({"a": [1, 2], "b": 1}, {"a": [1, 3], "b": 1})]
    [Difference(pointer='/a/1', before=2, after=3)]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            yield from differences(before.get(name, MISSING), after.get(name, MISSING), f"{pointer}/{name}")
    elif isinstance(before, list) and isinstance(after, list):
        for place, (first, second) in enumerate(zip_longest(before, after, fillvalue=MISSING)):
            yield from differences(first, second, f"{pointer}/{place}")
    elif before != after:
        yield Difference(pointer, before, after)
