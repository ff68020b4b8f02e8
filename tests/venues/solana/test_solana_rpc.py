"""A node over a real socket: what it tells, what its errors mean, what is asked again, and what is never told on."""

from __future__ import annotations

import json
import logging

import anyio
import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature

from sleeves.errors import InvalidMarket, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.keys import Secret
from sleeves.testing.solana_server import Fault
from sleeves.venues.rate import Bucket
from sleeves.venues.retry import Retry
from sleeves.venues.solana import (
    SYSTEM,
    TOKEN,
    TOKEN_2022,
    WSOL,
    Accounts,
    Guard,
    Preflight,
    Rpc,
    RpcFault,
    RpcLimited,
    SignatureInfo,
    Simulation,
    Status,
    ata,
    compile_v0,
    create_ata,
    memo,
    transfer_sol,
    transfer_tokens,
    unit_limit,
    unit_price,
)
from solana_stand import BLOCKHASH, FEE, FRIEND, ME, POOL, QUICK, SIGNER, SOL, address, answers, both, key, run, spending, world

PAYS = spending(most_out={WSOL: SOL})


def node(it, **terms):
    return Rpc(it.node.url, **{"retry": QUICK, "timeout": 5.0, **terms})


def signed(it, *instructions, spent=None):
    """A transaction of ours, signed without a node."""
    raw = it.raw(*instructions)
    guard = Guard(ME, payees=[FRIEND])
    examined = guard.examine(raw, {}, spent or PAYS)
    blank = (None,) * len(examined.watched)
    return SIGNER.sign(guard.clear(examined, Simulation(1, None, (), blank, None), Accounts(1, blank)))


def asked(story, backend="asyncio", **terms):
    """Run a story with a world and an open node of it."""

    async def main():
        with world(**terms) as it:
            async with node(it) as rpc:
                await story(it, rpc)

    run(main, backend)


# -- what it tells ------------------------------------------------------------------------------------------------------------


@both
def test_where_the_chain_stands(backend):
    async def story(it, rpc):
        chain = it.chain
        assert await rpc.first_block() == chain.first_slot and await rpc.block_time(chain.slot) == chain.now // 10**9 * 10**9
        it.node.fault("getBlockTime", Fault.replaced(None))
        assert await rpc.block_time(chain.slot) is None
        info = await rpc.epoch_info()
        assert (info.slot, info.block_height) == (chain.slot, chain.block_height) == (await rpc.slot(), await rpc.block_height())
        assert info.block_height < info.slot and info.epoch == chain.epoch
        assert info.epoch * info.slots_in_epoch + info.slot_index == info.slot
        final = await rpc.epoch_info("finalized")
        assert (final.slot, final.block_height) == (info.slot - 32, info.block_height - 32)
        now = await rpc.latest_blockhash()
        assert (now.hash, now.last_valid_block_height) == chain.blockhash() and now.slot == chain.slot
        assert await rpc.is_blockhash_valid(now.hash)
        chain.advance(150)
        assert await rpc.is_blockhash_valid(now.hash)
        chain.advance()
        assert not await rpc.is_blockhash_valid(now.hash)

    asked(story, backend)


@both
def test_accounts_and_what_they_hold(backend):
    async def story(it, rpc):
        assert await rpc.balance(ME) == 10 * SOL
        found = await rpc.account(ME)
        assert (found.lamports, found.owner, found.data, found.executable) == (10 * SOL, SYSTEM, b"", False)
        assert await rpc.account(address("nobody")) is None
        many = await rpc.accounts([ME, address("nobody"), it.mine])
        assert many.slot == it.chain.slot and many.values[1] is None and many.values[2].owner == TOKEN
        assert await rpc.rent(165) == 2_039_280
        newer = it.chain.create_mint(2, program=TOKEN_2022)
        it.chain.mint_to(newer, ME, 7)
        it.chain.mint_to(WSOL, ME, 5)
        tokens = {one.mint: (one.amount, one.program, one.native) for one in await rpc.token_accounts(ME)}
        assert tokens == {it.usdc: (10**9, TOKEN, None), newer: (7, TOKEN_2022, None), WSOL: (5, TOKEN, 2_039_280)}
        (only,) = await rpc.token_accounts(ME, mint=newer)
        assert only.address == ata(ME, newer, TOKEN_2022)
        assert await rpc.token_accounts(address("nobody")) == ()

    asked(story, backend)


