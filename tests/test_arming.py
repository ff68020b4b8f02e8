"""Real money: armed by a phrase and for a time, capped by the hour and in all; what is large is confirmed once more."""

from __future__ import annotations

import pytest
from attrs import evolve

from helpers import BTCUSD, Puppet, fill
from sleeves import ETH, FLASH, QUIET, USD, Bundle, CoreVault, Desk, Instrument, Place, Side, TimeInForce
from sleeves.errors import InvalidAmount, VaultError
from sleeves.market import HOUR, MINUTE, SECOND, Quote
from sleeves.orders import Canceled, CancelOrder, SubmitOrder
from sleeves.records import Alert, Changed, Refusal
from standing import reopened

ETHUSD = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0001", min_notional="1")


class House:
    """A sleeve of 10,000 USD at a desk whose venue `live` moves real money."""

    def __init__(self):
        self.vault = CoreVault(USD, total="20000", tradeable="15000")
        self.sleeve = self.vault.sleeve("a", QUIET, allocate="10000")
        self.desk = Desk(self.vault)
        self.puppet = Puppet()
        self.puppet.sit(self.desk, self.sleeve)
        self.desk.require_arming("live")

    def arm(self, per_hour="1000", desk=None, **terms):
        desk = desk or self.desk
        return desk.arm("live", per_hour=per_hour, phrase=f"arm live for {per_hour} USD an hour", by="ada", **terms)

    def waits(self):
        """The id of what waits for a human."""
        return self.desk.confirmations[0].id

    def alerts(self, code):
        return [r for r in self.desk.books.journal if isinstance(r, Alert) and r.code == code]


@pytest.fixture
def house():
    return House()


def reason(answer):
    assert isinstance(answer, Refusal), answer
    return answer.gate, answer.reason


def test_nothing_new_is_risked_at_a_venue_of_real_money_that_is_not_armed(house):
    refused = house.puppet.buy("0.01")
    assert reason(refused) == ("armed", "not_armed")
    assert refused.numbers == {"venue": "live"}
    house.arm()
    assert isinstance(house.puppet.buy("0.005"), SubmitOrder)


def test_exits_always_pass(house):
    house.arm(confirm_above="10000", per_hour="10000")
    submit = house.puppet.buy("0.5")
    house.desk.step(fill(submit.order, price="10000"))
    house.desk.disarm("live", by="ada", why="enough")
    assert reason(house.puppet.buy("0.001")) == ("armed", "not_armed")
    assert isinstance(house.puppet.sell("0.5"), SubmitOrder)


def test_a_paper_venue_needs_no_arming_and_may_be_armed_all_the_same():
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk, puppet = Desk(vault), Puppet()
    puppet.sit(desk, vault.sleeve("a", QUIET, allocate="10000"))
    assert isinstance(puppet.buy("0.1"), SubmitOrder)
    desk.arm("sim", per_hour="1500", phrase="arm sim for 1500 USD an hour", by="ada", confirm_above="9999")
    assert reason(puppet.buy("0.151")) == ("armed", "hourly_cap")
    desk.disarm("sim", by="ada")
    assert isinstance(puppet.buy("0.151"), SubmitOrder)


@pytest.mark.parametrize(
    "said", ["", "yes", "arm live for 999 USD an hour", "Arm live for 1000 USD an hour", "arm live for 1000 an hour", None]
)
def test_the_phrase_says_exactly_what_is_armed(house, said):
    with pytest.raises(VaultError, match="say exactly: 'arm live for 1000 USD an hour'"):
        house.desk.arm("live", per_hour="1000", phrase=said, by="ada")
    assert not house.desk.armed
    assert house.desk.arming_phrase("live", per_hour="1000") == "arm live for 1000 USD an hour"


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"per_hour": "0"}, VaultError),
        ({"per_hour": "-5"}, VaultError),
        ({"per_hour": "NaN"}, InvalidAmount),
        ({"total": "0"}, VaultError),
        ({"confirm_above": "-1"}, VaultError),
        ({"lasts": 0}, VaultError),
        ({"lasts": 32 * 24 * HOUR}, VaultError),
        ({"lasts": 8 * 3_600}, VaultError),  # seconds, taken for nanoseconds
        ({"lasts": 1.5}, VaultError),
        ({"confirm_within": 0}, VaultError),
        ({"confirm_within": 30}, VaultError),
    ],
)
def test_terms_that_make_no_sense_arm_nothing(house, terms, error):
    with pytest.raises(error):
        house.arm(**terms)
    assert not house.desk.armed


