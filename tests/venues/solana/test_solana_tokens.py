"""Token accounts, mints, instructions and transactions as bytes: what is read is what the real programs wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address
from solders.token.state import Mint as TheirMint
from solders.token.state import TokenAccount as TheirAccount

from sleeves.errors import InvalidMarket
from sleeves.venues.solana import (
    SYSTEM,
    TOKEN,
    TOKEN_2022,
    WSOL,
    Account,
    Mint,
    Refused,
    TokenAccount,
    ata,
    close_account,
    compile_v0,
    create_ata,
    memo,
    read_transaction,
    sync_native,
    transfer_sol,
    transfer_tokens,
    unit_limit,
    unit_price,
)
from solana_stand import BLOCKHASH, FRIEND, ME, SIGNER, SOL, THIEF, World, address, key
from strategies import law

KEYS = st.binary(min_size=32, max_size=32).map(Pubkey)
U64 = st.integers(0, 2**64 - 1)


def read(world, where):
    state = world.chain.account(where)
    return Account(where, state.lamports, state.owner, state.data)


def test_associated_accounts_of_known_wallets():
    assert ata(ME, WSOL) == get_associated_token_address(ME, WSOL)
    usdc = Pubkey.from_string("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v")
    assert ata(FRIEND, usdc) == get_associated_token_address(FRIEND, usdc)
    assert ata(FRIEND, usdc, TOKEN_2022) != ata(FRIEND, usdc)


@law
@given(
    mint=KEYS,
    owner=KEYS,
    amount=U64,
    delegate=st.none() | KEYS,
    lent=U64,
    rent=st.none() | U64,
    closer=st.none() | KEYS,
    state=st.integers(0, 2),
)
def test_a_token_account_reads_as_solders_reads_it(mint, owner, amount, delegate, lent, rent, closer, state):
    def option(value, size):
        return (b"\1\0\0\0" + bytes(value)) if value is not None else bytes(4 + size)

    native = (b"\1\0\0\0" + rent.to_bytes(8, "little")) if rent is not None else bytes(12)
    data = bytes(mint) + bytes(owner) + amount.to_bytes(8, "little") + option(delegate, 32) + bytes([state]) + native
    data += lent.to_bytes(8, "little") + option(closer, 32)
    found = TokenAccount.find(Account(ME, 1, TOKEN, data))
    if state == 0:
        assert found is None
        return
    theirs = TheirAccount.from_bytes(data)
    assert (found.mint, found.owner, found.amount) == (theirs.mint, theirs.owner, theirs.amount) == (mint, owner, amount)
    assert (found.delegate, found.native, found.close_authority) == (theirs.delegate, theirs.is_native, theirs.close_authority)
    assert found.delegated == (lent if delegate is not None else 0) and found.frozen == (state == 2)


@law
@given(supply=U64, decimals=st.integers(0, 255), issuer=st.none() | KEYS, freezer=st.none() | KEYS)
def test_a_mint_reads_as_solders_reads_it(supply, decimals, issuer, freezer):
    data = bytes(TheirMint(mint_authority=issuer, supply=supply, decimals=decimals, is_initialized=True, freeze_authority=freezer))
    found = Mint.decode(Account(ME, 1, TOKEN, data))
    assert (found.supply, found.decimals, found.mint_authority, found.freeze_authority) == (supply, decimals, issuer, freezer)


def test_what_is_no_token_account_and_no_mint():
    world = World()
    account, mint = read(world, world.mine), read(world, world.usdc)
    good, state = account.data, mint.data
    assert TokenAccount.decode(account).amount == 10**9 and Mint.decode(mint).decimals == 6
    wrong = [
        (SYSTEM, good),
        (ME, good),
        (TOKEN, good[:-1]),
        (TOKEN, good + b"\2"),  # the old program's accounts are of one length
        (TOKEN_2022, good + b"\1"),  # an extended mint
        (TOKEN_2022, good + b"\2" + bytes(355 - 166)),  # a multisig has just this length
        (TOKEN, b""),
        (TOKEN, state),
        (TOKEN, bytes(165)),
    ]
    for owner, data in wrong:
        with pytest.raises(InvalidMarket, match="no token account"):
            TokenAccount.decode(Account(ME, 1, owner, data))
    assert TokenAccount.find(None) is None
    assert TokenAccount.find(Account(ME, 1, TOKEN_2022, good + b"\2" + bytes(4))).amount == 10**9
    for owner, data in [
        (SYSTEM, state),
        (TOKEN, state[:-1]),
        (TOKEN, state + b"\0"),
        (TOKEN, good),
        (TOKEN, bytes(82)),
        (TOKEN_2022, good + b"\2"),
    ]:
        with pytest.raises(InvalidMarket, match="no mint"):
            Mint.decode(Account(ME, 1, owner, data))
    assert Mint.decode(Account(ME, 1, TOKEN_2022, state + bytes(165 - 82) + b"\1" + bytes(9))).decimals == 6


def land(world, *instructions):
    raw = world.raw(*instructions)
    return world.chain.send(raw[:1] + bytes(key("me").sign_message(raw[65:])) + raw[65:])


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
def test_the_real_programs_understand_the_instructions(program):
    world = World()
    coin = world.chain.create_mint(3, program=program)
    mine, theirs = world.chain.mint_to(coin, ME, 1_000), ata(FRIEND, coin, program)
    land(world, create_ata(ME, FRIEND, coin, program), create_ata(ME, FRIEND, coin, program))  # a second time does nothing
    land(world, transfer_tokens(mine, coin, theirs, ME, 400, 3, program), memo("привет", ME), unit_limit(200_000), unit_price(1))
    assert (world.chain.tokens(ME, coin), world.chain.tokens(FRIEND, coin)) == (600, 400)
    land(world, transfer_tokens(mine, coin, theirs, ME, 600, 3, program), close_account(mine, ME, ME, program))
    assert world.chain.account(mine) is None


def test_wrapping_and_unwrapping():
    world = World()
    wrapped = ata(ME, WSOL)
    land(world, create_ata(ME, ME, WSOL), transfer_sol(ME, wrapped, SOL), sync_native(wrapped))
    found = TokenAccount.decode(read(world, wrapped))
    assert (found.amount, found.native, found.lamports) == (SOL, world.chain.rent(165), SOL + world.chain.rent(165))
    land(world, close_account(wrapped, ME, ME))
    assert world.chain.balance(ME) == 10 * SOL - 2 * 5_000


@pytest.mark.parametrize("wrong", [-1, 2**64, 1.0, True, "5", None])
def test_amounts_are_whole_and_fit(wrong):
    for make in (
        lambda: transfer_sol(ME, FRIEND, wrong),
        lambda: transfer_tokens(ME, WSOL, FRIEND, ME, wrong, 9),
        lambda: unit_price(wrong),
        lambda: unit_limit(wrong),
    ):
        with pytest.raises(InvalidMarket, match="whole number"):
            make()


@pytest.mark.parametrize(("units", "passes"), [(0, False), (1, True), (1_400_000, True), (1_400_001, False)])
def test_both_ends_of_a_limit_of_units(units, passes):
    if passes:
        assert unit_limit(units).data == b"\2" + units.to_bytes(4, "little")
        return
    with pytest.raises(InvalidMarket):
        unit_limit(units)


# -- transactions -------------------------------------------------------------------------------------------------------------


@law
@given(st.lists(st.sampled_from(["sol", "token", "memo", "ata"]), min_size=1, max_size=6), st.booleans())
def test_what_was_written_is_read_back(kinds, by_table):
    coin = address("coin")
    made = {
        "sol": transfer_sol(ME, FRIEND, 7),
        "token": transfer_tokens(ata(ME, coin), coin, ata(FRIEND, coin), ME, 5, 6),
        "memo": memo("x", ME),
        "ata": create_ata(ME, FRIEND, coin),
    }
    table = address("table")
    tables = {table: (coin, ata(FRIEND, coin), THIEF, FRIEND)} if by_table else {}
    steps = [made[kind] for kind in kinds]
    found = read_transaction(compile_v0(ME, steps, BLOCKHASH, tables), tables)
    assert (found.version, found.payer, found.signers, found.blockhash) == (0, ME, (ME,), BLOCKHASH)
    assert len(found.instructions) == len(steps)
    for got, step in zip(found.instructions, steps, strict=True):
        assert (got.program.address, got.data) == (step.program_id, bytes(step.data))
        assert [one.address for one in got.accounts] == [meta.pubkey for meta in step.accounts]
        for one, meta in zip(got.accounts, step.accounts, strict=True):
            assert one.signer >= meta.is_signer and one.writable >= meta.is_writable
            assert one.by_table <= (one.address in tables.get(table, ()))
    assert THIEF not in [one.address for one in found.keys]  # what a table lists and nobody uses is no part of it


def test_both_sides_of_the_most_bytes():
    fits = compile_v0(ME, [memo("x" * 1_009)], BLOCKHASH)
    for length in range(1_009, 1_100):
        try:
            fits = compile_v0(ME, [memo("x" * length)], BLOCKHASH)
        except InvalidMarket as error:
            assert len(fits) == 1232 and "1233 bytes" in str(error)
            break
    else:
        pytest.fail("nothing was too long")
    read_transaction(fits)
    with pytest.raises(Refused, match="size"):
        read_transaction(fits + b"x")


def test_an_address_that_must_stand_in_the_open_does():
    table = address("table")
    tables = {table: (FRIEND, THIEF)}
    step = transfer_sol(ME, FRIEND, 1)
    hidden = read_transaction(compile_v0(ME, [step], BLOCKHASH, tables), tables)
    open_ = read_transaction(compile_v0(ME, [step], BLOCKHASH, tables, static=[FRIEND]), tables)
    assert hidden.instructions[0].accounts[1].by_table and not open_.instructions[0].accounts[1].by_table
    assert hidden.tables == (table,) and open_.tables == ()


def test_a_signed_transaction_reads_like_an_unsigned_one():
    raw = compile_v0(ME, [memo("x", ME)], BLOCKHASH)
    whole = raw[:1] + bytes(key("me").sign_message(raw[65:])) + raw[65:]
    one, two = read_transaction(raw), read_transaction(whole)
    assert one.signed == two.signed == raw[65:] and one.instructions == two.instructions
    assert two.signatures[0].verify(SIGNER.address, two.signed)


def test_too_many_signers_or_nothing_to_say_make_no_transaction():
    with pytest.raises(InvalidMarket):
        compile_v0(ME, [memo("x", address(f"signer {n}")) for n in range(40)], BLOCKHASH)
