"""What was traded, made into fills: a report, or a row of the account's trades, waits here until the ledger has its lines.

    reported      by the private socket: told as a fill once the ledger shows it, within a moment as a rule
    listed        by the account's statements: the same fills, for whoever asks for the past
    lacking       an order that is filled further than was reported is looked for among the trades; where it is not found in time
                  the sockets are given up, and whoever reads them looks at the whole account

The same trade is the same fill on every way, since each is made once and kept. Where the ledger does not show a trade within
`patience` seconds its own figures are taken, which a log line says; that is then its fill, for as long as this lasts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial

import anyio

from ...errors import InvalidAmount, InvalidMarket, VenueRejected, VenueUnavailable
from ...facts import CashFlow
from ...market import SECOND
from ...money import Amount
from ...orders import Fill, Place, TimeInForce
from .account import Account
from .client import Client, LedgerLine, OrderInfo, TradeInfo
from .ledger import Execution, estimate_of, fill_of, flows_of
from .statements import Statements
from .watch import Track, Watch

__all__ = ["Clerk"]

log = logging.getLogger("sleeves.venues.kraken")

APART = 5 * SECOND
"""How far apart Kraken may date a trade, its report and its ledger lines."""
BACK = 60 * SECOND
"""How long before an order's own time it may stand in Kraken's books: clocks differ."""
PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0)
"""After how many seconds each something that is not there yet is looked for again."""
OVERDUE = 5.0
"""After how many seconds the end of an order that cannot rest is asked after, when no report told it; later twice as long each time."""
LOOK_EVERY = 1.0
"""How often it is looked whether anything is overdue, in seconds."""
ROOM = 8
"""So much of a key's counter must be free before it is looked whether fills can be made: what others ask for meanwhile has room then."""
COMPARED = 4
"""After how many looks for its ledger lines a trade that was reported is looked for in the list of trades."""
SEVERAL = 300.0
"""The longest time between two such questions, in seconds."""
MOST_KEPT = 100_000
"""How many fills are kept: older ones are made anew from the ledger."""


def pause(tried: int) -> float:
    """How long to wait before the next try."""
    return PAUSES[min(tried, len(PAUSES) - 1)]


async def _orders_of(client: Client, txid: str, vault: str) -> dict[str, OrderInfo]:
    return await client.query_orders(vault, txid)


