"""What GET /v1/models answers, and the gauge that says which models are in force."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import msgspec

from membrane.errors import MembraneError
from models.bundle import Kind
from models.pointers import KINDS, Change
from models.registry import Entry
from serving.champions import Champions, roles
from serving.metrics import Metrics
from storage.log_reader import LogReader

SHOWN_CHANGES: Final = 20
_ROLES: Final = ("champion", "challenger")


class ModelView(msgspec.Struct):
    """An installed bundle, or what is wrong with it; `role`: `champion` or `challenger`, if the log names it last."""

    digest: str
    manifest: dict[str, Any] | None
    problem: str | None
    in_force: bool
    role: str | None


class ModelsAnswer(msgspec.Struct):
    """All bundles that are installed; by kind the revisions that answer and those that run beside them; the latest
    changes, newest first; and what was asked for and cannot be had."""

    models: list[ModelView]
    champions: dict[Kind, str | None]
    challengers: dict[Kind, list[str]]
    history: list[Change]
    problems: list[str]


def models(champions: Champions, log: LogReader) -> ModelsAnswer:
    """The bundles of a data directory and their roles."""
    found, problems = roles(log.revisions()), list(champions.problems)
    history: tuple[Change, ...] = ()
    try:
        history = champions.pointers().history
    except MembraneError as error:
        problems = sorted({*problems, str(error)})
    champion, challengers = (
        {kind: [one[2] for one in found.values() if one[:2] == (kind, role)] for kind in KINDS} for role in _ROLES
    )
    return ModelsAnswer(
        [_view(entry, found.get(entry.digest, (None, None, None))[1]) for entry in champions.registry.entries()],
        {kind: next(iter(revisions), None) for kind, revisions in champion.items()},
        challengers,
        [*reversed(history[-SHOWN_CHANGES:])],
        problems,
    )


def measure_models(log: LogReader, metrics: Metrics) -> None:
    """Sets the gauge of the models in force, those that are so no more to 0; it stays as it was while the log cannot
    be read."""
    with suppress(MembraneError):
        metrics.models_in_force({*roles(log.revisions()).values()})


def _view(entry: Entry, role: str | None) -> ModelView:
    manifest = None if entry.manifest is None else msgspec.to_builtins(entry.manifest)
    if manifest is not None:
        manifest.pop("linear", None)
    return ModelView(entry.digest, manifest, entry.problem, role == "champion", role)
