"""The diagrams of the documentation, drawn from the tables in the code.

    PYTHONPATH=tests python docs/_ext/diagrams.py        writes docs/diagrams/*.svg anew

`tests/test_docs.py` fails when a file is not what the code draws now. Each picture is plain SVG that a page takes in whole, so that
its text is found, read aloud, and has the page's own colours, light and dark. Nothing is fetched from anywhere.

What is drawn comes from the code: which states there are and which move leads where, which roles are coins, what stands before what,
which records a purchase writes. Where a box stands is said here; a state that has no place here is an error, and not left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import anyio

from sleeves import FLASH, QUIET, USD, USDC, CoreVault, Desk, Instrument, Place, ProfitPolicy, Side
from sleeves.control import Control
from sleeves.dashboard.clerk import Clerk
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import Delta, Do, Preview, Previewed, Snapshot, type_of
from sleeves.engines import Idle
from sleeves.facts import Shifted
from sleeves.gates import CORE
from sleeves.ledger import COIN_ROLES, GUARDED_ROLES, MARK_ROLES, SLEEVE_ROLES, Entry, Role
from sleeves.market import SECOND, Quote
from sleeves.money import BTC
from sleeves.orders import ORDER_TRANSITIONS, Accepted, Fill, Liquidity, OrderStatus, SubmitOrder
from sleeves.records import OrderUpdate, Placed
from sleeves.sim import Tape, VirtualDriver
from sleeves.status import HOLDS, TRANSITIONS, Move, Status

__all__ = ["DIAGRAMS", "FOLDER", "main"]

FOLDER = Path(__file__).parents[1] / "diagrams"

STYLE = """
.dg{font:13px/1.3 system-ui,-apple-system,"Segoe UI",Roboto,Ubuntu,sans-serif;fill:var(--md-default-fg-color,#222)}
.dg .b{fill:var(--md-code-bg-color,#f5f5f5);stroke:var(--md-default-fg-color--light,#666);stroke-width:1.2}
.dg .strong{stroke-width:2.4}
.dg .go{stroke:var(--md-accent-fg-color,#00897b);stroke-width:2.4}
.dg .dash{stroke-dasharray:5 4}
.dg .g{fill:none;stroke:var(--md-default-fg-color--lighter,#aaa);stroke-dasharray:3 3}
.dg .l{fill:none;stroke:var(--md-default-fg-color--light,#666);stroke-width:1.3}
.dg .h{fill:var(--md-default-fg-color--light,#666)}
.dg .n{font-weight:600}
.dg .s{font-size:11.5px;fill:var(--md-default-fg-color--light,#555)}
.dg .e{font-size:11.5px;paint-order:stroke;stroke:var(--md-default-bg-color,#fff);stroke-width:5px;stroke-linejoin:round}
.dg .c0{fill:#0072b2}.dg .c1{fill:#e69f00}.dg .c2{fill:#009e73}.dg .c3{fill:#999}
.dg .p0{fill:none;stroke:#2b8cc9;stroke-width:2.2}.dg .p1{fill:none;stroke:#e69f00;stroke-width:2.2}
""".strip().replace("\n", "")

Point = tuple[float, float]


def number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


class Canvas:
    """One picture as a list of SVG elements. Its words for who cannot see it are handed in."""

    def __init__(self, name: str, width: int, height: int, says: str) -> None:
        self.name, self.width, self.height, self.says = name, width, height, says
        self.parts: list[str] = []

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> None:
        where = f' text-anchor="{anchor}"' if anchor != "start" else ""
        style = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text x="{number(x)}" y="{number(y)}"{where}{style}>{escape(words)}</text>')

    def box(self, x: float, y: float, w: float, h: float, kind: str = "b", round_by: int = 7) -> None:
        size = f'width="{number(w)}" height="{number(h)}"'
        self.parts.append(f'<rect x="{number(x)}" y="{number(y)}" {size} rx="{round_by}" class="{kind}"/>')

    def node(self, middle: Point, name: str, below: str = "", kind: str = "b", size: Point = (118, 44)) -> None:
        (x, y), (w, h) = middle, size
        self.box(x - w / 2, y - h / 2, w, h, kind)
        self.text(x, y - (3 if below else -4.5), name, "n")
        if below:
            self.text(x, y + 13, below, "s")

    def path(self, d: str, *, arrow: bool = True, kind: str = "l") -> None:
        head = f' marker-end="url(#dg-{self.name}-head)"' if arrow else ""
        self.parts.append(f'<path d="{d}" class="{kind}"{head}/>')

    def arrow(self, start: Point, end: Point, label: str = "", *, bend: float = 0, at: float = 0.5, dash: bool = False) -> None:
        """A line from a point to a point, bent to its left by so much, with its label in the way."""
        (x, y), (u, v) = start, end
        dx, dy = u - x, v - y
        far = (dx * dx + dy * dy) ** 0.5
        cx, cy = (x + u) / 2 + bend * dy / far, (y + v) / 2 - bend * dx / far
        self.path(f"M{number(x)} {number(y)}Q{number(cx)} {number(cy)} {number(u)} {number(v)}", kind="l dash" if dash else "l")
        if label:
            px = (1 - at) ** 2 * x + 2 * at * (1 - at) * cx + at * at * u
            py = (1 - at) ** 2 * y + 2 * at * (1 - at) * cy + at * at * v
            self.text(px, py + 4, label, "e")

    def svg(self) -> str:
        head = (
            f'<defs><marker id="dg-{self.name}-head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto-start-reverse"><path d="M0 .6L8 4L0 7.4z" class="h"/></marker></defs>'
        )
        opening = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="dg" role="img" viewBox="0 0 {self.width} {self.height}" '
            f'aria-label="{escape(self.says, quote=True)}">'
        )
        return "\n".join([opening, f"<style>{STYLE}</style>", head, *self.parts, "</svg>"]) + "\n"


def edge_of(middle: Point, towards: Point, size: Point = (118, 44)) -> Point:
    """Where the line from the middle of a box to a point leaves the box."""
    (x, y), (u, v), (w, h) = middle, towards, size
    dx, dy = u - x, v - y
    scale = min(w / 2 / abs(dx) if dx else 9e9, h / 2 / abs(dy) if dy else 9e9)
    return x + dx * scale, y + dy * scale


def placed(places: Mapping[Any, Point], wanted: Iterable[Any]) -> None:
    missing = [one for one in wanted if one not in places]
    if missing:
        raise KeyError(f"no place in the picture for {missing}")


# -- states ----------------------------------------------------------------------------------------------------------------

_STATES: dict[Status, Point] = {
    Status.STAND_BY: (110, 60),
    Status.ACTIVE: (370, 60),
    Status.CLOSE_ONLY: (650, 60),
    Status.PAUSED: (370, 200),
    Status.IMPAIRED: (700, 200),
    Status.HALTED: (650, 340),
    Status.DEACTIVATED: (110, 340),
}


def rights(status: Status) -> str:
    if status.may_open:
        return "takes risk, exits"
    return "exits only" if status.may_exit else "neither"


def states() -> str:
    """The table of statuses. A move that leads to one state from three or more is told beside that state, not drawn from each."""
    placed(_STATES, Status)
    moves: dict[Move, dict[Status, Status]] = {move: {} for move in Move}
    for (status, move), to in TRANSITIONS.items():
        if to is not status:
            moves[move][status] = to
    told = {move: pairs for move, pairs in moves.items() if len(pairs) >= 3 and len(set(pairs.values())) == 1}
    drawn = [(a, b, move) for move, pairs in moves.items() if move not in told for a, b in pairs.items()]
    words = [f"{a} to {b} by {move}" for a, b, move in drawn]
    words += [f"{next(iter(pairs.values()))} by {move} from {', '.join(pairs)}" for move, pairs in told.items()]
    causes = [str(cause) for cause, rule in HOLDS.items() if rule.status is Status.IMPAIRED]
    words.append(f"impaired only while a cause lasts: {', '.join(causes)}")
    canvas = Canvas("states", 800, 400, "Statuses and the moves between them: " + "; ".join(words) + ".")
    both = {frozenset((a, b)) for a, b, _ in drawn if any((b, a) == (c, d) for c, d, _ in drawn)}
    for a, b, move in drawn:
        bend = 60 if frozenset((a, b)) in both else 0
        canvas.arrow(edge_of(_STATES[a], _STATES[b]), edge_of(_STATES[b], _STATES[a]), str(move), bend=bend)
    for move, pairs in told.items():
        to = next(iter(pairs.values()))
        x, y = _STATES[to]
        up = y > 200
        canvas.path(f"M{number(x)} {number(y + (-62 if up else 62))}L{number(x)} {number(y + (-22 if up else 22))}")
        canvas.text(x, y + (-66 if up else 74), str(move), "e")
        canvas.text(x, y + (36 if up else -32), "from " + ", ".join(pairs), "s")
    for status, middle in _STATES.items():
        kind = "b go" if status.may_open else "b dash" if status is Status.IMPAIRED else "b"
        canvas.node(middle, str(status), rights(status), kind)
    x, y = _STATES[Status.IMPAIRED]
    canvas.text(x, y + 38, "while a cause lasts:", "s")
    canvas.text(x, y + 53, ", ".join(causes), "s")
    return canvas.svg()


_ORDERS: dict[OrderStatus, Point] = {
    OrderStatus.SUBMITTED: (90, 150),
    OrderStatus.OPEN: (330, 60),
    OrderStatus.UNKNOWN: (330, 240),
    OrderStatus.FILLED: (640, 150),
    OrderStatus.CANCELED: (640, 55),
    OrderStatus.REJECTED: (640, 245),
}


def orders() -> str:
    """The table of order statuses; what leads to every final status is drawn to their frame."""
    placed(_ORDERS, OrderStatus)
    final = {status for status in OrderStatus if status.done}
    words, lines = [], []
    for status, after in ORDER_TRANSITIONS.items():
        if after:
            words.append(f"{status} may become {', '.join(to for to in OrderStatus if to in after)}")
        whole = final <= after
        lines += [(status, to) for to in OrderStatus if to in after and not (whole and to in final)]
        lines += [(status, None)] if whole else []
    canvas = Canvas("orders", 760, 300, "Statuses of an order: " + "; ".join(words) + ".")
    canvas.box(556, 12, 168, 276, "g", 10)
    canvas.text(640, 28, "off the book", "s")
    for status, to in lines:
        a = _ORDERS[status]
        if to is None:
            b = (550, {60: 90, 150: 150, 240: 210}[int(a[1])])
            canvas.arrow(edge_of(a, b), b)
        elif status in final:
            canvas.arrow(edge_of(a, _ORDERS[to]), edge_of(_ORDERS[to], a), "a late fill")
        else:
            bend = 14 if (to, status) in lines else 0
            canvas.arrow(edge_of(a, _ORDERS[to]), edge_of(_ORDERS[to], a), bend=bend)
    below = {OrderStatus.SUBMITTED: "held and journaled", OrderStatus.UNKNOWN: "stays held, is asked", OrderStatus.OPEN: "the venue has it"}
    for status, middle in _ORDERS.items():
        canvas.node(middle, str(status), below.get(status, ""), size=(140, 44) if not status.done else (118, 40))
    return canvas.svg()


# -- the chart of accounts -------------------------------------------------------------------------------------------------


def roles() -> str:
    """Every role once: by what its number is, and by who may have one."""
    columns = [
        ("coins that exist", lambda role: role in COIN_ROLES),
        ("how they came and went", lambda role: role not in COIN_ROLES and role not in MARK_ROLES),
        ("permissions and marks", lambda role: role in MARK_ROLES),
    ]
    rows = [("a sleeve's alone", lambda role: role in SLEEVE_ROLES), ("of others", lambda role: role not in SLEEVE_ROLES)]
    cells = {
        (c, r): [role for role in Role if of(role) and has(role)] for c, (_, of) in enumerate(columns) for r, (_, has) in enumerate(rows)
    }
    told = [f"{rows[r][0]}, {columns[c][0]}: {', '.join(found)}" for (c, r), found in cells.items()]
    guarded = ", ".join(role for role in Role if role in GUARDED_ROLES)
    heights = [max(-(-len(cells[c, r]) // 2) for c in range(3)) * 40 + 18 for r in range(2)]
    canvas = Canvas("roles", 800, 62 + sum(heights) + 46, f"Roles of accounts. {'; '.join(told)}. No command takes below zero: {guarded}.")
    top = 40.0
    for c, (title, _) in enumerate(columns):
        canvas.text(100 + c * 235 + 115, 26, title, "n")
    for r, (title, _) in enumerate(rows):
        for n, word in enumerate(title.split("'s ")):
            canvas.text(8, top + heights[r] / 2 + 14 * n, word + ("'s" if "'s" in title and not n else ""), "s", "start")
        for c in range(3):
            left = 100 + c * 235
            canvas.box(left, top, 228, heights[r], "g")
            for n, role in enumerate(cells[c, r]):
                x, y = left + 10 + (n % 2) * 107, top + 10 + (n // 2) * 40
                canvas.box(x, y, 101, 32, "b go" if role in GUARDED_ROLES else "b", 5)
                canvas.text(x + 50.5, y + 20.5, str(role))
        top += heights[r] + 12
    canvas.box(100, top + 6, 22, 16, "b go", 4)
    canvas.text(130, top + 18.5, "no command takes it below zero", "s", "start")
    return canvas.svg()


# -- the house -------------------------------------------------------------------------------------------------------------

BANDS = [
    ("errors", "what words mean"),
    ("margin", "what contracts need"),
    ("ledger", "the books"),
    ("shares", "a pool's shares"),
    ("protocols", "the seams"),
    ("keys.secret", "keys and venues"),
    ("risk", "reading the books"),
    ("gates", "the desk"),
    ("plots", "reports, alerts"),
    ("engines", "engines decide"),
    ("sim.tape", "the simulator"),
    ("inbox", "the shell"),
    ("testing.script", "tests, past, journals"),
    ("dashboard.messages", "what is seen"),
]
"""By the first module of each floor."""


def house() -> str:
    """The import order, floor by floor; a package stands there once, however many modules it has on that floor."""
    from test_architecture import ORDER

    if missing := [first for first, _ in BANDS if first not in ORDER]:
        raise KeyError(f"no module {missing} in the order")
    starts = [ORDER.index(first) for first, _ in BANDS]
    floors: list[tuple[str, list[str]]] = []
    for (_, title), begin, end in zip(BANDS, starts, [*starts[1:], len(ORDER)], strict=True):
        floors.append((title, list(dict.fromkeys(name.partition(".")[0] for name in ORDER[begin:end]))))
    rows: list[tuple[str, list[tuple[float, float, str]]]] = []
    for title, chips in floors:
        x, line = 0.0, []
        first = True
        for words in chips:
            w = 16 + 7.1 * len(words)
            if x + w > 610:
                rows.append((title if first else "", line))
                x, line, first = 0.0, [], False
            line.append((x, w, words))
            x += w + 6
        rows.append((title if first else "", line))
    height = sum(30 + (8 if title else 0) for title, _ in rows) + 24
    said = "; ".join(f"{title}: {', '.join(chips)}" for title, chips in floors)
    canvas = Canvas("house", 800, height, f"The import order, from the top: a module imports only what stands before it. {said}.")
    canvas.path(f"M12 {height - 14}L12 18")
    y = 8.0
    for title, line in rows:
        if title:
            y += 8
            canvas.text(24, y + 16, title, "s", "start")
        for x, w, words in line:
            canvas.box(176 + x, y, w, 24, "b", 5)
            canvas.text(176 + x + w / 2, y + 16.5, words)
        y += 30
    return canvas.svg()


# -- an event on its way ---------------------------------------------------------------------------------------------------


class _Once:
    """Buys at the first price and sells at the second."""

    name, every = "engine", 0

    def __init__(self, market: Instrument) -> None:
        self.watches = (market,)

    def begin(self) -> list[int]:
        return []

    def decide(self, memory: list[int], view: object) -> list[Place]:  # noqa: ARG002  an engine's signature
        (market,) = self.watches
        memory.append(1)
        if len(memory) > 2:
            return []
        return [Place(market, Side.BUY if len(memory) == 1 else Side.SELL, market.qty("0.01"), reduce_only=len(memory) > 1)]


def _words(entry: Entry) -> str:
    return f"entry: {entry.kind}"


def flow() -> str:
    """What one purchase and one sale of a Flash sleeve write, as a real desk does it: run here, record by record."""
    btc = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_notional="5")
    vault = CoreVault(USD, total="2000", tradeable="2000")
    desk = Desk(vault)
    desk.assign(_Once(btc), to=vault.sleeve("flash", FLASH, allocate="1000"))
    journal, at = vault.books.journal, 0
    seen = len(journal)
    steps: list[tuple[str, str, str]] = []  # from, to, words

    def written() -> None:
        nonlocal seen
        new = list(journal)[seen:]
        seen = len(journal)
        for record in new:
            if isinstance(record, Entry):
                steps.append(("desk", "journal", _words(record)))
            elif isinstance(record, Placed):
                steps.append(("desk", "journal", "the order"))
            elif isinstance(record, OrderUpdate):
                steps.append(("desk", "journal", f"order: {record.status}"))

    for price, side in (("10000", "buy"), ("10400", "sell")):
        at += SECOND
        steps.append(("venue", "desk", "price"))
        (command,) = desk.step(Quote(btc, at, btc.price(price), btc.price(price)))
        assert isinstance(command, SubmitOrder)
        steps.append(("desk", "engine", "decide(memory, view)"))
        steps.append(("engine", "desk", f"wish: {side}"))
        gates = ", ".join(getattr(gate, "name", None) or getattr(gate, "__name__", "") or "price_age" for gate in CORE)
        steps.append(("desk", "desk", f"gates: {gates}"))
        written()
        steps.append(("desk", "venue", "SubmitOrder"))
        order = command.order
        desk.step(Accepted(order.id, at + 1))
        steps.append(("venue", "desk", "Accepted"))
        written()
        qty, cost = order.place.qty, USD(price).units // 100
        fill = Fill(order.id, at + 2, btc, order.place.side, qty, btc.price(price), cost, USD("0.1"), Liquidity.TAKER, f"t-{side}")
        desk.step(fill)
        steps.append(("venue", "desk", "Fill"))
        written()
    lanes = {"engine": 110, "desk": 320, "venue": 545, "journal": 730}
    height = 60 + 25 * len(steps)
    said = "; ".join(f"{a} to {b}: {words}" for a, b, words in steps)
    canvas = Canvas("flow", 800, height, f"A purchase and a sale of a Flash sleeve, step by step: {said}.")
    for name, x in lanes.items():
        canvas.path(f"M{x} 44L{x} {height - 8}", arrow=False, kind="l dash")
        canvas.node((x, 24), name, size=(110, 32))
    for n, (a, b, words) in enumerate(steps):
        y = 70 + 25 * n
        x, u = lanes[a], lanes[b]
        if a == b:
            canvas.box(x - 8, y - 10, 16, 20, "b go", 4)
            canvas.text(x - 16, y + 4, words, "e", "end")
            continue
        canvas.path(f"M{x} {y}L{u} {y}")
        middle = (x + u) / 2 if b != "journal" else 637
        canvas.text(middle, y - 4, words, "e")
    return canvas.svg()


# -- what goes over the page's wire ------------------------------------------------------------------------------------------


def wire() -> str:
    """A page's talk with a desk, message by message, as feed and clerk really answer it: run here."""
    steps: list[tuple[str, str, str]] = []  # from, to, words

    async def talk() -> None:
        btc = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_notional="5")
        vault = CoreVault(USD, total="2000", tradeable="2000")
        desk = Desk(vault)
        desk.assign(Idle(btc), to=vault.sleeve("flash", FLASH, allocate="1000"))
        prices = ["10000", "10000"]
        tape = Tape.from_columns(btc, ts=[60, 120], open=prices, high=prices, low=prices, close=prices)
        control, feed = Control(desk, VirtualDriver(tape, {"USD": USD("2000")})), Feed(desk, session="a", commands=True)
        visit = Clerk(desk, control).visit("s", by="ann")
        seq = 0

        def told(message: object) -> None:
            nonlocal seq
            kind = type_of(type(message))
            words = f"{kind} {message.seq}" if isinstance(message, (Snapshot, Delta)) else kind
            if isinstance(message, Previewed):
                words += ": numbers, ticket"
            steps.append(("server", "page", words))
            seq = message.seq if isinstance(message, (Snapshot, Delta)) else seq

        def look() -> None:
            delta = feed.refresh()
            assert delta is not None
            told(delta)

        def price(text: str, at: int) -> None:
            steps.append(("desk", "server", "a price"))
            desk.step(Quote(btc, at, btc.price(text), btc.price(text)))

        steps.append(("page", "server", "hello"))
        told(feed.snapshot())
        price("10000", SECOND)
        look()
        terms = {"what": "allocate", "id": "page-1", "sleeve": "flash", "amount": "100"}
        steps.append(("page", "server", "preview: allocate"))
        given: list[Any] = []
        await visit.hear(Preview(terms), given.append)
        told(given[-1])
        steps.append(("page", "page", "a human says yes"))
        steps.append(("page", "server", "do, with the ticket"))
        steps.append(("server", "desk", "Allocate by ann"))
        await visit.hear(Do(terms, given[-1].ticket), given.append)
        told(given[-1])
        look()
        steps.append(("page", "page", "the connection is lost"))
        price("10100", 2 * SECOND)
        feed.refresh()
        steps.append(("page", "server", f"hello: session, {seq}"))
        missed = feed.since("a", seq)
        assert missed
        for delta in missed:
            told(delta)

    anyio.run(talk)
    lanes = {"page": 170, "server": 470, "desk": 700}
    height = 60 + 26 * len(steps)
    said = "; ".join(f"{a} to {b}: {words}" if a != b else words for a, b, words in steps)
    canvas = Canvas("wire", 800, height, f"A page and a desk, message by message: {said}.")
    for name, x in lanes.items():
        canvas.path(f"M{x} 44L{x} {height - 8}", arrow=False, kind="l dash")
        canvas.node((x, 24), {"server": "feed and clerk"}.get(name, name), size=(130, 32))
    for n, (a, b, words) in enumerate(steps):
        y = 72 + 26 * n
        x, u = lanes[a], lanes[b]
        if a == b:
            canvas.box(x - 8, y - 10, 16, 20, "b go", 4)
            canvas.text(x - 16, y + 4, words, "e", "end")
            continue
        canvas.path(f"M{x} {y}L{u} {y}")
        canvas.text((x + u) / 2, y - 4, words, "e")
    return canvas.svg()


# -- policies and backing --------------------------------------------------------------------------------------------------

RESULTS = (300, -200, 150, 400, -350, 250, 500, -100, 200)
"""What nine trades made, one after another: made up, and the same for each policy."""


def policies() -> str:
    """What each policy makes of the same nine trades: the balance that trades on, and what went back."""
    shown: Sequence[tuple[str, ProfitPolicy]] = (
        ("QUIET", QUIET),
        ("FLASH", FLASH),
        ('above_high_water("50%")', ProfitPolicy.above_high_water("50%")),
    )
    ends = []
    canvas = Canvas("policies", 800, 250, "")
    low, high, start = 400, 2400, 1000
    for n, (title, policy) in enumerate(shown):
        left = 52 + n * 256

        def at(turn: float, value: float, left: float = left) -> str:
            return f"{number(left + turn * 22)} {number(204 - (value - low) / (high - low) * 160)}"

        balance, returned, water = USD(str(start)).units, 0, 0
        line, sweeps = [at(0, start)], []
        for turn, made in enumerate(RESULTS, 1):
            balance += USD(str(abs(made))).units * (1 if made > 0 else -1)
            line.append(at(turn, balance / 10**6))
            sweep = policy.sweep(balance, USD(str(start)).units, water, balance, USD)
            balance, returned, water = balance - sweep.units, returned + sweep.units, water + sweep.kept
            if sweep.units:
                line.append(at(turn, balance / 10**6))
                sweeps.append((turn, sweep.units))
        ends.append(f"{title}: balance {balance / 10**6:g}, returned {returned / 10**6:g}")
        canvas.text(left + 99, 22, title, "n")
        canvas.path(f"M{at(0, start)}L{at(9.2, start)}", arrow=False, kind="l dash")
        canvas.path(f"M{at(0, low)}L{at(9.2, low)}", arrow=False)
        if sweeps:
            total, stairs = 0, [at(0, low)]
            for turn, units in sweeps:
                stairs.append(at(turn, low + total / 10**6))
                total += units
                stairs.append(at(turn, low + total / 10**6))
            stairs.append(at(9.2, low + total / 10**6))
            canvas.path("M" + "L".join(stairs), arrow=False, kind="p1")
        canvas.path("M" + "L".join([*line, at(9.2, balance / 10**6)]), arrow=False, kind="p0")
        canvas.text(left + 99, 222, f"balance {balance / 10**6:,.0f}, returned {returned / 10**6:,.0f}", "s")
    canvas.path("M250 240L274 240", arrow=False, kind="p0")
    canvas.text(280, 244, "balance", "s", "start")
    canvas.path("M350 240L374 240", arrow=False, kind="p1")
    canvas.text(380, 244, "returned, from 0", "s", "start")
    canvas.path("M500 240L524 240", arrow=False, kind="l dash")
    canvas.text(530, 244, "allocation, 1,000", "s", "start")
    canvas.says = f"Three policies after the same nine trades of {', '.join(map(str, RESULTS))} from 1,000: {'; '.join(ends)}."
    return canvas.svg()


def backing() -> str:
    """Whose the coins of an account are, where two sleeves are slices and one has a sub-account; from a real desk's books."""
    vault = CoreVault(USDC, total="20000", tradeable="16000", reserve="10%")
    desk = Desk(vault)
    quiet = vault.sleeve("quiet", QUIET, allocate="6000")
    flash = vault.sleeve("flash", FLASH, allocate="4000")
    own = vault.sleeve("carry", QUIET, account=1)
    vault.allocate(own, "5000")
    (transfer,) = desk.pass_time(1)
    desk.step(Shifted(2, USDC("5000"), 0, 1, transfer.id, "velocity"))
    main = [
        ("idle", vault.idle, "c3"),
        ("reserve", vault.reserve, "c2"),
        (quiet.name, quiet.balance, "c0"),
        (flash.name, flash.balance, "c1"),
    ]
    accounts = [
        ("main account", main, "slices: together no more than the account holds"),
        ("sub-account 1", [(own.name, own.balance, "c0")], "a sub-account: exactly what its sleeves have"),
    ]
    said = "; ".join(f"{name}: {', '.join(f'{who} {amount}' for who, amount, _ in parts)}" for name, parts, _ in accounts)
    canvas = Canvas("backing", 800, 208, f"Whose the coins are. {said}.")
    y = 20
    for title, parts, rule in accounts:
        canvas.text(8, y + 26, title, "n", "start")
        x = 130.0
        for who, amount, colour in parts:
            w = amount.units / 10**6 / 20000 * 850
            canvas.box(x, y, w, 40, f"b {colour}", 0)
            canvas.parts[-1] = canvas.parts[-1].replace(f'class="b {colour}"', f'class="{colour}" fill-opacity=".55"')
            canvas.text(x + w / 2, y + 18, who, "n")
            canvas.text(x + w / 2, y + 33, f"{amount.units // 10**6:,}", "")
            x += w + 2
        canvas.text(130, y + 60, rule, "s", "start")
        y += 100
    return canvas.svg()


DIAGRAMS: Mapping[str, Callable[[], str]] = {
    "backing": backing,
    "flow": flow,
    "house": house,
    "orders": orders,
    "policies": policies,
    "roles": roles,
    "states": states,
    "wire": wire,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, draw in DIAGRAMS.items():
        path, drawn = FOLDER / f"{name}.svg", draw()
        if not path.exists() or path.read_text(encoding="utf-8") != drawn:
            path.write_text(drawn, encoding="utf-8")
            sys.stdout.write(f"wrote docs/diagrams/{name}.svg\n")


if __name__ == "__main__":
    main()
