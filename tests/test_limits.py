"""Limits that act: near at exactly 80 and 90 percent, reached at 100, held, lifted in their time, and remembered."""

from __future__ import annotations

import pytest
from attrs import evolve

from helpers import BTCUSD, Puppet, fill
from sleeves import ETH, FLASH, QUIET, SOL, USD, USDC, CoreVault, Desk, Instrument, Limit, Place, Side
from sleeves.errors import InvalidAmount, VaultError, WrongStatus
from sleeves.market import DAY, MINUTE, Kind
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


# -- each limit acts by itself, and again --------------------------------------------------------------------------------


def test_a_kill_acts_behind_a_latch_of_the_same_cause():
    house = House(Limit("drawdown", "500"), Limit("drawdown", "2000", then="kill"))
    house.at("6900")
    assert (house.sleeve.own_status, house.sleeve.status) == (Status.ACTIVE, Status.CLOSE_ONLY)
    (submit,) = house.at("3900")
    assert isinstance(submit, SubmitOrder)
    assert house.sleeve.own_status is Status.HALTED
    assert [alert.text.rpartition(": ")[2] for alert in house.alerts("limit")] == ["close_only", "kill"]


def test_a_second_limit_behind_a_latch_of_the_same_cause_is_said():
    house = House(Limit("drawdown", "500"), Limit("drawdown", "2000"))
    house.at("6900")
    assert not house.at("3900")
    assert [alert.text.rpartition(": ")[2] for alert in house.alerts("limit")] == ["close_only", "close_only already"]


def test_what_a_limit_holds_it_holds_of_a_killed_sleeve_too():
    house = House(Limit("drawdown", "500", then="kill"), Limit("daily_loss", "600"))
    resting = house.puppet.buy("0.1", "8000", limit=BTCUSD.price("6000"))
    commands = house.at("6700")
    assert [command.order.id for command in commands if isinstance(command, CancelOrder)] == [resting.order.id]
    assert house.sleeve.own_status is Status.HALTED
    assert Hold.DAILY_LOSS in house.desk.latches(house.sleeve)
    house.desk.revive(house.sleeve, by="ada", why="seen")
    house.desk.resume(house.sleeve, by="ada")
    assert house.sleeve.status is Status.CLOSE_ONLY


def test_limits_that_are_reached_at_once_cancel_an_order_once():
    house = House(Limit("drawdown", "500"), Limit("daily_loss", "500"))
    house.puppet.buy("0.1", "8000", limit=BTCUSD.price("6000"))
    (cancel,) = house.at("6900")
    assert isinstance(cancel, CancelOrder)
    assert set(house.desk.latches(house.sleeve)) == {Hold.DRAWDOWN, Hold.DAILY_LOSS}


def test_after_a_human_lifted_it_acts_again_at_a_tenth_of_the_limit_more():
    house = House(Limit("exposure", "5000"))
    house.at("10400")
    house.at("10500")  # 5,250 when the human answers
    house.desk.lift(house.sleeve, Hold.EXPOSURE, by="ada", why="for now")
    for price in ("10500", "7100", "11499.98"):
        house.at(price)
        assert house.sleeve.status is Status.ACTIVE, price
    house.at("11500")  # 5,750
    assert house.sleeve.status is Status.CLOSE_ONLY
    assert len(house.alerts("limit")) == 2
    house.desk.lift(house.sleeve, Hold.EXPOSURE, by="ada", why="once more")
    house.at("12499.98")
    assert house.sleeve.status is Status.ACTIVE
    house.at("12500")
    assert house.sleeve.status is Status.CLOSE_ONLY


def test_after_a_human_lifted_it_acts_again_when_it_was_over_and_is_reached_anew():
    house = House(Limit("exposure", "5000"))
    house.at("10500")
    house.desk.lift(house.sleeve, Hold.EXPOSURE, by="ada", why="for now")
    house.at("6998")  # 69%
    house.at("10000")
    assert house.sleeve.status is Status.CLOSE_ONLY


