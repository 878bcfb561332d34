from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from cli.plot import COLOURS, Panel, stacked, write_plot
from membrane.errors import UsageError

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_high_as_their_counts():
    drawn = ET.fromstring(stacked([Panel("sales <&>", ["a", "b"], {"yes": [10, 20], "no": [0, 20]})]))
    bars = [one for one in drawn.iter(f"{SVG}rect") if one.get("fill") in COLOURS]
    heights = [float(one.get("height", "")) for one in bars]
    assert heights == [pytest.approx(heights[2] / 2, abs=0.1), 0, heights[2], heights[2]]
    assert "sales <&>" in [one.text for one in drawn.iter(f"{SVG}text")]


def test_nothing_to_show_is_still_a_plot():
    for panels in ([], [Panel("none", [], {"yes": [], "no": []})], [Panel("zero", ["a"], {"yes": [0]})]):
        ET.fromstring(stacked(panels))


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        write_plot(tmp_path / "nowhere" / "plot.svg", [])
