"""EmaCross: hold a part of the money while the fast exponential average of the price stands above the slow one.

- Where the fast average comes to stand above the slow one and nothing is held, buy at market for `size` of the free money.
- Where it comes to stand below, sell at market all that is held.

Each cross is acted on once, from the `warm_up`-th price behind the first on: an order that comes to nothing is not tried
again before the next. The price is the bid, which is what could be had for what is held. A price that news shows a second
time counts once. Two averages that differ by no more than a float may be off are neither above nor below each other.

The averages are those of `averages.Ema`, with its arithmetic written out in `decide`, since that is asked at each price. A
plan finds the crosses of a whole tape in one pass, in the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from attrs import astuple, define, field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..market import Book, Instrument, Kind
from ..money import PPM
from ..orders import Intent, Place, Side
from ..protocols import Columns, Plan, View
from .averages import BLOCK, block_bases, block_sums, check_periods, powers
from .passes import STRETCH, Rows, numpy_or_none
from .rates import part, percent, said, within

__all__ = ["EmaCross", "EmaCrossMemory"]

HAIR = 1e-12
"""What the ratio of two averages may be off."""
OVER, UNDER = 1 + HAIR, 1 - HAIR
LAST = BLOCK - 1
FRESH = BLOCK
"""The place in its block of a memory that has seen no price."""


@define
class EmaCrossMemory:
    """Both averages, and which stands above: fresh from `EmaCross.begin`."""

    at: int = -1
    price: int = 0
    """The price that was taken in last, and when it was told."""
    counted: int = 0
    """Prices in whole blocks before this one."""
    place: int = FRESH
    """Prices of this block."""
    fast: float = 0.0
    slow: float = 0.0
    """What they brought to the averages."""
    fast_base: float = 0.0
    slow_base: float = 0.0
    """The averages at the block's begin."""
    above: bool = False
    """Whether the fast average was above the slow one when they last differed."""


