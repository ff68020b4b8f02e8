"""What is signed and what is not: a table of attacks, each a real transaction, beside a twin that differs in the attack alone."""

from __future__ import annotations

import struct

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.message import Message, MessageAddressTableLookup, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    AdvanceNonceAccountParams,
    AssignParams,
    CreateAccountParams,
    CreateAccountWithSeedParams,
    advance_nonce_account,
    assign,
    create_account,
    create_account_with_seed,
)
from solders.transaction import VersionedTransaction

from sleeves.errors import VenueRejected
from sleeves.testing.solana_server import ProgramError
from sleeves.venues.solana import (
    ATA,
    COMPUTE_BUDGET,
    JUPITER,
    STAKE,
    SYSTEM,
    TOKEN,
    TOKEN_2022,
    WSOL,
    Account,
    Accounts,
    Guard,
    Refused,
    Simulation,
    Spending,
    TokenAccount,
    ata,
    close_account,
    compile_v0,
    create_ata,
    memo,
    sync_native,
    transfer_sol,
    transfer_tokens,
    unit_limit,
    unit_price,
)
from solana_stand import BLOCKHASH, FEE, FRIEND, ME, POOL, SIGNER, SOL, THIEF, TIPS, World, address, spending
from strategies import law

USDC = address("usdc")
MINE = ata(ME, USDC)
GUARD = Guard(ME, payees=[FRIEND], tip_accounts=[TIPS])
PLAIN = spending()


def raw(*instructions, payer=ME, tables=None, static=()):
    return compile_v0(payer, list(instructions), BLOCKHASH, tables, static=static)


def token(kind, *accounts, data=b"", program=TOKEN):
    """An instruction of the token program: accounts as (address, signer, writable)."""
    return Instruction(program, bytes([kind]) + data, [AccountMeta(*one) for one in accounts])


def u64(value):
    return struct.pack("<Q", value)


def rule_of(instructions, spent=PLAIN, guard=GUARD, **terms):
    with pytest.raises(Refused) as caught:
        guard.examine(raw(*instructions, **terms), terms.get("tables") or {}, spent)
    return caught.value.rule


def close_other():
    return token(9, (MINE, False, True), (ME, False, True), (THIEF, False, False))


def created(*, payer=ME, wallet=ME, program=TOKEN, rent=True, cut=0):
    """The creation of an associated account, with the sysvar that it once took."""
    accounts = [AccountMeta(payer, payer == ME, True), AccountMeta(ata(wallet, USDC, program), False, True)]
    accounts += [AccountMeta(one, False, False) for one in (wallet, USDC, SYSTEM, program)]
    accounts += [AccountMeta(address("rent"), False, False)] if rent else []
    return Instruction(ATA, b"", accounts[: len(accounts) - cut])


# -- instructions: what is refused, and its twin that is not ------------------------------------------------------------------

PAYS = spending(most_out={WSOL: SOL, USDC: 100})
TIPPED = spending(tip=1_000, lamports=FEE + 1_000)

