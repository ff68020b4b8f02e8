"""A sub-account's life on the local exchange, and what the past says of it, held against the chain's own accounts."""

from __future__ import annotations

from contextlib import asynccontextmanager

from attrs import define, field
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sleeves.facts import Bankrupted, FundingPaid, Liquidated, Settled
from sleeves.orders import Fill
from sleeves.testing.drift_server import DriftServer
from sleeves.venues.drift.account import look, positions
from sleeves.venues.drift.instructions import discriminator
from sleeves.venues.drift.markets import Markets
from sleeves.venues.drift.notes import order_note, transfer_note
from sleeves.venues.drift.past import Past
from sleeves.venues.ids import ClientIds
from sleeves.venues.solana import Rpc, memo

IDS = ClientIds()
SUBS = (0, 1, 2)
USDC, SOL = 10**6, 10**9


@define
class Life:
    """An owner with a key, on a server; what the owner does by our notes."""

    drift: DriftServer
    key: Keypair = field(init=False)
    sent: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.key = self.drift.wallet(quote=10_000 * USDC)

    @property
    def owner(self) -> str:
        return str(self.key.pubkey())

    def user(self, sub: int) -> str:
        return self.drift.user(self.owner, sub)

    def noted(self, instructions, note):
        return self.drift.send([*instructions, memo(note, self.key.pubkey())], self.key)

    def shift(self, source, target, amount, name="", market=0):
        """A shift between two of ours; with a name it is a transfer of ours."""
        named = [
            (self.user(source), "w"),
            (self.user(target), "w"),
            (self.drift.deployment.user_stats(self.owner), "w"),
            (self.owner, "s"),
            (self.drift.deployment.state(), ""),
            (self.drift.deployment.spot_vault(market), ""),
            *self.drift.remaining([self.user(source)], spots=[market]),
        ]
        asked = self.drift._ask("transfer_deposit", market.to_bytes(2, "little") + amount.to_bytes(8, "little"), named)
        return self.drift.send([asked], self.key) if not name else self.noted([asked], transfer_note(name, self.drift.clock()))

    def place(self, order_id, sub, name, base, price=0, *, long, **more):
        """An order of ours by hand, with our note in the same transaction; its number."""
        sending = self.drift.send
        note = memo(order_note(IDS, order_id, base, self.drift.clock(), f"{name}:{sub}"), self.key.pubkey())
        try:
            self.drift.send = lambda instructions, key: sending([*instructions, note], key)
            return self.drift.order(self.key, sub, name, base, price, long=long, **more)
        finally:
            self.drift.send = sending

    def trade(self, sub, base, *, long, name="SOL-PERP", price=None, order_id=None):
        """An order that is filled at once, in seconds of its own; its number."""
        self.drift.pass_time(2)
        if order_id is None:
            number = self.drift.order(self.key, sub, name, base, long=long)
        else:
            number = self.place(order_id, sub, name, base, long=long)
        self.drift.fill(self.user(sub), number, price=price)
        return number


@asynccontextmanager
async def reading(life, subs=SUBS, **more):
    """A past of its own, as a process has it that has just begun."""
    async with Rpc(life.drift.url) as rpc:
        yield rpc, Past(rpc, life.drift.deployment, life.owner, subs, Markets(life.drift.deployment), IDS, **more)


async def all_of(life, since=0, subs=SUBS):
    """Facts and lines from an instant on, as a new process tells them."""
    async with reading(life, subs) as (_, past):
        await past.news(since)
        return list(await past.history(since)), list(await past.cash_flows(since))


def booked(facts):
    """By symbol: the contracts and the money of a position that these facts make."""
    made = {}
    for fact in facts:
        base = money = 0
        match fact:
            case Fill():
                base, money = fact.side.sign * fact.qty, -fact.side.sign * fact.cost - fact.fee.units
            case FundingPaid():
                money = fact.amount
            case Settled():
                money = -fact.amount - fact.fee
            case Liquidated():
                base, money = fact.change, (-1 if fact.change > 0 else 1) * fact.cost - fact.fee.units
            case Bankrupted():
                money = fact.amount
            case _:
                continue
        was = made.get(fact.instrument.symbol, (0, 0))
        made[fact.instrument.symbol] = was[0] + base, was[1] + money
    return {symbol: both for symbol, both in made.items() if both != (0, 0)}


def summed(lines):
    """By sub-account and asset code: what these lines come to."""
    sums = {}
    for line in lines:
        key = line.account, line.amount.asset.code
        sums[key] = sums.get(key, 0) + line.amount.units
    return {key: units for key, units in sums.items() if units}


async def check_whole(life, subs=SUBS):
    """What is told from the beginning makes what the chain has: positions to the unit, coins to the unit with what is not told yet."""
    async with reading(life, subs) as (rpc, past):
        await past.news(0)
        facts, lines = list(await past.history(0)), list(await past.cash_flows(0))
        seen = await look(rpc, life.drift.deployment, life.owner, subs, range(len(life.drift.perps)))
        terms = Markets(life.drift.deployment)
        for market in [*seen.spots.values(), *seen.perps.values()]:
            terms.add(market)
        there = {symbol: (one.qty, one.money) for symbol, one in positions(seen, terms).items()}
        assert booked(facts) == there, (booked(facts), there, facts)
        held, more = await past.holdings(seen.users, seen.spots), await past.accrued(seen.users, seen.spots)
        told = {(sub, code): amount.units for sub, coins in held.items() for code, amount in coins.items() if amount.units}
        assert summed(lines) == told, (summed(lines), told)
        for sub, coins in held.items():
            for code, amount in coins.items():
                index = next(one.index for one in terms.coins() if one.asset.code == code)
                assert amount.units + more[sub][code].units == life.drift.balance(life.user(sub), index), (sub, code)
    keys = [fact.key for fact in facts]
    assert len(keys) == len(set(keys))
    names = [line.key for line in lines]
    assert len(names) == len(set(names))
    assert all(not line.ref or line.ref in keys for line in lines)
    again = await all_of(life, subs=subs)
    assert again == (facts, lines)
    return facts, lines


def key_of(address):
    return Pubkey.from_string(address)


__all__ = ["IDS", "Instruction", "Life", "all_of", "booked", "check_whole", "discriminator", "key_of", "reading", "summed"]
