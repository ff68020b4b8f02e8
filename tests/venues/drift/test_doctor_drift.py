"""What the doctor finds at Drift v2 and Velocity: a node, the exchange's accounts, and an authority's, on sockets of this machine."""

from __future__ import annotations

import pytest

pytest.importorskip("solders")
pytest.importorskip("uvicorn")

from drift_stand import BOTH, FAST, PER_SOL, PER_USD, stand
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sleeves.errors import InvalidMarket
from sleeves.market import SECOND
from sleeves.testing.drift_server import Perp
from sleeves.testing.jito_server import jito_server
from sleeves.testing.solana_server import Fault
from sleeves.venues import doctor
from sleeves.venues.checkup import Grade
from sleeves.venues.drift import DRIFT_V2, VELOCITY, VELOCITY_CLOB, VELOCITY_DEVNET, Rpc
from sleeves.venues.drift.checkup import DEVNET, LEAST_SOL, MAINNET, MOST_MARKETS, OFF_PEG, checkup
from sleeves.venues.drift.deployment import DRIFT_V2_LEGACY
from sleeves.venues.drift.words import MarketStatus
from sleeves.venues.jito import Jito

pytestmark = pytest.mark.anyio
PASS = {"slot_ns": 20_000_000}


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def world():
    with stand(server=PASS) as s:
        yield s


async def look(s, authority=None, *, deployment=None, moving_within=2.0, **terms):
    terms = {"genesis": s.node.get_genesis_hash(), "clock": s.server.clock, "markets": ["SOL-PERP"], **terms}
    s.server.publish()  # feeds go on, but for those that stall
    owner = str(s.key.pubkey()) if authority is None else authority or None
    async with Rpc(s.server.url, retry=FAST, timeout=1.0) as rpc:
        return await checkup(rpc, deployment or s.deployment, owner, moving_within=moving_within, **terms)


def texts(found, grade, subject=None):
    return [one.text for one in found.findings if one.grade is grade and subject in (None, one.subject)]


def bad(found):
    return [f"{one.subject}: {one.text}" for one in found.bad]


def funded(s, usd=500, sub=0):
    s.server.open(s.key, sub)
    s.server.deposit(s.key, sub, usd * PER_USD)


def long(s, base=PER_SOL):
    order = s.server.order(s.key, 0, "SOL-PERP", base, long=True)
    s.server.fill(s.user(), order)


# -- as a whole ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_sound_exchange_is_fit_and_everything_is_told(world):
    funded(world)
    long(world)
    sent, slot = world.sent(), world.chain.balance(world.key.pubkey())
    with jito_server(world.chain) as engine:
        jito = Jito(engine.url, floor_url=engine.url, per_second=10_000, attempts=1)
        found = await look(world, jito=jito)
        await jito.aclose()
    assert found.fit, found
    for part in (
        "deployment: velocity, program vELoC1audYbSYVRXn1vPaV8Axoa9oU6BYmNGZZBDZ1P, read by the layouts of 2.165",
        "node: says ok, at slot",
        "node: runs 3.1.8",
        "chain: begins with US517G5965aydkZ46HS38QLi7UQiSojurfbQfKCELFx, as was asked for",
        "program: was last written in slot",
        "State: owner, address, discriminator and length are those of 2.165: 1752 bytes",
        "exchange: nothing is paused",
        "fees: the State says, in bps of the turnover by tier (taker / maker): 4 / -0.25, 3 / -0.25, 2 / -0.25",
        "quote coin: USDT by its mint Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
        "1064 bytes, of which 256 are beyond the layout",
        "vault: holds 11000500 USDT; 11000500 are owed to depositors, 0 are lent",
        "markets: 1 of 1 perp markets are read by the layout of 1304 bytes; theirs have 1560",
        "quote coin: its oracle says $1,",
        "market SOL-PERP: active; at least 0.01 SOL in steps of 0.01, prices in steps of 0.0001; margin 10% to open, 5% to keep",
        "market SOL-PERP: its oracle says 150,",
        "of it as rent",
        "coins: 500 USDT in the wallet",
        "sub-accounts: 1 of 1 that were made are there",
        "sub-account 0: 'Main Account': 500 USDT, 1 position, no open orders",
        "sub-account 0: health 98, equity 499.86526 USDT",
        "jito: the block engine is reached, and has 8 tip accounts",
        "virtual: yes",
        "sub-account: yes",
        "on-chain: yes",
    ):
        assert part in str(found), part
    assert world.sent() == sent and world.chain.balance(world.key.pubkey()) == slot, "it only asks"


