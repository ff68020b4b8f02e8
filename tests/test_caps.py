"""Caps: what may be at stake and how often may be ordered, each threshold from both sides, to the unit and the nanosecond."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_house import BUY, LSTSOL, LSTUSDC, PERP, SELL, SPOT, House, leg, order, passes
from sleeves import QUIET, SOL, USDC, Books, CoreVault, Desk, Instrument, Place, Treasury
from sleeves.caps import ExposureCap, OrderRate, PositionCap
from sleeves.errors import InvalidAmount
from sleeves.gates import OrderCap
from sleeves.journals import SQLite
from sleeves.market import HOUR, MINUTE, SECOND, Kind
from sleeves.money import Amount, Rounding
from sleeves.orders import Bundle, Canceled, Rejected
from sleeves.records import Placed, Refusal
from sleeves.state import MOST_SENT, State

SPOT2 = Instrument("SOL2/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.001")
PERP2 = Instrument("SOL2-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
LOT = SPOT.lot_units


def cap_of(h, wish, who="a"):
    """What an order of coins sets aside, in USDC: the least cap that lets it pass where there is nothing else."""
    return Amount(h.desk._seats[who].view.hold(wish), USDC)


def less(amount):
    return Amount(amount.units - 1, amount.asset)


# -- a position --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spare", [0, -1])
@pytest.mark.parametrize("terms", [{"limit": "100"}, {"limit": "90"}, {"stop": "110"}, {}], ids=repr)
def test_a_position_in_a_coin_is_capped_at_what_its_order_sets_aside(terms, spare):
    h = House()
    wish = order(SPOT, BUY, "2", **terms)
    most = cap_of(h, wish)
    assert most >= USDC(str(2 * float(terms.get("limit") or terms.get("stop") or 100)))
    h.late.gates = [PositionCap(Amount(most.units + spare, USDC))]
    answer = h.wish(wish)
    if spare == 0:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason) == ("position_cap", "position_cap")
        assert answer.numbers == {"position": most.text, "most": less(most).text}


@pytest.mark.parametrize("spare", [0, -1])
def test_what_is_there_counts_at_the_ask_and_open_buys_with_what_they_hold(spare):
    """Two coins bought at 100, now worth 2 x 121; a buy that rests; and the one that is judged."""
    h = House()
    h.trade(SPOT, BUY, "2", limit=SPOT.price("100"))
    h.see(SPOT, "120", "121")
    assert passes(h.wish(order(SPOT, BUY, "1", limit="90")))
    wish = order(SPOT, BUY, "0.5", limit="110")
    most = USDC("242") + h.sleeves["a"].held + cap_of(h, wish)
    h.late.gates = [PositionCap(Amount(most.units + spare, USDC))]
    answer = h.wish(wish)
    assert passes(answer) if spare == 0 else answer.numbers["position"] == most.text


def test_coins_that_are_offered_for_sale_are_still_there():
    h = House()
    h.trade(SPOT, BUY, "2", limit=SPOT.price("100"))
    assert passes(h.wish(order(SPOT, SELL, "1.5", limit="150")))
    wish = order(SPOT, BUY, "1", limit="100")
    most = USDC("200") + cap_of(h, wish)
    h.late.gates = [PositionCap(less(most))]
    assert h.wish(wish).reason == "position_cap"
    h.late.gates = [PositionCap(most)]
    assert passes(h.wish(wish))


def test_a_coin_counts_through_whichever_market_it_was_bought_at_the_dearest():
    h = House(markets=(SPOT, SPOT2), prices=("100", "101"))
    h.trade(SPOT2, BUY, "2", limit=SPOT2.price("101"))
    assert passes(h.wish(order(SPOT2, BUY, "1", limit="90")))
    wish = order(SPOT, BUY, "1", limit="100")
    most = USDC("202") + h.sleeves["a"].held + cap_of(h, wish)
    h.late.gates = [PositionCap(less(most))]
    assert h.wish(wish).reason == "position_cap"
    h.late.gates = [PositionCap(most)]
    assert passes(h.wish(wish))


def test_a_coin_that_is_paid_for_with_another_is_valued_at_what_is_spent():
    """1.1 SOL and its fee for one JitoSOL, and SOL's ask is 120."""
    h = House(markets=(SPOT, LSTSOL, LSTUSDC), prices=("100", "1.1", "110"))
    h.trade(SPOT, BUY, "5", limit=SPOT.price("100"))
    h.see(SPOT, "100", "120")
    wish = order(LSTSOL, BUY, "1", limit="1.1")
    most = Amount(SPOT.cost(SPOT.price("120"), h.desk._seats["a"].view.hold(wish), Rounding.CEIL), USDC)
    h.late.gates = [PositionCap(less(most))]
    assert h.wish(wish).numbers == {"position": most.text, "most": less(most).text}
    h.late.gates = [PositionCap(most)]
    assert passes(h.wish(wish))


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize(("qty", "passed"), [("7", True), ("7.01", False)])
def test_a_contract_counts_at_its_mark_with_all_open_orders_of_the_side(side, qty, passed):
    """Two are there, one is ordered, and ten at 100 are the cap."""
    h = House(total="8000", allocate="4000")
    h.trade(PERP, side, "2", limit=PERP.price("100"))
    assert passes(h.wish(order(PERP, side, "1", limit="90" if side is BUY else "110")))
    h.late.gates = [PositionCap("1000")]
    answer = h.wish(order(PERP, side, qty))
    assert passes(answer) if passed else answer.numbers == {"position": "1001", "most": "1000"}


