"""What the code has a name for stands in the documentation, and what stands there exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import pytest

from cli.exits import exit_code
from docs.generate import ROOT
from membrane import errors
from membrane.decisions import Answer, Candidate, CandidateVerdict, DecisionRequest
from membrane.defaults import TABLE
from membrane.dictionary import FACTS
from membrane.features import FEATURE_NAMES
from membrane.life import LIFE_FIELDS, Status
from membrane.ports import RecordKind
from membrane.principles import GUARANTEES, Effect, Principle, Promise
from membrane.settings import TenantSettings
from membrane.signals import TYPES
from membrane.vocabulary import DEGRADED, LIFECYCLES, OBLIGATION_KINDS, ONCE_PER, STAGES, FindingKind
from membrane.wording import TEXTS
from models.bundle import Manifest
from serving.app import create_app
from serving.auth import SCOPES
from serving.config import ServeConfig
from serving.problems import from_error
from serving.services import Services
from tests.docs.pages import DOCS, code_words, prose, text

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MembraneError)]
PROMISE_FIELDS = {name.removesuffix("_ms") for name in Promise.__dataclass_fields__}


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("signals.md", TYPES),
        ("features.md", FEATURE_NAMES),
        ("models.md", Manifest.__struct_fields__),
        ("how-it-works.md", [*STAGES, *LIFECYCLES]),
        ("decisions-api.md", [*DEGRADED, *TABLE, *LIFECYCLES]),
        ("decisions-api.md", {"unknown-class", "never-seen", "opted-out", "opt-in-missing"} & set(TEXTS)),
        ("principles.md", [fact.name for fact in FACTS]),
        ("principles.md", [*Effect, *OBLIGATION_KINDS, *ONCE_PER, *PROMISE_FIELDS]),
        ("principles.md", [one.id for one in GUARANTEES]),
        ("principles.md", list(FindingKind)),
        ("operations.md", [*SCOPES, *TenantSettings.__struct_fields__]),
        ("errors.md", [kind.__name__ for kind in ERRORS]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everything_with_a_name_is_described(page, names):
    assert set(map(str, names)) - code_words(page) == set()


def test_every_field_of_a_principle_is_described():
    read_from = {"scope": "applies", "condition": "when", "changes": "set", "promise": "obligation"}
    fields = {read_from.get(name, name) for name in Principle.__dataclass_fields__} - {"life"}
    assert {*fields, *LIFE_FIELDS, *Status} - code_words("principles.md") == set()


def test_the_kinds_of_log_records_that_are_written_are_named():
    assert all(kind.name.lower() in text("how-it-works.md") for kind in RecordKind)


def problems() -> Iterator[tuple[str, str]]:
    """(slug, status) of every problem that serving makes; a status that is not fixed is `other`."""
    for path in sorted((ROOT / "serving").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Problem":
                status, slug = call.args[:2]
                assert isinstance(slug, ast.Constant)
                yield slug.value, str(status.value) if isinstance(status, ast.Constant) else "other"


def test_every_problem_is_described_with_its_status_and_no_other():
    described = re.findall(r"^\| `urn:membrane:problem:([\w-]+)` \| (\w+) \|", text("errors.md"), re.MULTILINE)
    assert sorted(described) == sorted(set(problems()))


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_is_described_with_its_exit_code_and_status(kind):
    error = kind.__new__(kind)
    error.pointer, error.detail, error.errors, error.faults = "", "", [], []
    row = f"| `{kind.__name__}` | {exit_code(error)} | {from_error(error).status} |"
    assert row in text("errors.md")


def test_every_route_is_described(tmp_path):
    services = Services.open(ServeConfig(data=tmp_path / "data"))
    try:
        routes = set(create_app(services).router.openapi()["paths"])
    finally:
        services.close()
    told = re.sub(r"\{\w+\}", "{}", prose(DOCS / "decisions-api.md") + prose(DOCS / "signals.md"))
    assert {route for route in routes if re.sub(r"\{\w+\}", "{}", route) not in told} == set()


def test_every_reason_for_a_dead_letter_is_described():
    source = (ROOT / "serving/incoming.py").read_text() + (ROOT / "storage/log.py").read_text()
    source += (ROOT / "storage/set_aside.py").read_text()
    reasons = {
        reason
        for reason in ("unknown_type", "ahead_of_clock", "poison", "erased")
        if f'"{reason}"' in source or f"'{reason}'" in source
    }
    assert len(reasons) == 4
    assert reasons - code_words("signals.md") == set()


def test_every_choice_of_an_answer_is_described():
    fields = {
        name
        for kind in (Answer, CandidateVerdict, DecisionRequest, Candidate)
        for name in kind.__struct_encode_fields__
    }
    choices = {
        word for hint in get_type_hints(DecisionRequest).values() for word in get_args(hint) if isinstance(word, str)
    }
    assert (fields | choices) - code_words("decisions-api.md") == set()


@pytest.mark.parametrize("page", ["how-it-works.md"])
def test_every_test_that_is_named_exists(page):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text(page))
    assert named
    assert [(path, name) for path, name in named if f"def {name}(" not in (ROOT / path).read_text()] == []


def test_every_law_names_a_test():
    laws = re.findall(r"^\| (\d) \| \*\*.*?\| (`tests/.*) \|$", text("how-it-works.md"), re.MULTILINE)
    assert [number for number, _ in laws] == list("012345678")


def test_every_metric_that_is_named_exists():
    generated = set(re.findall(r"^\| `(membrane_\w+)` \|", text("operations.md"), re.MULTILINE))
    named = {word for page in DOCS.glob("*.md") for word in re.findall(r"\bmembrane_[a-z_]+\b", page.read_text())}
    assert named == generated
