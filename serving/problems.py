"""Problems: every error leaves this API as RFC 9457 problem+json, and none of them echoes what was sent.

`Problem` is raised by routes; `from_error` is the one table that maps the domain's errors to statuses.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from membrane.errors import (
    InvalidPrinciples,
    InvalidRequest,
    InvalidSignal,
    RecordUnreadable,
    StoreRefused,
    StoreUnavailable,
    in_words,
)
from membrane.signals import invalid

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 1
_any: Final = msgspec.json.Decoder(msgspec.Raw)
_logger: Final = logging.getLogger("membrane.serving")

T = TypeVar("T")
Errors = Sequence[tuple[str, str]]
"""(JSON pointer, what was required) pairs."""


class Problem(Exception):
    """An answer that is a problem.

    `slug` names its type (`urn:membrane:problem:<slug>`), `detail` says where, what was required and what came, without
    echoing input. `extra` are further members of the body, `headers` further headers.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        errors: Errors = (),
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.errors = errors
        self.extra = extra or {}
        self.headers = headers or {}

    def body(self, besides: Mapping[str, object] | None = None) -> bytes:
        """The problem+json document, with members of its place `besides` its own."""
        return msgspec.json.encode(
            {
                "type": f"urn:membrane:problem:{self.slug}",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                "errors": [{"pointer": pointer, "problem": problem} for pointer, problem in self.errors],
                **self.extra,
                **(besides or {}),
            }
        )


def invalid_field(pointer: str, problem: str) -> Problem:
    """422 for one field; `pointer` is a JSON pointer, or a parameter's name."""
    return Problem(422, "invalid", f"{pointer or '/'}: {problem}", errors=[(pointer, problem)])


def not_json(detail: str = "the body must be JSON in UTF-8") -> Problem:
    return Problem(400, "not-json", detail)


def check_json(body: bytes) -> None:
    """Problem 400 unless the body is JSON in UTF-8. What is nested too deeply for a parser passes, and so does half of
    an escaped surrogate pair: a text that was cut inside an emoji spoils its own signal, not its whole batch."""
    try:
        body.isascii() or body.decode()
        _any.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if b"\\u" not in body or not _is_grammatical(body):
            raise not_json() from None
    except RecursionError:
        return


def _is_grammatical(body: bytes) -> bool:
    try:
        _lenient.decode(body.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_lenient: Final = json.JSONDecoder(parse_constant=_refuse)  # takes any escape


def not_found(what: str) -> Problem:
    """404 for something that does not exist, or not for this tenant: the two cannot be told apart."""
    return Problem(404, "not-found", f"no such {what}")


def unavailable(detail: str, *, extra: Mapping[str, object] | None = None) -> Problem:
    """503: nothing was acknowledged; try again."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(503, "unavailable", detail, extra=extra, headers=headers)


def parsed(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """A body of a known shape. Problem 400 if it is no JSON, 422 that names the field at fault."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        check_json(body)  # a wrong type may stand before the place where the JSON breaks off
        found = invalid(error, "")
        raise invalid_field(found.pointer, found.detail) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise not_json() from None


def from_error(error: Exception) -> Problem:
    """The problem of any error: the domain's by this table, others as a 500 that tells nothing but its number."""
    match error:
        case Problem():
            return error
        case InvalidSignal():
            return Problem(422, "invalid-signal", str(error), errors=[(error.pointer, error.detail)])
        case InvalidRequest():
            return Problem(422, "invalid", str(error), errors=error.errors)
        case InvalidPrinciples():
            detail = f"the principle set has {len(error.faults)} fault(s)"
            places = [(f.field, f"line {f.line}, column {f.column}: {f.problem}") for f in error.faults]
            return Problem(422, "invalid-principles", detail, errors=places)
        case StoreUnavailable():
            return unavailable("the store cannot take or give data now; nothing was acknowledged")
        case RecordUnreadable():
            return unavailable("the customer's record cannot be read")
        case StoreRefused():
            return unavailable("a store of this service was refused; its operator must look")
    report(error)
    return Problem(500, "internal", "an error of ours; it was logged")


def report(error: BaseException) -> None:
    """Logs an unexpected error: its type and where it was raised, not its values (they may be input)."""
    words = in_words(error)
    _logger.error("%s", words, extra={"told": {"exception": words}})
