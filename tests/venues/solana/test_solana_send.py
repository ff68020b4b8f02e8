"""From an unsigned transaction to a certain outcome, over a real socket: landed, failed, expired, or honestly unknown."""

from __future__ import annotations

import anyio
import pytest
from solders.instruction import AccountMeta

from sleeves.errors import VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.testing.solana_server import Fault
from sleeves.venues.solana import (
    SYSTEM,
    WSOL,
    Blockhash,
    Expired,
    Guard,
    Landed,
    Preflight,
    Refused,
    Rpc,
    Sender,
    Unknown,
    ata,
    close_account,
    create_ata,
    memo,
    transfer_sol,
    transfer_tokens,
    unit_limit,
    unit_price,
)
from sleeves.venues.solana.send import AlreadyLanded
from solana_stand import BLOCKHASH, FEE, FRIEND, ME, SIGNER, SOL, THIEF, TIPS, both, run, sending, spending, world

PAYS = spending(most_out={WSOL: SOL})


def pay(it, lamports=SOL, *more):
    return it.raw(transfer_sol(ME, FRIEND, lamports), *more)


async def land(it, sender, signed, *terms, slots):
    """Land a transaction, and let slots pass once it was sent."""
    found = []

    async def landing():
        found.append(await sender.land(signed, *terms))
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(landing)
        while not it.node.asked("sendTransaction"):
            await anyio.sleep(0.005)
        while True:
            it.chain.advance(slots)
            await anyio.sleep(0.02)
    return found[0]


async def valid(sender):
    """What our node says of the blockhash of now."""
    return await sender._rpc.latest_blockhash()


@both
def test_it_is_looked_at_run_signed_sent_and_lands(backend):
    async def story():
        with world() as it:
            async with sending(it) as sender:
                raw = it.raw(unit_limit(10_000), unit_price(1_000), transfer_sol(ME, FRIEND, SOL), memo("a-1", ME))
                signed = await sender.prepare(raw, spending(most_out={WSOL: SOL}, fee=5_010, lamports=5_010))
                assert not it.node.asked("sendTransaction") and (signed.fee, signed.tip) == (5_010, 0)
                outcome = await sender.land(signed, await valid(sender))
                assert outcome == Landed(signed.signature, it.chain.slot) and outcome.well
                assert it.chain.balance(ME) == 9 * SOL - 5_010 and it.chain.balance(FRIEND) == 2 * SOL
                (sent,) = it.node.asked("sendTransaction")
                assert sent.params[1] == {
                    "encoding": "base64",
                    "skipPreflight": False,
                    "preflightCommitment": "confirmed",
                    "maxRetries": 0,
                    "minContextSlot": it.chain.slot,
                }

    run(story, backend)


@both
def test_a_swap_through_a_named_program_lands_as_it_was_run(backend):
    async def story():
        with world() as it:
            usdc = it.usdc
            table = it.chain.create_table([it.mine, ata(ME, WSOL), usdc, WSOL])
            async with sending(it) as sender:
                tables = await sender._rpc.lookup_tables([table])
                steps = [create_ata(ME, ME, WSOL), it.call(1_000_000), close_account(ata(ME, WSOL), ME, ME)]
                raw = it.raw(*steps, tables=tables)
                terms = spending(most_out={usdc: 1_000_000}, least_in={WSOL: 6_000_000})
                signed = await sender.prepare(raw, terms, name="quiet-1")
                outcome = await sender.land(signed, await valid(sender))
                assert isinstance(outcome, Landed) and outcome.well
                done = await sender._rpc.transaction(signed.signature)
                assert done.tokens(ME) == {usdc: (1_000_000_000, 999_000_000)}
                assert done.lamports(ME) == (10 * SOL, 10 * SOL + 6_000_000 - FEE) and done.fee == FEE

    run(story, backend)


def test_what_is_refused_is_neither_signed_nor_sent():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                for raw in (it.raw(transfer_sol(ME, THIEF, 1)), pay(it, SOL + 1)):
                    with pytest.raises(Refused):
                        await sender.prepare(raw, PAYS, name="a-1")
                it.makes = lambda amount, least: [*it.honest(amount, least), transfer_sol(ME, THIEF, 1)]
                metas = [AccountMeta(THIEF, False, True), AccountMeta(SYSTEM, False, False)]
                steps = [create_ata(ME, ME, WSOL), it.call(1_000_000, more=metas), close_account(ata(ME, WSOL), ME, ME)]
                with pytest.raises(Refused) as caught:
                    await sender.prepare(it.raw(*steps), spending(most_out={it.usdc: 1_000_000}, least_in={WSOL: 6_000_000}), name="a-2")
                assert caught.value.rule == "spending"
                assert not it.node.asked("sendTransaction") and it.chain.balance(ME) == 10 * SOL

    run(story)


