"""The maths of shares in a pool: what a deposit is issued, what a redemption is worth, what fees are due. Pure and exact.

    issued    floor(money (S + v) / (E + v))              a first deposit, with nothing there: 1 to 1
    worth     m x price,   price = min(E / S, (E + v) / (S + v))
    redeemed  that part of each that the pool has, rounded down, less its slippage

with S shares over an equity of E units, and v virtual shares over v virtual units that belong to nobody. The price never
falls by somebody who comes or leaves, and all shares at it are never worth more than E. v = 0 is dYdX's megavault; v is
there because a stranger who gives money away, to raise the price before others come, then gives it to nobody.

Nothing here knows a ledger, a sleeve or a price.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction

from attrs import asdict, evolve, field, frozen

from .errors import VaultError
from .market import DAY, MINUTE
from .money import PPM, AmountLike, Asset, decimal_text, ppm
from .money import Fraction as Part
from .quoting import QuotingParams, withdrawal_slippage

__all__ = [
    "Drawn",
    "Fees",
    "Lock",
    "Rules",
    "ShareError",
    "Stake",
    "Terms",
    "client_named",
    "draw",
    "given_up",
    "grown",
    "issue",
    "management_shares",
    "performance_fee",
    "price_of",
    "redeemable",
]

YEAR = 365 * DAY
WEEK = 7 * DAY
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class ShareError(VaultError):
    """A rule of the pool refuses a request, and nothing has changed. `rule` names the rule.

    rule         broken by
    name         an investor whose name is none
    amount       an amount of money that is not above zero
    shares       a number of shares that is not above zero, or more than there are
    equity       a pool that is worth nothing, or less, while shares are out
    zero_shares  a deposit that is worth less than one share
    first        a first deposit below the least
    owner        an investor who has no shares, or no locks
    locked       more shares than the investor has free
    least        a redemption that brings nothing, or less than it was to
    price        a sub-vault whose worth is not known now
    short        a sub-vault that cannot pay its part now
    lock         a lock for no shares, or until a time that is past
    notice       a withdrawal without the notice that the terms ask for, or before it has run out
    status       a status that a sub-vault cannot have
    positive     a sub-vault that is to be closed and is worth something
    terms        terms that cannot be
    """

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


def client_named(name: object) -> str:
    """An investor's name, if it is one: 1 to 64 of A-Z a-z 0-9 _ . @ -, such as an address. Raises `ShareError` (name)."""
    if not isinstance(name, str) or _CLIENT.fullmatch(name) is None:
        shown = repr(name) if len(repr(name)) <= 60 else repr(name)[:60] + "..."
        raise ShareError(f"an investor's name is 1 to 64 of A-Z a-z 0-9 _ . @ - and starts with a letter or digit, not {shown}", "name")
    return name


# -- terms ----------------------------------------------------------------------------------------------------------------


class Rules(StrEnum):
    """How a pool treats what it cannot read or reach."""

    STRICT = "strict"
    """Nothing is issued or redeemed while the worth of a sub-vault is not known; one that is below zero counts as such."""
    CHAIN = "chain"
    """As dYdX's chain does: a sub-vault that cannot be read, or is below zero, is passed over; so is one that cannot pay its part."""


def _whole(what: str, value: object, least: int, most: int | None = None) -> int:
    if type(value) is not int or value < least or (most is not None and value > most):
        span = f"from {least}" if most is None else f"from {least} to {most}"
        raise ShareError(f"{what} {value!r} must be a whole number {span}", "terms")
    return value


@frozen(order=False)
class Fees:
    """What the manager of a pool is paid, in shares.

    `management_ppm` a year of all that is there. `performance_ppm` of what an investor's shares are worth above their
    high-water mark: what was paid in for them, with all profit that was ever shared; it rises by `hurdle_ppm` a year.
    """

    management_ppm: int = 0
    performance_ppm: int = 0
    hurdle_ppm: int = 0

    def __attrs_post_init__(self) -> None:
        for name, value in asdict(self).items():
            _whole(name, value, 0, PPM - 1)

    @classmethod
    def of(cls, *, management: Part = "0%", performance: Part = "0%", hurdle: Part = "0%") -> Fees:
        """Rates as text: `Fees.of(management="2%", performance="20%", hurdle="5%")`."""
        return cls(ppm(management, "management fee"), ppm(performance, "performance fee"), ppm(hurdle, "hurdle"))

    def __str__(self) -> str:
        rates = (f"{name.removesuffix('_ppm')} {decimal_text(value, 4)}%" for name, value in asdict(self).items() if value)
        return ", ".join(rates) or "none"


