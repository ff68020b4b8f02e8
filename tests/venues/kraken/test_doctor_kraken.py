"""What the doctor finds at Kraken: over the local exchange, from a sound key to one that is stolen, locked out or too strong."""

from __future__ import annotations

import json
import logging
import time

import anyio
import pytest

pytest.importorskip("httpx")
pytest.importorskip("uvicorn")

from sleeves.keys import Health, KeyRing, KeySet, Nonces, Right, Rights, Secret
from sleeves.market import DAY, SECOND
from sleeves.testing.kraken_server import Fault, kraken_server
from sleeves.testing.kraken_server.keys import TRADING, Key
from sleeves.testing.kraken_server.private import PRIVATE
from sleeves.venues.checkup import Grade, ahead
from sleeves.venues.doctor import rows
from sleeves.venues.kraken import Kraken
from sleeves.venues.kraken.checkup import DROP, NEEDED, NEEDLESS, checkup
from sleeves.venues.kraken.client import PERMISSIONS, Client
from sleeves.venues.retry import Retry

pytestmark = pytest.mark.anyio

QUICK = Retry(attempts=2, first=0.01, most=0.02, jitter=0)
NOON = 1_790_000_000 * SECOND


BOTH = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def exchange():
    balances = {"USD": "10000", "ETH": "1", "ETH.F": "0.5"}
    with kraken_server(balances=balances, prices={"ETH/USD": "2500.00"}, tier=None) as server:
        yield server


def key_set(key, name="main", **terms):
    return KeySet(
        name, venue="kraken", api_key=Secret(key.api_key), secret=Secret(terms.pop("secret", key.secret)), rights=Rights.of("read"), **terms
    )


def ring_of(*keys, clock=time.time_ns):
    return KeyRing(keys, clock=clock, nonces=Nonces(time.time_ns))


async def look(exchange, *keys, pairs=("ETH/USD",), ring=None, clock=time.time_ns, timeout=2.0, **terms):
    """A checkup over the exchange, with its own key where none is given."""
    ring = ring_of(*(keys or (key_set(exchange.key),))) if ring is None else ring
    async with Client(ring, base_url=exchange.url, retry=QUICK, clock=clock, timeout=timeout, patience=0.2) as client:
        return await checkup(client, pairs, **terms)


def texts(found, grade, subject=None):
    return [one.text for one in found.findings if one.grade is grade and subject in (None, one.subject)]


def asked(exchange, *, private=True):
    return [call.method for call in exchange.calls if bool(call.key) is private]


# -- a sound account -------------------------------------------------------------------------------------------------------


@BOTH
async def test_a_sound_key_is_fit_and_everything_is_told(exchange):
    ring = ring_of(key_set(exchange.add_key("sound", addresses=["203.0.113.7"])))
    found = await look(exchange, ring=ring)
    assert found.fit and not texts(found, Grade.WARNING)
    assert str(found).endswith("nothing speaks against trading here")
    page = str(found)
    for part in (
        "clock: the venue's and this machine's are less than a second apart",
        "status: online",
        "pair ETH/USD: online; at least 0.002 ETH and 0.5 USD; prices in steps of 0.01 USD, quantities of 0.00000001 ETH",
        "key main: Kraken knows it, 'sound' at Kraken; it may close-trades, create-ws-token",
        "key main: it works from 203.0.113.7 alone",
        "wallet ZUSD: 10000 USD, counted, to be traded",
        "wallet ETH.F: 0.5 ETH, counted: it earns automatically (Kraken Rewards), and orders of ETH draw on it",
        "fees: ETH/USD: maker 0.25 %, taker 0.4 % (the list's first row); in and out at market costs 0.8 %",
        "limits: taken for tier starter",
        "virtual: yes",
        "sub-account: not known",
        "on-chain: no",
    ):
        assert part in page
    assert ring.health("main") is Health.HEALTHY
    assert ring.describe()[0]["rights"] == "read, trade", "the ring was told what Kraken says"


