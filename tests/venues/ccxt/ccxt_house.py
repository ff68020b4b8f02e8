"""A market for the shapes: the simulator's exchange, played row by row, and a record of all that it did to one account.

A shape (`ccxt_binance`, ...) tells this in an exchange's own words, over a socket. It shares no code with the driver.
"""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from attrs import define, field

from sleeves.facts import FlowKind, FundingPaid, Liquidated, Settled
from sleeves.market import MINUTE, SECOND, Instrument
from sleeves.money import Amount, decimal_text
from sleeves.orders import Accepted, Canceled, CancelOrder, Fill, Order, Place, Rejected, Side, SubmitOrder, TimeInForce
from sleeves.sim import Rules, Slippage
from sleeves.sim.exchange import Exchange, Step
from sleeves.sim.models import Fees, Settles
from sleeves.sim.tape import Tape
from sleeves.testing.script import Script
from sleeves.testing.serving import serve

FEES = Fees(200, 500)
START = 1_700_000_000 * SECOND
KEY, SECRET = "shape-key-0123456789abcdef", "shape-secret-fedcba9876543210"


def rules(fees: Fees = FEES) -> Rules:
    return Rules.of(fees=fees, slippage=Slippage.none(), participation="100%", settles=Settles.AT_ONCE, most_leverage=10)


@define
class Row:
    """An order as the exchange keeps it."""

    id: int
    own: str
    side: str
    qty: int
    limit: int | None
    tif: str
    at: int
    reduce_only: bool = False
    post_only: bool = False
    stop: int | None = None
    status: str = "open"
    filled: int = 0
    spent: int = 0
    updated: int = 0
    reason: str = ""


@define
class Trade:
    id: int
    order: int
    at: int
    side: str
    qty: int
    price: int
    cost: int
    fee: Amount
    maker: bool
    start: int
    realized: int = 0
    forced: bool = False


@define
class Line:
    """What happened to the account's coins."""

    id: int
    at: int
    kind: str
    amount: Amount
    trade: int | None = None
    fee: int = 0
    realized: int = 0


@define
class Funding:
    id: int
    at: int
    amount: int
    qty: int
    rate: Any


