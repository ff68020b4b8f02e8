"""Numbers of a deployment's words: what a market's status is called there. Drift's ReduceOnly is 6, Velocity's 2."""

from __future__ import annotations

from ...venues.drift.deployment import Deployment
from ...venues.drift.words import MarketStatus, OracleSource

__all__ = ["active", "initialized", "reduce_only", "settlement", "source_number", "status_number"]


def status_number(deployment: Deployment, status: MarketStatus) -> int:
    """The number of a market status. `KeyError` where the deployment has none."""
    return {word: number for number, word in deployment.market_statuses.items()}[status]


def source_number(deployment: Deployment, source: OracleSource) -> int:
    """The number of a kind of oracle. `KeyError` where the deployment has none."""
    return {word: number for number, word in deployment.oracle_sources.items()}[source]


def active(deployment: Deployment) -> int:
    return status_number(deployment, MarketStatus.ACTIVE)


def initialized(deployment: Deployment) -> int:
    return status_number(deployment, MarketStatus.INITIALIZED)


def reduce_only(deployment: Deployment) -> int:
    return status_number(deployment, MarketStatus.REDUCE_ONLY)


def settlement(deployment: Deployment) -> int:
    return status_number(deployment, MarketStatus.SETTLEMENT)
