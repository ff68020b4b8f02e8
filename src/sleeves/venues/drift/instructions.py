"""What is asked of the program: instructions, byte for byte, for one deployment.

    ask = Instructions(VELOCITY)
    ix = ask.place_perp_order(owner, 0, OrderParams(market=0, long=True, base=10**9, price=150_000_000), markets=markets, user=user)

Each method returns one `solders` instruction, whole: its data, its named accounts, and the accounts that the program wants besides
(`remaining`): oracles, then spot markets, then perp markets, each once, writable where this instruction changes it. What is handed in
is never changed. It signs nothing, sends nothing, asks nobody, and does not know whether the program will agree.
Sources: the programs' own account lists (Drift 2.142 to 2.162, Velocity 2.165), bytes captured from Velocity's SDK, driftpy's coder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar

from attrs import field, frozen
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ...errors import InvalidMarket
from .borsh import Kind, Many, Record, pack, write
from .deployment import Deployment, Feature
from .words import OrderKind, Trigger, name_bytes

__all__ = ["Instructions", "MarketLike", "Markets", "OrderKind", "OrderParams", "PerpLike", "PostOnly", "SpotLike", "Trigger", "UserLike"]

RENT: Final = "SysvarRent111111111111111111111111111111111"
SYSTEM: Final = "11111111111111111111111111111111"
TOKEN: Final = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_2022: Final = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
NOBODY: Final = str(Pubkey.default())
IMMEDIATE: Final = 1
"""The bit of an order's flags that cancels what is not filled at once."""
MOST_REFRESHED: Final = 16
"""The most spot markets whose interest Velocity refreshes in one instruction."""

_KINDS = (OrderKind.MARKET, OrderKind.LIMIT, OrderKind.TRIGGER_MARKET, OrderKind.TRIGGER_LIMIT, OrderKind.ORACLE)
_TRIGGERS = (Trigger.ABOVE, Trigger.BELOW, Trigger.TRIGGERED_ABOVE, Trigger.TRIGGERED_BELOW)
_PARAMS = """
order_type enum:5
market_type enum:2
direction enum:2
user_order_id u8
base_asset_amount u64
price u64
market_index u16
reduce_only bool
post_only enum:4
bit_flags u8
max_ts ?i64
trigger_price ?u64
trigger_condition enum:4
oracle_price_offset ?OFFSET
auction_duration ?u8
auction_start_price ?i64
auction_end_price ?i64
"""
_BUILDER = """
builder_idx ?u8
builder_fee_tenth_bps ?u16
"""


_Args = tuple[tuple[Kind, Any], ...]
"""The arguments of an instruction, each after its type."""


class PostOnly(IntEnum):
    """What happens to an order that would take: nothing special, the transaction fails, it is dropped, its price is moved."""

    NONE = 0
    MUST = 1
    TRY = 2
    SLIDE = 3


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
    """Cancelled where it is not filled at once (bit 1 of the flags). The program takes it in no instruction of this module: 6050."""
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


class PerpLike(MarketLike, Protocol):
    """A perp market: also the spot market that it is settled in."""

    @property
    def quote_market(self) -> int: ...


class SpotLike(MarketLike, Protocol):
    """A spot market: also its mint, whether its tokens are of the Token-2022 program, and whether a transfer of them calls a hook."""

    @property
    def mint(self) -> str: ...
    @property
    def token_2022(self) -> bool: ...
    @property
    def transfer_hook(self) -> bool: ...


class _Held(Protocol):
    @property
    def market(self) -> int: ...


class _HeldSpot(_Held, Protocol):
    @property
    def open_bids(self) -> int: ...
    @property
    def open_asks(self) -> int: ...


class UserLike(Protocol):
    """A sub-account as far as instructions need it: which markets it stands in."""

    @property
    def spots(self) -> Sequence[_HeldSpot]: ...
    @property
    def perps(self) -> Sequence[_Held]: ...


@frozen
class Markets:
    """The markets that are known, by index. Instructions look up oracles and mints here; a market that is not here cannot be touched."""

    spots: Mapping[int, SpotLike] = field(factory=dict)
    perps: Mapping[int, PerpLike] = field(factory=dict)


_Market = TypeVar("_Market", bound=MarketLike)