def test_an_order_that_turns_a_contract_is_judged_by_what_it_makes_of_it():
    """Ten long, worth more than the cap by now: three short are fine, and so is the way there."""
    h = House(total="8000", allocate="4000")
    h.trade(PERP, BUY, "10", limit=PERP.price("100"))
    h.late.gates = [PositionCap("300")]
    assert h.wish(order(PERP, BUY, "0.01")).reason == "position_cap"
    assert h.wish(order(PERP, SELL, "13.01")).numbers == {"position": "301", "most": "300"}
    assert passes(h.wish(order(PERP, SELL, "13")))


def test_each_contract_and_the_coin_are_capped_apart():
    h = House(PositionCap("500"), markets=(PERP, PERP2, SPOT), prices=("100", "100", "100"), total="8000", allocate="4000")
    assert passes(h.wish(order(PERP, BUY, "5")))
    assert passes(h.wish(order(PERP2, BUY, "5")))
    assert passes(h.wish(order(SPOT, BUY, "4.9")))
    assert {h.wish(order(market, BUY, "0.2")).reason for market in (PERP, PERP2, SPOT)} == {"position_cap"}


def test_a_part_is_of_what_the_vault_has_put_into_the_sleeve():
    """What it made or lost does not move the cap; more money does."""
    h = House(PositionCap("30%"), total="4000")
    assert passes(h.wish(order(PERP, BUY, "3")))
    assert h.wish(order(PERP, BUY, "0.01")).numbers == {"position": "301", "most": "300"}
    h.vault.allocate(h.sleeves["a"], "500")
    assert passes(h.wish(order(PERP, BUY, "1.5")))
    assert h.wish(order(PERP, BUY, "0.01")).numbers["most"] == "450"


def test_a_position_without_a_fresh_price_is_not_known():
    """The order's own market is fresh; the coin's other one is not asked as long as one is."""
    h = House(PositionCap("1000"), markets=(LSTSOL, LSTUSDC, SPOT), prices=("1.1", "110", "100"))
    h.trade(SPOT, BUY, "5", limit=SPOT.price("100"))
    h.trade(LSTSOL, BUY, "1", limit=LSTSOL.price("1.1"))
    h.see(LSTSOL, "1.1", after=MINUTE + 1)
    h.see(SPOT, "100")
    answer = h.wish(order(LSTSOL, BUY, "1", limit="1.1"))
    assert (answer.reason, answer.numbers) == ("unknown_position", {"lacks": "JITOSOL/USDC"})
    h.see(LSTUSDC, "110")
    assert passes(h.wish(order(LSTSOL, BUY, "1", limit="1.1")))


