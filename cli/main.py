"""The `membrane` command. Commands are imported only when they run: a second writer is told so within a second."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from cli.arguments import build_parser
from cli.exits import DONE, INTERRUPTED, UNHEALTHY, exit_code
from cli.output import complain, print_json
from cli.processes import follow_parent
from membrane.errors import InvalidPrinciples, MembraneError

Handler = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    args = build_parser().parse_args(argv)
    if args.parent_pid is not None:
        follow_parent(args.parent_pid)
    try:
        return handler(args.handler)(args)
    except MembraneError as error:
        _tell(error, as_json=args.json)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception:  # noqa: BLE001 - a fault of ours, not a mistake of the user: show where it is
        traceback.print_exc()
        return UNHEALTHY


def handler(name: str) -> Handler:
    """The function behind `module:function`."""
    module, _, function = name.partition(":")
    found: Handler = getattr(importlib.import_module(module), function)
    return found


def _tell(error: MembraneError, *, as_json: bool) -> None:
    complain(str(error))
    if as_json:
        faults = error.faults if isinstance(error, InvalidPrinciples) else []
        told = {"error": type(error).__name__, "message": str(error)}
        print_json({**told, "faults": [vars(fault) for fault in faults]} if faults else told)


if __name__ == "__main__":
    sys.exit(main())
