"""From what happened to one balanced entry: the figures of a bank statement, and average cost to the last unit."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import FLASH, CoreVault, Desk, booking
from sleeves.booking import Allowance, released_cost
from sleeves.errors import InvalidAmount, SleevesError
from sleeves.ledger import Account, EntryKind, Ledger, Posting, Role
from sleeves.market import Instrument
from sleeves.money import PPM, SOL, USD, USDC, Asset, Rounding
from sleeves.orders import Fill, Liquidity, Place, Side
from sleeves.sim.models import Fees
from sleeves.status import Status
from strategies import heavy, law, markets, rounded

SOLUSDC = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.001")
BNB = Asset("BNB", 8)
"""A third asset, in which some venues take their fees."""

WHOLE = Instrument("W/Q", base=Asset("W", 0), quote=Asset("Q", 0), tick="1", lot="1")
"""A market in which a unit is a coin: figures can be followed in the head."""


def filled(market, side, qty, price, cost, fee, *, order="flash-1", trade="t1", at=1):
    return Fill(order, at, market, side, qty, price, cost, fee, Liquidity.TAKER, trade, "sim")


def sol(side, qty, price, fee, *, order="flash-1", trade="t1"):
    """A fill of SOL/USDC from text."""
    units, at_price = SOLUSDC.qty(qty), SOLUSDC.price(price)
    return filled(SOLUSDC, side, units, at_price, SOLUSDC.cost(at_price, units, Rounding.CEIL), fee, order=order, trade=trade)


def statement(entry):
    return str(entry).split(" | ")


class Sleeve:
    """One sleeve of one instrument: a real ledger, asked as the desk asks it."""

    def __init__(self, market, funds, name="flash"):
        self.market, self.name, self.ledger = market, name, Ledger()
        self.core = "core:main:" + market.quote.code
        self.ledger.post(booking.open_vault(self.core, market.quote, funds, at=0, by="owner"))
        self.ledger.post(booking.allocate(self.core, name, market.quote, funds, at=0, by="owner"))

    def units(self, role, asset, of=""):
        return self.ledger.units(Account(self.name, role, of), asset)

    def booked(self, role, asset=None):
        return self.units(role, asset or self.market.quote, self.market.symbol)

    @property
    def position(self):
        return -self.booked(Role.TRADING, self.market.base)

    @property
    def open_cost(self):
        return self.booked(Role.TRADING)

    @property
    def realized(self):
        return -self.booked(Role.PNL)

    @property
    def fees(self):
        return self.booked(Role.FEES)

    def free(self, asset=None):
        return self.units(Role.FREE, asset or self.market.quote)

    def hold(self, order, asset, units):
        self.ledger.post(booking.hold(self.name, order, asset, units, at=1, by="trend"))

    def fill(self, fill, held=0):
        entry = booking.fill(self.name, fill, held=held, position=self.position, open_cost=self.open_cost, by="sim")
        self.ledger.post(entry)
        return entry


# -- the worked example of DESIGN.md, section 3 ------------------------------------------------------------------------


def test_buying_one_sol_for_150_with_a_fee_of_15_cents_after_its_hold():
    sleeve = Sleeve(SOLUSDC, USDC("1000").units)
    sleeve.hold("flash-1", USDC, USDC("150.15").units)
    entry = sleeve.fill(sol(Side.BUY, "1", "150", USDC("0.15")), held=USDC("150.15").units)
    assert statement(entry) == [
        "flash/free 1 SOL",
        "flash/trading:SOL/USDC -1 SOL",
        "flash/held:flash-1 -150.15 USDC",
        "flash/trading:SOL/USDC 150 USDC",
        "flash/fees:SOL/USDC 0.15 USDC",
    ]
    assert (entry.kind, entry.ref, entry.by, entry.at) == (EntryKind.FILL, "sim|SOL/USDC|t1|flash-1", "sim", 1)
    assert sleeve.free() == USDC("849.85").units
    assert sleeve.free(SOL) == SOL("1").units


def test_selling_it_for_160_releases_its_cost_and_lands_the_gain_in_pnl():
    sleeve = Sleeve(SOLUSDC, USDC("1000").units)
    sleeve.fill(sol(Side.BUY, "1", "150", USDC("0.15")))
    sleeve.hold("flash-2", SOL, SOL("1").units)
    entry = sleeve.fill(sol(Side.SELL, "1", "160", USDC("0.16"), order="flash-2", trade="t2"), held=SOL("1").units)
    assert statement(entry) == [
        "flash/held:flash-2 -1 SOL",
        "flash/trading:SOL/USDC 1 SOL",
        "flash/free 159.84 USDC",
        "flash/trading:SOL/USDC -150 USDC",
        "flash/pnl:SOL/USDC -10 USDC",
        "flash/fees:SOL/USDC 0.16 USDC",
    ]
    assert sleeve.free() == USDC("1009.69").units  # 1000 + 10 - 0.15 - 0.16
    assert (sleeve.position, sleeve.open_cost, sleeve.realized, sleeve.fees) == (0, 0, USDC("10").units, USDC("0.31").units)


@pytest.mark.parametrize(
    ("fee", "lines"),
    [
        (  # in the base asset: its coins leave the position, its value is booked as a fee
            SOL("0.001"),
            [
                "flash/free 0.999 SOL",
                "flash/trading:SOL/USDC -0.999 SOL",
                "flash/free -150 USDC",
                "flash/trading:SOL/USDC 149.85 USDC",
                "flash/fees:SOL/USDC 0.15 USDC",
            ],
        ),
        (  # in a third asset: paid from the sleeve's own coins of it
            BNB("0.0005"),
            [
                "flash/free 1 SOL",
                "flash/trading:SOL/USDC -1 SOL",
                "flash/free -150 USDC",
                "flash/trading:SOL/USDC 150 USDC",
                "flash/free -0.0005 BNB",
                "flash/fees:SOL/USDC 0.0005 BNB",
            ],
        ),
        (  # a rebate
            USDC("-0.03"),
            [
                "flash/free 1 SOL",
                "flash/trading:SOL/USDC -1 SOL",
                "flash/free -149.97 USDC",
                "flash/trading:SOL/USDC 150 USDC",
                "flash/fees:SOL/USDC -0.03 USDC",
            ],
        ),
        (
            USDC("0"),
            ["flash/free 1 SOL", "flash/trading:SOL/USDC -1 SOL", "flash/free -150 USDC", "flash/trading:SOL/USDC 150 USDC"],
        ),
    ],
    ids=["base", "third", "rebate", "none"],
)
def test_what_a_fee_does_to_a_late_buy_without_a_hold(fee, lines):
    sleeve = Sleeve(SOLUSDC, USDC("1000").units)
    assert statement(sleeve.fill(sol(Side.BUY, "1", "150", fee))) == lines


@pytest.mark.parametrize(
    ("fee", "lines"),
    [
        (
            SOL("0.001"),
            [
                "flash/free -0.501 SOL",
                "flash/trading:SOL/USDC 0.501 SOL",
                "flash/free 80 USDC",
                "flash/trading:SOL/USDC -75.15 USDC",  # 0.501 of 150
                "flash/pnl:SOL/USDC -5.01 USDC",  # 80 + 0.16 - 75.15
                "flash/fees:SOL/USDC 0.16 USDC",
            ],
        ),
        (
            BNB("0.0005"),
            [
                "flash/free -0.5 SOL",
                "flash/trading:SOL/USDC 0.5 SOL",
                "flash/free 80 USDC",
                "flash/trading:SOL/USDC -75 USDC",
                "flash/pnl:SOL/USDC -5 USDC",
                "flash/free -0.0005 BNB",
                "flash/fees:SOL/USDC 0.0005 BNB",
            ],
        ),
    ],
    ids=["base", "third"],
)
def test_what_a_fee_does_to_the_sale_of_half(fee, lines):
    sleeve = Sleeve(SOLUSDC, USDC("1000").units)
    sleeve.fill(sol(Side.BUY, "1", "150", USDC("0")))
    assert statement(sleeve.fill(sol(Side.SELL, "0.5", "160", fee, trade="t2"))) == lines


# -- average cost ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("open_cost", "position", "qty", "released"),
    [  # by hand: a part is rounded up, a full close releases all
        (100, 3, 1, 34),
        (100, 3, 2, 67),
        (100, 3, 3, 100),
        (100, 3, 4, 100),
        (100, 3, 0, 0),
        (0, 3, 1, 0),
        (1, 10**9, 1, 1),
        (0, 0, 1, 0),
    ],
)
def test_the_cost_that_leaves_with_a_part(open_cost, position, qty, released):
    assert released_cost(open_cost, position, qty) == released


@law
@given(st.integers(0, 10**18), st.integers(1, 10**18), st.integers(0, 10**18))
def test_a_part_never_takes_less_than_its_share_and_never_more_than_a_unit_above_it(open_cost, position, qty):
    released = released_cost(open_cost, position, qty)
    share = min(Fraction(1), Fraction(qty, position)) * open_cost
    assert share <= released < share + 1
    assert released <= open_cost


def test_three_parts_of_an_uneven_cost_add_up_to_all_of_it():
    sleeve = Sleeve(WHOLE, 1_000)
    cash = WHOLE.quote
    sleeve.fill(filled(WHOLE, Side.BUY, 3, 33, 100, cash(0)))
    gains, costs = [], []
    for n in range(3):
        sleeve.fill(filled(WHOLE, Side.SELL, 1, 50, 50, cash(0), trade=f"s{n}"))
        gains.append(sleeve.realized)
        costs.append(sleeve.open_cost)
    assert gains == [16, 33, 50]
    assert costs == [66, 33, 0]
    assert sleeve.free() == 1_050


@pytest.mark.parametrize(
    "trades",
    [
        [(Side.SELL, 1, 150), (Side.BUY, 1, 100)],
        [(Side.BUY, 1, 100), (Side.SELL, 2, 150), (Side.BUY, 1, 120)],
        [(Side.SELL, 2, 150), (Side.BUY, 1, 100), (Side.BUY, 1, 130)],
        [(Side.SELL, 1, 150), (Side.BUY, 3, 300), (Side.SELL, 2, 220)],
    ],
    ids=["told in the wrong order", "sold too much", "covered in two", "covered and turned"],
)
def test_no_position_has_no_open_cost_whatever_came_before(trades):
    """Facts are booked in any order and beyond what is owned; once nothing is owned, all that is left is profit or loss."""
    sleeve = Sleeve(WHOLE, 1_000)
    for n, (side, qty, cost) in enumerate(trades):
        sleeve.fill(filled(WHOLE, side, qty, 1, cost, WHOLE.quote(0), trade=f"t{n}"))
    assert sleeve.position == 0
    assert sleeve.open_cost == 0
    assert sleeve.realized == sleeve.free() - 1_000 == sum(-side.sign * cost for side, _, cost in trades)


# -- any sequence of trades against an average-cost oracle -------------------------------------------------------------

FEES = ["quote", "base", "third"]
trades = st.lists(
    st.tuples(
        st.sampled_from(["buy", "buy", "sell", "sell", "close"]),
        st.integers(1, 500),  # lots to buy
        st.integers(1, PPM - 1),  # part of the position to sell
        st.integers(1, 10**6),  # ticks of the price
        st.integers(-2, 2),  # what the venue rounds differently
        st.sampled_from(FEES),
        st.integers(-3_000, 9_000),  # fee in parts per million; below zero a rebate
        st.booleans(),  # a hold stands, or the fill comes late
    ),
    max_size=12,
)


@pytest.mark.parametrize("fees_in", [["quote"], FEES], ids=["fees in quote", "fees in any asset"])
def test_any_sequence_of_trades_is_booked_at_average_cost(fees_in):
    """Position and fees are exact; cost and profit are exact after each close and within a unit per partial sale before it."""

    @heavy
    @given(markets, trades)
    def holds(market, steps):
        base, quote = market.base, market.quote
        funds = 10**60
        sleeve = Sleeve(market, funds)
        position, cost_now, partial = 0, Fraction(0), 0  # exact, by fractions
        realized, fees, cash, third = Fraction(0), 0, 0, 0
        for n, (what, lots, part, ticks, noise, fee_in, fee_ppm, late) in enumerate(steps):
            price = ticks * market.tick_units
            if what == "buy":
                side, qty = Side.BUY, lots * market.lot_units
            else:
                side, qty = Side.SELL, position if what == "close" else position * part // PPM
            if qty <= 0:
                continue
            per_unit = Fraction(price * 10**quote.scale, 10 ** (market.price_scale + base.scale))
            cost = max(0, ceil(per_unit * qty) + noise)
            fee_in = fee_in if fee_in in fees_in else "quote"
            fee = quote.units(ceil(Fraction(cost * fee_ppm, PPM)))
            if fee_in == "third":
                fee = BNB.units(ceil(Fraction(cost * fee_ppm, PPM)))
                third += fee.units
            fee_base = 0
            if fee_in == "base":
                fee_base = ceil(Fraction(qty * fee_ppm, PPM))
                if side is Side.SELL:
                    fee_base = min(fee_base, position - qty)
                fee = base.units(fee_base)
            fee_value = ceil(per_unit * fee_base)
            order, held = f"flash-{n}", 0
            if not late:
                held = cost + max(0, fee.units) if side is Side.BUY else qty
                sleeve.hold(order, quote if side is Side.BUY else base, held)
            entry = sleeve.fill(filled(market, side, qty, price, cost, fee, order=order, trade=f"t{n}"), held)

            # the oracle
            fee_quote = fee.units if fee_in == "quote" else 0
            cash += (cost if side is Side.SELL else -cost) - fee_quote
            fees += fee_quote + fee_value
            if side is Side.BUY:
                position += qty - fee_base
                cost_now += cost - fee_value
            else:
                out = qty + fee_base
                released = cost_now * Fraction(out, position) if out < position else cost_now
                realized += cost + fee_value - released
                position -= out
                cost_now -= released
                partial = partial + 1 if position else 0

            # the books
            assert not any(sum(p.units for p in entry.postings if p.asset == asset) for asset in (base, quote, BNB))
            assert all(p.units for p in entry.postings)
            assert {p.account.owner for p in entry.postings} == {"flash"}
            assert sleeve.units(Role.HELD, quote, order) == sleeve.units(Role.HELD, base, order) == 0
            assert sleeve.position == position == sleeve.free(base)
            assert sleeve.fees == fees
            assert sleeve.booked(Role.FEES, BNB) == -sleeve.free(BNB) == third
            assert sleeve.free() == funds + cash
            assert 0 <= cost_now - sleeve.open_cost <= partial
            assert -partial <= sleeve.realized - realized <= 0
            assert sleeve.realized - sleeve.fees - sleeve.open_cost == cash
            if position == 0:
                assert sleeve.open_cost == sleeve.booked(Role.TRADING, base) == 0
                assert cash == sleeve.realized - sleeve.fees

    holds()


@heavy
@given(markets, st.integers(1, 500), st.integers(1, 10**6), st.lists(st.integers(1, PPM), max_size=6), st.integers(0, 9_000))
def test_parts_of_an_order_use_up_exactly_its_hold(market, lots, ticks, parts, fee_ppm):
    """What a fill takes from the hold and does not need goes back to FREE; nothing is held when all is filled."""
    price, qty = ticks * market.tick_units, lots * market.lot_units
    sleeve = Sleeve(market, 10**60)
    hold = market.cost(price, qty, Rounding.CEIL, 10_000) + 2 * len(parts) + 2
    sleeve.hold("flash-1", market.quote, hold)
    left, held, spent = qty, hold, 0
    for n, part in enumerate([*parts, PPM]):
        share = left if n == len(parts) else left * part // PPM
        if not share:
            continue
        used = held if share == left else held * share // left
        cost = market.cost(price, share, Rounding.CEIL)
        fee = market.quote.units(rounded(Fraction(cost * fee_ppm, PPM), Rounding.UP))
        sleeve.fill(filled(market, Side.BUY, share, price, cost, fee, trade=f"t{n}"), used)
        left, held, spent = left - share, held - used, spent + cost + fee.units
        assert sleeve.units(Role.HELD, market.quote, "flash-1") == held
    assert sleeve.units(Role.HELD, market.quote, "flash-1") == 0
    assert sleeve.free() == 10**60 - spent
    assert sleeve.position == qty


# -- every function, in the order in which a vault lives ----------------------------------------------------------------

C = "core:main:USD"
AT = {"at": 1, "by": "owner"}
MARK = "flash/high_water 0.000005 USD | flash/memo -0.000005 USD"
GROWN = f"{C}/tradeable 0.00004 USD | {C}/memo -0.00004 USD"


def test_every_entry_of_a_life_is_balanced_and_passes_the_ledger():
    """One vault from its opening to its last withdrawal, in whole cents; balances by hand at the end."""
    ledger = Ledger()
    life = [
        (booking.open_vault(C, USD, 1_000, **AT), f"{C}/idle 0.001 USD | world/world -0.001 USD"),
        (booking.reserve(C, USD, 100, **AT), f"{C}/idle -0.0001 USD | {C}/reserved 0.0001 USD"),
        (booking.tradeable(C, USD, 800, **AT), f"{C}/tradeable 0.0008 USD | {C}/memo -0.0008 USD"),
        (booking.allocate(C, "flash", USD, 300, **AT), f"{C}/idle -0.0003 USD | flash/free 0.0003 USD"),
        (booking.earmark(C, "flash", USD, 50, **AT), f"{C}/idle -0.00005 USD | {C}/idle:flash 0.00005 USD"),
        (booking.land(C, "flash", USD, 40, **AT), f"{C}/idle:flash -0.00004 USD | flash/free 0.00004 USD"),
        (booking.earmark(C, "flash", USD, -10, **AT), f"{C}/idle 0.00001 USD | {C}/idle:flash -0.00001 USD"),
        (booking.hold("flash", "flash-1", USD, 60, at=1, by="x"), "flash/free -0.00006 USD | flash/held:flash-1 0.00006 USD"),
        (booking.release("flash", "flash-1", USD, 60, at=1, by="x"), "flash/held:flash-1 -0.00006 USD | flash/free 0.00006 USD"),
        (booking.reclaim(C, "flash", USD, 140, **AT), f"flash/free -0.00014 USD | {C}/idle 0.00014 USD"),
        (
            booking.sweep(C, "flash", USD, 20, 5, **AT),
            f"flash/free -0.00002 USD | {C}/idle 0.00002 USD | {C}/tradeable 0.00002 USD | {C}/memo -0.00002 USD | {MARK}",
        ),
        (
            booking.withdrawal(C, USD, 700, 100, {}, 30, "shortfall", **AT),
            f"world/world 0.00083 USD | {C}/idle -0.0007 USD | {C}/reserved -0.0001 USD | {C}/suspense:shortfall -0.00003 USD",
        ),
        (
            booking.deposit(C, USD, 50, {"shortfall": 10}, 40, **AT),
            f"world/world -0.00005 USD | {C}/suspense:shortfall 0.00001 USD | {C}/idle 0.00004 USD | {GROWN}",
        ),
        (
            booking.adjust(C, USD, "shortfall", 20, 0, at=1, by="owner", why="made good"),
            f"{C}/suspense:shortfall 0.00002 USD | {C}/idle -0.00002 USD",
        ),
    ]
    for entry, text in life:
        assert str(entry) == text
        ledger.check(entry)
        ledger.post(entry)
        assert not any(ledger.trial_balance().values())
    balances = {str(account): amount.units for account, amount in ledger.accounts() if amount.units}
    assert balances == {
        f"{C}/idle": 40,  # 1000 - 100 - 300 - 50 + 10 + 140 + 20 - 700 + 40 - 20
        "world/world": -220,  # 1000 - 830 + 50
        f"{C}/tradeable": 860,
        f"{C}/memo": -860,
        "flash/free": 180,  # 300 + 40 - 140 - 20
        "flash/high_water": 5,
        "flash/memo": -5,
    }


amount = st.integers(1, 10**20)


@law
@given(amount, amount, amount, st.integers(0, 10**20), st.integers(-(10**20), 10**20))
def test_entries_of_a_core_vault_are_balanced_for_any_amounts(a, b, c, d, e):
    for entry in (
        booking.open_vault(C, USD, a, **AT),
        booking.tradeable(C, USD, e, **AT),
        booking.reserve(C, USD, e, **AT),
        booking.earmark(C, "flash", USD, e, **AT),
        booking.allocate(C, "flash", USD, a, **AT),
        booking.land(C, "flash", USD, a, **AT),
        booking.reclaim(C, "flash", USD, a, **AT),
        booking.sweep(C, "flash", USD, a, e, **AT),
        booking.deposit(C, USD, a + b, {"x": a, "y": d}, e, **AT),
        booking.withdrawal(C, USD, a, b, {"flash": c, "quiet": d}, d, "shortfall", **AT),
        booking.adjust(C, USD, "shortfall", a, d, **AT, why="x"),
        booking.hold("flash", "flash-1", USD, a, **AT),
        booking.release("flash", "flash-1", USD, a, **AT),
    ):
        assert sum(p.units for p in entry.postings) == 0
        assert len({p.account.owner for p in entry.postings if p.account.role in (Role.FREE, Role.HELD, Role.HIGH_WATER)}) <= 1
        assert all(p.units for p in entry.postings)
        ample = Ledger()
        world = Account("world", Role.WORLD)
        for account in {p.account for p in entry.postings}:
            pair = (Posting(account, USD, 10**40), Posting(world, USD, -(10**40)))
            ample.apply(booking.Entry(0, EntryKind.ADJUST, "x", pair))
        ample.post(entry)


# -- what an order sets aside ------------------------------------------------------------------------------------------


def buy(market=SOLUSDC, **terms):
    return Place(market, Side.BUY, **({"qty": market.lot_units} | terms))


def test_a_limit_order_covers_its_limit_and_an_order_at_market_a_move():
    allowance = Allowance.of(fee="0.4%", slippage="0.5%")
    ask = SOLUSDC.price("150")
    assert allowance.worst(buy(limit=SOLUSDC.price("140")), ask) == SOLUSDC.price("140")
    assert allowance.worst(buy(), ask) == SOLUSDC.price("150.75")
    assert allowance.worst(buy(stop=SOLUSDC.price("160")), ask) == SOLUSDC.price("160.80")
    assert allowance.worst(buy(stop=SOLUSDC.price("160"), limit=SOLUSDC.price("161")), ask) == SOLUSDC.price("161")
    assert allowance.worst(Place(SOLUSDC, Side.SELL, 10**6), ask) is None
    covered = USDC("151.353") + USDC("0.0001")  # its cost and fee, and a ten-thousandth for roundings
    assert allowance.units(buy(qty=SOL("1").units), SOLUSDC.price("150.75")) == (USDC, covered.units)
    assert allowance.units(Place(SOLUSDC, Side.SELL, 5 * 10**6), None) == (SOL, 5 * 10**6)


def test_the_allowance_for_a_move_never_goes_beyond_it():
    market = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="1", lot="0.001")
    assert Allowance.of(slippage="0.5%").worst(buy(market), 199) == 199  # 199.995 is not 200
    assert Allowance.of(slippage="0.5%").worst(buy(market), 200) == 201


@law
@given(markets, st.integers(1, 10**6), st.integers(1, 1_000), st.integers(0, PPM - 1), st.integers(0, PPM - 1))
def test_a_buy_sets_aside_at_least_its_worst_cost_and_fee(market, ticks, lots, fee_ppm, slippage_ppm):
    allowance = Allowance(fee_ppm, slippage_ppm)
    place = buy(market, qty=lots * market.lot_units)
    ask = ticks * market.tick_units
    worst = allowance.worst(place, ask)
    assert ask <= worst <= ask * Fraction(PPM + slippage_ppm, PPM)
    assert worst % market.tick_units == 0
    asset, units = allowance.units(place, worst)
    coins = Fraction(worst * place.qty, 10 ** (market.price_scale + market.base.scale)) * 10**market.quote.scale
    assert asset == market.quote
    assert coins * Fraction(PPM + fee_ppm, PPM) <= units


@law
@given(markets, st.integers(1, 10**6), st.integers(1, 1_000), st.sampled_from([0, 1_000, 2_500, 4_000]))
def test_a_fill_at_the_worst_price_with_the_highest_fee_stays_within_its_hold(market, ticks, lots, fee_ppm):
    """Cost is rounded up, and so is the fee on it: a hold that covers both never lets an order take more than it set aside."""
    place = buy(market, qty=lots * market.lot_units, limit=ticks * market.tick_units)
    allowance = Allowance(fee_ppm=fee_ppm)
    _, held = allowance.units(place, allowance.worst(place, place.limit))
    cost = market.cost(place.limit, place.qty, Rounding.CEIL)
    fee = rounded(Fraction(cost * fee_ppm, PPM), Rounding.CEIL)
    assert cost + fee <= held


class AllIn:
    """An engine that buys once with all its money."""

    name, every = "all in", 0

    def __init__(self, market):
        self.market = market
        self.watches = (market,)

    def begin(self):
        return []

    def decide(self, done, view):
        if done:
            return ()
        done.append(True)
        return (Place(self.market, Side.BUY, view.affordable(self.market)),)


@pytest.mark.parametrize("ask", ["3.00", "11.73", "1518.14", "1849.88", "6976.33", "19999.99"])
def test_a_buy_with_all_its_money_at_its_worst_price_does_not_overdraw_the_sleeve(ask):
    """With the default allowance and the default fees, one millionth of a dollar must not stop a sleeve."""
    market = Instrument("BTC/USD", base=Asset("BTC", 8), quote=USD, tick="0.01", lot="0.00000001")
    vault = CoreVault(USD, total="1000", tradeable="1000")
    sleeve = vault.sleeve("flash", FLASH, allocate="1000")
    desk = Desk(vault)
    desk.assign(AllIn(market), to=sleeve)
    (command,) = desk.quote(0, 1, market.price(ask), market.price(ask))
    order = command.order
    cost = market.cost(order.worst, order.place.qty, Rounding.CEIL)
    fee = Fees().charge(market, Side.BUY, order.place.qty, cost, Liquidity.TAKER)
    desk.step(filled(market, Side.BUY, order.place.qty, order.worst, cost, fee, order=order.id))
    assert sleeve.free_units() >= 0
    assert sleeve.status is Status.ACTIVE


@pytest.mark.parametrize("name", ["fee_ppm", "slippage_ppm"])
def test_an_allowance_lies_between_nothing_and_all(name):
    for value in (0, PPM - 1):
        assert getattr(Allowance(**{name: value}), name) == value
    for value in (-1, PPM):
        with pytest.raises(InvalidAmount, match="allowance"):
            Allowance(**{name: value})


@pytest.mark.parametrize("name", ["fee_ppm", "slippage_ppm"])
@pytest.mark.parametrize("value", [0.004, 4_000.5, float("nan"), "4000", None, True], ids=repr)
def test_an_allowance_is_whole_parts_per_million(name, value):
    """A float here becomes a float in a hold."""
    with pytest.raises((SleevesError, TypeError)):
        Allowance(**{name: value})


@pytest.mark.parametrize(("fee", "slippage", "expected"), [("0.4%", "0.5%", (4_000, 5_000)), ("0", "0.01", (0, 10_000))])
def test_an_allowance_is_written_as_rates(fee, slippage, expected):
    allowance = Allowance.of(fee=fee, slippage=slippage)
    assert (allowance.fee_ppm, allowance.slippage_ppm) == expected
    assert Allowance.of() == Allowance()


def test_a_fee_of_a_base_coin_is_valued_up_and_a_rebate_down():
    """Rounding goes against the one who trades: 1 unit at 3/10 a unit is a fee of 1, and a rebate of 0."""
    market = Instrument("W/Q", base=Asset("W", 1), quote=Asset("Q", 0), tick="1", lot="0.1")
    for fee_units, booked in ((1, 1), (-1, 0)):
        sleeve = Sleeve(market, 1_000)
        sleeve.fill(filled(market, Side.BUY, 100, 3, 30, market.base.units(fee_units)))
        assert sleeve.fees == booked == rounded(Fraction(3 * fee_units, 10), Rounding.CEIL)
        assert sleeve.position == 100 - fee_units
        assert sleeve.open_cost == 30 - booked
