"""What the driver thinks without a wire: an order as Kraken takes it, fills as the ledger makes them, and what is told once."""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from kraken_stand import ether

from sleeves import ETH, USD, Amount, Asset, Instrument, Place
from sleeves.errors import InvalidAmount
from sleeves.facts import FlowKind
from sleeves.market import SECOND, Kind, Perpetual
from sleeves.orders import Accepted, Canceled, Fill, Liquidity, Order, OrderStatus, Rejected, Side, TimeInForce
from sleeves.venues.ids import ClientIds
from sleeves.venues.kraken.client import LedgerLine, OrderInfo
from sleeves.venues.kraken.ledger import Execution, estimate_of, fill_of, flow_kind, flows_of
from sleeves.venues.kraken.names import Names
from sleeves.venues.kraken.statements import Statement
from sleeves.venues.kraken.tickets import objection, rfc3339, ticket
from sleeves.venues.kraken.watch import Watch, figure, instant, report_of
from strategies import heavy, law

ASSETS = {
    "XETH": {"altname": "ETH", "decimals": 10},
    "ZUSD": {"altname": "USD", "decimals": 4},
    "KFEE": {"altname": "FEE", "decimals": 2},
}
PAIRS = {
    "XETHZUSD": {
        "altname": "ETHUSD",
        "wsname": "ETH/USD",
        "base": "XETH",
        "quote": "ZUSD",
        "pair_decimals": 2,
        "lot_decimals": 8,
        "cost_decimals": 5,
        "ordermin": "0.002",
        "costmin": "0.5",
        "tick_size": "0.01",
        "status": "online",
    }
}
NAMES = Names(ASSETS, PAIRS)
PAIR = NAMES.pair("ETH/USD")
IDS = ClientIds()
BEGIN = 1_790_000_000 * SECOND


def an_order(number=1, side=Side.BUY, qty="0.1", worst=None, market=ether, **terms):
    prices = {name: market.price(terms[name]) for name in ("limit", "stop") if name in terms}
    place = Place(market, side, market.qty(qty), **(terms | prices))
    return Order(f"flash-{number}", "flash", place, BEGIN, None if worst is None else worst)


# -- an order as Kraken takes it ---------------------------------------------------------------------------------------------------

TICKETS = [
    ({}, {"ordertype": "market"}),
    ({"side": Side.SELL}, {"ordertype": "market", "type": "sell"}),
    ({"worst": 250_123}, {"ordertype": "limit", "price": "2501.23", "timeinforce": "IOC"}),
    ({"worst": 250_123, "tif": TimeInForce.FOK}, {"ordertype": "limit", "price": "2501.23", "timeinforce": "FOK"}),
    ({"tif": TimeInForce.IOC}, {"ordertype": "market"}),
    ({"tif": TimeInForce.FOK}, {"ordertype": "market", "timeinforce": "FOK"}),
    ({"limit": "2400.5"}, {"ordertype": "limit", "price": "2400.5"}),
    ({"limit": "2400", "worst": 240_000}, {"ordertype": "limit", "price": "2400"}),
    ({"limit": "2400", "tif": TimeInForce.IOC}, {"ordertype": "limit", "price": "2400", "timeinforce": "IOC"}),
    ({"limit": "2400", "tif": TimeInForce.FOK}, {"ordertype": "limit", "price": "2400", "timeinforce": "FOK"}),
    ({"limit": "2400", "post_only": True}, {"ordertype": "limit", "price": "2400", "oflags": "fciq,post"}),
    (
        {"limit": "2400", "good_til": BEGIN + SECOND - 1},
        {"ordertype": "limit", "price": "2400", "timeinforce": "GTD", "expiretm": "1790000000"},
    ),
    (
        {"limit": "2400", "good_til": BEGIN + SECOND},
        {"ordertype": "limit", "price": "2400", "timeinforce": "GTD", "expiretm": "1790000001"},
    ),
    ({"stop": "2300", "side": Side.SELL}, {"ordertype": "stop-loss", "price": "2300", "type": "sell"}),
    ({"stop": "2700", "worst": 275_000}, {"ordertype": "stop-loss-limit", "price": "2700", "price2": "2750"}),
    ({"stop": "2700", "limit": "2710", "worst": 271_000}, {"ordertype": "stop-loss-limit", "price": "2700", "price2": "2710"}),
    ({"side": Side.SELL, "reduce_only": True}, {"ordertype": "market", "type": "sell"}),
    ({"qty": "0.00000001"}, {"ordertype": "market", "volume": "0.00000001"}),
    ({"qty": "123456789"}, {"ordertype": "market", "volume": "123456789"}),
]


