"""A node that is away at the worst moment, a router that is careless or worse, an engine that names its own pocket: the desk lives on.

What was sent is followed to its end whatever goes wrong on the way; whose a fill is, we say and nobody else; and no order is freed
by silence.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode

import anyio
import pytest
from jupiter_stand import PER_SOL, check_books, flat, meanwhile, of, run, stand, told
from solders.message import MessageV0
from solders.transaction import VersionedTransaction
from test_jupiter_guarded import rebuilt, shown

from sleeves.errors import VenueUnavailable, VenueUnknown
from sleeves.orders import Canceled, Fill, OrderStatus, Rejected, TimeInForce
from sleeves.testing.jupiter_server import WSOL
from sleeves.testing.solana_server import Chain, Fault
from sleeves.testing.solana_server.layout import ata
from sleeves.venues.ids import ClientIds
from sleeves.venues.jito import Jito
from sleeves.venues.jupiter.past import told_by
from sleeves.venues.jupiter.routes import Promise, promise_of
from sleeves.venues.solana import JUPITER, Sender, create_ata, memo

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
EXECUTE = {"route": "execute"}


async def hears(venue, *kinds, within=5):
    """What is told of these kinds as soon as there is some."""
    with anyio.fail_after(within):
        while not (said := of(told(venue), *kinds)):
            await anyio.sleep(0.01)
    return said


# -- after it has landed -------------------------------------------------------------------------------------------------------


AWAY = {
    "away": Fault.status(502),
    "asked too often": Fault.status(429),
    "no JSON": Fault.garbage(),
    "not known yet": Fault.replaced(None),
    "no time of its block": Fault.replaced(lambda found: {**found, "blockTime": None}),
    "no form of a transaction": Fault.replaced({"slot": 1}),
    "no owners": Fault.replaced(
        lambda found: {
            **found,
            "meta": {**found["meta"], **{key: bare(found["meta"][key]) for key in ("preTokenBalances", "postTokenBalances")}},
        }
    ),
}


def bare(listed):
    return [{key: value for key, value in one.items() if key != "owner"} for one in listed]


@both
@pytest.mark.parametrize("name", AWAY)
def test_a_node_that_does_not_tell_what_landed_is_asked_until_it_does(name, backend):
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault("getTransaction", AWAY[name], times=4)
        s.node.fault("getBlockTime", Fault.replaced(None), times=4)
        await venue.submit(order)
        (fill,) = of(told(venue), Fill)
        assert (fill.order_id, fill.qty) == (order.id, PER_SOL)
        s.node._faults.clear()
        await check_books(s, venue, before)
        await venue.submit(s.sell(market, "1"))
        assert of(told(venue), Fill), "the next order goes"

    run(story, backend)


def test_a_block_whose_time_the_transaction_lacks_is_asked_for_it():
    async def story(s, venue, market):
        s.node.fault("getTransaction", AWAY["no time of its block"], times=1_000)
        order = s.buy(market, "1", worst="160")
        await venue.submit(order)
        (fill,) = of(told(venue), Fill)
        assert s.node.asked("getBlockTime")[-1].params == (s.chain.slot,)
        assert fill.at >= order.at

    run(story)


def test_an_error_of_our_own_leaves_the_order_open_and_is_tried_again(monkeypatch):
    """Whatever is raised while it is read: the order is followed on, the task lives, and others may trade by then."""

    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        real, broken = venue._record, [True]

        async def record(name, at=None):
            if broken[0]:
                raise KeyError("accountIndex")
            return await real(name, at)

        monkeypatch.setattr(venue, "_record", record)
        with pytest.raises(VenueUnknown, match="not decided"):
            await venue.submit(order)
        (report,) = await venue.open_orders()
        assert (report.order_id, report.status) == (order.id, OrderStatus.OPEN)
        with pytest.raises(VenueUnknown, match="not decided"):
            await venue.submit(s.sell(market, "1"))
        assert len({call.params[0] for call in s.node.asked("sendTransaction")}) == 2, "an exit is not held up by what is only untold"
        broken[0] = False
        said = await hears(venue, Fill)
        while len(said) < 2:
            said += await hears(venue, Fill)
        assert await venue.open_orders() == []
        await check_books(s, venue, before)

    run(story, driver={"confirm_within": 0.4})


def test_a_way_to_send_that_breaks_may_have_sent(monkeypatch):
    async def story(s, venue, market):
        calls = []

        async def broken(raw, **terms):
            calls.append(raw)
            if len(calls) < 3:
                raise ValueError("a library's own error")
            return await real(raw, **terms)

        real = venue._rpc.send
        monkeypatch.setattr(venue._rpc, "send", broken)
        await venue.submit(s.buy(market, "1", worst="160"))
        assert of(told(venue), Fill) and len(set(calls)) == 1, "the same bytes each time"

    run(story)


def test_by_jupiter_an_order_without_its_id_is_not_signed():
    async def story(s, venue, market):
        before = s.holds()
        s.jupiter.tamper["order"] = lambda answer: {key: value for key, value in answer.items() if key != "requestId"}
        await venue.submit(s.sell(market, "1"))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and "requestId" in event.reason
        assert s.sent() == (0, 0) and s.holds() == before
        s.jupiter.tamper.clear()
        await venue.submit(s.sell(market, "1"))
        assert of(told(venue), Fill)

    run(story, driver=EXECUTE)


def test_a_no_before_it_is_signed_is_told_and_not_raised():
    """The lookup table was given up between the quote and the look: a plain no of the chain's own."""

    async def story(s, venue, market):
        s.jupiter.tamper["build"] = lambda answer: {
            **answer,
            "addressesByLookupTableAddress": {str(s.wallet): next(iter(answer["addressesByLookupTableAddress"].values()))},
        }
        order = s.sell(market, "1")
        await venue.submit(order)
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and "no lookup table" in event.reason and s.sent() == (0, 0)
        assert (await venue.look_up(order)).status is OrderStatus.REJECTED

    run(story)


