"""The guards: each refusal reached, each threshold from both sides, and an exit that none of them stands in the way of.

Names such as 6.8 and P25 are those of the criteria and properties that the funding engine was specified with.
"""

from __future__ import annotations

from fractions import Fraction

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_house import BUY, LSTSOL, LSTUSDC, PERP, SELL, SPOT, House, leg, order, passes
from helpers import Puppet
from sleeves import BTC, QUIET, SOL, USDC, Asset, Books, CoreVault, Desk, Instrument, Place
from sleeves.caps import ExposureCap, OrderRate, PositionCap
from sleeves.errors import AssetMismatch, BadTape, InvalidAmount, InvalidMarket
from sleeves.guards import AccountAge, GasReserve, HealthAfter, Latency, Leverage, OneEngine, Profit, Slippage, TokenSafety
from sleeves.journal import Memory
from sleeves.live import trade
from sleeves.margin import Weights
from sleeves.market import HOUR, MINUTE, SECOND, FundingRate, Kind, Quote
from sleeves.money import PPM
from sleeves.news import TokenFacts
from sleeves.orders import Bundle
from sleeves.records import Bundled, Placed, Refusal
from sleeves.sim import Tape, VirtualDriver, account_of, replay
from sleeves.state import State

# -- what is expected against what it costs: 6.1 to 6.4, P25 to P28 --------------------------------------------------------

P25 = {"fee": "0.02%", "slippage": "0.1%", "tip": SOL("0.00001"), "base_fee": SOL("0.000005")}


def test_p25_the_cost_is_tip_times_price_and_fees_of_the_notional_and_the_base_fee():
    """6.1: 10 coins at 100: A = 1,000; 0.00001 x 100 + 0.1% A + 0.02% A + 0.000005 x 100 = 1.2015."""
    h = House(Profit(**P25, part="100%"))
    refused = h.wish(order(PERP, SELL, "10", expect="1.2"))
    assert (refused.gate, refused.reason) == ("profit", "unprofitable")
    assert refused.numbers == {"revenue": "1.2", "cost": "1.2015", "net": "-0.0015"}


@pytest.mark.parametrize(("expect", "passed"), [("2.403", True), ("2.402999", False), ("0", False), ("-5", False)])
def test_p27_and_p28_half_of_what_is_expected_reaches_the_cost_or_it_is_refused(expect, passed):
    """6.3 and 6.4: the cost is 1.2015, twice of it is 2.403."""
    h = House(Profit(**P25))
    answer = h.wish(order(PERP, SELL, "10", expect=expect))
    assert passes(answer) if passed else answer.reason == "unprofitable"


def test_p26_revenue_is_size_times_rate_times_price_and_half_of_it_counts():
    """6.2: 10 coins short for three payments of 0.1% at 100 bring 3, of which 1.5 counts."""
    h = House(Profit("0.2%", part="50%"))
    rate = FundingRate.of(PERP, "0.1%", price=PERP.price("100"), at=h.now, every=8 * HOUR)
    brings = 3 * rate.payment(-PERP.qty("10"))
    assert brings == USDC("3").units
    refused = h.wish(order(PERP, SELL, "10", expect=brings))
    assert refused.numbers == {"revenue": "1.5", "cost": "2", "net": "-0.5"}


def test_p50_what_is_refused_says_revenue_cost_and_net():
    """10.7, in the journal."""
    h = House(Profit("1%"))
    h.wish(order(PERP, BUY, "1", expect="1"))
    (written,) = [r for r in h.desk.books.journal if isinstance(r, Refusal)]
    assert set(written.numbers) == {"revenue", "cost", "net"}


def test_a_wish_that_does_not_say_what_it_expects_is_refused():
    h = House(Profit("0%"))
    assert h.wish(order(PERP, BUY, "1")).reason == "no_expectation"
    assert passes(h.wish(order(PERP, BUY, "1", expect="0"))), "nothing expected, and nothing to pay"


def test_a_tip_in_a_coin_without_a_fresh_price_is_not_known():
    h = House(Profit("0%", tip=SOL("0.00001")), markets=(PERP,), prices=("100",))
    assert h.wish(order(PERP, BUY, "1", expect="5")).reason == "no_price", "SOL has no market of its own here"
    h = House(Profit("0%", tip=SOL("0.00001")))
    assert passes(h.wish(order(PERP, BUY, "1", expect="5"), after=MINUTE))
    assert h.wish(order(PERP, BUY, "1", expect="5"), after=1).reason == "no_price", "a minute and a nanosecond old"
    h.see(SPOT, "100")
    assert passes(h.wish(order(PERP, BUY, "1", expect="5")))


def test_a_tip_in_the_vaults_own_coin_needs_no_price_and_rounds_up():
    h = House(Profit("0%", tip="0.0000001", base_fee=USDC("2"), part="100%"), markets=(PERP,), prices=("100",))
    assert passes(h.wish(order(PERP, BUY, "1", expect="2.000001")))
    assert h.wish(order(PERP, BUY, "1", expect="2")).numbers["cost"] == "2.000001"


@pytest.mark.parametrize(
    ("side", "terms", "cost"),
    [
        (BUY, {}, "10.1"),  # at market: the ask
        (SELL, {}, "9.9"),  # the bid
        (BUY, {"limit": "90"}, "9"),
        (BUY, {"limit": "120"}, "12"),
        (BUY, {"stop": "110"}, "11"),
        (SELL, {"limit": "120"}, "12"),
        (SELL, {"limit": "90"}, "9.9"),  # it fills at the bid
        (SELL, {"stop": "90"}, "9.9"),
    ],
)
def test_the_notional_is_at_the_orders_own_price_or_at_what_it_fills_at(side, terms, cost):
    h = House(Profit("1%", part="100%"))
    h.see(PERP, "99", "101")
    assert h.wish(order(PERP, side, "10", expect="0", **terms)).numbers["cost"] == cost