def test_token_accounts_as_a_node_reads_them_are_the_same():
    async def story(it, rpc):
        it.chain.mint_to(WSOL, ME, 5)

        def parsed(result):
            shown = ask(it, "getTokenAccountsByOwner", str(ME), {"programId": str(TOKEN)}, {"encoding": "jsonParsed"})
            for one in shown["value"]:
                info = one["account"]["data"]["parsed"]["info"]
                if info["isNative"]:  # as a whole node says it; ours leaves it out
                    info["rentExemptReserve"] = {"amount": "2039280"}
                if info["mint"] == change.get("mint"):
                    info.update(change)
            return shown

        change = {}
        plain = await rpc.token_accounts(ME)
        it.node.fault("getTokenAccountsByOwner", Fault.replaced(parsed))
        assert await rpc.token_accounts(ME) == plain
        change = {"mint": str(it.usdc), "state": "frozen", "delegate": str(FRIEND), "delegatedAmount": {"amount": "7"}}
        change["closeAuthority"] = str(POOL)
        it.node.fault("getTokenAccountsByOwner", Fault.replaced(parsed))
        (found,) = (one for one in await rpc.token_accounts(ME) if one.mint == it.usdc)
        assert (found.frozen, found.delegate, found.delegated, found.close_authority) == (True, FRIEND, 7, POOL)
        for wrong in ({"tokenAmount": {"amount": 5}}, {"tokenAmount": {"amount": "-5"}}, {"isNative": 0}, {"owner": str(FRIEND)}):
            change = {"mint": str(it.usdc), **wrong}
            it.node.fault("getTokenAccountsByOwner", Fault.replaced(parsed), 3)
            with pytest.raises(VenueUnavailable):
                await rpc.token_accounts(ME)

    asked(story)


def ask(it, method, *params):
    """What the node itself says, past its faults."""
    return it.node._answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}, None)["result"]


def test_more_accounts_than_a_node_tells_at_once_are_asked_for_in_parts():
    async def story(it, rpc):
        people = [Pubkey(bytes([1, place]) + bytes(30)) for place in range(201)]
        for place, one in enumerate(people):
            it.chain.airdrop(one, 1_000_000 + place)
        found = await rpc.accounts(people)
        assert [one.lamports for one in found.values] == [1_000_000 + place for place in range(201)]
        assert [len(call.params[0]) for call in it.node.asked("getMultipleAccounts")] == [100, 100, 1]
        assert (await rpc.accounts([])).values == ()

    asked(story)


def test_what_a_transaction_did_is_told_to_the_last_unit():
    async def story(it, rpc):
        table = it.chain.create_table([it.mine, ata(FRIEND, it.usdc), it.usdc])
        tables = await rpc.lookup_tables([table])
        assert tables == {table: (it.mine, ata(FRIEND, it.usdc), it.usdc)}
        steps = [
            unit_limit(50_000),
            unit_price(20_000),
            memo("a-1"),
            create_ata(ME, FRIEND, it.usdc),
            transfer_tokens(it.mine, it.usdc, ata(FRIEND, it.usdc), ME, 123, 6),
        ]
        raw = it.raw(*steps, tables=tables)
        pays = raw[:1] + bytes(key("me").sign_message(raw[65:])) + raw[65:]
        signature = await rpc.send(pays)
        done = await rpc.transaction(signature)
        rent = it.chain.rent(165)
        assert (done.err, done.fee, done.slot, done.signature) == (None, FEE + 1_000, it.chain.slot, signature)
        assert done.lamports(ME) == (10 * SOL, 10 * SOL - FEE - 1_000 - rent)
        assert done.lamports(ata(FRIEND, it.usdc)) == (0, rent) and done.lamports(address("nobody")) == (0, 0)
        assert done.tokens(ME) == {it.usdc: (10**9, 10**9 - 123)} and done.tokens(FRIEND) == {it.usdc: (0, 123)}
        assert done.memos == ("a-1",) and done.decoded.payer == ME
        assert done.decoded.instructions[4].accounts[0].address == it.mine  # from the lookup table
        (info,) = await rpc.signatures_for(ME)
        assert info == SignatureInfo(signature, done.slot, None, "[3] a-1", done.at)
        assert (await rpc.statuses([signature, Signature.default()])).values == (Status(done.slot, None, "confirmed"), None)
        it.chain.advance(32)
        assert (await rpc.statuses([signature])).values[0].confirmation == "finalized"
        assert await rpc.transaction(Signature.default()) is None

    asked(story)