async def test_looking_changes_nothing(exchange):
    ring = ring_of(key_set(exchange.key))
    before = exchange.balances()
    found = await look(exchange, ring=ring)
    assert "it may trade: an order of ETH/USD was checked, and not placed (buy 0.00200000 ETHUSD @ limit 1250.00)" in texts(
        found, Grade.GOOD
    )
    assert exchange.balances() == before and not exchange.orders()
    assert ring.vault_of("main") == "", "the key is nobody's yet, as it was"
    acts = [call for call in exchange.calls if call.method not in ("GetApiKeyInfo", "BalanceEx", "TradeVolume", "OpenOrders") and call.key]
    assert [(call.method, call.args["validate"]) for call in acts] == [("AddOrder", "true")]


async def test_no_order_is_checked_where_that_is_not_wanted(exchange):
    found = await look(exchange, validate=False)
    assert found.fit and "AddOrder" not in asked(exchange)


async def test_without_keys_the_public_part_alone_is_looked_at_and_that_is_said(exchange):
    async with Client(base_url=exchange.url) as client:
        found = await checkup(client, ["ETH/USD"])
    assert texts(found, Grade.WARNING, "keys") == [
        "none was given: only what is public was looked at, and not whether an account may trade here"
    ]
    assert found.of("pair ETH/USD") and not asked(exchange)


@BOTH
async def test_a_driver_that_is_open_is_looked_at_with_its_own_markets(exchange):
    ring = ring_of(key_set(exchange.key))
    async with Kraken(
        ring,
        ["BTC/USD"],
        base_url=exchange.url,
        socket_url=exchange.socket_url,
        private_socket_url=exchange.private_socket_url,
        dead_man=None,
    ) as venue:
        found = await checkup(venue)
        assert found.fit and found.of("pair BTC/USD") and not found.of("pair ETH/USD")


async def test_open_orders_are_told_because_the_dead_man_switch_cancels_them(exchange):
    exchange.manual("ETH/USD", "buy", "0.1", "1000.00")
    found = await look(exchange)
    assert texts(found, Grade.NOTE, "orders") == ["1 is open: the driver's dead-man switch is the whole account's, and cancels all"]


async def test_each_key_is_looked_at_and_each_account_once(exchange):
    exchange.add_account("other", {"USD": "7"})
    keys = [
        key_set(exchange.key, "one"),
        key_set(exchange.add_key("b"), "two"),
        key_set(exchange.add_key("c", account="other"), "three", account="other"),
    ]
    found = await look(exchange, *keys)
    assert all(found.of(f"key {name}") for name in ("one", "two", "three"))
    assert asked(exchange).count("BalanceEx") == 2
    assert texts(found, Grade.GOOD, "wallet ZUSD of account other") == ["7 USD, counted, to be traded"]


# -- what a key may do -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", sorted(DROP))
async def test_a_key_that_could_move_money_out_is_bad(exchange, word):
    ring = ring_of(key_set(exchange.add_key("strong", permissions={*TRADING, word})))
    found = await look(exchange, ring=ring)
    assert texts(found, Grade.BAD) == [f"drop {word}: {DROP[word]}"]
    assert ring.health("main") is Health.SUSPECT, "and the ring gives it out for exits alone"
    assert found.of("wallet ZUSD"), "the rest is looked at all the same"


@pytest.mark.parametrize("word", sorted(NEEDLESS))
async def test_what_is_needless_is_a_warning(exchange, word):
    found = await look(exchange, key_set(exchange.add_key("k", permissions={*TRADING, word})))
    assert found.fit and f"drop {word}: {NEEDLESS[word]}" in texts(found, Grade.WARNING)


@pytest.mark.parametrize("word", sorted(NEEDED))
async def test_what_is_missing_is_bad_and_not_asked_for(exchange, word):
    ring = ring_of(key_set(exchange.add_key("weak", permissions=TRADING - {word})))
    found = await look(exchange, ring=ring)
    assert texts(found, Grade.BAD) == [f"lacks {word}: {NEEDED[word]}"]
    assert not [call for call in exchange.calls if call.error], "nothing was asked that the key may not"
    assert ring.health("main", Right.READ) is Health.HEALTHY