@frozen(order=False)
class Terms:
    """What investors agree to.

    `virtual` shares and units belong to nobody (0: none) and `first_least` is the least first deposit in units: guards
    against whoever gives money away to raise the price of a share before others come. `notice_ns` must pass between notice
    and redemption, which then pays the worse of the two values. `price_age_ns` is how old a price may be. The shares of
    `first_loss`, an investor, bear what is written down before those of others do. Fees go to `manager`.
    """

    virtual: int = 1_000
    first_least: int = 0
    fees: Fees = field(factory=Fees)
    manager: str = "manager"
    notice_ns: int = 0
    price_age_ns: int = MINUTE
    first_loss: str = ""
    rules: Rules = Rules.STRICT

    def __attrs_post_init__(self) -> None:
        for name, most in (("virtual", None), ("first_least", None), ("notice_ns", 90 * DAY), ("price_age_ns", None)):
            _whole(name, getattr(self, name), 0, most)
        if not isinstance(self.fees, Fees) or not isinstance(self.rules, Rules):
            raise ShareError(f"terms need Fees and Rules, not {self.fees!r} and {self.rules!r}", "terms")
        client_named(self.manager)
        if self.first_loss != "":
            client_named(self.first_loss)

    @classmethod
    def of(
        cls,
        asset: Asset,
        *,
        virtual: int = 1_000,
        first_least: AmountLike = 0,
        fees: Fees | None = None,
        manager: str = "manager",
        notice_ns: int = 0,
        price_age_ns: int = MINUTE,
        first_loss: str = "",
    ) -> Terms:
        """With amounts of the pool's asset: `Terms.of(USD, first_least="1000", fees=Fees.of(performance="20%"))`."""
        least = asset(first_least).units
        return cls(virtual, least, Fees() if fees is None else fees, manager, notice_ns, price_age_ns, first_loss)

    @classmethod
    def chain(cls) -> Terms:
        """dYdX's own: no guard, no fee, no notice, and what cannot be read is passed over."""
        return cls(virtual=0, rules=Rules.CHAIN)

    def text(self) -> dict[str, str]:
        """All of them as text; `from_text` reads it back."""
        said = {one: str(value) for one, value in asdict(self, recurse=False).items() if one != "fees"}
        return said | {one: str(value) for one, value in asdict(self.fees).items()}

    @classmethod
    def from_text(cls, said: dict[str, str]) -> Terms:
        """Read back what `text` wrote. Raises `ShareError` (terms) for anything else."""
        try:
            fees = Fees(*(int(said[one]) for one in asdict(Fees())))
            whole = {one: int(said[one]) for one in ("virtual", "first_least", "notice_ns", "price_age_ns")}
            return cls(fees=fees, manager=said["manager"], first_loss=said["first_loss"], rules=Rules(said["rules"]), **whole)
        except (KeyError, ValueError) as error:
            raise ShareError(f"these are no terms: {error}", "terms") from error

    def gentler(self, new: Terms) -> Terms:
        """What of new terms holds at once: what is better for investors, a lower fee, a shorter notice, a higher hurdle.

        Another age of prices waits, either way: with an old price one comes too cheaply, and with none in time nobody leaves.
        """
        lower = {one: min(getattr(self.fees, one), getattr(new.fees, one)) for one in ("management_ppm", "performance_ppm")}
        fees = Fees(**lower, hurdle_ppm=max(self.fees.hurdle_ppm, new.fees.hurdle_ppm))
        return evolve(new, fees=fees, notice_ns=min(self.notice_ns, new.notice_ns), price_age_ns=self.price_age_ns)

    @property
    def change_rest_ns(self) -> int:
        """How long what is worse for investors waits: twice the notice, and a week at least, so that they can leave before."""
        return max(2 * self.notice_ns, WEEK)


@frozen(order=False)
class Lock:
    """Shares that cannot leave until a time in nanoseconds, or a height of a chain."""

    name: str
    shares: int
    til: int
    clock: str = field(default="time")
    """What `til` is read on: "time" or "height"."""

    def over(self, now: int, clock: str) -> bool:
        """Whether it has run out."""
        return clock == self.clock and self.til <= now


# -- coming ---------------------------------------------------------------------------------------------------------------


def issue(money: int, total: int, equity: Fraction, terms: Terms) -> int:
    """The shares for a deposit of `money` units into a pool of `total` shares worth `equity` units, the money not yet in it.

    Rounded down: against who comes. Raises `ShareError` (amount, first, equity, zero_shares).
    """
    if type(money) is not int or money <= 0:
        raise ShareError(f"a deposit of {money!r} units must be above zero", "amount")
    virtual = terms.virtual
    if total <= 0 and money < terms.first_least:
        raise ShareError(f"a first deposit of {money} units is below the least, {terms.first_least}", "first")
    if equity < 0 and terms.rules is Rules.STRICT:
        raise ShareError(f"the pool is worth {_shown(equity)}: a deposit would pay its debts", "equity")
    if total <= 0 and not virtual:
        return money
    if total > 0 and equity <= 0:
        raise ShareError(f"the pool is worth {_shown(equity)} with {total} shares out: no deposit has a price", "equity")
    price = (max(Fraction(0), equity) + virtual) / (max(0, total) + virtual)
    shares = int(money / price)
    if not shares:
        raise ShareError(f"{money} units are worth less than one share, which is {_shown(price)}", "zero_shares")
    return shares


def price_of(total: int, equity: Fraction, terms: Terms) -> Fraction:
    """What one of `total` shares (above zero) of a pool worth `equity` units is worth in units, before slippage."""
    plain = equity / total
    return min(plain, (equity + terms.virtual) / (total + terms.virtual)) if terms.virtual and equity > 0 else plain


