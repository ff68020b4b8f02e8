"""What the chain says that an authority has at a deployment, all of one slot: its sub-accounts, and the markets that they stand in.

    look        State, statistics, sub-accounts, spot markets, perp markets and their oracles in one question
    tokens      what a sub-account has of a coin as the program counts it: by the indices that it has written down
    positions   contracts by symbol: what is held, and the quote amount that stands for them until it is settled

A sub-account that is not there is not in `users`; whoever needs it says so. What is there and is not what it should be raises:
nothing is taken for zero. What interest would add to a coin since the program last wrote its indices is not counted, as the program
itself would not count it before it writes them anew.

It asks a node and judges nothing: see `risk` for what an account is worth, `past` for the coins that the books go by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen
from solders.pubkey import Pubkey

from ...errors import VenueUnavailable
from ...orders import Position
from ..solana import Account, Mint, Rpc
from ..solana.written import address
from .accounts import (
    PerpMarket,
    SpotMarket,
    State,
    User,
    UserStats,
    WrongAccount,
    read_perp_market,
    read_spot_market,
    read_state,
    read_user,
    read_user_stats,
)
from .deployment import Deployment
from .instructions import Markets
from .markets import Markets as Terms
from .oracles import Oracle, read_oracle
from .words import OracleSource

__all__ = ["Look", "check_mint", "look", "perp_markets", "positions", "tokens"]

_NOWHERE = "11111111111111111111111111111111"
"""The address that stands for no account: the oracle of the quote coin in some markets."""


@frozen(order=False)
class Look:
    """Accounts as of one slot. `users` are the sub-accounts that exist, by number; `oracles` by address."""

    deployment: Deployment = field(repr=lambda one: one.name)
    slot: int
    state: State = field(repr=False)
    stats: UserStats | None = field(repr=False)
    users: Mapping[int, User] = field(repr=lambda users: f"{sorted(users)}")
    spots: Mapping[int, SpotMarket] = field(repr=lambda one: f"{sorted(one)}")
    perps: Mapping[int, PerpMarket] = field(repr=lambda one: f"{sorted(one)}")
    _oracles: Mapping[str, Account | None] = field(repr=False)

    @property
    def markets(self) -> Markets:
        """The markets as instructions look them up."""
        return Markets(spots=self.spots, perps=self.perps)

    def oracle(self, market: PerpMarket | SpotMarket) -> Oracle:
        """The price that a market's oracle says. Raises `WrongAccount` for what is no oracle, or of a kind that is not known here."""
        account = self._oracles.get(market.oracle)
        if market.oracle_source is OracleSource.QUOTE_ASSET:
            return read_oracle(self.deployment, market.oracle_source, "", b"", self.slot)
        if account is None:
            raise WrongAccount(f"the oracle {market.oracle} of {market.name} is not there")
        return read_oracle(self.deployment, market.oracle_source, str(account.owner), account.data, account.slot)

    def user(self, sub: int) -> User:
        """A sub-account. Raises `VenueUnavailable` where it does not exist: what it holds is not zero, it is not known."""
        found = self.users.get(sub)
        if found is None:
            raise VenueUnavailable(f"sub-account {sub} does not exist at {self.deployment.name}")
        return found


async def look(
    rpc: Rpc,
    deployment: Deployment,
    authority: str,
    accounts: Iterable[int],
    perps: Iterable[int] = (),
    *,
    spots: Iterable[int] = (),
    known: Look | None = None,
    min_slot: int | None = None,
) -> Look:
    """All of one slot: asked again, with more accounts, until every market that the sub-accounts stand in is among them.

    `known` is an earlier look: with the markets that were found then it is mostly asked once.

    Raises `WrongAccount` for what is there and is not what it should be, `VenueUnavailable` where a node does not answer, has no
    State, or moves faster than it can be asked.
    """
    subs = sorted(set(accounts))
    fixed = [deployment.state(), deployment.user_stats(authority), *(deployment.user(authority, sub) for sub in subs)]
    coins_of, contracts, oracles = {deployment.quote.market, *spots}, set(perps), dict[str, None]()
    if known is not None:
        coins_of, contracts, oracles = coins_of | set(known.spots), contracts | set(known.perps), dict.fromkeys(known._oracles)
    for _ in range(6):
        listed = [*map(deployment.spot_market, sorted(coins_of)), *map(deployment.perp_market, sorted(contracts))]
        wanted = list(dict.fromkeys([*fixed, *listed, *oracles]))
        if len(wanted) > 100:
            raise VenueUnavailable(f"{len(wanted)} accounts are not told as of one slot: look at fewer sub-accounts or markets")
        found = await rpc.accounts([address(key) for key in wanted], min_slot=min_slot)
        if min_slot is not None and found.slot < min_slot:
            raise VenueUnavailable(f"the node tells slot {found.slot} where {min_slot} or later was asked for")
        at = dict(zip(wanted, found.values, strict=True))
        users = _users(deployment, authority, subs, at)
        more_spots = {one.market for user in users.values() for one in user.spots}
        more_perps = {one.market for user in users.values() for one in user.perps}
        coins = {index: _spot(deployment, index, at) for index in coins_of}
        perpetuals = {index: _perp(deployment, index, at) for index in contracts}
        more_spots |= {one.quote_market for one in perpetuals.values()}
        priced: list[SpotMarket | PerpMarket] = [*coins.values(), *perpetuals.values()]
        needed = {one.oracle for one in priced if one.oracle_source is not OracleSource.QUOTE_ASSET and one.oracle != _NOWHERE}
        if more_spots <= coins_of and more_perps <= contracts and needed <= set(oracles):
            state, stats = at[deployment.state()], at[deployment.user_stats(authority)]
            if state is None:
                raise WrongAccount(f"there is no State of {deployment.name} at {deployment.state()}")
            return Look(
                deployment,
                found.slot,
                read_state(deployment, *_told(state)),
                None if stats is None else read_user_stats(deployment, *_told(stats)),
                users,
                coins,
                perpetuals,
                {key: at[key] for key in oracles},
            )
        coins_of |= more_spots
        contracts |= more_perps
        oracles.update(dict.fromkeys(sorted(needed)))
    raise VenueUnavailable(f"the sub-accounts of {authority} stand in other markets each time that they are looked at")


