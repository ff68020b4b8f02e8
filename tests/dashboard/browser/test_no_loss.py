"""No message is lost and none told twice, however often the line falls: over real sockets, without a browser."""

from __future__ import annotations

import json
import random
import sys
import time

import httpx
import pytest
from browsing import Wire
from houses import House, a_desk, a_line, a_market
from httpx_ws import WebSocketDisconnect, WebSocketNetworkError
from pages import Page, parted

RECONNECTS = 100
FELL = (WebSocketDisconnect, WebSocketNetworkError, httpx.HTTPError)


def hear(line, page: Page, *, until, within: float = 10.0) -> None:
    """Take in messages until it is enough."""
    deadline = time.monotonic() + within
    while not until():
        page.hear(json.loads(line.receive_text(timeout=within)))
        assert time.monotonic() < deadline, "nothing came"


@pytest.mark.slow
def test_a_hundred_reconnects_at_any_moment_lose_nothing_and_double_nothing():
    dice, page, cuts = random.Random(10), Page(), 0
    with (
        House(a_desk(), a_market(pace=0.004)) as house,
        Wire(house.port) as wire,
        httpx.Client(trust_env=False) as client,
    ):
        for n in range(RECONNECTS):
            try:
                with a_line(client, wire.port) as line:
                    line.send_text(json.dumps(page.hello()))
                    wanted = len(page.applied) + dice.randrange(5)
                    hear(line, page, until=lambda wanted=wanted, first=not n: len(page.applied) >= wanted and (page.snapshots or not first))
                    if dice.random() < 0.7:
                        cuts += bool(wire.cut())
            except FELL:
                pass
            time.sleep(dice.random() * 0.06)
        house.venues[0].still = True
        with a_line(client, house.port) as line:
            line.send_text(json.dumps(page.hello()))
            while page.seq != (now := house.fresh())["seq"]:
                hear(line, page, until=lambda now=now: page.seq == now["seq"])
        now = house.fresh()
    assert cuts > RECONNECTS // 3, "the line was hardly cut"
    assert not page.faults
    assert page.snapshots == 1, "it was away for a moment only, and needed no second snapshot"
    assert page.applied == list(range(page.applied[0], page.seq + 1)), "each number once, and in order"
    assert len(page.applied) > RECONNECTS
    assert parted(page.picture(), now) == []


def test_a_line_lasts_longer_than_a_request_may_take(monkeypatch):
    """A socket begins as a request, and is asked for once; what cuts requests that do not come must not cut it."""
    monkeypatch.setattr(sys.modules["sleeves.dashboard.serve"], "REQUEST_WITHIN", 0.5)
    page = Page()
    with House(a_desk(), a_market(pace=0.01)) as house, httpx.Client(trust_env=False) as client, a_line(client, house.port) as line:
        line.send_text(json.dumps(page.hello()))
        until = time.monotonic() + 3.5  # it is looked once a second who is late
        hear(line, page, until=lambda: time.monotonic() > until)
    assert page.snapshots == 1
    assert not page.faults