@pytest.mark.parametrize("by", ["", " ", None])
def test_somebody_arms(house, by):
    with pytest.raises(VaultError):
        house.desk.arm("live", per_hour="1000", phrase="arm live for 1000 USD an hour", by=by)


def test_it_is_loud_and_written(house):
    house.arm()
    (alert,) = house.alerts("armed")
    assert "ARMED by ada" in alert.text
    (changed,) = [r for r in house.desk.books.journal if isinstance(r, Changed) and r.what == "armed"]
    assert (changed.subject, changed.by, changed.why) == ("venue:live", "ada", "arm live for 1000 USD an hour")


def test_it_ends_by_itself(house):
    one = house.arm(lasts=HOUR)
    house.desk.step(fill(house.puppet.buy("0.001").order, price="10000"))
    house.puppet.quote(after=one.until - house.desk.books.now - 1 - SECOND)
    house.desk.step(fill(house.puppet.buy("0.001").order, price="10000"))  # a second later: still one nanosecond to go
    assert reason(house.puppet.buy("0.001")) == ("armed", "not_armed")
    assert not house.desk.armed
    assert [a.text for a in house.alerts("disarmed")] == ["live is disarmed by desk"]


def test_it_never_survives_a_restart_and_arming_again_is_no_way_around_the_cap(house):
    house.arm(confirm_above="10000")
    submit = house.puppet.buy("0.09")
    house.desk.step(fill(submit.order, price="10000"))
    again = reopened(house.desk)
    again.require_arming("live")
    again.recovered(by="recover")
    assert not again.armed
    puppet = again._seats["a"].engine
    puppet.desk, puppet.sleeve = again, again.engines["a"].sleeve
    puppet.index = again.index(BTCUSD)
    assert reason(puppet.buy("0.001")) == ("armed", "not_armed")
    house.arm(desk=again, confirm_above="10000")
    refused = puppet.buy("0.02")
    assert reason(refused) == ("armed", "hourly_cap")
    assert isinstance(puppet.buy("0.009"), SubmitOrder)


# -- caps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("qty", "passes"), [("0.06", True), ("0.06000001", False)])
def test_an_hour_s_cap_is_what_may_be_risked_within_an_hour(house, qty, passes):
    house.arm(confirm_above="10000")
    first = house.puppet.buy("0.04", limit=BTCUSD.price("10000"))
    assert isinstance(first, SubmitOrder)
    answer = house.puppet.buy(qty, limit=BTCUSD.price("10000"))
    if passes:
        assert isinstance(answer, SubmitOrder)
    else:
        assert reason(answer) == ("armed", "hourly_cap")
        assert answer.numbers == {"venue": "live", "spent": "400", "worth": "600.0001", "cap": "1000"}


def test_an_hour_later_there_is_room_again(house):
    house.arm(confirm_above="10000")
    first = house.puppet.buy("0.1", limit=BTCUSD.price("10000"))
    house.desk.step(fill(first.order, price="10000"))
    house.puppet.quote(after=HOUR - 2 * SECOND)
    assert reason(house.puppet.buy("0.001", limit=BTCUSD.price("10000"))) == ("armed", "hourly_cap")
    assert isinstance(house.puppet.buy("0.1", limit=BTCUSD.price("10000")), SubmitOrder)


def test_of_an_order_that_is_off_only_what_was_filled_counts(house):
    house.arm(confirm_above="10000")
    first = house.puppet.buy("0.1", limit=BTCUSD.price("10000"))
    house.desk.step(fill(first.order, qty="0.03", price="10000"))
    house.desk.step(Canceled(first.order.id, house.desk.books.now, "by hand"))
    assert reason(house.puppet.buy("0.0701", limit=BTCUSD.price("10000"))) == ("armed", "hourly_cap")
    assert isinstance(house.puppet.buy("0.07", limit=BTCUSD.price("10000")), SubmitOrder)