async def test_what_cannot_be_known_is_never_passed(world):
    found = await look(world)
    told = found.of("verify")
    assert found.fit and {one.grade for one in told} == {Grade.WARNING}
    for part in ("which version of the program runs", "order book on chain is live", "floor of equity", "the fees", "durable nonce"):
        assert sum(part in one.text for one in told) == 1, part
    world.node.stop()
    assert len((await look(world)).of("verify")) == len(told), "whatever else was found"


@pytest.mark.parametrize("deployment", [DRIFT_V2, DRIFT_V2_LEGACY], ids=lambda one: one.name)
async def test_drift_v2_is_frozen_however_well_it_looks(deployment):
    with stand(DRIFT_V2, server=PASS) as s:
        found = await look(s, deployment=deployment)
        assert [one.subject for one in found.bad] == ["deployment"]
        assert "drained on 2026-04-01 and has been frozen since" in found.bad[0].text


async def test_the_order_book_branch_cannot_be_read(world):
    found = await look(world, deployment=VELOCITY_CLOB)
    assert "only the sub-account's layout is known" in found.of("deployment")[0].text and not found.fit
    assert "the layout of a State of velocity-clob" in texts(found, Grade.BAD, "State")[0]


async def test_a_driver_that_is_open_is_looked_at_with_its_own(world):
    funded(world)
    async with world.driver() as venue:
        found = await checkup(venue, genesis=world.node.get_genesis_hash())
        assert found.fit and found.venue == "velocity" and found.of("market SOL-PERP") and found.of("sub-account 0")


async def test_through_the_doctor_with_a_key_that_signs_nothing(world):
    from sleeves.keys import Secret

    funded(world)
    found = await doctor.drift(
        world.server.url, "velocity", key=Secret(str(world.key)), genesis=world.node.get_genesis_hash(), clock=world.server.clock
    )
    assert found.fit and found.of("sub-account 0") and str(world.key) not in str(found)
    with pytest.raises(InvalidMarket, match="no deployment 'drift-3'"):
        await doctor.drift(world.server.url, "drift-3")
    with pytest.raises(InvalidMarket, match="no host of its own"):
        await doctor.drift(world.server.url, "velocity", base_url=world.server.url)


async def test_wrong_use_raises(world):
    async with Rpc(world.server.url) as rpc:
        with pytest.raises(InvalidMarket, match="which deployment"):
            await checkup(rpc)
        for wrong in ({"authority": "0x12"}, {"key": "0x12"}):
            with pytest.raises(InvalidMarket, match="no address"):
                await checkup(rpc, VELOCITY, **wrong)


# -- the chain and the program ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deployment", "begins", "grade"),
    [
        (VELOCITY, MAINNET, Grade.GOOD),
        (VELOCITY, DEVNET, Grade.BAD),
        (VELOCITY_DEVNET, DEVNET, Grade.GOOD),
        (VELOCITY_DEVNET, MAINNET, Grade.BAD),
        (DRIFT_V2, MAINNET, Grade.GOOD),
        (VELOCITY, "no hash", Grade.BAD),
        (VELOCITY, 7, Grade.BAD),
    ],
    ids=lambda one: getattr(one, "name", str(one)),
)
async def test_the_chain_must_be_the_deployments(world, deployment, begins, grade):
    world.node.fault("getGenesisHash", Fault.replaced(begins), times=9)
    found = await look(world, "", deployment=deployment, genesis=None)
    assert [one.grade for one in found.of("chain")] == [grade]


async def test_mainnet_and_devnet_have_one_program_and_not_one_coin(world):
    found = await look(world, deployment=VELOCITY_DEVNET)
    (said,) = texts(found, Grade.BAD, "quote coin")
    assert VELOCITY.quote.mint in said and VELOCITY_DEVNET.quote.mint in said


