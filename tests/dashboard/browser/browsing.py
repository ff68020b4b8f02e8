"""A real browser before a real server, for tests: a Chromium that is found, watched contexts, a wire that can be cut, other pages.

What a page does beside what it is asked to is a failure: an error on its console, an error of a script, a break of its content
policy, a request to anybody but the servers of the test.
"""

from __future__ import annotations

import http.server
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["ARGUMENTS", "Watch", "Wire", "axe_faults", "chromium", "elsewhere", "found_chromium", "keep_picture", "parts_of_the_page"]

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
SCRIPT = """
document.addEventListener("securitypolicyviolation", (one) =>
  console.error(`policy broken: ${one.violatedDirective} ${one.blockedURI} ${one.sourceFile}:${one.lineNumber}`));
window.everywhere = (selector, root = document) => {
  const found = [...root.querySelectorAll(selector)];
  for (const one of root.querySelectorAll("*")) if (one.shadowRoot) found.push(...window.everywhere(selector, one.shadowRoot));
  return found;
};
"""
"""In each page before its own scripts: what breaks its policy is told, and elements are found through shadow roots."""
HOW = "no Chromium here: apt-get install chromium, or name one in SLEEVES_CHROMIUM"


@cache
def found_chromium() -> str | None:
    """The path of a Chromium: what SLEEVES_CHROMIUM names, or the first on the path."""
    named = os.environ.get("SLEEVES_CHROMIUM")
    if named:
        return named if Path(named).is_file() else None
    return next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A Chromium, driven by Playwright; it ends with the block, and so does the loop that the driver runs in this thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found_chromium(), args=list(ARGUMENTS), handle_sigint=False)
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What a browser's context did that nobody asked for; `require` fails with all of it.

    `hosts` are the servers, as host:port, that it may speak to. What a test brings about on purpose it names beforehand, as a
    pattern, with `expect`.
    """

    def __init__(self, context: Any, hosts: tuple[str, ...] = ()) -> None:
        self.context = context
        self.hosts = set(hosts)
        self.requests: list[str] = []
        self.sockets: list[Any] = []
        self.sent: list[str] = []
        self.got: list[str] = []
        self._faults: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.add_init_script(SCRIPT)
        context.on("request", lambda request: self._asked(request.url))
        context.on("console", self._said)
        context.on("weberror", lambda error: self._faults.append(f"script failed: {error.error}"))
        context.on("page", self._opened)

    def _opened(self, page: Any) -> None:
        page.on("websocket", self._connected)
        page.on("crash", lambda _page: self._faults.append("the page crashed"))

    def _connected(self, one: Any) -> None:
        self._asked(one.url)
        self.sockets.append(one)
        one.on("framesent", lambda frame: self.sent.append(_text(frame)))
        one.on("framereceived", lambda frame: self.got.append(_text(frame)))

    def _asked(self, url: str) -> None:
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme in ("data", "blob", "about"):
            return
        if parts.scheme == "file" and "file" in self.hosts:
            return
        if parts.netloc not in self.hosts:
            self._faults.append(f"asked a stranger: {url}")

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning", "assert"):
            self._faults.append(f"console {message.type}: {message.text} {message.location.get('url', '')}")

    def expect(self, pattern: str) -> None:
        self._expected.append(re.compile(pattern))

    @property
    def faults(self) -> list[str]:
        return [fault for fault in self._faults if not any(pattern.search(fault) for pattern in self._expected)]

    def require(self) -> None:
        assert not self.faults, "the browser:\n" + "\n".join(self.faults)


def _text(frame: Any) -> str:
    return frame if isinstance(frame, str) else bytes(frame).decode()


class Wire:
    """A wire to a server on this machine: plain TCP in between, that a test cuts, stops and lets go again.

    `cut()` resets what is connected, as a lost network does; while `closed` nobody new gets through.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.closed = False
        self.passed = 0
        """How many connections it has let through."""
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._half: set[tuple[socket.socket, socket.socket]] = set()
        """Of which one direction has ended."""
        self._lock = threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._over = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Wire:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        with suppress(OSError):  # wakes who accepts
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._threads[0].join(5)
        self._door.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            near, _ = self._door.accept()
            if self._over or self.closed:
                _reset(near)
                if self._over:
                    return
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._to), 5)
            except OSError:  # the server is not there now
                _reset(near)
                continue
            pair = (near, far)
            with self._lock:
                self._pairs.add(pair)
                self.passed += 1
            for source, sink in (pair, pair[::-1]):
                thread = threading.Thread(target=self._carry, args=(pair, source, sink), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _carry(self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65_536):
                sink.sendall(chunk)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            over = pair in self._half
            self._half ^= {pair}
            if over:
                self._pairs.discard(pair)
        if over:
            for end in pair:
                end.close()

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                    end.shutdown(socket.SHUT_RDWR)
        return len(pairs)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    end.close()


@contextmanager
def elsewhere(pages: Mapping[str, str | bytes]) -> Iterator[int]:
    """Somebody else's server, with these pages by path (`.js` and `.css` as such, the rest as HTML); its port."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path.split("?", 1)[0])
            body = b"" if page is None else page.encode() if isinstance(page, str) else page
            kind = {"js": "text/javascript", "css": "text/css"}.get(self.path.rpartition(".")[2], "text/html; charset=utf-8")
            self.send_response(204 if page is None and self.path == "/favicon.ico" else 404 if page is None else 200)
            self.send_header("Content-Type", kind)
            if page is not None:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def parts_of_the_page() -> dict[str, str | bytes]:
    """The page's own modules, for a server of somebody else's that has a copy of them: by path, under /static/."""
    static = files("sleeves.dashboard").joinpath("static")
    found: dict[str, str | bytes] = {}
    for folder in ("", "vendor/"):
        for one in static.joinpath(folder).iterdir():
            if one.name.endswith((".js", ".css")):
                found[f"/static/{folder}{one.name}"] = one.read_text(encoding="utf-8")
    return found


def axe_faults(page: Any, *, least: tuple[str, ...] = ("serious", "critical")) -> list[str]:
    """What axe finds on the page as it stands, of these weights, each as one line with the first places."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['impact']} {one['id']}: {one['help']} at " + "; ".join(str(node["target"]) for node in one["nodes"][:4])
        for one in found
        if one["impact"] in least
    ]


def keep_picture(page: Any, name: str, **options: Any) -> Path | None:
    """A screenshot as an artefact, in the folder that SLEEVES_SHOTS names; nothing without one."""
    folder = os.environ.get("SLEEVES_SHOTS")
    if not folder:
        return None
    path = Path(folder) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, animations="disabled", **options)
    return path