# -- a wallet is not blocked for ever -------------------------------------------------------------------------------------------


@both
def test_by_jupiter_one_that_is_given_up_on_expires_all_the_same(backend, monkeypatch):
    """Longer than the sender's patience nothing lands: it is asked on with the height that it may land until, and the wallet is free."""
    monkeypatch.setitem(Sender.__init__.__kwdefaults__, "patience_s", 0.2)

    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.jupiter.fault("execute", Fault.cut())
        s.node.fault("sendTransaction", Fault.dropped(), times=1_000)
        with pytest.raises(VenueUnknown):
            await venue.submit(order)
        await anyio.sleep(0.4)
        s.chain.advance(200)
        await anyio.sleep(0.2)
        assert not of(told(venue), Rejected), "nobody is believed about until when it may land: it is waited longer"
        s.chain.advance(200)
        (event,) = await hears(venue, Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and not event.reached and "expired" in event.reason and s.holds() == before
        s.node._faults.clear()
        await venue.submit(s.sell(market, "1"))
        assert of(told(venue), Fill), "the exit goes"

    run(story, backend, driver={**EXECUTE, "confirm_within": 0.4})


# -- what a transaction of Jupiter's must bring ----------------------------------------------------------------------------------


def figures(s, answer, at, value, width):
    """Other figures in the swap of a whole transaction."""
    if answer["transaction"]:
        raw = b64decode(answer["transaction"])
        message = VersionedTransaction.from_bytes(raw).message
        (one,) = [bytes(one.data) for one in message.instructions if message.account_keys[one.program_id_index] == JUPITER]
        assert raw.count(one) == 1
        new = one[:at] + value.to_bytes(width, "little") + one[at + width :]
        answer["transaction"] = b64encode(raw.replace(one, new)).decode()
    return answer


CARELESS = {
    "any slippage at all": (24, 10_000, 2),
    "a slippage beyond all": (24, 65_535, 2),
    "a basis point more": (24, 7, 2),
    "another quote": (16, 149_000_000, 8),
    "a fee on the way": (26, 100, 2),
    "another kind of call": (0, 1, 8),
}


@pytest.mark.parametrize("name", CARELESS)
def test_by_jupiter_a_swap_that_may_bring_less_than_the_limit_is_not_signed(name):
    async def story(s, venue, market):
        before = s.holds()
        s.jupiter.tamper["order"] = lambda answer: figures(s, answer, *CARELESS[name])
        s.jupiter.fault("execute", Fault.status(400))
        await venue.submit(s.sell(market, "1", limit="149.9", tif=TimeInForce.IOC))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, (Canceled, Rejected)) and s.sent() == (0, 0) and not s.jupiter.asked("execute")
        assert s.holds() == before
        s.jupiter.tamper.clear()
        s.jupiter._faults.clear()
        await venue.submit(s.sell(market, "1", limit="149.9", tif=TimeInForce.IOC))
        assert of(told(venue), Fill), "its twin trades"

    run(story, pools={"Flat": flat(150)}, driver=EXECUTE)


