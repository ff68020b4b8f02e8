"""Two Core Vaults with a key each on one account: one key dies in the middle, and its vault still gets out."""

from __future__ import annotations

import logging

import anyio
import pytest
from kraken_stand import driver, key_set, ring, until

from helpers import Puppet
from sleeves import EUR, FLASH, QUIET, USD, Books, CoreVault, Desk, Place
from sleeves.keys import Health
from sleeves.live import carry, trade
from sleeves.orders import Fill, Side
from sleeves.pulse import Pulse
from sleeves.recovery import reconcile
from sleeves.testing.kraken_server import kraken_server

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
PAIRS = ("ETH/USD", "ETH/EUR")


class Two:
    """Dollars and euros of one account, a sleeve and a key each, traded by hand through `trade`."""

    def __init__(self, exchange, venue, keys):
        self.exchange, self.venue, self.keys, self.pulse = exchange, venue, keys, Pulse()
        books = Books()
        self.vaults = {asset.code: CoreVault(asset, total="10000", tradeable="8000", books=books) for asset in (USD, EUR)}
        self.desk = Desk(*self.vaults.values())
        self.sleeves, self.engines = {}, {}
        for symbol, policy in zip(PAIRS, (QUIET, FLASH), strict=True):
            code = symbol.partition("/")[2]
            self.sleeves[code] = self.vaults[code].sleeve(code.lower(), policy, allocate="5000")
            self.engines[code] = Puppet(venue.instrument(symbol), name=f"puppet-{code.lower()}")
            self.desk.assign(self.engines[code], to=self.sleeves[code])
        venue.real_money = False

    async def order(self, code, side, qty, price):
        """Have an engine wish for an order at market, and see it filled or refused."""
        engine = self.engines[code]
        engine.wishes = [Place(engine.market, side, engine.market.qty(qty), why="by hand")]
        before = len(self.desk.books.journal)
        self.exchange.price(f"ETH/{code}", price)
        await until(lambda: not engine.wishes and not self.desk.open_orders())
        return list(self.desk.books.journal)[before:]


def story(tell):
    async def main():
        exchange = kraken_server(
            pairs=PAIRS, balances={"USD": "10000", "EUR": "10000"}, prices={"ETH/USD": "2500.00", "ETH/EUR": "2300.00"}, tier=None
        )
        await anyio.to_thread.run_sync(exchange.start)
        try:
            given = {"USD": exchange.key, "EUR": exchange.add_key("euros")}
            keys = ring(
                key_set(given["USD"], "dollars", vault="core:main:USD"),
                key_set(given["EUR"], "euros", vault="core:main:EUR"),
                clock=exchange.clock,
            )
            async with driver(exchange, keys, markets=PAIRS) as venue:
                two = Two(exchange, venue, keys)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lambda: trade(two.desk, venue, pulse=two.pulse, reconnect=0.05, reconcile_every=None))
                    await until(lambda: two.pulse.events)
                    await tell(two, given)
                    tasks.cancel_scope.cancel()
                await reconcile(two.desk, venue)
                balances = await venue.balances()
                two.desk.check(balances, deep=True).require()
                theirs = exchange.balances()
                assert {code: amount.decimal for code, amount in balances.items() if amount.units} == {
                    code: units for code, units in theirs.items() if units
                }
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(exchange.stop)

    return main


def used(exchange, method):
    return [call.key for call in exchange.calls if call.method == method and not call.error]


@both
def test_each_vault_trades_with_its_own_key_and_gets_out_when_that_dies(backend, caplog):
    caplog.set_level(logging.DEBUG)
    secrets = []

    async def tell(two, given):
        exchange, keys = two.exchange, two.keys
        secrets.extend(text for key in given.values() for text in (key.api_key, key.secret))
        for code in ("USD", "EUR"):
            records = await two.order(code, Side.BUY, "0.5", "2501.00" if code == "USD" else "2301.00")
            assert any(isinstance(one, Fill) for one in records)
        assert used(exchange, "AddOrder") == [given["USD"].name, given["EUR"].name]

        exchange.revoke(given["EUR"])
        refused = await two.order("EUR", Side.BUY, "0.1", "2302.00")  # the venue says that this key is none
        assert not any(isinstance(one, Fill) for one in refused)
        assert keys.health("euros") is Health.DEAD
        again = await two.order("EUR", Side.BUY, "0.1", "2303.00")  # and is not asked again: repeats lock the account
        assert not any(isinstance(one, Fill) for one in again)
        assert sum(call.error == "EAPI:Invalid key" for call in exchange.calls) == 1

        assert any(isinstance(one, Fill) for one in await two.order("USD", Side.BUY, "0.1", "2502.00"))  # nobody else noticed
        commands = two.desk.kill(two.sleeves["EUR"], flatten=True, by="ann", why="its key is dead")
        await carry(two.desk, commands, two.venue)
        await until(lambda: two.sleeves["EUR"].is_flat())
        assert used(exchange, "AddOrder")[-1] == given["USD"].name
        assert keys.vault_of("dollars") == "core:main:USD"
        assert "takes key dollars of core:main:USD" in caplog.text
        assert not two.sleeves["USD"].is_flat()

    anyio.run(story(tell), backend=backend)
    for record in caplog.records:
        said = f"{record.getMessage()} {record.exc_text or ''} {vars(record)}"
        assert not [one for one in secrets if one in said], record


@both
def test_a_key_that_may_not_trade_any_more_still_reads_and_its_vault_gets_out(backend):
    async def tell(two, given):
        assert any(isinstance(one, Fill) for one in await two.order("EUR", Side.BUY, "0.5", "2301.00"))
        two.exchange.fault("AddOrder", "EGeneral:Permission denied")
        assert not any(isinstance(one, Fill) for one in await two.order("EUR", Side.BUY, "0.1", "2302.00"))
        assert two.keys.health("euros", "trade") is Health.DENIED
        assert two.keys.health("euros", "read") is Health.HEALTHY
        records = await two.order("EUR", Side.SELL, "0.5", "2303.00")
        assert any(isinstance(one, Fill) for one in records)
        assert used(two.exchange, "AddOrder") == [given["EUR"].name, given["USD"].name]

    anyio.run(story(tell), backend=backend)
