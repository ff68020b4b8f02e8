"""The local Solana: its rules are the chain's, and its answers are what solders, which others wrote, reads as a node's."""

from __future__ import annotations

import json
from base64 import b64encode

import httpx
import pytest
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.rpc import responses
from solders.rpc.config import RpcContextConfig
from solders.rpc.requests import GetBalance, GetEpochInfo
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from sleeves.testing.solana_server import Chain, ChainError, Fault, ProgramError, SolanaServer, solana_server
from sleeves.venues.solana import (
    JUPITER,
    TOKEN,
    WSOL,
    ata,
    close_account,
    create_ata,
    memo,
    transfer_sol,
    transfer_tokens,
    unit_limit,
    unit_price,
)
from solana_stand import FEE, FRIEND, ME, POOL, SOL, THIEF, World, address, key, world


def sign(raw, name="me"):
    return raw[:1] + bytes(key(name).sign_message(raw[65:])) + raw[65:]


def pay(it, lamports=1, *more):
    return sign(it.raw(transfer_sol(ME, FRIEND, lamports), *more))


def swap(it, amount=1_000_000, least=0, more=()):
    return sign(it.raw(create_ata(ME, ME, WSOL), it.call(amount, least, more), close_account(ata(ME, WSOL), ME, ME)))


def ask(node, method, *params):
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}
    return httpx.post(node.url, json=body, trust_env=False).text


def result(node, method, *params):
    answer = json.loads(ask(node, method, *params))
    assert answer["id"] == 7 and answer["jsonrpc"] == "2.0"
    return answer["result"]


def error(node, method, *params):
    answer = json.loads(ask(node, method, *params))
    assert "result" not in answer
    return answer["error"]


def b64(raw):
    return b64encode(raw).decode()


# -- the chain's rules --------------------------------------------------------------------------------------------------------


def test_money_moves_and_fees_are_taken():
    it = World()
    it.chain.send(pay(it, SOL, unit_limit(50_000), unit_price(1_000)))
    assert it.chain.balance(FRIEND) == 2 * SOL and it.chain.balance(ME) == 9 * SOL - FEE - 50


def test_a_transaction_lands_once():
    it = World()
    raw = pay(it)
    signature = it.chain.send(raw)
    with pytest.raises(ChainError, match="already been processed") as caught:
        it.chain.send(raw)
    assert (caught.value.code, caught.value.data["err"]) == (-32002, "AlreadyProcessed")
    assert it.chain.send(raw, skip_preflight=True) == signature
    assert it.chain.balance(FRIEND) == SOL + 1 and len(it.chain.landings_of(ME)) == 1


@pytest.mark.parametrize(("blocks", "good"), [(0, True), (150, True), (151, False)])
def test_both_sides_of_a_blockhashs_age(blocks, good):
    it = World()
    raw = pay(it)
    it.chain.advance(blocks)
    if good:
        it.chain.send(raw)
    else:
        with pytest.raises(ChainError, match="Blockhash not found"):
            it.chain.send(raw)
        it.chain.send(raw, skip_preflight=True)  # taken, and never in a block
    assert it.chain.balance(FRIEND) == SOL + good


def test_a_signature_is_checked():
    it = World()
    raw = it.raw(transfer_sol(ME, FRIEND, 1))
    for wrong in (raw, sign(raw, "thief"), sign(raw)[:-1] + b"\7"):
        with pytest.raises(ChainError) as caught:
            it.chain.send(wrong)
        assert caught.value.code in (-32003, -32602)
        it.chain.send(raw, skip_preflight=True)
    assert it.chain.balance(FRIEND) == SOL


