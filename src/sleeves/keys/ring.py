"""Key sets, what they may do, how they fare, and which one an operation gets.

A Core Vault keeps its key while the key is healthy, and no two vaults ever share one, so that one vault's calls neither use up
another's allowance nor get in the way of its nonces; only an exit of a vault with no healthy key left is lent another's of the
same account. What the venue says about a key moves its health, by one table:

    health     new risk   exits   meaning
    HEALTHY    yes        yes
    COOLING    no         yes     the venue counts too many calls; rests until a time, longer each time in a row
    SUSPECT    no         yes     another program may use it, or it was not seen to work since something happened: probe it
    DENIED     no         no      the venue refused it this right; it keeps its others
    LOCKED     no         no      the venue locked the account for a time; each call meanwhile makes that longer
    DEAD       no         no      invalid, or expired: the venue is not asked again, since repeats lock the account

The ring reads no wire. A driver tells it what the venue said, by a `Sign`, and holds its key from the call to what is known
of it: a key is changed between operations only. The clock is handed in; where it goes back, what rests does not rest longer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NoReturn

import anyio
import anyio.lowlevel
from attrs import frozen

from ..market import DAY, MINUTE, SECOND
from ..vault import CoreVault
from .health import TRANSITIONS, WORST, Health, Sign, next_health
from .nonces import Nonces
from .rights import Right, Rights, check_rights
from .secret import InvalidKey, NoKey, RightsRefused, Secret, Unwritable
from .sets import KeySet, check_expiry, expires_in, span, vault_name

__all__ = ["Held", "KeyRing", "Moved"]

log = logging.getLogger("sleeves.keys")
log.addHandler(logging.NullHandler())

FIRST_REST = SECOND
LONGEST_REST = 60 * SECOND
LOCKED_FOR = 15 * MINUTE
LONGEST_WAIT = DAY
"""However far away a venue says that the end is: a wrong unit must not put a key away for ever."""


@frozen
class _Condition:
    """How a key fares for one right; `until` is in the ring's own time, `times` counts rests in a row."""

    health: Health = Health.HEALTHY
    until: int | None = None
    times: int = 0
    why: str = ""


@frozen
class Moved:
    """A key's health for some rights has changed; told to those who listen. `at` is UTC ns, `for_ns` how long it rests by itself."""

    at: int
    key: str
    venue: str
    vault: str
    rights: tuple[Right, ...]
    before: Health
    after: Health
    sign: Sign
    for_ns: int | None = None
    why: str = ""

    def __str__(self) -> str:
        rest = "" if self.for_ns is None else f" for {span(self.for_ns)}"
        what = f"key {self.key} of {self.venue}, to {' and '.join(self.rights)}: {self.before} -> {self.after}{rest}, {self.sign}"
        return what + (f" ({self.why})" if self.why else "")


class _Kept:
    """A key in the ring and what is known of it."""

    def __init__(self, key: KeySet, seen: int) -> None:
        self.key = key
        self.rights: Rights = key.rights or Rights(frozenset())
        self.fingerprint = key.fingerprint
        self.conditions = {right: _Condition() for right in Right}
        self.vault = key.vault
        self.seen = seen
        """When its rights were last looked at, in the ring's own time."""
        self.warned = ""
        self.refused: dict[str, str] = {}
        """By name the calls that the venue does not let it make, and what it said."""
        self.flying = 0
        self.leaving = False
        self.landed: anyio.Event | None = None

    @property
    def worst(self) -> Health:
        return max((self.conditions[right].health for right in self.rights.granted), key=WORST.index, default=Health.HEALTHY)


