"""What a look at a venue and its keys found, before money is trusted to them: findings, and what keeps one strategy's money apart there.

Each driver has a `checkup` of its own that fills this in; `sleeves doctor` prints it. Nothing here asks anybody, and nothing
that was looked at is ever changed by looking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from attrs import field, frozen

from ..errors import MissingExtra, SleevesError
from ..keys import Right
from ..market import SECOND

__all__ = ["KRAKEN_PERMISSIONS", "Checkup", "Finding", "Grade", "Isolation", "Look", "ahead", "virtual"]

KRAKEN_PERMISSIONS: Mapping[str, Right | None] = {
    "query-funds": Right.READ,
    "query-open-trades": Right.READ,
    "query-closed-trades": Right.READ,
    "query-ledger": Right.READ,
    "modify-trades": Right.TRADE,
    "close-trades": None,
    "export-data": None,
    "create-ws-token": None,
    "earn-funds": None,
    "add-funds": Right.DEPOSIT,
    "withdraw-funds": Right.WITHDRAW,
    "add-withdraw-address": Right.WITHDRAW,
    "update-withdraw-address": Right.WITHDRAW,
}
"""What Kraken's words for a key's permissions mean here. Who may write addresses to withdraw to is taken to withdraw."""

T = TypeVar("T")

GOOD_SKEW, MOST_SKEW = SECOND, 5 * SECOND
"""From how much on the clocks' difference is a warning, and bad."""


class Grade(StrEnum):
    """How a finding is to be taken."""

    GOOD = "good"
    NOTE = "note"
    """Worth knowing; nothing is wrong."""
    WARNING = "warning"
    """It works, and a human should see to it."""
    BAD = "bad"
    """Do not trade like this."""


@frozen(order=False)
class Finding:
    """One thing that was looked at. `subject` is what, in a word or two; `text` what was found, without any secret."""

    grade: Grade
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.grade:8} {self.subject}: {self.text}"


@frozen(order=False)
class Isolation:
    """One way to keep a strategy's money apart: what it is, whether this venue and this account have it, and how it fails."""

    kind: str
    """ "virtual", "sub-account" or "on-chain"."""
    offered: bool | None
    """None where it cannot be found out with this key."""
    how: str
    fails: tuple[str, ...] = ()

    def __str__(self) -> str:
        has = {True: "yes", False: "no", None: "not known"}[self.offered]
        return "\n".join([f"{self.kind}: {has}. {self.how}", *(f"    fails when {one}" for one in self.fails)])


VIRTUAL_FAILS = (
    "another program or a human trades with the same coins: the books find it at the next look, and block new risk in that asset",
    "the venue seizes, freezes or loses the account: all sleeves of it lose together",
    "one sleeve's contracts are liquidated on a netted account: the desk closes it before, by its own marks",
)
"""How a virtual slice fails, at any venue."""


def virtual(how: str = "each sleeve is a slice of this account in the books of sleeves; the venue knows of none") -> Isolation:
    """What every venue offers: the books alone keep the money apart."""
    return Isolation("virtual", True, how, VIRTUAL_FAILS)


def _findings(given: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(given)


def _ways(given: Iterable[Isolation]) -> tuple[Isolation, ...]:
    return tuple(given)


@frozen(order=False, repr=False)
class Checkup:
    """All that was found at one venue. Printed, it is a page of text; `fit` says whether nothing speaks against trading there."""

    venue: str
    findings: tuple[Finding, ...] = field(converter=_findings)
    isolation: tuple[Isolation, ...] = field(default=(), converter=_ways)

    @property
    def fit(self) -> bool:
        """Whether nothing was found bad."""
        return not self.bad

    @property
    def bad(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.grade is Grade.BAD)

    def of(self, subject: str) -> tuple[Finding, ...]:
        """The findings about one subject."""
        return tuple(one for one in self.findings if one.subject == subject)

    def __str__(self) -> str:
        bad = len(self.bad)
        verdict = "nothing speaks against trading here" if self.fit else f"do not trade: {bad} finding{' is' if bad == 1 else 's are'} bad"
        return "\n".join(_lines(self.venue, self.findings, self.isolation, verdict))

    __repr__ = __str__


def _lines(venue: str, findings: Iterable[Finding], isolation: Iterable[Isolation], verdict: str) -> Iterable[str]:
    yield venue
    yield from (f"  {one}" for one in findings)
    ways = list(isolation)
    if ways:
        yield "what keeps one strategy's money apart here"
        yield from ("  " + str(one).replace("\n", "\n  ") for one in ways)
    yield verdict


# -- looking -------------------------------------------------------------------------------------------------------------


class Look:
    """Findings, as they are made. `hide` takes the values of keys out of what others say."""

    def __init__(self, venue: str, hide: Callable[[str], str] = str) -> None:
        self.venue = venue
        self.findings: list[Finding] = []
        self._hide = hide

    def finds(self, grade: Grade, subject: str, text: str) -> None:
        self.findings.append(Finding(grade, subject, self._hide(text)))

    def good(self, subject: str, text: str) -> None:
        self.finds(Grade.GOOD, subject, text)

    def note(self, subject: str, text: str) -> None:
        self.finds(Grade.NOTE, subject, text)

    def warning(self, subject: str, text: str) -> None:
        self.finds(Grade.WARNING, subject, text)

    def bad(self, subject: str, text: str) -> None:
        self.finds(Grade.BAD, subject, text)

    async def ask(self, subject: str, question: Callable[[], Awaitable[T]], *, grade: Grade = Grade.BAD, hint: str = "") -> T | None:
        """The answer to a question; None where there is none: then that is a finding of this grade, in the other side's words."""
        try:
            return await question()
        except MissingExtra:
            raise
        except SleevesError as error:
            self.finds(grade, subject, f"could not be asked: {error}" + (f"; {hint}" if hint else ""))
        return None

    def clock(self, difference: int) -> None:
        """A finding about a difference of clocks, in ns as `ahead` gives it."""
        size, way = abs(difference), "ahead of" if difference > 0 else "behind"
        if size < GOOD_SKEW:
            self.good("clock", "the venue's and this machine's are less than a second apart")
            return
        text = f"the venue's is {size / SECOND:.1f} s {way} this machine's: set this machine's by NTP, or deadlines and nonces go wrong"
        self.finds(Grade.WARNING if size < MOST_SKEW else Grade.BAD, "clock", text)

    def done(self, *isolation: Isolation) -> Checkup:
        """All that was found."""
        return Checkup(self.venue, self.findings, isolation)


def ahead(before: int, told: int, after: int, grain: int) -> int:
    """By how many ns at least another clock is ahead of ours, that told a time between two of ours, cut off to whole `grain`; below
    zero: behind; 0 where it may be right.
    """
    if told + grain <= before:
        return told + grain - before
    return max(told - after, 0)
