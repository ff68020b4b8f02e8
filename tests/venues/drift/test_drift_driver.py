"""The driver over a socket, against a stand-in for the program: opening, prices, orders, cancels, settlement, delegates."""

from __future__ import annotations

import anyio
import pytest
from attrs import evolve
from drift_stand import BOTH, PER_SOL, check_books, of, run, stand, told
from solders.keypair import Keypair

from sleeves.errors import InvalidMarket, VenueRejected, VenueUnavailable
from sleeves.facts import FundingPaid, Settled, TransferRefused
from sleeves.keys import Secret
from sleeves.market import FundingRate, Instrument, Quote
from sleeves.money import SOL, USDT
from sleeves.orders import Accepted, Canceled, Fill, OrderStatus, Rejected, Side, TimeInForce
from sleeves.testing.drift_server import Perp
from sleeves.venues.drift.accounts import WrongAccount
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.driver import FROZEN, Drift
from sleeves.venues.drift.words import MarketStatus
from sleeves.venues.solana import Signer

HOUR = 3_600


# -- opening -------------------------------------------------------------------------------------------------------------------


def opened(s, **terms):
    async def main():
        async with s.driver(**terms) as venue:
            return list(venue.instruments)

    return anyio.run(main)


@BOTH
def test_it_opens_on_an_exchange_that_is_as_declared(deployment):
    with stand(deployment) as s:
        symbols = [one.symbol for one in opened(s)]
    assert symbols == ["SOL-PERP:0", "SOL-PERP:1", "SOL-PERP:2"]


def test_a_market_that_is_not_there_is_told_with_those_that_are():
    with stand() as s, pytest.raises(InvalidMarket, match="no market 'DOGE-PERP'; it has SOL-PERP"):
        opened(s, markets=("DOGE-PERP",))


def opened_as(s, deployment):
    """As if it had been declared to be another."""
    venue = s.driver()
    venue.deployment = deployment
    anyio.run(venue.aopen)


def test_another_quote_coin_ends_it():
    other = evolve(VELOCITY, quote=evolve(VELOCITY.quote, mint=DRIFT_V2.quote.mint))
    with stand() as s, pytest.raises(WrongAccount, match=r"has the mint Es9v.*, and USDT is EPj"):
        opened_as(s, other)


def test_another_program_there_ends_it():
    with (
        stand(DRIFT_V2) as s,
        pytest.raises(WrongAccount, match=r"the program vELo\w* of velocity is not on this node: is it another cluster"),
    ):
        opened_as(s, VELOCITY)


def test_nothing_works_before_it_is_open():
    with stand() as s:
        venue = s.driver()
        with pytest.raises(VenueUnavailable, match="not open"):
            _ = venue.instruments
        with pytest.raises(VenueUnavailable, match="not open"):
            anyio.run(venue.balances)


@pytest.mark.parametrize(
    "terms",
    [
        {"accounts": ()},
        {"accounts": (0, 70_000)},
        {"accounts": 3},
        {"accounts": "0"},
        {"accounts": (0, 0)},
        {"accounts": (1,)},
        {"accounts": (0, True)},
        {"accounts": (0, 1.5)},
        {"accounts": (0, -1)},
        {"accounts": True},
        {"markets": ()},
        {"markets": ("SOL-PERP", 1)},
        {"markets": None},
        {"genesis": None},
        {"poll_s": 0},
        {"resend_s": None},
        {"settle_above": "-1"},
        {"tip": "-0.1"},
        {"most_fee": "a lot"},
        {"slippage_bps": 10_000},
        {"least_health": 101},
        {"auction_slots": 0},
        {"last_s": 9},
        {"confirm_within": 0},
        {"name": "elsewhere"},
    ],
)
def test_terms_that_cannot_be_are_refused(terms):
    with stand() as s, pytest.raises(InvalidMarket):
        s.driver(**terms)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"markets": "SOL-PERP"}, "markets 'SOL-PERP' must be names of perpetuals"),
        ({"accounts": (0, 0)}, r"accounts \(0, 0\) must be distinct whole numbers from 0"),
        ({"most_fee": "0.000004999"}, "most_fee '0.000004999' must be at least 0.000005 SOL"),
        ({"most_fee": "0.0000000001"}, "most_fee '0.0000000001' must be an amount of SOL"),
    ],
)
def test_a_refusal_of_terms_names_value_and_rule(terms, said):
    with stand() as s, pytest.raises(InvalidMarket, match=said):
        s.driver(**terms)


