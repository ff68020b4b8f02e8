"""The funding engine from the first deposit to the last withdrawal, over sockets: short at Velocity, its coins at Jupiter, on one chain.

The books need two keys here. What the authority of the Velocity account has in its own wallet is outside of them, so that coins come in
by a deposit and leave by a withdrawal, and the SOL that its transactions cost is no coin of theirs. The second key's wallet is
inside: it is the account that Jupiter trades for. Both are one wallet to the books, and the sleeve a slice of it. The cap of the pair is
what lies in the second wallet, so that all else that the sleeve has free does stand behind its contracts.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from functools import partial

import anyio
from attrs import define
from drift_stand import FAST, PER_SOL, PER_USD, check_books
from drift_stand import Stand as Exchange
from solders.pubkey import Pubkey

from sleeves import QUIET, Books, CoreVault, Desk, Place, Side, Treasury
from sleeves.amm import Outside
from sleeves.engines import Funding, Pair
from sleeves.facts import FundingPaid, Settled, Transferred
from sleeves.journals import SQLite
from sleeves.keys import Secret
from sleeves.live import carry, trade
from sleeves.market import SECOND
from sleeves.money import SOL
from sleeves.orders import Fill
from sleeves.records import Alert, Placed, Refusal
from sleeves.recovery import reconcile, recover
from sleeves.testing.drift_server import Perp, drift_server
from sleeves.testing.jupiter_server import WSOL, Amm, jupiter_server
from sleeves.venues.drift import VELOCITY, figures_of
from sleeves.venues.jupiter import TOKENS, Jupiter, JupiterApi, Market, Rpc, Signer, Token

IN_JUPITER, PAID_IN = "2000", "1500"
HOURLY = 30_000_000
"""Quote coins per coin in 1e-9: 0.03 USD an hour, which is 0.02% at 150."""


@define
class World:
    """One chain with an exchange and pools on it, two keys, and drivers for both."""

    exchange: Exchange
    router: object
    spender: object
    market: Market

    @property
    def server(self):
        return self.exchange.server

    @property
    def coin(self):
        return self.exchange.coin

    def jupiter(self):
        return Jupiter(
            Signer(Secret(str(self.spender))),
            [self.market],
            rpc=Rpc(self.server.url, retry=FAST),
            api=JupiterApi(self.router.url, per_second=10_000, attempts=1),
            quote_every=0.05,
            poll_s=0.02,
            resend_s=0.1,
            aside="1",
            clock=self.server.clock,
        )

    def velocity(self):
        return self.exchange.driver(accounts=(0,), quote_every=0.05, watch_every=0.05)

    @asynccontextmanager
    async def venues(self):
        async with AsyncExitStack() as stack:
            found = [await stack.enter_async_context(one) for one in (self.velocity(), self.jupiter())]
            for venue in found:
                venue.real_money = False
            yield found

    def price(self, price):
        """The world's price of SOL: the oracle says it, and the pools trade at it."""
        self.server.price("SOL-PERP", price)
        self.router.price("Raydium", price)

    def hours(self, count, rate=HOURLY):
        """So many times the clock comes to a full hour; a keeper writes each one's funding and settles the position."""
        for _ in range(count):
            self.server.pass_time(3_605 - self.server.now % 3_600)
            self.server.fund("SOL-PERP", rate)
            if self.exchange.position(0) != (0, 0):
                self.server.settle(self.exchange.user(0), "SOL-PERP")

    def chain(self):
        """Units of the quote coin that the chain says: in the sub-account, and in the wallet that trades at Jupiter."""
        there = self.server.chain.account(Pubkey.from_string(self.exchange.user(0)))
        return self.exchange.coins(0) if there is not None else 0, self.server.chain.tokens(self.spender.pubkey(), self.server.mints[0])

    def sol(self):
        """SOL of the second wallet beyond what the books do not count."""
        return self.server.chain.balance(self.spender.pubkey()) + self.server.chain.tokens(self.spender.pubkey(), WSOL) - PER_SOL


@contextmanager
def world(*, one_key=False):
    price = "150"
    with drift_server(VELOCITY, perps=[Perp("SOL-PERP", price, fees=10_000 * PER_USD)]) as server:
        usdt = server.mints[0]
        pool = Amm("Raydium", WSOL, usdt, Outside(10**9 * PER_SOL, 10**12 * PER_USD, 10**6 * int(price), PER_SOL, 0))
        with jupiter_server(server.chain, [pool], clock=server.clock) as router:
            exchange = Exchange(server, server.wallet(quote=int(PAID_IN) * PER_USD))
            spender = exchange.key if one_key else server.wallet(quote=int(IN_JUPITER) * PER_USD, sol=1)
            token = Token(VELOCITY.quote.asset, VELOCITY.quote.mint)
            yield World(exchange, router, spender, Market.of("SOL/USDT", TOKENS["SOL"], token, size="1", tick="0.0001"))


