"""One transaction's log, written by hand in the program's own form: what it did, to the unit; and nothing, where that is not known."""

from __future__ import annotations

from types import SimpleNamespace as Named

import pytest
from attrs import evolve
from drift_worlds import perp_market, spot_market
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sleeves.errors import VenueUnavailable
from sleeves.facts import Bankrupted, FlowKind, FundingPaid, Liquidated, Settled, Shifted, Transferred
from sleeves.orders import Accepted, Canceled, Fill, Liquidity, Side
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.done import LAG, Reader, Record, read_record
from sleeves.venues.drift.events import (
    Action,
    Deposited,
    DepositReason,
    FundingPayment,
    Liquidation,
    LiquidationKind,
    OrderAction,
    OrderPlaced,
    Other,
    PlacedOrder,
    PnlSettled,
    Swapped,
    UnknownEvent,
    UserCreated,
    UserDeleted,
    Why,
    log_line,
)
from sleeves.venues.drift.markets import Markets, UnknownMarket
from sleeves.venues.drift.notes import OrderNote, TransferNote
from sleeves.venues.drift.words import OrderKind, OrderStatus, Trigger
from sleeves.venues.ids import ClientIds
from strategies import law

IDS = ClientIds()
ONE, USDC, SOL = 10**10, 10**6, 10**9
ME = str(Keypair.from_seed(bytes([7]) * 32).pubkey())
OTHER = str(Keypair.from_seed(bytes([8]) * 32).pubkey())
AT = 1_790_000_000 * 10**9
D = DRIFT_V2
USER = [D.user(ME, sub) for sub in range(3)]
THEIRS = D.user(OTHER, 0)


def markets():
    made = Markets(D)
    made.add(spot_market(0, mint=D.quote.mint))
    made.add(spot_market(1, name="SOL", decimals=9))
    made.add(perp_market(0, min_size=10**7))
    return made


def reader(**more):
    one = Reader(D, markets(), ME, range(3))
    if more.get("opened", True):
        one.read(record(*(UserCreated(at=0, authority=ME, user=user, sub=sub, name="", referrer=ME) for sub, user in enumerate(USER)), n=0))
    return one


def record(*events, n=1, at=AT, note=None, mine=True, **more):
    return Record(f"sig{n}", n, at, frozenset(range(3)), mine=mine, note=note, events=tuple(events), **more)


def deposit(sub, amount, after, *, out=False, other=None, market=0, index=ONE, reason=None):
    reason = reason or (DepositReason.TRANSFER if other else DepositReason.NONE)
    return Deposited(
        at=0,
        authority=ME,
        user=USER[sub],
        withdrawn=out,
        id=1,
        amount=amount,
        market=market,
        oracle_price=USDC,
        market_deposits=0,
        market_borrows=0,
        deposit_index=index,
        borrow_index=index,
        total_deposits=0,
        total_withdraws=0,
        reason=reason,
        other=other,
        after=after,
    )


def placed(sub, number, base, *, long=True, market=0, perp=True):
    order = PlacedOrder(
        slot=1,
        price=0,
        base=base,
        filled=0,
        quote_filled=0,
        trigger_price=0,
        auction_start=0,
        auction_end=0,
        expires=0,
        oracle_offset=0,
        id=number,
        market=market,
        status=OrderStatus.OPEN,
        kind=OrderKind.MARKET,
        perp=perp,
        user_id=0,
        held_long=True,
        long=long,
        reduce_only=False,
        post_only=False,
        immediate=False,
        trigger=Trigger.ABOVE,
        auction_duration=0,
        posted_slot_tail=0,
        flags=0,
    )
    return OrderPlaced(at=0, user=USER[sub] if isinstance(sub, int) else sub, order=order)


