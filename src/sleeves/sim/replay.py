"""Run a desk over a tape as fast as possible: the same desk, the same matcher, no task, no clock, no object per row.

Each row first moves the market, so that orders from earlier decisions fill; then the engines see its close.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Literal, overload

from ..desk import Desk
from ..errors import EngineFault, VaultError
from ..money import Amount, decimal_text
from ..progress import Progress, bar
from ..report import Report
from .exchange import Exchange
from .lane import BLOCK, Lane, Row, carry, drain
from .models import FeeIn, Rules
from .tape import Tape

__all__ = ["account_of", "replay", "replay_many"]

MOST_COPIED = 20_000
"""Records of a desk that is still copied for its bounds."""


def account_of(desk: Desk) -> dict[str, Amount]:
    """The coins that the desk's books say its wallets hold: what the simulated account starts with."""
    coins: dict[str, Amount] = {}
    for wallet in {vault.wallet for vault in desk.treasury.vaults}:
        for asset, units in desk.books.coins(wallet).items():
            coins[asset.code] = coins.get(asset.code, asset.zero) + Amount(units, asset)
    return coins


def replay(
    desk: Desk,
    tape: Tape | Sequence[Tape],
    *,
    rules: Rules | Mapping[str, Rules] | None = None,
    progress: Progress = None,
    bounds: bool = True,
    plan: bool = True,
) -> Report:
    """Run the desk over the tape, or over several that share one account, and report.

    Where every engine has a plan for the tape (`protocols.Planned`) only rows that matter are visited; with `plan=False` each
    engine is asked on every row, and the journal is the same. `rules` are for all markets, or by symbol. With `bounds` a copy
    of the desk is kept, so that the report can say what the pessimistic and the optimistic rules would have made of the run;
    they are run, and the copy is tried, when they are first asked for, by printing the report as well.
    `progress` is called with the number of rows done since the last call; by default a bar is drawn when the run is
    long, on a terminal or in a notebook, if tqdm is installed; False draws none. Raises `EngineFault` when an engine
    raises, with the engine's own error as its cause; the books are sound up to there. Raises `VaultError` when the desk
    has lived beyond the tape's begin, or has open orders or contracts.
    """
    tapes = _tapes(desk, tape)
    _check_plan(plan)
    _check_fit(desk, tapes, rules)
    kept = _copy_of(desk) if bounds else "not asked for"
    exchange = _play(desk, tapes, rules, progress, plan)
    return _report(desk, tapes, exchange, _Bounds(kept, desk, tapes, exchange.rules) if bounds else None)


def _check_fit(desk: Desk, tapes: Sequence[Tape], rules: Rules | Mapping[str, Rules] | None) -> None:
    """The desk can begin on these tapes and pay this venue's fees."""
    for tape in tapes:
        fees = ((rules.get(tape.instrument.symbol) if isinstance(rules, Mapping) else rules) or Rules()).fees
        if fees.taken_in is FeeIn.QUOTE and max(fees.taker_ppm, fees.maker_ppm) > desk.allowance.fee_ppm:
            most = decimal_text(max(fees.taker_ppm, fees.maker_ppm), 4)
            raise VaultError(
                f'this venue takes a fee of {most}%, more than buys set aside: Desk(..., allowance=Allowance.of(fee="{most}%"))'
            )
        if tape.at[0] < desk.books.now:
            raise VaultError(f"this desk has lived until {desk.books.now} ns, and {tape.name} begins before that, at {tape.at[0]} ns")
    if desk.recovering:
        raise VaultError("this desk was opened on a journal with records: recover it before it runs on a tape")
    if desk.open_orders():
        raise VaultError(f"this desk has open orders that a new simulated venue knows nothing of: {desk.open_orders()[0].id}")
    for vault in desk.treasury.vaults:
        for sleeve in vault.sleeves.values():
            if sleeve.contracts() or sleeve.unsettled_units():
                raise VaultError(f"sleeve {sleeve.name} has open contracts that a new simulated venue knows nothing of")


