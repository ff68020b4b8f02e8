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
from typing import Final

from attrs import evolve, field, frozen
from solders.pubkey import Pubkey

from ...money import USDC, USDT, Asset
from . import layouts as tables
from .codec import Codec
from .layouts import Layout
from .words import MarketStatus, OracleSource, UserStatus

__all__ = [
    "DEPLOYMENTS",
    "DRIFT_V2",
    "DRIFT_V2_LEGACY",
    "VELOCITY",
    "VELOCITY_CLOB",
    "VELOCITY_DEVNET",
    "Deployment",
    "Feature",
    "Quote",
    "Seeds",
]


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
    LIQUIDITY_SHARES = "liquidity shares"
    """Liquidity providers' bookkeeping inside perp positions: bytes that mean something else in later versions."""
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
    """What it is called here; its venue and its instruments bear it."""
    program_id: str
    """The program's address, in base58."""
    version: str
    """Which version of the program's own description the layouts are of."""
    quote: Quote
    """The coin that perps settle in."""
    seeds: Seeds
    """From what the addresses of the State and of the vaults' owner derive."""
    layouts: Mapping[str, Layout] = field(repr=False, hash=False)
    """How the bytes of an account lie, by its name ("User", "PerpMarket" ...)."""
    market_statuses: Mapping[int, MarketStatus] = field(repr=False, hash=False)
    """What the numbers of a market's status mean here."""
    oracle_sources: Mapping[int, OracleSource] = field(repr=False, hash=False)
    """What the numbers of an oracle's kind mean here."""
    features: frozenset[Feature] = field(repr=False)
    """What it can do that another cannot."""
    user_statuses: UserStatus = field(repr=False)
    """The bits that a User's status can have."""
    pyth: str = "FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH"
    """The program that owns Pyth's push accounts on this chain."""
    receiver: str = "G6EoTTTgpkNBtVXo96EQp2m6uwwVh2Kt6YidjkmQqoha"
    """The program that owns the pull accounts that Drift v2 accepts; Velocity takes none."""
    _codecs: dict[str, Codec] = field(init=False, factory=dict, repr=False, eq=False)

    def layout(self, kind: str) -> Layout:
        """The layout of an account by its name ("User", "PerpMarket" ...). A KeyError when the deployment has no such account."""
        return self.layouts[kind]

    def codec(self, kind: str) -> Codec:
        """The codec of an account by its name. A KeyError when the deployment has no such account, or its layout is not known."""
        if (found := self._codecs.get(kind)) is None:
            found = self._codecs[kind] = Codec(self.layouts[kind])
        return found

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


# -- the deployments ---------------------------------------------------------------------------------------------------

_DRIFT_STATUSES = {
    0: MarketStatus.INITIALIZED,
    1: MarketStatus.ACTIVE,
    2: MarketStatus.FUNDING_PAUSED,
    3: MarketStatus.AMM_PAUSED,
    4: MarketStatus.FILL_PAUSED,
    5: MarketStatus.WITHDRAW_PAUSED,
    6: MarketStatus.REDUCE_ONLY,
    7: MarketStatus.SETTLEMENT,
    8: MarketStatus.DELISTED,
}
_VELOCITY_STATUSES = {
    0: MarketStatus.INITIALIZED,
    1: MarketStatus.ACTIVE,
    2: MarketStatus.REDUCE_ONLY,
    3: MarketStatus.SETTLEMENT,
    4: MarketStatus.DELISTED,
}
_DRIFT_SOURCES = {
    0: OracleSource.PYTH,
    1: OracleSource.SWITCHBOARD,
    2: OracleSource.QUOTE_ASSET,
    3: OracleSource.PYTH_1K,
    4: OracleSource.PYTH_1M,
    5: OracleSource.PYTH_STABLE_COIN,
    6: OracleSource.PRELAUNCH,
    7: OracleSource.PYTH_PULL,
    8: OracleSource.PYTH_1K_PULL,
    9: OracleSource.PYTH_1M_PULL,
    10: OracleSource.PYTH_STABLE_COIN_PULL,
    11: OracleSource.SWITCHBOARD_ON_DEMAND,
    12: OracleSource.PYTH_LAZER,
    13: OracleSource.PYTH_LAZER_1K,
    14: OracleSource.PYTH_LAZER_1M,
    15: OracleSource.PYTH_LAZER_STABLE_COIN,
}
# Velocity's program refuses the numbers of the pull and Switchboard oracles, although its IDL still lists them.
_VELOCITY_SOURCES = {number: source for number, source in _DRIFT_SOURCES.items() if number not in (1, 7, 8, 9, 10, 11)}