async def test_a_word_that_nobody_knows_is_refused(exchange):
    ring = ring_of(key_set(exchange.add_key("k", permissions={*TRADING, "rule-the-world"})))
    found = await look(exchange, ring=ring)
    assert texts(found, Grade.BAD) == ["drop rule-the-world: what that permits is not known here, so it is refused"]
    assert ring.health("main") is Health.SUSPECT


def test_every_word_of_kraken_has_its_place():
    assert set(PERMISSIONS) == {*NEEDED, *DROP, *NEEDLESS, "close-trades", "export-data"}
    assert {word for word, right in PERMISSIONS.items() if right in (Right.WITHDRAW, Right.TRANSFER)} == set(DROP)


@pytest.mark.parametrize(("window", "grades"), [(0, 0), ("0", 0), (1, 1), ("10000", 1), ("soon", 1)])
async def test_a_nonce_window_lets_a_request_through_twice(exchange, monkeypatch, window, grades):
    tamper(monkeypatch, nonceWindow=window)
    found = await look(exchange)
    assert len([text for text in texts(found, Grade.WARNING) if "nonce window" in text]) == grades


@pytest.mark.parametrize(
    ("left", "grade"),
    [(None, None), (14 * DAY + 2 * SECOND, Grade.NOTE), (14 * DAY, Grade.WARNING), (3 * SECOND, Grade.WARNING), (0, Grade.BAD)],
)
async def test_a_key_that_expires(exchange, monkeypatch, left, grade):
    tamper(monkeypatch, validUntil="0" if left is None else str((NOON + left) // SECOND))
    with kraken_server(clock=lambda: NOON) as server:
        found = await look(server, clock=lambda: NOON)
    said = [one for one in found.findings if "expire" in one.text]
    assert [one.grade for one in said] == ([] if grade is None else [grade])


@pytest.mark.parametrize(
    ("told", "grade"),
    [({"queryFrom": "1"}, Grade.WARNING), ({"queryTo": "1"}, Grade.BAD), ({"queryTo": "99999999999"}, Grade.WARNING), ({}, None)],
)
async def test_a_key_that_sees_a_part_of_history_alone(exchange, monkeypatch, told, grade):
    tamper(monkeypatch, **told)
    found = await look(exchange)
    assert [one.grade for one in found.findings if "sees no history" in one.text] == ([] if grade is None else [grade])


async def test_a_list_of_addresses_that_allows_all_is_as_good_as_none(exchange, monkeypatch):
    for addresses, word in ((["0.0.0.0/0"], "allows all"), ([], "bound to no IP"), (None, "does not tell"), (7, "does not tell")):
        tamper(monkeypatch, ipAllowlist=addresses)
        found = await look(exchange)
        assert any(word in text for text in texts(found, Grade.WARNING, "key main")), addresses


def tamper(monkeypatch, **more):
    """Have the exchange say something else of keys."""
    info = Key.info if not hasattr(tamper, "info") else tamper.info
    tamper.info = info
    monkeypatch.setattr(Key, "info", lambda key: {name: value for name, value in {**info(key), **more}.items() if value is not ...})


# -- keys that are not answered ------------------------------------------------------------------------------------------------


@BOTH
async def test_a_revoked_key_is_asked_once_and_no_more(exchange):
    exchange.revoke(exchange.key)
    ring = ring_of(key_set(exchange.key))
    found = await look(exchange, ring=ring)
    (said, _) = texts(found, Grade.BAD)
    assert "EAPI:Invalid key" in said and "repeats lock the account" in said
    assert asked(exchange) == ["GetApiKeyInfo"]
    assert ring.health("main") is Health.DEAD


async def test_a_wrong_secret_is_asked_once_and_no_more(exchange):
    found = await look(exchange, key_set(exchange.key, secret="d3Jvbmc="))
    assert "EAPI:Invalid signature" in texts(found, Grade.BAD, "key main")[0]
    assert asked(exchange) == ["GetApiKeyInfo"]


async def test_a_secret_that_is_no_base64_is_not_sent(exchange):
    found = await look(exchange, key_set(exchange.key, secret="not base64 at all!"))
    assert texts(found, Grade.BAD, "key main") and not asked(exchange)


async def test_an_account_that_is_locked_out_is_left_alone(exchange):
    exchange.lock_out()
    ring = ring_of(key_set(exchange.key), key_set(exchange.add_key("b"), "second"))
    found = await look(exchange, ring=ring)
    assert "EGeneral:Temporary lockout" in texts(found, Grade.BAD, "key main")[0]
    assert "ask nothing with any key of the account for 15 minutes" in texts(found, Grade.BAD, "key main")[0]
    assert asked(exchange) == ["GetApiKeyInfo"], "the other key of the account is locked too, and not asked"
    assert texts(found, Grade.BAD, "account") == ["balances and fees were not asked: no key may"]


async def test_a_key_that_another_program_uses(exchange):
    exchange.key.highest = (1 << 63) - 1
    found = await look(exchange)
    (said, *_) = texts(found, Grade.BAD, "key main")
    assert "EAPI:Invalid nonce" in said and "one key for one program" in said
    assert set(asked(exchange)) == {"GetApiKeyInfo"}, "and nothing else is asked with it"


async def test_an_exchange_that_does_not_tell_what_a_key_may_do(exchange):
    exchange.fault("GetApiKeyInfo", "EGeneral:Unknown method", times=9)
    found = await look(exchange)
    assert "EGeneral:Unknown method" in texts(found, Grade.BAD, "key main")[0]
    assert found.of("wallet ZUSD"), "what it may be asked is asked"


@pytest.mark.parametrize("permissions", [..., None, "all", [1], {"query-funds": True}])
async def test_permissions_that_are_no_list_of_words_are_not_known(exchange, monkeypatch, permissions):
    tamper(monkeypatch, permissions=permissions)
    ring = ring_of(key_set(exchange.key))
    found = await look(exchange, ring=ring)
    assert texts(found, Grade.BAD) == ["Kraken knows it, 'default' at Kraken, and does not say what it may do"]
    assert ring.health("main") is Health.SUSPECT and found.of("wallet ZUSD")


# -- the exchange ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "told", "after", "skew"),
    [
        (10_500, 10_000, 10_600, 0),
        (10_999, 10_000, 10_999, 0),
        (11_000, 10_000, 11_000, 0),
        (11_001, 10_000, 11_002, -1),
        (9_000, 10_000, 9_999, 1),
        (9_000, 10_000, 10_000, 0),
        (20_000, 10_000, 20_100, -9_000),
    ],
)
def test_clocks_differ_by_what_is_certain(before, told, after, skew):
    assert ahead(before, told, after, 1_000) == skew


@pytest.mark.parametrize(
    ("skew", "grade"),
    [
        (0, Grade.GOOD),
        (SECOND - 1, Grade.GOOD),
        (SECOND, Grade.WARNING),
        (5 * SECOND - 1, Grade.WARNING),
        (5 * SECOND, Grade.BAD),
        (-SECOND, Grade.GOOD),  # Kraken tells whole seconds: that much it may only have cut off
        (-2 * SECOND, Grade.WARNING),
        (-5 * SECOND, Grade.WARNING),
        (-6 * SECOND, Grade.BAD),
        (3_600 * SECOND, Grade.BAD),
    ],
)
async def test_a_clock_that_differs(skew, grade):
    with kraken_server(clock=lambda: NOON + skew) as server:
        found = await look(server, clock=lambda: NOON)
    (said,) = found.of("clock")
    assert said.grade is grade and found.fit is (grade is not Grade.BAD)
    if grade is not Grade.GOOD:
        assert ("ahead of" if skew > 0 else "behind") in said.text and "NTP" in said.text


@pytest.mark.parametrize(
    ("status", "grade"),
    [
        ("online", Grade.GOOD),
        ("post_only", Grade.WARNING),
        ("cancel_only", Grade.BAD),
        ("maintenance", Grade.BAD),
        ("asleep", Grade.WARNING),
    ],
)
async def test_the_status_of_the_exchange(exchange, status, grade):
    exchange.system = status
    found = await look(exchange)
    (said,) = found.of("status")
    assert said.grade is grade and status in said.text
    assert "AddOrder" not in asked(exchange) or status == "online"


async def test_pairs_by_their_status_and_their_names(exchange):
    exchange.pair_status("BTC/USD", "cancel_only")
    found = await look(exchange, pairs=["XBTUSD", "ETHUSD", "NO/USD"])
    assert texts(found, Grade.BAD, "pair XBTUSD")[0].startswith("cancel_only: it takes no orders; at least")
    assert texts(found, Grade.NOTE, "pair ETHUSD") == ["is called ETH/USD by the driver"]
    assert texts(found, Grade.BAD, "pair NO/USD") == ["Kraken lists no pair 'NO/USD'"]
    assert [one.text for one in found.of("fees")][1].startswith("BTC/USD: maker 0.25 %")


async def test_no_pair_was_asked_for(exchange):
    found = await look(exchange, pairs=())
    assert texts(found, Grade.NOTE, "pairs") == ["none was named, so none was looked at"]
    assert "AddOrder" not in asked(exchange)


async def test_wallets_of_all_kinds(exchange, monkeypatch):
    rows = {
        "ZUSD": {"balance": "10.5000", "hold_trade": "2.5000"},
        "ZEUR": {"balance": "0.0000", "hold_trade": "0.0000"},
        "ETH.F": {"balance": "1.0000000000"},
        "ETH2.S": {"balance": "3"},
        "ETH.S": {"balance": "2.0"},
        "ETH.B": {"balance": "4"},
        "ETH.ZZ": {"balance": "5"},
        "NEW": {"balance": "6"},
        "XETH": {"balance": "0.00000000001"},
        "XXBT": {"balance": "1", "credit": "2", "credit_used": "1"},
    }
    monkeypatch.setitem(PRIVATE, "BalanceEx", lambda *_: rows)
    found = await look(exchange)
    said = {one.subject.removeprefix("wallet "): (one.grade, one.text) for one in found.findings if one.subject.startswith("wallet ")}
    assert said["ZUSD"] == (Grade.GOOD, "10.5 USD, 2.5 of it held for orders, counted, to be traded")
    assert said["ETH.F"][0] is said["ETH.S"][0] is said["ETH.B"][0] is Grade.NOTE
    assert said["ETH.S"][1] == "2 ETH, not counted and not to be traded: staked"
    assert said["ETH.ZZ"] == (Grade.WARNING, "5 ETH, not counted: the suffix 'ZZ' is not known here")
    assert said["NEW"][0] is said["XETH"][0] is said["ETH2.S"][0] is Grade.BAD, "an asset that is not listed, and a figure too fine"
    assert said["XXBT"][1] == "1 BTC, and credit of 2 that is not counted, counted, to be traded"
    assert "ZEUR" not in said


async def test_an_account_with_nothing_in_it(exchange):
    exchange.add_account("empty", {})
    found = await look(exchange, key_set(exchange.add_key("e", account="empty")))
    assert texts(found, Grade.NOTE, "balances") == ["there is nothing in the account"]
    assert texts(found, Grade.NOTE, "key main") == ["it may trade; the account has not enough USD for the smallest order of ETH/USD"]


async def test_an_order_that_a_server_placed_although_it_should_not(exchange, monkeypatch):
    add = PRIVATE["AddOrder"]
    monkeypatch.setitem(PRIVATE, "AddOrder", lambda on, key, args: add(on, key, {**args, "validate": "false"}))
    found = await look(exchange)
    ((txid, order),) = exchange.orders().items()
    assert order["status"] == "canceled"
    assert texts(found, Grade.BAD, "key main") == [
        f"an order that was only to be checked was placed: {txid}, buy 0.00200000 ETHUSD @ limit 1250.00"
    ]
    assert texts(found, Grade.NOTE, "key main") == [f"{txid} was canceled again"]


@pytest.mark.parametrize(
    ("error", "grade"),
    [
        ("EOrder:Rate limit exceeded", Grade.WARNING),
        ("EGeneral:Permission denied", Grade.BAD),
        ("EBM:limit exceeded:CAL", Grade.WARNING),
        ("EService:Unavailable", Grade.WARNING),
        ("EWhat:Ever", Grade.WARNING),
    ],
)
async def test_an_order_that_cannot_be_checked(exchange, error, grade):
    exchange.fault("AddOrder", error, times=9)
    ring = ring_of(key_set(exchange.key))
    found = await look(exchange, ring=ring)
    assert len([text for text in texts(found, grade, "key main") if error in text]) == 1
    assert asked(exchange).count("AddOrder") == 1, "nothing that looks like an order is sent twice"
    assert ring.health("main", Right.READ) is Health.HEALTHY


# -- what is not answered --------------------------------------------------------------------------------------------------------


ASKED = ("Time", "SystemStatus", "Assets", "AssetPairs", "Ticker", "GetApiKeyInfo", "BalanceEx", "TradeVolume", "OpenOrders", "AddOrder")
FAULTS = {
    "outage": lambda: Fault.error("EService:Busy"),
    "strange": lambda: Fault.error("EWhat:Ever"),
    "html": Fault.html,
    "garbage": Fault.garbage,
    "cut": Fault.drop,
    "limit": lambda: Fault.error("EAPI:Rate limit exceeded"),
    "denied": lambda: Fault.error("EGeneral:Permission denied"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_cannot_be_asked_is_a_finding_and_never_an_exception(exchange, fault):
    for method in ASKED:
        exchange.fault(method, FAULTS[fault](), times=50)
        found = await look(exchange, timeout=0.5)
        assert texts(found, Grade.BAD) or texts(found, Grade.WARNING), method
        assert [text for text in texts(found, Grade.BAD) + texts(found, Grade.WARNING) if "asked" in text or "checked" in text], method
        if method not in ("Ticker", "AddOrder", "TradeVolume"):
            assert not found.fit, method
        exchange.faults.clear()


async def test_nothing_there(exchange):
    exchange.stop()
    found = await look(exchange, timeout=0.5)
    assert not found.fit and len(found.findings) == 1
    assert "nothing was sent" in found.of("reached")[0].text and "nothing else was asked" in found.of("reached")[0].text


@BOTH
async def test_silence_ends(exchange):
    exchange.fault("Time", Fault.hang(), times=9)
    with anyio.fail_after(5):
        found = await look(exchange, timeout=0.2)
    assert not found.fit


# -- secrets ---------------------------------------------------------------------------------------------------------------------


async def test_no_secret_is_shown(exchange, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    tamper(monkeypatch, apiKeyName=f"it is {exchange.key.api_key} and {exchange.key.secret}", iban="AA88 SECRET")
    exchange.fault("BalanceEx", f"EWhat:Ever {exchange.key.secret}", times=9)
    ring = ring_of(key_set(exchange.key))
    found = await look(exchange, ring=ring)
    page = "\n".join([str(found), repr(found), json.dumps(rows(found)), caplog.text, repr(ring.describe())])
    assert "it is **** and ****" in page and "EWhat:Ever ****" in page
    for value in (exchange.key.api_key, exchange.key.secret, "AA88"):
        assert value not in page


# -- as rows ---------------------------------------------------------------------------------------------------------------------


async def test_rows_are_plain_and_end_with_the_verdict(exchange):
    found = await look(exchange)
    said = json.loads(json.dumps(rows(found)))
    assert len(said) == len(found.findings) + len(found.isolation) + 1
    assert said[0] == {"venue": "kraken", "kind": "finding", "grade": "good", "subject": "clock", "text": found.findings[0].text}
    assert said[-1] == {"venue": "kraken", "kind": "verdict", "fit": True, "bad": 0}
    assert [row["offered"] for row in said if row["kind"] == "isolation"] == [True, None, False]