def test_by_jupiter_the_market_moves_after_the_look_and_the_limit_holds():
    async def story(s, venue, market):
        before = s.holds()
        s.jupiter.fault("execute", Fault.status(400))
        order = s.sell(market, "1", limit="149.9", tif=TimeInForce.IOC)
        await meanwhile(s, venue, order, lambda: s.jupiter.price("Flat", "100"))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Canceled) and s.holds()[1] == before[1]

    run(story, pools={"Flat": flat(150)}, driver=EXECUTE)


def test_by_jupiter_a_fee_on_the_way_is_asked_for_with_less_slippage():
    """What Jupiter keeps comes off the slippage that the order allows: asked again, it keeps to the order."""

    async def story(s, venue, market):
        s.jupiter.tamper["order"] = lambda answer: figures(s, answer, 26, 10, 2)
        await venue.submit(s.sell(market, "1"))
        assert of(told(venue), Fill)
        asked = [int(call.query["slippageBps"]) for call in s.jupiter.asked("order") if "taker" in call.query]
        assert asked[0] == 50 and 39 <= asked[-1] <= 40

    run(story, pools={"Flat": flat(150)}, driver=EXECUTE)


def test_by_jupiter_more_than_one_swap_or_none_is_not_understood():
    async def story(s, venue, market):
        for change in (lambda a: rebuilt(s, a, without=99, more=[memo("x", s.wallet)]), lambda a: twice(s, a)):
            s.jupiter.tamper["order"] = lambda answer, change=change: (change(answer) if answer["transaction"] else None, answer)[1]
            await venue.submit(s.sell(market, "0.1"))
            (event,) = of(told(venue), Fill, Canceled, Rejected)
            assert isinstance(event, Rejected) and event.reason.startswith("promise") and not s.jupiter.asked("execute")

    run(story, driver=EXECUTE)


def twice(_, answer):
    """The swap a second time."""
    tx = VersionedTransaction.from_bytes(b64decode(answer["transaction"]))
    old = tx.message
    (again,) = [one for one in old.instructions if old.account_keys[one.program_id_index] == JUPITER]
    new = MessageV0(old.header, old.account_keys, old.recent_blockhash, [*old.instructions, again], old.address_table_lookups)
    answer["transaction"] = b64encode(bytes(VersionedTransaction.populate(new, list(tx.signatures)))).decode()


def u(value, width=8):
    return value.to_bytes(width, "little")


