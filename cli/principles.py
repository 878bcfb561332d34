"""`membrane principles`: is a file sound, and do the tests inside it come out?"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from cli.exits import DONE, FAILED
from cli.output import complain, print_json, say
from membrane.errors import InvalidPrinciples
from membrane.principle_tests import run_tests
from membrane.principles import PrincipleSet
from storage.principles import DEFAULT_PACK, compile_principles, read_principle_file


def check(args: argparse.Namespace) -> int:
    """Shows every fault with file, line, column and field."""
    try:
        found = _compiled(args)
    except InvalidPrinciples as error:
        if not args.json:
            raise
        print_json({"sound": False, "faults": [asdict(fault) for fault in error.faults]})
        return FAILED
    told = {"sound": True, "revision": found.revision, "digest": found.digest, "principles": len(found.principles)}
    if args.json:
        print_json(told)
    else:
        say(f"{args.file}: sound: revision {found.revision}, {len(found.principles)} principles")
    return DONE


def test(args: argparse.Namespace) -> int:
    """Runs the tests inside the file; principles without any are named."""
    found = _compiled(args)
    results = run_tests(found)
    failed = [result for result in results if not result.passed]
    untested = [one.id for one in found.principles if not one.tests]
    if args.json:
        told = [{"principle": result.principle, "test": result.path} for result in failed]
        print_json({"tests": len(results), "failed": told, "untested": untested})
        return FAILED if failed else DONE
    for result in failed:
        wanted, came = _match(result.expected), _match(result.actual)
        complain(f"{args.file}: {result.path}: {result.principle}: {wanted} was required, {came} came")
    for name in untested:
        complain(f"{args.file}: {name} has no tests")
    say(f"{args.file}: {len(results) - len(failed)} of {len(results)} tests passed")
    return FAILED if failed else DONE


def _compiled(args: argparse.Namespace) -> PrincipleSet:
    found = compile_principles(read_principle_file(args.file), str(args.file))
    if not found.extends:
        return found
    path = args.base or DEFAULT_PACK
    base = compile_principles(read_principle_file(path), str(path))
    return compile_principles(read_principle_file(args.file), str(args.file), base)


def _match(matches: bool) -> str:
    return "a match" if matches else "no match"