def filled(sub, number, base, quote, fee, total, *, long=True, maker=None, **more):
    known = {"at": 0, "action": Action.FILL, "why": Why.ORDER_FILLED_WITH_AMM, "market": 0, "perp": True, "base": base, "quote": quote}
    known |= {"taker": USER[sub], "taker_order": number, "taker_long": long, "taker_base": total, "taker_filled": total, "taker_fee": fee}
    if maker is not None:
        user, order, rebate, done = maker
        known |= {
            "maker": USER[user],
            "maker_order": order,
            "maker_long": not long,
            "maker_base": done,
            "maker_filled": done,
            "maker_fee": -rebate,
        }
    return OrderAction(**{**known, "fill_id": 5, "oracle_price": 150 * USDC, **more})


def off(sub, number, *, why=Why.NONE, reward=None, filler=None, action=Action.CANCEL, **more):
    known = {"taker": USER[sub], "taker_order": number, "taker_long": True, "taker_base": SOL, "taker_filled": 0}
    return OrderAction(
        at=0, action=action, why=why, market=0, perp=True, oracle_price=150 * USDC, filler=filler, filler_reward=reward, **{**known, **more}
    )


def liquidation(kind, **part):
    return Liquidation(
        at=0,
        kind=kind,
        user=USER[0],
        liquidator=THEIRS,
        requirement=1,
        collateral=0,
        freed=0,
        id=1,
        bankrupt=False,
        parts={kind.part: part},
    )


def test_a_deposit_a_shift_and_a_withdrawal():
    it = reader()
    done = it.read(record(deposit(0, 100, 100), note=TransferNote("v-transfer-1", AT)))
    assert done.facts == (Transferred(AT, USDC_(100), "v-transfer-1", "drift"),)
    assert [(line.amount.units, line.kind, line.account, line.ref) for line in done.lines] == [
        (100, FlowKind.DEPOSIT, 0, done.facts[0].key)
    ]
    sides = deposit(0, 40, 59, out=True, other=USER[1]), deposit(1, 40, 39, other=USER[0])
    done = it.read(record(*sides, n=2, note=TransferNote("v-transfer-2:1", AT)))
    assert done.facts == (Shifted(AT, USDC_(40), 0, 1, "v-transfer-2:1", "drift"),)
    assert [(line.amount.units, line.kind, line.account) for line in done.lines] == [
        (-1, FlowKind.INTEREST, 0),
        (-40, FlowKind.WITHDRAWAL, 0),
        (-1, FlowKind.INTEREST, 1),
        (40, FlowKind.DEPOSIT, 1),
    ]
    assert {line.ref for line in done.lines if line.kind is not FlowKind.INTEREST} == {done.facts[0].key}
    done = it.read(record(deposit(1, 10, 29, out=True), n=3, mine=False))
    assert done.facts == (Transferred(AT, USDC_(-10), "sig3:0", "drift"),)
    done = it.read(record(deposit(1, 9, 38, other=THEIRS), deposit(1, 2, 40, reason=DepositReason.REWARD), n=4))
    assert [(type(one), one.amount.units) for one in done.facts] == [(Transferred, 9)]
    assert [(line.amount.units, line.kind) for line in done.lines] == [(9, FlowKind.DEPOSIT), (2, FlowKind.REWARD)]
    assert it.ledger.told(0, 0) == 59 and it.ledger.told(1, 0) == 40


def USDC_(units):
    return D.quote.asset.units(units)


@pytest.mark.parametrize(
    "sides",
    [
        [deposit(0, 40, 60, out=True, other=USER[1])],
        [deposit(1, 40, 40, other=USER[0])],
        [deposit(0, 40, 60, out=True, other=USER[1]), deposit(1, 41, 41, other=USER[0])],
        [deposit(0, 40, 60, out=True, other=USER[1]), deposit(0, 40, 20, out=True, other=USER[1])],
        [deposit(0, 40, 60, out=True, other=USER[0]), deposit(0, 40, 100, other=USER[0])],
    ],
)
def test_a_shift_with_one_side_is_not_told(sides):
    it = reader()
    it.read(record(deposit(0, 100, 100)))
    with pytest.raises(VenueUnavailable, match="side"):
        it.read(record(*sides, n=2))