PLAN = b"\1\0\0\0" + b"\x07\x64\0\1"
CALLS = [
    # route_v2, shared_accounts_route_v2: what goes in, quoted, slippage, fee, fee of what comes beyond, the route
    (bytes.fromhex("bb64facc31c4af14") + u(10**9) + u(150_000_000) + u(50, 2) + u(0, 2) + u(0, 2) + PLAN, Promise(10**9, 149_250_000)),
    (
        bytes.fromhex("d19853937cfed8e9") + b"\5" + u(10**9) + u(150_000_000) + u(50, 2) + u(0, 2) + u(0, 2) + PLAN,
        Promise(10**9, 149_250_000),
    ),
    # route, shared_accounts_route: the route, what goes in, quoted, slippage, fee in one byte
    (bytes.fromhex("e517cb977ae3ad2a") + PLAN + u(10**9) + u(150_000_000) + u(50, 2) + u(0, 1), Promise(10**9, 149_250_000)),
    (bytes.fromhex("c1209b3341d69c81") + b"\5" + PLAN + u(10**9) + u(150_000_000) + u(50, 2) + u(20, 1), Promise(10**9, 148_951_500)),
    (bytes.fromhex("bb64facc31c4af14") + u(1) + u(1) + u(10_000, 2) + u(0, 2) + u(0, 2) + PLAN, Promise(1, 0)),
    (bytes.fromhex("bb64facc31c4af14") + u(1) + u(1) + u(10_001, 2) + u(0, 2) + u(0, 2) + PLAN, None),
    (bytes.fromhex("bb64facc31c4af14") + u(1) + u(1) + u(0, 2) + u(10_001, 2) + u(0, 2) + PLAN, None),
    (bytes.fromhex("bb64facc31c4af14") + u(1) + u(1) + u(0, 2), None),
    # exact_out_route, route_with_token_ledger, and what nobody knows
    (bytes.fromhex("d033ef977b2bed5c") + PLAN + u(10**9) + u(150_000_000) + u(50, 2) + u(0, 1), None),
    (bytes.fromhex("96564774a75d0e68") + PLAN + u(150_000_000) + u(50, 2) + u(0, 1), None),
    (b"", None),
    (bytes(64), None),
]


@pytest.mark.parametrize(("data", "promise"), CALLS)
def test_what_a_call_of_the_program_promises(data, promise):
    assert promise_of(data) == promise


# -- whose a fill is -------------------------------------------------------------------------------------------------------------


IDS = ClientIds()


def text(order_id, qty=PER_SOL, at=1, symbol="SOL/USDC"):
    return f"{IDS.hex(order_id)} {qty} {at} {symbol}"


MEMOS = {
    "a market that is none": lambda order: text(order.id, symbol="NOPE/USDC"),
    "another order": lambda order: text("victim-7", 10**6),
    "a far time": lambda order: text(order.id, at=9_999_999_999_999),
    "any words": lambda order: "hello",
}


@pytest.mark.parametrize("name", MEMOS)
@pytest.mark.parametrize("where", ["setupInstructions", "otherInstructions"])
def test_a_memo_that_is_handed_out_is_refused(name, where):
    async def story(s, venue, market):
        order = s.buy(market, "1", worst="160")
        s.jupiter.tamper["build"] = lambda a: {**a, where: [*a[where], shown(memo(MEMOS[name](order), s.wallet))]}
        await venue.submit(order)
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and event.reason.startswith("memo") and s.sent() == (0, 0)

    run(story)


def test_by_jupiter_a_memo_that_reads_as_ours_is_refused_and_another_is_not():
    async def story(s, venue, market):
        for words, fills in ((text("victim-7"), False), ("jup.ag", True)):
            s.jupiter.tamper["order"] = lambda a, words=words: (
                rebuilt(s, a, more=[memo(words, s.wallet)]) if a["transaction"] else None,
                a,
            )[1]
            order = s.sell(market, "1")
            await venue.submit(order)
            (event,) = of(told(venue), Fill, Canceled, Rejected)
            assert isinstance(event, Fill if fills else Rejected) and event.order_id == order.id
            assert fills or event.reason.startswith("memo")

    run(story, driver=EXECUTE)


