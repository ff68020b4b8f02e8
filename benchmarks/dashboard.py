"""How long until it is seen: from a fill in the journal to the pixels of a page, with 20 engines and 100 sockets open.

    python benchmarks/dashboard.py [--fills 600] [--every 0.1] [--runs 3] [--sockets 99] [--no-browser]

Three processes on one machine. The first is the desk of `latency.py` (twenty engines on four markets, limits and gates, the journal
in SQLite) with its run, and the page served on the same loop; at each price one engine orders and is filled. The second opens
the sockets, says hello on each, and notes when each message was there whole. The third is a Chromium without a window on the whole
page; it notes when the values of a delta are painted: two animation frames after the page applied it, so the frame that
shows them is over, and what is told is up to a frame more than it took.

Measured, all on the machine's wall clock (the browser's own clock is held against it in the run):

    wire      the fill is in the journal -> a socket has the whole delta that tells it, over all sockets and fills
    applied   the fill is in the journal -> the page has applied it
    painted   the fill is in the journal -> the page has painted it; it is then looked for in the page, and has to be there

The first fills of a run are warm-up and not counted. Then, without any server: what a look at the desk (`Feed.refresh`) costs after an
order with its fill and after a price alone, what encoding costs, and how large a delta is. Prints each, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from latency import BEGIN, ENGINES, MARKETS, Wire, desk_of, fill, price

from sleeves.dashboard import Feed, serve
from sleeves.dashboard.messages import to_json
from sleeves.dashboard.serve import Served
from sleeves.journals import SQLite
from sleeves.live import trade
from sleeves.market import SECOND, Quote
from sleeves.orders import Event, Fill, SubmitOrder
from sleeves.records import Record

WARM = 50
"""Fills at the begin of a run that are not counted."""


class Paced(Wire):
    """The venue of `latency.py`, with a pause before each price."""

    def __init__(self, events: int, every: float) -> None:
        super().__init__(events, time.perf_counter_ns)
        self._every = every

    async def events(self) -> AsyncIterator[Event]:
        due = time.monotonic()
        async for event in super().events():
            if isinstance(event, Quote):
                due = max(due + self._every, time.monotonic() - self._every)
                await anyio.sleep(max(0.0, due - time.monotonic()))
            yield event


# -- the sockets: a process of their own ---------------------------------------------------------------------------------


async def a_socket(url: str, token: str, told: dict[int, list[int]], orders: dict[str, int] | None, ready: asyncio.Semaphore) -> None:
    """Open a socket, say hello, and note when each delta was there whole; of one of them also which fills it told."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {parts.path}socket HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Origin: http://{parts.netloc}\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: sleeves.v1, sleeves.token.{token}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise SystemExit(f"the server refused a socket: {head!r}")

    def send(data: bytes, opcode: int = 1) -> None:
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
        writer.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + data)  # masked with nothing

    async def keep_alive() -> None:
        while True:
            await asyncio.sleep(20)
            send(b'{"type":"ping"}')

    send(b'{"type":"hello","session":null,"seq":null}')
    alive = asyncio.create_task(keep_alive())
    first, whole = True, b""
    try:
        while True:
            begin = await reader.readexactly(2)
            length = begin[1] & 0x7F
            if length >= 126:
                length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
            data = await reader.readexactly(length)
            at = time.time_ns()
            opcode = begin[0] & 0x0F
            if opcode == 9:
                send(data, 10)
                continue
            if opcode == 8:
                return
            whole += data
            if not begin[0] & 0x80:
                continue
            data, whole = whole, b""
            if first:
                first = False
                ready.release()
            place = data.find(b'"seq":')
            if place >= 0:
                seq = int(data[place + 6 : place + 26].split(b",", 1)[0])
                told.setdefault(seq, []).append(at)
                if orders is not None:
                    for name in filled(json.loads(data)):
                        orders.setdefault(name, seq)
    except asyncio.IncompleteReadError:
        return
    finally:
        alive.cancel()
        writer.close()


def filled(message: dict[str, Any]) -> list[str]:
    """The orders that a delta tells as filled."""
    if message.get("type") != "delta":
        return []
    return [name for name, row in message["set"].get("orders", {}).items() if row["status"] == "filled"]


async def the_sockets(url: str, token: str, count: int) -> None:
    told: dict[int, list[int]] = {}
    orders: dict[str, int] = {}
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(a_socket(url, token, told, None if n else orders, ready)) for n in range(count)]
    for _ in range(count):
        await asyncio.wait_for(ready.acquire(), 60)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    print(json.dumps({name: told[seq] for name, seq in orders.items()}), flush=True)


# -- the page: a process of its own --------------------------------------------------------------------------------------

