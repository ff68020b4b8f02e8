"""Trades of any CSV file, by a mapping that says which column is what.

Nothing is guessed: a decimal comma, thousands separators, a zone, a fee's coin are what the mapping says they are.

This module knows no venue.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import TypeVar

from attrs import field, frozen

from ..errors import InvalidAmount
from ..market import Instrument
from ..money import Amount, Asset
from ..orders import Liquidity, Side
from .cells import Clock, Figures
from .history import History, PastTrade, forward, gather
from .table import BadHistory, Row, read_all, shown, table
from .trade import Rounded, amount_of, trade_of

__all__ = ["Columns", "read_csv"]

T = TypeVar("T")


def _words(words: str | Collection[str]) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in ((words,) if isinstance(words, str) else words))


@frozen(order=False, kw_only=True)
class Columns:
    """Which column of a file is what, by its name in the header.

    `instrument` may be left out where the file is of one. `cost` left out is worked out of price and quantity. The fee
    is in the coin that the column `fee_asset` names, else in `fee_in`, a code, else in the quote asset; a fee below zero is
    a rebate; with no column `fee` there was none. `buy` and `sell` are the words of the side column, in any case.
    `time_format` is "iso", "s", "ms", "us", "ns" since 1970, or a strptime format, and `zone` is whose wall clock it is
    where a time does not say.
    """

    id: str
    time: str
    side: str
    qty: str
    price: str
    order: str | None = None
    instrument: str | None = None
    cost: str | None = None
    fee: str | None = None
    fee_asset: str | None = None
    fee_in: str | None = None
    tag: str | None = None
    buy: tuple[str, ...] = field(default=("buy",), converter=_words)
    sell: tuple[str, ...] = field(default=("sell",), converter=_words)
    time_format: str = "iso"
    zone: tzinfo = UTC
    decimal: str = "."
    thousands: str = ""
    delimiter: str = ","

    def __attrs_post_init__(self) -> None:
        try:
            Clock(self.time_format, self.zone)
            Figures(self.decimal, self.thousands)
        except InvalidAmount as error:
            raise BadHistory(f"columns: {error}") from error
        if set(self.buy) & set(self.sell) or len(self.delimiter) != 1 or self.delimiter == self.decimal:
            raise BadHistory(f"columns: buy {self.buy}, sell {self.sell}, delimiter {self.delimiter!r}: each sign needs one meaning")

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that a file must have."""
        optional = (self.order, self.instrument, self.cost, self.fee, self.fee_asset, self.tag)
        return (self.id, self.time, self.side, self.qty, self.price, *(name for name in optional if name is not None))


def read_csv(
    path: str | os.PathLike[str],
    columns: Columns,
    instruments: Iterable[Instrument] | Mapping[str, Instrument],
    *,
    venue: str,
    assets: Iterable[Asset] = (),
    repair: bool = False,
) -> History:
    """The trades of a CSV file, in order of time.

    An instrument is known by its symbol, or, where `instruments` is a mapping, by a name in it. Fees are in the coins of
    the instruments or in further `assets`.

    Raises `BadHistory` with file, row, value and rule for whatever cannot be read; with `repair` such rows, one id with
    two contents apart, are left out and listed in `left_out`.
    """
    named = dict(instruments) if isinstance(instruments, Mapping) else {market.symbol: market for market in instruments}
    if columns.instrument is None and len(set(named.values())) != 1:
        raise BadHistory(f"columns names no instrument column, so the file is of one instrument, not of {len(named)}")
    coins = {asset.code: asset for market in named.values() for asset in (market.base, market.quote)}
    coins.update({asset.code: asset for asset in assets})
    rows, _ = table(path, columns.needed, delimiter=columns.delimiter)
    told: list[tuple[str, PastTrade]] = []
    reader = _Reader(columns, named, coins, venue)
    left_out = read_all(rows, lambda row: told.append((str(row.place), reader.trade(row))), repair)
    return gather(forward(told, lambda trade: trade.fill.at), notes=reader.rounded.notes, left_out=left_out)


class _Reader:
    """A mapping at work on the rows of one file."""

    def __init__(self, columns: Columns, named: Mapping[str, Instrument], coins: Mapping[str, Asset], venue: str) -> None:
        self.columns, self.named, self.coins, self.venue = columns, named, coins, venue
        self.clock = Clock(columns.time_format, columns.zone)
        self.figures = Figures(columns.decimal, columns.thousands)
        self.rounded = Rounded()

    def trade(self, row: Row) -> PastTrade:
        columns = self.columns
        market = self._market(row)
        return trade_of(
            row.place,
            market,
            id=row.text(columns.id),
            order=row.maybe(columns.order),
            at=self._read(row, columns.time, self.clock.read),
            side=self._side(row),
            qty=self._read(row, columns.qty, self.figures.read),
            price=self._read(row, columns.price, self.figures.read),
            cost=None if columns.cost is None else self._read(row, columns.cost, self.figures.read),
            fees=[] if columns.fee is None else [self._fee(row, columns.fee, market)],
            liquidity=Liquidity.TAKER,
            venue=self.venue,
            rounded=self.rounded,
            tag=row.maybe(columns.tag),
        )

    def _read(self, row: Row, name: str, read: Callable[[str], T]) -> T:
        try:
            return read(row.text(name))
        except InvalidAmount as error:
            raise row.place.wrong(f"{name}: {error}") from error

    def _market(self, row: Row) -> Instrument:
        if self.columns.instrument is None:
            return next(iter(self.named.values()))
        name = row.text(self.columns.instrument)
        if name not in self.named:
            raise row.place.wrong(f"{self.columns.instrument} {shown(name)} is none of {', '.join(sorted(self.named))}")
        return self.named[name]

    def _side(self, row: Row) -> Side:
        word = row.text(self.columns.side).lower()
        if word in self.columns.buy:
            return Side.BUY
        if word in self.columns.sell:
            return Side.SELL
        raise row.place.wrong(f"{self.columns.side} {shown(word)} is none of {', '.join(self.columns.buy + self.columns.sell)}")

    def _fee(self, row: Row, name: str, market: Instrument) -> Amount:
        number: Decimal = self._read(row, name, self.figures.read)
        code = row.text(self.columns.fee_asset) if self.columns.fee_asset is not None else self.columns.fee_in or market.quote.code
        if code not in self.coins:
            raise row.place.wrong(f"fee in {shown(code)}, which is none of {', '.join(sorted(self.coins))}: name it in assets")
        return amount_of(row.place, name, number, self.coins[code])