def test_whose_fill_it_was_is_what_the_note_of_its_placing_said():
    it = reader()
    note = OrderNote("trend-1", 3 * SOL, AT + 7, "SOL-PERP:1")
    assert it.read(record(placed(1, 1, 3 * SOL), note=note)).ends == (Accepted("trend-1", AT + 7, "1/1"),)
    done = it.read(record(filled(1, 1, SOL, 150_075_000, 150_075, SOL), n=2, mine=False))
    (fill,) = done.facts
    market = it.markets.instrument(0, 1)
    known = Fill(
        "trend-1", AT + 7, market, Side.BUY, SOL, 1_500_750, 150_075_000, USDC_(150_075), Liquidity.TAKER, trade_id="5", venue="drift"
    )
    assert fill == known and not done.lines
    done = it.read(record(off(1, 1, taker_filled=SOL), n=3, at=AT + 10**9))
    assert done.ends == (Canceled("trend-1", AT + 10**9, ""),)
    seen = it.ours["trend-1"]
    assert (seen.filled, seen.status.value, seen.number) == (SOL, "canceled", 1)
    assert it.read(record(off(1, 1), n=4)).ends == ()


@pytest.mark.parametrize(
    ("note", "mine", "more"),
    [
        (None, True, ()),
        (OrderNote("trend-1", SOL, AT, "SOL-PERP:0"), True, ()),
        (OrderNote("trend-1", SOL, AT, "SOL-PERP:1"), True, (placed(1, 2, SOL),)),
        (TransferNote("trend-1", AT), True, ()),
    ],
)
def test_an_order_that_no_note_names_is_nobodys(note, mine, more):
    it = reader()
    done = it.read(record(placed(1, 1, SOL), *more, filled(1, 1, SOL, 150 * USDC, 1, SOL), note=note, mine=mine))
    assert [fill.order_id for fill in done.facts] == ["1/1"] and not done.ends and not it.ours


def test_a_note_that_is_from_the_future_is_held_to_the_chains_time():
    it = reader()
    done = it.read(record(placed(1, 1, SOL), note=OrderNote("trend-1", SOL, AT + 10 * LAG, "SOL-PERP:1")))
    assert done.ends[0].at == AT + LAG


def test_our_two_sub_accounts_may_trade_with_each_other():
    it = reader()
    it.read(record(placed(0, 1, SOL), placed(1, 1, SOL, long=False)))
    done = it.read(record(filled(0, 1, SOL, 150 * USDC, 150, SOL, maker=(1, 1, 30, SOL)), n=2))
    assert [(one.instrument.symbol, one.side, one.fee.units, one.liquidity) for one in done.facts] == [
        ("SOL-PERP:0", Side.BUY, 150, Liquidity.TAKER),
        ("SOL-PERP:1", Side.SELL, -30, Liquidity.MAKER),
    ]
    assert len({one.key for one in done.facts}) == 2


def test_a_builders_fee_is_a_fee():
    it = reader()
    done = it.read(record(placed(0, 1, SOL), filled(0, 1, SOL, 150 * USDC, 150, SOL, builder_fee=25)))
    assert done.facts[0].fee.units == 175


@pytest.mark.parametrize("told", [0, 2 * SOL])
def test_a_fill_that_is_missing_is_noticed_when_its_order_is_taken_off(told):
    it = reader()
    it.read(record(placed(1, 1, 3 * SOL)))
    it.read(record(filled(1, 1, SOL, 150 * USDC, 150, SOL), n=2))
    with pytest.raises(VenueUnavailable, match="a fill is missing"):
        it.read(record(off(1, 1, taker_filled=told), n=3))


@pytest.mark.parametrize("missing", [{"taker_fee": None}, {"base": None}, {"quote": None}, {"taker_filled": None}, {"taker_order": None}])
def test_a_fill_without_its_figures_is_not_told(missing):
    it = reader()
    with pytest.raises(VenueUnavailable):
        it.read(record(placed(0, 1, SOL), evolve(filled(0, 1, SOL, 150 * USDC, 150, SOL), **missing)))


