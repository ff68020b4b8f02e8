"""The block engine's client against the local engine: bundles, statuses, tips to the fraction, and answers that are none.

Shapes and the tip rule: reference, section 4. Nothing here is mocked: the engine is served on a socket, over a local chain.
"""

from __future__ import annotations

import logging
from fractions import Fraction

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sleeves.errors import InvalidAmount, InvalidMarket, VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.keys import Secret
from sleeves.testing.jito_server import JitoServer, jito_server
from sleeves.testing.solana_server import Chain, Fault
from sleeves.venues.jito import TIP_ACCOUNTS, Inflight, Jito, tip_for
from strategies import law

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
SYSTEM = Pubkey.from_string("11111111111111111111111111111111")


def run(story, backend="asyncio", **terms):
    """A story with a chain, the engine over it and a client of it."""
    client = {key: terms.pop(key) for key in ("auth", "per_second", "attempts", "tip_accounts") if key in terms}
    chain = Chain()
    with jito_server(chain, **{"auth": (), **terms.pop("engine", {})}) as engine:

        async def main():
            async with Jito(engine.url, floor_url=engine.url, **{"per_second": 1_000, **client}) as jito:
                return await story(chain, engine, jito)

        return anyio.run(main, backend=backend)


def payment(chain, key, to, lamports, *more):
    """A signed transfer of lamports."""
    metas = [AccountMeta(key.pubkey(), True, True), AccountMeta(to, False, True)]
    pay = Instruction(SYSTEM, (2).to_bytes(4, "little") + lamports.to_bytes(8, "little"), metas)
    blockhash, _ = chain.blockhash()
    return bytes(VersionedTransaction(MessageV0.try_compile(key.pubkey(), [pay, *more], [], blockhash), [key]))


def wallet(chain, sol=1):
    key = Keypair()
    chain.airdrop(key.pubkey(), sol * 10**9)
    return key


# -- bundles -----------------------------------------------------------------------------------------------------------------


@both
def test_a_bundle_lands_and_says_so(backend):
    async def story(chain, engine, jito):
        key = wallet(chain)
        raw = payment(chain, key, engine.tip_accounts[3], 1_000)
        name = await jito.send_bundle([raw])
        assert len(name) == 64
        landing = (await jito.inflight_statuses([name]))[name]
        assert (landing.status, landing.slot) == (Inflight.LANDED, chain.slot)
        bundle = (await jito.bundle_statuses([name]))[name]
        assert bundle.err is None, "err.Ok null means that there is none"
        assert bundle.transactions == (str(VersionedTransaction.from_bytes(raw).signatures[0]),)
        assert (bundle.slot, bundle.confirmation) == (chain.slot, "confirmed")
        chain.advance(40)
        assert (await jito.bundle_statuses([name]))[name].confirmation == "finalized"

    run(story, backend)


def test_the_transactions_of_a_bundle_land_together_or_not_at_all():
    async def story(chain, engine, jito):
        key = wallet(chain)
        tip = payment(chain, key, engine.tip_accounts[0], 5_000)
        beyond = payment(chain, key, Keypair().pubkey(), 5 * 10**9)
        name = await jito.send_bundle([tip, beyond])
        assert (await jito.inflight_statuses([name]))[name].status is Inflight.FAILED
        assert await jito.bundle_statuses([name]) == {}
        assert chain.balance(key.pubkey()) == 10**9, "the first of them did not land either, and cost nothing"

    run(story)


def test_accepted_is_not_landed():
    async def story(chain, engine, jito):
        key = wallet(chain)
        engine.next.extend(["drop", 3])
        dropped = await jito.send_bundle([payment(chain, key, engine.tip_accounts[0], 1_000)])
        late = await jito.send_bundle([payment(chain, key, engine.tip_accounts[0], 1_001)])
        found = await jito.inflight_statuses([dropped, late, "f" * 64])
        assert [one.status for one in found.values()] == [Inflight.FAILED, Inflight.PENDING, Inflight.INVALID]
        chain.advance(3)
        found = await jito.inflight_statuses([dropped, late])
        assert [one.status for one in found.values()] == [Inflight.FAILED, Inflight.LANDED]
        assert set(await jito.bundle_statuses([dropped, late])) == {late}

    run(story)


@pytest.mark.parametrize(
    ("transactions", "why"),
    [([], "of 0"), ([b"x"] * 6, "of 6"), ([b""], "of 1"), (["text"], "of 1")],
)
def test_a_bundle_is_of_one_to_five_transactions(transactions, why):
    async def story(chain, engine, jito):
        with pytest.raises(InvalidMarket, match=why):
            await jito.send_bundle(transactions)
        assert not engine.calls

    run(story)


