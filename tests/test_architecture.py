"""The shape of the repository: who imports whom, what serving loads, what is pinned and what ships."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "k8s"}
HEAVY = {"bytewax", "onnx", "pandas", "river", "scipy", "skl2onnx", "sklearn"}
DOMAIN_MAY_IMPORT = sys.stdlib_module_names | {"membrane", "msgspec", "numpy"}
CEL_ENGINE = {"cel_expr_python", "google"}
CEL_MODULE = "conditions.py"


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_packages(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: a relative import"
            yield node.module.partition(".")[0]


def source_files() -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    else:  # a copy without .git
        paths = (path for path in ROOT.rglob("*") if ".venv" not in path.parts and "mutants" not in path.parts)
    return (path for path in paths if path.is_file())


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_every_import_contract_is_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "membrane").rglob("*.py")), ids=lambda path: path.name)
def test_the_domain_imports_only_numpy_msgspec_and_in_one_module_the_cel_engine(path: Path) -> None:
    allowed = DOMAIN_MAY_IMPORT | (CEL_ENGINE if path.name == CEL_MODULE else set())
    assert set(imported_packages(path)) - allowed == set()


def test_the_api_process_loads_no_learner_and_no_dataflow_engine() -> None:
    loaded = run_python("import serving.app, sys; print(*sys.modules)").split()
    assert (HEAVY | {"opentelemetry.sdk"}) & set(loaded) == set()


def test_models_init_is_empty_so_that_the_scorer_loads_without_the_learners() -> None:
    assert (ROOT / "models/__init__.py").read_bytes() == b""


def test_every_top_level_package_ships_is_type_checked_and_under_contract() -> None:
    shipped = {pattern.rstrip("*") for pattern in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert shipped == PACKAGES
    assert set(PYPROJECT["tool"]["mypy"]["files"]) >= PACKAGES
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == PACKAGES


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-serve.txt", "constraints-image.txt"])
def test_pins_name_no_url_and_every_install_has_the_same_versions(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()
    assert pins(name).items() <= pins("constraints.txt").items()


def test_a_serving_install_brings_no_learner_and_no_dataflow_engine() -> None:
    assert {"bytewax", "onnx", "pandas", "river", "scikit-learn", "scipy", "skl2onnx"} & pins(
        "constraints-serve.txt"
    ).keys() == set()


def test_no_file_names_a_package_index() -> None:
    index = re.compile(rb"https?://[^\s/]*(pypi|pythonhosted|npmjs)")
    assert [path for path in source_files() if index.search(path.read_bytes())] == []
