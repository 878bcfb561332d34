"""Principle files, kept by the digest of their bytes: what a revision in the log names can always be read again."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import membrane
from membrane.errors import Fault, InvalidPrinciples, StoreUnavailable, UsageError
from storage.documents import MAX_BYTES, Document, read_document
from storage.durable import write_atomically

if TYPE_CHECKING:
    from membrane.principle_file import Draft
    from membrane.principles import PrincipleSet

__all__ = [
    "DEFAULT_PACK",
    "Document",
    "PrincipleFiles",
    "compile_principles",
    "draft_of",
    "read_document",
    "read_principle_file",
]

DEFAULT_PACK: Final = Path(membrane.__file__).parent / "packs" / "default.yaml"
"""The pack that ships."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class PrincipleFiles:
    """The folder of principle files, each named by the SHA-256 of its bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the file of a digest lies."""
        return self.folder / f"{digest}.yaml"

    def find(self, beginning: str) -> list[str]:
        """The digests that begin so, of the files that are there."""
        return sorted(path.stem for path in self.folder.glob(f"{beginning}*.yaml"))

    def install(self, data: bytes) -> str:
        """Stores the bytes, whole or not at all, and returns their digest. StoreUnavailable if the disk refuses.

        They are stored as they are: whether they are sound is for `read_document` and the domain to say.
        """
        digest = sha256(data).hexdigest()
        path = self.path(digest)
        try:
            if not (path.is_file() and path.read_bytes() == data):
                write_atomically(path, data)
        except OSError as error:
            raise StoreUnavailable(f"{path}: cannot be written: {error.strerror}") from error
        return digest

    def load(self, digest: str) -> bytes:
        """The bytes of a digest, verified. InvalidPrinciples if they are missing or are not those bytes."""
        if _DIGEST.fullmatch(digest) is None:
            raise _invalid(self.folder, "a SHA-256 in hexadecimal was required as a digest")
        path = self.path(digest)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _invalid(path, f"the file of this digest was required: {error.strerror}") from error
        if sha256(data).hexdigest() != digest:
            raise _invalid(path, "the bytes of this digest were required, others came")
        return data


def read_principle_file(path: Path) -> bytes:
    """The bytes of a principle file, of which no more are read than one may have. UsageError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: a principle file was required: {error.strerror}") from error


def compile_principles(data: bytes, file: str = "", base: PrincipleSet | None = None) -> PrincipleSet:
    """The set of a principle file's bytes; InvalidPrinciples lists every fault with line and column. A file that
    extends is checked against `base`, but not laid over it."""
    draft = draft_of(data, file, base)
    if draft.faults:
        raise InvalidPrinciples(draft.faults)
    return draft.principles


def draft_of(data: bytes, file: str = "", base: PrincipleSet | None = None) -> Draft:
    """What a principle file's bytes say, with every fault. InvalidPrinciples for what cannot be read as YAML."""
    # The condition engine is slow to load: only who compiles needs it.
    from membrane.features import FEATURE_NAMES  # noqa: PLC0415 - see above
    from membrane.principle_file import read_draft  # noqa: PLC0415 - see above

    document = read_document(data, file)
    digest = sha256(data).hexdigest()
    return read_draft(document.value, document.marks, digest=digest, file=file, features=FEATURE_NAMES, base=base)


def _invalid(path: Path, problem: str) -> InvalidPrinciples:
    return InvalidPrinciples([Fault(1, 1, "digest", problem, str(path))])
