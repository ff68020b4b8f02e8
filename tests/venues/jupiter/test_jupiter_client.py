"""Jupiter's interface as it is asked: queries, shapes that are taken and that are not, limits, errors, and a key that is nowhere.

Shapes: reference, section 4, and the documentation of the swap interface, version 2.
"""

from __future__ import annotations

import json
import logging
import time
from decimal import Decimal

import anyio
import pytest
from jupiter_stand import PER_SOL, mint, stand
from solders.transaction import VersionedTransaction

from sleeves.errors import InvalidMarket, VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.keys import Secret
from sleeves.testing.jupiter_server import WSOL
from sleeves.testing.solana_server import Fault
from sleeves.venues.jupiter import JupiterApi, JupiterLimited, JupiterRefused

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
SOL = str(WSOL)


def run(story, backend="asyncio", *, api=None, **terms):
    with stand(**terms) as s:

        async def main():
            async with JupiterApi(s.jupiter.url, **{"per_second": 10_000, "attempts": 1, **(api or {})}) as client:
                return await story(s, client)

        return anyio.run(main, backend=backend)


# -- what is asked, and what comes -----------------------------------------------------------------------------------------------


@both
def test_a_build_is_asked_for_with_everything_as_text(backend):
    async def story(s, api):
        build = await api.build(
            SOL,
            s.usdc.mint,
            PER_SOL,
            taker=str(s.wallet),
            slippage_bps=30,
            dexes=["Raydium", "Orca Whirlpool"],
            for_bundle=True,
            max_accounts=40,
        )
        (call,) = s.jupiter.asked("build")
        assert dict(call.query) == {
            "inputMint": SOL,
            "outputMint": s.usdc.mint,
            "amount": "1000000000",
            "taker": str(s.wallet),
            "slippageBps": "30",
            "dexes": "Raydium,Orca Whirlpool",
            "forJitoBundle": "true",
            "maxAccounts": "40",
        }
        route = build.route
        assert (route.in_amount, route.slippage_bps, route.slot) == (PER_SOL, 30, s.chain.slot)
        assert route.threshold == -(-route.out_amount * 9_970 // 10_000)
        assert [(step.label, step.bps) for step in route.steps] == [("Orca Whirlpool", 10_000)]
        assert build.swap.program == "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
        assert len(build.setup) == 4 and len(build.cleanup) == 1 and not build.other and not build.tip
        assert set(build.tables) == {str(s.jupiter.dexes.table)}

    run(story, backend)


def test_an_order_without_a_taker_is_a_quote():
    async def story(s, api):
        ready = await api.order(SOL, s.usdc.mint, PER_SOL)
        assert (ready.transaction, ready.code) == (b"", None) and ready.route.out_amount > 149 * 10**6
        with_taker = await api.order(SOL, s.usdc.mint, PER_SOL, taker=str(s.wallet), exclude_routers=["jupiterz", "okx"], slippage_bps=10)
        assert with_taker.transaction and with_taker.request and with_taker.fee_payer == str(s.wallet)
        assert with_taker.last_valid_block_height == s.chain.blockhash()[1]
        assert s.jupiter.asked("order")[-1].query["excludeRouters"] == "jupiterz,okx"

    run(story)


@both
def test_a_quote_goes_back_letter_for_letter(backend):
    """With fields that nobody here knows, and numbers as they were written: the server answers 500 for anything else."""

    async def story(s, api):
        def strange(answer):
            return {**answer, "somethingNew": {"deep": [1.10, 1e-7, None]}, "timeTaken": 0.0040}

        s.jupiter.tamper["quote"] = strange
        for version in (1, 2):
            route = await api.quote(s.usdc.mint, SOL, 150 * 10**6, version=version)
            assert route.raw["somethingNew"] == {"deep": [Decimal("1.1"), Decimal("1e-7"), None]}
            if version == 2:
                raw = await api.swap(route, taker=str(s.wallet))
                assert VersionedTransaction.from_bytes(raw).message.account_keys[0] == s.wallet
        sent = s.jupiter.calls[-1]
        assert sent.status == 200

    run(story, backend)


def test_the_older_quote_knows_exact_out():
    async def story(s, api):
        route = await api.quote(s.usdc.mint, SOL, PER_SOL, version=1, exact_out=True, direct=True)
        assert route.out_amount == PER_SOL and route.in_amount > 149 * 10**6
        assert route.threshold >= route.in_amount, "the most that goes in"
        for terms in ({"exact_out": True}, {"direct": True}, {"version": 3}):
            with pytest.raises(InvalidMarket):
                await api.quote(s.usdc.mint, SOL, 1, **terms)

    run(story)


def test_tokens_prices_and_labels():
    async def story(s, api):
        s.jupiter.usd = {WSOL: "150.25", mint(s.jitosol): "172.5"}
        prices = await api.prices([SOL, s.usdc.mint])
        assert set(prices) == {SOL}, "one that is not sure is left out"
        assert prices[SOL].usd == Decimal("150.25") and prices[SOL].decimals == 9
        assert [token["id"] for token in await api.tokens("SOL")] == [SOL]
        assert len(await api.tagged("verified")) == 3
        assert set((await api.labels()).values()) == {"Raydium", "Orca Whirlpool", "Sanctum"}
        for mints in ([], [SOL] * 51):
            with pytest.raises(InvalidMarket):
                await api.prices(mints)

    run(story)


# -- what is no answer -----------------------------------------------------------------------------------------------------------

BROKEN = {
    "another input": {"inputMint": "x"},
    "another output": {"outputMint": "x"},
    "another amount": {"inAmount": "999999999"},
    "an amount as a float": {"outAmount": 149.5},
    "an amount below zero": {"outAmount": "-5"},
    "an amount with a sign": {"outAmount": "+5"},
    "an amount in another script": {"outAmount": "１５０"},
    "an amount of nothing": {"outAmount": "0"},
    "an amount beyond 64 bits": {"outAmount": str(1 << 64)},
    "no amount": {"outAmount": None},
    "a truth value": {"outAmount": True},
    "a threshold above what comes": {"otherAmountThreshold": str(10**12)},
    "exact out": {"swapMode": "ExactOut"},
    "a fee that nobody asked for": {"platformFee": {"amount": "5", "feeBps": 50, "feeMint": SOL}},
    "a route that is no list": {"routePlan": {"a": 1}},
    "a step without what it is": {"routePlan": [{"percent": 100}]},
    "no swap": {"swapInstruction": None},
    "a swap without data": {"swapInstruction": {"programId": "x", "accounts": []}},
    "data that is no base64": {"swapInstruction": {"programId": "x", "accounts": [], "data": "???"}},
    "an account that does not say what it may": {"setupInstructions": [{"programId": "x", "accounts": [{"pubkey": "y"}], "data": ""}]},
    "tables that are none": {"addressesByLookupTableAddress": {"t": "not a list"}},
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_answer_to_the_question_is_none(name):
    async def story(s, api):
        s.jupiter.tamper["build"] = lambda answer: {**answer, **BROKEN[name]}
        with pytest.raises(VenueUnavailable):
            await api.build(SOL, s.usdc.mint, PER_SOL, taker=str(s.wallet))

    run(story)


OPTIONAL = [
    "contextSlot",
    "timeTaken",
    "priceImpactPct",
    "platformFee",
    "cleanupInstruction",
    "otherInstructions",
    "tipInstruction",
    "swapMode",
]


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_may_be_missing_is_not_missed(name):
    async def story(s, api):
        s.jupiter.tamper["build"] = lambda answer: {key: value for key, value in answer.items() if key != name}
        build = await api.build(SOL, s.usdc.mint, PER_SOL, taker=str(s.wallet))
        assert build.route.out_amount and (build.route.slot is None) is (name == "contextSlot")

    run(story)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.status(400, '{"error":"No routes found"}'), JupiterRefused),
        (Fault.status(401, '{"error":"Unauthorized"}'), JupiterRefused),
        (Fault.status(404, "nothing here"), JupiterRefused),
        (Fault.status(429, '{"error":"Rate limit exceeded"}'), JupiterLimited),
        (Fault.status(500, "<html>oops</html>"), VenueUnavailable),
        (Fault.status(504), VenueUnavailable),
        (Fault.garbage(), VenueUnavailable),
        (Fault.cut(), VenueUnavailable),
        (Fault.replaced([]), VenueUnavailable),
        (Fault.replaced("text"), VenueUnavailable),
    ],
)
def test_a_question_that_is_not_answered(fault, error):
    async def story(s, api):
        s.jupiter.fault("build", fault)
        with pytest.raises(error) as raised:
            await api.build(SOL, s.usdc.mint, PER_SOL, taker=str(s.wallet))
        assert isinstance(raised.value, (VenueUnavailable, VenueRejected))
        if fault.kind == "status" and fault.text.startswith("{"):
            assert json.loads(fault.text)["error"] in str(raised.value), "its own words are kept"

    run(story)