def test_a_revived_sleeve_is_killed_again_when_it_gets_worse():
    house = House(Limit("drawdown", "500", then="kill"))
    (submit,) = house.at("6900")
    house.desk.step(fill(submit.order, price="6900", fee=USD.zero))
    house.desk.revive(house.sleeve, by="ada", why="seen")
    house.desk.resume(house.sleeve, by="ada")
    submit = house.puppet.buy("0.5", "6900")
    house.desk.step(fill(submit.order, price="6900", fee=USD.zero))
    house.at("6800.02")  # 599.99, of 550 when it was revived
    assert house.sleeve.own_status is Status.ACTIVE
    house.at("6800")
    assert house.sleeve.own_status is Status.HALTED


def test_a_human_s_answer_is_not_kept_over_a_restart_and_a_latch_is():
    for lifted in (True, False):
        house = House(Limit("exposure", "5000"))
        house.at("10500")
        if lifted:
            house.desk.lift(house.sleeve, Hold.EXPOSURE, by="ada", why="for now")
        again = reopened(house.desk)
        again.recovered(by="recover")
        sleeve = again.treasury.vaults[0].sleeves["a"]
        again.limit(sleeve, Limit("exposure", "5000"))
        again.quote(again.index(BTCUSD), again.books.now + MINUTE, BTCUSD.price("10500"), BTCUSD.price("10500"))
        assert sleeve.status is Status.CLOSE_ONLY
        said = [one for one in again.books.journal if isinstance(one, Alert) and one.code == "limit"]
        assert len(said) == (2 if lifted else 1)


@pytest.mark.parametrize("away", [False, True])
def test_limits_set_again_forget_nothing(away):
    house = House(Limit("daily_loss", "500"), Limit("drawdown", "600"))
    house.at("8000")
    house.at("7010")
    said = len(house.alerts())
    if away:
        house.desk.limit(house.sleeve)
    house.desk.limit(house.sleeve, Limit("daily_loss", "500"), Limit("drawdown", "600"), Limit("exposure", "9000"))
    house.at("7008")
    assert len(house.alerts()) == said + (2 if away else 0)
    house.at("6990")
    assert Hold.DAILY_LOSS in house.desk.latches(house.sleeve)


def test_a_lifted_limit_that_is_set_again_stays_answered():
    house = House(Limit("exposure", "5000"))
    house.at("10500")
    house.desk.lift(house.sleeve, Hold.EXPOSURE, by="ada", why="for now")
    house.desk.limit(house.sleeve, Limit("exposure", "5000"), Limit("drawdown", "50%"))
    house.at("10500")
    assert house.sleeve.status is Status.ACTIVE
    house.desk.limit(house.sleeve, Limit("exposure", "5100"))
    house.at("10500")
    assert house.sleeve.status is Status.CLOSE_ONLY, "a limit that is new acts anew"


# -- without a price -----------------------------------------------------------------------------------------------------

ETHUSD = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0001", min_notional="1")


class Blind:
    """Two sleeves of a vault after a restart: 0.6 BTC bought at 10,000, and one ETH at 1,000 that no price is told of."""

    def __init__(self, *limits):
        vault = CoreVault(USD, total="20000", tradeable="15000")
        desk = Desk(vault)
        for name, market, qty, price in (("a", BTCUSD, "0.6", "10000"), ("b", ETHUSD, "1", "1000")):
            puppet = Puppet(market, name=f"of-{name}")
            puppet.sit(desk, vault.sleeve(name, QUIET, allocate="7000"))
            submit = puppet.buy(qty, price)
            desk.step(fill(submit.order, price=price, fee=USD.zero))
        self.desk = reopened(desk)
        self.desk.recovered()
        (self.vault,) = self.desk.treasury.vaults
        self.desk.limit(self.vault, *limits)

    def at(self, price, *, market=BTCUSD, after=MINUTE):
        units = market.price(price)
        return self.desk.quote(self.desk.index(market), self.desk.books.now + after, units, units)

    def alerts(self, code):
        return [one for one in self.desk.books.journal if isinstance(one, Alert) and one.code == code]


