"""Gates: each refusal reached, and each threshold from both sides."""

from __future__ import annotations

import pytest

from helpers import BTCUSD, Puppet, carry, new_desk
from sleeves import BTC, EUR, FLASH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import InvalidAmount
from sleeves.gates import CORE, Cooldown, DailyLoss, Drawdown, OrderCap, PriceAge
from sleeves.market import DAY, HOUR, MINUTE, SECOND
from sleeves.orders import SubmitOrder
from sleeves.records import Refusal

BTCEUR = Instrument("BTC/EUR", base=BTC, quote=EUR, tick="0.01", lot="0.00000001")


def passes(answer):
    return isinstance(answer, SubmitOrder)


def test_a_wish_that_passes_becomes_an_order_and_one_that_does_not_a_record():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    assert passes(puppet.buy("0.01"))
    refusal = puppet.buy("10")
    assert (refusal.gate, refusal.reason) == ("funds", "funds")
    assert refusal.numbers["free"] == sleeve.free.text
    assert refusal.wish == "buy 10 BTC/USD at market"
    assert refusal in list(vault.books.journal)
    assert "funds refused buy 10 BTC/USD" in str(refusal)


def test_a_vault_trades_only_what_is_quoted_in_its_asset():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    refusal = puppet.wish(Place(BTCEUR, Side.BUY, BTCEUR.qty("0.01"), limit=BTCEUR.price("9000")))
    assert (refusal.reason, refusal.numbers) == ("quote_asset", {"quoted_in": "EUR", "traded_in": "USD"})


def test_a_sleeve_without_a_pair_in_its_asset_is_idle_with_that_reason():
    vault = CoreVault(USD, total="100", tradeable="100")
    desk = Desk(vault)
    puppet = Puppet(BTCEUR)
    engine_vault = puppet.sit(desk, vault.sleeve("a", QUIET, allocate="100"))
    assert engine_vault.idle_reason == "none of BTC/EUR is quoted in USD"
    puppet.wishes = [Place(BTCEUR, Side.BUY, BTCEUR.qty("0.01"))]
    assert not puppet.quote("9000")
    assert puppet.wishes, "it is never asked"


@pytest.mark.parametrize(("age", "reason"), [(MINUTE, None), (MINUTE + 1, "stale_price")])
def test_a_price_may_be_a_minute_old(age, reason):
    """The instrument's own price is always new; another one's may be old."""
    other = Instrument("BTC2/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001")
    desk, vault, sleeve, puppet = new_desk(QUIET)
    desk.quote(desk.index(other), desk.books.now + SECOND, 1_000_000, 1_000_000)
    seen = desk.marks()["BTC2/USD"].at
    puppet.wishes = [Place(other, Side.BUY, other.qty("0.01"))]
    commands = desk.quote(puppet.index, seen + age, 1_000_000, 1_000_000)
    refusals = [r.reason for r in vault.books.journal if isinstance(r, Refusal)]
    assert (bool(commands), refusals) == ((True, []) if reason is None else (False, [reason]))


def test_no_price_no_order():
    unseen = Instrument("BTC3/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001")
    desk, vault, sleeve, puppet = new_desk(QUIET)
    assert puppet.wish(Place(unseen, Side.BUY, unseen.qty("0.01"))).reason == "no_price"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"qty": "0.0001"}, None),
        ({"qty": "0.00009999"}, "min_qty"),
        ({"qty": "0.0001", "limit": 1_000_000}, None),
        ({"qty": "0.0001", "limit": 999_999}, "min_notional"),
    ],
)
def test_what_the_venue_would_refuse_is_not_sent(place, reason):
    desk, vault, sleeve, puppet = new_desk(QUIET)
    qty = BTC(place.pop("qty")).units
    answer = puppet.wish(Place(BTCUSD, Side.BUY, qty, **place))
    assert passes(answer) if reason is None else answer.reason == reason