def test_a_failure_costs_its_fee_where_it_lands_and_nothing_where_it_was_tried_first():
    it = World()
    raw = pay(it, 11 * SOL)
    with pytest.raises(ChainError, match=r"Error processing Instruction 0: custom program error: 0x1") as caught:
        it.chain.send(raw)
    assert caught.value.data["err"] == {"InstructionError": [0, {"Custom": 1}]} and it.chain.balance(ME) == 10 * SOL
    signature = it.chain.send(raw, skip_preflight=True)
    assert it.chain.landing(signature).err == {"InstructionError": [0, {"Custom": 1}]}
    assert (it.chain.balance(ME), it.chain.balance(FRIEND)) == (10 * SOL - FEE, SOL)


def test_who_cannot_pay_the_fee_gets_into_no_block():
    it = World()
    it.chain.set_account(ME, lamports=FEE - 1)
    signature = it.chain.send(pay(it), skip_preflight=True)
    assert it.chain.landing(signature) is None and it.chain.balance(ME) == FEE - 1


def test_old_transactions_and_lookup_tables():
    it = World()
    step = transfer(TransferParams(from_pubkey=ME, to_pubkey=FRIEND, lamports=5))
    old = Transaction.new_signed_with_payer([step], ME, [key("me")], it.chain.blockhash()[0])
    assert it.chain.landing(it.chain.send(bytes(old))).err is None
    table = it.chain.create_table([FRIEND, it.mine])
    signature = it.chain.send(sign(it.raw(transfer_sol(ME, FRIEND, 6), tables={table: [FRIEND, it.mine]})))
    assert it.chain.landing(signature).writable == (FRIEND,) and it.chain.balance(FRIEND) == SOL + 11
    for wrong in ({address("nothing"): [FRIEND]}, {table: [it.mine, THIEF, FRIEND]}):
        with pytest.raises(ChainError, match="lookup"):
            it.chain.send(sign(it.raw(transfer_sol(ME, FRIEND, 6), tables=wrong)))


def test_a_run_changes_nothing():
    it = World()
    done, keys = it.chain.simulate(it.raw(transfer_sol(ME, FRIEND, SOL)))
    assert done.err is None and done.after[FRIEND].lamports == 2 * SOL and done.after[ME].lamports == 9 * SOL - FEE and ME in keys
    assert (it.chain.balance(ME), it.chain.balance(FRIEND)) == (10 * SOL, SOL)


def test_time_passes_by_itself_or_when_told():
    now = [0]
    chain = Chain(slot_ns=400_000_000, clock=lambda: now[0])
    begun = chain.slot
    now[0] += 4_000_000_000
    assert chain.slot == begun + 10 and chain.block_height < chain.slot
    chain.advance(5)
    assert chain.slot == begun + 15
    epoch = chain.epoch
    chain.advance_epoch()
    assert chain.epoch == epoch + 1 and chain.epoch_at(chain.slot)[1] == 0
    chain.advance(5_000)
    assert chain.epoch_at(chain.slot)[1] == 5_000


# -- stand-ins ----------------------------------------------------------------------------------------------------------------


def test_a_stand_in_moves_tokens_through_the_real_program():
    it = World()
    landing = it.chain.landing(it.chain.send(swap(it)))
    assert landing.err is None and landing.fee == FEE
    assert it.chain.tokens(ME, it.usdc) == 999_000_000 and it.chain.balance(ME) == 10 * SOL + 6_000_000 - FEE
    assert len(landing.inner[1]) == 2  # what it called
    assert landing.keys[landing.inner[1][0].program] == TOKEN


def test_a_stand_in_that_fails_undoes_all_but_the_fee():
    it = World()

    def fails(amount, least):
        raise ProgramError(6001, "too little")

    it.makes = fails
    with pytest.raises(ChainError, match="0x1771"):
        it.chain.send(swap(it))
    landing = it.chain.landing(it.chain.send(swap(it), skip_preflight=True))
    assert landing.err == {"InstructionError": [1, {"Custom": 6001}]}
    assert it.chain.account(ata(ME, WSOL)) is None and it.chain.balance(ME) == 10 * SOL - FEE