@pytest.mark.parametrize(("terms", "args"), TICKETS)
def test_an_order_as_addorder_takes_it(terms, args):
    order = an_order(**terms)
    usual = {"pair": "ETHUSD", "type": "buy", "volume": "0.1", "oflags": "fciq", "cl_ord_id": IDS.uuid(order.id)}
    assert ticket(order, PAIR, IDS.uuid(order.id)) == usual | args
    assert ticket(order, PAIR, IDS.uuid(order.id), BEGIN) == usual | args | {"deadline": "2026-09-21T14:13:20.000Z"}


@law
@given(st.integers(1, 10**9), st.sampled_from(Side), st.sampled_from(["0.01", "0.05", "0.25"]))
def test_a_worst_price_is_put_on_the_tick_and_never_beyond_itself(worst, side, tick):
    market = evolve(ether, tick=tick)
    args = ticket(an_order(side=side, worst=worst, market=market), PAIR, "id")
    price = market.price(args["price"])  # it is on the tick
    if worst >= market.tick_units:
        assert (worst - price) * side.sign >= 0 and abs(worst - price) < market.tick_units


@law
@given(st.integers(0, 2**62))
def test_an_instant_is_written_in_whole_milliseconds_and_read_back(at):
    assert instant(rfc3339(at % (4 * 10**18))) == at % (4 * 10**18) // 1_000_000 * 1_000_000


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-20T23:40:00Z", 1_795_218_000 * SECOND),
        ("2026-11-20T23:40:00.1Z", 1_795_218_000 * SECOND + 100_000_000),
        ("2026-11-20T23:40:00.123456789Z", 1_795_218_000 * SECOND + 123_456_789),
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-20T23:40:00", None),
        ("2026-11-20T23:40:00.1234567890Z", None),
        ("2026-11-20T23:40:00.12x4Z", None),
        ("2026-13-20T23:40:00Z", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_times_of_a_report(text, at):
    assert instant(text) == at


@pytest.mark.parametrize(
    ("value", "found"), [(1, 1), ("2.50", Decimal("2.50")), (Decimal("0"), 0), (True, None), (None, None), ("x", None)]
)
def test_figures_of_a_report(value, found):
    assert figure(value) == found
    assert figure(Decimal("NaN")) is None and figure("Infinity") is None and figure(1.5) is None


def test_what_speaks_against_an_order():
    perp = Instrument("ETH/USD", base=ETH, quote=USD, kind=Kind.PERP, contract=Perpetual(), venue="kraken", lot="0.00000001")
    assert objection(an_order().place, ether) is None
    assert "lot" in objection(Place(ether, Side.BUY, 1), ether)
    assert "tick" in objection(Place(evolve(ether, tick="0.05"), Side.BUY, 100, limit=1), evolve(ether, tick="0.05"))
    assert "reduce" in objection(an_order(reduce_only=True).place, ether)
    for other in (
        perp,
        evolve(ether, base=Asset("ETH", 9)),
        evolve(ether, quote=Asset("USD", 4)),
        evolve(ether, tick="0.001"),
        evolve(ether, venue="x"),
    ):
        assert "another instrument" in objection(Place(other, Side.SELL, other.lot_units), ether)


# -- fills of the ledger -------------------------------------------------------------------------------------------------------------


def line(asset, amount, fee="0", refid="T1", kind="trade", subtype="", at=BEGIN, name=None):
    return LedgerLine(
        name or f"L{asset}{amount}{fee}", refid, at, kind, subtype, "currency", asset, Decimal(amount), Decimal(fee), Decimal(0)
    )


def execution(side=Side.BUY, price="2400", qty="0.1", **terms):
    return Execution("T1", "O1", BEGIN, ether, side, Decimal(price), Decimal(qty), **terms)


BUY = (line("XETH", "0.1000000000"), line("ZUSD", "-240.0001", "0.9601", at=BEGIN + 5))

LINES = [
    (Side.BUY, BUY, ("0.1", "240.0001", USD("0.9601"))),
    (Side.BUY, BUY[::-1], ("0.1", "240.0001", USD("0.9601"))),
    (Side.SELL, (line("XETH", "-0.1"), line("ZUSD", "240", "0.96")), ("0.1", "240", USD("0.96"))),
    (Side.SELL, (line("XETH", "-0.04"), line("ETH.F", "-0.06"), line("ZUSD", "240", "0.96")), ("0.1", "240", USD("0.96"))),
    (Side.BUY, (line("XETH", "0.1", "0.0004"), line("ZUSD", "-240")), ("0.1", "240", ETH("0.0004"))),
    (Side.BUY, (line("XETH", "0.1"), line("ZUSD", "-240", "-0.05")), ("0.1", "240", USD("-0.05"))),
    (Side.BUY, (line("XETH", "0.1"), line("ZUSD", "-240"), line("KFEE", "0", "96.00")), ("0.1", "240", Asset("FEE", 2)("96"))),
    (Side.BUY, (line("XETH", "0.1"), line("ZUSD", "-240", "0.5"), line("KFEE", "0", "40")), ("0.1", "240", USD("0.5"))),
    (Side.BUY, (), None),
    (Side.BUY, BUY[:1], None),
    (Side.BUY, BUY[1:], None),
    (Side.SELL, BUY, None),
]


@pytest.mark.parametrize(("side", "lines", "makes"), LINES)
def test_the_fill_that_a_trades_ledger_lines_make(side, lines, makes):
    fill = fill_of(execution(side, maker=True), "flash-1", lines, NAMES, "kraken")
    if makes is None:
        assert fill is None
        return
    qty, cost, fee = makes
    assert (fill.qty, fill.cost, fill.fee) == (ETH(qty).units, USD(cost).units, fee)
    assert (fill.order_id, fill.trade_id, fill.venue, fill.side, fill.liquidity) == ("flash-1", "T1", "kraken", side, Liquidity.MAKER)
    assert fill.at == min(one.at for one in lines if one.asset == "ZUSD") and fill.price == ether.price("2400")


def test_the_fill_of_a_trade_that_costs_less_than_the_ledger_can_write():
    lines = line("XETH", "0.0000000001"), line("ZUSD", "0.0000")
    fill = fill_of(execution(qty="0.0000000001"), "flash-1", lines, NAMES, "kraken")
    assert (fill.qty, fill.cost, fill.fee) == (ETH("0.0000000001").units, 0, USD("0"))


COINS = (line("XETH", "-0.04", name="L1"), line("ETH.F", "-0.06", name="L2"), line("ZUSD", "240", "0.96", name="L3"))
MONEY = (line("XETH", "0.1", name="L1"), line("ZUSD", "-140", "0.96", name="L2"), line("USD.F", "-100", name="L3"))


@pytest.mark.parametrize(("side", "lines"), [(Side.SELL, COINS), (Side.BUY, MONEY)])
def test_a_part_of_a_trades_lines_makes_no_fill(side, lines):
    """A trade that draws on two wallets has two lines of a coin, of which one may be written later than the others."""
    for n in range(1, 8):
        some = [one for bit, one in enumerate(lines) if n >> bit & 1]
        fill = fill_of(execution(side), "flash-1", some, NAMES, "kraken")
        assert (fill is not None) is (len(some) == 3), some
    assert (fill.qty, fill.cost, fill.fee) == (ETH("0.1").units, USD("240").units, USD("0.96"))


def test_a_fill_waits_for_every_line_that_its_trade_names():
    lines = (*BUY, line("KFEE", "0", "96.00", name="L3"))
    named = tuple(one.id for one in lines)
    assert fill_of(execution(ledgers=named), "flash-1", BUY, NAMES, "kraken") is None
    assert fill_of(execution(ledgers=named), "flash-1", lines, NAMES, "kraken").fee == USD("0.9601")


@pytest.mark.parametrize(
    ("amount", "cost", "whole"),
    [
        ("-240.0001", None, True),
        ("-240.0002", None, False),
        ("-239.9999", None, True),
        ("-239.9998", None, False),
        ("-240.0050", "240.00501", True),
        ("-240.0050", "240.00512", False),
        ("-239", None, False),
        ("-239.9", None, False),
    ],
)
def test_what_a_trade_moved_of_its_money_is_its_price_or_its_cost_but_for_a_rounding(amount, cost, whole):
    lines = line("XETH", "0.1"), line("ZUSD", amount)
    trade = execution(cost=None if cost is None else Decimal(cost))
    assert (fill_of(trade, "flash-1", lines, NAMES, "kraken") is not None) is whole


def test_an_estimate_is_the_trades_own_figures_and_is_never_rounded():
    whole = execution(cost=Decimal("240.00012"), fees=(("ZUSD", Decimal("0.9")), ("USD", Decimal("0.06"))))
    fill = estimate_of(whole, "O1", NAMES, "kraken")
    assert (fill.cost, fill.fee, fill.at) == (USD("240.00012").units, USD("0.96"), BEGIN)
    assert estimate_of(execution(), "O1", NAMES, "kraken") is None
    assert estimate_of(execution(cost=Decimal("240"), fees=None), "O1", NAMES, "kraken") is None
    assert estimate_of(execution(cost=Decimal(1), fees=(("ZUSD", Decimal(1)), ("XETH", Decimal(1)))), "O1", NAMES, "kraken") is None
    with pytest.raises(InvalidAmount, match="240"):
        estimate_of(execution(cost=Decimal("240.0001234")), "O1", NAMES, "kraken")
    with pytest.raises(InvalidAmount):
        fill_of(execution(), "O1", (line("XETH", "0.1"), line("ZUSD", "-240.0000001")), NAMES, "kraken")


@pytest.mark.parametrize(
    ("kind", "subtype", "found"),
    [
        ("trade", "", FlowKind.TRADE),
        ("spend", "", FlowKind.TRADE),
        ("receive", "dustsweeping", FlowKind.DUST),
        ("deposit", "", FlowKind.DEPOSIT),
        ("withdrawal", "", FlowKind.WITHDRAWAL),
        ("transfer", "spottofutures", FlowKind.WITHDRAWAL),
        ("transfer", "spotfromfutures", FlowKind.DEPOSIT),
        ("transfer", "spottostaking", FlowKind.EARN),
        ("transfer", "", FlowKind.OTHER),
        ("earn", "reward", FlowKind.REWARD),
        ("earn", "autoallocation", FlowKind.EARN),
        ("earn", "", FlowKind.EARN),
        ("staking", "", FlowKind.REWARD),
        ("rollover", "", FlowKind.FUNDING),
        ("margin", "", FlowKind.SETTLEMENT),
        ("settled", "", FlowKind.SETTLEMENT),
        ("nftrebate", "", FlowKind.REWARD),
        ("adjustment", "", FlowKind.OTHER),
        ("what is new", "", FlowKind.OTHER),
    ],
)
def test_why_a_line_moved_coins(kind, subtype, found):
    assert flow_kind(kind, subtype) is found


wallets = st.sampled_from(["XETH", "ZUSD", "ETH.F", "ETH.S", "ETH07.S", "ETH.M"])
cents = st.integers(-(10**8), 10**8).map(lambda units: str(Decimal(units) / 10_000))
types = st.sampled_from([("trade", ""), ("deposit", ""), ("earn", "allocation"), ("adjustment", ""), ("transfer", "spottostaking")])


@law
@given(st.lists(st.tuples(wallets, cents, cents, types, st.integers(0, 9))))
def test_flows_sum_to_what_the_counted_wallets_changed_by(rows):
    lines = [
        line(wallet, amount, fee, refid=f"T{at}", kind=kind, subtype=subtype, at=BEGIN + at, name=f"L{n}")
        for n, (wallet, amount, fee, (kind, subtype), at) in enumerate(rows)
    ]
    fill = fill_of(execution(), "flash-1", BUY, NAMES, "kraken")
    flows = flows_of(lines, {"T1": fill}, NAMES, "kraken")
    sums = {}
    for flow in flows:
        sums[flow.amount.asset] = sums.get(flow.amount.asset, 0) + flow.amount.units
    expected = {}
    for one in lines:
        if NAMES.wallet(one.asset).counted:
            asset = NAMES.wallet(one.asset).asset
            expected[asset] = expected.get(asset, 0) + asset(one.amount - one.fee).units
    assert {asset: units for asset, units in sums.items() if units} == {asset: units for asset, units in expected.items() if units}
    assert len({flow.id for flow in flows}) == len(flows) and all(flow.amount.units for flow in flows)
    assert {flow.ref for flow in flows} <= {"", fill.key} and [flow.at for flow in flows] == sorted(flow.at for flow in flows)
    named = [flow for flow in flows if flow.ref]
    assert all(flow.kind in (FlowKind.TRADE, FlowKind.FEE) for flow in named)


# -- what is told, each once -----------------------------------------------------------------------------------------------------------


class House:
    """A watch and what it told; fills are made as soon as a trade waits, at the report's own figures."""

    def __init__(self):
        self.told = []
        self.watch = Watch(IDS, NAMES, {}, self.told.append, lambda: BEGIN + 999 * SECOND)

    def make(self):
        for trade in list(self.watch.pending.values()):
            if trade.order not in self.watch.strange:
                track = self.watch.at(trade.order)
                self.watch.fill(estimate_of(trade, track.order_id or trade.order, NAMES, "kraken"), trade)


def stamped(second):
    return rfc3339(BEGIN + second * SECOND)


def life(order, parts, end, txid="O1", client_id=True):
    """The reports of an order, in order: pending, new, its trades, its end."""
    ours = {"cl_ord_id": IDS.uuid(order.id)} if client_id else {}
    terms = {"symbol": "ETH/USD", "side": "buy", "order_qty": Amount(order.place.qty, ETH).decimal}
    made = [
        {"order_id": txid, **ours, **terms, "exec_type": "pending_new", "order_status": "pending_new", "timestamp": stamped(1)},
        {"order_id": txid, **ours, "exec_type": "new", "order_status": "new", "timestamp": stamped(1)},
    ]
    for number, qty in enumerate(parts, 1):
        trade = {"exec_id": f"T{number}", "last_qty": qty, "last_price": Decimal("2400"), "cost": qty * 2400, "liquidity_ind": "t"}
        fees = {"fees": [{"asset": "USD", "qty": Decimal("0.01")}]}
        made.append(
            {
                "order_id": txid,
                **terms,
                **trade,
                **fees,
                "exec_type": "trade",
                "order_status": "partially_filled",
                "timestamp": stamped(1 + number),
            }
        )
    ended = {"order_id": txid, "exec_type": end, "order_status": end, "cum_qty": sum(parts, Decimal(0)), "timestamp": stamped(9)}
    return [*made, ended | ({"reason": "User requested"} if end == "canceled" else {})]


@heavy
@given(
    st.lists(st.integers(1, 5), max_size=4),
    st.sampled_from(["filled", "canceled", "expired"]),
    st.data(),
)
def test_however_often_and_in_whatever_order_reports_come_each_thing_is_told_once(parts, end, data):
    """Behind the first report, which says whose order it is; and whenever the fills are made."""
    parts = [Decimal(part) / 100 for part in parts]
    total = sum(parts, Decimal(0))
    qty = total if end == "filled" and parts else total + 1
    end = end if parts or end != "filled" else "canceled"
    order = an_order(qty=str(qty))
    first, *rest = life(order, parts, end)
    rest = data.draw(st.permutations(rest + data.draw(st.lists(st.sampled_from(rest), max_size=4))))
    house = House()
    house.watch.sent(order, BEGIN)
    house.watch.answered(house.watch.of(order.id), "O1" if data.draw(st.booleans()) else "")
    for item in (first, *rest):
        house.watch.report(item)
        if data.draw(st.booleans()):
            house.make()
    house.make()
    fills = [event for event in house.told if isinstance(event, Fill)]
    assert sorted(fill.trade_id for fill in fills) == [f"T{n}" for n in range(1, len(parts) + 1)]
    assert {fill.order_id for fill in fills} <= {order.id}
    assert len([event for event in house.told if isinstance(event, Accepted)]) <= 1
    canceled = [event for event in house.told if isinstance(event, Canceled)]
    assert len(canceled) == (end != "filled") and not [event for event in house.told if isinstance(event, Rejected)]
    if canceled:
        assert house.told[-1] is canceled[0] and canceled[0].at >= max((fill.at for fill in fills), default=0)
    if fills and (accepted := [event for event in house.told if isinstance(event, Accepted)]):
        assert house.told[0] is accepted[0]
    assert not house.watch.busy and house.watch.of(order.id).done and not house.watch.unfinished()


def test_an_end_waits_for_a_fill_that_was_not_reported():
    order, house = an_order(qty="1"), House()
    pending, new, one, two, end = life(order, [Decimal("0.25"), Decimal("0.5")], "canceled")
    house.watch.sent(order, BEGIN)
    for item in (pending, new, one, end):
        house.watch.report(item)
    house.make()
    assert (
        not [event for event in house.told if isinstance(event, Canceled)]
        and list(house.watch.short) == ["O1"]
        and house.watch.missing("O1")
    )
    house.watch.report(two)
    assert not house.watch.missing("O1")
    house.make()
    assert isinstance(house.told[-1], Canceled) and not house.watch.busy


def test_a_cancel_is_told_at_no_earlier_time_than_a_fill_before_it():
    """The ledger may date a trade a little later than the report of the order's end."""
    order, house = an_order(qty="1"), House()
    pending, new, one, _, end = life(order, [Decimal("0.25"), Decimal("0.5")], "canceled")
    house.watch.sent(order, BEGIN)
    for item in (pending, new, one | {"timestamp": stamped(30)}, end | {"cum_qty": Decimal("0.25")}):
        house.watch.report(item)
    house.make()
    fill, canceled = house.told[-2:]
    assert (fill.at, canceled.at) == (BEGIN + 30 * SECOND, BEGIN + 30 * SECOND) and isinstance(canceled, Canceled)


def test_a_trade_that_was_told_and_comes_again_waits_for_nothing():
    order, house = an_order(qty="1"), House()
    pending, new, one, end = life(order, [Decimal("1")], "filled")
    house.watch.sent(order, BEGIN)
    for item in (pending, new, one, end):
        house.watch.report(item)
    house.make()
    house.watch.report(one)
    assert not house.watch.pending and not house.watch.busy


def test_whose_order_it_is_may_be_known_last():
    """A report without our client id waits until AddOrder's answer, or a listing, says whose it is."""
    order = an_order(qty="1")
    items = life(order, [Decimal("1")], "filled", client_id=False)
    house = House()
    track = house.watch.sent(order, BEGIN)
    for item in items:
        house.watch.report(item)
    house.make()
    assert not house.told and list(house.watch.strange) == ["O1"]
    house.watch.answered(track, "O1")
    house.make()
    assert [type(event) for event in house.told] == [Accepted, Fill] and house.told[1].order_id == order.id
    house = House()
    for item in items:
        house.watch.report(item)
    house.watch.nobody("O1")
    house.make()
    assert [(type(event), event.order_id) for event in house.told] == [(Fill, "O1")]


def test_of_somebody_elses_order_fills_are_told_and_nothing_more():
    house = House()
    for item in life(an_order(qty="1"), [Decimal("0.5")], "canceled", client_id=False):
        house.watch.report(item | {"cl_ord_id": "the owner's"})
    house.make()
    assert [(type(event), event.order_id) for event in house.told] == [(Fill, "O1")]


@pytest.mark.parametrize(
    "harm",
    [
        {},
        {"order_id": 7},
        {"order_id": ""},
        {"order_id": "O1", "exec_type": "trade"},
        {"order_id": "O1", "exec_type": "trade", "exec_id": "T1", "last_qty": "NaN", "last_price": 1, "symbol": "ETH/USD", "side": "buy"},
        {"order_id": "O1", "exec_type": "trade", "exec_id": "T1", "last_qty": 1, "last_price": 0, "symbol": "ETH/USD", "side": "buy"},
        {"order_id": "O1", "exec_type": "trade", "exec_id": "T1", "last_qty": 1, "last_price": 1, "symbol": "FOO/USD", "side": "buy"},
        {"order_id": "O1", "exec_type": "trade", "exec_id": "T1", "last_qty": 1, "last_price": 1, "symbol": "ETH/USD", "side": "sideways"},
        {
            "order_id": "O1",
            "exec_type": "trade",
            "exec_id": "T1",
            "last_qty": 1,
            "last_price": 1,
            "symbol": "ETH/USD",
            "side": "buy",
            "fees": [7],
        },
        {"order_id": "O1", "exec_type": "what is new", "order_status": "odd", "timestamp": "yesterday"},
    ],
)
def test_a_report_that_does_not_say_what_it_should_tells_nothing(harm):
    house = House()
    house.watch.report(harm)
    house.make()
    assert not house.told and not house.watch.pending


def test_a_trade_on_margin_moves_no_coins_and_is_none():
    house = House()
    house.watch.report(life(an_order(), [Decimal("0.1")], "filled")[2] | {"margin": True})
    assert not house.watch.pending


def an_info(status="canceled", filled="0", txid="O1", order=None, **terms):
    figures = {"qty": Decimal("1"), "filled": Decimal(filled), **dict.fromkeys(("price", "price2", "cost", "fee", "average"), Decimal(0))}
    times = {"opened": BEGIN, "closed": BEGIN + SECOND, "expires": None}
    rest = {"userref": None, "reason": "said", "oflags": frozenset(), "trades": (), "raw": {}}
    client_id = None if order is None else IDS.uuid(order.id)
    return OrderInfo(
        id=txid, status=status, pair="ETHUSD", side="buy", ordertype="limit", cl_ord_id=client_id, **(figures | times | rest | terms)
    )


def test_a_listing_says_what_no_report_did():
    order, house = an_order(qty="1"), House()
    house.watch.sent(order, BEGIN)
    house.watch.listed(an_info(order=order))
    house.watch.listed(an_info(order=order))
    assert house.told == [Canceled(order.id, BEGIN + SECOND, "said")]
    house = House()
    house.watch.listed(an_info(order=order), end=False)
    assert not house.told and house.watch.at("O1").order_id == order.id and not house.watch.at("O1").followed
    house.watch.listed(an_info(txid="O2"))
    assert house.watch.at("O2").order_id == "O2" and not house.told


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("pending", OrderStatus.OPEN),
        ("open", OrderStatus.OPEN),
        ("closed", OrderStatus.FILLED),
        ("canceled", OrderStatus.CANCELED),
        ("expired", OrderStatus.CANCELED),
    ],
)
def test_a_report_of_a_listing(status, found):
    report = report_of(an_info(status, "0.25"), "flash-1", ether, 7)
    assert (report.status, report.filled, report.venue_id) == (found, ETH("0.25").units, "O1")
    assert report.at == (7 if found is OrderStatus.OPEN else BEGIN + SECOND)


