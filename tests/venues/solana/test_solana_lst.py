"""What staking tokens are worth: real figures, the layout's every byte, age by epochs, and never a figure out of thin air.

The accounts are built here by their layouts. The figures in them are those of JitoSOL's stake pool and of Marinade's State as they
were on the chain in epochs 537 and 538, from dumps that a public repository keeps (igneous-labs/S, test-fixtures); the bytes that
say nothing (keys of managers, empty space) are made up.
"""

from __future__ import annotations

import json
import struct
from fractions import Fraction

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from sleeves.errors import InvalidMarket, VenueUnavailable
from sleeves.money import SOL, Asset
from sleeves.testing.solana_server import Fault
from sleeves.venues.solana import CLOCK, STAKING_TOKENS, Account, FairValues, Rpc, Sanctum, StakingToken
from sleeves.venues.solana.lst import (
    EPOCH_NS,
    MARINADE_PROGRAM,
    MARINADE_STATE,
    STAKE_POOL_PROGRAMS,
    ChainClock,
    Marinade,
    StakePool,
)
from solana_stand import ME, QUICK, World, address, answers, run, world
from strategies import law

JITO, MSOL, BSOL, INF = (STAKING_TOKENS[code] for code in ("jitoSOL", "mSOL", "bSOL", "INF"))
SPL, SANCTUM_SPL, SANCTUM_MULTI = STAKE_POOL_PROGRAMS
SYSVAR = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
SECOND = 10**9


def fee(above=0, below=0):
    return struct.pack("<QQ", below, above)


def coming(kind, value=b""):
    return bytes([kind]) + value


def optional(value=None):
    return b"\1" + bytes(value) if value is not None else b"\0"


NO_FEE, FOUR_PERCENT, THOUSANDTH = fee(), fee(4, 100), fee(1, 1_000)
NOTHING = coming(0)


def pool_bytes(
    *,
    mint=JITO.mint,
    total=6_639_028_734_407_647,
    supply=6_189_948_258_688_516,
    updated=537,
    kind=1,
    epoch_fee=FOUR_PERCENT,
    next_epoch_fee=NOTHING,
    preferred=(None, None),
    stake_fee=THOUSANDTH,
    next_stake_fee=NOTHING,
    deposit_authority=None,
    withdraw_authority=None,
    sol_fee=THOUSANDTH,
    next_sol_fee=NOTHING,
):
    """A stake pool, field after field."""
    data = bytes([kind]) + bytes(ME) * 3 + b"\xfe" + bytes(ME) * 2 + bytes(mint) + bytes(ME) * 2
    data += struct.pack("<QQQ", total, supply, updated) + bytes(48)
    data += epoch_fee + next_epoch_fee + optional(preferred[0]) + optional(preferred[1])
    data += fee() + stake_fee + next_stake_fee + b"\0"
    data += optional(deposit_authority) + fee() + b"\0" + optional(withdraw_authority) + sol_fee + next_sol_fee
    data += struct.pack("<QQ", 1, 2)
    return data.ljust(611, b"\0")


def state_bytes(**terms):
    """Marinade's State: the fields at the places that its source gives them."""
    figures = {
        "active": (376, "<Q", 6_088_184_449_429_579),
        "cooling": (226, "<Q", 0),
        "emergency": (568, "<Q", 0),
        "reserve": (496, "<Q", 99_998_300_576_863),
        "tickets": (528, "<Q", 30_184_668_021_224),
        "supply": (504, "<Q", 5_347_680_970_794_649),
        "price": (512, "<Q", 4_945_770_047),
        "reward": (146, "<I", 600),
        "most": (460, "<I", 900),
        "least": (464, "<I", 1),
        "paused": (608, "<B", 0),
        "delayed": (609, "<I", 2_000),
    }
    data = bytearray(2616)
    data[:8] = bytes.fromhex("d8926b5e684bb6b1")
    data[8:40] = bytes(terms.pop("mint", MSOL.mint))
    for name, (at, form, value) in figures.items():
        struct.pack_into(form, data, at, terms.pop(name, value))
    assert not terms
    return bytes(data)


def pool(data=None, owner=SPL, at=JITO.pool, **terms):
    return StakePool.decode(Account(at, 1, owner, data if data is not None else pool_bytes(**terms)))


def marinade(data=None, owner=MARINADE_PROGRAM, **terms):
    return Marinade.decode(Account(MARINADE_STATE, 1, owner, data if data is not None else state_bytes(**terms)))


# -- layouts ------------------------------------------------------------------------------------------------------------------


