"""What happened to sub-accounts, over real sockets: facts and lines make what the chain has, to the unit, however they are read."""

from __future__ import annotations

import logging
from random import Random

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from past_stand import SOL, SUBS, USDC, Life, all_of, booked, check_whole, reading

from sleeves.errors import VenueUnavailable
from sleeves.facts import Bankrupted, FlowKind, FundingPaid, Liquidated, Settled, Shifted, Transferred
from sleeves.orders import Fill, Side
from sleeves.testing.drift_server import Coin, Perp, drift_server
from sleeves.venues.drift.account import look, positions
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.done import Reader
from sleeves.venues.drift.markets import Markets
from strategies import law

deployments = pytest.mark.parametrize("deployment", [DRIFT_V2, VELOCITY], ids=lambda one: one.name)


def of(facts, kind):
    return [fact for fact in facts if isinstance(fact, kind)]


@deployments
def test_a_life_is_told_as_the_chain_has_it(deployment):
    """Deposit, shift, open, funding, settle, close, withdraw, by hand and by note: nothing is missing and nothing is twice."""
    with drift_server(deployment, perps=[Perp("SOL-PERP", "150"), Perp("BTC-PERP", "60000")]) as drift:
        life = Life(drift)
        drift.open(life.key)
        drift.open(life.key, 1, "trend")
        drift.deposit(life.key, 0, 5_000 * USDC)
        life.shift(0, 1, 2_000 * USDC, "w-transfer-1:1")
        drift.gift(life.key.pubkey(), 0, 7 * USDC)
        life.trade(1, 10 * SOL, long=True, order_id="trend-1")
        life.trade(1, 4 * SOL, long=False, order_id="trend-2")
        life.trade(0, SOL, long=False)
        drift.pass_time(3_600)
        drift.fund("SOL-PERP", 20_000_000)
        drift.price("SOL-PERP", "151")
        life.trade(1, SOL, long=True)
        drift.settle(life.user(1), "SOL-PERP", life.key)
        life.trade(1, 7 * SOL, long=False)
        drift.settle(life.user(1), "SOL-PERP", life.key)
        life.shift(1, 0, 500 * USDC)
        drift.withdraw(life.key, 0, 100 * USDC)

        facts, lines = anyio.run(check_whole, life)
        drift.check()
        fills = of(facts, Fill)
        assert [(fill.order_id, fill.side, fill.qty) for fill in fills] == [
            ("trend-1", Side.BUY, 10 * SOL),
            ("trend-2", Side.SELL, 4 * SOL),
            ("0/1", Side.SELL, SOL),
            ("1/3", Side.BUY, SOL),
            ("1/4", Side.SELL, 7 * SOL),
        ]
        assert {fill.instrument.symbol for fill in fills} == {"SOL-PERP:0", "SOL-PERP:1"}
        shifts = of(facts, Shifted)
        assert [(one.source, one.target, one.amount.units) for one in shifts] == [(0, 1, 2_000 * USDC), (1, 0, 500 * USDC)]
        assert shifts[0].id == "w-transfer-1:1" and shifts[1].id != ""
        assert [one.amount.units for one in of(facts, Transferred)] == [5_000 * USDC, 7 * USDC, -100 * USDC]
        paid = of(facts, FundingPaid)
        assert [(one.qty, one.amount) for one in paid] == [(6 * SOL, -120_000)]
        # 0.02 quote coins on a coin of 151 (the last price that a transaction of ours told): 132,450 ppb of notional for one hour
        assert paid[0].rate.rate_ppb == 132_450 and paid[0].rate.every == 3_600 * 10**9
        assert len([one for one in of(facts, Settled) if one.amount]) == 2
        assert {line.kind for line in lines} <= {
            FlowKind.DEPOSIT,
            FlowKind.WITHDRAWAL,
            FlowKind.SETTLEMENT,
            FlowKind.INTEREST,
        }