@settings(max_examples=150, deadline=None)
@given(
    qty=st.integers(1, 10**7).map(lambda lots: lots * PERP.lot_units),
    price=st.integers(1, 10**8),
    fee=st.integers(0, PPM),
    slippage=st.integers(0, PPM),
    part=st.integers(1, PPM),
    tip=st.integers(0, 10**9),
    expect=st.integers(-(10**6), 10**13),
)
def test_what_is_expected_is_weighed_exactly(qty, price, fee, slippage, part, tip, expect):
    """Revenue below the exact cost never passes; one that exceeds it by the roundings, two units, always does."""

    class Seen:
        now, legs = 0, ()
        book = type("Top", (), {"bid": price, "ask": price})()

        def closable(self, place):
            return 0

        def book_of(self, instrument):
            return self.book

    gate = Profit(_text(fee), _text(slippage), tip=USDC.units(tip), part=_text(part))
    vault = type("Held", (), {"sleeve": type("Own", (), {"asset": USDC, "name": "a"})()})()
    refusal = gate(Place(PERP, SELL, qty, expect=expect), Seen(), vault)
    cost = Fraction(price * qty, 10 ** (PERP.price_scale + SOL.scale - USDC.scale)) * (fee + slippage) / PPM + tip
    revenue = Fraction(expect * part, PPM)
    if revenue < cost:
        assert refusal is not None
    if revenue >= cost + 2:
        assert refusal is None


def _text(units):
    whole, places = divmod(units, PPM)
    return f"{whole}.{places:06d}"


# -- what a venue takes to answer: 6.5, P29 --------------------------------------------------------------------------------


@pytest.mark.parametrize(("ms", "passed"), [(0, True), (500, True), (500.001, False), (501, False), (-1, False)])
def test_p29_above_500_ms_new_risk_is_refused(ms, passed):
    h = House(Latency())
    h.hear(ms)
    answer = h.wish(order(PERP, BUY, "1"))
    if passed:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason) == ("latency", "latency")
        assert answer.numbers == {"latency_ms": str(ms), "limit_ms": "500"}


def test_where_nothing_was_measured_nothing_is_fast():
    """The origin took no samples for an average of 0 ms."""
    h = House(Latency())
    assert h.wish(order(PERP, BUY, "1")).reason == "no_latency"
    h.hear(1, topic="another")
    assert h.wish(order(PERP, BUY, "1")).reason == "no_latency"
    h.hear(1)
    assert passes(h.wish(order(PERP, BUY, "1")))


@pytest.mark.parametrize(("age", "passed"), [(0, True), (10 * SECOND, True), (10 * SECOND + 1, False), (-1, False)])
def test_an_old_measurement_is_none_and_one_from_the_future_neither(age, passed):
    h = House(Latency(age_ns=10 * SECOND))
    h.now += HOUR
    h.hear(1, at=h.now - age)
    answer = h.wish(order(PERP, BUY, "1"))
    assert passes(answer) if passed else answer.reason == "stale_latency"


# -- coins for transactions: 6.6, P30 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("has", "passed"), [("0.017", True), ("0.016", False)])
def test_p30_below_the_reserve_nothing_is_opened(has, passed):
    """Whoever in the wallet owns the coins."""
    h = House(GasReserve(SOL, "0.017"))
    h.trade(SPOT, BUY, has, "b")
    answer = h.wish(order(PERP, BUY, "1"))
    if passed:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason) == ("gas_reserve", "gas_reserve")
        assert answer.numbers == {"coin": "SOL", "left": "0.016", "least": "0.017"}


def test_coins_that_are_offered_for_sale_are_no_reserve():
    h = House(GasReserve(SOL, "0.017"))
    h.trade(SPOT, BUY, "0.02", "b")
    assert passes(h.wish(order(SPOT, SELL, "0.003", limit="120"), "b"))
    assert passes(h.wish(order(PERP, BUY, "1")))
    assert passes(h.wish(order(SPOT, SELL, "0.001", limit="120"), "b"))
    assert h.wish(order(PERP, BUY, "1")).numbers["left"] == "0.016"


def test_a_wallet_without_the_coin_cannot_even_buy_it():
    """The purchase is a transaction too."""
    h = House(GasReserve(SOL, "0.017"))
    assert h.wish(order(SPOT, BUY, "1")).numbers["left"] == "0"


@pytest.mark.parametrize("over", [0, 1])
def test_an_order_that_spends_the_coin_leaves_the_reserve_to_the_unit(over):
    """A vault in SOL: what the order sets aside is gone from what pays for transactions."""
    h = House(asset=SOL, markets=(LSTSOL,), prices=("1.1",), total="20", allocate="10")
    wish = order(LSTSOL, BUY, "2")
    left = SOL("20").units - h.desk._seats["a"].view.hold(wish)
    h.late.gates = [GasReserve(SOL, SOL.units(left + over))]
    answer = h.wish(wish)
    assert answer.numbers["left"] == SOL.units(left).text if over else passes(answer)


# -- health after the order: 6.8 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "qty", "passed"), [(BUY, "80", True), (SELL, "80", True), (BUY, "80.01", False), (SELL, "80.01", False)])
def test_6_8_health_after_the_order_is_at_least_60(side, qty, passed):
    """1,000 of equity and 5% maintenance: 80 contracts at 100 need 400, a health of exactly 60."""
    h = House(HealthAfter(60, fee="0%"))
    answer = h.wish(order(PERP, side, qty, limit="100"))
    if passed:
        assert passes(answer)
        h.fill(answer)
        assert h.desk.exposure(h.vault).sleeves["a"].health == 60
    else:
        assert (answer.gate, answer.reason) == ("health_after", "health")
        assert answer.numbers == {"health": "59.99", "least": "60"}


def test_the_fee_of_the_order_and_the_spread_it_pays_count():
    h = House(HealthAfter(60, fee="0.1%"))
    assert h.wish(order(PERP, BUY, "80", limit="100")).reason == "health", "992 of equity after a fee of 8"
    h.late.gates = [HealthAfter(60, fee="0%")]
    h.see(PERP, "99.99", "100.01")
    assert h.wish(order(PERP, BUY, "80")).reason == "health", "bought at 100.01, worth 100"
    assert h.wish(order(PERP, SELL, "80")).reason == "health"
    assert passes(h.wish(order(PERP, BUY, "80", limit="100")))