STORE = "document.querySelector('sleeves-page')?.store ?? document.querySelector('sleeves-desk')?.store"
NOTE = """() => {
  const store = STORE;
  const seen = (window.seen = {});
  const all = (root, found = []) => {
    for (const one of root.querySelectorAll("*")) if (one.shadowRoot) { found.push(one.shadowRoot); all(one.shadowRoot, found); }
    return found;
  };
  const now = () => performance.timeOrigin + performance.now();
  const apply = store.apply.bind(store);
  store.apply = (message) => {
    const result = apply(message);
    if (message.type === "delta" && message.set?.orders) {
      const orders = Object.entries(message.set.orders);
      const names = orders.filter(([name, row]) => row.status === "filled" && !(name in seen)).map(([name]) => name);
      if (names.length > 0) {
        const applied = now();
        requestAnimationFrame(() => requestAnimationFrame(() => {
          const painted = now();
          for (const name of names) seen[name] = { applied, painted, shown: null };
          window.unchecked = (window.unchecked ?? []).concat(names);
        }));
      }
    }
    return result;
  };
  window.check = () => {  // outside of what is timed: is each of them to be read on the page?
    const text = all(document).filter((root) => root.host.localName === "order-log").map((root) => root.textContent).join();
    for (const name of window.unchecked ?? []) seen[name].shown = text.includes(name);
    window.unchecked = [];
    return Object.keys(seen).length;
  };
}"""


WORK = {"script": "ScriptDuration", "style": "RecalcStyleDuration", "layout": "LayoutDuration"}
WORK |= {"tests": "DevToolsCommandDuration", "all": "TaskDuration"}


def at_work(tools: Any) -> dict[str, float]:
    """Seconds that the page's main thread was at work so far, by what on; waiting for a core is not in them."""
    metrics = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    return {what: metrics[name] for what, name in WORK.items()}


def the_page(login: str) -> None:
    from playwright.sync_api import sync_playwright

    found = os.environ.get("SLEEVES_CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(login)
        page.wait_for_function(f"() => ({STORE})?.connected")
        page.evaluate(NOTE.replace("STORE", STORE))
        tools = page.context.new_cdp_session(page)
        tools.send("Performance.enable", {"timeDomain": "threadTicks"})
        begun = at_work(tools)
        print("ready", flush=True)
        os.set_blocking(sys.stdin.fileno(), False)
        while not sys.stdin.readline():
            page.wait_for_timeout(1_000)
            page.evaluate("check()")
        worked = {what: spent - begun[what] for what, spent in at_work(tools).items()}
        page.wait_for_timeout(500)
        page.evaluate("check()")
        apart = page.evaluate(
            "() => { const all = []; for (let n = 0; n < 2000; n++) { const t = Date.now(); while (Date.now() === t); "
            "all.push(performance.timeOrigin + performance.now() - Date.now()); if (all.length > 50) break; } "
            "return all.sort((a, b) => a - b)[25]; }"
        )
        print(json.dumps({"seen": page.evaluate("seen"), "apart_ms": apart, "browser": browser.version, "worked": worked}), flush=True)
        browser.close()


# -- the desk, and the run ------------------------------------------------------------------------------------------------


async def a_child(*arguments: str) -> anyio.abc.Process:
    command = [sys.executable, __file__, *arguments]
    child = await anyio.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None)
    line = await a_line(child)
    if line != "ready":
        raise SystemExit(f"a child process says {line!r}")
    return child


_rest: dict[int, bytes] = {}


async def a_line(child: anyio.abc.Process) -> str:
    held = _rest.pop(child.pid, b"")
    assert child.stdout is not None
    while b"\n" not in held:
        held += await child.stdout.receive(1 << 20)
    line, _rest[child.pid] = held.split(b"\n", 1)
    return line.decode()