@deployments
def test_interest_is_told_by_the_transactions_that_name_the_coin(deployment):
    """A deposit earns while somebody borrows: lines and what is not told yet make what lies there, at each step."""
    with drift_server(deployment, coins=[Coin("SOL", 9)]) as drift:
        life = Life(drift)
        drift.open(life.key)
        drift.open(life.key, 1)
        drift.deposit(life.key, 0, 4_000 * USDC)
        life.shift(0, 1, 1_000 * USDC + 1)
        other = drift.wallet()
        drift.mint(other.pubkey(), 100 * SOL, 1)
        drift.open(other)
        drift.deposit(other, 0, 100 * SOL, 1)
        drift.withdraw(other, 0, 5_000 * USDC, reduce_only=False)
        for days in (1, 30, 200):
            drift.pass_time(days * 86_400)
            drift.publish()
            drift.accrue()
            anyio.run(check_whole, life)
            drift.deposit(life.key, 0, 3 * USDC)
            _, lines = anyio.run(check_whole, life)
            life.shift(1, 0, 77_777)
            _, lines = anyio.run(check_whole, life)
        interest = [line for line in lines if line.kind is FlowKind.INTEREST and line.amount.units > 5]
        assert {line.account for line in interest} == {0, 1}
        drift.check()


@deployments
def test_every_instant_tells_the_same(deployment):
    """From whichever instant it is asked, by a new process each time: the same facts and lines, with the same content."""
    with drift_server(deployment, coins=[Coin("SOL", 9)]) as drift:
        life = Life(drift)
        drift.open(life.key)
        drift.open(life.key, 1)
        drift.deposit(life.key, 0, 3_000 * USDC)
        drift.pass_time(5_000)
        life.shift(0, 1, 1_500 * USDC)
        number = life.place("trend-1", 1, "SOL-PERP", 10 * SOL, 149 * USDC, long=True, post_only=True)
        for _ in range(3):
            drift.pass_time(90_000)
            drift.publish()
            drift.fund("SOL-PERP", -15_000_000)
            drift.fill(life.user(1), number, 2 * SOL)
            drift.deposit(life.key, 1, 11)
        facts, lines = anyio.run(check_whole, life)
        assert [fill.order_id for fill in of(facts, Fill)] == ["trend-1"] * 3
        for since in sorted({fact.at for fact in facts} | {fact.at + 1 for fact in facts}):
            told, flows = anyio.run(all_of, life, since)
            assert told == [fact for fact in facts if fact.at >= since]
            assert flows == [line for line in lines if line.at >= since]


@deployments
def test_a_position_that_is_closed_by_force_and_a_loss_that_others_bear(deployment):
    with drift_server(deployment) as drift:
        life = Life(drift)
        drift.open(life.key)
        drift.deposit(life.key, 0, 200 * USDC)
        life.trade(0, 10 * SOL, long=True)
        drift.price("SOL-PERP", "136")
        drift.advance(100)
        drift.publish()
        drift.liquidate(life.user(0), "SOL-PERP", SOL)
        facts, _ = anyio.run(check_whole, life)
        forced = of(facts, Liquidated)
        assert [one.change for one in forced] == [-SOL] and not [one for one in of(facts, Fill) if one.side is Side.SELL]
        drift.price("SOL-PERP", "125")
        for _ in range(10):
            drift.advance(200)
            drift.publish()
            if not drift.position(life.user(0), "SOL-PERP")["base_asset_amount"]:
                break
            drift.liquidate(life.user(0), "SOL-PERP")
        drift.liquidate_pnl(life.user(0), "SOL-PERP")
        facts, lines = anyio.run(check_whole, life)
        paid = [one for one in of(facts, Settled) if one.amount < 0]
        assert len(paid) == 1 and sum(line.amount.units for line in lines) == 0
        drift.bankrupt(life.user(0), "SOL-PERP")
        facts, _ = anyio.run(check_whole, life)
        assert len(of(facts, Bankrupted)) == 1
        drift.check()


@deployments
def test_what_was_told_is_not_told_again_and_an_order_is_found(deployment):
    with drift_server(deployment) as drift:
        life = Life(drift)
        drift.open(life.key)
        drift.deposit(life.key, 0, 1_000 * USDC)

        async def story():
            async with reading(life) as (_, past):
                first = await past.news(0)
                assert [type(one).__name__ for one in first] == ["Transferred"]
                assert await past.news(0) == []
                number = life.place("trend-1", 0, "SOL-PERP", 2 * SOL, 140 * USDC, long=True)
                assert [type(one).__name__ for one in await past.news(0)] == ["Accepted"]
                seen = await past.order("trend-1", drift.clock())
                assert (seen.sub, seen.number, seen.base, seen.filled, seen.status.value) == (0, number, 2 * SOL, 0, "open")
                assert past.name_of(0, number) == "trend-1"
                drift.fill(life.user(0), number, SOL, 139 * USDC)
                drift.cancel(life.key, 0, number)
                assert [type(one).__name__ for one in await past.news(0)] == ["Fill", "Canceled"]
                seen = await past.order("trend-1", drift.clock())
                assert (seen.filled, seen.status.value) == (SOL, "canceled")
                assert await past.order("trend-2", drift.clock()) is None

        anyio.run(story)
        anyio.run(story_of_a_keeper, life)
        anyio.run(check_whole, life)


