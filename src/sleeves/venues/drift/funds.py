"""Coins into an account, out of it, and between its sub-accounts: what may be asked, and the transaction that does it.

    deposit    from the authority's token account into sub-account 0
    withdraw   out of sub-account 0 to the authority's token account, always reduce-only: no borrowing is ever opened
    shift      from one sub-account to another of the same authority

A sub-account that is not there is created in the same transaction, with all before it, since the program numbers them in order; its
rent comes out of the wallet's SOL. Sub-account 0 is named "main" and the others "engine 1" and so on.

What is refused here is what is certain: more than is there, a coin that is not traded, a pause, a cap of deposits, and a health that
would fall below the least where contracts are held. What the program refuses besides (its daily limits, its margin) a run of the very
transaction tells. It asks nobody and signs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import evolve, frozen
from solders.instruction import Instruction as Written
from solders.pubkey import Pubkey

from ...money import decimal_text
from ...orders import Transfer
from ..solana import TOKEN, TOKEN_2022, ata, create_ata
from .account import Look, tokens
from .accounts import SpotMarket, User
from .carrier import Load
from .deployment import Feature
from .instructions import Instructions
from .markets import Markets as Terms
from .words import ExchangePause, MarketStatus, SpotPause

__all__ = ["Plan", "creates", "name_of", "needs_of", "plan_of", "refreshed", "refusal_of", "without"]

_LAMPORTS_PER_FEE = 10_000_000
"""The State tells the most that a new sub-account may cost besides its rent, in hundredths of SOL."""

HealthOf = Callable[[User], int | None]
"""The health of a sub-account in hundredths of a point (10,000: all is free); None where it holds no contracts."""


@frozen(order=False)
class Plan:
    """A transfer as it will be asked for: of which coin, between which sub-accounts; None is the wallet."""

    market: SpotMarket
    units: int
    source: int | None
    target: int | None


def name_of(sub: int) -> str:
    """The name that a sub-account is given when it is created."""
    return "main" if sub == 0 else f"engine {sub}"


def plan_of(transfer: Transfer, seen: Look, terms: Terms) -> Plan | str:
    """What a transfer asks for, or why it cannot be."""
    market = next((seen.spots[one.index] for one in terms.coins() if one.asset == transfer.amount.asset and one.index in seen.spots), None)
    if market is None:
        return f"{transfer.amount.asset} is no coin that is moved here"
    units = transfer.amount.units
    if transfer.inside:
        return Plan(market, units, transfer.source, transfer.target)
    return Plan(market, units, None, 0) if units > 0 else Plan(market, -units, 0, None)


def creates(seen: Look, sub: int | None) -> range:
    """The sub-accounts that must be created so that one is there; none where it is."""
    if sub is None or sub in seen.users:
        return range(0)
    made = 0 if seen.stats is None else seen.stats.sub_accounts_created
    return range(made, sub + 1)


def refusal_of(plan: Plan, seen: Look, wallet: int | None, least_health: int, health_of: HealthOf, accounts: frozenset[int]) -> str:
    """Why a transfer would be refused, or nothing. `wallet` is what the authority's token account has, None where there is none.

    `health_of` is asked of the sub-account as it would be afterwards.
    """
    market, where = plan.market, seen.state.exchange_status
    for sub in (plan.source, plan.target):
        if sub is not None and sub not in accounts:
            return f"sub-account {sub} is none of those that are kept here"
    leaves, enters = plan.source is not None, plan.target is not None
    for what, is_so in (("withdrawals", leaves), ("deposits", enters)):
        pause, own = (ExchangePause.WITHDRAW, SpotPause.WITHDRAW) if what == "withdrawals" else (ExchangePause.DEPOSIT, SpotPause.DEPOSIT)
        if is_so and (pause in where or own in market.paused):
            return f"{what} of {market.name} are paused"
    if market.status not in (MarketStatus.ACTIVE, MarketStatus.REDUCE_ONLY, MarketStatus.SETTLEMENT):
        return f"{market.name} is {market.status.value}"
    if plan.source is None:
        return _in(plan, seen, wallet)
    user = seen.users.get(plan.source)
    if user is None:
        return f"sub-account {plan.source} does not exist"
    if user.bankrupt or user.being_liquidated:
        return f"sub-account {plan.source} is {'bankrupt' if user.bankrupt else 'being liquidated'}"
    has = tokens(market, user)
    if has < plan.units:
        return f"sub-account {plan.source} has {_said(market, has)}, and {_said(market, plan.units)} are to leave it"
    if plan.target is not None and plan.target not in seen.users and plan.target not in creates(seen, plan.target):
        return f"sub-account {plan.target} was closed, and the program does not make it again"
    if any(one.base for one in user.perps):
        after = health_of(without(user, market, plan.units))
        if after is not None and after < least_health * 100:
            return f"health of sub-account {plan.source} would be {after / 100:.2f}, below {least_health}"
    return ""


def _in(plan: Plan, seen: Look, wallet: int | None) -> str:
    market = plan.market
    if wallet is None or wallet < plan.units:
        return f"the wallet has {_said(market, wallet or 0)}, and {_said(market, plan.units)} are to be paid in"
    if market.status is not MarketStatus.ACTIVE:
        return f"{market.name} is {market.status.value}, and takes no deposits"
    if plan.target not in seen.users and plan.target not in creates(seen, plan.target):
        return f"sub-account {plan.target} was closed, and the program does not make it again"
    there = market.deposit_balance * market.deposit_index // 10 ** (19 - market.decimals)
    if market.max_deposits and there + plan.units > market.max_deposits:
        return f"{market.name} takes {_said(market, market.max_deposits)} in all, and has {_said(market, there)}"
    return ""


def _said(market: SpotMarket, units: int) -> str:
    """An amount of a market's coin for a reader."""
    return f"{decimal_text(units, market.decimals)} {market.name}"