class Instructions:
    """The instructions of one deployment. `owner` is the authority of a sub-account; `signer`, where given, the delegate who signs for it.

    Addresses are base58 text; amounts are units of the coin, base amounts 1e9, prices 1e6. Every method raises `InvalidMarket` for a
    value that the program's types cannot hold, for a market that `markets` does not have, and for what this deployment has not.
    """

    def __init__(self, deployment: Deployment) -> None:
        # The order book's branch takes other parameters for an order, and changes them still: what is not known is not sent.
        if deployment.version not in KNOWN:
            raise InvalidMarket(
                f"{deployment.name} is of version {deployment.version}; instructions are known of {', '.join(sorted(KNOWN))}"
            )
        self.deployment = deployment
        velocity = deployment.has(Feature.BUILDER_OPTIONS)
        lines = _PARAMS.replace("OFFSET", "i64" if velocity else "i32") + (_BUILDER if velocity else "")
        self._params = Record(
            "OrderParams", tuple((row[0], row[1]) for row in (line.split() for line in lines.strip().splitlines() if line))
        )

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
        """The accounts after the named ones, for what these users stand in and what is named: oracles, spot markets, perp markets.

        Each stands once, by ascending index; a market of `write_...` is writable. With a perp market comes its quote's spot market.
        An account that has no oracle (the program's quote coin may have none) brings none.
        """
        touched_spots: dict[int, bool] = {}
        touched_perps: dict[int, bool] = {}
        for user in users:
            touched_spots |= dict.fromkeys((one.market for one in user.spots), False)
            touched_perps |= dict.fromkeys((one.market for one in user.perps), False)
            if any(one.open_bids or one.open_asks for one in user.spots):
                touched_spots.setdefault(self.deployment.quote.market, False)
        for index in perps:
            touched_perps.setdefault(index, False)
        touched_perps |= dict.fromkeys(write_perps, True)
        for index in (*spots, *(_known(markets.perps, index, "perp", self.deployment).quote_market for index in touched_perps)):
            touched_spots.setdefault(index, False)
        touched_spots |= dict.fromkeys(write_spots, True)
        oracles: dict[str, AccountMeta] = {}
        metas: list[AccountMeta] = []
        for index in sorted(touched_spots):
            market = _known(markets.spots, index, "spot", self.deployment)
            if market.oracle != NOBODY:
                oracles.setdefault(market.oracle, _meta(market.oracle))
            metas.append(_meta(self.deployment.spot_market(index), write=touched_spots[index]))
        for index in sorted(touched_perps):
            oracle = _known(markets.perps, index, "perp", self.deployment).oracle
            oracles.setdefault(oracle, _meta(oracle))
            metas.append(_meta(self.deployment.perp_market(index), write=touched_perps[index]))
        return (*oracles.values(), *metas)

    def order_bytes(self, params: OrderParams) -> bytes:
        """The order's parameters as this deployment takes them."""
        return pack(self._params, self._order_values(params))

    def _order_values(self, params: OrderParams) -> dict[str, Any]:
        if not self.deployment.has(Feature.BUILDER_OPTIONS) and (params.builder, params.builder_fee) != (None, None):
            raise InvalidMarket(f"{self.deployment.name} takes no builder with an order")
        if not params.perp and not self.deployment.has(Feature.SPOT_TRADING):
            raise InvalidMarket(f"{self.deployment.name} takes no spot orders")
        if params.flags & IMMEDIATE:
            raise InvalidMarket(f"bit 1 of the flags ({params.flags}) is said by `immediate`")
        values: dict[str, Any] = {
            "order_type": _KINDS.index(params.kind),
            "market_type": int(params.perp),
            "direction": int(not params.long),
            "user_order_id": params.user_id,
            "base_asset_amount": params.base,
            "price": params.price,
            "market_index": params.market,
            "reduce_only": params.reduce_only,
            "post_only": int(params.post_only),
            "bit_flags": params.flags | (IMMEDIATE if params.immediate else 0),
            "max_ts": params.expires,
            "trigger_price": params.trigger_price,
            "trigger_condition": _TRIGGERS.index(params.trigger),
            "oracle_price_offset": params.oracle_offset,
            "auction_duration": params.auction_duration,
            "auction_start_price": params.auction_start,
            "auction_end_price": params.auction_end,
        }
        if self.deployment.has(Feature.BUILDER_OPTIONS):
            values |= {"builder_idx": params.builder, "builder_fee_tenth_bps": params.builder_fee}
        return values

    def initialize_user_stats(self, owner: str, *, payer: str | None = None) -> Instruction:
        """Create the statistics account that every authority needs before its first sub-account. `payer` signs and pays, else the owner."""
        accounts = (
            _meta(self.deployment.user_stats(owner), write=True),
            _meta(self.deployment.state(), write=True),
            _meta(owner, sign=self._owner_signs()),
            _meta(payer or owner, sign=True, write=True),
            _meta(RENT),
            _meta(SYSTEM),
        )
        return self._ask("initialize_user_stats", (), accounts)

    def initialize_user(self, owner: str, sub: int, name: str, *, payer: str | None = None) -> Instruction:
        """Create a sub-account. `name` has at most 32 bytes. Numbers are given in turn: the program takes only the next one."""
        try:
            called = name_bytes(name)
        except ValueError as error:
            raise InvalidMarket(str(error)) from None
        accounts = (
            _meta(self._user(owner, sub), write=True),
            _meta(self.deployment.user_stats(owner), write=True),
            _meta(self.deployment.state(), write=True),
            _meta(owner, sign=self._owner_signs()),
            _meta(payer or owner, sign=True, write=True),
            _meta(RENT),
            _meta(SYSTEM),
        )
        return self._ask("initialize_user", (("u16", sub), ("bytes:32", called)), accounts)

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
        """Move `amount` (token units, above 0) from a token account of the owner into a sub-account.

        `user` is None while the sub-account is being created in the same transaction. With `reduce_only` it only pays a borrow back,
        and takes no more than that.
        """
        accounts = (
            _meta(self.deployment.state()),
            _meta(self._user(owner, sub), write=True),
            _meta(self.deployment.user_stats(owner), write=True),
            _meta(owner, sign=True),
            _meta(self.deployment.spot_vault(market), write=True),
            _meta(token_account, write=True),
            _meta(self._token_program(markets, market)),
            *self.remaining(markets, () if user is None else (user,), write_spots=(market,)),
            *self._mint(markets, market),
        )
        return self._ask("deposit", (*_coins(market, amount), ("bool", reduce_only)), accounts)

    def withdraw(
        self, owner: str, sub: int, market: int, amount: int, token_account: str, *, markets: Markets, user: UserLike
    ) -> Instruction:
        """Move `amount` (token units, above 0) out to a token account. Always reduce-only: at most what is there, and no borrow."""
        accounts = (
            _meta(self.deployment.state()),
            _meta(self._user(owner, sub), write=True),
            _meta(self.deployment.user_stats(owner), write=True),
            _meta(owner, sign=True),
            _meta(self.deployment.spot_vault(market), write=True),
            _meta(self.deployment.signer()),
            _meta(token_account, write=True),
            _meta(self._token_program(markets, market)),
            *self.remaining(markets, (user,), write_spots=(market,)),
            *self._mint(markets, market),
        )
        return self._ask("withdraw", (*_coins(market, amount), ("bool", True)), accounts)

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
        """Move `amount` (token units, above 0) of a deposit from one sub-account to another of the same authority.

        Only the authority may sign. The program has no reduce-only here: what is not there would be borrowed, if margin allows it, so
        the caller looks at the balance first. `target_user` is None while it is being created.
        """
        if source == target:
            raise InvalidMarket(f"sub-account {source} cannot send to itself")
        accounts = (
            _meta(self._user(owner, source), write=True),
            _meta(self._user(owner, target), write=True),
            _meta(self.deployment.user_stats(owner), write=True),
            _meta(owner, sign=True),
            _meta(self.deployment.state()),
            _meta(self.deployment.spot_vault(market)),
            *self.remaining(markets, [one for one in (source_user, target_user) if one is not None], write_spots=(market,)),
        )
        return self._ask("transfer_deposit", _coins(market, amount), accounts)

    def place_perp_order(
        self, owner: str, sub: int, params: OrderParams, *, markets: Markets, user: UserLike, signer: str | None = None
    ) -> Instruction:
        """Place one perpetual order. It is filled by others, later."""
        if not params.perp:
            raise InvalidMarket("a spot order is no perpetual order")
        accounts = (*self._trading(owner, sub, signer), *self.remaining(markets, (user,), perps=(params.market,)))
        return self._ask("place_perp_order", ((self._params, self._order(params)),), accounts)

    def place_orders(
        self, owner: str, sub: int, params: Sequence[OrderParams], *, markets: Markets, user: UserLike, signer: str | None = None
    ) -> Instruction:
        """Place several orders at once: all or none."""
        if not params:
            raise InvalidMarket("no orders to place")
        spots = [one.market for one in params if not one.perp]
        quote = [self.deployment.quote.market] if spots else []
        more = self.remaining(markets, (user,), spots=(*quote, *spots), perps=[one.market for one in params if one.perp])
        listed = (Many(self._params), [self._order(one) for one in params])
        return self._ask("place_orders", (listed,), (*self._trading(owner, sub, signer), *more))

    def cancel_order(
        self, owner: str, sub: int, order_id: int | None, *, markets: Markets, user: UserLike, signer: str | None = None
    ) -> Instruction:
        """Cancel the order with this id (u32); None: the one placed last."""
        accounts = (*self._trading(owner, sub, signer), *self.remaining(markets, (user,)))
        return self._ask("cancel_order", (("?u32", order_id),), accounts)

    def cancel_order_by_user_id(
        self, owner: str, sub: int, user_id: int, *, markets: Markets, user: UserLike, signer: str | None = None
    ) -> Instruction:
        """Cancel by the client's byte, 1 to 255."""
        if user_id == 0:
            raise InvalidMarket("0 is no order of the client's: it means none")
        accounts = (*self._trading(owner, sub, signer), *self.remaining(markets, (user,)))
        return self._ask("cancel_order_by_user_id", (("u8", user_id),), accounts)

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
        """Cancel all orders, or those of a kind of market, a market of that kind, a direction."""
        if (perp is None) != (market is None):
            raise InvalidMarket("the kind of market and its index are said together, or neither")  # the program reads them as a pair
        args: _Args = (
            ("?enum:2", None if perp is None else int(perp)),
            ("?u16", market),
            ("?enum:2", None if long is None else int(not long)),
        )
        return self._ask("cancel_orders", args, (*self._trading(owner, sub, signer), *self.remaining(markets, (user,))))

    def settle_pnl(self, owner: str, sub: int, market: int, *, markets: Markets, user: UserLike, signer: str | None = None) -> Instruction:
        """Move what can be settled of a perpetual's profit or loss into the quote balance. Anyone may sign for a loss."""
        quote = self.deployment.quote.market
        accounts = (
            *self._trading(owner, sub, signer),
            _meta(self.deployment.spot_vault(quote)),
            *self.remaining(markets, (user,), write_spots=(quote,), write_perps=(market,)),
        )
        return self._ask("settle_pnl", (("u16", market),), accounts)

    def update_user_delegate(self, owner: str, sub: int, delegate: str | None) -> Instruction:
        """Name who else may trade for a sub-account; None takes it away."""
        args: _Args = (("u16", sub), ("key", delegate or NOBODY))
        return self._ask("update_user_delegate", args, (_meta(self._user(owner, sub), write=True), _meta(owner, sign=True)))

    def update_spot_market_cumulative_interest(self, market: int, *, markets: Markets) -> Instruction:
        """Bring a spot market's interest up to date, and its oracle's average with it. Anyone may ask; nobody signs."""
        accounts = (
            _meta(self.deployment.state()),
            _meta(self.deployment.spot_market(market), write=True),
            _meta(_known(markets.spots, market, "spot", self.deployment).oracle),
            _meta(self.deployment.spot_vault(market)),
        )
        return self._ask("update_spot_market_cumulative_interest", (), accounts)

    def refresh_spot_market_interest(self, indexes: Sequence[int]) -> Instruction:
        """Bring the interest of up to 16 spot markets up to date at once, as margin on Velocity needs. Anyone may ask; nobody signs."""
        if not self.deployment.has(Feature.STALE_INTEREST):
            raise InvalidMarket(f"{self.deployment.name} refreshes one spot market at a time")
        listed = sorted(set(indexes))
        if not 0 < len(listed) <= MOST_REFRESHED:
            raise InvalidMarket(f"{len(listed)} spot markets to refresh; 1 to {MOST_REFRESHED} are taken")
        accounts = (_meta(self.deployment.state()), *(_meta(self.deployment.spot_market(index), write=True) for index in listed))
        return self._ask("refresh_spot_market_interest", (("*u16", listed),), accounts)

    def delete_user(self, owner: str, sub: int) -> Instruction:
        """Close an empty sub-account; its rent goes back to the owner."""
        accounts = [
            _meta(self._user(owner, sub), write=True),
            _meta(self.deployment.user_stats(owner), write=True),
            _meta(self.deployment.state(), write=True),
            _meta(owner, sign=True, write=True),
        ]
        if self.deployment.has(Feature.BUILDER_OPTIONS):
            # Velocity looks whether the owner has an escrow for builders, by its address: it is listed though nearly nobody has one.
            accounts.append(_meta(self.deployment.address(b"REV_ESCROW", bytes(_address(owner))), write=True))
        return self._ask("delete_user", (), accounts)

    def _ask(self, name: str, args: _Args, accounts: Iterable[AccountMeta]) -> Instruction:
        """An instruction by the program's name of it: Anchor's eight bytes, then its arguments, each with its type."""
        data = b"".join(write(kind, value, f"{name}, argument {at + 1}") for at, (kind, value) in enumerate(args))
        return Instruction(_address(self.deployment.program_id), discriminator(name) + data, list(accounts))

    def _order(self, params: OrderParams) -> dict[str, Any]:
        if params.builder is not None or params.builder_fee is not None:
            # The program would want the escrow account of the builder's fee behind all others; nothing here pays one.
            raise InvalidMarket("orders with a builder's fee are not placed from here")
        if params.flags:
            raise InvalidMarket(f"orders with the flags {params.flags} are not placed from here: they want accounts of their own")
        return self._order_values(params)

    def _owner_signs(self) -> bool:
        """Drift wants the owner's signature for a new account; Velocity only the payer's."""
        return not self.deployment.has(Feature.BUILDER_OPTIONS)

    def _trading(self, owner: str, sub: int, signer: str | None) -> tuple[AccountMeta, ...]:
        user = _meta(self._user(owner, sub), write=True)
        return (_meta(self.deployment.state()), user, _meta(signer or owner, sign=True))

    def _user(self, owner: str, sub: int) -> str:
        write("u16", sub, "sub")
        _address(owner)
        return self.deployment.user(owner, sub)

    def _token_program(self, markets: Markets, market: int) -> str:
        spot = _known(markets.spots, market, "spot", self.deployment)
        if spot.transfer_hook:
            raise InvalidMarket(
                f"spot market {market} of {self.deployment.name}: a transfer of {spot.mint} calls a hook, whose accounts are not known"
            )
        return TOKEN_2022 if spot.token_2022 else TOKEN

    def _mint(self, markets: Markets, market: int) -> tuple[AccountMeta, ...]:
        """The mint, which a transfer of a Token-2022 coin needs; the program looks for it after all other accounts."""
        spot = _known(markets.spots, market, "spot", self.deployment)
        return (_meta(spot.mint),) if spot.token_2022 else ()


KNOWN: Final = frozenset({"2.162", "2.165"})
"""The versions of the program whose instructions are known."""


def discriminator(name: str) -> bytes:
    """The first eight bytes of an instruction, as Anchor makes them from its name."""
    return sha256(f"global:{name}".encode()).digest()[:8]


def _coins(market: int, amount: int) -> _Args:
    if amount == 0:
        raise InvalidMarket("an amount of 0 moves nothing")
    return ("u16", market), ("u64", amount)


def _address(text: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise InvalidMarket(f"{text!r} is no address in base58") from None


def _meta(address: str, *, sign: bool = False, write: bool = False) -> AccountMeta:
    return AccountMeta(_address(address), sign, write)


def _known(listed: Mapping[int, _Market], index: int, kind: str, deployment: Deployment) -> _Market:
    try:
        return listed[index]
    except KeyError:
        raise InvalidMarket(f"{kind} market {index} of {deployment.name} is not among those given: {sorted(listed)}") from None
