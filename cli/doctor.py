"""`membrane doctor`: what is wrong with a data directory, and what to do about it."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from cli.client import ApiClient
from cli.exits import DONE, UNHEALTHY
from cli.findings import Finding, Patient
from cli.output import number, print_json, say
from cli.services import URL_FILE
from cli.surroundings import checkpoints, port, sources
from membrane.errors import MembraneError, StoreUnavailable
from membrane.facts import RecordFacts
from membrane.features import fingerprint
from membrane.lapse import read_lapse
from membrane.layers import COMMON, loosening, own_kind, own_tenants
from membrane.principles import PrincipleSet
from membrane.settings import TenantSettings
from membrane.times import format_duration, format_time
from models.bundle import Kind
from models.pointers import KINDS
from models.registry import Registry
from models.scorer import load_bundle
from serving.champions import challengers_in
from serving.checking import customers_of
from serving.freshness import read_state
from serving.silence import silent
from storage.claims import ClaimStore
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.log import SignalLog
from storage.principles import PrincipleFiles, compile_principles
from storage.record_reader import RecordReader
from storage.tenants import read_tenant_file

LEAST_FREE_BYTES: Final = 256 * 1024 * 1024
EVERYBODY: Final = TenantSettings()
LAG_SIGNALS: Final = 10_000
LOOKED_THROUGH: Final = 100_000
"""So many of the latest records of each partition are looked through for the signals of a lapse rule."""
STALE_SECONDS: Final = 60
SOUND_SQLITE: Final = (3, 51, 3)
PYTHONS: Final = ((3, 11), (3, 12))
_REMEDIES: Final = {
    "principles": "put that file back from a backup: the stream waits for it, and decides nothing new until then",
    "own_principles": "put that file back from a backup: the stream waits for it",
    "models": "put that folder back from a backup (the stream waits for it); if it never was sound, "
    "`membrane models rollback`",
    "tenants": "mend the file there; what was in force before stays in force",
}
"""What to do where a check ends with an error."""
_MARKS: Final = {"ok": "ok  ", "note": "note", "bad": "BAD "}


Check = Callable[[Patient], Iterator[Finding]]


def doctor(args: argparse.Namespace) -> int:
    """Prints every finding; 4 if one is bad."""
    findings = list(examine(args.data, args.tenants, base_rates=args.base_rates, port=args.port))
    healthy = all(finding.state != "bad" for finding in findings)
    if args.json:
        print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
        return DONE if healthy else UNHEALTHY
    for finding in findings:
        say(f"{_MARKS[finding.state]}  {finding.about}: {finding.text}")
        if finding.remedy:
            say(f"      -> {finding.remedy}")
    return DONE if healthy else UNHEALTHY


def examine(data: Path, tenants: Path | None = None, *, base_rates: bool = False, port: int = 0) -> Iterator[Finding]:
    """Everything there is to say; a check that fails says so and the others go on. UsageError without a directory."""
    yield from _versions()
    directory = DataDir.existing(data)
    yield Finding("directory", "ok", f"{data}, {directory.partitions} partitions")
    with closing(SignalLog(directory)) as log, closing(RecordReader(directory)) as records:
        patient = Patient(directory, log, records, tenants, base_rates, port)
        for check in _CHECKS:
            try:
                yield from check(patient)
            except MembraneError as error:
                about = check.__name__.strip("_")
                yield Finding(about, "bad", str(error), _REMEDIES.get(about, ""))


def _versions() -> Iterator[Finding]:
    python, sqlite = sys.version_info, version("apsw")
    text = f"Python {python.major}.{python.minor}.{python.micro}, apsw {sqlite}"
    if python[:2] not in PYTHONS:
        yield Finding("versions", "bad", text, "run on Python 3.11 or 3.12")
    elif tuple(map(int, sqlite.split(".")[:3])) < SOUND_SQLITE:
        yield Finding("versions", "bad", text, "install apsw 3.51.3 or later: the SQLite of older ones damages stores")
    else:
        yield Finding("versions", "ok", text)


def _disk(patient: Patient) -> Iterator[Finding]:
    free = shutil.disk_usage(patient.directory.path).free
    text = f"{number(free // 1024**2)} MiB free"
    if free < LEAST_FREE_BYTES:
        yield Finding("disk", "bad", text, "make room: a full disk refuses every signal")
    else:
        yield Finding("disk", "ok", text)


def _processes(patient: Patient) -> Iterator[Finding]:
    roles = {role: patient.pid(role) for role in ("up", "api", "stream")}
    text = ", ".join(f"{role} {pid or 'is not running'}" for role, pid in roles.items())
    if not any(roles.values()):
        yield Finding("processes", "note", "none is running", f"membrane up --data {patient.directory.path}")
    elif roles["up"] and not (roles["api"] and roles["stream"]):
        yield Finding("processes", "bad", text, "look at what `up` printed: a child is being started again and again")
    else:
        yield Finding("processes", "ok", text)


def _api(patient: Patient) -> Iterator[Finding]:
    """Asks the API of a running `up` at its own address."""
    path = patient.directory.run_path / URL_FILE
    if patient.pid("up") is None or not path.is_file():
        return
    url = path.read_text(encoding="ascii")
    try:
        with ApiClient(url, patience_seconds=1.0) as client:
            reply = client.send("GET", "/readyz")
    except StoreUnavailable as error:
        yield Finding("api", "bad", str(error), _again(patient, "api", "if it stays so for a minute"))
        return
    if reply.status >= 400:
        text = f"{url} is not ready: {reply.body.decode(errors='replace')}"
        yield Finding("api", "bad", text, "look at what `up` printed")
    else:
        yield Finding("api", "ok", f"{url} is ready")


def _again(patient: Patient, role: str, when: str) -> str:
    return f"{when}: kill -9 $(cat {patient.directory.pid_path(role)}), nothing is lost and `up` starts it again"


def _partitions(patient: Patient) -> Iterator[Finding]:
    """Every store must be there and readable; the stream, if it runs, must keep up."""
    lag, unseen = 0, 0.0
    for partition in range(patient.directory.partitions):
        try:
            meta = patient.records.meta(partition)
        except MembraneError as error:
            yield Finding(f"partition {partition}", "bad", str(error), patient.directory.rebuild_hint)
            continue
        lag += patient.log.end(partition) - meta.next_offset
        unseen = max(unseen, (wall_ms() - read_state(meta).seen_end_ms) / 1000)
    text = f"{number(lag)} records of the log are not applied yet"
    if patient.pid("stream") is None:
        remedy = f"membrane up --data {patient.directory.path}" if lag else ""
        yield Finding("stream", "note" if lag else "ok", f"{text}, and it is not running", remedy)
    elif unseen > STALE_SECONDS or lag > LAG_SIGNALS:
        text = f"{text}; its end was last seen {unseen:.0f} s ago"
        yield Finding("stream", "bad", text, _again(patient, "stream", "if that does not shrink within a minute"))
    else:
        yield Finding("stream", "ok", text)


def _principles(patient: Patient) -> Iterator[Finding]:
    latest = patient.log.revisions().get(COMMON)
    if latest is None:
        yield Finding(
            "principles", "bad", "none are in force", "start `membrane up`: it puts the default ones in force"
        )
        return
    found = _compiled(patient, latest["digest"])
    yield Finding("principles", "ok", f"revision {found.revision}, {len(found.principles)} principles")
    yield from _to_review("principles", found)


def _to_review(about: str, found: PrincipleSet) -> Iterator[Finding]:
    today = format_time(wall_ms())[:10]
    late = [one.id for one in found.principles if "" < one.life.review_by < today]
    if late:
        yield Finding(about, "note", f"past their review_by: {', '.join(late)}", "review them and move the date")


def _base_rates(patient: Patient) -> Iterator[Finding]:
    """For which share of the customers each principle's condition holds as things are: what to expect of it once it is
    live; of a tenant's own for which share of its customers. What a request says of itself is unknown here."""
    latest = patient.log.revisions()
    if not patient.base_rates or COMMON not in latest:
        return
    owners = [("", COMMON), *((tenant, own_kind(tenant)) for tenant in own_tenants(latest))]
    sets = {owner: _compiled(patient, latest[kind]["digest"]).principles for owner, kind in owners}
    settings, customers, holds = _settings(patient), Counter[str](), Counter[tuple[str, str]]()
    for record, t in customers_of(patient.records):
        facts = RecordFacts(record, t, settings.get(record.tenant, EVERYBODY))
        for owner in {"", record.tenant} & sets.keys():
            customers[owner] += 1
            holds.update((owner, one.id) for one in sets[owner] if one.matches(facts))
    if not customers:
        yield Finding("base rates", "note", "no customers are known yet", "send signals, or replay history")
    for owner, principles in sets.items():
        for one in principles if customers[owner] else ():
            share = f"{100 * holds[owner, one.id] / customers[owner]:.1f} % of {number(customers[owner])} customers"
            whose = f" of {owner}" if owner else ""
            yield Finding(f"base rate of {one.id}{whose}", "ok", f"{one.effect} for {share}")