def engine(w, perp, cap=IN_JUPITER, **terms):
    pair = Pair(w.market.instrument, perp, cap=cap, spot_fee="0.01%", perp_fee="0.05%", slippage="0.05%", reserved="0.05")
    return Funding(pair, **{"every": 0, "room": "20%", "critical": 15, "size": "90%", "tolerance": "0.5%", **terms})


def opened(w, perp, journal=None, **terms):
    """Books over what lies in the second wallet; the rest is to come by a deposit."""
    vault = CoreVault(w.coin, total=IN_JUPITER, tradeable=IN_JUPITER, cap="3500", wallet="main", books=Books(journal=journal))
    desk = Desk(vault)
    sleeve = vault.sleeve("carry", QUIET)
    desk.assign(engine(w, perp, **terms), to=sleeve)
    return desk, sleeve


def facts(desk, *kinds):
    return [record for record in desk.books.journal if isinstance(record, kinds)]


def hedge(w, desk):
    """Coins and contracts of the sleeve, in base units."""
    sleeve = desk.treasury[w.coin.code].sleeves["carry"]
    return sleeve.position(w.market.instrument).units, next(
        (amount.units for name, amount in sleeve.positions().items() if str(name).startswith("SOL-PERP")), 0
    )


async def live(w, desk, venues, done, *, seconds=25):
    """Run, with keepers and a chain that goes on, until something holds."""

    async def go_on():
        while True:
            await anyio.sleep(0.05)
            w.server.advance()
            w.server.match()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on)
        tasks.start_soon(partial(trade, desk, *venues, reconcile_every=0.5, reconnect=0.2))
        with anyio.move_on_after(seconds) as waited:
            while not (done() and fresh(w, desk)):
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    assert not waited.cancelled_caught, (desk.telemetry("carry"), facts(desk, Alert)[-8:])


async def proven(w, desk, venues):
    """Books, both drivers and the chain's own accounts are one, to the unit, and nothing stands unexplained."""
    velocity, jupiter = venues
    (found,) = await reconcile(desk, velocity, jupiter)
    assert found.clean, found
    there, wallet = await velocity.holdings(), await jupiter.balances()
    mine = there.get(0, {}).get(w.coin.code, w.coin.zero)
    assert (mine.units, wallet[w.coin.code].units, wallet["SOL"].units) == (*w.chain(), w.sol())
    sums = {"SOL": wallet["SOL"], w.coin.code: mine + wallet[w.coin.code]}
    desk.check(sums, positions=await velocity.positions(), accounts={0: sums}, deep=True).require()
    vault = desk.treasury[w.coin.code]
    coins = sum(desk.books.coins(vault.wallet)[asset] for asset in desk.books.coins(vault.wallet) if asset == w.coin)
    assert coins == sum(w.chain())
    contracts = w.exchange.position(0)[0] if w.chain()[0] else 0
    assert hedge(w, desk) == (w.sol(), contracts)
    assert desk.books.residuals == {} and desk.books.quarantine == {}
    await check_books(w.exchange, velocity)


def fresh(w, desk):
    """Whether both prices are of now: an hour may just have passed."""
    marks = desk.marks()
    return len(marks) == 2 and all(one.at > w.server.clock() - 20 * SECOND for one in marks.values())


def calm(desk):
    """Whether nothing is under way at the desk."""
    return not desk.bundles and not desk.open_orders() and not desk.transfers


def below(desk, symbol):
    return desk._seats["carry"].memory.markets[symbol].below


def test_a_hedge_from_the_deposit_to_the_withdrawal(tmp_path):
    path = tmp_path / "books.sqlite"

    async def first(w):
        with SQLite.open(path) as journal:
            async with w.venues() as venues:
                perp = venues[0].instrument("SOL-PERP", 0)
                desk, sleeve = opened(w, perp, journal)
                vault = sleeve.vault
                await proven(w, desk, venues)
                assert w.chain() == (0, 2_000 * PER_USD)
                await paid_in(w, desk, venues)
                vault.allocate(sleeve, "3500")
                await entered(w, desk, venues)
                await funded(w, desk, venues)
                await drifted(w, desk, venues)
                await warned(w, desk, venues)
                return hedge(w, desk), sleeve.free, sum(one.amount for one in facts(desk, FundingPaid))

    async def second(w, before):
        with SQLite.open(path) as journal:
            async with w.venues() as venues:
                desk = Desk(*Treasury.reopen(Books(journal)).vaults)
                sleeve = desk.treasury[w.coin.code].sleeves["carry"]
                desk.assign(engine(w, venues[0].instrument("SOL-PERP", 0)), to=sleeve)
                found = await recover(desk, *venues)
                assert (found.booked, found.foreign) == (0, 0), "all was booked before, and each fact once"
                assert (hedge(w, desk), sleeve.free, sum(one.amount for one in facts(desk, FundingPaid))) == before
                await proven(w, desk, venues)
                await closed(w, desk, venues)
                await paid_out(w, desk, venues)
                books = [fact.key for fact in facts(desk, Fill, FundingPaid, Settled, Transferred)]
                assert len(books) == len(set(books)), "no fact twice"

    with world() as w:
        before = anyio.run(first, w)
        anyio.run(second, w, before)


