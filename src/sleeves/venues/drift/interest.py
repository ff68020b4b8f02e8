"""What lies in sub-accounts, as the chain's own record of each transaction tells it, and what it has earned or cost by lying there.

A coin lies as a scaled balance: tokens are `balance * index // 10**(19 - decimals)`, a borrowing rounded up, and the index grows with
everybody's transactions. So what is held changes between two transactions of ours, and nobody tells of it. It is told here when a
transaction of ours tells the index:

    anchor    a deposit, a withdrawal, either side of a shift: the program writes down the tokens there are afterwards. The truth
    index     the program brought a market's interest up to date: the tokens follow from the scaled balance, by its own rounding
    move      coins came or went: a settlement, a liquidation, a spot trade

What an anchor or an index says beyond the tokens told so far and the moves since is one INTEREST line. The program's rounding is in
it: a deposit or a shift that comes to a scaled balance rounded down costs up to one token unit, a withdrawal or a new borrowing that is rounded up
too. So the lines of a coin sum to what the program says that there is, at each anchor to the unit. Between two of them the scaled
balance may be known only nearly (a settlement does not say its index): the next anchor corrects it, by a line of its own.

What was earned since the last of our transactions is told by none, and is not in `told`. `unbooked` measures it against the accounts,
and raises where it is more than interest can be: then a transaction is missing.

A line follows from one transaction and those before it that name the same sub-account, so that it is the same however often, by
whichever process and with however many other sub-accounts it is read.

It asks nobody. Source of the rounding: `math/spot_balance.rs`, `controller/spot_balance.rs` of the program (2.162).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen

from ...errors import VenueUnavailable
from ...settlement import token_amount
from .accounts import SpotMarket, User

__all__ = ["Anchor", "Index", "Ledger", "Move", "Step", "scaled_of", "signed_tokens", "tokens_of", "unbooked"]

_SCALED = 19
"""A scaled balance (1e9) times an index (1e10) has so many places."""


@frozen(order=False)
class Move:
    """Token units of a coin that came to a sub-account, or below zero left it."""

    sub: int
    market: int
    tokens: int


@frozen(order=False)
class Anchor:
    """Token units of a coin that a sub-account has after a deposit, withdrawal or shift, as the program says; below zero: owed."""

    sub: int
    market: int
    after: int


@frozen(order=False)
class Index:
    """A market's interest was brought up to date: from here on its indices (1e10) are these."""

    market: int
    deposits: int
    borrows: int


Step = Move | Anchor | Index


def tokens_of(balance: int, market: SpotMarket, *, borrowed: bool) -> int:
    """A scaled balance in token units by the indices that the market has written down; below zero, and rounded away, for a debt."""
    return signed_tokens(-balance if borrowed else balance, Index(market.index, market.deposit_index, market.borrow_index), market.decimals)


def signed_tokens(balance: int, index: Index, decimals: int) -> int:
    """A signed scaled balance in token units, below zero for a debt."""
    if balance < 0:
        return -token_amount(-balance, index.borrows, decimals, borrowed=True)
    return token_amount(balance, index.deposits, decimals)


def scaled_of(tokens: int, index: int, decimals: int, *, up: bool) -> int:
    """Token units as a scaled balance: rounded down, or as the program rounds up: one more, whenever it is not nothing."""
    balance = int(tokens * 10 ** (_SCALED - decimals) // index)
    return balance + 1 if up and balance else balance


def moved(balance: int, tokens: int, index: Index, decimals: int) -> int:
    """A signed scaled balance after so many token units came (above zero) or went, as the program does it.

    What comes pays a debt first, and what goes is taken from a deposit first; only what is left over opens the other side.
    """
    if not tokens:
        return balance
    came = tokens > 0
    left = abs(tokens)
    if balance and (balance > 0) is not came:
        there = abs(signed_tokens(balance, index, decimals))
        if there > left:
            owed = balance < 0
            delta = scaled_of(left, index.borrows if owed else index.deposits, decimals, up=owed)
            return balance + (delta if owed else -delta)
        balance, left = (0, left - there) if there else (balance, left)
        if not left:
            return balance
        if balance:
            # the program lets a rest that is no whole token turn: what is left of it is counted on the other side
            balance = 0
    delta = scaled_of(left, index.deposits if came else index.borrows, decimals, up=not came)
    return balance + (delta if came else -delta)


@define
class _Lying:
    """A coin of a sub-account: tokens told, and the scaled balance as far as it is known (None: not)."""

    told: int = 0
    balance: int | None = 0
    index: Index | None = None
    since: Index | None = None
    """The indices from which on what is not told was earned."""
    moves: int = 0
    """How many moves since then."""
    low: int = 0
    high: int = 0


@define
class Ledger:
    """Coins by sub-account, followed from one transaction to the next. `decimals` are asked by the market's number."""

    _coins: dict[tuple[int, int], _Lying] = field(factory=dict, init=False)
    _whole: set[int] = field(factory=set, init=False)

    def opened(self, sub: int) -> None:
        """A sub-account is created: it has nothing, and all that it gets is told from here on."""
        for key in [key for key in self._coins if key[0] == sub]:
            del self._coins[key]
        self._whole.add(sub)

    def closed(self, sub: int) -> None:
        """A sub-account is deleted: what it had is gone."""
        self.opened(sub)

    def knows(self, sub: int, market: int) -> bool:
        """Whether what lies there is known: since it was opened, or since an anchor."""
        return sub in self._whole or (sub, market) in self._coins

    def markets(self, sub: int) -> tuple[int, ...]:
        """The coins that a sub-account has, or had."""
        return tuple(sorted(market for one, market in self._coins if one == sub))

    def told(self, sub: int, market: int) -> int:
        """Token units that were told of a coin. Raises `KeyError` where that is not known."""
        found = self._coins.get((sub, market))
        if found is None:
            if sub in self._whole:
                return 0
            raise KeyError((sub, market))
        return found.told

    def move(self, step: Move) -> None:
        """Coins came or went. Raises `KeyError` where nothing is known of what lay there."""
        lying = self._lying(step.sub, step.market)
        lying.told += step.tokens
        lying.moves += 1
        lying.low, lying.high = min(lying.low, lying.told), max(lying.high, lying.told)
        # by which index is not said: the tokens are exact, the balance is not, until an anchor or an index

    def anchor(self, step: Anchor) -> int:
        """What the tokens of a coin are beyond what was told: interest, and the program's rounding. They are told from here on."""
        lying = self._lying(step.sub, step.market)
        beyond = step.after - lying.told
        lying.told = step.after
        lying.since, lying.moves, lying.low, lying.high = lying.index, 0, step.after, step.after
        return beyond

    def start(self, step: Anchor) -> None:
        """Take an anchor as the first that is known of a coin: what came before it is not told."""
        self._coins[step.sub, step.market] = _Lying(told=step.after, balance=None, low=step.after, high=step.after)

    def _lying(self, sub: int, market: int) -> _Lying:
        found = self._coins.get((sub, market))
        if found is None:
            if sub not in self._whole:
                raise KeyError((sub, market))
            found = self._coins[sub, market] = _Lying()
        return found