@frozen
class EmaCross:
    """The cross of two exponential averages on one spot market, long or flat.

    `fast` and `slow` are periods, in prices that it is asked at. `size` is the part of free money that a buy uses, `warm_up`
    how many prices pass before it acts, `slow` by default. Raises `InvalidMarket` for what is no spot market, `InvalidAmount`
    for periods that are no whole numbers, a fast one that is not the shorter, and a figure that makes no sense.
    """

    instrument: Instrument
    fast: int = 10
    slow: int = 50
    size_ppm: int = field(alias="size", converter=part, default=said("10%"), kw_only=True)
    warm_up: int = field(default=-1, kw_only=True)
    every: int = field(default=0, kw_only=True)
    name: str = field(default="ema-cross", kw_only=True)
    _terms: tuple[float, float, float, float, tuple[tuple[float, float], ...]] = field(init=False, repr=False, eq=False)
    """What each average keeps and takes of a price, and the powers of what it keeps for each place of a block; none for `FRESH`."""
    _least: int = field(init=False, repr=False, eq=False)
    """The least that can be sold, in base units: less is dust."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.instrument, Instrument) or self.instrument.kind is not Kind.SPOT:
            raise InvalidMarket(f"EmaCross trades a spot Instrument, not {self.instrument!r}")
        check_periods("fast", self.fast)
        check_periods("slow", self.slow)
        if self.fast >= self.slow:
            raise InvalidAmount(f"fast {self.fast} and slow {self.slow}: need fast below slow")
        within("size", self.size_ppm, 1)
        if self.warm_up == -1 and type(self.warm_up) is int:
            object.__setattr__(self, "warm_up", self.slow)
        for what in ("warm_up", "every"):
            if type(getattr(self, what)) is not int or getattr(self, what) < 0:
                raise InvalidAmount(f"{what} {getattr(self, what)!r} must be a whole number and not negative")
        fast, slow = 2 / (self.fast + 1), 2 / (self.slow + 1)
        both = (*zip(powers(1 - fast), powers(1 - slow), strict=True), (0.0, 0.0))
        object.__setattr__(self, "_terms", (1 - fast, fast, 1 - slow, slow, both))
        object.__setattr__(self, "_least", max(self.instrument.lot_units, self.instrument.min_qty_units))

    @property
    def watches(self) -> tuple[Instrument, ...]:
        return (self.instrument,)

    def describe(self) -> str:
        """The rules in words, with these parameters."""
        return (
            f"{self.name} on {self.instrument}: holds {percent(self.size_ppm)} of its free money while the exponential average of "
            f"{self.fast} prices stands above that of {self.slow}, and nothing else; from {self.warm_up} prices on"
        )

    def begin(self) -> EmaCrossMemory:
        return EmaCrossMemory()

    def saw(self, memory: EmaCrossMemory) -> Mapping[str, str]:
        """What the last decision was made on: the price, and both averages with it."""
        if memory.place == FRESH:
            return {"price": "", "fast": "", "slow": ""}
        fade_fast, fade_slow = self._terms[4][memory.place - 1] if memory.place else (1.0, 1.0)
        fast, slow = fade_fast * memory.fast_base + memory.fast, fade_slow * memory.slow_base + memory.slow
        market, figure = self.instrument, 10**self.instrument.price_scale
        return {"price": market.price_text(memory.price), "fast": f"{fast / figure:.10g}", "slow": f"{slow / figure:.10g}"}

    def decide(self, memory: EmaCrossMemory, view: View) -> Iterable[Intent] | None:
        book = view.book
        price, at = book.bid, book.at
        if at == memory.at and price == memory.price:
            return None
        memory.at = at
        memory.price = price
        place = memory.place
        keep_fast, take_fast, keep_slow, take_slow, both = self._terms
        fade_fast, fade_slow = both[place]
        memory.fast = fast = keep_fast * memory.fast + take_fast * price
        memory.slow = slow = keep_slow * memory.slow + take_slow * price
        fast += fade_fast * memory.fast_base
        slow += fade_slow * memory.slow_base
        if place < LAST:
            memory.place = place + 1
        elif place == LAST:
            memory.counted += BLOCK
            memory.place = 0
            memory.fast_base, memory.slow_base, memory.fast, memory.slow = fast, slow, 0.0, 0.0
        else:  # the first price of all
            memory.place = 1
            memory.fast_base = memory.slow_base = base = float(price)
            fast += both[0][0] * base
            slow += both[0][1] * base
        if memory.above:
            if fast >= slow * UNDER:
                return None
            memory.above = False
        else:
            if fast <= slow * OVER:
                return None
            memory.above = True
        return self._crossed(memory, view) if memory.counted + memory.place > self.warm_up else None

    def _crossed(self, memory: EmaCrossMemory, view: View) -> Iterable[Intent] | None:
        """What to do at a cross that counts."""
        market = self.instrument
        held = view.position(market)
        if memory.above:
            if held >= self._least:
                return None
            qty = view.affordable(market, view.free() * self.size_ppm // PPM)
            return (Place(market, Side.BUY, qty, why="fast above slow"),) if qty >= self._least else None
        if held < self._least:
            return None
        return (Place(market, Side.SELL, market.round_qty(held), reduce_only=True, why="fast below slow"),)

    def plan(self, tape: Columns) -> Plan[EmaCrossMemory] | None:
        """Where the averages cross on this tape; None for another market's, or without numpy."""
        np = numpy_or_none()
        if np is None or tape.instrument != self.instrument:
            return None
        return _Crosses(np, self, tape)