@pytest.mark.parametrize("turn", [1, -1])
def test_the_legs_of_a_bundle_that_come_before_count_as_filled(turn):
    """Two buys of one coin on two markets, each of which would fit alone."""
    h = House(markets=(SPOT, SPOT2), prices=("100", "100"))
    legs = [leg(SPOT, BUY, "2", "100"), leg(SPOT2, BUY, "3", "100")][::turn]
    most = USDC("200" if turn == 1 else "300") + cap_of(h, legs[1])
    h.late.gates = [PositionCap(less(most))]
    assert all(passes(House(PositionCap(less(most)), markets=(SPOT, SPOT2), prices=("100", "100")).wish(one)) for one in legs)
    assert h.wish(Bundle(legs)).reason == "position_cap"
    h.late.gates = [PositionCap(most)]
    assert passes(h.wish(Bundle(legs)))


# -- all that is at stake ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spare", [0, -1])
def test_exposure_is_coins_and_contracts_and_what_is_set_aside(spare):
    """Two coins at 100, three contracts and one ordered at 100, a buy that rests, and the one that is judged."""
    h = House(total="8000", allocate="4000")
    h.trade(SPOT, BUY, "2", limit=SPOT.price("100"))
    h.trade(PERP, SELL, "3", limit=PERP.price("100"))
    resting = h.wish(order(SPOT, BUY, "1", limit="90"))
    held = h.sleeves["a"].held
    assert passes(resting) and passes(h.wish(order(PERP, SELL, "1", limit="110")))
    wish = order(SPOT, BUY, "1", limit="100")
    most = USDC("200") + USDC("400") + held + cap_of(h, wish)
    h.late.gates = [ExposureCap(Amount(most.units + spare, USDC))]
    answer = h.wish(wish)
    if spare == 0:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason) == ("exposure_cap", "exposure")
        assert answer.numbers == {"exposure": most.text, "most": less(most).text}


@pytest.mark.parametrize(("qty", "passed"), [("6", True), ("6.01", False)])
def test_contracts_long_and_short_both_count(qty, passed):
    h = House(ExposureCap("1000"), markets=(PERP, PERP2), prices=("100", "100"), total="8000", allocate="4000")
    h.trade(PERP, BUY, "4", limit=PERP.price("100"))
    answer = h.wish(order(PERP2, SELL, qty))
    assert passes(answer) if passed else answer.numbers == {"exposure": "1001", "most": "1000"}


@pytest.mark.parametrize("spare", [0, -1])
def test_all_sleeves_of_the_vault_together(spare):
    """`b` has a coin and an order; `a` has nothing yet, and what it may have alone is far away."""
    h = House()
    h.trade(SPOT, BUY, "1", "b", limit=SPOT.price("100"))
    assert passes(h.wish(order(SPOT, BUY, "2", limit="90"), "b"))
    wish = order(SPOT, BUY, "1", limit="100")
    most = USDC("100") + h.sleeves["b"].held + cap_of(h, wish)
    h.late.gates = [ExposureCap("900", joint=Amount(most.units + spare, USDC))]
    answer = h.wish(wish)
    if spare == 0:
        assert passes(answer)
    else:
        assert (answer.gate, answer.reason) == ("exposure_cap", "joint_exposure")
        assert answer.numbers == {"sleeves": "2", "exposure": most.text, "most": less(most).text}


def test_together_contracts_count_as_the_venue_nets_them():
    """`b` is five long: five short of `a` make nothing of it, and ten more make ten."""
    h = House(ExposureCap(joint="500"), total="8000", allocate="4000")
    h.trade(PERP, BUY, "5", "b", limit=PERP.price("100"))
    assert h.wish(order(PERP, BUY, "0.01")).numbers == {"sleeves": "2", "exposure": "501", "most": "500"}
    assert h.wish(order(PERP, SELL, "10.01")).reason == "joint_exposure"
    assert passes(h.wish(order(PERP, SELL, "10")))


def test_the_same_cap_twice_says_which_one_it_was():
    """`b` has 900 of 1,000: 200 more are too much together, 1,100 for both, and then the sleeve's own is told."""
    same = USDC("1000")
    h = House(ExposureCap(same, same), total="8000", allocate="4000")
    h.trade(PERP, BUY, "9", "b", limit=PERP.price("100"))
    assert h.wish(order(PERP, BUY, "2")).reason == "joint_exposure"
    assert h.wish(order(PERP, BUY, "11")).reason == "exposure"
    assert passes(h.wish(order(PERP, BUY, "1")))


