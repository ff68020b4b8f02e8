"""What happened to an authority's sub-accounts: facts and the lines of a ledger, whole or not at all.

    past = Past(rpc, deployment, authority, subs, markets, ids)
    await past.refresh()                    read on to the chain's confirmed end
    await past.history(since)               Fill, FundingPaid, Settled, Liquidated, Bankrupted, Transferred, Shifted, the oldest first
    await past.cash_flows(since)            lines by sub-account, INTEREST among them
    await past.holdings(users, spots)       coins by sub-account as the lines make them, held against the accounts
    await past.news(since)                  reads on, and tells what `news` has not told before: facts, Accepted, Canceled
    await past.order(order_id, since)       what the chain says of an order of ours

Each is made from the trail of transactions alone, so that it is the same each time, after a restart too. To tell one it may need an
earlier one: who placed an order that is filled now, what lay there before a deposit. Then the trail is read further back, a day, eight,
sixty-four, and to the beginning, until nothing is lacking; if even there something is, it raises and says what.

Coins are told as of the last transaction of ours that named them (`interest`): `holdings` and the lines agree to the unit, between
transactions too. What was earned since then is `accrued`, and becomes a line with the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import anyio
from solders.pubkey import Pubkey

from ...errors import VenueUnavailable
from ...facts import CashFlow, Shifted, Transferred
from ...market import DAY
from ...money import Amount
from ...orders import Accepted, Canceled, OrderStatus
from ..ids import ClientIds
from ..solana import Rpc
from .accounts import SpotMarket, User, read_perp_market, read_spot_market
from .deployment import Deployment
from .done import LAG, Done, Fact, Reader, Record, Seen
from .markets import Markets, UnknownMarket
from .notes import OrderNote
from .trail import Trail

__all__ = ["Past"]

_STEPS = (DAY, 8 * DAY, 64 * DAY)
"""How far the trail is read back, step by step, before it is read from its beginning."""


class Past:
    """The past of some sub-accounts of an authority. `markets` grows as markets are met that it has not.

    `payers` are keys besides the authority's whose notes count as ours; `at_once` is how many transactions are asked for at a time.
    """

    def __init__(
        self,
        rpc: Rpc,
        deployment: Deployment,
        authority: str,
        subs: Iterable[int],
        markets: Markets,
        ids: ClientIds,
        *,
        payers: Iterable[str] = (),
        at_once: int = 8,
    ) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._authority = authority
        self._subs = tuple(sorted(set(subs)))
        self._markets = markets
        self._trail = Trail(rpc, deployment, authority, self._subs, ids, payers=payers, at_once=at_once)
        self._lock = anyio.Lock()
        self._reader = self._new()
        self._dones: list[Done] = []
        self._told: set[str] = set()

    def _new(self) -> Reader:
        return Reader(self._deployment, self._markets, self._authority, self._subs)

    # -- reading ---------------------------------------------------------------------------------------------------------------

    async def refresh(self, *, min_slot: int | None = None) -> None:
        """Read on to the confirmed end of the chain, by a node that has come to `min_slot`. Raises `VenueUnavailable`.

        Nothing is read before it was said from when on: by `history`, `cash_flows`, `news`, `order` or `transfer`.
        """
        async with self._lock:
            if self._trail.start is not None:
                await self._trail.refresh(min_slot=min_slot)
                await self._fold()

    async def _fold(self) -> None:
        """Read the records that were not read yet; all anew where earlier ones came in between."""
        while True:
            records = self._trail.records
            read = [done.record for done in self._dones]
            if any(one is not other for one, other in zip(read, records, strict=False)) or len(read) > len(records):
                self._reader, self._dones = self._new(), []
            missing: UnknownMarket | None = None
            whole = False
            try:
                for record in records[len(self._dones) :]:
                    self._dones.append(self._reader.read(record))
                whole = True
            except UnknownMarket as error:
                missing = error
            finally:
                if not whole:
                    self._reader, self._dones = self._new(), []
            if missing is None:
                return
            await self._meet(missing)

    async def _meet(self, missing: UnknownMarket) -> None:
        """Read a market that a transaction names. Raises `VenueUnavailable` where it is not there."""
        index = missing.index
        key = self._deployment.perp_market(index) if missing.perp else self._deployment.spot_market(index)
        account = await self._rpc.account(Pubkey.from_string(key))
        if account is None:
            raise VenueUnavailable(f"there is no {'perp' if missing.perp else 'spot'} market {index} of {self._deployment.name} at {key}")
        told = (self._deployment, key, str(account.owner), account.data, account.slot)
        self._markets.add(read_perp_market(*told) if missing.perp else read_spot_market(*told))

    async def _reach(self, since: int, *, fresh: bool = False) -> None:
        """Have all from an instant on read, with all that is needed to tell it whole. The lock is held."""
        start = max(0, since - LAG)
        first = self._trail.start is None
        if self._trail.start is None or start < self._trail.start:
            await self._trail.back_to(start)
        if fresh and not first:
            await self._trail.refresh()
        await self._fold()
        while self._reader.doubt >= start:
            await self._further(self._reader.lacking)

    async def _further(self, why: str) -> None:
        """Read further back, for a reason. Raises `VenueUnavailable` at the beginning."""
        start = self._trail.start
        if not start:
            raise VenueUnavailable(f"no transaction that the node still has tells {why}")
        newest = max((record.at for record in self._trail.records), default=start)
        step = next((one for one in _STEPS if newest - one < start), 0)
        await self._trail.back_to(newest - step if step else 0)
        await self._fold()

    # -- what happened -----------------------------------------------------------------------------------------------------------

    async def history(self, since: int) -> Sequence[Fact]:
        """All facts from an instant on (UTC ns, included), oldest first: the same ones, with the same content, however often asked.

        Of what was read by the last `refresh` or `news`. Raises `VenueUnavailable`.
        """
        async with self._lock:
            await self._reach(since)
            return sorted((fact for done in self._dones for fact in done.facts if fact.at >= since), key=lambda fact: fact.at)

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        """The lines of the sub-accounts' coins from an instant on, oldest first; those of a fact name its key in `ref`.

        Of what was read by the last `refresh` or `news`. Raises `VenueUnavailable`.
        """
        async with self._lock:
            await self._reach(since)
            return sorted((line for done in self._dones for line in done.lines if line.at >= since), key=lambda line: line.at)

    async def news(self, since: int) -> Sequence[Fact | Accepted | Canceled]:
        """Read on, and tell what happened from an instant on and was not told here before, in the order of the chain.

        Raises `VenueUnavailable`; then nothing was told.
        """
        async with self._lock:
            await self._reach(since, fresh=True)
            fresh = [done for done in self._dones if done.record.at >= since - LAG and done.record.signature not in self._told]
            self._told.update(done.record.signature for done in fresh)
            return [event for done in fresh for event in done.told if event.at >= since]

    # -- orders and transfers ------------------------------------------------------------------------------------------------------

    async def order(self, order_id: str, since: int) -> Seen | None:
        """What became of an order of ours of this id; None where no transaction that was read, from before `since` on, says.

        Its `made` says whether it is the order that is meant, or one of the same id that other books had.
        One whose transaction landed with an error is REJECTED, with the number 0. Raises `VenueUnavailable`.
        """
        async with self._lock:
            await self._reach(since - LAG)
            found = self._reader.ours.get(order_id)
            return self._refused(order_id) if found is None else found

    def _refused(self, order_id: str) -> Seen | None:
        record = self._reader.refused.get(order_id)
        if record is None or not isinstance(record.note, OrderNote):
            return None
        _, _, number = record.note.symbol.rpartition(":")
        at = max(record.at, min(record.note.at, record.at + LAG))
        return Seen(
            order_id,
            True,
            int(number) if number.isdigit() else 0,
            0,
            True,
            -1,
            record.note.qty,
            at,
            record.signature,
            status=OrderStatus.REJECTED,
            at=at,
            reason=f"{record.signature} landed and failed: {record.err}",
            made=record.note.at,
        )

    async def transfer(self, transfer_id: str, since: int) -> Transferred | Shifted | Record | None:
        """What a transfer of ours, made at `since`, came to: its fact; the record of a transaction that landed with an error; else None.

        Raises `VenueUnavailable`.
        """
        async with self._lock:
            await self._reach(since - LAG)
            facts = (fact for done in self._dones for fact in done.facts)
            found = next((fact for fact in facts if isinstance(fact, (Transferred, Shifted)) and fact.id == transfer_id), None)
            return self._reader.refused.get(transfer_id) if found is None else found

    def done(self, signature: str) -> Done | None:
        """What a transaction did that was read; None for one that was not, or is none of these sub-accounts'."""
        return next((done for done in reversed(self._dones) if done.record.signature == signature), None)

    def name_of(self, sub: int, number: int) -> str:
        """The id of an order by the program's number of it: ours where it is ours, else "2/17".

        Raises `VenueUnavailable` where the transaction that placed it was not read: `know` has it read.
        """
        found = self._reader.orders.get((sub, number))
        if found is None:
            raise VenueUnavailable(f"who placed order {number} of sub-account {sub} has not been read")
        return found.order_id

    async def know(self, users: Mapping[int, User]) -> None:
        """Have it read who placed the orders that lie in these sub-accounts. Raises `VenueUnavailable` where the chain does not tell."""
        async with self._lock:
            if self._trail.start is None:
                raise VenueUnavailable("no transaction has been read yet")
            while True:
                lacking = [(sub, one.id) for sub, user in users.items() for one in user.orders if (sub, one.id) not in self._reader.orders]
                if not lacking:
                    return
                await self._further(f"who placed order {lacking[0][1]} of sub-account {lacking[0][0]}")

    # -- coins ---------------------------------------------------------------------------------------------------------------------

    async def holdings(self, users: Mapping[int, User], spots: Mapping[int, SpotMarket]) -> dict[int, dict[str, Amount]]:
        """Coins by sub-account and asset code as the lines make them: what is borrowed is below zero; the quote coin is always there.

        They are held against accounts that were read together; where more lies there than interest explains, or less, a transaction is
        missing on one side, and it raises `VenueUnavailable`: look again.
        """
        async with self._lock:
            return {sub: {code: told for code, (told, _) in coins.items()} for sub, coins in (await self._held(users, spots)).items()}

    async def accrued(self, users: Mapping[int, User], spots: Mapping[int, SpotMarket]) -> dict[int, dict[str, Amount]]:
        """What the accounts have beyond `holdings`: interest that no transaction of ours has told of yet. Raises as `holdings` does."""
        async with self._lock:
            return {sub: {code: more for code, (_, more) in coins.items()} for sub, coins in (await self._held(users, spots)).items()}

    async def _held(self, users: Mapping[int, User], spots: Mapping[int, SpotMarket]) -> dict[int, dict[str, tuple[Amount, Amount]]]:
        if self._trail.start is None:
            raise VenueUnavailable("no transaction has been read yet")
        for market in spots.values():
            self._markets.add(market)
        ledger_of = {}
        for sub, user in sorted(users.items()):
            wanted = {self._deployment.quote.market, *(one.market for one in user.spots)}
            while lacking := [index for index in sorted(wanted) if not self._reader.ledger.knows(sub, index)]:
                await self._further(f"what sub-account {sub} has in spot market {lacking[0]}")
            ledger_of[sub] = wanted
        held: dict[int, dict[str, tuple[Amount, Amount]]] = {}
        ledger = self._reader.ledger
        for sub in self._subs:
            if sub not in users and any(ledger.told(sub, index) for index in ledger.coins(sub)):
                raise VenueUnavailable(f"sub-account {sub} of {self._deployment.name} was told to hold coins, and is not there")
        for sub, user in sorted(users.items()):
            coins: dict[str, tuple[Amount, Amount]] = {}
            for index in sorted(ledger_of[sub] | {one for one in ledger.coins(sub) if ledger.told(sub, one)}):
                spot = spots.get(index)
                if spot is None:
                    raise VenueUnavailable(f"sub-account {sub} was told to hold coins of spot market {index}, which was not read with it")
                coin, beyond = self._markets.coin(index), ledger.unbooked(user, spot)
                coins[coin.asset.code] = coin.amount(ledger.told(sub, index)), coin.amount(beyond)
            held[sub] = coins
        return held
