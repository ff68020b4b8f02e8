"""The client on the local exchange that this package ships: every endpoint, real signatures, limits and nonces, both transports."""

from __future__ import annotations

import time
from decimal import Decimal
from functools import partial

import anyio
import pytest
from kraken_stand import an_order, driver

from sleeves.errors import VenueUnknown
from sleeves.keys import Health, InvalidKey, KeyRing, KeySet, NoKey, Nonces, Rights, Secret
from sleeves.testing.kraken_server import Fault, kraken_server
from sleeves.testing.kraken_server.keys import TRADING
from sleeves.venues.kraken.client import Client, Tier
from sleeves.venues.kraken.faults import Kind, KrakenRejected, KrakenUnavailable, KrakenUnknown
from sleeves.venues.retry import Retry

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
ways = pytest.mark.parametrize("way", ["httpx", "krakenex"])
VAULT = "core:main:USD"
WIDE = Tier("wide", 100_000, 1_000, 60, 1, 60)
FAST = Retry(attempts=4, first=0.001, most=0.002, jitter=0)
D = Decimal
MONEY = {"USD": "10000", "ETH": "1", "ETH.F": "0.5"}


def a_key(key, name="main", rights=("read", "trade")):
    return KeySet(name, venue="kraken", api_key=Secret(key.api_key), secret=Secret(key.secret), rights=Rights.of(*rights))


def a_ring(*keys):
    return KeyRing(keys, clock=time.time_ns, nonces=Nonces(time.time_ns))


def run(story, exchange, backend="asyncio", *, ring=None, **terms):
    async def main():
        given = {"tier": WIDE, "retry": FAST, "timeout": 2.0, "connect_timeout": 1.0} | terms
        async with Client(ring or a_ring(a_key(exchange.key)), base_url=exchange.url, **given) as client:
            return await story(client)

    return anyio.run(main, backend=backend)


def buy(qty="0.1", price="2400.00", **more):
    return {"pair": "ETHUSD", "type": "buy", "ordertype": "limit", "volume": qty, "price": price, "oflags": "fciq"} | more


@pytest.fixture
def exchange():
    with kraken_server(pairs=("ETH/USD", "BTC/USD"), balances=MONEY, prices={"ETH/USD": "2500.00"}, tier=None) as one:
        yield one


@both
@ways
def test_all_that_is_public(exchange, backend, way):
    async def story(client):
        names = await client.names()
        return await client.time(), await client.status(), names, await client.ticker("ETHUSD"), await client.depth("ETHUSD")

    now, status, names, ticker, depth = run(story, exchange, backend, transport=way)
    assert abs(now - exchange.now) < 5 * 10**9 and status == "online"
    pair = names.pair("ETH/USD")
    assert (pair.id, pair.altname, pair.instrument.quote.code, names.pair("XBTUSD").symbol) == ("XETHZUSD", "ETHUSD", "USD", "BTC/USD")
    assert ticker["XETHZUSD"].bid <= D("2500") <= ticker["XETHZUSD"].ask
    assert depth.bids[0][0] <= depth.asks[0][0]


@both
@ways
def test_an_order_from_its_sending_to_the_ledger(exchange, backend, way):
    async def story(client):
        added = await client.add_order(VAULT, buy(price="2600.00", cl_ord_id="6d1b345e-2821-40e2-ad83-4ecb18a06876"))
        (txid,) = added.txids
        order = (await client.query_orders(VAULT, txid))[txid]
        trades = await client.trades_history(VAULT)
        ledger = await client.ledgers(VAULT)
        same = await client.query_trades(VAULT, *order.trades), await client.query_ledgers(VAULT, *[line.id for line in ledger])
        return order, trades, ledger, same, await client.balance_ex(VAULT), (await client.closed_orders(VAULT))[txid]

    order, trades, ledger, same, balances, closed = run(story, exchange, backend, transport=way)
    assert (order.status, order.filled, order.cl_ord_id) == ("closed", D("0.1"), "6d1b345e-2821-40e2-ad83-4ecb18a06876")
    assert closed == order
    assert [trade.id for trade in trades] == list(order.trades) == [trade.id for trade in same[0]]
    assert same[1] == ledger
    of_trades = [line for line in ledger if line.refid in order.trades]
    assert sum(line.amount for line in of_trades if line.asset == "XETH") == D("0.1")
    usd = sum(line.amount - line.fee for line in ledger if line.asset == "ZUSD")
    assert balances["ZUSD"].balance == usd, "the balance is the sum of its lines"