@pytest.mark.parametrize(("qty", "passed"), [("15", True), ("15.01", False)])
def test_a_joint_part_is_of_what_all_sleeves_were_given(qty, passed):
    """75% of 2 x 1,000."""
    h = House(ExposureCap("500%", joint="75%"))
    answer = h.wish(order(PERP, BUY, qty))
    assert passes(answer) if passed else answer.numbers == {"sleeves": "2", "exposure": "1501", "most": "1500"}


def test_exposure_that_is_not_known_refuses():
    h = House(ExposureCap("1000"), markets=(PERP, SPOT), prices=("100", "100"))
    h.trade(SPOT, BUY, "1", limit=SPOT.price("100"))
    h.see(PERP, "100", after=MINUTE)
    assert passes(h.wish(order(PERP, BUY, "1")))
    h.see(PERP, "100", after=1)
    answer = h.wish(order(PERP, BUY, "1"))
    assert (answer.reason, answer.numbers) == ("unknown_exposure", {"lacks": "SOL/USDC"})
    h.late.gates = [ExposureCap(joint="1000")]
    assert h.wish(order(PERP, BUY, "1")).reason == "unknown_exposure"


def test_a_coin_that_another_sleeve_has_and_nobody_prices_refuses_what_is_capped_together():
    h = House(markets=(PERP, SPOT), prices=("100", "100"))
    h.trade(SPOT, BUY, "1", "b", limit=SPOT.price("100"))
    h.see(PERP, "100", after=MINUTE + 1)
    h.late.gates = [ExposureCap(joint="1500")]
    assert h.wish(order(PERP, BUY, "1")).numbers == {"lacks": "SOL/USDC"}
    h.late.gates = [ExposureCap("1500")]
    assert passes(h.wish(order(PERP, BUY, "1")))


@pytest.mark.parametrize("spare", [0, -1])
def test_a_hedge_counts_with_both_legs(spare):
    h = House()
    legs = [leg(SPOT, BUY, "2", "100"), leg(PERP, SELL, "2", "100")]
    most = USDC("200") + USDC("200")  # the coins are there when the contracts are judged
    h.late.gates = [ExposureCap(Amount(most.units + spare, USDC))]
    answer = h.wish(Bundle(legs))
    assert passes(answer) if spare == 0 else answer.numbers == {"exposure": "400", "most": "399.999999"}


@pytest.mark.parametrize(("market", "sold", "passed"), [(SPOT, "4.4", True), (SPOT2, "4.4", True), (SPOT, "4.399", False)])
def test_what_a_bundle_sells_first_is_gone(market, sold, passed):
    """Out of one coin and into another of the same worth, at a cap that is full; sold on whichever market."""
    h = House(markets=(SPOT, LSTUSDC, SPOT2), prices=("100", "110", "100"))
    h.trade(SPOT, BUY, "4.4", limit=SPOT.price("100"))
    into = leg(LSTUSDC, BUY, "4", "110")
    h.late.gates = [ExposureCap(cap_of(h, into))]
    assert h.wish(into).reason == "exposure"
    answer = h.wish(Bundle([leg(market, SELL, sold, "100"), into]))
    assert passes(answer) if passed else answer.reason == "exposure"


def test_a_bundle_under_way_counts_with_what_is_set_aside_for_it():
    h = House(markets=(SPOT, LSTUSDC), prices=("100", "110"))
    assert passes(h.wish(Bundle([leg(SPOT, BUY, "2", "100"), leg(LSTUSDC, BUY, "2", "110")])))
    wish = order(SPOT, BUY, "1", limit="100")
    most = h.sleeves["a"].held + cap_of(h, wish)
    assert h.sleeves["a"].held > USDC("420"), "both legs' money"
    h.late.gates = [ExposureCap(less(most))]
    assert h.wish(wish).reason == "exposure"
    h.late.gates = [ExposureCap(most)]
    assert passes(h.wish(wish))


WISHES = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from([SPOT, SPOT2, PERP, PERP2]),
    st.sampled_from([BUY, SELL]),
    st.integers(1, 60),
    st.sampled_from([None, 95, 100, 105]),
    st.sampled_from(["fill", "half", "leave", "cancel"]),
    st.integers(98, 102),
)


