"""Engines decide; they never do. Each is one file, a pure decider under `protocols.Engine`.

To add one: write a class with `name`, `watches`, `every`, `begin` and `decide` (see `examples/own_engine.py`); to
ship it here, give it a file in this folder and its line below.
"""

from __future__ import annotations

from .idle import Idle
from .trend import Trend

__all__ = ["Idle", "Trend"]