def test_a_preflight_that_fails_is_a_no_and_nothing_is_done():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed = await sender.prepare(pay(it), PAYS, name="a-1")
                now = await valid(sender)
                it.chain.set_account(ME, lamports=SOL)  # the money went elsewhere meanwhile
                with pytest.raises(Preflight) as caught:
                    await sender.land(signed, now)
                assert caught.value.err == {"InstructionError": [0, {"Custom": 1}]} and caught.value.logs
                assert it.chain.landing(signed.signature) is None and it.chain.balance(ME) == SOL
                assert (await sender.land(await sender.prepare(pay(it, 1), PAYS, name="a-1"), now)).well

    run(story)


def test_a_transaction_that_landed_with_an_error_is_no_success():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed = await sender.prepare(pay(it), PAYS, name="a-1")
                it.node.fault("sendTransaction", Fault.fails({"InstructionError": [0, {"Custom": 6001}]}))
                outcome = await sender.land(signed, await valid(sender))
                assert outcome == Landed(signed.signature, it.chain.slot, {"InstructionError": [0, {"Custom": 6001}]})
                assert not outcome.well
                assert it.chain.balance(ME) == 10 * SOL - FEE  # it cost its fee
                again = await sender.prepare(pay(it, SOL - 1), PAYS, name="a-1")  # and may be tried anew
                assert (await sender.land(again, await valid(sender))).well

    run(story)


@pytest.mark.parametrize(
    "fault", [Fault.lost(), Fault.after(Fault.status(502)), Fault.after(Fault.error(-32603)), Fault.after(Fault.garbage())]
)
def test_an_answer_that_is_lost_after_it_was_taken_is_found_on_the_chain(fault):
    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed = await sender.prepare(pay(it), PAYS)
                it.node.fault("sendTransaction", fault)
                assert (await sender.land(signed, await valid(sender))).well
                assert len(it.node.asked("sendTransaction")) == 1
                assert it.chain.balance(FRIEND) == 2 * SOL

    run(story)


@pytest.mark.parametrize("fault", [Fault.dropped(), Fault.cut(), Fault.status(502), Fault.error(-32603)])
def test_what_was_dropped_on_the_way_is_sent_again_as_the_same_bytes(fault):
    async def story():
        with world() as it:
            async with sending(it, resend_s=0.02) as sender:
                signed = await sender.prepare(pay(it), PAYS)
                it.node.fault("sendTransaction", fault, 2)
                assert (await sender.land(signed, await valid(sender))).well
                sent = it.node.asked("sendTransaction")
                assert {one.params[0] for one in sent} == {signed.base64}
                assert [one.params[1]["skipPreflight"] for one in sent][1:] == [True] * (len(sent) - 1)
                assert it.chain.balance(FRIEND) == 2 * SOL  # once, however often it was sent

    run(story)


@pytest.mark.parametrize("fault", [Fault.status(429), Fault.status(403), Fault.error(-32005), Fault.error(-32016), Fault.error(-32601)])
def test_a_node_that_surely_took_nothing_is_tried_a_few_times_and_then_said_so(fault):
    async def story():
        with world() as it:
            async with sending(it, tries=3) as sender:
                now, signed = await valid(sender), await sender.prepare(pay(it), PAYS)
                it.node.fault("sendTransaction", fault, 2)
                assert (await sender.land(signed, now)).well
                signed = await sender.prepare(pay(it, 1), PAYS, name="a-2")
                it.node.fault("sendTransaction", fault, 3)
                with pytest.raises(VenueUnavailable):
                    await sender.land(signed, await valid(sender))
                assert it.chain.landing(signed.signature) is None
                assert all(not one.params[1]["skipPreflight"] for one in it.node.asked("sendTransaction"))
                again = await sender.prepare(pay(it, 2), PAYS, name="a-2")  # nothing was sent: the name is free
                assert (await sender.land(again, await valid(sender))).well

    run(story)