@pytest.mark.parametrize(
    ("qty", "limit", "reason"), [(100, 100_005, None), (150, 100_005, "lot"), (100, 100_004, "tick"), (100, 100_000, None)]
)
def test_off_the_lot_or_the_tick_is_refused(qty, limit, reason):
    """A tick of 0.50 counts prices in tenths: 100,005 is 10,000.5; a lot of 0.000001 BTC is 100 units."""
    coarse = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.50", lot="0.000001")
    vault = CoreVault(USD, total="100", tradeable="100")
    desk, puppet = Desk(vault), Puppet(coarse)
    puppet.sit(desk, vault.sleeve("a", QUIET, allocate="100"))
    answer = puppet.wish(Place(coarse, Side.BUY, qty, limit=limit))
    assert passes(answer) if reason is None else answer.reason == reason


def test_a_buy_fits_into_free_money_to_the_unit_and_not_one_lot_more():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    most = desk._seats["a"].view.affordable(BTCUSD)
    assert puppet.wish(Place(BTCUSD, Side.BUY, most + BTCUSD.lot_units)).reason == "funds"
    command = puppet.wish(Place(BTCUSD, Side.BUY, most))
    assert passes(command)
    assert sleeve.free.units >= 0
    assert puppet.buy("0.0001").reason == "funds", "what is held cannot be spent twice"


def test_a_sale_fits_into_what_the_sleeve_owns_and_has_not_offered_yet():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    assert puppet.sell("0.001").reason == "position"
    carry(desk, puppet.buy("0.01"))
    assert puppet.sell("0.01000001").reason == "position"
    assert passes(puppet.sell("0.006", limit=BTCUSD.price("20000")))
    assert puppet.sell("0.00400001").reason == "position"
    assert passes(puppet.sell("0.004", limit=BTCUSD.price("20000")))


def test_one_sleeve_cannot_sell_what_another_owns():
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    rich, poor = Puppet(), Puppet()
    rich.sit(desk, vault.sleeve("rich", QUIET, allocate="5000"))
    poor.sit(desk, vault.sleeve("poor", FLASH, allocate="5000"))
    carry(desk, rich.buy("0.1"))
    assert poor.sell("0.1").reason == "position"


@pytest.mark.parametrize(("price", "passed"), [("10000", True), ("10000.01", False)])
def test_an_order_cap_holds_for_buys_and_lets_sales_through(price, passed):
    desk, vault, sleeve, puppet = new_desk(QUIET, gates=[OrderCap("1000")])
    answer = puppet.buy("0.1", limit=BTCUSD.price(price))
    assert passes(answer) if passed else answer.reason == "order_cap"
    if passed:
        carry(desk, answer)
        assert passes(puppet.sell("0.1", price="20000"))


def test_a_daily_loss_stops_buys_at_the_limit_and_not_before_and_a_new_day_lifts_it():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="5000", gates=[DailyLoss.of("2%")])
    carry(desk, puppet.buy("0.1", price="10000"))
    spent = sleeve.fees
    assert passes(puppet.buy("0.001", price=str(10000 - 970))), "down 97 and fees"
    answer = puppet.buy("0.001", price=str(10000 - 1000))
    assert answer.reason == "daily_loss"
    assert float(answer.numbers["lost"]) == pytest.approx(100 + float(spent.text))
    assert answer.numbers["limit"] == "100"
    assert passes(puppet.sell("0.001")), "exits go on"
    puppet.quote(after=DAY)
    assert passes(puppet.buy("0.001"))


def test_a_drawdown_counts_from_the_highest_equity_and_flows_do_not_count():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000", gates=[Drawdown.of("10%")])
    carry(desk, puppet.buy("0.05", price="10000"))
    puppet.quote("14000", after=3600 * SECOND)
    carry(desk, puppet.sell("0.04", price="14000"))
    vault.reclaim(sleeve, "500")
    assert passes(puppet.buy("0.001", price="14000")), "a reclaim is no loss"
    assert puppet.buy("0.001", price="2000").reason == "drawdown"


@pytest.mark.parametrize(("wait", "passed"), [(10 * SECOND, True), (10 * SECOND - 1, False)])
def test_a_cooldown_rests_between_a_sale_and_the_next_buy(wait, passed):
    desk, vault, sleeve, puppet = new_desk(QUIET, gates=[Cooldown(10 * SECOND)])
    carry(desk, puppet.buy("0.01"))
    carry(desk, puppet.sell("0.01"))
    sold = desk._seats["a"].view.last_exit()
    puppet.wishes = [Place(BTCUSD, Side.BUY, BTCUSD.qty("0.01"))]
    assert bool(desk.quote(puppet.index, sold + wait, 1_000_000, 1_000_000)) is passed


