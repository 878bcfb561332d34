"""What the commands about models share: the data directory, how a model is named, and the examples to judge by."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cli.output import complain
from membrane.errors import InvalidBundle, StoreUnavailable, UsageError
from membrane.features import fingerprint
from membrane.labelled import Labelled
from membrane.times import format_time
from models.admission import admit
from models.bundle import MANIFEST, Kind, Manifest, read_bundle
from models.onnx_model import OnnxModel
from models.pointers import KINDS, Act, Change, Pointers, Said
from models.registry import Entry
from models.signing import ModelKeys
from serving.champions import Champions, roles
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.examples import LabelledReader
from storage.log import SignalLog

LEAST_OF_A_DIGEST: Final = 4
_PARQUET: Final = b"PAR1"
_ROLE: Final[dict[Act, str | None]] = {
    "install": "champion", "promote": "champion", "rollback": "champion", "challenge": "challenger", "withdraw": None,
}  # fmt: skip
"""What the log says of a bundle once it has followed."""


class Found(NamedTuple):
    """A model that a person named: where its bundle lies, and what it is."""

    folder: Path
    digest: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Desk:
    """An open data directory."""

    directory: DataDir
    log: SignalLog
    champions: Champions

    def roles(self) -> dict[str, tuple[str, str, str]]:
        """(kind, role, revision) of what the log names last, by digest."""
        return dict(roles(self.log.revisions()))

    def find(self, word: str) -> Found:
        """The model that a person means: an installed one by digest, revision or name, or the bundle in a folder.
        UsageError unless it is exactly one, InvalidBundle if it is damaged."""
        if (Path(word) / MANIFEST).exists():
            bundle = read_bundle(Path(word))
            return Found(Path(word), bundle.digest, bundle.manifest)
        entries = self.champions.registry.entries()
        found = [one for one in entries if _is_meant(one, word)]
        if len(found) != 1:
            known = ", ".join(sorted(_named(one) for one in entries)) or "none is installed"
            required = "a model's digest, revision or name, or a folder that holds a bundle, was required"
            raise UsageError(f"{word}: {required}; {len(found) or 'none'} of these is meant: {known}")
        [entry] = found
        if entry.manifest is None:
            raise InvalidBundle(entry.problem)
        return Found(self.champions.registry.place(entry.digest), entry.digest, entry.manifest)

    def find_challenger(self, word: str) -> tuple[Kind, str]:
        """The kind and digest of the challenger that a person means, however damaged it is. UsageError for none."""
        entries = {one.digest: one for one in self.champions.registry.entries()}
        pointers = self.champions.pointers()
        named = [(kind, one.digest) for kind in KINDS for one in pointers.of(kind).challengers]
        found = [
            (kind, digest) for kind, digest in named if _is_meant(entries.get(digest, Entry(digest, None, None)), word)
        ]
        if len(found) != 1:
            known = ", ".join(digest[:12] for _, digest in named) or "there is none"
            raise UsageError(f"{word}: one challenger was required: {known}")
        return found[0]

    def admit(self, found: Found) -> OnnxModel:
        """A model, once it has passed the door. InvalidBundle."""
        return admit(found.folder, ModelKeys.in_force(self.champions.folder), fingerprint(), digest=found.digest)

    def install(self, found: Found) -> None:
        """Copies it into the data directory, unless it is there. StoreUnavailable if the disk does not let us."""
        try:
            self.champions.registry.install(found.folder)
        except OSError as error:
            raise StoreUnavailable(f"{self.champions.folder}: cannot be written now: {error.strerror}") from error

    def champion_of(self, kind: str) -> OnnxModel | None:
        """The model that answers now, to compare with; None if there is none, or it cannot be used any more."""
        digest = next((one for one, named in self.roles().items() if named[:2] == (kind, "champion")), None)
        if digest is None:
            return None
        try:
            return admit(self.champions.registry.place(digest), ModelKeys([]), fingerprint(), digest=digest)
        except InvalidBundle:
            return None

    def change(self, change: Callable[[Pointers], Pointers]) -> Change:
        """Changes the pointers, and lets the log follow; the entry of the history. InvalidBundle if the log could not;
        what else the pointers ask for and cannot have is told."""
        pointers, problems = self.champions.change(change, wall_ms())
        done = pointers.history[-1]
        role = self.roles().get(done.digest, ("", None, ""))[1]
        if role != _ROLE[done.act]:
            raise InvalidBundle("\n".join(problems))
        for problem in problems:
            complain(problem)
        return done


@contextmanager
def open_desk(args: argparse.Namespace) -> Iterator[Desk]:
    """The data directory of a command. UsageError if there is none."""
    directory = DataDir.existing(args.data)
    with closing(SignalLog(directory)) as log:
        yield Desk(directory, log, Champions(directory, log))


def said(args: argparse.Namespace, *, forced: bool = False) -> Said:
    """Whose word a command is, and when it is given."""
    return Said(args.by or getpass.getuser(), format_time(wall_ms()), args.why, forced)


def examples(args: argparse.Namespace, directory: DataDir) -> Iterator[Labelled]:
    """The labelled examples of a file (Parquet, or JSON, one a line), or those that the data directory keeps. Raises
    UsageError for a file that is none."""
    if args.examples is not None:
        yield from _of_parquet(args.examples) if _is_parquet(args.examples) else _of_lines(args.examples)
    else:
        with closing(LabelledReader(directory)) as reader:
            yield from reader.every()


def _is_parquet(file: Path) -> bool:
    with suppress(OSError), file.open("rb") as data:
        return data.read(len(_PARQUET)) == _PARQUET
    return False


def _of_parquet(file: Path) -> Iterator[Labelled]:
    try:
        from training import parquet
    except ImportError as error:
        raise UsageError(f"--examples {file}: pyarrow is required for Parquet (the extra `train`)") from error
    yield from parquet.read(file)


def _of_lines(file: Path) -> Iterator[Labelled]:
    decoder = msgspec.json.Decoder(Labelled)
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise UsageError(f"--examples {file}:{number}: a labelled example was required: {error}") from error
    except OSError as error:
        raise UsageError(f"--examples {file}: a readable file was required: {error.strerror}") from error


def _is_meant(entry: Entry, word: str) -> bool:
    begins = len(word) >= LEAST_OF_A_DIGEST and entry.digest.startswith(word)
    return begins or (entry.manifest is not None and word in {entry.manifest.name, _revision(entry)})


def _named(entry: Entry) -> str:
    return entry.digest[:12] if entry.manifest is None else f"{_revision(entry)} ({entry.manifest.name})"


def _revision(entry: Entry) -> str:
    return f"{entry.manifest.revision}+{entry.digest[:8]}" if entry.manifest is not None else entry.digest[:8]
