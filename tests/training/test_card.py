from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import msgspec
import pytest

from tests.training.test_fitting import PLAN, churn, stages
from training.card import MARKDOWN, PAGE, write
from training.fitting import train


@pytest.fixture(scope="module", params=["churn", "stage"])
def card(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("card")
    examples = churn() if request.param == "churn" else stages([40] * 6)
    trained = train(request.param, examples, PLAN)
    digest = write(trained, out)
    return trained.report, digest, (out / MARKDOWN).read_text(), (out / PAGE).read_text()


def test_both_forms_tell_every_figure_with_its_interval_and_what_it_was_made_of(card):
    report, digest, markdown, page = card
    for text in (markdown, page):
        for figure in report.figures.values():
            assert f"{figure.low:.4f} – {figure.high:.4f}" in text
        assert digest in text
        assert report.versions["onnxruntime"] in text
        assert all(name in text for name in ("log-loss", "Brier score", "ECE", "SHA-256", "shares of the classes"))


def test_the_page_needs_nothing_from_elsewhere_and_its_plots_are_drawn(card):
    report, _, _, page = card
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=|url\(", page)
    plots = [ET.fromstring(plot) for plot in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    titles = [plot[0].text for plot in plots]
    assert ("ROC curve" in titles) == (report.kind == "churn")
    assert "Calibration (area: rows)" in titles
    assert len(plots) == 3 + (report.kind == "churn")


def test_what_comes_from_data_is_escaped(tmp_path):
    trained = train("churn", churn(), PLAN)
    report = msgspec.structs.replace(trained.report, drivers=(("<b>a|b</b>", 1.0),), source="<i>x</i>")
    write(replace(trained, report=report), tmp_path)
    page = (tmp_path / PAGE).read_text()
    assert "<b>" not in page
    assert "<i>" not in page
    assert "a\\|b" in (tmp_path / MARKDOWN).read_text()
