"""What is asked of the program: instructions, byte for byte, for one deployment.

    ask = Instructions(VELOCITY)
    ix = ask.place_perp_order(owner, 0, OrderParams(market=0, long=True, base=10**9, price=150_000_000), markets=markets, user=user)

Each method returns one `solders` instruction, whole: its data, its named accounts, and the accounts that the program wants besides
(`remaining`): oracles, then spot markets, then perp markets, each once, writable where this instruction changes it. What is handed in
is never changed. It signs nothing, sends nothing, asks nobody, and does not know whether the program will agree.
Sources: the programs' own account lists (Drift 2.162, Velocity 2.165), `reference/drift.md` section 4.1, bytes captured from Velocity's SDK.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Protocol

from attrs import field, frozen
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from .deployment import Deployment

__all__ = ["Instructions", "MarketLike", "Markets", "OrderKind", "OrderParams", "PostOnly", "SpotLike", "Trigger", "UserLike"]


class OrderKind(IntEnum):
    """The program's order types, by their number on the wire."""

    MARKET = 0
    LIMIT = 1
    TRIGGER_MARKET = 2
    TRIGGER_LIMIT = 3
    ORACLE = 4


class PostOnly(IntEnum):
    """What happens to an order that would take: nothing special, the transaction fails, it is dropped, its price is moved."""

    NONE = 0
    MUST = 1
    TRY = 2
    SLIDE = 3


class Trigger(IntEnum):
    """When a trigger order wakes, by the number on the wire."""

    ABOVE = 0
    BELOW = 1
    TRIGGERED_ABOVE = 2
    TRIGGERED_BELOW = 3


@frozen(kw_only=True)
class OrderParams:
    """One order as the program takes it. Integers in the program's units: base 1e9 (perp), prices 1e6."""

    market: int
    long: bool
    base: int
    kind: OrderKind = OrderKind.LIMIT
    price: int = 0
    perp: bool = True
    user_id: int = 0
    """The only client id that the program knows: one byte, 0 for none."""
    reduce_only: bool = False
    post_only: PostOnly = PostOnly.NONE
    immediate: bool = False
    """Cancelled where it is not filled at once (bit 1 of the flags)."""
    flags: int = 0
    """Further bits of the flags, without the first."""
    expires: int | None = None
    """Unix seconds."""
    trigger_price: int | None = None
    trigger: Trigger = Trigger.ABOVE
    oracle_offset: int | None = None
    auction_duration: int | None = None
    """Slots."""
    auction_start: int | None = None
    auction_end: int | None = None
    builder: int | None = None
    """Velocity only: the place of the builder in the escrow's list."""
    builder_fee: int | None = None
    """Velocity only: tenths of a basis point."""


class MarketLike(Protocol):
    """A market's index and the address of its oracle: `accounts.PerpMarket`, `accounts.SpotMarket`."""

    @property
    def index(self) -> int: ...
    @property
    def oracle(self) -> str: ...


class SpotLike(MarketLike, Protocol):
    """A spot market: also its mint."""

    @property
    def mint(self) -> str: ...


class _Held(Protocol):
    @property
    def market(self) -> int: ...


class UserLike(Protocol):
    """A sub-account as far as instructions need it: which markets it stands in."""

    @property
    def spots(self) -> Sequence[_Held]: ...
    @property
    def perps(self) -> Sequence[_Held]: ...


@frozen
class Markets:
    """The markets that are known, by index. Instructions look up oracles and mints here; a market that is not here cannot be touched."""

    spots: Mapping[int, SpotLike] = field(factory=dict)
    perps: Mapping[int, MarketLike] = field(factory=dict)