def test_the_figures_of_jitosol_in_epoch_537():
    found = pool()
    assert (found.mint, found.total_lamports, found.supply, found.updated) == (JITO.mint, 6_639_028_734_407_647, 6_189_948_258_688_516, 537)
    assert found.total_lamports * 10**8 // found.supply == 107_254_995  # 1.07254995...
    assert (found.epoch_fee, found.stake_fee, found.sol_fee) == (Fraction(4, 100), Fraction(1, 1_000), Fraction(1, 1_000))
    assert (found.next_epoch_fee, found.next_stake_fee, found.next_sol_fee) == (None, None, None)


def test_the_figures_of_marinade_in_epoch_538():
    found = marinade()
    assert found.total_lamports == 6_088_184_449_429_579 + 99_998_300_576_863 - 30_184_668_021_224
    exact, shown = Fraction(found.total_lamports, found.supply), Fraction(found.price, 2**32)
    assert abs(exact - shown) < Fraction(1, 10**9) and exact * 10**6 // 1 == 1_151_526
    assert (found.reward_fee, found.liquid_most, found.liquid_least) == (Fraction(6, 100), Fraction(9, 100), Fraction(1, 10_000))
    assert found.delayed_fee == Fraction(2, 1_000) and not found.paused  # what its code allows at most


def test_the_offsets_of_the_reference():
    data = pool_bytes(total=1, supply=2, updated=3)
    assert data[162:194] == bytes(JITO.mint) and struct.unpack_from("<QQQ", data, 258) == (1, 2, 3)
    assert struct.unpack_from("<QQ", data, 330) == (100, 4)  # the denominator first


@pytest.mark.parametrize("owner", [SPL, SANCTUM_SPL, SANCTUM_MULTI])
def test_the_three_programs_share_one_layout(owner):
    assert pool(owner=owner).program == owner


FEES = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)).map(lambda pair: (min(pair), max(pair)))
COMING = st.none() | st.tuples(st.integers(1, 2), FEES)


def written(one):
    return coming(0) if one is None else coming(one[0], fee(*one[1]))


def part(above, below):
    return Fraction(above, below) if below else Fraction(0)


@law
@given(FEES, COMING, FEES, COMING, FEES, COMING, st.lists(st.booleans(), min_size=4, max_size=4))
def test_fees_are_found_behind_any_options(epoch, next_epoch, stake, next_stake, sol, next_sol, there):
    keys = [address(f"key {n}") if one else None for n, one in enumerate(there)]
    found = pool(
        epoch_fee=fee(*epoch),
        next_epoch_fee=written(next_epoch),
        preferred=(keys[0], keys[1]),
        stake_fee=fee(*stake),
        next_stake_fee=written(next_stake),
        deposit_authority=keys[2],
        withdraw_authority=keys[3],
        sol_fee=fee(*sol),
        next_sol_fee=written(next_sol),
    )
    assert (found.epoch_fee, found.stake_fee, found.sol_fee) == (part(*epoch), part(*stake), part(*sol))
    for got, one in ((found.next_epoch_fee, next_epoch), (found.next_stake_fee, next_stake), (found.next_sol_fee, next_sol)):
        assert got == (None if one is None else part(*one[1]))


WRONG_POOLS = {
    "of another program": {"owner": MARINADE_PROGRAM},
    "not in use": {"kind": 0},
    "a validator list": {"kind": 2},
    "holds nothing": {"total": 0},
    "has issued nothing": {"supply": 0},
    "a fee above one": {"epoch_fee": fee(101, 100)},
    "an option that is none": {"next_epoch_fee": coming(3, fee())},
    "a key that is neither there nor not": {"next_stake_fee": coming(9)},
    "empty": {"data": b""},
}


@pytest.mark.parametrize("name", WRONG_POOLS)
def test_what_is_no_stake_pool(name):
    with pytest.raises(InvalidMarket):
        pool(**WRONG_POOLS[name])


def test_a_stake_pool_that_is_cut_short_anywhere_is_none():
    whole = pool_bytes()
    last = max(size for size in range(len(whole)) if not decodes(whole[:size]))
    assert 400 < last < 611 and not any(decodes(whole[:size]) for size in range(last))


def decodes(data):
    try:
        pool(data)
    except InvalidMarket:
        return False
    return True


WRONG_STATES = {
    "of another program": {"owner": SPL},
    "another account of that program": {"data": b"\0" + state_bytes()[1:]},
    "cut short": {"data": state_bytes()[:617]},
    "claims beyond what there is": {"tickets": 2**63},
    "nothing issued": {"supply": 0},
}


@pytest.mark.parametrize("name", WRONG_STATES)
def test_what_is_not_marinades_state(name):
    with pytest.raises(InvalidMarket):
        marinade(**WRONG_STATES[name])
    assert marinade(state_bytes()[:618]).supply


