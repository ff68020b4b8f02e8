"""Contracts in the books: opening, adding, reducing, closing and flipping a slice, and what the venue does to the whole."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import SOL, USDC, Instrument, Side, contracts
from sleeves.errors import InvalidMarket
from sleeves.facts import Bankrupted, FundingPaid, Liquidated, Settled, Transferred
from sleeves.ledger import Account, Entry, EntryKind, Ledger, Posting, Role
from sleeves.market import BP, HOUR, PPB, FundingRate, Kind, Perpetual
from sleeves.money import BTC, USD, Amount, Rounding
from sleeves.orders import Fill, Liquidity
from strategies import law

PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)


class Slice:
    """One sleeve's slice: a real ledger, asked as the desk asks it."""

    def __init__(self, free="1000"):
        self.ledger = Ledger()
        self.post("deposit", free)
        self.trades = 0

    def post(self, kind, amount):
        units = USDC(amount).units
        postings = (Posting(Account("a", Role.FREE), USDC, units), Posting(Account("world", Role.WORLD), USDC, -units))
        self.ledger.post(Entry(0, EntryKind(kind), "x", postings))

    def units(self, role, asset=USDC, of="SOL-PERP"):
        return self.ledger.units(Account("a", role, "" if role is Role.FREE else of), asset)

    @property
    def position(self):
        return -self.units(Role.TRADING, SOL)

    @property
    def cost(self):
        return self.units(Role.TRADING)

    def trade(self, change, spent, fee=0):
        """`change` base units for `spent` quote units, below zero for a sale."""
        self.trades += 1
        side = Side.BUY if change > 0 else Side.SELL
        fill = Fill("a-1", 1, PERP, side, abs(change), 1, abs(spent), Amount(fee, USDC), Liquidity.TAKER, f"t{self.trades}", "v")
        entry = contracts.fill(
            "a",
            fill,
            held=0,
            position=self.position,
            open_cost=self.cost,
            margin=self.units(Role.MARGIN),
            free=self.units(Role.FREE),
            by="v",
        )
        self.ledger.post(entry)
        return entry

    def buy(self, qty, price, fee="0"):
        units = PERP.qty(qty)
        return self.trade(units, PERP.cost(PERP.price(price), units, Rounding.CEIL), USDC(fee).units)

    def sell(self, qty, price, fee="0"):
        units = PERP.qty(qty)
        return self.trade(-units, -PERP.cost(PERP.price(price), units, Rounding.FLOOR), USDC(fee).units)

    def figures(self):
        """Position, open cost, margin, unsettled, realized: as text."""
        return (
            SOL.units(self.position).text,
            *(USDC.units(u).text for u in (self.cost, self.units(Role.MARGIN), self.units(Role.UNSETTLED), -self.units(Role.PNL))),
        )


def test_opening_pays_nothing_but_the_fee_and_sets_margin_aside():
    one = Slice()
    entry = one.buy("10", "150", fee="1.5")
    assert one.figures() == ("10", "1500", "150", "-1.5", "0")
    assert one.units(Role.FREE) == USDC("850").units
    assert one.units(Role.CONTRACTS, SOL) == SOL("10").units
    assert one.units(Role.CONTRACTS) == -USDC("1500").units
    assert entry.kind is EntryKind.FILL


def test_a_round_trip_is_realized_and_unsettled_and_its_margin_comes_back():
    one = Slice()
    one.buy("10", "150")
    one.sell("10", "160")
    assert one.figures() == ("0", "0", "0", "100", "100")
    assert one.units(Role.FREE) == USDC("1000").units


def test_a_short_makes_what_a_long_loses():
    long, short = Slice(), Slice()
    long.buy("10", "150")
    long.sell("10", "140")
    short.sell("10", "150")
    short.buy("10", "140")
    assert long.figures() == ("0", "0", "0", "-100", "-100")
    assert short.figures() == ("0", "0", "0", "100", "100")


def test_adding_averages_and_reducing_does_not():
    one = Slice()
    one.buy("10", "100")
    one.buy("10", "200")
    assert one.figures()[:2] == ("20", "3000")
    one.sell("5", "160")
    assert one.figures() == ("15", "2250", "225", "50", "50")


