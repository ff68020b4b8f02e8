"""The guard's rule for the program: each instruction that the driver writes passes, each changed one does not."""

from __future__ import annotations

import pytest
from attrs import frozen
from solders.instruction import AccountMeta
from solders.instruction import Instruction as Written
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.fence import Fence, tag_of
from sleeves.venues.drift.instructions import Instructions, Markets, OrderParams
from sleeves.venues.solana import Instruction, Key, ata

ME, DELEGATE, THIEF = (str(Keypair.from_seed(bytes([n]) * 32).pubkey()) for n in (1, 2, 3))
MINT = str(Keypair.from_seed(bytes([4]) * 32).pubkey())
ORACLE = str(Keypair.from_seed(bytes([5]) * 32).pubkey())
OURS = str(ata(Pubkey.from_string(ME), Pubkey.from_string(MINT)))
THEIRS = str(ata(Pubkey.from_string(THIEF), Pubkey.from_string(MINT)))
both = pytest.mark.parametrize("deployment", [DRIFT_V2, VELOCITY], ids=lambda one: one.name)


@frozen
class Spot:
    index: int = 0
    oracle: str = ORACLE
    mint: str = MINT
    token_2022: bool = False
    transfer_hook: bool = False


@frozen
class Perp:
    index: int = 0
    oracle: str = ORACLE
    quote_market: int = 0


@frozen
class User:
    spots: tuple = ()
    perps: tuple = ()


MARKETS = Markets(spots={0: Spot()}, perps={0: Perp()})
PARAMS = OrderParams(market=0, long=True, base=10**9, price=150_000_000)


def read(written, place=0):
    """An instruction as the guard sees it."""
    metas = tuple(Key(one.pubkey, one.is_signer, one.is_writable) for one in written.accounts)
    return Instruction(place, Key(written.program_id, False, False), metas, bytes(written.data))


def judge(deployment, written, signer=ME, accounts=(0, 1, 2), authority=ME):
    return Fence(deployment, authority, signer, accounts, {0: (MINT, False)}).rule(read(written), None)


def all_of(deployment, owner=ME, sub=1, signer=None, token_account=OURS):
    """Every instruction that the driver may write: by name."""
    ask = Instructions(deployment)
    trade = {"markets": MARKETS, "user": User(), "signer": signer}
    made = {
        "initialize_user_stats": ask.initialize_user_stats(owner),
        "initialize_user": ask.initialize_user(owner, sub, "engine"),
        "deposit": ask.deposit(owner, sub, 0, 5, token_account, markets=MARKETS, user=None),
        "withdraw": ask.withdraw(owner, sub, 0, 5, token_account, markets=MARKETS, user=User()),
        "transfer_deposit": ask.transfer_deposit(owner, 0, sub, 0, 5, markets=MARKETS, source_user=User(), target_user=User()),
        "place_perp_order": ask.place_perp_order(owner, sub, PARAMS, **trade),
        "place_orders": ask.place_orders(owner, sub, [PARAMS, PARAMS], **trade),
        "cancel_order": ask.cancel_order(owner, sub, 7, **trade),
        "cancel_order last": ask.cancel_order(owner, sub, None, **trade),
        "cancel_orders": ask.cancel_orders(owner, sub, **trade),
        "cancel_orders some": ask.cancel_orders(owner, sub, perp=True, market=0, long=True, **trade),
        "settle_pnl": ask.settle_pnl(owner, sub, 0, **trade),
        "update interest": ask.update_spot_market_cumulative_interest(0, markets=MARKETS),
        "delete_user": ask.delete_user(owner, sub),
    }
    if deployment is VELOCITY:
        made["refresh"] = ask.refresh_spot_market_interest([0])
    return made


TRADES = {"place_perp_order", "place_orders", "cancel_order", "cancel_order last", "cancel_orders", "cancel_orders some", "settle_pnl"}
ANYBODYS = {"update interest", "refresh"}


@both
def test_what_the_driver_writes_passes(deployment):
    for name, written in all_of(deployment).items():
        assert judge(deployment, written) is None, name


@both
def test_nothing_passes_on_accounts_of_another(deployment):
    for name, written in all_of(deployment, owner=THIEF).items():
        if name not in ANYBODYS:
            assert judge(deployment, written) is not None, name


@both
def test_nothing_passes_for_a_sub_account_that_is_not_kept(deployment):
    for name, written in all_of(deployment, sub=3).items():
        if name not in ANYBODYS | {"initialize_user_stats"}:
            assert "where user of ours stands" in judge(deployment, written), name
        else:
            assert judge(deployment, written) is None, name


