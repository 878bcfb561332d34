from __future__ import annotations

from cli.output import ProgressBar, bar_text


def test_a_bar_says_what_is_done_and_how_long_the_rest_takes():
    assert bar_text(50, 100, 10.0) == "[############............]  50 %, 10 s left"


def test_a_bar_of_nothing_is_full():
    assert bar_text(0, 0, 1.0) == "[########################] 100 %"


def test_a_bar_is_drawn_ten_times_a_second_and_at_the_end(capsys):
    now = iter([0.0, 0.0, 0.05, 0.11, 0.12])
    bar = ProgressBar("work", shown=True, now=lambda: next(now))
    for done in (1, 2, 3, 100):
        bar(done, 100)
    bar.close()
    drawn = capsys.readouterr().err
    assert drawn.count("\r") == 3
    assert "100 %" in drawn
    assert drawn.endswith("\n")


def test_a_bar_that_nobody_sees_prints_nothing(capsys):
    bar = ProgressBar("work", shown=False)
    bar(1, 1)
    bar.close()
    assert capsys.readouterr().err == ""