def test_a_flip_loses_nothing_of_the_excess():
    """The origin deletes the position when it reaches or crosses zero (engines-and-live-mode.md, part 2)."""
    one = Slice()
    one.buy("10", "150")
    one.sell("25", "160")
    assert one.figures() == ("-15", "-2400", "240", "100", "100")
    one.buy("15", "150")
    assert one.figures() == ("0", "0", "0", "250", "250")


def test_margin_goes_as_far_as_free_coins_and_never_overdraws_them():
    one = Slice("100")
    one.buy("10", "150")
    assert one.figures()[2] == "100"
    assert one.units(Role.FREE) == 0
    one.sell("4", "150")
    assert one.figures()[2] == "90"
    assert one.units(Role.FREE) == USDC("10").units


trades = st.tuples(st.integers(-(10**12), 10**12).filter(bool), st.integers(0, 10**12), st.integers(-(10**6), 10**6))


@law
@given(st.lists(trades, max_size=12))
def test_adding_reducing_closing_and_flipping_never_create_or_lose_a_unit(steps):
    """Whatever is traded: what was spent stands in open cost or came out as realized profit, to the unit."""
    one = Slice("1000000000")
    position = spent = fees = 0
    for change, money, fee in steps:
        signed = money if change > 0 else -money
        one.trade(change, signed, fee)
        position, spent, fees = position + change, spent + signed, fees + fee
        assert one.position == position == one.units(Role.CONTRACTS, SOL)
        assert one.cost == -one.units(Role.CONTRACTS)
        realized = -one.units(Role.PNL)
        assert one.cost - realized == spent
        assert one.units(Role.UNSETTLED) == realized - fees
        assert position != 0 or one.cost == 0
        assert one.units(Role.FREE) + one.units(Role.MARGIN) == USDC("1000000000").units
        assert one.units(Role.MARGIN) == min(contracts.margin_for(PERP, one.cost), USDC("1000000000").units)


@law
@given(st.lists(trades, min_size=1, max_size=8), st.integers(0, 10**9))
def test_a_gain_is_never_shown_before_it_is_made(steps, extra):
    """Reducing rounds the released cost up: realized is at most the exact average-cost figure."""
    one, position, cost = Slice("1000000000"), 0, Fraction(0)
    for change, money, _ in steps:
        signed = money if change > 0 else -money
        before = -one.units(Role.PNL)
        one.trade(change, signed)
        if position * change >= 0:
            position, cost = position + change, Fraction(one.cost)
            continue
        closing = min(abs(position), abs(change))
        exact = -cost * closing / abs(position) - Fraction(signed * closing, abs(change))
        assert exact - 2 <= -one.units(Role.PNL) - before <= exact
        position, cost = position + change, Fraction(one.cost)


# -- funding -----------------------------------------------------------------------------------------------------------


def rate(text="0.01%", price="150", at=0, every=None):
    return FundingRate.of(PERP, text, price=price, at=at, every=every)


def test_positive_funding_is_paid_by_longs_to_shorts():
    """Reference P1: after one 8 h cycle PnL has changed by size x rate x mark. The origin has the sign inverted."""
    paid = rate("0.1%", "150")
    assert paid.every == 8 * HOUR
    assert paid.payment(SOL("10").units) == -USDC("1.5").units
    assert paid.payment(-SOL("10").units) == USDC("1.5").units
    assert rate("-0.1%").payment(SOL("10").units) == USDC("1.5").units


def test_funding_rounds_against_the_account():
    tiny = FundingRate(PERP, 0, 1, 15_000, 8 * HOUR)
    assert tiny.payment(1) == -1
    assert tiny.payment(-1) == 0


def test_a_rate_per_coin_is_divided_by_the_price():
    """Drift publishes quote coins per base coin (drift.md 1.1, rate unit error): 0.015 on a price of 150 is 0.01%."""
    assert FundingRate.per_coin(PERP, "0.015", price="150", at=0, every=HOUR).rate_ppb == 100_000
    assert FundingRate.per_coin(PERP, "-0.140002666", price="51", at=0, every=HOUR).rate_ppb == -2_745_150


