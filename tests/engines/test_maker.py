"""The market maker: what it quotes and renews, each rule on both sides of its threshold, laws over venues that are slow, and
stories on the simulator.

For the rules it sits at a `Stand`: a real desk over a real vault, and a venue that the test plays.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import QUIET, SOL, USD, USDC, Books, CoreVault, Desk, Instrument, Treasury
from sleeves.engines import Maker
from sleeves.engines.maker import FIRST_WAIT, FORGOTTEN, LONGEST_WAIT, STOOD, TRACE, UNTRACED
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.gates import OrderCap
from sleeves.journal import Memory
from sleeves.live import trade
from sleeves.market import HOUR, MINUTE, SECOND, Kind
from sleeves.money import PPM, Rounding
from sleeves.news import FairValue, Reading
from sleeves.orders import Accepted, Canceled, CancelOrder, Command, Fill, Liquidity, Order, OrderStatus, Place, Rejected, Side, SubmitOrder
from sleeves.quoting import LayerOrder, QuotingParams, Stance, client_ids, flipped, leverage, quotes
from sleeves.records import OrderUpdate, Placed, Refusal
from sleeves.sim import Fees, Flow, Latency, Rules, Tape, VirtualDriver, replay
from sleeves.status import Move, Status
from strategies import heavy, law

SPOT = Instrument("SOL/USD", base=SOL, quote=USD, tick="0.01", lot="0.001")
PERP = Instrument("SOL-PERP", base=SOL, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)
START = 1_700_000_000 * SECOND
ASK0, BID0, ASK1, BID1 = client_ids(2)
NO_SKEW = QuotingParams(skew_factor_ppm=0, activation=0)
both = pytest.mark.parametrize("market", [SPOT, PERP], ids=["spot", "perpetual"])


class Stand:
    """A maker with its money at a desk, and a venue that confirms everything at once, or cancels only when it is told to."""

    def __init__(self, engine: Maker, money: str = "10000", **desk: Any) -> None:
        self.engine, self.market = engine, engine.instrument
        self.vault = CoreVault(USD, total="1000000", tradeable="1000000", at=START - SECOND)
        self.vault.sleeve("maker", QUIET, allocate=money)
        self.now = START
        self.open: dict[str, Order] = {}
        """What stands at the venue, oldest first, with what is left of it."""
        self.left: dict[str, int] = {}
        self.leaving: list[str] = []
        """Orders whose cancel is under way."""
        self.slow = False
        self.told = 0
        self.canceled: list[str] = []
        """Tags of the cancels that were asked for since the last price."""
        self.sent: list[Order] = []
        self.sit(Desk(self.vault, **desk))

    def sit(self, desk: Desk) -> None:
        self.desk = desk
        self.vault = desk.treasury.vaults[0]
        self.sleeve = self.vault.sleeves["maker"]
        desk.assign(self.engine, to=self.sleeve)
        self.seat = desk._seats["maker"]

    def restart(self) -> None:
        """The program ends, and begins anew on its journal; orders stand at the venue meanwhile."""
        kept = self.vault.books.journal
        assert isinstance(kept, Memory)
        self.sit(Desk(*Treasury.reopen(Books(Memory.read(kept.lines()))).vaults))
        self.carry(self.desk.recovered(at=self.now))

    # -- the venue ---------------------------------------------------------------------------------------------------------

    def price(self, bid: str, ask: str | None = None, after: int = SECOND) -> list[Order]:
        """A price; the orders that came of it."""
        units = self.market.price(bid), self.market.price(ask or bid)
        return self.at(*units, after=after)

    def at(self, bid: int, ask: int, after: int = SECOND) -> list[Order]:
        self.now += after
        self.canceled.clear()
        self.sent.clear()
        self.carry(self.desk.quote(self.desk.index(self.market), self.now, bid, ask))
        return list(self.sent)

    def news(self, event: Any, after: int = 0) -> list[Order]:
        self.now += after
        self.canceled.clear()
        self.sent.clear()
        self.carry(self.desk.step(event))
        return list(self.sent)

    def fair(self, price: str, after: int = 0, at: int | None = None) -> list[Order]:
        at = self.now + after if at is None else at
        return self.news(FairValue(SOL, USD, at, USD(price).units, SOL("1").units), after)

    def carry(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, SubmitOrder):
                self.sent.append(command.order)
                self.open[command.order.id] = command.order
                self.left[command.order.id] = command.order.place.qty
                self.carry(self.desk.step(Accepted(command.order.id, self.now)))
            elif isinstance(command, CancelOrder):
                self.canceled.append(command.order.place.tag)
                if self.slow:
                    self.leaving.append(command.order.id)
                else:
                    self.off(command.order.id)

    def off(self, order_id: str, reason: str = "requested") -> None:
        if self.open.pop(order_id, None) is not None:
            self.carry(self.desk.step(Canceled(order_id, self.now, reason)))

    def confirm(self) -> None:
        """Cancels that were under way have arrived."""
        while self.leaving:
            self.off(self.leaving.pop(0))

    def fill(self, order: Order, qty: str | int | None = None) -> None:
        place = order.place
        left = self.left[order.id]
        units = left if qty is None else min(left, qty if isinstance(qty, int) else SOL(qty).units)
        assert place.limit is not None
        self.left[order.id] -= units
        if not self.left[order.id]:
            del self.open[order.id]
        self.told += 1
        cost = place.instrument.cost(place.limit, units, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
        fill = Fill(
            order.id, self.now, place.instrument, place.side, units, place.limit, cost, USD.zero, Liquidity.MAKER, f"t{self.told}", "v"
        )
        self.carry(self.desk.step(fill))

    def bare(self, price: str) -> None:
        """A price, and all quotes taken off by the venue."""
        self.price(price)
        for order_id in list(self.open):
            self.off(order_id, "maintenance")

    def trade(self, qty: str) -> None:
        """By hand at the last price: the engine is not asked."""
        units = SOL(qty).units
        book = self.desk._boards[self.market.symbol]
        place = Place(self.market, Side.BUY if units > 0 else Side.SELL, abs(units), book.ask if units > 0 else book.bid)
        commands = self.desk.order(self.sleeve, place, by="test", at=self.now)
        assert not isinstance(commands, Refusal), commands
        self.carry(commands)
        self.fill(next(one for one in self.open.values() if not one.place.tag))

    # -- what is to be seen ------------------------------------------------------------------------------------------------

    def by_tag(self, *tags: int) -> list[Order]:
        return [one for tag in tags for one in self.open.values() if one.place.tag == str(tag)]

    def saw(self, what: str = "why") -> str:
        return self.engine.saw(self.seat.memory)[what]

    @property
    def stands(self) -> list[str]:
        return text(self.open.values())

    def quoted(self, stance: Stance = Stance.QUOTING) -> list[LayerOrder]:
        """What the rules say for what the sleeve has, with nothing capped."""
        view, book = self.seat.view, self.desk._boards[self.market.symbol]
        made = view.pnl()
        assert made is not None
        price, equity = Fraction(book.bid + book.ask, 2), view.capital() + made
        worth = price * Fraction(*self.market.ratio)
        position = view.position(self.market)
        flat = Fraction(self.engine.flat_ppm, PPM) if stance is Stance.QUOTING else 0
        return list(
            quotes(
                self.engine.params,
                equity=equity,
                leverage=leverage(position, worth, equity) - flat,
                inventory=position,
                price=price,
                worth=worth,
                tick=self.market.tick_units,
                step=self.market.lot_units,
                now=self.now,
                stance=stance,
                min_price_change_ppm=self.engine.price_change,
            )
        )


def text(orders: Iterable[Order]) -> list[str]:
    """Orders as they are read: "sell 10 at 101", with a plus where they are post-only and a star where they only reduce."""
    marks = [("+" if one.place.post_only else "") + ("*" if one.place.reduce_only else "") for one in orders]
    places = [one.place for one in orders]
    return [
        f"{place.side} {SOL.units(place.qty).text} at {place.instrument.price_text(place.limit or 0)}{mark}"
        for place, mark in zip(places, marks, strict=True)
    ]


def tags(orders: Iterable[Order]) -> list[int]:
    return [int(one.place.tag) for one in orders]


# -- what it quotes -----------------------------------------------------------------------------------------------------------


def test_flat_on_a_perpetual_it_quotes_as_the_chain_does() -> None:
    """10% of 10,000 a side and layer, 1% off, the second layers moved by 0.2 and 0.44 of the spread."""
    stand = Stand(Maker(PERP))
    orders = stand.price("99.99", "100.01")
    assert text(orders) == ["sell 10 at 101+", "buy 10 at 99+", "sell 10 at 101.2+", "buy 10 at 98.56+"]
    assert tags(orders) == [ASK0, BID0, ASK1, BID1]
    assert {one.place.good_til for one in orders} == {stand.now + MINUTE}
    assert [one.place.why for one in orders] == ["ask 0", "bid 0", "ask 1", "bid 1"]


def test_an_order_ends_on_a_whole_second() -> None:
    stand = Stand(Maker(PERP, QuotingParams(expiry_s=5)))
    orders = stand.price("100", after=SECOND + 999_999_999)
    assert {one.place.good_til for one in orders} == {START + 6 * SECOND}


def test_the_middle_between_two_price_units_is_exact() -> None:
    """100.005: 1% off is 101.00505 and 99.00495, rounded away from the middle."""
    assert text(Stand(Maker(PERP, QuotingParams(layers=1))).price("100", "100.01")) == ["sell 9.999 at 101.01+", "buy 9.999 at 99+"]


def test_the_least_change_of_the_price_is_kept_below_the_buffer() -> None:
    orders = Stand(Maker(PERP, QuotingParams(layers=1), price_change="2%")).price("100")
    assert [one.place.limit for one in orders] == [10_215, 9_785]


def test_inventory_moves_both_sides_and_the_closing_side_may_take() -> None:
    """Long 20% of equity: the ask at 1 - 0.4 of the spread and plain, the bid at (1.4)^2 of it and post-only."""
    stand = Stand(Maker(PERP, QuotingParams(layers=1)))
    stand.price("100")
    stand.trade("20")
    assert text(stand.price("100")) == ["sell 10 at 100.6", "buy 10 at 98.04+"]
    stand.trade("-40")
    assert text(stand.price("100")) == ["sell 10 at 101.96+", "buy 10 at 99.4"]


def test_a_profit_makes_orders_larger_and_the_leverage_is_over_what_is_left() -> None:
    stand = Stand(Maker(PERP, NO_SKEW))
    stand.price("100")
    stand.trade("20")
    assert {one.place.qty for one in stand.price("150")} == {PERP.qty("7.333")}  # 11,000 of equity, 10% at 150
    assert stand.seat.memory.leverage == Fraction(3, 11)
    assert stand.saw("leverage") == "0.272727"


def test_coins_up_to_the_neutral_part_of_equity_count_as_flat() -> None:
    stand = Stand(Maker(SPOT))
    stand.price("100")
    assert stand.seat.memory.leverage == Fraction(-1, 2)
    stand.trade("50")
    orders = stand.price("100")
    assert stand.seat.memory.leverage == 0
    assert text(orders) == ["sell 10 at 101+", "buy 10 at 99+", "sell 10 at 101.2+", "buy 10 at 98.56+"]


@pytest.mark.parametrize(
    ("neutral", "lever"), [("0%", Fraction(3, 10)), ("30%", Fraction(0)), ("100%", Fraction(-7, 10)), (None, Fraction(-1, 5))]
)
def test_what_counts_as_flat_may_be_said(neutral: str | None, lever: Fraction) -> None:
    stand = Stand(Maker(SPOT, neutral=neutral))
    stand.price("100")
    stand.trade("30")
    stand.price("100")
    assert stand.seat.memory.leverage == lever


@pytest.mark.parametrize(
    ("coins", "asks"),
    [
        ("0", []),
        ("0.001", ["0.001"]),
        ("9.999", ["9.999"]),
        ("10", ["10"]),
        ("10.001", ["10", "0.001"]),
        ("19.999", ["10", "9.999"]),
        ("20", ["10", "10"]),
        ("21", ["10", "10"]),
    ],
)
def test_asks_are_for_no_more_coins_than_there_are(coins: str, asks: list[str]) -> None:
    stand = Stand(Maker(SPOT, NO_SKEW))
    stand.price("100")
    if coins != "0":
        stand.trade(coins)
    stand.price("100")
    assert [SOL.units(one.place.qty).text for one in stand.open.values() if one.place.side is Side.SELL] == asks


@pytest.mark.parametrize("money", ["50", "500", "990", "1000", "1500", "1980", "1990", "2000", "9900"])
def test_bids_are_for_no_more_money_than_there_is_with_the_fee(money: str) -> None:
    """The rest of 10,000 is in coins. A bid of 10 at 99 sets 993.96 aside, with the fee; of what is left over there is no lot more."""
    stand = Stand(Maker(SPOT, NO_SKEW))
    stand.bare("100")
    stand.trade(str(100 - int(money) / 100))
    stand.price("100")
    bids = [one for one in stand.open.values() if one.place.side is Side.BUY]
    held = [stand.seat.view.hold(one.place) or 0 for one in bids]
    assert sum(held) <= USD(money).units
    whole = USD("993.9601").units
    assert held[:1] in ([whole], []) or USD(money).units < whole
    if sum(held) < 2 * whole:
        lots = SPOT.cost(SPOT.price("99"), 2 * SPOT.lot_units, Rounding.CEIL)
        assert USD(money).units - sum(held) <= lots
    assert [one.place.qty for one in bids][: int(money) // 994] == [SOL("10").units] * min(2, int(money) // 994)
    assert not [one for one in stand.vault.books.journal if isinstance(one, Refusal)]


def test_what_other_orders_of_the_sleeve_hold_is_left_to_them() -> None:
    stand = Stand(Maker(SPOT, NO_SKEW))
    stand.bare("100")
    stand.trade("15")
    commands = stand.desk.order(stand.sleeve, Place(SPOT, Side.SELL, SPOT.qty("8"), SPOT.price("150")), by="hand", at=stand.now)
    assert not isinstance(commands, Refusal)
    stand.carry(commands)
    stand.price("100")
    assert [one for one in stand.stands if one.startswith("sell")] == ["sell 8 at 150", "sell 7 at 101+"]
    stand.price("101")
    assert "sell 8 at 150" in stand.stands  # it is none of ours, and left alone


def test_what_other_buys_of_the_sleeve_set_aside_is_left_to_them() -> None:
    stand = Stand(Maker(SPOT, NO_SKEW))
    stand.bare("100")
    commands = stand.desk.order(stand.sleeve, Place(SPOT, Side.BUY, SPOT.qty("170"), SPOT.price("50")), by="hand", at=stand.now)
    assert not isinstance(commands, Refusal)
    stand.carry(commands)
    stand.price("100")
    assert stand.stands == ["buy 170 at 50", "buy 10 at 99", "buy 4.749 at 99"]  # of 10,000 - 8,534 - 993.96


@pytest.mark.parametrize(("least", "orders"), [({"min_qty": "10"}, 4), ({"min_qty": "10.001"}, 0), ({"min_notional": "985.6"}, 4)])
def test_what_the_venue_would_not_take_is_not_quoted(least: dict[str, str], orders: int) -> None:
    market = Instrument("SOL-PERP", base=SOL, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP, **least)
    stand = Stand(Maker(market))
    assert len(stand.price("100")) == orders
    assert not [one for one in stand.vault.books.journal if isinstance(one, Refusal)]


def test_a_layer_that_is_worth_too_little_is_left_out_alone() -> None:
    market = Instrument("SOL-PERP", base=SOL, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP, min_notional="985.7")
    assert tags(Stand(Maker(market)).price("100")) == [ASK0, BID0, ASK1]


def test_equity_too_small_for_a_lot_quotes_nothing() -> None:
    market = Instrument("SOL-PERP", base=SOL, quote=USD, tick="0.01", lot="1", kind=Kind.PERP)
    assert Stand(Maker(market, QuotingParams(activation=0)), money="999").price("100") == []
    assert len(Stand(Maker(market, QuotingParams(activation=0)), money="1000").price("100")) == 4


def test_below_one_tick_no_bid_stands_at_the_ask() -> None:
    """A fair value of 0.4 where the least price is 1: the ask is rounded up to 1, and the bid, clamped to it, is left out."""
    market = Instrument("DUST", base=SOL, quote=USD, tick="1", lot="0.001")
    stand = Stand(Maker(market, QuotingParams(layers=1, activation=0), fair_value=True, neutral="0%"))
    stand.market = market
    stand.price("1", "2")
    stand.trade("50")
    stand.fair("0.4")
    stand.price("1", "2")
    assert {one.place.side for one in stand.open.values()} <= {Side.SELL}
    assert stand.seat.memory.wanted == 1


# -- where nothing is quoted ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("money", "orders"), [("999.999999", 0), ("1000", 4)])
def test_without_a_position_equity_must_reach_the_threshold(money: str, orders: int) -> None:
    stand = Stand(Maker(PERP), money=money)
    assert len(stand.price("100")) == orders
    assert stand.saw() == ("" if orders else "equity is below the activation threshold")


def test_with_a_position_it_quotes_below_the_threshold_too() -> None:
    stand = Stand(Maker(PERP), money="999")
    stand.price("100")
    stand.trade("0.001")
    assert len(stand.price("100")) == 4


def test_under_the_threshold_what_stands_is_left_to_run_out() -> None:
    """As on the chain: neither cancelled nor renewed."""
    stand = Stand(Maker(PERP), money="1000")
    stand.price("100")
    before = dict(stand.open)
    assert len(before) == 4
    stand.vault.reclaim(stand.sleeve, "1", at=stand.now)
    assert stand.price("101") == []
    assert stand.open == before
    assert not stand.canceled
    stand.vault.allocate(stand.sleeve, "1", at=stand.now)
    assert len(stand.price("101")) == 4


def test_no_price_of_its_own_no_quote() -> None:
    stand = Stand(Maker(PERP, fair_value=True))
    assert stand.price("100") == []
    assert stand.saw() == "no fair value of SOL in USD"
    assert stand.saw("price") == "unknown"


@pytest.mark.parametrize(("coins", "price"), [("90", "88.8"), ("50", "80"), ("50", "79.99")])
def test_a_loss_of_all_equity_ends_the_quotes(coins: str, price: str) -> None:
    """Of 1,000: 1,008, and exactly all of it."""
    stand = Stand(Maker(PERP), money="1000")
    stand.price("100")
    stand.trade(coins)
    stand.price("100")
    assert stand.open
    stand.price(price)
    assert not [one for one in stand.open.values() if one.place.tag]  # what is left is the desk's own, which closes the position
    assert stand.saw() == "no equity"
    assert stand.seat.fault is None


@pytest.mark.parametrize(("age", "orders"), [(MINUTE, 4), (MINUTE + 1, 0)])
def test_a_fair_value_may_be_a_minute_old_and_then_what_stands_is_cancelled(age: int, orders: int) -> None:
    stand = Stand(Maker(SPOT, QuotingParams(skew_factor_ppm=0, expiry_s=3_600), fair_value=True))
    stand.price("100")
    stand.trade("50")
    stand.fair("100", SECOND)
    assert len(stand.open) == 4
    stand.price("100", after=age)
    assert len(stand.open) == orders
    assert stand.saw() == ("" if orders else "the fair value is stale")


def test_a_fair_value_from_the_future_is_stale() -> None:
    stand = Stand(Maker(PERP, fair_value=True))
    stand.fair("100", at=START + HOUR)
    stand.price("100")
    assert stand.open == {}
    assert stand.saw() == "the fair value is stale"


def test_a_fair_value_in_another_coin_is_none() -> None:
    stand = Stand(Maker(PERP, fair_value=True))
    stand.news(FairValue(SOL, USDC, stand.now, USDC("100").units, SOL("1").units))
    assert stand.price("100") == []
    assert stand.saw() == "no fair value of SOL in USD"


@pytest.mark.parametrize(("age", "orders"), [(MINUTE, 4), (MINUTE + 1, 0)])
def test_news_that_comes_when_the_book_is_stale_ends_the_quotes(age: int, orders: int) -> None:
    """Any news wakes the engine; the price is then as old as the book is."""
    stand = Stand(Maker(PERP, QuotingParams(expiry_s=3_600)))
    stand.price("100")
    stand.news(Reading("mood", stand.now + age, 1.0), age)
    assert len(stand.open) == orders
    assert stand.saw() == ("" if orders else "the price is stale")


def test_it_quotes_around_the_fair_value_and_not_around_the_book() -> None:
    stand = Stand(Maker(PERP, QuotingParams(layers=1), fair_value=True))
    stand.fair("100")
    assert text(stand.price("100.50", "100.60")) == ["sell 10 at 101+", "buy 10 at 99+"]


def test_a_post_only_quote_that_would_take_waits() -> None:
    stand = Stand(Maker(PERP, QuotingParams(layers=1), fair_value=True))
    stand.fair("100")
    assert text(stand.price("98.50", "99")) == ["sell 10 at 101+"]  # the bid at 99 would take
    assert stand.saw() == "bid 0: it would take"
    assert text(stand.price("98.50", "99.01")) == ["buy 10 at 99+"]
    stand.price("101", "101.50")
    assert text(stand.open.values()) == ["sell 10 at 101+", "buy 10 at 99+"]  # what stands there already is left


# -- what a status lets it do ------------------------------------------------------------------------------------------------------


def closing(stand: Stand, how: str) -> None:
    if how == "paused":
        stand.carry(stand.desk.pause(stand.sleeve, by="test", at=stand.now))
    else:
        stand.sleeve.move(Move.BREACH, by="test", at=stand.now)
    assert stand.sleeve.status is (Status.PAUSED if how == "paused" else Status.CLOSE_ONLY)


@pytest.mark.parametrize("how", ["paused", "close only"])
@pytest.mark.parametrize(
    ("position", "sizes"), [("0", []), ("0.001", ["0.001"]), ("10", ["10"]), ("15", ["10", "5"]), ("35", ["10", "10"])]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_who_only_closes_quotes_the_closing_side_for_what_there_is(how: str, position: str, sizes: list[str], sign: int) -> None:
    stand = Stand(Maker(PERP, NO_SKEW))
    stand.price("100")
    if position != "0":
        stand.trade(position if sign > 0 else "-" + position)
    stand.price("100")
    closing(stand, how)
    for _ in range(2):
        stand.price("100")
    orders = list(stand.open.values())
    assert sorted((SOL.units(one.place.qty).text for one in orders), key=float, reverse=True) == sizes
    assert {one.place.side for one in orders} <= {Side.SELL if sign > 0 else Side.BUY}
    assert sum(one.place.qty for one in orders) <= abs(stand.seat.view.position(PERP))
    assert not [one for one in stand.vault.books.journal if isinstance(one, Refusal)]


@pytest.mark.parametrize("how", ["paused", "close only"])
def test_new_orders_that_close_are_reduce_only(how: str) -> None:
    stand = Stand(Maker(PERP, NO_SKEW))
    stand.price("100")
    stand.trade("15")
    closing(stand, how)
    for price in ("100", "101"):
        stand.price(price)
    stand.price("101")
    assert stand.stands == ["sell 9.915 at 102.01*", "sell 5.085 at 102.01*"]
    for order in list(stand.open.values()):
        stand.fill(order)
    assert stand.price("101") == []
    assert stand.sleeve.is_flat()


@pytest.mark.parametrize("how", ["paused", "close only"])
def test_on_a_spot_market_all_coins_are_there_to_be_closed(how: str) -> None:
    """And not only those above the neutral part: flat is none then."""
    stand = Stand(Maker(SPOT, QuotingParams(activation=0)))
    stand.price("100")
    stand.trade("15")
    stand.price("100")
    closing(stand, how)
    stand.price("100")
    stand.price("100")
    assert stand.seat.memory.leverage == Fraction(15, 100)
    assert {one.place.side for one in stand.open.values()} == {Side.SELL}
    assert sum(one.place.qty for one in stand.open.values()) == SOL("15").units


def test_resumed_it_quotes_both_sides_again() -> None:
    stand = Stand(Maker(PERP))
    stand.price("100")
    closing(stand, "paused")
    stand.price("100")
    assert stand.open == {}
    stand.desk.resume(stand.sleeve, by="test", at=stand.now)
    stand.price("100")
    assert len(stand.open) == 4


def test_a_sleeve_that_is_killed_has_no_quotes() -> None:
    stand = Stand(Maker(PERP))
    stand.price("100")
    stand.carry(stand.desk.kill(stand.sleeve, flatten=False, by="test", at=stand.now))
    stand.price("100")
    assert stand.open == {}


def test_who_only_closes_keeps_no_order_larger_than_it_should_be() -> None:
    """Whatever its tolerance: a size is what there is to close."""
    for price, renewed in (("99", 0), ("101", 1)):
        stand = Stand(Maker(PERP, NO_SKEW, tolerance="5%", size_tolerance="5%"))
        stand.price("100")
        stand.trade("10")
        closing(stand, "close only")
        stand.price("100")
        stand.price("100")
        assert stand.stands == ["sell 10 at 101+"]
        stand.price(price)
        assert len(stand.canceled) == renewed


def test_closing_leaves_to_other_orders_what_they_close() -> None:
    """Of 15 a hand's order closes 3: the first layer takes 10, and the second, of 5, waits."""
    stand = Stand(Maker(PERP, NO_SKEW))
    stand.bare("100")
    stand.trade("15")
    closing(stand, "close only")
    place = Place(PERP, Side.SELL, PERP.qty("3"), PERP.price("150"), reduce_only=True)
    commands = stand.desk.order(stand.sleeve, place, by="hand", at=stand.now)
    assert not isinstance(commands, Refusal)
    stand.carry(commands)
    stand.price("100")
    assert stand.stands == ["sell 3 at 150*", "sell 10 at 101*"]
    assert stand.saw() == "ask 1: more than is left to close"
    assert not [one for one in stand.vault.books.journal if isinstance(one, Refusal)]