@pytest.mark.parametrize("kind", ["canceled", "expired", "filled"])
def test_an_end_that_does_not_say_how_far_it_went_is_told_when_a_listing_has_said_it(kind):
    order, house = an_order(qty="1"), House()
    pending, new, one, end = life(order, [Decimal("0.25")], kind)
    del end["cum_qty"]
    house.watch.sent(order, BEGIN)
    for item in (pending, new, end):
        house.watch.report(item)
    house.make()
    assert [type(event) for event in house.told] == [Accepted] and list(house.watch.unsaid) == ["O1"] and house.watch.busy
    house.watch.listed(an_info("closed" if kind == "filled" else kind, "0.25", order=order))
    assert not house.watch.unsaid and list(house.watch.short) == ["O1"]
    house.watch.report(one)
    house.make()
    assert [type(event) for event in house.told] == [Accepted, Fill, Canceled] and not house.watch.busy


def test_an_order_that_is_filled_with_less_than_was_ordered_is_off_the_book():
    """The owner amended it in Kraken's app."""
    order, house = an_order(qty="1"), House()
    pending, new, one, end = life(order, [Decimal("0.4")], "filled")
    house.watch.sent(order, BEGIN)
    for item in (pending, new, {"order_id": "O1", "exec_type": "amended", "order_status": "new", "order_qty": Decimal("0.4")}, one, end):
        house.watch.report(item)
    assert not [event for event in house.told if isinstance(event, Canceled)]
    house.make()
    assert [type(event) for event in house.told] == [Accepted, Fill, Canceled] and "less than was ordered" in house.told[-1].reason
    report = report_of(an_info("closed", "0.4", qty=Decimal("0.4")), order.id, ether, 7, order.place.qty)
    assert (report.status, report.filled) == (OrderStatus.CANCELED, ETH("0.4").units)
    assert report_of(an_info("closed", "1"), order.id, ether, 7, order.place.qty).status is OrderStatus.FILLED


