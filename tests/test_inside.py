"""Two sleeves on opposite sides: refused where one rests, crossed inside between bid and ask, each fill to its own sleeve."""

from __future__ import annotations

import pytest

from helpers import Puppet
from sleeves import FLASH, QUIET, SOL, USDC, Books, Bundle, CoreVault, Desk, Instrument, Place, Side, Treasury
from sleeves.errors import InvalidAmount, VaultError
from sleeves.inside import SelfTrade
from sleeves.journal import Memory
from sleeves.market import SECOND, Kind
from sleeves.money import Rounding
from sleeves.orders import Accepted, Fill, Liquidity, OrderStatus, Position, SubmitOrder, TimeInForce
from sleeves.records import Crossed, Refusal
from sleeves.report import fold
from standing import reopened

SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.05")
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)


class House:
    def __init__(self, **terms):
        self.vault = CoreVault(USDC, total="20000", tradeable="15000")
        self.a, self.b = (self.vault.sleeve(name, QUIET, allocate="5000") for name in "ab")
        self.desk = Desk(self.vault, **terms)
        self.engines = [Puppet(SPOT, f"puppet-{name}") for name in "ab"]
        for engine, sleeve in zip(self.engines, (self.a, self.b), strict=True):
            engine.watches = (SPOT, PERP)
            self.desk.assign(engine, to=sleeve)
        self.now = self.trades = 0
        self.quote(PERP)
        self.quote()

    def quote(self, market=SPOT, bid="150", ask="150.10"):
        self.now += SECOND
        index = self.desk.index(market)
        commands = self.desk.quote(index, self.now, market.price(bid), market.price(ask))
        return [command.order for command in commands if isinstance(command, SubmitOrder)]

    def wish(self, a=None, b=None, **prices):
        for engine, wish in zip(self.engines, (a, b), strict=True):
            engine.wishes = [] if wish is None else [wish]
        return self.quote(**prices)

    def fill(self, order, price):
        place, market, self.trades = order.place, order.place.instrument, self.trades + 1
        cost = market.cost(market.price(price), place.qty, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
        trade = f"t{self.trades}"
        fee = USDC.zero
        self.desk.step(Fill(order.id, self.now, market, place.side, place.qty, market.price(price), cost, fee, Liquidity.TAKER, trade, "v"))

    def own(self, sleeve, qty, market=SPOT):
        """The sleeve buys, at the venue."""
        engine = self.engines[0] if sleeve is self.a else self.engines[1]
        engine.wishes = [Place(market, Side.BUY, market.qty(qty))]
        self.fill(self.quote(market)[0], "150.10")

    def records(self, kind):
        return [record for record in self.desk.books.journal if isinstance(record, kind)]


def buy(qty, market=SPOT, **terms):
    return Place(market, Side.BUY, market.qty(qty), **terms)


def sell(qty, market=SPOT, **terms):
    return Place(market, Side.SELL, market.qty(qty), **terms)


# -- crossed inside --------------------------------------------------------------------------------------------------------


def test_what_two_engines_want_of_each_other_is_traded_inside_at_the_middle():
    h = House(self_trade="cross")
    h.own(h.b, "4")
    before = h.b.free
    assert h.wish(a=buy("4"), b=sell("4")) == []
    assert (h.a.position(SPOT), h.b.position(SPOT)) == (SOL("4"), SOL("0"))
    crossed = h.records(Crossed)[-1]
    assert (SPOT.price_text(crossed.price), SPOT.qty_text(crossed.qty)) == ("150.05", "4")
    assert USDC.units(crossed.saved) == USDC("0.40")
    assert h.a.free == USDC("5000") - USDC("600.20")
    assert h.b.free == before + USDC("600.20")
    assert h.a.fees == h.b.fees == USDC.zero
    assert h.b.realized == USDC("600.20") - USDC("600.40")
    assert h.a.held == h.b.held == USDC.zero
    coins = {"USDC": USDC("20000") - USDC("600.40"), "SOL": SOL("4")}
    assert h.desk.check(coins, deep=True).holds


@pytest.mark.parametrize(("a", "b", "inside", "rest"), [("4", "1", "1", ("a", "3")), ("1", "4", "1", ("b", "3")), ("1.02", "1", "1", None)])
def test_only_what_is_left_over_goes_to_the_venue(a, b, inside, rest):
    """And not what is less than the venue takes: 0.02 SOL here."""
    h = House(self_trade="cross")
    h.own(h.b, "10")
    sent = h.wish(a=buy(a), b=sell(b))
    assert SPOT.qty_text(h.records(Crossed)[-1].qty) == inside
    assert [(order.sleeve, SPOT.qty_text(order.place.qty)) for order in sent] == ([] if rest is None else [rest])
    assert len(h.desk.open_orders()) == len(sent)
    assert h.desk.check(deep=True).holds


@pytest.mark.parametrize(("cross_at", "price"), [("0%", "150"), ("25%", "150.02"), ("50%", "150.05"), ("100%", "150.1")])
def test_the_saving_is_split_by_rule(cross_at, price):
    h = House(self_trade="cross", cross_at=cross_at)
    h.own(h.b, "4")
    h.wish(a=buy("4"), b=sell("4"))
    assert SPOT.price_text(h.records(Crossed)[-1].price) == price


def test_contracts_are_crossed_too_and_each_owns_its_slice():
    h = House(self_trade="cross")
    h.engines[0].watches = h.engines[1].watches
    assert h.wish(a=buy("4", PERP), b=sell("4", PERP)) == []
    assert (h.a.position(PERP), h.b.position(PERP)) == (SOL("4"), SOL("-4"))
    assert h.desk.check({"USDC": USDC("20000")}, positions={"SOL-PERP": Position(PERP, 0, 0)}).holds
    assert h.wish(a=sell("4", PERP, reduce_only=True), b=buy("4", PERP, reduce_only=True), bid="160", ask="160.10") == []
    assert h.a.realized + h.b.realized == USDC.zero
    assert h.desk.check(deep=True).holds


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (buy("4", limit=15_004), sell("4")),
        (buy("4"), sell("4", limit=15_006)),
        (buy("4", limit=15_010, post_only=True), sell("4")),
        (buy("4"), sell("4", stop=14_000)),
        (Bundle((buy("4"), sell("4", PERP))), sell("4")),
        (buy("4"), buy("4")),
    ],
)
def test_what_cannot_be_done_inside_goes_to_the_venue(a, b):
    """A limit beyond the middle, an order that rests by its terms, a leg of a bundle, the same side twice."""
    h = House(self_trade="cross")
    h.own(h.b, "4")
    h.wish(a=a, b=b)
    assert not h.records(Crossed)


