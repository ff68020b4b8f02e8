"""Instructions: driftpy's own client and ours ask for the same, over the real accounts of one user (4 coins, 2 perps).

The order of accounts within a group (oracles, spot markets, perp markets) is driftpy's order of discovery and ours by index; the program
reads each group into a map, so the groups are compared as sets, and everything else as it is.
"""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("driftpy", reason="driftpy is not installed: .ci/parity makes the environment that has it")

import driftpy.types as words
from parity_world import World
from solders.pubkey import Pubkey

from sleeves.errors import InvalidMarket
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.driftpy import DriftpyInstructions
from sleeves.venues.drift.instructions import Instructions, OrderKind, OrderParams, PostOnly, Trigger

COINS = Pubkey.from_bytes(b"\7" * 32)
DELEGATE = str(Pubkey.from_bytes(b"\10" * 32))


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def written():
    return DriftpyInstructions()


def order(params: OrderParams) -> words.OrderParams:
    """The same order in driftpy's words."""
    kinds = {
        OrderKind.MARKET: words.OrderType.Market(),
        OrderKind.LIMIT: words.OrderType.Limit(),
        OrderKind.TRIGGER_MARKET: words.OrderType.TriggerMarket(),
        OrderKind.TRIGGER_LIMIT: words.OrderType.TriggerLimit(),
        OrderKind.ORACLE: words.OrderType.Oracle(),
    }
    posts = [getattr(words.PostOnlyParams, name)() for name in ("NONE", "MustPostOnly", "TryPostOnly", "Slide")]
    triggers = {Trigger.ABOVE: words.OrderTriggerCondition.Above(), Trigger.BELOW: words.OrderTriggerCondition.Below()}
    return words.OrderParams(
        order_type=kinds[params.kind],
        base_asset_amount=params.base,
        market_index=params.market,
        direction=words.PositionDirection.Long() if params.long else words.PositionDirection.Short(),
        market_type=words.MarketType.Perp(),
        user_order_id=params.user_id,
        price=params.price,
        reduce_only=params.reduce_only,
        post_only=posts[params.post_only],
        bit_flags=int(params.immediate),
        max_ts=params.expires,
        trigger_price=params.trigger_price,
        trigger_condition=triggers[params.trigger],
        oracle_price_offset=params.oracle_offset,
        auction_duration=params.auction_duration,
        auction_start_price=params.auction_start,
        auction_end_price=params.auction_end,
    )


ORDERS = [
    OrderParams(market=0, long=True, base=10**9),
    OrderParams(market=0, long=False, base=1, kind=OrderKind.MARKET, reduce_only=True, immediate=True, user_id=255),
    OrderParams(market=0, long=True, base=2**63, price=2**63, post_only=PostOnly.MUST, expires=1_800_000_000),
    OrderParams(
        market=0, long=True, base=1, post_only=PostOnly.SLIDE, price=150_000_000, auction_duration=10, auction_start=-1, auction_end=1
    ),
    OrderParams(market=0, long=False, base=7, kind=OrderKind.TRIGGER_LIMIT, trigger_price=9, trigger=Trigger.BELOW, price=8),
    OrderParams(market=0, long=False, base=7, kind=OrderKind.ORACLE, oracle_offset=-(2**31)),
    OrderParams(market=0, long=False, base=7, kind=OrderKind.ORACLE, oracle_offset=2**31 - 1, post_only=PostOnly.TRY),
]


def same(mine, theirs, named):
    assert mine.program_id == theirs.program_id
    assert bytes(mine.data).hex() == bytes(theirs.data).hex()
    assert mine.accounts[:named] == theirs.accounts[:named]
    assert groups(mine.accounts[named:]) == groups(theirs.accounts[named:])


def groups(metas):
    """The remaining accounts by group, each a set; groups must stand in order, and no account twice."""
    markets = {DRIFT_V2.spot_market(at): 1 for at in range(64)} | {DRIFT_V2.perp_market(at): 2 for at in range(128)}
    kinds = [markets.get(str(one.pubkey), 0) for one in metas]
    assert kinds == sorted(kinds)
    assert len({one.pubkey for one in metas}) == len(metas)
    assert not any(one.is_signer for one in metas)
    return [{(str(one.pubkey), one.is_writable) for one, kind in zip(metas, kinds, strict=True) if kind == at} for at in range(3)]


def at_market(world, params):
    from attrs import evolve

    return evolve(params, market=min(world.markets.perps))