def test_what_this_process_signed_it_knows_whatever_the_memos_say(monkeypatch):
    """Our own memo is another's, by whatever way: the fill stays with the order that was signed."""

    async def story(s, venue, market):
        order = s.sell(market, "1")
        monkeypatch.setattr("sleeves.venues.jupiter.driver.memo_of", lambda *_: text("victim-7"))
        await venue.submit(order)
        (fill,) = of(told(venue), Fill)
        assert fill.order_id == order.id and [one.order_id for one in await venue.history(0)] == [order.id]

    run(story)


@pytest.mark.parametrize(
    ("memos", "order"),
    [
        ([text("a-1")], "a-1"),
        (["hello", text("a-1")], "a-1"),
        ([text("a-1"), "hello"], None),
        ([text("a-1"), text("a-1")], None),
        ([text("b-2"), text("a-1")], None),
        (["hello"], None),
        ([], None),
    ],
)
def test_the_last_memo_counts_and_none_where_two_say_such_a_thing(memos, order):
    found = told_by(IDS, memos)
    assert (found and found.order_id) == order


# -- rent ------------------------------------------------------------------------------------------------------------------------


def test_no_account_of_a_token_that_is_not_traded_is_paid_for():
    async def story(s, venue, market):
        before = s.holds()
        strange = s.chain.create_mint(0)
        s.jupiter.tamper["build"] = lambda a: {
            **a,
            "setupInstructions": [*a["setupInstructions"], shown(create_ata(s.wallet, s.wallet, strange))],
        }
        await venue.submit(s.sell(market, "1"))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and event.reason.startswith("rent") and s.holds() == before
        s.chain.mint_to(strange, s.wallet, 1)
        await venue.submit(s.sell(market, "1"))
        assert of(told(venue), Fill), "one that is there already costs nothing"

    run(story)


def careless(answer):
    """The swap has no threshold of its own."""
    data = bytearray(b64decode(answer["swapInstruction"]["data"]))
    data[24:26] = (10_000).to_bytes(2, "little")
    answer["swapInstruction"]["data"] = b64encode(bytes(data)).decode()
    return answer


@pytest.mark.parametrize(("price", "fills"), [("150", True), ("150.000001", False), ("150.25", False)])
def test_the_rent_of_wrapped_sol_that_comes_free_is_no_part_of_what_was_bought(price, fills):
    async def story(s, venue, market):
        s.chain.mint_to(WSOL, s.wallet, PER_SOL)
        s.jupiter.tamper["build"] = careless
        before, order = s.holds(), s.buy(market, "1", limit="150", tif=TimeInForce.FOK)
        await meanwhile(s, venue, order, lambda: s.jupiter.price("Flat", price))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Fill if fills else Canceled)
        assert not fills or event.qty == PER_SOL
        assert (s.chain.account(ata(s.wallet, WSOL)) is None) is fills
        await check_books(s, venue, before)

    run(story, pools={"Flat": flat(150)})


# -- tips ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [0, 1, 2])
def test_only_a_known_account_is_tipped(known):
    """An engine that names its own pocket gets no tip, and no bundle where it names nothing else."""
    with stand() as s:
        named = tuple(map(str, s.engine.tip_accounts))

        async def main():
            with anyio.fail_after(20):
                async with s.driver(s.market(), jito=True) as venue:
                    await venue._jito.aclose()
                    known_ones = named[:known] or (str(s.wallet),)
                    venue._jito = Jito(s.engine.url, floor_url=s.engine.url, per_second=10_000, attempts=1, tip_accounts=known_ones)
                    await venue.refresh()
                    await venue.submit(s.sell(s.market(), "1"))
                    assert of(told(venue), Fill)
                    assert s.sent() == ((0, 1) if known else (1, 0))
                    tipped = {str(one) for one in s.engine.tip_accounts if s.chain.balance(one) != PER_SOL}
                    assert tipped <= set(named[:known]) and bool(tipped) is bool(known)
                    await venue._jito.aclose()

        anyio.run(main)


# -- an order of an earlier process ------------------------------------------------------------------------------------------------


MINUTE = 60 * 10**9