@both
def test_a_delegate_trades_and_moves_no_coins(deployment):
    for name, written in all_of(deployment, signer=DELEGATE).items():
        why = judge(deployment, written, signer=DELEGATE)
        if name in TRADES | ANYBODYS:
            assert why is None, name
        else:
            assert "is for the authority's own key" in why, name


@both
def test_coins_come_from_and_go_to_our_own_token_account_alone(deployment):
    made = all_of(deployment, token_account=THEIRS)
    for name in ("deposit", "withdraw"):
        assert "where tokens of ours stands" in judge(deployment, made[name])


@both
def test_a_withdrawal_that_could_borrow_is_refused(deployment):
    written = all_of(deployment)["withdraw"]
    data = bytearray(written.data)
    assert data[18] == 1
    data[18] = 0
    changed = Written(written.program_id, bytes(data), list(written.accounts))
    assert "may open a borrowing" in judge(deployment, changed)


@both
def test_each_byte_too_many_or_too_few_is_refused(deployment):
    for name, written in all_of(deployment).items():
        if name in ("place_orders", "place_perp_order", "refresh"):
            continue  # their length varies by what is said
        for data in (bytes(written.data) + b"\0" * 8, bytes(written.data)[:-1] if len(written.data) > 8 else bytes(written.data)[:7]):
            why = judge(deployment, Written(written.program_id, data, list(written.accounts)))
            assert why is not None or name.startswith("cancel_order"), (name, len(data))


@both
def test_what_is_not_listed_is_refused(deployment):
    ask = Instructions(deployment)
    assert "none that this key signs" in judge(deployment, ask.update_user_delegate(ME, 0, THIEF))
    some = all_of(deployment)["cancel_order"]
    for name in ("begin_swap", "liquidate_perp", "update_user_reduce_only", "transfer_pools", "withdraw_from_isolated_perp_position"):
        written = Written(some.program_id, tag_of(name) + bytes(some.data)[8:], list(some.accounts))
        assert "none that this key signs" in judge(deployment, written)
    assert "nothing" in judge(deployment, Written(some.program_id, b"", list(some.accounts)))


@both
def test_each_named_account_is_looked_at(deployment):
    """Any one of the accounts that the program looks for by place, changed for another's, is refused."""
    places = {
        "deposit": 6,
        "withdraw": 7,
        "transfer_deposit": 6,
        "place_perp_order": 3,
        "settle_pnl": 4,
        "initialize_user": 5,
        "delete_user": 4,
    }
    for name, count in places.items():
        written = all_of(deployment)[name]
        for place in range(count):
            metas = list(written.accounts)
            metas[place] = AccountMeta(Pubkey.from_string(THIEF), metas[place].is_signer, metas[place].is_writable)
            assert judge(deployment, Written(written.program_id, bytes(written.data), metas)) is not None, (name, place)
        assert judge(deployment, Written(written.program_id, bytes(written.data), list(written.accounts)[: count - 1])) is not None


@both
def test_a_shift_to_the_same_sub_account_and_a_second_signer_are_refused(deployment):
    written = all_of(deployment)["transfer_deposit"]
    metas = list(written.accounts)
    metas[1] = metas[0]
    assert "to itself" in judge(deployment, Written(written.program_id, bytes(written.data), metas))
    metas = [*written.accounts, AccountMeta(Pubkey.from_string(THIEF), True, False)]
    assert "signed by" in judge(deployment, Written(written.program_id, bytes(written.data), metas))


@both
def test_a_sub_account_is_created_under_its_own_number(deployment):
    written = all_of(deployment)["initialize_user"]
    data = bytes(written.data)[:8] + (2).to_bytes(2, "little") + bytes(written.data)[10:]
    assert "address is that of another" in judge(deployment, Written(written.program_id, data, list(written.accounts)))


@both
def test_a_coin_that_is_not_moved_here_stays(deployment):
    spots = {0: Spot(), 5: Spot(5)}
    ask = Instructions(deployment)
    written = ask.transfer_deposit(ME, 0, 1, 5, 9, markets=Markets(spots=spots), source_user=User(), target_user=User())
    assert "none of those that are moved here" in judge(deployment, written)
    assert judge(deployment, ask.transfer_deposit(ME, 0, 1, 0, 9, markets=MARKETS, source_user=User(), target_user=User())) is None


def test_the_same_rule_knows_the_other_deployment_not():
    """An instruction of one program, on accounts of the other, is refused by place."""
    for name, written in all_of(DRIFT_V2).items():
        assert judge(VELOCITY, evolve_program(written, VELOCITY)) is not None, name


def evolve_program(written, deployment):
    return Written(Pubkey.from_string(deployment.program_id), bytes(written.data), list(written.accounts))
