"""An interface that was taken over: whatever it hands out, the key signs no transaction that takes more than the order.

Each attack is a real transaction, or real instructions, as the interface would hand them out; its twin without the attack trades.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from jupiter_stand import PER_SOL, mint, of, run, told
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from sleeves.orders import Canceled, Fill, Rejected
from sleeves.testing.jupiter_server import WSOL
from sleeves.testing.solana_server.layout import TOKEN, ata
from sleeves.venues.solana import transfer_sol, transfer_tokens

THIEF = Pubkey(bytes([66]) * 32)


def shown(one):
    accounts = [{"pubkey": str(meta.pubkey), "isWritable": meta.is_writable, "isSigner": meta.is_signer} for meta in one.accounts]
    return {"programId": str(one.program_id), "accounts": accounts, "data": b64encode(bytes(one.data)).decode()}


def plain(program, data, *metas):
    return Instruction(program, data, [AccountMeta(*meta) for meta in metas])


def extra(make, where="otherInstructions"):
    """One more instruction among those that the interface hands out."""

    def change(s, answer):
        answer[where] = [*answer[where], shown(make(s))]

    return change


def approve(s):
    """The thief may move our USDC from now on."""
    return plain(
        TOKEN,
        b"\4" + (10**12).to_bytes(8, "little"),
        (ata(s.wallet, mint(s.usdc)), False, True),
        (THIEF, False, False),
        (s.wallet, True, False),
    )


def new_authority(s):
    """The thief owns our account for USDC from now on."""
    return plain(TOKEN, b"\6\2\1" + bytes(THIEF), (ata(s.wallet, mint(s.usdc)), False, True), (s.wallet, True, False))


def drain_tokens(s):
    home = s.chain.mint_to(mint(s.usdc), THIEF, 0)
    return transfer_tokens(ata(s.wallet, mint(s.usdc)), mint(s.usdc), home, s.wallet, 10**9, 6)


def drain_plain(s):
    """The same without naming the mint."""
    home = s.chain.mint_to(mint(s.usdc), THIEF, 0)
    return plain(
        TOKEN,
        b"\3" + (10**9).to_bytes(8, "little"),
        (ata(s.wallet, mint(s.usdc)), False, True),
        (home, False, True),
        (s.wallet, True, False),
    )


def close_to_thief(s):
    return plain(TOKEN, b"\x09", (ata(s.wallet, mint(s.usdc)), False, True), (THIEF, False, True), (s.wallet, True, False))


def nonce(s):
    return plain(Pubkey(bytes(32)), (4).to_bytes(4, "little"), (s.wallet, False, True), (THIEF, False, False), (s.wallet, True, False))


def unknown_program(s):
    return plain(Pubkey(bytes([7]) * 32), b"\1", (s.wallet, True, True))


def burn(s):
    usdc = mint(s.usdc)
    return plain(
        TOKEN, b"\x08" + (10**6).to_bytes(8, "little"), (ata(s.wallet, usdc), False, True), (usdc, False, True), (s.wallet, True, False)
    )


def assign(s):
    """The wallet itself belongs to another program from now on."""
    return plain(Pubkey(bytes(32)), (1).to_bytes(4, "little") + bytes(THIEF), (s.wallet, True, True))


def other_source(s, answer):
    """The swap pays somebody else out."""
    accounts = answer["swapInstruction"]["accounts"]
    accounts[3]["pubkey"] = str(s.chain.mint_to(mint(s.usdc), THIEF, 0))


def takes_more(s, answer):
    """Twice of what was ordered goes in."""
    data = bytearray(b64decode(answer["swapInstruction"]["data"]))
    data[8:16] = (2 * int.from_bytes(data[8:16], "little")).to_bytes(8, "little")
    answer["swapInstruction"]["data"] = b64encode(bytes(data)).decode()
    transfer = answer["setupInstructions"][1]
    lamports = bytearray(b64decode(transfer["data"]))
    lamports[4:12] = (2 * int.from_bytes(lamports[4:12], "little")).to_bytes(8, "little")
    transfer["data"] = b64encode(bytes(lamports)).decode()


def wraps_for_thief(s, answer):
    answer["setupInstructions"][1]["accounts"][1]["pubkey"] = str(ata(THIEF, WSOL))


def second_signer(s, answer):
    answer["swapInstruction"]["accounts"].append({"pubkey": str(THIEF), "isSigner": True, "isWritable": False})


def lying_table(s, answer):
    """The table has other addresses than the interface says."""
    ((table, keys),) = answer["addressesByLookupTableAddress"].items()
    answer["addressesByLookupTableAddress"] = {table: [*keys[1:], keys[0]]}


ATTACKS = {
    "lamports to a stranger": extra(lambda s: transfer_sol(s.wallet, THIEF, PER_SOL)),
    "a little to a stranger": extra(lambda s: transfer_sol(s.wallet, THIEF, 1)),
    "tokens to a stranger": extra(drain_tokens),
    "tokens to a stranger, the mint not named": extra(drain_plain),
    "approve": extra(approve),
    "approve, in the setup": extra(approve, "setupInstructions"),
    "a new owner of our account": extra(new_authority),
    "an account closed to a stranger": extra(close_to_thief),
    "a durable nonce": extra(nonce, "setupInstructions"),
    "an unknown program": extra(unknown_program),
    "our tokens burnt": extra(burn),
    "our wallet handed over": extra(assign),
    "the swap pays a stranger": other_source,
    "the swap takes twice as much": takes_more,
    "our SOL is wrapped for a stranger": wraps_for_thief,
    "a second signer": second_signer,
    "a table that says another thing": lying_table,
}


RULES = {
    "lamports to a stranger": "transfer",
    "a little to a stranger": "transfer",
    "tokens to a stranger": "transfer",
    "tokens to a stranger, the mint not named": "token",
    "approve": "approve",
    "approve, in the setup": "approve",
    "a new owner of our account": "authority",
    "an account closed to a stranger": "close",
    "a durable nonce": "nonce",
    "an unknown program": "program",
    "our tokens burnt": "burn",
    "our wallet handed over": "system",
    "the swap pays a stranger": "simulation",
    "the swap takes twice as much": "",
    "our SOL is wrapped for a stranger": "transfer",
    "a second signer": "",
    "a table that says another thing": "",
}
"""The guard's rule that each of them breaks; nothing where it comes to another end before."""


