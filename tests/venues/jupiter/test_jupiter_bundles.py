"""How an order reaches the chain: as a bundle first where a tip is worth it, through the node after three tries, or by Jupiter itself."""

from __future__ import annotations

import anyio
import pytest
from jupiter_stand import PER_SOL, check_books, flat, of, run, told

from sleeves.errors import VenueUnavailable, VenueUnknown
from sleeves.facts import FlowKind
from sleeves.money import SOL
from sleeves.orders import Canceled, Fill, OrderStatus, Rejected
from sleeves.testing.solana_server import Fault

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
JITO = {"jito": True}


def tips(s):
    return sum(s.chain.balance(account) - PER_SOL for account in s.engine.tip_accounts)


# -- bundles -----------------------------------------------------------------------------------------------------------------


@both
def test_a_bundle_goes_first_and_its_tip_is_part_of_the_fee(backend):
    async def story(s, venue, market):
        before = s.holds()
        await venue.submit(s.buy(market, "1", worst="160"))
        (fill,) = of(told(venue), Fill)
        assert s.sent() == (0, 1) and tips(s) == 1_000
        assert s.jupiter.asked("build")[-1].query["forJitoBundle"] == "true"
        assert fill.fee == SOL.units(before[0] + fill.qty - s.holds()[0]) and 5_000 - 10_000 < fill.fee.units <= 6_100
        await check_books(s, venue, before)

    run(story, backend, driver=JITO)


TIPPED = [
    # expected profit of the order in quote units (USDC, at 150 a SOL), tip in lamports
    (15_000_000, 1_000_000),  # 0.1 SOL: a tenth is 10,000,000, capped at 0.001 SOL
    (150_000, 100_000),  # 0.001 SOL: a tenth of it
    (1_500, 1_000),  # 10,000 lamports: a tenth is the least
    (151, 1_000),  # 1,006 lamports: the least is still below the profit
]


@pytest.mark.parametrize(("expect", "tip"), TIPPED)
def test_the_tip_is_a_share_of_the_profit_that_is_expected(expect, tip):
    async def story(s, venue, market):
        await venue.submit(s.sell(market, "1", expect=expect))
        assert of(told(venue), Fill)
        assert s.sent() == (0, 1) and abs(tips(s) - tip) <= 1

    run(story, driver=JITO, pools={"Flat": flat(150)})


@pytest.mark.parametrize("expect", [149, 0, -5])
def test_a_tip_above_the_profit_is_refused_and_the_node_is_taken(expect):
    async def story(s, venue, market):
        await venue.submit(s.sell(market, "1", expect=expect))
        assert of(told(venue), Fill)
        assert s.sent() == (1, 0) and tips(s) == 0

    run(story, driver=JITO, pools={"Flat": flat(150)})


def test_a_cap_below_the_least_tip_sends_no_bundle():
    async def story(s, venue, market):
        await venue.submit(s.sell(market, "1"))
        await venue.submit(s.sell(market, "1", expect=10**9))
        assert len(of(told(venue), Fill)) == 2 and s.sent() == (2, 0)

    run(story, driver={**JITO, "most_tip": "0.000000999"})


def test_three_bundles_that_are_not_taken_and_then_the_node():
    async def story(s, venue, market):
        before = s.holds()
        s.engine.next.extend(["reject"] * 3)
        await venue.submit(s.buy(market, "1", worst="160"))
        (fill,) = of(told(venue), Fill)
        assert s.sent() == (1, 3) and fill.qty == PER_SOL
        await check_books(s, venue, before)

    run(story, driver=JITO)


def test_three_bundles_that_are_taken_and_never_land_and_then_the_node():
    async def story(s, venue, market):
        before = s.holds()
        s.engine.next.extend(["drop"] * 3)
        await venue.submit(s.buy(market, "1", worst="160"))
        assert len(of(told(venue), Fill)) == 1 and s.sent() == (1, 3)
        bundles = {call.params[0][0] for call in s.engine.asked("sendBundle")}
        sent = {call.params[0] for call in s.node.asked("sendTransaction")}
        assert bundles == sent and len(sent) == 1, "the same bytes each time: they land once"
        await check_books(s, venue, before)

    run(story, driver=JITO)


