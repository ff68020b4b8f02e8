"""Every seam on one page: what a third party may write, and what it must promise.

    Engine   decides                       (write one: docs/how-to/write-an-engine.md)
    Plan     tells where on a tape an engine can wish for anything, so that a replay skips the rest
    View     what an engine and a gate may see; nothing in it can be moved
    Gate     refuses
    Feed, Broker, Custody = Venue          do (write one: docs/how-to/write-a-venue.md)
    Journal  keeps

Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from .facts import CashFlow
from .journal import Journal
from .margin import MarginAccount
from .market import Book, FundingRate, Instrument
from .money import Amount, Asset
from .news import FairValue, PoolState, Reading, TokenFacts
from .orders import Event, Intent, Order, OrderReport, Place, Position, Transfer
from .records import Fact, Refusal
from .status import Status
from .vault import EngineVault

__all__ = ["Broker", "Columns", "Custody", "Engine", "Feed", "Gate", "Journal", "Plan", "Planned", "Venue", "View"]

M = TypeVar("M")
C = TypeVar("C", contravariant=True)
N = TypeVar("N", FundingRate, FairValue, PoolState, Reading, TokenFacts)


class View(Protocol):
    """What an engine sees when it decides, and a gate when it judges: its own sleeve and the market. Read-only.

    All money is in integer units of the vault's asset, quantities in base units, prices in the instrument's units.
    The object is reused: read it during the call, do not keep it.
    """

    @property
    def now(self) -> int:
        """The time of the event, in nanoseconds."""

    @property
    def book(self) -> Book:
        """Top of book of the instrument that just moved."""

    @property
    def status(self) -> Status:
        """How this sleeve stands, with its vault and desk: ACTIVE takes new risk, CLOSE_ONLY only closes."""

    def book_of(self, instrument: Instrument) -> Book | None:
        """Top of book of another instrument; None while no price was seen."""

    def position(self, instrument: Instrument) -> int:
        """Base units that this sleeve owns through this instrument; below zero for contracts sold short."""

    def sellable(self, instrument: Instrument) -> int:
        """Base units that an order can sell here now: free coins of that kind, through whichever market they were bought.

        Nothing of contracts, which `closable` tells.
        """

    def spendable(self, instrument: Instrument) -> int:
        """What a buy here can spend, in quote units: `free`, or free coins of that kind where it is quoted in another coin."""

    def home(self, coin: Asset) -> Instrument | None:
        """The spot market of a coin, quoted in the vault's asset and with a price, through which it is valued; None for none."""

    def news(self, kind: type[N], topic: str) -> N | None:
        """The latest news of a kind about a topic: `view.news(FundingRate, "SOL-PERP")`; None while there is none.

        It may be old: `.at` says how old.
        """

    @property
    def bundles(self) -> int:
        """How many of this sleeve's bundles are under way."""

    @property
    def reserved(self) -> int:
        """For gates: what the legs before this one of a bundle would set aside, net of what they bring."""

    @property
    def legs(self) -> Sequence[Place]:
        """For gates: the bundle that is judged, whole; nothing when a lone order is.

        All else that the view shows is then as if the legs before the one that is judged were filled.
        """

    def open_cost(self, instrument: Instrument) -> int:
        """What that position cost, in quote units, fees apart."""

    def closable(self, place: Place) -> int:
        """Base units of this sleeve's contracts that an order of this side can still close, those ordered already aside."""

    def free(self) -> int:
        """What this sleeve may use for an order now, with what is set aside for its next one.

        With contracts open that is less what they have lost so far; what they have won counts when it is settled.
        """

    def exposure(self, place: Place | None = None) -> MarginAccount | None:
        """This sleeve's contracts as if it were alone, with its open orders and, if given, one more.

        None while a contract has no price. `sleeves.margin` reads health, leverage and liquidation prices off it.
        """

    def joint_exposure(self, place: Place | None = None) -> MarginAccount | None:
        """The same of all sleeves together, as the venue sees their account."""

    @property
    def most_leverage_bp(self) -> int:
        """What this desk allows: 100,000 is ten times equity."""

    def capital(self) -> int:
        """What the core vault has put into this sleeve, net of all it took back: what profit is measured against."""

    def pnl(self) -> int | None:
        """Realized and unrealized profit less fees since the sleeve was opened; None while a holding has no price."""

    def day_pnl(self) -> int | None:
        """The same since midnight UTC, or since it was first known after it."""

    def peak_pnl(self) -> int | None:
        """The highest `pnl` seen so far."""

    def last_exit(self) -> int | None:
        """When this sleeve last sold coins or closed contracts."""

    def orders(self) -> Sequence[Order]:
        """This sleeve's open orders, oldest first."""

    def sent_since(self, at: int) -> int:
        """How many orders of new risk were sent for this sleeve from an instant on, that instant included.

        By whoever they were ordered, and also those that came to nothing; each leg and each repetition counts by itself.
        The latest `state.MOST_SENT` are remembered, over a restart too, so that this is the most that it answers.
        """

    def affordable(self, instrument: Instrument, money: int | Amount | None = None) -> int:
        """The most base units that an order at market can be for, with its allowances, from free money or a part of it.

        Of contracts that is as much as the money is margin for, with the default terms some nine times its worth.
        `instrument.affordable(money, price)` is what it is worth once.

        The part in units of the vault's asset, or as an amount: `USD("500")`.
        """

    def hold(self, place: Place) -> int | None:
        """What this order would set aside, of the coin that it pays with; None while its instrument has no price."""

    def needs(self, place: Place) -> int | None:
        """What this order would set aside of the vault's asset: nothing where it pays with other coins."""