@define
class House:
    """One account in one market. `step` plays the next row; `price` is what the market is at."""

    script: Script
    fees: Fees = FEES
    deposited: bool = False
    """Whether what the account begins with is a line of its own."""
    exchange: Exchange = field(init=False)
    rows: dict[int, Row] = field(factory=dict)
    trades: list[Trade] = field(factory=list)
    lines: list[Line] = field(factory=list)
    funding: list[Funding] = field(factory=list)
    lock: Any = field(factory=threading.RLock)
    now: int = START
    price: int = 0
    numbers: int = 1_000
    calls: list[tuple[str, str, dict[str, Any]]] = field(factory=list)
    faults: list[tuple[str, Callable[[], Any]]] = field(factory=list)
    _steps: Iterator[Step] | None = None
    _paying: bool = False
    """Whether what is settled next is funding."""

    def __attrs_post_init__(self) -> None:
        tape = Tape.from_columns(self.market, **self.script.columns())
        if self.script.funding:
            tape = tape.with_funding(self.script.funding)
        self.exchange = Exchange([tape], self.script.balances, rules(self.fees), wallet=self.script.wallet)
        self._steps = self.exchange.play()
        self.now = self.script.rows[0].at
        self.price = self.script.rows[0].open
        for amount in self.script.balances.values() if self.deposited else ():
            if amount.units:
                self.lines.append(Line(self.number(), self.now, "deposit", amount))

    @property
    def market(self) -> Instrument:
        return self.script.instrument

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    @property
    def position(self) -> tuple[int, int]:
        """Contracts, and what they cost, below zero where they were sold."""
        net = self.exchange.account.nets[self.market.symbol]
        return net.base, net.cost

    def step(self) -> Step | None:
        with self.lock:
            assert self._steps is not None
            step = next(self._steps, None)
            if step is not None:
                self.now = step.at
                self.price = step.price or self.price
            self.collect()
            return step

    def play(self, steps: int) -> None:
        for _ in range(steps):
            while (step := self.step()) is not None and not step.price:
                pass

    def collect(self) -> None:
        """Write down what the exchange has done."""
        outbox = self.exchange.outbox
        while outbox:
            event = outbox.popleft()
            if isinstance(event, Fill):
                self._paying = False
                self._fill(event)
            elif isinstance(event, Liquidated):
                self._paying = False
                self._liquidated(event)
            elif isinstance(event, Settled):
                self._settled(event)
            elif isinstance(event, FundingPaid):
                self._paying = True
                self.funding.append(Funding(self.number(), event.at, event.amount, event.qty, event.rate))
            elif isinstance(event, Canceled):
                row = self.rows[int(event.order_id.rpartition("-")[2])]
                row.status, row.reason, row.updated = "canceled", event.reason, event.at
            elif isinstance(event, Rejected):
                row = self.rows[int(event.order_id.rpartition("-")[2])]
                row.status, row.reason, row.updated = "rejected", event.reason, event.at
            else:
                assert isinstance(event, Accepted) or not hasattr(event, "order_id"), event

    def _fill(self, fill: Fill) -> None:
        row = self.rows[int(fill.order_id.rpartition("-")[2])]
        row.filled += fill.qty
        row.spent += fill.cost
        row.updated = fill.at
        if row.filled == row.qty:
            row.status = "filled"
        start = sum((1 if one.side == "buy" else -1) * one.qty for one in self.trades)
        maker = fill.liquidity.value == "maker"
        trade = Trade(self.number(), row.id, fill.at, fill.side.value, fill.qty, fill.price, fill.cost, fill.fee, maker, start)
        self.trades.append(trade)
        if self.market.contract is None:
            sign = fill.side.sign
            self.lines.append(Line(self.number(), fill.at, "trade", Amount(sign * fill.qty, self.market.base), trade.id))
            self.lines.append(Line(self.number(), fill.at, "trade", Amount(-sign * fill.cost, self.market.quote) - fill.fee, trade.id))
        else:
            trade.realized = fill.fee.units  # until a settlement says otherwise: nothing was left
            self.lines.append(Line(self.number(), fill.at, "pnl", self.market.quote.zero, trade.id, fill.fee.units, fill.fee.units))

    def _liquidated(self, one: Liquidated) -> None:
        start = sum((1 if trade.side == "buy" else -1) * trade.qty for trade in self.trades)
        side = "buy" if one.change > 0 else "sell"
        trade = Trade(self.number(), self.number(), one.at, side, abs(one.change), one.price, one.cost, one.fee, False, start, forced=True)
        trade.realized = one.fee.units
        self.trades.append(trade)
        self.lines.append(Line(self.number(), one.at, "pnl", self.market.quote.zero, trade.id, one.fee.units, one.fee.units))

    def _settled(self, event: Settled) -> None:
        if self._paying:
            self.lines.append(Line(self.funding[-1].id, event.at, "funding", Amount(event.amount, self.market.quote)))
            return
        last = self.lines[-1]
        last.amount = Amount(event.amount, self.market.quote)
        last.realized = self.trades[-1].realized = event.amount + last.fee

    # -- what a shape asks for ------------------------------------------------------------------------------------------

    def order(self, own: str, side: str, qty: str, **terms: Any) -> Row:
        """Take an order: quantities and prices in text."""
        with self.lock:
            market = self.market
            number = self.number()
            limit, stop = terms.get("limit"), terms.get("stop")
            row = Row(
                number,
                own,
                side,
                market.base(qty).units,
                None if limit is None else market.whole_price(limit),
                terms.get("tif", "gtc"),
                self.now,
                terms.get("reduce_only", False),
                terms.get("post_only", False),
                None if stop is None else market.whole_price(stop),
                updated=self.now,
            )
            self.rows[number] = row
            place = Place(
                market,
                Side(side),
                row.qty,
                limit=row.limit,
                stop=row.stop,
                tif=TimeInForce(row.tif),
                reduce_only=row.reduce_only,
                post_only=row.post_only,
            )
            self.exchange.carry(SubmitOrder(Order(f"house-{number}", "house", place, self.now)), self.now)
            self.collect()
            return row

    def find(self, number: str | None = None, own: str | None = None) -> Row | None:
        with self.lock:
            if number and number.isdigit():
                return self.rows.get(int(number))
            return next((row for row in reversed(self.rows.values()) if own and row.own == own), None)

    def cancel(self, row: Row) -> bool:
        with self.lock:
            if row.status != "open":
                return False
            place = Place(self.market, Side(row.side), row.qty, limit=row.limit or self.market.tick_units)
            self.exchange.carry(CancelOrder(Order(f"house-{row.id}", "house", place, row.at)), self.now)
            self.collect()
            return True

    def cash(self) -> Amount:
        return self.exchange.balances()[self.market.quote.code]

    def coins(self) -> dict[str, Amount]:
        return self.exchange.balances()

    def credit(self, amount: Amount, kind: FlowKind, word: str) -> None:
        """Coins come or go behind everybody's back."""
        with self.lock:
            self.exchange.account.credit(amount, kind, self.now)
            self.lines.append(Line(self.number(), self.now, word, amount))

    # -- numbers --------------------------------------------------------------------------------------------------------

    def qty_text(self, qty: int) -> str:
        return self.market.qty_text(qty)

    def price_text(self, price: int | None) -> str:
        return "0" if price is None else self.market.price_text(price)

    def money_text(self, units: int) -> str:
        return decimal_text(units, self.market.quote.scale)