@both
@ways
def test_a_resting_order_holds_and_is_canceled_by_our_id(exchange, backend, way):
    cl_ord_id = "6d1b345e-2821-40e2-ad83-4ecb18a06876"

    async def story(client):
        await client.add_order(VAULT, buy(cl_ord_id=cl_ord_id))
        opened, held = await client.open_orders(VAULT), (await client.balance_ex(VAULT))["ZUSD"]
        count = await client.cancel_order(VAULT, cl_ord_id=cl_ord_id)
        with pytest.raises(KrakenRejected) as again:
            await client.cancel_order(VAULT, cl_ord_id=cl_ord_id)
        return list(opened.values()), held, count, again.value.kinds, await client.open_orders(VAULT)

    (opened,), held, count, kinds, left = run(story, exchange, backend, transport=way)
    assert (opened.cl_ord_id, opened.status, opened.price, opened.side) == (cl_ord_id, "open", D("2400"), "buy")
    assert held.hold >= D("240") and held.available == held.balance - held.hold
    assert (count, kinds, left) == (1, {Kind.STATE}, {})


def test_the_rest_of_what_is_private(exchange):
    async def story(client):
        volume = await client.trade_volume(VAULT, "ETHUSD")
        token, info = await client.ws_token(VAULT), await client.api_key_info(VAULT)
        armed = await client.cancel_all_after(VAULT, 60), await client.cancel_all_after(VAULT, 0)
        await client.add_order(VAULT, buy())
        checked = await client.add_order(VAULT, buy(validate="true"))
        return volume, token, info, armed, checked, await client.cancel_all(VAULT), await client.probe("main")

    volume, token, info, armed, checked, count, health = run(story, exchange)
    assert (volume.rates["XETHZUSD"].taker, volume.rates["XETHZUSD"].maker) == (D("0.4"), D("0.25"))
    assert len(token.token.reveal()) > 10 and exchange.key.api_key not in str(info)
    assert (armed, checked.txids, count, health) == ((True, False), (), 1, Health.HEALTHY)


@pytest.mark.parametrize(("backend", "way"), [("asyncio", "httpx"), ("trio", "krakenex")])
def test_300_calls_at_once_without_one_nonce_error(exchange, backend, way):
    exchange.jitter = (0.0, 0.003)

    async def story(client):
        async with anyio.create_task_group() as tasks:
            for _ in range(150):
                tasks.start_soon(partial(client.balance_ex, VAULT))
                tasks.start_soon(partial(client.open_orders, VAULT))

    run(story, exchange, backend, transport=way, timeout=20)
    assert len(exchange.calls) == 300
    assert [call for call in exchange.calls if call.error] == []


@ways
def test_what_the_exchange_counts_is_what_we_count(way):
    """The exchange's own counter never refuses a question of a client that keeps its tier, however fast it would ask."""
    with kraken_server(pairs=("ETH/USD",), balances=MONEY, tier="pro") as exchange:

        async def story(client):
            with anyio.move_on_after(2.5):
                while True:
                    await client.balance_ex(VAULT)
                    await client.query_ledgers(VAULT, exchange_line)

        exchange_line = next(iter(exchange.ledger()))
        run(story, exchange, tier="pro", transport=way)
        assert len(exchange.calls) >= 14
        assert [call for call in exchange.calls if call.error] == []


