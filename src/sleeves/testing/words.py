"""Events as the sentence of a broken promise shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import fields, has

from ..market import SECOND, FundingRate
from ..orders import Fill
from .script import BEGIN

__all__ = ["event_text", "events_text", "fill_text"]


def fill_text(fill: Fill) -> str:
    """A fill as a sentence shows it: its ids, and its trade."""
    return f"fill {fill.trade_id} of {fill.order_id} ({fill.side} {fill.qty} at {fill.price} for {fill.cost})"


def event_text(event: object) -> str:
    """An event as a sentence shows it: instruments by their symbol, times in seconds since the script began."""
    if isinstance(event, FundingRate):
        return f"{event.rate_ppb} ppb"
    kind: Any = type(event)
    if not has(kind):
        return str(event)
    words = [kind.__name__]
    for one in fields(kind):
        value = getattr(event, one.name)
        if one.name == "at":
            words.append(f"at {(value - BEGIN) / SECOND:g} s")
        elif one.name not in ("key", "instrument", "venue") and value != "":
            words.append(f"{one.name} {event_text(value) if isinstance(value, FundingRate) else value}")
    return " ".join(words)


def events_text(events: Iterable[object]) -> str:
    """Events in a row, or "nothing"."""
    return "; ".join(map(event_text, events)) or "nothing"