@pytest.mark.parametrize("policy", ["allow", "refuse"])
def test_nothing_is_crossed_unless_asked_for(policy):
    h = House(self_trade=policy)
    h.own(h.b, "4")
    assert len(h.wish(a=buy("4"), b=sell("4"))) == 2
    assert not h.records(Crossed)


def test_vaults_of_two_wallets_never_trade_inside():
    treasury = CoreVault(USDC, total="20000", tradeable="15000", wallet="one")
    other = CoreVault(USDC, total="20000", tradeable="15000", wallet="two", books=treasury.books)
    desk = Desk(treasury, other, self_trade="cross")
    engines = [Puppet(SPOT, "x"), Puppet(SPOT, "y")]
    for engine, vault in zip(engines, (treasury, other), strict=True):
        desk.assign(engine, to=vault.sleeve(engine.name, QUIET, allocate="5000"))
    desk.quote(0, SECOND, 15_000, 15_010)
    engines[0].wishes = [buy("4")]
    sent = [c.order for c in desk.quote(0, 2 * SECOND, 15_000, 15_010)]
    order = sent[0]
    desk.step(
        Fill(order.id, 2 * SECOND, SPOT, Side.BUY, order.place.qty, 15_010, USDC("600.40").units, USDC.zero, Liquidity.TAKER, "t", "v")
    )
    engines[0].wishes, engines[1].wishes = [sell("4")], [buy("4")]
    assert len(desk.quote(0, 3 * SECOND, 15_000, 15_010)) == 2