def test_a_stand_in_sees_what_the_calls_before_it_did():
    it = World()
    seen = []

    def looks(call):
        seen.append((call.tokens(ata(ME, WSOL)), call.tokens(it.mine), call.account(ata(ME, WSOL)) is not None))
        call.log("looked")
        return it.swap(call)

    it.chain.program(JUPITER, looks, owns=[POOL])
    twice = [create_ata(ME, ME, WSOL), it.call(1_000_000), it.call(2_000_000), close_account(ata(ME, WSOL), ME, ME)]
    landing = it.chain.landing(it.chain.send(sign(it.raw(*twice)), skip_preflight=True))
    assert landing.err is None and seen == [(0, 10**9, True), (6_000_000, 10**9 - 1_000_000, True)]
    assert it.chain.balance(ME) == 10 * SOL + 18_000_000 - FEE and "Program log: looked" in landing.logs


ESCAPES = {
    "an account that it was not handed": (lambda it: [transfer_sol(ME, address("other"), 1)], "MissingAccount"),
    "a program that it was not handed": (lambda it: [memo("x")], "MissingAccount"),
    "writing what it may only read": (
        lambda it: [Instruction(TOKEN, b"\x11", [AccountMeta(it.usdc, False, True)])],
        "PrivilegeEscalation",
    ),
    "a signature that it has not got": (
        lambda it: [transfer_tokens(ata(POOL, WSOL), WSOL, ata(ME, WSOL), it.usdc, 1, 9)],
        "PrivilegeEscalation",
    ),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_a_stand_in_is_held_to_the_chains_rules(name):
    made, err = ESCAPES[name]
    it = World()
    it.makes = lambda amount, least: made(it)
    landing = it.chain.landing(it.chain.send(swap(it), skip_preflight=True))
    assert landing.err == {"InstructionError": [1, err]}


def test_a_stand_in_keeps_accounts_of_its_own():
    it = World()
    place = address("state")
    it.chain.set_account(place, owner=JUPITER, data=bytes(8))

    def counts(call):
        count = int.from_bytes(call.account(place).data, "little") + 1
        call.write(place, count.to_bytes(8, "little"))
        if count > 2:
            raise ProgramError("InvalidArgument")
        return []

    it.chain.program(JUPITER, counts)
    step = Instruction(JUPITER, b"", [AccountMeta(place, False, True)])
    it.chain.send(sign(it.raw(step, memo("a"))))
    assert it.chain.account(place).data[0] == 1
    assert it.chain.landing(it.chain.send(sign(it.raw(step, step)), skip_preflight=True)).err == {
        "InstructionError": [1, "InvalidArgument"]
    }
    assert it.chain.account(place).data[0] == 1
    it.chain.simulate(it.raw(step))
    assert it.chain.account(place).data[0] == 1
    for wrong in (Instruction(JUPITER, b"", [AccountMeta(place, False, False)]), Instruction(JUPITER, b"", [AccountMeta(ME, True, True)])):
        it.chain.program(JUPITER, lambda call, to=wrong.accounts[0].pubkey: call.write(to, b"") or [])
        assert it.chain.landing(it.chain.send(sign(it.raw(wrong)), skip_preflight=True)).err is not None


def test_signers_of_a_stand_in_cost_nobody_a_fee():
    """The pool signs what LiteSVM runs; the payer pays for its own signature, to the lamport, also where it has no more."""
    it = World()
    it.makes = lambda amount, least: []
    plain = [it.call(1)]
    spare = it.chain.rent(0)
    it.chain.set_account(ME, lamports=FEE + spare)
    landing = it.chain.landing(it.chain.send(sign(it.raw(*plain))))
    assert landing.err is None and it.chain.balance(ME) == spare
    it.makes = it.honest
    it.chain.mint_to(WSOL, ME, 0)
    it.chain.set_account(ME, lamports=FEE + spare)
    landing = it.chain.landing(it.chain.send(sign(it.raw(it.call(2)))))
    assert landing.err is None and it.chain.balance(ME) == spare


# -- bundles ------------------------------------------------------------------------------------------------------------------


def test_a_bundle_lands_whole_in_one_slot():
    it = World()
    landed = it.chain.land([pay(it, 1), pay(it, 2), swap(it)])
    assert [one.err for one in landed] == [None] * 3 and len({one.slot for one in landed}) == 1
    assert it.chain.balance(FRIEND) == SOL + 3 and len(it.chain.landings_of(ME)) == 3


@pytest.mark.parametrize("wrong", ["fails", "unsigned", "old", "twice"])
def test_a_bundle_with_one_that_does_not_land_well_leaves_nothing(wrong):
    it = World()
    one = pay(it, 1)
    two = {"fails": lambda: pay(it, 11 * SOL), "unsigned": lambda: it.raw(memo("x", ME)), "twice": lambda: one, "old": lambda: pay(it, 3)}[
        wrong
    ]()
    if wrong == "old":
        it.chain.advance(151)
        one = pay(it, 1)
    with pytest.raises(ChainError, match="transaction 1 of the bundle"):
        it.chain.land([one, two])
    assert (it.chain.balance(ME), it.chain.balance(FRIEND)) == (10 * SOL, SOL) and it.chain.landings_of(ME) == []
    assert it.chain.land([one])[0].err is None  # it may still land by itself


# -- the node: its answers are read by solders ---------------------------------------------------------------------------------


def test_every_answer_is_read_by_solders():
    with world() as it:
        it.chain.send(pay(it, 5, memo("hello")))
        table = it.chain.create_table([FRIEND])
        it.chain.send(sign(it.raw(transfer_sol(ME, FRIEND, 6), tables={table: [FRIEND]})))
        signature = str(it.chain.send(swap(it)))
        legacy = Message.new_with_blockhash([transfer_sol(ME, FRIEND, 1)], ME, it.chain.blockhash()[0])
        newer = MessageV0.try_compile(ME, [transfer_sol(ME, FRIEND, 1)], [], it.chain.blockhash()[0])
        fee_for = b64(to_bytes_versioned(newer))
        raw = b64(it.raw(transfer_sol(ME, FRIEND, 7)))
        base64, parsed = {"encoding": "base64", "commitment": "confirmed"}, {"encoding": "jsonParsed"}
        whole = {"encoding": "json", "maxSupportedTransactionVersion": 0, "commitment": "confirmed"}
        asked = [
            ("GetAccountInfoResp", "getAccountInfo", str(ME), base64),
            ("GetAccountInfoResp", "getAccountInfo", str(address("nobody")), base64),
            ("GetAccountInfoMaybeJsonParsedResp", "getAccountInfo", str(it.mine), parsed),
            ("GetMultipleAccountsResp", "getMultipleAccounts", [str(ME), str(address("nobody")), str(it.mine)], base64),
            ("GetBalanceResp", "getBalance", str(ME)),
            ("GetBlockHeightResp", "getBlockHeight"),
            ("GetBlockTimeResp", "getBlockTime", it.chain.slot),
            ("GetEpochInfoResp", "getEpochInfo"),
            ("GetEpochScheduleResp", "getEpochSchedule"),
            ("GetFeeForMessageResp", "getFeeForMessage", fee_for),
            ("GetFeeForMessageResp", "getFeeForMessage", b64(bytes(legacy))),
            ("GetGenesisHashResp", "getGenesisHash"),
            ("GetHealthResp", "getHealth"),
            ("GetLatestBlockhashResp", "getLatestBlockhash"),
            ("GetMinimumBalanceForRentExemptionResp", "getMinimumBalanceForRentExemption", 165),
            ("GetProgramAccountsResp", "getProgramAccounts", str(TOKEN), {**base64, "filters": [{"dataSize": 165}]}),
            ("GetProgramAccountsWithContextResp", "getProgramAccounts", str(TOKEN), {**base64, "withContext": True}),
            ("GetRecentPrioritizationFeesResp", "getRecentPrioritizationFees", [str(ME)]),
            ("GetSignatureStatusesResp", "getSignatureStatuses", [signature, str(Signature.default())]),
            ("GetSignaturesForAddressResp", "getSignaturesForAddress", str(ME), {"commitment": "confirmed"}),
            ("GetSlotResp", "getSlot"),
            ("GetTokenAccountBalanceResp", "getTokenAccountBalance", str(it.mine)),
            ("GetTokenAccountsByOwnerResp", "getTokenAccountsByOwner", str(ME), {"programId": str(TOKEN)}, base64),
            ("GetTokenAccountsByOwnerJsonParsedResp", "getTokenAccountsByOwner", str(ME), {"mint": str(it.usdc)}, parsed),
            ("GetTokenSupplyResp", "getTokenSupply", str(it.usdc)),
            ("GetTransactionResp", "getTransaction", signature, whole),
            ("GetTransactionResp", "getTransaction", signature, {**whole, "encoding": "base64"}),
            ("GetTransactionResp", "getTransaction", str(Signature.default()), whole),
            ("GetVersionResp", "getVersion"),
            ("IsBlockhashValidResp", "isBlockhashValid", str(it.chain.blockhash()[0]), {"commitment": "processed"}),
            ("RequestAirdropResp", "requestAirdrop", str(THIEF), 5),
            ("SimulateTransactionResp", "simulateTransaction", raw, {**base64, "accounts": {"encoding": "base64", "addresses": [str(ME)]}}),
            ("SendTransactionResp", "sendTransaction", b64(pay(it, 8)), base64),
        ]
        for name, *call in asked:
            text = ask(it.node, *call)
            read = getattr(responses, name).from_json(text)
            assert isinstance(read, getattr(responses, name)), (name, call, text)
        assert responses.GetBalanceResp.from_json(ask(it.node, "getBalance", str(THIEF))).value == SOL + 5
        done = responses.GetTransactionResp.from_json(ask(it.node, "getTransaction", signature, whole)).value
        assert done.transaction.meta.fee == FEE and done.transaction.meta.err is None
        assert [one.ui_token_amount.amount for one in done.transaction.meta.post_token_balances if one.owner == ME] == ["999000000"]
        run = responses.SimulateTransactionResp.from_json(ask(it.node, *asked[-2][1:])).value
        assert run.err is None and run.accounts[0].lamports == it.chain.balance(ME) - 7 - FEE


def test_requests_that_solders_writes_are_understood():
    with world() as it:
        for request in (GetBalance(ME), GetBalance(ME, RpcContextConfig(min_context_slot=5)), GetEpochInfo()):
            answer = httpx.post(it.node.url, content=request.to_json(), headers={"content-type": "application/json"}, trust_env=False)
            assert "result" in answer.json(), answer.text
        batch = [json.loads(GetBalance(ME).to_json()), json.loads(GetEpochInfo().to_json())]
        answers = httpx.post(it.node.url, json=batch, trust_env=False).json()
        assert answers[0]["result"]["value"] == 10 * SOL and answers[1]["result"]["epoch"] == it.chain.epoch


def test_its_errors_are_those_of_a_node_and_read_by_solders():
    with world() as it:
        unsigned, fails = b64(it.raw(memo("x", ME))), b64(pay(it, 11 * SOL))
        base64 = {"encoding": "base64"}
        cases = [
            (-32601, "getNothing"),
            (-32602, "getBalance"),
            (-32602, "getBalance", "0" * 50),
            (-32602, "getBalance", str(ME), {"commitment": "soon"}),
            (-32016, "getBalance", str(ME), {"minContextSlot": it.chain.slot + 1}),
            (-32602, "getMultipleAccounts", [str(ME)] * 101),
            (-32602, "getSignatureStatuses", [str(Signature.default())] * 257),
            (-32602, "getSignaturesForAddress", str(ME), {"limit": 1001}),
            (-32600, "getAccountInfo", str(it.mine), {"encoding": "base58"}),
            (-32602, "sendTransaction", "!", base64),
            (-32602, "sendTransaction", b64(b"noise"), base64),
            (-32602, "sendTransaction", b64(bytes(1233)), base64),
            (-32003, "sendTransaction", unsigned, base64),
            (-32002, "sendTransaction", fails, base64),
            (-32602, "simulateTransaction", unsigned, {**base64, "sigVerify": True, "replaceRecentBlockhash": True}),
            (-32602, "simulateTransaction", unsigned, {**base64, "accounts": {"addresses": [str(ME)] * 9}}),
        ]
        for code, *call in cases:
            assert error(it.node, *call)["code"] == code, call
        read = responses.SendTransactionResp.from_json(ask(it.node, "sendTransaction", fails, base64))
        assert type(read).__name__ == "SendTransactionPreflightFailureMessage" and read.data.logs
        it.node.behind = 9
        assert error(it.node, "getHealth") == {"code": -32005, "message": "Node is behind by 9 slots", "data": {"numSlotsBehind": 9}}
        assert error(it.node, "sendTransaction", b64(pay(it)), base64)["code"] == -32005
        signature = str(it.chain.send(sign(it.raw(transfer_sol(ME, FRIEND, 9)))))
        assert result(it.node, "getSignatureStatuses", [signature])["value"] == [None]  # it has not seen that block yet
        it.node.behind = 0
        assert result(it.node, "getSignatureStatuses", [signature])["value"][0]["confirmationStatus"] == "confirmed"
        assert error(it.node, "getTransaction", signature, {"encoding": "base64", "commitment": "confirmed"})["code"] == -32015
        assert httpx.get(it.node.url, trust_env=False).status_code == 405
        assert httpx.post(it.node.url, content=b"noise", trust_env=False).json()["error"]["code"] == -32700
        assert httpx.post(it.node.url, json={"id": 1}, trust_env=False).json()["error"]["code"] == -32600


def test_pages_of_signatures_and_both_their_ends():
    with world() as it:
        sent = [str(it.chain.send(pay(it, n))) for n in range(1, 6)]
        confirmed = {"commitment": "confirmed"}

        def page(**more):
            return [one["signature"] for one in result(it.node, "getSignaturesForAddress", str(ME), {**confirmed, **more})]

        assert page() == sent[::-1] and page(limit=2) == sent[:2:-1]
        assert page(before=sent[3]) == sent[2::-1] and page(until=sent[1]) == sent[:1:-1]
        assert page(before=sent[4], until=sent[0], limit=2) == [sent[3], sent[2]]
        assert page(before=str(Signature.default())) == []
        assert result(it.node, "getSignaturesForAddress", str(ME)) == []  # none of them is final yet
        it.chain.advance(32)
        assert len(result(it.node, "getSignaturesForAddress", str(ME))) == 5


def test_filters_and_slices_of_program_accounts():
    with world() as it:
        mine = {"memcmp": {"offset": 32, "bytes": str(ME)}}
        base64 = {"encoding": "base64", "filters": [{"dataSize": 165}, mine], "dataSlice": {"offset": 0, "length": 32}}
        (only,) = result(it.node, "getProgramAccounts", str(TOKEN), base64)
        assert only["pubkey"] == str(it.mine) and only["account"]["data"] == [b64(bytes(it.usdc)), "base64"]
        assert only["account"]["space"] == 165


# -- faults -------------------------------------------------------------------------------------------------------------------


def test_what_becomes_of_a_transaction():
    with world() as it:
        base64 = {"encoding": "base64"}
        it.node.fault("sendTransaction", Fault.dropped())
        it.node.fault("sendTransaction", Fault.late(3))
        it.node.fault("sendTransaction", Fault.fails({"InstructionError": [0, {"Custom": 7}]}))
        dropped, late, failed = (result(it.node, "sendTransaction", b64(pay(it, n)), base64) for n in (1, 2, 3))
        found = {
            name: it.chain.landing(Signature.from_string(one)) for name, one in (("dropped", dropped), ("late", late), ("failed", failed))
        }
        assert found["dropped"] is None and found["late"] is None and found["failed"].err == {"InstructionError": [0, {"Custom": 7}]}
        assert it.chain.balance(FRIEND) == SOL and it.chain.balance(ME) == 10 * SOL - FEE
        it.chain.advance(2)
        assert it.chain.balance(FRIEND) == SOL
        it.chain.advance()
        assert it.chain.balance(FRIEND) == SOL + 2
        it.node.fault("sendTransaction", Fault.late(200))
        result(it.node, "sendTransaction", b64(pay(it, 4)), base64)
        it.chain.advance(250)
        assert it.chain.balance(FRIEND) == SOL + 2  # its blockhash was too old by then


def test_answers_that_are_lost_and_those_that_were_never_done():
    with world() as it:
        base64 = {"encoding": "base64"}
        for fault, done in ((Fault.lost(), True), (Fault.cut(), False)):
            before = it.chain.balance(FRIEND)
            it.node.fault("sendTransaction", fault)
            with pytest.raises(httpx.RemoteProtocolError):
                ask(it.node, "sendTransaction", b64(pay(it, 10 + done)), base64)
            assert it.chain.balance(FRIEND) == before + (11 if done else 0)
        for fault, status, done in ((Fault.status(429, "slow"), 429, False), (Fault.after(Fault.status(502)), 502, True)):
            before = it.chain.balance(FRIEND)
            it.node.fault("*", fault)
            body = {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": [b64(pay(it, 20 + done)), base64]}
            assert httpx.post(it.node.url, json=body, trust_env=False).status_code == status
            assert it.chain.balance(FRIEND) == before + (21 if done else 0)
        it.node.fault("getSlot", Fault.garbage())
        assert ask(it.node, "getSlot").startswith("<html>")
        it.node.fault("getSlot", Fault.replaced(5))
        assert (result(it.node, "getSlot"), result(it.node, "getSlot")) == (5, it.chain.slot - 32)


def test_a_blockhash_that_is_too_old():
    with world() as it:
        it.node.fault("getLatestBlockhash", Fault.expired())
        old = result(it.node, "getLatestBlockhash", {"commitment": "confirmed"})["value"]
        assert old["lastValidBlockHeight"] == it.chain.block_height - 1
        assert not result(it.node, "isBlockhashValid", old["blockhash"], {"commitment": "confirmed"})["value"]
        new = result(it.node, "getLatestBlockhash", {"commitment": "confirmed"})["value"]
        assert result(it.node, "isBlockhashValid", new["blockhash"], {"commitment": "confirmed"})["value"]


def test_two_nodes_of_one_chain_and_starting_again():
    chain = Chain()
    chain.airdrop(ME, 5)
    with solana_server(chain) as one, solana_server(chain) as two:
        two.behind = 3
        assert result(one, "getBalance", str(ME))["value"] == result(two, "getBalance", str(ME))["value"] == 5
        assert result(one, "getSlot") == result(two, "getSlot") + 3
        assert one.url != two.url and one.asked("getSlot") and not one.asked("getHealth")
    node = SolanaServer()
    assert node.start() == node.start()
    node.stop()
    node.stop()


def test_accounts_out_of_nowhere():
    chain = Chain()
    place = address("place")
    chain.set_account(place, owner=TOKEN, data=bytes(5))
    assert chain.account(place).lamports == chain.rent(5) and chain.account(place).owner == TOKEN
    chain.set_account(place, lamports=0)
    assert chain.account(place) is None
    with pytest.raises(ValueError, match="no mint"):
        chain.mint_to(place, ME, 1)
    coin = chain.create_mint(0)
    assert chain.mint_to(coin, ME, 2) == chain.mint_to(coin, ME, 3) == ata(ME, coin)
    assert chain.tokens(ME, coin) == 5 and chain.account(coin).owner == TOKEN
