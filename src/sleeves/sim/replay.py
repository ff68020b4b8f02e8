"""Run a desk over a tape as fast as possible: the same desk, the same matcher, no task, no clock, no object per row.

Each row first moves the market, so that orders from earlier decisions fill; then the engines see its close.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ..desk import Desk
from ..errors import EngineFault, VaultError
from ..money import Amount, decimal_text
from ..orders import CancelOrder, Command, SubmitOrder
from ..report import Report
from .matcher import Matcher
from .models import FeeIn, Rules
from .tape import Tape

__all__ = ["account_of", "replay"]

BLOCK = 16_384
"""Rows between two looks at progress and faults."""


def account_of(desk: Desk) -> dict[str, Amount]:
    """The coins that the desk's books say its wallets hold: what the simulated account starts with."""
    coins: dict[str, Amount] = {}
    for wallet in {vault.wallet for vault in desk.treasury.vaults}:
        for asset, units in desk.books.coins(wallet).items():
            coins[asset.code] = coins.get(asset.code, asset.zero) + Amount(units, asset)
    return coins


def replay(desk: Desk, tape: Tape, *, rules: Rules | None = None, progress: bool | Callable[[int], object] | None = None) -> Report:
    """Run the desk over the tape and report.

    `progress` is called with the number of rows done since the last call; by default a bar is drawn when the run is
    long, on a terminal or in a notebook, if tqdm is installed; False draws none. Raises `EngineFault` when an engine
    raises, with the engine's own error as its cause; the books are sound up to there. Raises `VaultError` when the desk
    has lived beyond the tape's begin, or has open orders.
    """
    if not isinstance(desk, Desk) or not isinstance(tape, Tape):
        raise VaultError(f"replay runs a Desk over a Tape, not {type(desk).__name__} over {type(tape).__name__}")
    fees = (rules or Rules()).fees
    if fees.taken_in is FeeIn.QUOTE and max(fees.taker_ppm, fees.maker_ppm) > desk.allowance.fee_ppm:
        most = decimal_text(max(fees.taker_ppm, fees.maker_ppm), 4)
        raise VaultError(f'this venue takes a fee of {most}%, more than buys set aside: Desk(..., allowance=Allowance.of(fee="{most}%"))')
    if tape.at[0] < desk.books.now:
        raise VaultError(f"this desk has lived until {desk.books.now} ns, and {tape.name} begins before that, at {tape.at[0]} ns")
    if desk.open_orders():
        raise VaultError(f"this desk has open orders that a new simulated venue knows nothing of: {desk.open_orders()[0].id}")
    matcher = Matcher(tape.instrument, account_of(desk), rules)
    index = desk.index(tape.instrument)
    with _bar(len(tape), progress) as advance, _rare_collections():
        last = _run(desk, tape, matcher, index, advance)
    if last is not None:
        desk.mark(last)
    return Report(desk, tape=tape, rules=matcher.rules, holdings=matcher.balances())


def _run(desk: Desk, tape: Tape, matcher: Matcher, index: int, advance: Callable[[int], object] | None) -> int | None:
    quote = desk.quote
    known_volume = tape.has_volume
    ends = tape.ends()
    now = None
    known_faults = len(desk.faults)
    for first in range(0, len(tape), BLOCK):
        last = min(first + BLOCK, len(tape))
        rows = zip(
            tape.at[first:last],
            tape.open[first:last],
            tape.high[first:last],
            tape.low[first:last],
            tape.close[first:last],
            tape.volume[first:last],
            ends[first:last],
            strict=True,
        )
        for at, open_, high, low, close, volume, now in rows:
            if low <= matcher.low_trigger or high >= matcher.high_trigger:
                matcher.advance(at, now - at, open_, high, low, close, volume if known_volume else -1)
                if matcher.outbox:
                    _drain(desk, matcher)
            else:
                matcher.last = close
            commands = quote(index, now, close, close)
            if commands:
                _carry(commands, matcher, now)
                if matcher.outbox:
                    _drain(desk, matcher)
        if len(desk.faults) > known_faults:
            sleeve, error = desk.faults[known_faults]
            raise EngineFault(f"the engine of sleeve {sleeve} raised {type(error).__name__}: {error}") from error
        if advance is not None:
            advance(last - first)
    return now


def _drain(desk: Desk, matcher: Matcher) -> None:
    outbox = matcher.outbox
    while outbox:
        event = outbox.popleft()
        commands = desk.step(event)
        if commands:
            _carry(commands, matcher, event.at)


def _carry(commands: Sequence[Command] | Iterable[Command], matcher: Matcher, now: int) -> None:
    for command in commands:
        if isinstance(command, SubmitOrder):
            matcher.submit(command.order, now)
        elif isinstance(command, CancelOrder):
            matcher.cancel(command.order.id, now)


def _bar(rows: int, progress: bool | Callable[[int], object] | None) -> AbstractContextManager[Callable[[int], object] | None]:
    """Who to tell about progress: the caller's function, a bar that shows itself after a second, or nobody."""
    if callable(progress):
        return nullcontext(progress)
    if progress is False:
        return nullcontext(None)
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return nullcontext(None)
    return _TqdmBar(tqdm, rows, force=bool(progress))


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector run less often meanwhile: a journal grows by objects that are all meant to stay."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 100_000) if before[0] else 0, max(before[1], 50), max(before[2], 100))
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _TqdmBar:
    def __init__(self, tqdm: Any, rows: int, *, force: bool) -> None:
        self._bar = tqdm(total=rows, unit=" rows", unit_scale=True, delay=0 if force else 1, disable=False if force else None, leave=False)

    def __enter__(self) -> Callable[[int], object]:
        update: Callable[[int], object] = self._bar.update
        return update

    def __exit__(self, *_: object) -> None:
        self._bar.close()
