"""What every test shares: Hypothesis settings that do not depend on how busy the machine is, and figures of faults."""

import logging
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("membrane", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("membrane")


if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # begun in the background of a shell: what tests start heeds Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what tests start heeds Ctrl-C all the same


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """What a command that runs for long sets up in this process is taken down again."""
    root, hooks = logging.getLogger(), (threading.excepthook, sys.unraisablehook)
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("membrane").setLevel(logging.NOTSET)
    logging.captureWarnings(False)
    threading.excepthook, sys.unraisablehook = hooks


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--figures FILE`: where to write what the fault suites measured, too."""
    parser.addoption("--figures", type=Path, help="a document with a part for the figures of the fault suites")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what the fault suites measured (`tell` of tests/faults/conftest.py), also from parallel workers."""
    reports = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, [])]
    told = sorted({text for report in reports for name, text in report.user_properties if name == "fault"})
    if told:
        terminalreporter.section("faults")
        for text in told:
            terminalreporter.write_line(text)
        document: Path | None = terminalreporter.config.getoption("--figures")
        if document is not None and not terminalreporter.stats.get("failed"):
            part = "\n".join(["<!-- figures -->", "```text", *told, "```", "<!-- end of figures -->"])
            page = document.read_text(encoding="utf-8")
            document.write_text(
                re.sub(r"<!-- figures -->.*<!-- end of figures -->", lambda _: part, page, flags=re.DOTALL),
                encoding="utf-8",
            )
