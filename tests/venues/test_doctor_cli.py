"""`sleeves doctor`, run as a user runs it, against local servers."""

from __future__ import annotations

import json
import logging

import pytest

pytest.importorskip("httpx")
pytest.importorskip("uvicorn")

from sleeves.cli import main
from sleeves.keys import EncryptedFile, Nonces, Secret
from sleeves.testing.kraken_server import kraken_server

PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def no_keys_of_this_machine(monkeypatch):
    for name in ("KRAKEN_API_KEY", "KRAKEN_PRIVATE_KEY", "SOLANA_RPC_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def exchange():
    with kraken_server(balances={"USD": "10000"}, prices={"ETH/USD": "2500.00"}, tier=None) as server:
        yield server


def doctor(*words):
    return main(["doctor", *map(str, words)])


def kraken(exchange, *words):
    return doctor("kraken", "--base-url", exchange.url, "--pair", "ETH/USD", *words)


def test_without_keys_it_looks_at_what_is_public_and_says_so(exchange, capsys):
    assert kraken(exchange) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("kraken\n  good     clock: ") and printed.endswith("nothing speaks against trading here\n")
    assert "warning  keys: none was given: only what is public was looked at" in printed
    assert not [call for call in exchange.calls if call.key]


def test_krakens_keys_are_taken_from_the_variables_that_bots_have_them_in(exchange, capsys, monkeypatch):
    monkeypatch.setenv("KRAKEN_API_KEY", exchange.key.api_key)
    monkeypatch.setenv("KRAKEN_PRIVATE_KEY", exchange.key.secret)
    assert kraken(exchange) == 0
    printed = capsys.readouterr().out
    assert "key main: Kraken knows it" in printed and "it may trade" in printed and "wallet ZUSD: 10000 USD" in printed
    assert kraken(exchange, "--no-order", "--tier", "pro") == 0
    printed = capsys.readouterr().out
    assert "it may trade" not in printed and "taken for tier pro" in printed


def test_a_key_from_variables_with_a_prefix(exchange, capsys, monkeypatch):
    weak = exchange.add_key("weak", permissions=["query-funds", "withdraw-funds"])
    monkeypatch.setenv("BOT_SPARE_1_KEY", weak.api_key)
    monkeypatch.setenv("BOT_SPARE_1_SECRET", weak.secret)
    assert kraken(exchange, "--key-env", "BOT_", "--key", "spare-1") == 1
    printed = capsys.readouterr().out
    assert "bad      key spare-1: drop withdraw-funds" in printed and printed.splitlines()[-1].startswith(
        "do not trade: 6 findings are bad"
    )


def test_a_key_from_an_encrypted_file_whose_passphrase_is_asked_for(exchange, capsys, tmp_path, monkeypatch):
    pytest.importorskip("cryptography")
    with EncryptedFile.create(tmp_path / "main.keys", lambda: PASSPHRASE) as file:
        file.put("main.key", Secret(exchange.key.api_key))
        file.put("main.secret", Secret(exchange.key.secret))
    asked = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or PASSPHRASE)
    assert kraken(exchange, "--keys", tmp_path / "main.keys") == 0
    assert len(asked) == 1 and "main.keys" in asked[0]
    assert "key main: Kraken knows it" in capsys.readouterr().out
    monkeypatch.setattr("getpass.getpass", lambda prompt: "wrong horse battery")
    assert kraken(exchange, "--keys", tmp_path / "main.keys") == 2
    assert "cannot be opened" in capsys.readouterr().err