def _own_principles(patient: Patient) -> Iterator[Finding]:
    """What tenants have laid over the set for everybody must not loosen what is locked there by now."""
    latest = patient.log.revisions()
    for tenant in own_tenants(latest):
        own = _compiled(patient, latest[own_kind(tenant)]["digest"])
        loose = [problem for _, _, problem in loosening(_compiled(patient, latest[COMMON]["digest"]), own)]
        about, text = f"principles of {tenant}", f"revision {own.revision} over those for everybody"
        yield from _to_review(about, own)
        if loose:
            yield Finding(about, "note", f"{text}: {'; '.join(loose)}: not heeded", "put a file in force without it")
        else:
            yield Finding(about, "ok", text)


def _compiled(patient: Patient, digest: str) -> PrincipleSet:
    files = PrincipleFiles(patient.directory.principles_path)
    return compile_principles(files.load(digest), str(files.path(digest)))


def _tenants(patient: Patient) -> Iterator[Finding]:
    """The tenants file must be sound; what is in force is told."""
    latest = patient.log.revisions().get("tenants")
    names = ", ".join(latest["tenants"]) if latest else "none sets anything of its own"
    if patient.tenants is None:
        yield Finding("tenants", "ok", names)
        return
    found = read_tenant_file(patient.tenants)
    if latest is None or latest["digest"] != found.digest:
        text = f"{patient.tenants} is sound, and not in force ({names})"
        yield Finding("tenants", "note", text, f"membrane up --tenants {patient.tenants}")
    else:
        yield Finding("tenants", "ok", f"{patient.tenants} is in force: {names}")


