"""Drills: each switch of a desk is thrown on a copy of it, on paper, and what came of it is told.

    print(await drill(desk))

The copy is folded from the desk's own journal, and what it writes goes aside: the living desk, its journal and its venues
are never touched, and engines decide on copies of their memory. The paper account holds what the books say is there:
coins, contracts and open orders, at the latest prices. From then on prices stay where they are, or follow the tapes that
are handed in, and the venue charges, slips, is late, and fails as it is told to.

What is measured is the desk and the venue model, in simulated time. How long a real venue takes is for that venue to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...desk import Desk
from ...errors import VaultError
from ...market import SECOND
from ..faults import Faults
from ..models import Rules
from ..tape import Tape
from .house import House
from .stage import Stage
from .told import Act, Drill, Left, Rehearsal, Switch

__all__ = ["Act", "Drill", "Left", "Rehearsal", "Switch", "drill"]


async def drill(
    desk: Desk,
    *tapes: Tape,
    switches: Iterable[Switch] | None = None,
    rules: Rules | Mapping[str, Rules] | None = None,
    faults: Faults | None = None,
    seed: int = 0,
    within: int = 60 * SECOND,
) -> Drill:
    """Rehearse each switch of this desk, each on a copy of its own, and tell what came of it.

    `switches` are all by default: stop, pause and kill of each sleeve with an engine, pause and kill of each vault and of
    the desk, and loss, failed sync and disarming of each venue that the desk has heard of. `within` is how long each copy
    runs. A tape moves its market from the latest price on, in proportion; its funding, books and news are left out. `rules`
    are the paper venue's, for all or by symbol: by default the desk's own terms for contracts, fees and slippage of
    `Rules()` with half of the latest spread, and a quarter of a second from order to venue. `faults` strike as `sim.faults`
    has them, by this seed. Every use of the same desk and seed gives the same drill.

    Raises `VaultError` for a desk that has seen no price or is not recovered, a switch of something that it does not have,
    a tape of an instrument without a price, fees beyond what orders set aside, and a time that is less than two seconds.
    """
    if not isinstance(desk, Desk):
        raise VaultError(f"drill rehearses a Desk, not {desk!r}")
    if type(within) is not int or within < 2 * SECOND:
        raise VaultError(f"within {within!r} must be a whole number of nanoseconds, {2 * SECOND} or more")
    if faults is not None and not isinstance(faults, Faults):
        raise VaultError(f"faults are Faults(...), not {faults!r}")
    house = House(desk, tapes, rules, faults, seed, within)
    chosen = house.switches() if switches is None else list(switches)
    for one in chosen:
        if not isinstance(one, Switch):
            raise VaultError(f"switches are a list of Switch, not {one!r}")
        house.check(one)
    rehearsals = [await Stage(house, one).run() for one in chosen]
    return Drill(house.at, tuple(rehearsals), tuple(house.terms()), tuple(house.notes))
