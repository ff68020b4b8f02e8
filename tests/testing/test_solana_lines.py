"""The local node's WebSocket: told in the shapes that solders, which others wrote, reads as a node's; and wrong when told to be."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import anyio
import httpx_ws
import pytest
from solders.rpc import responses

from sleeves.testing.solana_server import Fault
from sleeves.venues.solana import transfer_sol
from sleeves.venues.solana.rpc import read_signature
from solana_stand import FRIEND, ME, SOL, address, key, run, world


def sign(raw):
    return raw[:1] + bytes(key("me").sign_message(raw[65:])) + raw[65:]


def pay(it):
    return sign(it.raw(transfer_sol(ME, FRIEND, 1)))


class Talk:
    """A client with no wits: what it sent, and what came."""

    def __init__(self, session):
        self.session, self.number = session, 0

    async def say(self, text):
        await self.session.send_text(text)

    async def hear(self, within=5.0):
        with anyio.fail_after(within):
            return json.loads(await self.session.receive_text())

    async def ask(self, method, *params):
        self.number += 1
        await self.say(json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": list(params)}))
        answer = await self.hear()
        assert answer["id"] == self.number
        return answer

    async def nothing(self, seconds=0.2):
        with anyio.move_on_after(seconds):
            raise AssertionError(await self.session.receive_text())


@asynccontextmanager
async def line(it):
    async with httpx_ws.aconnect_ws(it.node.ws_url) as session:
        yield Talk(session)


def notice(text):
    (found,) = responses.parse_websocket_message(text)
    return found


def told(story, **terms):
    async def main():
        with world(**terms) as it:
            async with line(it) as talk:
                await story(it, talk)

    run(main)


B64 = {"encoding": "base64", "commitment": "confirmed"}


def test_an_account_is_told_in_a_nodes_shape_and_each_change_for_itself():
    async def story(it, talk):
        number = (await talk.ask("accountSubscribe", str(FRIEND), B64))["result"]
        await anyio.to_thread.run_sync(it.chain.airdrop, FRIEND, 5)
        await anyio.to_thread.run_sync(it.chain.airdrop, FRIEND, 7)
        for lamports in (SOL + 5, SOL + 12):
            text = json.dumps(await talk.hear())
            read = notice(text)
            assert (read.result.value.lamports, read.result.context.slot, read.subscription) == (lamports, it.chain.slot, number)
        await talk.nothing()

    told(story)


def test_an_account_that_goes_and_one_that_comes():
    async def story(it, talk):
        await talk.ask("accountSubscribe", str(FRIEND), B64)
        await anyio.to_thread.run_sync(lambda: it.chain.set_account(FRIEND, lamports=0))
        gone = (await talk.hear())["params"]["result"]["value"]
        assert (gone["lamports"], gone["data"]) == (0, ["", "base64"])
        await anyio.to_thread.run_sync(lambda: it.chain.set_account(FRIEND, owner=ME, data=b"abc"))
        came = (await talk.hear())["params"]["result"]["value"]
        assert (came["owner"], came["data"][0]) == (str(ME), "YWJj")

    told(story)


def test_a_signature_is_told_once_with_its_error():
    async def story(it, talk):
        good, bad = pay(it), sign(it.raw(transfer_sol(ME, FRIEND, 100 * SOL)))
        numbers = []
        for raw in (good, bad):
            numbers.append((await talk.ask("signatureSubscribe", str(read_signature(raw)), {"commitment": "confirmed"}))["result"])
        for raw in (good, bad):
            await anyio.to_thread.run_sync(lambda raw=raw: it.chain.send(raw, skip_preflight=True))
        first, second = [await talk.hear() for _ in range(2)]
        assert notice(json.dumps(first)).result.value.err is None
        err = {"InstructionError": [0, {"Custom": 1}]}
        context = {"apiVersion": "3.1.8", "slot": it.chain.slot}
        assert second["params"] == {"result": {"context": context, "value": {"err": err}}, "subscription": numbers[1]}
        assert (await talk.ask("signatureUnsubscribe", numbers[0]))["error"]["code"] == -32602  # it has ended by itself

    told(story)


@pytest.mark.parametrize(("slots", "told_of"), [(31, False), (32, True)])
def test_a_signature_that_must_be_final_waits_for_that(slots, told_of):
    async def story(it, talk):
        raw = pay(it)
        await talk.ask("signatureSubscribe", str(read_signature(raw)), {"commitment": "finalized"})
        await anyio.to_thread.run_sync(it.chain.send, raw)
        await anyio.to_thread.run_sync(it.chain.advance, slots)
        if told_of:
            assert (await talk.hear())["params"]["result"]["value"] == {"err": None}
        await talk.nothing()

    told(story)


def test_logs_of_whoever_mentions_an_address():
    async def story(it, talk):
        await talk.ask("logsSubscribe", {"mentions": [str(FRIEND)]}, {"commitment": "confirmed"})
        other = sign(it.raw(transfer_sol(ME, address("stranger"), SOL)))
        await anyio.to_thread.run_sync(it.chain.send, other)
        await anyio.to_thread.run_sync(it.chain.send, pay(it))
        read = notice(json.dumps(await talk.hear()))
        assert read.result.value.err is None and any("success" in one for one in read.result.value.logs)
        await talk.nothing()

    told(story)


def test_slots_are_told_one_by_one():
    async def story(it, talk):
        number = (await talk.ask("slotSubscribe"))["result"]
        start = it.chain.slot
        await anyio.to_thread.run_sync(it.chain.advance, 3)
        seen = [notice(json.dumps(await talk.hear())).result for _ in range(3)]
        assert [(one.parent, one.slot) for one in seen] == [(start + n, start + n + 1) for n in range(3)]
        assert (await talk.ask("slotUnsubscribe", number))["result"] is True
        await anyio.to_thread.run_sync(it.chain.advance, 1)
        await talk.nothing()

    told(story)


def test_what_is_asked_wrongly_is_refused():
    async def story(it, talk):
        cases = [
            ("accountSubscribe", ["nobody"], -32602),
            ("accountSubscribe", [], -32602),
            ("accountSubscribe", [str(ME), {"commitment": "soon"}], -32602),
            ("accountUnsubscribe", [77], -32602),
            ("voteSubscribe", [], -32601),
            ("logsSubscribe", [{"mentions": [str(ME), str(FRIEND)]}], -32602),
        ]
        for method, params, code in cases:
            assert (await talk.ask(method, *params))["error"]["code"] == code, method
        await talk.say("no JSON")
        assert (await talk.hear())["error"]["code"] == -32700
        assert [call.error for call in it.node.calls] == [code for _, _, code in cases]

    told(story)


def test_pushes_are_lost_repeated_delayed_and_older_when_told_to_be():
    async def story(it, talk):
        lines, grow = it.node.lines, lambda: anyio.to_thread.run_sync(it.chain.airdrop, FRIEND, 1)
        await talk.ask("accountSubscribe", str(FRIEND), B64)
        lines.lose()
        await grow()
        await talk.nothing()
        lines.repeat()
        await grow()
        assert await talk.hear() == await talk.hear()
        lines.older(9)
        await grow()
        assert (await talk.hear())["params"]["result"]["context"]["slot"] == it.chain.slot - 9
        lines.delay(0.4)
        await grow()
        await talk.nothing(0.2)
        assert (await talk.hear())["params"]["result"]["value"]["lamports"] == SOL + 4
        state = it.chain.account(FRIEND)
        shown = it.node._shown(state, B64)
        assert lines.tell("account", FRIEND, {**shown, "lamports": 3}, slot=5) == 1
        assert (await talk.hear())["params"]["result"] == {"context": {"apiVersion": "3.1.8", "slot": 5}, "value": {**shown, "lamports": 3}}

    told(story)


def test_connections_are_cut_and_refused_when_told_to_be():
    async def main():
        with world() as it:
            async with line(it) as talk:
                await talk.ask("slotSubscribe")
                assert it.node.lines.drop() == 1
                with pytest.raises(httpx_ws.HTTPXWSException):
                    await talk.hear()
            it.node.lines.refusing = True
            with pytest.raises(httpx_ws.WebSocketUpgradeError):
                async with line(it):
                    pass
            it.node.lines.refusing = False
            async with line(it) as talk:
                it.node.fault("slotSubscribe", Fault.error(-32603))
                assert (await talk.ask("slotSubscribe"))["error"]["code"] == -32603
                it.node.fault("slotSubscribe", Fault.hang())
                await talk.say('{"jsonrpc":"2.0","id":9,"method":"slotSubscribe"}')
                await talk.nothing()
                it.node.fault("slotSubscribe", Fault.cut())
                with pytest.raises(httpx_ws.HTTPXWSException):
                    await talk.ask("slotSubscribe")
            assert it.node.lines.connected == 2 and it.node.lines.open == []

    run(main)


def test_a_fault_for_any_call_over_http_is_none_of_the_sockets():
    async def story(it, talk):
        it.node.fault("*", Fault.status(503))
        assert (await talk.ask("slotSubscribe"))["result"] == 1

    told(story)
