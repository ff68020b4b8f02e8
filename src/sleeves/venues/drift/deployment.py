"""A deployment of the program, as data: its address, its seeds, its layouts, its numbers for words, its quote coin, its features.

Drift v2 and its successor Velocity are one driver and two values. `DRIFT_V2` was drained on 2026-04-01 and is frozen: reading it
works, trading it does not. `VELOCITY` is another program with its own layouts, settled in USDT. What must be checked on chain before
money moves is checked by the driver when it starts: owner, lengths, discriminators, derived addresses, the quote's mint.

It refuses to know the network: no account is fetched here, and a layout is chosen by the deployment that the caller declared, never
by what the bytes look like.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import TypeVar

from attrs import field, frozen
from solders.pubkey import Pubkey

from ...money import USDC, USDT, Asset
from .codec import Codec
from .layouts import Layout
from .words import MarketStatus, OracleSource

__all__ = ["DEPLOYMENTS", "DRIFT_V2", "VELOCITY", "VELOCITY_CLOB", "VELOCITY_DEVNET", "Deployment", "Feature", "Quote", "Seeds"]


class Feature(Enum):
    """What a deployment can do that another cannot."""

    ISOLATED = "isolated"
    """Perp positions with a deposit of their own."""
    HIGH_LEVERAGE = "high leverage"
    """A User's margin mode that lowers its requirement."""
    SPOT_TRADING = "spot trading"
    """Spot orders; without it only deposits and borrowings remain."""
    EQUITY_FLOOR = "equity floor"
    """A User's floor and buffer of equity under which the program lets it add no risk."""
    BUILDER_OPTIONS = "builder options"
    """Two more options at the end of an order's parameters: the builder's index and fee."""
    POSITION_RATIO = "position ratio"
    """A custom margin ratio of each perp position's own."""
    STALE_INTEREST = "stale interest"
    """Refuses margin checks on spot interest that was not refreshed of late."""
    FUNDING_DEAD_ZONE = "funding dead zone"
    """Velocity's funding: offset 1/3333, a dead zone and a ramp before the clamps. Without it: 1/5000 and the clamps alone."""


@frozen
class Quote:
    """The coin that perps settle in: `asset` in our terms, its `mint`, and the spot market that it is."""

    asset: Asset
    mint: str
    market: int = 0


@frozen
class Seeds:
    """The two seeds that differ by deployment."""

    state: bytes
    signer: bytes


@frozen
class Deployment:
    """One program on one chain, and how its bytes are read. Two deployments never share a name."""

    name: str
    program_id: str
    version: str
    quote: Quote
    seeds: Seeds
    layouts: Mapping[str, Layout] = field(repr=False)
    market_statuses: Mapping[int, MarketStatus] = field(repr=False)
    oracle_sources: Mapping[int, OracleSource] = field(repr=False)
    features: frozenset[Feature]

    def layout(self, kind: str) -> Layout:
        """The layout of an account by its name ("User", "PerpMarket" ...). A KeyError when the deployment has no such account."""
        return self.layouts[kind]

    def codec(self, kind: str) -> Codec:
        """The codec of an account by its name."""
        raise NotImplementedError

    def has(self, feature: Feature) -> bool:
        """Whether the deployment has it."""
        return feature in self.features

    def state(self) -> str:
        """The address of the State."""
        return _derive(self.program_id, self.seeds.state)

    def signer(self) -> str:
        """The address that owns the vaults."""
        return _derive(self.program_id, self.seeds.signer)

    def user(self, authority: str, sub: int) -> str:
        """The address of an authority's sub-account."""
        return _derive(self.program_id, b"user", _key(authority), _u16(sub, "sub-account"))

    def user_stats(self, authority: str) -> str:
        """The address of an authority's UserStats."""
        return _derive(self.program_id, b"user_stats", _key(authority))

    def spot_market(self, index: int) -> str:
        """The address of a spot market."""
        return _derive(self.program_id, b"spot_market", _u16(index, "spot market"))

    def spot_vault(self, index: int) -> str:
        """The token account that holds a spot market's coins."""
        return _derive(self.program_id, b"spot_market_vault", _u16(index, "spot market"))

    def insurance_vault(self, index: int) -> str:
        """The token account of a spot market's insurance fund."""
        return _derive(self.program_id, b"insurance_fund_vault", _u16(index, "spot market"))

    def perp_market(self, index: int) -> str:
        """The address of a perp market."""
        return _derive(self.program_id, b"perp_market", _u16(index, "perp market"))

    def address(self, *seeds: bytes) -> str:
        """The address that these seeds derive to under the program."""
        return _derive(self.program_id, *seeds)


@lru_cache(maxsize=4096)
def _derive(program_id: str, *seeds: bytes) -> str:
    return str(Pubkey.find_program_address(list(seeds), Pubkey.from_string(program_id))[0])


def _key(address: str) -> bytes:
    return bytes(Pubkey.from_string(address))


def _u16(number: int, what: str) -> bytes:
    if not 0 <= number <= 0xFFFF:
        raise ValueError(f"a {what} is numbered from 0 to 65535, and {number} is not")
    return number.to_bytes(2, "little")