class Instructions:
    """The instructions of one deployment. `owner` is the authority of a sub-account; `signer`, where given, the delegate who signs for it."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def remaining(
        self,
        markets: Markets,
        users: Iterable[UserLike] = (),
        *,
        spots: Iterable[int] = (),
        write_spots: Iterable[int] = (),
        perps: Iterable[int] = (),
        write_perps: Iterable[int] = (),
    ) -> tuple[AccountMeta, ...]:
        """The accounts after the named ones: oracles, spot markets, perp markets, for what these users stand in and what is named."""
        raise NotImplementedError

    def initialize_user_stats(self, owner: str, *, payer: str | None = None) -> Instruction:
        """Create the statistics account that every authority needs before its first sub-account."""
        raise NotImplementedError

    def initialize_user(self, owner: str, sub: int, name: str, *, payer: str | None = None) -> Instruction:
        """Create a sub-account. `name` has at most 32 bytes."""
        raise NotImplementedError

    def deposit(
        self,
        owner: str,
        sub: int,
        market: int,
        amount: int,
        token_account: str,
        *,
        markets: Markets,
        user: UserLike | None,
        reduce_only: bool = False,
    ) -> Instruction:
        """Move `amount` (token units) from a token account of the owner into a sub-account. `user` is None while it is being created."""
        raise NotImplementedError

    def withdraw(
        self, owner: str, sub: int, market: int, amount: int, token_account: str, *, markets: Markets, user: UserLike
    ) -> Instruction:
        """Move `amount` (token units) out to a token account. Always reduce-only: it cannot open a borrow."""
        raise NotImplementedError

    def transfer_deposit(
        self,
        owner: str,
        source: int,
        target: int,
        market: int,
        amount: int,
        *,
        markets: Markets,
        source_user: UserLike,
        target_user: UserLike | None,
    ) -> Instruction:
        """Move `amount` (token units) of a deposit from one sub-account to another of the same authority."""
        raise NotImplementedError

    def place_perp_order(
        self, owner: str, sub: int, params: OrderParams, *, markets: Markets, user: UserLike, signer: str | None = None
    ) -> Instruction:
        """Place one perpetual order."""
        raise NotImplementedError

    def place_orders(
        self, owner: str, sub: int, params: Sequence[OrderParams], *, markets: Markets, user: UserLike, signer: str | None = None
    ) -> Instruction:
        """Place several orders at once: all or none."""
        raise NotImplementedError

    def cancel_order(
        self, owner: str, sub: int, order_id: int | None, *, markets: Markets, user: UserLike, signer: str | None = None
    ) -> Instruction:
        """Cancel the order with this id (u32); None: the one placed last."""
        raise NotImplementedError

    def cancel_order_by_user_id(
        self, owner: str, sub: int, user_id: int, *, markets: Markets, user: UserLike, signer: str | None = None
    ) -> Instruction:
        """Cancel by the client's byte, 1 to 255."""
        raise NotImplementedError

    def cancel_orders(
        self,
        owner: str,
        sub: int,
        *,
        markets: Markets,
        user: UserLike,
        perp: bool | None = None,
        market: int | None = None,
        long: bool | None = None,
        signer: str | None = None,
    ) -> Instruction:
        """Cancel all orders, or those of a kind of market, a market, a direction."""
        raise NotImplementedError

    def settle_pnl(self, owner: str, sub: int, market: int, *, markets: Markets, user: UserLike, signer: str | None = None) -> Instruction:
        """Move the settled part of a perpetual's profit or loss into the quote balance. Anyone may sign for a loss."""
        raise NotImplementedError

    def update_user_delegate(self, owner: str, sub: int, delegate: str | None) -> Instruction:
        """Name who else may trade for a sub-account; None takes it away."""
        raise NotImplementedError

    def update_spot_market_cumulative_interest(self, market: int, *, markets: Markets) -> Instruction:
        """Bring a spot market's interest up to date. Anyone may ask."""
        raise NotImplementedError

    def delete_user(self, owner: str, sub: int) -> Instruction:
        """Close an empty sub-account; its rent goes back to the owner."""
        raise NotImplementedError


_ = Pubkey