class _Turns:
    """Whose turn it is with a key: one at a time, who goes first before all others, each kind in the order in which it came."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: tuple[deque[anyio.Event], deque[anyio.Event]] = deque(), deque()

    @property
    def over(self) -> bool:
        return not self._taken

    async def take(self, first: bool) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        if not self._taken:
            self._taken = True
            await anyio.lowlevel.cancel_shielded_checkpoint()
            return
        line, mine = self._waiting[not first], anyio.Event()
        line.append(mine)
        try:
            await mine.wait()
        except BaseException:
            if mine.is_set():
                self.leave()  # it was given at the same moment
            else:
                line.remove(mine)
            raise

    def leave(self) -> None:
        """Give the turn to the next; it is never free while somebody waits."""
        line = self._waiting[0] or self._waiting[1]
        if line:
            line.popleft().set()
        else:
            self._taken = False


class Held:
    """A key for the time of one operation: from the call to what became of it. Given by `KeyRing.use` and `KeyRing.probe`."""

    def __init__(self, ring: KeyRing, kept: _Kept, vault: str, right: Right, health: Health, exit: bool) -> None:  # noqa: A002
        self.vault = vault
        self.right = right
        self.health = health
        """How it fared when it was given out."""
        self.exit = exit
        self._ring = ring
        self._kept = kept
        self._over = False
        self._said: list[Sign] = []

    @property
    def name(self) -> str:
        """The key's name."""
        return self._kept.key.name

    @property
    def venue(self) -> str:
        """Where it is a key."""
        return self._kept.key.venue

    @property
    def api_key(self) -> Secret:
        """What tells the venue which key this is. Raises `InvalidKey` once the operation is over, as all below do."""
        return self._open().api_key

    @property
    def secret(self) -> Secret:
        """What requests are signed with."""
        return self._open().secret

    @property
    def passphrase(self) -> Secret | None:
        """What some venues ask for beside; None for others."""
        return self._open().passphrase

    @property
    def fingerprint(self) -> str:
        """What stands for the API key, whatever it is named: see `KeySet.fingerprint`."""
        return self._kept.fingerprint

    @property
    def lent(self) -> bool:
        """Whether it is another vault's, and was given out for an exit all the same."""
        return bool(self.vault) and self._kept.vault != self.vault

    @property
    def last_resort(self) -> bool:
        """Whether it is not healthy and was given out for an exit, or to be probed, all the same."""
        return not self.health.may_open

    def nonce(self) -> int:
        """The key's next nonce, at once. Raises what `Nonces.draw` raises, and `InvalidKey` in a ring without nonces."""
        self._open()
        if self._ring.nonces is None:
            raise InvalidKey("this ring has no nonces: KeyRing(..., nonces=Nonces.open(path, clock))")
        return self._ring.nonces.draw(self._kept.fingerprint)

    @asynccontextmanager
    async def turn(self, *, first: bool | None = None) -> AsyncIterator[int]:
        """The next nonce, once no other call with this key is under way, so that they reach the venue in order.

        async with held.turn() as nonce: the request goes out, and is answered, inside. Those that go `first` have their turn before
        all that wait and do not: by default those that hold the key to trade. Raises as `nonce` does.
        """
        self._open()
        async with self._ring._queue(self._kept.fingerprint, self.right is Right.TRADE if first is None else first):
            yield self.nonce()

    def told(self, sign: Sign | str, *, until: int | None = None, right: Right | str | None = None, why: str = "") -> Health:
        """What the venue said; `KeyRing.told` with this key, and for PERMISSION with this operation's right."""
        why = self._ring._hide(why)
        right = self.right if right is None and sign == Sign.PERMISSION else right
        health = self._ring.told(self.name, sign, until=until, right=right, why=why)
        self._said.append(Sign(sign))
        return health

    def refused(self, call: str, why: str = "") -> None:
        """The venue does not let the key make this one call: it keeps its rights, and is given out for this call no more, until it
        is probed and sound, or cleared. See `KeyRing.use`.
        """
        why = self._ring._hide(why)
        self._kept.refused[call] = why
        self._said.append(Sign.PERMISSION)
        log.warning(
            "key %s of %s is refused %s%s: it is asked with it no more",
            *(self.name, self.venue, call, f" ({why})" if why else ""),
            extra={"key": self.name, "venue": self.venue},
        )

    def hide(self, text: str) -> str:
        """A text without any value of this key; see `KeySet.hide`."""
        return self._open().hide(text)

    def __repr__(self) -> str:
        return f"<Held {self.name} of {self.venue} for {self.vault or 'a probe'}: {self.health}{', over' if self._over else ''}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise Unwritable("a key that is held is not pickled or copied: it is for one operation")

    def _open(self) -> KeySet:
        if self._over:
            raise InvalidKey(f"the operation that held key {self.name} is over: use the ring again")
        return self._kept.key


