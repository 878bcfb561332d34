"""Entries into crisis in a partition's meta: each tenant's encoded, and only some of them opened with a block."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.entries import Entries, carry
from membrane.times import HOUR, MINUTE
from stream.meta import Meta, carry_entries, read_meta, write_meta
from tests.strategies import START

blocks = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3 * HOUR)), max_size=4),
        st.sampled_from([0, MINUTE, 7 * MINUTE, HOUR, 30 * HOUR]),
    ),
    max_size=20,
)


@given(blocks)
def test_what_is_kept_encoded_is_what_would_be_kept_open(blocks):
    """Of each block who entered, how long behind the last tick, and how much later the tick behind them is."""
    meta, kept = Meta(last_tick=START), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("membrane.entries.MAX_TENANTS", 3)
        for offset, (who, later) in enumerate(blocks):
            entered = [(offset, tenant, meta.last_tick + behind) for tenant, behind in who]
            before, meta.last_tick = meta.last_tick, meta.last_tick + later
            carry_entries(meta, entered, before)
            carry(kept, entered, meta.last_tick)
            meta = read_meta(write_meta(meta))
    assert {name: msgspec.json.decode(one, type=Entries) for name, one in meta.entries.items()} == kept
