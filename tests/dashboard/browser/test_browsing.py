"""The net itself catches: what a page does that nobody asked for is seen, and a wire that is cut is cut."""

from __future__ import annotations

import socket

import pytest
from browsing import Wire, elsewhere

PAGE = b"""<!doctype html><title>t</title><meta http-equiv="Content-Security-Policy" content="script-src 'self'; img-src *">
<p>here</p><script>console.log('never')</script><img src="http://127.0.0.1:9/stranger.png" alt=""><script src="fails.js"></script>"""


PAGES = {"/": PAGE, "/fails.js": "throw new Error('on purpose')"}


def test_what_a_page_does_unasked_is_seen(watched):
    with elsewhere(PAGES) as port:
        watch = watched(hosts=(f"127.0.0.1:{port}",))
        page = watch.context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        with pytest.raises(AssertionError) as raised:
            watch.require()
    for what in ("asked a stranger: http://127.0.0.1:9/stranger.png", "script failed: on purpose", "Content Security Policy"):
        assert what in str(raised.value)
    watch.expect("stranger|on purpose|Content Security Policy|policy broken")
    watch.require()


def test_a_wire_carries_is_cut_and_lets_go_again():
    with elsewhere(PAGES) as port, Wire(port) as wire:

        def ask():
            with socket.create_connection(("127.0.0.1", wire.port), 5) as end:
                end.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"".join(iter(lambda: end.recv(4096), b""))

        assert b"here" in ask()
        with socket.create_connection(("127.0.0.1", wire.port), 5) as end:
            end.sendall(b"GET / HTTP/1.0\r\n")  # not at its end
            while wire.passed != 2:
                pass
            assert wire.cut() >= 1
            try:
                assert end.recv(1) == b""
            except ConnectionResetError:
                pass
        wire.closed = True
        try:
            assert ask() == b""
        except ConnectionError:
            pass
        wire.closed = False
        assert b"here" in ask()