def test_a_question_is_asked_again_and_a_no_is_not():
    async def story(s, api):
        s.jupiter.fault("build", Fault.status(503), times=2)
        assert (await api.build(SOL, s.usdc.mint, PER_SOL, taker=str(s.wallet))).route.out_amount
        assert len(s.jupiter.asked("build")) == 3
        with pytest.raises(JupiterRefused, match="No routes found"):
            await api.build(SOL, s.usdc.mint, PER_SOL, taker=str(s.wallet), dexes=["nobody"])
        assert len(s.jupiter.asked("build")) == 4

    run(story, api={"attempts": 3})


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.status(400, '{"error":"bad", "code": -3}'), JupiterRefused),
        (Fault.status(429), VenueUnavailable),
        (Fault.status(500), VenueUnknown),
        (Fault.garbage(), VenueUnknown),
        (Fault.lost(), VenueUnknown),
        (Fault.cut(), VenueUnknown),
        (Fault.replaced({"status": "Perhaps"}), VenueUnknown),
        (Fault.replaced([1]), VenueUnknown),
    ],
)
def test_what_is_executed_is_sent_once_whatever_is_answered(fault, error):
    async def story(s, api):
        s.jupiter.fault("execute", fault)
        with pytest.raises(VenueError) as raised:
            await api.execute(b"\1" * 100, "request")
        assert type(raised.value) is error or isinstance(raised.value, error)
        assert len(s.jupiter.asked("execute")) == 1
        if fault.code == 400:
            assert raised.value.code == -3

    run(story, api={"attempts": 5})