@both
def test_a_transaction_that_never_lands_expires_by_block_height_and_not_before(backend):
    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed, now = await sender.prepare(pay(it), PAYS, name="a-1"), await valid(sender)
                it.node.fault("sendTransaction", Fault.dropped(), 1_000)
                assert await land(it, sender, signed, now, slots=10) == Expired(signed.signature)
                assert it.chain.height(it.chain.slot - 32) > now.last_valid_block_height  # the final height, that is
                assert it.chain.balance(ME) == 10 * SOL

    run(story, backend)


def test_both_sides_of_the_last_height():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed = await sender.prepare(pay(it), PAYS)
                now = await valid(sender)
                terms = (signed.signature, signed.blockhash, now.last_valid_block_height)
                it.chain.advance(now.last_valid_block_height - it.chain.block_height + 32)  # the last final height at which it may land
                outcome = await sender.outcome(*terms)
                assert isinstance(outcome, Unknown) and "may land until" in outcome.why
                it.chain.advance()
                assert await sender.outcome(*terms) == Expired(signed.signature)
                assert isinstance(await sender.outcome(signed.signature), Unknown)  # without its terms nobody can say

    run(story)


def test_it_is_never_dead_while_a_node_that_is_behind_says_so():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed = await sender.prepare(pay(it), PAYS)
                now = await valid(sender)
                terms = (signed.signature, signed.blockhash, now.last_valid_block_height)
                await sender._rpc.send(signed.raw)
                it.node.behind = 1  # it does not see the block that the transaction is in
                assert isinstance(await sender.outcome(*terms), Unknown)
                it.chain.advance(200)
                assert await sender.outcome(*terms) == Landed(signed.signature, it.chain.landing(signed.signature).slot)

    run(story)


def test_what_landed_long_ago_is_found_in_the_nodes_history():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed, now = await sender.prepare(pay(it), PAYS), await valid(sender)
                landed = await sender.land(signed, now)
                it.chain.advance(1_000)  # longer than a node remembers by itself
                assert (await sender._rpc.statuses([signed.signature])).values == (None,)
                assert await sender.outcome(signed.signature) == landed
                assert await sender.outcome(signed.signature, signed.blockhash) == landed
                assert await sender.outcome(signed.signature, None, now.last_valid_block_height) == landed
                assert await sender.outcome(signed.signature, signed.blockhash, now.last_valid_block_height) == landed

    run(story)


def test_a_node_that_is_behind_another_is_no_witness():
    """The height comes from one node of a pool, and the silence from another that is behind it."""

    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed = await sender.prepare(pay(it), PAYS)
                now = await valid(sender)
                it.chain.advance(300)
                old = {"context": {"slot": it.chain.slot - 200}, "value": [None]}
                it.node.fault("getSignatureStatuses", Fault.replaced(old), 2)
                terms = (signed.signature, signed.blockhash, now.last_valid_block_height)
                outcome = await sender.outcome(*terms)
                assert isinstance(outcome, Unknown) and "behind" in outcome.why
                for behind, expires in ((33, False), (32, True)):  # the final block is 32 behind the latest
                    known = {"context": {"slot": it.chain.slot - behind}, "value": [None]}
                    it.node.fault("getSignatureStatuses", Fault.replaced(known), 2)
                    assert isinstance(await sender.outcome(*terms), Expired if expires else Unknown)
                assert await sender.outcome(*terms) == Expired(signed.signature)

    run(story)


def test_a_blockhash_that_is_still_good_keeps_it_alive_whatever_height_was_said():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                it.chain.advance(64)
                signed = await sender.prepare(pay(it), PAYS)
                it.chain.advance(40)
                outcome = await sender.outcome(signed.signature, signed.blockhash, 1)
                assert isinstance(outcome, Unknown) and "still good" in outcome.why

    run(story)


def test_a_height_that_somebody_else_says_is_not_believed():
    """Without a word of our own node it is waited for twice as long; a blockhash of another transaction is no word at all."""

    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed = await sender.prepare(pay(it), PAYS)
                begun = it.chain.block_height
                it.node.fault("sendTransaction", Fault.dropped(), 1_000)
                assert await land(it, sender, signed, slots=10) == Expired(signed.signature)
                assert it.chain.block_height > begun + 300
                with pytest.raises(VenueRejected, match="has the blockhash"):
                    await sender.land(signed, Blockhash(BLOCKHASH, 1, 1))

    run(story)


