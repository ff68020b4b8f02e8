"""What a doctor of any venue on Solana looks at: whether a node is well and keeps up, and who has power over a token account.

Every answer, and every question that is not answered, is a finding of the `Look` that is handed in; nothing raises for what the other
side does. It knows no venue and needs no key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from ...errors import VenueError
from ...market import SECOND
from ..checkup import Grade, Look, ahead
from .rpc import Rpc, RpcFault
from .tokens import TokenAccount

if TYPE_CHECKING:
    from solders.pubkey import Pubkey

__all__ = ["FRESH", "STALE", "look_at_node", "look_at_powers"]

FRESH, STALE = 10 * SECOND, 60 * SECOND
"""From how old on the newest block of a node is a warning, and bad."""
_NO_METHOD = -32601


async def look_at_node(look: Look, rpc: Rpc, clock: Callable[[], int], within: float) -> bool:
    """Whether the node answers. It may answer, be behind and say so: each of these is a finding.

    The block height has to rise within `within` seconds.
    """
    slot = await look.ask("node", rpc.slot, hint="nothing else was asked of it")
    if slot is None:
        return False
    try:
        health = await rpc.call("getHealth")
        look.finds(Grade.GOOD if health == "ok" else Grade.BAD, "node", f"says {health}, at slot {slot}")
    except VenueError as error:
        untold = isinstance(error, RpcFault) and error.code == _NO_METHOD
        look.finds(Grade.WARNING if untold else Grade.BAD, "node", f"does not say that it is well: {error}")
    await _age(look, rpc, slot, clock)
    before = await look.ask("blocks", rpc.block_height)
    if before is not None:
        await _moving(look, rpc, before, within)
    return True


async def _age(look: Look, rpc: Rpc, slot: int, clock: Callable[[], int]) -> None:
    """How old the newest block is. A slot may have no block, so the ones before it count too."""
    before = clock()
    told = None
    for back in range(3):
        last = back == 2
        quiet = Look(look.venue)
        told = await (look if last else quiet).ask("clock", lambda at=slot - back: rpc.call("getBlockTime", at), grade=Grade.WARNING)  # type: ignore[misc]
        if told is not None:
            break
    if told is None:
        return
    if type(told) is not int:
        look.warning("clock", f"the node tells {told!r} as the time of a block, which is none")
        return
    age = -ahead(before, told * SECOND, clock(), SECOND)
    text = f"the newest block is {max(age, 0) / SECOND:.0f} s old"
    if age < -FRESH:
        look.warning("clock", f"the newest block is {-age / SECOND:.0f} s ahead of this machine's clock: set it by NTP")
    elif age < FRESH:
        look.good("clock", "the newest block is of the last ten seconds, by this machine's clock")
    else:
        look.finds(Grade.WARNING if age < STALE else Grade.BAD, "clock", f"{text}: the node is behind, or this machine's clock is ahead")


async def _moving(look: Look, rpc: Rpc, before: int, within: float) -> None:
    with anyio.move_on_after(within):
        while True:
            height = await look.ask("blocks", rpc.block_height)
            if height is None:
                return
            if height > before:
                look.good("blocks", "the block height rises")
                return
            await anyio.sleep(min(0.2, within / 10))
    look.bad("blocks", f"the block height stands at {before} for {within:g} s: the node is cut off, or the chain stands still")


# -- token accounts ------------------------------------------------------------------------------------------------------


def look_at_powers(look: Look, subject: str, one: TokenAccount, wallet: Pubkey) -> None:
    """Who besides the wallet can move what is in a token account, close it, or has frozen it: findings, and none where nobody can."""
    if one.delegate is not None:
        look.bad(subject, f"{one.delegate} may take {one.delegated} raw units out of {one.address}: revoke it")
    if one.close_authority is not None and one.close_authority != wallet:
        look.bad(subject, f"{one.close_authority} may close {one.address} and take its SOL: make a new account")
    if one.frozen:
        look.bad(subject, f"{one.address} is frozen: nothing goes in or out")