def test_all_pages_of_a_history_the_oldest_first(monkeypatch):
    monkeypatch.setattr("sleeves.venues.solana.rpc._MOST_SIGNATURES", 4)

    async def story(it, rpc):
        sent = []
        for n in range(11):
            sent.append(await rpc.send(signed(it, memo(f"n-{n}", ME)).raw))
            if n % 3 == 2:
                it.chain.advance()
        found = await rpc.signatures_for(ME)
        assert [one.signature for one in found] == sent and [one.memo for one in found] == [f"[{len(f'n-{n}')}] n-{n}" for n in range(11)]
        assert len(it.node.asked("getSignaturesForAddress")) == 4  # 4 + 4 + 3 + 0
        assert [one.signature for one in await rpc.signatures_for(ME, until=sent[5])] == sent[6:]
        assert [one.signature for one in await rpc.signatures_for(ME, before=sent[5])] == sent[:5]
        assert await rpc.signatures_for(address("nobody")) == ()

    asked(story)


def test_a_history_from_an_instant_on_is_that_instant_and_all_after_it():
    async def story(it, rpc):
        sent = []
        for n in range(4):
            now[0] += 10**9
            sent.append(await rpc.send(signed(it, memo(f"n-{n}", ME)).raw))
        begun = 1_800_000_000 * 10**9
        for since, left in (
            (begun, 4),
            (begun + 10**9, 4),
            (begun + 2 * 10**9, 3),
            (begun + 2 * 10**9 + 1, 3),
            (begun + 4 * 10**9, 1),
            (begun + 5 * 10**9, 0),
        ):
            assert [one.signature for one in await rpc.signatures_for(ME, since=since)] == sent[4 - left :], since

    now = [1_800_000_000 * 10**9]
    asked(story, clock=lambda: now[0])


def test_a_history_is_never_a_part():
    """A later page from a node that is behind the first one's is asked for again, and then refused."""

    async def story(it, rpc):
        await rpc.send(signed(it, memo("x", ME)).raw)
        it.node.fault("getSignaturesForAddress", Fault.slow(0))
        behind = Fault.error(-32016, "Minimum context slot has not been reached", {"contextSlot": 1})
        it.node.fault("getSignaturesForAddress", behind, 3)
        with pytest.raises(VenueUnavailable, match="Minimum context slot"):
            await rpc.signatures_for(ME)
        assert (
            "minContextSlot" in it.node.asked("getSignaturesForAddress")[0].params[1] or len(it.node.asked("getSignaturesForAddress")) == 1
        )
        again = await rpc.signatures_for(ME)
        assert len(again) == 1 and it.node.asked("getSignaturesForAddress")[-1].params[1]["minContextSlot"] == it.chain.slot

    asked(story)


def test_priority_fees_and_a_run():
    async def story(it, rpc):
        await rpc.send(signed(it, unit_limit(1_000), unit_price(7_000), memo("x", ME), spent=spending(fee=6_000, lamports=6_000)).raw)
        assert (await rpc.priority_fees([ME]))[-1] == (it.chain.slot, 7_000)
        raw = it.raw(transfer_sol(ME, FRIEND, SOL))
        done = await rpc.simulate(raw, accounts=[ME, FRIEND, address("nobody")])
        assert done.err is None and [one and one.lamports for one in done.accounts][1:] == [2 * SOL, None]
        assert done.units and done.logs and it.chain.balance(FRIEND) == SOL  # nothing was done
        failed = await rpc.simulate(it.raw(transfer_sol(ME, FRIEND, 11 * SOL)), accounts=[ME])
        assert failed.err == {"InstructionError": [0, {"Custom": 1}]} and failed.accounts == (None,)
        assert (await rpc.simulate(raw, sig_verify=True)).err == "SignatureFailure"
        it.chain.advance(151)
        assert (await rpc.simulate(raw)).err == "BlockhashNotFound"
        assert (await rpc.simulate(raw, replace_blockhash=True)).err is None

    asked(story)