def test_a_restart_knows_what_was_done_inside():
    h = House(self_trade="cross")
    h.own(h.b, "4")
    h.wish(a=buy("3"), b=sell("4"))
    again = reopened(h.desk, self_trade="cross")
    sleeves = again.treasury.vaults[0].sleeves
    assert (sleeves["a"].position(SPOT), sleeves["b"].position(SPOT)) == (SOL("3"), SOL("1"))
    assert [order.place.qty for order in again.open_orders()] == [SPOT.qty("1")]
    assert again.check(deep=True).holds


# -- refused ---------------------------------------------------------------------------------------------------------------


def resting(h, place):
    """B has an order resting at the venue."""
    order = h.wish(b=place)[0]
    h.desk.step(Accepted(order.id, h.now, "x"))
    return order


@pytest.mark.parametrize("policy", ["refuse", "cross"])
@pytest.mark.parametrize(
    ("rests", "comes", "met"),
    [
        (sell("1", limit=15_015), buy("1"), True),
        (sell("1", limit=15_015), buy("1", limit=15_015), True),
        (sell("1", limit=15_015), buy("1", limit=15_014), False),
        (sell("1", limit=16_000), buy("1"), False),
        (buy("1", limit=14_995), sell("1", PERP), False),
        (sell("1", PERP, limit=15_015), buy("1", PERP), True),
        (buy("1", PERP, limit=14_995), sell("1", PERP, limit=14_995), True),
        (buy("1", PERP, limit=14_995), sell("1", PERP, limit=14_996), False),
    ],
)
def test_an_order_that_would_meet_another_sleeves_is_refused(policy, rests, comes, met):
    h = House(self_trade=policy)
    h.own(h.b, "4")
    order = resting(h, rests)
    sent = h.wish(a=comes)
    assert len(sent) == (0 if met else 1)
    if met:
        refusal = h.records(Refusal)[-1]
        assert (refusal.gate, refusal.reason) == ("self_trade", "self_trade")
        assert (refusal.numbers["other"], refusal.numbers["order"]) == ("b", order.id)


def test_it_is_the_default_and_can_be_left_out():
    assert len(_meets(House())) == 0
    assert len(_meets(House(self_trade=SelfTrade.ALLOW))) == 1


def _meets(h):
    h.own(h.b, "4")
    resting(h, sell("1", limit=15_015))
    return h.wish(a=buy("1"))


def test_an_exit_is_never_held_up_by_it():
    """A sale at market goes out although another sleeve bids what it would get."""
    h = House()
    h.own(h.a, "4")
    order = resting(h, buy("1", limit=15_000))
    assert h.desk.status_of(order.id) is OrderStatus.OPEN
    assert len(h.wish(a=sell("4"))) == 1


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"self_trade": "maybe"}, VaultError),
        ({"cross_at": "101%"}, VaultError),
        ({"cross_at": "NaN"}, InvalidAmount),
        ({"cross_at": "-1%"}, VaultError),
    ],
)
def test_what_is_no_policy_is_refused(terms, error):
    with pytest.raises(error):
        House(**terms)


