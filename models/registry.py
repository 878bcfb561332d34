"""The bundles a deployment knows: `DIR/<digest>/`, each installed whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from membrane.errors import InvalidBundle
from models.bundle import DIGEST, MANIFEST, SHA256, SIGNATURE, Bundle, Manifest, read_bundle

_REMOVED: Final = ".removed-"


class Entry(NamedTuple):
    """An installed bundle, or what is wrong with it."""

    digest: str
    manifest: Manifest | None
    problem: str | None


class Registry:
    """A directory of bundles by digest. Other files in it are left alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def install(self, source: Path) -> str:
        """Copy the bundle in `source` here; its digest. A second time is no work but for a signature; a damaged copy
        is replaced.

        Raises InvalidBundle if the source is damaged, OSError if the disk refuses."""
        bundle = read_bundle(source)
        digest = bundle.digest
        if self._is_sound(digest):
            self._take_signature(source, digest)
            return digest
        self._directory.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(prefix=".installing-", dir=self._directory))
        try:
            for name in (*bundle.manifest.digests, MANIFEST, DIGEST):
                _copy_durably(source / name, copy / name)
            if (source / SIGNATURE).exists():
                _copy_durably(source / SIGNATURE, copy / SIGNATURE)
            read_bundle(copy, digest)  # the source may have changed meanwhile
            copy.chmod(0o755)
            self._put_in_place(copy, digest)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        return digest

    def place(self, digest: str) -> Path:
        """Where the bundle with this digest lies, if it is installed. InvalidBundle for what is no digest."""
        if SHA256.fullmatch(digest) is None:
            raise InvalidBundle(f"models: a digest of 64 hexadecimal digits required, got {digest[:80]!r}")
        return self._directory / digest

    def load(self, digest: str) -> Bundle:
        """The bundle with this digest. Raises InvalidBundle if it is missing or damaged."""
        return read_bundle(self.place(digest), digest)

    def entries(self) -> list[Entry]:
        """All installed bundles by digest, the damaged ones with their problem."""
        if not self._directory.is_dir():
            return []
        digests = sorted(path.name for path in self._directory.iterdir() if SHA256.fullmatch(path.name))
        return [self._entry(digest) for digest in digests]

    def remove(self, digest: str) -> None:
        """Take an installed bundle away: at once for whoever looks, its files after that."""
        gone = self._directory / f"{_REMOVED}{digest}"
        self.place(digest).rename(gone)
        shutil.rmtree(gone)

    def sweep(self, drafts: str) -> None:
        """Take away what processes that were killed left: of removed bundles, and the folders that begin with
        `drafts`."""
        for path in (*self._directory.glob(f"{_REMOVED}*"), *self._directory.glob(f"{drafts}*")):
            shutil.rmtree(path, ignore_errors=True)

    def _entry(self, digest: str) -> Entry:
        try:
            return Entry(digest, self.load(digest).manifest, None)
        except InvalidBundle as error:
            return Entry(digest, None, str(error))

    def _is_sound(self, digest: str) -> bool:
        return self._entry(digest).problem is None

    def _take_signature(self, source: Path, digest: str) -> None:
        place = self.place(digest)
        if source.resolve() == place.resolve() or not (source / SIGNATURE).exists():
            return
        draft = place / f".{SIGNATURE}.{os.getpid()}"
        _copy_durably(source / SIGNATURE, draft)
        draft.replace(place / SIGNATURE)

    def _put_in_place(self, copy: Path, digest: str) -> None:
        place = self._directory / digest
        if place.exists() and not self._is_sound(digest):
            shutil.rmtree(place)
        try:
            copy.rename(place)
        except OSError:
            if not self._is_sound(digest):  # else another process was faster
                raise
        _sync(self._directory)


def _copy_durably(source: Path, target: Path) -> None:
    with target.open("wb") as file:
        file.write(source.read_bytes())
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
