"""A model bundle: a directory that says what it is and proves that nobody changed it.

    manifest.json   what the model is, and the sha256 of every other file
    model.onnx      the model
    golden.json     rows and the outputs they must give
    trees.json      of a model of trees: its nodes, for drivers
    encoder.json    of a model over a table: how cells become numbers
    digest          sha256 of manifest.json: the identity of the bundle
    signature       optional: whose word it is (`models.signing`)

`read_bundle` takes the bytes of every file once and checks the digests before anything looks inside; whoever runs
the model gets these same bytes. There is no pickle anywhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from membrane.errors import InvalidBundle
from models.encoder import Encoder
from models.trees import Trees

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
GOLDEN: Final = "golden.json"
TREES: Final = "trees.json"
ENCODER: Final = "encoder.json"
DIGEST: Final = "digest"
SIGNATURE: Final = "signature"
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
SHA256: Final = re.compile("[0-9a-f]{64}")

_T = TypeVar("_T")

Kind = Literal["stage", "churn"]
Provenance = Literal["simulated", "tenant"]
Vector = tuple[float, ...]
Name = Annotated[str, Meta(min_length=1, max_length=128)]


class Linear(Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a linear model, for drivers: `coef` is (classes, features), for (x - mean) / scale, with x
    clipped to low..high."""

    mean: Vector
    scale: Vector
    low: Vector
    high: Vector
    coef: tuple[Vector, ...]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a bundle says of itself. `features` and `classes` are the model's columns in their order. `labels_until`:
    the latest moment (epoch ms, event time) at which a label was found out that it learned from."""

    format: Literal[1] = 1
    name: Name
    kind: Kind
    revision: Name
    created: Name
    fingerprint: Name
    features: tuple[Name, ...]
    classes: tuple[Name, ...]
    metrics: dict[str, float]
    provenance: Provenance
    parent: str | None = None
    labels_until: int | None = None
    linear: Linear | None = None
    digests: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.linear is None:
            return
        width = len(self.features)
        one = self.linear
        rows = (one.mean, one.scale, one.low, one.high, *one.coef)
        if any(len(row) != width for row in rows) or len(self.linear.coef) != len(self.classes):
            raise ValueError(f"linear weights must be {len(self.classes)} classes x {width} features")


class Golden(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows (n, features) and the probabilities (n, classes) that the model must give for them."""

    inputs: tuple[Vector, ...]
    outputs: tuple[Vector, ...]


class Bundle(Struct, frozen=True):
    """A bundle whose bytes are what its digest says. Whether it may answer is for `models.onnx_model` to find out."""

    digest: str
    manifest: Manifest
    golden: Golden
    model: bytes
    trees: Trees | None = None
    encoder: Encoder | None = None

    @property
    def revision(self) -> str:
        """The revision with the beginning of the digest: what decisions and records name."""
        return f"{self.manifest.revision}+{self.digest[:8]}"

    @property
    def advisory(self) -> bool:
        """Whether it learned from invented customers only: its risks are shown, and decide nothing."""
        return self.manifest.provenance == "simulated"


def read_bundle(directory: Path, digest: str | None = None) -> Bundle:
    """The bundle in `directory`, which must have the given digest if there is one.

    Raises InvalidBundle, with the file, what was required and what came."""
    manifest_bytes = _read(directory, MANIFEST)
    actual = _sha256(manifest_bytes)
    stated = _read(directory, DIGEST).decode("ascii", "replace").strip()
    if stated != actual:
        raise _fault(directory, MANIFEST, f"sha256 {stated[:64]!r} required (file {DIGEST})", actual)
    if digest is not None and digest != actual:
        raise _fault(directory, MANIFEST, f"sha256 {digest} required", actual)
    manifest = _decode(directory, MANIFEST, manifest_bytes, Manifest)
    if not {MODEL, GOLDEN} <= set(manifest.digests) <= {MODEL, GOLDEN, TREES, ENCODER}:
        required = f"digests of {MODEL} and {GOLDEN} required (and of {TREES} and {ENCODER}, if there are any)"
        raise _fault(directory, MANIFEST, required, sorted(manifest.digests))
    files = {name: _read_checked(directory, name, wanted) for name, wanted in manifest.digests.items()}
    return Bundle(
        actual,
        manifest,
        _decode(directory, GOLDEN, files[GOLDEN], Golden),
        files[MODEL],
        _decode(directory, TREES, files[TREES], Trees) if TREES in files else None,
        _decode(directory, ENCODER, files[ENCODER], Encoder) if ENCODER in files else None,
    )


def write_bundle(
    directory: Path,
    manifest: Manifest,
    golden: Golden,
    model: bytes,
    *,
    trees: Trees | None = None,
    encoder: Encoder | None = None,
) -> str:
    """Write a bundle into `directory` (made if missing); its digest. `manifest.digests` are filled in here."""
    files = {MODEL: model, GOLDEN: msgspec.json.encode(golden) + b"\n"}
    files |= {
        name: msgspec.json.encode(part) + b"\n"
        for name, part in ((TREES, trees), (ENCODER, encoder))
        if part is not None
    }
    stamped = msgspec.structs.replace(manifest, digests={name: _sha256(body) for name, body in files.items()})
    files[MANIFEST] = msgspec.json.encode(stamped) + b"\n"
    digest = _sha256(files[MANIFEST])
    write_files(directory, {**files, DIGEST: f"{digest}\n".encode()})
    return digest


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files into `directory`, made if missing."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (directory / name).write_bytes(body)


def _read(directory: Path, name: str) -> bytes:
    path = directory / name
    try:
        with path.open("rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidBundle(f"{path}: a readable file is required, got {error.strerror or error}") from None
    if len(body) > MAX_FILE_BYTES:
        raise _fault(directory, name, f"at most {MAX_FILE_BYTES} bytes required", "more")
    return body


def _read_checked(directory: Path, name: str, wanted: str) -> bytes:
    body = _read(directory, name)
    if _sha256(body) != wanted:
        raise _fault(directory, name, f"sha256 {wanted} required", _sha256(body))
    return body


def _decode(directory: Path, name: str, body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidBundle(f"{directory / name}: a {kind.__name__.lower()} is required, but {error}") from None


def _fault(directory: Path, name: str, required: str, got: object) -> InvalidBundle:
    return InvalidBundle(f"{directory / name}: {required}, got {got}")


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