@overload
def replay_many(
    desks: Sequence[Desk],
    tape: Tape | Sequence[Tape],
    *,
    rules: Rules | Mapping[str, Rules] | None = None,
    progress: Progress = None,
    plan: bool = True,
    catch: Literal[False] = False,
) -> list[Report]: ...


@overload
def replay_many(
    desks: Sequence[Desk],
    tape: Tape | Sequence[Tape],
    *,
    rules: Rules | Mapping[str, Rules] | None = None,
    progress: Progress = None,
    plan: bool = True,
    catch: bool,
) -> list[Report | EngineFault]: ...


def replay_many(
    desks: Sequence[Desk],
    tape: Tape | Sequence[Tape],
    *,
    rules: Rules | Mapping[str, Rules] | None = None,
    progress: Progress = None,
    plan: bool = True,
    catch: bool = False,
) -> list[Report] | list[Report | EngineFault]:
    """Run many desks over the same tape in one pass: each on an exchange of its own, with its own books. A report for each, in order.

    None of them knows of the others: each writes the journal that `replay` alone would have it write. Bounds are not kept.
    Raises what `replay` raises, before any of them has run where it can be known before; an engine that raises ends the whole,
    unless `catch` is True: then that desk's `EngineFault` stands in the place of its report, and the others go on.
    """
    tapes = _tapes(desks[0] if desks else None, tape)
    _check_plan(plan)
    for desk in desks:
        if not isinstance(desk, Desk):
            raise VaultError(f"replay_many runs Desks, not {type(desk).__name__}")
    if len({id(desk.books) for desk in desks}) < len(desks):
        raise VaultError("replay_many runs each desk once, each on books of its own")
    for desk in desks:
        _check_fit(desk, tapes, rules)
    exchanges = [_exchange(desk, tapes, rules) for desk in desks]
    blocks = _Blocks(tapes[0])
    found: list[Report | EngineFault] = []
    runs = {place: _rows_done(desk, exchange, plan, blocks) for place, (desk, exchange) in enumerate(zip(desks, exchanges, strict=True))}
    faults: dict[int, EngineFault] = {}
    with ExitStack() as stack, bar(len(desks) * sum(map(len, tapes)), "rows", progress) as advance, _rare_collections():
        for run in runs.values():
            stack.callback(run.close)
        while runs:
            for place, run in list(runs.items()):
                try:
                    done = next(run, None)
                except EngineFault as fault:
                    if not catch:
                        raise
                    faults[place] = fault
                    done = None
                if done is None:
                    del runs[place]
                elif advance is not None:
                    advance(done)
    for place, (desk, exchange) in enumerate(zip(desks, exchanges, strict=True)):
        found.append(faults[place] if place in faults else _report(desk, tapes, exchange, None))
    return found


def _tapes(desk: object, tape: Tape | Sequence[Tape]) -> tuple[Tape, ...]:
    tapes = (tape,) if isinstance(tape, Tape) else tuple(tape) if isinstance(tape, (list, tuple)) else ()
    if (desk is not None and not isinstance(desk, Desk)) or not tapes or not all(isinstance(one, Tape) for one in tapes):
        raise VaultError(f"replay runs a Desk over a Tape, not {type(desk).__name__} over {type(tape).__name__}")
    return tapes


def _report(desk: Desk, tapes: Sequence[Tape], exchange: Exchange, bounds: _Bounds | None) -> Report:
    return Report(
        desk,
        tape=tapes[0] if len(tapes) == 1 else tuple(tapes),
        rules=_Described(exchange),
        holdings=exchange.balances(),
        positions=exchange.positions(),
        bounds=bounds,
    )