@pytest.mark.parametrize(("side", "limit"), [(BUY, "50"), (SELL, "110")])
def test_a_price_far_from_the_market_does_not_flatter(side, limit):
    """Taken for filled at 50 and valued at 100, an order would show a profit that nobody pays."""
    h = House(HealthAfter(60, fee="0%"))
    assert h.wish(order(PERP, side, "80.01", limit=limit)).reason == "health"


@pytest.mark.parametrize(("qty", "passed"), [("80", True), ("80.01", False)])
def test_the_account_together_is_looked_at_as_well(qty, passed):
    """`b` has lost 800 of the account's 2,000 and needs 160: with 80 more contracts at 80, 1,200 stand behind 480."""
    h = House(HealthAfter(60, fee="0%"))
    h.trade(PERP, BUY, "40", "b", limit=PERP.price("100"))
    h.see(PERP, "80")
    answer = h.wish(order(PERP, BUY, qty, limit="80"))
    assert passes(answer) if passed else answer.reason == "joint_health"


def test_an_order_that_turns_a_position_is_judged_by_what_is_left():
    """80 long at a health of 57: selling 81 leaves one short, and a health of 99; two lots more would be none the worse."""
    h = House(HealthAfter(60, fee="0%"))
    h.trade(PERP, BUY, "80", limit=PERP.price("100"))
    h.see(PERP, "99")
    assert h.desk.exposure(h.vault).sleeves["a"].health == 57
    assert h.wish(order(PERP, BUY, "0.01", limit="99")).reason == "health"
    answer = h.wish(order(PERP, SELL, "81", limit="99"))
    assert passes(answer)
    h.fill(answer)
    assert h.desk.exposure(h.vault).sleeves["a"].health == 99


def test_open_orders_count_beside_the_one_that_is_judged():
    h = House(HealthAfter(60, fee="0%"))
    assert passes(h.wish(order(PERP, BUY, "40", limit="90")))
    assert passes(h.wish(order(PERP, BUY, "40", limit="90")))
    assert h.wish(order(PERP, BUY, "0.01", limit="90")).reason == "health"


def test_health_that_is_not_known_refuses():
    """The margin gate would say the same: here it is asked alone."""
    other = Instrument("BTC-PERP", base=BTC, quote=USDC, tick="0.01", lot="0.0001", kind=Kind.PERP)
    h = House(markets=(PERP, other), prices=("100", "10000"))
    h.trade(other, BUY, "0.01", limit=other.price("10000"))
    seat = h.desk._seats["a"]
    for age, reason in ((MINUTE, None), (MINUTE + 1, "stale_price")):
        h.now = seat.view.now = h.desk._boards["BTC-PERP"].at + age
        h.see(PERP, "100")
        for gate in (HealthAfter(), Leverage()):
            refusal = gate(order(PERP, BUY, "1"), seat.view, seat.vault)
            assert (refusal and refusal.reason) == reason


@pytest.mark.parametrize(("qty", "passed"), [("5", True), ("5.001", False)])
def test_a_buy_of_coins_spends_what_stands_behind_contracts(qty, passed):
    """1,000 behind 40 contracts that need 200: 500 less leaves exactly 60."""
    h = House(HealthAfter(60, fee="0%"))
    assert passes(House(HealthAfter(100, fee="0%")).wish(order(SPOT, BUY, qty))), "nothing is at stake without contracts"
    h.trade(PERP, SELL, "40", limit=PERP.price("100"))
    answer = h.wish(order(SPOT, BUY, qty, limit="100"))
    assert passes(answer) if passed else answer.reason == "health"


def test_coins_that_are_collateral_count_at_their_weight():
    """A coin at 80% is missed by a fifth of its price only, once the account has some of it."""
    weights = Weights(8_000, 8_000)
    h = House(HealthAfter(60, fee="0%"), collateral={SOL: weights})
    h.trade(SPOT, BUY, "1", limit=SPOT.price("100"))
    h.trade(PERP, SELL, "60", limit=PERP.price("100"))
    assert h.desk.exposure(h.vault).sleeves["a"].collateral == USDC("980")
    assert passes(h.wish(order(SPOT, BUY, "2", limit="100")))


@settings(max_examples=60, deadline=None)
@given(
    had=st.integers(-900, 900),
    theirs=st.integers(-900, 900),
    moved=st.integers(8_500, 11_500),
    side=st.sampled_from([BUY, SELL]),
    lots=st.integers(1, 12_000),
)
def test_the_gate_and_what_if_tell_the_same_story(had, theirs, moved, side, lots):
    """An order at market passes if, and only if, `Desk.what_if` shows both at 60 or more afterwards."""
    h = House()
    for who, tenths in (("a", had), ("b", theirs)):
        if tenths:
            h.trade(PERP, BUY if tenths > 0 else SELL, f"{abs(tenths) / 10:.1f}", who, limit=PERP.price("100"))
    h.see(PERP, PERP.price_text(moved))
    view, vault = h.desk._seats["a"].view, h.desk._seats["a"].vault
    view.now = h.now
    place = Place(PERP, side, lots * PERP.lot_units)
    if not place.qty > view.closable(place):
        return
    refusal = HealthAfter(60)(place, view, vault)
    after = h.desk.what_if(place, h.sleeves["a"]).after
    well = all((one.collateral - one.requirement).units * 100 >= 60 * one.collateral.units > 0 for one in (after.sleeves["a"], after.joint))
    assert (refusal is None) is well, (refusal, str(after))


# -- leverage: 6.7, 4.2, P4 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "qty"), [("5", "50"), ("10", "100")], ids=["live", "paper"])
@pytest.mark.parametrize("side", [BUY, SELL])
def test_p4_contracts_over_equity_at_most_5_live_and_10_on_paper(most, qty, side):
    """1,000 of equity, contracts at 100; the margin gate aside, whose terms would stop ten times for the fee alone."""
    h = House(most_leverage=20)
    view, vault = h.desk._seats["a"].view, h.desk._seats["a"].vault
    gate = Leverage(most)
    assert gate(order(PERP, side, qty), view, vault) is None
    over = gate(Place(PERP, side, PERP.qty(qty) + PERP.lot_units), view, vault)
    assert (over.gate, over.reason) == ("leverage", "leverage")
    assert over.numbers == {"leverage": f"{most}.001", "most": most}