async def paid_in(w, desk, venues):
    """A deposit: out of the authority's wallet, into the sub-account, which it opens."""
    vault = desk.treasury[w.coin.code]
    await carry(desk, desk.deposit(vault, PAID_IN, venue="velocity", by="ann"), *venues)
    assert vault.total == w.coin(IN_JUPITER), "it is not the vault's before the chain has it"
    await live(w, desk, venues, lambda: bool(facts(desk, Transferred)))
    assert w.chain() == (1_500 * PER_USD, 2_000 * PER_USD)
    assert w.exchange.wallet() == 0
    assert vault.total == w.coin("3500")
    await proven(w, desk, venues)


async def entered(w, desk, venues):
    """Short at Velocity first, then the coins at Jupiter; the short is of what is hedged of them."""
    assert hedge(w, desk) == (0, 0)
    w.hours(1)
    await live(w, desk, venues, lambda: hedge(w, desk)[0] and hedge(w, desk)[1] and calm(desk))
    coins, contracts = hedge(w, desk)
    assert -contracts > 12 * PER_SOL
    assert abs(coins + contracts - PER_SOL // 20) < PER_SOL // 1_000
    first, second = facts(desk, Fill)
    assert (first.venue, second.venue) == ("velocity", "jupiter")
    await proven(w, desk, venues)


async def funded(w, desk, venues):
    """Six hours: each is paid to the unit by what the program says of one coin, and becomes money when a keeper settles."""
    _, contracts = hedge(w, desk)
    each = -contracts * HOURLY // 10**12
    known = len(facts(desk, FundingPaid))
    for hour in range(1, 7):
        w.hours(1)
        await live(w, desk, venues, lambda so=known + hour: len(facts(desk, FundingPaid)) == so)
        await proven(w, desk, venues)
    paid = facts(desk, FundingPaid)[known:]
    assert [one.amount for one in paid] == [each] * 6
    assert [one.rate.rate_ppb for one in paid] == [200_000] * 6, "0.03 of 150, as a ratio"


async def drifted(w, desk, venues):
    """A human buys a tenth of a coin: the short is expanded by it, and then there is no drift."""
    sleeve = desk.treasury[w.coin.code].sleeves["carry"]
    before = hedge(w, desk)
    unhedged = before[0] + PER_SOL // 10 - PER_SOL // 20 + before[1]
    tenth = Place(w.market.instrument, Side.BUY, PER_SOL // 10)
    commands = desk.order(sleeve, tenth, by="ann")
    assert isinstance(commands, (list, tuple)), commands
    await carry(desk, commands, *venues)
    await live(w, desk, venues, lambda: hedge(w, desk)[1] < before[1] and calm(desk))
    expanded, lot = before[1] - hedge(w, desk)[1], PER_SOL // 100
    assert expanded == (unhedged - 100_000) // lot * lot, "all of it, in whole lots; what the swap cost in SOL is not there to be hedged"
    assert [one.order.place.why for one in facts(desk, Placed)][-1] == "expands the short"
    await proven(w, desk, venues)


async def warned(w, desk, venues):
    """The price goes up by 60%: a warning below a health of 50, which is the chain's own but for what lies in the other wallet."""
    assert not [one for one in facts(desk, Alert) if one.code == "health"]
    w.price("225")
    await live(w, desk, venues, lambda: desk.marks()["SOL-PERP:0"].price > 2_240_000)
    assert not [one for one in facts(desk, Alert) if one.code == "health"]
    w.price("240")
    await live(w, desk, venues, lambda: any(one.code == "health" for one in facts(desk, Alert)))
    (told,) = [one for one in facts(desk, Alert) if one.code == "health"]
    assert "is below 50" in told.text and told.level.value == "warning"
    seen = await venues[0].look()
    chained = figures_of(seen, seen.users[0])
    desk_says = int(Decimal(told.text.split()[1]) * 100)
    beside = w.chain()[1]  # what the sleeve has free and the program does not see
    assert 0 <= desk_says - chained.health_bp < 100, "coins in the other wallet stand behind nothing at Velocity"
    assert beside < 10 * PER_USD
    w.price("200")
    await live(w, desk, venues, lambda: desk.marks()["SOL-PERP:0"].price < 2_010_000)
    await proven(w, desk, venues)


async def closed(w, desk, venues):
    """Four hours in which shorts pay: both legs are closed, and the loss of the contracts is settled."""
    for hour in range(1, 4):
        w.hours(1, -HOURLY)
        await live(w, desk, venues, lambda so=hour: below(desk, "SOL-PERP:0") == so)
        assert calm(desk)
    w.hours(1, -HOURLY)
    await live(w, desk, venues, lambda: not hedge(w, desk)[1] and w.exchange.position(0) == (0, 0) and calm(desk))
    assert hedge(w, desk)[0] < PER_SOL // 20 + PER_SOL // 1_000, "what is reserved is not sold"
    await proven(w, desk, venues)


async def paid_out(w, desk, venues):
    """Taken back from the sleeve, and what lies at Velocity is withdrawn to the wallet that it came from."""
    vault = desk.treasury[w.coin.code]
    sleeve = vault.sleeves["carry"]
    vault.reclaim(sleeve, sleeve.free)
    there, wallet = w.chain()
    await carry(desk, desk.withdraw(vault, w.coin.units(there), venue="velocity", by="ann"), *venues)
    await live(w, desk, venues, lambda: calm(desk))
    assert w.chain() == (0, wallet)
    assert w.exchange.wallet() == there
    await proven(w, desk, venues)


def test_with_one_key_for_both_a_deposit_is_not_believed_to_be_new_money():
    """It left the wallet that is inside of the books, and came to the sub-account that is: what came is told and what left is found. It
    stands in SUSPENSE, so that nothing takes new risk, until a human says what it was. So the books want two keys."""

    async def story(w):
        async with w.venues() as venues:
            vault = CoreVault(w.coin, total=PAID_IN, tradeable=PAID_IN, wallet="main")
            desk = Desk(vault, tolerances={SOL: "10"})
            sleeve = vault.sleeve("carry", QUIET, allocate="200")
            desk.assign(engine(w, venues[0].instrument("SOL-PERP", 0)), to=sleeve)
            await reconcile(desk, *venues)
            await carry(desk, desk.deposit(vault, "1000", venue="velocity", by="ann"), *venues)
            await live(w, desk, venues, lambda: bool(facts(desk, Transferred)))
            (found,) = await reconcile(desk, *venues)
            (rest,) = [one for one in found.standing if one.amount.asset == w.coin]
            assert rest.amount == -w.coin("1000")
            assert w.chain() == (1_000 * PER_USD, 500 * PER_USD)
            assert desk.books.coins("main")[w.coin] == 1_500 * PER_USD
            refused = desk.order(sleeve, Place(w.market.instrument, Side.BUY, PER_SOL), by="ann")
            assert isinstance(refused, Refusal)
            assert refused.gate == "status"
            desk.adopt(rest, vault, by="ann", why="it went from my wallet to my own sub-account")
            (found,) = await reconcile(desk, *venues)
            assert not [one for one in found.standing if one.amount.asset == w.coin]
            assert vault.total == w.coin(PAID_IN)
            assert not isinstance(desk.order(sleeve, Place(w.market.instrument, Side.BUY, PER_SOL // 10), by="ann"), Refusal)

    with world(one_key=True) as w:
        anyio.run(story, w)


def test_coins_that_do_not_lie_where_they_are_spent_are_no_hedge_and_the_contracts_are_taken_back():
    """Without a cap the coins are sized to all that is free, and Jupiter's wallet has less: the short that is there already is closed."""

    async def story(w):
        async with w.venues() as venues:
            desk, sleeve = opened(w, venues[0].instrument("SOL-PERP", 0), cap=None)
            await paid_in(w, desk, venues)
            sleeve.vault.allocate(sleeve, "3500")
            w.hours(1)
            await live(w, desk, venues, lambda: len(facts(desk, Fill)) == 2 and calm(desk) and abs(sleeve.unsettled.units) <= PER_USD)
            first, second = facts(desk, Fill)
            assert (first.side, second.side) == (Side.SELL, Side.BUY)
            assert (first.venue, second.venue) == ("velocity", "velocity")
            assert first.qty == second.qty
            assert hedge(w, desk) == (0, 0)
            await proven(w, desk, venues)

    with world() as w:
        anyio.run(story, w)