def test_a_price_that_is_missing_for_long_is_said_once_until_it_is_seen():
    blind = Blind(Limit("exposure", "100%"))
    for _ in range(6):
        blind.at("10000")
    assert blind.alerts("limit_blind") == []
    for _ in range(3):
        blind.at("10000")
    (alert,) = blind.alerts("limit_blind")
    assert (alert.level, alert.subject) == (Level.WARNING, blind.vault.owner)
    assert alert.text.startswith("no price of ETH/USD: ")
    blind.at("1000", market=ETHUSD)
    for _ in range(9):
        blind.at("10000")
    assert len(blind.alerts("limit_blind")) == 1


def test_what_is_known_to_be_at_stake_is_enough_to_act():
    blind = Blind(Limit("exposure", "6000"))
    blind.at("9999")
    assert blind.vault.status is Status.ACTIVE
    blind.at("10000")
    assert blind.vault.status is Status.CLOSE_ONLY
    blind.at("1", after=DAY)
    assert blind.vault.status is Status.CLOSE_ONLY, "what is not known to be less is not lifted"
    blind.at("1", market=ETHUSD)
    assert blind.vault.status is Status.ACTIVE


def test_what_has_no_price_for_long_is_at_stake_at_cost():
    blind = Blind(Limit("exposure", "7000"))
    for _ in range(6):
        blind.at("10000")
    assert blind.vault.status is Status.ACTIVE
    blind.at("10000")
    assert blind.vault.status is Status.CLOSE_ONLY


@pytest.mark.parametrize("measure", ["daily_loss", "drawdown"])
def test_a_loss_of_what_has_prices_is_seen_beside_what_has_none(measure):
    blind = Blind(Limit(measure, "1%", then="kill"))
    for _ in range(7):
        blind.at("10000")
    assert blind.vault.own_status is Status.ACTIVE
    blind.at("9700")  # 180 of 140: no new risk, and nothing is sold before all is known
    assert (blind.vault.status, blind.vault.own_status) == (Status.CLOSE_ONLY, Status.ACTIVE)


def test_an_estimate_raises_no_peak():
    blind = Blind(Limit("drawdown", "1000"))
    for _ in range(9):
        blind.at("13000")  # 1,800 at cost of the other
    blind.at("10", market=ETHUSD)  # 810 when all is known
    blind.at("13000")
    assert blind.vault.status is Status.ACTIVE
    assert blind.desk._limits.watched()[blind.vault.owner][2] == USD("810").units


# -- what lifts, and what does not ---------------------------------------------------------------------------------------


def test_without_a_limit_of_its_cause_exposure_waits_for_a_human_and_a_day_for_its_end():
    house = House(Limit("exposure", "5000"), Limit("daily_loss", "500"))
    house.at("10000")
    house.at("6900")
    assert set(house.desk.latches(house.sleeve)) == {Hold.EXPOSURE, Hold.DAILY_LOSS}
    house.desk.limit(house.sleeve, Limit("drawdown", "50%"))
    house.at("6900", after=20 * MINUTE)
    assert set(house.desk.latches(house.sleeve)) == {Hold.EXPOSURE, Hold.DAILY_LOSS}
    house.at("6900", after=DAY)
    assert set(house.desk.latches(house.sleeve)) == {Hold.EXPOSURE}
    assert house.desk.lift(house.sleeve, Hold.EXPOSURE, by="ada", why="I know")


def test_what_a_human_held_of_a_venue_or_the_desk_is_left_to_a_human():
    house = House(Limit("drawdown", "500"))
    for target in ("kraken", house.desk):
        for cause in (Hold.EXPOSURE, Hold.DAILY_LOSS):
            house.desk.latch(target, cause, by="ada", why="too much there")
    house.at("8000", after=2 * DAY)
    for target in ("kraken", house.desk):
        assert set(house.desk.latches(target)) == {Hold.EXPOSURE, Hold.DAILY_LOSS}
        assert house.desk.lift(target, Hold.EXPOSURE, by="ada")