def test_6_7_and_4_2_five_times_passes_at_the_desk_and_one_lot_more_does_not():
    h = House(Leverage("5"))
    assert h.wish(order(PERP, SELL, "50.01", limit="100")).reason == "leverage"
    assert passes(h.wish(order(PERP, SELL, "50", limit="100")))
    assert h.wish(order(PERP, SELL, "0.01", limit="100")).reason == "leverage", "what is ordered counts"


def test_leverage_counts_what_is_there_already_and_lets_it_shrink():
    """The origin looked at each order alone and reached 180 times; and it took a reduction for more."""
    h = House(Leverage("5"))
    h.trade(PERP, SELL, "50", limit=PERP.price("100"))
    h.see(PERP, "101")
    assert h.wish(order(PERP, SELL, "0.01")).reason == "leverage", "5,050 over 950"
    assert passes(h.wish(order(PERP, BUY, "50")))


def test_without_equity_there_is_no_leverage_to_speak_of():
    h = House(Leverage("5"), most_leverage=1_000)
    h.trade(PERP, BUY, "90", limit=PERP.price("100"))
    view, vault = h.desk._seats["a"].view, h.desk._seats["a"].vault
    h.desk._boards["SOL-PERP"].bid = h.desk._boards["SOL-PERP"].ask = PERP.price("88")
    assert Leverage("5")(order(PERP, BUY, "1"), view, vault).numbers["leverage"] == "none"


# -- one at a time ---------------------------------------------------------------------------------------------------------


def test_one_engine_at_a_time_while_another_has_a_position_or_an_order():
    h = House(OneEngine())
    wish = order(PERP, BUY, "1", limit="100")
    assert passes(h.wish(wish))
    resting = h.wish(order(PERP, BUY, "1", limit="90"), "b")
    answer = h.wish(wish)
    assert (answer.gate, answer.reason, answer.numbers) == ("one_engine", "other_engine", {"other": "b", "has": "open orders"})
    h.fill(resting)
    assert h.wish(wish).numbers["has"] == "a position"
    h.trade(PERP, SELL, "1", "b")
    assert passes(h.wish(wish))


def test_what_is_too_little_to_be_sold_is_no_position():
    """Else a thousandth of a coin that was left over would stop all others for good."""
    coarse = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.001", min_qty="0.01")
    h = House(OneEngine(), markets=(coarse,), prices=("100",))
    h.trade(coarse, BUY, "1", "b")
    h.trade(coarse, SELL, "0.99", "b")
    assert h.wish(order(coarse, BUY, "1")).numbers == {"other": "b", "has": "a position"}, "0.01 can be sold"
    h.trade(coarse, SELL, "0.01", "b")
    h.trade(coarse, BUY, "1", "b")
    h.trade(coarse, SELL, "0.991", "b")
    assert h.sleeves["b"].position(coarse) == SOL("0.009")
    assert passes(h.wish(order(coarse, BUY, "1")))


def test_the_sleeves_of_another_vault_are_not_asked():
    books = Books()
    one, two = (CoreVault(USDC, total="1000", tradeable="1000", books=books, wallet=name) for name in ("main", "second"))
    desk = Desk(one, two)
    mine, other = Puppet(SPOT, "mine"), Puppet(SPOT, "other")
    mine.price = other.price = "100"
    mine.sit(desk, one.sleeve("a", QUIET, allocate="1000"), gates=[OneEngine()])
    other.sit(desk, two.sleeve("b", QUIET, allocate="1000"))
    assert passes(other.buy("1"))
    assert passes(mine.buy("1"))


# -- bundles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("expects", "passed"), [(("1.2", "1.203"), True), (("3", "-0.597"), True), (("1.2", "1.202999"), False)])
def test_a_bundle_is_weighed_whole(expects, passed):
    """Five coins bought and fifteen contracts sold at 100: at 0.06% of 2,000 the cost is that of P25, 1.2015."""
    h = House(Profit("0.01%", "0.05%", SOL("0.00001"), SOL("0.000005")))
    legs = [leg(SPOT, BUY, "5", "100", expect=expects[0]), leg(PERP, SELL, "15", "100", expect=expects[1])]
    answer = h.wish(Bundle(legs))
    if passed:
        assert passes(answer)
    else:
        assert answer.reason == "unprofitable"
        assert answer.numbers == {"revenue": "1.201499", "cost": "1.2015", "net": "-0.000001"}
        assert answer.wish == "buy 5 SOL/USDC at 100 then sell 15 SOL-PERP at 100"


def test_each_leg_of_a_bundle_gets_the_same_answer():
    h = House(Profit("1%"))
    view, vault = h.desk._seats["a"].view, h.desk._seats["a"].vault
    view.now = h.now
    legs = (leg(SPOT, BUY, "5", "100", expect="1"), leg(PERP, SELL, "5", "100"))
    view.legs = legs
    first = Profit("1%")(legs[0], view, vault)
    view.assume(legs[0])
    second = Profit("1%")(legs[1], view, vault)
    assert first.numbers == second.numbers == {"revenue": "0.5", "cost": "10", "net": "-9.5"}
    assert (first.reason, second.reason) == ("unprofitable", "unprofitable")


