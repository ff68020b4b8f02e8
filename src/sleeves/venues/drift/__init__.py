"""Perpetuals of Drift v2 and of its successor Velocity: their accounts, what happened to them, and a driver that trades.

    from sleeves.venues.drift import VELOCITY, Drift, Rpc, Signer
    async with Drift(Rpc(url), VELOCITY, Signer(secret), accounts=(0, 1), markets=("SOL-PERP",)) as venue:
        ...

Drift v2 is frozen: it is read here, and traded only where that is said. Needs solders and httpx (extra `velocity`), never driftpy.
"""

from __future__ import annotations

from ...errors import MissingExtra

try:
    import solders as _solders  # noqa: F401
except ImportError:
    raise MissingExtra("solders", "velocity", "Drift and Velocity") from None

from ..jito import Jito
from ..solana import Rpc, Signer
from .accounts import PerpMarket, SpotMarket, State, User, UserStats, WrongAccount
from .deployment import DEPLOYMENTS, DRIFT_V2, VELOCITY, VELOCITY_CLOB, VELOCITY_DEVNET, Deployment, Feature
from .driver import Drift
from .fence import Fence
from .instructions import Instructions, OrderParams
from .monitor import Monitor, Snapshot, SubAccount
from .oracles import Oracle
from .risk import account_of, figures_of, funding_quotes

__all__ = [
    "DEPLOYMENTS",
    "DRIFT_V2",
    "VELOCITY",
    "VELOCITY_CLOB",
    "VELOCITY_DEVNET",
    "Deployment",
    "Drift",
    "Feature",
    "Fence",
    "Instructions",
    "Jito",
    "Monitor",
    "Oracle",
    "OrderParams",
    "PerpMarket",
    "Rpc",
    "Signer",
    "Snapshot",
    "SpotMarket",
    "State",
    "SubAccount",
    "User",
    "UserStats",
    "WrongAccount",
    "account_of",
    "figures_of",
    "funding_quotes",
]