# -- parts of what -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["close_only", "kill"])
@pytest.mark.parametrize("measure", ["daily_loss", "drawdown", "exposure"])
def test_a_part_of_nothing_is_no_limit(measure, then):
    vault = CoreVault(USD, total="20000", tradeable="15000")
    sleeve, desk, puppet = vault.sleeve("a", QUIET), Desk(vault), Puppet()
    puppet.sit(desk, sleeve)
    desk.limit(sleeve, Limit(measure, "10%", then))
    desk.limit(vault, Limit(measure, "10%", then))
    puppet.quote("8000", after=MINUTE)
    assert (sleeve.status, vault.status) == (Status.ACTIVE, Status.ACTIVE)
    assert [one for one in desk.books.journal if isinstance(one, Alert)] == []


def test_profit_that_was_swept_makes_no_limit_smaller():
    vault = CoreVault(USD, total="20000", tradeable="15000")
    sleeve, desk, puppet = vault.sleeve("a", FLASH, allocate="1000"), Desk(vault), Puppet()
    puppet.sit(desk, sleeve)
    limit = Limit("daily_loss", "10%")
    desk.limit(sleeve, limit)
    for turn in range(2):
        submit = puppet.buy("0.09", "10000")
        desk.step(fill(submit.order, price="10000", fee=USD.zero, trade=f"b{turn}"))
        submit = puppet.sell("0.09", "16000")
        desk.step(fill(submit.order, price="16000", fee=USD.zero, trade=f"s{turn}"))
    assert sleeve.returned == USD("1080")
    puppet.quote("16000", after=MINUTE)
    assert sleeve.status is Status.ACTIVE
    assert desk._limits.used(sleeve, limit, puppet.now) == (0, USD("100").units)


PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)


@pytest.mark.parametrize(
    ("side", "limit", "stop", "worth"),
    [
        (Side.SELL, None, None, "1000"),
        (Side.SELL, "0.01", None, "1000"),
        (Side.SELL, "120", None, "1200"),
        (Side.SELL, None, "80", "1000"),
        (Side.BUY, None, None, "1000"),
        (Side.BUY, "80", None, "800"),
        (Side.BUY, None, "120", "1200"),
        (Side.BUY, None, "90", "1000"),
    ],
)
def test_an_open_order_counts_at_what_it_may_come_to(side, limit, stop, worth):
    vault = CoreVault(USDC, total="20000", tradeable="15000")
    sleeve, desk, puppet = vault.sleeve("a", QUIET, allocate="10000"), Desk(vault), Puppet(PERP)
    puppet.sit(desk, sleeve)
    exposure = Limit("exposure", "9000")
    desk.limit(sleeve, exposure)
    prices = {name: PERP.price(text) for name, text in (("limit", limit), ("stop", stop)) if text}
    assert isinstance(puppet.wish(Place(PERP, side, PERP.qty("10"), **prices), price="100"), SubmitOrder)
    assert desk._limits.used(sleeve, exposure, puppet.now) == (USDC(worth).units, USDC("9000").units)


def test_nothing_is_killed_for_what_may_only_look_lost():
    """After a restart one coin has no price: a kill limit takes no new risk, and kills once the price says so."""
    house = House(Limit("drawdown", "500", then="kill"))
    house.at("10000")  # 1,000 won, none of it realized
    house.desk.mark(house.desk.books.now)
    again = reopened(house.desk)
    again.recovered(by="recover")
    (vault,) = again.treasury.vaults
    sleeve = vault.sleeves["a"]
    again.limit(sleeve, Limit("drawdown", "500", then="kill"))
    other = evolve(BTCUSD, symbol="ETH/USD", base=ETH)
    index = again.index(other)
    for minute in range(1, 9):  # another market goes on: time passes, and nobody says what the coin is worth
        again.quote(index, again.books.now + MINUTE, other.price("2000"), other.price("2000"))
        assert sleeve.own_status is not Status.HALTED, minute
    assert sleeve.status is Status.CLOSE_ONLY
    units = BTCUSD.price("8900")
    commands = again.quote(again.index(BTCUSD), again.books.now + MINUTE, units, units)
    assert sleeve.own_status is Status.HALTED
    assert [c.order.place.side for c in commands] == [Side.SELL]
