"""Two engines in two sub-accounts of one wallet on a local Velocity: one is liquidated, and the other has not lost a unit.

    python examples/drift.py        needs: python -m pip install ".[velocity,servers]"

There is no account and no network in this. `drift_server` is a stand-in for the program of Velocity, Drift's successor, on a Solana
that runs in this process and is spoken to over a socket: real transactions, signatures and token accounts, and keepers who fill,
fund and liquidate. Each sleeve lies in a sub-account of its own, so that the program itself keeps its money apart.

Against the real one the last lines of `main` differ: a node, a key from `sleeves.keys`, no clock, and a human arms it first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio

from sleeves import QUIET, CoreVault, Desk, Instrument, Place, Side
from sleeves.facts import FundingPaid, Liquidated
from sleeves.keys import Secret
from sleeves.live import carry, trade
from sleeves.market import PPB
from sleeves.protocols import View
from sleeves.records import Refusal
from sleeves.recovery import reconcile
from sleeves.testing.drift_server import DriftServer, Perp, drift_server
from sleeves.testing.solana_server import ChainError
from sleeves.venues.drift import VELOCITY, Drift, Rpc, Signer

USDT = VELOCITY.quote.asset
SUBS = {"main": 0, "bold": 1, "calm": 2}


class Hold:
    """Takes a position at the first price that it sees, and keeps it."""

    every = 0

    def __init__(self, name: str, market: Instrument, side: Side, qty: str) -> None:
        self.name, self.watches, self.side, self.qty = name, (market,), side, market.qty(qty)

    def begin(self) -> dict[str, bool]:
        return {"done": False}

    def decide(self, memory: dict[str, bool], view: View) -> list[Place] | None:
        if memory["done"] or view.free() <= 0:
            return None
        memory["done"] = True
        return [Place(self.watches[0], self.side, self.qty, why="first price")]


async def run(exchange: DriftServer, venue: Drift, wallet: Any) -> None:
    """The desk trades, keepers and prices do what they do, and after each step the books are held against the chain."""
    vault = CoreVault(USDT, total="2000", tradeable="2000", wallet=venue.name)
    desk = Desk(vault)
    for name, side, qty in (("bold", Side.BUY, "25"), ("calm", Side.SELL, "2")):
        sleeve = vault.sleeve(name, QUIET, allocate="600", account=SUBS[name])
        desk.assign(Hold(name, venue.instrument("SOL-PERP", SUBS[name]), side, qty), to=sleeve)
    users = {name: exchange.user(wallet.pubkey(), sub) for name, sub in SUBS.items()}

    async def until(done: Callable[[], bool]) -> None:
        with anyio.fail_after(60):
            while not done():
                await anyio.sleep(0.05)
                exchange.advance()
                exchange.match()

    def told(kind: type) -> list[Any]:
        return [fact for fact in desk.books.journal if isinstance(fact, kind)]

    async def say(what: str) -> None:
        await reconcile(desk, venue)
        holdings, positions = await venue.holdings(), await venue.positions()
        print(f"\n{what}")
        for name, sub in SUBS.items():
            coins = USDT.units(exchange.balance(users[name]))
            held = positions.get(f"SOL-PERP:{sub}")
            contracts = f"{held.instrument.qty_text(held.qty)} SOL, {USDT.units(held.money)} of money in it" if held else "no contracts"
            owned = f"; {vault.sleeves[name].balance} in the books" if name in vault.sleeves else f"; {vault.idle} idle in the books"
            print(f"  sub-account {sub} ({name}): {coins}, {contracts}{owned}")
        desk.check(await venue.balances(), positions=positions, accounts=holdings, deep=True).require()
        print("  proof: the books are the chain, to the unit, in each sub-account")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(trade, desk, venue, reconcile_every=0.5))
        await until(lambda: all(one.contracts() for one in vault.sleeves.values()) and not desk.open_orders())
        await say("SOL at 150: 600 USDT were moved to each sub-account, and both engines hold what they wanted")

        exchange.pass_time(3_605 - exchange.now % 3_600)
        exchange.fund("SOL-PERP", 30_000_000)
        for name in ("bold", "calm"):
            exchange.settle(users[name], "SOL-PERP")
        await until(lambda: len(told(FundingPaid)) == 2)
        rate = told(FundingPaid)[0].rate
        print(f"\nAn hour's funding: 0.03 USD a coin, which at 150 is {rate.rate_ppb * 100 / PPB:.2f}% of what is held, not 3%")
        for paid in told(FundingPaid):
            print(f"  {paid.instrument}: {USDT.units(paid.amount)}")

        before = exchange.balance(users["calm"]), vault.sleeves["calm"].balance
        exchange.price("SOL-PERP", "130")
        try:
            while True:
                exchange.liquidate(users["bold"], "SOL-PERP")
                exchange.advance(150)
        except ChainError:
            pass  # SufficientCollateral: what is left stands on its own again
        taken = 25 * 10**9 - exchange.position(users["bold"], "SOL-PERP")["base_asset_amount"]
        await until(lambda: -sum(fact.change for fact in told(Liquidated)) == taken)
        await say("SOL fell to 130 in one step: keepers took over of bold what its coins no longer carried")
        for fact in told(Liquidated):
            print(f"  {fact.instrument.qty_text(-fact.change)} SOL at {fact.instrument.price_text(fact.price)}, for a fee of {fact.fee}")
        bold = vault.sleeves["bold"]
        print(f"  bold is {bold.status} until a human clears it; ann closes the rest")
        commands = desk.close(bold, venue.instrument("SOL-PERP", SUBS["bold"]), by="ann")
        if isinstance(commands, Refusal):
            raise SystemExit(f"that was refused: {commands}")
        await carry(desk, commands, venue)
        await until(lambda: not bold.contracts() and not bold.unsettled.units)
        await say("Closed, and what was lost is paid out of sub-account 1")
        after = exchange.balance(users["calm"]), vault.sleeves["calm"].balance
        print(f"\ncalm had {before[1]} before and has {after[1]} now: {'not a unit less' if after == before else 'THAT IS NOT THE SAME'}")
        tasks.cancel_scope.cancel()


async def open_and_run(exchange: DriftServer) -> None:
    wallet = exchange.wallet(quote=2_000 * 10**USDT.scale)
    exchange.open(wallet)
    exchange.deposit(wallet, 0, 2_000 * 10**USDT.scale)
    venue = Drift(
        Rpc(exchange.url),
        VELOCITY,
        Signer(Secret(str(wallet))),
        accounts=tuple(SUBS.values()),
        quote_every=0.1,
        watch_every=0.1,
        poll_s=0.02,
        clock=exchange.clock,
    )
    venue.real_money = False  # it is in this process; at the real one a human arms it first
    async with venue:
        await run(exchange, venue, wallet)


def main() -> None:
    with drift_server(VELOCITY, perps=[Perp("SOL-PERP", "150", fees=10_000_000_000)]) as exchange:
        anyio.run(open_and_run, exchange)


if __name__ == "__main__":
    main()
