"""Examples to learn from: a vector as it was served, and what was found out later about that moment."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Target = Literal["stage", "churn"]
TARGETS: Final[tuple[Target, ...]] = ("stage", "churn")


class Labelled(Struct, frozen=True, kw_only=True):
    """A served vector with one label. The order of a partition's labelled examples is `number`: a replay of the same
    log gives the same ones with the same numbers."""

    partition: int
    number: int
    tenant: str
    customer: str
    offset: int
    """Of the log record whose vector this is."""
    time: int
    """When the vector was served: the customer's clock, epoch ms."""
    fingerprint: str
    """Of the features (`membrane.features.fingerprint`)."""
    features: tuple[float, ...]
    """As served, of 32 bits each, in the registry's order."""
    target: Target
    label: int
    """Index in STAGES, or 1 for a customer that closed or lapsed within the horizon, else 0."""
    weight: float
    """0..1, how far the labelling function is to be believed."""
    by: str
    """The labelling function, or the person."""
    about: int
    """The moment that the label speaks about, epoch ms."""
    labelled_at: int
    """When it was found out, epoch ms of event time."""
    synthetic: bool = False
    scores: dict[str, tuple[float, ...]] = {}
    """What each model gave for this vector when it was served, by its revision: probabilities of its classes."""
    revisions: dict[str, str] = {}
    """What was in force when it was served: of `principles`, `stage_model` and `churn_model` those there were."""