async def story_of_a_keeper(life):
    """An order past its time is taken off by a keeper, who is paid by the position."""
    drift = life.drift
    number = life.place("trend-9", 0, "SOL-PERP", SOL, 120 * USDC, long=True, expires=drift.now + 100)
    drift.pass_time(200)
    drift.publish()
    drift.match()
    async with reading(life) as (_, past):
        await past.news(0)
        seen = await past.order("trend-9", drift.clock())
        assert (seen.number, seen.status.value, seen.reason) == (number, "canceled", "order expired")


class Lived(tuple):
    """A life, whose text is short."""

    def __repr__(self):
        return "a life"


@pytest.fixture(scope="module")
def a_life():
    """The records of a life, the facts that they are, and what the chain has in the end."""
    with drift_server() as drift:
        life = Life(drift)
        drift.open(life.key)
        drift.open(life.key, 1)
        drift.deposit(life.key, 0, 3_000 * USDC)
        life.shift(0, 1, 2_000 * USDC)
        life.trade(1, 10 * SOL, long=True, order_id="trend-1")
        drift.pass_time(3_600)
        drift.fund("SOL-PERP", 20_000_000)
        number = drift.order(life.key, 1, "SOL-PERP", 6 * SOL, long=False)
        drift.fill(life.user(1), number, 2 * SOL)
        drift.fill(life.user(1), number, 3 * SOL)
        drift.cancel(life.key, 1, number)
        drift.settle(life.user(1), "SOL-PERP", life.key)
        life.shift(1, 0, 500 * USDC)
        drift.withdraw(life.key, 0, 100 * USDC)

        async def read():
            async with reading(life) as (rpc, past):
                await past.news(0)
                return past._trail.records, list(await past.history(0)), await look(rpc, drift.deployment, life.owner, SUBS, [0])

        records, facts, seen = anyio.run(read)
        return Lived((life, records, facts, seen))


@law
@given(st.integers(0, 1_000), st.integers(0, 1_000), st.sampled_from(["drop", "again", "mix"]))
def test_a_log_that_is_not_as_it_was_gives_no_wrong_fact_in_silence(a_life, place, one, how):
    """Lines of one log left out, told twice or mixed: it raises, or says so, or the chain does not have it, or it is the same."""
    life, records, facts, seen = a_life
    place %= len(records)
    events = records[place].events
    one %= len(events)
    mixed = list(events)
    Random(one).shuffle(mixed)
    changed = {"drop": events[:one] + events[one + 1 :], "again": events[: one + 1] + events[one:], "mix": tuple(mixed)}[how]
    terms = Markets(life.drift.deployment)
    for market in [*seen.spots.values(), *seen.perps.values()]:
        terms.add(market)
    reader = Reader(life.drift.deployment, terms, life.owner, SUBS)
    said = []
    listener = logging.Handler(logging.CRITICAL)
    listener.emit = said.append
    log = logging.getLogger("sleeves.venues.drift")
    log.addHandler(listener)
    told = []
    try:
        for number, record in enumerate(records):
            told += reader.read(evolve(record, events=changed) if number == place else record).facts
        for user in seen.users.values():
            reader.ledger.unbooked(user, seen.spots[0])
    except (VenueUnavailable, KeyError):
        return
    finally:
        log.removeHandler(listener)
    there = {symbol: (one.qty, one.money) for symbol, one in positions(seen, terms).items()}
    if said or reader.doubt >= 0 or booked(told) != there:
        return
    bare = [
        sorted(repr(evolve(fact, **({"trade_id": ""} if isinstance(fact, Fill) else {"id": ""}))) for fact in one) for one in (told, facts)
    ]
    assert bare[0] == bare[1]
