"""Keys: who may ask what, for which tenant."""

from __future__ import annotations

import hashlib

import pytest

from membrane.errors import UsageError
from membrane.times import HOUR
from serving.auth import EVERYBODY, Keys, check_host, read_keys
from serving.problems import Problem

SECRET = "a-secret-of-the-test"


def entry(secret: str = SECRET, tenant: str = "acme", scopes: str = "[read]", more: str = "") -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return f"- sha256: {digest}\n  tenant: {tenant}\n  scopes: {scopes}\n{more}"


def bearer(secret: str = SECRET) -> bytes:
    return b"Bearer " + secret.encode()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text(entry())
    return path


def rewrite(path, text: str) -> None:
    """Replaces the file as an operator's tool does: at once, with another inode."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_without_a_keys_file_everybody_is_the_default_tenant(clock):
    assert Keys(None, clock).identify(None) == EVERYBODY


def test_a_key_gives_its_tenant_and_scopes(file, clock):
    identity = Keys(file, clock).identify(bearer())
    assert (identity.tenant, identity.scopes) == ("acme", {"read"})
    identity.must("read")
    with pytest.raises(Problem) as caught:
        identity.must("ingest")
    assert caught.value.status == 403


@pytest.mark.parametrize("header", [None, b"", b"Bearer", b"Bearer ", b"Bearer wrong", b"Basic " + SECRET.encode()])
def test_a_missing_or_unknown_key_is_refused(file, clock, header):
    with pytest.raises(Problem) as caught:
        Keys(file, clock).identify(header)
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_is_refused_from_the_moment_it_expires(file, clock):
    file.write_text(entry(more="  expires: 2026-11-23T11:00:00Z\n"))
    keys = Keys(file, clock)
    clock.ms += HOUR - 1
    assert keys.identify(bearer()).tenant == "acme"
    clock.ms += 1
    with pytest.raises(Problem, match="expired"):
        keys.identify(bearer())


def test_a_rotated_key_is_refused_and_the_new_one_taken_without_a_restart(file, clock):
    keys = Keys(file, clock)
    keys.identify(bearer())
    rewrite(file, entry("another"))
    assert keys.identify(bearer("another")).tenant == "acme"
    with pytest.raises(Problem):
        keys.identify(bearer())


def test_a_file_that_became_unreadable_leaves_the_last_good_keys(file, clock):
    keys = Keys(file, clock)
    rewrite(file, entry()[:40])
    assert keys.identify(bearer()).tenant == "acme"


def test_a_file_that_is_gone_lets_nobody_in(file, clock):
    keys = Keys(file, clock)
    file.unlink()
    with pytest.raises(Problem):
        keys.identify(bearer())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just text",
        "key: value",
        "- sha256: [1]",
        "- {sha256: abc, tenant: t, scopes: [read]}",
        entry(scopes="[everything]"),
        entry(scopes="[]"),
        entry(scopes="read"),
        entry(more="  expires: tomorrow\n"),
        entry(more="  note: hello\n"),
        entry(tenant="''"),
        "- [",
        "\x00",
    ],
)
def test_a_bad_keys_file_is_refused_at_start_naming_the_file(file, text):
    file.write_text(text)
    with pytest.raises(UsageError, match=r"keys\.yaml"):
        read_keys(file)


def test_a_missing_keys_file_is_refused_at_start(tmp_path, clock):
    with pytest.raises(UsageError):
        Keys(tmp_path / "none.yaml", clock)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_keys(host):
    check_host(host, has_keys=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example.org"])
def test_any_other_host_needs_keys(host):
    check_host(host, has_keys=True)
    with pytest.raises(UsageError, match="--keys"):
        check_host(host, has_keys=False)
