"""Bundles as stories: what is sent when, what a failed leg leads to, and what the gates are asked."""

from __future__ import annotations

import math

import anyio
import pytest

from helpers import Puppet
from sleeves import FLASH, QUIET, SOL, USDC, Asset, Books, Bundle, CoreVault, Desk, Instrument, Place, Side, Treasury
from sleeves.errors import InvalidMarket, VaultError
from sleeves.gates import Cooldown, OrderCap
from sleeves.journal import Memory
from sleeves.market import HOUR, SECOND, Kind
from sleeves.money import Amount, Rounding
from sleeves.orders import Canceled, Fill, Liquidity, OrderStatus, Rejected, SubmitOrder, Unanswered
from sleeves.records import Alert, BundleStatus, BundleUpdate, Placed, Refusal
from sleeves.recovery import recover
from sleeves.sim import Tape, VirtualDriver
from standing import reopened

SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.05")
OTHER = Instrument("SOL-B/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
HEDGE = Bundle((Place(PERP, Side.SELL, PERP.qty("10")), Place(SPOT, Side.BUY, SPOT.qty("10"))), why="carry")


class House:
    """One sleeve of 5,000 USDC, three markets at 150, and a venue that does what a test says."""

    def __init__(self, *, policy=QUIET, gates=(), allocate="5000", **terms):
        self.vault = CoreVault(USDC, total="20000", tradeable="15000")
        self.sleeve = self.vault.sleeve("a", policy, allocate=allocate)
        self.terms = terms
        self.desk = Desk(self.vault, **terms)
        self.engine = Puppet(SPOT)
        self.engine.watches = (SPOT, OTHER, PERP)
        self.desk.assign(self.engine, to=self.sleeve, gates=gates)
        self.now, self.trades = 0, 0
        self.prices = dict.fromkeys(("SOL/USDC", "SOL-B/USDC", "SOL-PERP"), "150")
        for market in (SPOT, OTHER, PERP):
            self.quote(market)

    def quote(self, market=SPOT, price=None):
        self.now += SECOND
        self.prices[market.symbol] = price or self.prices[market.symbol]
        units = market.price(self.prices[market.symbol])
        return self.desk.quote(self.desk.index(market), self.now, units, units)

    def wish(self, *wishes):
        self.engine.wishes = list(wishes)
        return self.only(self.quote(PERP))

    def only(self, commands):
        """The one order that is sent; None for none."""
        orders = [command.order for command in commands if isinstance(command, SubmitOrder)]
        assert len(orders) <= 1, orders
        return orders[0] if orders else None

    def fill(self, order, qty=None, *, at=None):
        place, market = order.place, order.place.instrument
        units = place.qty if qty is None else market.qty(qty)
        price = market.price(self.prices[market.symbol])
        cost = market.cost(price, units, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
        self.trades += 1
        fill = Fill(
            order.id,
            self.now if at is None else at,
            market,
            place.side,
            units,
            price,
            cost,
            USDC.zero,
            Liquidity.TAKER,
            f"t{self.trades}",
            "v",
        )
        return self.only(self.desk.step(fill))

    def reject(self, order):
        return self.only(self.desk.step(Rejected(order.id, self.now, "no")))

    def cancel(self, order):
        return self.only(self.desk.step(Canceled(order.id, self.now, "gone")))

    def records(self, kind):
        return [record for record in self.desk.books.journal if isinstance(record, kind)]

    def ends(self):
        return [record.status for record in self.records(BundleUpdate) if record.status.over]

    def position(self, market):
        return market.qty_text(self.sleeve.position_units(market))

    @property
    def view(self):
        return self.desk._seats["a"].view


# -- what a bundle is ------------------------------------------------------------------------------------------------------


LEG = Place(SPOT, Side.BUY, SPOT.qty("1"))


@pytest.mark.parametrize(
    ("legs", "terms", "says"),
    [
        ((LEG,), {}, "at least two"),
        ((), {}, "at least two"),
        ((LEG, "buy"), {}, "at least two Places"),
        (LEG, {}, "at least two"),
        ((LEG, LEG), {"tries": 0}, "tries above zero"),
        ((LEG, LEG), {"tries": math.nan}, "tries above zero"),
        ((LEG, LEG), {"rollback": 1}, "rollback"),
        ((LEG, LEG), {"why": None}, "why in text"),
        ((LEG, Place(SPOT, Side.SELL, 10**7, limit=15_000)), {}, "immediate or cancel"),
        ((LEG, Place(SPOT, Side.SELL, 10**7, stop=15_000)), {}, "at market"),
        ((LEG, Place(SPOT, Side.SELL, 10**7, limit=15_000, post_only=True)), {}, "immediate or cancel"),
    ],
)
def test_what_is_no_bundle_is_refused_with_the_reason(legs, terms, says):
    with pytest.raises(InvalidMarket, match=says):
        Bundle(legs, **terms)


def test_legs_leave_one_after_the_other_and_the_last_one_ends_it():
    h = House()
    first = h.wish(HEDGE)
    assert (first.place.instrument, first.place.side, first.place.qty) == (PERP, Side.SELL, PERP.qty("10"))
    assert h.view.bundles == 1
    second = h.fill(first)
    assert (second.place.instrument, second.place.qty) == (SPOT, SPOT.qty("10"))
    assert h.fill(second) is None
    assert (h.position(PERP), h.position(SPOT)) == ("-10", "10")
    assert h.ends() == [BundleStatus.DONE]
    assert h.view.bundles == 0
    assert h.sleeve.held == USDC.zero
    assert h.desk.check(deep=True).holds


def test_a_fill_that_is_told_after_newer_prices_is_followed_at_the_prices_of_now():
    """A venue may tell a fill late: the next leg is not judged by the clock of then, to which those prices are of the future."""
    house = House()
    first = house.wish(HEDGE)
    filled_at = house.now
    for market in (SPOT, PERP, SPOT):
        house.quote(market, "151")
    second = house.fill(first, at=filled_at)
    assert second is not None
    assert second.at == house.now
    assert house.fill(second, at=filled_at) is None
    assert house.ends() == [BundleStatus.DONE]


def test_money_for_the_second_leg_is_set_aside_from_the_start():
    h = House()
    h.wish(HEDGE)
    assert h.sleeve.held > USDC("1500")
    h.engine.wishes = [Place(OTHER, Side.BUY, OTHER.qty("25"))]
    assert h.only(h.quote()) is None
    assert h.records(Refusal)[-1].reason == "funds"


def test_a_leg_is_sent_for_what_was_filled_of_the_one_before():
    h = House()
    first = h.wish(Bundle(HEDGE.legs, tries=1))
    assert h.fill(first, "4") is None
    second = h.cancel(first)
    assert second.place.qty == SPOT.qty("4")
    h.fill(second)
    assert (h.position(PERP), h.position(SPOT)) == ("-4", "4")
    assert h.ends() == [BundleStatus.DONE]
    assert h.sleeve.held == USDC.zero


def test_a_leg_that_is_not_filled_whole_is_sent_again_for_the_rest():
    h = House()
    first = h.wish(HEDGE)
    h.fill(first, "4")
    again = h.cancel(first)
    assert (again.place.instrument, again.place.qty) == (PERP, PERP.qty("6"))
    second = h.fill(again)
    assert second.place.qty == SPOT.qty("10")


def test_nothing_was_filled_and_nothing_is_done():
    h = House()
    again = h.reject(h.wish(HEDGE))
    assert again.place.qty == PERP.qty("10")
    assert h.reject(again) is None
    assert h.ends() == [BundleStatus.NOTHING]
    assert h.sleeve.held == USDC.zero
    assert h.sleeve.free == USDC("5000")


@pytest.mark.parametrize("part", [None, "3.21"])
def test_a_lone_leg_is_rolled_back_to_the_unit(part):
    """The hedge's second leg fails, whole or in part: exactly what stands alone is bought back, not all and not some."""
    h = House()
    second = h.fill(h.wish(Bundle(HEDGE.legs, tries=1)))
    if part:
        h.fill(second, part)
    back = h.cancel(second)
    assert (back.place.instrument, back.place.side, back.place.reduce_only) == (PERP, Side.BUY, True)
    assert back.place.qty == PERP.qty("10") - (SPOT.qty(part) if part else 0)
    h.fill(back)
    assert (h.position(PERP), h.position(SPOT)) == ((f"-{part}", part) if part else ("0", "0"))
    assert h.ends() == [BundleStatus.DONE if part else BundleStatus.NOTHING]
    assert h.desk.check(deep=True).holds


def test_coins_that_were_there_before_are_not_rolled_back():
    """The origin's rollback sells all spot."""
    h = House()
    h.fill(h.wish(Place(SPOT, Side.BUY, SPOT.qty("5"))))
    legs = (Place(SPOT, Side.BUY, SPOT.qty("10")), Place(PERP, Side.SELL, PERP.qty("10")))
    second = h.fill(h.wish(Bundle(legs, tries=1)))
    back = h.reject(second)
    assert (back.place.side, back.place.qty) == (Side.SELL, SPOT.qty("10"))
    h.fill(back)
    assert h.position(SPOT) == "5"


def test_without_rollback_what_stands_alone_is_left_and_said():
    h = House()
    second = h.fill(h.wish(Bundle(HEDGE.legs, tries=1, rollback=False)))
    assert h.reject(second) is None
    assert h.ends() == [BundleStatus.LEFT]
    alert = h.records(Alert)[-1]
    assert (alert.code, alert.level) == ("lone_leg", "critical")
    assert "sell 10 SOL-PERP stands alone" in alert.text


def test_a_rollback_that_fails_is_tried_again_and_then_said():
    h = House()
    second = h.fill(h.wish(Bundle(HEDGE.legs, tries=2)))
    back = h.reject(h.reject(second))
    assert back.place.side is Side.BUY
    back = h.reject(back)
    assert back.place.side is Side.BUY
    assert h.reject(back) is None
    assert h.ends() == [BundleStatus.LEFT]
    assert h.records(Alert)[-1].code == "lone_leg"


def test_while_an_answer_is_lost_nothing_more_is_sent():
    h = House()
    first = h.wish(HEDGE)
    assert h.only(h.desk.step(Unanswered(first.id, h.now))) is None
    assert h.view.bundles == 1
    second = h.fill(first)
    assert second.place.instrument == SPOT


def test_a_fill_that_comes_in_parts_waits_for_the_order_to_be_done():
    h = House()
    first = h.wish(HEDGE)
    assert h.fill(first, "4") is None
    assert h.fill(first, "6").place.qty == SPOT.qty("10")


# -- gates -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("legs", "reason", "wish"),
    [
        (HEDGE.legs, "leverage", "sell 10 SOL-PERP at market then buy 10 SOL/USDC at market"),
        ((Place(SPOT, Side.BUY, SPOT.qty("6")), Place(OTHER, Side.BUY, OTHER.qty("6"))), "funds", None),
    ],
)
def test_a_bundle_passes_whole_or_not_at_all(legs, reason, wish):
    """Each leg alone has the money; both together have not. A contract is judged with the coins already paid for."""
    h = House(allocate="1600")
    assert h.wish(Bundle(legs)) is None
    refusal = h.records(Refusal)[-1]
    assert refusal.reason == reason
    assert wish is None or refusal.wish == wish
    assert not h.records(Placed)
    assert h.sleeve.free == USDC("1600")
    for leg in legs:
        assert House(allocate="1600").wish(leg) is not None


def test_what_a_leg_buys_the_next_may_sell():
    h = House()
    spread = Bundle((Place(OTHER, Side.BUY, OTHER.qty("3")), Place(SPOT, Side.SELL, SPOT.qty("3"))))
    second = h.fill(h.wish(spread))
    assert (second.place.side, second.place.instrument) == (Side.SELL, SPOT)
    h.fill(second)
    assert (h.position(OTHER), h.position(SPOT)) == ("0", "0")
    assert h.sleeve.free == USDC("5000")
    more = Bundle((Place(OTHER, Side.BUY, OTHER.qty("3")), Place(SPOT, Side.SELL, SPOT.qty("3.01"))))
    assert h.wish(more) is None
    assert h.records(Refusal)[-1].reason == "position"


def test_own_gates_judge_a_bundle_once_and_whole():
    """Selling starts the cooldown, and the buy that belongs to it is no new one."""
    h = House(gates=[Cooldown(HOUR)])
    h.fill(h.wish(Place(OTHER, Side.BUY, OTHER.qty("3"))))
    second = h.fill(h.wish(Bundle((Place(OTHER, Side.SELL, OTHER.qty("3")), Place(PERP, Side.BUY, PERP.qty("3"))))))
    assert second.place.instrument == PERP
    h.fill(second)
    assert h.ends() == [BundleStatus.DONE]


def test_a_gate_sees_the_legs_together():
    seen = []

    def watching(place, view, vault):
        seen.append((place, tuple(view.legs)))

    h = House(gates=[watching, OrderCap("1500")])
    assert h.wish(HEDGE) is not None
    assert seen == [(leg, HEDGE.legs) for leg in HEDGE.legs]
    assert h.wish(Bundle((Place(PERP, Side.SELL, PERP.qty("1")), Place(SPOT, Side.BUY, SPOT.qty("10.01"))))) is None
    assert h.records(Refusal)[-1].reason == "order_cap"


def test_a_leg_that_gates_no_longer_let_pass_is_rolled_back():
    """Paused between the legs: the second is not sent, the first is taken back."""
    h = House()
    first = h.wish(HEDGE)
    h.sleeve.pause(by="ann")
    back = h.fill(first)
    assert (back.place.instrument, back.place.side) == (PERP, Side.BUY)
    h.fill(back)
    assert h.position(PERP) == "0"
    assert h.ends() == [BundleStatus.NOTHING]


# -- stops and restarts ----------------------------------------------------------------------------------------------------


def test_killing_and_flattening_ends_it():
    h = House()
    second = h.fill(h.wish(HEDGE))
    canceled, closed = h.desk.kill(h.sleeve, flatten=True, by="ann")
    closing = closed.order
    assert canceled.order is second, "the other leg's"
    assert (closing.place.instrument, closing.place.why) == (PERP, "flatten")
    assert h.cancel(second) is None
    assert h.ends() == [BundleStatus.LEFT]
    h.fill(closing)
    assert h.sleeve.is_flat()
    assert h.view.bundles == 0


def test_killed_without_flattening_what_stands_alone_is_said():
    h = House()
    second = h.fill(h.wish(HEDGE))
    h.desk.kill(h.sleeve, flatten=False, by="ann")
    assert h.cancel(second) is None
    assert h.ends() == [BundleStatus.LEFT]
    assert h.records(Alert)[-1].code == "lone_leg"


@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize("told", ["before", "after"])
def test_after_a_restart_no_leg_is_sent_and_a_lone_one_is_rolled_back(snapshot, told):
    h = House()
    second = h.fill(h.wish(HEDGE))
    h.fill(second, "3")
    h.desk = reopened(h.desk, snapshot=snapshot)
    h.sleeve = h.desk.treasury.vaults[0].sleeves["a"]
    if told == "before":
        assert h.cancel(second) is None
        assert h.only(h.desk.recovered()) is None
        back = h.only(h.quote(PERP))
    else:
        assert h.only(h.desk.recovered()) is None
        h.quote(PERP)
        back = h.cancel(second)
    assert (back.place.instrument, back.place.side, back.place.qty) == (PERP, Side.BUY, PERP.qty("7"))
    h.fill(back)
    assert (h.position(PERP), h.position(SPOT)) == ("-3", "3")
    assert h.ends() == [BundleStatus.DONE]
    assert h.desk.check(deep=True).holds


def test_by_hand_too():
    h = House()
    done = h.desk.order(h.sleeve, HEDGE, by="ann")
    assert h.fill(h.only(done)).place.instrument == SPOT
    with pytest.raises(VaultError, match="a Place or a Bundle"):
        h.desk.order(h.sleeve, "hedge", by="ann")
    refused = h.desk.order(h.sleeve, Bundle((Place(SPOT, Side.BUY, SPOT.qty("900")), HEDGE.legs[0])), by="ann")
    assert isinstance(refused, Refusal)


def test_a_flash_sleeve_sweeps_when_the_bundle_has_come_round():
    """Bought on one market and sold dearer on another: it is flat, and its profit goes back to Tradeable."""
    h = House(policy=FLASH)
    h.quote(SPOT, "151")
    h.fill(h.fill(h.wish(Bundle((Place(OTHER, Side.BUY, OTHER.qty("3")), Place(SPOT, Side.SELL, SPOT.qty("3")))))))
    assert h.sleeve.returned == USDC("3")
    assert h.vault.tradeable == USDC("15003")
    assert h.desk.status_of("a-3") is OrderStatus.FILLED


def test_what_it_saw_wanted_and_was_refused():
    h = House()
    h.wish(HEDGE)
    told = h.desk.telemetry("a")
    assert told.wanted == ("sell 10 SOL-PERP at market then buy 10 SOL/USDC at market: carry",)
    assert told.refused is None
    h.wish(Place(SPOT, Side.SELL, SPOT.qty("1")))
    assert h.desk.telemetry(h.sleeve).refused.reason == "position"
    assert "position" in str(h.desk.telemetry("a"))
    with pytest.raises(VaultError, match="no engine sits"):
        h.desk.telemetry("nobody")


def test_amounts_are_exact_after_all_of_it():
    h = House()
    for _ in range(3):
        second = h.fill(h.wish(HEDGE))
        h.fill(second, "1.23")
        h.fill(h.cancel(second) if h.desk.filled(second.id) else second)
    spent = sum(record.cost * record.side.sign for record in h.records(Fill) if record.instrument == SPOT)
    assert h.sleeve.position(SPOT) == Amount(sum(r.qty for r in h.records(Fill) if r.instrument == SPOT), SOL)
    assert h.sleeve.open_cost_units(SPOT) == spent
    assert h.desk.check(deep=True).holds


# -- what a reviewer broke -------------------------------------------------------------------------------------------------


def test_an_allocation_that_waits_for_the_next_buy_arrives_before_money_is_set_aside():
    h = House(allocate="1700")
    h.fill(h.wish(Place(OTHER, Side.BUY, OTHER.qty("2"))))
    h.vault.allocate(h.sleeve, "3000")
    assert h.sleeve.pending == USDC("3000")
    assert h.wish(Bundle((Place(SPOT, Side.BUY, SPOT.qty("10")), Place(OTHER, Side.BUY, OTHER.qty("10"))))) is not None
    assert h.sleeve.pending == USDC.zero


def test_and_before_a_later_leg_that_has_become_dearer():
    h = House(allocate="1830")
    first = h.wish(HEDGE)
    h.fill(first, "1")
    h.vault.allocate(h.sleeve, "3000")
    h.quote(SPOT, "170")
    assert h.fill(first, "9").place.instrument == SPOT


def test_a_fill_that_is_told_after_its_bundle_is_over_is_told_to_a_human():
    """Canceled, they said; nothing, the bundle says; and then it was filled all the same."""
    h = House()
    first = h.wish(Bundle(HEDGE.legs, tries=1))
    h.cancel(first)
    assert h.ends() == [BundleStatus.NOTHING]
    h.fill(first)
    assert h.position(PERP) == "-10"
    assert h.records(Alert)[-1].code == "lone_leg"


@pytest.mark.parametrize("snapshot", [False, True])
def test_and_after_a_restart_too(snapshot):
    h = House()
    first = h.wish(Bundle(HEDGE.legs, tries=1))
    h.cancel(first)
    h.desk = reopened(h.desk, snapshot=snapshot)
    h.desk.recovered()
    h.quote(PERP)
    h.fill(first)
    assert h.records(Alert)[-1].code == "lone_leg"


def test_nothing_is_rolled_back_before_the_desk_is_recovered():
    h = House()
    second = h.fill(h.wish(Bundle(HEDGE.legs, tries=1)))
    h.desk = reopened(h.desk)
    assert h.cancel(second) is None
    assert h.only(h.quote(PERP)) is None
    back = h.only(h.desk.recovered())
    assert (back.place.side, back.place.qty) == (Side.BUY, PERP.qty("10"))


def of_terms(**terms):
    """A house whose spot market has other terms."""
    spot = Instrument("SOL-C/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01", **terms)
    h = House()
    h.prices[spot.symbol] = "150"
    h.quote(spot)
    return h, spot


def test_what_stands_alone_and_is_too_little_to_be_rolled_back_is_said():
    """Both markets take 5 and more; 10 are sold, 6 bought: 4 stand alone."""
    h, spot = of_terms(min_qty="5")
    perp = Instrument("SOL-PERP-5", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="5", kind=Kind.PERP)
    h.prices[perp.symbol] = "150"
    h.quote(perp)
    second = h.fill(h.wish(Bundle((Place(perp, Side.SELL, perp.qty("10")), Place(spot, Side.BUY, spot.qty("10"))))))
    h.fill(second, "6")
    assert h.cancel(second) is None
    assert h.ends() == [BundleStatus.LEFT]
    assert "sell 4 SOL-PERP-5 stands alone: it could not be rolled back" in h.records(Alert)[-1].text


def test_a_rest_that_the_venue_would_not_take_does_not_undo_what_was_filled():
    """9.95 of 10 bought, and the rest worth less than the venue's least order: the hedge of 9.95 follows."""
    h, spot = of_terms(min_notional="10")
    first = h.wish(Bundle((Place(spot, Side.BUY, spot.qty("10")), Place(PERP, Side.SELL, PERP.qty("10")))))
    h.fill(first, "9.95")
    second = h.cancel(first)
    assert (second.place.instrument, second.place.qty) == (PERP, PERP.qty("9.95"))


def test_a_sale_among_the_legs_does_not_make_a_buy_a_closing_one():
    """Sold and bought back on one market: the buy is new risk, and the owner's cap holds for it."""
    h = House(gates=[OrderCap("1000")])
    for _ in range(3):
        h.fill(h.wish(Place(SPOT, Side.BUY, SPOT.qty("6"))))
    assert h.wish(Place(OTHER, Side.BUY, OTHER.qty("8"))) is None
    assert h.wish(Bundle((Place(OTHER, Side.SELL, OTHER.qty("18")), Place(OTHER, Side.BUY, OTHER.qty("18"))))) is None
    assert h.records(Refusal)[-1].reason == "order_cap"


def test_buying_back_coins_asks_for_the_money():
    """A sale that was overfilled at a monstrous fee: what is to be bought back is refused, said, and nothing is raised."""
    h = House()
    h.fill(h.wish(Place(SPOT, Side.BUY, SPOT.qty("10"))))
    legs = (Place(PERP, Side.BUY, PERP.qty("10")), Place(SPOT, Side.SELL, SPOT.qty("10")))
    second = h.fill(h.wish(Bundle(legs, tries=1)))
    units = SPOT.qty("10.5")
    cost = SPOT.cost(15_000, units, Rounding.FLOOR)
    h.desk.step(Fill(second.id, h.now, SPOT, Side.SELL, units, 15_000, cost, USDC("5500"), Liquidity.TAKER, "big", "v"))
    assert {alert.code for alert in h.records(Alert)} >= {"overfill", "overdrawn"}
    assert h.desk.check(deep=True).holds


def test_a_swap_that_fails_half_way_is_taken_back_with_the_bundles_own_coins_only():
    """USDC to SOL to LST, and nobody buys the LST: sold for SOL again at a loss, and only so much SOL is sold as came back."""
    lst = Asset("LST", 9)
    cross = Instrument("LST/SOL", base=lst, quote=SOL, tick="0.0001", lot="0.01")
    token = Instrument("LST/USDC", base=lst, quote=USDC, tick="0.01", lot="0.01")
    h = House()
    h.prices |= {"LST/SOL": "1.1", "LST/USDC": "165"}
    h.quote(cross)
    h.quote(token)
    h.fill(h.wish(Place(SPOT, Side.BUY, SPOT.qty("5"))))
    legs = (Place(SPOT, Side.BUY, SPOT.qty("10")), Place(cross, Side.BUY, cross.qty("9")), Place(token, Side.SELL, token.qty("9")))
    sale = h.fill(h.fill(h.wish(Bundle(legs, tries=1))))
    h.prices["LST/SOL"] = "1.09"
    h.quote(cross)
    back = h.reject(sale)
    assert (back.place.instrument, back.place.side, back.place.qty) == (cross, Side.SELL, cross.qty("9"))
    back = h.fill(back)
    assert (back.place.instrument, back.place.side, back.place.qty) == (SPOT, Side.SELL, SPOT.qty("9.91"))
    h.fill(back)
    assert h.position(SPOT) == "5"
    assert h.ends() == [BundleStatus.NOTHING]
    assert h.desk.check(deep=True).holds


def test_what_may_be_risked_holds_for_all_legs_together():
    """Tradeable was lowered to 2,000 below what is allocated: either leg fits into that, both do not."""
    legs = (Place(SPOT, Side.BUY, SPOT.qty("8")), Place(OTHER, Side.BUY, OTHER.qty("8")))
    for leg in legs:
        h = House()
        h.vault.set_tradeable("2000")
        assert h.wish(leg) is not None
    h = House()
    h.vault.set_tradeable("2000")
    assert h.wish(Bundle(legs)) is None
    assert h.records(Refusal)[-1].reason == "tradeable"


def test_a_desk_without_an_engine_for_a_bundle_is_not_recovered():
    """What is set aside for its legs would stay set aside."""
    h = House()
    h.wish(HEDGE)
    journal = Memory.read(list(h.desk.books.journal.lines()))
    treasury = Treasury.reopen(Books(journal))
    desk = Desk(*treasury.vaults)
    venue = VirtualDriver(Tape.from_columns(SPOT, ts=[0], open=["150"], high=["150"], low=["150"], close=["150"]), {"USDC": USDC("20000")})
    with pytest.raises(VaultError, match="open orders or bundles and no engine"):
        anyio.run(recover, desk, venue)


def test_killed_before_anything_was_filled_there_is_nothing():
    h = House()
    first = h.wish(HEDGE)
    h.desk.kill(h.sleeve, flatten=True, by="ann")
    assert h.cancel(first) is None
    assert h.ends() == [BundleStatus.NOTHING]
    assert h.sleeve.held == USDC.zero