@law
@given(st.lists(st.integers(1, 5), min_size=2, max_size=6), st.data())
def test_fills_that_are_missing_twice_or_out_of_order_are_noticed(sizes, data):
    """Any other order of the same fills, one of them left out or told again: it raises at the next, or nothing is missing."""
    total, told = 0, []
    for size in sizes:
        total += size
        told.append((size, total))
    wrong = data.draw(
        st.one_of(
            st.permutations(told),
            st.integers(0, len(told) - 2).map(lambda n: told[:n] + told[n + 1 :]),
            st.integers(0, len(told) - 1).map(lambda n: told[: n + 1] + told[n:]),
        )
    )
    it = reader()
    it.read(record(placed(0, 1, 100)))
    made = []

    def play():
        for n, (size, so_far) in enumerate(wrong):
            made.extend(it.read(record(filled(0, 1, size, size, 0, so_far), n=n + 2)).facts)

    if list(wrong) == told:
        play()
    else:
        with pytest.raises(VenueUnavailable, match="a fill is missing"):
            play()
    assert [(fill.qty, so_far) for fill, (_, so_far) in zip(made, told, strict=False)] == told[: len(made)]


def test_a_keeper_is_paid_by_the_position_or_in_coins():
    it = reader()
    it.read(record(deposit(0, 100_000, 100_000), placed(0, 1, SOL), placed(0, 2, SOL), placed(0, 3, SOL), note=None))
    done = it.read(record(off(0, 1, why=Why.ORDER_EXPIRED, reward=10_000, filler=THEIRS), n=2))
    assert done.facts == (Settled(AT, it.markets.instrument(0, 0), 0, "sig2:0", "drift", 10_000),) and not done.lines
    done = it.read(record(off(0, 2, why=Why.INSUFFICIENT_FREE_COLLATERAL, reward=10_000, filler=THEIRS), n=3, forced=True))
    assert not done.facts and [(line.amount.units, line.kind) for line in done.lines] == [(-10_000, FlowKind.FEE)]
    done = it.read(record(off(0, 3, reward=10_000, filler=USER[0]), n=4))
    assert not done.facts and not done.lines
    with pytest.raises(VenueUnavailable, match="as a keeper"):
        it.read(record(evolve(off(0, 3, reward=5, filler=USER[1]), taker=THEIRS, taker_order=9), n=5))


def test_funding_is_a_part_of_the_notional():
    it = reader()
    it.read(record(placed(0, 1, 10 * SOL), filled(0, 1, 10 * SOL, 1_500 * USDC, 0, 10 * SOL)))
    paid = FundingPayment(
        at=0,
        authority=ME,
        user=USER[0],
        market=0,
        payment=-2_500_000,
        base=10 * SOL,
        last_funding=0,
        funding_long=25 * 10**7,
        funding_short=9,
    )
    (fact,) = it.read(record(paid, n=2, at=AT + 7_000 * 10**9)).facts
    assert isinstance(fact, FundingPaid)
    # 0.25 quote coins a coin of 150: 0.16667 %, over two hours
    assert (fact.qty, fact.amount, fact.rate.rate_ppb, fact.rate.every) == (10 * SOL, -2_500_000, 1_666_667, 7_200 * 10**9)
    short = evolve(paid, base=-10 * SOL, payment=1)
    assert it.read(record(short, n=3, at=AT + 7_001 * 10**9)).facts[0].rate.rate_ppb == 0


def test_what_is_needed_of_earlier_transactions_is_said():
    for event in (
        filled(0, 1, SOL, USDC, 0, SOL),
        off(0, 1),
        deposit(0, 5, 5),
        FundingPayment(at=0, authority=ME, user=USER[0], market=0, payment=1, base=1, last_funding=0, funding_long=0, funding_short=0),
    ):
        it = reader(opened=False)
        done = it.read(record(event))
        assert it.doubt == AT and it.doubted == {0} and "sig1" in it.lacking
        assert not [fact for fact in done.facts if not isinstance(fact, Transferred)]