@pytest.mark.parametrize("kind", ["status", "restated", "amended", "", "what is new"])
def test_an_order_that_is_said_to_be_canceled_is_whatever_the_report_is_called(kind):
    order, house = an_order(qty="1"), House()
    pending, new, end = life(order, [], "canceled")
    house.watch.sent(order, BEGIN)
    for item in (pending, new, end | {"exec_type": kind}):
        house.watch.report(item)
    assert [type(event) for event in house.told] == [Accepted, Canceled]


def test_reports_of_an_order_of_former_books_are_not_ours():
    """It bears the same id, and is dated long before ours was sent: until a listing says when it was opened it is nobody's."""
    order, house = an_order(qty="1"), House()
    house.watch.sent(order, BEGIN + 60 * SECOND)
    for item in life(order, [Decimal("1")], "filled", txid="O9"):
        house.watch.report(item)
    house.make()
    assert not house.told and list(house.watch.strange) == ["O9"]
    house.watch.listed(an_info("closed", "1", txid="O9", order=order))
    house.make()
    assert [(type(event), event.order_id) for event in house.told] == [(Fill, "O9")]
    house.watch.answered(house.watch.of(order.id), "O1")
    assert house.watch.of(order.id).told == 0


# -- statements ------------------------------------------------------------------------------------------------------------------------


