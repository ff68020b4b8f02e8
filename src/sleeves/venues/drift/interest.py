"""What lies in sub-accounts, as the chain's own record of each transaction tells it, and what it has earned or cost by lying there.

A coin lies as a scaled balance: tokens are `balance * index // 10**(19 - decimals)`, a borrowing rounded up, and the index grows with
everybody's transactions. So what is held changes between two transactions of ours, and nobody tells of it. It is told here when a
transaction of ours tells the index:

    anchor    a deposit, a withdrawal, either side of a shift: the program writes down the tokens there are afterwards. The truth
    index     the program brought a market's interest up to date: the tokens follow from the scaled balance, by its own rounding
    move      coins came or went: a settlement, a liquidation, a spot trade

What an anchor or an index says beyond the tokens told so far and the moves since is one INTEREST line. The program's rounding is in
it: a deposit comes to a scaled balance that is rounded down, and what is taken away to one that is rounded up, so that each side of
a deposit, a withdrawal or a shift may cost a token unit. So the lines of a coin sum to what the program says that there is, at each
anchor to the unit. Between two of them the scaled balance may be known only nearly, or not at all (a settlement whose transaction
does not tell the index): then nothing is guessed, and the next anchor tells the rest.

What was earned since the last of our transactions is told by none, and is not in `told`. `Ledger.unbooked` measures it against the
accounts, and raises where it is more than interest can be: then a transaction is missing.

A line follows from one transaction and those before it that name the same sub-account, so that it is the same however often, by
whichever process and with however many other sub-accounts it is read.

It asks nobody. Source of the rounding: `math/spot_balance.rs`, `controller/spot_balance.rs` of the program (2.162).
"""

from __future__ import annotations

from attrs import define, frozen

from ...errors import VenueUnavailable
from ...settlement import token_amount
from .accounts import SpotMarket, User

__all__ = ["Anchor", "Index", "Ledger", "Move", "moved", "scaled_of", "signed_tokens", "tokens_of"]

_SCALED = 19
"""A scaled balance (1e9) times an index (1e10) has so many places."""
_ONE = 10**10
"""An index as it begins."""


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


def moved(balance: int, tokens: int, index: Index, decimals: int, *, leaving: bool = False) -> int:
    """A signed scaled balance after so many token units came (above zero) or went, as the program does it.

    What comes pays a debt first, and what goes is taken from a deposit first; only what is left over stands on the other side.
    `leaving`: they leave the exchange, so that what is taken off a deposit is rounded up.
    """
    came, left = tokens > 0, abs(tokens)
    if not left:
        return balance
    size, owed = abs(balance), balance < 0
    if size and owed is came:
        there = abs(signed_tokens(balance, index, decimals))
        if there > left:
            delta = scaled_of(left, index.borrows if owed else index.deposits, decimals, up=leaving or owed)
            return (size - delta) * (-1 if owed else 1)
        # a rest that is no whole token stays, and turns to the other side with what comes there
        size, left = (0, left - there) if there else (size, left)
        if not left:
            return 0
    size += scaled_of(left, index.deposits if came else index.borrows, decimals, up=not came)
    return size if came else -size


@define
class _Lying:
    """A coin of a sub-account: tokens told, and its signed scaled balance as far as it is known; None where it is not."""

    told: int = 0
    balance: int | None = 0
    since: Index | None = None
    """The last indices that were known with it; None while none were."""
    moves: int = 0
    """How many times it was rounded since the balance was surely known: each may have cost a unit."""
    most: int = 0
    """The most that lay there, of either sign, since then."""

    def saw(self, tokens: int) -> None:
        self.told = tokens
        self.most = max(self.most, abs(tokens))