def test_it_lands_late_and_is_waited_for():
    async def story():
        with world() as it:
            async with sending(it, resend_s=10.0) as sender:
                signed, now = await sender.prepare(pay(it), PAYS), await valid(sender)
                it.node.fault("sendTransaction", Fault.late(60))
                assert (await land(it, sender, signed, now, slots=5)).well

    run(story)


def test_what_cannot_be_decided_in_time_is_unknown_and_decided_later():
    async def story():
        with world() as it:  # no slot passes by itself, so nothing is ever final
            async with sending(it, patience_s=0.1) as sender:
                signed = await sender.prepare(pay(it), PAYS, name="a-1")
                now = await valid(sender)
                it.node.fault("sendTransaction", Fault.dropped(), 100)
                outcome = await sender.land(signed, now)
                assert isinstance(outcome, Unknown) and outcome.signature == signed.signature
                with pytest.raises(VenueUnknown, match="may still land"):  # no second one while the first may land
                    await sender.prepare(pay(it, 5), PAYS, name="a-1")
                await sender.prepare(pay(it, 5), PAYS, name="a-2")  # another name is another matter
                it.chain.advance(200)
                again = await sender.prepare(pay(it, 5), PAYS, name="a-1")
                assert again.signature != signed.signature
                it.node._faults.clear()
                assert (await sender.land(again, await valid(sender))).well
                with pytest.raises(VenueRejected, match="landed already"):
                    await sender.prepare(pay(it, 6), PAYS, name="a-1")
                assert it.chain.balance(FRIEND) == SOL + 5

    run(story)


def test_two_that_were_signed_for_one_name_are_not_both_sent():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                one = await sender.prepare(pay(it, 1), PAYS, name="a-1")
                two = await sender.prepare(pay(it, 2), PAYS, name="a-1")  # the first was never sent: it is dropped
                now = await valid(sender)
                assert (await sender.land(two, now)).well
                with pytest.raises(VenueRejected, match="another transaction was signed"):
                    await sender.land(one, now)
                assert it.chain.balance(FRIEND) == SOL + 2

    run(story)


def test_a_canceled_landing_is_found_again():
    async def story():
        with world() as it:
            async with sending(it, poll_s=5.0) as sender:
                signed = await sender.prepare(pay(it), PAYS, name="a-1")
                now = await valid(sender)
                it.node.fault("sendTransaction", Fault.after(Fault.hang(5)))
                with anyio.move_on_after(0.1) as scope:
                    await sender.land(signed, now)
                assert scope.cancelled_caught
                assert (await sender.outcome(signed.signature, signed.blockhash, now.last_valid_block_height)).well
                with pytest.raises(VenueRejected, match="landed already"):
                    await sender.prepare(pay(it), PAYS, name="a-1")

    run(story)


def test_another_way_to_send_is_told_how_often_it_was_tried_and_may_hand_over():
    async def story():
        with world() as it:
            async with sending(it, resend_s=0.02) as sender:
                tip = it.raw(transfer_sol(ME, TIPS, 1_000), transfer_sol(ME, FRIEND, SOL))
                signed = await sender.prepare(tip, spending(most_out={WSOL: SOL}, tip=1_000, lamports=FEE + 1_000))
                assert signed.tip == 1_000
                seen = []

                async def bundle(one, times):
                    seen.append(times)
                    if times < 3:
                        return  # accepted, and never lands
                    await sender._rpc.send(one.raw)

                assert (await sender.land(signed, await valid(sender), broadcast=bundle)).well
                assert seen == [0, 1, 2, 3]

    run(story)


def test_another_way_that_surely_did_nothing_is_an_error_and_one_that_may_have_is_none():
    async def story():
        with world() as it:
            async with sending(it, patience_s=0.05) as sender:
                for error, passes in ((VenueRejected("no"), False), (VenueUnavailable("away"), False), (VenueUnknown("lost"), True)):
                    signed = await sender.prepare(pay(it), PAYS)

                    async def fails(one, times, error=error):
                        raise error

                    now = await valid(sender)
                    if passes:
                        assert isinstance(await sender.land(signed, now, broadcast=fails), Unknown)
                        continue
                    with pytest.raises(type(error)):
                        await sender.land(signed, now, broadcast=fails)

    run(story)