@pytest.mark.parametrize("params", ORDERS)
def test_orders(world, written, params):
    params = at_market(world, params)
    ask = Instructions(DRIFT_V2)
    mine = ask.place_perp_order(world.owner, 1, params, markets=world.markets, user=world.user)
    same(mine, world.client.get_place_perp_order_ix(order(params), 1), 3)
    assert mine == written.place_perp_order(world.owner, 1, params, markets=world.markets, user=world.user)
    two = [params, params]
    mine = ask.place_orders(world.owner, 1, two, markets=world.markets, user=world.user)
    same(mine, world.client.get_place_orders_ix([order(one) for one in two], 1), 3)
    assert mine == written.place_orders(world.owner, 1, two, markets=world.markets, user=world.user)


def test_cancels(world, written):
    ask = Instructions(DRIFT_V2)
    more = {"markets": world.markets, "user": world.user}
    for number in (None, 0, 1, 2**32 - 1):
        mine = ask.cancel_order(world.owner, 1, number, **more)
        same(mine, world.client.get_cancel_order_ix(number, 1), 3)
        assert mine == written.cancel_order(world.owner, 1, number, **more)
    for number in (1, 255):
        mine = ask.cancel_order_by_user_id(world.owner, 1, number, **more)
        same(mine, world.client.get_cancel_order_by_user_id_ix(number, 1), 3)
        assert mine == written.cancel_order_by_user_id(world.owner, 1, number, **more)
    for perp, market, long in ((None, None, None), (True, 3, None), (False, 0, True), (None, None, False)):
        mine = ask.cancel_orders(world.owner, 1, perp=perp, market=market, long=long, **more)
        kind = None if perp is None else words.MarketType.Perp() if perp else words.MarketType.Spot()
        way = None if long is None else words.PositionDirection.Long() if long else words.PositionDirection.Short()
        same(mine, world.client.get_cancel_orders_ix(kind, market, way, 1), 3)
        assert mine == written.cancel_orders(world.owner, 1, perp=perp, market=market, long=long, **more)


@pytest.mark.parametrize("market", [0, 1])
@pytest.mark.parametrize("amount", [1, 40_000_000, 2**64 - 1])
def test_money(world, written, market, amount):
    ask = Instructions(DRIFT_V2)
    coins = str(COINS)
    args = (world.owner, 1, market, amount, coins)
    mine = ask.deposit(*args, markets=world.markets, user=world.user)
    same(mine, asyncio.run(world.client.get_deposit_collateral_ix(amount, market, COINS, 1))[0], 7)
    assert mine == written.deposit(*args, markets=world.markets, user=world.user)
    mine = ask.withdraw(*args, markets=world.markets, user=world.user)
    same(mine, asyncio.run(world.client.get_withdraw_collateral_ix(amount, market, COINS, True, 1))[0], 8)
    assert mine == written.withdraw(*args, markets=world.markets, user=world.user)
    users = {"source_user": world.user, "target_user": world.user}
    mine = ask.transfer_deposit(world.owner, 0, 1, market, amount, markets=world.markets, **users)
    same(mine, asyncio.run(world.client.get_transfer_deposit_ix(amount, market, 0, 1)), 6)
    assert mine == written.transfer_deposit(world.owner, 0, 1, market, amount, markets=world.markets, **users)


def test_settling(world, written):
    for market in world.markets.perps:
        mine = Instructions(DRIFT_V2).settle_pnl(world.owner, 1, market, markets=world.markets, user=world.user)
        theirs = world.client.get_settle_pnl_ix(Pubkey.from_string(DRIFT_V2.user(world.owner, 1)), world.theirs, market)
        same(mine, theirs, 4)
        assert mine == written.settle_pnl(world.owner, 1, market, markets=world.markets, user=world.user)


def test_what_driftpys_client_has_no_builder_for_its_coder_writes_the_same(world, written):
    ask = Instructions(DRIFT_V2)
    for build in (
        lambda one: one.initialize_user_stats(world.owner),
        lambda one: one.initialize_user(world.owner, 0, "main"),
        lambda one: one.initialize_user(world.owner, 65535, "x" * 32, payer=DELEGATE),
        lambda one: one.update_user_delegate(world.owner, 1, DELEGATE),
        lambda one: one.update_user_delegate(world.owner, 1, None),
        lambda one: one.update_spot_market_cumulative_interest(0, markets=world.markets),
        lambda one: one.delete_user(world.owner, 1),
    ):
        assert build(ask) == build(written)


def test_what_the_types_cannot_hold_is_refused_before_driftpy_sees_it(world, written):
    with pytest.raises(InvalidMarket):
        written.cancel_order(world.owner, 1, 2**32, markets=world.markets, user=world.user)
    with pytest.raises(InvalidMarket, match="Drift v2 alone"):
        DriftpyInstructions(VELOCITY)
    with pytest.raises(InvalidMarket, match="no instruction refresh"):
        written.driftpy.instruction("refresh_spot_market_interest", [[0]], [])
    with pytest.raises(InvalidMarket, match="takes 4 accounts and 0 arguments"):
        written.driftpy.instruction("delete_user", [], [])
