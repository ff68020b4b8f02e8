"""A page in a few lines of Python: what is told, applied by the rules of the protocol and by no others."""

from __future__ import annotations

import copy
from typing import Any

from sleeves.dashboard.messages import CHART_FIELDS, KEPT, POINTS

__all__ = ["Page", "parted"]


class Page:
    """All that a page knows. `hear` applies a message; what breaks the protocol is noted in `faults`."""

    def __init__(self) -> None:
        self.session: str | None = None
        self.seq: int | None = None
        self.tables: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, list[Any]] = {}
        self.charts: dict[str, dict[str, Any]] = {}
        self.snapshots = 0
        self.applied: list[int] = []
        self.again = 0
        self.faults: list[str] = []

    def hello(self) -> dict[str, Any]:
        return {"type": "hello", "session": self.session, "seq": self.seq}

    def hear(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "snapshot":
            self.session, self.seq = message["session"], message["seq"]
            self.tables, self.streams, self.charts = (copy.deepcopy(message[name]) for name in ("tables", "streams", "charts"))
            self.snapshots += 1
        elif kind == "delta":
            self._delta(message)
        elif kind == "refused":
            self.faults.append(f"refused: {message}")

    def picture(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("session", "seq", "tables", "streams", "charts")}

    def _delta(self, message: dict[str, Any]) -> None:
        if message["session"] != self.session or self.seq is None:
            self.faults.append(f"a delta of {message['session']} seq {message['seq']} for who has {self.session} {self.seq}")
            return
        if message["seq"] <= self.seq:
            self.again += 1
            return
        if message["seq"] != self.seq + 1:
            self.faults.append(f"a gap: {message['seq']} after {self.seq}")
            return
        for name, rows in message["set"].items():
            self.tables[name].update(rows)
        for name, keys in message["drop"].items():
            for key in keys:
                if self.tables[name].pop(key, None) is None:
                    self.faults.append(f"{name} {key} was dropped and not there")
        for name, items in message["add"].items():
            self.streams[name] = (self.streams[name] + items)[-KEPT:]
        for name, points in message["points"].items():
            series = self.charts.setdefault(name, {"fields": list(CHART_FIELDS[name.partition(":")[0]]), "points": []})
            series["points"] += points
            while (most := len(series["points"])) > POINTS:
                series["points"] = series["points"][(most - 1) % 2 :: 2]
        self.seq = message["seq"]
        self.applied.append(message["seq"])


def parted(mine: dict[str, Any], fresh: dict[str, Any], path: str = "") -> list[str]:
    """Where two pictures part, as lines; times at which they were made are not compared."""
    if isinstance(mine, dict) and isinstance(fresh, dict):
        found = []
        for name in sorted(mine.keys() | fresh.keys()):
            if not path and name in ("at_ms", "type", "title", "version", "commands"):
                continue
            if name not in mine or name not in fresh:
                found.append(f"{path}/{name} is only on the {'server' if name in fresh else 'page'}")
            else:
                found += parted(mine[name], fresh[name], f"{path}/{name}")
        return found
    if isinstance(mine, list) and isinstance(fresh, list):
        if len(mine) != len(fresh):
            return [f"{path} has {len(mine)} on the page and {len(fresh)} on the server"]
        return [line for n, pair in enumerate(zip(mine, fresh, strict=True)) for line in parted(*pair, f"{path}/{n}")]
    return [] if mine == fresh else [f"{path} is {mine!r} on the page and {fresh!r} on the server"]
