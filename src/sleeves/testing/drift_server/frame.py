"""What one call of the program works on: its accounts as records, its markets and oracles, its clock, and what it tells.

Accounts are read from the chain's bytes when they are asked for and written back at the end, so that a call that fails has changed
nothing. It checks what the program's account lists check; it knows no rule of trading.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, frozen
from solders.pubkey import Pubkey

from ...venues.drift.deployment import Deployment
from ...venues.drift.events import Event, encode_event, log_line
from ...venues.drift.oracles import read_oracle
from ...venues.drift.words import OracleSource
from ..solana_server import Call, ProgramError
from .fields import Fields
from .refusing import fail, require

__all__ = ["Frame", "Price"]

QUOTE = 10**6


@frozen
class Price:
    """An oracle's price (1e6) in this call, and how many slots ago it was posted."""

    price: int
    age: int


@define
class _Held:
    fields: Fields
    before: bytes


class Frame:
    """One call. `now` is in seconds, `slot` the slot that it runs in."""

    def __init__(self, call: Call, deployment: Deployment, now: int, slot: int) -> None:
        self.call = call
        self.deployment = deployment
        self.now = now
        self.slot = slot
        self.keys = [str(meta.pubkey) for meta in call.accounts]
        self._held: dict[str, _Held] = {}
        self._oracles: dict[str, int] = {}
        self.spots: dict[int, Fields] = {}
        self.perps: dict[int, Fields] = {}
        self._writable = {str(meta.pubkey) for meta in call.accounts if meta.is_writable}
        self._state: Fields | None = None

    # -- accounts -----------------------------------------------------------------------------------------------------------------

    def named(self, *names: str) -> dict[str, str]:
        """The first accounts by name; a name that ends in "!" must be writable, in "@" must sign, in "!@" both."""
        if len(self.keys) < len(names):
            fail("AccountNotEnoughKeys")
        found = {}
        for name, meta in zip(names, self.call.accounts, strict=False):
            bare = name.rstrip("!@")
            if "@" in name and not meta.is_signer:
                fail("AccountNotSigner", bare)
            if "!" in name and not meta.is_writable:
                fail("ConstraintMut", bare)
            found[bare] = str(meta.pubkey)
        return found

    def load(self, kind: str, address: str) -> Fields:
        """An account of the program, of a kind. Fails as Anchor does for what is none."""
        held = self._held.get(address)
        if held is None:
            state = self.call.account(Pubkey.from_string(address))
            if state is None:
                fail("AccountNotInitialized", address)
            if str(state.owner) != self.deployment.program_id:
                fail("AccountOwnedByWrongProgram", address)
            layout = self.deployment.layout(kind)
            if state.data[:8] != layout.discriminator or len(state.data) < layout.size:
                fail("AccountDiscriminatorMismatch", address)
            held = _Held(Fields(kind, address, self.deployment.codec(kind).decode(state.data)), state.data)
            self._held[address] = held
        if held.fields.kind != kind:
            fail("AccountDiscriminatorMismatch", address)
        return held.fields

    def user(self, address: str) -> Fields:
        """A sub-account."""
        return self.load("User", address)

    @property
    def state(self) -> Fields:
        """The State, once `open` has looked at it."""
        assert self._state is not None
        return self._state

    def open(self, address: str) -> Fields:
        """Take an account for the State; it must be the deployment's."""
        require(address == self.deployment.state(), "ConstraintSeeds", "state")
        self._state = self.load("State", address)
        return self._state

    def writable(self, address: str) -> bool:
        """Whether an account was handed over for writing."""
        return address in self._writable

    def make(self, kind: str, address: str, lamports: int) -> Fields:
        """A new account of the program, of zeros. The System program's part of it is its caller's to return."""
        layout = self.deployment.layout(kind)
        blank = (layout.discriminator or b"").ljust(layout.size, b"\0")
        self.call.make(Pubkey.from_string(address), blank, lamports)
        held = _Held(Fields(kind, address, self.deployment.codec(kind).decode(blank)), blank)
        self._held[address] = held
        return held.fields

    def drop(self, address: str) -> None:
        """Forget an account that is closed."""
        self._held.pop(address, None)

    # -- markets ------------------------------------------------------------------------------------------------------------------

    def maps(self, start: int, *, spots: Sequence[int] = (), perps: Sequence[int] = ()) -> int:
        """Read the oracles, spot markets and perp markets that follow the named accounts; those named here must be writable.

        They must come in this order: what comes after another kind is not seen, as in the program. Returns the place after them.
        """
        place, stage = start, 0
        kinds = ["PythLazerOracle", "SpotMarket", "PerpMarket"]
        marks = [self.deployment.layout(kind).discriminator for kind in kinds]
        while place < len(self.keys):
            address = self.keys[place]
            state = self.call.account(Pubkey.from_string(address))
            owned = state is not None and str(state.owner) == self.deployment.program_id
            kind = next((at for at, mark in enumerate(marks) if owned and state is not None and state.data[:8] == mark), None)
            if kind is None or kind < stage:
                break
            stage = kind
            if kind == 0:
                self._oracles[address] = place
            else:
                self._market(kinds[kind], address, spots if kind == 1 else perps)
            place += 1
        for index in spots:
            self.spot(index)
        for index in perps:
            self.perp(index)
        return place

    def _market(self, kind: str, address: str, written: Sequence[int]) -> None:
        market = self.load(kind, address)
        index = market["market_index"]
        if index in written and not self.writable(address):
            fail("SpotMarketWrongMutability" if kind == "SpotMarket" else "MarketWrongMutability", f"market {index}")
        (self.spots if kind == "SpotMarket" else self.perps)[index] = market

    def spot(self, index: int) -> Fields:
        """A spot market that was handed over."""
        if index not in self.spots:
            fail("SpotMarketNotFound", f"Could not find spot market {index}")
        return self.spots[index]

    def perp(self, index: int) -> Fields:
        """A perpetual that was handed over."""
        if index not in self.perps:
            fail("PerpMarketNotFound", f"Could not find perp market {index}")
        return self.perps[index]

    def price(self, market: Fields) -> Price:
        """What a market's oracle says."""
        source = self.deployment.oracle_sources[market["oracle_source"]]
        if source is OracleSource.QUOTE_ASSET:
            return Price(QUOTE, 0)
        address = market["oracle"]
        if address not in self._oracles:
            fail("OracleNotFound", f"{address}")
        state = self.call.account(Pubkey.from_string(address))
        assert state is not None
        read = read_oracle(self.deployment, source, str(state.owner), state.data, self.slot)
        return Price(read.price, max(0, self.slot - read.slot))

    def stale(self, price: Price) -> bool:
        """Whether a price is too old to count margin with."""
        return price.age > int(self.state["slots_before_stale_for_margin"])

    # -- what it leaves -----------------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """An event, in the form in which the program writes it."""
        self.call.logs.append(log_line(self.deployment, event))

    def emit(self, event: Event) -> None:
        """An event as a line of data, whatever its kind: as liquidations write even those that the program mostly writes as messages."""
        self.call.tell(encode_event(self.deployment, event))

    def log(self, text: str) -> None:
        """A line of the log."""
        self.call.log(text)

    def done(self) -> None:
        """Write what changed. Fails for an account that was not handed over for writing."""
        for address, held in self._held.items():
            codec = self.deployment.codec(held.fields.kind)
            after = codec.encode(held.fields.record)
            if after != held.before:
                try:
                    self.call.write(Pubkey.from_string(address), after)
                except ProgramError:
                    fail("ConstraintMut", f"{held.fields.kind} {address}")
