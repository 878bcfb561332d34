"""What a data directory needs before its processes start: principles, models and settings, each by a revision record.

A set that cannot be put in force ends the first start; later the last good one stays, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

import models
from membrane.errors import InvalidBundle, InvalidPrinciples, UsageError
from membrane.ports import RecordKind
from membrane.times import format_time
from models.bundle import MANIFEST, Bundle, Kind, read_bundle
from models.pointers import Pointers, Said
from models.signing import ModelKeys, put_keys
from serving.champions import Champions
from storage.directory import DataDir
from storage.lock import dir_lock
from storage.log import SignalLog
from storage.principles import PrincipleFiles, read_principle_file
from storage.tenants import read_tenant_file

SEED_BUNDLES: Final = Path(models.__file__).parent / "seed"
_PRINCIPLES: Final = "principles"
_SETTINGS: Final = "settings"
_TENANTS: Final = "tenants"
PATIENCE_SECONDS: Final = 20.0
"""`serve` and `stream` may be started at once, and either may find an empty directory: the other waits so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the person who starts the service asks for; None leaves what is in force, or what we ship."""

    partitions: int | None = None
    principles: Path | None = None
    models: Path | None = None
    go_live: int | None = None
    tenants: Path | None = None
    model_keys: Path | None = None


def prepare(data: Path, wishes: Wishes, now_ms: int) -> list[str]:
    """Makes or opens the directory and puts in force what is asked for; warnings about what was not.

    Raises UsageError, StoreRefused, StoreUnavailable; InvalidPrinciples or InvalidBundle when nothing is in force yet.
    """
    directory = DataDir.open(data, wishes.partitions)
    with dir_lock(data, "prepare").acquire(patience_seconds=PATIENCE_SECONDS), closing(SignalLog(directory)) as log:
        warnings = [*_put_principles(wishes.principles, log, directory, now_ms)]
        warnings += _put_models(wishes, log, directory, now_ms)
        warnings += _put_tenants(wishes.tenants, log, now_ms)
        if wishes.go_live is not None:
            _put_go_live(wishes.go_live, log, now_ms)
    return warnings


def _put_principles(path: Path | None, log: SignalLog, directory: DataDir, now_ms: int) -> Iterator[str]:
    latest = log.revisions().get(_PRINCIPLES)
    if latest is not None and (path is None or latest["digest"] == sha256(read_principle_file(path)).hexdigest()):
        return
    # The condition engine is loaded only when there is something to compile.
    from serving.principle_sets import put_in_force
    from serving.problems import Problem

    try:
        put_in_force(path, log, PrincipleFiles(directory.principles_path), now_ms)
    except (InvalidPrinciples, Problem) as error:
        if latest is None:
            raise
        yield f"{error}\n{path} is not in force; the last good revision, {latest['revision']}, stays"


def _put_models(wishes: Wishes, log: SignalLog, directory: DataDir, now_ms: int) -> Iterator[str]:
    if wishes.model_keys is not None:
        put_keys(wishes.model_keys, directory.models_path)
    champions = Champions(directory, log)
    latest = log.revisions()
    if wishes.models is None and not any(name in latest for name in ("stage_model", "churn_model")):
        try:
            _install(SEED_BUNDLES, champions, ModelKeys([]), now_ms)
        except InvalidBundle as error:
            yield f"{error}\nthe model that ships is not in force: stages go by rules only"
    elif wishes.models is not None:
        try:
            yield from _install(wishes.models, champions, ModelKeys.in_force(directory.models_path), now_ms)
        except InvalidBundle as error:
            if "stage_model" not in latest:
                raise
            yield f"{error}\n{wishes.models} is not in force; the last good models stay"
    champions.follow(now_ms)
    yield from champions.problems


def _install(folder: Path, champions: Champions, keys: ModelKeys, now_ms: int) -> list[str]:
    """Puts the bundles of a folder in force, but for those that have answered here and were replaced since (warnings
    say so); all of them are checked before the first one is."""
    pointers = champions.pointers()
    warnings: list[str] = []
    wanted: dict[Kind, tuple[Path, Bundle]] = {}
    for source, bundle in _bundles(folder):
        pointer = pointers.of(bundle.manifest.kind)
        if not pointer.has_answered(bundle.digest):
            wanted[bundle.manifest.kind] = source, bundle
        elif bundle.digest == pointer.champion:
            champions.registry.install(source)  # a damaged copy is mended
        else:
            what = f"{bundle.manifest.kind} {bundle.revision} has been replaced by another champion, which stays"
            warnings.append(f"--models {folder}: {what} (membrane models promote puts it in force again)")
    if not wanted:
        return warnings
    from membrane.features import fingerprint
    from models.admission import admit

    for source, bundle in wanted.values():
        admit(source, keys, fingerprint(), digest=bundle.digest)
    said = Said("membrane", format_time(now_ms), "it ships" if folder == SEED_BUNDLES else f"--models {folder}")
    for source, _ in wanted.values():
        champions.registry.install(source)

    def install(pointers: Pointers) -> Pointers:
        for kind, (_, bundle) in wanted.items():
            pointers = pointers.put_in_force("install", kind, bundle.digest, said)
        return pointers

    champions.change(install, now_ms, trusted={bundle.digest for _, bundle in wanted.values()})
    return warnings


def _bundles(folder: Path) -> list[tuple[Path, Bundle]]:
    if not folder.is_dir():
        if folder == SEED_BUNDLES:
            return []
        raise UsageError(f"--models {folder}: a folder of model bundles was required")
    sources = sorted(manifest.parent for manifest in folder.glob(f"*/{MANIFEST}"))
    bundles = [(source, read_bundle(source)) for source in sources]
    kinds = [bundle.manifest.kind for _, bundle in bundles]
    if len(set(kinds)) < len(kinds):
        raise InvalidBundle(f"{folder}: at most one bundle of each kind is required, got {', '.join(kinds)}")
    return bundles


def _put_tenants(path: Path | None, log: SignalLog, now_ms: int) -> Iterator[str]:
    latest = log.revisions().get(_TENANTS)
    if path is None:
        return
    try:
        found = read_tenant_file(path)
    except InvalidPrinciples as error:
        if latest is None:
            raise
        yield f"{error}\n{path} is not in force; what was set for tenants before stays"
        return
    if latest is None or latest["digest"] != found.digest:
        _append(log, _TENANTS, format_time(now_ms), found.digest, now_ms, tenants=found.tenants)


def _put_go_live(go_live: int, log: SignalLog, now_ms: int) -> None:
    latest = log.revisions().get(_SETTINGS)
    if latest is None or latest["go_live"] != go_live:
        time = format_time(go_live)
        _append(log, _SETTINGS, time, sha256(time.encode()).hexdigest(), now_ms, go_live=go_live)


def _append(log: SignalLog, kind: str, revision: str, digest: str, now_ms: int, **more: object) -> None:
    body = msgspec.json.encode({"kind": kind, "revision": revision, "digest": digest, **more})
    log.append_record(RecordKind.REVISION, body, now_ms)