def test_what_a_bundle_closes_costs_as_well_and_only_what_it_opens_is_refused():
    """Out of one market and into another: the fees of both."""
    other = Instrument("SOL2-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
    h = House(Profit("1%", part="100%"), markets=(PERP, other), prices=("100", "100"))
    h.trade(PERP, SELL, "1", limit=PERP.price("100"))
    out, into = leg(PERP, BUY, "1", "100"), leg(other, SELL, "1", "100", expect="1.99")
    assert h.wish(Bundle([out, into])).numbers["cost"] == "2"
    assert passes(h.wish(Bundle([out, leg(other, SELL, "1", "100", expect="2")])))


def test_a_leg_that_follows_is_not_weighed_again_by_itself():
    """Its bundle was: what the other leg expects, and what it cost, is behind it."""
    h = House(Profit("0.1%"))
    first = h.wish(Bundle([leg(SPOT, BUY, "5", "100", expect="5"), leg(PERP, SELL, "5", "100")]))
    (second,) = h.fill(first)
    h.fill(second)
    assert (h.sleeves["a"].position(SPOT), h.sleeves["a"].position(PERP)) == (SOL("5"), -SOL("5"))


def test_a_leg_in_another_coin_is_brought_into_the_vaults():
    """JitoSOL bought with SOL at 1.1: 1% of 1.1 SOL at an ask of 101 is 1.111; what it expects in SOL counts at the bid, 99."""
    h = House(Profit("1%", part="100%"), markets=(SPOT, LSTSOL, LSTUSDC), prices=("100", "1.1", "110"))
    h.trade(SPOT, BUY, "5", limit=SPOT.price("100"))
    h.see(SPOT, "99", "101")
    answer = h.wish(order(LSTSOL, BUY, "1", limit="1.1", expect="0.01"))
    assert answer.numbers == {"revenue": "0.99", "cost": "1.111", "net": "-0.121"}
    assert passes(h.wish(order(LSTSOL, BUY, "1", limit="1.1", expect="0.011223")))


@pytest.mark.parametrize("over", [0, 1])
def test_a_round_through_the_coin_leaves_the_reserve_after_each_leg(over):
    """Dollars to SOL to JitoSOL to dollars: what the first leg brings may pay for the second, and not a unit more."""
    h = House(markets=(SPOT, LSTSOL, LSTUSDC), prices=("100", "1.1", "110"))
    h.trade(SPOT, BUY, "0.05", limit=SPOT.price("100"))
    legs = [leg(SPOT, BUY, "1", "100"), leg(LSTSOL, BUY, "0.92", "1.1"), leg(LSTUSDC, SELL, "0.92", "110")]
    left = SOL("1.05").units - h.desk._seats["a"].view.hold(legs[1])
    assert 0 < left < SOL("0.05").units, "the reserve is lowest after the second leg"
    h.late.gates = [GasReserve(SOL, SOL.units(left + over))]
    answer = h.wish(Bundle(legs))
    assert answer.numbers["left"] == SOL.units(left).text if over else passes(answer)


@pytest.mark.parametrize(("sold", "passed"), [("0.033", True), ("0.034", False)])
def test_coins_that_a_bundle_sells_are_gone_for_the_legs_behind(sold, passed):
    h = House(GasReserve(SOL, "0.017"))
    h.trade(SPOT, BUY, "0.05")
    answer = h.wish(Bundle([leg(SPOT, SELL, sold, "100"), leg(PERP, BUY, "1", "100")]))
    assert passes(answer) if passed else answer.numbers["left"] == "0.016"


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(("qty", "passed"), [("39.83", True), ("39.84", False)])
def test_a_hedge_is_judged_with_what_its_coins_cost(qty, passed, turn):
    """502.0001 of 1,000 are set aside for five coins: the contracts may need 199.19996, whichever leg comes first."""
    h = House(HealthAfter(60, fee="0%"))
    legs = [leg(SPOT, BUY, "5", "100"), leg(PERP, SELL, qty, "100")]
    answer = h.wish(Bundle(legs[::turn]))
    assert passes(answer) if passed else answer.reason == "health"


# -- the account ------------------------------------------------------------------------------------------------------------


def looked(h, at, wallet="main"):
    """The books are held against a venue that agrees with them."""
    found, _ = h.desk.reconcile({"USDC": h.vault.coins}, at=at, wallet=wallet)
    assert found.clean, str(found)


@pytest.mark.parametrize(("age", "passed"), [(MINUTE, True), (MINUTE + 1, False)])
def test_books_that_were_not_held_against_the_venue_lately_take_no_new_risk(age, passed):
    h = House(AccountAge(MINUTE))
    answer = h.wish(order(PERP, BUY, "1"))
    assert (answer.gate, answer.reason, answer.numbers) == ("account_age", "never_reconciled", {"wallet": "main"})
    looked(h, h.now)
    h.see(PERP, "100", after=age)
    answer = h.wish(order(PERP, BUY, "1"))
    if passed:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason) == ("account_age", "stale_account")
        assert answer.numbers == {"wallet": "main", "age_s": str(age / SECOND), "limit_s": "60.0"}


@pytest.mark.parametrize(("ahead", "passed"), [(MINUTE, True), (MINUTE + 1, False)])
def test_a_reconciliation_far_in_the_future_is_none(ahead, passed):
    """A venue's clock may be a little behind the shell's; a time in other units must not make the books fresh for ever."""
    h = House()
    looked(h, h.now + ahead)
    view, vault = h.desk._seats["a"].view, h.desk._seats["a"].vault
    view.now = h.now
    refusal = AccountAge(MINUTE)(order(PERP, BUY, "1"), view, vault)
    assert passed is (refusal is None)


def test_the_wallet_that_counts_is_the_sleeves_own():
    books = Books()
    one, two = (CoreVault(USDC, total="1000", tradeable="1000", books=books, wallet=name) for name in ("main", "second"))
    desk = Desk(one, two)
    puppet = Puppet(SPOT, "mine")
    puppet.price = "100"
    puppet.sit(desk, one.sleeve("a", QUIET, allocate="1000"), gates=[AccountAge()])
    puppet.quote()
    desk.reconcile({"USDC": USDC("1000")}, wallet="second")
    assert puppet.buy("1").reason == "never_reconciled"
    desk.reconcile({"USDC": USDC("1000")}, wallet="main")
    assert passes(puppet.buy("1"))


# -- what an order may pay ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("market", "side"), [(SPOT, BUY), (PERP, BUY), (PERP, SELL)])
@pytest.mark.parametrize(("ask", "passed"), [("100.20", True), ("100.21", False)])
def test_at_market_the_spread_is_at_most_so_much_of_the_middle(market, side, ask, passed):
    """99.80 to 100.20 is 0.4% of 100."""
    h = House(Slippage(spread="0.4%"))
    h.see(market, "99.80", ask)
    answer = h.wish(order(market, side, "1"))
    if passed:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason) == ("slippage", "spread")
        assert answer.numbers == {"spread": "0.40998%", "most": "0.4%"}


