"""One pair's market as everybody sees it: last price, best bid and ask, candles, trades, and how each is written.

Who trades there and what fills is the simulator's; accounts are not known here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define

from ...errors import InvalidMarket
from ...money import Rounding, divide
from .listing import Listed
from .wire import Number, fixed, number, seconds, shortened, stamp

__all__ = ["INTERVALS", "Level", "Market"]

SECOND = 1_000_000_000
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
"""Minutes of a candle that Kraken has."""
MOST_CANDLES = 720
_SHOWN_COINS = 1_000
_DAY = 86_400 * SECOND

Level = tuple[int, int]
"""A price in price units and the base units that stand there."""


@define
class _Candle:
    begins: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    turnover: int = 0
    """The sum of price times volume."""
    count: int = 0


@define
class _Trade:
    at: int
    price: int
    qty: int
    side: str
    id: int


class Market:
    """What everybody sees of one pair. Prices in its units, quantities in units of its base asset."""

    def __init__(self, listed: Listed, at: int, price: int) -> None:
        self.listed = listed
        self.market = listed.market
        self.status = "online"
        self.last = price
        self.at = at
        self.bids: list[Level] = []
        self.asks: list[Level] = []
        self.trades: list[_Trade] = []
        self._minutes: list[_Candle] = []
        self._history: dict[int, list[list[Any]]] = {}
        self._numbered = 0
        self.walk(at, price, price, price, price, 0)

    # -- what happens --------------------------------------------------------------------------------------------------

    def walk(self, at: int, open_: int, high: int, low: int, close: int, volume: int, *, ends: int | None = None) -> None:
        """The price went through a row that began at an instant and, if given, ended at another; a shown book is gone."""
        minute = at // (60 * SECOND) * 60
        same = bool(self._minutes) and self._minutes[-1].begins == minute
        if not same:
            self._minutes.append(_Candle(minute, open_, high, low, close))
        candle = self._minutes[-1]
        candle.high, candle.low, candle.close = max(candle.high, high), min(candle.low, low), close
        self.last, self.at = close, at if ends is None else ends
        shown = _SHOWN_COINS * 10**self.market.base.scale
        self.bids, self.asks = [(close, shown)], [(close, shown)]
        if volume:
            self.trade(self.at, close, volume, "b" if close >= open_ else "s", candle)

    def trade(self, at: int, price: int, qty: int, side: str, candle: _Candle | None = None) -> None:
        """A trade that everybody sees: `side` is "b" where a buyer took, else "s"."""
        candle = candle or self._minutes[-1]
        candle.volume += qty
        candle.turnover += price * qty
        candle.count += 1
        candle.high, candle.low = max(candle.high, price), min(candle.low, price)
        self._numbered += 1
        self.trades.append(_Trade(at, price, qty, side, self._numbered))

    def show(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """The levels that stand there now, the best first."""
        self.bids, self.asks = list(bids), list(asks)

    def remember(self, minutes: int, rows: Iterable[Sequence[Any]]) -> None:
        """Candles of before: (time, open, high, low, close), and if given vwap, volume, count."""
        if minutes not in INTERVALS:
            raise InvalidMarket(f"an interval of {minutes!r} minutes is none of {', '.join(map(str, INTERVALS))}")
        kept = self._history.setdefault(minutes, [])
        for row in rows:
            begins, *rest = row
            vwap, volume, count = (rest[n] if n < len(rest) else "0" for n in (4, 5, 6))
            kept.append([int(begins), *(str(one) for one in rest[:4]), str(vwap), str(volume), int(count)])
        kept.sort(key=lambda row: row[0])

    # -- as it is written ----------------------------------------------------------------------------------------------

    def price_text(self, price: int) -> str:
        return fixed(price, self.market.price_scale, self.listed.pair_decimals)

    def qty_text(self, qty: int, places: int | None = None) -> str:
        return fixed(qty, self.market.base.scale, self.listed.lot_decimals if places is None else places)

    @property
    def bid(self) -> Level:
        return self.bids[0] if self.bids else (self.last, 0)

    @property
    def ask(self) -> Level:
        return self.asks[0] if self.asks else (self.last, 0)

    def _day(self) -> tuple[int, int, int, int, int, int]:
        """Open, high, low, volume, turnover and count of the last 24 hours."""
        since = (self.at - _DAY) // SECOND
        day = [one for one in self._minutes if one.begins > since] or self._minutes[-1:]
        high, low = max(one.high for one in day), min(one.low for one in day)
        sums = (sum(one.volume for one in day), sum(one.turnover for one in day), sum(one.count for one in day))
        return day[0].open, high, low, *sums

    def _vwap(self, turnover: int, volume: int) -> int:
        return divide(turnover, volume, Rounding.HALF_EVEN) if volume else self.last

    def ticker(self) -> dict[str, Any]:
        """An entry of Ticker."""
        open_, high, low, volume, turnover, count = self._day()
        price = self.price_text

        def side(level: Level) -> list[str]:
            whole = level[1] // 10**self.market.base.scale
            return [price(level[0]), str(whole), fixed(level[1], self.market.base.scale, 3)]

        last = self.trades[-1].qty if self.trades else 0
        return {
            "a": side(self.ask),
            "b": side(self.bid),
            "c": [price(self.last), self.qty_text(last)],
            "v": [self.qty_text(volume)] * 2,
            "p": [price(self._vwap(turnover, volume))] * 2,
            "t": [count] * 2,
            "l": [price(low)] * 2,
            "h": [price(high)] * 2,
            "o": price(open_),
        }

    def ohlc(self, minutes: int, since: int, now: int) -> tuple[list[list[Any]], int]:
        """At most 720 closed candles later than `since` and the running one, and the begin of the last closed one."""
        length = minutes * 60
        rows: list[list[Any]] = []
        running: _Candle | None = None

        def row(one: _Candle) -> list[Any]:
            prices = [self.price_text(price) for price in (one.open, one.high, one.low, one.close)]
            vwap = self.price_text(self._vwap(one.turnover, one.volume)) if one.volume else "0"
            return [one.begins, *prices, vwap, self.qty_text(one.volume), one.count]

        first = now // SECOND // length * length - (MOST_CANDLES + 1) * length
        for minute in self._minutes:
            begins = minute.begins // length * length
            if running is not None and running.begins == begins:
                running.high, running.low = max(running.high, minute.high), min(running.low, minute.low)
                running.close = minute.close
                running.volume += minute.volume
                running.turnover += minute.turnover
                running.count += minute.count
                continue
            if running is not None:
                rows.append(row(running))
                for idle in range(max(running.begins + length, first), begins, length):
                    rows.append(row(_Candle(idle, *[running.close] * 4)))
            running = _Candle(begins, minute.open, minute.high, minute.low, minute.close, minute.volume, minute.turnover, minute.count)
        if running is not None:
            rows.append(row(running))
            for idle in range(max(running.begins + length, first), now // SECOND // length * length + 1, length):
                rows.append(row(_Candle(idle, *[running.close] * 4)))
        before = [one for one in self._history.get(minutes, ()) if not rows or one[0] < rows[0][0]]
        rows = [*before, *rows]
        closed = [one for one in rows if one[0] + length <= now // SECOND]
        last = closed[-1][0] if closed else rows[0][0] - length
        return [one for one in rows[-MOST_CANDLES - 1 :] if one[0] > since], last

    def depth(self, count: int) -> dict[str, Any]:
        """An entry of Depth."""

        def side(levels: list[Level]) -> list[list[Any]]:
            return [[self.price_text(price), fixed(qty, self.market.base.scale, 3), self.at // SECOND] for price, qty in levels[:count]]

        return {"asks": side(self.asks), "bids": side(self.bids)}

    def past_trades(self, since: int, count: int) -> tuple[list[list[Any]], str]:
        """Trades later than an instant, the oldest first, and the instant of the last."""
        found = [one for one in self.trades if one.at > since]
        found = found[:count] if since else found[-count:]
        rows = [[self.price_text(one.price), self.qty_text(one.qty), seconds(one.at, 7), one.side, "l", "", one.id] for one in found]
        return rows, str(found[-1].at if found else since or self.at)

    # -- as WebSocket v2 writes it -------------------------------------------------------------------------------------

    def _price(self, price: int) -> Number:
        return shortened(price, self.market.price_scale)

    def _qty(self, qty: int) -> Number:
        return Number(self.qty_text(qty))

    def ws_ticker(self) -> dict[str, Any]:
        open_, high, low, volume, turnover, _ = self._day()
        change = self.last - open_
        percent = divide(change * 10_000, open_, Rounding.HALF_EVEN)
        return {
            "symbol": self.listed.symbol,
            "bid": self._price(self.bid[0]),
            "bid_qty": self._qty(self.bid[1]),
            "ask": self._price(self.ask[0]),
            "ask_qty": self._qty(self.ask[1]),
            "last": self._price(self.last),
            "volume": self._qty(volume),
            "vwap": self._price(self._vwap(turnover, volume)),
            "low": self._price(low),
            "high": self._price(high),
            "change": self._price(change),
            "change_pct": number(percent, 2),
        }

    def ws_ohlc(self, minutes: int, now: int, most: int = 1) -> list[dict[str, Any]]:
        rows, _ = self.ohlc(minutes, 0, now)
        length = minutes * 60
        return [
            {
                "symbol": self.listed.symbol,
                "open": Number(row[1]),
                "high": Number(row[2]),
                "low": Number(row[3]),
                "close": Number(row[4]),
                "trades": row[7],
                "volume": Number(row[6]),
                "vwap": Number(row[5]),
                "interval_begin": stamp(row[0] * SECOND, 9),
                "interval": minutes,
                "timestamp": stamp((row[0] + length) * SECOND),
            }
            for row in rows[-most:]
        ]

    def ws_trades(self, most: int) -> list[dict[str, Any]]:
        return [
            {
                "symbol": self.listed.symbol,
                "side": "buy" if one.side == "b" else "sell",
                "price": self._price(one.price),
                "qty": self._qty(one.qty),
                "ord_type": "limit",
                "trade_id": one.id,
                "timestamp": stamp(one.at),
            }
            for one in (self.trades[-most:] if most else [])
        ]

    def ws_book(self, depth: int, before: tuple[list[Level], list[Level]] | None) -> dict[str, Any]:
        """The book, or how it changed since it was told: levels that are gone have a quantity of zero."""

        def side(now: list[Level], then: list[Level]) -> list[dict[str, Number]]:
            stands = dict(now[:depth])
            told = [] if before is None else [(price, 0) for price, _ in then[:depth] if price not in stands]
            told += [level for level in now[:depth] if before is None or level not in then[:depth]]
            return [{"price": Number(self.price_text(price)), "qty": self._qty(qty)} for price, qty in told]

        old_bids, old_asks = before or ([], [])
        told: dict[str, Any] = {"symbol": self.listed.symbol, "bids": side(self.bids, old_bids), "asks": side(self.asks, old_asks)}
        told["checksum"] = self.checksum()
        if before is not None:
            told["timestamp"] = stamp(self.at)
        return told

    def checksum(self) -> int:
        """CRC32 over the digits of the ten best asks and bids, points and leading zeros left out."""

        def digits(text: str) -> str:
            return text.replace(".", "").lstrip("0")

        levels = [*self.asks[:10], *self.bids[:10]]
        return zlib.crc32("".join(digits(self.price_text(price)) + digits(self.qty_text(qty)) for price, qty in levels).encode())
