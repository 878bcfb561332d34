"""The generated parts of the documentation are what the code says now."""

from __future__ import annotations

import re

import pytest

from docs.generate import PARTS, pages, rendered


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_generated_parts_are_up_to_date(page):
    text = page.read_text(encoding="utf-8")
    assert rendered(text) == text, "run `make docs`"


def test_every_part_stands_in_one_document():
    found = [name for page in pages() for name in re.findall(r"<!-- generated: ([\w-]+) -->", page.read_text())]
    assert sorted(found) == sorted(PARTS)


def test_a_part_that_nobody_makes_is_told():
    with pytest.raises(KeyError):
        rendered("<!-- generated: nothing -->\n<!-- end: nothing -->")