def test_what_execute_says_of_an_order_that_it_does_not_know():
    async def story(s, api):
        done = await api.execute(b"\1" * 100, "nobody's")
        assert (done.success, done.code, done.signature) == (False, -1, "") and "not found" in done.said
        for signed, request in ((b"", "r"), ("text", "r"), (b"x", "")):
            with pytest.raises(InvalidMarket):
                await api.execute(signed, request)

    run(story)


@pytest.mark.parametrize(
    "terms",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 1.5},
        {"amount": True},
        {"amount": "5"},
        {"amount": 1 << 64},
        {"output_mint": SOL},
        {"output_mint": ""},
        {"slippage_bps": -1},
        {"slippage_bps": 10_001},
        {"slippage_bps": 0.5},
        {"dexes": ["a"], "exclude_dexes": ["b"]},
    ],
)
def test_what_cannot_be_asked_is_not(terms):
    async def story(s, api):
        given = {"input_mint": SOL, "output_mint": s.usdc.mint, "amount": 5, **terms}
        with pytest.raises(InvalidMarket):
            await api.build(given.pop("input_mint"), given.pop("output_mint"), given.pop("amount"), taker=str(s.wallet), **given)
        assert not s.jupiter.calls

    run(story)


# -- limits ----------------------------------------------------------------------------------------------------------------------


