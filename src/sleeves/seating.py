"""What must be so before an engine sits at a desk, and what of the news concerns it.

Nothing here knows a sleeve.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import VaultError
from .market import Instrument
from .news import FairValue, News, Reading, TokenFacts
from .protocols import Engine, Gate

__all__ = ["check_engine", "check_gates", "concerns", "describe_engine"]


def check_engine(engine: Engine[Any]) -> None:
    """What an engine must have, by name; `VaultError` says what is missing or wrong."""
    if isinstance(engine, type):
        raise VaultError(f"{engine.__name__} is a class: assign an engine, {engine.__name__}(...)")
    for name in ("name", "watches", "every", "begin", "decide"):
        if not hasattr(engine, name):
            raise VaultError(f"{engine!r} is no engine: it has no {name!r}")
    watches = engine.watches
    if not isinstance(watches, (tuple, list)) or not watches or not all(isinstance(market, Instrument) for market in watches):
        raise VaultError(f"engine {engine.name} must watch a tuple of instruments, not {watches!r}")
    if type(engine.every) is not int or engine.every < 0:
        raise VaultError(f"engine {engine.name} must decide every so many whole nanoseconds, not {engine.every!r}")


def check_gates(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """Gates as a tuple. Raises `VaultError` for what is none: it would refuse every order."""
    if not isinstance(gates, Iterable) or isinstance(gates, (str, bytes)):
        raise VaultError(f"gates are a list of gates, gates=[...], not {gates!r}")
    given = tuple(gates)
    for gate in given:
        if isinstance(gate, type):
            raise VaultError(f"{gate.__name__} is a class: hand in a gate, {gate.__name__}(...)")
        if not callable(gate):
            raise VaultError(f"{gate!r} is no gate: a gate is called with a place, a view and a vault (sleeves.gates, sleeves.guards)")
    return given


def describe_engine(engine: Engine[Any]) -> str:
    """An engine's terms for the journal, the same in every run: its own words, or its class."""
    words = getattr(engine, "describe", None)
    return str(words()) if callable(words) else f"{type(engine).__module__}.{type(engine).__qualname__}"


def concerns(news: News, watches: Iterable[Instrument]) -> bool:
    """Whether news is about what an engine watches: its instruments, or their coins; an outside reading is about all."""
    if isinstance(news, Reading):
        return True
    if isinstance(news, FairValue):
        return any(market.base == news.base and market.contract is None for market in watches)
    if isinstance(news, TokenFacts):
        return any(market.base == news.coin and market.contract is None for market in watches)
    return any(market.symbol == news.topic for market in watches)
