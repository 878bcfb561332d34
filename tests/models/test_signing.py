from __future__ import annotations

import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from membrane.errors import InvalidBundle, UsageError
from models.admission import admit
from models.bundle import MODEL, SIGNATURE, read_bundle
from models.registry import Registry
from models.signing import ModelKeys, put_keys, sign


def private(path, key):
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def public(*keys):
    return b"".join(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys)


class Ring:
    """Two key pairs, of which a deployment believes the first."""

    def __init__(self, folder):
        self.folder = folder / "models"
        self.keys = [Ed25519PrivateKey.generate() for _ in range(2)]
        self.ours, self.theirs = (private(folder / f"{number}.key", key) for number, key in enumerate(self.keys))
        self.public = folder / "public.pem"
        self.public.write_bytes(public(self.keys[0]))
        put_keys(self.public, self.folder)

    def admit(self, bundle):
        return admit(bundle, ModelKeys.in_force(self.folder), "f" * 64)


@pytest.fixture
def ring(tmp_path):
    return Ring(tmp_path)


def test_a_bundle_signed_by_a_key_in_force_gets_in(maker, ring):
    bundle = maker.write()
    digest = sign(bundle, ring.ours)
    assert ring.admit(bundle).bundle.digest == digest


def test_an_unsigned_a_wrongly_signed_and_a_misread_signature_are_refused_before_the_runtime_looks(
    maker, ring, monkeypatch
):
    monkeypatch.setattr("models.onnx_model.ort.InferenceSession", None)
    bundle = maker.write()
    with pytest.raises(InvalidBundle, match="there is none"):
        ring.admit(bundle)
    sign(bundle, ring.theirs)
    with pytest.raises(InvalidBundle, match="another one's"):
        ring.admit(bundle)
    (bundle / SIGNATURE).write_bytes(b"!!")
    with pytest.raises(InvalidBundle, match="in base64"):
        ring.admit(bundle)


def test_a_signature_is_of_one_bundle_alone(maker, ring):
    one, other = maker.write("one"), maker.write("other")
    sign(one, ring.ours)
    shutil.copy(one / SIGNATURE, other / SIGNATURE)
    with pytest.raises(InvalidBundle, match="another one's"):
        ring.admit(other)


def test_without_keys_every_bundle_gets_in_signed_or_not(maker, tmp_path):
    assert admit(maker.write(), ModelKeys.in_force(tmp_path / "nowhere"), "f" * 64)


def test_several_keys_may_be_in_force_and_new_ones_replace_them(maker, ring):
    ring.public.write_bytes(public(*ring.keys))
    put_keys(ring.public, ring.folder)
    bundle = maker.write()
    for key in (ring.ours, ring.theirs):
        sign(bundle, key)
        ring.admit(bundle)
    ring.public.write_bytes(public(ring.keys[0]))
    put_keys(ring.public, ring.folder)
    with pytest.raises(InvalidBundle, match="another one's"):
        ring.admit(bundle)


def test_an_installed_bundle_keeps_its_signature_and_takes_a_later_one(maker, ring):
    bundle, registry = maker.write(), Registry(ring.folder)
    digest = registry.install(bundle)
    assert not (registry.place(digest) / SIGNATURE).exists()
    sign(bundle, ring.ours)
    registry.install(bundle)
    assert ring.admit(registry.place(digest))
    assert registry.install(registry.place(digest)) == digest


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "none came"),
        (b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n", "public keys in PEM were required"),
        (public(generate_private_key(SECP256R1())), "Ed25519 keys were required"),
    ],
)
def test_a_file_without_usable_keys_is_refused_and_those_in_force_stay(ring, body, problem):
    before = (ring.folder / "keys.pem").read_bytes()
    ring.public.write_bytes(body)
    with pytest.raises(UsageError, match=problem):
        put_keys(ring.public, ring.folder)
    assert (ring.folder / "keys.pem").read_bytes() == before


def test_keys_that_cannot_be_read_or_are_none_are_told(maker, ring, tmp_path):
    bundle = maker.write()
    with pytest.raises(UsageError, match="a readable file of keys"):
        put_keys(tmp_path / "nowhere", ring.folder)
    with pytest.raises(UsageError, match="a private key in PEM"):
        sign(bundle, ring.public)
    with pytest.raises(UsageError, match="an Ed25519 private key"):
        sign(bundle, private(tmp_path / "ec.key", generate_private_key(SECP256R1())))


def test_a_damaged_bundle_is_not_signed(maker, ring):
    bundle = maker.write()
    (bundle / MODEL).write_bytes(b"")
    with pytest.raises(InvalidBundle, match="sha256"):
        sign(bundle, ring.ours)
    assert not (bundle / SIGNATURE).exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_signs_the_same(maker, ring, tmp_path):
    bundle = maker.write()
    command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", ring.ours, "-in", bundle / "digest"]
    made = subprocess.run([*map(str, command)], capture_output=True, check=True).stdout
    encoded = subprocess.run(["base64", "-w0"], input=made, capture_output=True, check=True).stdout
    (bundle / SIGNATURE).write_bytes(encoded)
    assert ring.admit(bundle).bundle == read_bundle(bundle)
