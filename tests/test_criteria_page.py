"""The criteria that ask for a page: what changes at a desk is told over a real socket, in real time.

A desk that trades a venue through `trade`, its page served on a socket of this machine, and a client that keeps what it is told. The
times are those that the criteria ask for, by the clock on the wall; see conftest on what the machine may get in the way of.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial

import anyio
import httpx
import httpx_ws
import pytest

from dashboard.stand import Page
from live_stand import MARKET, looked, stand
from sleeves import USD
from sleeves.control import Control
from sleeves.dashboard import serve
from sleeves.dashboard.messages import Do, Hello, Preview, to_json
from sleeves.instructions import Open, Pause, Resume, to_terms
from sleeves.live import trade
from sleeves.records import Level

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
TOKEN = "a-token-of-some-length"
PATIENCE = 10.0


class Client:
    """A page's end of the socket: what it is told, and when it first saw something."""

    def __init__(self, socket):
        self.socket, self.page, self.answers = socket, Page(), []
        self._bell = anyio.Event()

    async def listen(self):
        while True:
            text = await self.socket.receive_text()
            if '"type":"snapshot"' in text[:30] or '"type":"delta"' in text[:30]:
                assert self.page.take(text) == "ok"
            else:
                self.answers.append(text)
            self._bell.set()
            self._bell = anyio.Event()

    async def sees(self, what, since=None):
        """Seconds from `since`, or now, until the page shows it."""
        since = time.monotonic() if since is None else since
        with anyio.fail_after(PATIENCE):
            while not what(self.page.tables):
                await self._bell.wait()
        return time.monotonic() - since

    async def answer(self, part):
        with anyio.fail_after(PATIENCE):
            while not any(part in one for one in self.answers):
                await self._bell.wait()
        return next(one for one in self.answers if part in one)


@asynccontextmanager
async def watched(desk, pit):
    """(client, control) of a desk that runs, once the client has its first picture."""
    served = []
    ready = anyio.Event()

    def at(page):
        served.append(page)
        ready.set()

    async with anyio.create_task_group() as tasks, Control(desk, pit) as control:
        tasks.start_soon(partial(trade, desk, pit))
        tasks.start_soon(partial(serve, desk, control=control, port=0, token=TOKEN, on_ready=at))
        await ready.wait()
        pit.quote()
        await looked(desk, pit)
        url = served[0].url
        http = httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"})
        async with http, httpx_ws.aconnect_ws(url.replace("http", "ws") + "socket", http) as socket:
            client = Client(socket)
            tasks.start_soon(client.listen)
            await socket.send_text(to_json(Hello()).decode())
            await client.sees(lambda tables: tables and tables["markets"][MARKET.symbol]["mark"])
            yield client, control
            tasks.cancel_scope.cancel()


def sleeve_of(tables, name="a"):
    return tables["sleeves"][name]


def held_by(tables, name="a"):
    row = tables["positions"].get(f"{name}|{MARKET.symbol}")
    return Decimal(0) if row is None else Decimal(row["size"])


def test_criterion_2_9_changes_of_the_account_are_told_to_the_page_within_500_ms():
    """Coins that come, a price that moves what is held, and an order that is filled at the venue."""

    async def main():
        desk, pit, _ = stand()
        async with watched(desk, pit) as (client, control):
            total = USD(client.page.tables["vaults"]["core:main:USD"]["total"])
            since = time.monotonic()
            desk_command = desk.deposit(desk.treasury.vaults[0], "150", by="ann")
            await pit.transfer(desk_command[0])
            assert await client.sees(lambda t: USD(t["vaults"]["core:main:USD"]["total"]) == total + USD("150"), since) < 0.5
            since = time.monotonic()
            await control.do(Open("r-1", "ann", sleeve="a", market=MARKET.symbol, side="buy", qty="0.1"))
            assert await client.sees(lambda t: held_by(t) == Decimal("0.1"), since) < 0.5
            for price in ("10100", "9900", "10250.5"):
                since = time.monotonic()
                pit.quote(price)
                assert await client.sees(lambda t, p=price: t["markets"][MARKET.symbol]["mark"] == p, since) < 0.5
                assert Decimal(sleeve_of(client.page.tables)["unrealized"]) == (Decimal(price) - 10000) / 10

    anyio.run(main)