_DRIFT_PROGRAM = "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH"
_VELOCITY_PROGRAM = "vELoC1audYbSYVRXn1vPaV8Axoa9oU6BYmNGZZBDZ1P"
_DRIFT_BITS = (
    UserStatus.BEING_LIQUIDATED | UserStatus.BANKRUPT | UserStatus.REDUCE_ONLY | UserStatus.ADVANCED_LP | UserStatus.PROTECTED_MAKER
)
_VELOCITY_BITS = (
    UserStatus.BEING_LIQUIDATED | UserStatus.BANKRUPT | UserStatus.REDUCE_ONLY | UserStatus.ADVANCED_LP | UserStatus.VAULT_OWNED
)
_VELOCITY_FEATURES = frozenset(
    {Feature.BUILDER_OPTIONS, Feature.EQUITY_FLOOR, Feature.FUNDING_DEAD_ZONE, Feature.POSITION_RATIO, Feature.STALE_INTEREST}
)

DRIFT_V2: Final = Deployment(
    "drift",
    _DRIFT_PROGRAM,
    "2.162",
    Quote(USDC, "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),
    Seeds(b"drift_state", b"drift_signer"),
    tables.DRIFT,
    _DRIFT_STATUSES,
    _DRIFT_SOURCES,
    frozenset({Feature.HIGH_LEVERAGE, Feature.ISOLATED, Feature.POSITION_RATIO, Feature.SPOT_TRADING}),
    _DRIFT_BITS,
)
"""Drift v2 by its last IDL. Drained on 2026-04-01 and paused since: an archive to read, not a venue to trade on."""

DRIFT_V2_LEGACY: Final = Deployment(
    "drift-legacy",
    _DRIFT_PROGRAM,
    "before 2.142",
    DRIFT_V2.quote,
    DRIFT_V2.seeds,
    tables.DRIFT_LEGACY,
    _DRIFT_STATUSES,
    _DRIFT_SOURCES,
    frozenset({Feature.HIGH_LEVERAGE, Feature.LIQUIDITY_SHARES, Feature.SPOT_TRADING}),
    _DRIFT_BITS,
)
"""The same program as it wrote Users while liquidity shares lay in perp positions: no isolated balance, flag or ratio of a position."""

VELOCITY: Final = Deployment(
    "velocity",
    _VELOCITY_PROGRAM,
    "2.165",
    Quote(USDT, "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"),
    Seeds(b"velocity_state", b"velocity_signer"),
    tables.VELOCITY,
    _VELOCITY_STATUSES,
    _VELOCITY_SOURCES,
    _VELOCITY_FEATURES,
    _VELOCITY_BITS,
)
"""Velocity on mainnet, by the repository's IDL 2.165. Offsets that others observed on chain (sizes, the cumulative deposit interest at
328, the perp order step at 544, addresses, the quote mint) agree with it; the version that is deployed was not read from chain here.
"""

VELOCITY_DEVNET: Final = evolve(
    VELOCITY,
    name="velocity-devnet",
    quote=Quote(Asset("dUSDT", 6), "GqmEqYsy8EyvofDpmtFxK8zhYrgWgNokAtYoduQdL7v6"),
    pyth="gSbePebfvPy7tRqimPoVecS2UsBvYv46ynrzWocc92s",
)
"""The same program id on devnet, settled in a test coin: nothing but the quote's mint tells the two apart."""

VELOCITY_CLOB: Final = evolve(VELOCITY, name="velocity-clob", version="order-book branch", layouts=tables.VELOCITY_CLOB)
"""Velocity's branch with an order book on chain, not seen deployed. Only the User's layout is known: no other account can be read."""

DEPLOYMENTS: Final[Mapping[str, Deployment]] = {
    one.name: one for one in (DRIFT_V2, DRIFT_V2_LEGACY, VELOCITY, VELOCITY_CLOB, VELOCITY_DEVNET)
}
"""All of them by name."""
