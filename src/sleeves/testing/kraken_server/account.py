"""One account of the local exchange: its orders, trades, ledger and wallets, over the simulator's matcher.

Fees, rounding and fills are the simulator's. Every coin that moves is a line of the ledger, and a wallet holds the sum of
its lines. What earns by itself is a wallet of its own (`ETH.F`), on which sales draw when the main one is used up: then a
trade has one line for each, as in Kraken's exports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, evolve

from ...errors import InvalidAmount, InvalidMarket
from ...facts import FlowKind
from ...money import PPM, Amount, Asset, Rounding, divide
from ...orders import Canceled, Fill, Liquidity, Order, Place, Rejected, Side, SubmitOrder
from ...sim.exchange import Exchange, Step
from ...sim.matcher import Matcher
from ...sim.models import FeeIn, Rules
from ...sim.tape import Tape
from .limits import Counter
from .listing import wallet_id
from .market import Market
from .orders import KrakenOrder
from .wire import Ids, Refused, fixed, seconds

__all__ = ["Account", "Entry", "Trade"]

_REASONS = {
    "requested": "User requested",
    "post only order would take": "Post only order",
    "immediate or cancel": "Immediate or cancel",
    "fill or kill": "Fill or kill",
}
"""Why an order is off the book, in the simulator's words and in Kraken's."""
_REFUSALS = {
    "insufficient funds": "EOrder:Insufficient funds",
    "order minimum or lot not met": "EOrder:Order minimum not met",
    "tick size check failed": "EOrder:Tick size check failed",
    "cost minimum not met": "EOrder:Cost minimum not met",
    "post only order would take": "EOrder:Post only order",
}
_MOST_ABOVE_PPM = 100_000
"""How far above the price a buy at market may fill: Kraken's market price protection, as a round figure."""
_CODE = re.compile(r"(.+?)(\.F)?")


@define(eq=False)
class Trade:
    """One trade of one order. `cost` and `fee` in units of the pair's cost decimals."""

    id: str
    number: int
    order: KrakenOrder
    at: int
    price: int
    qty: int
    cost: int
    fee: int
    fee_code: str
    maker: bool
    ledgers: list[str]

    @property
    def fee_places(self) -> int:
        return self.order.fee_places

    def info(self, *, lines: bool = True) -> dict[str, Any]:
        """The trade as TradesHistory tells it, with the ids of its ledger's lines or without."""
        market, places = self.order.market, self.order.market.listed.cost_decimals
        return {
            "ordertxid": self.order.txid,
            "postxid": "TKH2SE-M7IF5-CFI7LT",
            "pair": market.listed.id,
            "time": seconds(self.at),
            "type": self.order.side.value,
            "ordertype": self.order.ordertype,
            "price": fixed(self.price, market.market.price_scale, max(places, market.listed.pair_decimals)),
            "cost": fixed(self.cost, places, places),
            "fee": fixed(self.fee, self.fee_places, self.fee_places),
            "vol": market.qty_text(self.qty),
            "margin": fixed(0, 0, places),
            "leverage": "0",
            "misc": "",
            "trade_id": self.number,
            "maker": self.maker,
            **({"ledgers": list(self.ledgers)} if lines else {}),
        }


@define(eq=False)
class Entry:
    """One line of the ledger: what came to a wallet (below zero: left it), the fee taken besides, and what it held then."""

    id: str
    refid: str
    at: int
    type: str
    subtype: str
    asset: Asset
    earning: bool
    amount: int
    fee: int
    balance: int
    total: int
    """What all wallets of the asset held then."""
    shown_at: float

    def info(self) -> dict[str, Any]:
        """The line as Ledgers tells it."""
        places = self.asset.scale
        return {
            "refid": self.refid,
            "time": seconds(self.at),
            "type": self.type,
            "subtype": self.subtype,
            "aclass": "currency",
            "asset": wallet_id(self.asset.code, self.earning),
            "amount": fixed(self.amount, places, places),
            "fee": fixed(self.fee, places, places),
            "balance": fixed(self.balance, places, places),
        }