def _exchange(desk: Desk, tapes: Sequence[Tape], rules: Rules | Mapping[str, Rules] | None) -> Exchange:
    exchange = Exchange(tapes, account_of(desk), rules)
    for tape in tapes:
        desk.index(tape.instrument)
    return exchange


def _play(desk: Desk, tapes: Sequence[Tape], rules: Rules | Mapping[str, Rules] | None, progress: Progress, plan: bool = True) -> Exchange:
    exchange = _exchange(desk, tapes, rules)
    run = _rows_done(desk, exchange, plan, _Blocks(tapes[0]))
    with bar(sum(map(len, tapes)), "rows", progress) as advance, _rare_collections(), closing(run):
        for done in run:
            if advance is not None:
                advance(done)
    return exchange


def _check_plan(plan: object) -> None:
    if type(plan) is not bool:
        raise VaultError(f"plan {plan!r} must be True, to go by plan where there is one, or False, to ask on every row")


def _rows_done(desk: Desk, exchange: Exchange, plan: bool, blocks: _Blocks) -> Generator[int, None, None]:
    """Play all of an exchange's tapes; yields, now and then, how many rows were done since it last did."""
    tapes = exchange.tapes
    lane = Lane.of(desk, exchange)
    if lane is not None:
        yield from _run_lane(desk, tapes[0], lane, plan, blocks)
    elif exchange.plain:
        yield from _run(desk, tapes[0], exchange, desk.index(tapes[0].instrument), blocks)
    else:
        yield from _run_all(desk, exchange, [desk.index(tape.instrument) for tape in tapes])
    desk.mark(desk.books.now)


