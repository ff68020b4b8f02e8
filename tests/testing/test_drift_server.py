"""The local Drift by itself: each instruction over a real socket, on both deployments, and what the program refuses on either side."""

from __future__ import annotations

import json
import pathlib

import pytest
from drift_hand import COIN, UNIT, Hand, Refused
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from sleeves.testing.drift_server import Coin, Perp, drift_server
from sleeves.testing.drift_server.program import discriminator
from sleeves.testing.solana_server import Fault
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.events import (
    Action,
    Deposited,
    DepositReason,
    OrderAction,
    OrderPlaced,
    UserCreated,
    UserDeleted,
    Why,
)
from sleeves.venues.drift.instructions import OrderParams, PostOnly
from sleeves.venues.drift.words import MarketStatus, OrderKind

BOTH = pytest.mark.parametrize("deployment", [DRIFT_V2, VELOCITY], ids=lambda one: one.name)
HUNDRED = Perp("SOL-PERP", "100", spread_ppm=0)


def only(kind, events):
    found = [one for one in events if isinstance(one, kind)]
    assert len(found) == 1, found
    return found[0]


def refused(act, code):
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.code == code, (caught.value, caught.value.logs)
    return caught.value


def limit(base, price, **how):
    return OrderParams(market=0, long=how.pop("long", True), base=base, price=price, **how)


@pytest.fixture(params=[DRIFT_V2, VELOCITY], ids=lambda one: one.name)
def drift(request):
    with drift_server(request.param, perps=[HUNDRED], coins=[Coin("SOL", 9, "100")]) as server:
        yield server
        server.check()


@pytest.fixture
def hand(drift):
    it = Hand(drift)
    it.open()
    return it


# -- accounts -----------------------------------------------------------------------------------------------------------------


def test_a_sub_account_is_made_with_its_rent_and_read_back_by_the_venues_own_codec(drift):
    hand = Hand(drift)
    before = drift.chain.balance(hand.key.pubkey())
    made = only(UserCreated, hand.open(name="vault main"))
    assert (made.sub, made.name, made.authority, made.user) == (0, "vault main", hand.owner, hand.address())
    user, stats = hand.user(), hand.stats()
    assert (user.authority, user.sub, user.name, user.next_order_id, user.delegate) == (hand.owner, 0, "vault main", 1, None)
    assert (stats.sub_accounts, stats.sub_accounts_created) == (1, 1)
    sizes = [hand.deployment.layout(kind).size for kind in ("UserStats", "User")]
    rent = sum(drift.chain.rent(size) for size in sizes)
    landed = drift.chain.landings_of(Pubkey.from_string(hand.address()))[0]
    assert before - drift.chain.balance(hand.key.pubkey()) == rent + landed.fee


def test_sub_accounts_are_numbered_in_order_and_made_once(hand):
    refused(lambda: hand.open(2), 6214)  # InvalidUserSubAccountId: 1 is next
    hand.open(1, "engine")
    assert hand.stats().sub_accounts_created == 2
    refused(lambda: hand.send(hand.ask.initialize_user(hand.owner, 1, "again")), 0)  # System: already in use
    assert hand.user(1).name == "engine"


def test_only_the_owner_names_a_delegate_who_may_trade_and_not_withdraw(drift, hand):
    friend = drift.wallet()
    hand.deposit(500 * UNIT)
    stranger = Hand(drift, key=friend)
    order = limit(COIN, 90 * UNIT)
    asked = hand.ask.place_perp_order(hand.owner, 0, order, markets=hand.markets(), user=hand.user(), signer=str(friend.pubkey()))
    refused(lambda: stranger.send(asked), 2003)  # ConstraintRaw: can_sign_for_user
    hand.send(hand.ask.update_user_delegate(hand.owner, 0, str(friend.pubkey())))
    assert hand.user().delegate == str(friend.pubkey())
    assert only(OrderPlaced, stranger.send(asked)).user == hand.address()
    taken = hand.ask.withdraw(hand.owner, 0, 0, UNIT, hand.tokens, markets=hand.markets(), user=hand.user())
    metas = [AccountMeta(friend.pubkey(), True, False) if str(one.pubkey) == hand.owner else one for one in taken.accounts]
    refused(lambda: stranger.send(Instruction(taken.program_id, bytes(taken.data), metas)), 2001)  # ConstraintHasOne
    hand.send(hand.ask.update_user_delegate(hand.owner, 0, None))
    assert hand.user().delegate is None
    refused(lambda: stranger.send(asked), 2003)