async def perp_markets(rpc: Rpc, deployment: Deployment, indices: Iterable[int]) -> dict[int, PerpMarket]:
    """Perp markets by number, however many: more than a hundred are not of one slot. Raises as `look` does."""
    keys = {index: deployment.perp_market(index) for index in indices}
    if not keys:
        return {}
    found = await rpc.accounts([address(key) for key in keys.values()])
    at = dict(zip(keys.values(), found.values, strict=True))
    return {index: _perp(deployment, index, at) for index in keys}


def tokens(market: SpotMarket, user: User) -> int:
    """What a sub-account has of a coin, in tokens: below zero, and rounded up, where it is borrowed."""
    scale, held = 10 ** (19 - market.decimals), 0
    for one in user.spots:
        if one.market == market.index:
            held += one.balance * market.borrow_index // -scale if one.borrowed else one.balance * market.deposit_index // scale
    return held


def positions(seen: Look, terms: Terms) -> dict[str, Position]:
    """Contracts by symbol, one for each sub-account and market that it has any, or money of, in. `money` is the program's quote amount.

    Raises `VenueUnavailable` for an isolated position, which no books here hold.
    """
    told: dict[str, Position] = {}
    for sub, user in sorted(seen.users.items()):
        for one in user.perps:
            if one.is_isolated or one.isolated:
                raise VenueUnavailable(f"sub-account {sub} has an isolated position in perp market {one.market}, which no books here hold")
            if one.base or one.quote:
                instrument = terms.instrument(one.market, sub)
                told[instrument.symbol] = Position(instrument, one.base, one.quote)
    return told


async def check_mint(rpc: Rpc, deployment: Deployment, quote: SpotMarket) -> None:
    """Hold the quote coin against the deployment's: its mint, its decimals, both of spot market and mint. Raises `WrongAccount`."""
    if quote.mint != deployment.quote.mint:
        ours = f"{deployment.quote.asset} is {deployment.quote.mint}"
        raise WrongAccount(f"spot market {quote.index} of {deployment.name} has the mint {quote.mint}, and {ours}")
    account = await rpc.account(Pubkey.from_string(quote.mint))
    if account is None:
        raise WrongAccount(f"there is no mint {quote.mint} on this chain")
    scale, decimals = deployment.quote.asset.scale, Mint.decode(account).decimals
    if not quote.decimals == decimals == scale:
        raise WrongAccount(f"{deployment.quote.asset} has {decimals} decimals by its mint, {quote.decimals} by its market, {scale} here")


def _users(deployment: Deployment, authority: str, subs: Iterable[int], at: Mapping[str, Account | None]) -> dict[int, User]:
    users = {}
    for sub in subs:
        account = at[deployment.user(authority, sub)]
        if account is not None:
            users[sub] = read_user(deployment, *_told(account))
    return users


def _spot(deployment: Deployment, index: int, at: Mapping[str, Account | None]) -> SpotMarket:
    account = at[deployment.spot_market(index)]
    if account is None:
        raise WrongAccount(f"there is no spot market {index} of {deployment.name}")
    return read_spot_market(deployment, *_told(account))


def _perp(deployment: Deployment, index: int, at: Mapping[str, Account | None]) -> PerpMarket:
    account = at[deployment.perp_market(index)]
    if account is None:
        raise WrongAccount(f"there is no perp market {index} of {deployment.name}")
    return read_perp_market(deployment, *_told(account))


def _told(account: Account) -> tuple[str, str, bytes, int]:
    return str(account.address), str(account.owner), account.data, account.slot
