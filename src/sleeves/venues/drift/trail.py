"""Every transaction that some sub-accounts of an authority were part of, from an instant on: read once, kept, and in the chain's order.

    await trail.refresh()        on to the confirmed end of the chain
    await trail.back_to(at)      and back to an earlier instant, or to the beginning
    trail.records                what they did, as `done.read_record` reads it, the oldest first

A node lists the transactions of one address in the order in which they ran. Those of several sub-accounts are laid together by their
slots; within a slot the order of each list is kept. What is told is confirmed: two thirds of the stake have voted for its block. Until
it is final it is listed anew each time, and if one that was told is no longer there that is said loudly, and nothing is told until the
next look. A page that fails, a transaction that is listed and not told, a block without a time: each raises, and nothing is half read.

It asks a node that has come at least as far as the one before. It reads no accounts, and knows no orders and no money.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import anyio
from solders.pubkey import Pubkey
from solders.signature import Signature

from ...errors import VenueError, VenueUnavailable
from ..ids import ClientIds
from ..solana import Rpc, SignatureInfo
from .deployment import Deployment
from .done import Record, read_record

__all__ = ["Trail"]

log = logging.getLogger("sleeves.venues.drift")


class Trail:
    """The transactions of some sub-accounts. `payers` are keys besides the authority's whose notes count as ours.

    `at_once` is how many transactions are asked for at a time.
    """

    def __init__(
        self,
        rpc: Rpc,
        deployment: Deployment,
        authority: str,
        subs: Iterable[int],
        ids: ClientIds,
        *,
        payers: Iterable[str] = (),
        at_once: int = 8,
    ) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._addresses = {deployment.user(authority, sub): sub for sub in sorted(set(subs))}
        self._ids = ids
        self._payers = frozenset({authority, *payers})
        self._at_once = at_once
        self._lists: dict[str, list[str]] = {address: [] for address in self._addresses}
        self._infos: dict[str, SignatureInfo] = {}
        self._known: dict[str, Record] = {}
        self._final = 0
        self._slot = 0
        self.start: int | None = None
        """The instant (UTC ns) from which on all is here; 0: from the beginning, None: nothing was read."""
        self.records: tuple[Record, ...] = ()

    async def refresh(self, *, min_slot: int | None = None) -> None:
        """Read on to the confirmed end, by a node that has come to `min_slot`. Raises `VenueUnavailable`; then all is as before."""
        if self.start is None:
            raise VenueUnavailable("it is not said from when on transactions are to be read")
        least = max(self._slot, min_slot or 0)
        final = await self._rpc.slot("finalized")
        lists, infos = {}, dict(self._infos)
        for address, before in self._lists.items():
            kept = [name for name in before if infos[name].slot <= self._final]
            found = await self._rpc.signatures_for(
                Pubkey.from_string(address),
                since=self.start or None,
                until=Signature.from_string(kept[-1]) if kept else None,
                min_slot=least or None,
            )
            seen = set(kept)
            fresh = [one for one in found if str(one.signature) not in seen]
            gone = set(before[len(kept) :]) - {str(one.signature) for one in fresh}
            if gone:
                self._forget(gone)
                raise VenueUnavailable(f"{len(gone)} transactions that were confirmed are gone: {', '.join(sorted(gone))}")
            infos.update({str(one.signature): one for one in fresh})
            lists[address] = [*kept, *(str(one.signature) for one in fresh)]
        await self._take(lists, infos)
        self._final = max(self._final, final)

    async def back_to(self, at: int) -> None:
        """Read what happened from an earlier instant on (UTC ns); 0: all. Raises `VenueUnavailable`; then all is as before."""
        if self.start is not None and at >= self.start:
            return
        at = max(0, at)
        lists, infos = {}, dict(self._infos)
        for address, before in self._lists.items():
            found = await self._rpc.signatures_for(
                Pubkey.from_string(address),
                since=at or None,
                before=Signature.from_string(before[0]) if before else None,
                min_slot=self._slot or None,
            )
            seen = set(before)
            older = [one for one in found if str(one.signature) not in seen]
            infos.update({str(one.signature): one for one in older})
            lists[address] = [*(str(one.signature) for one in older), *before]
        await self._take(lists, infos)
        self.start = at

    async def _take(self, lists: dict[str, list[str]], infos: dict[str, SignatureInfo]) -> None:
        """Read the transactions that are new, then take all of it in, or nothing."""
        order = in_order([[(infos[name].slot, name) for name in names] for names in lists.values()])
        known = dict(self._known)
        missing = [name for name in order if name not in known]
        await self._read(missing, infos, known)
        self._lists, self._known = lists, known
        self._infos = {name: infos[name] for name in order}
        self._slot = max([self._slot, *(infos[name].slot for name in order)])
        self.records = tuple(known[name] for name in order)

    async def _read(self, names: Sequence[str], infos: dict[str, SignatureInfo], known: dict[str, Record]) -> None:
        failed: list[VenueError] = []
        room = anyio.Semaphore(self._at_once)

        async def one(name: str) -> None:
            async with room:
                if not failed:
                    try:
                        known[name] = await self._record(name, infos[name])
                    except VenueError as error:
                        failed.append(error)

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(one, name)
        if failed:
            raise failed[0]

    async def _record(self, name: str, info: SignatureInfo) -> Record:
        chained = await self._rpc.transaction(info.signature)
        if chained is None:
            raise VenueUnavailable(f"the node lists {name} and does not tell it")
        if chained.slot != info.slot or (chained.err is None) is not (info.err is None):
            raise VenueUnavailable(f"the node tells {name} otherwise than it lists it: it may lie in another block now")
        at = chained.at if chained.at is not None else info.at
        at = await self._rpc.block_time(chained.slot) if at is None else at
        if at is None:
            raise VenueUnavailable(f"the node does not say when {name} landed")
        return read_record(self._deployment, self._ids, self._payers, self._addresses, chained, at)

    def _forget(self, gone: set[str]) -> None:
        """What was confirmed is no longer there: it may be in another block, or in none."""
        log.critical("%s: %d confirmed transactions are gone from the chain: %s", self._deployment.name, len(gone), ", ".join(sorted(gone)))
        self._lists = {address: [name for name in names if name not in gone] for address, names in self._lists.items()}
        for name in gone:
            self._known.pop(name, None)
            self._infos.pop(name, None)
        self.records = tuple(one for one in self.records if one.signature not in gone)


def in_order(lists: Sequence[Sequence[tuple[int, str]]]) -> list[str]:
    """Lists of (slot, name), each in order, laid together by slot; within a slot each list keeps its order, the first list goes first.

    Raises `VenueUnavailable` where no order keeps them all.
    """
    slots: dict[int, list[list[str]]] = {}
    for number, names in enumerate(lists):
        last = -1
        for slot, name in names:
            if slot < last:
                raise VenueUnavailable(f"the node lists {name} of slot {slot} after one of slot {last}")
            last = slot
            slots.setdefault(slot, [[] for _ in lists])[number].append(name)
    order: list[str] = []
    for slot in sorted(slots):
        rows = [row for row in slots[slot] if row]
        while rows:
            later = {name for row in rows for name in row[1:]}
            head = next((row[0] for row in rows if row[0] not in later), None)
            if head is None:
                raise VenueUnavailable(f"the node lists the transactions of slot {slot} in two orders")
            order.append(head)
            rows = [rest for rest in ([name for name in row if name != head] for row in rows) if rest]
    return order