async def test_a_program_that_is_not_there_or_is_none(world):
    program = Pubkey.from_string(VELOCITY.program_id)
    has = world.chain.account(program)
    code = Pubkey(has.data[4:36])
    held = world.chain.account(code)
    immutable = held.data[:12] + b"\0" + bytes(32)
    for data, grade, said in ((immutable, Grade.GOOD, "nobody can change it"), (held.data, Grade.NOTE, "can change it at any time")):
        world.chain.set_account(code, owner=has.owner, data=data)
        assert said in texts(await look(world), grade, "program")[0]
    for data in (held.data[:44], b"\1" + held.data[1:], held.data[:12] + b"\2" + held.data[13:]):
        world.chain.set_account(code, owner=has.owner, data=data)
        assert "it was closed" in texts(await look(world), Grade.BAD, "program")[0]
    world.chain.set_account(program, owner=program, data=has.data)
    assert "no program that the upgradeable loader" in texts(await look(world), Grade.BAD, "program")[0]
    world.chain.set_account(program, lamports=0)
    assert "there is none" in texts(await look(world), Grade.BAD, "program")[0]


# -- the exchange ----------------------------------------------------------------------------------------------------------


async def test_accounts_of_another_owner_address_or_length_are_bad(world):
    for kind, at, subject in (
        ("State", VELOCITY.state(), "State"),
        ("SpotMarket", VELOCITY.spot_market(0), "quote coin"),
        ("PerpMarket", VELOCITY.perp_market(0), "markets"),
    ):
        key, size = Pubkey.from_string(at), VELOCITY.layout(kind).size
        sound = world.chain.account(key)
        for owner, data, said in (
            (Pubkey.default(), sound.data, "its owner is"),
            (sound.owner, sound.data[: size - 1], f"has {size} bytes at least"),
            (sound.owner, b"\0" + sound.data[1:], "begins with"),
        ):
            world.chain.set_account(key, owner=owner, data=data)
            assert said in texts(await look(world), Grade.BAD, subject)[0], (kind, said)
        world.chain.set_account(key, owner=sound.owner, data=sound.data[:size])
        assert (await look(world)).fit, "the layout and not a byte more is enough"
        world.chain.set_account(key, lamports=0)
        assert "there is no account at" in texts(await look(world), Grade.BAD, subject)[0]
        world.chain.set_account(key, owner=sound.owner, data=sound.data)
    assert (await look(world)).fit


@BOTH
async def test_drift_and_velocity_are_not_read_as_each_other(deployment):
    other = VELOCITY if deployment is DRIFT_V2 else DRIFT_V2
    with stand(deployment, server=PASS) as s:
        found = await look(s, deployment=other)
        assert "there is no account at" in texts(found, Grade.BAD, "State")[0]
        assert not found.of("sub-accounts"), "nothing is said of what cannot be read"


@pytest.mark.parametrize(
    ("bits", "grade", "said"),
    [
        (0, Grade.GOOD, "nothing is paused"),
        (1, Grade.BAD, "deposit"),
        (2, Grade.BAD, "withdraw"),
        (4, Grade.WARNING, "amm"),
        (8, Grade.BAD, "fill"),
        (16, Grade.BAD, "liquidation"),
        (32, Grade.WARNING, "funding"),
        (64, Grade.BAD, "settle pnl"),
        (128, Grade.WARNING, "amm immediate fill"),
        (255, Grade.BAD, "deposit, withdraw, amm, fill, liquidation, funding, settle pnl, amm immediate fill"),
    ],
)
async def test_what_is_paused_for_the_whole_exchange(world, bits, grade, said):
    world.server.pause(bits)
    (one,) = (await look(world, "")).of("exchange")
    assert one.grade is grade and one.text.endswith(said if bits else "for the whole of it")


async def test_a_vault_that_lacks_a_unit_of_what_is_owed(world):
    funded(world)
    key = Pubkey.from_string(VELOCITY.spot_vault(0))
    vault = world.chain.account(key)
    amount = int.from_bytes(vault.data[64:72], "little")

    def holds(units):
        world.chain.set_account(key, owner=vault.owner, data=vault.data[:64] + units.to_bytes(8, "little") + vault.data[72:])

    assert texts(await look(world), Grade.GOOD, "vault")
    holds(amount - 1)
    assert texts(await look(world), Grade.BAD, "vault")[0].endswith("0.000001 are missing")
    world.chain.set_account(key, owner=vault.owner, data=vault.data[:32] + bytes(world.key.pubkey()) + vault.data[64:])
    assert f"is of {world.key.pubkey()}" in texts(await look(world), Grade.BAD, "vault")[0]
    world.chain.set_account(key, lamports=0)
    assert "there is no token account" in texts(await look(world), Grade.BAD, "vault")[0]