class Later:
    """A chain with a past of some hours, whose clock is moved by hand."""

    def __init__(self):
        self.ahead = 0
        self.chain = Chain(clock=lambda: time.time_ns() + self.ahead)
        self.chain.advance(100_000)


def looked(story, **terms):
    at = Later()

    with stand(chain=at.chain, **terms) as s:

        async def main():
            with anyio.fail_after(20):
                async with s.driver(s.market()) as venue:
                    await story(s, at, venue, s.market())

        anyio.run(main)


def test_an_order_that_never_landed_is_rejected_by_the_final_chain_alone():
    async def story(s, at, venue, market):
        order = s.sell(market, "1")
        assert await venue.look_up(order) is None, "the first look only notes where the chain stands"
        asked = s.chain.block_height
        at.ahead += 11 * MINUTE
        s.chain.advance(300)
        assert await venue.look_up(order) is None, "not yet in blocks that are final"
        while (await venue._rpc.block_height("finalized")) < asked + 300:
            s.chain.advance(1)
        assert await venue.look_up(order) is None, "two lifetimes, and no block more"
        s.chain.advance(1)
        report = await venue.look_up(order)
        assert (report.status, report.filled, report.order_id) == (OrderStatus.REJECTED, 0, order.id)

    looked(story)


def test_time_alone_frees_no_order_and_neither_do_blocks_alone():
    async def story(s, at, venue, market):
        order = s.sell(market, "1")
        assert await venue.look_up(order) is None
        at.ahead += 24 * 60 * MINUTE
        assert await venue.look_up(order) is None, "the chain stands still"
        at.ahead = 0
        s.chain.advance(5_000)
        assert await venue.look_up(order) is None, "the chain's own time is not ten minutes past the order"
        at.ahead = 9 * MINUTE
        assert await venue.look_up(order) is None
        at.ahead = 11 * MINUTE
        assert (await venue.look_up(order)).status is OrderStatus.REJECTED

    looked(story)


@pytest.mark.parametrize(
    ("method", "fault", "raises"),
    [
        ("getBlockTime", Fault.replaced(None), False),
        ("getFirstAvailableBlock", Fault.replaced(400_099_000), False),
        ("getFirstAvailableBlock", Fault.error(-32601, "Method not found"), True),
        ("getEpochInfo", Fault.status(503), True),
    ],
)
def test_a_node_that_cannot_prove_it_frees_no_order(method, fault, raises):
    async def story(s, at, venue, market):
        order = s.sell(market, "1")
        assert await venue.look_up(order) is None
        at.ahead += 11 * MINUTE
        s.chain.advance(400)
        s.node.fault(method, fault, times=3)
        if raises:
            with pytest.raises(VenueUnavailable):
                await venue.look_up(order)
        else:
            assert await venue.look_up(order) is None
        s.node._faults.clear()
        assert (await venue.look_up(order)).status is OrderStatus.REJECTED

    looked(story)


def test_an_order_that_landed_is_found_and_a_swap_that_nobody_claims_frees_none():
    async def story(s, at, venue, market):
        filled, open_one = s.sell(market, "1"), s.sell(market, "1")
        async with s.driver(market) as earlier:
            await earlier.refresh()
            await earlier.submit(filled)
        assert (await venue.look_up(filled)).status is OrderStatus.FILLED
        async with s.driver(market, s.market("SOL/USDC:2"), **EXECUTE) as earlier:
            await earlier.submit(open_one)
        for _ in range(2):
            assert await venue.look_up(open_one) is None, "it may be the swap that bears no memo"
            at.ahead += 11 * MINUTE
            s.chain.advance(400)

    looked(story)


def test_with_a_route_that_leaves_no_memo_nothing_is_certain():
    with stand(chain=(at := Later()).chain) as s:

        async def main():
            async with s.driver(s.market(), **EXECUTE) as venue:
                order = s.sell(s.market(), "1")
                for _ in range(2):
                    assert await venue.look_up(order) is None
                    at.ahead += 11 * MINUTE
                    s.chain.advance(400)

        anyio.run(main)