class _Crosses:
    """The crosses of one tape, worked out stretch by stretch as they are come to.

    The averages depend on prices alone: what is remembered at a row does not depend on what was traded before it. A stretch
    begins with a block; a memory that stands within one, because it has lived before this tape, is asked until that is over.
    """

    def __init__(self, np: Any, engine: EmaCross, tape: Columns, stretch: int = STRETCH) -> None:
        self._engine, self._stretch, self._np = engine, stretch, np
        self._rows = Rows(np, tape, engine.every)
        self._close = tape.close
        self._first = self._last = -1
        """The rows of the present stretch: from the first to before the last; -1 while there is none."""
        self._begun = _state(engine.begin())
        """What is remembered at its begin, and at its end."""
        self._ended = self._begun
        self._taken: Any = None
        """Those of its rows whose price is taken in; None for all."""
        self._crosses: list[int] = [-1]
        """Its rows with a cross that counts, and its end."""
        self._states: list[_State] = []
        """What is remembered at each of them, before the decision."""
        self._place = 0

    def next(self, memory: EmaCrossMemory, row: int, view: View) -> int:  # noqa: ARG002 what is held decides no cross
        if row >= self._rows.count:
            return self._rows.count
        if self._last < 0:
            if memory.place not in (0, FRESH):
                return row if not self._engine.every else self._rows.next_asked(row, memory.at + self._engine.every)
            self._ended = _state(memory)
            self._work_out(row)
        while True:
            crosses, place = self._crosses, self._place
            if row <= self._last:
                while crosses[place] < row:
                    place += 1
                self._place = place
                if crosses[place] < self._last or self._last == self._rows.count:
                    return crosses[place]
            self._work_out(self._last)

    def seek(self, memory: EmaCrossMemory, since: int, row: int) -> None:
        place = self._place
        if self._crosses[place] == row and place < len(self._states):
            _recall(memory, self._states[place])
        elif since >= row:
            return
        elif self._first <= row <= self._last:
            taken = row - self._first if self._taken is None else int(self._np.searchsorted(self._taken, row))
            _recall(memory, self._states_at([taken])[0])
        else:  # a row that `next` has left behind, or before the first stretch: as the desk would, with nothing to trade
            shown = _Shown(self._engine.instrument)
            ends = self._rows.ends(since, row).tolist()
            for price, end in zip(self._rows.close[since:row].tolist(), ends, strict=True):
                if not self._engine.every or memory.place == FRESH or end >= memory.at + self._engine.every:
                    self._engine.decide(memory, shown.at(end, price))

    def _work_out(self, first: int) -> None:
        """The stretch that begins at this row, with whole blocks in it unless it is the last."""
        rows, begun = self._rows, self._ended
        wake = begun[0] + self._engine.every if begun[3] != FRESH else 0
        last = first
        while True:
            last = min(last + self._stretch, rows.count)
            taken = self._taken_rows(first, last, wake, begun)
            count = last - first if taken is None else len(taken)
            whole = count // BLOCK * BLOCK
            if last == rows.count or whole:
                break
        if last < rows.count:
            count, last = whole, last if whole == count else first + whole if taken is None else int(taken[whole])
            taken = None if taken is None else taken[:whole]
        self._first, self._last, self._begun, self._taken, self._place = first, last, begun, taken, 0
        ends, prices = rows.ends(first, last), rows.close[first:last]
        self._ends, self._prices = (ends, prices) if taken is None else (ends[taken - first], prices[taken - first])
        self._average(count)
        crosses = self._find()
        self._crosses = [*(crosses + first if taken is None else taken[crosses]).tolist(), last]
        self._states = self._states_at(crosses)
        self._ended = self._states_at([count])[0]

    def _taken_rows(self, first: int, last: int, wake: int, begun: _State) -> Any:
        """Those of these rows that the engine is asked on and whose price is not the one that it has seen; None for all."""
        np, rows = self._np, self._rows
        if self._engine.every:
            return rows.asked(first, last, wake)
        known = int(rows.ends(first, first + 1)[0]) == begun[0] and int(rows.close[first]) == begun[1]
        return np.arange(first + 1, last) if known else None

    def _average(self, count: int) -> None:
        """Both averages with each price, in a column for each block."""
        np = self._np
        keep_fast, take_fast, keep_slow, take_slow, both = self._engine._terms
        prices = np.zeros(-(-count // BLOCK) * BLOCK)
        prices[:count] = self._prices
        columns = np.ascontiguousarray(prices.reshape(-1, BLOCK).T)
        fades = np.array(both[:BLOCK])
        _, _, _, place, _, _, fast_base, slow_base, _ = self._begun
        if place == FRESH and count:
            fast_base = slow_base = float(prices[0])
        self._fast, self._slow = block_sums(np, columns, take_fast, keep_fast), block_sums(np, columns, take_slow, keep_slow)
        self._fast_bases = block_bases(np, self._fast, both[LAST][0], fast_base)
        self._slow_bases = block_bases(np, self._slow, both[LAST][1], slow_base)
        fast, slow = fades[:, :1] * self._fast_bases[:-1], fades[:, 1:] * self._slow_bases[:-1]
        fast += self._fast
        slow += self._slow
        self._above = (fast > np.multiply(slow, OVER, out=columns)).T.reshape(-1)[:count]
        self._below = (fast < np.multiply(slow, UNDER, out=columns)).T.reshape(-1)[:count]

    def _find(self) -> Any:
        """The places among the prices that are taken at which the averages cross, and that count."""
        np = self._np
        above = self._above
        told = None if (above | self._below).all() else np.flatnonzero(above | self._below)
        above = np.concatenate(([self._begun[8]], above if told is None else above[told]))
        turns = np.flatnonzero(above[1:] != above[:-1])
        self._turns = turns if told is None else told[turns]
        """All crosses, those that do not count as well."""
        return self._turns[self._turns >= self._engine.warm_up - self._begun[2]]

    def _states_at(self, counts: Any) -> list[_State]:
        """What is remembered with so many prices of the stretch taken in, for each of these rising numbers."""
        np = self._np
        counts = np.asarray(counts, np.int64)
        blocks, places = counts // BLOCK, counts % BLOCK
        turns = np.searchsorted(self._turns, counts)
        columns = (
            self._ends[counts - 1] if len(self._ends) else counts,
            self._prices[counts - 1] if len(self._ends) else counts,
            self._begun[2] + blocks * BLOCK,
            places,
            self._sums(self._fast, blocks, places),
            self._sums(self._slow, blocks, places),
            self._fast_bases[blocks],
            self._slow_bases[blocks],
            turns % 2 != self._begun[8],
        )
        found: list[_State] = list(zip(*(column.tolist() for column in columns), strict=True))
        if found and not counts[0]:
            found[0] = self._begun
        return found

    def _sums(self, sums: Any, blocks: Any, places: Any) -> Any:
        """What came in since the begin of a block; nothing at its begin."""
        if not sums.size:
            return self._np.zeros(len(places))
        found = sums.reshape(-1).take((places - 1) * sums.shape[1] + blocks, mode="wrap")
        found[places == 0] = 0.0
        return found


_State: TypeAlias = tuple[int, int, int, int, float, float, float, float, bool]
"""The fields of a memory in their order."""


def _state(memory: EmaCrossMemory) -> _State:
    return astuple(memory)


def _recall(memory: EmaCrossMemory, state: _State) -> None:
    (
        memory.at,
        memory.price,
        memory.counted,
        memory.place,
        memory.fast,
        memory.slow,
        memory.fast_base,
        memory.slow_base,
        memory.above,
    ) = state


class _Shown:
    """A view of one price and of nothing that could be traded."""

    def __init__(self, instrument: Instrument) -> None:
        self.book = Book(instrument, 0)

    def at(self, now: int, price: int) -> View:
        self.book.at, self.book.bid, self.book.ask = now, price, price
        return cast(View, self)

    def position(self, instrument: Instrument) -> int:  # noqa: ARG002
        return 0

    def free(self) -> int:
        return 0

    def affordable(self, instrument: Instrument, money: int) -> int:  # noqa: ARG002
        return 0
