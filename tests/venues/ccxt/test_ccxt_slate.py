"""A contract's past, folded: in whatever order trades come, and however an exchange rounds, the books of it are the same and whole."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import ETH, Asset, Instrument
from sleeves.errors import VenueUnavailable
from sleeves.facts import FundingPaid, Liquidated, Settled
from sleeves.market import HOUR, Basis, Kind
from sleeves.money import Amount, Rounding
from sleeves.orders import Fill, Liquidity, Side
from sleeves.testing import fold_events
from sleeves.venues.ccxt.slate import Paid, Slate, Traded
from strategies import law

USDT = Asset("USDT", 8)
PERP = Instrument("ETH/USDT:USDT", base=ETH, quote=USDT, tick="0.01", lot="0.001", kind=Kind.PERP, venue="x")
LOT = PERP.lot_units


def trade(n: int, side: str, lots: int, price: str, at: int | None = None, fee: int = 0, **more: object) -> Traded:
    units = PERP.price(price)
    cost = PERP.cost(units, lots * LOT, Rounding.FLOOR)
    return Traded(
        f"t{n}",
        (n if at is None else at) * 10**9,
        f"a-{n}",
        Side(side),
        lots * LOT,
        units,
        cost,
        Amount(fee, USDT),
        Liquidity.TAKER,
        seq=n,
        **more,
    )


def slate_of(*entries: Traded | Paid) -> Slate:
    slate = Slate(PERP, "x")
    slate.add(entries)
    return slate


def folded(slate: Slate):  # type: ignore[no-untyped-def]
    return fold_events({"USDT": Amount(10**14, USDT)}, slate.facts)


moves = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 50), st.integers(100_000, 300_000), st.integers(-500, 5_000)),
    min_size=1,
    max_size=14,
)


@law
@given(moves=moves, shuffled=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 14), max_size=4))
def test_in_whatever_order_and_pieces_it_comes(moves: list[tuple[str, int, int, int]], shuffled: object, cuts: list[int]) -> None:
    entries = [trade(n, side, lots, f"{price / 100:.2f}", fee=fee) for n, (side, lots, price, fee) in enumerate(moves, 1)]
    whole = slate_of(*entries)
    mixed = list(entries)
    shuffled.shuffle(mixed)  # type: ignore[attr-defined]
    pieces, last = Slate(PERP, "x"), 0
    for cut in [*sorted(cuts), len(mixed)]:
        pieces.add(mixed[last:cut])
        pieces.add(mixed[last:cut])  # told twice is told once
        last = max(last, cut)
    assert pieces.facts == whole.facts
    assert pieces.position == whole.position


@law
@given(moves=moves)
def test_money_is_what_the_open_contracts_cost_and_cash_is_the_rest(moves: list[tuple[str, int, int, int]]) -> None:
    """Against an oracle in fractions: cash has moved by all that was received less all that was paid and what the open part cost."""
    slate = slate_of(*(trade(n, side, lots, f"{price / 100:.2f}", fee=fee) for n, (side, lots, price, fee) in enumerate(moves, 1)))
    qty, cost, realized, fees = 0, Fraction(0), Fraction(0), 0
    for side, lots, price, fee in moves:
        sign, whole = (1 if side == "buy" else -1), Fraction(price, 100)
        closed = min(abs(qty), lots) if qty * sign < 0 else 0
        if closed:
            average = cost / qty
            realized += -sign * (whole - average) * closed / 1_000
            cost -= average * closed * (1 if qty > 0 else -1)
        cost += sign * (lots - closed) * whole
        qty += sign * lots
        fees += fee
    held = folded(slate)
    assert slate.qty == qty * LOT
    assert abs(Fraction(-slate.money, 10**8) - cost / 1_000) <= Fraction(len(moves), 10**8)
    moved = Fraction(held.coins["USDT"].units - 10**14, 10**8)
    assert abs(moved - realized + Fraction(fees, 10**8)) <= Fraction(len(moves), 10**8)
    assert held.position(PERP).qty == slate.qty and held.position(PERP).money == slate.money
    if not slate.qty:
        assert slate.money == 0, "nothing is left of what is closed, to the unit"


@law
@given(moves=moves, off=st.integers(-9_000, 9_000))
def test_the_exchanges_own_rounding_is_taken_in(moves: list[tuple[str, int, int, int]], off: int) -> None:
    """Where it says what was realized, cash moves by that, and nothing is left over when all is closed."""
    entries, cash = [], 0
    own = Slate(PERP, "x")
    for n, (side, lots, price, _) in enumerate(moves, 1):
        one = trade(n, side, lots, f"{price / 100:.2f}")
        closes = own.qty * one.side.sign < 0
        before = len(own.facts)
        own.add([one])
        settled = [fact.amount for fact in own.facts[before:] if isinstance(fact, Settled)]
        said = sum(settled) + (off if closes else 0)
        cash += said
        entries.append(trade(n, side, lots, f"{price / 100:.2f}", realized=said))
    slate = slate_of(*entries)
    held = folded(slate)
    assert held.coins["USDT"].units - 10**14 == cash
    assert held.position(PERP).money == slate.money
    if not slate.qty:
        assert slate.money == 0
    assert all(fact.cost >= 0 for fact in slate.facts if isinstance(fact, Fill))


def test_a_profit_that_the_trades_do_not_make_is_refused() -> None:
    bought = trade(1, "buy", 10, "2000.00", realized=0)
    near, far = 2 * 10**8 * 10 // 1_000 * 100, 10**9
    fair = PERP.cost(PERP.price("2100.00"), 10 * LOT, Rounding.FLOOR) - PERP.cost(PERP.price("2000.00"), 10 * LOT, Rounding.FLOOR)
    slate_of(bought, trade(2, "sell", 10, "2100.00", realized=fair + near % 10_000))
    with pytest.raises(VenueUnavailable, match="past is not whole"):
        slate_of(bought, trade(2, "sell", 10, "2100.00", realized=fair + far))
    with pytest.raises(VenueUnavailable, match="past is not whole"):
        slate_of(trade(1, "buy", 10, "2000.00", realized=fair))


def test_what_does_not_fit_leaves_nothing_behind() -> None:
    """It is not known after, so that it is looked at again, and told once the rest is there."""
    first, second, third = (trade(n, "buy", 5, "2000.00", start=(n - 1) * 5 * LOT) for n in (1, 2, 3))
    slate = slate_of(first)
    facts = list(slate.facts)
    for _ in range(2):
        with pytest.raises(VenueUnavailable):
            slate.add([trade(4, "sell", 1, "2000.00", start=5 * LOT), third])
        assert (slate.facts, slate.qty, "t3" in slate, "t4" in slate) == (facts, 5 * LOT, False, False)
    slate.add([third, second])
    assert slate.facts == slate_of(first, second, third).facts


def test_a_trade_that_began_elsewhere_says_that_something_is_missing() -> None:
    slate_of(trade(1, "buy", 5, "2000.00", start=0), trade(2, "buy", 5, "2000.00", start=5 * LOT))
    with pytest.raises(VenueUnavailable, match=r"began with 0\.005 contracts held"):
        slate_of(trade(2, "buy", 5, "2000.00", start=5 * LOT))


def test_trades_of_one_instant_follow_each_other() -> None:
    """Hyperliquid's trade ids do not rise: what each began with says which came first."""
    first, second, third = (
        trade(9, "buy", 5, "2000.00", at=1, start=0),
        trade(2, "sell", 8, "2100.00", at=1, start=5 * LOT),
        trade(5, "buy", 3, "2000.00", at=1, start=-3 * LOT),
    )
    slate = slate_of(second, third, first)
    assert [fact.trade_id for fact in slate.facts if isinstance(fact, Fill)] == ["t9", "t2", "t5"]
    assert not slate.qty and not slate.money