# -- renewal ----------------------------------------------------------------------------------------------------------------------


@both
def test_what_is_unchanged_is_left_alone_and_what_changed_is_renewed_under_the_other_number(market: Instrument) -> None:
    stand = Stand(Maker(market))
    stand.price("100")
    if market is SPOT:
        stand.trade("50")
        stand.price("100")
    first = dict(stand.open)
    numbers = sorted(tags(first.values()))
    for _ in range(5):
        assert stand.price("100") == []
    assert stand.open == first
    assert not stand.canceled
    stand.price("100.10")
    assert sorted(tags(stand.open.values())) == sorted(map(flipped, numbers))
    assert sorted(map(int, stand.canceled)) == numbers
    stand.price("100.20")
    assert sorted(tags(stand.open.values())) == numbers


def test_cancels_go_out_before_new_quotes() -> None:
    stand = Stand(Maker(PERP))
    stand.price("100")
    stand.now += SECOND
    commands = stand.desk.quote(0, stand.now, 10_010, 10_010)
    kinds = [type(one) for one in commands]
    assert kinds == [CancelOrder] * 4 + [SubmitOrder] * 4


@pytest.mark.parametrize(("after", "orders"), [(SECOND - 1, 0), (SECOND, 4)])
def test_it_decides_no_more_often_than_it_is_told(after: int, orders: int) -> None:
    stand = Stand(Maker(PERP, every=SECOND))
    stand.price("100")
    assert len(stand.price("101", after=after)) == orders