@pytest.mark.parametrize(
    ("price", "grade"),
    [(PER_USD, Grade.GOOD), (PER_USD - OFF_PEG + 1, Grade.GOOD), (PER_USD - OFF_PEG, Grade.WARNING), (PER_USD + OFF_PEG, Grade.WARNING)],
)
async def test_a_quote_coin_off_its_peg(world, price, grade):
    world.server.price("USDT", f"{price // PER_USD}.{price % PER_USD:06}")
    said = [one for one in (await look(world)).of("quote coin") if "oracle" in one.text]
    assert [one.grade for one in said] == [grade]


async def test_a_quote_coin_whose_market_is_not_open(world):
    world.server.set("SpotMarket", VELOCITY.spot_market(0), paused_operations=8)
    assert texts(await look(world), Grade.BAD, "quote coin") == ["paused in its market: withdraw"]
    world.server.set("SpotMarket", VELOCITY.spot_market(0), paused_operations=1)
    assert texts(await look(world), Grade.WARNING, "quote coin") == ["paused in its market: update interest"]
    world.server.set("SpotMarket", VELOCITY.spot_market(0), paused_operations=0, status=2)
    assert texts(await look(world), Grade.BAD, "quote coin") == ["its market is reduce only"]


async def test_a_state_with_more_markets_than_can_be(world):
    world.server.set("State", VELOCITY.state(), number_of_markets=MOST_MARKETS + 1)
    assert "more than 500" in texts(await look(world), Grade.BAD, "markets")[0]


# -- markets ---------------------------------------------------------------------------------------------------------------


async def test_a_market_by_name_or_all_of_them():
    with stand(perps=[Perp("SOL-PERP", "150"), Perp("BTC-PERP", "60000"), Perp("ETH-PERP", "3000")], server=PASS) as s:
        s.server.status("ETH-PERP", MarketStatus.DELISTED)
        found = await look(s, "", markets=())
        assert found.fit and found.of("market SOL-PERP") and found.of("market BTC-PERP") and not found.of("market ETH-PERP")
        assert "not traded any more, or not yet: ETH-PERP" in texts(found, Grade.NOTE, "markets")
        found = await look(s, "", markets=["ETH-PERP", "SOL-PREP"])
        assert texts(found, Grade.BAD, "market ETH-PERP")[0].startswith("delisted")
        assert texts(found, Grade.BAD, "market SOL-PREP") == ["there is none of this name; there are SOL-PERP, ETH-PERP, BTC-PERP"]
        assert not found.of("market BTC-PERP")


@pytest.mark.parametrize("status", [MarketStatus.REDUCE_ONLY, MarketStatus.SETTLEMENT, MarketStatus.INITIALIZED])
async def test_a_market_that_is_not_open(world, status):
    world.server.status("SOL-PERP", status)
    assert texts(await look(world), Grade.BAD, "market SOL-PERP")[0].startswith(f"{status.value};")


@pytest.mark.parametrize(("bits", "grade"), [(4, Grade.BAD), (8, Grade.BAD), (32, Grade.BAD), (1, Grade.WARNING), (2, Grade.WARNING)])
async def test_what_is_paused_in_a_market(world, bits, grade):
    world.server.set("PerpMarket", VELOCITY.perp_market(0), paused_operations=bits)
    assert texts(await look(world), grade, "market SOL-PERP")[0].startswith("paused in it: ")


async def test_an_oracle_that_stalls():
    with stand(server={"slot_ns": 0}) as s:  # its slots pass when they are told to
        s.server.stall("SOL-PERP")
        s.server.advance(119)
        found = await look(s, moving_within=0.05)
        assert [one.grade for one in found.of("market SOL-PERP") if "oracle" in one.text] == [Grade.GOOD]
        s.server.advance(20)
        found = await look(s, moving_within=0.05)
        assert "too old for the program" in texts(found, Grade.BAD, "market SOL-PERP")[0]


async def test_funding_is_a_ratio_and_goes_on(world):
    world.server.pass_time(3_600)
    world.server.fund("SOL-PERP", 15_000_000)  # 0.015 coins for one of 150: a hundredth of a percent
    found = await look(world)
    assert "the last funding was 0.010000% of the price in 3600 s" in texts(found, Grade.NOTE, "market SOL-PERP")
    last = world.server.perp("SOL-PERP")["last_funding_rate_ts"]
    for late, grade in ((7_199, Grade.NOTE), (7_200, Grade.WARNING)):
        found = await look(world, clock=lambda late=late: (last + late) * SECOND)
        assert [one.grade for one in found.of("market SOL-PERP") if "funding" in one.text] == [grade]