@pytest.mark.parametrize(
    ("market", "side", "terms", "passed"),
    [
        (SPOT, BUY, {"limit": "100.50"}, True),
        (SPOT, BUY, {"limit": "100.51"}, False),
        (SPOT, BUY, {"limit": "1"}, True),  # far on the side that pays less
        (PERP, SELL, {"limit": "99.50"}, True),
        (PERP, SELL, {"limit": "99.49"}, False),
        (PERP, SELL, {"limit": "200"}, True),
        (SPOT, BUY, {"stop": "120", "limit": "120.60"}, True),  # a stop's limit is held against the stop
        (SPOT, BUY, {"stop": "120", "limit": "120.61"}, False),
        (SPOT, BUY, {"stop": "120"}, True),
    ],
)
def test_a_limit_is_at_most_so_far_beyond_the_middle(market, side, terms, passed):
    h = House(Slippage("0.5%", spread="0%"))
    h.see(market, "99.90", "100.10")
    answer = h.wish(order(market, side, "1", **terms))
    if passed:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason) == ("slippage", "worst_price")
        assert answer.numbers["limit"] == terms["limit"]
        assert float(answer.numbers["beyond"].rstrip("%")) > 0.5


@settings(max_examples=200, deadline=None)
@given(bid=st.integers(1, 10**7), wide=st.integers(0, 10**6), limit=st.integers(1, 10**7), most=st.integers(0, PPM), buys=st.booleans())
def test_what_an_order_may_pay_is_weighed_exactly(bid, wide, limit, most, buys):
    class Seen:
        now, legs = 0, ()
        book = type("Top", (), {"bid": bid, "ask": bid + wide})()

        def closable(self, place):
            return 0

        def book_of(self, instrument):
            return self.book

    vault = type("Held", (), {"sleeve": type("Own", (), {"asset": USDC, "name": "a"})()})()
    middle = Fraction(2 * bid + wide, 2)
    gate, side = Slippage(_text(most), _text(most)), BUY if buys else SELL
    at_market = gate(Place(PERP, side, PERP.lot_units), Seen(), vault)
    assert (at_market is None) is (Fraction(wide) <= middle * most / PPM)
    at_limit = gate(Place(PERP, side, PERP.lot_units, limit=limit), Seen(), vault)
    assert (at_limit is None) is ((limit - middle) * side.sign <= middle * most / PPM)


# -- what a coin is ----------------------------------------------------------------------------------------------------------

SAFE = {"mint_authority": False, "freeze_authority": False, "liquidity": USDC("100000"), "top_holders": "30%"}


def coin_house(*gates):
    return House(*gates, markets=(SPOT, PERP), prices=("100", "100"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"mint_authority": True}, "mint_authority"),
        ({"freeze_authority": True}, "freeze_authority"),
        ({"liquidity": USDC("99999.999999")}, "liquidity"),
        ({"top_holders": "30.0001%"}, "top_holders"),
        ({"liquidity": USDC("0")}, "liquidity"),
    ],
)
def test_a_coin_is_bought_only_if_it_is_safe(changes, reason):
    h = coin_house(TokenSafety("100000", top_holders="30%"))
    assert h.wish(order(SPOT, BUY, "1")).reason == "no_facts"
    h.desk.step(TokenFacts.of(SOL, at=h.now, **(SAFE | changes), source="test"))
    answer = h.wish(order(SPOT, BUY, "1"))
    if reason is None:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason, answer.numbers["coin"]) == ("token_safety", reason, "SOL")


@pytest.mark.parametrize(("age", "passed"), [(0, True), (HOUR, True), (HOUR + 1, False), (-1, False)])
def test_what_was_found_out_long_ago_or_in_a_time_to_come_is_not_known(age, passed):
    h = coin_house(TokenSafety())
    h.now += 2 * HOUR
    for market in (SPOT, PERP):
        h.see(market, "100")
    h.desk.step(TokenFacts.of(SOL, at=h.now - age, **SAFE))
    answer = h.wish(order(SPOT, BUY, "1"))
    assert passes(answer) if passed else answer.reason == "stale_facts"


def test_facts_of_another_coin_under_the_same_code_are_none():
    h = coin_house(TokenSafety())
    h.desk.step(TokenFacts.of(Asset("SOL", 6), at=h.now, **SAFE))
    assert h.wish(order(SPOT, BUY, "1")).reason == "no_facts"


def test_coins_that_are_trusted_and_contracts_are_not_asked_for():
    h = coin_house(TokenSafety(trusted=[SOL]))
    assert passes(h.wish(order(SPOT, BUY, "1")))
    h = coin_house(TokenSafety())
    assert passes(h.wish(order(PERP, BUY, "1")))
    h.trade(SPOT, BUY, "1")
    assert passes(h.wish(order(SPOT, SELL, "1"))), "what is there can be sold, whatever it is"


@pytest.mark.parametrize(("pools", "reason"), [("1000", None), ("999.999999999", "liquidity")])
def test_liquidity_in_another_coin_counts_at_its_bid(pools, reason):
    """1,000 SOL in the pools at 100 are 100,000 USDC; without a fresh price of SOL that is not known."""
    coin_market = LSTUSDC
    h = House(TokenSafety(trusted=[SOL]), markets=(coin_market, SPOT), prices=("110", "100"))
    h.see(SPOT, "100", "120")
    h.desk.step(TokenFacts.of(coin_market.base, at=h.now, **(SAFE | {"liquidity": SOL(pools)})))
    answer = h.wish(order(coin_market, BUY, "1"))
    assert passes(answer) if reason is None else answer.reason == reason
    h.see(coin_market, "110", after=MINUTE + 1)
    answer = h.wish(order(coin_market, BUY, "1"))
    assert (answer.reason, answer.numbers) == ("no_price", {"coin": "JITOSOL", "lacks": "SOL"})


def test_every_coin_that_a_bundle_buys_is_looked_at():
    h = House(TokenSafety(trusted=[SOL]), markets=(SPOT, LSTSOL, LSTUSDC), prices=("100", "1.1", "110"))
    legs = [leg(SPOT, BUY, "1.2", "100"), leg(LSTSOL, BUY, "1", "1.1")]
    assert h.wish(Bundle(legs)).numbers == {"coin": "JITOSOL"}
    h.desk.step(TokenFacts.of(LSTSOL.base, at=h.now, **SAFE))
    assert passes(h.wish(Bundle(legs)))


