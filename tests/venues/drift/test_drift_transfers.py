"""Coins in, out and between sub-accounts over a socket: told when confirmed, refused whole, and to the unit."""

from __future__ import annotations

import anyio
import pytest
from drift_stand import BOTH, PER_SOL, PER_USD, check_books, of, run, told

from sleeves.errors import VenueRejected
from sleeves.facts import Shifted, Transferred, TransferRefused
from sleeves.money import BTC
from sleeves.testing.solana_server import Fault


def refused(venue):
    return [one.reason for one in of(told(venue), TransferRefused)]


@BOTH
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_first_deposit_opens_the_account_and_a_shift_its_sub_account(deployment, backend):
    async def story(s, venue):
        assert await venue.holdings() == {}
        assert await venue.balances() == {s.coin.code: s.coin.zero}
        paid = s.transfer("1000")
        await venue.rehearse(paid)
        assert s.wallet() == 1_000 * PER_USD, "a rehearsal moves nothing"
        await venue.transfer(paid)
        (said,) = told(venue)
        assert isinstance(said, Transferred)
        assert (said.id, said.amount) == (paid.id, s.usd("1000"))
        assert s.wallet() == 0
        assert s.coins() == 1_000 * PER_USD
        moved = s.transfer("250.000001", 0, 2)
        await venue.transfer(moved)
        (said,) = told(venue)
        assert isinstance(said, Shifted)
        assert (said.id, said.source, said.target, said.amount) == (moved.id, 0, 2, s.usd("250.000001"))
        held = await venue.holdings()
        assert sorted(held) == [0, 1, 2], "the program numbers them in order"
        assert held[2][s.coin.code].units in (250_000_001, 250_000_000)
        names = [s.server.look("User", s.user(sub))["name"].decode().strip() for sub in (0, 1, 2)]
        assert names == ["main", "engine 1", "engine 2"]
        out = s.transfer("-100")
        await venue.transfer(out)
        (said,) = told(venue)
        assert (said.id, said.amount) == (out.id, -s.usd("100"))
        assert s.wallet() == 100 * PER_USD
        await check_books(s, venue)

    run(story, backend, deployment=deployment, fund=False)


def test_the_same_id_again_moves_nothing():
    async def story(s, venue):
        one = s.transfer("10", 0, 1)
        await venue.transfer(one)
        sent = s.sent()
        await venue.transfer(one)
        assert s.sent() == sent

    run(story)


def test_what_is_not_there_is_refused_and_not_lent():
    """A shift of more than there is would become a debt at the program: it is never asked for."""

    async def story(s, venue):
        sent = s.sent()
        for one in (s.transfer("-701"), s.transfer("701", 0, 1), s.transfer("301", 1, 0), s.transfer("1"), s.transfer("1", 2, 0)):
            with pytest.raises(VenueRejected):
                await venue.rehearse(one)
            await venue.transfer(one)
        assert len(refused(venue)) == 5
        assert s.sent() == sent
        await check_books(s, venue)

    run(story)


def test_two_shifts_of_more_than_there_is_together_are_one_shift():
    """They go one after the other: what the first has taken, the second does not borrow."""

    async def story(s, venue):
        told(venue)
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(venue.transfer, s.transfer("400", 0, 1))
        events = told(venue)
        assert len(of(events, Shifted)) == len(of(events, TransferRefused)) == 1
        assert s.coins(0) in (300 * PER_USD, 300 * PER_USD - 1)
        await check_books(s, venue)

    run(story)


def test_a_coin_that_is_not_traded_here_is_not_moved():
    async def story(s, venue):
        with pytest.raises(VenueRejected, match="no coin that is moved here"):
            await venue.rehearse(s.transfer(BTC("1")))

    run(story)


