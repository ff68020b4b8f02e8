"""A node's WebSocket over a real socket: what is told, what is said to be unknown, and that lost connections are made again."""

from __future__ import annotations

import logging

import anyio
import pytest

from sleeves.errors import InvalidMarket, VenueRejected, VenueUnavailable
from sleeves.keys import Secret
from sleeves.testing.serving import serve
from sleeves.testing.solana_server import Fault
from sleeves.venues.solana import Changed, Concluded, Gap, Logged, Pubsub, SlotMoved, transfer_sol
from sleeves.venues.solana.rpc import read_signature
from solana_stand import FRIEND, ME, SOL, both, key, run, world

QUICK = {"first": 0.01, "most": 0.05, "patience": 2.0, "quiet": 5.0}


def sign(raw):
    return raw[:1] + bytes(key("me").sign_message(raw[65:])) + raw[65:]


async def at_chain(call, *args):
    """What the chain is told is told by another thread, as it would be by a caller of the node."""
    return await anyio.to_thread.run_sync(call, *args)


async def item(pushes, within=5.0):
    with anyio.fail_after(within):
        return await anext(pushes)


async def nothing(pushes, seconds=0.2):
    with anyio.move_on_after(seconds):
        raise AssertionError(await anext(pushes))


def asked(story, backend="asyncio", terms=QUICK):
    async def main():
        with world() as it:
            async with Pubsub(it.node.ws_url, **terms) as pubsub:
                await story(it, pubsub)

    run(main, backend)


@both
def test_an_account_begins_with_a_gap_and_then_each_change_is_told(backend):
    async def story(it, pubsub):
        async with pubsub.account(FRIEND) as pushes:
            assert await item(pushes) == Gap("subscribed")
            await at_chain(it.chain.airdrop, FRIEND, 5)
            await at_chain(it.chain.set_account, FRIEND)
            first, second = await item(pushes), await item(pushes)
            assert isinstance(first, Changed) and (first.account.lamports, first.slot) == (SOL + 5, it.chain.slot)
            assert second.account.lamports == it.chain.balance(FRIEND) and second.account.address == FRIEND
            await nothing(pushes)
        with anyio.fail_after(2):
            while not it.node.asked("accountUnsubscribe"):
                await anyio.sleep(0.01)
        assert it.node.asked("accountUnsubscribe")[0].error is None

    asked(story, backend)


@both
def test_a_signature_comes_with_its_error_and_then_it_ends(backend):
    async def story(it, pubsub):
        raws = [sign(it.raw(transfer_sol(ME, FRIEND, lamports))) for lamports in (1, 100 * SOL)]
        for raw, err in zip(raws, (None, {"InstructionError": [0, {"Custom": 1}]}), strict=True):
            async with pubsub.signature(read_signature(raw)) as pushes:
                await item(pushes)
                await at_chain(lambda raw=raw: it.chain.send(raw, skip_preflight=True))
                assert await item(pushes) == Concluded(it.chain.slot, read_signature(raw), err)
                assert [one async for one in pushes] == []

    asked(story, backend)


def test_logs_and_slots():
    async def story(it, pubsub):
        raw = sign(it.raw(transfer_sol(ME, FRIEND, 1)))
        async with pubsub.logs(FRIEND) as logs, pubsub.slots() as slots:
            await logs.live()
            await slots.live()
            assert await item(logs) == await item(slots) == Gap("subscribed")
            await at_chain(it.chain.send, raw)
            await at_chain(it.chain.advance)
            told = await item(logs)
            assert isinstance(told, Logged) and (told.signature, told.err) == (read_signature(raw), None)
            assert "Program 11111111111111111111111111111111 success" in told.logs
            assert await item(slots) == SlotMoved(it.chain.slot, it.chain.slot - 1, it.chain.slot - 32)

    asked(story)


@both
def test_a_lost_connection_is_made_again_and_all_is_subscribed_anew(backend):
    async def story(it, pubsub):
        async with pubsub.account(FRIEND) as friend, pubsub.account(ME) as mine:
            await friend.live()
            await mine.live()
            await item(friend), await item(mine)
            it.node.lines.refusing = True
            it.node.lines.drop()
            await at_chain(it.chain.airdrop, FRIEND, 5)  # nobody is told of this
            await anyio.sleep(0.2)
            assert not pubsub.connected and friend.waiting == 0
            it.node.lines.refusing = False
            assert await item(friend) == await item(mine) == Gap("connected again")
            await at_chain(it.chain.airdrop, FRIEND, 7)
            assert (await item(friend)).account.lamports == SOL + 12
        assert pubsub.connections == 2 and len(it.node.asked("accountSubscribe")) == 4

    asked(story, backend)


def test_what_nobody_reads_is_thrown_away_and_that_is_said():
    async def story(it, pubsub):
        async with pubsub.account(FRIEND) as pushes:
            await pushes.live()
            assert await item(pushes) == Gap("subscribed")
            for _ in range(4):  # the most that may wait
                await at_chain(it.chain.airdrop, FRIEND, 1)
            await anyio.sleep(0.3)
            assert pushes.waiting == 4
            await at_chain(it.chain.airdrop, FRIEND, 1)
            await anyio.sleep(0.3)
            assert await item(pushes) == Gap("5 pushes were thrown away: more than 4 waited to be read")
            await nothing(pushes)
            await at_chain(it.chain.airdrop, FRIEND, 1)
            assert (await item(pushes)).account.lamports == SOL + 6

    asked(story, terms={**QUICK, "waiting": 4})