class Clerk:
    """Makes fills; `run` is its task. Trades from `begun` on are told. `give_up` is called with why the sockets are to be given up."""

    def __init__(
        self,
        client: Client,
        account: Account,
        watch: Watch,
        *,
        name: str,
        begun: int,
        patience: float,
        estimates: dict[str, Fill],
        give_up: Callable[[Exception], None],
    ) -> None:
        self.begun = self.seen = begun
        """From when on trades are told; until when reports were heard."""
        self._client, self._account, self._watch = client, account, watch
        self._name = name
        self._patience = patience
        self._give_up = give_up
        self._statements = Statements(
            lambda since: account.read(lambda vault: client.trades_history(vault, since)),
            lambda since: account.read(lambda vault: client.ledgers(vault, since)),
        )
        self._fills: dict[str, Fill] = {}
        self._estimates = estimates
        """Fills that were told by the trades' own figures, kept for good: what was told once is never told otherwise."""
        self._passed: set[str] = set()
        """Trades that make no fill: on margin, or in a pair that is not listed any more."""
        self._tries: dict[str, tuple[float, int]] = {}
        """By what is looked for: since when, or when last, and how often."""
        self._stirred, self._done = anyio.Event(), anyio.Event()

    # -- reported --------------------------------------------------------------------------------------------------------------------

    def stir(self) -> None:
        """There may be something to do."""
        self._stirred.set()

    async def settled(self) -> None:
        """Wait until it was looked at once more."""
        await self._done.wait()

    async def run(self) -> None:
        """Tell what was reported as fills, and find out what was not, until it is canceled."""
        while True:
            with anyio.move_on_after(LOOK_EVERY):
                await self._stirred.wait()
            self._stirred = anyio.Event()
            tried = 0
            while self._watch.busy or self._overdue():
                await self._room()
                try:
                    await self._look()
                except VenueUnavailable as error:
                    log.warning("%s: fills wait: %s", self._name, error)
                except Exception as error:  # nothing that is told may be lost over it, so whoever reads is told
                    log.exception("%s: fills cannot be made", self._name)
                    self._give_up(error)
                self._look_is_over()
                if not self._watch.busy:
                    break
                tried += 1
                with anyio.move_on_after(pause(tried)):
                    await self._stirred.wait()
                if self._stirred.is_set():
                    self._stirred = anyio.Event()
            self._look_is_over()

    async def _room(self) -> None:
        """Wait until the account's key has calls to spare: the more is reported, the more of it one look then serves."""
        ring, first = self._client.ring, self._account.vaults[0]
        rows = [] if ring is None else [row for row in ring.describe() if row["venue"] == self._client.venue]
        own = [row["key"] for row in rows if row["vault"] == first] or [row["key"] for row in rows]
        buckets = [self._client.bucket(name) for name in own]
        wait = min((bucket.wait(min(ROOM, bucket.capacity)) for bucket in buckets), default=0.0)
        if wait > 0:
            await anyio.sleep(wait)

    def _look_is_over(self) -> None:
        self._done.set()
        self._done = anyio.Event()

    async def _look(self) -> None:
        watch = self._watch
        if watch.strange and not watch.sending:
            await self._whose(tuple(watch.strange), end=True)
        for track in self._overdue():
            await self._ask_after(track)
        if watch.unsaid:
            await self._how_far(tuple(watch.unsaid))
        if watch.short:
            await self._find(tuple(watch.short))
        trades = [trade for trade in watch.pending.values() if trade.order not in watch.strange]
        for trade in await self._in_the_ledger(trades):
            if self._tries.get(trade.id, (0.0, 0))[1] == COMPARED:
                await self._compare(trade)
            if trade.id in watch.pending:
                await self._estimate(trade)
        for trade in trades:
            if trade.id in self._fills:
                watch.fill(self._fills[trade.id], trade)

    async def _compare(self, trade: Execution) -> None:
        """The ledger is slow to show a trade. Where the list of trades has it under another id, that is what it is."""
        rows = [row for row in await self._statements.trades.since(max(0, trade.at - APART)) if row.order == trade.order]
        same = [row for row in rows if (row.price, row.qty) == (trade.price, trade.qty) and abs(row.at - trade.at) <= APART]
        if any(row.id == trade.id for row in rows) or not same:
            return
        log.warning("%s: trade %s is listed as %s", self._name, trade.id, ", ".join(row.id for row in same))
        self._watch.drop(trade)
        for row in same:
            self._add(row)

    def _overdue(self) -> list[Track]:
        """Orders that cannot rest, and of whose end nothing was heard for a while."""
        now, found = anyio.current_time(), []
        for track in self._watch.unfinished():
            place = track.order.place if track.order is not None else None
            if place is None or not track.txid or place.stop is not None:
                continue
            if place.limit is not None and place.tif is TimeInForce.GTC:
                continue
            since, times = self._tries.setdefault(f"end {track.txid}", (now, 0))
            if now - since > min(OVERDUE * 2**times, SEVERAL):
                found.append(track)
        return found

    async def _ask_after(self, track: Track) -> None:
        what = f"end {track.txid}"
        _, times = self._tries.get(what, (0.0, 0))
        self._tries[what] = anyio.current_time(), times + 1
        for info in (await self._account.read(lambda vault: self._client.query_orders(vault, track.txid))).values():
            self._watch.listed(info)
        if track.ended is not None:
            self._tries.pop(what, None)

    async def _how_far(self, txids: Sequence[str]) -> None:
        """Orders that are off the book, and how far they were filled was not said."""
        for txid in txids:
            what = f"unsaid {txid}"
            with suppress(VenueRejected):
                for info in (await self._account.ask(partial(_orders_of, self._client, txid))).values():
                    self._watch.listed(info)
            first, _ = self._tries.setdefault(what, (anyio.current_time(), 0))
            if txid not in self._watch.unsaid:
                self._tries.pop(what)
            elif anyio.current_time() - first > 3 * self._patience:
                self._tries.pop(what)
                self._watch.unsaid.pop(txid)
                self._give_up(VenueUnavailable(f"{self._name} does not say how far order {txid} was filled"))

    async def _find(self, txids: Sequence[str]) -> None:
        """Fills that orders have and nobody reported."""
        tracks = [self._watch.at(txid) for txid in txids]
        begun = [track.sent_at or track.last or self.begun for track in tracks if track is not None]
        for trade in await self._statements.trades.since(max(0, min(begun, default=self.begun) - BACK)):
            if trade.order in txids:
                self._add(trade)
        for txid in txids:
            what = f"short {txid}"
            if not self._watch.missing(txid):
                self._tries.pop(what, None)
                continue
            first, _ = self._tries.setdefault(what, (anyio.current_time(), 0))
            if anyio.current_time() - first > 3 * self._patience:
                self._tries.pop(what)
                self._watch.short.pop(txid, None)
                self._give_up(VenueUnavailable(f"{self._name}: fills of order {txid} are missing"))

    async def catch_up(self) -> None:
        """The sockets are back: trades that nobody reported, and how orders of ours stand. Raises `VenueUnavailable`."""
        for trade in await self._statements.trades.since(max(self.begun, self.seen - BACK)):
            self._add(trade)
        txids = [track.txid for track in self._watch.unfinished() if track.txid]
        if txids:
            for info in (await self._account.read(lambda vault: self._client.query_orders(vault, *txids))).values():
                self._watch.listed(info)
        self.stir()

    def _add(self, trade: TradeInfo) -> None:
        with suppress(InvalidMarket):  # of a pair that is not listed: no fill can be made of it
            self._watch.add(self._watch.execution(trade))

    # -- listed ----------------------------------------------------------------------------------------------------------------------

    async def fills(self, since: int) -> list[Fill]:
        """The fills of all trades from an instant on, oldest first. Raises `VenueUnavailable` where one cannot be made."""
        rows = await self._statements.trades.since(max(0, since - APART))
        new = [trade for trade in rows if trade.id not in self._fills and not self._passes(trade)]
        strange = {trade.order for trade in new if not self._knows_owner(trade)}
        if strange:
            await self._whose(sorted(strange), end=False)
        left = [self._watch.execution(trade) for trade in new]
        begun, tried = anyio.current_time(), 0
        while left:
            left = [trade for trade in await self._in_the_ledger(left) if not await self._estimate(trade)]
            if left:
                if anyio.current_time() - begun > self._patience + LOOK_EVERY:
                    raise VenueUnavailable(f"{self._name}: the ledger does not show trade {left[0].id}")
                tried += 1
                await anyio.sleep(pause(tried))
        found = (self._fills[trade.id] for trade in rows if trade.id in self._fills)
        return sorted((fill for fill in found if fill.at >= since), key=lambda fill: (fill.at, fill.trade_id))

    async def flows(self, since: int) -> tuple[list[LedgerLine], Callable[[], Sequence[CashFlow]]]:
        """The ledger's lines from an instant on, and what makes cash flows of them once their wallets are known.

        A line of a trade waits until that trade is listed, so that it names its fill. Raises `VenueUnavailable`.
        """
        begun, tried = anyio.current_time(), 0
        while True:
            lines = await self._statements.lines.since(since)
            if not self._unlisted(lines):
                break
            await self.fills(max(0, min(line.at for line in self._unlisted(lines)) - APART))
            if not self._unlisted(lines):
                break
            if anyio.current_time() - begun > self._patience:
                self._passed.update(line.refid for line in self._unlisted(lines))
                break
            tried += 1
            await anyio.sleep(pause(tried))
        return lines, partial(flows_of, lines, self._fills, self._watch.names, self._name)

    def _unlisted(self, lines: Sequence[LedgerLine]) -> list[LedgerLine]:
        return [line for line in lines if line.type == "trade" and line.refid not in self._fills and line.refid not in self._passed]

    async def all_listed(self, info: OrderInfo) -> None:
        """Returns once the list of trades has all that an order was filled with. Raises `VenueUnavailable` where it never does."""
        since = max(0, (info.opened or self.begun) - BACK)
        begun, tried = anyio.current_time(), 0
        while True:
            trades = [trade for trade in await self._statements.trades.since(since) if trade.order == info.id]
            if sum((trade.qty for trade in trades), Decimal(0)) >= info.filled:
                return
            if anyio.current_time() - begun > self._patience:
                raise VenueUnavailable(f"{self._name} does not list all trades of order {info.id}")
            tried += 1
            await anyio.sleep(pause(tried))

    def _passes(self, trade: TradeInfo) -> bool:
        """Whether a trade makes no fill. Its lines stay in the ledger, and are told as flows."""
        if trade.id in self._passed:
            return True
        if not trade.margin:
            try:
                self._watch.execution(trade)
            except InvalidMarket as error:
                log.warning("%s: trade %s makes no fill: %s", self._name, trade.id, error)
            else:
                return False
        self._passed.add(trade.id)
        return True

    # -- how -------------------------------------------------------------------------------------------------------------------------

    async def _in_the_ledger(self, trades: Sequence[Execution]) -> list[Execution]:
        """Make fills of these trades; returns those whose lines are not all there. Raises `VenueUnavailable`."""
        left = [trade for trade in trades if not self._made(trade)]
        if not left:
            return []
        try:
            await self._statements.lines.since(max(0, min(trade.at for trade in left) - APART))
        except VenueUnavailable as error:
            if not isinstance(error.__cause__, VenueRejected):
                raise
            log.warning("%s: the ledger is refused: %s", self._name, error)  # then it shows nothing, and patience is what is left
        return [trade for trade in left if not self._made(trade)]

    def _made(self, trade: Execution) -> bool:
        if trade.id in self._fills:
            return True
        if trade.id in self._estimates:
            return self._keep(trade, self._estimates[trade.id])
        lines = self._statements.lines.of(trade.id) or self._named(trade.id)
        try:
            fill = fill_of(trade, self._owner(trade.order), lines, self._watch.names, self._name) if lines else None
        except (InvalidAmount, InvalidMarket) as error:
            log.warning("%s: the ledger's lines of trade %s cannot be read: %s", self._name, trade.id, error)
            return False
        return fill is not None and self._keep(trade, fill)

    def _named(self, trade_id: str) -> list[LedgerLine]:
        """The ledger lines that a listed trade names itself."""
        row = self._statements.trades.get(trade_id)
        found = [self._statements.lines.get(name) for name in (row.ledgers if row is not None else ())]
        return [line for line in found if line is not None]

    async def _estimate(self, trade: Execution) -> bool:
        """The ledger did not show a trade: once patience is over the figures of the list of trades are taken, for good. Those of its
        report are, where they are whole, when that list does not have it for long: a report may leave out what it cost.
        """
        first, times = self._tries.get(trade.id, (anyio.current_time(), 0))
        self._tries[trade.id] = first, times + 1
        waited = anyio.current_time() - first
        if not times or waited < self._patience:
            return False
        try:
            listed = await self._listed(trade)
            if listed is None and waited < 3 * self._patience:
                return False
            fill = estimate_of(listed or trade, self._owner(trade.order), self._watch.names, self._name)
        except (InvalidAmount, InvalidMarket) as error:
            log.warning("%s: trade %s is not in the ledger, and its own figures do not fit: %s", self._name, trade.id, error)
            return False
        if fill is None:
            return False
        text = "%s: the ledger does not show trade %s after %g s: it is told by its own figures, cost %s, fee %s"
        log.warning(text, self._name, trade.id, self._patience, Amount(fill.cost, fill.instrument.quote), fill.fee)
        if trade.id not in self._fills:
            self._estimates[trade.id] = fill
        return self._keep(trade, self._fills.get(trade.id, fill))

    async def _listed(self, trade: Execution) -> Execution | None:
        """A trade as the list of trades has it."""
        if self._statements.trades.get(trade.id) is None:
            with suppress(VenueUnavailable):
                await self._statements.trades.since(max(0, trade.at - APART))
        row = self._statements.trades.get(trade.id)
        return None if row is None else self._watch.execution(row)

    async def strangers(self, since: int, place: Place) -> bool:
        """Whether there were trades from an instant on of an order without a client id that could be `place`. Raises `VenueUnavailable`."""
        market, found = place.instrument.symbol, set()
        for trade in await self._statements.trades.since(max(0, since - APART)):
            track = self._watch.at(trade.order)
            with suppress(InvalidMarket):
                if trade.side == place.side and self._watch.names.pair(trade.pair).symbol == market and (track is None or not track.mine):
                    found.add(trade.order)
        for txid in sorted(found):
            try:
                info = (await self._account.ask(partial(_orders_of, self._client, txid))).get(txid)
            except VenueRejected:
                info = None
            if info is None or info.cl_ord_id is None:
                return True
        return False

    def _keep(self, trade: Execution, fill: Fill) -> bool:
        self._fills[trade.id] = fill
        self._tries.pop(trade.id, None)
        if len(self._fills) > MOST_KEPT:
            for trade_id in list(self._fills)[: MOST_KEPT // 4]:
                del self._fills[trade_id]
        return True

    def _owner(self, txid: str) -> str:
        track = self._watch.at(txid)
        return txid if track is None or track.order_id is None else track.order_id

    def _knows_owner(self, trade: TradeInfo) -> bool:
        track = self._watch.at(trade.order)
        return track is not None and track.order_id is not None

    async def _whose(self, txids: Sequence[str], *, end: bool) -> None:
        """Find out whose orders these are, and with `end` what became of them. What Kraken does not show is nobody's here."""
        found: dict[str, OrderInfo] = {}
        try:
            found = await self._account.ask(lambda vault: self._client.query_orders(vault, *txids))
        except VenueRejected as error:
            if len(txids) > 1:  # one that it does not show must not hide the others
                for txid in txids:
                    await self._whose([txid], end=end)
                return
            log.warning("%s does not show order %s, which it told of: %s", self._name, txids[0], error)
        for txid in txids:
            if txid in found:
                self._watch.listed(found[txid], end=end)
            else:
                self._watch.nobody(txid)