class Answer(Exception):
    """An HTTP answer other than 200."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class Number(str):
    """A number as it is to stand in JSON."""


def dump(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(key))}:{dump(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value)


class Request:
    def __init__(self, method: str, path: str, query: str, headers: dict[str, str], body: str) -> None:
        self.method, self.path, self.query, self.headers, self.body = method, path, query, headers, body
        said = body if body and not body.startswith(("{", "[")) else query
        self.args = dict(urllib.parse.parse_qsl(said, keep_blank_values=True))


def shape_app(handle: Callable[[Request], Any], house: House) -> Any:
    """An ASGI app that answers in JSON. A fault of the house's queue comes before, or instead of, an answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        request = Request(scope["method"], scope["path"], scope["query_string"].decode(), headers, body.decode())
        status, text = 200, ""
        try:
            with house.lock:
                house.calls.append((request.method, request.path, request.args))
                fault = next((one for one in house.faults if one[0] in request.path + " " + request.body), None)
                if fault is not None:
                    house.faults.remove(fault)
                    before = fault[1]()
                    if isinstance(before, Exception):
                        raise before
                answer = handle(request)
                if fault is not None and callable(before):
                    before()
                    return  # the connection is cut behind what was done
                text = answer if isinstance(answer, str) else dump(answer)
        except Answer as said:
            status, text = said.status, said.body if isinstance(said.body, str) else dump(said.body)
        kind = b"text/html" if text.startswith("<") else b"application/json"
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": text.encode()})

    return app


@contextmanager
def served(app: Any) -> Iterator[str]:
    with serve(app) as url:
        yield url


def flat_script(market: Instrument, prices: list[str], balances: Mapping[str, Amount], funding: tuple[Any, ...] = ()) -> Script:
    """Rows of one price each, a minute long."""
    from sleeves.testing.script import Row as Bar

    units = [market.price(price) for price in prices]
    bars = tuple(Bar(START + n * MINUTE, price, price, price, price, 10**9 * market.lot_units) for n, price in enumerate(units))
    return Script("prices", market, MINUTE, bars, balances, {}, funding)
