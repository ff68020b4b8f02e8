"""Records of the program's accounts by the names of their fields, wherever a deployment keeps them. It knows no rule of the program.

Drift keeps a perpetual's oracle and funding inside its AMM, Velocity beside it: a name is looked for in the account itself, then in
its parts, and the parts of those, so that the rules can be written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...venues.drift.codec import Record

__all__ = ["Fields"]


class Fields:
    """One account's record. Reading and writing a name that the deployment does not have raises `KeyError`, but for `get` and `put`."""

    def __init__(self, kind: str, address: str, record: Record) -> None:
        self.kind = kind
        self.address = address
        self.record = record
        self._homes: dict[str, dict[str, Any]] = {}
        level: list[dict[str, Any]] = [record]
        while level:
            for home in level:
                for name in home:
                    self._homes.setdefault(name, home)
            level = [part for home in level for part in home.values() if isinstance(part, dict)]

    def __contains__(self, name: str) -> bool:
        return name in self._homes

    def __getitem__(self, name: str) -> Any:
        return self._homes[name][name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._homes[name][name] = value

    def get(self, name: str, default: Any = 0) -> Any:
        """The value of a name, or the default where this deployment has no such field."""
        return self._homes[name][name] if name in self._homes else default

    def put(self, name: str, value: Any) -> None:
        """Write a name where this deployment has it; else nothing."""
        if name in self._homes:
            self._homes[name][name] = value

    def add(self, name: str, change: int) -> None:
        """Raise or lower a number."""
        self._homes[name][name] += change

    def more(self, name: str, change: int) -> None:
        """Raise or lower a number where this deployment has it; else nothing."""
        if name in self._homes:
            self._homes[name][name] += change

    def all(self, values: Mapping[str, Any]) -> Fields:
        """Write many names; those that the deployment does not have are passed over."""
        for name, value in values.items():
            self.put(name, value)
        return self