def test_an_empty_sub_account_is_closed_and_its_rent_goes_back(drift, hand):
    hand.deposit(UNIT)
    refused(lambda: hand.send(hand.ask.delete_user(hand.owner, 0)), 6152)  # UserCantBeDeleted
    hand.withdraw(UNIT)
    before = drift.chain.balance(hand.key.pubkey())
    rent = drift.chain.rent(hand.deployment.layout("User").size)
    gone = only(UserDeleted, hand.send(hand.ask.delete_user(hand.owner, 0)))
    assert gone.sub == 0 and hand.user() is None and hand.stats().sub_accounts == 0
    fee = drift.chain.landings_of(hand.key.pubkey())[0].fee
    assert drift.chain.balance(hand.key.pubkey()) == before + rent - fee


# -- coins --------------------------------------------------------------------------------------------------------------------


def test_a_deposit_moves_real_tokens_into_the_vault_and_tells_it(drift, hand):
    told = only(Deposited, hand.deposit(250 * UNIT))
    assert (told.amount, told.withdrawn, told.user, told.market, told.reason) == (250 * UNIT, False, hand.address(), 0, DepositReason.NONE)
    if hand.deployment is VELOCITY:
        assert told.after == 250 * UNIT  # the record's last field, which Drift's older ones have not
    user = hand.user()
    assert (user.spots[0].balance, user.spots[0].borrowed) == (250 * 10**9, False)  # scaled 1e9 at an index of one
    assert (hand.coins(), user.total_deposits) == (750 * UNIT, 250 * UNIT)
    refused(lambda: hand.deposit(750 * UNIT + 1), 1)  # the Token program's own: insufficient funds
    hand.deposit(750 * UNIT)
    assert hand.coins() == 0 and drift.balance(hand.address()) == 1_000 * UNIT


def test_a_withdrawal_takes_no_more_than_there_is_and_no_debt(drift, hand):
    hand.deposit(100 * UNIT)
    told = only(Deposited, hand.withdraw(40 * UNIT))
    assert (told.amount, told.withdrawn) == (40 * UNIT, True)
    assert hand.coins() == 940 * UNIT
    # leaving is rounded against the one who leaves: one scaled unit more, and so a token unit less is shown
    assert hand.user().spots[0].balance == 60 * 10**9 - 1
    assert drift.balance(hand.address()) == 60 * UNIT - 1
    rest = only(Deposited, hand.withdraw(10**15))
    assert rest.amount == 60 * UNIT - 1, "the program cuts it down: what was asked for is not what was taken"
    assert hand.coins() == 1_000 * UNIT - 1 and hand.user().spots == ()
    assert drift.check().left[0] == 1, "the unit is the vault's"


def test_a_transfer_moves_a_deposit_between_sub_accounts_and_no_token(drift, hand):
    hand.open(1, "engine")
    hand.deposit(100 * UNIT)
    vault = drift.check().vaults[0]
    events = hand.move(30 * UNIT, 0, 1)
    out, came = [one for one in events if isinstance(one, Deposited)]
    assert (out.withdrawn, out.user, out.other, out.reason) == (True, hand.address(0), hand.address(1), DepositReason.TRANSFER)
    assert (came.withdrawn, came.user, came.other, came.reason) == (False, hand.address(1), hand.address(0), DepositReason.TRANSFER)
    assert out.amount == came.amount == 30 * UNIT
    assert (drift.balance(hand.address(0)), drift.balance(hand.address(1))) == (70 * UNIT - 1, 30 * UNIT)
    assert drift.check().vaults[0] == vault
    refused(lambda: hand.move(70 * UNIT, 0, 1), 6003)  # it would leave a debt of a unit, and nothing behind it
    views = {"markets": hand.markets(), "source_user": hand.user(0), "target_user": hand.user(1)}
    asked = hand.ask.transfer_deposit(hand.owner, 0, 1, 0, UNIT, **views)
    same = Instruction(asked.program_id, bytes(asked.data), [asked.accounts[1], *list(asked.accounts)[1:]])
    refused(lambda: hand.send(same), 6217)  # CantTransferBetweenSameUserAccount