# -- lookup tables ------------------------------------------------------------------------------------------------------------


def test_a_lookup_table_must_be_one_and_in_use():
    async def story(it, rpc):
        gone = it.chain.create_table([ME], deactivated=5)
        for wrong in (gone, ME, it.usdc, address("nobody")):
            with pytest.raises(VenueRejected, match="table"):
                await rpc.lookup_tables([wrong])
        assert await rpc.lookup_tables([]) == {}

    asked(story)


# -- errors -------------------------------------------------------------------------------------------------------------------

PASSES = [Fault.status(429), Fault.status(502), Fault.status(503), Fault.garbage(), Fault.cut(), Fault.lost()]
PASSES += [Fault.error(code) for code in (-32004, -32005, -32007, -32009, -32014, -32016, -32603)]


@pytest.mark.parametrize("fault", PASSES, ids=lambda fault: f"{fault.kind}{fault.code}")
def test_a_read_is_asked_again_while_that_may_help(fault):
    async def story(it, rpc):
        it.node.fault("getBalance", fault, 2)
        assert await rpc.balance(ME) == 10 * SOL
        it.node.fault("getBalance", fault, 3)
        with pytest.raises(VenueUnavailable):
            await rpc.balance(ME)
        assert await rpc.balance(ME) == 10 * SOL

    asked(story)


@pytest.mark.parametrize("code", [-32600, -32601, -32602, -32010, -32015, -32099, 5])
def test_a_question_that_is_wrong_is_not_asked_again(code):
    async def story(it, rpc):
        it.node.fault("getBalance", Fault.error(code, "no such thing", {"why": 1}), 3)
        with pytest.raises(RpcFault, match="no such thing") as caught:
            await rpc.balance(ME)
        assert (caught.value.code, caught.value.data) == (code, {"why": 1})
        assert await _left(it, "getBalance") == 2

    asked(story)


async def _left(it, method):
    return len(it.node._faults[method])


def test_a_node_that_wants_to_be_left_alone_is_by_its_own_clock(monkeypatch):
    waits = []
    monkeypatch.setattr("sleeves.venues.solana.rpc._passing", lambda error: waits.append(error.after) or 0.0)

    async def story():
        with answers((429, "slow down", {"retry-after": "2"}), '{"jsonrpc":"2.0","id":1,"result":5}') as (url, requests):
            async with Rpc(url, retry=QUICK) as rpc:
                assert await rpc.slot() == 5
        assert waits == [2.0] and len(requests) == 2

    run(story)


RAW = compile_v0(ME, [memo("x", ME)], BLOCKHASH)
WRONG = [
    None,
    "text",
    [],
    {},
    {"value": 1},
    {"context": {"slot": 1}},
    {"context": {"slot": -1}, "value": 5},
    {"context": {"slot": 1}, "value": "5"},
    {"context": {"slot": 1}, "value": 5.5},
    {"context": {"slot": 1}, "value": True},
    {"context": {"slot": 1}, "value": -5},
    {"context": {"slot": 1}, "value": None},
    {"context": {"slot": 1}, "value": [5]},
    {"context": {"slot": 1}, "value": {"lamports": 1}},
]
READS = {
    "getBalance": lambda rpc: rpc.balance(ME),
    "getAccountInfo": lambda rpc: rpc.account(ME),
    "getMultipleAccounts": lambda rpc: rpc.accounts([ME, FRIEND]),
    "getTokenAccountsByOwner": lambda rpc: rpc.token_accounts(ME),
    "getLatestBlockhash": lambda rpc: rpc.latest_blockhash(),
    "isBlockhashValid": lambda rpc: rpc.is_blockhash_valid(WSOL),
    "getEpochInfo": lambda rpc: rpc.epoch_info(),
    "getSlot": lambda rpc: rpc.slot(),
    "getSignatureStatuses": lambda rpc: rpc.statuses([Signature.default()]),
    "getSignaturesForAddress": lambda rpc: rpc.signatures_for(ME),
    "getTransaction": lambda rpc: rpc.transaction(Signature.default()),
    "simulateTransaction": lambda rpc: rpc.simulate(RAW, accounts=[ME]),
    "getRecentPrioritizationFees": lambda rpc: rpc.priority_fees(),
    "getMinimumBalanceForRentExemption": lambda rpc: rpc.rent(5),
}
FINE = {
    ("getAccountInfo", 11),  # nothing is there
    ("getTransaction", 0),  # no such transaction
    ("getSignaturesForAddress", 2),
    ("getRecentPrioritizationFees", 2),
    ("isBlockhashValid", 9),
}


