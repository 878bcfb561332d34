"""`membrane principles`: is a file sound, what is suspicious about it, and do the tests inside it come out?"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli.exits import DONE, FAILED
from cli.output import complain, print_json, say
from membrane.errors import InvalidPrinciples, UsageError
from membrane.lint.check import Report, lint
from membrane.lint.findings import Finding
from membrane.principle_file import Draft
from membrane.principle_tests import Coverage, Outcome, coverage, given_form, run_tests
from membrane.principles import Effect, PrincipleSet
from membrane.read_back import read_back
from membrane.record import Record
from serving.checking import customers_of
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.inline_tests import Test, save, with_tests
from storage.principles import DEFAULT_PACK, compile_principles, draft_of, read_principle_file
from storage.record_reader import RecordReader


def check(args: argparse.Namespace) -> int:
    """Shows every fault with file, line, column and field; of a file that loads, what is suspicious about it."""
    data = read_principle_file(args.file)
    try:
        draft = _draft(args, data)
    except InvalidPrinciples as error:
        return _faulty(args, error, Report([], 0, complete=True))
    report = lint(draft, _customers(args.data), t=wall_ms())
    if draft.faults:
        return _faulty(args, InvalidPrinciples(draft.faults), report)
    sound = not any(finding.severity == "error" for finding in report.findings)
    saved = _save(args.file, data, draft, report.findings) if args.save else 0
    if args.json:
        print_json(_told(draft.principles, report, sound=sound, saved=saved, with_words=args.read_back))
    else:
        for line in _lines(args, draft.principles, report, sound=sound, saved=saved):
            say(line)
    return DONE if sound else FAILED


def _faulty(args: argparse.Namespace, error: InvalidPrinciples, report: Report) -> int:
    if args.json:
        faults = [asdict(fault) for fault in error.faults]
        print_json({"sound": False, "faults": faults, "findings": [finding.form() for finding in report.findings]})
        return FAILED
    for finding in report.findings:
        for line in _finding_lines(args, finding):
            say(line)
    raise error


def _told(found: PrincipleSet, report: Report, *, sound: bool, saved: int, with_words: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "sound": sound,
        "revision": found.revision,
        "digest": found.digest,
        "principles": len(found.principles),
        "findings": [finding.form() for finding in report.findings],
        "tried": report.tried,
        "complete": report.complete,
        "saved": saved,
    }
    return told | ({"read_back": sentences(found)} if with_words else {})


def sentences(found: PrincipleSet) -> list[dict[str, str]]:
    """What each condition says, in both languages."""
    return [
        {"principle": one.id, **{language: read_back(one.condition.tree, language) for language in ("en", "es")}}
        for one in found.principles
    ]


def _lines(args: argparse.Namespace, found: PrincipleSet, report: Report, *, sound: bool, saved: int) -> Iterator[str]:
    for one in sentences(found) if args.read_back else ():
        yield f"{one['principle']}: {one[args.language]}"
    for finding in report.findings:
        yield from _finding_lines(args, finding)
    if saved:
        yield f"{args.file}: {saved} tests saved"
    if not report.complete:
        yield f"{args.file}: stopped after {report.tried:,} customers: not everything was looked for"
    findings = f", {len(report.findings)} findings" if report.findings else ""
    verdict = "sound" if sound else "not sound"
    yield f"{args.file}: {verdict}: revision {found.revision}, {len(found.principles)} principles{findings}"


def _finding_lines(args: argparse.Namespace, finding: Finding) -> Iterator[str]:
    where = f"{args.file}:{finding.line}:{finding.column}"
    yield f"{where}: {finding.severity}: {finding.kind}: {finding.text[args.language]}"
    if finding.witness is not None:
        shown = finding.witness.form()
        slot = shown["candidate"]
        asked = f", asked for {slot['domain']}/{slot['kind']} by {slot['channel']}" if slot else ""
        yield f"    shown by {json.dumps(shown['given'], ensure_ascii=False)}{asked}"


def _customers(data: Path | None) -> Iterator[tuple[Record, int]]:
    """The customers of a data directory, if there is one to look at."""
    if data is not None:
        with closing(RecordReader(DataDir.existing(data))) as records:
            yield from customers_of(records)


def _save(file: Path, data: bytes, draft: Draft, findings: Iterable[Finding]) -> int:
    """Adds the customers of the findings to the file as tests that say what is so now; how many were new."""
    tests = _new_tests(draft.principles, findings)
    count = sum(map(len, tests.values()))
    if not count:
        return 0
    changed = with_tests(data, draft.positions, tests)
    if not _has_grown(draft.principles, changed, count):
        raise UsageError(f"{file}: a plainer form was required for saving tests: write them by hand")
    save(file, changed)
    return count


def _new_tests(principles: PrincipleSet, findings: Iterable[Finding]) -> dict[int, list[Test]]:
    tests: defaultdict[int, list[Test]] = defaultdict(list)
    known = [[given_form(test.given) for test in one.tests if test.given] for one in principles.principles]
    places = {one.id: place for place, one in enumerate(principles.principles)}
    for witness in (finding.witness for finding in findings if finding.witness is not None):
        given = given_form(witness.given)
        for name, matches in witness.matches.items():
            if name in places and given not in known[places[name]]:
                known[places[name]].append(given)
                tests[places[name]].append({"given": given, "matches": matches})
    return tests


def _has_grown(before: PrincipleSet, changed: bytes, count: int) -> bool:
    """Whether the changed file says the same, with so many tests more, and they pass."""
    try:
        after = compile_principles(changed)
    except InvalidPrinciples:
        return False
    same = [(one.id, one.condition.source, one.effect, one.scope) for one in before.principles] == [
        (one.id, one.condition.source, one.effect, one.scope) for one in after.principles
    ]
    old, new = run_tests(before), run_tests(after)
    return (
        same
        and len(new) == len(old) + count
        and sum(one.passed for one in new) == sum(one.passed for one in old) + count
    )


def test(args: argparse.Namespace) -> int:
    """Runs the tests inside the file; says what they have seen of each principle and each effect."""
    found = compile_principles(read_principle_file(args.file), str(args.file))
    results = run_tests(found)
    failed = [result for result in results if not result.passed]
    untested = [one.id for one in found.principles if not one.tests]
    seen = coverage(found, results)
    if args.json:
        told = [{"principle": result.principle, "test": result.path} for result in failed]
        covered = {"principles": {name: asdict(one) for name, one in seen.items()}, "verdicts": by_effect(seen)}
        print_json({"tests": len(results), "failed": told, "untested": untested, "coverage": covered})
        return FAILED if failed else DONE
    for line in _complaints(args.file, failed, untested, seen):
        complain(line)
    for effect, counts in by_effect(seen).items():
        say(
            f"{effect}: of {counts['principles']} principles {counts['matched']} were seen matching, "
            f"{counts['not_matched']} not matching, {counts['errors']} failing"
        )
    say(f"{args.file}: {len(results) - len(failed)} of {len(results)} tests passed")
    return FAILED if failed else DONE


def by_effect(seen: dict[str, Coverage]) -> dict[str, dict[str, int]]:
    """How many principles of each effect there are, and how many of them were seen in each way."""
    found = {}
    for effect in Effect:
        covered = [one for one in seen.values() if one.effect is effect]
        ways = ("matched", "not_matched", "errors")
        found[str(effect)] = {
            "principles": len(covered),
            **{way: sum(getattr(one, way) > 0 for one in covered) for way in ways},
        }
    return found


def _complaints(file: Path, failed: list[Outcome], untested: list[str], seen: dict[str, Coverage]) -> Iterator[str]:
    for result in failed:
        wanted, came = _match(result.expected), _match(result.actual)
        yield f"{file}: {result.path}: {result.principle}: {wanted} was required, {came} came"
    for name, one in seen.items():
        ways = {"matches": one.matched, "does not match": one.not_matched, "fails": one.errors}
        unseen = [way for way, count in ways.items() if not count]
        if name in untested:
            yield f"{file}: {name} has no tests"
        elif unseen:
            yield f"{file}: {name} has no test in which it {' or '.join(unseen)}"


def _draft(args: argparse.Namespace, data: bytes) -> Draft:
    """What the file says; one that extends is checked against its base."""
    draft = draft_of(data, str(args.file))
    if not draft.principles.extends:
        return draft
    path = args.base or DEFAULT_PACK
    return draft_of(data, str(args.file), compile_principles(read_principle_file(path), str(path)))


def _match(matches: bool) -> str:
    return "a match" if matches else "no match"