def test_p08_a_change_of_state_is_told_within_500_ms():
    """Whatever kind it is, each of many, one after the other."""

    async def main():
        desk, pit, _ = stand(names=("a", "b"))
        vault = desk.treasury.vaults[0]
        async with watched(desk, pit) as (client, control):
            for n in range(6):
                changes = [
                    (partial(control.do, Pause(f"p-{n}", "ann", target="a")), lambda t: sleeve_of(t)["status"] == "paused"),
                    (partial(control.do, Resume(f"q-{n}", "ann", target="a")), lambda t: sleeve_of(t)["status"] == "active"),
                    (
                        partial(vault.allocate, vault.sleeves["b"], "10", by="ann"),
                        lambda t, n=n: sleeve_of(t, "b")["allocation"] == str(4000 + 10 * (n + 1)),
                    ),
                    (
                        partial(desk.alert, desk.books.now, Level.INFO, "a", "test", f"number {n}"),
                        lambda _, n=n: client.page.streams["alerts"][-1:] and client.page.streams["alerts"][-1]["text"] == f"number {n}",
                    ),
                    (partial(pit.quote, str(10_000 + n)), lambda t, n=n: t["markets"][MARKET.symbol]["mark"] == str(10_000 + n)),
                ]
                for change, shows in changes:
                    since = time.monotonic()
                    done = change()
                    if hasattr(done, "__await__"):
                        await done
                    assert await client.sees(shows, since) < 0.5

    anyio.run(main)


def test_criterion_4_12_positions_are_told_within_a_second_of_being_opened_and_closed_by_hand():
    """By a person at the page: the numbers first, then the order with its ticket, then the position; and the same to close it."""

    async def main():
        desk, pit, _ = stand()
        async with watched(desk, pit) as (client, _):

            async def by_hand(terms):
                await client.socket.send_text(to_json(Preview(terms)).decode())
                told = await client.answer(f'"type":"preview","id":"{terms["id"]}"')
                ticket = told.partition('"ticket":"')[2].partition('"')[0]
                assert ticket, told
                since = time.monotonic()
                await client.socket.send_text(to_json(Do(terms, ticket)).decode())
                return since

            order = to_terms(Open("r-1", "ann", sleeve="a", market=MARKET.symbol, side="buy", qty="0.05"))
            since = await by_hand(order)
            assert await client.sees(lambda t: held_by(t) == Decimal("0.05"), since) < 1.0
            row = client.page.tables["positions"][f"a|{MARKET.symbol}"]
            assert (row["side"], row["entry"], row["sleeve"]) == ("long", "10000", "a")
            since = await by_hand({"what": "close", "id": "r-2", "by": "ann", "sleeve": "a", "market": MARKET.symbol})
            assert await client.sees(lambda t: f"a|{MARKET.symbol}" not in t["positions"], since) < 1.0

    anyio.run(main)


def test_p17_the_list_of_positions_is_told_within_a_second_of_any_fill():
    """Fills of many sizes, of two sleeves, either way: the page's list is the desk's own."""

    async def main():
        desk, pit, _ = stand(names=("a", "b"))
        vault = desk.treasury.vaults[0]
        async with watched(desk, pit) as (client, control):
            sizes = [("a", "buy", "0.01"), ("b", "buy", "0.2"), ("a", "buy", "0.03333"), ("b", "sell", "0.05"), ("a", "sell", "0.04333")]
            for n, (name, side, qty) in enumerate([*sizes, ("b", "sell", "0.15")]):
                since = time.monotonic()
                await control.do(Open(f"r-{n}", "ann", sleeve=name, market=MARKET.symbol, side=side, qty=qty))

                def same(tables):
                    return all(held_by(tables, one) == vault.sleeves[one].position(MARKET).decimal for one in ("a", "b"))

                with anyio.fail_after(PATIENCE):
                    while not any(order.startswith(f"{name}-") for order in pit.orders) or desk.open_orders():
                        await anyio.sleep(0.001)
                assert await client.sees(same, since) < 1.0
            assert client.page.tables["positions"] == {}

    anyio.run(main)