def test_health_stays_at_80_where_contracts_are_held():
    async def story(s, venue):
        await venue.submit(s.buy(venue.instrument("SOL-PERP", 1), "4"))
        s.server.fill(s.user(1), 1)
        await venue.hear()
        told(venue)
        # 300 with 4 at 150: 30 of maintenance margin; 300 - 0.54 of losses; health 80 is at a collateral of 150
        with pytest.raises(VenueRejected, match="below 80"):
            await venue.rehearse(s.transfer("150", 1, 0))
        with pytest.raises(VenueRejected, match="below 80"):
            await venue.rehearse(s.transfer("160", 1, 0))
        await venue.transfer(s.transfer("140", 1, 0))
        assert len(of(told(venue), Shifted)) == 1
        s.server.stall("SOL-PERP")
        s.server.pass_time(600)
        with pytest.raises(VenueRejected, match="health is not known"):
            await venue.rehearse(s.transfer("1", 1, 0))
        await venue.rehearse(s.transfer("1", 0, 1))

    run(story)


def test_what_the_program_refuses_in_a_run_is_refused_by_its_name():
    async def story(s, venue):
        s.server.fails(6003, 1)
        with pytest.raises(VenueRejected, match=r"InsufficientCollateral \(6003\)"):
            await venue.rehearse(s.transfer("-1"))
        s.server.fails(6003, 1)
        sent = s.sent()
        await venue.transfer(s.transfer("-1"))
        assert "InsufficientCollateral" in refused(venue)[0]
        assert s.sent() == sent

    run(story)


def test_a_pause_is_refused_before_anything_is_sent():
    async def story(s, venue):
        s.server.pause(2)
        with pytest.raises(VenueRejected, match=r"withdrawals of .* are paused"):
            await venue.rehearse(s.transfer("-1"))
        s.server.pause(0)
        await venue.rehearse(s.transfer("-1"))

    run(story)


def test_coins_that_somebody_else_moves_are_told_too():
    async def story(s, venue):
        told(venue)
        s.server.gift(s.key.pubkey(), 1, 5 * PER_USD)
        s.server.advance()
        s.server.withdraw(s.key, 0, 7 * PER_USD)
        await venue.hear()
        said = of(told(venue), Transferred)
        assert [one.amount.units for one in said] == [5 * PER_USD, -7 * PER_USD]
        assert not any(one.id.startswith("by-hand") for one in said)
        await check_books(s, venue)

    run(story)


def test_interest_is_in_the_lines_to_the_unit():
    async def story(s, venue):
        s.server.withdraw(s.server.crowd, 0, 1, 0)
        s.server.pass_time(30 * 86_400)
        s.server.accrue()
        await venue.transfer(s.transfer("10", 0, 1))
        await check_books(s, venue)
        held = await venue.holdings()
        assert sum(held[sub][s.coin.code].units for sub in (0, 1)) >= 1_000 * PER_USD - 2

    run(story)


def test_a_transfer_costs_sol_of_the_wallet_and_no_coins():
    async def story(s, venue):
        before = s.chain.balance(s.key.pubkey())
        await venue.transfer(s.transfer("1", 0, 1))
        paid = before - s.chain.balance(s.key.pubkey())
        assert 5_000 <= paid <= PER_SOL // 1_000

    run(story)


# -- what goes wrong ----------------------------------------------------------------------------------------------------------------


def test_a_lost_answer_is_no_lost_transfer():
    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.lost())
        one = s.transfer("10", 0, 1)
        await venue.transfer(one)
        assert [fact.id for fact in of(told(venue), Shifted)] == [one.id]
        await check_books(s, venue)

    run(story)


def test_one_that_landed_with_an_error_is_no_success():
    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.fails())
        one, before = s.transfer("10", 0, 1), (s.coins(0), s.coins(1))
        await venue.transfer(one)
        events = told(venue)
        assert not of(events, Shifted)
        (said,) = of(events, TransferRefused)
        assert said.id == one.id
        assert "landed and failed" in said.reason
        assert (s.coins(0), s.coins(1)) == before
        assert not await venue.never_landed(one, said.at), "silence is no evidence, and this is not asked long enough"
        await check_books(s, venue)

    run(story)