def test_without_a_key_it_goes_slowly_and_with_one_faster():
    assert JupiterApi()._bucket.per_second == 0.5
    assert JupiterApi(key=Secret("k" * 20))._bucket.per_second == 1.0
    assert JupiterApi(per_second=50)._bucket.per_second == 50

    async def story(s, api):
        before = time.monotonic()
        for _ in range(24):
            await api.quote(SOL, s.usdc.mint, PER_SOL)
        assert time.monotonic() - before >= 3 / 20 - 0.01

    run(story, api={"per_second": 20})


def test_a_window_of_which_nothing_is_left_is_waited_for():
    now = [1_700_000_000 * 10**9]

    async def story(s, api):
        for _ in range(2):
            await api.quote(SOL, s.usdc.mint, PER_SOL)
        assert api.remaining == 0
        begun = time.monotonic()
        with anyio.move_on_after(0.3) as waiting:
            await api.quote(SOL, s.usdc.mint, PER_SOL)
        assert waiting.cancelled_caught and time.monotonic() - begun < 5
        assert len(s.jupiter.asked("quote")) == 2, "it was not even asked"
        now[0] += 61 * 10**9
        await api.quote(SOL, s.usdc.mint, PER_SOL)
        assert len(s.jupiter.asked("quote")) == 3 and api.remaining == 1

    run(story, api={"clock": lambda: now[0]}, jupiter={"limit": 2, "clock": lambda: now[0]})


def test_a_limit_says_when_it_is_over():
    now = [1_700_000_000 * 10**9]

    async def story(s, api):
        await api.quote(SOL, s.usdc.mint, PER_SOL)
        api._closed_until = 0
        with pytest.raises(JupiterLimited, match="Rate limit exceeded") as raised:
            await api.quote(SOL, s.usdc.mint, PER_SOL)
        assert raised.value.after_s == 60.0 and api.remaining == -1, "what is left may be less than nothing"

    run(story, api={"clock": lambda: now[0]}, jupiter={"limit": 1, "clock": lambda: now[0]})


# -- the key -------------------------------------------------------------------------------------------------------------------


@both
def test_the_key_goes_as_a_header_and_is_nowhere_else(backend, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "jup_sentinel_5b9e04c1"

    async def story(s, api):
        await api.quote(SOL, s.usdc.mint, PER_SOL)
        assert s.jupiter.calls[-1].key == secret
        said = [repr(api), repr(api._wire)]
        for fault in (
            Fault.status(400, f'{{"error":"your key {secret} is wrong"}}'),
            Fault.status(500, secret),
            Fault.status(429, secret),
            Fault.cut(),
        ):
            for word, call in (
                ("quote", lambda: api.quote(SOL, s.usdc.mint, PER_SOL)),
                ("execute", lambda: api.execute(b"x", "r")),
            ):
                s.jupiter.fault(word, fault)
                with pytest.raises(VenueError) as raised:
                    await call()
                said += [repr(raised.value), str(raised.value.__cause__), str(raised.value.__context__)]
        assert secret not in "".join(said)

    run(story, backend, api={"key": Secret(secret)}, jupiter={"keys": [secret]})
    assert secret not in caplog.text


def test_a_wrong_key_is_a_no():
    async def story(s, api):
        with pytest.raises(JupiterRefused) as raised:
            await api.quote(SOL, s.usdc.mint, PER_SOL)
        assert raised.value.status == 401

    run(story, api={"key": Secret("wrong-key-0001")}, jupiter={"keys": ["right-key-0001"]})
    with pytest.raises(InvalidMarket):
        JupiterApi(key="text")