def test_terms_at_their_least_are_taken():
    with stand() as s:
        venue = s.driver(most_fee="0.000005", tip=0, settle_above="0", accounts=[1, 0], markets=["SOL-PERP"], least_health=0)
        assert venue.accounts == (0, 1)


def test_a_deployment_is_a_deployment():
    with stand() as s, pytest.raises(InvalidMarket, match="the deployment 'velocity' must be a Deployment"):
        Drift(s.rpc(), "velocity", Signer(Secret(str(s.key))))


@pytest.mark.parametrize(
    ("accounts", "made", "lacks"), [((0, 1), 0, ""), ((0, 2), 0, "1"), ((0, 2), 1, "1"), ((0, 2), 2, ""), ((0, 4), 2, "2, 3")]
)
def test_a_sub_account_is_made_after_those_below_it(accounts, made, lacks):
    with stand() as s:
        for sub in range(made):
            s.server.open(s.key, sub)
        if not lacks:
            assert len(opened(s, accounts=accounts)) == 2
            return
        with pytest.raises(InvalidMarket, match=f"made in turn, and .* lack {lacks}$"):
            opened(s, accounts=accounts)


def test_a_delegates_authority_has_an_account():
    owner = Keypair()
    with stand() as s:
        with pytest.raises(WrongAccount, match="has no account at velocity"):
            opened(s, authority=str(owner.pubkey()))
        assert opened(s, authority=str(s.key.pubkey()))


def test_the_chain_begins_as_was_asked_for():
    with stand() as s:
        first = anyio.run(genesis_of, s)
        assert opened(s, genesis=first)
        with pytest.raises(WrongAccount, match=r"begins with .* was asked for: it is another cluster"):
            opened(s, genesis="5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d")


async def genesis_of(s):
    async with s.rpc() as rpc:
        return await rpc.call("getGenesisHash")


def test_a_wallet_without_sol_is_told_so():
    async def story(s, venue):
        s.chain.set_account(s.key.pubkey(), lamports=0)
        one = s.transfer("10", 0, 1)
        await venue.transfer(one)
        await venue.submit(s.buy(venue.instrument("SOL-PERP", 1), "1"))
        said = [one.reason for one in of(told(venue), TransferRefused, Rejected)]
        assert len(said) == 2
        assert all("the wallet holds 0 SOL, and a transaction costs" in one for one in said), said

    run(story)


def test_its_repr_shows_no_key():
    with stand() as s:
        shown = repr(s.driver())
        assert str(s.key) not in shown
        assert "velocity" in shown


# -- prices ----------------------------------------------------------------------------------------------------------------------


def test_a_quote_is_the_oracles_price_with_its_doubt_and_a_spread():
    async def story(s, venue):
        await venue.refresh()
        quotes = {one.instrument.symbol: one for one in of(told(venue), Quote)}
        assert sorted(quotes) == ["SOL-PERP:0", "SOL-PERP:1", "SOL-PERP:2"]
        one = quotes["SOL-PERP:1"]
        # 150 less a 10,000th of confidence and 5 basis points: 150 - 0.015 - 0.075
        assert (one.instrument.price_text(one.bid), one.instrument.price_text(one.ask)) == ("149.91", "150.09")

    run(story, fund=False)


def test_a_funding_rate_is_a_ratio_and_told_once():
    async def story(s, venue):
        s.server.pass_time(HOUR)
        s.server.fund("SOL-PERP", 15_000_000)  # 0.015 USD per SOL at 150 USD: a ten-thousandth
        await venue.refresh()
        rate = of(told(venue), FundingRate)[0]
        assert (rate.rate_ppb, rate.every) == (100_000, HOUR * 10**9)
        await venue.refresh()
        assert not of(told(venue), FundingRate)

    run(story, fund=False)


@pytest.mark.parametrize("rate", [30_000_000, -30_000_000])
@pytest.mark.parametrize("fees", [0, 10_000 * 10**6])
def test_the_funding_rate_is_what_a_short_gets_or_pays(rate, fees):
    """Where the market's pool cannot pay all, the program gives the side that receives less: what engines are told is the short's."""

    async def story(s, venue):
        await venue.submit(s.sell(venue.instrument("SOL-PERP", 1), "4"))
        s.server.match()
        s.server.pass_time(HOUR)
        s.server.fund("SOL-PERP", rate)
        await venue.refresh()
        told_rate = of(told(venue), FundingRate)[0].rate_ppb
        s.server.settle(s.user(1), "SOL-PERP")
        await venue.hear()
        (paid,) = of(told(venue), FundingPaid)
        market = (await venue.look()).perps[0]
        assert abs(paid.amount * 10**9 - told_rate * 4 * 150 * 10**6) <= 4 * 150 * 10**6 + 10**9, (paid, told_rate)
        assert (market.last_funding_rate, paid.amount > 0) == (rate, rate > 0)
        whole = abs(told_rate) == 200_000
        assert whole is (rate < 0 or bool(fees)), "a short that pays, pays all; one that receives, what there is"

    run(story, perps=[Perp("SOL-PERP", "150", fees=fees)])