def test_settling_moves_money_to_coins():
    it = reader()
    done = it.read(record(PnlSettled(at=0, user=USER[0], market=0, pnl=-70, base=0, quote_after=0, entry=0, price=USDC)))
    assert done.facts == (Settled(AT, it.markets.instrument(0, 0), -70, "sig1:0", "drift"),)
    assert [(line.amount.units, line.kind, line.ref) for line in done.lines] == [(-70, FlowKind.SETTLEMENT, done.facts[0].key)]
    with pytest.raises(VenueUnavailable, match="expired"):
        it.read(record(PnlSettled(at=0, user=USER[0], market=0, pnl=1, base=1, quote_after=0, entry=0, price=USDC, expired=True), n=2))


def test_what_was_not_logged_is_said_when_a_position_is_settled(caplog):
    """The program tells what a position holds when it settles it: it is what was told to happen to it, or that is said loudly."""
    it = reader()
    it.read(record(placed(0, 1, SOL), filled(0, 1, SOL, 150 * USDC, 150, SOL)))
    settled = PnlSettled(at=0, user=USER[0], market=0, pnl=-70, base=SOL, quote_after=-150 * USDC - 150 + 70, entry=0, price=USDC)
    it.read(record(settled, n=2))
    assert not caplog.records
    it.read(record(evolve(settled, quote_after=settled.quote_after + 70 - 10_000), n=3))
    assert "something was not logged" in caplog.text
    caplog.clear()
    it.read(record(evolve(settled, quote_after=settled.quote_after + 140 - 10_000), n=4))
    assert not caplog.records


def test_an_order_that_was_placed_twice_is_one_of_ours_and_one_of_nobodys(caplog):
    it = reader()
    note = OrderNote("trend-1", SOL, AT, "SOL-PERP:0")
    assert it.read(record(placed(0, 1, SOL), note=note)).ends
    assert not it.read(record(placed(0, 2, SOL), n=2, note=note)).ends
    assert "placed twice" in caplog.text and it.ours["trend-1"].number == 1
    assert it.read(record(filled(0, 2, SOL, USDC, 0, SOL), n=3)).facts[0].order_id == "0/2"


def forced(base, quote, fee, *, long=False, number=4):
    return filled(0, number, base, quote, fee, base, long=long, why=Why.LIQUIDATION)


CLOSED = {"market_index": 0, "base_asset_amount": -SOL, "quote_asset_amount": 100 * USDC, "user_order_id": 4}
CLOSED |= {"liquidator_order_id": 9, "liquidator_fee": USDC, "if_fee": 2, "oracle_price": 100 * USDC}


