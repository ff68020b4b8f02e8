"""The table of refusals: each reason code of the package reached at a real desk, and the other side of it passed.

`CASES` has one story for each (gate, code) that stands in the source: what is refused with it, and what lies next to that
and passes. The page docs/concepts/gates.md has a line for each. And no order leaves the house without the gates: every
place in the source that makes one is listed here with its reason, and what closes without being asked never opens.
"""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sleeves
from gate_house import BUY, LSTSOL, LSTUSDC, PERP, SELL, SPOT, House, order, passes
from helpers import Puppet
from sleeves import BTC, EUR, QUIET, SOL, USDC, Books, CoreVault, Desk, Instrument, Place
from sleeves.caps import ExposureCap, OrderRate, PositionCap
from sleeves.gates import CORE, Cooldown, DailyLoss, Drawdown, OrderCap, funds, opens, refuse, size
from sleeves.guards import AccountAge, GasReserve, HealthAfter, Latency, Leverage, OneEngine, Profit, Slippage, TokenSafety
from sleeves.market import HOUR, MINUTE, SECOND, Kind
from sleeves.news import TokenFacts
from sleeves.orders import Bundle, Cancel, Canceled, CancelOrder, Position, SubmitOrder
from sleeves.records import Bundled, Placed, Refusal
from sleeves.status import Hold
from standing import reopened