def test_what_is_forced_is_a_liquidation_and_no_fill() -> None:
    slate = slate_of(trade(1, "buy", 10, "2000.00"), trade(2, "sell", 4, "1500.00", forced=True, fee=7))
    (gone,) = [fact for fact in slate.facts if isinstance(fact, Liquidated)]
    assert (gone.change, gone.fee) == (-4 * LOT, Amount(7, USDT))
    assert folded(slate).position(PERP).qty == 6 * LOT


# -- funding -----------------------------------------------------------------------------------------------------------


def paid(n: int, at: int, amount: int, **more: object) -> Paid:
    return Paid(f"f{n}", at * 10**9, amount, HOUR, **more)


def test_funding_is_paid_on_what_was_held_then_and_moved_at_once() -> None:
    slate = slate_of(trade(1, "buy", 10, "2000.00"), paid(1, 2, -250_000, price=PERP.price("2100.00")), trade(3, "sell", 10, "2000.00"))
    (one,) = [fact for fact in slate.facts if isinstance(fact, FundingPaid)]
    assert (one.qty, one.amount, one.rate.price, one.rate.every) == (10 * LOT, -250_000, PERP.price("2100.00"), HOUR)
    assert one.rate.rate_ppb == 119_048  # 0.0025 / (0.01 x 2100), half-even to a ppb
    assert folded(slate).coins["USDT"].units == 10**14 - 250_000
    assert not slate.money


def test_a_price_is_found_for_a_rate_that_is_told() -> None:
    """The price at which the position pays that amount, rounded down: the exchange's oracle price, which it does not tell."""
    for qty, rate, price in ((1_234, 43_810, "2100.17"), (-77, -12_500, "1800.00"), (-5_000, 12_345, "3100.50"), (3, 1, "1000.00")):
        units = PERP.price(price)
        owed, over = -qty * LOT * units * rate * PERP.ratio[0], PERP.ratio[1] * 10**9
        amount = owed // over
        slate = slate_of(
            trade(1, "buy" if qty > 0 else "sell", abs(qty), "2000.00"),
            paid(1, 2, amount, qty=qty * LOT, rate_ppb=rate, basis=Basis.ORACLE),
        )
        (one,) = [fact for fact in slate.facts if isinstance(fact, FundingPaid)]
        assert one.rate.rate_ppb == rate and one.rate.basis is Basis.ORACLE
        assert one.rate.payment(one.qty) == amount


def test_funding_on_nothing_says_that_something_is_missing() -> None:
    with pytest.raises(VenueUnavailable, match="where nothing was held"):
        slate_of(paid(1, 2, -250_000, price=PERP.price("2100.00")))
    assert slate_of(paid(1, 2, 0)).facts == []


def test_what_was_held_at_an_instant() -> None:
    slate = slate_of(trade(1, "buy", 10, "2000.00"), trade(3, "sell", 4, "2000.00"))
    assert [slate.qty_at(at * 10**9) for at in (0, 1, 2, 3, 4)] == [0, 0, 10 * LOT, 10 * LOT, 6 * LOT]
