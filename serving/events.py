"""CloudEvents over HTTP: from a body and its headers to the JSON of single events, in the three content modes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from membrane.signals import MAX_SIGNAL_BYTES
from serving.limits import MAX_BATCH_BYTES, MAX_BATCH_SIGNALS, header
from serving.problems import Problem, check_json, invalid_field, not_json

SINGLE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
BINARY: Final = "application/json"

Headers = Iterable[tuple[bytes, bytes]]

_batch: Final = msgspec.json.Decoder(list[msgspec.Raw])
_encoder: Final = msgspec.json.Encoder()
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]+|[\]}]+|,')


def content_mode(headers: Headers) -> str:
    """SINGLE, BATCH or BINARY; Problem 415 for any other media type."""
    media_type, _, parameters = (header(headers, b"content-type") or b"").decode("latin-1").lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]+)", parameters)
    if charset is not None and charset[1] not in ("utf-8", "utf8"):
        raise _unsupported("the body must be UTF-8")
    mode = media_type.strip()
    if mode in (SINGLE, BATCH):
        return mode
    if mode == BINARY and header(headers, b"ce-specversion") is not None:
        return mode
    raise _unsupported(f"send {SINGLE}, {BATCH}, or {BINARY} with ce-* headers (ce-specversion among them)")


def cap_of(mode: str) -> int:
    """How many bytes a body of that mode may have."""
    return MAX_BATCH_BYTES if mode == BATCH else MAX_SIGNAL_BYTES


def events(mode: str, headers: Headers, body: bytes) -> list[bytes]:
    """The JSON of each event of a body.

    Raises Problem 400 if the body is not JSON in UTF-8, 422 if a batch is no array, 413 for too many events.
    """
    if mode != BINARY or body.strip():
        check_json(body)
    if mode == BINARY:
        return [_binary_event(headers, body)]
    if mode == SINGLE:
        return [body]
    found = split_batch(body)
    if len(found) > MAX_BATCH_SIGNALS:
        raise Problem(413, "too-large", f"a batch has at most {MAX_BATCH_SIGNALS} signals")
    return found


def split_batch(body: bytes) -> list[bytes]:
    """The elements of a JSON array. One that no parser takes (too deep, half a character) costs nothing but itself."""
    try:
        return [bytes(event) for event in _batch.decode(body)]
    except msgspec.ValidationError:
        raise invalid_field("", "a batch must be a JSON array of events") from None
    except (msgspec.DecodeError, RecursionError):
        return _split_by_brackets(body)


def _split_by_brackets(body: bytes) -> list[bytes]:
    """Splits by counting brackets outside strings: for bodies with an element that the parser will refuse."""
    text = body.strip()
    cuts, depth = [0], 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in b"[{":
            depth += len(token[0])
        elif first in b"]}":
            depth -= len(token[0])
        elif first == ord(",") and depth == 1:
            cuts.append(token.start())
    if depth or not (text.startswith(b"[") and text.endswith(b"]")):
        raise not_json()
    cuts.append(len(text) - 1)
    return [text[start + 1 : end].strip() for start, end in pairwise(cuts)]


def _binary_event(headers: Headers, body: bytes) -> bytes:
    attributes: dict[str, object] = {}
    for name, value in headers:
        if name.startswith(b"ce-"):
            attributes[name[3:].decode("latin-1")] = _attribute(name, value)
    attributes["data"] = msgspec.Raw(body if body.strip() else b"{}")
    return _encoder.encode(attributes)


def _attribute(name: bytes, value: bytes) -> str:
    try:
        return unquote_to_bytes(value.strip(b'"')).decode()
    except UnicodeDecodeError:
        raise invalid_field(f"/{name[3:].decode('latin-1')}", "must be percent-encoded UTF-8") from None


def _unsupported(detail: str) -> Problem:
    return Problem(415, "unsupported-media-type", detail)
