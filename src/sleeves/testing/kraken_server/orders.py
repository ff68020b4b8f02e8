"""What AddOrder asks for, read and checked as Kraken does, with Kraken's own words for what is wrong.

Money is not looked at here: an order that reads well may still be one that nobody can pay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from attrs import define, field

from ...money import Rounding, divide
from ...orders import Side, TimeInForce
from .market import Market
from .wire import Refused, fixed, instant, seconds

__all__ = ["KrakenOrder", "flag", "read_order", "read_time"]

SECOND = 1_000_000_000
_STOPS = {"stop-loss": False, "stop-loss-limit": True, "take-profit": False, "take-profit-limit": True}
"""Order types that wait for a price, and whether they become limits."""
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")
_LATEST_DEADLINE = 60 * SECOND
_PLAIN = re.compile(r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
"""A number as Kraken reads it. 1e-07, as floats are sometimes written, is none; "+5" and "5%" are prices from where the market is."""


@define(eq=False)
class KrakenOrder:
    """An order as Kraken keeps it. Prices and quantities in units of its market; times in nanoseconds, 0 for none."""

    txid: str
    market: Market
    side: Side
    ordertype: str
    volume: int
    limit: int | None = None
    trigger: int | None = None
    tif: str = "GTC"
    oflags: frozenset[str] = frozenset()
    userref: int | None = None
    cl_ord_id: str | None = None
    opentm: int = 0
    closetm: int = 0
    expiretm: int = 0
    status: str = "open"
    reason: str | None = None
    filled: int = 0
    turnover: int = 0
    """The sum of price times quantity over its trades."""
    cost: int = 0
    """In units of its pair's cost decimals, as `fee`."""
    fee: int = 0
    trades: list[str] = field(factory=list)
    waits: bool = False
    """Whether it waits outside of the book for its trigger, as a take-profit does."""
    triggered: int = 0
    spends: str = ""
    """What it was to spend, in quote coins, where that was how its volume was given."""

    @property
    def post(self) -> bool:
        return "post" in self.oflags

    @property
    def fee_in_base(self) -> bool:
        return "fcib" in self.oflags

    @property
    def fee_places(self) -> int:
        """Decimal places of its fees as they are told."""
        listed = self.market.listed
        return listed.lot_decimals if self.fee_in_base and self.side is Side.BUY else listed.cost_decimals

    @property
    def open(self) -> bool:
        return self.status == "open"

    @property
    def average(self) -> int:
        return divide(self.turnover, self.filled, Rounding.HALF_EVEN) if self.filled else 0

    @property
    def time_in_force(self) -> TimeInForce:
        return {"IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}.get(self.tif, TimeInForce.GTC)

    @property
    def text(self) -> str:
        """The sentence of `descr.order`: buy 0.10000000 ETHUSD @ limit 2400.00."""
        price = self.market.price_text
        words = {
            "market": "market",
            "limit": f"limit {price(self.limit or 0)}",
            "stop-loss": f"stop loss {price(self.trigger or 0)}",
            "take-profit": f"take profit {price(self.trigger or 0)}",
        }
        how = words.get(self.ordertype)
        if how is None:
            how = f"{words[self.ordertype.removesuffix('-limit')]} -> limit {price(self.limit or 0)}"
        return f"{self.side.value} {self.spends or self.market.qty_text(self.volume)} {self.market.listed.altname} @ {how}"

    @property
    def flags_text(self) -> str:
        """`oflags`, with the default of who said none: the fee in the quote coin."""
        flags = self.oflags if self.oflags & {"fcib", "fciq"} else self.oflags | {"fciq"}
        return ",".join(sorted(flags))

    def info(self, *, trades: bool) -> dict[str, Any]:
        """The order as QueryOrders tells it."""
        price, places = self.market.price_text, self.market.listed.cost_decimals
        first = self.trigger if self.ordertype in _STOPS else self.limit
        second = self.limit if self.ordertype in _STOPS else None
        told: dict[str, Any] = {
            "refid": None,
            "userref": self.userref,
            **({} if self.cl_ord_id is None else {"cl_ord_id": self.cl_ord_id}),
            "status": self.status,
            "reason": self.reason,
            **({} if self.open else {"closetm": seconds(self.closetm)}),
            "opentm": seconds(self.opentm),
            "starttm": 0,
            "expiretm": self.expiretm // SECOND,
            "timeinforce": self.tif,
            "descr": {
                "pair": self.market.listed.altname,
                "aclass": "forex",
                "type": self.side.value,
                "ordertype": self.ordertype,
                "price": price(first) if first is not None else "0",
                "price2": price(second) if second is not None else "0",
                "leverage": "none",
                "order": self.text,
                "close": "",
            },
            "vol": self.market.qty_text(self.volume),
            "vol_exec": self.market.qty_text(self.filled),
            "cost": fixed(self.cost, places, places),
            "fee": fixed(self.fee, self.fee_places, self.fee_places),
            "price": price(self.average),
            "stopprice": fixed(self.trigger if self.trigger is not None and self.triggered else 0, self.market.market.price_scale, 5),
            "limitprice": fixed(0, 0, 5),
            "misc": "",
            "oflags": self.flags_text,
        }
        if self.ordertype in _STOPS:
            told["trigger"] = "last"
        if trades:
            told["trades"] = list(self.trades)
        return told


def flag(args: Mapping[str, Any], name: str) -> bool:
    """Whether an argument says yes: `true`, `True`, `1`; `validate=False` says no."""
    return str(args.get(name, "")).strip().lower() in ("true", "1", "yes")


def _given(args: Mapping[str, Any], name: str) -> str:
    value = args.get(name)
    return "" if value is None else str(value).strip()


def _wrong(field_name: str) -> Refused:
    return Refused(f"EGeneral:Invalid arguments:{field_name}")


def _decimal(args: Mapping[str, Any], name: str) -> Decimal | None:
    text = _given(args, name)
    if not text:
        return None
    if _PLAIN.fullmatch(text) is None or abs((value := Decimal(text)).adjusted()) > 20:
        raise _wrong(name)
    return value


def _price(args: Mapping[str, Any], name: str, market: Market) -> int | None:
    value = _decimal(args, name)
    if value is None:
        return None
    listed = market.listed
    exact = value.scaleb(market.market.price_scale)
    if value <= 0:
        raise Refused("EOrder:Invalid price")
    if exact != exact.to_integral_value():
        raise Refused(f"EOrder:Invalid price:{listed.wsname} price can only be specified up to {listed.pair_decimals} decimals.")
    units = int(exact)
    if units % market.market.tick_units:
        raise Refused("EOrder:Tick size check failed")
    return units


def read_time(text: str, name: str, now: int) -> int:
    """A time of Kraken's in nanoseconds: seconds since 1970, "+" and seconds from now, or "0" for none."""
    if not text or text == "0":
        return 0
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise _wrong(name) from None
    if not value.is_finite() or value < 0:
        raise _wrong(name)
    whole = int(value.scaleb(9))
    return now + whole if text.startswith("+") else whole


def _check_deadline(args: Mapping[str, Any], now: int) -> None:
    text = _given(args, "deadline")
    if not text:
        return
    try:
        deadline = instant(text)
    except ValueError:
        raise _wrong("deadline") from None
    if deadline > now + _LATEST_DEADLINE:
        raise _wrong("deadline")
    if deadline < now:
        raise Refused("EService:Deadline elapsed")


def _flags(args: Mapping[str, Any], ordertype: str) -> frozenset[str]:
    flags = frozenset(one.strip() for one in _given(args, "oflags").split(",") if one.strip())
    if flags - {"post", "fcib", "fciq", "nompp", "viqc"} or {"fcib", "fciq"} <= flags:
        raise _wrong("oflags")
    if "post" in flags and not ordertype.endswith("limit"):
        raise _wrong("oflags")
    return flags


def _client_id(args: Mapping[str, Any]) -> tuple[int | None, str | None]:
    userref, cl_ord_id = _given(args, "userref"), _given(args, "cl_ord_id")
    if userref and cl_ord_id:
        raise _wrong("cl_ord_id")
    number = None
    if userref:
        digits = userref.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or not -(1 << 31) <= int(userref) < 1 << 31:
            raise _wrong("userref")
        number = int(userref) or None
    if cl_ord_id and (not cl_ord_id.isascii() or (len(cl_ord_id) > 18 and _UUID.fullmatch(cl_ord_id) is None)):
        raise _wrong("cl_ord_id")
    return number, cl_ord_id or None


def read_order(args: Mapping[str, Any], market: Market, now: int, txid: str) -> KrakenOrder:
    """An order from the arguments of AddOrder. Raises `Refused` with Kraken's own words for what is wrong."""
    side, ordertype = _given(args, "type"), _given(args, "ordertype")
    if side not in ("buy", "sell"):
        raise _wrong("type")
    if ordertype not in ("market", "limit", *_STOPS):
        raise _wrong("ordertype")
    for name in ("displayvol", "close[ordertype]", "close", "starttm"):
        if _given(args, name) not in ("", "0", "none"):
            raise _wrong(name.partition("[")[0])
    trigger = _given(args, "trigger") or "last"
    if trigger != "last":
        raise _wrong("Index unavailable" if trigger == "index" else "trigger")
    if _given(args, "leverage") not in ("", "none", "0", "1"):
        raise Refused("EOrder:Cannot open position")
    if flag(args, "reduce_only"):
        raise Refused("EOrder:Reduce only:No position exists")
    flags = _flags(args, ordertype)
    first, second = _price(args, "price", market) if ordertype != "market" else None, None
    if ordertype != "market" and first is None:
        raise _wrong("price")
    if ordertype.endswith("-limit"):
        second = _price(args, "price2", market)
        if second is None:
            raise _wrong("price2")
    tif = _given(args, "timeinforce").upper() or "GTC"
    if tif not in ("GTC", "IOC", "GTD", "FOK") or (tif != "GTC" and ordertype in ("stop-loss", "take-profit")):
        raise _wrong("timeinforce")
    if (tif == "GTD" and ordertype == "market") or ("post" in flags and tif in ("IOC", "FOK")):
        raise _wrong("timeinforce")
    expiretm = read_time(_given(args, "expiretm"), "expiretm", now)
    if (tif == "GTD") is not bool(expiretm) or (expiretm and expiretm <= now):
        raise _wrong("expiretm")
    _check_deadline(args, now)
    userref, cl_ord_id = _client_id(args)
    stops = ordertype in _STOPS
    return KrakenOrder(
        txid,
        market,
        Side(side),
        ordertype,
        _volume(args, market, viqc="viqc" in flags, buys_at_market=side == "buy" and ordertype == "market"),
        limit=second if stops else first,
        trigger=first if stops else None,
        tif=tif,
        oflags=flags,
        userref=userref,
        cl_ord_id=cl_ord_id,
        opentm=now,
        expiretm=expiretm,
        spends=_given(args, "volume") if "viqc" in flags else "",
    )


def _volume(args: Mapping[str, Any], market: Market, *, viqc: bool, buys_at_market: bool) -> int:
    """Base units of an order. With `viqc` the volume is what is to be spent, and buys what it pays for at the best ask."""
    value = _decimal(args, "volume")
    if value is None or value <= 0:
        raise _wrong("volume")
    instrument = market.market
    if viqc:
        if not buys_at_market:
            raise _wrong("oflags")
        spends = int(value.scaleb(instrument.quote.scale))
        units = instrument.affordable(spends, market.ask[0])
    else:
        exact = value.scaleb(instrument.base.scale)
        if exact != exact.to_integral_value() or int(exact) % instrument.lot_units:
            raise _wrong("volume")
        units = int(exact)
    if units < instrument.min_qty_units or units <= 0:
        raise Refused("EOrder:Order minimum not met")
    return units