@settings(max_examples=60, deadline=None)
@given(wishes=st.lists(WISHES, min_size=1, max_size=12))
def test_no_order_that_passes_goes_beyond_a_cap(wishes):
    """Whatever is ordered, filled, left or canceled: at the prices of the moment, what passed is within every cap."""
    markets = (SPOT, SPOT2, PERP, PERP2)
    h = House(markets=markets, prices=("100",) * 4, total="8000", allocate="3000")
    for puppet in h.puppets.values():
        h.desk._seats[puppet.name].gates += (PositionCap("1500"), ExposureCap("2500", joint="4000"))
    for who, market, side, tenths, limit, then, price in wishes:
        for one in markets:
            h.see(one, str(price), after=1)
        terms = {} if limit is None else {"limit": market.price(str(limit))}
        answer = h.wish(Place(market, side, market.qty(f"{tenths / 10:.1f}"), **terms), who)
        if not passes(answer):
            continue
        if market.contract is not None or side is BUY:
            placed = [r for r in h.desk.books.journal if isinstance(r, Placed)][-1]
            assert placed.closes or (stake(h, who) <= 2500 and stake(h) <= 4000), (who, market, side, tenths)
        if then in ("fill", "half"):
            qty = answer.order.place.qty if then == "fill" else max(market.lot_units, market.round_qty(answer.order.place.qty // 2))
            h.fill(answer, price=str(limit or price), qty=qty)
        elif then == "cancel":
            h.desk.step(Canceled(answer.order.id, h.now, "test"))


def stake(h, who=None):
    """What sleeves have at stake, worked out another way: by hand, from positions, orders and prices, in floats."""
    names = [who] if who else list("ab")
    total, nets, asks = 0.0, {}, {}
    for name in names:
        sleeve = h.sleeves[name]
        orders = h.desk._seats[name].open_orders.values()
        for market, amount in sleeve.positions().items():
            if market.contract is None:
                total += float(amount.decimal) * max(h.desk._boards[one.symbol].ask for one in (SPOT, SPOT2)) / 100
            else:
                nets[market.symbol] = nets.get(market.symbol, 0.0) + float(amount.decimal)
        for one in orders:
            market, left = one.place.instrument, float(one.place.instrument.base.units(h.desk._blotter.left(one)).decimal)
            if market.contract is None:
                total += left * (one.worst or 0) / 100 if one.place.side is BUY else 0
            else:
                buys, sells = asks.get(market.symbol, (0.0, 0.0))
                asks[market.symbol] = (buys + left, sells) if one.place.side is BUY else (buys, sells + left)
    for symbol in {*nets, *asks}:
        net, (buys, sells) = nets.get(symbol, 0.0), asks.get(symbol, (0.0, 0.0))
        total += max(abs(net + buys), abs(net - sells)) * h.desk._boards[symbol].mid / 100
    return total - 1e-6


# -- orders in time ----------------------------------------------------------------------------------------------------------


def test_so_many_orders_in_a_window_and_the_next_when_the_first_has_left_it():
    h = House(OrderRate(2, HOUR), total="8000", allocate="4000")
    first = h.now
    assert passes(h.wish(order(SPOT, BUY, "1")))
    for market in (SPOT, PERP):
        h.see(market, "100", after=MINUTE)
    assert passes(h.wish(order(PERP, SELL, "1")))
    answer = h.wish(order(SPOT, BUY, "1"))
    assert (answer.gate, answer.reason) == ("order_rate", "order_rate")
    assert answer.numbers == {"sent": "2", "most": "2", "window_s": "3600.0"}
    for when, passed in ((first + HOUR - 1, False), (first + HOUR, True)):
        h.now = when
        h.see(SPOT, "100")
        h.see(PERP, "100")
        assert passes(h.wish(order(SPOT, BUY, "1"))) is passed


def test_what_a_gate_refused_does_not_count_and_what_the_venue_rejected_does():
    h = House(OrderCap("500"), OrderRate(1, HOUR))
    assert h.wish(order(SPOT, BUY, "6")).reason == "order_cap"
    sent = h.wish(order(SPOT, BUY, "1"))
    assert passes(sent)
    h.desk.step(Rejected(sent.order.id, h.now, "no"))
    assert h.wish(order(SPOT, BUY, "1")).reason == "order_rate"


def test_exits_are_neither_counted_nor_held_up():
    h = House(total="8000", allocate="4000")
    h.trade(SPOT, BUY, "2")
    h.late.gates = [OrderRate(2, HOUR)]
    for _ in range(3):
        assert passes(h.wish(order(SPOT, SELL, "0.1")))
    assert passes(h.wish(order(SPOT, BUY, "1")))
    assert h.wish(order(SPOT, BUY, "1")).numbers["sent"] == "2"
    assert passes(h.wish(order(SPOT, SELL, "0.1")))


def test_orders_by_hand_count_and_are_counted():
    h = House(OrderRate(1, HOUR))
    h.desk._seats["a"].view.now = h.now
    assert not isinstance(h.desk.order(h.sleeves["a"], order(SPOT, BUY, "1"), by="ann"), Refusal)
    assert h.wish(order(SPOT, BUY, "1")).reason == "order_rate"
    by_hand = h.desk.order(h.sleeves["a"], order(SPOT, BUY, "1"), by="ann")
    assert isinstance(by_hand, Refusal) and by_hand.reason == "order_rate"


def test_each_sleeve_has_its_own_rate():
    h = House(OrderRate(1, HOUR))
    assert passes(h.wish(order(SPOT, BUY, "1"), "b")) and passes(h.wish(order(SPOT, BUY, "1"), "b"))
    assert passes(h.wish(order(SPOT, BUY, "1")))


@pytest.mark.parametrize(("most", "passed"), [(3, True), (2, False)])
def test_a_bundle_counts_with_each_leg_that_opens(most, passed):
    """One was sent before; of its three legs the sale takes no new risk."""
    h = House(total="8000", allocate="4000")
    h.trade(SPOT, BUY, "1", limit=SPOT.price("100"))
    h.late.gates = [OrderRate(most, HOUR)]
    same = leg(PERP, SELL, "1", "100")
    answer = h.wish(Bundle([leg(SPOT, SELL, "1", "100"), same, same]))
    assert passes(answer) if passed else answer.reason == "order_rate"


def test_times_may_come_in_any_order():
    h = House(total="8000", allocate="4000")
    view = h.desk._seats["a"].view
    for at in (50, 10, 30, 30, 20):
        view.note_sent(at)
    assert [view.sent_since(at) for at in (0, 10, 11, 30, 31, 50, 51)] == [5, 5, 4, 3, 1, 1, 0]


@settings(max_examples=80, deadline=None)
@given(steps=st.lists(st.integers(0, 40), min_size=1, max_size=40), most=st.integers(1, 5), window=st.integers(1, 60))
def test_no_window_ever_has_more_orders_than_allowed_and_none_is_held_up_for_nothing(steps, most, window):
    h = House(OrderRate(most, window), total="80000", allocate="40000")
    sent = []
    for step in steps:
        h.see(SPOT, "100", after=step)
        due = sum(at > h.now - window for at in sent) < most
        if passes(h.wish(order(SPOT, BUY, "0.1"))):
            assert due
            sent.append(h.now)
        else:
            assert not due
    assert all(sum(first <= at < first + window for at in sent) <= most for first in sent)


def test_the_journal_remembers_what_the_desk_counts_and_assumed_legs_count_from_now_on():
    """Buys, sales, contracts opened and closed, and a bundle: the fold of the records has the same times."""
    h = House(total="8000", allocate="4000")
    for market, side, qty in ((SPOT, BUY, "2"), (SPOT, SELL, "1"), (PERP, SELL, "3"), (PERP, BUY, "1"), (PERP, BUY, "5")):
        h.now += 1
        h.trade(market, side, qty)
    h.now += 1
    assert passes(h.wish(Bundle([leg(SPOT, SELL, "1", "100"), leg(PERP, SELL, "1", "100")])))
    view = h.desk._seats["a"].view
    assert view._sent == State.fold(h.desk.books.journal).sleeves["a"].sent
    assert view._sent == [SECOND + 1, SECOND + 3, SECOND + 5]
    view.now = h.now
    view.assume(leg(SPOT, BUY, "1", "100"))
    view.assume(leg(SPOT, SELL, "1", "100"))
    assert [view.sent_since(at) for at in (0, h.now, h.now + 1)] == [4, 1, 0]
    view.forget()
    assert view.sent_since(0) == 3


def test_only_so_many_times_are_remembered_and_the_gate_asks_for_no_more():
    h = House()
    view = h.desk._seats["a"].view
    for at in range(MOST_SENT + 50):
        view.note_sent(at)
    assert view.sent_since(0) == MOST_SENT
    assert view.sent_since(MOST_SENT) == 50
    assert OrderRate(MOST_SENT, HOUR).most == MOST_SENT
    with pytest.raises(InvalidAmount, match="most"):
        OrderRate(MOST_SENT + 1, HOUR)


def desk_on(journal, *, again=False):
    books = Books(journal)
    vault = Treasury.reopen(books).vaults[0] if again else CoreVault(USDC, total="1000", tradeable="1000", books=books)
    sleeve = vault.sleeves["a"] if again else vault.sleeve("a", QUIET, allocate="1000")
    return vault, sleeve, Desk(vault)


class Buyer:
    name, every, watches = "buyer", 0, (SPOT,)

    def begin(self):
        return None

    def decide(self, memory, view):
        return [Place(SPOT, BUY, 100 * LOT)]


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_restart_forgets_no_order(tmp_path, snapshot):
    """Two of three an hour were sent before it."""
    price = SPOT.price("100")
    path = tmp_path / "rate.sleeves"
    with SQLite.open(path) as journal:
        vault, sleeve, desk = desk_on(journal)
        desk.assign(Buyer(), to=sleeve, gates=[OrderRate(3, HOUR)])
        index = desk.index(SPOT)
        for at in (SECOND, 2 * SECOND):
            assert desk.quote(index, at, price, price)
        if snapshot:
            desk.books.snapshot()
        assert desk.books.state.sleeves["a"].sent == desk._seats["a"].view._sent == [SECOND, 2 * SECOND]
    with SQLite.open(path) as journal:
        assert State.load(State.fold(journal).dump()).sleeves["a"].sent == [SECOND, 2 * SECOND]
        vault, sleeve, desk = desk_on(journal, again=True)
        desk.assign(Buyer(), to=sleeve, gates=[OrderRate(3, HOUR)])
        desk.recovered(at=3 * SECOND)
        index = desk.index(SPOT)
        assert desk.quote(index, 3 * SECOND, price, price)
        assert not desk.quote(index, 4 * SECOND, price, price)
        assert desk._seats["a"].refused.reason == "order_rate"
        assert desk.quote(index, HOUR + SECOND, price, price), "the first has left the window"
        assert not desk.quote(index, HOUR + SECOND + 1, price, price)


# -- what a cap is -----------------------------------------------------------------------------------------------------------

NO_CAP = ["nan", float("nan"), float("inf"), 0.5, 0, "0", "-1", -1, "0%", "-5%", "x%", "nan%", True, b"1", [], USDC("0"), USDC("-1")]


@pytest.mark.parametrize("value", NO_CAP, ids=repr)
@pytest.mark.parametrize("make", [PositionCap, ExposureCap, lambda most: ExposureCap("1", joint=most), OrderCap])
def test_a_cap_is_an_exact_amount_or_part_above_zero(make, value):
    with pytest.raises(InvalidAmount):
        make(value)


def test_a_cap_of_nothing_is_none():
    with pytest.raises(InvalidAmount, match="caps nothing"):
        ExposureCap()
    with pytest.raises(InvalidAmount):
        PositionCap(None)


@pytest.mark.parametrize("gate", [PositionCap(SOL("1")), ExposureCap(SOL("1")), ExposureCap(joint=SOL("1")), OrderCap(SOL("1"))])
def test_a_cap_in_another_coin_refuses_every_order_and_says_so(gate):
    answer = House(gate).wish(order(SPOT, BUY, "1"))
    assert answer.reason == "gate_error"
    assert "AssetMismatch" in answer.numbers["error"]


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", None, True, float("nan")], ids=repr)
def test_a_rate_is_of_whole_numbers(value):
    with pytest.raises(InvalidAmount, match="most"):
        OrderRate(value, HOUR)
    with pytest.raises(InvalidAmount, match="window_ns"):
        OrderRate(1, value)


@pytest.mark.parametrize(("most", "passed"), [("100", True), ("99.999999", False), ("10%", True), ("9.9999%", False)])
def test_an_order_cap_may_be_a_part_of_capital_too(most, passed):
    answer = House(OrderCap(most)).wish(order(SPOT, BUY, "1", limit="100"))
    assert passes(answer) if passed else answer.reason == "order_cap"
