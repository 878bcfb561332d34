"""Ids that a replay makes again: short hashes of what they name."""

from __future__ import annotations

from hashlib import blake2b


def stable_id(*parts: str | int) -> str:
    """16 hex digits of the parts; equal parts give equal ids in every process and version.

    >>> stable_id("agent-call", "default", "c-42", 7) == stable_id("agent-call", "default", "c-42", "7")
    True
    """
    return blake2b("\0".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def episode_id(tenant: str, customer: str, episode_at: int) -> str:
    """The id of the episode of a customer that began at `episode_at` (epoch ms)."""
    return stable_id("episode", tenant, customer, episode_at)