def redeemable(shares: int, total: int, equity: Fraction, terms: Terms) -> Fraction:
    """The part of a pool's equity that `shares` of `total` are worth, before slippage: at most shares / total."""
    return shares * price_of(total, equity, terms) / equity if equity else Fraction(shares, total)


def given_up(total: int, before: Fraction, after: Fraction, terms: Terms) -> int:
    """How many of `total` shares must go, for nothing, so that a fall of equity leaves the price of all others; at most all.

    Rounded down: the price of the others may still fall by less than a share is worth.
    """
    price, virtual = price_of(total, before, terms), terms.virtual
    if after <= 0:
        return total
    left = min(after / price, (after + virtual) / price - virtual)
    return max(0, min(total, int(total - left)))


# -- leaving --------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Stake:
    """What a redemption reads of one sub-vault."""

    name: str
    equity: Fraction | None
    """Units; None when it cannot be read."""
    leverage: Fraction = Fraction(0)
    """What its positions are worth, all taken as positive, over its equity."""
    margin: Fraction = Fraction(0)
    """The margin that opening them takes, over its equity."""
    payable: int | None = None
    """The most units that it can pay now; None for no bound."""
    quoting: QuotingParams = field(factory=QuotingParams)
    min_price_change_ppm: int = 0


@frozen(order=False)
class Drawn:
    """What a redemption takes from one sub-vault, or from the main account (""), in units."""

    name: str
    units: int
    slippage: Fraction = Fraction(0)
    """The part of its own that the leaver leaves behind there."""
    short: int = 0
    """What it should have paid and could not."""
    why: str = ""
    """Why it paid less than its part, or nothing."""


def draw(main: Fraction, stakes: Iterable[Stake], part: Fraction, shares: int, total: int, rules: Rules) -> list[Drawn]:
    """What each pays for `shares` of `total` that are worth `part` of all, main account first. Each is rounded down.

    The slippage of each is dYdX's, `quoting.withdrawal_slippage`. STRICT: a sub-vault below zero is charged to the leaver
    like to all others, who takes all shares leaves nobody behind to whom slippage could be paid, and what one cannot pay,
    slippage aside, or slippage takes whole, is short. CHAIN: a sub-vault that is below zero, cannot be read, or cannot pay
    the whole of its part pays nothing. Raises `ShareError` (price) where STRICT cannot read one.
    """
    chain = rules is Rules.CHAIN
    first = main * part
    found: list[Drawn] = []
    for one in stakes:
        if one.equity is None:
            if not chain:
                raise ShareError(f"what {one.name} is worth is not known now", "price")
            found.append(Drawn(one.name, 0, why="its worth is not known"))
            continue
        if one.equity <= 0:
            if chain:
                found += [Drawn(one.name, 0, why="it is worth nothing")] if one.equity < 0 else []
            else:
                first += one.equity * part
            continue
        slippage = Fraction(0) if shares == total and not chain else _slippage(one, shares, total)
        whole = int(one.equity * part)
        due = int(one.equity * part * (1 - slippage))
        if due <= 0:
            eaten = slippage >= 1
            short = whole if eaten and not chain else 0
            found.append(Drawn(one.name, 0, slippage, short, "its slippage takes it all" if eaten else "less than a unit"))
            continue
        most = due if one.payable is None else max(0, min(due, one.payable))
        paid = 0 if chain and most < due else most
        short = due - paid
        if not chain and one.payable is not None and one.payable < whole:
            short = whole - paid  # what it lacks is no price of leaving, though slippage may be as much
        found.append(Drawn(one.name, paid, slippage, short, f"{paid} of {whole if short else due} units could be paid" if short else ""))
    return [Drawn("", first.numerator // first.denominator if not chain or first >= 0 else -int(-first)), *found]


def _slippage(one: Stake, shares: int, total: int) -> Fraction:
    if not one.leverage:
        return Fraction(0)
    margin_ppm = one.margin / one.leverage * PPM
    return withdrawal_slippage(one.leverage, shares, total, margin_ppm, one.quoting, one.min_price_change_ppm)  # type: ignore[arg-type]


# -- fees -----------------------------------------------------------------------------------------------------------------


def management_shares(total: int, rate_ppm: int, elapsed_ns: int) -> int:
    """Shares that pay a yearly rate over a time by diluting all others, rounded down: of f, S x f / (1 - f); f is a half at most."""
    part = min(Fraction(rate_ppm * max(0, elapsed_ns), PPM * YEAR), Fraction(1, 2))
    return int(total * part / (1 - part))


def performance_fee(worth: Fraction, basis: int, rate_ppm: int) -> Fraction:
    """The units due of what shares are worth above their basis; never below zero."""
    return max(Fraction(0), worth - basis) * rate_ppm / PPM


def grown(basis: int, rate_ppm: int, elapsed_ns: int) -> int:
    """A basis with its hurdle, a yearly rate over a time, rounded up: against who is paid for what is above it."""
    return -int(-basis * (1 + Fraction(rate_ppm * max(0, elapsed_ns), PPM * YEAR)) // 1)


def _shown(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):.6g}"
