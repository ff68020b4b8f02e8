"""The local Jupiter and the local block engine by themselves: transactions that are real, pools that move only when they land.

They are spoken to as anybody would, with httpx and solders, and with none of the drivers.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

import httpx
import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from sleeves.amm import Concentrated, ConstantProduct, Outside, Range, Stable, sqrt_price
from sleeves.errors import InvalidMarket
from sleeves.testing.jito_server import jito_server
from sleeves.testing.jupiter_server import WSOL, Amm, jupiter_server
from sleeves.testing.solana_server import Chain, ChainError, Fault

PER_SOL = 10**9


def world(pools=None, **terms):
    chain = Chain()
    usdc = chain.create_mint(6)
    key = Keypair()
    chain.airdrop(key.pubkey(), 10 * PER_SOL)
    chain.mint_to(usdc, key.pubkey(), 10_000 * 10**6)
    pools = {"Raydium": ConstantProduct(10_000 * PER_SOL, 1_500_000 * 10**6, 2_500)} if pools is None else pools
    return chain, usdc, key, jupiter_server(chain, [Amm(label, WSOL, usdc, pool) for label, pool in pools.items()], **terms)


def swap(server, chain, key, goes, comes, amount, **terms):
    """Order, sign, execute, with nothing but HTTP and solders."""
    query = {"inputMint": str(goes), "outputMint": str(comes), "amount": str(amount), "taker": str(key.pubkey()), **terms}
    order = httpx.get(f"{server.url}/swap/v2/order", params=query).json()
    tx = VersionedTransaction.from_bytes(b64decode(order["transaction"]))
    signed = b64encode(bytes(VersionedTransaction(tx.message, [key]))).decode()
    return order, httpx.post(f"{server.url}/swap/v2/execute", json={"signedTransaction": signed, "requestId": order["requestId"]}).json()


KINDS = {
    "constant product": ConstantProduct(10_000 * PER_SOL, 1_500_000 * 10**6, 2_500),
    "concentrated": Concentrated(sqrt_price(150, 1_000), (Range(sqrt_price(100, 1_000), sqrt_price(200, 1_000), 10**15),), 400),
    "stable": Stable(10_000 * PER_SOL, 10_000 * 10**6, 100, 400, base_factor=1, quote_factor=1_000),
    "outside": Outside(10_000 * PER_SOL, 1_500_000 * 10**6, 150, 1_000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_swap_is_the_pools_own_to_the_unit(kind):
    chain, usdc, key, served = world({"A": KINDS[kind]})
    with served as server:
        before, sol = chain.tokens(key.pubkey(), usdc), chain.balance(key.pubkey())
        assert server.pool("A") == KINDS[kind], "a pool is what was put there"
        expected = KINDS[kind].sell(2 * PER_SOL)
        order, done = swap(server, chain, key, WSOL, usdc, 2 * PER_SOL)
        assert (done["status"], done["code"], order["outAmount"]) == ("Success", 0, str(expected.got))
        assert chain.tokens(key.pubkey(), usdc) - before == expected.got
        assert sol - chain.balance(key.pubkey()) == 2 * PER_SOL + order["signatureFeeLamports"] + order["prioritizationFeeLamports"]
        assert server.pool("A") == expected.pool, "and then it is what the swap left"
        back = expected.pool.buy_with(100 * 10**6)
        order, done = swap(server, chain, key, usdc, WSOL, 100 * 10**6)
        assert done["outputAmountResult"] == str(back.got) and server.pool("A") == back.pool


def test_a_swap_that_fails_or_is_only_simulated_moves_no_pool():
    chain, usdc, key, served = world()
    with served as server:
        kept = server.pool("Raydium")
        query = {"inputMint": str(WSOL), "outputMint": str(usdc), "amount": str(PER_SOL), "taker": str(key.pubkey()), "slippageBps": "10"}
        order = httpx.get(f"{server.url}/swap/v2/order", params=query).json()
        tx = VersionedTransaction.from_bytes(b64decode(order["transaction"]))
        raw = bytes(VersionedTransaction(tx.message, [key]))
        run, _ = chain.simulate(raw)
        assert run.err is None and server.pool("Raydium") == kept
        server.price("Raydium", "140")
        cheaper = server.pool("Raydium")
        run, _ = chain.simulate(raw)
        assert run.err["InstructionError"][1] == {"Custom": 6001}, "below its threshold"
        with pytest.raises(ChainError, match="0x1771"):
            chain.send(raw)
        chain.send(raw, skip_preflight=True)
        assert chain.landing(tx.signatures[0]) is None
        landing = chain.landing(VersionedTransaction(tx.message, [key]).signatures[0])
        assert landing.err == {"InstructionError": [run.err["InstructionError"][0], {"Custom": 6001}]}
        assert server.pool("Raydium") == cheaper and chain.tokens(key.pubkey(), usdc) == 10_000 * 10**6


def test_the_best_pool_is_taken_and_dexes_restrict():
    pools = {"A": Outside(10**13, 10**12, 150, 1_000), "B": Outside(10**13, 10**12, 151, 1_000)}
    chain, usdc, key, served = world(pools)
    with served as server:
        query = {"inputMint": str(WSOL), "outputMint": str(usdc), "amount": "1000", "taker": str(key.pubkey())}

        def out(**terms):
            answer = httpx.get(f"{server.url}/swap/v2/build", params={**query, **terms})
            return answer.json()["outAmount"] if answer.status_code == 200 else answer.json()["error"]

        assert (out(), out(dexes="A"), out(dexes="A,B"), out(excludeDexes="B")) == ("151", "150", "151", "150")
        assert out(dexes="a") == "No routes found", "labels are case sensitive, and a wrong one is no error of its own"
        assert "exclusive" in out(dexes="A", excludeDexes="B")
        assert out(outputMint=str(WSOL)).startswith("Input and output")
        assert "amount" in out(amount="1.5") and "taker" in out(taker="x") and "slippageBps" in out(slippageBps="10001")


def test_two_hops_where_there_is_no_single_one():
    chain, usdc, key, served = world()
    with served as server:
        jito = chain.create_mint(9)
        server.dexes.add(Amm("Sanctum", jito, WSOL, ConstantProduct(1_000 * PER_SOL, 1_150 * PER_SOL, 100)))
        chain.mint_to(jito, key.pubkey(), 5 * PER_SOL)
        order, done = swap(server, chain, key, jito, usdc, PER_SOL)
        assert [step["swapInfo"]["label"] for step in order["routePlan"]] == ["Sanctum", "Raydium"]
        first, second = order["routePlan"]
        assert first["swapInfo"]["outAmount"] == second["swapInfo"]["inAmount"]
        assert done["status"] == "Success"
        assert chain.tokens(key.pubkey(), usdc) == 10_000 * 10**6 + int(order["outAmount"])
        assert chain.balance(key.pubkey()) > 9 * PER_SOL, "the coin in between never came to the wallet"


def test_what_an_order_says_when_it_cannot_be_paid():
    chain, usdc, key, served = world()
    with served as server:
        query = {"inputMint": str(usdc), "outputMint": str(WSOL), "amount": str(20_000 * 10**6), "taker": str(key.pubkey())}
        answer = httpx.get(f"{server.url}/swap/v2/order", params=query).json()
        assert (answer["transaction"], answer["errorCode"], answer["errorMessage"]) == ("", 1, "Insufficient funds")
        del query["taker"]
        answer = httpx.get(f"{server.url}/swap/v2/order", params=query).json()
        assert answer["transaction"] is None and "errorCode" not in answer
        assert httpx.get(f"{server.url}/swap/v2/order", params={**query, "excludeRouters": "metis"}).status_code == 400


def test_what_execute_says():
    chain, usdc, key, served = world()
    with served as server:
        url = f"{server.url}/swap/v2/execute"
        assert httpx.post(url, json={"signedTransaction": "x", "requestId": "nobody"}).json()["code"] == -1
        query = {"inputMint": str(WSOL), "outputMint": str(usdc), "amount": "1000000", "taker": str(key.pubkey())}
        order = httpx.get(f"{server.url}/swap/v2/order", params=query).json()
        for signed, code in (("???", -2), (order["transaction"], -1000)):
            done = httpx.post(url, json={"signedTransaction": signed, "requestId": order["requestId"]}).json()
            assert (done["status"], done["code"]) == ("Failed", code), "unsigned, it does not land"
        assert httpx.post(url, content=b"[").status_code == 400
        assert httpx.get(f"{server.url}/swap/v3/quote").status_code == 404


def test_keys_limits_and_faults():
    chain, usdc, key, served = world(keys=["right"], limit=2)
    with served as server:
        query = {"inputMint": str(WSOL), "outputMint": str(usdc), "amount": "1000000"}

        def ask(**headers):
            return httpx.get(f"{server.url}/swap/v2/quote", params=query, headers=headers)

        assert ask(**{"x-api-key": "wrong"}).status_code == 401
        assert ask(**{"x-api-key": "right"}).headers["x-ratelimit-remaining"] == "1"
        assert ask().headers["x-ratelimit-remaining"] == "0", "without a key it is taken too"
        over = ask()
        assert (over.status_code, over.headers["x-ratelimit-remaining"]) == (429, "-1") and int(over.headers["x-ratelimit-reset"]) > 0
        server.limit = None
        server.fault("quote", Fault.status(503))
        assert (ask().status_code, ask().status_code) == (503, 200)
        server.fault("*", Fault.cut())
        with pytest.raises(httpx.HTTPError):
            ask()
        assert ask().headers["x-api-gateway-request-id"]
        assert [call.status for call in server.asked("quote")][:4] == [401, 200, 200, 429]


def test_a_price_is_moved_and_liquidity_is_there_for_it():
    chain, usdc, key, served = world()
    with served as server:
        for price in ("300", "75", "150"):
            server.price("Raydium", price)
            assert abs(float(server.pool("Raydium").price()) * 1000 - float(price)) < 0.001
            _, done = swap(server, chain, key, WSOL, usdc, PER_SOL)
            assert done["status"] == "Success"
        with pytest.raises(InvalidMarket, match="0 pools"):
            server.price("Nobody", "1")


def test_the_slot_that_a_quote_is_of():
    chain, usdc, key, served = world()
    with served as server:
        server.behind["Raydium"] = 7
        query = {"inputMint": str(WSOL), "outputMint": str(usdc), "amount": "1000000"}
        assert httpx.get(f"{server.url}/swap/v2/quote", params=query).json()["contextSlot"] == chain.slot - 7


def test_a_taken_over_server_says_what_it_wants():
    chain, usdc, key, served = world()
    with served as server:
        server.tamper["quote"] = lambda answer: {**answer, "outAmount": "1"}
        query = {"inputMint": str(WSOL), "outputMint": str(usdc), "amount": "1000000"}
        assert httpx.get(f"{server.url}/swap/v2/quote", params=query).json()["outAmount"] == "1"


# -- the block engine --------------------------------------------------------------------------------------------------------------


def rpc(url, method, *params, path=None, **headers):
    body = {"jsonrpc": "2.0", "id": 5, "method": method, "params": list(params)}
    return httpx.post(f"{url}/api/v1/{path or method}", json=body, headers=headers)


def test_the_engine_speaks_json_rpc():
    chain = Chain()
    with jito_server(chain, per_second=4) as engine:
        accounts = rpc(engine.url, "getTipAccounts", path="bundles").json()
        assert len(accounts["result"]) == 8 and accounts["id"] == 5
        floor = httpx.get(f"{engine.url}/api/v1/bundles/tip_floor")
        assert '"landed_tips_25th_percentile":1.00025e-06' in floor.text
        assert rpc(engine.url, "getBundleStatuses", ["a"] * 6).json()["error"]["code"] == -32602
        assert rpc(engine.url, "sendBundle", ["AAAA"], path="bundles").json()["error"]["code"] == -32602, "base58 is assumed"
        assert rpc(engine.url, "sendBundle", [], path="nowhere").json()["error"]["code"] == -32601
        over = rpc(engine.url, "getTipAccounts", path="bundles")
        assert (over.status_code, over.json()["error"]["code"]) == (429, -32097)
        assert httpx.post(f"{engine.url}/api/v1/bundles", content=b"[").status_code == 400