def test_money_that_moves_during_the_run_has_it_run_again():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                times = []

                def receive(result):
                    times.append(1)
                    if len(times) < 3:
                        it.chain.airdrop(ME, 1)
                    return result

                it.node.fault("simulateTransaction", Fault.replaced(receive), 10)
                await sender.prepare(pay(it), PAYS)
                assert len(times) == 3

                def ever(result):
                    it.chain.airdrop(ME, 1)
                    return result

                it.node._faults.clear()
                it.node.fault("simulateTransaction", Fault.replaced(ever), 10)
                with pytest.raises(Refused) as caught:
                    await sender.prepare(pay(it), PAYS)
                assert caught.value.rule == "moving"

    run(story)


def test_a_deposit_during_the_run_hides_no_theft():
    """A lamport stolen by the run while one is paid in: what came from outside counts for nothing."""

    async def story():
        with world() as it:
            async with sending(it, tries=1) as sender:
                it.makes = lambda amount, least: [*it.honest(amount, least), transfer_sol(ME, THIEF, 1)]
                metas = [AccountMeta(THIEF, False, True), AccountMeta(SYSTEM, False, False)]
                steps = [create_ata(ME, ME, WSOL), it.call(1_000_000, more=metas), close_account(ata(ME, WSOL), ME, ME)]
                asked = []

                def paid(result):
                    asked.append(1)
                    if len(asked) == 1:
                        it.chain.airdrop(ME, 1)  # after the accounts were read, before the run
                    return result

                it.node.fault("getMultipleAccounts", Fault.replaced(paid), 10)
                with pytest.raises(Refused) as caught:
                    await sender.prepare(it.raw(*steps), spending(most_out={it.usdc: 1_000_000}, least_in={WSOL: 6_000_000}))
                assert caught.value.rule == "moving"

    run(story)


def test_a_key_and_a_guard_are_of_one_wallet():
    with pytest.raises(VenueRejected, match="the guard is of"):
        Sender(Rpc("http://127.0.0.1:9"), Guard(FRIEND), SIGNER)


def test_tokens_of_ours_that_were_sent_to_a_payee_arrive():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                steps = [create_ata(ME, FRIEND, it.usdc), transfer_tokens(it.mine, it.usdc, ata(FRIEND, it.usdc), ME, 100, 6)]
                rent = it.chain.rent(165)  # of another's account: it leaves for good
                short = spending(most_out={it.usdc: 100}, lamports=FEE + rent - 1)
                with pytest.raises(Refused) as caught:
                    await sender.prepare(it.raw(*steps), short)
                assert caught.value.rule == "spending"
                signed = await sender.prepare(it.raw(*steps), spending(most_out={it.usdc: 100}, lamports=FEE + rent))
                assert (await sender.land(signed, await valid(sender))).well
                assert it.chain.tokens(FRIEND, it.usdc) == 100

    run(story)


# -- what goes wrong in other ways ---------------------------------------------------------------------------------------------


@both
def test_what_is_given_up_on_says_until_when_it_may_land(backend):
    """With a blockhash that nobody told of as well: then a height that is surely no less."""

    async def story():
        with world() as it:
            async with sending(it, patience_s=0.05) as sender:
                for told in (True, False):
                    it.node.fault("sendTransaction", Fault.dropped(), 1_000)
                    signed = await sender.prepare(pay(it), PAYS)
                    now = await valid(sender)
                    height = it.chain.block_height
                    outcome = await sender.land(signed, *((now,) if told else ()))
                    assert isinstance(outcome, Unknown)
                    assert outcome.last == (now.last_valid_block_height if told else height + 300)
                    it.node._faults.clear()
                    it.chain.advance(outcome.last - height + 33)
                    assert isinstance(await sender.outcome(signed.signature, signed.blockhash, outcome.last), Expired)

    run(story, backend)


def test_an_error_that_is_nobodys_is_taken_for_an_answer_that_was_lost():
    async def story():
        with world() as it:
            async with sending(it, resend_s=0.02) as sender:
                signed = await sender.prepare(pay(it), PAYS)
                seen = []

                async def broken(one, times):
                    seen.append(times)
                    if times < 2:
                        raise ValueError("a library's own")
                    await sender._rpc.send(one.raw)

                assert (await sender.land(signed, await valid(sender), broadcast=broken)).well
                assert seen == [0, 1, 2]

    run(story)


def test_a_name_of_which_one_has_landed_is_told_apart_from_a_no():
    async def story():
        with world() as it:
            async with sending(it) as sender:
                signed = await sender.prepare(pay(it), PAYS, name="a-1")
                assert (await sender.land(signed, await valid(sender))).well
                with pytest.raises(AlreadyLanded):
                    await sender.prepare(pay(it), PAYS, name="a-1")

    run(story)