SOURCE = Path(sleeves.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "concepts" / "gates.md"

COARSE = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.50", lot="0.1", min_qty="0.2", min_notional="30")
UNSEEN = Instrument("SOL3/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.001", min_notional="1")
OTHER = Instrument("BTC-PERP", base=BTC, quote=USDC, tick="0.01", lot="0.0001", kind=Kind.PERP)
SPOT2 = Instrument("SOL2/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.001")
INEUR = Instrument("SOL/EUR", base=SOL, quote=EUR, tick="0.01", lot="0.001")


class Tried(NamedTuple):
    """What was refused, and what passed next to it."""

    desk: Desk
    refused: Any
    passed: Any
    alone: str = ""
    """Why the gate was asked by itself: another one refuses the same before it. Then nothing is journaled."""


CASES: dict[tuple[str, str], Any] = {}


def case(gate, *reasons):
    """The story of a refusal; with several reasons, one story each, told with the reason."""

    def keep(story):
        for reason in reasons:
            assert (gate, reason) not in CASES
            CASES[gate, reason] = story if len(reasons) == 1 else lambda reason=reason: story(reason)
        return story

    return keep


def both(h, over, within, who="a"):
    """A wish on each side of a threshold; the one that is refused first, because it changes nothing."""
    return Tried(h.desk, h.wish(over, who), h.wish(within, who))


def asked(h, gate, place, who="a"):
    """What a gate by itself says, on the real desk's own view."""
    seat = h.desk._seats[who]
    seat.view.now = h.now
    return gate(place, seat.view, seat.vault)


BEFORE = "price_age refuses what has no price before it"


# -- core --------------------------------------------------------------------------------------------------------------------


@case("status", "status")
def _():
    h = House()
    h.desk.pause(h.sleeves["a"], by="ann")
    refused = h.wish(order(SPOT, BUY, "1"))
    h.desk.resume(h.sleeves["a"], by="ann")
    return Tried(h.desk, refused, h.wish(order(SPOT, BUY, "1")))


@case("status", "recovering")
def _():
    h = House()
    again = reopened(h.desk)
    sleeve = again.treasury.vaults[0].sleeves["a"]
    refused = again.order(sleeve, order(SPOT, BUY, "1", limit="100"), by="ann", at=h.now)
    again.recovered(at=h.now)
    again.quote(again.index(SPOT), h.now, SPOT.price("100"), SPOT.price("100"))
    return Tried(again, refused, again.order(sleeve, order(SPOT, BUY, "1", limit="100"), by="ann")[0])


@case("status", "venue")
def _():
    h = House()
    h.desk.latch("kraken", Hold.SYNC, by="desk", at=h.now)
    refused = h.wish(order(SPOT, BUY, "1"))
    h.desk.lift("kraken", Hold.SYNC, by="ann", at=h.now)
    return Tried(h.desk, refused, h.wish(order(SPOT, BUY, "1")))


def suspended(units):
    """Two vaults of one wallet, so that found coins of SOL stand in suspense: one is tolerated."""
    h = House(tolerances={SOL: "1", USDC: "1"})
    h.desk.reconcile({"USDC": h.vault.coins, "SOL": SOL.units(units)}, at=h.now)
    return h


@case("status", "residual")
def _():
    h, wish = suspended(SOL("1").units + 1), order(SPOT, BUY, "1")
    return Tried(h.desk, h.wish(wish), suspended(SOL("1").units).wish(wish))


@case("status", "mismatch")
def _():
    h, balances = House(), {"USDC": USDC("2000")}
    h.desk.reconcile(balances, positions={"SOL-PERP": Position(PERP, PERP.lot_units, 0)}, at=h.now)
    refused = h.wish(order(PERP, BUY, "1"))
    h.desk.reconcile(balances, positions={}, at=h.now)
    return Tried(h.desk, refused, h.wish(order(PERP, BUY, "1")))


@case("status", "backing")
def _():
    """Coins that lie in another sub-account than the books say: nothing new for those whose coins lie there."""

    def looked(there):
        h = House()
        h.desk.reconcile({"USDC": USDC("2000")}, holdings={0: {"USDC": USDC("2000") - there}, 3: {"USDC": there}}, at=h.now)
        return h

    wish = order(SPOT, BUY, "1")
    h = looked(USDC.units(1))
    return Tried(h.desk, h.wish(wish), looked(USDC.zero).wish(wish))


@case("status", "shortfall")
def _():
    def missing(units):
        h = House(tolerances={USDC: "1"})
        h.desk.observe_balance(h.vault, USDC.units(USDC("1999").units - units), at=h.now)
        return h

    h, wish = missing(1), order(SPOT, BUY, "1")
    return Tried(h.desk, h.wish(wish), missing(0).wish(wish))


@case("status", "tradeable")
def _():
    h, wish = House(), order(SPOT, BUY, "1")
    needed = USDC.units(h.desk._seats["a"].view.hold(wish))
    h.vault.set_tradeable(USDC.units(needed.units - 1))
    refused = h.wish(wish)
    h.vault.set_tradeable(needed)
    return Tried(h.desk, refused, h.wish(wish))


@case("quote", "account")
def _():
    elsewhere = Instrument("SOL-PERP:1", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
    h = House(markets=(PERP, SPOT, elsewhere), prices=("100", "100", "100"))
    return both(h, order(elsewhere, BUY, "1"), order(PERP, BUY, "1"))


@case("quote", "quote_asset")
def _():
    h = House()
    return both(h, Place(INEUR, BUY, INEUR.qty("1"), limit=INEUR.price("90")), order(SPOT, BUY, "1"))


@case("price_age", "no_price")
def _():
    h, wish = House(), order(UNSEEN, BUY, "1")
    refused = h.wish(wish)
    h.see(UNSEEN, "100")
    return Tried(h.desk, refused, h.wish(wish))


@case("price_age", "stale_price")
def _():
    h, wish = House(), order(SPOT, BUY, "1")
    h.see(PERP, "100", after=MINUTE)
    passed = h.wish(wish)
    h.see(PERP, "100", after=1)
    return Tried(h.desk, h.wish(wish), passed)


@case("size", "lot")
def _():
    h = House(markets=(COARSE,), prices=("100",))
    lot = COARSE.lot_units
    return both(h, Place(COARSE, BUY, 3 * lot + 1), Place(COARSE, BUY, 3 * lot))


@case("size", "tick")
def _():
    h = House(markets=(COARSE,), prices=("100",))
    return both(h, Place(COARSE, BUY, COARSE.qty("1"), limit=999), Place(COARSE, BUY, COARSE.qty("1"), limit=1000))


@case("size", "min_qty")
def _():
    h = House(markets=(COARSE,), prices=("200",))
    return both(h, order(COARSE, BUY, "0.1"), order(COARSE, BUY, "0.2"))


@case("size", "min_notional")
def _():
    h = House(markets=(COARSE,), prices=("100",))
    return both(h, order(COARSE, BUY, "0.2"), order(COARSE, BUY, "0.3"))


@case("size", "ended")
def _():
    h = House(markets=(COARSE,), prices=("100",))
    now = h.desk.books.now
    ended, ahead = (Place(COARSE, BUY, COARSE.qty("1"), limit=COARSE.price("90"), good_til=at) for at in (now, now + 1))
    return both(h, ended, ahead)


@case("size", "no_price")
def _():
    h, wish = House(), order(UNSEEN, BUY, "1")
    h.desk.index(UNSEEN)
    refused = asked(h, size, wish)
    h.see(UNSEEN, "100")
    return Tried(h.desk, refused, h.wish(wish), BEFORE)


@case("funds", "no_price")
def _():
    h, wish = House(), order(UNSEEN, BUY, "1")
    h.desk.index(UNSEEN)
    refused = asked(h, funds, wish)
    h.see(UNSEEN, "100")
    return Tried(h.desk, refused, h.wish(wish), BEFORE)


@case("funds", "funds")
def _():
    h = House()
    most = h.desk._seats["a"].view.affordable(SPOT)
    return both(h, Place(SPOT, BUY, most + SPOT.lot_units), Place(SPOT, BUY, most))


@case("funds", "position")
def _():
    h = House()
    h.trade(SPOT, BUY, "2")
    return both(h, order(SPOT, SELL, "2.001"), order(SPOT, SELL, "2"))


def with_other(gate=None):
    """A contract in another market, whose price is a minute old."""
    h = House(*([gate] if gate else []), markets=(PERP, OTHER, SPOT), prices=("100", "10000", "100"))
    h.trade(OTHER, BUY, "0.01", limit=OTHER.price("10000"))
    for market in (PERP, SPOT):
        h.see(market, "100", after=MINUTE if market is PERP else 0)
    return h


def grown_old(h, wish, gate=None):
    """What a wish led to while the other price was a minute old, and a nanosecond later."""
    passed = h.wish(wish)
    h.see(wish.instrument, "100", after=1)
    return Tried(h.desk, h.wish(wish), passed)


@case("margin", "stale_price")
def _():
    return grown_old(with_other(), order(PERP, BUY, "1"))


@case("margin", "leverage")
def _():
    h = House(most_leverage="5")
    return both(h, order(PERP, BUY, "50.01", limit="100"), order(PERP, BUY, "50", limit="100"))


@case("margin", "margin")
def _():
    """50 sold at 100 have lost 400 at 108; the 600 that are left carry 55.55 at a tenth of their worth."""
    h = House(most_leverage=20)
    h.trade(PERP, SELL, "50", limit=PERP.price("100"))
    h.see(PERP, "108")
    return both(h, order(PERP, SELL, "5.56", limit="108"), order(PERP, SELL, "5.55", limit="108"))


@case("margin", "joint_margin")
def _():
    """`b` has lost 800 of the account's 2,000; what is left carries 150 at 80, of which 40 are there."""
    h = House()
    h.trade(PERP, BUY, "40", "b", limit=PERP.price("100"))
    h.see(PERP, "80")
    return both(h, order(PERP, BUY, "110.01", limit="80"), order(PERP, BUY, "110", limit="80"))


# -- limits ------------------------------------------------------------------------------------------------------------------


@case("order_cap", "order_cap")
def _():
    return both(House(OrderCap("100")), order(SPOT, BUY, "1", limit="100.01"), order(SPOT, BUY, "1", limit="100"))


def fallen(gate, price):
    """Ten coins bought at 80 and valued at a price; 1,000 of capital. Then a wish for one more."""
    h = House(markets=(SPOT, PERP), prices=("80", "100"))
    h.trade(SPOT, BUY, "10", limit=SPOT.price("80"))
    h.late.gates = [gate]
    h.see(SPOT, price, after=SECOND)
    return h, h.wish(order(SPOT, BUY, "1", limit="70"))


@case("daily_loss", "daily_loss")
def _():
    (h, refused), (_, passed) = fallen(DailyLoss.of("5%"), "75"), fallen(DailyLoss.of("5%"), "75.01")
    return Tried(h.desk, refused, passed)


@case("drawdown", "drawdown")
def _():
    (h, refused), (_, passed) = fallen(Drawdown.of("5%"), "75"), fallen(Drawdown.of("5%"), "75.01")
    return Tried(h.desk, refused, passed)


def unknown(gate):
    h = House(gate, markets=(SPOT, LSTUSDC), prices=("100", "110"))
    h.trade(LSTUSDC, BUY, "1")
    passed = h.wish(order(SPOT, BUY, "1"))
    h.desk._boards["JITOSOL/USDC"].bid = 0  # as after a restart, before its first price
    return Tried(h.desk, h.wish(order(SPOT, BUY, "1")), passed)


@case("daily_loss", "unknown_equity")
def _():
    return unknown(DailyLoss.of("5%"))


@case("drawdown", "unknown_equity")
def _():
    return unknown(Drawdown.of("5%"))


@case("cooldown", "cooldown")
def _():
    h = House(Cooldown(10 * SECOND))
    h.trade(SPOT, BUY, "1")
    h.trade(SPOT, SELL, "1")
    refused = h.wish(order(SPOT, BUY, "1"), after=10 * SECOND - 1)
    return Tried(h.desk, refused, h.wish(order(SPOT, BUY, "1"), after=1))


# -- guards ------------------------------------------------------------------------------------------------------------------


@case("profit", "unprofitable")
def _():
    return both(House(Profit("1%")), order(PERP, BUY, "1", expect="1.999999"), order(PERP, BUY, "1", expect="2"))


@case("profit", "no_expectation")
def _():
    return both(House(Profit("0%")), order(PERP, BUY, "1"), order(PERP, BUY, "1", expect="0"))


@case("profit", "no_price")
def _():
    h, wish = House(Profit("0%", tip=SOL("0.00001"))), order(PERP, BUY, "1", expect="5")
    h.see(PERP, "100", after=MINUTE)
    passed = h.wish(wish)
    h.see(PERP, "100", after=1)
    return Tried(h.desk, h.wish(wish), passed)


def answered(ms, age=0):
    h = House(Latency(500, age_ns=MINUTE))
    h.now += HOUR
    h.see(PERP, "100")
    if ms is not None:
        h.hear(ms, at=h.now - age)
    return h.desk, h.wish(order(PERP, BUY, "1"))


@case("latency", "latency")
def _():
    return Tried(*answered(501), answered(500)[1])


@case("latency", "no_latency")
def _():
    return Tried(*answered(None), answered(500)[1])


@case("latency", "stale_latency")
def _():
    return Tried(*answered(1, MINUTE + 1), answered(1, MINUTE)[1])


@case("gas_reserve", "gas_reserve")
def _():
    h = House(GasReserve(SOL, "0.017"))
    h.trade(SPOT, BUY, "0.016", "b")
    refused = h.wish(order(PERP, BUY, "1"))
    h.trade(SPOT, BUY, "0.001", "b")
    return Tried(h.desk, refused, h.wish(order(PERP, BUY, "1")))


@case("gas_reserve", "no_price")
def _():
    """What a sale for the coin at market would bring, while its market has no price yet."""
    h = House(GasReserve(SOL, "0"), markets=(PERP, SPOT, LSTUSDC), prices=("100", "100", "110"))
    h.trade(LSTUSDC, BUY, "1")
    bundle = Bundle([order(PERP, BUY, "1"), order(LSTSOL, SELL, "1")])
    refused = h.wish(bundle)
    h.see(LSTSOL, "1.1")
    return Tried(h.desk, refused, h.wish(bundle))


@case("health_after", "health")
def _():
    return both(House(HealthAfter(60, fee="0%")), order(PERP, BUY, "80.01", limit="100"), order(PERP, BUY, "80", limit="100"))


@case("health_after", "joint_health")
def _():
    h = House(HealthAfter(60, fee="0%"))
    h.trade(PERP, BUY, "40", "b", limit=PERP.price("100"))
    h.see(PERP, "80")
    return both(h, order(PERP, BUY, "80.01", limit="80"), order(PERP, BUY, "80", limit="80"))


@case("health_after", "stale_price")
def _():
    """Of a buy of coins: of contracts the margin gate says so first."""
    return grown_old(with_other(HealthAfter(10)), order(SPOT, BUY, "1"))


@case("leverage", "leverage")
def _():
    return both(House(Leverage("5")), order(PERP, SELL, "50.01", limit="100"), order(PERP, SELL, "50", limit="100"))


@case("leverage", "stale_price")
def _():
    h, wish = with_other(), order(PERP, BUY, "1")
    passed = asked(h, Leverage("5"), wish)
    h.see(PERP, "100", after=1)
    return Tried(h.desk, asked(h, Leverage("5"), wish), passed, "the margin gate refuses the same before it")


@case("one_engine", "other_engine")
def _():
    h = House(OneEngine())
    h.trade(SPOT, BUY, "1", "b")
    refused = h.wish(order(SPOT, BUY, "1"))
    h.trade(SPOT, SELL, "1", "b")
    return Tried(h.desk, refused, h.wish(order(SPOT, BUY, "1")))


def looked(h, at):
    h.desk.reconcile({"USDC": h.vault.coins}, at=at)
    return h


@case("account_age", "never_reconciled")
def _():
    h, wish = House(AccountAge()), order(SPOT, BUY, "1")
    refused = h.wish(wish)
    return Tried(h.desk, refused, looked(h, h.now).wish(wish))


@case("account_age", "stale_account")
def _():
    h, wish = House(AccountAge(MINUTE)), order(SPOT, BUY, "1")
    looked(h, h.now)
    h.see(SPOT, "100", after=MINUTE)
    h.see(PERP, "100")
    passed = h.wish(wish)
    h.see(SPOT, "100", after=1)
    return Tried(h.desk, h.wish(wish), passed)


@case("slippage", "spread")
def _():
    h = House(Slippage(spread="0.4%"))
    h.see(SPOT, "99.80", "100.21")
    refused = h.wish(order(SPOT, BUY, "1"))
    h.see(SPOT, "99.80", "100.20")
    return Tried(h.desk, refused, h.wish(order(SPOT, BUY, "1")))


@case("slippage", "worst_price")
def _():
    return both(House(Slippage("0.5%")), order(SPOT, BUY, "1", limit="100.51"), order(SPOT, BUY, "1", limit="100.50"))


@case("slippage", "no_price")
def _():
    h, wish = House(Slippage()), order(UNSEEN, BUY, "1")
    h.desk.index(UNSEEN)
    refused = asked(h, Slippage(), wish)
    h.see(UNSEEN, "100")
    return Tried(h.desk, refused, h.wish(wish), BEFORE)


SAFE = {"mint_authority": False, "freeze_authority": False, "liquidity": USDC("100000"), "top_holders": "30%"}


@case("token_safety", "no_facts", "stale_facts", "mint_authority", "freeze_authority", "liquidity", "top_holders", "no_price")
def _(reason):
    """A coin that is safe to the unit, and one that is not by one."""
    unsafe = {
        "mint_authority": {"mint_authority": True},
        "freeze_authority": {"freeze_authority": True},
        "liquidity": {"liquidity": USDC("99999.999999")},
        "top_holders": {"top_holders": "30.0001%"},
        "no_price": {"liquidity": BTC("1000")},
    }

    def bought(age, facts):
        h = House(TokenSafety("100000", top_holders="30%", age_ns=HOUR))
        h.now += 2 * HOUR
        h.see(SPOT, "100")
        h.see(PERP, "100")
        if facts is not None:
            h.desk.step(TokenFacts.of(SOL, at=h.now - age, **(SAFE | facts)))
        return h.desk, h.wish(order(SPOT, BUY, "1"))

    refused = bought(HOUR + (reason == "stale_facts"), None if reason == "no_facts" else unsafe.get(reason, {}))
    return Tried(*refused, bought(HOUR, {})[1])


# -- caps --------------------------------------------------------------------------------------------------------------------


@case("position_cap", "position_cap")
def _():
    return both(House(PositionCap("500")), order(PERP, BUY, "5.01"), order(PERP, BUY, "5"))


@case("position_cap", "unknown_position")
def _():
    """JitoSOL for SOL, while what SOL is worth is a minute old, and a nanosecond more."""
    h = House(PositionCap("1000"), markets=(LSTSOL, LSTUSDC, SPOT), prices=("1.1", "110", "100"))
    h.trade(SPOT, BUY, "5")
    h.see(LSTSOL, "1.1", after=MINUTE)
    passed = h.wish(order(LSTSOL, BUY, "1", limit="1.1"))
    h.see(LSTSOL, "1.1", after=1)
    return Tried(h.desk, h.wish(order(LSTSOL, BUY, "1", limit="1.1")), passed)


@case("exposure_cap", "exposure")
def _():
    return both(House(ExposureCap("500")), order(PERP, BUY, "5.01"), order(PERP, BUY, "5"))


@case("exposure_cap", "joint_exposure")
def _():
    h = House(ExposureCap(joint="800"))
    h.trade(PERP, BUY, "3", "b")
    return both(h, order(PERP, BUY, "5.01"), order(PERP, BUY, "5"))


@case("exposure_cap", "unknown_exposure")
def _():
    h = House(ExposureCap("1000"))
    h.trade(SPOT, BUY, "1")
    h.see(PERP, "100", after=MINUTE)
    passed = h.wish(order(PERP, BUY, "1"))
    h.see(PERP, "100", after=1)
    return Tried(h.desk, h.wish(order(PERP, BUY, "1")), passed)


@case("order_rate", "order_rate")
def _():
    h = House(OrderRate(1, SECOND))
    h.wish(order(SPOT, BUY, "1"))
    refused = h.wish(order(SPOT, BUY, "1"), after=SECOND - 1)
    return Tried(h.desk, refused, h.wish(order(SPOT, BUY, "1"), after=1))


# -- the desk's own ----------------------------------------------------------------------------------------------------------


@case("self_trade", "self_trade")
def _():
    h = House()
    h.trade(SPOT, BUY, "1", "b")
    h.wish(order(SPOT, SELL, "1", limit="105"), "b")
    return both(h, order(SPOT, BUY, "1", limit="105"), order(SPOT, BUY, "1", limit="104.99"))


@case("any", "gate_error")
def _():
    def broken(place, view, vault):
        return None if place.qty < SPOT.qty("2") else 1 // 0

    return both(House(broken), order(SPOT, BUY, "2"), order(SPOT, BUY, "1.999"))


def armed(**terms):
    h = House(total="8000", allocate="4000")
    h.desk.require_arming("kraken")
    arm(h, **terms)
    return h


def arm(h, *, per_hour="1000", confirm_above="900", **terms):
    phrase = h.desk.arming_phrase("kraken", per_hour=per_hour)
    h.desk.arm("kraken", per_hour=per_hour, phrase=phrase, by="ann", confirm_above=confirm_above, at=h.now, **terms)


@case("armed", "not_armed")
def _():
    h, wish = House(), order(SPOT, BUY, "1")
    h.desk.require_arming("kraken")
    refused = h.wish(wish)
    arm(h)
    return Tried(h.desk, refused, h.wish(wish))


@case("armed", "hourly_cap")
def _():
    h = armed()
    h.wish(order(SPOT, BUY, "5", limit="100"))
    return both(h, order(SPOT, BUY, "5.001", limit="100"), order(SPOT, BUY, "5", limit="100"))


@case("armed", "total_cap")
def _():
    h = armed(total="600")
    return both(h, order(SPOT, BUY, "6.001", limit="100"), order(SPOT, BUY, "6", limit="100"))


@case("armed", "no_cap")
def _():
    """Two vaults of one wallet, in different coins; only one of them was armed for."""
    books = Books()
    dollars, coins = CoreVault(USDC, total="1000", tradeable="1000", books=books), CoreVault(SOL, total="10", tradeable="10", books=books)
    desk = Desk(dollars, coins)
    one, other = Puppet(SPOT, "one"), Puppet(LSTSOL, "other")
    one.sit(desk, dollars.sleeve("a", QUIET, allocate="1000"))
    other.sit(desk, coins.sleeve("b", QUIET, allocate="10"))
    desk.require_arming("kraken")
    per_hour = {USDC: "1000"}
    terms = {"per_hour": per_hour, "phrase": desk.arming_phrase("kraken", per_hour=per_hour), "confirm_above": {USDC: "900"}}
    desk.arm("kraken", by="ann", at=SECOND, **terms)
    one.quote("100")
    other.quote("1.1")
    refused = other.buy("1")
    return Tried(desk, refused, one.buy("1"))


@case("armed", "no_price")
def _():
    """Of a leg that is bought with a coin whose own market has grown old, nobody can say what it is worth."""
    h = House(markets=(SPOT, LSTSOL, LSTUSDC), prices=("100", "1.1", "110"), total="8000", allocate="4000")
    h.trade(SPOT, BUY, "5")
    h.desk.require_arming("kraken")
    arm(h)
    seat, wish = h.desk._seats["a"], order(LSTSOL, BUY, "1", limit="1.1")
    seat.view.now = h.now
    passed = h.desk._arms.refuses(seat, wish)
    h.desk._boards["SOL/USDC"].bid = 0
    refused = h.desk._arms.refuses(seat, wish)
    return Tried(h.desk, refused, passed, "the quote gate asks for that price before it")


@case("confirm", "needs_confirmation")
def _():
    h = armed(confirm_above="500")
    return both(h, order(SPOT, BUY, "5.001", limit="100"), order(SPOT, BUY, "5", limit="100"))


@case("confirm", "awaiting_confirmation")
def _():
    h, wish = armed(confirm_above="500"), order(SPOT, BUY, "6", limit="100")
    (waiting,) = [h.wish(wish)]
    refused = h.wish(wish)
    (sent,) = h.desk.confirm(waiting.numbers["id"], by="ann", at=h.now)
    return Tried(h.desk, refused, sent)


# -- the table ---------------------------------------------------------------------------------------------------------------


def reason_codes():
    """Every (gate, reason) of a `refuse(...)` in the source, whichever module it stands in."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "refuse":
                gate, reason = node.args[:2]
                assert isinstance(reason, ast.Constant), f"{path.name}, line {node.lineno}: a reason code is written out"
                found.add((str(gate.value) if isinstance(gate, ast.Constant) else "any", str(reason.value)))
    return found


def test_every_reason_code_has_its_case_and_every_case_its_code():
    assert set(CASES) == reason_codes()


@pytest.mark.parametrize("code", sorted(CASES), ids="-".join)
def test_each_code_is_reached_and_its_other_side_passes(code):
    desk, refused, passed, alone = CASES[code]()
    assert isinstance(refused, Refusal), refused
    assert (refused.gate if code[0] != "any" else "any", refused.reason) == code
    assert refused.numbers, "a refusal says what decided"
    assert all(isinstance(name, str) and isinstance(value, str) and value for name, value in refused.numbers.items())
    assert refused.wish and refused.sleeve and refused.at > 0
    assert passes(passed) or (alone and passed is None), passed
    if not alone:
        assert refused in [record for record in desk.books.journal if isinstance(record, Refusal)]


def rows():
    """The lines of the table on the page: gate, code, meaning, remedy, core or optional."""
    page = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^\| `?([a-z_]+)`? \| `([a-z_]+)` \| (\S.*?) \| (\S.*?) \| (core|optional|desk) \|$", page, re.MULTILINE)


def test_the_page_has_a_line_for_each_code_and_no_other():
    said = [(gate, reason) for gate, reason, *_ in rows()]
    assert set(said) == reason_codes()
    assert len(said) == len(set(said))


def test_the_page_says_which_gates_are_core():
    core = {getattr(gate, "__name__", "price_age") for gate in CORE}
    own = {"self_trade", "armed", "confirm", "any"}
    for gate, reason, _, _, kind in rows():
        expected = "core" if gate in core else "desk" if gate in own else "optional"
        assert kind == expected, (gate, reason)


def test_the_page_says_where_each_optional_gate_is_and_the_modules_say_their_codes():
    """The table in a module's docstring has every code that the module refuses with, under its gate."""
    for name in ("gates", "guards", "caps"):
        tree = ast.parse((SOURCE / f"{name}.py").read_text(encoding="utf-8"))
        docstring = ast.get_docstring(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "refuse":
                gate, reason = (str(one.value) for one in node.args[:2])
                assert re.search(rf"^\s+{gate} ", docstring, re.MULTILINE), f"{name}: {gate}"
                assert re.search(rf"\b{reason}\b", docstring), f"{name}: {gate} {reason}"


# -- no order without the gates ------------------------------------------------------------------------------------------------

MAKES = {
    ("desk", "Desk._order"): "the only maker: it holds the money and journals the order before it hands it out",
    ("sim.driver", "VirtualDriver.submit"): "a venue's inside: it hands an order that the desk has sent to the exchange it plays",
    ("sim.drill.house", "House.venue"): "a venue's inside: the paper copy of a venue is given the orders that the books say it has",
}
"""Who makes a `SubmitOrder`, and why that is no way around the gates. `sleeves.testing` plays venues, where no desk is."""

ORDERS = {
    ("desk", "Desk._begin"): "what an engine or a human wishes for, and what a human has confirmed: all gates, just before",
    ("bundles", "Bundles.begin"): "the first leg: all gates, asked of all legs, just before",
    ("bundles", "Bundles._send"): "a leg that follows: the core gates again, just before",
    ("bundles", "Bundles._back"): "what rolls a leg back: the core gates if it opens; else it only closes what that leg opened",
    ("inside", "Inside._again"): "what a trade inside left over of an order that passed all gates: the core gates again, just before",
    ("stops", "Stops.flatten"): "closes what is there, and asks no gate, so that nothing can stand in its way",
}
"""Who has an order sent, and which gates are asked."""


def functions():
    """(module, qualified name, node) of every function in the source."""
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for scope in ast.walk(tree):
            for node in getattr(scope, "body", []) if isinstance(scope, (ast.Module, ast.ClassDef)) else []:
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    name = f"{scope.name}.{node.name}" if isinstance(scope, ast.ClassDef) else node.name
                    yield module, name, node


def calls(node, *names):
    """Line numbers at which a function calls one of these: a name, or an attribute, of itself where it is private."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            called = one.func
            if isinstance(called, ast.Attribute) and called.attr.startswith("_"):
                mine = isinstance(called.value, ast.Name) and called.value.id == "self"
                name = called.attr if mine else ""
            else:
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "").lstrip("_")
            if name in names:
                yield one.lineno


def test_every_place_that_makes_an_order_is_known():
    found = {(module, name) for module, name, node in functions() for _ in calls(node, "SubmitOrder")}
    assert {one for one in found if not one[0].startswith("testing.")} == set(MAKES)
    placed = {(module, name) for module, name, node in functions() for _ in calls(node, "Placed", "placed_of")}
    written = {one for one in placed if one[0].partition(".")[0] not in ("codec", "state")}  # those read and write records as text
    noted = ("daybook", "Daybook.order")  # writes out what a fast replay has noted: orders of coins that the core gates' own sums let pass
    assert written == {("desk", "Desk._order"), noted}


def test_every_place_that_sends_an_order_is_known_and_asks_the_gates_before_it():
    found = {(module, name): (list(calls(node, "_order")), node) for module, name, node in functions()}
    senders = {where: (lines, node) for where, (lines, node) in found.items() if lines and not where[0].startswith(("venues.", "testing."))}
    assert set(senders) == set(ORDERS)
    for where, (lines, node) in senders.items():
        judged = [*calls(node, "_judge", "_judge_all")]
        if where == ("stops", "Stops.flatten"):
            assert not judged
        else:
            assert judged and min(judged) < min(lines), where


def test_nobody_else_is_handed_the_maker_of_orders():
    """`self._order` is handed to those three alone."""
    tree = ast.parse((SOURCE / "desk.py").read_text(encoding="utf-8"))
    handed = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        for one in (*node.args, *(keyword.value for keyword in node.keywords))
        if isinstance(one, ast.Attribute) and one.attr == "_order"
    }
    assert handed == {"Stops", "Bundles", "Inside"}
    assert {where[0] for where in ORDERS} - {"desk"} == {"stops", "bundles", "inside"}


def nothing_new(place, view, vault):
    """A gate that lets nothing through that opens."""
    return refuse("nothing_new", "nothing_new", place, view, vault, qty=place.qty) if opens(place, view) else None


MARKETS = (SPOT, PERP, SPOT2)
HOLD = st.tuples(st.sampled_from("ab"), st.sampled_from(MARKETS), st.sampled_from([BUY, SELL]), st.integers(1, 30))
STEP = st.tuples(
    st.sampled_from(["wish", "order", "bundle", "cancel", "close", "kill", "revive"]),
    st.sampled_from("ab"),
    st.sampled_from(MARKETS),
    st.sampled_from([BUY, SELL]),
    st.integers(1, 30),
    st.sampled_from([None, 99, 101]),
    st.booleans(),
)


def carried(h, commands, fills):
    """Carry out what the desk says, whole orders or none of them, until it says nothing more. What was sent."""
    sent, left = [], list(commands)
    for _ in range(100):
        if not left:
            return sent
        command = left.pop(0)
        if isinstance(command, SubmitOrder):
            sent.append(command.order)
            if fills:
                left += h.fill(command, price=None)
        elif isinstance(command, CancelOrder):
            left += h.desk.step(Canceled(command.order.id, h.now, "asked"))
    raise AssertionError("it never ends")


def sizes(h):
    return {(who, market.symbol): h.sleeves[who].position_units(market) for who in "ab" for market in MARKETS}


@settings(max_examples=80, deadline=None)
@given(holds=st.lists(HOLD, max_size=5), steps=st.lists(STEP, max_size=12))
def test_with_a_gate_that_lets_nothing_open_nothing_ever_grows(holds, steps):
    """By an engine, by hand, in bundles, by trades inside, closed, killed and taken back: no position ever gets larger."""
    h = House(markets=MARKETS, prices=("100",) * 3, total="8000", allocate="4000", self_trade="cross")
    for who, market, side, tenths in holds:
        if side is BUY or market.contract is not None:
            h.trade(market, side, f"{tenths / 10:.1f}", who)
    for seat in h.desk._seats.values():
        seat.gates += (nothing_new,)
    before = len(h.desk.books.journal)
    for what, who, market, side, tenths, limit, fills in steps:
        was, sleeve, puppet = sizes(h), h.sleeves[who], h.puppets[who]
        h.now += 1
        for one in MARKETS:
            h.see(one, "100")
        place = Place(market, side, market.qty(f"{tenths / 10:.1f}"), limit=None if limit is None else market.price(str(limit)))
        commands = ()
        if what in ("wish", "bundle"):
            other = Place(PERP, SELL, PERP.qty("1"))
            puppet.wishes = [place if what == "wish" else Bundle([Place(market, side, place.qty), other])]
            commands = h.see(puppet.market, "100")
            puppet.wishes = []
        elif what == "order" and sleeve.own_status.may_exit:
            commands = h.desk.order(sleeve, place, by="ann")
        elif what == "cancel":
            puppet.wishes = [Cancel(one.id) for one in h.desk._seats[who].open_orders.values()]
            commands = h.see(puppet.market, "100")
        elif what == "close" and sleeve.own_status.may_exit and sleeve.position_units(market):
            open_ = [o for o in h.desk._seats[who].open_orders.values() if o.place.instrument == market]
            commands = () if open_ else h.desk.close(sleeve, market, by="ann")
        elif what == "kill":
            commands = h.desk.kill(sleeve, flatten=fills, by="ann")
        elif what == "revive" and not sleeve.own_status.may_exit:
            commands = h.desk.revive(sleeve, by="ann", why="test")
        if not isinstance(commands, Refusal):
            carried(h, commands, fills)
        for key, units in sizes(h).items():
            assert abs(units) <= abs(was[key]) and units * was[key] >= 0, (key, was[key], units)
    for record in itertools.islice(h.desk.books.journal, before, None):
        assert not isinstance(record, Placed) or record.closes, record
        assert not isinstance(record, Bundled) or all(leg.side is SELL or leg.instrument.contract for leg in record.bundle.legs)


@settings(max_examples=120, deadline=None)
@given(
    holds=st.lists(st.tuples(st.sampled_from(MARKETS), st.sampled_from([BUY, SELL]), st.integers(1, 60)), min_size=1, max_size=6),
    rests=st.lists(st.tuples(st.sampled_from(MARKETS), st.sampled_from([BUY, SELL]), st.integers(1, 20)), max_size=4),
    parts=st.lists(st.integers(0, 100), min_size=1, max_size=30),
    vault=st.booleans(),
)
def test_flattening_asks_no_gate_and_never_opens(holds, rests, parts, vault):
    """Whatever is there, whatever rests, however it fills, with a gate that refuses everything: each order only closes."""

    def refuses_all(place, view, engine_vault):
        raise AssertionError("it was asked")

    h = House(markets=MARKETS, prices=("100",) * 3, total="8000", allocate="4000")
    for market, side, tenths in holds:
        if side is BUY or market.contract is not None:
            h.trade(market, side, f"{tenths / 10:.1f}")
    for market, side, tenths in rests:
        h.wish(Place(market, side, market.qty(f"{tenths / 10:.1f}"), limit=market.price("90" if side is BUY else "110")))
    seat, parts = h.desk._seats["a"], itertools.cycle(parts)
    seat.gates += (refuses_all,)
    resting = list(seat.open_orders)
    left = list(h.desk.kill(h.vault if vault else h.sleeves["a"], flatten=True, by="ann"))
    for _ in range(200):
        if not left:
            break
        was, command = sizes(h), left.pop(0)
        if isinstance(command, CancelOrder):
            left += h.desk.step(Canceled(command.order.id, h.now, "asked"))
            continue
        if not isinstance(command, SubmitOrder):
            continue
        place, owned = command.order.place, h.sleeves["a"].position_units(command.order.place.instrument)
        assert place.reduce_only and place.qty <= abs(owned) and place.side.sign * owned < 0, (place, owned)
        qty = min(place.qty, place.instrument.round_qty(place.qty * next(parts) // 100))
        if qty:
            left += h.fill(command, qty=qty)
        if qty < place.qty:
            left += h.desk.step(Canceled(command.order.id, h.now, "it is immediate"))
        for key, units in sizes(h).items():
            assert abs(units) <= abs(was[key]) and units * was[key] >= 0
    else:
        raise AssertionError("it never ends")
    placed = [record for record in h.desk.books.journal if isinstance(record, Placed) and record.order.place.why == "flatten"]
    assert all(record.closes and record.by == "ann" and record.order.id not in resting for record in placed)
    assert not seat.open_orders