ATTACKS = {
    "SOL to a stranger": ("transfer", transfer_sol(ME, THIEF, 1), transfer_sol(ME, FRIEND, 1), PAYS),
    "SOL to a payee beyond the cap": ("cap", transfer_sol(ME, FRIEND, SOL + 1), transfer_sol(ME, FRIEND, SOL), PAYS),
    "SOL of another wallet": (
        "system",
        Instruction(SYSTEM, struct.pack("<IQ", 2, 1), [AccountMeta(FRIEND, False, True), AccountMeta(ME, True, True)]),
        transfer_sol(ME, ME, 1),
        PLAIN,
    ),
    "a tip to a stranger": ("transfer", transfer_sol(ME, THIEF, 1_000), transfer_sol(ME, TIPS, 1_000), TIPPED),
    "a tip beyond the cap": ("tip", transfer_sol(ME, TIPS, 1_001), transfer_sol(ME, TIPS, 1_000), TIPPED),
    "SOL into the wrapped account of a stranger": (
        "transfer",
        transfer_sol(ME, ata(THIEF, WSOL), 1),
        transfer_sol(ME, ata(ME, WSOL), 1),
        PLAIN,
    ),
    "our wallet handed to a program": (
        "system",
        assign(AssignParams(pubkey=ME, owner=STAKE)),
        memo("nothing", ME),
        PLAIN,
    ),
    "room in our wallet, which no transfer reaches any more": (
        "system",
        Instruction(SYSTEM, struct.pack("<IQ", 8, 1), [AccountMeta(ME, True, True), AccountMeta(ME, True, True)]),
        Instruction(SYSTEM, struct.pack("<IQ", 2, 1), [AccountMeta(ME, True, True), AccountMeta(ME, True, True)]),
        PLAIN,
    ),
    "a transfer with a byte too many": (
        "system",
        Instruction(SYSTEM, struct.pack("<IQ", 2, 1) + b"\0", transfer_sol(ME, ME, 1).accounts),
        transfer_sol(ME, ME, 1),
        PLAIN,
    ),
    "a transfer with an account too many": (
        "system",
        Instruction(SYSTEM, struct.pack("<IQ", 2, 1), [*transfer_sol(ME, ME, 1).accounts, AccountMeta(THIEF, False, True)]),
        transfer_sol(ME, ME, 1),
        PLAIN,
    ),
    "a System instruction cut short": ("system", Instruction(SYSTEM, b"\2", []), transfer_sol(ME, ME, 1), PLAIN),
    "an account of a program at our cost": (
        "system",
        create_account_with_seed(
            CreateAccountWithSeedParams(
                from_pubkey=ME,
                to_pubkey=Pubkey.create_with_seed(ME, "x", STAKE),
                base=ME,
                seed="x",
                lamports=SOL,
                space=0,
                owner=STAKE,
            )
        ),
        create_ata(ME, ME, USDC),
        PLAIN,
    ),
    "a durable nonce": (
        "nonce",
        advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=address("nonce"), authorized_pubkey=ME)),
        memo("nothing", ME),
        PLAIN,
    ),
    "tokens to a stranger": (
        "transfer",
        transfer_tokens(MINE, USDC, ata(THIEF, USDC), ME, 1, 6),
        transfer_tokens(MINE, USDC, ata(FRIEND, USDC), ME, 1, 6),
        PAYS,
    ),
    "tokens to a payee beyond the cap": (
        "cap",
        transfer_tokens(MINE, USDC, ata(FRIEND, USDC), ME, 101, 6),
        transfer_tokens(MINE, USDC, ata(FRIEND, USDC), ME, 100, 6),
        PAYS,
    ),
    "tokens of a mint that has no cap": (
        "cap",
        transfer_tokens(ata(ME, address("bonk")), address("bonk"), ata(FRIEND, address("bonk")), ME, 1, 6),
        transfer_tokens(MINE, USDC, ata(FRIEND, USDC), ME, 1, 6),
        PAYS,
    ),
    "tokens to a payee's account of another token program": (
        "transfer",
        transfer_tokens(MINE, USDC, ata(FRIEND, USDC, TOKEN_2022), ME, 1, 6),
        transfer_tokens(MINE, USDC, ata(FRIEND, USDC, TOKEN_2022), ME, 1, 6, TOKEN_2022),
        PAYS,
    ),
    "tokens without a word of which": (
        "token",
        token(3, (MINE, False, True), (ata(FRIEND, USDC), False, True), (ME, True, False), data=u64(1)),
        transfer_tokens(MINE, USDC, ata(FRIEND, USDC), ME, 1, 6),
        PAYS,
    ),
    "tokens by the signature of another": (
        "token",
        token(12, (MINE, False, True), (USDC, False, False), (MINE, False, True), (THIEF, False, False), data=u64(1) + b"\6"),
        transfer_tokens(MINE, USDC, MINE, ME, 1, 6),
        PLAIN,
    ),
    "tokens with a byte too many": (
        "token",
        token(12, (MINE, False, True), (USDC, False, False), (MINE, False, True), (ME, True, False), data=u64(1) + b"\6\0"),
        transfer_tokens(MINE, USDC, MINE, ME, 1, 6),
        PLAIN,
    ),
    "closing with a byte too many": (
        "token",
        token(9, (MINE, False, True), (ME, False, True), (ME, True, False), data=b"\0"),
        close_account(MINE, ME, ME),
        PLAIN,
    ),
    "closing by many": (
        "close",
        token(9, (MINE, False, True), (ME, False, True), (ME, True, False), (THIEF, False, False)),
        close_account(MINE, ME, ME),
        PLAIN,
    ),
    "closing by the signature of another": ("close", close_other(), close_account(MINE, ME, ME), PLAIN),
    "revoking by the signature of another": (
        "token",
        token(5, (MINE, False, True), (THIEF, False, False)),
        token(5, (MINE, False, True), (ME, True, False)),
        PLAIN,
    ),
    "tokens with an account too many": (
        "token",
        token(
            12,
            (MINE, False, True),
            (USDC, False, False),
            (ata(FRIEND, USDC), False, True),
            (ME, True, False),
            (THIEF, False, False),
            data=u64(1) + b"\6",
        ),
        transfer_tokens(MINE, USDC, ata(FRIEND, USDC), ME, 1, 6),
        PAYS,
    ),
    "approve": (
        "approve",
        token(4, (MINE, False, True), (THIEF, False, False), (ME, True, False), data=u64(1)),
        token(5, (MINE, False, True), (ME, True, False)),  # revoke takes such a power back
        PLAIN,
    ),
    "approve, checked": (
        "approve",
        token(13, (MINE, False, True), (USDC, False, False), (THIEF, False, False), (ME, True, False), data=u64(1) + b"\6"),
        token(5, (MINE, False, True), (ME, True, False)),
        PLAIN,
    ),
    "a new authority": (
        "authority",
        token(6, (MINE, False, True), (ME, True, False), data=b"\2\1" + bytes(THIEF)),
        memo("nothing"),
        PLAIN,
    ),
    "burning": (
        "burn",
        token(8, (MINE, False, True), (USDC, False, True), (ME, True, False), data=u64(1)),
        sync_native(ata(ME, WSOL)),
        PLAIN,
    ),
    "closing into a stranger's wallet": (
        "close",
        close_account(MINE, THIEF, ME),
        close_account(MINE, ME, ME),
        PLAIN,
    ),
    "closing into a payee's wallet": ("close", close_account(MINE, FRIEND, ME), close_account(MINE, ME, ME), PLAIN),
    "an extension of Token-2022": (
        "token",
        token(26, (MINE, False, True), (ME, True, False), data=b"\1", program=TOKEN_2022),
        close_account(ata(ME, USDC, TOKEN_2022), ME, ME, TOKEN_2022),
        PLAIN,
    ),
    "an instruction of the token program that nobody knows": ("token", token(200, (MINE, False, True)), sync_native(MINE), PLAIN),
    "an empty instruction of the token program": ("token", Instruction(TOKEN, b"", []), sync_native(MINE), PLAIN),
    "an account for a stranger": ("associated", create_ata(ME, THIEF, USDC), create_ata(ME, FRIEND, USDC), PLAIN),
    "an associated account that is not the one it says": (
        "associated",
        Instruction(
            ATA,
            b"\1",
            [
                AccountMeta(ME, True, True),
                AccountMeta(ata(THIEF, USDC), False, True),
                *(AccountMeta(one, False, False) for one in (ME, USDC, SYSTEM, TOKEN)),
            ],
        ),
        create_ata(ME, ME, USDC),
        PLAIN,
    ),
    "an associated account that another pays for": ("associated", created(payer=FRIEND), created(), PLAIN),
    "an associated account of a program that is no token program": (
        "associated",
        created(program=STAKE),
        created(program=TOKEN_2022),
        PLAIN,
    ),
    "an associated account without its program": ("associated", created(rent=False, cut=1), created(rent=False), PLAIN),
    "the recovery of nested accounts": (
        "associated",
        Instruction(ATA, b"\2", create_ata(ME, ME, USDC).accounts),
        create_ata(ME, ME, USDC),
        PLAIN,
    ),
    "a memo in another's name": (
        "memo",
        Instruction(memo("x").program_id, b"x", [AccountMeta(THIEF, False, False)]),
        memo("x", ME),
        PLAIN,
    ),
    "a program that is not named": (
        "program",
        Instruction(STAKE, b"\4\0\0\0", [AccountMeta(ME, True, True)]),
        Instruction(JUPITER, b"anything", [AccountMeta(ME, True, True)]),
        PLAIN,
    ),
    "a program that is not named, without our key": (
        "program",
        Instruction(THIEF, b"", []),
        Instruction(JUPITER, b"", []),
        PLAIN,
    ),
    "a request for compute units of the old kind": (
        "compute",
        Instruction(COMPUTE_BUDGET, b"\0" + bytes(8), []),
        Instruction(COMPUTE_BUDGET, b"\1" + struct.pack("<I", 32_768), []),
        PLAIN,
    ),
    "a limit of compute units cut short": (
        "compute",
        Instruction(COMPUTE_BUDGET, b"\2\0", []),
        Instruction(COMPUTE_BUDGET, b"\2" + bytes(4), []),
        PLAIN,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_by_its_name_and_its_twin_passes(name):
    rule, attack, twin, spent = ATTACKS[name]
    assert rule_of([attack], spent) == rule
    GUARD.examine(raw(twin), {}, spent)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_wherever_it_hides(name):
    rule, attack, _, spent = ATTACKS[name]
    assert rule_of([unit_limit(10_000), memo("before", ME), attack, memo("after", ME)], spent) == rule


def test_caps_count_over_all_instructions():
    pays = [transfer_sol(ME, FRIEND, SOL // 2)] * 2
    GUARD.examine(raw(*pays), {}, PAYS)
    assert rule_of([*pays, transfer_sol(ME, FRIEND, 1)], PAYS) == "cap"
    tips = [transfer_sol(ME, TIPS, 500)] * 2
    assert GUARD.examine(raw(*tips), {}, TIPPED).tip == 1_000
    assert rule_of([*tips, transfer_sol(ME, TIPS, 1)], TIPPED) == "tip"


@pytest.mark.parametrize(
    ("instructions", "fee"),
    [
        ([memo("x")], 5_000),
        ([unit_limit(100_000), unit_price(10_000)], 5_000 + 1_000),
        ([unit_limit(100_001), unit_price(10_000)], 5_000 + 1_001),  # rounded up
        ([unit_price(1), unit_limit(1)], 5_001),
        ([unit_price(1_000_000), Instruction(COMPUTE_BUDGET, b"\1" + struct.pack("<I", 9), []), memo("x")], 5_000 + 200_000),
        ([unit_price(1_000_000), Instruction(COMPUTE_BUDGET, b"\4" + struct.pack("<I", 9), []), memo("x")], 5_000 + 200_000),
        ([unit_price(1_000_000), memo("x"), memo("y")], 5_000 + 400_000),  # no limit: 200,000 for each instruction
        ([unit_price(1_000_000), *[memo("x")] * 8], 5_000 + 1_400_000),
        ([unit_limit(1_400_000), unit_price(2**64 - 1)], 5_000 + -(-1_400_000 * (2**64 - 1) // 10**6)),
    ],
)
def test_the_fee_is_what_the_chain_takes_at_most(instructions, fee):
    spent = Spending(lamports=fee, fee=fee)
    assert GUARD.examine(raw(*instructions), {}, spent).fee == fee
    assert rule_of(instructions, evolve(spent, fee=fee - 1)) == "fee"
    assert rule_of(instructions, evolve(spent, lamports=fee - 1)) == "lamports"


def test_a_price_or_a_limit_that_is_said_twice_is_refused():
    assert rule_of([unit_limit(1), unit_limit(2)]) == "compute"
    assert rule_of([unit_price(0), unit_price(0)]) == "compute"


def test_a_payee_may_be_a_token_account_itself():
    place = address("friend's other account")
    step = transfer_tokens(MINE, USDC, place, ME, 100, 6)
    assert rule_of([step], PAYS) == "transfer"
    Guard(ME, payees=[place]).examine(raw(step), {}, PAYS)


# -- the frame: who pays, who signs, what is listed ---------------------------------------------------------------------------


def test_another_pays_or_signs_too():
    assert rule_of([memo("x", ME)], payer=FRIEND) == "payer"
    assert rule_of([memo("x", ME), memo("y", FRIEND)]) == "signers"
    made = create_account(CreateAccountParams(from_pubkey=ME, to_pubkey=THIEF, lamports=1, space=0, owner=SYSTEM))
    assert rule_of([made]) == "signers"


def test_a_transaction_without_instructions_or_for_another_guard_is_refused():
    assert rule_of([]) == "unreadable"
    assert rule_of([memo("x")], guard=Guard(FRIEND)) == "payer"


def test_lookup_tables_are_resolved_and_must_be_known():
    table = address("table")
    tables = {table: [THIEF, ata(FRIEND, USDC), MINE, TIPS, JUPITER]}
    pays = transfer_tokens(MINE, USDC, ata(FRIEND, USDC), ME, 100, 6)
    made = raw(pays, tables=tables)
    assert len(made) < len(raw(pays))
    found = GUARD.examine(made, tables, PAYS)
    assert {one.address for one in found.decoded.keys if one.by_table} == {MINE, ata(FRIEND, USDC)}
    assert set(found.watched) == {ME, MINE, ata(FRIEND, USDC)}
    for wrong in ({}, {table: [THIEF]}):
        with pytest.raises(Refused) as caught:
            GUARD.examine(made, wrong, PAYS)
        assert caught.value.rule == "tables"


def test_a_table_can_hide_no_thief():
    table = address("table")
    tables = {table: [ata(THIEF, USDC), MINE]}
    made = raw(transfer_tokens(MINE, USDC, ata(THIEF, USDC), ME, 1, 6), tables=tables)
    with pytest.raises(Refused) as caught:
        GUARD.examine(made, tables, PAYS)
    assert caught.value.rule == "transfer"
    with pytest.raises(Refused):  # whoever asks for a table at a node that lies is told of another place
        GUARD.examine(made, {table: [ata(address("other"), USDC), MINE]}, PAYS)


def test_a_tip_account_never_stands_in_a_table():
    table = address("table")
    tables = {table: [TIPS]}
    hidden = raw(transfer_sol(ME, TIPS, 1_000), tables=tables)
    with pytest.raises(Refused) as caught:
        GUARD.examine(hidden, tables, TIPPED)
    assert caught.value.rule == "tip"
    seen = raw(transfer_sol(ME, TIPS, 1_000), tables=tables, static=[TIPS])
    assert GUARD.examine(seen, tables, TIPPED).tip == 1_000


def test_a_program_never_stands_in_a_table():
    one = MessageV0.try_compile(ME, [Instruction(JUPITER, b"", [AccountMeta(ME, True, True)])], [], BLOCKHASH)
    table = address("table")
    lookup = MessageAddressTableLookup(table, b"", b"\0")
    moved = MessageV0(one.header, [ME, address("other")], BLOCKHASH, [CompiledInstruction(2, b"", b"\0")], [lookup])
    wrong = bytes(VersionedTransaction.populate(moved, [Signature.default()]))
    with pytest.raises(Refused) as caught:
        GUARD.examine(wrong, {table: [JUPITER]}, PLAIN)
    assert caught.value.rule in ("program", "unreadable")


def test_an_old_transaction_is_looked_at_alike():
    for name, (rule, attack, twin, spent) in ATTACKS.items():
        old = bytes(VersionedTransaction.populate(Message.new_with_blockhash([attack], ME, BLOCKHASH), [Signature.default()]))
        with pytest.raises(Refused) as caught:
            GUARD.examine(old, {}, spent)
        assert caught.value.rule == rule, name
        good = bytes(VersionedTransaction.populate(Message.new_with_blockhash([twin], ME, BLOCKHASH), [Signature.default()]))
        GUARD.examine(good, {}, spent)


def test_named_programs_have_rules_of_their_own():
    seen = []

    def rule(one, decoded):
        seen.append((one.data, decoded.payer))
        return "not that" if one.data == b"bad" else None

    guard = Guard(ME, programs={STAKE: rule})
    call = [AccountMeta(ME, True, True)]
    assert guard.examine(raw(Instruction(STAKE, b"good", call)), {}, PLAIN).named == {STAKE}
    assert rule_of([Instruction(STAKE, b"bad", call)], guard=guard) == "rule"
    assert seen == [(b"good", ME), (b"bad", ME)]
    assert rule_of([Instruction(JUPITER, b"", call)], guard=guard) == "program"  # what is named replaces the default


@pytest.mark.parametrize("program", [SYSTEM, TOKEN, TOKEN_2022, ATA, COMPUTE_BUDGET])
def test_a_program_with_rules_here_cannot_be_let_off_them(program):
    with pytest.raises(VenueRejected, match="rules of its own"):
        Guard(ME, programs={program: None})


@pytest.mark.parametrize("wrong", [-1, 1.0, True, "5", None])
def test_a_spending_is_whole_numbers_from_0_on(wrong):
    for name in ("lamports", "fee", "tip"):
        with pytest.raises(VenueRejected, match=name):
            Spending(**{name: wrong})
    for name in ("most_out", "least_in"):
        with pytest.raises(VenueRejected, match=name):
            Spending(**{name: {USDC: wrong}})
    with pytest.raises(VenueRejected):
        Spending(most_out={str(USDC): 1})


# -- hostile bytes ------------------------------------------------------------------------------------------------------------


@law
@given(st.binary(max_size=1400))
def test_noise_is_refused(noise):
    with pytest.raises(Refused):
        GUARD.examine(noise, {}, PLAIN)


@law
@given(st.data())
def test_a_transaction_with_a_byte_changed_is_refused_or_understood(data):
    """Whatever one byte is changed to: it is refused, or what is let through pays nobody but payees, tips and fees in their caps."""
    whole = raw(unit_limit(10_000), transfer_sol(ME, FRIEND, SOL), transfer_tokens(MINE, USDC, ata(FRIEND, USDC), ME, 100, 6))
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :]
    try:
        found = GUARD.examine(changed, {}, PAYS)
    except Refused:
        return
    assert found.decoded.payer == ME and found.decoded.signers == (ME,)
    assert found.fee <= FEE and found.tip == 0
    for one in found.decoded.instructions:
        if one.program.address == SYSTEM:
            assert one.accounts[1].address in (FRIEND, ME, ata(ME, WSOL))
        if one.program.address == TOKEN and one.data[0] == 12:
            assert one.accounts[2].address in (FRIEND, ata(FRIEND, one.accounts[1].address), ata(ME, one.accounts[1].address))
            assert int.from_bytes(one.data[1:9], "little") <= 100


def test_bytes_left_over_and_too_many_are_refused():
    for wrong in (raw(memo("x")) + b"\0", raw(memo("x"))[:-1], b"", "text", raw(memo("x")) * 9):
        with pytest.raises(Refused) as caught:
            GUARD.examine(wrong, {}, PLAIN)
        assert caught.value.rule in ("unreadable", "size")


def test_an_account_that_is_listed_twice_is_refused():
    message = MessageV0.try_compile(ME, [transfer_sol(ME, FRIEND, 1)], [], BLOCKHASH)
    keys = list(message.account_keys)
    keys[keys.index(FRIEND)] = ME
    twice = MessageV0(message.header, keys, BLOCKHASH, message.instructions, [])
    with pytest.raises(Refused) as caught:
        GUARD.examine(bytes(VersionedTransaction.populate(twice, [Signature.default()])), {}, PAYS)
    assert caught.value.rule == "twice"


def test_versions_that_came_later_are_refused():
    try:
        from solders.message import MessageV1
    except ImportError:
        pytest.skip("this solders knows no later version")
    assert MessageV1 is not None
    whole = bytearray(raw(memo("x")))
    assert whole[65] == 0x80
    whole[65] = 0x81
    with pytest.raises(Refused) as caught:
        GUARD.examine(bytes(whole), {}, PLAIN)
    assert caught.value.rule in ("version", "unreadable")


# -- the run: what a named program really moves -------------------------------------------------------------------------------

SWAP = spending(most_out={USDC: 1_000_000}, least_in={WSOL: 6_000_000})


def cleared(world, spent, *instructions, guard=GUARD, tamper=None):
    """Examine, run on the chain and clear, without a node between."""
    whole = world.raw(*instructions)
    examined = guard.examine(whole, {}, spent)

    def read(key, state):
        return None if state is None else Account(key, state.lamports, state.owner, state.data)

    before = Accounts(1, tuple(read(one, world.chain.account(one)) for one in examined.watched))
    done, _ = world.chain.simulate(whole)
    after = tuple(read(one, done.after.get(one, world.chain.account(one))) for one in examined.watched)
    simulation = Simulation(1, done.err, tuple(done.logs), after if done.err is None else (), done.units)
    return guard.clear(examined, tamper(simulation) if tamper else simulation, before)


def swap(world, amount=1_000_000, more=()):
    return [create_ata(ME, ME, WSOL), world.call(amount, 0, more), close_account(ata(ME, WSOL), ME, ME)]


def test_an_honest_swap_is_cleared_and_what_it_moved_is_told():
    world = World()
    found = cleared(world, SWAP, *swap(world))
    assert found.moved == {USDC: -1_000_000, WSOL: 6_000_000 - FEE}
    assert SIGNER.sign(found).signature.verify(ME, found.decoded.signed)


@pytest.mark.parametrize(
    ("spent", "passes"),
    [
        (spending(most_out={USDC: 1_000_000}, least_in={WSOL: 6_000_000}), True),
        (spending(most_out={USDC: 999_999}, least_in={WSOL: 6_000_000}), False),
        (spending(most_out={USDC: 1_000_000}, least_in={WSOL: 6_000_001}), False),
        (spending(most_out={USDC: 1_000_000}, least_in={WSOL: 6_000_000, TIPS: 1}), False),
        (spending(least_in={WSOL: 6_000_000}), False),
    ],
)
def test_both_sides_of_what_was_agreed(spent, passes):
    world = World()
    if passes:
        cleared(world, spent, *swap(world))
        return
    with pytest.raises(Refused) as caught:
        cleared(world, spent, *swap(world))
    assert caught.value.rule == "spending"


def extra(*accounts):
    return [AccountMeta(one, False, True) for one in accounts]


def drains_tokens(world):
    return [*world.honest(1_000_000, 0), transfer_tokens(MINE, USDC, ata(THIEF, USDC), ME, 1, 6)]


def drains_sol(world):
    return [*world.honest(1_000_000, 0), transfer_sol(ME, THIEF, 1)]


def gives_less(world):
    first, second = world.honest(1_000_000, 0)
    return [first, transfer_tokens(ata(POOL, WSOL), WSOL, ata(ME, WSOL), POOL, 5_999_999, 9)]


def approves(world):
    return [*world.honest(1_000_000, 0), token(4, (MINE, False, True), (THIEF, False, False), (ME, True, False), data=u64(1))]


def takes_authority(world):
    return [*world.honest(1_000_000, 0), token(6, (MINE, False, True), (ME, True, False), data=b"\2\1" + bytes(THIEF))]


def takes_closing(world):
    return [*world.honest(1_000_000, 0), token(6, (MINE, False, True), (ME, True, False), data=b"\3\1" + bytes(THIEF))]


def assigns_wallet(world):
    return [*world.honest(1_000_000, 0), assign(AssignParams(pubkey=ME, owner=STAKE))]


def drains_another_mint(world):
    return [*world.honest(1_000_000, 0), transfer_tokens(ata(ME, BONK), BONK, ata(THIEF, BONK), ME, 1, 5)]


def closes_elsewhere(world):
    return [*world.honest(1_000_000, 0), close_account(ata(ME, BONK), THIEF, ME)]


BONK = address("bonk")
DRAINS = {
    "it takes a unit more of the token": (drains_tokens, "spending"),
    "it takes a lamport": (drains_sol, "spending"),
    "it gives a lamport too little": (gives_less, "spending"),
    "it takes a unit of another token": (drains_another_mint, "spending"),
    "it closes an account of ours into its own": (closes_elsewhere, "spending"),
    "it approves itself": (approves, "approve"),
    "it takes an account of ours": (takes_authority, "authority"),
    "it takes the right to close an account of ours": (takes_closing, "authority"),
    "it takes our wallet": (assigns_wallet, "wallet"),
}


@pytest.mark.parametrize("name", DRAINS)
def test_what_a_named_program_does_behind_the_scenes_is_seen_in_the_run(name):
    makes, rule = DRAINS[name]
    world = World()
    world.chain.create_mint(5, mint=BONK)
    for owner in (ME, THIEF):
        world.chain.mint_to(BONK, owner, 0 if makes is closes_elsewhere else 5)
    world.chain.mint_to(USDC, THIEF, 0)
    metas = extra(ata(THIEF, USDC), THIEF, ata(ME, BONK), ata(THIEF, BONK), BONK)
    metas += [AccountMeta(one, False, False) for one in (SYSTEM,)]
    cleared(world, SWAP, *swap(world, more=metas))  # its twin: the same accounts, and an honest program
    world.makes = lambda amount, least: makes(world)
    with pytest.raises(Refused) as caught:
        cleared(world, SWAP, *swap(world, more=metas))
    assert caught.value.rule == rule


def test_what_leaves_is_seen_though_as_much_comes_back_of_another_kind():
    """Lamports from the closing of our own account hide no theft of as many."""
    world = World()
    rent = world.chain.rent(165)
    world.chain.create_mint(5, mint=BONK)
    world.chain.mint_to(BONK, ME, 0)
    world.makes = lambda amount, least: [*world.honest(amount, least), transfer_sol(ME, THIEF, rent)]
    steps = [*swap(world, more=extra(THIEF) + [AccountMeta(SYSTEM, False, False)]), close_account(ata(ME, BONK), ME, ME)]
    with pytest.raises(Refused) as caught:
        cleared(world, SWAP, *steps)
    assert caught.value.rule == "spending"
    world.makes = world.honest
    assert cleared(world, SWAP, *steps).moved[WSOL] == 6_000_000 - FEE


def test_the_rent_of_our_own_new_account_stays_ours():
    world = World()
    steps = swap(world)[:-1]  # the wrapped account is kept
    assert cleared(world, SWAP, *steps).moved == {USDC: -1_000_000, WSOL: 6_000_000 - FEE}


def test_sol_that_is_spent_counts_under_wrapped_sol():
    world = World()
    wrapped = ata(ME, WSOL)
    steps = [create_ata(ME, ME, WSOL), transfer_sol(ME, wrapped, SOL), sync_native(wrapped)]
    assert cleared(world, PLAIN, *steps).moved[WSOL] == -FEE  # it was only wrapped
    spends = [*steps, transfer_tokens(wrapped, WSOL, ata(POOL, WSOL), ME, SOL, 9), close_account(wrapped, ME, ME)]
    pays = Guard(ME, payees=[POOL])
    assert cleared(world, spending(most_out={WSOL: SOL}), *spends, guard=pays).moved[WSOL] == -SOL - FEE
    with pytest.raises(Refused) as caught:
        cleared(world, spending(most_out={WSOL: SOL - 1}), *spends, guard=pays)
    assert caught.value.rule == "cap"


@pytest.mark.parametrize(("owner", "rule"), [(JUPITER, None), (STAKE, "account"), (SYSTEM, "account")])
def test_an_account_that_bears_our_key_changes_only_by_a_named_program(owner, rule):
    world = World()
    place = address("position")
    world.chain.set_account(place, owner=owner, data=b"x" * 8 + bytes(ME) + b"y")
    world.chain.program(JUPITER, lambda call: [])
    step = Instruction(JUPITER, b"", [AccountMeta(ME, True, True), AccountMeta(place, False, True)])
    cleared(world, PLAIN, step)  # its twin: nothing changed

    def changes(run):
        return evolve(run, accounts=tuple(touched(one, place) for one in run.accounts))

    if rule is None:
        cleared(world, PLAIN, step, tamper=changes)
        return
    with pytest.raises(Refused) as caught:
        cleared(world, PLAIN, step, tamper=changes)
    assert caught.value.rule == rule


def touched(account, place):
    return evolve(account, data=b"changed") if account is not None and account.address == place else account


def held(owner=ME, amount=10, mint=USDC, delegate=None, delegated=0, state=1, closer=None, lamports=2_039_280, program=TOKEN):
    """A token account as bytes."""

    def option(one):
        return bytes(36) if one is None else b"\1\0\0\0" + bytes(one)

    data = bytes(mint) + bytes(owner) + u64(amount) + option(delegate) + bytes([state]) + bytes(12) + u64(delegated) + option(closer)
    return Account(MINE, lamports, program, data)


def wallet(lamports=SOL, owner=SYSTEM, data=b""):
    return Account(ME, lamports, owner, data)


def ran(before, after, spent=PLAIN, mine=(None, None)):
    """Clear a call of a named program by what it did to our wallet and to one token account."""
    examined = GUARD.examine(raw(Instruction(JUPITER, b"", [AccountMeta(ME, True, True), AccountMeta(MINE, False, True)])), {}, spent)
    assert examined.watched == (ME, MINE)
    return GUARD.clear(examined, Simulation(1, None, (), (after, mine[1]), 1), Accounts(1, (before, mine[0])))


CHANGES = {
    "nothing": (held(), held(), None),
    "a unit more": (held(), held(amount=11), None),
    "a unit less": (held(), held(amount=9), "spending"),
    "closed into thin air": (held(amount=0), None, "spending"),
    "emptied of lamports": (held(amount=0), Account(MINE, 0, SYSTEM, b""), "spending"),
    "made by somebody for us": (None, held(), None),
    "made something else": (held(), Account(MINE, 2_039_280, STAKE, b""), "account"),
    "given away": (held(), held(owner=THIEF), "authority"),
    "of another mint": (held(amount=1), held(amount=1, mint=WSOL), "spending"),
    "lent": (held(), held(delegate=THIEF, delegated=1), "approve"),
    "lent, and new": (None, held(delegate=THIEF, delegated=1), "approve"),
    "lent before": (held(delegate=THIEF, delegated=5), held(delegate=THIEF, delegated=5), None),
    "lent less": (held(delegate=THIEF, delegated=5), held(delegate=THIEF, delegated=4), None),
    "lent more": (held(delegate=THIEF, delegated=5), held(delegate=THIEF, delegated=6), "approve"),
    "lent to another": (held(delegate=FRIEND, delegated=5), held(delegate=THIEF, delegated=5), "approve"),
    "lent no more": (held(delegate=THIEF, delegated=5), held(), None),
    "closed by others": (held(), held(closer=THIEF), "authority"),
    "closed by others, and new": (None, held(closer=THIEF), "authority"),
    "closed by others before": (held(closer=THIEF), held(closer=THIEF), None),
    "closed by other others": (held(closer=FRIEND), held(closer=THIEF), "authority"),
    "closed by us": (held(), held(closer=ME), None),
    "frozen": (held(), held(state=2), "account"),
    "frozen, and new": (None, held(state=2), "account"),
    "frozen before": (held(state=2), held(state=2), None),
    "somebody else's": (held(owner=THIEF), held(owner=THIEF, amount=0, delegate=FRIEND, delegated=1), None),
    "somebody else's, now ours": (held(owner=THIEF), held(), None),
    "of the newer program": (held(program=TOKEN_2022), held(program=TOKEN_2022, amount=9), "spending"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_may_become_of_a_token_account_of_ours(name):
    before, after, rule = CHANGES[name]
    change = 0
    for one, sign in ((before, -1), (after, 1)):  # its rent, where it is ours, comes from our wallet and goes back there
        change += sign * one.lamports if one is not None and one.data[32:64] == bytes(ME) else 0
    back = wallet(SOL - change) if rule is None else wallet()
    if rule is None:
        ran(wallet(), back, mine=(before, after))
        return
    with pytest.raises(Refused) as caught:
        ran(wallet(), back, mine=(before, after))
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        (wallet(), wallet(SOL - FEE), None),
        (wallet(), wallet(SOL - FEE - 1), "spending"),
        (wallet(), wallet(SOL, owner=STAKE), "wallet"),
        (wallet(), wallet(SOL, data=b"x"), "wallet"),
        (wallet(FEE), None, None),  # it was emptied by its fee
        (wallet(FEE + 1), None, "spending"),
        (None, wallet(1), None),
    ],
)
def test_what_may_become_of_our_wallet(before, after, rule):
    if rule is None:
        ran(before, after)
        return
    with pytest.raises(Refused) as caught:
        ran(before, after)
    assert caught.value.rule == rule


@pytest.mark.parametrize("after", [None, Account(MINE, 1, STAKE, bytes(ME)), Account(MINE, 0, JUPITER, bytes(ME))])
def test_an_account_of_a_named_program_that_bears_our_key_stays_its_own(after):
    before = Account(MINE, 1, JUPITER, bytes(ME))
    passes = after is not None and after.owner == JUPITER
    ran(wallet(), wallet(), mine=(before, before))
    if passes:
        ran(wallet(), wallet(), mine=(before, after))
        return
    with pytest.raises(Refused) as caught:
        ran(wallet(), wallet(), mine=(before, after))
    assert caught.value.rule == "account"


def test_a_run_that_fails_is_refused_with_what_the_chain_said():
    world = World()

    def fails(amount, least):
        raise ProgramError(6001, "SlippageToleranceExceeded")

    world.makes = fails
    with pytest.raises(Refused) as caught:
        cleared(world, SWAP, *swap(world))
    assert caught.value.rule == "simulation" and "6001" in caught.value.why


@pytest.mark.parametrize("cut", [slice(0, 0), slice(1, None), slice(0, -1)])
def test_a_run_that_does_not_tell_all_accounts_is_refused(cut):
    world = World()
    with pytest.raises(Refused) as caught:
        cleared(world, SWAP, *swap(world), tamper=lambda one: evolve(one, accounts=one.accounts[cut]))
    assert caught.value.rule == "simulation"


def test_our_token_account_turned_into_something_else_is_refused():
    world = World()

    def other(one):
        accounts = tuple(evolve(it, owner=STAKE) if it is not None and it.address == MINE else it for it in one.accounts)
        return evolve(one, accounts=accounts)

    with pytest.raises(Refused) as caught:
        cleared(world, SWAP, *swap(world), tamper=other)
    assert caught.value.rule == "account"


def test_what_was_not_examined_here_is_not_cleared():
    world = World()
    examined = GUARD.examine(world.raw(memo("x", ME)), {}, PLAIN)
    other = Guard(FRIEND)
    with pytest.raises(Refused) as caught:
        other.clear(examined, Simulation(1, None, (), (), 0), Accounts(1, ()))
    assert caught.value.rule == "unexamined"
    for seal in (None, object()):
        with pytest.raises(Refused) as caught:
            GUARD.clear(evolve(examined, seal=seal), Simulation(1, None, (), (), 0), Accounts(1, ()))
        assert caught.value.rule == "unexamined"


def test_a_token_account_of_ours_is_known_by_its_owner_field():
    world = World()
    state = world.chain.account(MINE)
    read = TokenAccount.find(Account(MINE, state.lamports, state.owner, state.data))
    assert read is not None and (read.owner, read.mint, read.amount) == (ME, USDC, 1_000_000_000)


# -- what bears a seal, and rent -------------------------------------------------------------------------------------------------


def test_a_copy_that_was_changed_is_neither_examined_nor_cleared():
    """What a guard has made carries its seal once: a copy with other bytes, or with other terms, is nobody's word."""
    world = World()
    first, other = cleared(world, SWAP, *swap(world)), cleared(world, PLAIN, memo("x", ME))
    for change in ({"decoded": other.decoded}, {"fee": 0}, {}):
        with pytest.raises(VenueRejected, match=r"Guard\.clear"):
            evolve(first, **change)
    assert SIGNER.sign(first).signature.verify(ME, first.decoded.signed), "the one that was made is signed all the same"
    examined = GUARD.examine(raw(memo("x", ME)), {}, PLAIN)
    ours = Account(ME, SOL, SYSTEM, b"")
    for change in ({"spending": SWAP}, {"decoded": other.decoded}, {}):
        with pytest.raises(Refused) as caught:
            GUARD.clear(evolve(examined, **change), Simulation(1, None, (), (ours,), 0), Accounts(1, (ours,)))
        assert caught.value.rule == "unexamined"
    assert GUARD.clear(examined, Simulation(1, None, (), (ours,), 0), Accounts(1, (ours,))).decoded == examined.decoded


RENT = 2_039_280


@pytest.mark.parametrize(
    ("before", "after", "terms", "passes"),
    [
        (None, held(), {"rent": RENT}, True),
        (None, held(), {"rent": RENT - 1}, False),
        (None, held(), {"rent": 0}, False),
        (None, held(), {"rent": 0, "most_out": {USDC: 0}}, True),
        (None, held(), {"rent": 0, "least_in": {USDC: 0}}, True),
        (None, held(), {"rent": None}, True),
        (None, held(mint=WSOL, amount=0), {"rent": 0}, True),
        (Account(MINE, RENT, SYSTEM, b""), held(), {"rent": 0}, True),
        (Account(MINE, RENT - 5, SYSTEM, b""), held(), {"rent": 5}, True),
        (Account(MINE, RENT - 5, SYSTEM, b""), held(), {"rent": 4}, False),
        (held(), held(lamports=RENT + 1), {"rent": 0}, True),
        (None, held(owner=FRIEND), {"rent": 0}, True),
    ],
)
def test_new_accounts_of_what_is_not_traded_hold_no_more_rent_than_was_agreed(before, after, terms, passes):
    spent = evolve(PLAIN, lamports=PLAIN.lamports + 2 * RENT, **terms)
    back = wallet(SOL - after.lamports + (before.lamports if before else 0))
    if passes:
        ran(wallet(), back, spent, mine=(before, after))
        return
    with pytest.raises(Refused) as caught:
        ran(wallet(), back, spent, mine=(before, after))
    assert caught.value.rule == "rent"


@pytest.mark.parametrize("wrong", [-1, 1.0, True, "1"])
def test_rent_is_whole_lamports_or_none(wrong):
    with pytest.raises(VenueRejected, match="rent"):
        Spending(rent=wrong)
