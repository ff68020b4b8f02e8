"""What the doctor finds on Solana: a node, a wallet and its tokens, Jupiter and a block engine, all on sockets of this machine."""

from __future__ import annotations

import anyio
import pytest

pytest.importorskip("solders")
pytest.importorskip("uvicorn")

from jupiter_stand import FAST, mint, stand

from sleeves.errors import InvalidMarket
from sleeves.keys import Secret
from sleeves.market import SECOND
from sleeves.testing.solana_server import Chain, Fault
from sleeves.venues.checkup import Grade
from sleeves.venues.jito import Jito
from sleeves.venues.jupiter import JupiterApi, Rpc
from sleeves.venues.jupiter.checkup import LEAST_SOL, checkup
from sleeves.venues.solana import ata

pytestmark = pytest.mark.anyio
NOON = 1_790_000_000 * SECOND
BOTH = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def world():
    with stand(chain=Chain(slot_ns=2_000_000)) as s:
        yield s


async def look(s, wallet=None, *, key=None, jito=False, moving_within=2.0, **terms):
    engine = Jito(s.engine.url, floor_url=s.engine.url, per_second=10_000, attempts=1) if jito else None
    async with (
        Rpc(s.node.url, retry=FAST, timeout=1.0) as rpc,
        JupiterApi(s.jupiter.url, key=key, per_second=10_000, attempts=1) as api,
    ):
        try:
            return await checkup(
                rpc, str(s.wallet) if wallet is None else wallet, api=api, jito=engine, moving_within=moving_within, **terms
            )
        finally:
            if engine is not None:
                await engine.aclose()


def texts(found, grade, subject=None):
    return [one.text for one in found.findings if one.grade is grade and subject in (None, one.subject)]


@BOTH
async def test_a_sound_wallet_is_fit_and_everything_is_told(world):
    before = world.holds()
    found = await look(world, jito=True, dexes=["Raydium"])
    assert found.fit and not texts(found, Grade.WARNING)
    for part in (
        "node: says ok, at slot",
        "clock: the newest block is of the last ten seconds",
        "blocks: the block height rises",
        "wallet: 10 SOL, fees and rent are paid from it",
        f"token {world.usdc.mint}: 10000",
        "jupiter: is reached, and knows 3 DEXes",
        "jupiter: no key: 0.5 calls a second",
        "DEX Raydium: Jupiter knows it by this name",
        "jito: the block engine is reached, and has 8 tip accounts",
        "jito: of the bundles that landed lately half paid",
        "virtual: yes",
        "sub-account: no",
        "on-chain: no",
    ):
        assert part in str(found)
    assert world.holds() == before and world.sent() == (0, 0)


async def test_a_driver_that_is_open_is_looked_at_with_its_own(world):
    async with world.driver(world.market("SOL/USDC:Nowhere", dexes="Nowhere")) as venue:
        found = await checkup(venue)
        assert texts(found, Grade.BAD, "DEX Nowhere") == ["Jupiter knows none of this name"]
        assert found.venue == "jupiter" and found.of("wallet")[0].grade is Grade.GOOD


# -- the node ------------------------------------------------------------------------------------------------------------


async def test_a_node_that_is_behind_says_so(world):
    world.node.behind = 20
    found = await look(world)
    assert "behind by 20 slots" in texts(found, Grade.BAD, "node")[0]


async def test_a_node_without_that_method_is_a_warning(world):
    world.node.fault("getHealth", Fault.error(-32601, "Method not found"), times=9)
    found = await look(world)
    assert found.fit and "Method not found" in texts(found, Grade.WARNING, "node")[0]


async def test_a_chain_that_stands_still():
    with stand() as s:  # its slots do not pass by themselves
        found = await look(s, moving_within=0.1)
        assert "the block height stands at" in texts(found, Grade.BAD, "blocks")[0]