@law
@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=6), st.integers(-PPB + 1, PPB - 1), st.integers(1, 10**7))
def test_funding_sums_to_zero_over_a_closed_set_of_longs_and_shorts(held, ppb, price):
    from sleeves.funding import split

    closed = [*held, -sum(held)]
    paid = FundingRate(PERP, 0, ppb, price, HOUR)
    due = [paid.entitlement(qty) for qty in closed]
    if not any(numerator for numerator, _ in due):
        return
    parts = split(0, [numerator for numerator, _ in due], due[0][1])
    assert sum(parts) == 0
    for part, (numerator, denominator) in zip(parts, due, strict=True):
        assert abs(part - Fraction(numerator, denominator)) < 1


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"rate_ppb": 0.1}, "whole parts per billion"),
        ({"rate_ppb": PPB}, "between -100% and 100%"),
        ({"rate_ppb": float("nan")}, "whole parts per billion"),
        ({"price": 0}, "at least 1"),
        ({"price": -1}, "at least 1"),
        ({"price": float("nan")}, "at least 1"),
        ({"every": 0}, "at least 1"),
        ({"at": -1}, "at least 0"),
        ({"basis": "mark price"}, "must be a Basis"),
        ({"instrument": Instrument("SOL/USDC", base=SOL, quote=USDC)}, "paid on a perpetual"),
    ],
)
def test_funding_that_cannot_be_is_refused(wrong, what):
    good = {"instrument": PERP, "at": 0, "rate_ppb": 1, "price": 1, "every": HOUR}
    with pytest.raises(InvalidMarket, match=what):
        FundingRate(**(good | wrong))


@pytest.mark.parametrize("text", ["nan", "inf", "1e-4", "", "%", "0.01 %%", 0.0001, None, True, "0.0000000001"])
def test_a_rate_is_exact_text(text):
    with pytest.raises(InvalidMarket):
        rate(text)


@pytest.mark.parametrize("price", ["0", "-1", "nan", "inf", "", None, 1.5, True, 0])
def test_a_price_of_funding_is_a_positive_number(price):
    with pytest.raises(InvalidMarket):
        rate(price=price)


# -- settlement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "unsettled", "slices", "parts"),
    [
        (100, [100], [0], [100]),
        (100, [70, 30], [0, 0], [70, 30]),
        (100, [150, -50], [0, 0], [150, -50]),
        (0, [50, -50], [0, 0], [50, -50]),
        (100, [1000, 0], [0, -10], [100, 0]),  # the net realized 100 of the first one's 1,000: the short still owes the rest
        (100, [0, 0], [10, -10], [50, 50]),  # two open slices that the venue nets to nothing: cash that came early
        (-100, [0, 0], [10, -10], [-50, -50]),  # a loss of the net that neither has realized
        (-30, [-100, 40], [0, 5], [-100, 40 + 30]),
        (-1, [0, 0, 0], [1, 1, 1], [-1, 0, 0]),
        (5, [0], [0], [5]),
    ],
)
def test_a_settlement_goes_to_those_who_made_it(amount, unsettled, slices, parts):
    assert contracts.share_settlement(amount, unsettled, slices) == parts


many = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-(10**9), 10**9), min_size=n, max_size=n), st.lists(st.integers(-(10**9), 10**9), min_size=n, max_size=n)
    )
)


@law
@given(st.integers(-(10**10), 10**10), many)
def test_a_settlement_is_shared_to_the_unit_and_pays_no_winner_out_of_another_sleeve(amount, owners):
    unsettled, slices = owners
    parts = contracts.share_settlement(amount, unsettled, slices)
    assert sum(parts) == amount
    if amount == sum(unsettled):
        assert parts == unsettled
    lost = sum(-own for own in unsettled if own < 0)
    for own, part, size in zip(unsettled, parts, slices, strict=True):
        if amount + lost >= 0:  # what came covers what losers did not pay
            assert part >= min(0, own)
        if own > 0 and amount + lost < sum(max(0, one) for one in unsettled) and amount + lost >= 0:
            assert part <= own
        assert isinstance(part, int) and isinstance(size, int)


