"""Real money is armed by a human, loudly and for a time, with caps; what is large is asked for once more.

An order that takes new risk at a venue of real money is refused until the venue is armed: by a phrase that says what is
armed and for how much. While it is, so much may be put at risk there within an hour, and in all, and an order above a
worth waits until a human has confirmed it. Exits always pass. Arming ends by itself and never survives a restart.

A paper venue may be armed in the same way, to rehearse. Nothing here knows what a venue is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, frozen

from .blotter import Blotter
from .books import Books
from .errors import VaultError
from .flight import Flight
from .gates import describe, opens, refuse, worth
from .market import DAY, HOUR, SECOND, Instrument
from .money import Amount, AmountLike, Asset, Rounding, decimal_text, divide
from .orders import Bundle, Order, Place
from .records import Alert, Changed, Level, Placed, Refusal
from .seat import NEVER, Seat
from .standings import venue_subject
from .vault import CoreVault

__all__ = ["Arming", "Arms", "Confirmation", "phrase"]

LONGEST = 31 * DAY
"""The longest that a venue stays armed."""

Caps = AmountLike | Mapping[Asset, AmountLike]


def phrase(venue: str, per_hour: str) -> str:
    """What a human must say to arm a venue: "arm kraken for 1000 USD an hour"."""
    return f"arm {venue} for {per_hour} an hour"


@frozen(order=False)
class Arming:
    """On what terms a venue is armed. Amounts are units by asset code."""

    venue: str
    at: int
    until: int
    by: str
    per_hour: Mapping[str, int]
    total: Mapping[str, int]
    """What may be put at risk in all while it is armed; an asset that is not in it has no such cap."""
    confirm_above: Mapping[str, int]
    confirm_within: int


@frozen(order=False)
class Confirmation:
    """A wish that waits for a human."""

    id: str
    at: int
    sleeve: str
    by: str
    """Who wished for it: an engine, or a human."""
    wish: Place | Bundle
    worth: Amount
    expires: int

    def __str__(self) -> str:
        legs = self.wish.legs if isinstance(self.wish, Bundle) else (self.wish,)
        return f"{self.id}: {self.sleeve} wants {' then '.join(map(describe, legs))}, worth {self.worth}"


@define
class _Sent:
    """An order that took new risk at an armed venue."""

    at: int
    order_id: str
    market: Instrument
    code: str
    units: int


class Arms:
    """What is armed at one desk, what was spent, and who is asked."""

    def __init__(
        self, vaults: Sequence[CoreVault], books: Books, blotter: Blotter, seats: Mapping[str, Seat], flights: Mapping[str, Flight]
    ) -> None:
        self._vaults, self._books, self._blotter = vaults, books, blotter
        self._seats, self._flights = seats, flights
        self.here: set[str] = set()
        """Venues that the desk runs on, as far as they were told."""
        self.needed: set[str] = set()
        """Venues of real money."""
        self.armed: dict[str, Arming] = {}
        self.waiting: dict[str, Confirmation] = {}
        """Wishes that wait for a human, by id."""
        self._sent: deque[_Sent] = deque()
        self._legs: dict[str, dict[int, _Sent]] = {}
        """By bundle under way, what its legs that are not sent yet will put at risk."""
        self._confirmed: tuple[str, Place | Bundle] | None = None

    def __bool__(self) -> bool:
        return bool(self.needed or self.armed)

    # -- arming ------------------------------------------------------------------------------------------------------

    def require(self, venue: str) -> None:
        """Orders of new risk to this venue need arming from here on."""
        self.needed.add(_venue(venue))
        self.here.add(venue)

    def meet(self, venues: Mapping[str, bool]) -> None:
        """The desk runs on these venues from here on, by name, and whether each moves real money."""
        for name, real in venues.items():
            self.here.add(_venue(name))
            if real:
                self.needed.add(name)

    def phrase(self, venue: str, per_hour: Caps) -> str:
        """What must be said to arm a venue with this cap."""
        caps = self._caps(per_hour, "per_hour").items()
        return phrase(_venue(venue), ", ".join(str(Amount(units, self._asset(code))) for code, units in caps))

    def arm(
        self,
        venue: str,
        *,
        per_hour: Caps,
        said: str,
        by: str,
        at: int,
        total: Caps | None = None,
        confirm_above: Caps = "100",
        confirm_within: int = 30 * SECOND,
        lasts: int = 8 * HOUR,
    ) -> Arming:
        """Arm a venue. Raises `VaultError` for a phrase that says something else, and for terms that make no sense."""
        if not isinstance(by, str) or not by.strip():
            raise VaultError(f"a venue is armed by somebody, not by {by!r}")
        if self.here and _venue(venue) not in self.here:
            raise VaultError(f"no venue here is named {venue!r}: {', '.join(sorted(self.here))}")
        for name, value, most in (("lasts", lasts, LONGEST), ("confirm_within", confirm_within, HOUR)):
            if type(value) is not int or not SECOND <= value <= most:
                raise VaultError(f"{name} {value!r} must be whole nanoseconds, from {SECOND:,} (a second) to {most:,}")
        caps = self._caps(per_hour, "per_hour")
        needed = self.phrase(venue, per_hour)
        if said != needed:
            raise VaultError(f"to arm {venue} say exactly: {needed!r}")
        asks = self._caps(confirm_above, "confirm_above")
        one = Arming(venue, at, at + lasts, by, caps, {} if total is None else self._caps(total, "total"), asks, confirm_within)
        text = f"{venue} is ARMED by {by} until {at + lasts} ns: {needed.partition(' for ')[2]}"
        changed = Changed(at, by, venue_subject(venue), "armed", "", str(one.until), needed)
        earlier = self._look_back(at - HOUR)
        self._books.record(changed, Alert(at, Level.WARNING, venue_subject(venue), "armed", text))
        self._sent.extendleft(reversed(earlier))
        self.armed[venue] = one
        return one

    def disarm(self, venue: str, *, by: str, why: str = "", at: int) -> None:
        """No new risk there any more; nothing happens where it was not armed."""
        one = self.armed.pop(_venue(venue), None)
        if one is not None:
            changed = Changed(at, by, venue_subject(venue), "armed", str(one.until), "", why)
            self._books.record(changed, Alert(at, Level.WARNING, venue_subject(venue), "disarmed", f"{venue} is disarmed by {by}"))

    def _caps(self, given: Caps, what: str) -> dict[str, int]:
        """By asset code, in units. Raises `VaultError` for what is not positive, or of an asset that no vault here has."""
        assets = list(dict.fromkeys(vault.asset for vault in self._vaults))
        if isinstance(given, Amount):
            given = {given.asset: given}
        if not isinstance(given, Mapping):
            if len(assets) > 1:
                raise VaultError(f"{what}: of which asset? Hand in one per asset: {', '.join(one.code for one in assets)}")
            given = {assets[0]: given}
        caps: dict[str, int] = {}
        for asset, amount in given.items():
            if asset not in assets:
                raise VaultError(f"{what}: no vault of this desk is over {asset!r}")
            caps[asset.code] = asset(amount).units
            if caps[asset.code] <= 0:
                raise VaultError(f"{what} {asset(amount)} must be above zero")
        return caps

    def _asset(self, code: str) -> Asset:
        return next(vault.asset for vault in self._vaults if vault.asset.code == code)

    # -- judging -----------------------------------------------------------------------------------------------------

    def refuses(self, seat: Seat, place: Place) -> Refusal | None:
        """The refusal of an order that takes new risk where that is not armed, beyond its caps, or not confirmed."""
        if not opens(place, seat.view):
            return None
        for venue in self.venues_of(place.instrument):
            refusal = self._unarmed(venue, seat, place)
            if refusal is None and venue in self.armed:
                refusal = self._beyond(self.armed[venue], seat, place)
            if refusal is not None:
                return refusal
        return None

    def refuses_leg(self, seat: Seat, place: Place) -> Refusal | None:
        """Of what follows from a wish that was judged whole: the caps have it already, but nothing opens where it is disarmed."""
        if not opens(place, seat.view):
            return None
        found = (self._unarmed(venue, seat, place) for venue in self.venues_of(place.instrument))
        return next((refusal for refusal in found if refusal is not None), None)

    def _unarmed(self, venue: str, seat: Seat, place: Place) -> Refusal | None:
        if venue not in self.needed or self.is_armed(venue, seat.view.now):
            return None
        return refuse("armed", "not_armed", place, seat.view, seat.vault, venue=venue)

    def is_armed(self, venue: str, at: int) -> bool:
        """Whether new risk may be taken there at this time."""
        one = self.armed.get(venue)
        return one is not None and at < one.until

    def venues_of(self, market: Instrument) -> list[str]:
        """Where an order in an instrument may go: where it says, or anywhere. A venue that is alone takes every order."""
        known = self.here or set(self.armed)
        if len(known) <= 1 or market.venue in known:
            return [market.venue] if market.venue in known else sorted(known)
        return sorted(known) if not market.venue else sorted(self.needed)

    def _beyond(self, one: Arming, seat: Seat, place: Place) -> Refusal | None:
        view, vault, asset = seat.view, seat.vault, seat.sleeve.asset
        if view.now >= one.until:
            return None
        legs = tuple(view.legs) or (place,)
        worths = [worth(leg, view, vault) for leg in legs if leg is place or opens(leg, view)]
        if any(units is None for units in worths):
            return refuse("armed", "no_price", place, view, vault, venue=one.venue)
        units = sum(value for value in worths if value is not None)
        cap = one.per_hour.get(asset.code)
        if cap is None:
            return refuse("armed", "no_cap", place, view, vault, venue=one.venue, asset=asset)
        spent = self._spent(one.venue, asset.code, view.now - HOUR)
        if spent + units > cap:
            numbers = {"venue": one.venue, "spent": _text(spent, asset), "worth": _text(units, asset), "cap": _text(cap, asset)}
            return refuse("armed", "hourly_cap", place, view, vault, **numbers)
        most = one.total.get(asset.code)
        if most is not None:
            spent = self._spent(one.venue, asset.code, one.at - 1)
            if spent + units > most:
                numbers = {"venue": one.venue, "spent": _text(spent, asset), "worth": _text(units, asset), "cap": _text(most, asset)}
                return refuse("armed", "total_cap", place, view, vault, **numbers)
        ask = one.confirm_above.get(asset.code)
        if ask is None or units <= ask or self._is_confirmed(seat, legs):
            return None
        for waiting in self.waiting.values():
            if waiting.sleeve == seat.sleeve.name and view.now < waiting.expires:
                return refuse("confirm", "awaiting_confirmation", place, view, vault, id=waiting.id)
        numbers = {"id": f"{seat.sleeve.name}-c{len(self._books.journal)}", "worth": _text(units, asset), "above": _text(ask, asset)}
        return refuse("confirm", "needs_confirmation", place, view, vault, **numbers, within_s=one.confirm_within / SECOND)

    def _is_confirmed(self, seat: Seat, legs: tuple[Place, ...]) -> bool:
        if self._confirmed is None or self._confirmed[0] != seat.sleeve.name:
            return False
        wish = self._confirmed[1]
        return (wish.legs if isinstance(wish, Bundle) else (wish,)) == legs

    def _spent(self, venue: str, code: str, since: int) -> int:
        """What was put at risk there since then: what was filled of orders that are off, and all of those that are not."""
        spent = 0
        for bundle in [bundle for bundle in self._legs if bundle not in self._flights]:
            del self._legs[bundle]
        for sent in (*self._sent, *(leg for legs in self._legs.values() for leg in legs.values())):
            if sent.at <= since or sent.code != code or venue not in self.venues_of(sent.market):
                continue
            working = self._blotter.find(sent.order_id) if sent.order_id else None
            if working is not None and working.status.done:
                spent += divide(sent.units * working.filled, working.order.place.qty, Rounding.CEIL)
            else:
                spent += sent.units
        return spent

    def sent(self, order: Order, seat: Seat, bundle: str = "", leg: int = 0) -> None:
        """An order left the house: what it puts at risk counts."""
        kept = self._legs.get(bundle, {}).pop(leg, None)
        units = worth(order.place, seat.view, seat.vault) or 0
        self._sent.append(_Sent(order.at, order.id, order.place.instrument, seat.sleeve.asset.code, max(units, kept.units if kept else 0)))
        longest = min([order.at - HOUR, *(one.at for one in self.armed.values())])
        while self._sent and self._sent[0].at < longest:
            self._sent.popleft()

    def reserve(self, bundle: str, seat: Seat, legs: Sequence[Place], at: int) -> None:
        """A bundle was accepted: what its later legs will put at risk counts from now on."""
        found: dict[int, _Sent] = {}
        for n, leg in enumerate(legs):
            if n and opens(leg, seat.view):
                units = worth(leg, seat.view, seat.vault) or 0
                found[n] = _Sent(at, "", leg.instrument, seat.sleeve.asset.code, units)
        self._legs[bundle] = found

    def _look_back(self, since: int) -> list[_Sent]:
        """What was sent since then and is not known here: arming again, or after a restart, is no way around a cap.

        Raises `VaultError` for an order in another coin while nothing says what that is worth.
        """
        known = {sent.order_id for sent in self._sent}
        earlier: list[_Sent] = []
        for record in self._latest(since):
            if not isinstance(record, Placed) or record.closes or record.order.id in known:
                continue
            order, seat = record.order, self._seats.get(record.order.sleeve)
            vault = next((vault for vault in self._vaults if order.sleeve in vault.sleeves), None)
            if vault is None:
                continue
            place, market = order.place, order.place.instrument
            if market.quote == vault.asset:
                units: int | None = market.cost(max(place.limit or place.stop or 0, order.worst or 0), place.qty, Rounding.CEIL)
            else:
                units = None if seat is None else worth(place, seat.view, seat.vault)
            if units is None:
                raise VaultError(
                    f"{order.id} of the last hour is in {market.quote}, and nothing says yet what that is worth: arm it after a price"
                )
            earlier.append(_Sent(record.at, order.id, market, vault.asset.code, units))
        return earlier

    def _latest(self, since: int) -> Iterable[object]:
        """The journal's records from then on, read from its end."""
        journal = self._books.journal
        length, back = len(journal), 4_096
        while True:
            start = max(0, length - back)
            records = list(journal.after(start))
            if not start or not records or records[0].at < since:
                return [record for record in records if record.at >= since]
            back *= 4

    # -- asking ------------------------------------------------------------------------------------------------------

    def ask(self, seat: Seat, wish: Place | Bundle, refusal: Refusal, by: str) -> None:
        """A human is asked; the answer is due within the time that the arming allows."""
        if refusal.reason != "needs_confirmation":
            return
        numbers, asset = refusal.numbers, seat.sleeve.asset
        expires = refusal.at + round(float(numbers["within_s"]) * SECOND)
        one = Confirmation(numbers["id"], refusal.at, seat.sleeve.name, by, wish, asset(numbers["worth"]), expires)
        self.waiting[one.id] = one
        self._books.record(Alert(refusal.at, Level.WARNING, one.sleeve, "confirm", f"{one}: confirm it within {numbers['within_s']} s"))

    def take(self, name: str, at: int) -> Confirmation:
        """What was waiting, and waits no more. Raises `VaultError` for a stranger's id, and for one that has expired."""
        self.expire(at)
        one = self.waiting.pop(name, None) if isinstance(name, str) else None
        if one is None:
            raise VaultError(f"nothing waits for a confirmation under {name!r}: it has expired, was answered, or never was")
        return one

    def ends(self) -> int:
        """When the next confirmation, or arming, is over; `NEVER` for none."""
        ends = [*(one.expires for one in self.waiting.values()), *(one.until for one in self.armed.values())]
        return min(ends, default=NEVER)

    def confirmed(self, one: Confirmation | None) -> None:
        """This one is confirmed, for as long as it is judged; None: no longer."""
        self._confirmed = None if one is None else (one.sleeve, one.wish)

    def expire(self, at: int) -> list[str]:
        """Drop what nobody has confirmed in time, and say so. The venues whose arming has ended, which is said too."""
        for one in [one for one in self.waiting.values() if at >= one.expires]:
            del self.waiting[one.id]
            self._books.record(Alert(at, Level.INFO, one.sleeve, "confirm_expired", f"{one}: nobody confirmed it, it was not sent"))
        over = [venue for venue, one in self.armed.items() if at >= one.until]
        for venue in over:
            self.disarm(venue, by="desk", why="its time is over", at=at)
        return over


def _venue(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise VaultError(f"a venue is known by its name in text, not by {name!r}")
    return name


def _text(units: int, asset: Asset) -> str:
    return decimal_text(units, asset.scale)