class Ledger:
    """Coins by sub-account, followed from one event to the next, in their order."""

    def __init__(self) -> None:
        self._coins: dict[tuple[int, int], _Lying] = {}
        self._whole: set[int] = set()

    def opened(self, sub: int) -> None:
        """A sub-account is created, or deleted: it has nothing, and all that it gets is told from here on."""
        for key in [key for key in self._coins if key[0] == sub]:
            del self._coins[key]
        self._whole.add(sub)

    def knows(self, sub: int, market: int) -> bool:
        """Whether it is known what lies there: since the sub-account was opened, or since an anchor."""
        return sub in self._whole or (sub, market) in self._coins

    def whole(self, sub: int) -> bool:
        """Whether the sub-account was followed since it was opened."""
        return sub in self._whole

    def coins(self, sub: int) -> tuple[int, ...]:
        """The markets of the coins that a sub-account has, or had."""
        return tuple(sorted(market for one, market in self._coins if one == sub))

    def told(self, sub: int, market: int) -> int:
        """Token units that were told of a coin, below zero owed. Raises `KeyError` where that is not known."""
        found = self._coins.get((sub, market))
        if found is None and sub not in self._whole:
            raise KeyError((sub, market))
        return 0 if found is None else found.told

    def move(self, step: Move, index: Index | None, decimals: int) -> None:
        """Coins came or went, at the index that their transaction told, if any. Raises `KeyError` where it is not known what lay there."""
        lying = self._lying(step.sub, step.market)
        known = lying.balance is not None and index is not None
        lying.balance = moved(lying.balance or 0, step.tokens, index, decimals) if known and index is not None else None
        lying.moves += 1
        lying.saw(lying.told + step.tokens)

    def anchor(self, step: Anchor, came: int, index: Index, decimals: int, *, leaving: bool) -> int:
        """What there is after `came` tokens came; returns by how much that is beyond what was told: interest, and rounding.

        Where nothing was known of what lay there it is taken as a beginning, and nothing is beyond it. Raises `VenueUnavailable` where
        it is more than interest and rounding can come to: a transaction, or a line of a log, is missing.
        """
        if not self.knows(step.sub, step.market):
            self._coins[step.sub, step.market] = _Lying(step.after - came, None)
        lying = self._lying(step.sub, step.market)
        beyond = step.after - lying.told - came
        low, high = _bounds(lying, index, decimals)
        if not low <= beyond <= high:
            what = f"sub-account {step.sub} has {step.after} token units in spot market {step.market} after {came} came to {lying.told}"
            raise VenueUnavailable(f"{what}: the rest is no interest, which comes to {low} up to {high}; a transaction is missing")
        balance = None if lying.balance is None else moved(lying.balance, came, index, decimals, leaving=leaving)
        if balance is None or signed_tokens(balance, index, decimals) != step.after:
            balance = _near(step.after, index, decimals)
            lying.moves = 1
        lying.balance, lying.since, lying.most = balance, index, 0
        lying.moves += 1
        lying.saw(step.after)
        return beyond

    def index(self, sub: int, index: Index, decimals: int) -> int:
        """What a coin has earned, or cost, up to an index; 0 where its balance is not known, or none lies there."""
        lying = self._coins.get((sub, index.market))
        if lying is None or lying.balance is None:
            return 0
        tokens = signed_tokens(lying.balance, index, decimals)
        beyond = tokens - lying.told
        lying.since = index
        lying.saw(tokens)
        return beyond

    def unbooked(self, user: User, market: SpotMarket) -> int:
        """What an account has beyond what was told of it: interest since the last of our transactions that told an index.

        Raises `VenueUnavailable` where that is more than interest and rounding can come to: a transaction is missing, or the account is of
        another moment. `KeyError` where it is not known what lay there.
        """
        if any(one.isolated for one in user.perps):
            raise VenueUnavailable(f"sub-account {user.sub} has isolated positions, whose deposits are not followed")
        there = sum(tokens_of(one.balance, market, borrowed=one.borrowed) for one in user.spots if one.market == market.index)
        beyond = there - self.told(user.sub, market.index)
        lying = self._coins.get((user.sub, market.index), _Lying())
        index = Index(market.index, market.deposit_index, market.borrow_index)
        low, high = _bounds(lying, index, market.decimals)
        if not low <= beyond <= high:
            what = f"sub-account {user.sub} has {there} token units in spot market {market.index}, of which {there - beyond} were told"
            raise VenueUnavailable(f"{what}: the rest is no interest, which comes to {low} up to {high}; a transaction is missing")
        return beyond

    def _lying(self, sub: int, market: int) -> _Lying:
        found = self._coins.get((sub, market))
        if found is None:
            if sub not in self._whole:
                raise KeyError((sub, market))
            found = self._coins[sub, market] = _Lying()
        return found


def _bounds(lying: _Lying, index: Index, decimals: int) -> tuple[int, int]:
    """Between which units what was earned, or cost, up to an index lies, with the rounding of all that moved since it was known."""
    each = int(10 ** (_SCALED - decimals))
    slack = (2 + 2 * lying.moves) * max(1, -(-max(index.deposits, index.borrows) // each))
    if lying.balance is not None:
        earned = signed_tokens(lying.balance, index, decimals) - lying.told
        return earned - slack, earned + slack
    before = lying.since or Index(index.market, _ONE, _ONE)
    pairs = ((index.deposits, before.deposits), (index.borrows, before.borrows))
    deposit, debt = (-(-lying.most * (now - was) // was) for now, was in pairs)
    return min(0, deposit, -debt) - slack, max(0, deposit, -debt) + slack


def _near(tokens: int, index: Index, decimals: int) -> int:
    """A signed scaled balance that comes to so many tokens: the middle of those that do."""
    if not tokens:
        return 0
    size, at = abs(tokens), index.borrows if tokens < 0 else index.deposits
    each = int(10 ** (_SCALED - decimals))
    low, high = (-((1 - size) * each // at), size * each // at) if tokens < 0 else (-(-size * each // at), -(-(size + 1) * each // at) - 1)
    return (low + high) // 2 * (-1 if tokens < 0 else 1)