@pytest.mark.parametrize("method", READS)
def test_an_answer_that_has_not_the_form_of_one_is_none(method):
    async def story():
        with world() as it:
            async with node(it, retry=Retry(attempts=1)) as rpc:
                for place, wrong in enumerate(WRONG):
                    it.node.fault(method, Fault.replaced(wrong))
                    if (method, place) in FINE:
                        await READS[method](rpc)
                        continue
                    with pytest.raises(VenueUnavailable, match="has not the form of one"):
                        await READS[method](rpc)

    run(story)


def test_answers_that_are_no_json_rpc_are_none():
    bodies = [
        "",
        "null",
        "[]",
        "5",
        '{"jsonrpc":"2.0","id":1}',
        '{"result":NaN}',
        '{"error":"text"}',
        '{"error":{}}',
        '{"result":1,"result":2}',
    ]

    async def story():
        for body in bodies:
            with answers(body) as (url, requests):
                async with Rpc(url, retry=Retry(attempts=1)) as rpc:
                    with pytest.raises(VenueUnavailable):
                        await rpc.slot()
                    with pytest.raises((VenueUnknown, VenueUnavailable)) as caught:
                        await rpc.send(SENT)
                    assert isinstance(caught.value, VenueUnknown), body

    run(story)


SENT = b"\1" + bytes(key("me").sign_message(b"x")) + b"x" * 80

SENDING = [
    (Fault.error(-32002, "Transaction simulation failed", {"err": "BlockhashNotFound", "logs": ["a"]}), Preflight),
    (Fault.error(-32002, "Transaction simulation failed"), Preflight),
    (Fault.error(-32003, "Transaction signature verification failure"), VenueRejected),
    (Fault.error(-32602, "invalid transaction"), VenueRejected),
    (Fault.error(-32013), VenueRejected),
    (Fault.error(-32015), VenueRejected),
    (Fault.error(-32005, "Node is behind", {"numSlotsBehind": 5}), VenueUnavailable),
    (Fault.error(-32016), VenueUnavailable),
    (Fault.error(-32601), VenueUnavailable),
    (Fault.error(-32429, "rate limited"), RpcLimited),
    (Fault.status(429), RpcLimited),
    (Fault.status(401), VenueUnavailable),
    (Fault.status(403), VenueUnavailable),
    (Fault.status(413), VenueUnavailable),
    (Fault.status(500), VenueUnknown),
    (Fault.status(502), VenueUnknown),
    (Fault.status(504), VenueUnknown),
    (Fault.error(-32603), VenueUnknown),
    (Fault.error(-32004), VenueUnknown),
    (Fault.error(-31999), VenueUnknown),
    (Fault.garbage(), VenueUnknown),
    (Fault.cut(), VenueUnknown),
    (Fault.lost(), VenueUnknown),
    (Fault.replaced(str(Signature.default())), VenueUnknown),
    (Fault.replaced(None), VenueUnknown),
]


@pytest.mark.parametrize(("fault", "error"), SENDING, ids=lambda one: getattr(one, "__name__", "") or f"{one.kind}{one.code}")
def test_what_an_error_says_of_a_transaction_that_was_handed_in(fault, error):
    async def story(it, rpc):
        one = signed(it, transfer_sol(ME, FRIEND, 1))
        it.node.fault("sendTransaction", fault)
        with pytest.raises(error) as caught:
            await rpc.send(one.raw)
        if error in (VenueRejected, VenueUnavailable, VenueUnknown):
            kinds = {VenueRejected, VenueUnavailable, VenueUnknown} - {error}
            assert not isinstance(caught.value, tuple(kinds))
        assert len(it.node._faults["sendTransaction"]) == 0  # handed in once, whatever came back
        took = (fault.kind == "replaced" or fault.done) and fault.kind != "status"
        assert (it.chain.landing(one.signature) is not None) is took

    asked(story)


def test_what_landed_before_was_taken():
    async def story(it, rpc):
        one = signed(it, transfer_sol(ME, FRIEND, 1))
        assert await rpc.send(one.raw) == one.signature == await rpc.send(one.raw)
        assert it.chain.balance(FRIEND) == SOL + 1

    asked(story)