def test_a_bundle_without_a_tip_is_refused():
    async def story(chain, engine, jito):
        key = wallet(chain)
        for to, lamports in ((Keypair().pubkey(), 10**6), (engine.tip_accounts[0], 999)):
            with pytest.raises(VenueRejected, match="tip account"):
                await jito.send_bundle([payment(chain, key, to, lamports)])
        await jito.send_bundle([payment(chain, key, engine.tip_accounts[0], 1_000)])

    run(story)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.status(429), VenueUnavailable),
        (Fault.error(-32097, "Rate limit exceeded"), VenueUnavailable),
        (Fault.error(-32602, "bundle is refused"), VenueRejected),
        (Fault.status(400, "no"), VenueRejected),
        (Fault.status(503), VenueUnknown),
        (Fault.garbage(), VenueUnknown),
        (Fault.lost(), VenueUnknown),
        (Fault.cut(), VenueUnknown),
        (Fault.replaced(None), VenueUnknown),
    ],
)
def test_what_a_bundle_that_was_not_answered_means(fault, error):
    async def story(chain, engine, jito):
        key = wallet(chain)
        engine.fault("sendBundle", fault)
        with pytest.raises(VenueError) as raised:
            await jito.send_bundle([payment(chain, key, engine.tip_accounts[0], 1_000)])
        assert type(raised.value) is error
        assert len(engine.asked("sendBundle")) == 1, "a bundle is sent once"

    run(story)


def test_an_engine_that_is_away_took_nothing():
    server = JitoServer(Chain())
    server.start()
    url = server.url
    server.stop()

    async def main():
        async with Jito(url, floor_url=url, per_second=1_000, attempts=1) as jito:
            with pytest.raises(VenueUnavailable):
                await jito.send_bundle([b"x"])
            with pytest.raises(VenueUnavailable):
                await jito.tip_accounts()

    anyio.run(main)


# -- questions ---------------------------------------------------------------------------------------------------------------


def test_questions_are_asked_again_and_end_as_unavailable():
    async def story(chain, engine, jito):
        engine.fault("getTipAccounts", Fault.status(502))
        engine.fault("getTipAccounts", Fault.garbage())
        assert len(await jito.tip_accounts()) == 8
        assert len(await jito.tip_accounts()) == 8
        assert len(engine.asked("getTipAccounts")) == 3, "they are asked for once, and again only where there was no answer"
        for fault in (Fault.status(502), Fault.garbage(), Fault.error(-32602, "no"), Fault.replaced(7)):
            engine.fault("getBundleStatuses", fault, times=3)
            with pytest.raises(VenueUnavailable):
                await jito.bundle_statuses(["a" * 64])
            engine._faults.clear()

    run(story)


@pytest.mark.parametrize("ids", [[], ["a"] * 6, [""], [7]])
def test_statuses_are_of_one_to_five_bundles(ids):
    async def story(chain, engine, jito):
        for ask in (jito.bundle_statuses, jito.inflight_statuses):
            with pytest.raises(InvalidMarket):
                await ask(ids)

    run(story)


@pytest.mark.parametrize(
    ("told", "err"),
    [({"Ok": None}, None), (None, None), ({"Err": "AccountInUse"}, "AccountInUse"), ("AlreadyProcessed", "AlreadyProcessed")],
)
def test_the_error_of_a_bundle(told, err):
    async def story(chain, engine, jito):
        one = {"bundle_id": "b", "transactions": ["s"], "slot": 5, "confirmation_status": "processed", "err": told}
        engine.fault("getBundleStatuses", Fault.replaced({"context": {"slot": 1}, "value": [one]}))
        assert (await jito.bundle_statuses(["b"]))["b"].err == err
        engine.fault("getBundleStatuses", Fault.replaced({"context": {"slot": 1}, "value": None}))
        assert await jito.bundle_statuses(["b"]) == {}

    run(story)


def test_a_status_that_is_not_known_is_no_answer():
    async def story(chain, engine, jito):
        for one in (
            {"bundle_id": "b", "status": "Landing"},
            {"bundle_id": "b"},
            {"status": "Landed"},
            {"bundle_id": 7, "status": "Landed"},
        ):
            engine.fault("getInflightBundleStatuses", Fault.replaced({"context": {"slot": 1}, "value": [one]}), times=3)
            with pytest.raises(VenueUnavailable):
                await jito.inflight_statuses(["b"])

    run(story)


def test_one_call_a_second_by_default():
    async def story(chain, engine, jito):
        before = anyio.current_time()
        for _ in range(3):
            await jito.bundle_statuses(["b"])
        assert anyio.current_time() - before >= 2 / 20 - 0.01

    run(story, per_second=20)
    assert Jito()._bucket.per_second == 1.0


