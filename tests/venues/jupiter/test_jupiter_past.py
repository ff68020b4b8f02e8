"""Laws and tables of what needs no wire: memos, the least that must come, and trades read out of a record, exact to the unit."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sleeves.errors import InvalidMarket, VenueRejected
from sleeves.facts import FlowKind
from sleeves.market import BP
from sleeves.money import SOL, USDC, Asset, Rounding
from sleeves.orders import Order, Place, Side, TimeInForce
from sleeves.venues.ids import ClientIds
from sleeves.venues.jupiter import TOKENS, Market, Token
from sleeves.venues.jupiter.past import Moves, Told, fills_of, flows_of, market_of, memo_of, read_memo
from sleeves.venues.jupiter.routes import bound_of, fitting_price, least_of, slippage_for
from strategies import law

JITO = Token(Asset("JitoSOL", 9), "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn")
S, U = TOKENS["SOL"], TOKENS["USDC"]
MARKETS = {
    "SOL in USDC": Market.of("SOL/USDC", S, U),
    "SOL in USDC, by the lamport": Market.of("SOL/USDC", S, U, lot="0.000000001"),
    "JitoSOL in SOL": Market.of("JitoSOL/SOL", JITO, S, lot="0.01"),
    "JitoSOL in USDC": Market.of("JitoSOL/USDC", JITO, U),
    "fine USDC": Market.of("SOL/FINE", S, Token(Asset("FINE", 8), "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6)),
}


def moves(market, side, base, quote, *, fee=5_000, rent=0, sent=0, failed=False, mine=True):
    """What a trade of so many raw units does to a wallet that bears the costs."""
    moved = {market.base.mint: side.sign * base, market.quote.mint: -side.sign * quote}
    moved[S.mint] = moved.get(S.mint, 0) - fee - rent - sent
    return Moves("sig", 7, 10**18, failed, mine, {key: value for key, value in moved.items() if value}, fee, rent, sent)


amounts = st.integers(1, 10**15)
small = st.integers(0, 10**7)


@law
@given(
    st.sampled_from(sorted(MARKETS)),
    st.sampled_from(Side),
    amounts,
    amounts,
    small,
    st.integers(-(10**7), 10**7),
    small,
    st.integers(0, 10**15),
    st.booleans(),
)
def test_fills_and_lines_sum_to_what_was_moved(name, side, base, quote, fee, rent, sent, ordered, bears):
    """Whatever came: quantity and cost and fees are the chain's, to the unit; the lines sum to what was moved, each once."""
    market = MARKETS[name]
    made = moves(market, side, base, quote, fee=fee, rent=rent, sent=sent)
    assume(made.traded(market.base) * made.traded(market.quote) < 0)
    tokens = tuple({token.mint: token for token in (S, market.base, market.quote)}.values())
    fills = fills_of(made, market, S, "a-1", ordered, "jupiter", bears=bears)
    flows = flows_of(made, fills, tokens, S, "jupiter", bears=bears)
    sums = {token.asset: 0 for token in tokens}
    for line in flows:
        sums[line.amount.asset] += line.amount.units
    assert sums == {token.asset: made.moved.get(token.mint, 0) * token.factor for token in tokens}
    assert len({line.id for line in flows}) == len(flows)
    assert {line.ref for line in flows} <= {"", *(fill.key for fill in fills)}
    if bears and fills and not any(line.kind is FlowKind.OTHER for line in flows):
        booked = {token.asset: 0 for token in tokens}
        for fill in fills:
            booked[market.instrument.base] += side.sign * fill.qty
            booked[market.instrument.quote] -= side.sign * fill.cost
            booked[fill.fee.asset] -= fill.fee.units
        assert booked == sums, "the books that take these fills in are the chain"
    for fill in fills:
        assert not fill.qty % market.instrument.lot_units and fill.side is side
        least, most = (market.instrument.cost(fill.price, fill.qty, way) for way in (Rounding.FLOOR, Rounding.CEIL))
        if len(fills) == 1 and fill.price > 1:
            assert fill.cost >= least if side is Side.BUY else fill.cost <= most
    assert sum(fill.qty for fill in fills) <= ordered
    assert len({fill.key for fill in fills}) == len(fills)


