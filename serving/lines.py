"""Lines of a body that comes in chunks, of which no more is held than the line at hand."""

from __future__ import annotations

from collections.abc import Iterator

Line = tuple[int, bytes | None]
"""A line and its number, from 1; None for one that is too long."""


class Lines:
    """Cuts a body that comes in chunks into numbered lines, from 1; empty ones are counted and left out. A line of more
    than `cap` bytes is None: nothing of it is kept."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._held = bytearray()
        self._size = 0
        self.number = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in a chunk."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._add(end)
            yield from self.end()
        self._add(rest)

    def end(self) -> Iterator[Line]:
        """The line that no line break ends, once the body is over."""
        self.number += 1
        line = bytes(self._held.strip()) if self._size <= self._cap else None
        self._held.clear()
        self._size = 0
        if line != b"":
            yield self.number, line

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._cap:
            self._held.clear()
        else:
            self._held += part