# -- the authority ---------------------------------------------------------------------------------------------------------


async def test_without_a_wallet_that_is_said(world):
    found = await look(world, "")
    assert found.fit and texts(found, Grade.WARNING, "wallet")[0].startswith("none was named") and not found.of("sub-accounts")


async def test_a_wallet_with_nothing_and_one_that_is_none(world):
    found = await look(world, str(Keypair().pubkey()))
    assert "can pay no fee" in texts(found, Grade.BAD, "wallet")[0]
    assert "there are none yet" in texts(found, Grade.NOTE, "sub-accounts")[0]
    assert "has no USDT account" in texts(found, Grade.NOTE, "coins")[0]
    found = await look(world, VELOCITY.state())
    assert "is no wallet" in texts(found, Grade.BAD, "wallet")[0]


@pytest.mark.parametrize("made", [False, True])
async def test_sol_for_rent_and_fees_to_the_lamport(world, made):
    if made:
        world.server.open(world.key)
    sizes = [VELOCITY.layout(kind).size for kind in (("User",) if made else ("User", "UserStats"))]
    enough = LEAST_SOL + sum(map(world.chain.rent, sizes))
    for lamports, grade in ((enough, Grade.GOOD), (enough - 1, Grade.WARNING)):
        world.chain.set_account(world.key.pubkey(), lamports=lamports)
        assert [one.grade for one in (await look(world)).of("wallet")] == [grade]


async def test_a_wallets_coins_that_somebody_else_can_move(world):
    from sleeves.venues.solana import ata

    key = ata(world.key.pubkey(), world.server.mints[0])
    held = world.chain.account(key)
    lent = held.data[:72] + (1).to_bytes(4, "little") + bytes([9]) * 32 + held.data[108:121] + (5).to_bytes(8, "little") + held.data[129:]
    world.chain.set_account(key, owner=held.owner, data=lent)
    assert "may take 5 raw units" in texts(await look(world), Grade.BAD, "coins")[0]
    world.chain.set_account(key, owner=held.owner, data=held.data[:32] + bytes([9]) * 32 + held.data[64:])
    assert "given to somebody else" in texts(await look(world), Grade.BAD, "coins")[0]


async def test_delegates(world):
    funded(world)
    other = world.server.wallet(sol=1)
    him = str(other.pubkey())
    found = await look(world, key=him)
    assert f"its delegate is nobody, and {him} shall sign" in texts(found, Grade.BAD, "sub-account 0")[0]
    assert "moves no coins" in texts(found, Grade.NOTE, "key")[0]
    world.server.set("User", world.user(), delegate=him)
    found = await look(world, key=him)
    assert found.fit and "the key is its delegate" in texts(found, Grade.GOOD, "sub-account 0")[0]
    found = await look(world)
    assert found.fit and f"{him} is its delegate" in texts(found, Grade.WARNING, "sub-account 0")[0]
    for lamports, grade in ((LEAST_SOL, Grade.GOOD), (LEAST_SOL - 1, Grade.WARNING), (0, Grade.BAD)):
        world.chain.set_account(other.pubkey(), lamports=lamports)
        assert (await look(world, key=him)).of("key")[0].grade is grade


async def test_every_sub_account_is_looked_at_and_a_closed_one_is_not_missed(world):
    for sub in range(18):
        world.server.open(world.key, sub, f"engine {sub}")
    world.chain.set_account(Pubkey.from_string(world.user(3)), lamports=0)
    found = await look(world)
    assert [one.subject for one in found.findings if one.subject.startswith("sub-account ")] == [
        f"sub-account {sub}" for sub in range(18) if sub != 3
    ]


@pytest.mark.parametrize(
    ("values", "grade", "said"),
    [
        ({"status": 1}, Grade.BAD, "is being liquidated"),
        ({"status": 2}, Grade.BAD, "is bankrupt"),
        ({"status": 4}, Grade.WARNING, "may only reduce"),
        ({"equity_floor": 1}, Grade.WARNING, "has a floor of equity of 0.000001"),
    ],
)
async def test_the_state_of_a_sub_account(world, values, grade, said):
    funded(world)
    world.server.set("User", world.user(), **values)
    found = await look(world)
    assert any(said in text for text in texts(found, grade, "sub-account 0"))
    assert found.fit is (grade is not Grade.BAD)


