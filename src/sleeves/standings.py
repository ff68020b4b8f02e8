"""How the desk itself and its venues stand, and what holds them, its vaults and its sleeves.

A venue that cannot be seen, or does not agree with the books, takes no new risk until it does; the desk's own status is
over all. Each change is a record in the journal, so all of it stands again after a restart.

What is canceled because of it is for `stops`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .books import Books
from .errors import VaultError, WrongStatus
from .market import Instrument
from .sleeve import Sleeve, Stateful
from .state import State
from .status import HOLDS, Hold, Latch, Lifter, Status, worst
from .vault import CoreVault

__all__ = ["DESK", "MACHINES", "Standings", "venue_subject"]

DESK = "desk:main"
"""The desk's own name in the journal: no sleeve can bear it."""
MACHINES = frozenset({"desk", "live", "limit", "recover", "reconcile"})
"""Who is no human: what these put there they may lift, in its time."""


def venue_subject(name: str) -> str:
    """A venue's name in the journal."""
    return f"venue:{name}"


class Standings:
    """The standings of one desk: its own, its venues', and what holds its vaults and sleeves."""

    def __init__(self, vaults: Sequence[CoreVault], books: Books) -> None:
        self._vaults, self._books = vaults, books
        self.desk = Stateful(books, "desk", DESK, Status.ACTIVE)
        self.venues: dict[str, Stateful] = {}
        for vault in vaults:
            vault.over, vault.venue_of = self.desk, self.venue_of
        if books.state is not None:
            self._remember(books.state)

    def _remember(self, state: State) -> None:
        for subject, status in state.standings.items():
            self._named(subject)._status = status
        for subject, latches in state.latches.items():
            if latches:
                self._named(subject).latches = dict(latches)

    def _named(self, subject: str) -> Stateful:
        if subject == DESK:
            return self.desk
        if subject.startswith("venue:"):
            return self.venue(subject.removeprefix("venue:"))
        for vault in self._vaults:
            if subject == vault.owner:
                return vault
            if subject in vault.sleeves:
                return vault.sleeves[subject]
        raise VaultError(f"{subject!r} is nothing of this desk")

    def venue(self, name: str) -> Stateful:
        """How a venue stands; one that was never spoken of is active. Raises `VaultError` for what is no name."""
        if not isinstance(name, str) or not name:
            raise VaultError(f"a venue is known by its name in text, not by {name!r}")
        known = self.venues.get(name)
        if known is None:
            known = self.venues[name] = Stateful(self._books, "venue", venue_subject(name), Status.ACTIVE)
        return known

    def venue_of(self, market: Instrument) -> tuple[str, Status]:
        """Which venue stands in the way of an instrument's orders, and how: the one it names, or the worst where it names none."""
        if market.venue:
            known = self.venues.get(market.venue)
            return market.venue, Status.ACTIVE if known is None else known.stands
        if not self.venues:
            return "", Status.ACTIVE
        status = worst(one.stands for one in self.venues.values())
        return next(name for name, one in self.venues.items() if one.stands is status), status

    def subject(self, target: Stateful | str) -> Stateful:
        """What is meant: a sleeve or a vault of this desk, the desk, or a venue by its name. Raises `VaultError`."""
        if isinstance(target, str):
            return self.venue(target)
        if target is self.desk or target in self.venues.values() or any(target is vault for vault in self._vaults):
            return target
        if isinstance(target, Sleeve) and any(target.vault is vault for vault in self._vaults):
            return target
        raise VaultError(f"{target!r} is no sleeve, vault or venue of this desk")

    def lift(self, target: Stateful | str, cause: Hold, *, by: str, why: str = "", at: int | None = None) -> bool:
        """See `Stateful.lift`; who is no human is known by name. An engine that was stopped is started, not lifted."""
        if cause == Hold.STOPPED:
            raise WrongStatus("an engine that was stopped is asked again by Desk.start, which gives it fresh memory")
        return self.subject(target).lift(Hold(cause), by=by, human=by not in MACHINES, why=why, at=at)

    def lift_seen(self, names: Iterable[str], *, at: int) -> None:
        """The venues of these names answer, and their accounts agree: what said otherwise holds them no more."""
        for name in names:
            one = self.venue(name)
            for cause in (Hold.CONNECTION, Hold.SYNC):
                if cause in one.latches and one.latches[cause].by in MACHINES:
                    one.lift(cause, by="recover", human=False, why="recovered", at=at)

    def over(self, at: int) -> list[tuple[Stateful, Latch]]:
        """What the desk may lift now if its reason is gone."""
        found = []
        for one in self.all():
            for latch in one.latches.values():
                if HOLDS[latch.cause].lifted_by is not Lifter.HUMAN and latch.cause not in _SEEN and at >= latch.until:
                    found.append((one, latch))
        return found

    def all(self) -> Iterable[Stateful]:
        """The desk, its venues, its vaults and their sleeves."""
        yield self.desk
        yield from self.venues.values()
        for vault in self._vaults:
            yield vault
            yield from vault.sleeves.values()

    def statuses(self) -> Mapping[str, Status]:
        """How each stands, by its name in the journal."""
        return {one._subject: one.status if isinstance(one, (CoreVault, Sleeve)) else one.stands for one in self.all()}


_SEEN = frozenset({Hold.CONNECTION, Hold.SYNC})
"""What only looking at a venue lifts."""