def _lapse(patient: Patient) -> Iterator[Finding]:
    """A lapse rule of whose signals none comes would call every customer lost."""
    for tenant, settings in _settings(patient).items():
        if not settings.lapse:
            continue
        rule, about = read_lapse(settings.lapse), f"lapse rule of {tenant}"
        if any(patient.log.has_type(tenant, type_, LOOKED_THROUGH) for type_ in rule.types):
            yield Finding(about, "ok", settings.lapse)
        else:
            text = f"{settings.lapse}: no such signal among the latest {number(LOOKED_THROUGH)} of any partition"
            yield Finding(
                about, "note", text, "by it every customer has lapsed: send these signals, or change the rule"
            )


def _sources(patient: Patient) -> Iterator[Finding]:
    """Sources that have been silent for longer than usual, up to when the service last took signals."""
    now, heard = patient.log.last_tick(), patient.log.sources()
    if now is None:  # nothing tells how long it has been
        return
    for tenant, settings in _settings(patient).items():
        quiet = list(silent(heard, tenant, settings, now, patient.log.listening_since() or 0))
        for one in quiet:
            last = "never" if one.heard_ms is None else format_time(one.heard_ms)
            text = f"silent for longer than {format_duration(settings.sources[one.source])}: last heard {last}"
            yield Finding(f"source {one.source} of {tenant}", "note", text, "see whether its sender still runs")
        if settings.sources and not quiet:
            yield Finding(f"sources of {tenant}", "ok", f"{', '.join(settings.sources)}: none is silent")


def _settings(patient: Patient) -> dict[str, TenantSettings]:
    """What each tenant sets, by the log's latest word."""
    latest = patient.log.revisions().get("tenants", {})
    return msgspec.convert(latest.get("tenants", {}), dict[str, TenantSettings])


def _models(patient: Patient) -> Iterator[Finding]:
    """What the log names must be there and able to answer; without a model stages go by rules only."""
    registry = Registry(patient.directory.models_path)
    latest = patient.log.revisions()
    for kind in KINDS:
        named: dict[str, Any] | None = latest.get(f"{kind}_model")
        if named is None:
            yield Finding(f"{kind} model", "note", "none is in force: rules only")
            continue
        try:
            model = load_bundle(registry.load(named["digest"]), kind, fingerprint())
        except MembraneError as error:
            yield Finding(f"{kind} model", "bad", str(error), _REMEDIES["models"])
            continue
        advisory = ", learned from simulated customers: advisory" if model.bundle.advisory else ""
        yield Finding(f"{kind} model", "ok", f"{model.bundle.revision}{advisory}")
        yield from _challengers(patient, latest, kind)


def _challengers(patient: Patient, latest: dict[str, Any], kind: Kind) -> Iterator[Finding]:
    """One that cannot score is missing in the comparison, and nobody else notices."""
    registry = Registry(patient.directory.models_path)
    for one in challengers_in(latest, kind):
        try:
            load_bundle(registry.load(one["digest"]), kind, fingerprint())
        except MembraneError as error:
            remedy = f"membrane models challenge {one['digest'][:12]} --withdraw --data {patient.directory.path}"
            yield Finding(f"{kind} challenger", "note", str(error), remedy)


def _claims(patient: Patient) -> Iterator[Finding]:
    """Without them persuasion is forbidden, and no permit can be given or confirmed."""
    path = patient.directory.claims_path
    if not path.exists():
        yield Finding("claims", "ok", "no slot of a cap has been claimed yet")
        return
    try:
        with closing(ClaimStore(path)) as store:
            live = len(store.live(wall_ms()))
    except MembraneError as error:
        yield Finding("claims", "bad", str(error), f"stop, delete {path} and what is named like it, start again")
        return
    yield Finding("claims", "ok", f"{number(live)} permits are live")


def _dead_letters(patient: Patient) -> Iterator[Finding]:
    letters = patient.log.dead_letters(1)
    if letters:
        last, path = letters[0], patient.directory.path
        text = f"{number(last.seq)} so far, the last one for the reason {last.reason}"
        yield Finding("dead letters", "note", text, f"membrane dead-letters list --data {path}")
    else:
        yield Finding("dead letters", "ok", "none")


_CHECKS: Final[tuple[Check, ...]] = (
    _disk,
    _processes,
    port,
    _api,
    _partitions,
    checkpoints,
    sources,
    _principles,
    _base_rates,
    _own_principles,
    _tenants,
    _lapse,
    _sources,
    _models,
    _claims,
    _dead_letters,
)
