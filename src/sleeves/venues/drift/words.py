"""The words of the accounts: statuses, kinds and sources by name, flags by bit, and names of a fixed width.

A number of the program's means different things in different deployments (market status 6 is one thing on Drift and nothing on
Velocity), so the tables from numbers to these words are part of a `Deployment`; here stand the words alone. A name is 32 bytes of
UTF-8, padded with spaces.

It refuses to know which deployment uses which number, and it reads no account.
"""

from __future__ import annotations

from enum import Enum, Flag

__all__ = [
    "NAME_WIDTH",
    "AssetTier",
    "ContractKind",
    "ContractTier",
    "ExchangePause",
    "MarginMode",
    "MarketStatus",
    "OracleSource",
    "OrderKind",
    "OrderStatus",
    "PerpPause",
    "PositionFlag",
    "SpotPause",
    "TokenFlag",
    "Trigger",
    "UserStatus",
    "name_bytes",
    "name_text",
]

NAME_WIDTH = 32
"""Bytes of a name in a User, a SpotMarket and a PerpMarket."""


class MarketStatus(Enum):
    """What a market allows. Numbers differ by deployment."""

    INITIALIZED = "initialized"
    ACTIVE = "active"
    FUNDING_PAUSED = "funding paused"
    AMM_PAUSED = "amm paused"
    FILL_PAUSED = "fill paused"
    WITHDRAW_PAUSED = "withdraw paused"
    REDUCE_ONLY = "reduce only"
    SETTLEMENT = "settlement"
    DELISTED = "delisted"


class OracleSource(Enum):
    """Which kind of account an oracle is, and so how its bytes are read. Numbers differ by deployment."""

    PYTH = "pyth"
    SWITCHBOARD = "switchboard"
    QUOTE_ASSET = "quote asset"
    PYTH_1K = "pyth 1k"
    PYTH_1M = "pyth 1m"
    PYTH_STABLE_COIN = "pyth stable coin"
    PRELAUNCH = "prelaunch"
    PYTH_PULL = "pyth pull"
    PYTH_1K_PULL = "pyth 1k pull"
    PYTH_1M_PULL = "pyth 1m pull"
    PYTH_STABLE_COIN_PULL = "pyth stable coin pull"
    SWITCHBOARD_ON_DEMAND = "switchboard on demand"
    PYTH_LAZER = "pyth lazer"
    PYTH_LAZER_1K = "pyth lazer 1k"
    PYTH_LAZER_1M = "pyth lazer 1m"
    PYTH_LAZER_STABLE_COIN = "pyth lazer stable coin"


class OrderStatus(Enum):
    """The state of an order slot: `INIT` is an empty slot."""

    INIT = "init"
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"


class OrderKind(Enum):
    """The order types of the program."""

    MARKET = "market"
    LIMIT = "limit"
    TRIGGER_MARKET = "trigger market"
    TRIGGER_LIMIT = "trigger limit"
    ORACLE = "oracle"


class Trigger(Enum):
    """The condition of a trigger order, and whether it has been met."""

    ABOVE = "above"
    BELOW = "below"
    TRIGGERED_ABOVE = "triggered above"
    TRIGGERED_BELOW = "triggered below"


class ContractTier(Enum):
    """The risk class of a perpetual market; A is the safest. It sets how far a funding rate may go."""

    A = "A"
    B = "B"
    C = "C"
    SPECULATIVE = "speculative"
    HIGHLY_SPECULATIVE = "highly speculative"
    ISOLATED = "isolated"


class ContractKind(Enum):
    """What a perp market trades."""

    PERPETUAL = "perpetual"
    FUTURE = "future"
    PREDICTION = "prediction"


class AssetTier(Enum):
    """The class of a spot market's coin as collateral."""

    COLLATERAL = "collateral"
    PROTECTED = "protected"
    CROSS = "cross"
    ISOLATED = "isolated"
    UNLISTED = "unlisted"


class UserStatus(Flag):
    """The bits of a User's status byte. `PROTECTED_MAKER` is Drift's alone, `VAULT_OWNED` Velocity's."""

    BEING_LIQUIDATED = 1
    BANKRUPT = 2
    REDUCE_ONLY = 4
    ADVANCED_LP = 8
    PROTECTED_MAKER = 16
    VAULT_OWNED = 32


class PositionFlag(Flag):
    """The bits of a perp position's flag byte."""

    ISOLATED = 1
    BEING_LIQUIDATED = 2
    BANKRUPT = 4


class ExchangePause(Flag):
    """The bits of `State.exchange_status`: what is paused for the whole exchange."""

    DEPOSIT = 1
    WITHDRAW = 2
    AMM = 4
    FILL = 8
    LIQUIDATION = 16
    FUNDING = 32
    SETTLE_PNL = 64
    AMM_IMMEDIATE_FILL = 128


class PerpPause(Flag):
    """The bits of a perp market's paused operations."""

    UPDATE_FUNDING = 1
    AMM_FILL = 2
    FILL = 4
    SETTLE_PNL = 8
    SETTLE_PNL_WITH_POSITION = 16
    LIQUIDATION = 32
    AMM_IMMEDIATE_FILL = 64


class SpotPause(Flag):
    """The bits of a spot market's paused operations."""

    UPDATE_INTEREST = 1
    FILL = 2
    DEPOSIT = 4
    WITHDRAW = 8
    LIQUIDATION = 16


class MarginMode(Enum):
    """A Drift User's margin mode; a deployment without the mode knows the first alone."""

    DEFAULT = "default"
    HIGH_LEVERAGE = "high leverage"
    HIGH_LEVERAGE_MAINTENANCE = "high leverage maintenance"
    """The lowered ratios for maintenance alone: new risk is taken at the ordinary ones."""


class TokenFlag(Flag):
    """The bits of a spot market's token program flag: 0 is the first token program."""

    TOKEN_2022 = 1
    TRANSFER_HOOK = 2


def name_text(data: bytes) -> str:
    """The name in `data`, without the spaces at its end. A ValueError when it is not UTF-8."""
    return data.decode("utf-8").rstrip(" \x00")


def name_bytes(name: str) -> bytes:
    """The 32 bytes of a name, padded with spaces. A ValueError when it does not fit."""
    data = name.encode("utf-8")
    if len(data) > NAME_WIDTH:
        raise ValueError(f"a name has at most {NAME_WIDTH} bytes of UTF-8, and {name!r} has {len(data)}")
    return data.ljust(NAME_WIDTH)