# -- what a reviewer broke -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("market", [SPOT, PERP])
def test_killed_at_any_post_both_fills_are_booked_or_neither(market, monkeypatch):
    """The venue knows nothing of a trade inside: half of one could never be made good."""
    h = House(self_trade="cross")
    h.own(h.b, "4")
    cuts, append = [], Memory.append

    def noted(journal, *records):
        append(journal, *records)
        cuts.append(len(journal))

    monkeypatch.setattr(Memory, "append", noted)
    h.wish(a=buy("4", market), b=sell("4", market))
    monkeypatch.undo()
    lines, coins = list(h.desk.books.journal.lines()), {"USDC": USDC("20000") - USDC("600.40"), "SOL": SOL("4")}
    assert len(cuts) > 2
    for cut in cuts:
        treasury = Treasury.reopen(Books(Memory.read(lines[:cut])))
        proof = Desk(*treasury.vaults).check(coins, positions={"SOL-PERP": Position(PERP, 0, 0)})
        assert proof.holds, f"after {cut} records: {proof}"


def test_an_order_that_is_being_canceled_is_not_traded_inside():
    """Its engine raised in the same step: the sleeve only closes from here on."""
    h = House(self_trade="cross")
    h.own(h.b, "4")
    h.engines[0].wishes = [buy("4"), "garbage"]
    h.engines[1].wishes = [sell("1")]
    sent = h.quote()
    assert not h.records(Crossed)
    assert h.a.position(SPOT) == SOL("0")
    assert [order.sleeve for order in sent] == ["a", "b"]


def test_what_is_left_over_passes_the_gates_again():
    """A Flash sleeve that the trade inside made flat has swept its profit: the rest of its order has no money any more."""
    vault = CoreVault(USDC, total="40000", tradeable="30000")
    a, b = vault.sleeve("a", FLASH, allocate="5000"), vault.sleeve("b", QUIET, allocate="9000")
    desk, engines = Desk(vault, self_trade="cross"), [Puppet(PERP, "x"), Puppet(PERP, "y")]
    for engine, sleeve in zip(engines, (a, b), strict=True):
        engine.watches = (PERP, SPOT)
        desk.assign(engine, to=sleeve)
    step = iter(range(1, 100))

    def quote(market, price, *wishes):
        for engine, wish in zip(engines, (*wishes, None, None), strict=False):
            engine.wishes = [] if wish is None else [wish]
        return desk.quote(desk.index(market), next(step) * SECOND, market.price(price), market.price(price))

    def fill(commands, price):
        order = commands[0].order
        market, place = order.place.instrument, order.place
        cost, at = market.cost(market.price(price), place.qty, Rounding.CEIL), desk.books.now
        trade = f"t{next(step)}"
        desk.step(Fill(order.id, at, market, place.side, place.qty, market.price(price), cost, USDC.zero, Liquidity.TAKER, trade, "v"))

    quote(PERP, "150")
    quote(SPOT, "150")
    fill(quote(SPOT, "150", buy("4")), "150")
    fill(quote(PERP, "150", sell("10", PERP)), "150")
    fill(quote(SPOT, "400", sell("4")), "400")
    assert a.returned == USDC.zero
    sent = quote(PERP, "150", buy("350", PERP), sell("10", PERP))
    assert a.returned > USDC.zero
    assert sent == []
    assert a.position(PERP) == SOL("0")
    assert [r.gate for r in desk.books.journal if isinstance(r, Refusal)][-1] in ("funds", "margin")
    assert desk.check(deep=True).holds


def test_what_is_left_over_is_no_lost_order():
    h = House(self_trade="cross")
    h.own(h.b, "10")
    h.wish(a=buy("4"), b=sell("1"))
    assert not fold(h.desk.books.journal).sleeves["a"].lost


def test_fill_or_kill_trades_inside_only_where_the_other_side_covers_all_of_it():
    for theirs, left in (("4", ["a-1", "b-2"]), ("10", []), ("12", ["b-3"])):
        h = House(self_trade="cross")
        h.own(h.b, "12")
        orders = h.wish(a=buy("10", limit=SPOT.price("150.10"), tif=TimeInForce.FOK), b=sell(theirs))
        assert [order.id for order in orders] == left, theirs
        assert h.a.position(SPOT) == (SOL("0") if theirs == "4" else SOL("10"))