@pytest.mark.parametrize(("after", "orders"), [(SECOND - 1, 0), (SECOND, 2)])
def test_news_does_not_make_it_decide_more_often(after: int, orders: int) -> None:
    stand = Stand(Maker(SPOT, QuotingParams(skew_factor_ppm=0), fair_value=True, every=SECOND))
    stand.fair("100")
    stand.price("100")
    assert len(stand.open) == 2
    assert len(stand.fair("101", after)) == orders


@pytest.mark.parametrize(("price", "renewed"), [("100.10", 0), ("99.90", 0), ("100.12", 4), ("99.88", 4)])
def test_a_price_within_the_tolerance_does_not_renew(price: str, renewed: int) -> None:
    """101 against 101.10, the asks, are 0.0989% apart; 101 against 101.13 are 0.129%, and 98.56 against 98.68 are 0.122%."""
    stand = Stand(Maker(PERP, tolerance="0.11%", size_tolerance="5%"))
    stand.price("100")
    assert len(stand.price(price)) == renewed


@pytest.mark.parametrize(("tolerance", "renewed"), [("1.0102%", 0), ("1.0101%", 4), ("0%", 4)])
def test_a_size_within_its_tolerance_does_not_renew(tolerance: str, renewed: int) -> None:
    """10 against 9.9 of the new price: the difference is 1/99 of it, and the price within 2%."""
    stand = Stand(Maker(PERP, tolerance="2%", size_tolerance=tolerance))
    stand.price("100")
    assert len(stand.price("101")) == renewed