class _Matcher(Matcher):
    """The simulator's market, with the fee in the base coin for the orders that want it."""

    wants_base: Callable[[str], bool]

    def _trade(self, live: Any, at: int, price: int, qty: int, liquidity: Liquidity, cost: int | None = None) -> int:
        usual = self.rules
        if live.order.place.side is Side.BUY and self.wants_base(live.order.id):
            self.rules = evolve(usual, fees=evolve(usual.fees, taken_in=FeeIn.RECEIVED))
        try:
            return super()._trade(live, at, price, qty, liquidity, cost)
        finally:
            self.rules = usual


class Account:
    """An account. `tapes` are what the simulator plays; `told` hears of everything that happens to it, in order.

    `in_step`: orders act on the next row of the tapes; else they act at once. It begins with nothing: see `open_with`.
    """

    def __init__(
        self,
        name: str,
        markets: Mapping[str, Market],
        tapes: list[Tape],
        assets: Mapping[str, Asset],
        rules: Rules,
        told: Callable[[Account, str, Any], None],
        ids: Ids,
        *,
        in_step: bool,
        clock: Callable[[], int],
    ) -> None:
        self.name = name
        self.assets = assets
        self.rules = rules
        self.in_step = in_step
        self.orders: dict[str, KrakenOrder] = {}
        self.trades: dict[str, Trade] = {}
        self.ledger: dict[str, Entry] = {}
        self.engine: dict[str, Counter] = {}
        self.dead_man = 0
        """When the dead man's switch goes off, on the machine's clock; 0: not armed."""
        self.locked_until = 0
        self.ledger_delay = 0.0
        self.post_only_cancels = False
        self._clock = clock
        self._told = told
        self._ids = ids
        self._wallets: dict[tuple[str, bool], int] = {}
        self._why: dict[str, str] = {}
        """Why orders are canceled that somebody is about to cancel."""
        coins = {code: Amount(0, asset) for code, asset in assets.items()}
        self.sim = Exchange(tapes, coins, rules, name=name)
        for number, tape in enumerate(tapes):
            own = _Matcher(tape.instrument, self.sim.account, rules)
            own.wants_base = self._wants_base
            own.last = markets[tape.instrument.symbol].last
            # orders can be judged before the first price is played
            self.sim.markets[number] = own
            self.sim._by_symbol[tape.instrument.symbol] = own
        for market in self.sim.markets:
            market.markets = self.sim.markets
        self._steps: Iterator[Step] | None = None
        self._submitting: str | None = None
        self._refused: str | None = None

    def _wants_base(self, txid: str) -> bool:
        return txid in self.orders and self.orders[txid].fee_in_base

    # -- coins ---------------------------------------------------------------------------------------------------------

    def wallet(self, code: str, *, earning: bool) -> int:
        """What a wallet holds, in units of its asset."""
        return self._wallets.get((code, earning), 0)

    def wallets(self) -> list[tuple[Asset, bool, int, int]]:
        """Every wallet that has ever held something: asset, whether it earns, what it holds, what of it is held for orders."""
        found = []
        for (code, earning), units in sorted(self._wallets.items()):
            held = self.sim.account.held.get(code, 0)
            of_main = max(0, min(held, self.wallet(code, earning=False)))
            found.append((self.assets[code], earning, units, held - of_main if earning else of_main))
        return found

    def open_with(self, balances: Mapping[str, Amount], at: int | None) -> None:
        """What it begins with, by wallet: deposits of an instant, or, where that is None, from before its ledger begins."""
        for name, amount in balances.items():
            if at is not None and amount.units:
                self.move(name, amount, at, type="deposit")
            else:
                self._credit(name, amount.units)

    def _credit(self, name: str, units: int) -> tuple[str, bool]:
        code, earning = self._wallet_of(name)
        self._wallets[code, earning] = self.wallet(code, earning=earning) + units
        self.sim.account.credit(Amount(units, self.assets[code]), FlowKind.OTHER, 0)
        return code, earning

    def move(
        self,
        name: str,
        amount: Amount,
        at: int,
        *,
        type: str,  # noqa: A002 Kraken's word for it
        subtype: str = "",
        fee: int = 0,
        refid: str | None = None,
    ) -> Entry:
        """Coins come to a wallet or leave it for a reason of the world's own. Raises `InvalidAmount` where it would be overdrawn."""
        code, earning = self._wallet_of(name)
        change = amount.units - fee
        if min(self.wallet(code, earning=earning), self.sim.account.available(code)) + change < 0:
            raise InvalidAmount(f"wallet {name} of {self.name} has less than {Amount(-change, self.assets[code])} that no order holds")
        self._credit(name, change)
        return self._write(code, earning, amount.units, fee, at, type, subtype, refid or self._ids.make("Q")[0], moved=True)

    def earn(self, name: str, units: int, at: int) -> None:
        """What earns by itself: coins go from the main wallet to the one that earns, or back (below zero)."""
        code, _ = self._wallet_of(name)
        if not units or not -self.wallet(code, earning=True) <= units <= self.wallet(code, earning=False):
            raise InvalidAmount(f"{self.name} cannot move {Amount(units, self.assets[code])} to the wallet that earns")
        refid = self._ids.make("E")[0]
        subtype = "autoallocation" if units > 0 else "deallocation"
        self._write(code, False, -units, 0, at, "earn", subtype, refid)
        self._write(code, True, units, 0, at, "earn", subtype, refid)

    def _wallet_of(self, name: str) -> tuple[str, bool]:
        match = _CODE.fullmatch(name)
        code = match[1] if match else name
        if code not in self.assets:
            raise InvalidMarket(f"{name} is no wallet here: there are {', '.join(self.assets)}, each also with .F")
        return code, bool(match and match[2])

    def amount(self, name: str, value: str | int | Amount) -> Amount:
        """An amount of a wallet's asset as this exchange counts it. Raises `InvalidAmount` for one that is finer."""
        code, _ = self._wallet_of(name)
        return self.assets[code](value.text if isinstance(value, Amount) else value)

    def _write(
        self, code: str, earning: bool, amount: int, fee: int, at: int, type_: str, subtype: str, refid: str, *, moved: bool = False
    ) -> Entry:
        """Write a line, move its wallet unless that was done, and tell."""
        if not moved:
            self._wallets[code, earning] = self.wallet(code, earning=earning) + amount - fee
        entry = Entry(
            self._ids.make("L")[0],
            refid,
            at,
            type_,
            subtype,
            self.assets[code],
            earning,
            amount,
            fee,
            self.wallet(code, earning=earning),
            self.wallet(code, earning=False) + self.wallet(code, earning=True),
            self._clock() + self.ledger_delay * 1e9,
        )
        self.ledger[entry.id] = entry
        self._told(self, "entry", entry)
        return entry

    # -- orders --------------------------------------------------------------------------------------------------------

    def check(self, order: KrakenOrder) -> None:
        """Raise `Refused` unless the account could place it now. Nothing is done."""
        market, instrument = order.market, order.market.market
        price = order.limit or order.trigger or market.last
        if instrument.cost(price, order.volume, Rounding.FLOOR) < instrument.min_notional_units:
            raise Refused("EOrder:Cost minimum not met")
        if order.post and not self.post_only_cancels and order.limit is not None and order.trigger is None and self.crosses(order):
            raise Refused("EOrder:Post only order")
        if order.side is Side.SELL:
            short = order.volume > self.sim.account.available(instrument.base.code)
        else:
            bound = order.limit or self.rules.slippage.fill_price(instrument, Side.BUY, order.volume, order.trigger or market.last)
            cost = instrument.cost(bound, order.volume, Rounding.CEIL)
            rate = max(0, self.rules.fees.taker_ppm, self.rules.fees.maker_ppm)
            short = cost + divide(cost * rate, PPM, Rounding.CEIL) > self.sim.account.available(instrument.quote.code)
        if short:
            raise Refused("EOrder:Insufficient funds")

    @staticmethod
    def crosses(order: KrakenOrder) -> bool:
        """Whether a limit would take as the market is now."""
        assert order.limit is not None
        return order.limit >= order.market.ask[0] if order.side is Side.BUY else order.limit <= order.market.bid[0]

    def place(self, order: KrakenOrder) -> None:
        """Take an order that was checked. Raises `Refused` where the simulator refuses it; then nothing was done."""
        self.orders[order.txid] = order
        if order.post and self.post_only_cancels and order.trigger is None and self.crosses(order):
            self._told(self, "new", order)
            self._close(order, order.opentm, "canceled", "Post only order")
            return
        if order.ordertype.startswith("take-profit"):
            order.waits = True
            self._told(self, "new", order)
            self.look(order.opentm)
            return
        self._send(order, order.opentm)

    def _send(self, order: KrakenOrder, at: int) -> None:
        """Hand an order to the simulator."""
        waited, order.waits = order.waits, False
        instrument = order.market.market
        waits = order.ordertype.startswith("stop-loss")
        worst = None
        if self.in_step and order.side is Side.BUY and order.limit is None:
            worst = self._most(order)
        place = Place(
            instrument,
            order.side,
            order.volume,
            limit=order.limit,
            stop=order.trigger if waits else None,
            tif=order.time_in_force,
            post_only=order.post,
            good_til=order.expiretm or None,
        )
        self._submitting, self._refused = order.txid, None
        self.sim.carry(SubmitOrder(Order(order.txid, "kraken", place, at, worst)), at)
        made, self._submitting = self._take(), None
        if self._refused is not None and waited:
            self._close(order, at, "canceled", self._refused)
        elif self._refused is not None:
            del self.orders[order.txid]
            raise Refused(_REFUSALS.get(self._refused, f"EOrder:Invalid order:{self._refused}"))
        elif not waited:
            self._told(self, "new", order)
        for event in made:
            self._hear(event)
        if not self.in_step:
            self.meet(order.market, at)

    def _most(self, order: KrakenOrder) -> int:
        """The highest price that a buy at market may pay: what is allowed above the last one, as far as there is money."""
        instrument = order.market.market
        most = instrument.shift(order.market.last, _MOST_ABOVE_PPM, Rounding.FLOOR)
        free = self.sim.account.available(instrument.quote.code)
        rate = max(0, self.rules.fees.taker_ppm, self.rules.fees.maker_ppm)
        times, over = instrument.ratio
        affordable = free * over * PPM // (order.volume * times * (PPM + rate))
        return max(instrument.tick_units, min(most, affordable // instrument.tick_units * instrument.tick_units))

    def meet(self, market: Market, at: int) -> None:
        """Orders meet the price as it is."""
        own = self._own(market)
        price = market.last
        own.advance(at, 0, price, price, price, price)
        self.drain()

    def _own(self, market: Market) -> Matcher:
        return self.sim._by_symbol[market.listed.symbol]

    def cancel(self, order: KrakenOrder, at: int, reason: str = "User requested") -> None:
        """Take an open order off the book."""
        if order.waits:
            order.waits = False
            self._close(order, at, "canceled", reason)
            return
        self._why[order.txid] = reason
        self._own(order.market).cancel(order.txid, at)
        self.drain()

    def cancel_all(self, at: int, reason: str = "User requested") -> int:
        """Cancel every open order; says how many there were."""
        standing = [order for order in self.orders.values() if order.open]
        for order in standing:
            self.cancel(order, at, reason)
        return len(standing)

    # -- time and prices -----------------------------------------------------------------------------------------------

    def walk(self, market: Market, at: int, interval: int, row: tuple[int, int, int, int], volume: int) -> None:
        """The market goes through a row: orders that it reaches fill. `volume` in lots, -1 for not known."""
        self._own(market).advance(at, interval, *row, volume)
        self.drain()

    def show(self, market: Market, depth: Any) -> None:
        """A book stands there now, and orders meet it."""
        self._own(market).display(depth)
        self.meet(market, depth.at)

    def expire(self, at: int) -> None:
        """Orders whose time is over go off."""
        for own in self.sim.markets:
            own.end_orders(at)
        self.drain()
        for order in [one for one in self.orders.values() if one.waits and one.expiretm and one.expiretm <= at]:
            order.waits = False
            self._close(order, order.expiretm, "expired", None)

    def step(self) -> Step | None:
        """Play one step of the tapes; None when they are over. Facts are taken in; who shows the price is the caller."""
        if self._steps is None:
            self._steps = self.sim.play()
        step = next(self._steps, None)
        self.drain()
        return step

    def look(self, at: int) -> None:
        """The price has moved: what waits outside of the book for it is sent."""
        for order in [one for one in self.orders.values() if one.waits and one.trigger is not None]:
            assert order.trigger is not None
            last = order.market.last
            if last >= order.trigger if order.side is Side.SELL else last <= order.trigger:
                order.triggered = at
                self._send(order, at)

    # -- what became of it ---------------------------------------------------------------------------------------------

    def _take(self) -> list[Any]:
        events = list(self.sim.outbox)
        self.sim.outbox.clear()
        held = []
        for event in events:
            if isinstance(event, Rejected) and event.order_id == self._submitting:
                self._refused = event.reason
            else:
                held.append(event)
        return held

    def drain(self) -> None:
        """Take in what the simulator has made."""
        for event in self._take():
            self._hear(event)

    def _hear(self, event: Any) -> None:
        if isinstance(event, Fill):
            self._fill(event)
        elif isinstance(event, Canceled):
            order = self.orders[event.order_id]
            if event.reason == "expired":
                self._close(order, event.at, "expired", None)
                return
            usual = _REASONS.get(event.reason, event.reason[:1].upper() + event.reason[1:])
            self._close(order, event.at, "canceled", self._why.get(order.txid, usual) if event.reason == "requested" else usual)

    def _close(self, order: KrakenOrder, at: int, status: str, reason: str | None) -> None:
        order.status, order.reason, order.closetm = status, reason, at
        self._told(self, status, order)

    def _fill(self, fill: Fill) -> None:
        order = self.orders[fill.order_id]
        instrument, places = fill.instrument, order.market.listed.cost_decimals
        trade_id, number = self._ids.make("T")
        scale = instrument.price_scale + instrument.base.scale
        if fill.fee.asset == instrument.quote:
            exact = fill.price * fill.qty * self.rules.fees.rate(fill.liquidity)
            fee = divide(exact * 10**order.fee_places, PPM * 10**scale, Rounding.CEIL)
        else:
            fee = _scaled(fill.fee.units, fill.fee.asset.scale, order.fee_places)
        cost = _scaled(fill.price * fill.qty, scale, places)
        maker = fill.liquidity is Liquidity.MAKER
        trade = Trade(trade_id, number, order, fill.at, fill.price, fill.qty, cost, fee, fill.fee.asset.code, maker, [])
        self.trades[trade.id] = trade
        order.trades.append(trade.id)
        order.filled += fill.qty
        order.turnover += fill.price * fill.qty
        order.cost += cost
        order.fee += fee
        if order.trigger is not None and not order.triggered:
            order.triggered = fill.at
        if order.filled == order.volume:
            order.status, order.closetm = "closed", fill.at
        self._told(self, "trade", trade)
        sign = order.side.sign
        of_quote, of_base = ((fill.fee.units, 0), (0, fill.fee.units))[fill.fee.asset == instrument.base]
        legs = [(instrument.quote.code, -sign * fill.cost, of_quote), (instrument.base.code, sign * fill.qty, of_base)]
        for leg in legs if sign > 0 else legs[::-1]:
            self._book(*leg, trade)
        if not order.open:
            self._told(self, "filled", order)

    def _book(self, code: str, change: int, fee: int, trade: Trade) -> None:
        """The lines of one coin of a trade: what the main wallet does not have comes from the one that earns."""
        main = self.wallet(code, earning=False)
        drawn = min(max(0, fee - change - main), self.wallet(code, earning=True))
        of_main = min(fee, max(0, fee - change - drawn)) if drawn else fee
        parts = [(False, change + drawn - (fee - of_main), of_main)]
        if drawn:
            parts.append((True, -(drawn - (fee - of_main)), fee - of_main))
        for earning, amount, of_fee in parts:
            if amount or of_fee:
                entry = self._write(code, earning, amount, of_fee, trade.at, "trade", "", trade.id)
                trade.ledgers.append(entry.id)

    def text(self, name: str) -> str:
        """What a wallet holds, as Balance tells it."""
        code, earning = self._wallet_of(name)
        return fixed(self.wallet(code, earning=earning), self.assets[code].scale, self.assets[code].scale)


def _scaled(units: int, scale: int, places: int) -> int:
    """Units of one scale in another, rounded half-even."""
    return divide(units * 10**places, 10**scale, Rounding.HALF_EVEN)


def wallet_name(asset: Asset, earning: bool) -> str:
    """A wallet by its test's name: ETH, or ETH.F for what earns."""
    return f"{asset.code}.F" if earning else asset.code
