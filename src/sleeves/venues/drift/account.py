"""What the chain says that an authority has at a deployment, all of one slot: its sub-accounts, and the markets that they stand in.

    look        State, statistics, sub-accounts, spot markets, perp markets and their oracles in one question
    holdings    coins by sub-account, in tokens as the program counts them: by the indices that it has written down
    positions   contracts by symbol: what is held, and the quote amount that stands for them until it is settled

A sub-account that is not there is not in `users`; whoever needs it says so. What is there and is not what it should be raises:
nothing is taken for zero. What open interest would add to a coin since the program last wrote its indices is not counted, as the
program itself would not count it before it writes them anew.

It asks a node and judges nothing: see `risk` for what an account is worth, `check_start` for what must hold before anything is traded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen
from solders.pubkey import Pubkey

from ...errors import VenueUnavailable
from ...money import Amount, Asset
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
from .interest import tokens_of
from .markets import asset_of, perpetual
from .oracles import Oracle, read_oracle
from .words import OracleSource

__all__ = ["Look", "check_mint", "holdings", "look", "positions", "tokens"]

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
    min_slot: int | None = None,
) -> Look:
    """All of one slot: asked again, with more accounts, until every market that the sub-accounts stand in is among them.

    Raises `WrongAccount` for what is there and is not what it should be, `VenueUnavailable` where a node does not answer, has no
    State, or moves faster than it can be asked.
    """
    subs = sorted(set(accounts))
    fixed = [deployment.state(), deployment.user_stats(authority), *(deployment.user(authority, sub) for sub in subs)]
    spots, contracts, oracles = {deployment.quote.market}, set(perps), dict[str, None]()
    for _ in range(6):
        wanted = list(
            dict.fromkeys([*fixed, *map(deployment.spot_market, sorted(spots)), *map(deployment.perp_market, sorted(contracts)), *oracles])
        )
        if len(wanted) > 100:
            raise VenueUnavailable(f"{len(wanted)} accounts are not told as of one slot: look at fewer sub-accounts or markets")
        found = await rpc.accounts([address(key) for key in wanted], min_slot=min_slot)
        at = dict(zip(wanted, found.values, strict=True))
        users = _users(deployment, authority, subs, at)
        more_spots = {one.market for user in users.values() for one in user.spots}
        more_perps = {one.market for user in users.values() for one in user.perps}
        coins = {index: _spot(deployment, index, at) for index in spots}
        perpetuals = {index: _perp(deployment, index, at) for index in contracts}
        more_spots |= {one.quote_market for one in perpetuals.values()}
        priced = [*coins.values(), *perpetuals.values()]
        needed = {one.oracle for one in priced if one.oracle_source is not OracleSource.QUOTE_ASSET and one.oracle != _NOWHERE}
        if more_spots <= spots and more_perps <= contracts and needed <= set(oracles):
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
        spots |= more_spots
        contracts |= more_perps
        oracles.update(dict.fromkeys(sorted(needed)))
    raise VenueUnavailable(f"the sub-accounts of {authority} stand in other markets each time that they are looked at")


def tokens(market: SpotMarket, user: User) -> int:
    """What a sub-account has of a coin, in tokens: below zero where it is borrowed.

    Raises `VenueUnavailable` for an isolated deposit in the quote coin, which is not counted here.
    """
    return sum(tokens_of(one.balance, market, borrowed=one.borrowed) for one in user.spots if one.market == market.index)


def holdings(seen: Look) -> dict[int, dict[str, Amount]]:
    """Coins by sub-account and asset code; a borrowed coin is below zero. Each that exists is there, with the quote coin at least."""
    told: dict[int, dict[str, Amount]] = {}
    for sub, user in sorted(seen.users.items()):
        _no_isolated(user)
        coins = {seen.deployment.quote.market, *(one.market for one in user.spots)}
        held: dict[str, Amount] = {}
        for index in sorted(coins):
            asset = asset_of(seen.deployment, seen.spots[index])
            if asset.code in held:
                raise WrongAccount(f"two spot markets of {seen.deployment.name} are named {asset.code}")
            held[asset.code] = Amount(tokens(seen.spots[index], user), asset)
        told[sub] = held
    return told


def positions(seen: Look) -> dict[str, Position]:
    """Contracts by symbol, one for each sub-account and market that it has any, or money of, in. `money` is the program's quote amount."""
    told: dict[str, Position] = {}
    for sub, user in sorted(seen.users.items()):
        _no_isolated(user)
        for one in user.perps:
            if one.base or one.quote:
                instrument = perpetual(seen.deployment, seen.perps[one.market], sub)
                told[instrument.symbol] = Position(instrument, one.base, one.quote)
    return told


def total(held: Mapping[int, Mapping[str, Amount]], quote: Asset) -> dict[str, Amount]:
    """All coins of all sub-accounts by asset code; of the quote coin none where there is none."""
    sums: dict[str, Amount] = {quote.code: quote.zero}
    for coins in held.values():
        for code, amount in coins.items():
            sums[code] = sums[code] + amount if code in sums else amount
    return sums


async def check_mint(rpc: Rpc, deployment: Deployment, quote: SpotMarket) -> None:
    """Hold the quote coin against the deployment's: its mint, its decimals, both of spot market and mint. Raises `WrongAccount`."""
    if quote.mint != deployment.quote.mint:
        raise WrongAccount(
            f"spot market {quote.index} of {deployment.name} is of the mint {quote.mint}, and {deployment.quote.asset} is {deployment.quote.mint}"
        )
    account = await rpc.account(Pubkey.from_string(quote.mint))
    if account is None:
        raise WrongAccount(f"there is no mint {quote.mint} on this chain")
    scale, decimals = deployment.quote.asset.scale, Mint.decode(account).decimals
    if not quote.decimals == decimals == scale:
        raise WrongAccount(f"{deployment.quote.asset} has {decimals} decimals by its mint, {quote.decimals} by its market, {scale} here")


def _no_isolated(user: User) -> None:
    for one in user.perps:
        if one.is_isolated or one.isolated:
            raise VenueUnavailable(f"sub-account {user.sub} has an isolated position in perp market {one.market}, which no books here hold")


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