@law
@given(st.binary(max_size=700))
def test_noise_is_no_pool(noise):
    for read in (pool, marinade):
        with pytest.raises(InvalidMarket):
            read(noise)


def clock_bytes(slot=1, epoch=900, began=1_000_000, now=1_050_000):
    return struct.pack("<QqQQq", slot, began, epoch, epoch + 1, now)


def test_the_chains_clock():
    found = ChainClock.decode(Account(CLOCK, 1, SYSVAR, clock_bytes()))
    assert (found.slot, found.epoch, found.epoch_began, found.now) == (1, 900, 1_000_000 * SECOND, 1_050_000 * SECOND)
    assert found.as_of(900) == found.now
    assert ChainClock.decode(Account(CLOCK, 1, SYSVAR, clock_bytes(began=5, now=5))).now == 5 * SECOND
    assert found.as_of(899) == found.epoch_began  # right until the epoch ended
    assert found.as_of(898) == found.epoch_began - EPOCH_NS
    for account in (
        Account(CLOCK, 1, ME, clock_bytes()),
        Account(ME, 1, SYSVAR, clock_bytes()),
        Account(CLOCK, 1, SYSVAR, clock_bytes()[:-1]),
        Account(CLOCK, 1, SYSVAR, clock_bytes(now=999_999)),
        Account(CLOCK, 1, SYSVAR, clock_bytes(began=-1)),
        Account(CLOCK, 1, SYSVAR, clock_bytes(began=-2, now=-1)),
    ):
        with pytest.raises(InvalidMarket):
            ChainClock.decode(account)


# -- reading ------------------------------------------------------------------------------------------------------------------


def with_pools(it, **terms):
    """Put a pool of jitoSOL, updated in this epoch, and Marinade's State on a chain."""
    it.chain.set_account(JITO.pool, owner=SPL, data=pool_bytes(**{"updated": it.chain.epoch, **terms}))
    it.chain.set_account(MARINADE_STATE, owner=MARINADE_PROGRAM, data=state_bytes())


def reading(story, tokens=("jitoSOL", "mSOL"), **terms):
    async def main():
        with world(clock=lambda: now[0]) as it:
            async with Rpc(it.node.url, retry=QUICK) as rpc:
                with_pools(it)
                await story(it, FairValues(rpc, tokens, clock=lambda: now[0], **terms))

    now = [1_900_000_000 * SECOND + 123]
    story.now = now
    run(main)


def test_fair_values_are_exact_with_their_age_and_source():
    async def story(it, values):
        found = await values.read()
        jito, msol = found.worths["jitoSOL"], found.worths["mSOL"]
        assert list(found.worths) == ["jitoSOL", "mSOL"] and not found.missing
        assert (jito.value.worth, jito.value.units, jito.value.base, jito.value.quote) == (
            6_639_028_734_407_647,
            6_189_948_258_688_516,
            JITO.asset,
            SOL,
        )
        assert jito.value.at == story.now[0] // SECOND * SECOND and jito.value.source == "spl-stake-pool"
        assert (jito.stale, jito.epoch, jito.updated, jito.slot) == (False, it.chain.epoch, it.chain.epoch, it.chain.slot)
        assert (jito.stake_fee, jito.sol_fee) == (Fraction(1, 1_000), Fraction(1, 1_000))
        assert (msol.stale, msol.updated, msol.value.source) == (False, None, "Marinade's state")
        assert len(it.node.asked("getMultipleAccounts")) == 1  # together, with the clock

    reading(story)


def test_a_new_epoch_makes_a_pool_stale_until_it_is_updated():
    async def story(it, values):
        it.chain.advance_epoch()
        it.chain.advance(1000)
        began = ChainClock.decode(await values._rpc.account(CLOCK)).epoch_began
        worth = (await values.read()).worths["jitoSOL"]
        assert worth.stale and worth.updated == worth.epoch - 1
        assert worth.value.at == began < story.now[0]  # it was right until the epoch ended
        it.chain.advance_epoch()
        older = (await values.read()).worths["jitoSOL"]
        assert older.stale and story.now[0] - older.value.at >= EPOCH_NS
        with_pools(it, total=6_700_000_000_000_000)
        fresh = (await values.read()).worths["jitoSOL"]
        assert not fresh.stale and fresh.value.worth == 6_700_000_000_000_000

    reading(story)


def test_it_is_never_told_as_of_later_than_now():
    async def story(it, values):
        values._clock = lambda: 1_800_000_000 * SECOND  # our own clock is behind the chain's
        found = await values.read()
        assert {worth.value.at for worth in found.worths.values()} == {1_800_000_000 * SECOND}

    reading(story)


