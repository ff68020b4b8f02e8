"""Limits that act: near at exactly 80 and 90 percent, reached at 100, held, lifted in their time, and remembered."""

from __future__ import annotations

import pytest

from helpers import BTCUSD, Puppet, fill
from sleeves import QUIET, USD, CoreVault, Desk, Limit, Place, Side
from sleeves.errors import InvalidAmount, VaultError, WrongStatus
from sleeves.market import DAY, MINUTE
from sleeves.orders import CancelOrder, SubmitOrder
from sleeves.records import Alert, Level, Refusal
from sleeves.status import Hold, Status
from standing import reopened


class House:
    """One sleeve of 10,000 USD that owns one BTC bought at 8,000, fees aside."""

    def __init__(self, *limits, on_vault=False, qty="0.5", price="8000"):
        self.vault = CoreVault(USD, total="20000", tradeable="15000")
        self.sleeve = self.vault.sleeve("a", QUIET, allocate="10000")
        self.desk = Desk(self.vault)
        self.puppet = Puppet()
        self.puppet.sit(self.desk, self.sleeve)
        self.desk.limit(self.vault if on_vault else self.sleeve, *limits)
        self.puppet.price = price
        if qty:
            submit = self.puppet.buy(qty, price)
            self.desk.step(fill(submit.order, price=price, fee=USD.zero))

    def at(self, price, *, after=MINUTE):
        """A price a minute later; what the desk answers."""
        return self.puppet.quote(price, after=after)

    def alerts(self, code=None):
        return [r for r in self.desk.books.journal if isinstance(r, Alert) and (code is None or r.code == code)]


@pytest.mark.parametrize(
    ("limit", "prices"),
    [
        # half a BTC at 8,000: each 2 USD of price are 1 USD of loss; 5% of 10,000 are 500
        (Limit("daily_loss", "5%"), {"7200.02": 0, "7200": 1, "7100.02": 1, "7100": 2, "7000.02": 2, "7000": 3}),
        (Limit("drawdown", "500"), {"7200.02": 0, "7200": 1, "7100.02": 1, "7100": 2, "7000.02": 2, "7000": 3}),
        # exposure: half a BTC against 5,000
        (Limit("exposure", "5000"), {"7999.98": 0, "8000": 1, "8999.98": 1, "9000": 2, "9999.98": 2, "10000": 3}),
    ],
)
def test_it_is_near_at_exactly_80_and_90_percent_and_reached_at_100(limit, prices):
    for price, tier in prices.items():
        house = House(limit, qty=None)
        submit = house.puppet.buy("0.5", "8000" if limit.measure != "exposure" else "7000")
        house.desk.step(fill(submit.order, price="8000" if limit.measure != "exposure" else "7000", fee=USD.zero))
        house.at("8000" if limit.measure != "exposure" else "7000")
        house.at(price)
        said = [(alert.code, alert.level) for alert in house.alerts() if alert.code.startswith("limit")]
        expected = [[], [("limit_near", Level.INFO)], [("limit_near", Level.WARNING)], [("limit", Level.CRITICAL)]][tier]
        assert said == expected, f"{limit} at {price}"
        assert (house.sleeve.status is Status.CLOSE_ONLY) is (tier == 3)
        assert (Hold(limit.measure) in house.desk.latches(house.sleeve)) is (tier == 3)


def test_each_tier_is_said_once_and_again_after_it_was_over():
    house = House(Limit("daily_loss", "500"))
    for price in ("7190", "7180", "7190", "7250", "7190"):  # 81%, 82%, 81%, 75%, 81%
        house.at(price)
    assert len(house.alerts("limit_near")) == 1
    house.at("7400")  # 60%: over
    house.at("7190")
    assert len(house.alerts("limit_near")) == 2


def test_a_reached_limit_cancels_entries_refuses_new_ones_and_lets_exits_pass():
    house = House(Limit("daily_loss", "500"))
    resting = house.puppet.buy("0.1", "8000", limit=BTCUSD.price("6000"))
    (cancel,) = house.at("6990")
    assert isinstance(cancel, CancelOrder)
    assert cancel.order.id == resting.order.id
    refused = house.puppet.buy("0.1", "6990")
    assert isinstance(refused, Refusal)
    assert refused.numbers["status"] == "close_only"
    assert isinstance(house.puppet.sell("0.1", "6990"), SubmitOrder)


def test_a_limit_may_kill_and_close_all():
    house = House(Limit("drawdown", "5%", then="kill"))
    (submit,) = house.at("7000")
    assert (submit.order.place.side, submit.order.place.qty) == (Side.SELL, BTCUSD.qty("0.5"))
    assert house.sleeve.own_status is Status.HALTED
    house.desk.step(fill(submit.order, price="7000"))
    assert house.sleeve.is_flat()
    assert house.desk.check()
    before = len(house.alerts("limit"))
    house.at("6000")
    assert len(house.alerts("limit")) == before == 1


def test_a_limit_of_a_vault_looks_at_all_its_sleeves_together():
    house = House(Limit("exposure", "5000"), on_vault=True)
    other = house.vault.sleeve("b", QUIET, allocate="2000")
    second = Puppet(name="second")
    second.sit(house.desk, other)
    submit = second.buy("0.12", "8000")
    house.desk.step(fill(submit.order, price="8000", fee=USD.zero))
    house.at("8000", after=2 * MINUTE)  # 0.62 x 8,000 = 4,960
    assert house.vault.status is Status.ACTIVE
    house.at("8100")
    assert house.vault.status is Status.CLOSE_ONLY
    assert {house.sleeve.status, other.status} == {Status.CLOSE_ONLY}
    assert house.sleeve.own_status is Status.ACTIVE


