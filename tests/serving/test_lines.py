"""Lines of a body in chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.lines import Lines

CAP = 10


def lines_of(chunks: list[bytes]) -> list[tuple[int, bytes | None]]:
    lines = Lines(CAP)
    return [*(line for chunk in chunks for line in lines.feed(chunk)), *lines.end()]


@given(st.lists(st.binary(max_size=30).map(lambda part: part.replace(b"\x00", b"\n"))))
def test_the_cut_into_chunks_does_not_show(chunks):
    body = b"".join(chunks)
    expected = [
        (number, line.strip() if len(line) <= CAP else None)
        for number, line in enumerate(body.split(b"\n"), 1)
        if len(line) > CAP or line.strip()
    ]
    assert lines_of(chunks) == lines_of([body]) == expected


def test_nothing_is_kept_of_a_line_that_is_too_long():
    lines = Lines(CAP)
    for _ in range(1_000):
        assert list(lines.feed(b"x" * 1_000)) == []
        assert len(lines._held) <= CAP
    assert list(lines.feed(b"\nok\n")) == [(1, None), (2, b"ok")]