def test_an_oracle_that_is_too_old_makes_no_quote_and_takes_no_order():
    async def story(s, venue):
        s.server.stall("SOL-PERP")
        s.server.pass_time(600)
        told(venue)
        await venue.refresh()
        assert not of(told(venue), Quote)
        order = s.buy(venue.instrument("SOL-PERP", 1), "1")
        await venue.submit(order)
        (said,) = of(told(venue), Rejected)
        assert "too old" in said.reason
        assert not s.lying(1)

    run(story)


# -- orders ------------------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_order_at_market_is_placed_and_filled_by_a_keeper_later(deployment, backend):
    async def story(s, venue):
        sol = venue.instrument("SOL-PERP", 1)
        order = s.buy(sol, "1")
        await venue.submit(order)
        assert [one.order_id for one in of(told(venue), Accepted)] == [order.id]
        assert s.lying(1) == [1]
        (lying,) = await venue.open_orders()
        assert (lying.order_id, lying.status, lying.venue_id) == (order.id, OrderStatus.OPEN, "1/1")
        assert not s.lying(0), "the other sub-account has nothing of it"
        s.server.fill(s.user(1), 1, 4 * PER_SOL // 10)
        await venue.hear()
        assert [(one.order_id, one.qty) for one in of(told(venue), Fill)] == [(order.id, 4 * PER_SOL // 10)]
        assert (await venue.look_up(order)).filled == 4 * PER_SOL // 10
        s.server.fill(s.user(1), 1)
        await venue.hear()
        fills = of(told(venue), Fill)
        assert [one.qty for one in fills] == [6 * PER_SOL // 10]
        assert (await venue.look_up(order)).status is OrderStatus.FILLED
        assert await venue.open_orders() == []
        assert (await venue.positions())[sol.symbol].qty == PER_SOL
        history = await check_books(s, venue)
        assert len([one for one in history if isinstance(one, Fill)]) == 2

    run(story, backend, deployment=deployment)


def test_the_same_id_again_does_nothing():
    async def story(s, venue):
        order = s.buy(venue.instrument("SOL-PERP", 1), "1")
        await venue.submit(order)
        sent = s.sent()
        await venue.submit(order)
        assert s.sent() == sent
        assert s.lying(1) == [1]

    run(story)


def test_two_orders_at_once_are_two_orders():
    async def story(s, venue):
        sol = venue.instrument("SOL-PERP", 1)
        orders = [s.buy(sol, "1", limit="140"), s.sell(sol, "1", limit="160"), s.buy(venue.instrument("SOL-PERP", 0), "1", limit="141")]
        async with anyio.create_task_group() as tasks:
            for order in orders:
                tasks.start_soon(venue.submit, order)
        assert sorted(one.order_id for one in of(told(venue), Accepted)) == sorted(one.id for one in orders)
        assert len(s.lying(1)) == 2
        assert len(s.lying(0)) == 1
        assert {one.order_id for one in await venue.open_orders()} == {one.id for one in orders}

    run(story)


def test_a_limit_rests_and_is_canceled_by_its_number():
    async def story(s, venue):
        sol = venue.instrument("SOL-PERP", 1)
        one, other = s.buy(sol, "1", limit="140"), s.buy(sol, "2", limit="139")
        await venue.submit(one)
        await venue.submit(other)
        await venue.cancel(one)
        assert [said.order_id for said in of(told(venue), Canceled)] == [one.id]
        assert s.lying(1) == [2]
        assert (await venue.look_up(one)).status is OrderStatus.CANCELED
        sent = s.sent()
        await venue.cancel(one)
        await venue.cancel(s.buy(sol, "1"))
        assert s.sent() == sent, "what is done, and what nobody knows, is passed over"
        await check_books(s, venue)

    run(story)


def test_post_only_that_would_take_is_rejected_and_one_that_rests_is_placed():
    async def story(s, venue):
        sol = venue.instrument("SOL-PERP", 1)
        crossing = s.buy(sol, "1", limit="160", post_only=True)
        await venue.submit(crossing)
        (said,) = of(told(venue), Rejected)
        assert "PlacePostOnlyLimitFailure" in said.reason
        await venue.submit(s.buy(sol, "1", limit="140", post_only=True))
        assert len(s.lying(1)) == 1
        assert s.server.orders(s.user(1))[0]["post_only"] == 1

    run(story)


def test_what_its_margin_does_not_carry_is_rejected_before_it_is_sent():
    async def story(s, venue):
        sent = s.sent()
        order = s.buy(venue.instrument("SOL-PERP", 1), "1000")
        await venue.submit(order)
        (said,) = of(told(venue), Rejected)
        assert "InsufficientCollateral (6003)" in said.reason
        assert s.sent() == sent
        assert (await venue.look_up(order)).status is OrderStatus.REJECTED

    run(story)


def test_a_position_is_closed_to_the_unit_reduce_only():
    async def story(s, venue):
        sol = venue.instrument("SOL-PERP", 1)
        await venue.submit(s.buy(sol, "1.23"))
        s.server.match()
        await venue.submit(s.sell(sol, "1.23", reduce_only=True))
        assert s.server.orders(s.user(1))[0]["reduce_only"] == 1
        s.server.match()
        await venue.hear()
        assert s.position(1)[0] == 0
        told(venue)
        await venue.submit(s.sell(sol, "0.01", reduce_only=True))
        (said,) = of(told(venue), Rejected)
        assert "no position" in said.reason
        await check_books(s, venue)

    run(story)


def test_immediate_or_cancel_never_rests_beyond_its_time():
    async def story(s, venue):
        sol = venue.instrument("SOL-PERP", 1)
        order = s.buy(sol, "1", limit="140", tif=TimeInForce.IOC)
        await venue.submit(order)
        await venue.sweep()
        assert s.lying(1) == [1], "its time is not over"
        s.server.pass_time(72)
        await venue.sweep()
        assert not s.lying(1)
        (said,) = of(told(venue), Canceled)
        assert said.order_id == order.id
        await check_books(s, venue)

    run(story)


def test_orders_of_the_owners_own_hand_are_told_and_left_alone():
    async def story(s, venue):
        number = s.server.order(s.key, 1, "SOL-PERP", PER_SOL, 140_000_000, long=True)
        (lying,) = await venue.open_orders()
        assert lying.order_id == f"1/{number}"
        s.server.order(s.key, 1, "SOL-PERP", PER_SOL, 0, long=True, expires=s.server.now + 12)
        s.server.pass_time(60)
        await venue.sweep()
        assert len(s.lying(1)) == 2, "it takes off what is ours, and nothing else"

    run(story)


@pytest.mark.parametrize(
    ("terms", "said"), [({"tif": TimeInForce.FOK}, "fill or kill"), ({"stop": 1_400_000}, "stop"), ({"qty": "0.015"}, "steps")]
)
def test_what_has_no_form_here_is_rejected_and_not_sent(terms, said):
    async def story(s, venue):
        sol, sent = venue.instrument("SOL-PERP", 1), s.sent()
        order = s.buy(sol, "1", **{key: value for key, value in terms.items() if key != "qty"})
        if "qty" in terms:
            order = evolve(order, place=evolve(order.place, qty=15 * PER_SOL // 1_000))
        await venue.submit(order)
        assert said in of(told(venue), Rejected)[0].reason
        assert s.sent() == sent

    run(story)


def test_another_market_and_another_sub_account_are_rejected():
    async def story(s, venue):
        sol = venue.instrument("SOL-PERP", 1)
        for symbol in ("SOL-PERP:7", "BTC-PERP:1", "SOL-PERP"):
            strange = Instrument(
                symbol, base=SOL, quote=USDT, tick=sol.tick, lot=sol.lot, kind=sol.kind, venue="velocity", contract=sol.contract
            )
            await venue.submit(s.buy(strange, "1"))
        said = of(told(venue), Rejected)
        assert len(said) == 3
        assert not any(one.reached for one in said)
        with pytest.raises(VenueRejected):
            await venue.settle(strange)

    run(story)


def test_a_sub_account_that_does_not_exist_takes_no_order():
    async def story(s, venue):
        await venue.submit(s.buy(venue.instrument("SOL-PERP", 2), "1"))
        assert "does not exist" in of(told(venue), Rejected)[0].reason

    run(story)


@pytest.mark.parametrize("status", [MarketStatus.REDUCE_ONLY, MarketStatus.SETTLEMENT])
def test_a_market_that_winds_down_takes_no_new_risk(status):
    async def story(s, venue):
        s.server.status("SOL-PERP", status)
        await venue.submit(s.buy(venue.instrument("SOL-PERP", 1), "1"))
        assert of(told(venue), Rejected)

    run(story)


# -- settling --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "settles"), [("150.00", False), ("155", True), ("145", True)])
def test_profit_and_loss_above_a_dollar_are_settled_by_the_chain_and_less_is_answered_with_nothing(price, settles):
    async def story(s, venue):
        sol = venue.instrument("SOL-PERP", 1)
        await venue.submit(s.buy(sol, "1"))
        s.server.fill(s.user(1), 1)
        s.server.price("SOL-PERP", price)
        s.server.advance()
        await venue.hear()
        told(venue)
        before, sent = s.coins(1), s.sent()
        await venue.settle(sol)
        (said,) = of(told(venue), Settled)
        assert said.instrument == sol
        assert (said.amount != 0) is settles is (s.sent() > sent)
        moved = s.coins(1) - before
        assert abs(moved - said.amount) <= 1
        await check_books(s, venue)

    run(story)


def test_settling_where_nothing_is_held_is_answered_with_nothing():
    async def story(s, venue):
        for account in (0, 2):
            await venue.settle(venue.instrument("SOL-PERP", account))
        assert [one.amount for one in of(told(venue), Settled)] == [0, 0]

    run(story)


# -- a delegate, and a frozen exchange -------------------------------------------------------------------------------------------------


def test_a_delegate_trades_and_moves_no_coins():
    async def story(s, venue):
        helper = Keypair()
        s.chain.airdrop(helper.pubkey(), PER_SOL)
        for sub in (0, 1):
            s.server.set("User", s.user(sub), delegate=str(helper.pubkey()))
        async with s.driver(key=helper, authority=str(s.key.pubkey())) as other:
            assert other.delegated
            sol = other.instrument("SOL-PERP", 1)
            order, resting = s.buy(sol, "1"), s.buy(sol, "1", limit="140")
            await other.submit(order)
            await other.submit(resting)
            s.server.fill(s.user(1), 1)
            await other.hear()
            events = told(other)
            assert [one.order_id for one in of(events, Fill)] == [order.id]
            await other.cancel(resting)
            assert [one.order_id for one in of(told(other), Canceled)] == [resting.id]
            sent = s.sent()
            for transfer in (s.transfer("-1"), s.transfer("1", 0, 1)):
                await other.transfer(transfer)
                with pytest.raises(VenueRejected, match="delegate"):
                    await other.rehearse(transfer)
            assert len(of(told(other), TransferRefused)) == 2
            assert s.sent() == sent

    run(story)


def test_a_key_that_is_nobodys_delegate_does_not_open():
    async def story(s, venue):
        stranger = Keypair()
        with pytest.raises(WrongAccount, match="has the delegate none"):
            async with s.driver(key=stranger, authority=str(s.key.pubkey())):
                pass

    run(story)


def test_drift_v2_is_read_and_trades_only_where_that_is_said():
    async def story(s, venue):
        async with s.driver(trade_frozen=False) as frozen:
            assert (await frozen.balances())["USDC"].units == sum(map(s.coins, (0, 1)))
            sent = s.sent()
            order = s.buy(frozen.instrument("SOL-PERP", 1), "1")
            await frozen.submit(order)
            await frozen.transfer(s.transfer("-1"))
            events = told(frozen)
            assert [one.reason for one in of(events, Rejected, TransferRefused)] == [FROZEN["drift"]] * 2
            assert s.sent() == sent

    run(story, deployment=DRIFT_V2)


def test_several_markets_and_sub_accounts_do_not_mix():
    async def story(s, venue):
        await venue.submit(s.buy(venue.instrument("BTC-PERP", 0), "0.01"))
        await venue.submit(s.sell(venue.instrument("SOL-PERP", 1), "2"))
        s.server.match()
        await venue.hear()
        found = {symbol: one.qty for symbol, one in (await venue.positions()).items()}
        assert found == {"BTC-PERP:0": PER_SOL // 100, "SOL-PERP:1": -2 * PER_SOL}
        fills = {one.instrument.symbol: one.side for one in of(told(venue), Fill)}
        assert fills == {"BTC-PERP:0": Side.BUY, "SOL-PERP:1": Side.SELL}
        await check_books(s, venue)

    run(story, perps=[Perp("SOL-PERP", "150"), Perp("BTC-PERP", "60000")], driver={"markets": ("SOL-PERP", "BTC-PERP")})