def test_what_is_not_signed_is_not_sent():
    async def story(it, rpc):
        for wrong in (it.raw(memo("x", ME)), b"", b"\0" * 100, b"\1" + bytes(10)):
            with pytest.raises(VenueRejected):
                await rpc.send(wrong)
        assert not it.node.calls

    asked(story)


def test_nobody_there_is_unavailable_for_a_read_and_for_a_sending():
    async def story():
        async with Rpc("http://127.0.0.1:9", retry=Retry(attempts=2, first=0.0, jitter=0.0)) as rpc:
            for ask in (rpc.slot(), rpc.send(SENT)):
                with pytest.raises(VenueUnavailable):
                    await ask

    run(story)


def test_a_node_that_hangs_is_unavailable_for_a_read_and_unknown_for_a_sending():
    async def story():
        with world() as it:
            async with node(it, timeout=0.1, connect_timeout=0.1, retry=Retry(attempts=1)) as rpc:
                it.node.fault("*", Fault.hang(1), 2)
                with pytest.raises(VenueUnavailable):
                    await rpc.slot()
                with pytest.raises(VenueUnknown):
                    await rpc.send(SENT)

    run(story)


def test_a_bucket_is_asked_before_each_call():
    async def story():
        with world() as it:
            bucket = Bucket(2, 1e-6, clock=lambda: 0.0)
            async with node(it, bucket=bucket) as rpc:
                assert await rpc.slot() and await rpc.slot() and bucket.level == 2
                with anyio.move_on_after(0.05) as scope:
                    await rpc.slot()
                assert scope.cancelled_caught and len(it.node.calls) == 2

    run(story)


def test_the_address_and_the_headers_of_a_node_are_told_nobody(caplog):
    """The key of a node stands in its address, in the path or in the query."""
    key_in_url, key_in_header = "k3y-0f-th3-n0de", "h3ader-t0ken"

    async def story():
        seen = []
        for body in ("", '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}'):
            with answers((200 if body else 500, body, {})) as (url, requests):
                for where in (f"{url}/v2/{key_in_url}", f"{url}/?api-key={key_in_url}", Secret(f"{url}/{key_in_url}/")):
                    async with Rpc(where, retry=Retry(attempts=1), headers={"x-token": Secret(key_in_header)}) as rpc:
                        for ask in (rpc.slot(), rpc.send(SENT)):
                            with pytest.raises((VenueUnavailable, VenueUnknown)) as caught:
                                await ask
                            seen += [str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)]
                        seen.append(repr(rpc))
                assert all(key_in_url in target and headers["x-token"] == key_in_header for target, headers, _ in requests)
        for where in (f"http://127.0.0.1:9/{key_in_url}", f"https://[{key_in_url}"):
            with pytest.raises((VenueUnavailable, InvalidMarket)) as caught:
                await Rpc(where, retry=Retry(attempts=1)).slot()
            seen += [str(caught.value), repr(caught.value.__context__)]
        assert not [text for text in seen if key_in_url in text or key_in_header in text]

    with caplog.at_level(logging.DEBUG):
        run(story)
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]  # the server may know
    assert logged and not [text for text in logged if key_in_url in text or key_in_header in text]


@pytest.mark.parametrize("wrong", ["", "node.example", "ftp://node.example", "http://user:word@node.example", 5])
def test_an_address_must_be_a_url(wrong):
    with pytest.raises(InvalidMarket):
        Rpc(wrong)
    with pytest.raises(VenueRejected, match="commitment"):
        Rpc("http://node.example", commitment="soon")


def test_numbers_are_whole_however_large():
    async def story():
        for text, passes in (("18446744073709551615", True), ("1e3", False), ("1.0", False)):
            body = '{"jsonrpc":"2.0","id":1,"result":{"context":{"slot":1},"value":' + text + "}}"
            with answers(body) as (url, requests):
                async with Rpc(url, retry=Retry(attempts=1)) as rpc:
                    if passes:
                        assert await rpc.balance(POOL) == int(text)
                        assert json.loads(requests[0][2])["method"] == "getBalance"
                        continue
                    with pytest.raises(VenueUnavailable):
                        await rpc.balance(POOL)

    run(story)