def test_a_loss_that_free_coins_cannot_bear_takes_the_margin_before_it_overdraws():
    one = Slice("100")
    one.buy("5", "150")
    fact = Settled(1, PERP, -USDC("60").units, "s1", "v")
    entry = contracts.settle("a", fact, fact.amount, margin=one.units(Role.MARGIN), free=one.units(Role.FREE), by="v")
    one.ledger.post(entry)
    assert (one.units(Role.FREE), one.units(Role.MARGIN), one.units(Role.UNSETTLED)) == (0, USDC("40").units, USDC("60").units)
    more = Settled(2, PERP, -USDC("60").units, "s2", "v")
    one.ledger.post(contracts.settle("a", more, more.amount, margin=one.units(Role.MARGIN), free=0, by="v"))
    assert (one.units(Role.FREE), one.units(Role.MARGIN)) == (-USDC("20").units, 0)


# -- what cannot be ----------------------------------------------------------------------------------------------------


SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FundingPaid("rate", 1, 1, "x"),
        lambda: FundingPaid(rate(), 1.0, 1, "x"),
        lambda: FundingPaid(rate(), 1, 1, 7),
        lambda: Settled(1, SPOT, 1, "x"),
        lambda: Settled(1, PERP, float("nan"), "x"),
        lambda: Settled(None, PERP, 1, "x"),
        lambda: Liquidated(1, PERP, 0, 1, 1, USDC("0"), "x"),
        lambda: Liquidated(1, PERP, 1, 0, 1, USDC("0"), "x"),
        lambda: Liquidated(1, PERP, 1, 1, -1, USDC("0"), "x"),
        lambda: Liquidated(1, PERP, 1, 1, 1, SOL("0"), "x"),
        lambda: Liquidated(1, SPOT, 1, 1, 1, USDC("0"), "x"),
        lambda: Bankrupted(1, PERP, 0, "x"),
        lambda: Bankrupted(1, PERP, -1, "x"),
        lambda: Transferred(1, USDC("0"), "x"),
        lambda: Transferred(1, 5, "x"),
    ],
)
def test_a_fact_that_cannot_be_is_refused(make):
    with pytest.raises(InvalidMarket):
        make()


def test_facts_have_keys_that_no_other_fact_has():
    one = Settled(1, PERP, 1, "a|b", "v")
    other = Settled(1, PERP, 1, "b", "v|settled|SOL-PERP|a")
    assert one.key != other.key
    assert one.key != FundingPaid(rate(), 1, 1, "a|b", "v").key
    assert one.key == Settled(2, PERP, 9, "a|b", "v").key


@pytest.mark.parametrize(
    "terms",
    [
        {"initial_bp": 0},
        {"maintenance_bp": 0},
        {"initial_bp": 500, "maintenance_bp": 500},
        {"initial_bp": BP + 1},
        {"imf": -1},
        {"imf": 0.1},
        {"gain_initial_bp": BP + 1},
        {"liquidation_fee_ppm": 50_000},
        {"funding_every": 0},
        {"initial_bp": True},
    ],
)
def test_terms_of_a_contract_that_cannot_be_are_refused(terms):
    with pytest.raises(InvalidMarket):
        Perpetual(**terms)


def test_both_sides_of_the_terms():
    assert Perpetual(initial_bp=501, maintenance_bp=500).initial_bp == 501
    assert Perpetual(initial_bp=BP).initial_bp == BP
    assert Perpetual(liquidation_fee_ppm=49_999).liquidation_fee_ppm == 49_999


def test_an_instrument_has_a_contract_exactly_when_it_is_a_perpetual():
    assert PERP.contract == Perpetual()
    assert SPOT.contract is None
    with pytest.raises(InvalidMarket, match="spot has none"):
        Instrument("BTC/USD", base=BTC, quote=USD, contract=Perpetual())
    with pytest.raises(InvalidMarket, match="a perpetual has a Perpetual"):
        Instrument("BTC-PERP", base=BTC, quote=USD, kind=Kind.PERP, contract="10x")
    own = Instrument("BTC-PERP", base=BTC, quote=USD, kind=Kind.PERP, contract=Perpetual(2_000, 1_000, 50, funding_every=HOUR))
    assert Instrument.from_terms(own.symbol, own.terms()) == own