def test_the_key_goes_as_a_header_and_is_nowhere_else(caplog):
    caplog.set_level(logging.DEBUG)
    secret = "6c1f-sentinel-5b9e"

    async def story(chain, engine, jito):
        assert len(await jito.tip_accounts()) == 8
        engine.fault("sendBundle", Fault.status(400, secret))
        with pytest.raises(VenueRejected) as raised:
            await jito.send_bundle([b"x"])
        assert secret not in f"{raised.value!r} {jito!r} {jito._wire!r}"
        assert engine.calls[0].auth == secret

    run(story, engine={"auth": (secret,)}, auth=Secret(secret))
    assert secret not in caplog.text

    async def refused(chain, engine, jito):
        with pytest.raises(VenueUnavailable, match="not authorized"):
            await jito.tip_accounts()

    run(refused, engine={"auth": (secret,)})
    with pytest.raises(InvalidMarket):
        Jito(auth="text")


def test_only_known_accounts_are_tipped():
    """Of what an engine names no other is believed: under its own name those that it has published, elsewhere those handed in."""

    async def all_of_them(chain, engine, jito):
        assert list(await jito.tip_accounts()) == [str(one) for one in engine.tip_accounts]

    run(all_of_them)
    for url in ("https://mainnet.block-engine.jito.wtf", "https://ny.mainnet.block-engine.jito.wtf"):
        assert Jito(url)._may_be_tipped == TIP_ACCOUNTS and len(set(TIP_ACCOUNTS)) == 8
    assert Jito("https://engine.example")._may_be_tipped is None

    async def none_of_them(chain, engine, jito):
        with pytest.raises(VenueUnavailable, match="none of them is known"):
            await jito.tip_accounts()

    run(none_of_them, tip_accounts=TIP_ACCOUNTS)
    with pytest.raises(InvalidMarket, match="at least one"):
        Jito(tip_accounts=[])


# -- tips --------------------------------------------------------------------------------------------------------------------


@both
def test_the_tip_floor_is_in_sol_and_is_kept_in_lamports_exactly(backend):
    async def story(chain, engine, jito):
        floor = await jito.tip_floor()
        assert floor.p25 == Fraction("1000.25"), "1.00025e-06 SOL"
        assert (floor.p50, floor.p75, floor.p95, floor.ema50) == (2014, 6000, 100_000, 1670)
        assert (floor.lamports(25), floor.lamports(50), floor.lamports(99)) == (1001, 2014, 100_000)
        assert floor.at % 10**9 == 0 and floor.at > 1_700_000_000 * 10**9
        with pytest.raises(InvalidAmount):
            floor.lamports(51)

    run(story, backend)


@pytest.mark.parametrize("value", ["-1e-6", "null", '"1e-6"', "true", "1e9", "NaN"])
def test_a_tip_floor_that_is_no_amount_is_no_answer(value):
    async def story(chain, engine, jito):
        engine.floor["landed_tips_50th_percentile"] = value
        with pytest.raises(VenueUnavailable):
            await jito.tip_floor()

    run(story, attempts=1)


TIPS = [
    # expected, share, most, tip      tip = min(most, max(1000, share x expected)), never above what is expected
    (10_000_000, 100_000, 5_000_000, 1_000_000),
    (100_000_000, 100_000, 5_000_000, 5_000_000),
    (9_999, 100_000, 5_000_000, 1_000),
    (10_000, 100_000, 5_000_000, 1_000),
    (10_010, 100_000, 5_000_000, 1_001),
    (1_000, 100_000, 5_000_000, 1_000),
    (999, 100_000, 5_000_000, 0),
    (0, 100_000, 5_000_000, 0),
    (-5_000, 100_000, 5_000_000, 0),
    (10_000_000, 100_000, 1_000, 1_000),
    (10_000_000, 100_000, 999, 0),
    (10_000_000, 0, 5_000_000, 1_000),
    (10_000_000, 1_000_000, 50_000_000, 10_000_000),
]


@pytest.mark.parametrize(("expected", "share", "most", "tip"), TIPS)
def test_the_tip(expected, share, most, tip):
    assert tip_for(expected, share=share, most=most) == tip


@law
@given(st.integers(-(10**12), 10**12), st.integers(0, 10**6), st.integers(0, 10**10))
def test_a_tip_is_never_above_the_profit_nor_the_cap_nor_below_the_least(expected, share, most):
    tip = tip_for(expected, share=share, most=most)
    assert tip == 0 or 1_000 <= tip <= min(expected, most)
    if tip:
        assert tip == min(most, max(1_000, expected * share // 10**6))


@pytest.mark.parametrize(
    "terms",
    [
        {"share": -1},
        {"share": 1_000_001},
        {"share": True},
        {"share": 0.1},
        {"most": -1},
        {"most": "1"},
        {"least": 0},
        {"expected": 1.5},
        {"expected": True},
    ],
)
def test_a_tip_is_of_whole_numbers(terms):
    with pytest.raises(InvalidAmount):
        tip_for(terms.pop("expected", 10_000), **{"share": 100_000, "most": 10_000, **terms})
