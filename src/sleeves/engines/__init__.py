"""Engines decide; they never do. Each is one file, a pure decider under `protocols.Engine`.

To add one: write a class with `name`, `watches`, `every`, `begin` and `decide` (see `examples/own_engine.py`); to
ship it here, give it a file in this folder and its line below.
"""

from __future__ import annotations

from .arb import Arb
from .averages import Ema
from .carry import Pair
from .cross import EmaCross
from .depeg import BSOL, INF, JITOSOL, JUPSOL, MSOL, TOKENS, Depeg, Peg, Token
from .funding import Funding
from .idle import Idle
from .maker import Maker
from .momentum import Momentum
from .pods import Feedback, Pod
from .scalp import Scalp, Sentiment
from .trend import Trend

__all__ = [
    "BSOL",
    "INF",
    "JITOSOL",
    "JUPSOL",
    "MSOL",
    "TOKENS",
    "Arb",
    "Depeg",
    "Ema",
    "EmaCross",
    "Feedback",
    "Funding",
    "Idle",
    "Maker",
    "Momentum",
    "Pair",
    "Peg",
    "Pod",
    "Scalp",
    "Sentiment",
    "Token",
    "Trend",
]