def test_a_transaction_that_failed_traded_nothing_and_cost_its_fee():
    market = MARKETS["SOL in USDC"]
    made = Moves("sig", 7, 1, True, True, {S.mint: -5_000}, 5_000, 0, 0)
    assert fills_of(made, market, S, "a-1", 10**9, "jupiter") == ()
    (line,) = flows_of(made, (), (S, U), S, "jupiter")
    assert (line.kind, line.amount, line.ref) == (FlowKind.FEE, SOL.units(-5_000), "")


@pytest.mark.parametrize(
    ("moved", "mine", "kinds"),
    [
        ({S.mint: 10**9}, False, [FlowKind.DEPOSIT]),
        ({U.mint: 5}, False, [FlowKind.DEPOSIT]),
        ({S.mint: -(10**9) - 5_000}, True, [FlowKind.FEE, FlowKind.WITHDRAWAL]),
        ({S.mint: -5_000, U.mint: -7}, True, [FlowKind.FEE, FlowKind.WITHDRAWAL]),
        ({S.mint: 10**9, U.mint: -7}, False, [FlowKind.TRADE, FlowKind.TRADE]),
        ({}, False, []),
    ],
)
def test_what_is_no_trade_is_a_line_of_its_kind(moved, mine, kinds):
    made = Moves("sig", 7, 1, False, mine, moved, 5_000 if mine else 0, 0, 0)
    flows = flows_of(made, (), (S, U), S, "jupiter")
    assert sorted(line.kind for line in flows) == sorted(kinds)
    assert all(not line.ref for line in flows)


def test_a_market_of_a_strangers_trade():
    whole, one = MARKETS["SOL in USDC"], Market.of("SOL/USDC:R", S, U, dexes="R")
    made = moves(whole, Side.BUY, 10**9, 150 * 10**6)
    assert market_of(made, [one, whole]) is whole and market_of(made, [one]) is one
    assert market_of(made, [MARKETS["JitoSOL in USDC"]]) is None


# -- memos -------------------------------------------------------------------------------------------------------------------


@law
@given(
    st.from_regex(r"[a-z][a-z0-9_-]{0,14}", fullmatch=True), st.integers(1, 2**24 - 1), st.integers(1, 10**30), st.integers(0, 9 * 10**18)
)
def test_a_memo_is_read_back(sleeve, n, qty, at):
    ids = ClientIds()
    text = memo_of(ids, f"{sleeve}-{n}", qty, at, "SOL/USDC:Raydium")
    told = read_memo(ids, text)
    assert (told.order_id, told.qty, told.symbol) == (f"{sleeve}-{n}", qty, "SOL/USDC:Raydium")
    assert at <= told.at < at + 10**6, "never before the order was made"
    assert len(text) < 120


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "a b c d",
        "0" * 32 + " 1 1 X",
        "{id} 0 1 X",
        "{id} -1 1 X",
        "{id} 1 x X",
        "{id} 1 1 X Y",
        "{id} ١ 1 X",
        "{id} 1 " + "9" * 30 + " X",
    ],
)
def test_what_is_no_memo_is_none(text):
    ids = ClientIds()
    assert read_memo(ids, text.format(id=ids.hex("a-1"))) is None
    assert read_memo(ids, f"{ids.hex('a-1')} 1 1 X") == Told("a-1", 1, 10**6, "X")
    with pytest.raises(VenueRejected):
        memo_of(ids, "no order of ours", 1, 1, "X")


# -- the least that must come --------------------------------------------------------------------------------------------------


def order(market, side, qty, **terms):
    worst = terms.pop("worst", None)
    return Order("a-1", "a", Place(market.instrument, side, qty, **terms), 1, worst)