def test_a_bundle_that_lands_late_after_the_node_was_taken_lands_once():
    async def story(s, venue, market):
        before = s.holds()
        s.engine.next.extend([2, "drop", "drop"])
        await venue.submit(s.buy(market, "1", worst="160"))
        s.chain.advance(2)
        s.engine.look()
        assert len(of(told(venue), Fill)) == 1 and len(await venue.history(0)) == 1
        await check_books(s, venue, before)

    run(story, driver=JITO)


@pytest.mark.parametrize("fault", [Fault.lost(), Fault.after(Fault.status(502)), Fault.after(Fault.garbage())])
def test_a_bundle_whose_answer_is_lost_is_followed_and_not_sent_again_in_haste(fault):
    async def story(s, venue, market):
        s.engine.fault("sendBundle", fault)
        await venue.submit(s.buy(market, "1", worst="160"))
        assert len(of(told(venue), Fill)) == 1 and s.sent() == (0, 1)

    run(story, driver=JITO)


def test_an_engine_that_is_asked_too_often_is_left_for_the_node():
    async def story(s, venue, market):
        s.engine.fault("sendBundle", Fault.status(429), times=3)
        await venue.submit(s.buy(market, "1", worst="160"))
        assert len(of(told(venue), Fill)) == 1 and s.sent() == (1, 3)

    run(story, driver=JITO)


def test_an_engine_that_is_away_when_its_tip_accounts_are_asked_for_is_left_for_the_node():
    async def story(s, venue, market):
        s.engine.fault("getTipAccounts", Fault.status(503))
        await venue.submit(s.buy(market, "1", worst="160"))
        await venue.submit(s.buy(market, "1", worst="160"))
        assert len(of(told(venue), Fill)) == 2 and s.sent() == (1, 1), "the next one is a bundle again"

    run(story, driver=JITO)


def test_with_neither_engine_nor_node_nothing_was_sent():
    async def story(s, venue, market):
        before = s.holds()
        s.engine.next.extend(["reject"] * 9)
        s.node.fault("sendTransaction", Fault.status(429), times=9)
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await venue.submit(s.buy(market, "1", worst="160"))
        assert s.holds() == before

    run(story, driver=JITO)


def test_a_profit_in_a_coin_of_which_nobody_knows_the_price_sends_no_bundle():
    async def story(s, venue, market):
        venue._books.clear()
        await venue.submit(s.sell(market, "1", expect=10**9))
        assert of(told(venue), Fill) and s.sent() == (1, 0)

    run(story, driver=JITO)


# -- Jupiter sends it ----------------------------------------------------------------------------------------------------------

EXECUTE = {"route": "execute"}


@both
def test_by_jupiter_a_round_trip_is_booked_to_the_last_unit(backend):
    async def story(s, venue, market):
        before = s.holds()
        buy, sell = s.buy(market, "1", worst="160"), s.sell(market, "1")
        await venue.submit(buy)
        await venue.submit(sell)
        bought, sold = of(told(venue), Fill)
        assert (bought.order_id, bought.qty, sold.order_id, sold.qty) == (buy.id, PER_SOL, sell.id, PER_SOL)
        assert len(s.jupiter.asked("execute")) == 2 and s.sent() == (0, 0)
        assert before[1] - bought.cost + sold.cost == s.holds()[1]
        assert before[0] - bought.fee.units - sold.fee.units == s.holds()[0]
        assert list(await venue.history(0)) == [bought, sold]
        assert {call.query.get("excludeRouters") for call in s.jupiter.asked("order")} == {"jupiterz"}, "no market maker signs with us"
        async with s.driver(market, **EXECUTE) as other:
            assert [fill.order_id for fill in await other.history(0)] == [bought.trade_id, sold.trade_id], "no memo: nobody's"

    run(story, backend, driver=EXECUTE)