def test_jitter_within_the_tolerance_sends_nothing() -> None:
    stand = Stand(Maker(PERP, tolerance="0.05%", size_tolerance="0.1%"))
    stand.price("100")
    for n in range(50):
        assert stand.price(("100", "100.01", "100.02")[n % 3]) == []


def test_a_partial_fill_alone_does_not_renew_and_a_whole_one_does() -> None:
    stand = Stand(Maker(PERP, NO_SKEW, size_tolerance="1%"))
    ask, bid, *_ = stand.price("100")
    stand.fill(ask, "4")
    stand.fill(bid, "4")
    assert stand.price("100") == []
    stand.fill(ask)
    orders = stand.price("100")
    assert tags(orders) == [flipped(ASK0)]
    stand.fill(orders[0])
    assert tags(stand.price("100")) == [ASK0]


@pytest.mark.parametrize(("after", "renewed"), [(MINUTE - 1, 0), (MINUTE, 4)])
def test_a_venue_that_does_not_end_orders_is_told_to(after: int, renewed: int) -> None:
    stand = Stand(Maker(PERP))
    stand.price("100", after=0)
    assert stand.price("100", after=after) == []
    assert len(stand.canceled) == renewed
    if renewed:
        assert tags(stand.price("100")) == [flipped(one) for one in (ASK0, BID0, ASK1, BID1)]


def test_what_ran_out_is_placed_again_under_the_other_number() -> None:
    stand = Stand(Maker(PERP))
    for order in stand.price("100"):
        stand.off(order.id, "expired")
    assert tags(stand.price("100")) == [flipped(one) for one in (ASK0, BID0, ASK1, BID1)]


def test_fewer_layers_after_a_restart_cancel_the_rest() -> None:
    stand = Stand(Maker(PERP, QuotingParams(layers=3)))
    stand.price("100")
    stand.engine = Maker(PERP, QuotingParams(layers=1))
    stand.restart()
    stand.price("100")
    assert sorted(tags(stand.open.values())) == sorted([ASK0, BID0])


@both
def test_after_a_restart_it_finds_its_quotes_by_their_tags(market: Instrument) -> None:
    stand = Stand(Maker(market))
    stand.price("100")
    if market is SPOT:
        stand.trade("50")
    stand.price("100.10")
    before = dict(stand.open)
    stand.restart()
    assert stand.price("100.10") == []
    assert stand.open == before
    numbers = sorted(tags(before.values()))
    stand.price("100.20")
    assert sorted(tags(stand.open.values())) == sorted(map(flipped, numbers))


def test_after_a_restart_with_a_cancel_under_way_the_older_quote_is_cancelled_again() -> None:
    stand = Stand(Maker(PERP))
    stand.price("100")
    stand.slow = True
    stand.price("100.10")
    assert len(stand.open) == 8
    stand.leaving.clear()  # the cancels were lost with the program
    stand.restart()
    assert stand.price("100.10") == []
    assert len(stand.leaving) == 4
    stand.confirm()
    assert stand.price("100.10") == []
    assert len(stand.open) == 4


# -- a slow venue -----------------------------------------------------------------------------------------------------------------


def test_while_a_cancel_is_under_way_nothing_more_is_placed_there() -> None:
    stand = Stand(Maker(PERP))
    stand.price("100")
    stand.slow = True
    assert len(stand.price("100.10")) == 4  # they go out with the cancels
    for price in ("100.20", "100.30", "100.40"):
        assert stand.price(price) == []
        assert stand.saw() == "ask 0: a cancel is under way"
    assert len(stand.open) == 8
    stand.confirm()
    assert stand.open == {}
    assert len(stand.price("100.40")) == 4


def test_a_quote_whose_cancel_is_under_way_is_not_taken_for_one_that_stands() -> None:
    stand = Stand(Maker(PERP))
    stand.price("100")
    stand.slow = True
    stand.price("100.10")
    stand.price("100.20")  # now both quotes of each place are leaving
    assert len(stand.leaving) == 8
    for _ in range(4):
        stand.off(stand.leaving.pop(0))
    assert stand.price("100.30") == []
    assert stand.price("100.10") == []  # where they stand, but not for long
    stand.confirm()
    assert len(stand.price("100.10")) == 4


@pytest.mark.parametrize(
    ("coins", "side", "why"), [("30", Side.SELL, "ask 1: coins are set aside"), ("70", Side.BUY, "bid 1: money is set aside")]
)
def test_of_what_is_free_beside_the_old_quotes_each_new_one_takes_its_part(coins: str, side: Side, why: str) -> None:
    """Two of 10 stand, and there is enough for one more until they are gone."""
    stand = Stand(Maker(SPOT, NO_SKEW))
    stand.bare("100")
    stand.trade(coins)
    stand.price("100")
    stand.slow = True
    orders = stand.price("100.10")
    assert len([one for one in orders if one.place.side is side]) == 1
    assert stand.saw() == why
    assert not [one for one in stand.vault.books.journal if isinstance(one, Refusal)]


@pytest.mark.parametrize(("after", "again"), [(5 * SECOND - 1, 0), (5 * SECOND, 4)])
def test_a_cancel_that_brings_nothing_is_sent_again(after: int, again: int) -> None:
    stand = Stand(Maker(PERP, every=0))
    stand.price("100")
    stand.slow = True
    stand.price("100.10")
    assert len(stand.canceled) == 4
    stand.price("100.10", after=after)
    assert len(stand.canceled) == again


def test_what_does_not_fit_beside_the_old_quotes_is_placed_once_they_are_gone() -> None:
    """All coins and nearly all money are in quotes: new ones wait for the cancels."""
    stand = Stand(Maker(SPOT, QuotingParams(skew_factor_ppm=0, order_size_ppm=240_000)))
    stand.price("100")
    stand.trade("50")
    stand.price("100")
    stand.price("100")
    stand.slow = True
    assert stand.price("100.50") == []
    stand.confirm()
    assert len(stand.price("100.50")) == 4
    assert not [one for one in stand.vault.books.journal if isinstance(one, Refusal)]


def test_a_quote_does_not_meet_an_older_one_that_has_not_left() -> None:
    stand = Stand(Maker(PERP, NO_SKEW))
    stand.price("100")
    stand.slow = True
    orders = stand.price("98")  # asks at 98.98, while bids at 99 stand
    assert {one.place.side for one in orders} == {Side.BUY}
    assert "it would meet an order of this sleeve" in stand.saw()
    stand.confirm()
    assert len(stand.price("98")) == 2


def test_closing_contracts_wait_for_older_orders_that_close_the_same() -> None:
    stand = Stand(Maker(PERP, NO_SKEW))
    stand.price("100")
    stand.trade("15")
    stand.price("100")
    closing(stand, "close only")
    stand.price("100")
    stand.slow = True
    assert stand.price("101") == []
    stand.confirm()
    orders = stand.price("101")
    assert sum(one.place.qty for one in orders) == SOL("15").units
    assert not [one for one in stand.vault.books.journal if isinstance(one, Refusal)]


MOVES = st.one_of(
    st.tuples(st.just("price"), st.integers(9_000, 11_000)),
    st.tuples(st.just("confirm"), st.integers(0, 9)),
    st.tuples(st.just("fill"), st.integers(0, 9)),
    st.tuples(st.just("part"), st.integers(0, 9)),
    st.tuples(st.just("expire"), st.integers(0, 9)),
    st.tuples(st.just("restart"), st.just(0)),
)


