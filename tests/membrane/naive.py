"""The reference for windowed features: over all signals, tile by tile, with no state kept."""

from __future__ import annotations

from collections.abc import Iterable

from membrane import signals as s
from membrane.signals import StoredSignal, typed
from membrane.times import DAY, HOUR, MINUTE

WINDOWS = {"1h": (HOUR, 5 * MINUTE), "24h": (DAY, HOUR), "7d": (7 * DAY, DAY), "30d": (30 * DAY, DAY)}


def inside(signal: StoredSignal, t: int, window: str) -> bool:
    """In a tile that begins after t - w rounded down, and at or before t's own tile."""
    width, tile = WINDOWS[window]
    begins = signal.time // tile * tile
    return (t - width) // tile * tile < begins <= t


def windowed(stream: Iterable[StoredSignal], t: int) -> dict[str, float]:
    """A sample of every kind of windowed feature."""
    items = [(signal, typed(signal)) for signal in stream]
    found: dict[str, float] = {}
    for window in WINDOWS:
        data = [d for signal, d in items if inside(signal, t, window)]
        inbound = [d for d in data if isinstance(d, s.MessageReceived)] + [
            d for d in data if isinstance(d, s.InteractionEnded) and d.direction != "outbound"
        ]
        found[f"contacts_in_{window}"] = len(inbound)
        found[f"contacts_out_{window}"] = sum(isinstance(d, s.ContactMade) for d in data)
        if window == "1h":
            continue
        tones = [
            round(d.sentiment * 10_000) for d in data if isinstance(d, s.MessageReceived) and d.sentiment is not None
        ]
        found[f"negative_messages_{window}"] = sum(tone <= -3000 for tone in tones)
        found[f"tone_mean_{window}"] = sum(tones) / len(tones) / 10_000 if tones else 0
        if window != "24h":
            found[f"cases_opened_{window}"] = sum(isinstance(d, s.CaseOpened) for d in data)
            made = [d for d in data if isinstance(d, s.ContactMade)]
            found[f"out_sales_{window}"] = sum(d.domain == "sales" for d in made)
    orders = [(signal, d) for signal, d in items if signal.type == "cx.order.placed.v1" and inside(signal, t, "30d")]
    found["orders_30d"] = len(orders)
    found["order_value_30d"] = sum(d.amount for _, d in orders)
    found["in_other_30d"] = sum(d.channel == "carrier-pigeon" for d in inbound)
    return found