class Curious:
    """Writes down the token facts that it is shown."""

    name, every = "curious", HOUR

    def __init__(self, market):
        self.watches = (market,)

    def begin(self):
        return []

    def decide(self, memory, view):
        memory.append((view.now, view.news(TokenFacts, "SOL")))


def test_facts_come_as_events_wake_who_watches_the_coin_and_are_never_journaled():
    desk = Desk(vault := CoreVault(USDC, total="1000", tradeable="1000"))
    for name, market in (("coin", SPOT), ("contract", PERP), ("other", LSTUSDC)):
        desk.assign(Curious(market), to=vault.sleeve(name, QUIET, allocate="100"))
    for market in (SPOT, PERP, LSTUSDC):
        desk.step(Quote(market, SECOND, 10_000, 10_000))
    written, facts = len(desk.books.journal), TokenFacts.of(SOL, at=2 * SECOND, **SAFE)
    desk.step(facts)
    desk.step(TokenFacts.of(SOL, at=1, **(SAFE | {"mint_authority": True})))
    heard = {name: seat.memory for name, seat in desk._seats.items()}
    assert heard["coin"] == [(SECOND, None), (2 * SECOND, facts)], "what is late is passed over"
    assert len(heard["contract"]) == len(heard["other"]) == 1
    assert len(desk.books.journal) == written
    assert desk._seats["other"].view.news(TokenFacts, "SOL") == facts, "whoever asks is shown it"


def test_facts_along_a_tape_are_told_in_replay_and_on_paper_alike():
    facts = [TokenFacts.of(SOL, at=h * HOUR + 1, **(SAFE | {"mint_authority": h > 2})) for h in (2, 3)]
    rows = {"open": ["100"] * 4, "high": ["100"] * 4, "low": ["100"] * 4, "close": ["100"] * 4}
    tape = Tape.from_columns(SPOT, ts=[h * 3600 for h in (1, 2, 3, 4)], volume=["1"] * 4, **rows).with_news(facts)
    shown = []
    for run in (
        lambda desk: replay(desk, tape, progress=False),
        lambda desk: anyio.run(trade, desk, VirtualDriver(tape, account_of(desk))),
    ):
        desk = Desk(vault := CoreVault(USDC, total="1000", tradeable="1000"))
        desk.assign(Curious(SPOT), to=vault.sleeve("a", QUIET, allocate="100"), gates=[TokenSafety(age_ns=2 * HOUR)])
        run(desk)
        shown.append(desk._seats["a"].memory)
    assert shown[0] == shown[1]
    assert [one for _, one in shown[0] if one is not None][-1] == facts[1]
    assert facts[0] in [one for _, one in shown[0]]
    with pytest.raises(BadTape, match="TokenFacts"):
        tape.with_news(["rumour"])


# -- all of them -----------------------------------------------------------------------------------------------------------

STRICT = [
    Profit("1%"),
    Latency(),
    GasReserve(SOL, "1000"),
    HealthAfter(100),
    Leverage("0.0001"),
    OneEngine(),
    PositionCap("0.000001"),
    ExposureCap("0.000001"),
    ExposureCap(joint="0.000001"),
    OrderRate(1, 1_000 * HOUR),
]


@pytest.mark.parametrize("gate", [*STRICT, AccountAge()], ids=lambda gate: type(gate).__name__)
def test_none_of_them_stands_in_the_way_of_an_exit(gate):
    """Each refuses to open and lets contracts and coins be closed: by order, reduce-only, and with a position turned."""
    h = House(gate, total="4000")
    h.trade(PERP, BUY, "10", limit=PERP.price("100"))
    h.trade(SPOT, BUY, "1", limit=SPOT.price("100"))
    h.trade(PERP, BUY, "1", "b", limit=PERP.price("100"))
    assert isinstance(h.wish(order(PERP, BUY, "1")), Refusal)
    assert isinstance(h.wish(order(PERP, SELL, "10.01")), Refusal), "one lot of it would be new"
    assert passes(h.wish(order(PERP, SELL, "5", limit="120", reduce_only=True)))
    assert isinstance(h.wish(order(PERP, SELL, "5.01")), Refusal), "five are being closed already"
    assert passes(h.wish(order(PERP, SELL, "5")))
    assert passes(h.wish(order(SPOT, SELL, "1")))


@pytest.mark.parametrize("gate", STRICT, ids=lambda gate: type(gate).__name__)
def test_a_gate_that_cannot_see_refuses(gate):
    """What it needs to know is gone: the desk takes the fault for a refusal."""
    h = House(gate)
    seat = h.desk._seats["a"]

    class Blind:
        now, legs = h.now, ()

        def closable(self, place):
            return 0

    seat.view, view = Blind(), seat.view
    refusal = h.desk._judge(seat, order(PERP, BUY, "1"))
    seat.view = view
    assert refusal.reason == "gate_error"


NUMBERS = ["nan", float("nan"), float("inf"), 0.1, "-1%", "101%", None, True, "x", b"1", 1]


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
@pytest.mark.parametrize("name", ["fee", "slippage", "part"])
def test_a_rate_of_profit_is_an_exact_part_of_one(name, value):
    with pytest.raises(InvalidAmount, match=r"\w"):
        Profit(**{"fee": "0.1%", name: value})


@pytest.mark.parametrize("make", [lambda: HealthAfter(fee=0.1), lambda: HealthAfter(fee="-1%"), lambda: HealthAfter(fee="101%")])
def test_a_fee_is_an_exact_part_of_one(make):
    with pytest.raises(InvalidAmount, match="fee"):
        make()


def test_nothing_would_pass_of_no_part_at_all():
    with pytest.raises(InvalidAmount, match="nothing would ever pass"):
        Profit("0.1%", part="0%")
    assert Profit("0.1%", part="100%").part == "100%"