def test_by_jupiter_a_limit_keeps_its_bound():
    async def story(s, venue, market):
        before = s.holds()
        from sleeves.orders import TimeInForce

        await venue.submit(s.sell(market, "1", limit="150.1", tif=TimeInForce.IOC))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Canceled) and s.holds() == before
        await venue.submit(s.sell(market, "1", limit="149.9", tif=TimeInForce.IOC))
        assert of(told(venue), Fill)

    run(story, driver=EXECUTE, pools={"Flat": flat(150)})


@pytest.mark.parametrize("fault", [Fault.lost(), Fault.after(Fault.status(500)), Fault.after(Fault.garbage())])
def test_by_jupiter_an_answer_that_is_lost_is_followed(fault):
    async def story(s, venue, market):
        before = s.holds()
        s.jupiter.fault("execute", fault)
        await venue.submit(s.buy(market, "1", worst="160"))
        assert len(of(told(venue), Fill)) == 1
        assert summed_sol(await venue.cash_flows(0)) == s.holds()[0] - before[0]

    run(story, driver=EXECUTE)


def summed_sol(flows):
    return sum(line.amount.units for line in flows if line.amount.asset == SOL)


@pytest.mark.parametrize(
    ("answer", "by_node"),
    [
        ({"status": "Failed", "code": -1, "error": "Order not found"}, True),
        ({"status": "Failed", "code": -2003, "error": "Quote expired"}, True),
        ({"status": "Failed", "code": -1000, "error": "Failed to land"}, True),
    ],
)
def test_by_jupiter_what_it_did_not_send_goes_through_the_node(answer, by_node):
    async def story(s, venue, market):
        async def refuse(*_):
            return None

        s.jupiter.tamper["execute"] = lambda _: answer
        s.jupiter._orders.clear()
        s.chain.send, send = _fails_once(s.chain.send), s.chain.send
        await venue.submit(s.buy(market, "1", worst="160"))
        s.chain.send = send
        assert len(of(told(venue), Fill)) == 1 and (s.sent()[0] > 0) is by_node

    run(story, driver=EXECUTE)


def _fails_once(send):
    from sleeves.testing.solana_server import ChainError

    calls = [0]

    def wrapped(raw, **terms):
        calls[0] += 1
        if calls[0] == 1:
            raise ChainError(-32005, "away")
        return send(raw, **terms)

    return wrapped


@pytest.mark.parametrize(
    ("code", "said"), [(1, "Insufficient funds"), (2, "Insufficient SOL for gas"), (3, "Swap below minimum for gasless")]
)
def test_by_jupiter_what_it_makes_no_transaction_for_is_rejected(code, said):
    async def story(s, venue, market):
        before = s.holds()
        s.jupiter.tamper["order"] = lambda answer: {**answer, "transaction": "", "errorCode": code, "errorMessage": said, "error": said}
        order = s.buy(market, "1", worst="160")
        await venue.submit(order)
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and f"metis {code}: {said}" in event.reason
        assert (await venue.look_up(order)).status is OrderStatus.REJECTED
        assert not s.jupiter.asked("execute") and s.holds() == before

    run(story, driver=EXECUTE)


def test_by_jupiter_one_that_never_lands_is_unknown_until_it_can_land_no_more():
    async def story(s, venue, market):
        before = s.holds()
        s.jupiter.fault("execute", Fault.cut())
        s.node.fault("sendTransaction", Fault.dropped(), times=1_000)
        with pytest.raises(VenueUnknown):
            await venue.submit(s.buy(market, "1", worst="160"))
        s.chain.advance(400)
        with anyio.fail_after(5):
            while not (said := of(told(venue), Fill, Canceled, Rejected)):
                await anyio.sleep(0.01)
        assert isinstance(said[0], Rejected) and not said[0].reached and s.holds() == before
        assert not [line for line in await venue.cash_flows(0) if line.kind is FlowKind.FEE]

    run(story, driver={**EXECUTE, "confirm_within": 0.4})