def test_the_total_cap_does_not_come_back(house):
    house.arm(total="1500", confirm_above="10000")
    for _ in range(2):
        first = house.puppet.buy("0.07", limit=BTCUSD.price("10000"))
        house.desk.step(fill(first.order, price="10000"))
        house.puppet.quote(after=HOUR)
    assert reason(house.puppet.buy("0.0101", limit=BTCUSD.price("10000"))) == ("armed", "total_cap")
    assert isinstance(house.puppet.buy("0.01", limit=BTCUSD.price("10000")), SubmitOrder)


def test_a_cap_is_of_an_asset_that_a_vault_has(house):
    from sleeves import EUR

    with pytest.raises(VaultError, match="no vault"):
        house.desk.arm("live", per_hour={EUR: "5"}, phrase="", by="ada")


def test_a_bundle_counts_whole(house):
    house.arm(confirm_above="10000")
    legs = tuple(Place(BTCUSD, Side.BUY, BTCUSD.qty("0.06"), limit=BTCUSD.price("10000"), tif=TimeInForce.IOC) for _ in range(2))
    house.puppet.wish(Bundle(legs))
    assert reason(house.desk.telemetry("a").refused) == ("armed", "hourly_cap")


# -- confirmation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("qty", "asked"), [("0.01", False), ("0.01000001", True)])
def test_what_is_worth_more_than_100_waits_for_a_human(house, qty, asked):
    house.arm()
    answer = house.puppet.buy(qty, limit=BTCUSD.price("10000"))
    assert isinstance(answer, Refusal) is asked
    if asked:
        assert reason(answer) == ("confirm", "needs_confirmation")
        (waiting,) = house.desk.confirmations
        assert waiting.id == answer.numbers["id"]
        assert len(house.alerts("confirm")) == 1


def test_a_confirmed_wish_goes_through_all_gates_and_is_sent_by_the_human(house):
    house.arm()
    house.puppet.buy("0.05")
    waits = house.waits()
    (submit,) = house.desk.confirm(waits, by="ben")
    assert (submit.order.place.qty, submit.order.sleeve) == (BTCUSD.qty("0.05"), "a")
    assert not house.desk.confirmations
    with pytest.raises(VaultError, match="nothing waits"):
        house.desk.confirm(waits, by="ben")
    assert reason(house.puppet.buy("0.05")) == ("confirm", "needs_confirmation"), "each wish is asked for by itself"


def test_what_no_gate_lets_pass_any_more_is_refused_though_confirmed(house):
    house.arm()
    house.puppet.buy("0.05")
    house.sleeve.pause(by="ada")
    refused = house.desk.confirm(house.waits(), by="ben")
    assert reason(refused) == ("status", "status")


@pytest.mark.parametrize(("after", "in_time"), [(30 * SECOND - 1, True), (30 * SECOND, False)])
def test_it_waits_thirty_seconds(house, after, in_time):
    house.arm()
    refused = house.puppet.buy("0.05")
    at, waits = refused.at + after, refused.numbers["id"]
    if in_time:
        assert isinstance(house.desk.confirm(waits, by="ben", at=at)[0], SubmitOrder)
        return
    with pytest.raises(VaultError, match="expired"):
        house.desk.confirm(waits, by="ben", at=at)
    (alert,) = house.alerts("confirm_expired")
    assert "was not sent" in alert.text


def test_an_expired_one_is_said_without_anybody_asking(house):
    house.arm()
    house.puppet.buy("0.05")
    house.puppet.quote(after=29 * SECOND)
    assert house.desk.confirmations
    house.puppet.quote(after=SECOND)
    assert not house.desk.confirmations
    assert len(house.alerts("confirm_expired")) == 1


