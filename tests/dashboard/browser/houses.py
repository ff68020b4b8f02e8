"""A desk that trades on a simulated exchange behind the real server, on a loop in a thread of its own: what the browser looks at.

The simulated market goes at the pace that a test sets, and stands still when it says so; what the books say is asked for in
their own thread.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import evolve
from httpx_ws import connect_ws
from pages import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount, Route

from sleeves import BTC, FLASH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.control import Control
from sleeves.dashboard import app, serve
from sleeves.dashboard.serve import Served
from sleeves.live import trade
from sleeves.market import HOUR, FundingRate, Kind, Perpetual, Quote
from sleeves.orders import Event, Intent
from sleeves.protocols import View
from sleeves.pulse import Pulse
from sleeves.sim import Tape, VirtualDriver
from sleeves.sim.tape import Repairs

__all__ = ["HOSTILE", "TOKEN", "Host", "House", "Market", "Turns", "a_desk", "a_line", "a_market", "played"]

T = TypeVar("T")
TOKEN = "a-token-of-the-tests-0123456789"
HOSTILE = "<img src=x onerror=document.title='ran'>"
"""A name that would run, were it ever taken for markup."""
SPOT = Tape.sample().instrument
PERP = Instrument(
    "BTC-PERP",
    base=BTC,
    quote=USD,
    tick="0.01",
    lot="0.00001",
    min_qty="0.0001",
    min_notional="1",
    kind=Kind.PERP,
    contract=Perpetual(imf=500, funding_every=HOUR),
)


class Turns:
    """Buys `qty` and sells them again, every so many prices: so that there is something to see."""

    every = 0

    def __init__(self, market: Instrument, name: str, *, qty: str, of: int, offset: int = 0, side: Side = Side.BUY) -> None:
        self.name, self.watches = name, (market,)
        self.qty, self.of, self.offset, self.side = market.qty(qty), of, offset, side

    def begin(self) -> list[int]:
        return [self.offset]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if memory[0] % self.of:
            return None
        market = self.watches[0]
        held = view.position(market)
        if held:
            return (Place(market, Side.SELL if held > 0 else Side.BUY, abs(held)),)
        return (Place(market, self.side, self.qty),)


class Market(VirtualDriver):
    """The simulated exchange at the pace of a test: `pace` seconds before each price, and none while `still`."""

    pace = 0.02
    still = False

    async def events(self) -> AsyncIterator[Event]:
        async for event in super().events():
            if isinstance(event, Quote):
                await anyio.sleep(self.pace)
                while self.still:
                    await anyio.sleep(0.005)
            yield event


def tapes(rows: int) -> tuple[Tape, Tape]:
    """The packaged candles as a coin and as a contract on it, with funding every eight hours."""
    spot = Tape.sample().slice(0, rows)
    rates = [
        FundingRate.of(PERP, ("0.01%", "-0.004%", "0.02%")[n % 3], price=spot.close[row], at=spot.at[row], every=8 * HOUR)
        for n, row in enumerate(range(8, rows, 8))
    ]
    perp = evolve(spot, instrument=PERP, name="contract", repairs=Repairs())
    return spot, perp.with_funding(rates) if rates else perp


def a_market(rows: int = 4_000, *, pace: float = 0.02, coins: str = "20000", wallet: str = "5000") -> Market:
    venue = Market(tapes(rows), {"USD": USD(coins)}, wallet={"USD": USD(wallet)})
    venue.pace = pace
    return venue


def a_desk(*, hostile: bool = False, total: str = "20000", name: str = "turns") -> Desk:
    """Two engines on the coin, and one that is short of the contract; the engine of `quiet` has a name that a test picks."""
    vault = CoreVault(USD, total=total, tradeable="15000")
    desk = Desk(vault)
    name = HOSTILE if hostile else name
    desk.assign(Turns(SPOT, name, qty="0.2", of=7), to=vault.sleeve("quiet", QUIET, allocate="6000"))
    desk.assign(Turns(SPOT, "turns-flash", qty="0.1", of=5, offset=2), to=vault.sleeve("flash", FLASH, allocate="3000"))
    short = Turns(PERP, "turns-short", qty="0.3", of=11, side=Side.SELL)
    desk.assign(short, to=vault.sleeve("short", QUIET, allocate="4000"))
    return desk


def played(desk: Desk, venue: Market) -> Desk:
    """The desk after the whole of the venue's tapes, without any server."""
    with start_blocking_portal("asyncio") as portal:  # a browser's driver has the loop of this thread
        portal.call(trade, desk, venue)
    return desk