def test_a_gate_that_raises_refuses():
    def broken(place, view, vault):
        raise ZeroDivisionError("oops")

    desk, vault, sleeve, puppet = new_desk(QUIET, gates=[broken])
    answer = puppet.buy("0.01")
    assert (answer.gate, answer.reason) == ("broken", "gate_error")
    assert answer.numbers["error"] == "ZeroDivisionError: oops"


def test_a_loss_gate_that_cannot_know_refuses():
    """A holding without a price makes equity unknown: fail closed."""
    other = Instrument("ETH2/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001")
    for gate in (DailyLoss.of("2%"), Drawdown.of("2%")):
        desk, vault, sleeve, puppet = new_desk(QUIET, gates=[gate])
        desk.quote(desk.index(other), desk.books.now + SECOND, 1_000_000, 1_000_000)
        carry(desk, puppet.wish(Place(other, Side.BUY, other.qty("0.01"))))
        desk._boards["ETH2/USD"].bid = 0
        assert puppet.buy("0.01").reason == "unknown_equity"


def test_core_gates_cannot_be_left_out():
    desk, vault, sleeve, puppet = new_desk(QUIET, gates=[])
    assert desk._seats["a"].gates[: len(CORE)] == tuple(CORE)


def test_equal_refusals_in_a_row_are_counted_not_repeated():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    for _ in range(50):
        puppet.buy("100")
    desk.mark(desk.books.now)
    refusals = [r for r in vault.books.journal if isinstance(r, Refusal)]
    assert [r.times for r in refusals] == [1, 49]


@pytest.mark.parametrize("make", [lambda: DailyLoss.of(0.02), lambda: Drawdown.of("x"), lambda: DailyLoss.of("0.0000001")])
def test_a_limit_that_is_no_rate_is_refused(make):
    with pytest.raises(InvalidAmount):
        make()


@pytest.mark.parametrize("value", [-1, 1.5, float("nan"), float("inf"), "10", None, True], ids=repr)
@pytest.mark.parametrize(("gate", "name"), [(Cooldown, "wait_ns"), (PriceAge, "age_ns")])
def test_a_time_that_is_no_whole_number_is_refused_and_not_taken_for_none(gate, name, value):
    """A cooldown of less than nothing would let everything pass."""
    with pytest.raises(InvalidAmount, match=name):
        gate(value)
    assert gate(0) == gate(0)


@pytest.mark.parametrize("value", ["-1%", "100.0001%", "nan", float("nan"), None, 3], ids=repr)
@pytest.mark.parametrize("gate", [DailyLoss, Drawdown])
def test_a_limit_beyond_all_or_below_nothing_is_refused(gate, value):
    with pytest.raises(InvalidAmount):
        gate.of(value)


def test_a_refusal_for_want_of_a_price_names_whose():
    """The operator reads which feed to look at, not only that one is missing."""
    other = Instrument("ETH2/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001")
    desk, vault, sleeve, puppet = new_desk(QUIET, gates=[DailyLoss.of("2%")])
    desk.quote(desk.index(other), desk.books.now + SECOND, 1_000_000, 1_000_000)
    carry(desk, puppet.wish(Place(other, Side.BUY, other.qty("0.01"))))
    desk._boards["ETH2/USD"].bid = 0
    assert puppet.buy("0.01").numbers == {"lacks": "ETH2/USD"}
    unseen = Place(Instrument("BTC3/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001"), Side.BUY, 100)
    assert puppet.wish(unseen).numbers == {"lacks": "BTC3/USD"}


@pytest.mark.parametrize(
    "gates", [[DailyLoss.of("1%")], [Drawdown.of("1%")], [Cooldown(HOUR)], [OrderCap("1")]], ids=lambda g: type(g[0]).__name__
)
def test_no_limit_stands_in_the_way_of_an_exit(gates):
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.2", price="10000"))
    carry(desk, puppet.sell("0.01", price="10000"))
    desk._seats["a"].gates += tuple(gates)
    desk._seats["a"].view.observe()
    puppet.quote("5000")
    assert isinstance(puppet.buy("0.01", price="5000"), Refusal)
    assert passes(puppet.sell("0.19", price="5000"))
