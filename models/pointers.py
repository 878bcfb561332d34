"""Which bundles answer and which only run beside them: a file that people and learners change, with its history.

The file only asks: `serving.champions` checks what it names and causes the revision records that the stream follows.
A change is written whole or not at all, by one process at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from membrane.errors import StoreRefused, StoreUnavailable, UsageError
from models.bundle import Kind
from models.gate import Check

FILE: Final = "pointers.json"
KINDS: Final[tuple[Kind, ...]] = tuple(sorted(get_args(Kind)))
MOST_CHALLENGERS: Final = 3
KEPT_CHANGES: Final = 200
_LOCK: Final = ".pointers.lock"

Act = Literal["install", "promote", "rollback", "challenge", "withdraw"]


class Challenger(Struct, frozen=True):
    """A bundle that scores beside the champion and answers nobody; who named it, and when (RFC 3339)."""

    digest: str
    by: str
    since: str


class Pointer(Struct, frozen=True):
    """The bundles of one kind, by digest: the one that answers, those that answered before it (the latest last), those
    that were rolled back, and the challengers."""

    champion: str | None = None
    before: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    challengers: tuple[Challenger, ...] = ()

    def has_answered(self, digest: str) -> bool:
        """Whether this bundle is or ever was the champion."""
        return digest == self.champion or digest in self.before or digest in self.retired

    def named(self) -> set[str]:
        """The bundles that it asks for."""
        return {one.digest for one in self.challengers} | ({self.champion} if self.champion else set())

    def challenges(self, digest: str) -> bool:
        """Whether this bundle is a challenger."""
        return any(one.digest == digest for one in self.challengers)


class Said(Struct, frozen=True):
    """Whose word a change is, when it was given (RFC 3339), and what for; `forced`: against the gate."""

    by: str
    at: str
    why: str = ""
    forced: bool = False


class Change(Struct, frozen=True):
    """One entry of the history: what was done with which bundle, and how each check of the gate came out."""

    act: Act
    kind: Kind
    digest: str
    said: Said
    previous: str | None = None
    checks: tuple[Check, ...] = ()


class Pointers(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `history` begins with the oldest change and is bounded."""

    format: Literal[1] = 1
    stage: Pointer = Pointer()
    churn: Pointer = Pointer()
    history: tuple[Change, ...] = ()

    def of(self, kind: Kind) -> Pointer:
        """The pointer of one kind."""
        return self.stage if kind == "stage" else self.churn

    def put_in_force(self, act: Act, kind: Kind, digest: str, said: Said, checks: tuple[Check, ...] = ()) -> Pointers:
        """With another champion; the one so far can be rolled back to."""
        now = self.of(kind)
        if digest == now.champion:
            raise UsageError(f"{kind}: {digest[:12]} is the champion already")
        changed = Pointer(
            digest,
            (*(one for one in now.before if one != digest), *([now.champion] if now.champion else [])),
            tuple(one for one in now.retired if one != digest),
            tuple(one for one in now.challengers if one.digest != digest),
        )
        return self._with(kind, changed, Change(act, kind, digest, said, now.champion, checks))

    def rolled_back(self, kind: Kind, said: Said) -> Pointers:
        """With the champion before the present one. UsageError if there was none."""
        now = self.of(kind)
        if not now.before or now.champion is None:
            raise UsageError(f"{kind}: a champion before the present one is required to go back to, there was none")
        digest = now.before[-1]
        others = tuple(one for one in now.challengers if one.digest != digest)
        changed = Pointer(digest, now.before[:-1], (*now.retired, now.champion), others)
        return self._with(kind, changed, Change("rollback", kind, digest, said, now.champion))

    def challenged(self, kind: Kind, digest: str, said: Said, instead: str | None = None) -> Pointers:
        """With one challenger more, in the place of `instead` if that is one. UsageError beyond three."""
        now = self.of(kind)
        if digest == now.champion or now.challenges(digest):
            raise UsageError(f"{kind}: {digest[:12]} is the champion or a challenger already")
        others = tuple(one for one in now.challengers if one.digest != instead)
        if len(others) >= MOST_CHALLENGERS:
            named = ", ".join(one.digest[:12] for one in others)
            raise UsageError(f"{kind}: at most {MOST_CHALLENGERS} challengers are allowed; withdraw one of {named}")
        changed = msgspec.structs.replace(now, challengers=(*others, Challenger(digest, said.by, said.at)))
        return self._with(kind, changed, Change("challenge", kind, digest, said, instead))

    def withdrawn(self, kind: Kind, digest: str, said: Said) -> Pointers:
        """Without a challenger. UsageError if it is none."""
        now = self.of(kind)
        if not now.challenges(digest):
            raise UsageError(f"{kind}: a challenger was required, {digest[:12]} is none")
        left = tuple(one for one in now.challengers if one.digest != digest)
        changed = msgspec.structs.replace(now, challengers=left)
        return self._with(kind, changed, Change("withdraw", kind, digest, said))

    def adopting(self, kind: Kind, champion: str) -> Pointers:
        """With the champion that a log from before this file names, unless the file names one."""
        now = self.of(kind)
        return self if now.champion else self._put(kind, msgspec.structs.replace(now, champion=champion))

    def _with(self, kind: Kind, pointer: Pointer, change: Change) -> Pointers:
        changed = self._put(kind, pointer)
        return msgspec.structs.replace(changed, history=(*self.history, change)[-KEPT_CHANGES:])

    def _put(self, kind: Kind, pointer: Pointer) -> Pointers:
        return msgspec.structs.replace(self, **{kind: pointer})


class PointerFile:
    """The pointers of one folder of bundles."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = folder / _LOCK

    def read(self) -> Pointers:
        """What the file says; nothing is named while there is none. StoreRefused if it cannot be understood."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Pointers)
        except FileNotFoundError:
            return Pointers()
        except OSError as error:
            raise StoreRefused(f"{self.path}: a readable file was required: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            required = "the pointers of models were required"
            raise StoreRefused(f"{self.path}: {required}, but {error}: mend or remove it") from error

    def change(self, change: Callable[[Pointers], Pointers]) -> Pointers:
        """Replaces what the file says by what `change` makes of it, as one step for every process. StoreUnavailable if
        the disk does not let us."""
        with self.held():
            changed = change(self.read())
            self._write(changed)
        return changed

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else changes the file while the block runs."""
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unavailable(self._lock, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def stamp(self) -> tuple[int, int]:
        """Another value after each change; (0, 0) while there is no file."""
        try:
            found = self.path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def _write(self, pointers: Pointers) -> None:
        draft = self.path.with_name(f".{FILE}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(pointers), indent=1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError as error:
            raise _unavailable(self.path, error) from error


def _unavailable(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{path}: cannot be written now: {error.strerror}")


def name_challenger(folder: Path, kind: Kind, digest: str, said: Said) -> None:
    """Makes an installed bundle a challenger, in the place of the one that the same hand named before: for learners.

    UsageError where others have taken all places."""

    def challenge(pointers: Pointers) -> Pointers:
        own = [one.digest for one in pointers.of(kind).challengers if one.by == said.by]
        return pointers.challenged(kind, digest, said, instead=own[0] if own else None)

    PointerFile(folder).change(challenge)