@law
@given(st.sampled_from(sorted(MARKETS)), st.integers(1, 10**6), st.integers(1, 10**13), amounts, st.integers(0, 500))
def test_whatever_comes_above_the_least_keeps_to_the_bound(name, lots, bound, paid, slippage):
    """A buy that pays `paid` and gets the least or anything above it, in whole lots, has no price above its limit; a sale none below."""
    market = MARKETS[name]
    instrument = market.instrument
    qty = lots * instrument.lot_units
    assume(qty < 10**20)
    buy = order(market, Side.BUY, qty, limit=bound, tif=TimeInForce.IOC)
    least = least_of(buy, market, paid, 1, slippage)
    got = least * market.base.factor // instrument.lot_units * instrument.lot_units
    assert paid * market.quote.factor <= instrument.cost(bound, got, Rounding.CEIL)
    sell = order(market, Side.SELL, qty, limit=bound, tif=TimeInForce.IOC)
    money = least_of(sell, market, market.base.raw(qty), 1, slippage) * market.quote.factor
    assert money >= instrument.cost(bound, qty, Rounding.CEIL)


@law
@given(amounts, amounts, st.integers(0, 9_999))
def test_the_slippage_that_is_asked_for_keeps_the_least(out, least, most):
    bps = slippage_for(out, least, most)
    assert 0 <= bps <= most
    if out >= least:
        assert -(-out * (BP - bps) // BP) >= least or bps == 0


def test_fill_or_kill_needs_all_of_it():
    market = MARKETS["SOL in USDC"]
    fok = order(market, Side.BUY, 10**9, limit=200 * 10**9, tif=TimeInForce.FOK)
    ioc = order(market, Side.BUY, 10**9, limit=200 * 10**9, tif=TimeInForce.IOC)
    assert least_of(fok, market, 150 * 10**6, 10**9, 50) == 10**9
    assert least_of(ioc, market, 150 * 10**6, 10**9, 50) == 995 * 10**6


@pytest.mark.parametrize(
    ("side", "limit", "worst", "bound"),
    [
        (Side.BUY, None, None, None),
        (Side.BUY, None, 151, 151),
        (Side.BUY, 150, 151, 150),
        (Side.BUY, 152, 151, 151),
        (Side.SELL, 150, None, 150),
        (Side.SELL, None, None, None),
        (Side.SELL, 149, 148, 149),
    ],
)
def test_the_bound_is_the_tighter_of_limit_and_worst(side, limit, worst, bound):
    terms = {} if limit is None else {"limit": limit, "tif": TimeInForce.IOC}
    assert bound_of(order(MARKETS["SOL in USDC"], side, 10**9, worst=worst, **terms)) == bound


@law
@given(st.integers(0, 2**64), st.integers(1, 1_400_000), st.integers(5_000, 10**9))
def test_a_price_for_units_never_passes_the_cap(offered, units, cap):
    price = fitting_price(offered, units, cap)
    assert 0 <= price <= offered
    assert 5_000 + -(-price * units // 10**6) <= cap


# -- tokens and markets ---------------------------------------------------------------------------------------------------------


def test_tokens_that_cannot_be():
    for terms in ((SOL, "not an address"), (SOL, ""), ("SOL", S.mint), (USDC, U.mint, 7), (USDC, U.mint, -1), (USDC, U.mint, True)):
        with pytest.raises(InvalidMarket):
            Token(*terms)
    with pytest.raises(InvalidMarket, match="counts 6"):
        Token(Asset("FINE", 8), U.mint, 6).raw(150)


@pytest.mark.parametrize(
    "terms",
    [
        {"quote": S},
        {"base": "SOL"},
        {"size": "0"},
        {"size": "0.0005"},
        {"lot": "0.0000000001"},
        {"dexes": 7},
        {"dexes": ("a,b",)},
        {"dexes": ("",)},
        {"symbol": "a b"},
    ],
)
def test_markets_that_cannot_be(terms):
    given_terms = {"symbol": "SOL/USDC", "base": S, "quote": U, **terms}
    with pytest.raises((InvalidMarket, TypeError)):
        Market.of(given_terms.pop("symbol"), given_terms.pop("base"), given_terms.pop("quote"), **given_terms)


def test_a_lot_is_no_finer_than_the_chain_counts():
    eight = Token(Asset("ETH", 10), "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs", 8)
    assert Market.of("ETH/USDC", eight, U).instrument.lot_units == 100
    with pytest.raises(InvalidMarket, match="finer"):
        Market.of("ETH/USDC", eight, U, lot="0.0000000001")
    assert Market.of("SOL/USDC", S, U).instrument.lot_units == 10**6, "what is below a lot of SOL pays for exits"