FAULTS = [
    ("EService:Unavailable", KrakenUnknown),
    (Fault.status(520), KrakenUnknown),
    (Fault.html(), KrakenUnknown),
    (Fault.hang(2.5), VenueUnknown),
    (Fault.lost(2.5), VenueUnknown),
    (Fault.cut(), VenueUnknown),
    (Fault.drop(), VenueUnknown),
    (Fault.after(Fault.status(502)), KrakenUnknown),
    ("EAPI:Invalid nonce", KrakenUnavailable),
    ("EOrder:Insufficient funds", KrakenRejected),
]


@pytest.mark.parametrize(("backend", "way"), [("asyncio", "krakenex"), ("trio", "httpx")])
@pytest.mark.parametrize(("fault", "fate"), FAULTS, ids=str)
def test_an_order_is_sent_once_and_a_question_until_it_is_answered(exchange, backend, way, fault, fate):
    async def story(client):
        exchange.fault("AddOrder", fault)
        with pytest.raises(fate):
            await client.add_order(VAULT, buy(), exit=True)
        if fate is not KrakenRejected:
            exchange.fault("BalanceEx", fault)
        return await client.balance_ex(VAULT)

    timeout = 1.0 if isinstance(fault, Fault) and fault.delay else 10.0
    assert run(story, exchange, backend, transport=way, timeout=timeout)["ZUSD"].balance == D("10000")
    assert len([call for call in exchange.calls if call.method == "AddOrder"]) <= 1, "it was sent again"
    assert len(exchange.orders()) <= 1


def test_two_vaults_on_two_keys_and_one_dies_mid_run(exchange):
    other = exchange.add_key("other")
    ring = a_ring(a_key(exchange.key), a_key(other, "other"))

    async def story(client):
        await client.balance_ex("core:main:USD")
        await client.balance_ex("core:main:EUR")
        assert ring.vault_of("main") == "core:main:USD" and ring.vault_of("other") == "core:main:EUR"
        exchange.revoke(exchange.key)
        with pytest.raises(NoKey, match="main is dead"):
            await client.balance_ex("core:main:USD")
        return await client.balance_ex("core:main:EUR")

    assert run(story, exchange, ring=ring)["ZUSD"].balance == D("10000")
    assert [ring.health(name) for name in ring.names] == [Health.DEAD, Health.HEALTHY]


def test_a_key_that_may_only_read_is_denied_trading_and_goes_on_reading(exchange):
    reader = exchange.add_key("reader", permissions={"query-funds", "query-open-trades", "query-closed-trades", "query-ledger"})
    ring = a_ring(a_key(reader))

    async def story(client):
        with pytest.raises(KrakenUnavailable) as refused:
            await client.add_order(VAULT, buy())
        return refused.value.kinds, await client.balance_ex(VAULT)

    kinds, balances = run(story, exchange, ring=ring)
    assert kinds == {Kind.PERMISSION} and balances["ZUSD"].balance == D("10000")
    assert (ring.health("main", "trade"), ring.health("main", "read")) == (Health.DENIED, Health.HEALTHY)


# -- what a venue is opened with -----------------------------------------------------------------------------------------


def opened(backend, exchange, *args, **terms):
    """A driver that was opened, and closed again; what was asked on the way by key."""

    async def main():
        async with driver(exchange, *args, **terms) as venue:
            return await venue.balances()

    return anyio.run(main, backend=backend)


@both
@pytest.mark.parametrize("word", ["query-funds", "query-open-trades", "query-closed-trades", "query-ledger", "modify-trades"])
def test_a_venue_is_not_opened_with_a_key_that_lacks_a_permission_and_says_which(exchange, backend, word):
    poor = exchange.add_key("poor", permissions=TRADING - {word})
    with pytest.raises(InvalidKey, match=f"key main to (read|trade) without the permission {word}"):
        opened(backend, exchange, a_key(poor))
    assert not [call for call in exchange.calls if call.method == "GetWebSocketsToken"], "it is said before anything runs"