@heavy
@given(st.lists(st.tuples(st.integers(0, 40), st.lists(st.integers(0, 40), max_size=3)), max_size=12))
def test_a_statement_has_all_rows_whenever_it_was_asked_for_what(asked):
    """Rows that come are never of an earlier time than the latest less `late`; what is asked for is always whole."""
    late, there, fetched = 5, [], []

    async def fetch(since):
        fetched.append(since)
        return [one for one in there if one.at >= since]

    async def main():
        kept = Statement(fetch, lambda row: row.refid, late=late)
        newest = 0
        for since, come in asked:
            for at in come:
                at = max(at, newest - late)
                newest = max(newest, at)
                there.append(line("ZUSD", "1", refid=f"T{at % 3}", at=at, name=f"L{len(there)}"))
            found = await kept.since(since)
            assert found == sorted((one for one in there if one.at >= since), key=lambda one: (one.at, one.id))
            for group in ("T0", "T1", "T2"):
                assert [one for one in kept.of(group) if one.at >= since] == [one for one in found if one.refid == group]

    anyio.run(main)


def test_a_deep_look_at_a_short_span_is_none_at_the_whole(monkeypatch):
    """A row that was written very late is found by who asks for the whole, however often others ask for a part."""
    monkeypatch.setattr("sleeves.venues.kraken.statements.DEEP_EVERY", 0.2)
    there = [line("ZUSD", "1", at=at, name=f"L{at}") for at in (0, 100)]
    fetched = []

    async def fetch(since):
        fetched.append(since)
        return [one for one in there if one.at >= since]

    async def main():
        kept = Statement(fetch, lambda row: row.refid, late=5)
        assert len(await kept.since(0)) == 2
        there.append(line("ZUSD", "1", at=50, name="late"))
        assert len(await kept.since(0)) == 2
        await anyio.sleep(0.25)
        assert len(await kept.since(98)) == 1
        assert len(await kept.since(0)) == 3
        await kept.since(0)
        assert fetched == [0, 95, 95, 0, 95]

    anyio.run(main)