def test_repeated_pushes_come_as_they_are_told():
    async def story(it, pubsub):
        async with pubsub.account(FRIEND) as pushes:
            await item(pushes)
            it.node.lines.repeat()
            await at_chain(it.chain.airdrop, FRIEND, 1)
            assert await item(pushes) == await item(pushes)

    asked(story)


def test_what_a_node_refuses_is_raised_and_others_live_on():
    async def story(it, pubsub):
        it.node.fault("accountSubscribe", Fault.error(-32601, "Method not found"))
        async with pubsub.account(ME) as refused, pubsub.slots() as slots:
            with pytest.raises(VenueRejected, match=r"refused account .*Method not found \(-32601\)"):
                await refused.live()
            with pytest.raises(VenueRejected, match="Method not found"):
                await item(refused)
            assert await item(slots) == Gap("subscribed")

    asked(story)


@pytest.mark.parametrize("fault", [Fault.error(-32603, "Internal error"), Fault.hang(), Fault.cut()])
def test_what_passes_is_asked_again_on_a_new_connection(fault):
    async def story(it, pubsub):
        it.node.fault("slotSubscribe", fault)
        async with pubsub.slots() as slots:
            assert await item(slots) == Gap("connected again")
        assert pubsub.connections == 2

    asked(story, terms={**QUICK, "patience": 0.3})


def test_a_node_that_says_nothing_is_found_out():
    """It takes the connection, agrees, and is never heard of again, pings included."""
    made = []

    async def app(scope, receive, send):
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        made.append(scope["path"])
        await receive()
        await send({"type": "websocket.send", "text": '{"jsonrpc":"2.0","id":1,"result":5}'})
        await send({"type": "websocket.send", "text": "[1]" if len(made) < 3 else '{"method":"x","params":{"subscription":99}}'})
        await receive()

    async def main():
        with serve(app) as url:
            async with Pubsub("ws" + url[4:], **QUICK) as pubsub, pubsub.slots() as slots:
                assert await item(slots) == Gap("subscribed")
                with anyio.fail_after(5):
                    while len(made) < 3:
                        await anyio.sleep(0.02)
                assert await item(slots) == Gap("connected again")  # what is no JSON object ends a connection

    run(main)


def test_a_push_that_cannot_be_read_is_a_gap():
    async def story(it, pubsub):
        async with pubsub.account(FRIEND) as pushes:
            await item(pushes)
            good = it.node._shown(it.chain.account(FRIEND), {"encoding": "base64"})
            for wrong in ({**good, "lamports": "5"}, {**good, "data": ["%%", "base64"]}, {**good, "owner": "x"}, None, 7):
                assert it.node.lines.tell("account", FRIEND, wrong, slot=7) == 1
                assert await item(pushes) == Gap("a push could not be read")
            it.node.lines.tell("account", FRIEND, good, slot=-1)
            assert await item(pushes) == Gap("a push could not be read")
            it.node.lines.tell("account", FRIEND, good, slot=8)
            assert await item(pushes) == Changed(8, (await item_of(it, good)))

    async def item_of(it, good):
        from sleeves.venues.solana.rpc import _account

        return _account(FRIEND, good, 8)

    asked(story)


@pytest.mark.parametrize(
    "url", ["http://node.example/secretkey", "ws://", 5, None, "ws://me:secretkey@node.example", "ws://[::1", Secret("x://secretkey")]
)
def test_what_is_no_address_is_refused_without_showing_it(url):
    with pytest.raises(InvalidMarket, match="ws or wss URL") as caught:
        Pubsub(url)
    assert "secretkey" not in str(caught.value)


@pytest.mark.parametrize(
    "terms", [{"quiet": 0}, {"patience": -1}, {"first": float("inf")}, {"most": True}, {"waiting": 0}, {"waiting": 1.5}]
)
def test_times_that_make_no_sense_are_refused(terms):
    with pytest.raises(InvalidMarket):
        Pubsub("wss://node.example", **terms)
    with pytest.raises(VenueRejected, match="no commitment"):
        Pubsub("wss://node.example", commitment="soon")


def test_it_must_be_open_and_ends_when_it_is_closed():
    async def main():
        with world() as it:
            pubsub = Pubsub(it.node.ws_url, **QUICK)
            with pytest.raises(VenueUnavailable, match="is not open"):
                async with pubsub.slots():
                    pass
            ended = []

            async def follow():
                async with pubsub.slots() as slots:
                    ended.extend([one async for one in slots])

            async with anyio.create_task_group() as tasks:
                await pubsub.aopen()
                tasks.start_soon(follow)
                await anyio.sleep(0.2)
                await pubsub.aclose()
            assert ended == [Gap("subscribed")]
            await pubsub.aclose()

    run(main)


def test_the_key_in_an_address_is_nowhere_to_be_seen(caplog):
    caplog.set_level(logging.DEBUG)

    async def main():
        with world() as it:
            url = it.node.ws_url + "/?api-key=secretkey"
            pubsub = Pubsub(url, headers={"authorization": Secret("secretkey")}, **QUICK)
            async with pubsub, pubsub.account(FRIEND) as pushes:
                await item(pushes)
                it.node.lines.drop()
                await item(pushes)
                assert "secretkey" not in repr(pubsub) + repr(pushes) + repr(vars(pushes))
            async with Pubsub("ws://127.0.0.1:9/?api-key=secretkey", **QUICK):
                await anyio.sleep(0.1)

    run(main)
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith(("uvicorn", "asyncio"))]
    assert any("connecting again" in one for one in ours)
    assert not [one for one in ours if "secretkey" in one]