@pytest.mark.parametrize("value", ["nan", float("nan"), 0.1, float("inf"), "-0.1", -1, None, True, "x", USDC("-1")], ids=repr)
@pytest.mark.parametrize("name", ["tip", "base_fee"])
def test_a_charge_is_an_exact_amount_that_is_not_negative(name, value):
    with pytest.raises(InvalidAmount, match=name.replace("_", " ")):
        Profit("0.1%", **{name: value})


@pytest.mark.parametrize("value", [0, -1, 500.0, "500", True, None, float("nan")], ids=repr)
@pytest.mark.parametrize("name", ["most_ms", "age_ns"])
def test_a_limit_of_latency_is_a_whole_number_above_zero(name, value):
    with pytest.raises(InvalidAmount, match=name):
        Latency(**{name: value})


@pytest.mark.parametrize("topic", ["", None, 7])
def test_latency_is_read_under_a_name(topic):
    with pytest.raises(InvalidAmount, match="name"):
        Latency(topic=topic)


@pytest.mark.parametrize("least", ["-0.1", 0.017, "nan", float("nan"), None, True, "x", "0.0000000001"], ids=repr)
def test_a_gas_reserve_is_an_exact_amount_of_its_coin(least):
    with pytest.raises(InvalidAmount, match=r"SOL|gas reserve"):
        GasReserve(SOL, least)


def test_a_gas_reserve_is_of_an_asset():
    with pytest.raises(InvalidAmount, match="Asset"):
        GasReserve("SOL", "0.017")
    with pytest.raises(AssetMismatch):
        GasReserve(SOL, USDC("1"))


@pytest.mark.parametrize("least", [-1, 101, 60.0, "60", None, True, float("nan")], ids=repr)
def test_health_is_a_whole_number_of_0_to_100(least):
    with pytest.raises(InvalidAmount, match="from 0 to 100"):
        HealthAfter(least)
    assert (HealthAfter(0).least, HealthAfter(100).least) == (0, 100)


@pytest.mark.parametrize("most", [0, "-5", 5.0, "nan", float("nan"), float("inf"), None, True, "5x", "5.00001"], ids=repr)
def test_leverage_is_an_exact_number_above_zero(most):
    with pytest.raises(InvalidAmount, match="leverage"):
        Leverage(most)


@pytest.mark.parametrize("value", [0, -1, 500.0, "500", True, None, float("nan"), float("inf")], ids=repr)
def test_an_age_is_a_whole_number_above_zero(value):
    for make in (AccountAge, lambda age: TokenSafety(age_ns=age)):
        with pytest.raises(InvalidAmount, match="age_ns"):
            make(value)


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
@pytest.mark.parametrize(("gate", "name"), [(Slippage, "most"), (Slippage, "spread"), (TokenSafety, "top_holders")])
def test_a_part_is_an_exact_part_of_one(gate, name, value):
    with pytest.raises(InvalidAmount, match=r"\w"):
        gate(**{name: value})


@pytest.mark.parametrize("value", ["nan", float("nan"), 0.1, float("inf"), "-0.1", -1, None, True, "x", USDC("-1")], ids=repr)
def test_a_least_liquidity_is_an_exact_amount_that_is_not_negative(value):
    with pytest.raises(InvalidAmount, match="liquidity"):
        TokenSafety(value)
    assert TokenSafety(USDC("1")).liquidity == USDC("1")


@pytest.mark.parametrize("value", ["SOL", SOL, None, ["SOL"], [None], 7], ids=repr)
def test_trusted_coins_are_assets(value):
    with pytest.raises(InvalidAmount, match="Assets"):
        TokenSafety(trusted=value)


@pytest.mark.parametrize(
    "changes",
    [
        {"coin": "SOL"},
        {"at": 1.5},
        {"at": True},
        {"mint_authority": None},
        {"mint_authority": 0},
        {"freeze_authority": "no"},
        {"liquidity": "100000"},
        {"liquidity": USDC("-1")},
        {"liquidity": SOL("1")},
        {"top_holders_ppm": -1},
        {"top_holders_ppm": PPM + 1},
        {"top_holders_ppm": 0.3},
        {"top_holders_ppm": True},
        {"source": None},
    ],
    ids=repr,
)
def test_token_facts_are_said_in_full_or_not_at_all(changes):
    said = {"coin": SOL, "at": 1, "mint_authority": False, "freeze_authority": False, "liquidity": USDC("1"), "top_holders_ppm": 0}
    assert TokenFacts(**said).topic == "SOL"
    with pytest.raises(InvalidMarket):
        TokenFacts(**(said | changes))


@pytest.mark.parametrize("share", ["nan", 0.3, None, "x", 1], ids=repr)
def test_a_share_of_holders_is_an_exact_rate(share):
    with pytest.raises(InvalidAmount):
        TokenFacts.of(SOL, at=1, **(SAFE | {"top_holders": share}))


# -- what is said of orders that passed -----------------------------------------------------------------------------------


def noted(house, kind):
    return [dict(record.notes) for record in house.desk.books.journal if isinstance(record, kind)]


def test_p50_profitability_is_written_with_what_passed_and_with_what_did_not():
    """Revenue, cost and net of every order that takes new risk; nothing is said of an exit."""
    h = House(Profit("0.2%", part="50%"))
    h.fill(h.wish(order(SPOT, BUY, "1", expect="1")))
    assert noted(h, Placed) == [{"revenue": "0.5", "cost": "0.2", "net": "0.3"}]
    assert passes(h.wish(order(SPOT, SELL, "1")))
    assert noted(h, Placed)[1:] == [{}]
    refused = h.wish(order(SPOT, BUY, "1", expect="0.38"))
    assert refused.numbers == {"revenue": "0.19", "cost": "0.2", "net": "-0.01"}


def test_p50_of_a_bundle_it_is_written_once_for_the_whole():
    h = House(Profit("0.2%", part="50%"))
    h.wish(Bundle((order(SPOT, BUY, "1", expect="1"), order(PERP, SELL, "1"))))
    assert noted(h, Bundled) == [{"revenue": "0.5", "cost": "0.4", "net": "0.1"}]
    assert noted(h, Placed) == [{}]
    state = State.fold(Memory.read(list(h.desk.books.journal.lines())))
    assert [dict(one.record.notes) for one in state.flights.values()] == noted(h, Bundled)
