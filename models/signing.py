"""Signatures of bundles: Ed25519 over the file `digest`, in a file `signature` beside it.

`openssl pkeyutl -sign -rawin -inkey KEY.pem -in digest | base64 -w0 > signature` makes the same. The digest covers the
manifest, and the manifest every other file. Where public keys are in force a bundle without a valid signature is
refused at the door, before the runtime sees a byte of it; what the log names has passed the door.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from membrane.errors import InvalidBundle, UsageError
from models.bundle import SIGNATURE, Bundle, read_bundle

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FILE: Final = "keys.pem"
_PUBLIC: Final = re.compile(b"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
_MAX_BYTES: Final = 65_536


class ModelKeys:
    """The public keys that a deployment believes; without any, every bundle is let in."""

    def __init__(self, keys: list[Ed25519PublicKey]) -> None:
        self._keys = keys

    @classmethod
    def in_force(cls, folder: Path) -> ModelKeys:
        """Those in a folder of bundles; UsageError if the file is there and cannot be used."""
        path = folder / FILE
        return cls(_public_keys(path)) if path.exists() else cls([])

    def check(self, bundle: Bundle, directory: Path) -> None:
        """InvalidBundle unless one of the keys has signed the bundle in `directory`."""
        if not self._keys:
            return
        path = directory / SIGNATURE
        try:
            signature = base64.b64decode(path.read_bytes().strip(), validate=True)
        except OSError:
            raise InvalidBundle(f"{path}: a signature by one of the model keys is required, there is none") from None
        except binascii.Error:
            raise InvalidBundle(f"{path}: a signature in base64 is required, got something else") from None
        if not any(_is_signed(key, signature, bundle) for key in self._keys):
            raise InvalidBundle(f"{path}: a signature by one of the model keys is required, got another one's")

    def believe(self, key: Path) -> bool:
        """Whether what the private key of a PEM file signs is let in. UsageError if the file holds none."""
        public = _private_key(key).public_key().public_bytes_raw()
        return not self._keys or any(one.public_bytes_raw() == public for one in self._keys)


def put_keys(source: Path, folder: Path) -> None:
    """Puts the public keys of a PEM file in force for a folder of bundles. UsageError if it holds none."""
    _public_keys(source)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{FILE}.{os.getpid()}"
    draft.write_bytes(source.read_bytes())
    draft.replace(folder / FILE)


def check_private_key(key: Path) -> None:
    """UsageError unless a PEM file holds a private key that bundles can be signed with."""
    _private_key(key)


def sign(directory: Path, key: Path) -> str:
    """Signs the bundle in `directory` with the private key of a PEM file; its digest. InvalidBundle, UsageError."""
    bundle = read_bundle(directory)
    signature = _private_key(key).sign(_message(bundle))
    (directory / SIGNATURE).write_bytes(base64.b64encode(signature) + b"\n")
    return bundle.digest


def _library() -> tuple[ModuleType, ModuleType, ModuleType]:
    """Loaded only where keys are in force, or to sign."""
    try:
        from cryptography import exceptions  # noqa: PLC0415
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("model keys: the package cryptography is required (the extra `signing`)") from error
    return ed25519, serialization, exceptions


def _message(bundle: Bundle) -> bytes:
    return f"{bundle.digest}\n".encode()


def _is_signed(key: Ed25519PublicKey, signature: bytes, bundle: Bundle) -> bool:
    _, _, exceptions = _library()
    try:
        key.verify(signature, _message(bundle))
    except exceptions.InvalidSignature:
        return False
    return True


def _public_keys(path: Path) -> list[Ed25519PublicKey]:
    ed25519, serialization, exceptions = _library()
    found = []
    for block in _PUBLIC.findall(_read(path)):
        try:
            key = serialization.load_pem_public_key(block)
        except (ValueError, exceptions.UnsupportedAlgorithm) as error:
            raise UsageError(f"{path}: public keys in PEM were required: {error}") from error
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise UsageError(f"{path}: Ed25519 keys were required, another kind came")
        found.append(key)
    if not found:
        raise UsageError(f"{path}: one or more Ed25519 public keys in PEM were required, none came")
    return found


def _private_key(path: Path) -> Ed25519PrivateKey:
    ed25519, serialization, exceptions = _library()
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (TypeError, ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise UsageError(f"{path}: a private key in PEM without a passphrase was required: {error}") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(f"{path}: an Ed25519 private key was required, another kind came")
    found: Ed25519PrivateKey = key
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: a readable file of keys was required: {error.strerror}") from error