async def a_run(fills: int, every: float, sockets: int, folder: Path, browser: bool) -> dict[str, Any]:
    """One run: the times of each fill in the journal, on the sockets and on the page."""
    journal = SQLite.open(folder / f"{time.time_ns()}.sleeves")
    desk = desk_of(journal, quiet=False)
    written: dict[str, int] = {}

    def hear(record: Record) -> None:
        if type(record) is Fill:
            written.setdefault(record.order_id, time.time_ns())

    desk.books.listen(hear)
    told: dict[str, Any] = {}
    async with anyio.create_task_group() as tasks:
        up = anyio.Event()
        where: list[Served] = []

        def on_ready(served: Served) -> None:
            where.append(served)
            up.set()

        tasks.start_soon(partial(serve, desk, port=0, title="benchmark", on_ready=on_ready))
        with anyio.fail_after(30):
            await up.wait()
        url, token = where[0].url, where[0].token
        assert token is not None
        children = {}
        if sockets:
            children["sockets"] = await a_child("--role", "sockets", "--url", url, "--token", token.reveal(), "--sockets", str(sockets))
        if browser:
            children["page"] = await a_child("--role", "page", "--url", where[0].login)
        begun, worked = time.monotonic(), time.process_time()
        await trade(desk, Paced(fills + WARM, every), reconcile_every=None)  # type: ignore[arg-type]
        told["cpu_percent"] = 100 * (time.process_time() - worked) / (time.monotonic() - begun)
        await anyio.sleep(1)
        for name, child in children.items():
            assert child.stdin is not None
            await child.stdin.send(b"end\n")
            told[name] = json.loads(await a_line(child))
            await child.wait()
        tasks.cancel_scope.cancel()
    desk.check().require()
    journal.close()
    counted = list(written)[WARM:]
    return told | {"written": {name: written[name] for name in counted}}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and tails of milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0}
    cut = {"median": 0.5, "p95": 0.95, "p99": 0.99}
    found = {f"{name}_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) for name, share in cut.items()}
    return found | {"most_ms": round(ordered[-1], 1), "n": len(ordered)}


def judged(run: dict[str, Any]) -> dict[str, Any]:
    """The latencies of a run in milliseconds, and what was missed."""
    written, figures = run["written"], {"cpu_percent": round(run["cpu_percent"], 1)}
    if "sockets" in run:
        told = run["sockets"]
        figures["wire"] = spread([(at - written[name]) / 1e6 for name in written if name in told for at in told[name]])
        figures["never_told"] = sum(name not in told for name in written)
    if "page" in run:
        seen, apart = run["page"]["seen"], run["page"]["apart_ms"]
        for what in ("applied", "painted"):
            figures[what] = spread([seen[name][what] - apart - at / 1e6 for name, at in written.items() if name in seen])
        figures["clocks_apart_ms"] = round(apart, 3)
        figures["never_seen"] = sum(name not in seen for name in written)
        figures["not_on_the_page"] = sum(not seen[name]["shown"] for name in written if name in seen)
        figures["browser"] = run["page"]["browser"]
        told_of = len(written) + WARM
        figures["page_at_work_ms_per_fill"] = {what: round(1e3 * spent / told_of, 2) for what, spent in run["page"]["worked"].items()}
    return figures


# -- what a look costs, without any server -----------------------------------------------------------------------------------


def looks(events: int, folder: Path, *, quiet: bool) -> dict[str, Any]:
    """Microseconds of `Feed.refresh` after each price, and its order and fill unless `quiet`; of encoding; and bytes of a delta."""
    journal = SQLite.open(folder / f"looks-{quiet}.sleeves")
    desk = desk_of(journal, quiet=quiet)
    feed = Feed(desk)
    indexes = [desk.index(market) for market in MARKETS]
    feed.snapshot()
    figures: dict[str, list[float]] = {"refresh_us": [], "encode_us": [], "bytes": []}
    for n in range(events):
        at, paid = BEGIN + (n + 1) * SECOND // 10, price(n)
        for command in desk.quote(indexes[n % len(MARKETS)], at, paid, paid):
            assert isinstance(command, SubmitOrder)
            desk.step(fill(command.order, at, paid, n))
        begun = time.perf_counter_ns()
        delta = feed.refresh()
        looked = time.perf_counter_ns()
        assert delta is not None
        data = to_json(delta)
        figures["refresh_us"].append((looked - begun) / 1e3)
        figures["encode_us"].append((time.perf_counter_ns() - looked) / 1e3)
        figures["bytes"].append(len(data))
    found: dict[str, Any] = {"snapshot_bytes": len(to_json(feed.snapshot()))}
    feed.close()
    journal.close()
    for what, values in figures.items():
        ordered = sorted(values[len(values) // 10 :])
        found[what] = {"median": round(statistics.median(ordered), 1), "p95": round(ordered[int(len(ordered) * 0.95)], 1)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fills", type=int, default=600)
    parser.add_argument("--every", type=float, default=0.1, help="seconds between two prices, each of which leads to an order and a fill")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sockets", type=int, default=99)
    parser.add_argument("--looks", type=int, default=1_000)
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--role", choices=("desk", "sockets", "page"), default="desk", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--token", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "sockets":
        asyncio.run(the_sockets(args.url, args.token, args.sockets))
        return
    if args.role == "page":
        the_page(args.url)
        return
    beside = "no browser" if args.no_browser else "a browser"
    print(f"{args.fills} fills, one each {args.every} s, {ENGINES} engines, {args.sockets} sockets and {beside}:", flush=True)
    runs = []
    with tempfile.TemporaryDirectory(prefix="sleeves-dashboard-") as folder:
        for _ in range(args.runs):
            run = judged(anyio.run(a_run, args.fills, args.every, args.sockets, Path(folder), not args.no_browser))
            runs.append(run | {"load": round(os.getloadavg()[0], 1)})
            print(json.dumps(runs[-1]), flush=True)
        look = {}
        for what, quiet in (("after an order and its fill", False), ("after a price", True)):
            look[what] = looks(args.looks, Path(folder), quiet=quiet)
            print(f"a look {what}: {look[what]}", flush=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    packages = {name: version(name) for name in ("starlette", "uvicorn", "wsproto", "anyio")}
    settings = {"fills": args.fills, "every_s": args.every, "engines": ENGINES, "sockets": args.sockets}
    print(json.dumps({"benchmark": "dashboard"} | settings | {"runs": runs, "look": look} | machine | packages))


if __name__ == "__main__":
    main()