@pytest.mark.parametrize(
    ("part", "fills", "fee"),
    [
        ({}, [(SOL, 100 * USDC, USDC + 2)], USDC + 2),
        ({"protocol_fee": 5}, [(SOL, 100 * USDC, None)], USDC + 7),
        ({"liquidator_order_id": 0, "liquidator_fee": 0}, [(SOL // 4, 25 * USDC, 30), (SOL * 3 // 4, 75 * USDC, 70)], 102),
    ],
)
def test_a_position_is_closed_by_force(part, fills, fee):
    """Taken over by the liquidator, whose fee stands in the record; or filled by others, who take a taker's fee besides."""
    it = reader()
    events = [placed(0, 4, SOL, long=False), *(forced(*one) for one in fills), liquidation(LiquidationKind.PERP, **{**CLOSED, **part})]
    (fact,) = it.read(record(*events)).facts
    name = f"sig1:{len(events) - 1}"
    assert fact == Liquidated(AT, it.markets.instrument(0, 0), -SOL, 1_000_000, 100 * USDC, USDC_(fee), name, "drift")


@pytest.mark.parametrize(
    "events",
    [
        [forced(SOL, 100 * USDC, 1)],
        [liquidation(LiquidationKind.PERP, **CLOSED)],
        [forced(SOL, 99 * USDC, 1), liquidation(LiquidationKind.PERP, **CLOSED)],
        [forced(SOL, 100 * USDC, 1, number=5), liquidation(LiquidationKind.PERP, **CLOSED)],
        [forced(SOL // 2, 50 * USDC, 1), forced(SOL // 2, 50 * USDC, 1, long=True), liquidation(LiquidationKind.PERP, **CLOSED)],
        [forced(SOL, 100 * USDC, None), liquidation(LiquidationKind.PERP, **{**CLOSED, "liquidator_order_id": 0})],
        [evolve(liquidation(LiquidationKind.PERP, **CLOSED), flags=1)],
        [evolve(liquidation(LiquidationKind.PERP_BANKRUPTCY, market_index=0, pnl=-1), user=THEIRS, liquidator=USER[0])],
    ],
)
def test_a_liquidation_that_does_not_add_up_is_not_told(events):
    with pytest.raises(VenueUnavailable):
        reader().read(record(*events))


def test_a_loss_is_paid_in_coins_or_borne_by_others():
    it = reader()
    it.read(record(deposit(0, 1_000, 1_000), deposit(0, 50, 50, market=1)))
    part = {"perp_market_index": 0, "asset_market_index": 0, "pnl_transfer": 100, "asset_transfer": 105}
    done = it.read(record(liquidation(LiquidationKind.PERP_PNL_FOR_DEPOSIT, **part), n=2))
    assert done.facts == (Settled(AT, it.markets.instrument(0, 0), -105, "sig2:0", "drift", 5),)
    assert [line.amount.units for line in done.lines] == [-105]
    done = it.read(record(liquidation(LiquidationKind.PERP_PNL_FOR_DEPOSIT, **{**part, "asset_market_index": 1, "asset_transfer": 7}), n=3))
    assert (done.facts[0].amount, done.facts[0].fee) == (-100, 0)
    sums = {}
    for line in done.lines:
        sums[line.amount.asset.code] = sums.get(line.amount.asset.code, 0) + line.amount.units
    assert sums == {"SOL": -7, "USDC": 0}
    owed = {"perp_market_index": 0, "liability_market_index": 0, "pnl_transfer": 105, "liability_transfer": 100}
    (fact,) = it.read(record(liquidation(LiquidationKind.BORROW_FOR_PERP_PNL, **owed), n=4)).facts
    assert (fact.amount, fact.fee) == (100, 5)
    with pytest.raises(VenueUnavailable, match="gained"):
        it.read(record(liquidation(LiquidationKind.PERP_PNL_FOR_DEPOSIT, **{**part, "asset_transfer": 99}), n=5))
    it = reader()
    done = it.read(record(liquidation(LiquidationKind.PERP_BANKRUPTCY, market_index=0, pnl=-70)))
    assert done.facts == (Bankrupted(AT, it.markets.instrument(0, 0), 70, "sig1:0", "drift"),)
    spot = {"asset_market_index": 1, "asset_transfer": 9, "liability_market_index": 0, "liability_transfer": 50, "if_fee": 3}
    lines = it.read(record(liquidation(LiquidationKind.SPOT, **spot), n=2)).lines
    assert [(line.amount.units, line.amount.asset.code) for line in lines] == [(-9, "SOL"), (47, "USDC")]
    (line,) = it.read(record(liquidation(LiquidationKind.SPOT_BANKRUPTCY, market_index=0, borrow_amount=8), n=3)).lines
    assert (line.amount.units, line.kind) == (8, FlowKind.LIQUIDATION)


def test_trades_of_coins_are_lines():
    it = reader()
    it.read(record(placed(0, 1, 5, market=1, perp=False)))
    done = it.read(record(filled(0, 1, 5, 700, 3, 5, market=1, perp=False), n=2))
    assert not done.facts and [(line.amount.units, line.amount.asset.code) for line in done.lines] == [
        (5, "SOL"),
        (-700, "USDC"),
        (-3, "USDC"),
    ]
    swap = Swapped(at=0, user=USER[0], amount_out=4, amount_in=600, out_market=1, in_market=0, out_price=1, in_price=1, fee=0)
    lines = it.read(record(swap, n=3)).lines
    assert [(line.amount.units, line.amount.asset.code) for line in lines] == [(-600, "USDC"), (4, "SOL")]
    assert len({line.id for line in lines}) == 2


def test_what_is_not_known_of_ours_is_not_passed_over():
    of_ours, of_theirs = bytes(Pubkey.from_string(USER[1])), bytes(Pubkey.from_string(THEIRS))
    for unread in (Other("LPRecord", of_ours), UnknownEvent(b"12345678", b"..." + of_ours)):
        with pytest.raises(VenueUnavailable, match="not known here"):
            reader().read(record(unread))
    for harmless in (Other("LPRecord", of_theirs), UnknownEvent(b"12345678", of_theirs), Other("CurveRecord", of_ours)):
        assert not reader().read(record(harmless)).told
    with pytest.raises(UnknownMarket):
        reader().read(record(deposit(0, 1, 1, market=9)))


def test_a_landed_transaction_with_an_error_did_nothing():
    it = reader()
    note = OrderNote("trend-1", SOL, AT, "SOL-PERP:0")
    done = it.read(record(placed(0, 1, SOL), deposit(0, 5, 5), failed=True, err={"InstructionError": [2, {"Custom": 6003}]}, note=note))
    assert not done.told and not done.lines and not it.ours and it.refused["trend-1"] is done.record
    assert it.ledger.told(0, 0) == 0


def test_a_sub_account_that_is_closed_has_nothing():
    it = reader()
    it.read(record(deposit(0, 9, 9), placed(0, 1, SOL)))
    it.read(record(UserDeleted(at=0, authority=ME, user=USER[0], sub=0), n=2))
    assert it.ledger.told(0, 0) == 0 and (0, 1) not in it.orders


class _Chained:
    """What `read_record` reads of a transaction."""

    def __init__(self, logs, err=None, memos=()):
        keys = [Named(address=Pubkey.from_string(one)) for one in (ME, USER[1])]
        self.decoded = Named(keys=keys, payer=keys[0].address, instructions=[])
        self.logs, self.err, self.signature, self.slot, self.fee, self.memos = logs, err, "sig", 5, 5_000, memos


def log(*events, deployment=D):
    lines = [log_line(deployment, event) for event in events]
    return (f"Program {deployment.program_id} invoke [1]", *lines, f"Program {deployment.program_id} success")


@pytest.mark.parametrize("deployment", [DRIFT_V2, VELOCITY])
def test_a_log_is_read_whole_or_not_at_all(deployment):
    event = PnlSettled(at=0, user=USER[1], market=0, pnl=-70, base=0, quote_after=0, entry=0, price=USDC)
    subs = {user: sub for sub, user in enumerate(USER)}

    def read(logs, **more):
        return read_record(deployment, IDS, {ME}, subs, _Chained(logs, **more), AT)

    whole = read(log(event, deployment=deployment))
    assert whole.events == (event,) and whole.subs == {1} and whole.mine and whole.fee == 5_000
    assert read((), err="oops").failed and not read(log(event, deployment=deployment), err="oops").events
    cut = (*log(event, deployment=deployment)[:-1], "Log truncated")
    half = log(event, deployment=deployment)[1][:-8]
    for wrong in ((), cut, cut[:1], (log(deployment=deployment)[0], half, log(deployment=deployment)[1])):
        with pytest.raises(VenueUnavailable):
            read(wrong)
    assert not read_record(deployment, IDS, {OTHER}, subs, _Chained(log(event, deployment=deployment)), AT).mine
