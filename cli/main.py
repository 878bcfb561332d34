"""The `membrane` command. Commands are imported only when they run: a second writer is told so within a second."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from cli.arguments import build_parser
from cli.exits import DONE, INTERRUPTED, UNHEALTHY, exit_code
from cli.logs import begin
from cli.output import complain, print_json
from cli.processes import follow_parent
from membrane.errors import InvalidPrinciples, MembraneError, in_words

Handler = Callable[[argparse.Namespace], int]
_logger: Final = logging.getLogger("membrane.process")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    args = build_parser().parse_args(argv)
    if args.parent_pid is not None:
        follow_parent(args.parent_pid)
    if args.log_format is not None:
        begin(args.handler.rpartition(":")[2], args.log_format, args.log_level)
    try:
        return handler(args.handler)(args)
    except MembraneError as error:
        _tell(error, args)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # noqa: BLE001 - a fault of ours, not a mistake of the user: show where it is
        if args.log_format is None and args.parent_pid is None:
            traceback.print_exc()
        else:  # into a log: without the values, which may be a customer's
            words = in_words(error)
            _complain(args, f"an error of ours ended it: {words}", exception=words)
        return UNHEALTHY


def handler(name: str) -> Handler:
    """The function behind `module:function`."""
    module, _, function = name.partition(":")
    found: Handler = getattr(importlib.import_module(module), function)
    return found


def _tell(error: MembraneError, args: argparse.Namespace) -> None:
    _complain(args, str(error))
    if args.json:
        faults = error.faults if isinstance(error, InvalidPrinciples) else []
        told = {"error": type(error).__name__, "message": str(error)}
        print_json({**told, "faults": [vars(fault) for fault in faults]} if faults else told)


def _complain(args: argparse.Namespace, text: str, **told: str) -> None:
    if args.log_format is None:
        complain(text)
    else:
        _logger.error("%s", text, extra={"told": told})


if __name__ == "__main__":
    sys.exit(main())
