"""`membrane models`: what is installed, what answers, and how another one comes to answer."""

from __future__ import annotations

import argparse
import math
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from cli.exits import DONE, FAILED
from cli.model_desk import examples, open_desk, said
from cli.output import print_json, say
from membrane.errors import UsageError
from membrane.features import fingerprint
from models.admission import measure_latency
from models.bundle import Kind
from models.contest import compare_figures, judge
from models.figures import Difference
from models.gate import Check, check_latency, passes
from models.held_out import HeldOut, hold_out
from models.onnx_model import OnnxModel
from models.pointers import KINDS, Change
from models.registry import Entry
from models.signing import sign as sign_bundle

Row = dict[str, Any]
_NOTHING_TO_JUDGE_BY = (
    "there is no labelled example that neither model may have learned from: let it run beside the champion (membrane "
    "models challenge) until labels come, give others with --examples FILE, or promote it with --force --why TEXT"
)


def list_models(args: argparse.Namespace) -> int:
    """The installed bundles with their roles; 1 if one is damaged, or the pointers ask for what cannot be had."""
    with open_desk(args) as desk:
        roles = desk.roles()
        pointers = desk.champions.pointers()
        rows = [_row(entry, roles) for entry in desk.champions.registry.entries()]
    named = {digest for kind in KINDS for digest in pointers.of(kind).named()} | set(roles)
    missing = sorted(named - {row["digest"] for row in rows})
    problems = [f"{digest}: the pointers or the log name this bundle, and it is not installed" for digest in missing]
    if args.json:
        print_json({"models": rows, "problems": problems})
    else:
        for row in rows:
            say(_line(row))
        for problem in problems:
            say(problem)
        if not rows:
            say("no models are installed: stages go by rules only")
    return FAILED if problems or any("problem" in row for row in rows) else DONE


def show(args: argparse.Namespace) -> int:
    """A model's manifest without its weights, its role and its history here."""
    with open_desk(args) as desk:
        found = desk.find(args.model)
        row = _row(Entry(found.digest, found.manifest, None), desk.roles())
        history = [one for one in desk.champions.pointers().history if one.digest == found.digest]
    if args.json:
        print_json({**row, "history": msgspec.to_builtins(history)})
        return DONE
    say(_line(row))
    for name in ("created", "provenance", "parent", "labels_until"):
        say(f"  {name}: {row[name]}")
    for name, figure in row["metrics"].items():
        say(f"  {name}: {figure:g}")
    for change in history:
        say(f"  {_told(change)}")
    return DONE


def compare(args: argparse.Namespace) -> int:
    """Each figure of two models on the same examples; 1 if there is no example to compare them by."""
    with open_desk(args) as desk:
        first, second = (desk.admit(desk.find(word)) for word in (args.first, args.second))
        manifests = [one.bundle.manifest for one in (first, second)]
        if manifests[0].kind != manifests[1].kind:
            came = " and ".join(one.kind for one in manifests)
            raise UsageError(f"two models of one kind were required, {came} came")
        held_out = hold_out(examples(args, desk.directory), manifests[0].kind, fingerprint(), manifests)
        figures = compare_figures(first, second, held_out, args.confidence)
    revisions = [one.bundle.revision for one in (first, second)]
    if args.json:
        shown = {name: _finite(one._asdict()) for name, one in figures.items()}
        print_json({"models": revisions, "examples": _counted(held_out), "figures": shown})
    else:
        say(f"{' and '.join(revisions)} on {_counting(held_out)}")
        for name, one in figures.items():
            say(_figure_line(name, one, args.confidence))
        if not figures:
            say(_NOTHING_TO_JUDGE_BY)
    return DONE if figures else FAILED


def promote(args: argparse.Namespace) -> int:
    """Puts a model in force where every check of the gate holds, or by force; 1, and nothing changes, where not."""
    _needs_a_reason(args)
    with open_desk(args) as desk:
        found = desk.find(args.model)
        challenger, champion = desk.admit(found), desk.champion_of(found.manifest.kind)
        manifests = [found.manifest] if champion is None else [found.manifest, champion.bundle.manifest]
        held_out = hold_out(examples(args, desk.directory), found.manifest.kind, fingerprint(), manifests)
        rows = held_out.rows if len(held_out) else _golden_rows(challenger)
        checks = judge(challenger, champion, held_out, measure_latency(challenger, rows), args.confidence)
        forced = not passes(checks)
        promoted = not forced or args.force
        if promoted:
            word = said(args, forced=forced)
            desk.install(found)
            desk.change(lambda now: now.put_in_force("promote", found.manifest.kind, found.digest, word, tuple(checks)))
    before = None if champion is None else champion.bundle.revision
    if args.json:
        print_json({
            "promoted": promoted, "forced": promoted and forced, "kind": found.manifest.kind,
            "model": challenger.bundle.revision, "champion_before": before, "advisory": challenger.bundle.advisory,
            "examples": _counted(held_out), "checks": msgspec.to_builtins(checks),
        })  # fmt: skip
    else:
        say(f"{challenger.bundle.revision} against {before or 'no champion'}, on {_counting(held_out)}")
        _tell_checks(checks)
        if not len(held_out):
            say(_NOTHING_TO_JUDGE_BY)
        by_force = " by force" if forced else ""
        say(f"in force{by_force}: {challenger.bundle.revision}" if promoted else "not promoted; the champion stays")
    return DONE if promoted else FAILED