@both
def test_a_venue_is_opened_where_nobody_tells_what_a_key_may_do(exchange, backend, caplog):
    exchange.fault("GetApiKeyInfo", "EGeneral:Unknown method", times=9)
    assert opened(backend, exchange, a_key(exchange.key))["USD"].decimal == D("10000")
    assert "kraken does not tell what key main may do" in caplog.text


@both
def test_two_venues_with_one_key_need_one_ring(exchange, backend):
    """Each with nonces of its own would have the other's refused: the second one is, until the first is closed."""

    async def main():
        async with driver(exchange):
            with pytest.raises(InvalidKey, match=r"key main of kraken is used already in this process.* hand it to both"):
                await driver(exchange).aopen()
        ring = a_ring(a_key(exchange.key))
        async with driver(exchange, ring) as one, driver(exchange, ring) as two:
            assert await one.balances() == await two.balances()

    anyio.run(main, backend=backend)
    assert not [call for call in exchange.calls if call.error]


def of_account(key, name, account, vault):
    return KeySet(
        name,
        venue="kraken",
        api_key=Secret(key.api_key),
        secret=Secret(key.secret),
        rights=Rights.of("read", "trade"),
        account=account,
        vault=vault,
    )


@both
def test_a_venue_is_one_account_and_is_told_which_where_its_keys_are_of_two(backend):
    """Orders of the other one's vault would go out with its key, and nothing be heard of them."""
    with kraken_server(pairs=("ETH/USD", "ETH/EUR"), balances={"USD": "10000"}, prices={"ETH/EUR": "2300.00"}, tier=None) as exchange:
        exchange.add_account("b", {"EUR": "500"})
        ring = a_ring(
            of_account(exchange.key, "one", "a", "core:USD"), of_account(exchange.add_key("two", account="b"), "two", "b", "core:EUR")
        )
        with pytest.raises(InvalidKey, match="are of 2 accounts, 'a', 'b': a venue is one of them, so name it"):
            driver(exchange, ring, markets=["ETH/EUR"])
        with pytest.raises(InvalidKey, match="no key of kraken is of account 'c': they are of 'a', 'b'"):
            driver(exchange, ring, account="c")
        with pytest.raises(InvalidKey, match="named as its keys name it"):
            driver(exchange, ring, account=5)

        async def main(account):
            async with driver(exchange, ring, markets=["ETH/EUR"], account=account) as venue:
                found = await venue.balances()
                order = an_order(venue, market="ETH/EUR", qty="0.01", limit="2000.00")
                if account == "a":
                    with pytest.raises(NoKey):
                        await venue.client.add_order("core:EUR", buy())
                else:
                    await venue.submit(order)
                return {code: amount.decimal for code, amount in found.items() if amount.units}

        assert anyio.run(main, "a", backend=backend) == {"USD": D("10000")}
        assert {call.key for call in exchange.calls if call.key} == {exchange.key.name}
        assert anyio.run(main, "b", backend=backend) == {"EUR": D("500")}
        assert [call.key for call in exchange.calls if call.method == "AddOrder"] == ["two"]


@both
def test_keys_of_one_account_need_no_name_and_those_that_come_later_are_of_it(exchange, backend):
    ring = a_ring(of_account(exchange.key, "one", "a", "core:USD"))

    async def main():
        async with driver(exchange, ring) as venue:
            exchange.add_account("b", {"USD": "500"})
            ring.add(of_account(exchange.add_key("two", account="b"), "two", "b", ""))
            ring.told("one", "invalid")
            with pytest.raises(NoKey, match="one is dead"):
                await venue.balances()

    anyio.run(main, backend=backend)
    assert "two" not in {call.key for call in exchange.calls}
