"""Whose a past trade was, as a rule that can be read.

A rule names a sleeve and what a trade must be for it: all that the rule says must hold. What a rule does not say does
not matter to it; one that says nothing takes every trade that is left. The first rule that fits decides.

This module knows nothing of money.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from attrs import field, frozen

from ..errors import InvalidAmount
from ..market import SECOND, Instrument
from ..orders import Fill, Side
from .cells import instant
from .history import PastTrade
from .table import BadHistory

__all__ = ["REST", "Rule"]

REST = "rest"
"""The name of what no rule claims."""

_SLEEVE = re.compile(r"[^/\s]+")


def _set(value: str | Collection[str] | None) -> frozenset[str] | None:
    return value if value is None else frozenset((value,)) if isinstance(value, str) else frozenset(value)


def _symbols(value: str | Instrument | Collection[str | Instrument] | None) -> frozenset[str] | None:
    if value is None or isinstance(value, str | Instrument):
        value = None if value is None else (value,)
    return None if value is None else frozenset(str(one) for one in value)


def _side(value: Side | str | None) -> Side | None:
    if value is not None and value not in tuple(Side):
        raise BadHistory(f"a rule's side {value!r} must be buy or sell")
    return None if value is None else Side(value)


def _at(value: int | str | None) -> int | None:
    if isinstance(value, str):
        try:
            return instant(value)
        except InvalidAmount as error:
            raise BadHistory(f"a rule's {error}") from error
    if value is not None and type(value) is not int:
        raise BadHistory(f"a rule's time {value!r} must be nanoseconds UTC or text such as '2024-03-01 12:00:00'")
    return value


@frozen(order=False, kw_only=True)
class Rule:
    """Trades like this are of the sleeve `to`.

    `orders` are order ids, `prefix` is how they begin, `instrument` one or several, by symbol, `tag` one or several of the
    venue's tags of the order. `since` is the first instant and `until` the first one after: nanoseconds UTC, or text in UTC such
    as "2024-03-01". `when` is any other question to the fill. Raises `BadHistory` for what cannot be a rule.
    """

    to: str
    orders: frozenset[str] | None = field(default=None, converter=_set)
    prefix: str | None = None
    instrument: frozenset[str] | None = field(default=None, converter=_symbols)
    side: Side | None = field(default=None, converter=_side)
    since: int | None = field(default=None, converter=_at)
    until: int | None = field(default=None, converter=_at)
    tag: frozenset[str] | None = field(default=None, converter=_set)
    when: Callable[[Fill], bool] | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.to, str) or _SLEEVE.fullmatch(self.to) is None or self.to == REST:
            raise BadHistory(f"a rule is to a sleeve, a name without blanks and / and not {REST!r}, not to {self.to!r}")
        if self.prefix is not None and (not isinstance(self.prefix, str) or not self.prefix):
            raise BadHistory(f"a rule's prefix {self.prefix!r} of order ids must be text; leave it out to take all")

    def fits(self, trade: PastTrade) -> bool:
        """Whether the trade is like this."""
        fill = trade.fill
        return (
            (self.orders is None or fill.order_id in self.orders)
            and (self.prefix is None or fill.order_id.startswith(self.prefix))
            and (self.instrument is None or fill.instrument.symbol in self.instrument)
            and (self.side is None or fill.side is self.side)
            and (self.since is None or fill.at >= self.since)
            and (self.until is None or fill.at < self.until)
            and (self.tag is None or trade.tag in self.tag)
            and (self.when is None or bool(self.when(fill)))
        )

    def __str__(self) -> str:
        told = []
        if self.orders is not None:
            told.append(f"order {_few(self.orders)}")
        if self.prefix is not None:
            told.append(f"orders {self.prefix}...")
        if self.instrument is not None:
            told.append(_few(self.instrument))
        if self.side is not None:
            told.append(f"{self.side}s")
        if self.since is not None:
            told.append(f"since {_minute(self.since)}")
        if self.until is not None:
            told.append(f"until {_minute(self.until)}")
        if self.tag is not None:
            told.append(f"tag {_few(self.tag)}")
        if self.when is not None:
            told.append(f"when {getattr(self.when, '__name__', self.when)}")
        return f"to {self.to}: {', '.join(told) or 'all that is left'}"


def _few(names: frozenset[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "") if found else "none"


def _minute(at: int) -> str:
    text = datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M")
    return text.removesuffix(" 00:00")