def test_open_orders_that_take_risk_count_as_exposure_and_exits_do_not():
    house = House(Limit("exposure", "5000"))
    house.puppet.sell("0.5", "8000", limit=BTCUSD.price("9900"))
    house.at("8000")
    assert house.sleeve.status is Status.ACTIVE
    house.puppet.buy("0.2", "8000", limit=BTCUSD.price("6000"))  # 4,000 and 1,200
    house.at("8000")
    assert house.sleeve.status is Status.CLOSE_ONLY


def test_a_daily_loss_is_over_at_midnight_utc_and_not_before():
    house = House(Limit("daily_loss", "500"))
    house.at("6990")
    latch = house.desk.latches(house.sleeve)[Hold.DAILY_LOSS]
    assert latch.until == DAY
    with pytest.raises(WrongStatus, match="nobody but a human yet"):
        house.desk.lift(house.sleeve, Hold.DAILY_LOSS, by="desk")
    house.at("6990", after=DAY - house.puppet.now - 1)
    assert house.sleeve.status is Status.CLOSE_ONLY
    house.at("6990", after=MINUTE)
    assert house.sleeve.status is Status.ACTIVE
    assert [a.text for a in house.alerts("limit_lifted")] == ["daily_loss: new risk may be taken again"]


def test_a_human_may_lift_before_and_the_limit_holds_again_only_when_it_is_reached_anew():
    house = House(Limit("daily_loss", "500"))
    house.at("6990")
    house.desk.lift(house.sleeve, Hold.DAILY_LOSS, by="ada", why="I know")
    house.at("6980")
    assert house.sleeve.status is Status.ACTIVE


def test_a_drawdown_waits_for_a_human():
    house = House(Limit("drawdown", "500"))
    house.at("6990")
    house.at("9000", after=30 * DAY)
    assert house.sleeve.status is Status.CLOSE_ONLY
    with pytest.raises(WrongStatus, match="only a human"):
        house.desk.lift(house.sleeve, Hold.DRAWDOWN, by="desk")
    house.desk.lift(house.sleeve, Hold.DRAWDOWN, by="ada", why="I know")
    assert house.sleeve.status is Status.ACTIVE


def test_exposure_is_lifted_after_its_rest_once_it_is_less():
    house = House(Limit("exposure", "5000"))
    house.at("10000")
    house.at("9000", after=14 * MINUTE)
    assert house.sleeve.status is Status.CLOSE_ONLY
    house.at("10100", after=2 * MINUTE)
    assert house.sleeve.status is Status.CLOSE_ONLY, "it is not less"
    house.at("9000")
    assert house.sleeve.status is Status.ACTIVE


def test_a_day_s_start_and_the_highest_are_remembered_over_a_restart():
    house = House(Limit("daily_loss", "500"), Limit("drawdown", "5%"))
    house.at("7500")  # 250 lost
    house.desk.mark(house.desk.books.now)
    again = reopened(house.desk)
    again.recovered(by="recover")
    (vault,) = again.treasury.vaults
    sleeve = vault.sleeves["a"]
    again.limit(sleeve, Limit("daily_loss", "500"))
    units = BTCUSD.price("7000")
    again.quote(again.index(BTCUSD), again.books.now + MINUTE, units, units)
    assert sleeve.status is Status.CLOSE_ONLY


def test_without_a_price_nothing_is_made_of_it():
    house = House(Limit("daily_loss", "500"))
    again = reopened(house.desk)
    again.recovered(by="recover")
    (vault,) = again.treasury.vaults
    again.limit(vault.sleeves["a"], Limit("exposure", "1"))
    assert again._limits.look(again.books.now) == []
    assert vault.sleeves["a"].status is Status.ACTIVE


def test_limits_are_taken_back_by_naming_none():
    house = House(Limit("daily_loss", "500"))
    house.desk.limit(house.sleeve)
    house.at("6000")
    assert house.sleeve.status is Status.ACTIVE


@pytest.mark.parametrize(
    ("measure", "most", "then", "error"),
    [
        ("loss", "5%", "close_only", VaultError),
        ("daily_loss", "5%", "panic", VaultError),
        ("daily_loss", "0%", "close_only", VaultError),
        ("daily_loss", "101%", "close_only", VaultError),
        ("daily_loss", "NaN%", "close_only", InvalidAmount),
        ("daily_loss", "-5%", "close_only", VaultError),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(measure, most, then, error):
    with pytest.raises(error):
        Limit(measure, most, then)


@pytest.mark.parametrize("most", ["0", "-1", "NaN", "1.1234567", 0.5, None])
def test_an_amount_that_makes_no_sense_is_refused_by_the_vault(most):
    house = House(qty=None)
    with pytest.raises((VaultError, InvalidAmount)):
        house.desk.limit(house.sleeve, Limit("daily_loss", most))


def test_a_limit_is_of_this_desk():
    house, other = House(qty=None), House(qty=None)
    with pytest.raises(VaultError):
        house.desk.limit(other.sleeve, Limit("daily_loss", "5%"))
    with pytest.raises(VaultError):
        house.desk.limit(house.sleeve, "5%")


def test_a_replay_without_limits_is_not_looked_at():
    house = House()
    assert house.desk._tick_at > 1 << 60
    assert isinstance(house.puppet.wish(Place(BTCUSD, Side.BUY, BTCUSD.qty("0.01"))), SubmitOrder)