class Engine(Protocol[M]):
    """A strategy. It decides and never does: no I/O, no clock, no randomness of its own.

    `name` labels its decisions, `watches` are the instruments whose prices wake it, `every` is the least time between
    two decisions at prices in nanoseconds (0: each price). News about what it watches wakes it too, whatever `every` says:
    funding rates of those instruments, fair values and token facts of their coins, and every outside reading; not the
    states of pools, which the next price wakes it to.
    """

    @property
    def name(self) -> str: ...

    @property
    def watches(self) -> tuple[Instrument, ...]: ...

    @property
    def every(self) -> int: ...

    def begin(self) -> M:
        """Fresh scratch memory. The desk owns it and hands it back at each decision."""

    def decide(self, memory: M, view: View) -> Iterable[Intent] | None:
        """What to do now; None, nearly always, for nothing. The same memory and view give the same intents.

        An engine with a `saw(memory) -> Mapping[str, str]` besides tells what its last decision was made on, for people.
        """


class Columns(Protocol):
    """What a plan reads: the rows of one market, as a `Tape` has them. Columns are of 64-bit integers and offer their buffer,
    so that `numpy.frombuffer(tape.close, "int64")` copies nothing. Prices are in the instrument's units, times in nanoseconds.
    """

    @property
    def instrument(self) -> Instrument: ...

    @property
    def interval(self) -> int: ...

    @property
    def at(self) -> Sequence[int]: ...

    @property
    def open(self) -> Sequence[int]: ...

    @property
    def high(self) -> Sequence[int]: ...

    @property
    def low(self) -> Sequence[int]: ...

    @property
    def close(self) -> Sequence[int]:
        """The price that the desk is shown at the end of each row, as bid and as ask."""

    @property
    def volume(self) -> Sequence[int]: ...

    @property
    def has_volume(self) -> bool: ...

    def ends(self) -> Sequence[int]:
        """When each row is over: the `now` of the decision on it."""

    def __len__(self) -> int: ...


class Plan(Protocol[C]):
    """Where on one tape an engine can wish for anything. Of one run and one seat, so that it may keep a place.

    It says which rows matter and brings the memory there; what is wished for, `Engine.decide` alone says. A run with a plan
    and one that asks on every row write the same journal, `sleeves.testing.check_plan` tries that.
    """

    def next(self, memory: C, row: int, view: View) -> int:
        """The first row from `row` on, counted from 0, at which `decide` could return anything but None as things stand; the
        number of rows for never.

        Too early is allowed, then `decide` is asked for nothing; too late never. Rows at which an engine would not be asked,
        because of its `every`, are never answered. It is asked anew after each decision, with the row behind, and after each
        event of the sleeve's orders, with the row under way: an engine that has to notice its own fill answers that row.
        """

    def seek(self, memory: C, since: int, row: int) -> None:
        """The memory stands as after the rows before `since`: bring it to where deciding on each row before `row` as well
        would have brought it, to the bit.
        """


class Planned(Engine[M], Protocol[M]):
    """An engine that can state its signals in one pass over a tape."""

    def plan(self, tape: Columns) -> Plan[M] | None:
        """A plan for this tape; None where it has none for it, and is then asked on every row."""


class Gate(Protocol):
    """A check of one wish before it becomes an order. A gate that raises refuses.

    To be asked is no order: previews ask too, and an order may be asked about twice. What a gate counts it takes from the view.
    """

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        """None to let it pass, or the refusal with its reason code and numbers."""