def test_it_goes_on_with_the_nonces_of_a_desk_and_not_beside_it(exchange, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("KRAKEN_API_KEY", exchange.key.api_key)
    monkeypatch.setenv("KRAKEN_PRIVATE_KEY", exchange.key.secret)
    ahead = 9_000_000_000_000_000_000
    exchange.key.highest = ahead
    assert kraken(exchange, "--no-order") == 1
    assert "EAPI:Invalid nonce" in capsys.readouterr().out
    from sleeves.venues.doctor import key_pair

    keys = key_pair(type("Source", (), {"get": lambda self, name: Secret(exchange.key.api_key)})(), "a", "b", "kraken")
    with Nonces.open(tmp_path / "main.nonces", lambda: 1) as nonces:
        nonces.raise_to(keys.fingerprint, ahead)
        assert kraken(exchange, "--no-order", "--nonces", tmp_path / "main.nonces") == 2, "a desk has them"
        assert "main.nonces" in capsys.readouterr().err
    assert kraken(exchange, "--no-order", "--nonces", tmp_path / "main.nonces") == 0


def test_rows_of_json_and_nothing_else_on_standard_output(exchange, capsys):
    exchange.fault("SystemStatus", "EService:Busy", times=1)  # asked again, which libraries like to tell
    assert kraken(exchange, "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["kind"] for row in rows} == {"finding", "isolation", "verdict"}
    assert rows[-1] == {"venue": "kraken", "kind": "verdict", "fit": True, "bad": 0}


def test_a_network_that_fails_is_a_finding(exchange, capsys):
    exchange.stop()
    assert kraken(exchange, "--timeout", "0.5") == 1
    assert "bad      reached: could not be asked" in capsys.readouterr().out
    assert doctor("ccxt:kraken", "--base-url", exchange.url, "--timeout", "0.5") == 1
    assert "bad      reached: could not be asked" in capsys.readouterr().out


def test_through_ccxt(exchange, capsys, monkeypatch):
    pytest.importorskip("ccxt")
    monkeypatch.setenv("KRAKEN_API_KEY", exchange.key.api_key)
    monkeypatch.setenv("KRAKEN_PRIVATE_KEY", exchange.key.secret)
    assert doctor("ccxt:kraken", "--base-url", exchange.url, "--pair", "ETH/USD") == 0
    assert "key main: it may read, trade" in capsys.readouterr().out


def test_a_wallet_on_solana(capsys, monkeypatch):
    pytest.importorskip("solders")
    from solders.keypair import Keypair

    from sleeves.testing.jito_server import jito_server
    from sleeves.testing.jupiter_server import jupiter_server
    from sleeves.testing.solana_server import Chain, solana_server

    chain, wallet = Chain(slot_ns=2_000_000), Keypair().pubkey()
    chain.airdrop(wallet, 10**8)
    with solana_server(chain) as node, jupiter_server(chain, keys=["key-of-jupiter"]) as router, jito_server(chain) as engine:
        words = ["jupiter", "--wallet", wallet, "--base-url", router.url]
        assert doctor(*words, "--rpc", node.url, "--jito", engine.url) == 0
        printed = capsys.readouterr().out
        assert "wallet: 0.1 SOL" in printed and "8 tip accounts" in printed and "jupiter: no key" in printed
        monkeypatch.setenv("SOLANA_RPC_URL", node.url)
        monkeypatch.setenv("JUP_MAIN_KEY", "key-of-jupiter")
        assert doctor(*words, "--key-env", "JUP_", "--dex", "Nowhere") == 1
        printed = capsys.readouterr().out
        assert "jupiter: the key is taken" in printed and "DEX Nowhere: Jupiter knows none of this name" in printed


def test_velocity_on_a_chain_of_ones_own(capsys, monkeypatch, caplog):
    pytest.importorskip("solders")
    from sleeves.testing.drift_server import drift_server

    caplog.set_level(logging.DEBUG)
    with drift_server(slot_ns=20_000_000) as drift:
        key = drift.wallet(quote=10**9)
        drift.open(key)
        words = ["velocity", "--url", drift.url, "--pair", "SOL-PERP"]
        genesis = ["--genesis", drift.node.get_genesis_hash()]
        assert doctor(*words, *genesis, "--wallet", key.pubkey()) == 0
        assert "sub-account 0: 'Main Account': no coins" in capsys.readouterr().out
        monkeypatch.setenv("BOT_MAIN_KEY", str(key))
        assert doctor(*words, *genesis, "--key-env", "BOT_", "--json") == 0, "the authority is the key's own"
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert rows[-1] == {"venue": "velocity", "kind": "verdict", "fit": True, "bad": 0}
        assert {row["grade"] for row in rows if row.get("subject") == "verify"} == {"warning"}
        assert doctor(*words, "--wallet", key.pubkey()) == 1, "it is not mainnet"
        assert "bad      chain: begins with" in capsys.readouterr().out
        assert doctor("drift", "--url", drift.url, *genesis) == 1
        said = capsys.readouterr()
        assert "drained on 2026-04-01" in said.out
        monkeypatch.setenv("BOT_MAIN_KEY", f"{key}x")
        assert doctor(*words, *genesis, "--key-env", "BOT_") == 2
        said = capsys.readouterr()
        assert str(key) not in said.out + said.err + caplog.text and said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "the doctor looks at kraken, jupiter, velocity, velocity-devnet, drift or ccxt:EXCHANGE, not at 'nope'"),
        (["ccxt"], "ccxt:EXCHANGE"),
        (["kraken:x"], "ccxt:EXCHANGE"),
        (["ccxt:nope"], "ccxt knows no exchange 'nope'"),
        (["kraken", "--rpc", "http://x"], "--rpc is not for kraken"),
        (["kraken", "--sandbox"], "--sandbox is not for kraken"),
        (["ccxt:kraken", "--no-order"], "--no-order is not for ccxt"),
        (["jupiter", "--pair", "SOL/USDC"], "--pair is not for jupiter"),
        (["jupiter", "--wallet", "x"], "a node is needed"),
        (["jupiter", "--rpc", "http://x.invalid", "--wallet", "0x12"], "no address"),
        (["velocity", "--wallet", "x"], "a node is needed"),
        (["velocity", "--url", "http://x.invalid", "--wallet", "0x12"], "no address"),
        (["drift", "--rpc", "http://x.invalid", "--dex", "Raydium"], "--dex is not for drift"),
        (["velocity:x", "--rpc", "http://x.invalid"], "ccxt:EXCHANGE"),
        (["velocity-devnet", "--rpc", "http://x.invalid", "--base-url", "http://x"], "--base-url is not for velocity-devnet"),
        (["jupiter", "--rpc", "http://x.invalid", "--genesis", "x"], "--genesis is not for jupiter"),
        (["kraken", "--key", "main"], "--key names a key in a source"),
        (["kraken", "--nonces", "x"], "there is none"),
        (["kraken", "--key-env", "NOT_SET_"], "NOT_SET_MAIN_KEY is not set"),
        (["kraken", "--keys", "no.keys"], "there is no file"),
        (["kraken", "--timeout", "0"], "--timeout 0.0 must be"),
        (["kraken", "--timeout", "nan"], "--timeout nan must be"),
        (["kraken", "--base-url", "ftp://x"], "an http or https URL"),
    ],
)
def test_wrong_use_exits_with_two_and_says_what_is_wrong(capsys, words, said):
    assert doctor(*words) == 2
    assert said in capsys.readouterr().err


def test_half_a_key_of_kraken_is_wrong_use(capsys, monkeypatch):
    monkeypatch.setenv("KRAKEN_API_KEY", "half-a-key")
    assert doctor("kraken") == 2
    error = capsys.readouterr().err
    assert "KRAKEN_PRIVATE_KEY is not set" in error and "half-a-key" not in error


def test_words_that_there_are_none_of_are_wrong_use():
    for words in ([], ["kraken", "--nonsense"], ["kraken", "--tier", "gold"], ["kraken", "--keys", "a", "--key-env", "b"]):
        with pytest.raises(SystemExit) as stopped:
            doctor(*words)
        assert stopped.value.code == 2


def test_no_secret_is_shown(exchange, capsys, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("KRAKEN_API_KEY", exchange.key.api_key)
    monkeypatch.setenv("KRAKEN_PRIVATE_KEY", exchange.key.secret)
    exchange.fault("BalanceEx", f"EWhat:Ever {exchange.key.secret}", times=9)
    kraken(exchange)
    kraken(exchange, "--json")
    said = capsys.readouterr()
    page = said.out + said.err + caplog.text
    assert "EWhat:Ever ****" in page and exchange.key.secret not in page and exchange.key.api_key not in page