def test_while_one_waits_the_sleeve_asks_for_no_other_and_others_do(house):
    house.arm()
    house.puppet.buy("0.05")
    assert reason(house.puppet.buy("0.06")) == ("confirm", "awaiting_confirmation")
    second = Puppet(name="second")
    second.sit(house.desk, house.vault.sleeve("b", FLASH, allocate="2000"))
    assert reason(second.buy("0.05")) == ("confirm", "needs_confirmation")
    assert [one.sleeve for one in house.desk.confirmations] == ["a", "b"]


def test_a_declined_one_is_written_and_not_sent(house):
    house.arm()
    house.puppet.buy("0.05")
    waits = house.waits()
    house.desk.decline(waits, by="ben", why="too large")
    assert not house.desk.confirmations
    (changed,) = [r for r in house.desk.books.journal if isinstance(r, Changed) and r.what == f"confirmation {waits}"]
    assert (changed.by, changed.after, changed.why) == ("ben", "declined", "too large")


def test_a_bundle_is_confirmed_whole():
    house = House()
    house.arm()
    legs = tuple(Place(BTCUSD, Side.BUY, BTCUSD.qty("0.006"), limit=BTCUSD.price("10000"), tif=TimeInForce.IOC) for _ in range(2))
    house.puppet.wish(Bundle(legs))
    (waiting,) = house.desk.confirmations
    assert waiting.worth == USD("120")
    commands = house.desk.confirm(waiting.id, by="ben")
    assert isinstance(commands[0], SubmitOrder)


def bundled(house):
    """A confirmed bundle of 200 and 200 USD whose first leg was sent: its order."""
    legs = (Place(BTCUSD, Side.BUY, BTCUSD.qty("0.02")), Place(ETHUSD, Side.BUY, ETHUSD.qty("0.1")))
    house.desk.index(ETHUSD)
    house.desk.step(Quote(ETHUSD, house.desk.books.now + 1, ETHUSD.price("2000"), ETHUSD.price("2000")))
    house.puppet.wish(Bundle(legs))
    (first,) = house.desk.confirm(house.waits(), by="ben")
    return first.order


def test_a_confirmed_bundle_is_sent_to_its_end(house):
    """The second leg is worth more than what is asked for: the whole was confirmed."""
    house.arm(per_hour="5000")
    (second,) = house.desk.step(fill(bundled(house), price="10000"))
    assert (second.order.place.instrument, second.order.place.side) == (ETHUSD, Side.BUY)


def test_after_disarming_no_leg_is_sent_and_what_stands_alone_is_closed(house):
    house.arm(per_hour="5000")
    first = bundled(house)
    house.desk.disarm("live", by="ada")
    (back,) = house.desk.step(fill(first, price="10000"))
    assert (back.order.place.instrument, back.order.place.side) == (BTCUSD, Side.SELL)


def test_legs_that_are_not_sent_yet_count_against_the_cap(house):
    house.arm(per_hour="500")
    bundled(house)
    refused = house.puppet.buy("0.0101", limit=BTCUSD.price("10000"))
    assert reason(refused) == ("armed", "hourly_cap")
    assert refused.numbers["spent"] == "400"
    assert isinstance(house.puppet.buy("0.01", limit=BTCUSD.price("10000")), SubmitOrder)


def test_a_sale_of_contracts_at_a_low_limit_is_worth_what_the_market_pays():
    from gate_house import PERP, SELL, order
    from gate_house import House as Gates

    h = Gates()
    h.desk.require_arming("live")
    h.desk.arm("live", per_hour="500", phrase=h.desk.arming_phrase("live", per_hour="500"), by="ada", confirm_above="5000")
    refused = h.wish(order(PERP, SELL, "9", limit="0.01"))
    assert reason(refused) == ("armed", "hourly_cap")
    assert refused.numbers["worth"] == "900"


def test_a_stranger_s_name_cannot_be_armed_and_opens_nothing(house):
    with pytest.raises(VaultError, match="no venue here is named 'liev': live"):
        house.desk.arm("liev", per_hour="1", phrase="arm liev for 1 USD an hour", by="ada")
    assert reason(house.puppet.buy("0.01")) == ("armed", "not_armed")