@pytest.mark.parametrize(
    ("age", "grade"),
    [
        (0, Grade.GOOD),
        (11 * SECOND - 1, Grade.GOOD),  # blocks have whole seconds: one may only have been cut off
        (11 * SECOND, Grade.WARNING),
        (61 * SECOND - 1, Grade.WARNING),
        (61 * SECOND, Grade.BAD),
        (-10 * SECOND, Grade.GOOD),
        (-10 * SECOND - 1, Grade.WARNING),
    ],
)
async def test_the_newest_block_by_this_machines_clock(world, age, grade):
    world.node.fault("getBlockTime", Fault.replaced(NOON // SECOND))
    found = await look(world, clock=lambda: NOON + age)
    assert [one.grade for one in found.of("clock")] == [grade]


async def test_a_slot_without_a_block_is_passed_over(world):
    skipped = Fault.error(-32009, "Slot 1 was skipped")
    world.node.fault("getBlockTime", skipped, times=2 * FAST.attempts)
    world.node.fault("getBlockTime", Fault.replaced(NOON // SECOND))
    assert (await look(world, clock=lambda: NOON)).of("clock")[0].grade is Grade.GOOD
    world.node.fault("getBlockTime", skipped, times=99)
    (said,) = (await look(world)).of("clock")
    assert said.grade is Grade.WARNING and "skipped" in said.text


async def test_nothing_there(world):
    world.node.stop()
    found = await look(world)
    assert [one.subject for one in found.findings if one.grade is Grade.BAD] == ["node"]
    assert found.of("jupiter"), "what can be asked is asked"


@pytest.mark.parametrize("method", ["getSlot", "getHealth", "getBlockTime", "getBlockHeight", "getAccountInfo", "getTokenAccountsByOwner"])
async def test_what_a_node_does_not_answer_is_a_finding_and_never_an_exception(world, method):
    for fault in (Fault.error(-32603, "broken"), Fault.garbage(), Fault.status(500), Fault.cut(), Fault.replaced("nonsense")):
        world.node.fault(method, fault, times=99)
        found = await look(world, moving_within=0.3)
        assert texts(found, Grade.BAD) + texts(found, Grade.WARNING), (method, fault)
        world.node._faults.clear()


# -- the wallet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lamports", "grade"), [(0, Grade.BAD), (1, Grade.WARNING), (LEAST_SOL - 1, Grade.WARNING), (LEAST_SOL, Grade.GOOD)]
)
async def test_sol_for_fees_and_rent(world, lamports, grade):
    world.chain.set_account(world.wallet, lamports=lamports)
    (said,) = (await look(world)).of("wallet")
    assert said.grade is grade
    if grade is Grade.WARNING:
        assert "less than 0.02 SOL" in said.text


async def test_an_address_of_a_program_is_no_wallet(world):
    assert "is no wallet" in texts(await look(world, world.usdc.mint), Grade.BAD, "wallet")[0]


async def test_an_address_that_is_none_is_wrong_use(world):
    with pytest.raises(InvalidMarket, match="no address"):
        await look(world, "0x123")


async def test_without_a_wallet_that_is_said(world):
    async with Rpc(world.node.url, retry=FAST) as rpc:
        found = await checkup(rpc)
    assert texts(found, Grade.WARNING, "wallet") and texts(found, Grade.NOTE, "jupiter") and texts(found, Grade.NOTE, "jito")


@pytest.mark.parametrize(
    ("at", "bytes_", "said"),
    [
        (72, (1).to_bytes(4, "little") + bytes([9]) * 32, "may take 77 raw units out of"),
        (129, (1).to_bytes(4, "little") + bytes([9]) * 32, "may close"),
        (108, b"\2", "is frozen"),
    ],
)
async def test_tokens_that_somebody_else_can_move(world, at, bytes_, said):
    """The fields of a token account by their places in SPL Token's layout: delegate, close authority, state; delegated amount at 121."""
    account = ata(world.wallet, mint(world.usdc))
    state = world.chain.account(account)
    data = bytearray(state.data)
    data[at : at + len(bytes_)] = bytes_
    data[121:129] = (77).to_bytes(8, "little")
    world.chain.set_account(account, owner=state.owner, data=bytes(data), lamports=state.lamports)
    (bad,) = texts(await look(world), Grade.BAD)
    assert said in bad and str(account) in bad


async def test_its_own_close_authority_is_no_finding(world):
    account = ata(world.wallet, mint(world.usdc))
    state = world.chain.account(account)
    data = bytearray(state.data)
    data[129:165] = (1).to_bytes(4, "little") + bytes(world.wallet)
    world.chain.set_account(account, owner=state.owner, data=bytes(data), lamports=state.lamports)
    assert (await look(world)).fit


# -- Jupiter and Jito ----------------------------------------------------------------------------------------------------


async def test_dexes_by_their_labels(world):
    found = await look(world, dexes=["Orca", "Orca Whirlpool", "Zzz"])
    assert texts(found, Grade.BAD, "DEX Orca") == ["Jupiter knows none of this name; there are Orca Whirlpool"]
    assert texts(found, Grade.GOOD, "DEX Orca Whirlpool") and texts(found, Grade.BAD, "DEX Zzz") == ["Jupiter knows none of this name"]


async def test_a_key_of_jupiter_that_is_wrong_and_one_that_is_right(world):
    world.jupiter.keys = {"right-key-of-jupiter"}
    assert "key is taken" in texts(await look(world, key=Secret("right-key-of-jupiter")), Grade.GOOD, "jupiter")[1]
    found = await look(world, key=Secret("wrong-key-of-jupiter"))
    assert "401" in texts(found, Grade.BAD, "jupiter")[0] and "wrong-key" not in str(found)


async def test_jupiter_and_jito_that_do_not_answer(world):
    world.jupiter.stop()
    world.engine.stop()
    with anyio.fail_after(10):
        found = await look(world, jito=True)
    assert texts(found, Grade.BAD, "jupiter") and len(texts(found, Grade.WARNING, "jito")) == 2
