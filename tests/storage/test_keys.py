from __future__ import annotations

from storage.keys import customer_key, signal_key


def test_keys_are_signed_64_bit_integers_that_never_change():
    assert customer_key("t", "c") == -1046878883963133007
    assert signal_key("t", "s", "1") == -209360911994422428
    assert all(-(2**63) <= customer_key("t", str(number)) < 2**63 for number in range(100))


def test_names_are_kept_apart():
    assert customer_key("a", "bc") != customer_key("ab", "c")
    assert signal_key("a", "b", "c") != signal_key("a", "bc", "")
