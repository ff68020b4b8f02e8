"""The desk: events in, commands out. Synchronous; no I/O, no clock, no randomness.

    price -> engine -> wish -> gates -> HOLD and order in the journal -> SubmitOrder
    fill  -> one entry -> sweep when flat -> what was set aside arrives

Replay, paper and live run this same code: they differ in who carries the commands out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import evolve

from . import booking
from .aftermath import Aftermath
from .answers import Answers
from .arming import Arming, Arms, Caps, Confirmation
from .blotter import Blotter, Working, working_of
from .booking import Allowance
from .bundles import Bundles
from .errors import InvalidMarket, NotEnough, VaultError, WrongStatus
from .explain import Waterfall, explain
from .exposure import Footing, Ground, WhatIf, check_collateral
from .facts import Bankrupted, CashFlow, FundingPaid, Liquidated, Settled, Shifted, Transferred, TransferRefused
from .flight import Flight
from .gates import CORE, opens, refuse
from .inside import Inside, SelfTrade
from .limits import Limit, Limits
from .making import maker
from .margin import MarginAccount, Weights, health_bp
from .market import BP, DAY, HOUR, MINUTE, SECOND, Book, FundingRate, Instrument, Mark, Quote
from .money import PPM, Amount, AmountLike, Asset, Fraction, decimal_text, parse_units, ppm
from .netting import Netting
from .news import FairValue, News, PoolState, Reading, TokenFacts
from .orders import (
    Accepted,
    Bundle,
    Cancel,
    Canceled,
    CancelOrder,
    Command,
    Event,
    Fill,
    Order,
    OrderReport,
    OrderStatus,
    Place,
    Position,
    Rejected,
    SettlePnl,
    Side,
    SubmitOrder,
    Unanswered,
)
from .passages import Passages
from .proof import Proof, prove
from .protocols import Engine, Gate, N
from .reconcile import Reconciliation, check_holdings, compare_holdings
from .records import Alert, Changed, Level, Marked, Opened, Placed, Policy, Refusal, Residual, policy_of
from .risk import realized_volatility
from .seat import NEVER, Decide, Seat, SeatView, Telemetry
from .seating import check_engine, check_gates, concerns, describe_engine
from .sleeve import OWNER, Sleeve, Stateful
from .standings import Standings
from .state import State
from .status import Hold, Latch, Move, Status
from .stops import Stops
from .transfers import Transfers
from .treasury import Inventory, Treasury
from .vault import Backing, CoreVault, EngineVault, SubAccount, Virtual

if TYPE_CHECKING:
    from .control import Control
    from .dashboard.widget import DeskWidget
    from .pulse import Pulse

__all__ = ["Desk"]

NOTHING: tuple[Command, ...] = ()
LEAST_HEALTH = 80
"""What the health of an account must be, from 0 to 100, after coins have left it."""


class Desk:
    """Where engines sit. Assembled from one or more core vaults that share their books.

    `allowance` is what orders set aside beyond their price; `mark_every` how often holdings are valued in the journal.
    For contracts: `collateral` says how coins other than the vault's own weigh as collateral at the venue (not at all by
    default), `most_leverage` caps what a sleeve's contracts may be worth, with all open orders filled, in times of its
    equity, and when a slice is closed what is unsettled beyond `settle_above` quote coins is settled. Alerts tell when the
    health of the account that a vault's sleeves share falls below the levels of `health_alerts`, the lowest as critical.
    `tolerances` say how much of an asset may stand in SUSPENSE, unexplained by the books, or lie in another sub-account than they
    say, while new risk is taken in it, or there: nothing by default. `self_trade` says what is done when sleeves of one account would
    trade with each other (see `inside`), and `cross_at` where between bid and ask a trade inside is priced.
    """

    __slots__ = (
        "__weakref__",
        "_aftermath",
        "_answers",
        "_arms",
        "_bands",
        "_blotter",
        "_boards",
        "_bundles",
        "_closes",
        "_collateral",
        "_crosses",
        "_due",
        "_ground",
        "_inside",
        "_limits",
        "_mark_at",
        "_netting",
        "_news",
        "_passages",
        "_priced",
        "_seats",
        "_standings",
        "_steps",
        "_stops",
        "_tables",
        "_tick_at",
        "_transfers",
        "_vaults",
        "_watchers",
        "_wrap",
        "allowance",
        "books",
        "cancels_lost",
        "faults",
        "mark_every",
        "most_leverage_bp",
        "treasury",
    )

    def __init__(
        self,
        *vaults: CoreVault,
        allowance: Allowance | None = None,
        mark_every: int = HOUR,
        collateral: Mapping[Asset, Weights] | None = None,
        most_leverage: str | int | Decimal = 10,
        settle_above: AmountLike = 1,
        health_alerts: tuple[int, ...] = (50, 20),
        tolerances: Mapping[Asset, AmountLike] | None = None,
        self_trade: SelfTrade | str = SelfTrade.REFUSE,
        cross_at: Fraction = "50%",
    ) -> None:
        if not vaults:
            raise VaultError("a desk needs at least one core vault")
        if not all(isinstance(vault, CoreVault) for vault in vaults):
            raise VaultError(f"a desk is made of core vaults, Desk(*treasury.vaults), not of {vaults[0]!r}")
        if type(mark_every) is not int or mark_every <= 0:
            raise VaultError(f"mark_every {mark_every!r} must be a positive whole number of nanoseconds")
        self.treasury = Treasury(*vaults)
        self.books = vaults[0].books
        if self.books.desk:
            raise VaultError("these books have a desk already: two desks would not know of each other's orders")
        self.books.desk = True
        self.allowance = Allowance() if allowance is None else allowance
        self.mark_every = mark_every
        self.most_leverage_bp = parse_units(most_leverage, 4, "most_leverage")
        if self.most_leverage_bp < BP:
            raise VaultError(f"most_leverage {most_leverage} must be at least 1")
        self.faults: list[tuple[str, Exception]] = []
        self.cancels_lost: set[str] = set()
        """Orders whose cancel was not answered, or did not reach the venue."""
        self._seats: dict[str, Seat] = {}
        self._boards: dict[str, Book] = {}
        self._news: dict[tuple[type, str], News] = {}
        """The latest news by kind and topic."""
        self._tables: list[Book] = []
        self._watchers: list[list[Seat]] = []
        self._blotter = Blotter(self.books, self._seats)
        self._collateral = check_collateral(collateral)
        self._ground = Ground(
            self._boards, self._collateral, self.allowance, self._orders_of, self._blotter.left, self.books, self._blotter.of_contracts
        )
        for vault in vaults:
            if vault.asset(settle_above).units < 0:
                raise VaultError(f"settle_above {settle_above} must not be negative")
        self.books.tolerances = _tolerances(tolerances or {})
        levels = tuple(sorted(health_alerts, reverse=True))
        if any(type(one) is not int or not 0 <= one <= 100 for one in levels):
            raise VaultError(f"health_alerts {health_alerts!r} must be whole numbers from 0 to 100")
        self._standings = Standings(vaults, self.books)
        self._stops = Stops(vaults, self._seats, self._blotter, self.books, self._order, self.index, self._standings)
        self._limits = Limits(vaults, self._seats, self._blotter, self._stops, self._standings)
        self._priced = 0
        """The time of the latest price of all."""
        self._tick_at = NEVER
        """When limits, and what waits for a human, are looked at next."""
        self._wrap: Callable[[str, Decide], Decide] | None = None
        self._netting = Netting(
            vaults, self._seats, self._boards, self._ground, str(settle_above), levels, self._stops, self._blotter.of_contracts
        )
        self._bands = self._netting.bands
        self._bundles = Bundles(self._seats, self.books, self._judge, self._order, self._land)
        self._arms = Arms(vaults, self.books, self._blotter, self._seats, self._bundles.flights)
        self._answers = Answers(self.books, self._blotter, self._netting, self._stops, self._bundles, self.index)
        where, split = _policy(self_trade), _between(cross_at)
        self._inside = Inside(where, split, self._answers, self._order, self._judge, self._seats, self._boards, self._blotter, self.books)
        self._crosses = self._inside.policy is SelfTrade.CROSS
        self._transfers = Transfers(vaults)
        self._passages = Passages(vaults, self._transfers.number, self._unfit, self._wake)
        moving = (self._transfers, self._passages)
        rooms = (self._standings, self._stops, self._netting, self._bundles, self._blotter, *moving, self._answers)
        self._aftermath = Aftermath(vaults, self._seats, self.books, *rooms, self.step, self.index)
        self._mark_at = 0
        self._due = -1
        """The instant in which a mark fell due, until it is made; -1 for none."""
        self._closes: dict[str, deque[float]] = {}
        self._vaults = vaults
        self._steps: Mapping[type, Callable[[Any], Sequence[Command]]] = {
            Fill: self._answers.filled,
            Accepted: self._answers.accepted,
            Canceled: self._answers.canceled,
            Rejected: self._rejected,
            FundingPaid: self._netting.funded,
            Settled: self._netting.settled,
            Liquidated: self._netting.liquidated,
            Bankrupted: self._netting.bankrupted,
            Transferred: self._transferred,
            Shifted: self._shifted,
            TransferRefused: self._transfer_refused,
            Unanswered: self._answers.unanswered,
            OrderReport: self._answers.reported,
            **dict.fromkeys(_TOLD, self._heard),
        }
        if self.books.state is not None:
            self._remember(self.books.state)

    def _remember(self, state: State) -> None:
        """Stand where the journal's records lead; seats follow as engines are assigned."""
        self._mark_at = state.marked - state.marked % self.mark_every + self.mark_every if state.marked else 0
        for _, prices in state.closes:
            self._note_closes(prices)
        self._netting.remember(state)

    # -- setting up --------------------------------------------------------------------------------------------------

    def index(self, instrument: Instrument) -> int:
        """The number of an instrument at this desk, for `quote`. A new one is registered in the books.

        Raises `VaultError` when its symbol has other terms here.
        """
        book = self._boards.get(instrument.symbol)
        if book is not None and (book.instrument is instrument or book.instrument == instrument):
            return book.index
        if instrument.contract is not None and sum(vault.asset == instrument.quote for vault in self._vaults) > 1:
            what = f"{instrument.symbol} and two wallets of {instrument.quote} at one desk"
            raise VaultError(f"{what}: whose contracts a fact is about could not be told; give each wallet a desk of its own")
        self.books.know(instrument)
        book = self._boards[instrument.symbol] = Book(instrument, len(self._tables))
        self._tables.append(book)
        self._watchers.append([])
        return book.index

    def assign(
        self, engine: Engine[Any], *, to: Sleeve, backing: Backing | None = None, gates: Iterable[Gate] = (), by: str = "owner"
    ) -> EngineVault:
        """Seat an engine at a sleeve: from now on it trades that sleeve's money and no other.

        `gates` are added behind the core gates. An engine that watches nothing quoted in the vault's asset is seated
        idle, with that reason. Raises `VaultError` for a sleeve that is not of this desk or already has an engine.
        """
        if not isinstance(to, Sleeve):
            raise VaultError(f"an engine is assigned to a Sleeve, not to {to!r}")
        check_engine(engine)
        if to.vault not in self._vaults:
            raise VaultError(f"sleeve {to.name} is not in a vault of this desk")
        if to.name in self._seats:
            raise VaultError(f"sleeve {to.name} already has the engine {self._seats[to.name].engine.name}")
        gates = check_gates(gates)
        if backing is None:
            backing = SubAccount(to.vault.wallet, to.account) if to.account is not None else Virtual()
        elif to.apart and not isinstance(backing, SubAccount):
            raise VaultError(f"sleeve {to.name} lies in sub-account {to.account}: it cannot be backed by {backing!r}")
        elif isinstance(backing, SubAccount) and backing.number != (to.account or 0):
            raise VaultError(f"sleeve {to.name} lies in sub-account {to.account or 0}, not in {backing.number}: open it with account=")
        indexes = [self.index(instrument) for instrument in engine.watches]
        tradeable = [i for i in indexes if self._tables[i].instrument.quote == to.asset]
        reason = "" if tradeable else f"none of {', '.join(m.symbol for m in engine.watches)} is quoted in {to.asset}"
        vault = EngineVault(to, engine.name, backing, reason)
        ground, left = self._ground, self._blotter.left
        view = SeatView(to, self._boards, self.allowance, self._tables[indexes[0]], ground, left, self.most_leverage_bp, self._news)
        seat = Seat(engine, vault, (*CORE, *gates), view)
        to.losing = view.lost
        at = self.books.time()
        watches = " ".join(market.symbol for market in engine.watches)
        terms = {"sleeve": to.name, "engine": describe_engine(engine), "watches": watches, "backing": repr(backing), "idle": reason}
        self.books.record(Opened(at, by, "engine", engine.name, terms))
        self._seats[to.name] = seat
        if to.own_status is Status.STAND_BY:
            to.move(Move.START, by=by, at=at)
        if self.books.state is not None:
            self._remember_seat(seat, self.books.state)
        if self._stops.asleep(seat):
            seat.wake = NEVER
            if Hold.STOPPED in to.latches:
                vault.idle_reason = vault.idle_reason or f"stopped by {to.latches[Hold.STOPPED].by}; Desk.start asks it again"
        if self._wrap is not None:
            seat.decide = self._wrap(to.name, engine.decide)
        if not reason:
            for i in indexes:
                self._watchers[i].append(seat)
        return vault

    def _remember_seat(self, seat: Seat, state: State) -> None:
        """What the sleeve's last engine had under way: its orders, their number, and what its gates and the desk watch."""
        known, view = state.sleeves[seat.sleeve.name], seat.view
        seat.counter, seat.flatten_by, view._last_exit = known.counter, known.flatten_by, known.last_exit
        view._sent = list(known.sent)
        if known.watched is not None:
            view._day, view._day_pnl, view._peak = known.watched
        for market in seat.sleeve.positions():
            self.index(market)
        for one in state.orders.values():
            if one.order.sleeve == seat.sleeve.name:
                self.index(one.order.place.instrument)
                self._blotter.add(working_of(one, seat))
                if seat.flatten_by and one.by == seat.flatten_by:
                    self._stops.flattening.add(one.order.id)
        self._bundles.remember(state.flights, seat.sleeve.name)

    @property
    def engines(self) -> Mapping[str, EngineVault]:
        """Engine vaults by the name of their sleeve."""
        return {name: seat.vault for name, seat in self._seats.items()}

    # -- events in ---------------------------------------------------------------------------------------------------

    def quote(self, index: int, now: int, bid: int, ask: int, volume: int = -1) -> Sequence[Command]:
        """A price, by scalars: the hot path. `replay` calls this, and so does `step` for a `Quote`."""
        if now >= self._mark_at:
            self._mark_if_over(now)
        book = self._tables[index]
        book.before = book.at or now
        book.at = now
        book.bid = bid
        book.ask = ask
        book.volume = volume
        if now > self.books.now:
            self.books.now = now
        if now >= self._priced:
            self._priced = now
        else:
            now = self._priced  # an old price is an old price: it is judged at the time of the latest
        commands: list[Command] | None = None
        if now >= self._tick_at:
            commands = self._tick(now) or None
        if self._bands:
            commands = [*(commands or ()), *self._look(book, now)] or None
        if self._bundles.waiting and not self.recovering:
            commands = [*(commands or ()), *self._bundles.look(now)]
        for seat in self._watchers[index]:
            if now < seat.wake:
                continue
            if seat.every:
                seat.wake = now + seat.every
            view = seat.view
            view.now = now
            view.book = book
            try:
                wishes: object = seat.decide(seat.memory, view)
            except Exception as error:
                wishes = Raised(error)
            if wishes is not None:
                commands = self._wished(seat, wishes, now, commands)
        return NOTHING if commands is None else commands

    def _wished(self, seat: Seat, wishes: object, now: int, commands: list[Command] | None) -> list[Command] | None:
        """What an engine wishes for, behind the commands that there are already."""
        try:
            if isinstance(wishes, Raised):
                raise wishes.error
            if isinstance(wishes, (Place, Cancel, Bundle)):
                raise TypeError(f"decide returned {wishes!r}: return a list of wishes, or None")
            wanted = tuple(wishes)  # type: ignore[var-annotated,arg-type]
        except Exception as error:
            self._fault(seat, error, now)
            wanted = ()
        seat.wanted = now, wanted
        for wish in wanted:
            more = self._wish(seat, wish, now)
            if seat.fault is not None:
                break
            if more:
                commands = self._inside.cross(commands, more, now) if commands and self._crosses else [*(commands or ()), *more]
        if seat.fault is not None:
            commands = [*(commands or ()), *self._stops.cancel_opening(seat)]
        return commands

    def _heard(self, news: News) -> Sequence[Command]:
        """News: it is shown from here on, and engines that it concerns are asked.

        What is older than the known is passed over, unless that claims to be of a time to come.
        """
        key = type(news), news.topic
        known, now = self._news.get(key), max(self.books.now, news.at)
        if known is not None and (news == known or news.at < known.at <= self.books.now + MINUTE):
            return NOTHING
        self._news[key] = news
        if isinstance(news, PoolState):
            return NOTHING
        commands: list[Command] | None = None
        for seat in self._seats.values():
            view = seat.view
            if seat.wake == NEVER or seat.vault.idle_reason or not concerns(news, seat.engine.watches):
                continue
            book = self._boards[news.topic] if isinstance(news, FundingRate) else view.book
            view.book = book if book.bid else view.book
            if not view.book.bid:
                continue
            commands = self._ask_engine(seat, now, commands)
        return NOTHING if commands is None else commands

    def _ask_engine(self, seat: Seat, now: int, commands: list[Command] | None = None) -> list[Command] | None:
        """What an engine wishes for now, behind the commands that there are already."""
        seat.view.now = now
        try:
            wishes: object = seat.decide(seat.memory, seat.view)
        except Exception as error:
            wishes = Raised(error)
        return commands if wishes is None else self._wished(seat, wishes, now, commands)

    def _tick(self, now: int) -> list[Command]:
        """Look at what time alone changes: limits, what holds sleeves and vaults, confirmations, what is armed."""
        commands: list[Command] = []
        if self._arms.ends() <= now:
            commands += [cancel for venue in self._arms.expire(now) for cancel in self._cancel_at(venue)]
        if self._stops.again_at <= now:
            commands += self._stops.again(now)
        if self._passages.waiting and not self.recovering:
            commands += self._passages.due(now)
        self._tick_at = min(self._arms.ends(), self._stops.again_at, now - now % MINUTE + MINUTE if self._limits else NEVER)
        return [*commands, *self._limits.look(now)] if self._limits and not self.recovering else commands

    def pass_time(self, now: int) -> Sequence[Command]:
        """It is this late, though nothing was told: limits, confirmations and what is armed are looked at. Time never goes back."""
        self.books.time(now)
        return self._tick(self.books.now) if self.books.now >= self._tick_at else NOTHING

    def _cancel_at(self, venue: str) -> list[Command]:
        """Cancels of open orders that take new risk at a venue, as far as it needs arming."""
        if venue not in self._arms.needed:
            return []
        every = self._stops.cancel_opening_of(seat.sleeve for seat in self._seats.values())
        return [one for one in every if isinstance(one, CancelOrder) and venue in self._arms.venues_of(one.order.place.instrument)]

    def _look(self, book: Book, now: int) -> list[Command]:
        """A price while contracts are open: of one of them, or of a coin that stands behind them."""
        if book.index in self._bands:
            return self._netting.watch(book, now)
        if book.instrument.contract is None and book.instrument.base.code in self._collateral:
            return [command for index in list(self._bands) for command in self._netting.watch(self._tables[index], now)]
        return []

    def step(self, event: Event) -> Sequence[Command]:
        """Take in one event; returns the commands to carry out, in order.

        Facts may come twice, late or in any order: each is booked once, and coins and net profit end the same. A fact
        about contracts that nobody is found for is told as an alert and tried again after the next fill. What was
        realized and swept on the way follows the order in which they were told, as average cost does. Raises
        `TypeError` for what is no event.
        """
        if type(event) is Quote:
            index = self.index(event.instrument)
            self.books.now = max(self.books.now, event.at)
            return self.quote(index, event.at, event.bid, event.ask, event.volume)
        handle = self._steps.get(type(event))
        if handle is None:
            raise TypeError(f"{event!r} is not an event that a desk knows")
        if type(event) not in _TOLD:  # an outside feed's clock is not the books'
            if 0 <= self._due < event.at:
                self.mark(self._due)
            if event.at > self.books.now:
                self.books.now = event.at
        commands = handle(event)
        if self._passages.waiting and not self.recovering:
            return [*commands, *self._passages.due(self.books.now)]
        return commands

    def mark(self, now: int) -> None:
        """Journal the prices at which holdings are valued from here on."""
        self.books.time(now)
        self._due = -1
        self._mark_at = now - now % self.mark_every + self.mark_every
        prices = {symbol: (book.mid, book.at) for symbol, book in self._boards.items() if book.bid}
        watched: dict[str, tuple[int, int, int]] = {}
        for name, seat in self._seats.items():
            if seat.repeats:
                self._flush(seat, now)
            if len(seat.gates) > len(CORE):
                seat.view.now = now
                seat.view.observe()
                seen = seat.view.watched()
                if seen is not None:
                    watched[name] = seen
        watched = {**self._limits.watched(), **watched}
        if prices:
            self.books.record(Marked(now, prices, watched))
            self._flex(prices, now)

    def _mark_if_over(self, now: int) -> None:
        """A mark is due: it is made once the instant that it fell due in is over, when all its prices are known."""
        if 0 <= self._due < now:
            self.mark(self._due)
        if self._due < 0 and now >= self._mark_at:
            self._due = now

    def _flex(self, prices: Mapping[str, tuple[int, int]], now: int) -> None:
        """Once a day, tell flexing reserves the volatility of the last week of marks."""
        flexing = [v for v in self._vaults if v.reserve_rule is not None and v.reserve_rule.flexes]
        if not flexing:
            return
        self._note_closes({symbol: price for symbol, (price, _) in prices.items()})
        if now % DAY >= self.mark_every:
            return
        for vault in flexing:
            known = [
                found
                for symbol, closes in self._closes.items()
                if self.books.instruments[symbol].quote == vault.asset
                and (found := realized_volatility(closes, self.mark_every / SECOND)) is not None
            ]
            if known:
                vault.flex_reserve(round(max(known) * PPM), at=now)

    def _note_closes(self, prices: Mapping[str, int]) -> None:
        for symbol, price in prices.items():
            self._closes.setdefault(symbol, deque(maxlen=7 * DAY // self.mark_every + 1)).append(float(price))

    # -- wishes ------------------------------------------------------------------------------------------------------

    def _wish(self, seat: Seat, wish: object, now: int) -> list[Command]:
        if isinstance(wish, (Place, Bundle)):
            return self._place(seat, wish, now)
        if isinstance(wish, Cancel):
            order = seat.open_orders.get(wish.order_id)
            return [] if order is None else [CancelOrder(order)]
        self._fault(seat, TypeError(f"{wish!r} is neither a Place, a Bundle nor a Cancel"), now)
        return []

    def _place(self, seat: Seat, wish: Place | Bundle, now: int) -> list[Command]:
        try:
            for leg in wish.legs if isinstance(wish, Bundle) else (wish,):
                self.index(leg.instrument)
        except (InvalidMarket, VaultError) as error:
            self._fault(seat, error, now)
            return []
        done = self._begin(seat, wish, now, seat.engine.name)
        if isinstance(done, Refusal):
            self._refused(seat, done, now)
            self._ask(seat, wish, done, seat.engine.name)
            return []
        self._flush(seat, now)
        return done

    def _begin(self, seat: Seat, wish: Place | Bundle, now: int, by: str) -> list[Command] | Refusal:
        """Send what the gates let pass. Coins that were set aside for the sleeve's next buy arrive with it."""
        if isinstance(wish, Bundle):
            return self._bundles.begin(seat, wish, now, by, self._arms.reserve if self._arms else None)
        refusal = self._judge(seat, wish)
        if refusal is not None:
            return refusal
        if opens(wish, seat.view) if wish.instrument.contract is not None else wish.side is Side.BUY:
            self._land(seat, now)
        return [self._order(seat, wish, now, by)]

    def _ask(self, seat: Seat, wish: Place | Bundle, refusal: Refusal, by: str) -> None:
        """Where a wish waits for a human: have one asked."""
        if refusal.gate == "confirm":
            self._arms.ask(seat, wish, refusal, by)
            self._tick_at = min(self._tick_at, self._arms.ends())

    def _land(self, seat: Seat, now: int) -> None:
        seat.sleeve.vault.land(seat.sleeve, at=now)

    def _judge(self, seat: Seat, place: Place, gates: Sequence[Gate] | None = None) -> Refusal | None:
        """The first refusal of a sleeve's gates, or of these: those of what follows from a wish that was judged whole before."""
        view, vault = seat.view, seat.vault
        if self._stops.recovering:
            return refuse("status", "recovering", place, view, vault, records=len(self.books.journal))
        if seat.flatten_by:
            return refuse("status", "status", place, view, vault, status="being closed by " + seat.flatten_by)
        for gate in seat.gates if gates is None else gates:
            try:
                refusal = gate(place, view, vault)
            except Exception as error:
                name = getattr(gate, "__name__", type(gate).__name__)
                return refuse(name, "gate_error", place, view, vault, error=f"{type(error).__name__}: {error}")
            if refusal is not None:
                if isinstance(refusal, Refusal):
                    return refusal
                name = getattr(gate, "__name__", type(gate).__name__)
                return refuse(name, "gate_error", place, view, vault, error=f"it answered {refusal!r}")
        refusal = self._inside.refuses(seat, place)
        if refusal is not None or not self._arms:
            return refusal
        return self._arms.refuses(seat, place) if gates is None else self._arms.refuses_leg(seat, place)

    def _order(self, seat: Seat, place: Place, now: int, by: str, bundle: str = "", leg: int = 0) -> SubmitOrder:
        """Hold the money, journal the order, and only then hand it out."""
        sleeve = seat.sleeve.name
        seat.view.now = now
        terms = seat.view.terms(place)
        assert terms is not None, "the gates let no order pass whose price is not known"
        worst, asset, units = terms
        own = seat.sleeve.vault.asset
        if (asset is own or asset == own) and units > seat.sleeve.free_units():
            self._land(seat, now)
        seat.counter += 1
        netted = place.instrument.contract is not None and self._netting.shared(seat, place.instrument)
        name = f"{sleeve}-{seat.counter}"
        order = _order_of(name, sleeve, place, now, worst, netted)
        closes = not opens(place, seat.view)
        notes = {} if closes or bundle or len(seat.gates) == len(CORE) else dict(seat.notes(place))
        placed = _placed_of(now, order, by, closes, bundle, leg, notes)
        held = booking.held_for(sleeve, name)
        if units:
            self.books.post(placed, booking.hold_in(held, asset, units, at=now, by=by))
        else:
            self.books.post(placed)
        working = Working(order, seat, asset, closes, held)
        working.leg = bool(bundle)
        self._blotter.add(working)
        if not closes:
            seat.view.note_sent(now)
            if self._arms:
                self._arms.sent(order, seat, bundle, leg)
        if bundle:
            self._bundles.placed(placed)
        return SubmitOrder(order)

    def _refused(self, seat: Seat, refusal: Refusal, now: int) -> None:
        last, seat.refused = seat.refusal, refusal
        if last is not None and last.gate == refusal.gate and last.reason == refusal.reason:
            seat.repeats += 1
            seat.refusal = refusal
            return
        self._flush(seat, now)
        self.books.record(refusal)
        seat.refusal = refusal

    def _flush(self, seat: Seat, now: int) -> None:
        """Journal how often the last refusal was repeated."""
        if seat.refusal is not None and seat.repeats:
            self.books.record(evolve(seat.refusal, at=now, times=seat.repeats))
        seat.refusal, seat.repeats = None, 0

    def _fault(self, seat: Seat, error: Exception, now: int) -> None:
        """An engine raised: it is asked no more, its sleeve only closes, the others go on.

        Its buys at the venue are for the caller to cancel.
        """
        seat.fault, seat.wake = error, NEVER
        seat.vault.idle_reason = f"its engine raised {type(error).__name__}; Desk.restart gives it another start"
        self.faults.append((seat.sleeve.name, error))
        alert = Alert(now, Level.CRITICAL, seat.sleeve.name, "engine_fault", f"{seat.engine.name}: {type(error).__name__}: {error}")
        seat.sleeve.move(Move.BREACH, by="desk", why="engine_fault", at=now, after=(alert,))

    def alert(self, now: int, level: Level, subject: str, code: str, text: str) -> None:
        """Journal something that a human should know."""
        self._stops.alert(now, level, subject, code, text)

    # -- facts -------------------------------------------------------------------------------------------------------

    def _rejected(self, event: Rejected) -> Sequence[Command]:
        commands = self._answers.rejected(event)
        self._tick_at = min(self._tick_at, self._stops.again_at)
        return commands

    def _transferred(self, fact: Transferred) -> Sequence[Command]:
        if self._netting.known(fact):
            return NOTHING
        vault = self._transfers.done(fact)
        if vault is None:
            return self._netting.unattributed(fact, "belongs to no one vault")
        return self._stops.cancel_opening_of(vault.sleeves.values()) if vault.short() else NOTHING

    def _shifted(self, fact: Shifted) -> Sequence[Command]:
        if not self._netting.known(fact):
            self._passages.shifted(fact)
        return NOTHING

    def _wake(self) -> None:
        """Coins are to be moved between sub-accounts: they are asked for with the next thing that is told."""
        self._tick_at = 0

    def _unfit(self, vault: CoreVault, account: int, coins: Amount) -> str:
        """Why coins are not to leave a sub-account now, or nothing: contracts lean on them. They are counted there no more."""
        for one in self._vaults:
            if one.wallet != vault.wallet or not self._leans(one, account):
                continue
            joint = self._ground.joint(one, account=account)
            if joint is None:
                return "a contract or collateral there has no fresh price, so its health is not known"
            after = health_bp(joint)
            if joint.contracts and after < LEAST_HEALTH * 100:
                return f"health of sub-account {account} would be {decimal_text(after, 2)} without {coins}, below {LEAST_HEALTH}"
        return ""

    def _leans(self, vault: CoreVault, account: int) -> bool:
        """Whether contracts, or orders for some, of a vault lean on the coins of a sub-account."""
        there = {name: sleeve for name, sleeve in vault.sleeves.items() if (sleeve.account or 0) == account}
        orders = (order.sleeve in there and order.place.instrument.contract is not None for order in self.open_orders())
        return any(sleeve.contracts() or any(sleeve.unsettled_parts()) for sleeve in there.values()) or any(orders)

    def _transfer_refused(self, event: TransferRefused) -> Sequence[Command]:
        if self._passages.refused(event) is not None:
            return NOTHING
        vault = self._transfers.refused(event)
        if vault is not None:
            self.alert(event.at, Level.WARNING, vault.owner, "transfer_refused", f"{event.id}: {event.reason}")
        return NOTHING

    # -- after a restart ---------------------------------------------------------------------------------------------

    @property
    def recovering(self) -> bool:
        """Whether it was opened on a journal with records and `recover` is not through: engines are not asked, nothing is ordered."""
        return self._stops.recovering

    def recovered(
        self,
        *,
        policy: Policy = Policy.RESUME,
        found: Mapping[str, str] | None = None,
        venues: Iterable[str] = (),
        by: str = "recover",
        at: int | None = None,
    ) -> Sequence[Command]:
        """What the venue had to tell is booked: from here on the desk works again. `recover` calls this at its end.

        `venues` are those that were asked: what the desk itself held against them is lifted. What follows from facts that were
        booked just before the end (a sweep, coins that were set aside, a flattening) is made up for. Returns the commands to
        carry out now. Raises `WrongStatus` when nothing had to be recovered, `VaultError`
        for a policy that is none.
        """
        commands = self._aftermath.recovered(policy_of(policy), found or {}, venues, by=by, at=at)
        return [*commands, *self._passages.due(self.books.now)] if self._passages.waiting else commands

    def reconcile(
        self,
        balances: Mapping[str, Amount],
        flows: Iterable[CashFlow] = (),
        *,
        positions: Mapping[str, Position] | None = None,
        holdings: Mapping[int, Mapping[str, Amount]] | None = None,
        wallet: str | None = None,
        by: str = "reconcile",
        at: int | None = None,
    ) -> tuple[Reconciliation, Sequence[Command]]:
        """Hold the books against what the venue says it holds, and name every difference; `recovery.reconcile` asks the venue.

        `flows` are lines of the venue's own ledger, `positions` its contracts by symbol, `holdings` its coins by sub-account,
        where it has some: each must hold what the sleeves have that lie there. `wallet` may be left out where there is one. Returns
        what was found, and cancels of orders that take risk which is no longer to be taken. Raises `VaultError` for balances that
        are none, and for a wallet of no vault here.
        """
        return self._aftermath.reconcile(balances, flows, positions, wallet, holdings, by=by, at=at)

    def adopt(
        self,
        what: Residual | Fill | str,
        to: CoreVault | Sleeve,
        *,
        by: str,
        why: str,
        value: AmountLike | None = None,
        at: int | None = None,
    ) -> Sequence[Command]:
        """A human says whose a residual is: it leaves SUSPENSE and is booked there. `what` is the residual, its id, or a trade.

        To a core vault: coins of its own asset become idle; what lacks is taken from idle coins and the reserve. To a sleeve:
        coins of its asset are its profit or loss; a trade that somebody else made is booked as its own, with all its coins;
        coins of what it trades change its position, found ones at their `value`, lost ones at what they had cost; coins that
        it lacks for a fee stand for that fee, at the `value` that it pays to its core vault for them.

        Raises `VaultError` when it stands nowhere, or belongs elsewhere; `NotEnough` when who adopts a loss cannot bear it.
        """
        return self._aftermath.adopt(what, to, value, by=by, why=why, at=at)

    def follow(self, vault: CoreVault, account: int, *, by: str, why: str, at: int | None = None) -> None:
        """A human says that coins which a look has found in another sub-account than the books said lie there rightly.

        What lies there too much is allocated to the one sleeve that has that sub-account, what is missing is taken back from it: no
        coin moves. Raises `VaultError` when the last look has found nothing there, or it is not that of one sleeve; `NotEnough`
        when that cannot be allocated, or is not free.
        """
        self._check_vault(vault)
        self._aftermath.follow(vault, account, by=by, why=why, at=at)

    def give_up(self, name: str, *, by: str, why: str, at: int | None = None) -> Sequence[Command]:
        """A human says that an order of unknown fate, or a transfer, never reached the venue: what it holds is free again.

        A fill, or coins, that come all the same are booked. Raises `VaultError` when it is no order of unknown fate and no
        transfer under way, or no reason is given.
        """
        return self._aftermath.give_up(name, by=by, why=why, at=at)

    # -- a human's commands ------------------------------------------------------------------------------------------

    def _orders_of(self, name: str) -> Iterable[Order]:
        seat = self._seats.get(name)
        return () if seat is None else seat.open_orders.values()

    def order(self, sleeve: Sleeve, place: Place | Bundle, *, by: str, at: int | None = None) -> Sequence[Command] | Refusal:
        """Place an order, or a bundle of them, for a sleeve by hand, through the same gates as its engine's: what to carry
        out, or the refusal.

        Raises `VaultError` when the sleeve has no engine here, `WrongStatus` while it is killed.
        """
        seat = self._stops.seat(sleeve)
        if not isinstance(place, (Place, Bundle)):
            raise VaultError(f"an order by hand is a Place or a Bundle, not {place!r}")
        if not isinstance(by, str) or not by.strip():
            raise VaultError(f"an order by hand is by somebody, not by {by!r}")
        if sleeve.own_status is Status.HALTED:
            raise WrongStatus(f"sleeve {sleeve.name} is halted: revive it")
        now = self.books.time(at)
        for leg in place.legs if isinstance(place, Bundle) else (place,):
            self.index(leg.instrument)
        seat.view.now = now
        done = self._begin(seat, place, now, by)
        if isinstance(done, Refusal):
            self.books.record(done)
            self._ask(seat, place, done, by)
        return done

    def close(self, sleeve: Sleeve, instrument: Instrument, *, by: str, at: int | None = None) -> Sequence[Command] | Refusal:
        """Close a sleeve's whole position in an instrument at market: its exact size, reduce-only, open exits aside.

        What is then unsettled of contracts is settled. Raises what `order` raises, and `NotEnough` when there is nothing
        to close.
        """
        seat = self._stops.seat(sleeve)
        if not isinstance(instrument, Instrument):
            raise VaultError(f"a position is in an Instrument, not in {instrument!r}")
        qty = sleeve.position_units(instrument)
        side = Side.BUY if qty < 0 else Side.SELL
        ordered = [o for o in seat.open_orders.values() if o.place.side is side and o.place.instrument == instrument]
        left = abs(qty) - sum(map(self._blotter.left, ordered))
        left = instrument.round_qty(left) if left > 0 else 0
        if not left:
            position = sleeve.position(instrument)
            closing = ", ".join(order.id for order in ordered)
            what = f"nothing of it left to close: {closing} does already" if closing and qty else "nothing of it to close"
            lost = ", ".join(order.id for order in ordered if order.id in self._blotter.unknown)
            what += (
                f"; whether {lost} came is not known: it is asked after, and Desk.give_up ends it where it surely did not" if lost else ""
            )
            raise NotEnough(f"{sleeve.name} has {position} of {instrument}, and {what}", position)
        return self.order(sleeve, Place(instrument, side, left, reduce_only=True, why="close"), by=by, at=at)

    def settle(self, instrument: Instrument) -> Sequence[Command]:
        """Have the venue settle what is unsettled of a perpetual. Raises `InvalidMarket` for what is none."""
        if not isinstance(instrument, Instrument) or instrument.contract is None:
            raise InvalidMarket(f"{instrument} is no perpetual: nothing of it is ever unsettled")
        return [SettlePnl(instrument)]

    def deposit(
        self, vault: CoreVault, amount: AmountLike, *, venue: str = "", client: str = "", by: str = OWNER, at: int | None = None
    ) -> Sequence[Command]:
        """Bring coins into the account of a vault's wallet. The books change when the venue says that they came.

        With a `client` they are that investor's money, which is in no sleeve and not in the pool until `Megavault.invest` puts it there.
        With several wallets at this desk each bears the name of its venue, and no other is meant: `VaultError`.
        """
        self._check_vault(vault)
        return [self._transfers.deposit(vault, amount, venue, by=by, client=client, at=at)]

    def withdraw(
        self,
        vault: CoreVault,
        amount: AmountLike,
        *,
        by: str,
        why: str = "",
        venue: str = "",
        least_health: int = LEAST_HEALTH,
        client: str = "",
        at: int | None = None,
    ) -> Sequence[Command]:
        """Take idle coins out of the account of a vault's wallet; they are on their way until the venue says that they left.

        With a `client`, out of that investor's money: what `Megavault.withdraw` has redeemed.
        Raises `NotEnough` beyond the idle coins that stand for nothing else, and `VaultError` when the account's health would fall below
        `least_health`, or is not known because a contract has no price.
        """
        self._check_vault(vault)
        joints = [self._ground.joint(one) for one in self._vaults if one.wallet == vault.wallet]
        return [self._transfers.withdraw(vault, amount, joints, venue, least_health, by=by, why=why, client=client, at=at)]

    def cancel_all(self, sleeve: Sleeve) -> Sequence[Command]:
        """Cancel every open order of a sleeve."""
        return self._stops.cancel_all(sleeve)

    def kill(self, target: Sleeve | CoreVault | Desk, *, flatten: bool, by: str, why: str = "", at: int | None = None) -> Sequence[Command]:
        """Stop a sleeve, a vault, or this desk with all its sleeves: engines are asked no more and orders are canceled.

        With `flatten`, positions are then closed at market, as soon as the cancels are through, what is worth most first;
        what cannot be closed is reported as an alert `residual`. Returns the commands to carry out now. Raises `VaultError`
        for what is not of this desk.
        """
        return self._stops.kill(self._of(target), flatten=flatten, by=by, why=why, at=at)

    def revive(self, target: Sleeve | CoreVault | Desk, *, by: str, why: str, at: int | None = None) -> Sequence[Command]:
        """Take a killed sleeve, or a vault or this desk with all its killed sleeves, back: paused, with engines' memories fresh.

        A flattening that is not through is given up, and an alert `residual` says so. Returns the cancels of orders
        that are still open. Raises `WrongStatus` if it was not killed, `NotEnough` while a sleeve is overdrawn,
        `VaultError` for what is not of this desk, and what an engine's `begin` raises; then nothing has changed.
        """
        return self._stops.revive(self._of(target), by=by, why=why, at=at)

    def restart(self, sleeve: Sleeve, *, by: str, why: str = "", at: int | None = None) -> None:
        """Ask a sleeve's engine again, with fresh memory, whether it runs, was stopped or raised. The sleeve's status is moved apart.

        Raises `WrongStatus` while the sleeve is killed, which `revive` ends; `VaultError` when no engine sits there.
        """
        self._stops.restart(sleeve, by=by, why=why, at=at)

    def stop(self, sleeve: Sleeve, *, by: str, why: str = "", at: int | None = None) -> Sequence[Command]:
        """Ask a sleeve's engine no more, until `start`; the others go on. Over a restart of the program too.

        Returns cancels of its orders that take new risk; positions and exits stay. Raises `VaultError` when no engine sits there.
        """
        return self._stops.stop(sleeve, by=by, why=why, at=at)

    def start(self, sleeve: Sleeve, *, by: str, why: str = "", at: int | None = None) -> None:
        """Ask an engine again that was stopped, or that raised, with fresh memory. What else holds the sleeve goes on holding it.

        Raises `WrongStatus` when it runs already or its sleeve is killed, and what its `begin` raises: then it stays stopped.
        """
        self._stops.start(sleeve, by=by, why=why, at=at)

    def pause(self, target: Sleeve | CoreVault | Desk, *, by: str, why: str = "", at: int | None = None) -> Sequence[Command]:
        """Pause a sleeve, a vault or this desk. Returns cancels of buys that rest at the venue, but for those that only close.

        `Sleeve.pause` alone stops new orders; what is at the venue already may still fill.
        """
        return self._stops.pause(self._of(target), by=by, why=why, at=at)

    def resume(self, target: Sleeve | CoreVault | Desk, *, by: str, why: str = "", at: int | None = None) -> None:
        """Take what was paused back to work; what else holds it goes on holding it. Raises `WrongStatus` if it was not paused."""
        subject = self._of(target)
        self._stops.sleeves(subject)
        if subject.own_status is Status.ACTIVE:
            held = ", ".join(f"{cause} by {latch.by}" for cause, latch in subject.latches.items())
            what = f"it is held ({held}): Desk.start ends stopped, Desk.lift the others" if held else "there is nothing to resume"
            raise WrongStatus(f"{subject._kind} {subject._subject} is not paused: {what}")
        subject.move(Move.RESUME, by=by, why=why, at=at)

    def deactivate(self, target: Sleeve | CoreVault, *, by: str, why: str, at: int | None = None) -> None:
        """Close a sleeve with nothing in it, or a vault whose sleeves are all closed.

        Raises `WrongStatus` from a status that does not lead there, `NotEnough` while something is in it.
        """
        self._stops.deactivate(target, by=by, why=why, at=at)

    def reactivate(self, target: Sleeve | CoreVault, *, by: str, why: str, at: int | None = None) -> None:
        """Take a deactivated sleeve, or vault, back: paused. Raises `WrongStatus` if it was not."""
        self._stops.reactivate(target, by=by, why=why, at=at)

    # -- how all of it stands ----------------------------------------------------------------------------------------

    def _of(self, target: Sleeve | CoreVault | Desk) -> Stateful:
        return self._standings.desk if isinstance(target, Desk) and target is self else target  # type: ignore[return-value]

    @property
    def status(self) -> Status:
        """How the desk itself stands: over all its vaults and sleeves."""
        return self._standings.desk.stands

    def venue_status(self, name: str) -> Status:
        """How a venue stands. While that is not active, orders that take new risk there are refused."""
        return self._standings.venue(name).stands

    @property
    def statuses(self) -> Mapping[str, Status]:
        """How everything stands, by its name in the journal: the desk, venues, vaults, sleeves."""
        return self._standings.statuses()

    def latches(self, target: Sleeve | CoreVault | Desk | str) -> Mapping[Hold, Latch]:
        """What holds a sleeve, a vault, this desk, or a venue by its name, by cause."""
        return dict(self._standings.subject(target if isinstance(target, str) else self._of(target)).latches)

    def latch(
        self, target: Sleeve | CoreVault | Desk | str, cause: Hold, *, by: str, why: str = "", at: int | None = None
    ) -> Sequence[Command]:
        """Hold a sleeve, a vault, this desk, or a venue by its name, for a cause: its rule says what that means, and who lifts it.

        Returns cancels of orders that take new risk there. Nothing happens where that cause holds it already.
        """
        return self._stops.latch(target if isinstance(target, str) else self._of(target), cause, by=by, why=why, at=at)

    def lift(self, target: Sleeve | CoreVault | Desk | str, cause: Hold, *, by: str, why: str = "", at: int | None = None) -> bool:
        """Hold it for that cause no more; False where it was not. Raises `WrongStatus` for one who may not, or not yet."""
        return self._standings.lift(target if isinstance(target, str) else self._of(target), cause, by=by, why=why, at=at)

    def limit(self, target: Sleeve | CoreVault, *limits: Limit) -> None:
        """Have these limits, and no others, watched for a sleeve or a vault; none ends it. Raises `VaultError`.

        They are terms of the running desk: hand them in again after a restart. What they hold stays held.
        """
        self._limits.set(target, limits)
        self._tick_at = min(self._tick_at, self.books.now) if self._limits else self._tick_at

    # -- real money --------------------------------------------------------------------------------------------------

    def require_arming(self, venue: str) -> None:
        """This venue moves real money: orders that take new risk there are refused until it is armed."""
        self._arms.require(venue)

    def meet(self, venues: Mapping[str, bool]) -> None:
        """This desk runs on these venues, by name, and whether each moves real money: `trade`, `recover`, `carry` and `Control`
        say so. An order of new risk to one that does needs arming.
        """
        self._arms.meet(venues)

    def unarmed(self, order: Order, venue: str) -> bool:
        """Whether an order takes new risk at a venue of real money that is not armed now: it must not leave the house."""
        working = self._blotter.get(order.id)
        closes = working is not None and working.closes
        return venue in self._arms.needed and not closes and not self._arms.is_armed(venue, self.books.now)

    def arming_phrase(self, venue: str, *, per_hour: Caps) -> str:
        """What a human must say to arm a venue for so much an hour."""
        return self._arms.phrase(venue, per_hour)

    def arm(
        self,
        venue: str,
        *,
        per_hour: Caps,
        phrase: str,
        by: str,
        total: Caps | None = None,
        confirm_above: Caps = "100",
        confirm_within: int = 30 * SECOND,
        lasts: int = 8 * HOUR,
        at: int | None = None,
    ) -> Arming:
        """Let new risk be taken at a venue of real money: so much an hour, for so long; what is worth more than
        `confirm_above` waits for `confirm`.

        Caps are in the asset of the desk's vaults, or by asset where there are several. `phrase` must say exactly what
        `arming_phrase` gives. It ends by itself, and with the process. Raises `VaultError`.
        """
        terms = {"total": total, "confirm_above": confirm_above, "confirm_within": confirm_within, "lasts": lasts}
        one = self._arms.arm(venue, per_hour=per_hour, said=phrase, by=by, at=self.books.time(at), **terms)  # type: ignore[arg-type]
        self._tick_at = min(self._tick_at, one.until)
        return one

    def disarm(self, venue: str, *, by: str, why: str = "", at: int | None = None) -> Sequence[Command]:
        """No new risk at that venue any more. Returns cancels of orders there that take some; exits stay."""
        self._arms.disarm(venue, by=by, why=why, at=self.books.time(at))
        return self._cancel_at(venue)

    @property
    def armed(self) -> Mapping[str, Arming]:
        """What is armed, by venue."""
        return {name: one for name, one in self._arms.armed.items() if self.books.now < one.until}

    @property
    def not_armed(self) -> list[str]:
        """Venues of real money that are not armed now: they take no new risk."""
        return sorted(name for name in self._arms.needed if not self._arms.is_armed(name, self.books.now))

    @property
    def confirmations(self) -> list[Confirmation]:
        """Wishes that wait for a human."""
        return [one for one in self._arms.waiting.values() if self.books.now < one.expires]

    def confirm(self, name: str, *, by: str, at: int | None = None) -> Sequence[Command] | Refusal:
        """A human says that a wish which waits may go: through all gates again, at the prices of now.

        Returns what to carry out, or the refusal. Raises `VaultError` when nothing waits under this id, or not any more.
        """
        if not isinstance(by, str) or not by.strip():
            raise VaultError(f"a wish is confirmed by somebody, not by {by!r}")
        at = self.books.time(at)
        one = self._arms.take(name, at)
        self._arms.confirmed(one)
        try:
            return self.order(self._seats[one.sleeve].sleeve, one.wish, by=by, at=at)
        finally:
            self._arms.confirmed(None)

    def decline(self, name: str, *, by: str, why: str = "", at: int | None = None) -> None:
        """A human says that a wish which waits is not to be sent. Raises `VaultError` when nothing waits under this id."""
        at = self.books.time(at)
        one = self._arms.take(name, at)
        self.books.record(Changed(at, by, one.sleeve, f"confirmation {one.id}", "asked", "declined", why))

    def wrap(self, wrapper: Callable[[str, Decide], Decide]) -> Callable[[], None]:
        """Put `wrapper(sleeve's name, decide)` in place of each engine's `decide`, of those assigned later too, until what it
        returns is called: for a shell that bounds how long an engine may take."""
        if self._wrap is not None:
            raise VaultError("the engines of this desk are wrapped already")
        wrapped = {name: wrapper(name, seat.engine.decide) for name, seat in self._seats.items()}
        self._wrap = wrapper
        for name, decide in wrapped.items():
            self._seats[name].decide = decide

        def end() -> None:
            self._wrap = None
            for seat in self._seats.values():
                seat.decide = seat.engine.decide

        return end

    def observe_balance(
        self, vault: CoreVault, balance: AmountLike, *, by: str = "reconcile", why: str = "", at: int | None = None
    ) -> Sequence[Command]:
        """Tell a vault what its wallet really holds, see `CoreVault.observe_balance`. Returns what is to be done now.

        While coins are missing that are promised to its sleeves, that is to cancel their buys, but for those that only
        close what facts have oversold.
        """
        sleeves = self._stops.sleeves(vault)
        vault.observe_balance(balance, by=by, why=why, at=at)
        return self._stops.cancel_opening_of(sleeves) if vault.short() else NOTHING

    def _check_vault(self, vault: CoreVault) -> None:
        if not isinstance(vault, CoreVault):
            raise VaultError(f"{vault!r} is no core vault")
        self._stops.sleeves(vault)

    # -- asking ------------------------------------------------------------------------------------------------------

    def marks(self) -> dict[str, Mark]:
        """The latest middle price of each instrument, with the time it was seen."""
        return {symbol: Mark(book.instrument, book.at, book.mid) for symbol, book in self._boards.items() if book.bid}

    def quotes(self) -> dict[str, Quote]:
        """The latest top of book of each instrument that has a price, by symbol."""
        boards = self._boards.items()
        return {symbol: Quote(book.instrument, book.at, book.bid, book.ask, book.volume) for symbol, book in boards if book.bid}

    def latest(self, kind: type[N]) -> dict[str, N]:
        """The latest news of a kind that was told, such as `FundingRate`, by its topic."""
        return {topic: one for (known, topic), one in self._news.items() if known is kind}  # type: ignore[misc]

    def status_of(self, order_id: str) -> OrderStatus:
        """The status of an order of this desk, however long ago it was done. Raises `VaultError` for a stranger's."""
        working = self._blotter.find(order_id)
        if working is None:
            raise VaultError(f"{order_id!r} is no order of this desk")
        return working.status

    def filled(self, order_id: str) -> int:
        """Base units of an order that are booked as filled; 0 for a stranger's."""
        working = self._blotter.find(order_id)
        return 0 if working is None else working.filled

    @property
    def in_doubt(self) -> list[Order]:
        """Orders whose fate is unknown: what they hold stays held."""
        return list(self._blotter.unknown.values())

    @property
    def uncanceled(self) -> list[Order]:
        """Open orders whose cancel was not answered, or did not reach the venue: it is asked for again."""
        if not self.cancels_lost:
            return []
        self.cancels_lost.intersection_update({order.id for order in self.open_orders()})
        return [order for order in self.open_orders() if order.id in self.cancels_lost and order.id not in self._blotter.unknown]

    def open_orders(self) -> list[Order]:
        """All orders that the venue has, or may have."""
        return [order for seat in self._seats.values() for order in seat.open_orders.values()]

    @property
    def transfers(self) -> list[str]:
        """Transfers that were asked for and are not through, by id."""
        return [*self._transfers.all(), *(one.id for one in self._passages.all())]

    def account(self, vault: CoreVault, account: int = 0) -> MarginAccount | None:
        """The account that a vault's sleeves share, with their contracts and open orders; None while a contract has no price.

        Of its main account, or of the sub-account of this number.
        """
        self._check_vault(vault)
        return self._ground.joint(vault, account=account)

    def ask(self, sleeve: Sleeve, *, at: int | None = None) -> Sequence[Command]:
        """Ask a sleeve's engine now, at the latest price of what it watches, whatever its rhythm is. Returns what to carry out.

        Raises `VaultError` when no engine sits there or nothing that it watches has a price, `WrongStatus` when it is not asked
        at all.
        """
        seat, now = self._stops.seat(sleeve), self.books.time(at)
        if self._stops.asleep(seat) or seat.vault.idle_reason:
            raise WrongStatus(f"the engine of {sleeve.name} is not asked: {seat.vault.idle_reason or sleeve.status}")
        books = [book for market in seat.engine.watches if (book := seat.view.book_of(market)) is not None]
        if not books:
            raise VaultError(f"nothing that {seat.engine.name} watches has a price yet")
        seat.view.book = max(books, key=lambda book: book.at)
        return self._ask_engine(seat, now) or NOTHING

    @property
    def bundles(self) -> list[Flight]:
        """Bundles under way: how much of each leg is filled, and which of their orders are out. To be read, not changed."""
        return list(self._bundles.flights.values())

    def telemetry(self, sleeve: Sleeve | str) -> Telemetry:
        """What a sleeve's engine last saw, what it last wished for, and what was refused and why. Raises `VaultError` for no seat."""
        seat = self._seats.get(sleeve if isinstance(sleeve, str) else sleeve.name)
        if seat is None:
            raise VaultError(f"no engine sits at {sleeve!r} of this desk")
        return seat.telemetry(self.books.now)

    def inventory(self) -> Inventory:
        """Who has what: idle against deployed by asset, engine and sleeve, at the latest prices."""
        engines = {name: seat.engine.name for name, seat in self._seats.items()}
        return self.treasury.inventory(self.marks(), now=self.books.now, engines=engines)

    def widget(
        self,
        *,
        title: str = "",
        show: Sequence[str] = ("sleeves-page",),
        height: str = "80vh",
        control: Control | None = None,
        by: str = "notebook",
        pulse: Pulse | None = None,
        most_per_second: int = 10,
        **more: Any,
    ) -> DeskWidget:
        """This desk in a notebook, live: the dashboard's parts named in `show`, with buttons where a `control` is handed in.

        See `sleeves.dashboard.widget.DeskWidget`, which takes these terms and more. Raises `MissingExtra` without the extra
        `notebook`, `VaultError` for terms that cannot be.
        """
        from .dashboard.widget import DeskWidget  # whoever never asks for it does without

        return DeskWidget(
            self, title=title, show=show, height=height, control=control, by=by, pulse=pulse, most_per_second=most_per_second, **more
        )

    def check(
        self,
        holdings: Mapping[str, Amount] | None = None,
        *,
        positions: Mapping[str, Position] | None = None,
        accounts: Mapping[int, Mapping[str, Amount]] | None = None,
        deep: bool = False,
    ) -> Proof:
        """Prove the laws of the books now.

        `holdings` is what the venue says it holds by asset code, `positions` its contracts by symbol, `accounts` its coins by
        sub-account, to compare with; these only at a desk of one wallet. `deep` also rebuilds everything from the journal and compares.
        """
        apart: list[str] | None = None
        if accounts is not None:
            wallet = self._vaults[0].wallet
            if any(one.wallet != wallet for one in self._vaults):
                raise VaultError("accounts are of one wallet, and this desk has several: reconcile each, with its holdings")
            check_holdings(accounts)
            apart = list(map(str, compare_holdings(self._passages.expected(wallet), accounts, self.books, wallet)))
        return prove(self._vaults, holdings, positions=positions, accounts=apart, deep=deep)

    def exposure(self, vault: CoreVault, account: int = 0) -> Footing:
        """Each sleeve's contracts as if it were alone, the account that they share, and who would pay if it were liquidated.

        Of its main account, or of the sub-account of this number. Raises `VaultError` while a contract has no price.
        """
        self._check_vault(vault)
        return self._ground.footing(vault, account)

    def what_if(self, place: Place, sleeve: Sleeve) -> WhatIf:
        """What an order would do to its sleeve and to all who share the account, before it is sent and after it is filled.

        Nothing is ordered and no gate is asked. Raises `VaultError` while its instrument, or a contract, has no price.
        """
        if not isinstance(sleeve, Sleeve) or not isinstance(place, Place):
            raise VaultError(f"what_if is asked of a Place and a Sleeve, not of {place!r} and {sleeve!r}")
        self._stops.sleeves(sleeve)
        return self._ground.what_if(sleeve, place)

    def explain(self, sleeve: Sleeve | str, since: int | None = None, until: int | None = None) -> Waterfall:
        """Why the sleeve's equity went from what it was to what it is, by cause, each line with its journal records.

        `since` and `until` are in nanoseconds; what happened at `since` is in, what happened at `until` is not.
        """
        name = sleeve if isinstance(sleeve, str) else sleeve.name
        for vault in self._vaults:
            if name in vault.sleeves:
                return explain(self.books.journal, name, vault.asset, since, until)
        raise VaultError(f"no sleeve {name!r} at this desk")


_TOLD = frozenset({FundingRate, FairValue, PoolState, Reading, TokenFacts})
_order_of, _placed_of = maker(Order), maker(Placed)


class Raised:
    """What an engine raised in place of its wishes."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _policy(self_trade: SelfTrade | str) -> SelfTrade:
    try:
        return SelfTrade(self_trade)
    except ValueError:
        raise VaultError(f"self_trade {self_trade!r} is none of {', '.join(SelfTrade)}") from None


def _between(cross_at: Fraction) -> int:
    part = ppm(cross_at, "cross_at")
    if not 0 <= part <= PPM:
        raise VaultError(f"cross_at {cross_at} must lie between the bid, 0%, and the ask, 100%")
    return part


def _tolerances(given: Mapping[Asset, AmountLike]) -> dict[str, int]:
    """By asset code, in units. Raises `VaultError` for one below zero, or not of an asset."""
    tolerances: dict[str, int] = {}
    for asset, amount in given.items():
        if not isinstance(asset, Asset):
            raise VaultError(f"tolerances are by Asset such as sleeves.USD, not by {asset!r}")
        tolerances[asset.code] = asset(amount).units
        if tolerances[asset.code] < 0:
            raise VaultError(f"tolerance {asset(amount)} must not be negative")
    return tolerances
