"""What a notebook shows of a desk, read in the browser; and the cells that the tests run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["DESK", "KEEP", "PATIENCE", "REPLAY", "TRADE", "equal", "seen", "state", "until"]

PATIENCE = 60.0

DESK = """\
import time
from sleeves import FLASH, QUIET, USD, CoreVault, Desk
from sleeves.control import Control
from sleeves.engines import Trend
from sleeves.live import trade
from sleeves.sim import Tape, VirtualDriver, replay

tape = Tape.sample()
vault = CoreVault(USD, total="20000", tradeable="15000")
desk = Desk(vault)
desk.assign(Trend.quiet(tape.instrument), to=vault.sleeve("quiet", QUIET, allocate="10000"))
desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="5000"))
venue = VirtualDriver(tape.slice(2000, 3200), {"USD": USD("20000")}, pace=0.004)
vault"""

REPLAY = """\
for start in range(0, 1600, 100):  # nothing is awaited in this cell
    if not desk.open_orders():
        replay(desk, tape.slice(start, start + 100), progress=False, bounds=False)
    time.sleep(0.2)
replayed = len(desk.books.journal)
replayed"""

TRADE = """\
coins = desk.books.coins("main")
venue = VirtualDriver(tape.slice(2000, 3200), {asset.code: asset.units(units) for asset, units in coins.items()}, pace=0.004)
await trade(desk, venue)
traded = len(desk.books.journal)
traded"""

KEEP = """\
import pathlib
from sleeves.dashboard.messages import to_json
time.sleep(1.5)  # a chart draws what only prices moved once a second
widget.update()
kept = pathlib.Path("kept.json").write_bytes(to_json(widget._teller._bell().feed.snapshot()))
kept"""
"""Leaves a fresh snapshot in a file, for the test to hold the page against."""

_FIND = """
(what) => {
  const walk = (node) => {
    for (const one of node.querySelectorAll("*")) {
      if (one.localName === "sleeves-page") found.push(one);
      if (one.shadowRoot !== null) walk(one.shadowRoot);
    }
  };
  const found = [];
  walk(document);
  return found.map((page) => what === "picture" ? page.store.picture() : {
    seq: page.store.seq, state: page.store.state, reason: page.store.reason, theme: page.getAttribute("theme"),
    records: page.store.desk?.records ?? 0, commanding: page.store.commanding,
  });
}
"""


def seen(page: Any) -> list[dict[str, Any]]:
    """How each view of a widget on the page stands."""
    found: list[dict[str, Any]] = page.evaluate(_FIND, "state")
    return found


def state(page: Any) -> dict[str, Any]:
    """That of the first one; nothing where there is none."""
    return next(iter(seen(page)), {})


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.05)
    return found


def equal(page: Any, kept: Path) -> bool:
    """Whether the page's store has what the kernel's own snapshot has."""
    snapshot = json.loads(kept.read_text())
    (picture,) = page.evaluate(_FIND, "picture")
    return all(picture[part] == snapshot[part] for part in ("tables", "streams", "charts"))
