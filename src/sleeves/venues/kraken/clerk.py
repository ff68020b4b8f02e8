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
from ...orders import Fill, TimeInForce
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
SEVERAL = 300.0
"""The longest time between two such questions, in seconds."""
MOST_KEPT = 100_000
"""How many fills are kept: older ones are made anew from the ledger."""


def pause(tried: int) -> float:
    """How long to wait before the next try."""
    return PAUSES[min(tried, len(PAUSES) - 1)]


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

    def _look_is_over(self) -> None:
        self._done.set()
        self._done = anyio.Event()

    async def _look(self) -> None:
        watch = self._watch
        if watch.strange and not watch.sending:
            await self._whose(tuple(watch.strange), end=True)
        for track in self._overdue():
            await self._ask_after(track)
        if watch.short:
            await self._find(tuple(watch.short))
        trades = [trade for trade in watch.pending.values() if trade.order not in watch.strange]
        for trade in await self._in_the_ledger(trades):
            self._estimate(trade)
        for trade in trades:
            if trade.id in self._fills:
                watch.fill(self._fills[trade.id], trade)

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
            left = [trade for trade in await self._in_the_ledger(left) if not self._estimate(trade)]
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
        await self._statements.lines.since(max(0, min(trade.at for trade in left) - APART))
        return [trade for trade in left if not self._made(trade)]

    def _made(self, trade: Execution) -> bool:
        if trade.id in self._fills:
            return True
        lines = self._statements.lines.of(trade.id)
        try:
            fill = fill_of(trade, self._owner(trade.order), lines, self._watch.names, self._name) if lines else None
        except (InvalidAmount, InvalidMarket) as error:
            log.warning("%s: the ledger's lines of trade %s cannot be read: %s", self._name, trade.id, error)
            return False
        return fill is not None and self._keep(trade, fill)

    def _estimate(self, trade: Execution) -> bool:
        """The ledger did not show a trade: once patience is over its own figures are taken, for good."""
        first, times = self._tries.get(trade.id, (anyio.current_time(), 0))
        self._tries[trade.id] = first, times + 1
        if not times or anyio.current_time() - first < self._patience:
            return False
        try:
            fill = estimate_of(trade, self._owner(trade.order), self._watch.names, self._name)
        except (InvalidAmount, InvalidMarket) as error:
            log.warning("%s: trade %s is not in the ledger, and its own figures do not fit: %s", self._name, trade.id, error)
            return False
        if fill is None:
            return False
        text = "%s: the ledger does not show trade %s after %g s: it is told by its own figures, cost %s, fee %s"
        log.warning(text, self._name, trade.id, self._patience, Amount(fill.cost, fill.instrument.quote), fill.fee)
        return self._keep(trade, fill)

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