def rollback(args: argparse.Namespace) -> int:
    """Puts the previous champion in force again, if it still passes the door."""
    kind: Kind = args.kind
    with open_desk(args) as desk:
        for digest in desk.champions.pointers().of(kind).before[-1:]:
            desk.admit(desk.find(digest))
        return _done(args, desk.change(lambda now: now.rolled_back(kind, said(args))))


def challenge(args: argparse.Namespace) -> int:
    """Names a challenger, if it is sound and fast enough for the stream; or withdraws one."""
    _needs_a_reason(args)
    with open_desk(args) as desk:
        if args.withdraw:
            kind, digest = desk.find_challenger(args.model)
            return _done(args, desk.change(lambda now: now.withdrawn(kind, digest, said(args))))
        found = desk.find(args.model)
        model = desk.admit(found)
        checks = check_latency(measure_latency(model, _golden_rows(model)))
        forced = not passes(checks)
        if forced and not args.force:
            slow = "; ".join(f"{one.name} {one.figure} µs, {one.required} required" for one in checks)
            raise UsageError(f"{model.bundle.revision} would hold up the stream: {slow} (--force --why TEXT)")
        word = said(args, forced=forced)
        desk.install(found)
        return _done(args, desk.change(lambda now: now.challenged(found.manifest.kind, found.digest, word)))


def sign(args: argparse.Namespace) -> int:
    """Signs a bundle."""
    digest = sign_bundle(args.bundle, args.key)
    if args.json:
        print_json({"digest": digest, "signature": str(args.bundle / "signature")})
    else:
        say(f"signed {digest}")
    return DONE


def _needs_a_reason(args: argparse.Namespace) -> None:
    if args.force and not args.why:
        raise UsageError("--force: a reason was required, --why is missing")


def _golden_rows(model: OnnxModel) -> npt.NDArray[np.float32]:
    return np.array(model.bundle.golden.inputs, np.float32)


def _done(args: argparse.Namespace, change: Change) -> int:
    if args.json:
        print_json(msgspec.to_builtins(change))
    else:
        say(_told(change))
    return DONE


def _row(entry: Entry, roles: dict[str, tuple[str, str, str]]) -> Row:
    role = roles.get(entry.digest, (None, None, None))[1]
    row: Row = {"digest": entry.digest, "in_force": role == "champion", "role": role}
    if entry.manifest is None:
        return {**row, "problem": entry.problem}
    names = ("name", "kind", "revision", "created", "provenance", "parent", "labels_until", "metrics")
    return {**row, **{name: getattr(entry.manifest, name) for name in names}}


def _line(row: Row) -> str:
    mark = "in force" if row["in_force"] else row["role"] or "-"
    if "problem" in row:
        return f"{row['digest'][:12]}  {mark:10}  damaged: {row['problem']}"
    return f"{row['digest'][:12]}  {mark:10}  {row['kind']:6} {row['revision']}  {row['name']} ({row['provenance']})"


def _told(change: Change) -> str:
    said_by = change.said
    forced = ", by force" if said_by.forced else ""
    why = f": {said_by.why}" if said_by.why else ""
    instead = f" instead of {change.previous[:12]}" if change.previous else ""
    return f"{said_by.at}  {change.act} {change.kind} {change.digest[:12]}{instead}  by {said_by.by}{forced}{why}"


def _tell_checks(checks: list[Check]) -> None:
    for one in checks:
        figure = "–" if one.figure is None else f"{one.figure:.4g}"
        note = f"  ({one.note})" if one.note else ""
        say(f"  {'+' if one.passed else 'x'} {one.name}: {figure}, {one.required} required{note}")


def _counted(held_out: HeldOut) -> Row:
    return {"used": len(held_out), "customers": len(np.unique(held_out.sample.groups)), "left_out": held_out.left_out}


def _counting(held_out: HeldOut) -> str:
    left = ", ".join(f"{count:,} {why}" for why, count in held_out.left_out.items())
    customers = len(np.unique(held_out.sample.groups))
    return f"{len(held_out):,} labelled examples of {customers:,} customers" + (f" (left out: {left})" if left else "")


def _figure_line(name: str, one: Difference, confidence: float) -> str:
    interval = f"{one.low:+.4f} to {one.high:+.4f} at {confidence:.0%}"
    return f"  {name:9} {one.first:.4f}  {one.second:.4f}  {one.difference:+.4f} ({interval})"


def _finite(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}