class _Blocks:
    """The rows of one tape in blocks, each made a list once however many runs go over it together."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._first = -1
        self._block: tuple[list[int], ...] = ()

    def rows(self, first: int, last: int) -> Iterator[Row]:
        """Rows from the first to before the last: (at, open, high, low, close, volume in lots, end)."""
        if first != self._first:
            self._block, self._first = self._tape.block(first, last), first
        return zip(*self._block, strict=True)


def _run_lane(desk: Desk, tape: Tape, lane: Lane, plan: bool, blocks: _Blocks) -> Generator[int, None, None]:
    """One market of coins: what most rows and orders come to is done on the lane. Yields how many rows were done."""
    known_faults = len(desk.faults)
    try:
        trips = lane.plans(tape) if plan else None
        if trips is not None:
            for done in lane.visit(tape, trips):
                _raise_fault(desk, known_faults)
                yield done
        for first in range(lane.left_at, len(tape), BLOCK):
            last = min(first + BLOCK, len(tape))
            lane.play(blocks.rows(first, last), volumes=tape.has_volume)
            lane.leave()
            _raise_fault(desk, known_faults)
            yield last - first
    finally:
        lane.leave()


def _run(desk: Desk, tape: Tape, exchange: Exchange, index: int, blocks: _Blocks) -> Generator[int, None, None]:
    """One market and nothing but its rows: the loop that `Exchange.play` is, without an object per row."""
    quote = desk.quote
    matcher = exchange.markets[0]
    known_volume, lot = tape.has_volume, tape.instrument.lot_units
    known_faults = len(desk.faults)
    for first in range(0, len(tape), BLOCK):
        last = min(first + BLOCK, len(tape))
        for at, open_, high, low, close, volume, now in blocks.rows(first, last):
            if low <= matcher.low_trigger or high >= matcher.high_trigger:
                matcher.advance(at, now - at, open_, high, low, close, volume if known_volume else -1)
                if matcher.outbox:
                    drain(desk, exchange, now)
            else:
                matcher.last = close
            commands = quote(index, now, close, close, volume * lot if known_volume else -1)
            if commands:
                carry(commands, exchange, now)
                if matcher.outbox:
                    drain(desk, exchange, now)
        _raise_fault(desk, known_faults)
        yield last - first


def _run_all(desk: Desk, exchange: Exchange, indexes: Sequence[int]) -> Generator[int, None, None]:
    """Several markets, funding, books: step by step, as `VirtualDriver` plays them."""
    outbox, quote = exchange.outbox, desk.quote
    known_faults, done = len(desk.faults), 0
    for step in exchange.play():
        if outbox:
            drain(desk, exchange, step.at)
        if step.price:
            commands = quote(indexes[step.market], step.at, step.bid or step.price, step.ask or step.price, step.volume)
            if commands:
                carry(commands, exchange, step.at)
                if outbox:
                    drain(desk, exchange, step.at)
            done += 1
            if done == BLOCK:
                _raise_fault(desk, known_faults)
                yield done
                done = 0
    _raise_fault(desk, known_faults)
    yield done


def _raise_fault(desk: Desk, known: int) -> None:
    if len(desk.faults) > known:
        sleeve, error = desk.faults[known]
        raise EngineFault(f"the engine of sleeve {sleeve} raised {type(error).__name__}: {error}") from error


class _Described:
    """The rules of a run in sentences: once where all markets share them, else by symbol."""

    def __init__(self, exchange: Exchange) -> None:
        self._rules = dict(exchange.rules)
        self._account = next((market.rules for market in exchange.markets if market.net is not None), None)

    def describe(self) -> list[str]:
        rules = list(self._rules.values())
        if all(one == rules[0] for one in rules):
            lines = rules[0].describe()
        else:
            lines = [f"{symbol}: {line}" for symbol, one in self._rules.items() for line in one.describe()]
        return lines if self._account is None else [*lines, *self._account.describe_contracts()]


def _copy_of(desk: Desk) -> Desk | str:
    """The desk as it is now, to be run again; or why it cannot be copied."""
    if len(desk.books.journal) > MOST_COPIED:
        return f"the desk has lived long: its journal holds more than {MOST_COPIED:,} records"
    try:
        return copy.deepcopy(desk)
    except Exception as error:
        return f"the desk cannot be copied: {type(error).__name__}: {error}"


class _Bounds:
    """What the same run comes to under the pessimistic and the optimistic rules, run when asked for."""

    def __init__(self, desk: Desk | str, played: Desk, tapes: Sequence[Tape], rules: Mapping[str, Rules]) -> None:
        self._desk, self._tapes, self._rules = desk, tapes, rules
        self._records = played.books.journal, len(played.books.journal)

    def __call__(self) -> tuple[Report, Report] | str:
        """Believed only where the copy, run under the very same rules, writes the very same records."""
        if isinstance(self._desk, str):
            return self._desk
        try:
            again = self._run(self._desk, self._rules)
            journal, count = self._records
            if len(again.desk.books.journal) != count or any(a != b for a, b in zip(again.desk.books.journal, journal, strict=False)):
                return "a copy of the desk does not repeat the run: an engine or gate keeps something outside of its memory"
            worst, best = (
                self._run(self._desk, {symbol: bound(rules) for symbol, rules in self._rules.items()})
                for bound in (Rules.pessimistic, Rules.optimistic)
            )
        except EngineFault as error:
            return str(error)
        return worst, best

    def _run(self, desk: Desk, rules: Mapping[str, Rules]) -> Report:
        again = copy.deepcopy(desk)
        exchange = _play(again, self._tapes, rules, False)
        return Report(again, rules=_Described(exchange), holdings=exchange.balances(), positions=exchange.positions())


_inside: list[tuple[int, int, int]] = []
"""The collector's thresholds of before, once for each run that is under way: several threads may run one each."""


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector run less often meanwhile: a journal grows by objects that are all meant to stay."""
    before = _inside[0] if _inside else gc.get_threshold()
    _inside.append(before)
    gc.set_threshold(max(before[0], 100_000) if before[0] else 0, max(before[1], 50), max(before[2], 100))
    try:
        yield
    finally:
        _inside.pop()
        if not _inside:
            gc.set_threshold(*before)