def test_a_withdrawal_is_held_to_the_initial_margin_on_both_sides_of_it(hand):
    hand.deposit(201 * UNIT)
    hand.place(limit(10 * COIN, 100 * UNIT))  # 10 % of 1,000 at the oracle, and a cent for the order
    left = hand.user()
    assert left.perps[0].open_bids == 10 * COIN
    most = only(Deposited, hand.withdraw(201 * UNIT)).amount
    # 201 - 100.01, less the unit that calculate_max_withdrawable keeps against rounding; then leaving takes one more
    assert most == 100_990_000 - 1
    asked = hand.withdraw(UNIT)
    assert only(Deposited, asked).amount == 0, "nothing is free any more, and the program withdraws nothing without a failure"


def test_the_daily_guard_stops_a_withdrawal_past_a_quarter(drift, hand):
    """min deposits = average - max(average / 4, guard): protocol-v2 math/spot_withdraw.rs."""
    market = hand.deployment.spot_market(0)
    hand.deposit(1_000 * UNIT)
    total = drift.look("SpotMarket", market)["deposit_balance"] // 1_000
    guard = total // 4 + 500 * UNIT  # all but the half of what this owner has may leave a day, by the guard
    drift.set("SpotMarket", market, withdraw_guard_threshold=500 * UNIT, deposit_token_twap=total * 4 // 3)
    refused(lambda: hand.withdraw(1_000 * UNIT), 6128)  # DailyWithdrawLimit
    drift.set("SpotMarket", market, withdraw_guard_threshold=guard * 10)
    hand.withdraw(1_000 * UNIT)


def test_caps_and_pauses(drift, hand):
    market = hand.deployment.spot_market(0)
    held = drift.look("SpotMarket", market)["deposit_balance"] // 1_000
    drift.set("SpotMarket", market, max_token_deposits=held + 10 * UNIT)
    refused(lambda: hand.deposit(10 * UNIT + 1), 6038)  # MaxDeposit
    hand.deposit(10 * UNIT)
    drift.pause(1)
    refused(lambda: hand.deposit(1), 6024)  # ExchangePaused
    hand.withdraw(UNIT)
    drift.pause(2)
    refused(lambda: hand.withdraw(UNIT), 6024)
    drift.pause(0)
    hand.withdraw(UNIT)


def test_a_stranger_cannot_deposit_for_another_and_one_on_the_list_can(drift, hand):
    told = only(Deposited, hand.events(str(drift.gift(hand.key.pubkey(), 0, 5 * UNIT).signature)))
    assert told.amount == 5 * UNIT and told.authority == hand.owner
    if hand.deployment is VELOCITY:
        assert told.signer == str(drift.keeper.pubkey())
    friend = drift.wallet(quote=10 * UNIT)
    with pytest.raises(Exception, match="0x7d3"):  # 2003
        drift.deposit(friend, 0, UNIT, authority=hand.key.pubkey())


# -- orders -------------------------------------------------------------------------------------------------------------------


def test_an_order_is_placed_with_its_number_and_what_it_reserves(hand):
    hand.deposit(500 * UNIT)
    events = hand.place(limit(2 * COIN, 95 * UNIT, user_id=7, post_only=PostOnly.MUST, expires=hand.drift.now + 600))
    placed, action = only(OrderPlaced, events), only(OrderAction, events)
    assert (placed.user, placed.order.id, placed.order.user_id, placed.order.price) == (hand.address(), 1, 7, 95 * UNIT)
    assert (action.action, action.maker, action.maker_order, action.taker) == (Action.PLACE, hand.address(), 1, None)
    (order,) = hand.user().orders
    assert (order.id, order.base, order.filled, order.long, order.post_only, order.kind) == (1, 2 * COIN, 0, True, True, OrderKind.LIMIT)
    assert hand.user().perps[0].open_bids == 2 * COIN and hand.user().next_order_id == 2
    refused(lambda: hand.place(limit(COIN, 90 * UNIT, user_id=7)), 6071)  # UserOrderIdAlreadyInUse
    hand.place(limit(COIN, 110 * UNIT, long=False))
    assert hand.user().perps[0].open_asks == -COIN


def test_the_initial_margin_to_the_unit(hand):
    """10 at 100 needs 10 % of 1,000, and a cent for the order (reference/drift.md 3.2): 100.01."""
    hand.deposit(100_010_000 - 1)
    refused(lambda: hand.place(limit(10 * COIN, 100 * UNIT)), 6003)
    hand.deposit(1)
    hand.place(limit(10 * COIN, 100 * UNIT))


def test_what_the_program_refuses_of_an_order(drift, hand):
    hand.deposit(500 * UNIT)
    refused(lambda: hand.place(limit(10**6, 90 * UNIT)), 6059)  # OrderAmountTooSmall: below the step
    refused(lambda: hand.place(limit(COIN, 0)), 6191)  # InvalidOrderLimitPrice
    refused(lambda: hand.place(limit(COIN, 90 * UNIT, immediate=True)), 6050)  # InvalidOrderIOC: only where it may take at once
    refused(lambda: hand.place(limit(COIN, 0, kind=OrderKind.MARKET, post_only=PostOnly.MUST)), 6051)
    refused(lambda: hand.place(limit(COIN, 101 * UNIT, post_only=PostOnly.MUST)), 6057)  # it would take
    assert hand.place(limit(COIN, 101 * UNIT, post_only=PostOnly.TRY)) == [], "left out, and no failure"
    assert hand.place(limit(COIN, 90 * UNIT, expires=drift.now - 60)) == [], "too late, and no failure"
    drift.status("SOL-PERP", MarketStatus.REDUCE_ONLY)
    refused(lambda: hand.place(limit(COIN, 90 * UNIT)), 6046)
    drift.status("SOL-PERP", MarketStatus.SETTLEMENT)
    refused(lambda: hand.place(limit(COIN, 90 * UNIT)), 6147)
    assert hand.user().orders == () and hand.user().next_order_id == 1


def test_orders_are_cancelled_by_number_by_byte_and_all_together(hand):
    hand.deposit(500 * UNIT)
    asks = {"markets": hand.markets()}
    params = [limit(COIN, price * UNIT, user_id=price, long=price < 100) for price in (90, 91, 92, 110)]
    events = hand.send(hand.ask.place_orders(hand.owner, 0, params, user=hand.user(), **asks))
    assert [one.order.id for one in events if isinstance(one, OrderPlaced)] == [1, 2, 3, 4]
    gone = only(OrderAction, hand.send(hand.ask.cancel_order(hand.owner, 0, 2, user=hand.user(), **asks)))
    assert (gone.action, gone.taker_order, gone.why) == (Action.CANCEL, 2, Why.NONE)
    gone = only(OrderAction, hand.send(hand.ask.cancel_order_by_user_id(hand.owner, 0, 92, user=hand.user(), **asks)))
    assert gone.taker_order == 3
    assert hand.send(hand.ask.cancel_order(hand.owner, 0, 77, user=hand.user(), **asks)) == [], "the program does not mind"
    assert hand.user().perps[0].open_bids == COIN
    hand.send(hand.ask.cancel_orders(hand.owner, 0, perp=True, market=0, long=True, user=hand.user(), **asks))
    assert [one.id for one in hand.user().orders] == [4]
    hand.send(hand.ask.cancel_order(hand.owner, 0, None, user=hand.user(), **asks))
    assert hand.user().orders == () and hand.user().perps == ()


def test_several_orders_land_together_or_not_at_all(hand):
    hand.deposit(100_010_000)
    both = [limit(5 * COIN, 100 * UNIT), limit(5 * COIN, 100 * UNIT)]  # two cents, and there is one
    refused(lambda: hand.send(hand.ask.place_orders(hand.owner, 0, both, markets=hand.markets(), user=hand.user())), 6003)
    assert hand.user().orders == ()
    hand.deposit(10_000)
    hand.send(hand.ask.place_orders(hand.owner, 0, both, markets=hand.markets(), user=hand.user()))
    assert len(hand.user().orders) == 2


# -- wrong accounts, failures, simulation -----------------------------------------------------------------------------------


def test_accounts_that_are_wrong_or_not_writable_are_refused_as_anchor_does(drift, hand):
    hand.deposit(100 * UNIT)
    good = hand.ask.place_perp_order(hand.owner, 0, limit(COIN, 90 * UNIT), markets=hand.markets(), user=hand.user())

    def with_meta(place, meta):
        metas = list(good.accounts)
        metas[place] = meta
        return Instruction(good.program_id, bytes(good.data), metas)

    def key(address):
        return Pubkey.from_string(address)

    refused(lambda: hand.send(with_meta(0, AccountMeta(key(hand.address()), False, False))), 2006)  # state: ConstraintSeeds
    refused(lambda: hand.send(with_meta(1, AccountMeta(key(hand.address()), False, False))), 2000)  # user: ConstraintMut
    refused(lambda: hand.send(with_meta(1, AccountMeta(key(hand.deployment.user_stats(hand.owner)), False, True))), 3002)
    refused(lambda: hand.send(with_meta(1, AccountMeta(key(hand.deployment.user(hand.owner, 9)), False, True))), 3012)
    refused(lambda: hand.send(with_meta(1, AccountMeta(drift.mints[0], False, True))), 3007)
    short = Instruction(good.program_id, bytes(good.data), list(good.accounts)[:-1])
    refused(lambda: hand.send(short), 6078)  # PerpMarketNotFound
    refused(lambda: hand.send(Instruction(good.program_id, b"\1" * 8, list(good.accounts))), 101)
    refused(lambda: hand.send(Instruction(good.program_id, bytes(good.data)[:-1], list(good.accounts))), 102)
    deposit = hand.ask.deposit(hand.owner, 0, 0, UNIT, hand.tokens, markets=hand.markets(), user=hand.user())
    frozen = [AccountMeta(one.pubkey, one.is_signer, one.is_writable and place < 7) for place, one in enumerate(deposit.accounts)]
    refused(lambda: hand.send(Instruction(deposit.program_id, bytes(deposit.data), frozen)), 6090)  # SpotMarketWrongMutability
    hand.send(good)


def test_bytes_that_others_captured_from_velocitys_sdk_are_understood():
    """cases/drift/velocity.json: ix.deposit, ix.withdraw (third-party capture of the TypeScript SDK)."""
    import os

    folder = pathlib.Path(os.environ.get("SLEEVES_DRIFT_CASES", pathlib.Path(__file__).parents[3] / "shared" / "cases" / "drift"))
    if not (folder / "velocity.json").exists():
        pytest.skip("the fixtures are not here: SLEEVES_DRIFT_CASES")
    cases = {one["id"]: one for one in json.loads((folder / "velocity.json").read_text())["cases"]}
    data = bytes.fromhex(cases["ix.deposit"]["expected"]["data_hex"])
    assert data[:8] == discriminator("deposit")
    with drift_server(VELOCITY, perps=[HUNDRED], coins=[Coin("SOL", 9, "100")]) as drift:
        hand = Hand(drift)
        hand.open()
        tokens = str(drift.mint(hand.key.pubkey(), 10**9, 1))
        like = hand.ask.deposit(hand.owner, 0, 1, 1, tokens, markets=hand.markets(), user=hand.user())
        told = only(Deposited, hand.send(Instruction(like.program_id, data, list(like.accounts))))
        assert (told.market, told.amount) == (1, cases["ix.deposit"]["inputs"]["amount"])
        drift.check()


@BOTH
def test_a_transaction_that_fails_changes_nothing_but_the_fee_and_tells_nothing(deployment):
    with drift_server(deployment, perps=[HUNDRED]) as drift:
        hand = Hand(drift)
        hand.open()
        hand.deposit(50 * UNIT)
        before, sol = hand.user(), drift.chain.balance(hand.key.pubkey())
        coins = hand.ask.deposit(hand.owner, 0, 0, 10 * UNIT, hand.tokens, markets=hand.markets(), user=hand.user())
        order = hand.ask.place_perp_order(hand.owner, 0, limit(10 * COIN, 100 * UNIT), markets=hand.markets(), user=hand.user())
        seen = hand.simulate(coins, order)
        assert seen["err"] == {"InstructionError": [3, {"Custom": 6003}]}, "the fourth: two for the compute budget come first"
        assert any("InsufficientCollateral. Error Number: 6003" in line for line in seen["logs"])
        assert hand.send(coins, order, skipPreflight=True) == []
        landing = drift.chain.landings_of(Pubkey.from_string(hand.address()))[0]
        assert landing.err == {"InstructionError": [3, {"Custom": 6003}]}
        after = hand.user()
        assert (after.spots, after.orders) == (before.spots, before.orders) and hand.coins() == 950 * UNIT
        assert sol - drift.chain.balance(hand.key.pubkey()) == landing.fee
        drift.check()


def test_a_simulation_says_what_would_be_and_what_it_takes_and_changes_nothing(hand):
    hand.deposit(200 * UNIT)
    order = hand.ask.place_perp_order(hand.owner, 0, limit(COIN, 90 * UNIT), markets=hand.markets(), user=hand.user())
    seen = hand.simulate(order)
    assert seen["err"] is None and 50_000 < seen["unitsConsumed"] < 100_000
    assert hand.user().orders == ()
    raw = hand.raw([order], limit=61_999)  # the program itself takes 62,000
    refusal = refused(lambda: hand.rpc("sendTransaction", raw, {"encoding": "base64", "preflightCommitment": "confirmed"}), None)
    assert refusal.err == {"InstructionError": [2, "ProgramFailedToComplete"]}
    raw = hand.raw([order], limit=seen["unitsConsumed"] * 12 // 10)
    hand.rpc("sendTransaction", raw, {"encoding": "base64", "preflightCommitment": "confirmed"})
    assert len(hand.user().orders) == 1


def test_faults_on_demand(drift, hand):
    hand.deposit(200 * UNIT)
    order = hand.ask.place_perp_order(hand.owner, 0, limit(COIN, 90 * UNIT), markets=hand.markets(), user=hand.user())
    config = {"encoding": "base64", "preflightCommitment": "confirmed"}
    drift.fails(6264)
    refused(lambda: hand.send(order), 6264)
    drift.node.fault("sendTransaction", Fault.fails({"InstructionError": [2, {"Custom": 6003}]}))
    assert hand.send(order) == [] and hand.user().orders == ()
    drift.node.fault("sendTransaction", Fault.dropped())
    signature = hand.rpc("sendTransaction", hand.raw([order]), config)
    drift.advance(151)
    assert hand.rpc("getSignatureStatuses", [signature], {"searchTransactionHistory": True})["value"] == [None]
    drift.cut_logs()
    signature = hand.rpc("sendTransaction", hand.raw([order]), config)
    assert hand.transaction(signature)["meta"]["logMessages"][-1] == "Log truncated"
    assert len(hand.events(signature)) == 2, "asked again, it is whole"
    found = hand.rpc("getSignaturesForAddress", hand.address(), {"commitment": "confirmed"})
    assert found[0]["signature"] == signature and found[0]["err"] is None