async def test_the_breaker_of_an_authority(world):
    funded(world)
    assert (await look(world)).fit
    stats = world.server.look("UserStats", VELOCITY.user_stats(str(world.key.pubkey())))
    (name,) = [one for one in stats.record if "breaker" in one]
    world.server.set("UserStats", stats.address, **{name: 1})
    assert "their breaker is set" in texts(await look(world), Grade.BAD, "sub-accounts")[0]


async def test_a_sub_account_of_another_length(world):
    funded(world)
    key = Pubkey.from_string(world.user())
    sound = world.chain.account(key)
    size, branch = (one.layout("User").size for one in (VELOCITY, VELOCITY_CLOB))
    for length in (size + 1, branch - 1):
        world.chain.set_account(key, owner=sound.owner, data=sound.data.ljust(length, b"\0"))
        assert texts(await look(world), Grade.WARNING, "sub-account 0")[0].startswith(f"has {length} bytes, and {size}")
    world.chain.set_account(key, owner=sound.owner, data=sound.data.ljust(branch, b"\0"))
    assert "it has 4560 bytes, as many as one of order-book branch would" in texts(await look(world), Grade.BAD, "sub-accounts")[0]


@pytest.mark.parametrize(("usd", "grade"), [(36, Grade.WARNING), (40, Grade.GOOD), (7, Grade.BAD)])
async def test_health_below_80_and_one_that_can_be_liquidated(world, usd, grade):
    funded(world)
    long(world)  # one of 150: 7.50 keep it
    place = world.server.position(world.user(), "SOL-PERP")
    owed = place["quote_asset_amount"] + 150 * PER_USD
    pool = world.server.look("User", world.user())["spot_positions"]
    pool[0]["scaled_balance"] = (usd * PER_USD - owed) * 1_000
    world.server.set("User", world.user(), spot_positions=pool)
    said = [one for one in (await look(world)).of("sub-account 0") if one.text.startswith("health")]
    assert [one.grade for one in said] == [grade]


async def test_health_by_an_old_price_is_not_good(world):
    funded(world)
    long(world)
    world.server.stall("SOL-PERP")
    world.server.advance(300)
    said = [one for one in (await look(world)).of("sub-account 0") if one.text.startswith("health")]
    assert [one.grade for one in said] == [Grade.WARNING] and "would not rely on: SOL-PERP: too old" in said[0].text


# -- what others do not answer ---------------------------------------------------------------------------------------------


async def test_nothing_there(world):
    world.node.stop()
    found = await look(world)
    assert [one.subject for one in found.bad] == ["node"]


@pytest.mark.parametrize(
    "method",
    ["getSlot", "getVersion", "getGenesisHash", "getAccountInfo", "getMultipleAccounts", "getMinimumBalanceForRentExemption", "getBalance"],
)
async def test_what_a_node_does_not_answer_is_a_finding_and_never_an_exception(world, method):
    funded(world)
    delegate = str(world.server.wallet(sol=1).pubkey())
    sound = {str(one) for one in (await look(world, key=delegate)).findings if one.grade in (Grade.GOOD, Grade.NOTE)}
    for fault in (Fault.error(-32603, "broken"), Fault.garbage(), Fault.status(500), Fault.cut(), Fault.replaced("nonsense")):
        world.node.fault(method, fault, times=99)
        found = await look(world, moving_within=0.3, key=delegate)
        assert {str(one) for one in found.findings if one.grade in (Grade.GOOD, Grade.NOTE)} != sound, (method, fault)


async def test_bytes_of_nonsense_are_findings(world):
    funded(world)
    for at in (
        VELOCITY.state(),
        VELOCITY.spot_market(0),
        VELOCITY.perp_market(0),
        world.user(),
        VELOCITY.user_stats(str(world.key.pubkey())),
    ):
        key = Pubkey.from_string(at)
        sound = world.chain.account(key)
        for fill in (b"\xff", b"\x7f", b"\x01"):
            world.chain.set_account(key, owner=sound.owner, data=sound.data[:8] + fill * (len(sound.data) - 8))
            found = await look(world)
            assert found.bad, (at, fill)
        world.chain.set_account(key, owner=sound.owner, data=sound.data)
    assert (await look(world)).fit