class House:
    """Server, run and commands on one loop in a thread of their own, for as long as the block lasts.

    `url` is where the page is, with a slash at its end; `ask(function)` runs it in the loop's thread and brings what it returns.
    """

    def __init__(self, desk: Desk, *venues: VirtualDriver, commands: bool = True, run: bool = True, port: int = 0, **settings: Any) -> None:
        self.desk, self.venues, self.commands, self.runs = desk, venues, commands, run
        self.settings = {"token": TOKEN, "port": port, "title": "simulated market"} | settings
        self.pulse = Pulse()
        self.url = ""
        self.served: Served | None = None
        self.port = port
        self.control: Control | None = None
        self.over = threading.Event()
        """Set when the run is over."""

    def __enter__(self) -> House:
        with ExitStack() as stack:
            self._portal: BlockingPortal = stack.enter_context(start_blocking_portal("asyncio"))
            ready = threading.Event()
            self._serving, _ = self._portal.start_task(self._live, ready)
            stack.callback(self._leave)
            deadline = time.monotonic() + 30
            while not ready.wait(0.05):
                if self._serving.done():
                    self._serving.result()
                assert time.monotonic() < deadline, "the server does not come up"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _leave(self) -> None:
        self._portal.call(self._scope.cancel)
        self._serving.result(30)

    async def _live(self, ready: threading.Event, *, task_status: Any) -> None:
        with anyio.CancelScope() as self._scope:
            task_status.started()
            async with AsyncExitStack() as stack:
                tasks = await stack.enter_async_context(anyio.create_task_group())
                if self.venues:
                    self.control = await stack.enter_async_context(Control(self.desk, *self.venues))
                if self.runs:
                    tasks.start_soon(self._run)

                def on_ready(served: Served) -> None:
                    self.served, self.url = served, served.url
                    self.port = urlsplit(served.url).port or 80
                    ready.set()

                control = self.control if self.commands else None
                await self._serve(control, on_ready)

    async def _serve(self, control: Control | None, on_ready: Callable[[Served], None]) -> None:
        await serve(self.desk, control=control, pulse=self.pulse, on_ready=on_ready, **self.settings)

    async def _run(self) -> None:
        try:
            await trade(self.desk, *self.venues, pulse=self.pulse)
        finally:
            self.over.set()

    @property
    def vault(self) -> CoreVault:
        """The first of its core vaults."""
        return self.desk.treasury.vaults[0]

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        return self._portal.call(function, *args)

    def until(self, holds: Callable[[Desk], bool], *, within: float = 30.0) -> None:
        """Wait until something holds of the desk."""
        deadline = time.monotonic() + within
        while not self.ask(holds, self.desk):
            assert time.monotonic() < deadline, "it has not come about"
            time.sleep(0.02)

    def fresh(self) -> dict[str, Any]:
        """All that the server tells a new page now, over a socket of its own."""
        page = Page()
        with httpx.Client(trust_env=False) as client, a_line(client, self.port) as line:
            line.send_text(json.dumps(page.hello()))
            while not page.snapshots:
                page.hear(json.loads(line.receive_text(timeout=10)))
        return page.picture()


class Host(House):
    """The same within somebody else's app: the desk is mounted at /bots/, another one at /other/, and the host has pages of its own."""

    def __init__(self, desk: Desk, *venues: VirtualDriver, pages: Mapping[str, str], other: Desk | None = None, **settings: Any) -> None:
        super().__init__(desk, *venues, **settings)
        self.pages, self.other = pages, other

    async def _serve(self, control: Control | None, on_ready: Callable[[Served], None]) -> None:
        own = {"title": self.settings["title"], "authorize": lambda _connection: "ann"}  # whom the host has let in is let in here
        routes: list[BaseRoute] = [Route(path, partial(_shown, text)) for path, text in self.pages.items()]
        routes.append(Route("/favicon.ico", partial(_shown, "")))
        routes += [Mount("/bots", app(self.desk, control=control, pulse=self.pulse, **own))]
        routes += [Mount("/other", app(self.other, **own))] if self.other is not None else []
        with socket.create_server(("127.0.0.1", 0)) as door:
            config = uvicorn.Config(Starlette(routes=routes), log_config=None, ws="wsproto", timeout_graceful_shutdown=2)
            server = uvicorn.Server(config)
            on_ready(Served(f"http://127.0.0.1:{door.getsockname()[1]}/", None))
            try:
                await server.serve([door])
            finally:
                server.should_exit = True
                with anyio.CancelScope(shield=True):
                    await server.shutdown([door])


async def _shown(text: str, _request: Request) -> HTMLResponse:
    return HTMLResponse(text)


def a_line(client: httpx.Client, port: int, *, token: str = TOKEN) -> Any:
    """A socket to the server at this port, with the token in its header."""
    headers = {"Authorization": f"Bearer {token}"}
    return connect_ws(f"http://127.0.0.1:{port}/socket", client, headers=headers, subprotocols=["sleeves.v1"])