def without(user: User, market: SpotMarket, units: int) -> User:
    """A sub-account as if so many tokens of a coin had left it: what is left is rounded down."""
    scale, spots = 10 ** (19 - market.decimals), []
    for one in user.spots:
        if one.market == market.index and not one.borrowed:
            left = max(0, one.balance * market.deposit_index // scale - units)
            one = evolve(one, balance=left * scale // market.deposit_index)
        spots.append(one)
    return evolve(user, spots=tuple(spots))


def needs_of(plan: Plan, seen: Look) -> tuple[int, bool]:
    """How many sub-accounts are to be created, and whether the statistics account is."""
    new = creates(seen, plan.target)
    return len(new), bool(new) and seen.stats is None


def refreshed(seen: Look, ask: Instructions, spots: Iterable[int]) -> list[Written]:
    """What brings the interest of these coins up to date in the same transaction, where the program's margin wants it to be fresh."""
    if not seen.deployment.has(Feature.STALE_INTEREST):
        return []
    return [ask.refresh_spot_market_interest(sorted({seen.deployment.quote.market, *spots}))]


def load_of(plan: Plan, seen: Look, ask: Instructions, authority: str, note: str, rents: tuple[int, int]) -> Load:
    """The transaction of a transfer. `rents` are lamports for a sub-account and for the statistics."""
    market = plan.market
    mint, owner = Pubkey.from_string(market.mint), Pubkey.from_string(authority)
    program = TOKEN_2022 if market.token_2022 else TOKEN
    account = str(ata(owner, mint, program))
    made: list[Written] = []
    users, stats = needs_of(plan, seen)
    if stats:
        made.append(ask.initialize_user_stats(authority))
    made += [ask.initialize_user(authority, sub, name_of(sub)) for sub in creates(seen, plan.target)]
    rent = users * (rents[0] + seen.state.max_initialize_fee * _LAMPORTS_PER_FEE) + (rents[1] if stats else 0)
    leaving = () if plan.source is None else (seen.user(plan.source),)
    fresh = refreshed(seen, ask, [market.index, *(one.market for user in leaving for one in user.spots)])
    target = None if plan.target is None else seen.users.get(plan.target)
    if plan.source is None:
        assert plan.target is not None
        made.append(ask.deposit(authority, plan.target, market.index, plan.units, account, markets=seen.markets, user=target))
        return Load(made, note, out={mint: plan.units}, rent=rent)
    source = seen.user(plan.source)
    if plan.target is None:
        made += fresh
        made.append(create_ata(owner, owner, mint, program))
        made.append(ask.withdraw(authority, plan.source, market.index, plan.units, account, markets=seen.markets, user=source))
        return Load(made, note, into={mint: plan.units}, rent=rent)
    made += fresh
    made.append(
        ask.transfer_deposit(
            authority, plan.source, plan.target, market.index, plan.units, markets=seen.markets, source_user=source, target_user=target
        )
    )
    return Load(made, note, rent=rent)