def test_a_paper_venue_beside_a_real_one_needs_nothing_and_uses_none_of_its_cap(house):
    house.desk.meet({"live": True, "paper": False})
    paper = evolve(ETHUSD, venue="paper")
    puppet = Puppet(paper, "paper")
    puppet.sit(house.desk, house.vault.sleeve("p", QUIET, allocate="2000"))
    assert isinstance(puppet.buy("0.5", "2000"), SubmitOrder)
    house.arm(confirm_above="10000")
    assert isinstance(house.puppet.buy("0.1", limit=BTCUSD.price("10000")), SubmitOrder)


def test_armed_before_the_venue_is_known_the_hour_counts_all_the_same():
    """The usual order of a program: arm, then trade; and again after a restart."""
    house = House()
    house.desk._arms.needed.clear()
    house.desk._arms.here.clear()
    house.arm(confirm_above="10000")
    house.desk.meet({"live": True})
    submit = house.puppet.buy("0.09", limit=BTCUSD.price("10000"))
    house.desk.step(fill(submit.order, price="10000"))
    again = reopened(house.desk)
    again.recovered(by="recover")
    house.arm(desk=again, confirm_above="10000")
    again.meet({"live": True})
    puppet = again._seats["a"].engine
    puppet.desk, puppet.sleeve, puppet.index = again, again.engines["a"].sleeve, again.index(BTCUSD)
    assert reason(puppet.buy("0.0101", limit=BTCUSD.price("10000"))) == ("armed", "hourly_cap")


def test_a_question_of_before_a_restart_is_never_taken_for_one_after_it(house):
    house.arm()
    house.puppet.buy("0.02")
    asked = house.waits()
    again = reopened(house.desk)
    again.require_arming("live")
    again.recovered(by="recover")
    house.arm(desk=again)
    puppet = again._seats["a"].engine
    puppet.desk, puppet.sleeve, puppet.index = again, again.engines["a"].sleeve, again.index(BTCUSD)
    puppet.buy("0.09")
    assert asked not in [one.id for one in again.confirmations]
    with pytest.raises(VaultError):
        again.confirm(asked, by="ben")


def test_when_its_time_is_over_entries_are_canceled(house):
    house.arm(lasts=HOUR, confirm_above="10000")
    resting = house.puppet.buy("0.01", limit=BTCUSD.price("9000"))
    commands = house.puppet.quote(after=HOUR)
    assert [(type(c), c.order.id) for c in commands] == [(CancelOrder, resting.order.id)]


def test_time_passes_without_prices_too(house):
    house.arm(lasts=HOUR)
    house.puppet.buy("0.05")
    assert house.desk.confirmations
    house.desk.pass_time(house.desk.books.now + 30 * SECOND)
    assert not house.desk.confirmations
    assert len(house.alerts("confirm_expired")) == 1


def test_an_order_by_hand_is_asked_for_too(house):
    house.arm()
    house.puppet.quote()
    refused = house.desk.order(house.sleeve, Place(BTCUSD, Side.BUY, BTCUSD.qty("0.05")), by="ann")
    assert reason(refused) == ("confirm", "needs_confirmation")
    (waiting,) = house.desk.confirmations
    assert waiting.by == "ann"


def test_disarming_cancels_entries_and_leaves_exits(house):
    house.arm(confirm_above="10000")
    submit = house.puppet.buy("0.05")
    house.desk.step(fill(submit.order, price="10000"))
    out = house.puppet.sell("0.05", limit=BTCUSD.price("11000"))
    resting = house.puppet.buy("0.01", limit=BTCUSD.price("9000"))
    commands = house.desk.disarm("live", by="ada")
    assert [(type(c), c.order.id) for c in commands] == [(CancelOrder, resting.order.id)]
    assert out.order.id not in {c.order.id for c in commands}
    assert len(house.alerts("disarmed")) == 1


def test_the_window_is_pruned(house):
    house.arm(confirm_above="10000")
    for _ in range(5):
        order = house.puppet.buy("0.001").order
        house.desk.step(fill(order, price="10000"))
        house.puppet.quote(after=20 * MINUTE)
    house.desk.disarm("live", by="ada")
    house.arm(confirm_above="10000")
    house.puppet.buy("0.001")
    assert len(house.desk._arms._sent) <= 4
