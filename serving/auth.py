"""Who asks: bearer keys, their tenants, scopes and expiry.

A keys file is a YAML list of `{sha256, tenant, scopes, expires?}`; only hashes of keys are ever stored. It is read
again when it changes; a version that cannot be read leaves the last good one in force, a file that is gone lets nobody
in. Without a keys file everybody is tenant `default` with all scopes, and the API must listen on loopback only.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from membrane.errors import UsageError
from membrane.signals import PROBE
from membrane.times import parse_time
from serving.problems import Problem, report

SCOPES: Final = frozenset({"ingest", "decide", "read", "act", "admin"})
_FIELDS: Final = frozenset({"sha256", "tenant", "scopes", "expires"})
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_TENANT: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")
_MAX_FILE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a request speaks for. `expires_ms` is None for a key without an end."""

    tenant: str
    scopes: frozenset[str]
    expires_ms: int | None = None

    def must(self, *scopes: str) -> None:
        """Raises Problem 403 unless the key has one of the scopes."""
        if self.scopes.isdisjoint(scopes):
            raise Problem(403, "forbidden", f"this key lacks the scope {' or '.join(map(repr, scopes))}")


EVERYBODY: Final = Identity("default", SCOPES)
_THE_PROBE: Final = Identity(PROBE, frozenset({"ingest", "read", "decide"}))
_PROBE_HEADER: Final = f"Bearer {PROBE}".encode()
"""Without keys, too, `membrane probe` is a tenant of its own."""


class Keys:
    """The keys file at `path`, None for an API without keys."""

    def __init__(self, path: Path | None, now_ms: Callable[[], int]) -> None:
        self._path = path
        self._now_ms = now_ms
        self._stamp: tuple[int, int, int] | None = None
        self._identities: dict[bytes, Identity] = {}
        if path is not None:
            self._stamp = _stamp(path)
            self._identities = read_keys(path)

    def identify(self, authorization: bytes | None) -> Identity:
        """The identity behind an `Authorization` header; Problem 401 when there is none."""
        if self._path is None:
            return _THE_PROBE if authorization == _PROBE_HEADER else EVERYBODY
        self._reload(self._path)
        scheme, _, token = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            raise _unauthorized("an 'Authorization: Bearer' header is required")
        digest = hashlib.sha256(token.strip()).digest()
        # Every entry is compared, each in constant time: how long it takes tells nothing of the keys.
        found = [identity for key, identity in self._identities.items() if hmac.compare_digest(key, digest)]
        if not found:
            raise _unauthorized("this key is not known")
        if found[0].expires_ms is not None and found[0].expires_ms <= self._now_ms():
            raise _unauthorized("this key has expired")
        return found[0]

    def speaks_for_everybody(self, identity: Identity) -> bool:
        """Whether what an identity changes may count for the customers of every tenant: it is of tenant `default`, or
        the file in force names no other tenant than its own (expired keys count)."""
        return identity.tenant == EVERYBODY.tenant or all(
            known.tenant == identity.tenant for known in self._identities.values()
        )

    def _reload(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._identities = {} if stamp is None else read_keys(path)
        except UsageError as error:
            report(error)


def read_keys(path: Path) -> dict[bytes, Identity]:
    """The identities of a keys file by the SHA-256 of their keys. UsageError says which entry is wrong, and how."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES)
        entries = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes strings, lists and mappings, no objects
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{path}: a YAML list of keys is required, this cannot be read: {type(error).__name__}"
        ) from None
    if not isinstance(entries, list):
        raise UsageError(f"{path}: a YAML list of keys is required")
    return dict(_entry(entry, f"{path}: key {number}") for number, entry in enumerate(entries, 1))


def check_host(host: str, *, has_keys: bool) -> None:
    """UsageError when an API without keys would listen on anything but loopback."""
    if not has_keys and not is_loopback(host):
        raise UsageError(f"--host {host}: without --keys only a loopback address is allowed, such as 127.0.0.1")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _entry(entry: object, where: str) -> tuple[bytes, Identity]:
    if not isinstance(entry, dict) or not {"sha256", "tenant", "scopes"} <= set(entry) <= _FIELDS:
        raise UsageError(f"{where}: sha256, tenant and scopes are required, expires is optional, and nothing else")
    digest, tenant, scopes = entry["sha256"], entry["tenant"], entry["scopes"]
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise UsageError(f"{where}: sha256 must be 64 hexadecimal digits")
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise UsageError(f"{where}: tenant must be 1 to 64 characters, no control characters")
    if not isinstance(scopes, list) or not scopes or not all(isinstance(s, str) and s in SCOPES for s in scopes):
        raise UsageError(f"{where}: scopes must be a list of {', '.join(sorted(SCOPES))}")
    return bytes.fromhex(digest), Identity(tenant, frozenset(scopes), _expiry(entry.get("expires"), where))


def _expiry(value: object, where: str) -> int | None:
    if value is None:
        return None
    try:
        return parse_time(str(value))
    except ValueError:
        raise UsageError(f"{where}: expires must be RFC 3339 with an offset, such as 2026-12-31T00:00:00Z") from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="membrane"'})