@heavy
@given(st.sampled_from([SPOT, PERP]), st.lists(MOVES, max_size=25), st.booleans(), st.sampled_from(["0%", "0.3%"]))
def test_law_never_two_quotes_of_a_place_and_in_the_end_just_what_should_stand(
    market: Instrument, moves: list[tuple[str, int]], slow: bool, tolerance: str
) -> None:
    """Whatever fills, runs out, or is confirmed late, and when the program restarts."""
    params = QuotingParams(layers=2, spread_min_ppm=5_000, activation=0)
    stand = Stand(Maker(market, params, tolerance=tolerance, size_tolerance=tolerance))
    stand.slow = slow
    price = 10_000
    stand.at(price, price)
    for what, number in moves:
        orders = list(stand.open.values())
        if what == "price":
            price = number
            stand.at(price, price)
        elif what == "confirm" and stand.leaving:
            stand.off(stand.leaving.pop(number % len(stand.leaving)))
        elif what in ("fill", "part") and orders:
            order = orders[number % len(orders)]
            stand.fill(
                order, None if what == "fill" else max(market.lot_units, stand.left[order.id] // 2 // market.lot_units * market.lot_units)
            )
        elif what == "expire" and orders:
            stand.off(orders[number % len(orders)].id, "expired")
        elif what == "restart":
            stand.restart()
        check(stand)
    stand.slow = False
    stand.confirm()
    for _ in range(8):
        stand.at(price, price)
        stand.confirm()
        check(stand)
    view = stand.seat.view
    wanted = {one.id: one for one in stand.quoted()}
    for order in stand.open.values():
        place, quote = order.place, wanted[int(order.place.tag) & ~1]
        near = PPM if tolerance == "0%" else PPM + 3_000
        assert place.side is (Side.SELL if quote.sells else Side.BUY)
        assert abs((place.limit or 0) - quote.price) * PPM <= (near - PPM) * quote.price
        assert place.qty * PPM <= quote.size * near
    if market is PERP:
        assert len(stand.open) == 4 or view.pnl() is None or stand.saw(), stand.stands
    assert stand.desk.check().holds


def check(stand: Stand) -> None:
    """At each place at most one quote that is not being cancelled, none beyond the coins, none meeting another."""
    orders = list(stand.open.values())
    staying = Counter(int(one.place.tag) & ~1 for one in orders if one.id not in stand.leaving)
    every = Counter(int(one.place.tag) & ~1 for one in orders)
    numbers = Counter(one.place.tag for one in orders)
    if not stand.slow or stand.seat.memory.asked:
        assert all(count <= 1 for count in staying.values()), staying
    assert all(count <= 2 for count in every.values()), every
    assert all(count == 1 for count in numbers.values()), numbers
    if stand.market is SPOT:
        left = sum(stand.left[one.id] for one in orders if one.place.side is Side.SELL)
        assert left <= stand.sleeve.position_units(SPOT)
    asks = [one.place.limit or 0 for one in orders if one.place.side is Side.SELL]
    bids = [one.place.limit or 0 for one in orders if one.place.side is Side.BUY]
    assert not asks or not bids or min(asks) > max(bids)


# -- a venue that refuses -----------------------------------------------------------------------------------------------------------


class Refusing(Stand):
    """A venue that refuses what it is told to refuse, at once or late."""

    def __init__(self, engine: Maker, money: str = "10000", late: int = 0, **desk: Any) -> None:
        self.refuses: Callable[[Order], bool] = lambda _: True
        self.late = late
        self.due: list[tuple[int, str]] = []
        self.times: list[tuple[int, int]] = []
        """When an order was sent, from the begin, and its place."""
        super().__init__(engine, money, **desk)

    def carry(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, SubmitOrder) and command.order.place.tag:
                self.times.append((self.now - START, int(command.order.place.tag) & ~1))
            if isinstance(command, SubmitOrder) and self.refuses(command.order):
                self.sent.append(command.order)
                self.due.append((self.now + self.late, command.order.id))
                if not self.late:
                    self.refuse()
            else:
                super().carry([command])

    def refuse(self) -> None:
        """Refusals that are due arrive."""
        while self.due and self.due[0][0] <= self.now:
            _, order_id = self.due.pop(0)
            self.carry(self.desk.step(Rejected(order_id, self.now, "post only order would take")))

    def at(self, bid: int, ask: int, after: int = SECOND) -> list[Order]:
        self.now += after
        self.refuse()
        self.now -= after
        return super().at(bid, ask, after)

    def of(self, place: int) -> list[int]:
        """When orders of a place were sent, in seconds from the begin."""
        return [at // SECOND for at, one in self.times if one == place]


def plain(**options: Any) -> Maker:
    """One layer, whose quotes do not move with what it holds and stand for an hour."""
    return Maker(PERP, QuotingParams(layers=1, skew_factor_ppm=0, expiry_s=3_600), size_tolerance="100%", **options)


DOUBLED = [0, 1, 3, 7, 15, 31, 63]
"""When a place is tried in the first minute, in seconds from the first."""


@both
def test_a_venue_that_refuses_all_gets_few_orders_an_hour(market: Instrument) -> None:
    """65 of a place: after 1 s, 2 s, 4 s and so on, and then one a minute. It was 3,600."""
    stand = Refusing(Maker(market))
    for _ in range(3_600):
        stand.price("99.99", "100.01")
    for place in (BID0, BID1) if market is SPOT else (ASK0, BID0, ASK1, BID1):
        sent = stand.of(place)
        assert [at - sent[0] for at in sent] == DOUBLED + list(range(123, 3_600, 60))
    assert len(stand.times) == (130 if market is SPOT else 260)
    assert stand.desk.check().holds


@pytest.mark.parametrize(("market", "most", "why"), [(SPOT, 130, "insufficient funds"), (PERP, 260, "leverage would exceed 10")])
def test_an_account_without_money_gets_few_orders_an_hour(market: Instrument, most: int, why: str) -> None:
    """The sleeve has its money, and the simulated account has none."""
    vault = CoreVault(USD, total="1000000", tradeable="1000000", at=START - SECOND)
    desk = Desk(vault)
    desk.assign(Maker(market), to=vault.sleeve("maker", QUIET, allocate="10000"))
    prices = dict.fromkeys(("open", "high", "low", "close"), ["100"] * 3_600)
    tape = Tape.from_columns(market, ts=[START + n * SECOND for n in range(3_600)], **prices)
    asyncio.run(trade(desk, VirtualDriver(tape, {"USD": USD.zero}), reconcile_every=None))
    ends = Counter((one.status, one.reason) for one in desk.books.journal if isinstance(one, OrderUpdate))
    assert ends == {(OrderStatus.REJECTED, why): most}


def test_a_gate_that_refuses_all_is_not_asked_each_second() -> None:
    stand = Stand(Maker(PERP))
    stand.desk._seats["maker"].gates = (*stand.desk._seats["maker"].gates, OrderCap("500"))
    asked = 0
    for _ in range(3_600):
        stand.price("100")
        at, wanted = stand.seat.wanted
        asked += len(wanted) if at == stand.now else 0
    assert stand.open == {}
    assert asked == 260
    assert "waits: the venue or a gate refused it" in stand.saw()


@pytest.mark.parametrize(("refused", "wait"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (40, 60)])
def test_a_place_waits_twice_as_long_after_each_refusal(refused: int, wait: int) -> None:
    stand = Refusing(plain(every=0))
    for n in range(refused):
        stand.price("100", after=LONGEST_WAIT if n else 0)
        assert len(stand.sent) == 2
    assert stand.price("100", after=wait * SECOND - 1) == []
    assert stand.saw() == f"ask 0: waits: the venue or a gate refused it, {refused} in a row; again in 1e-09 s"
    assert len(stand.price("100", after=1)) == 2
    assert FIRST_WAIT == SECOND
    assert LONGEST_WAIT == MINUTE


def test_only_the_place_that_was_refused_waits() -> None:
    stand = Refusing(plain())
    stand.refuses = lambda order: order.place.side is Side.SELL
    for n in range(600):
        stand.price("101" if n % 2 else "100")
    assert stand.of(ASK0) == [one + 1 for one in [*DOUBLED, *range(123, 600, 60)]]
    assert len(stand.of(BID0)) > 290


def test_when_the_venue_takes_orders_again_it_quotes_as_before() -> None:
    """Within a minute, whatever the price does; and once it quotes, each change is followed at once."""
    stand = Refusing(Maker(PERP))
    draw = iter(noise(1))
    for _ in range(1_800):
        stand.at(price := 10_000 + next(draw) // 20, price)
    stand.refuses = lambda _: False
    for _ in range(60):
        stand.at(price := 10_000 + next(draw) // 20, price)
    for _ in range(300):
        stand.at(price := 10_000 + next(draw) // 20, price)
        assert sorted(one.place.limit or 0 for one in stand.open.values()) == sorted(one.price for one in stand.quoted())
        assert stand.saw() == ""


@pytest.mark.parametrize(("stood", "wait"), [(STOOD - 1, 8), (STOOD, 1)])
def test_refusals_are_forgotten_once_a_quote_stood(stood: int, wait: int) -> None:
    """Three were refused, the fourth stood and is gone without a reason."""
    stand = Refusing(plain(every=0))
    for n in range(3):
        stand.price("100", after=SECOND << n)
    stand.refuses = lambda _: False
    quotes = stand.price("100", after=4 * SECOND)
    sent_at = stand.now
    assert stand.price("100", after=stood) == []
    for order in quotes:
        stand.off(order.id, "maintenance")
    stand.price("100", after=0)
    past = stand.seat.memory.places[ASK0]
    assert past.refused == (4 if wait == 8 else 1)
    assert past.at == (sent_at if past.wish is None else stand.now)  # a wait of 8 s is over after it stood for 10 s less 1 ns


@pytest.mark.parametrize(("since", "left"), [(FORGOTTEN - 1, 3), (FORGOTTEN, 0)])
def test_refusals_are_forgotten_after_a_time_of_quotes_that_are_renewed(since: int, left: int) -> None:
    """None stands for 10 s, and each is seen once."""
    stand = Refusing(plain(every=0))
    for n in range(3):
        stand.price("100", after=SECOND << n)
    stand.price("100", after=0)  # here the third is seen to be gone
    begin = stand.now
    stand.refuses = lambda _: False
    stand.price("100", after=4 * SECOND)
    while stand.now + 5 * SECOND < begin + since:
        stand.price("100" if len(stand.times) % 4 else "101", after=2 * SECOND)
        assert stand.seat.memory.places[ASK0].refused == 3
    stand.price("100.50", after=begin + since - stand.now - TRACE)
    assert len(stand.sent) == 2
    stand.price("100.50", after=TRACE)
    assert stand.seat.memory.places[ASK0].refused == left


@pytest.mark.parametrize("late", [SECOND, 2 * SECOND + SECOND // 2, 9 * SECOND])
def test_a_venue_that_refuses_late_gets_few_orders_too(late: int) -> None:
    """A quote is seen to stand and then turns out not to: what was refused before is remembered."""
    stand = Refusing(plain(), late=late)
    for _ in range(3_600):
        stand.price("100")
    assert len(stand.of(ASK0)) == len(stand.of(BID0)) < 70


def test_fast_prices_and_refusals_that_come_later_than_the_next_price() -> None:
    """Each quote is cancelled 50 ms after it was sent and refused 200 ms after: until one is left alone for a second."""
    stand = Refusing(plain(every=0), late=200 * SECOND // 1_000)
    stand.slow = True
    for n in range(20 * 600):
        stand.at(10_000 + n % 7, 10_000 + n % 7, after=SECOND // 20)
    stand.leaving.clear()
    first, rest = stand.of(ASK0)[: UNTRACED + 1], stand.of(ASK0)[UNTRACED + 1 :]
    assert first[-1] <= 10
    assert 10 <= len(rest) <= 20


def test_with_fast_prices_a_quote_is_left_alone_for_a_second_at_most() -> None:
    """At a venue that takes all, each 31st quote of a place shows that it stands; the others follow the price at once."""
    stand = Stand(plain(every=0))
    ages, sent = [], {}
    for n in range(20 * 60):
        for order in stand.at(10_000 + n % 7, 10_000 + n % 7, after=SECOND // 20):
            if order.place.side is Side.SELL:
                ages.append(stand.now - sent.get(ASK0, stand.now))
                sent[ASK0] = stand.now
    assert Counter(ages[1:]).keys() == {SECOND // 20, TRACE}
    assert [n for n, age in enumerate(ages) if age == TRACE][:3] == [UNTRACED + 1, 2 * UNTRACED + 2, 3 * UNTRACED + 3]
    assert not any(one.refused for one in stand.seat.memory.places.values())


@pytest.mark.parametrize("how", ["killed", "close only", "stale"])
def test_a_quote_that_has_to_show_that_it_stands_is_cancelled_all_the_same_where_it_may_not(how: str) -> None:
    stand = Refusing(plain(every=0, age_ns=SECOND // 2, fair_value=True))
    stand.fair("100")
    stand.price("100", after=0)
    assert len(stand.sent) == 2
    stand.refuses = lambda _: False
    stand.fair("100", after=SECOND)
    stand.price("100", after=0)
    stand.fair("101", after=SECOND // 4)
    stand.price("100", after=0)
    assert (len(stand.open), stand.canceled) == (2, [])  # it is not renewed
    assert stand.saw("quotes") == "2 of 2 stood"
    if how == "killed":
        stand.carry(stand.desk.kill(stand.sleeve, flatten=False, by="test", at=stand.now))
    elif how == "close only":
        closing(stand, how)
    stand.price("100", after=1 if how != "stale" else SECOND // 2 + 1)
    assert stand.open == {}


@pytest.mark.parametrize(("wait", "placed"), [(4 * SECOND - 1, 0), (4 * SECOND, 2)])
def test_a_quote_that_is_cancelled_before_it_left_a_trace_leaves_the_wait_as_it_was(wait: int, placed: int) -> None:
    """Three were refused, and the fourth had to go as its price was stale: the place waits for 4 s from when it was placed."""
    stand = Refusing(plain(every=0, age_ns=SECOND // 2, fair_value=True))
    for n in range(4):
        if n == 3:
            stand.refuses = lambda _: False
        stand.fair("100", after=SECOND << n >> 1)
        stand.price("100", after=0)
    assert len(stand.open) == 2
    stand.price("100", after=SECOND // 2 + 1)
    assert stand.open == {}
    stand.fair("100", after=wait - SECOND // 2 - 1)
    assert len(stand.price("100", after=0)) == placed
    assert {one.refused for one in stand.seat.memory.places.values()} == {3}


# -- what is no refusal -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", Side)
def test_a_fill_that_takes_an_order_whole_between_two_decisions_is_no_refusal(side: Side) -> None:
    """However often: the position moves by all that is gone. It is placed again at the very next decision."""
    stand = Stand(plain(every=0))
    stand.price("100")
    for n in range(2 * UNTRACED):
        stand.fill(next(one for one in stand.open.values() if one.place.side is side))
        orders = stand.price("100", after=1)
        if len(orders) == 0:  # so large a position allows no more
            break
        assert [one.place.side for one in orders] == [side], n
    assert n >= 5
    assert not any(one.refused or one.untraced for one in stand.seat.memory.places.values())


@both
def test_fills_of_both_sides_that_leave_the_position_as_it_was_are_no_refusal(market: Instrument) -> None:
    stand = Stand(Maker(market, QuotingParams(layers=1, skew_factor_ppm=0), size_tolerance="100%", every=0))
    stand.price("100")
    if market is SPOT:
        stand.trade("50")
        stand.price("100", after=1)
    assert len(stand.open) == 2
    for n in range(UNTRACED):
        before = stand.sleeve.position_units(market)
        stand.now += 1
        for order in list(stand.open.values()):
            stand.fill(order, "5")
            stand.off(order.id, "maintenance")
        assert stand.sleeve.position_units(market) == before
        assert len(stand.price("100", after=1)) == 2, n


@pytest.mark.parametrize(("before", "waits"), [(UNTRACED - 1, False), (UNTRACED, True)])
def test_so_many_quotes_in_a_row_may_be_gone_while_the_sleeve_trades(before: int, waits: bool) -> None:
    """Bids are filled, asks are refused: after 30 asks without a trace the trades are no reason any more."""
    stand = Refusing(plain(every=0))
    stand.refuses = lambda order: order.place.side is Side.SELL
    stand.price("100")
    for n in range(before):
        stand.fill(stand.by_tag(BID0, flipped(BID0))[0], "0.001")
        assert len(stand.price("100", after=1)) == 1, n
    stand.fill(stand.by_tag(BID0, flipped(BID0))[0], "0.001")
    assert len(stand.price("100", after=1)) == (0 if waits else 1)
    assert stand.seat.memory.places[ASK0].refused == waits
    assert ("refused" in stand.saw()) is waits


def test_while_others_trade_a_place_that_is_refused_is_bounded_too() -> None:
    """An hour of refused asks while bids are filled each second: 30, and then ever longer waits."""
    stand = Refusing(plain())
    stand.refuses = lambda order: order.place.side is Side.SELL
    stand.price("100")
    for _ in range(3_600):
        stand.fill(stand.by_tag(BID0, flipped(BID0))[0], "0.001")
        stand.price("100")
    assert UNTRACED < len(stand.of(ASK0)) <= UNTRACED + 66


def test_a_fill_of_one_layer_does_not_hide_that_the_other_is_refused() -> None:
    """Only a move by all that is gone is taken for their fills."""
    stand = Refusing(Maker(PERP, NO_SKEW, size_tolerance="100%"))
    stand.refuses = lambda order: int(order.place.tag) & ~1 == ASK1
    stand.price("100")
    for _ in range(600):
        for order in stand.by_tag(ASK0, flipped(ASK0), BID0, flipped(BID0)):
            stand.fill(order)
        stand.price("100")
    assert len(stand.of(ASK1)) <= UNTRACED + 20


def test_a_fill_of_all_that_is_gone_ends_the_waits() -> None:
    stand = Refusing(plain(every=0))
    for n in range(3):
        stand.price("100", after=SECOND << n)
    stand.refuses = lambda _: False
    ask, _ = stand.price("100", after=4 * SECOND)
    assert stand.seat.memory.places[ASK0].refused == 3
    stand.fill(ask)
    assert len(stand.price("100", after=1)) == 1
    past = stand.seat.memory.places
    assert (past[ASK0].refused, past[ASK0].again_at, past[ASK0].doubted) == (0, 0, False)
    assert (past[BID0].refused, past[BID0].doubted) == (3, True)


def test_a_fill_of_all_that_is_gone_counts_as_a_trace() -> None:
    """After quotes that were cancelled too soon to leave one."""
    stand = Stand(plain(every=0))
    for n in range(9):
        stand.price("100" if n % 2 else "101", after=1)
    assert stand.seat.memory.places[ASK0].untraced == stand.seat.memory.places[BID0].untraced == 8
    stand.fill(stand.by_tag(ASK0, flipped(ASK0))[0])
    stand.price("101", after=1)
    assert (stand.seat.memory.places[ASK0].untraced, stand.seat.memory.places[BID0].untraced) == (0, 8)


def test_a_part_of_a_fill_says_nothing_about_a_quote_that_waits() -> None:
    """It was refused three times, and the fourth was gone while less than it was traded: it waits for as long as before."""
    stand = Refusing(plain(every=0))
    for n in range(3):
        stand.price("100", after=SECOND << n)
    stand.refuses = lambda _: False
    ask, _ = stand.price("100", after=4 * SECOND)
    stand.fill(ask, "4")
    stand.off(ask.id, "maintenance")
    assert stand.price("100", after=4 * SECOND - 1) == []
    assert stand.seat.memory.places[ASK0].refused == 3
    assert tags(stand.price("100", after=1)) == [int(ask.place.tag) ^ 1]


def test_what_the_engine_cancels_is_no_refusal() -> None:
    stand = Stand(plain())
    for n in range(100):
        assert len(stand.price("100" if n % 2 else "101")) == 2
    assert not any(one.refused or one.untraced for one in stand.seat.memory.places.values())


@pytest.mark.parametrize(("early", "seen", "refused"), [(0, True, 0), (TRACE, True, 0), (TRACE + 1, True, 1), (0, False, 0), (1, False, 1)])
def test_what_ran_out_is_no_refusal(early: int, seen: bool, refused: int) -> None:
    """What was seen to stand may run out a second early, by the venue's clock."""
    stand = Stand(Maker(PERP, QuotingParams(layers=1), every=0))
    ask, bid = stand.price("100")
    ends = ask.place.good_til or 0
    if seen:
        stand.price("100", after=TRACE)
    for order in (ask, bid):
        stand.off(order.id, "expired")
    stand.price("100", after=ends - early - stand.now)
    assert [one.refused for one in stand.seat.memory.places.values()] == [refused, refused]


@pytest.mark.parametrize(("age", "traced"), [(TRACE - 1, False), (TRACE, True)])
def test_a_quote_leaves_a_trace_when_it_is_there_after_a_second(age: int, traced: bool) -> None:
    stand = Refusing(plain(every=0))
    stand.price("100")
    stand.refuses = lambda _: False
    stand.price("100")
    assert stand.seat.memory.places[ASK0].again_at
    assert len(stand.price("101", after=age)) == len(stand.canceled) == (2 if traced else 0)
    assert (stand.seat.memory.places[ASK0].again_at == 0) is traced


def test_a_position_that_does_not_move_is_no_reason() -> None:
    stand = Refusing(plain())
    stand.refuses = lambda order: bool(order.place.tag)
    stand.price("100")
    stand.trade("14")
    stand.trade("-4")
    begin = stand.now // SECOND - START // SECOND
    for _ in range(300):
        stand.price("100")
    assert [at - begin for at in stand.of(ASK0)][:6] == [0, 1, 2, 4, 8, 16]  # the first went as the position moved
    assert len(stand.of(ASK0)) < 13


def test_after_one_that_was_cancelled_the_next_may_be_refused() -> None:
    stand = Stand(plain())
    stand.price("100")
    orders = stand.price("101")
    assert len(orders) == 2
    for order in orders:
        stand.off(order.id, "maintenance")
    stand.price("101")
    assert [one.refused for one in stand.seat.memory.places.values()] == [1, 1]


def test_a_cancel_of_the_quote_before_is_none_of_this_one() -> None:
    """It is asked for again while the next one stands, which then is gone without a reason."""
    stand = Stand(plain())
    stand.price("100")
    stand.slow = True
    orders = stand.price("101")
    for _ in range(6):
        stand.price("101")
    assert len(stand.leaving) == 4
    for order in orders:
        stand.off(order.id, "maintenance")
    stand.price("101")
    assert [one.refused for one in stand.seat.memory.places.values()] == [1, 1]


def test_an_order_in_another_market_with_the_same_tag_is_none_of_ours() -> None:
    stand = Refusing(plain())
    stand.refuses = lambda order: order.place.instrument == PERP
    stand.price("100")
    spot = stand.desk.index(SPOT)
    stand.carry(stand.desk.quote(spot, stand.now, 10_000, 10_000))
    for number in (ASK0, flipped(ASK0)):
        place = Place(SPOT, Side.BUY, SPOT.qty("1"), SPOT.price("50"), tag=str(number))
        commands = stand.desk.order(stand.sleeve, place, by="hand", at=stand.now)
        assert not isinstance(commands, Refusal)
        stand.carry(commands)
    stand.times.clear()
    for _ in range(300):
        stand.price("100")
    assert len(stand.of(ASK0)) == len(stand.of(BID0)) < 13


def test_a_quote_that_is_too_large_to_close_with_need_not_show_that_it_stands() -> None:
    stand = Refusing(plain(every=0))
    stand.refuses = lambda order: bool(order.place.tag)
    stand.price("100")
    stand.trade("3")
    for n in range(2):
        stand.price("100", after=SECOND << n)
    stand.refuses = lambda _: False
    stand.price("100", after=8 * SECOND)
    assert stand.stands == ["sell 10 at 101", "buy 10 at 99+"]
    closing(stand, "close only")
    stand.price("100", after=1)
    assert stand.stands == []


def test_a_quote_that_is_wanted_no_more_need_not_show_that_it_stands() -> None:
    """Equity became too small for a lot."""
    market = Instrument("SOL-PERP", base=SOL, quote=USD, tick="0.01", lot="1", kind=Kind.PERP)
    stand = Refusing(Maker(market, QuotingParams(activation=0, layers=1), every=0), money="1000")
    stand.price("100")
    stand.refuses = lambda _: False
    stand.price("100")
    assert (len(stand.open), stand.seat.memory.places[ASK0].doubted) == (2, True)
    stand.vault.reclaim(stand.sleeve, "500", at=stand.now)
    stand.price("100", after=1)
    assert stand.open == {}


def test_a_quote_by_hand_is_renewed_though_those_of_the_engine_were_refused() -> None:
    """As one that a human confirmed: it bears the tag of the quote."""
    stand = Refusing(plain())
    stand.refuses = lambda order: order.id not in hand
    hand: set[str] = set()
    for _ in range(5):
        stand.price("100")
    place = Place(PERP, Side.SELL, PERP.qty("10"), PERP.price("101"), tag=str(ASK0))
    commands = stand.desk.order(stand.sleeve, place, by="hand", at=stand.now)
    assert not isinstance(commands, Refusal)
    hand |= {one.order.id for one in commands if isinstance(one, SubmitOrder)}
    stand.carry(commands)
    assert stand.stands == ["sell 10 at 101"]
    stand.price("100")
    assert stand.stands == ["sell 10 at 101"]
    stand.price("102")
    assert stand.stands == []


def test_a_quote_whose_cancel_is_under_way_does_not_show_that_it_stands() -> None:
    stand = Refusing(plain(every=0, age_ns=SECOND // 2, fair_value=True))
    stand.fair("100")
    stand.price("100", after=0)
    stand.refuses, stand.slow = lambda _: False, True
    stand.fair("100", after=SECOND)
    stand.price("100", after=0)
    stand.price("100", after=SECOND // 2 + 1)
    assert len(stand.leaving) == 2
    stand.fair("100", after=1)
    stand.price("100", after=0)
    assert (stand.saw(), stand.saw("quotes")) == ("ask 0: a cancel is under way", "0 of 2 stood")


def test_after_a_restart_nothing_is_held_against_a_place() -> None:
    stand = Refusing(plain())
    for _ in range(100):
        stand.price("100")
    stand.restart()
    assert len(stand.price("100")) == 2


# -- what it is made of -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"instrument": "SOL"}, InvalidMarket),
        ({"params": {"layers": 2}}, InvalidAmount),
        ({"params": None}, InvalidAmount),
        ({"every": -1}, InvalidAmount),
        ({"every": 1.0}, InvalidAmount),
        ({"every": True}, InvalidAmount),
        ({"age_ns": 0}, InvalidAmount),
        ({"age_ns": math.nan}, InvalidAmount),
        ({"tolerance": "-0.1%"}, InvalidAmount),
        ({"tolerance": 0.1}, InvalidAmount),
        ({"tolerance": "101%"}, InvalidAmount),
        ({"size_tolerance": "-1%"}, InvalidAmount),
        ({"size_tolerance": math.inf}, InvalidAmount),
        ({"neutral": "-1%"}, InvalidAmount),
        ({"neutral": "100.1%"}, InvalidAmount),
        ({"neutral": 0.5}, InvalidAmount),
        ({"neutral": "nan"}, InvalidAmount),
        ({"instrument": PERP, "neutral": "1%"}, InvalidAmount),
        ({"price_change": "-1%"}, InvalidAmount),
        ({"fair_value": 1}, InvalidAmount),
        ({"name": ""}, InvalidMarket),
        ({"name": 3}, InvalidMarket),
    ],
)
def test_what_it_cannot_be_made_of(given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Maker(**({"instrument": SPOT} | given))


def test_the_edges_of_its_options() -> None:
    Maker(SPOT, every=0, age_ns=1, tolerance="100%", size_tolerance="0%", neutral="100%", price_change="0%")
    assert Maker(PERP, neutral="0%").flat_ppm == Maker(PERP).flat_ppm == 0
    assert Maker(SPOT).flat_ppm == 500_000


def test_it_says_its_rules_in_words() -> None:
    words = Maker(SPOT, tolerance="0.05%").describe()
    for part in (
        "maker on SOL/USD",
        "2 layers",
        "1%",
        "0.15%",
        "10% of equity",
        "50% of equity in coins",
        "60 s",
        "0.05%",
        "1000 USD",
        "1 min",
    ):
        assert part in words, part
    assert "coins it is flat" not in Maker(PERP).describe()
    assert "fair value" in Maker(PERP, fair_value=True).describe()


def test_it_tells_what_it_saw() -> None:
    stand = Stand(Maker(PERP))
    stand.price("100")
    stand.price("100")
    assert stand.engine.saw(stand.seat.memory) == {
        "price": "100",
        "equity": "10000 USD",
        "leverage": "0",
        "quotes": "4 of 4 stood",
        "why": "",
    }


def test_other_tags_are_none_of_ours() -> None:
    stand = Stand(Maker(PERP))
    stand.price("100")
    for tag in ("x", "", "2", "4294967296", "²", "-1", "00000000000"):
        place = Place(PERP, Side.BUY, PERP.qty("1"), PERP.price("50"), tag=tag)
        commands = stand.desk.order(stand.sleeve, place, by="hand", at=stand.now)
        assert not isinstance(commands, Refusal)
        stand.carry(commands)
    stand.price("100")
    stand.price("101")
    assert len([one for one in stand.open.values() if one.place.limit == 5_000]) == 7


# -- stories on the simulator -------------------------------------------------------------------------------------------------------


def noise(seed: int) -> Iterable[int]:
    """Whole numbers from -1,000 to 1,000, the same for the same seed (a linear congruential generator, Knuth's MMIX)."""
    while True:
        seed = (seed * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        yield (seed >> 33) % 2_001 - 1_000


def walk(market: Instrument, rows: int, *, seed: int, amp: int, drift_ppm: int = 0, step: int = 10 * SECOND) -> Tape:
    """Bars that swing around a price of 100 by up to `amp` millionths of it, while that price drifts."""
    draw, fair, last = iter(noise(seed)), 10_000 * PPM, 10_000
    columns: dict[str, list[str]] = {"open": [], "high": [], "low": [], "close": []}
    for _ in range(rows):
        fair += fair * drift_ppm // PPM
        close = max(1, (fair + fair * amp * next(draw) // 1_000 // PPM) // PPM)
        high = max(last, close) + 10_000 * amp * abs(next(draw)) // 2_000 // PPM
        low = max(1, min(last, close) - 10_000 * amp * abs(next(draw)) // 2_000 // PPM)
        for name, price in zip(columns, (last, high, low, close), strict=True):
            columns[name].append(market.price_text(price))
        last = close
    return Tape.from_columns(market, ts=[START + n * step for n in range(rows)], **columns)


class Run:
    """A replay of the maker over a tape, with what it stood at at each decision."""

    def __init__(self, engine: Maker, tape: Tape, rules: Rules, money: str = "10000") -> None:
        vault = CoreVault(USD, total="1000000", tradeable="1000000", at=START - SECOND)
        self.sleeve = vault.sleeve("maker", QUIET, allocate=money)
        self.desk = Desk(vault)
        self.desk.assign(engine, to=self.sleeve)
        self.levers: list[Fraction] = []
        self.most_at_a_place = 0
        self.gaps = 0
        seat = self.desk._seats["maker"]
        decide = seat.decide

        def noted(memory: Any, view: Any) -> Any:
            wishes = decide(memory, view)
            if memory.leverage is not None:
                self.levers.append(memory.leverage)
            staying = Counter(int(one.place.tag) & ~1 for one in view.orders() if one.id not in memory.asked)
            self.most_at_a_place = max([self.most_at_a_place, *staying.values()])
            return wishes

        seat.decide = noted
        self.report = replay(self.desk, tape, rules=rules, bounds=False, progress=False)
        pnl = seat.view.pnl()
        assert pnl is not None
        self.pnl = pnl
        journal = list(self.desk.books.journal)
        self.fills = [one for one in journal if isinstance(one, Fill)]
        self.placed = [one for one in journal if isinstance(one, Placed)]
        self.refusals = Counter((one.gate, one.reason) for one in journal if isinstance(one, Refusal))
        assert self.report.proof.holds

    @property
    def most_leverage(self) -> Fraction:
        return max(map(abs, self.levers))


TIGHT = QuotingParams.of(spread_min="0.2%", spread_buffer="0%")
FREE = Fees.of("0%", "0.05%")


@both
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_a_flat_market_it_earns_its_spread(market: Instrument, seed: int) -> None:
    """Prices swing by 0.2% around 100: quotes 0.2% off are hit on both sides, nearly always as maker."""
    run = Run(Maker(market, TIGHT), walk(market, 400, seed=seed, amp=2_000), Rules.of(fees=FREE))
    bought, sold = ([one for one in run.fills if one.side is side] for side in (Side.BUY, Side.SELL))
    assert len(bought) > 50 < len(sold)
    turnover = sum(one.cost for one in run.fills)
    assert run.pnl > 0
    assert 0.0005 < run.pnl / turnover < 0.002  # about the spread to the middle of what was traded
    assert all(one.liquidity is Liquidity.MAKER for one in run.fills)
    assert run.most_leverage <= Fraction(1, 2)
    assert not run.refusals


@both
@pytest.mark.parametrize("seed", [1, 2])
def test_on_the_book_of_the_simulator_it_earns_its_spread_and_skew_bounds_its_leverage(market: Instrument, seed: int) -> None:
    """Others quote 0.5% apart and take at random: its quotes stand before theirs."""
    rules = Rules.of(fees=FREE, book=Flow.seeded(seed, size="5", take_size="3", spread="0.5%"))
    run = Run(Maker(market, TIGHT), walk(market, 200, seed=seed, amp=300), rules)
    assert len(run.fills) > 100
    assert run.pnl > 0
    assert all(one.liquidity is Liquidity.MAKER for one in run.fills)
    assert run.most_leverage <= Fraction(1, 2)
    assert not run.refusals


@pytest.mark.parametrize("drift", [600, -600])
def test_in_a_trend_skew_bounds_the_leverage(drift: int) -> None:
    """0.06% a bar, against the maker all the way: with skew it stays below once its equity, without it goes far beyond that."""
    tape = walk(PERP, 300, seed=5, amp=1_000, drift_ppm=drift)
    skewed = Run(Maker(PERP, TIGHT), tape, Rules.of(fees=FREE))
    plain = Run(Maker(PERP, QuotingParams.of(spread_min="0.2%", spread_buffer="0%", skew_factor="0")), tape, Rules.of(fees=FREE))
    assert skewed.most_leverage < Fraction(3, 4) < 1 < plain.most_leverage
    assert skewed.most_leverage * 2 < plain.most_leverage
    assert skewed.pnl > plain.pnl


@both
@pytest.mark.parametrize("late", [5 * SECOND, 25 * SECOND, 2 * MINUTE])
def test_at_a_slow_venue_never_more_than_one_quote_of_a_place_stays(market: Instrument, late: int) -> None:
    rules = Rules.of(fees=FREE, latency=Latency(order_ns=late))
    run = Run(
        Maker(market, QuotingParams.of(spread_min="0.2%", spread_buffer="0%", expiry_s=600)), walk(market, 300, seed=7, amp=2_000), rules
    )
    assert run.fills
    assert run.most_at_a_place == 1
    assert run.most_leverage < 1
    assert not run.refusals


def test_the_venue_takes_quotes_off_at_their_end_and_they_are_placed_anew() -> None:
    """A price that never moves: 4 quotes stand for a minute, and are placed again at the next price under their other numbers."""
    tape = Tape.from_columns(
        PERP, ts=[START + n * 10 * SECOND for n in range(30)], **dict.fromkeys(("open", "high", "low", "close"), ["100"] * 30)
    )
    run = Run(Maker(PERP, QuotingParams(expiry_s=60)), tape, Rules.of(fees=FREE))
    assert not run.fills
    rounds = [run.placed[n : n + 4] for n in range(0, len(run.placed), 4)]
    assert [one[0].at - START for one in rounds] == [n * SECOND for n in (10, 70, 130, 190, 250)]
    ends = [one for one in run.desk.books.journal if isinstance(one, OrderUpdate) and one.status is OrderStatus.CANCELED]
    assert [one.at for one in ends] == [one.order.place.good_til for one in run.placed[: len(ends)]]
    assert len(ends) == 16
    assert [tags(one.order for one in part) for part in rounds[:2]] == [
        [ASK0, BID0, ASK1, BID1],
        [one ^ 1 for one in (ASK0, BID0, ASK1, BID1)],
    ]


def test_a_tolerance_sends_fewer_orders_for_the_same_trade() -> None:
    tape = walk(PERP, 300, seed=4, amp=200)
    exact = Run(Maker(PERP, QuotingParams.of(spread_min="0.05%", expiry_s=600)), tape, Rules.of(fees=FREE))
    loose = Run(
        Maker(PERP, QuotingParams.of(spread_min="0.05%", expiry_s=600), tolerance="0.02%", size_tolerance="1%"), tape, Rules.of(fees=FREE)
    )
    assert len(loose.placed) < len(exact.placed) * 3 // 4


@both
def test_the_same_tape_gives_the_same_journal(market: Instrument) -> None:
    tape, rules = walk(market, 100, seed=9, amp=2_000), Rules.of(fees=FREE)
    one, two = (Run(Maker(market, TIGHT), tape, rules) for _ in range(2))
    assert list(one.desk.books.journal) == list(two.desk.books.journal)


def test_paused_in_the_middle_of_a_market_it_ends_flat() -> None:
    """A maker that is short, or long, when it is paused quotes itself flat, and then nothing."""
    stand = Stand(Maker(PERP, TIGHT))
    draw = iter(noise(3))
    for n in range(400):
        price = 10_000 + next(draw) // 40
        for order in list(stand.open.values()):
            limit = order.place.limit or 0
            if (limit > price) if order.place.side is Side.BUY else (limit < price):
                stand.fill(order)
        stand.at(price, price)
        if n > 200 and stand.sleeve.status is Status.ACTIVE and stand.seat.view.position(PERP):
            closing(stand, "paused")
    assert stand.sleeve.status is Status.PAUSED
    assert stand.sleeve.is_flat()
    assert stand.open == {}
    assert stand.desk.check().holds


@law
@given(st.integers(1, 10**9), st.integers(0, 8))
def test_law_any_book_is_quoted_or_told_why_not(bid: int, width: int) -> None:
    """From one price unit up: never an order that the desk would refuse, never an exception."""
    stand = Stand(Maker(PERP))
    stand.at(bid, bid + width)
    assert len(stand.open) == stand.seat.memory.wanted or stand.saw()
    assert not [one for one in stand.vault.books.journal if isinstance(one, Refusal)]
