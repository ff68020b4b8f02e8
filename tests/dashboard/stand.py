"""Where the dashboard is tried: a real desk on a paper venue that plays real candles, one row at a time.

`quiet` and `flash` trade the coin; with contracts `swing` is long or short of a perpetual on them with borrowed money, `carry` stays
short to collect funding, and `rest` keeps a bid below the market. So there are positions, orders that rest, orders that fill,
sweeps, funding, settlements, refusals, alerts about health, and gaps. Candles are the packaged ones of BTC/USD, and the contract's
prices are taken to be the coin's; its funding rate is an assumption.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache

from sleeves import BTC, FLASH, QUIET, USD, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.engines import Trend
from sleeves.market import HOUR, FundingRate, Kind, Perpetual
from sleeves.orders import Cancel, Intent
from sleeves.protocols import View
from sleeves.sim import Fees, Latency, Rules, Tape, VirtualDriver
from sleeves.sim.exchange import Step

MARKUP = "<img src=x onerror=alert(1)>"
"""A name that a careless page would run."""
ROWS = 900
"""How many hours the tapes are long."""
TERMS = Perpetual(initial_bp=3_000, maintenance_bp=2_000, funding_every=8 * HOUR)
"""Dear margin, so that health moves where people look at it."""
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", min_qty="0.001", kind=Kind.PERP, contract=TERMS)
RULES = Rules(Fees(-100, 400), latency=Latency(order_ns=200_000_000))


@cache
def tapes(rows: int = ROWS, first: int = 0) -> tuple[Tape, Tape]:
    """(the coin, the contract with its funding)"""
    spot = Tape.sample().slice(first, first + rows)
    columns = {name: [PERP.price_text(price) for price in getattr(spot, name)] for name in ("open", "high", "low", "close")}
    perp = Tape.from_columns(PERP, ts=list(spot.at), **columns, name="BTC/USD candles as a contract's prices")
    due = [(at, price) for at, price in zip(perp.at, perp.open, strict=True) if at % (8 * HOUR) == 0 and at > perp.at[0]]
    return spot, perp.with_funding([FundingRate.of(PERP, "0.01%", price=price, at=at) for at, price in due])


SPOT = Tape.sample().instrument


class Wave:
    """In for so many rows, out for as many, from a row of its own on: it always has something to do."""

    every = HOUR
    watches = (SPOT,)

    def __init__(self, name: str, phase: int = 0, length: int = 5) -> None:
        self.name, self.phase, self.length = name, phase, length

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if (memory[0] + self.phase) % self.length or view.orders():
            return None
        held = view.position(SPOT)
        if held:
            return [Place(SPOT, Side.SELL, held, why="the wave goes out")]
        qty = SPOT.affordable(view.free() // 2, view.book.ask, 10_000)
        return [Place(SPOT, Side.BUY, qty, why="the wave comes in")] if qty else None


class Swing:
    """Twice its money long or short of the contract, turned every so many rows, and once a day a wish beyond all means."""

    every = HOUR
    watches = (PERP,)

    def __init__(self, name: str = "swing", times: int = 3, length: int = 36) -> None:
        self.name, self.times, self.length = name, times, length

    def begin(self) -> list[int]:
        return [0]

    def saw(self, memory: list[int]) -> dict[str, str]:
        return {"rows": str(memory[0])}

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if memory[0] % 24 == 5:
            return [Place(PERP, Side.BUY, PERP.qty("1000"), why="more than there is")]
        if view.orders():
            return None
        side = Side.BUY if (memory[0] // self.length) % 2 == 0 else Side.SELL
        held = view.position(PERP) * side.sign
        if held > 0:
            return None
        if held < 0:
            return [Place(PERP, side, -held, reduce_only=True, why="it turns")]
        return [Place(PERP, side, PERP.affordable(view.free() * self.times, view.book.ask, 20_000) or PERP.lot_units, why="its times")]


class Carry:
    """Short a fixed quantity for as long as it can."""

    name = "carry"
    every = 24 * HOUR
    watches = (PERP,)

    def begin(self) -> None:
        return None

    def decide(self, _memory: None, view: View) -> Iterable[Intent] | None:
        if view.position(PERP) or view.orders():
            return None
        return [Place(PERP, Side.SELL, PERP.qty("0.2"), why="collects funding")]


class Rest:
    """A bid two percent below the market, moved every six rows; what it buys is sold at a limit one percent above."""

    every = HOUR
    watches = (SPOT,)

    def __init__(self, name: str = "rest") -> None:
        self.name = name

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if memory[0] % 6:
            return None
        wishes: list[Intent] = [Cancel(order.id) for order in view.orders()]
        mid, held = view.book.mid, view.sellable(SPOT)
        if wishes:
            return wishes
        if held:
            return [Place(SPOT, Side.SELL, held, limit=SPOT.round_price(SPOT.price_float(mid) * 1.01), post_only=True, why="out again")]
        price = SPOT.round_price(SPOT.price_float(mid) * 0.98)
        return [
            Place(SPOT, Side.BUY, SPOT.affordable(view.free() // 2, price, 10_000), limit=price, post_only=True, why="a bid that rests")
        ]


class Stand:
    """A desk, its venue, and the rows of its tapes that were not played yet."""

    def __init__(self, desk: Desk, venue: VirtualDriver) -> None:
        self.desk, self.venue = desk, venue
        self._steps: Iterator[Step] | None = None

    @property
    def vault(self) -> CoreVault:
        return self.desk.treasury.vaults[0]

    @property
    def sleeves(self):
        return self.vault.sleeves

    def carry(self, commands) -> None:
        """Carry out what a command of the desk led to; `play` tells what came of it."""
        for command in commands:
            self.venue.exchange.carry(command, self.venue._now)

    def play(self, rows: int = 1, *, each=None) -> int:
        """Play so many prices of each market, with all that follows; returns how many prices there were.

        `each` is called between two steps of the desk. A venue that is played here is not handed to `trade` any more.
        """
        exchange, played = self.venue.exchange, 0
        if self._steps is None:
            self._steps = exchange.play()
        while played < rows * len(exchange.tapes):
            step = next(self._steps, None)
            if step is None:
                break
            self.venue._now = step.at
            self._drain()
            if step.price:
                self.carry(self.desk.step(exchange.quote(step)))
                played += 1
                self._drain()
            if each is not None:
                each()
        return played

    def _drain(self) -> None:
        outbox = self.venue.exchange.outbox
        while outbox:
            event = outbox.popleft()
            self.venue._past.note(event)
            self.carry(self.desk.step(event))


def make_desk(
    engines: int = 2,
    *,
    contracts: bool = True,
    hostile: bool = False,
    rows: int = ROWS,
    first: int = 0,
    books: Books | None = None,
    total: str = "",
    **terms,
) -> Stand:
    """A stand with so many sleeves that trade the coin, and, with contracts, three more. `hostile` names an engine like markup."""
    spot, perp = tapes(rows, first)
    needed = 5_000 * engines + 30_000 * contracts
    total = total or str(needed * 23 // 20)
    vault = CoreVault(USD, total=total, tradeable=str(needed * 21 // 20), reserve="5%", books=books)
    health = {"health_alerts": (80, 50, 20)} if contracts else {}
    desk = Desk(vault, mark_every=HOUR, most_leverage=5, **{**health, **terms})
    kinds = [
        ("quiet", QUIET, Trend.quiet(SPOT)),
        ("flash", FLASH, Trend.flash(SPOT, **({"name": MARKUP} if hostile else {}))),
        *((f"wave-{n}", (QUIET, FLASH)[n % 2], Wave(f"wave-{n}", n)) for n in range(max(0, engines - 2))),
    ][:engines]
    for name, policy, engine in kinds:
        desk.assign(engine, to=vault.sleeve(name, policy, allocate="5000"))
    if contracts:
        desk.assign(Swing(), to=vault.sleeve("swing", FLASH, allocate="18000"))
        desk.assign(Carry(), to=vault.sleeve("carry", QUIET, allocate="8000"))
        desk.assign(Rest(), to=vault.sleeve("rest", QUIET, allocate="4000"))
    return Stand(desk, VirtualDriver((spot, perp) if contracts else spot, {"USD": USD(total)}, RULES, wallet={"USD": USD("100000")}))


class Page:
    """What a page makes of its messages, as plain JSON: the rules that `messages` gives, and nothing of our own code."""

    def __init__(self) -> None:
        self.session, self.seq = None, None
        self.tables, self.streams, self.charts = {}, {}, {}

    def take(self, written: bytes) -> str:
        """ "ok", or "gap" where a delta is missing; what it knows already changes nothing."""
        body = json.loads(written)
        if body["type"] == "snapshot":
            self.session, self.seq = body["session"], body["seq"]
            self.tables, self.streams, self.charts = body["tables"], body["streams"], body["charts"]
            return "ok"
        assert body["type"] == "delta"
        if body["session"] != self.session or body["seq"] > self.seq + 1:
            return "gap"
        if body["seq"] <= self.seq:
            return "ok"
        self.seq = body["seq"]
        for table, rows in body["set"].items():
            self.tables[table] |= rows
        for table, keys in body["drop"].items():
            for key in keys:
                del self.tables[table][key]
        for stream, items in body["add"].items():
            self.streams[stream] = [*self.streams[stream], *items][-500:]
        for series, points in body["points"].items():
            chart = self.charts.setdefault(series, {"fields": FIELDS[series.partition(":")[0]], "points": []})
            chart["points"] = [*chart["points"], *points]
            while len(chart["points"]) > 2000:
                chart["points"] = chart["points"][::-1][::2][::-1]
        return "ok"

    def picture(self):
        """All that it shows."""
        return {"tables": self.tables, "streams": self.streams, "charts": self.charts}


FIELDS = {
    "sleeve": ["at_ms", "balance", "equity", "realized", "unrealized", "fees", "returned"],
    "vault": ["at_ms", "total", "tradeable"],
}