class KeyRing:
    """Several key sets, given out one operation at a time.

    `clock` gives the time in ns UTC. Each key must pass `check_rights`. Raises what `add` raises.
    """

    def __init__(
        self, keys: Iterable[KeySet] = (), *, clock: Callable[[], int], nonces: Nonces | None = None, allow_withdraw: bool = False
    ) -> None:
        given = list(keys)
        del keys
        if wrong := sorted({type(key).__name__ for key in given if not isinstance(key, KeySet)}):
            del given  # a traceback with locals must not show what was given in place of a set
            raise InvalidKey(f"a ring holds each key as a KeySet, not {', '.join(wrong)}")
        if not callable(clock):
            raise InvalidKey(f"the clock of a ring is called for the time, such as time.time_ns, and {clock!r} is not")
        if nonces is not None and not isinstance(nonces, Nonces):
            raise InvalidKey(f"the nonces of a ring are Nonces or None, not {type(nonces).__name__}")
        self.nonces = nonces
        self._clock = clock
        self._allow_withdraw = allow_withdraw
        self._latest, self._lost = 0, 0
        self._kept: dict[str, _Kept] = {}
        self._current: dict[tuple[str, str], str] = {}
        self._account: dict[tuple[str, str], str] = {}
        self._queues: dict[str, _Turns] = {}
        self._listeners: list[Callable[[Moved], None]] = []
        for key in given:
            self.add(key)

    # -- what is in it -----------------------------------------------------------------------------------------------------

    def add(self, key: KeySet) -> tuple[str, ...]:
        """Take a key in; returns its warnings in words, logged too.

        Raises `RightsRefused` as `check_rights` and `check_expiry` do; `InvalidKey` where its name is taken, or where the
        ring has the same API key under another name: then two vaults could share it.
        """
        if not isinstance(key, KeySet):
            kind = type(key).__name__
            del key
            raise InvalidKey(f"a ring holds each key as a KeySet, not {kind}")
        if key.name in self._kept:
            raise InvalidKey(f"the ring has a key {key.name} already")
        now = self._now()
        ending = check_expiry(key, self._latest)
        try:
            warnings = [*check_rights(key.rights, self._allow_withdraw), ending]
        except RightsRefused as error:
            raise RightsRefused(f"key {key.name} of {key.venue}: {error}") from None
        kept = _Kept(key, now)
        for other in tuple(self._kept.values()):
            if other.fingerprint == kept.fingerprint:
                raise InvalidKey(f"key {key.name} is the same as {other.key.name}: one API key is in the ring once")
        kept.warned = ending
        self._kept[key.name] = kept
        for text in filter(None, warnings):
            log.warning("key %s of %s: %s", key.name, key.venue, text, extra={"key": key.name, "venue": key.venue})
        return tuple(filter(None, warnings))

    async def retire(self, name: str) -> None:
        """Give a key out no more, wait until the operations that hold it are over, forget it and wipe its secrets."""
        kept = self._one(name)
        kept.leaving = True
        while kept.flying:
            kept.landed = kept.landed or anyio.Event()
            await kept.landed.wait()
        if self._kept.pop(name, None) is not None:
            self._current = {place: one for place, one in self._current.items() if one != name}
            kept.key.wipe()

    @property
    def names(self) -> list[str]:
        """The keys' names, in the order in which they are tried."""
        return list(self._kept)

    def health(self, name: str, right: Right | str | None = None) -> Health:
        """How a key fares now for a right; without one the worst over those that it has."""
        kept = self._settled(self._one(name))
        return kept.worst if right is None else kept.conditions[_right(right)].health

    def vault_of(self, name: str) -> str:
        """Which vault a key belongs to, by `CoreVault.owner`; empty while none."""
        return self._one(name).vault

    def fingerprint(self, name: str) -> str:
        """What stands for a key's API key, whatever it is named: see `KeySet.fingerprint`."""
        return self._one(name).fingerprint

    def rights(self, name: str) -> Rights:
        """What a key may do, as was said of it or as the venue told last."""
        return self._one(name).rights

    def describe(self) -> list[dict[str, str]]:
        """A row for each key in words, values left out: for a table, a log, a page of a dashboard."""
        rows = []
        for kept in map(self._settled, tuple(self._kept.values())):
            worst = kept.worst
            chosen = next((one for right, one in kept.conditions.items() if right in kept.rights.granted and one.health is worst), None)
            left = expires_in(kept.key, self._latest)
            rows.append(
                {
                    "key": kept.key.name,
                    "venue": kept.key.venue,
                    "account": kept.key.account,
                    "vault": kept.vault,
                    "health": worst.value,
                    "rests": "" if chosen is None or chosen.until is None else span(max(chosen.until - self._now(), 0)),
                    "denied": ", ".join(
                        [*sorted(right for right, one in kept.conditions.items() if one.health is Health.DENIED), *sorted(kept.refused)]
                    ),
                    "why": "" if chosen is None else chosen.why,
                    "rights": str(kept.rights),
                    "expires": "" if left is None else "expired" if left <= 0 else span(left),
                    "held": str(kept.flying),
                }
            )
        return rows

    def warnings(self) -> dict[str, tuple[str, ...]]:
        """By key what a human should see to: where it may be used from, and when it ends."""
        found = {}
        for kept in map(self._settled, tuple(self._kept.values())):
            try:
                texts = [*check_rights(kept.rights, self._allow_withdraw), check_expiry(kept.key, self._latest)]
            except RightsRefused as error:
                texts = [str(error)]
            if any(texts):
                found[kept.key.name] = tuple(filter(None, texts))
        return found

    def due(self, every: int = DAY) -> list[str]:
        """The keys that should be probed now: suspect ones, and those whose rights were not looked at for so many ns."""
        now = self._now()
        kept = map(self._settled, tuple(self._kept.values()))
        return [
            one.key.name
            for one in kept
            if one.worst.may_exit and (one.worst is Health.SUSPECT or now - one.seen >= every) and not one.leaving
        ]

    def __repr__(self) -> str:
        """As last looked at: to be shown moves nothing."""
        keys = ", ".join(f"{kept.key.venue} {kept.key.name} {kept.worst}" for kept in getattr(self, "_kept", {}).values())
        return f"<KeyRing {keys or 'empty'}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise Unwritable("a ring of keys is not pickled or copied: two would give one key to two vaults")

    # -- given out ---------------------------------------------------------------------------------------------------------

    def use(
        self,
        vault: CoreVault | str,
        venue: str,
        *,
        right: Right | str = Right.TRADE,
        exit: bool = False,  # noqa: A002
        account: str | None = None,
        call: str = "",
    ) -> AbstractAsyncContextManager[Held]:
        """A key for one operation of a vault, held until the block ends: `async with ring.use(vault, "kraken") as held`.

        The vault's present key while it is healthy, else another healthy one of the same account that is no other vault's,
        which then is the vault's. With `exit`, when none is healthy, another vault's healthy one of the same account, lent for
        this operation, else a cooling or suspect one, its own first: a position that cannot be closed is worse than a refused
        call. `held.lent` and `held.last_resort` say so, and the log. With `account` no key of another one. `call` is what it is for, in
        the venue's words: a key that was refused that (`Held.refused`) is passed over.

        A block that ends with no error and no bad word counts as answered. Raises `NoKey` when there is none, with how each one fares.
        """
        if type(exit) is not bool:
            raise InvalidKey(f"exit is True or False, not {exit!r}")
        return self._use(vault_name(vault), venue, _right(right), exit, account, call)

    def probe(self, name: str, *, call: str = "") -> AbstractAsyncContextManager[Held]:
        """A certain key, for a call that only reads; give what the venue said to `probed` after.

        Raises `NoKey` where it is denied reading, locked or dead, or was refused this `call`.
        """
        return self._probe(name, call)

    @asynccontextmanager
    async def _use(self, vault: str, venue: str, right: Right, leaves: bool, account: str | None, call: str) -> AsyncIterator[Held]:
        await anyio.lowlevel.checkpoint()
        kept = self._choose(vault, venue, right, leaves, account, call)
        async with self._holding(Held(self, kept, vault, right, kept.conditions[right].health, leaves)) as held:
            yield held

    @asynccontextmanager
    async def _probe(self, name: str, call: str) -> AsyncIterator[Held]:
        await anyio.lowlevel.checkpoint()
        kept = self._settled(self._one(name))
        condition = kept.conditions[Right.READ]
        if call in kept.refused:
            raise NoKey(f"key {name} of {kept.key.venue} is refused {call} ({kept.refused[call]})")
        if kept.leaving or not condition.health.may_exit:
            raise NoKey(f"key {name} of {kept.key.venue} cannot be probed: {self._state(kept, Right.READ)}", self._utc(condition.until))
        async with self._holding(Held(self, kept, "", Right.READ, condition.health, False)) as held:
            yield held

    @asynccontextmanager
    async def _holding(self, held: Held) -> AsyncIterator[Held]:
        kept = held._kept
        kept.flying += 1
        try:
            yield held
            if not held._said:
                held.told(Sign.ANSWERED)
        finally:
            held._over = True
            kept.flying -= 1
            if not kept.flying and kept.landed is not None:
                kept.landed.set()
                kept.landed = None

    @asynccontextmanager
    async def _queue(self, fingerprint: str, first: bool) -> AsyncIterator[None]:
        """One at a time for each key. The turns last while somebody has one, so that a ring outlives an event loop."""
        turns = self._queues.setdefault(fingerprint, _Turns())
        await turns.take(first)
        try:
            yield
        finally:
            turns.leave()
            if turns.over:
                del self._queues[fingerprint]

    def _choose(self, vault: str, venue: str, right: Right, leaves: bool, only: str | None, call: str) -> _Kept:
        place = vault, venue
        account = self._account.get(place) if only is None else only
        mine = [
            self._settled(kept)
            for kept in tuple(self._kept.values())
            if kept.key.venue == venue and kept.vault in ("", vault) and account in (None, kept.key.account) and not kept.leaving
        ]
        granted = [kept for kept in mine if right in kept.rights.granted]
        mine = [kept for kept in granted if call not in kept.refused]
        present = self._current.get(place)
        mine.sort(key=lambda kept: (kept.key.name != present, kept.vault != vault))  # stable: else in the ring's order
        healthy = [kept for kept in mine if kept.conditions[right].health.may_open]
        if not healthy:
            chosen = self._last_resort(vault, venue, right, mine, only, call) if leaves else None
            if chosen is None:
                raise self._none(vault, venue, right, granted, call)
            log.warning(
                "an exit of %s at %s takes key %s%s, which is %s: none of its own is healthy",
                *(vault, venue, chosen.key.name, f" of {chosen.vault}" if chosen not in mine else "", self._state(chosen, right)),
                extra={"vault": vault, "venue": venue, "key": chosen.key.name, "health": chosen.conditions[right].health.value},
            )
            if chosen not in mine:
                return chosen  # lent for this operation: it stays the other vault's
        else:
            chosen = healthy[0]
            aside = any(kept.key.name == present and call in kept.refused for kept in granted)  # for this one call alone
            if present is not None and present != chosen.key.name and not aside:
                old = self._kept[present]
                log.warning(
                    "%s goes on at %s with key %s: %s is %s",
                    *(vault, venue, chosen.key.name, present, self._state(old, right)),
                    extra={"vault": vault, "venue": venue, "key": chosen.key.name, "health": chosen.conditions[right].health.value},
                )
            if not aside:
                self._current[place] = chosen.key.name
        chosen.vault = vault
        self._account[place] = chosen.key.account
        return chosen

    def _last_resort(self, vault: str, venue: str, right: Right, mine: list[_Kept], only: str | None, call: str) -> _Kept | None:
        """For an exit, with no healthy key of its own: a healthy one of another vault in the same account, lent, else the least bad."""
        account = self._account.get((vault, venue)) if only is None else only
        if account is None:  # it never had a key: one that is meant for it says which account is its own
            account = next((kept.key.account for kept in self._kept.values() if kept.key.venue == venue and kept.vault == vault), None)
        others = [
            self._settled(kept)
            for kept in tuple(self._kept.values())
            if kept.key.venue == venue and kept.key.account == account and kept not in mine and not kept.leaving
            if call not in kept.refused
        ]
        last = [kept for kept in (*mine, *others) if right in kept.rights.granted and kept.conditions[right].health.may_exit]
        rank = {Health.HEALTHY: 0, Health.COOLING: 1, Health.SUSPECT: 2}
        return min(last, key=lambda kept: rank[kept.conditions[right].health], default=None)

    def _none(self, vault: str, venue: str, right: Right, mine: list[_Kept], call: str) -> NoKey:
        states = "; ".join(
            f"{kept.key.name} is " + (f"refused {call} ({kept.refused[call]})" if call in kept.refused else self._state(kept, right))
            for kept in mine
        )
        rest = [kept.conditions[right] for kept in mine if call not in kept.refused]
        untils = [one.until for one in rest if one.health is Health.COOLING]
        first = min((until for until in untils if until is not None), default=None)
        found = states or "the ring has none there that has this right, is in its account and is no other vault's"
        return NoKey(f"no key for {vault} at {venue} to {right}: {found}", self._utc(first))

    # -- what moves them ---------------------------------------------------------------------------------------------------

    def told(self, name: str, sign: Sign | str, *, until: int | None = None, right: Right | str | None = None, why: str = "") -> Health:
        """What a venue said about a key, or a human or a probe found; returns how it fares then, for `right` or at worst.

        `until`, in ns UTC, is when a rest or a lock ends, where the venue says so: without it a rest takes 1 s, twice as long
        each time in a row, 60 s at most, and a lock 15 minutes. PERMISSION is about one right, or all where none is named. LOCKOUT
        is about all keys of the account. Raises `InvalidKey` for what is no sign, and for one that the table does not have.
        """
        why = self._hide(why)
        kept = self._settled(self._one(name))
        sign = _sign(sign)
        if until is not None and (type(until) is not int or until < 0):
            raise InvalidKey(f"until {until!r} must be whole nanoseconds since 1970, or None")
        which = None if right is None else _right(right)
        rights = [which] if which is not None and sign in (Sign.PERMISSION, Sign.CLEARED) else list(Right)
        self._moves(kept, sign, rights, until, why)
        if sign is Sign.LOCKOUT:
            for other in tuple(self._kept.values()):
                if other is not kept and (other.key.venue, other.key.account) == (kept.key.venue, kept.key.account):
                    self._moves(self._settled(other), sign, list(Right), until, f"the account is locked, told of key {name}")
        return kept.worst if which is None else kept.conditions[which].health

    def probed(self, name: str, rights: Rights | None) -> Health:
        """A call that only reads was answered, and these are the rights that the venue says the key has.

        Where they pass `check_rights` a cooling or suspect key is healthy again; where they do not, or are not known, it is suspect.
        """
        kept = self._one(name)
        kept.seen = self._now()
        try:
            check_rights(rights, self._allow_withdraw)
        except RightsRefused as error:
            return self.told(name, Sign.OVERREACH, why=str(error))
        assert rights is not None
        kept.rights = rights
        kept.refused.clear()
        return self.told(name, Sign.PROBED)

    def clear(self, name: str, *, by: str, why: str, right: Right | str | None = None) -> Health:
        """A named human has looked at a key that is not healthy, for a reason. Each of its rights that the table lets is moved.

        Raises `InvalidKey` without a name or a reason, and for a key that is healthy and was refused no call.
        """
        by, why = (word if not isinstance(word, str) else self._hide(word) for word in (by, why))
        for word, what in ((by, "by whom"), (why, "why")):
            if not isinstance(word, str) or not word.strip():
                raise InvalidKey(f"a key is cleared saying {what}, not {word!r}")
        kept = self._settled(self._one(name))
        rights = [
            r for r in (list(Right) if right is None else [_right(right)]) if (kept.conditions[r].health, Sign.CLEARED) in TRANSITIONS
        ]
        if not rights and not kept.refused:
            next_health(Health.HEALTHY, Sign.CLEARED, f"key {name}")
        if kept.refused:
            log.info("key %s of %s is asked with %s again: %s: %s", name, kept.key.venue, ", ".join(kept.refused), by, why)
            kept.refused.clear()
        self._moves(kept, Sign.CLEARED, rights, None, f"{by}: {why}")
        return kept.worst

    def listen(self, listener: Callable[[Moved], None]) -> Callable[[], None]:
        """Have each change of health told; returns what ends it. A listener that raises is logged and dropped."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def _moves(self, kept: _Kept, sign: Sign, rights: Iterable[Right], until: int | None, why: str) -> None:
        now = self._now()
        changed: dict[tuple[Health, _Condition], list[Right]] = {}
        for right in rights:
            before = kept.conditions[right]
            health = next_health(before.health, sign, f"key {kept.key.name}")
            kept.conditions[right] = after = self._after(before, health, sign, until, now, why)
            if health is not before.health and (right in kept.rights.granted or sign is Sign.PERMISSION):
                changed.setdefault((before.health, after), []).append(right)
        for (was, after), of in changed.items():
            self._tell(kept, tuple(of), was, after, sign, now)

    def _after(self, before: _Condition, health: Health, sign: Sign, until: int | None, now: int, why: str) -> _Condition:
        """How a key fares behind a sign."""
        if sign is Sign.ANSWERED:
            return _Condition(health) if health is Health.HEALTHY else before
        if (health, sign) == (Health.COOLING, Sign.RATE_LIMITED):
            times = before.times + (before.health is not health)  # calls that were under way together are one time
            rest = min(FIRST_REST << min(times - 1, 16), LONGEST_REST)
            return _Condition(health, max(self._end(until, rest, now), before.until or 0), times, why or before.why)
        if (health, sign) == (Health.LOCKED, Sign.LOCKOUT):
            stands = before.until if before.health is health else None
            return _Condition(health, max(self._end(until, LOCKED_FOR, now), stands or 0), before.times, why or before.why)
        if health is before.health:
            return before
        times = before.times if sign is Sign.RESTED else 0
        return _Condition(health, None, times, "" if health is Health.HEALTHY else why or before.why or sign.value)

    def _end(self, until: int | None, otherwise: int, now: int) -> int:
        """When a rest ends, in the ring's own time; what the venue says is taken for no less than a second."""
        return now + (otherwise if until is None else min(max(until - self._latest, SECOND), LONGEST_WAIT))

    def _tell(self, kept: _Kept, rights: tuple[Right, ...], before: Health, after: _Condition, sign: Sign, now: int) -> None:
        rest = None if after.until is None else after.until - now
        moved = Moved(self._latest, kept.key.name, kept.key.venue, kept.vault, rights, before, after.health, sign, rest, after.why)
        level = logging.INFO if after.health is Health.HEALTHY else logging.WARNING
        log.log(level, "%s", moved, extra={"key": moved.key, "venue": moved.venue, "vault": moved.vault, "health": moved.after.value})
        for listener in tuple(self._listeners):
            try:
                listener(moved)
            except Exception:
                log.exception("%r raised and is told of no more keys", listener)
                if listener in self._listeners:
                    self._listeners.remove(listener)

    def _settled(self, kept: _Kept) -> _Kept:
        """A key as it fares now: what rested long enough is up again, what has ended is dead, and its end is warned of."""
        now = self._now()
        if rested := [right for right, one in kept.conditions.items() if one.until is not None and one.until <= now]:
            self._moves(kept, Sign.RESTED, rested, None, "")
        try:
            warning = check_expiry(kept.key, self._latest)
        except RightsRefused:
            if any(one.health is not Health.DEAD for one in kept.conditions.values()):
                self._moves(kept, Sign.EXPIRED, list(Right), None, "expired")
            return kept
        tier = warning.partition(", within ")[2]
        if tier and tier != kept.warned.partition(", within ")[2]:
            kept.warned = warning
            log.warning("key %s of %s: %s", kept.key.name, kept.key.venue, warning, extra={"key": kept.key.name, "venue": kept.key.venue})
        return kept

    # -- time and words ----------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        """The ring's own time, which never goes back: by how much the clock did is added from then on."""
        raw = self._clock()
        if type(raw) is not int or raw < 0:
            raise InvalidKey(f"the clock of a ring gave {raw!r}, which is no time in whole nanoseconds since 1970")
        self._lost += max(self._latest - raw, 0)
        self._latest = raw
        return raw + self._lost

    def _utc(self, until: int | None) -> int | None:
        return None if until is None else until - self._lost

    def hide(self, text: str) -> str:
        """A text without a value of any key here; see `KeySet.hide`."""
        for kept in self._kept.values():
            text = kept.key.hide(text)
        return text

    def _hide(self, text: object) -> str:
        """What somebody says of a key, short, and without a value of any key here."""
        return self.hide(str(text))[:300]

    def _state(self, kept: _Kept, right: Right) -> str:
        one = kept.conditions[right]
        rest = "" if one.until is None else f" for {span(max(one.until - self._now(), 0))}"
        return f"{one.health}{rest}" + (f" ({one.why})" if one.why else "")

    def _one(self, name: str) -> _Kept:
        if not isinstance(name, str) or name not in self._kept:
            raise InvalidKey(f"the ring has no such key; it has {', '.join(self._kept) or 'none'}")
        return self._kept[name]


def _right(right: object) -> Right:
    try:
        return Right(right)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidKey(f"{right!r} is no right; there are {', '.join(Right)}") from None


def _sign(sign: object) -> Sign:
    try:
        return Sign(sign)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidKey(f"{sign!r} is no sign; there are {', '.join(Sign)}") from None