class Feed(Protocol):
    """Where events come from."""

    def events(self) -> AsyncIterator[Event]:
        """Prices and what became of our orders, in order. Prices may be skipped for newer ones; fills never are.

        Raises `VenueUnavailable` when the connection is lost; asked again, it connects anew, and whoever asks holds the books
        against the venue first. Ends when there will be no more. It is read by one task, in cancel scopes of that task: nothing
        of its own (a task group, a cancel scope) may be open across a yield.
        """


class Broker(Protocol):
    """Where orders go."""

    async def submit(self, order: Order) -> None:
        """Send an order. What becomes of it comes as events. Sending the same id again does nothing.

        Raises `VenueUnavailable` when nothing was done: it was not reached, or said that it did not look at the request;
        `VenueUnknown` when something may have been done: it was sent, and the answer is lost, or is that the venue itself does
        not know. A refusal by the venue is a `Rejected` event, not an exception. A driver never sends an order a second time,
        under this id or another; where an answer is lost it may look for the order by its own id, and go on if it is found.
        """

    async def cancel(self, order: Order) -> None:
        """Ask for a cancel. `Canceled` comes as an event when it is off the book; a fill may come first.

        Raises like `submit`.
        """

    async def settle(self, instrument: Instrument) -> None:
        """Have a perpetual's unsettled profit or loss moved to cash. `Settled` comes as an event, of 0 if nothing had to be.

        Of 0 too, because slices that cancel out for the venue may still owe each other. Raises like `submit`, and
        `VenueRejected` for an instrument that is not traded there.
        """

    async def look_up(self, order: Order) -> OrderReport | None:
        """What became of an order, found by its own id; None where the venue does not find it.

        None is no evidence: an order that is still on its way is not found either. What is final in a report is in
        `history` then, all fills of it. Raises `VenueUnavailable`.
        """

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every order of the account that is open, whoever sent it: ours by their own ids. Raises `VenueUnavailable`."""


class Custody(Protocol):
    """Where the money lies, and the venue's own record of how it came there."""

    async def balances(self) -> Mapping[str, Amount]:
        """All coins of the account by asset code, held ones included; what contracts have not settled apart.

        Raises `VenueUnavailable`.
        """

    async def positions(self) -> Mapping[str, Position]:
        """The account's contracts by symbol; none where it has none. Raises `VenueUnavailable`."""

    async def history(self, since: int) -> Sequence[Fact]:
        """All that happened to the account from an instant on, that instant included, oldest first, whoever ordered it.

        The same facts that `events` tells, with the same keys and content, whether they were told or not; a fill of an
        order that is none of ours bears the id that the venue knows it by. Never a part: pages are followed to their end,
        or it raises `VenueUnavailable`.
        """

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        """The venue's own ledger of the account's coins from an instant on, that instant included, oldest first.

        The books are made from what the venue says that it moved, never from a model of its fees: so the cost and the fee of a
        fill are those of its lines here, to the last digit. Their sum is what `balances` has changed by. The `ref` of a line is
        the `key` of the fact that it follows from, where `history` has that fact. Never a part, like `history`. Raises
        `VenueUnavailable`.
        """

    async def transfer(self, transfer: Transfer) -> None:
        """Bring coins into the account, or take them out. `Transferred` or `TransferRefused` comes as an event.

        Sending the same id again does nothing. Raises like `submit`. A venue may have `rehearse(transfer)` besides, which is
        asked before anything is sent: it raises `VenueRejected` where the transfer would be refused, `VenueUnavailable` where
        that is not known, and does nothing. And `never_landed(transfer, since)`: True where it is certain that one which was to
        be sent at that instant has not come and can no longer come.

        A venue with sub-accounts has `holdings()`, all coins by the number of the sub-account and code of the asset, of one
        instant, summing to `balances`; coins that come in or leave do so at sub-account 0. A transfer with a `source` and a
        `target` moves coins between two of them: `Shifted` or `TransferRefused` comes as an event. No other venue is ever asked to.
        """


class Venue(Feed, Broker, Custody, Protocol):
    """A driver: all three, under a name. One that has a connection is opened before its use and closed after: `async with venue:`.

    Until then each method raises `VenueUnavailable`. Two attributes are optional. `real_money = False`: it moves none, so
    nothing has to be armed; without it, it is taken to. `lockstep = True`: its time stands still while the desk works, so its
    events are taken one by one, not through an inbox. And one method is: `caught_up()` returns once all that the venue had sent
    by then is in `events`, fills with all that they need, so that a run that is stopped does not leave one behind.
    """

    @property
    def name(self) -> str: ...