@pytest.mark.parametrize("name", ATTACKS)
def test_instructions_that_take_more_are_never_signed(name):
    async def story(s, venue, market):
        before, seen = s.holds(), []

        def change(answer):
            ATTACKS[name](s, answer)
            seen.append(1)
            return answer

        s.jupiter.tamper["build"] = change
        await venue.submit(s.sell(market, "1"))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and event.reason.startswith(RULES[name]), event
        assert seen and s.sent() == (0, 0) and s.holds() == before
        s.jupiter.tamper.clear()
        await venue.submit(s.sell(market, "1"))
        assert of(told(venue), Fill), "its twin trades"

    run(story)


@pytest.mark.parametrize("micro", [1_000_000_000, (1 << 64) - 1])
def test_a_price_for_units_beyond_the_cap_is_lowered_to_it(micro):
    async def story(s, venue, market):
        s.jupiter.unit_price = micro
        before = s.holds()
        await venue.submit(s.sell(market, "1"))
        (fill,) = of(told(venue), Fill)
        assert 990_000 < fill.fee.units <= 1_000_000, "at most 0.001 SOL"
        assert before[0] - s.holds()[0] == PER_SOL + fill.fee.units

    run(story)


# -- whole transactions ----------------------------------------------------------------------------------------------------------


def rebuilt(s, answer, *, more=(), payer=None, without=0):
    """The interface's transaction with other instructions in it."""
    message = VersionedTransaction.from_bytes(b64decode(answer["transaction"])).message
    keys = list(message.account_keys)
    lookups = [at for one in message.address_table_lookups for at in (*one.writable_indexes, *one.readonly_indexes)]
    keys += [s.jupiter._table()[at] for at in lookups]
    writable = message.address_table_lookups and len(message.address_table_lookups[0].writable_indexes)
    static = len(message.account_keys)
    metas = [
        AccountMeta(
            key, message.is_signer(at) if at < static else False, message.is_maybe_writable(at) if at < static else at < static + writable
        )
        for at, key in enumerate(keys)
    ]
    given = [Instruction(keys[one.program_id_index], bytes(one.data), [metas[at] for at in one.accounts]) for one in message.instructions]
    new = MessageV0.try_compile(payer or s.wallet, [*given[without:], *more], [], message.recent_blockhash)
    blank = [Signature.default()] * new.header.num_required_signatures
    answer["transaction"] = b64encode(bytes(VersionedTransaction.populate(new, blank))).decode()


WHOLE = {
    "lamports to a stranger": lambda s, a: rebuilt(s, a, more=[transfer_sol(s.wallet, THIEF, 10**6)]),
    "approve": lambda s, a: rebuilt(s, a, more=[approve(s)]),
    "somebody else pays, and signs": lambda s, a: rebuilt(s, a, payer=Keypair().pubkey()),
    "an unknown program": lambda s, a: rebuilt(s, a, more=[unknown_program(s)]),
    "no transaction at all": lambda s, a: a.update(transaction=b64encode(b"\1" * 100).decode()),
    "a drain and nothing else": lambda s, a: rebuilt(s, a, more=[transfer_sol(s.wallet, THIEF, PER_SOL)], without=99),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_transaction_that_takes_more_is_never_signed(name):
    async def story(s, venue, market):
        before = s.holds()

        def change(answer):
            if answer["transaction"]:
                WHOLE[name](s, answer)
            return answer

        s.jupiter.tamper["order"] = change
        await venue.submit(s.sell(market, "1"))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected), event
        assert not s.jupiter.asked("execute") and s.sent() == (0, 0) and s.holds() == before
        s.jupiter.tamper["order"] = lambda answer: (rebuilt(s, answer) if answer["transaction"] else None, answer)[1]
        await venue.submit(s.sell(market, "1"))
        assert of(told(venue), Fill), "its twin, rebuilt and not changed, trades"

    run(story, driver={"route": "execute"})


def test_a_fee_beyond_the_cap_is_never_signed():
    """The interface puts a price into its own transaction: it is not ours to lower, so it is refused."""

    async def story(s, venue, market):
        s.jupiter.order, order = (
            (lambda query: order({**query, "broadcastFeeType": "exactFee", "priorityFeeLamports": "2000000"})),
            s.jupiter.order,
        )
        await venue.submit(s.sell(market, "1"))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and "fee" in event.reason and not s.jupiter.asked("execute")

    run(story, driver={"route": "execute"})