def test_what_cannot_be_read_is_missing_with_a_reason_and_the_others_are_told():
    async def story(it, values):
        cases = {
            "no account": lambda: it.chain.set_account(JITO.pool, lamports=0),
            "no stake pool program": lambda: it.chain.set_account(JITO.pool, owner=ME, data=pool_bytes()),
            "not of jitoSOL": lambda: with_pools(it, mint=BSOL.mint),
            "was updated in epoch": lambda: with_pools(it, updated=it.chain.epoch + 1),
            "ends after": lambda: it.chain.set_account(JITO.pool, owner=SPL, data=pool_bytes()[:300]),
        }
        for why, make in cases.items():
            make()
            found = await values.read()
            assert list(found.worths) == ["mSOL"] and why in found.missing["jitoSOL"], why

    reading(story)


def test_a_dead_node_tells_nothing_at_all():
    async def story(it, values):
        it.node.fault("getMultipleAccounts", Fault.status(503), 3)
        found = await values.read()
        assert not found.worths and set(found.missing) == {"jitoSOL", "mSOL"} and "503" in found.missing["mSOL"]

    reading(story)


def test_news_tells_what_was_read_and_goes_on_after_an_outage():
    async def story(it, values):
        it.node.fault("getMultipleAccounts", Fault.status(503), 3)
        told = []
        with anyio.fail_after(5):
            async for one in values.news(every_s=0.01):
                told.append(one.topic)
                if len(told) == 4:
                    break
        assert told == ["jitoSOL", "mSOL"] * 2

    reading(story)


def test_tokens_without_a_pool_are_asked_for_at_sanctum():
    async def story():
        said = {"solValues": {str(INF.mint): "1407837461"}, "errs": {}}
        with world() as it, answers(json.dumps(said)) as (url, requests):
            async with Rpc(it.node.url, retry=QUICK) as rpc:
                with_pools(it)
                sanctum = Sanctum(url, clock=lambda: 77, retry=QUICK)
                found = await FairValues(rpc, ("INF", "jitoSOL"), sanctum=sanctum).read()
                await sanctum.aclose()
                inf = found.worths["INF"]
                assert list(found.worths) == ["INF", "jitoSOL"] and not found.missing
                assert (inf.value.worth, inf.value.units, inf.value.at, inf.value.source) == (1_407_837_461, 10**9, 77, "Sanctum's API")
                assert (inf.updated, inf.stale, inf.stake_fee) == (None, False, None)
                assert requests[0][0] == f"/v1/sol-value/current?lst={INF.mint}"
                alone = await FairValues(rpc, ("INF",)).read()
                assert "no API was given" in alone.missing["INF"]

    run(story)


@pytest.mark.parametrize("said", ["0", "-1", "1.5", "", "1e9", 1407837461, None, "9" * 21, "١"])
def test_a_value_of_sanctum_that_is_none_is_missing(said):
    async def story():
        with answers(json.dumps({"solValues": {str(INF.mint): said}, "errs": {str(INF.mint): "not supported"}})) as (url, _):
            sanctum = Sanctum(url, retry=QUICK)
            found = await sanctum.read([INF])
            await sanctum.aclose()
            assert not found.worths and "not supported" in found.missing["INF"]

    run(story)


@pytest.mark.parametrize("answer", [(503, "", {}), (200, "no JSON", {}), (200, "[]", {}), (200, '{"errs":{}}', {}), (429, "{}", {})])
def test_sanctum_out_of_order(answer):
    async def story():
        with answers(answer) as (url, _), world() as it:
            sanctum = Sanctum(url, retry=QUICK)
            with pytest.raises(VenueUnavailable):
                await sanctum.read([INF])
            async with Rpc(it.node.url, retry=QUICK) as rpc:
                with_pools(it)
                found = await FairValues(rpc, ("INF", "mSOL"), sanctum=sanctum).read()
                assert list(found.worths) == ["mSOL"] and set(found.missing) == {"INF"}
            await sanctum.aclose()

    run(story)


def test_tokens_are_known_named_once_and_of_nine_decimals():
    rpc = Rpc("http://127.0.0.1:9")
    for wrong in (("stSOL",), ("jitoSOL", "jitoSOL"), (StakingToken(Asset(f"t{n}", 9), ME) for n in range(100))):
        with pytest.raises(InvalidMarket):
            FairValues(rpc, tuple(wrong))
    FairValues(rpc, [StakingToken(Asset(f"t{n}", 9), ME) for n in range(99)])  # with the clock, as many as are told at once
    with pytest.raises(InvalidMarket, match="nine decimals"):
        StakingToken(Asset("odd", 6), ME)
    assert len({token.mint for token in STAKING_TOKENS.values()}) == len(STAKING_TOKENS) == 13
    assert World().chain.epoch > 900
