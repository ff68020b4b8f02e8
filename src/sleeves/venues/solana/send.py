"""From an unsigned transaction to a certain outcome: looked at, run, signed, sent, and followed until it is decided.

    signed = await sender.prepare(raw, spending, name=order.id)     nothing is sent yet
    outcome = await sender.land(signed)                             Landed, Expired or Unknown

A transaction is known by its signature: the same bytes land once, however often they are sent, so they are sent again until it
is decided. Another transaction for the same name is signed only when the one before can land no more. That is never a matter of
time: a transaction is dead when the chain, in blocks that are final, has passed the last height at which its blockhash is good,
and knows nothing of it. One that landed with an error did nothing but cost its fee. What cannot be decided is `Unknown`.

It knows no market, and no way to send but a node's; others, such as bundles, are handed in.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from attrs import define, evolve, field, frozen
from solders.hash import Hash
from solders.signature import Signature

from ...errors import VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from .guard import Cleared, Guard, Refused, Spending
from .rpc import Accounts, Blockhash, Rpc
from .signer import Signed, Signer
from .tokens import Account, TokenAccount
from .transaction import table_keys

__all__ = ["AlreadyLanded", "Broadcast", "Expired", "Landed", "Outcome", "Sender", "Unknown"]

log = logging.getLogger("sleeves.venues.solana")

GOOD_FOR = 150
"""For how many blocks a blockhash is good."""
UNSEEN = 150
"""How many blocks a node may be behind: added where nobody whom we trust said until when a blockhash is good."""

Broadcast = Callable[[Signed, int], Awaitable[None]]
"""Another way to send: called with the transaction and how often it was sent before. It raises `VenueRejected` or
`VenueUnavailable` where surely nothing was sent by this call, `VenueUnknown` where it may have been; whatever else it raises
says as little as `VenueUnknown`."""


class AlreadyLanded(VenueRejected):
    """Nothing is signed for a name of which a transaction has landed well."""


@frozen(order=False)
class Landed:
    """It is in a block. With an `err` it did nothing there and cost its fee."""

    signature: Signature = field(repr=str)
    slot: int
    err: Any = None

    @property
    def well(self) -> bool:
        """Whether it did what it says."""
        return self.err is None


@frozen(order=False)
class Expired:
    """It is in no block, and never will be."""

    signature: Signature = field(repr=str)


@frozen(order=False)
class Unknown:
    """Not decided: it may have landed, or still land. Ask `Sender.outcome` later, with `last`: until when it may, where that is known."""

    signature: Signature = field(repr=str)
    why: str
    last: int | None = None


Outcome = Landed | Expired | Unknown


@define
class _Sent:
    """What was signed for a name, and until when it may land; None while it was not sent."""

    signature: Signature
    blockhash: Hash
    last: int | None = None


class Sender:
    """One wallet's way to the chain.

    Times are in seconds: a status is asked for each `poll_s`, the bytes are sent again each `resend_s`, and after `patience_s`
    an outcome is `Unknown`. `certain` is how settled a block must be for its height to count against a transaction.
    """

    def __init__(
        self,
        rpc: Rpc,
        guard: Guard,
        signer: Signer,
        *,
        poll_s: float = 0.5,
        resend_s: float = 2.0,
        patience_s: float = 180.0,
        tries: int = 3,
        certain: str = "finalized",
    ) -> None:
        if guard.owner != signer.address:
            raise VenueRejected(f"the guard is of {guard.owner}, the key of {signer.address}")
        self._rpc, self._guard, self._signer = rpc, guard, signer
        self._poll_s, self._resend_s, self._patience_s = poll_s, resend_s, patience_s
        self._tries = tries
        self._certain = certain
        self._named: dict[str, _Sent] = {}

    # -- before it is sent ----------------------------------------------------------------------------------------------------

    async def prepare(self, raw: bytes, spending: Spending, *, name: str = "") -> Signed:
        """Have a transaction looked at, run and signed. Nothing is sent.

        Raises `Refused` where it is not to be signed, `VenueUnavailable` where that could not be found out. With a `name`, also
        `AlreadyLanded` when one of that name has landed well, and `VenueUnknown` while one may still land.
        """
        await self._free(name)
        signed = self._signer.sign(await self.clear(raw, spending), name)
        if name:
            self._named[name] = _Sent(signed.signature, signed.blockhash)
        return signed

    async def clear(self, raw: bytes, spending: Spending) -> Cleared:
        """Have a transaction looked at and run, and not signed. Raises as `prepare` does."""
        tables = await self._rpc.lookup_tables(table_keys(raw))
        examined = self._guard.examine(raw, tables, spending)
        before = await self._rpc.accounts(examined.watched)
        for _ in range(self._tries):
            run = await self._rpc.simulate(raw, accounts=examined.watched, min_slot=before.slot)
            after = await self._rpc.accounts(examined.watched, min_slot=before.slot)
            if self._ours(before) == self._ours(after):
                return self._guard.clear(examined, run, before)
            before = after  # something came or went meanwhile, and a run of then says nothing
        raise Refused("moving", "our accounts changed while it was run, again and again")

    def _ours(self, accounts: Accounts) -> list[Account | tuple[Any, ...] | None]:
        """What must not change during a run: our wallet, our token accounts, and what bears our address."""
        owner, kept = self._guard.owner, bytes(self._guard.owner)
        found: list[Account | tuple[Any, ...] | None] = []
        for one in accounts.values:
            token = TokenAccount.find(one)
            if one is not None and (one.address == owner or (token and token.owner == owner) or kept in one.data):
                found.append((one.address, one.lamports, one.owner, one.data))
        return found

    async def _free(self, name: str) -> None:
        """Make sure that no earlier transaction of a name may still land."""
        earlier = self._named.get(name) if name else None
        if earlier is None or earlier.last is None:
            return
        outcome = await self.outcome(earlier.signature, earlier.blockhash, earlier.last)
        if isinstance(outcome, Unknown):
            raise VenueUnknown(f"{name}: {outcome.signature} may still land: {outcome.why}")
        if isinstance(outcome, Landed) and outcome.well:
            raise AlreadyLanded(f"{name}: {outcome.signature} has landed already, in slot {outcome.slot}")

    # -- sending --------------------------------------------------------------------------------------------------------------

    async def land(self, signed: Signed, valid: Blockhash | None = None, *, broadcast: Broadcast | None = None) -> Outcome:
        """Send a transaction, again and again, until it is decided.

        `valid` is what a node of ours said of its blockhash; without it nobody is believed, and it is waited longer before a
        transaction is given up. Raises `VenueRejected` (`Preflight`) and `VenueUnavailable` when the first sending surely came to
        nothing; after that nothing is raised but what cancels. A canceled `land` leaves a transaction that may land.
        """
        if valid is not None and valid.hash != signed.blockhash:
            raise VenueRejected(f"{signed.signature} has the blockhash {signed.blockhash}, not {valid.hash}")
        last = await self.good_until(valid)
        before = self._noted(signed, last)
        try:
            times, why = await self._first(signed, broadcast or partial(self._try, None if valid is None else valid.slot))
        except (VenueRejected, VenueUnavailable):
            self._noted(signed, before)
            raise
        send = broadcast or self._again
        outcome: Outcome = Unknown(signed.signature, why)
        with anyio.move_on_after(self._patience_s):
            again = anyio.current_time() + self._resend_s
            while True:
                try:
                    outcome = await self.outcome(signed.signature, signed.blockhash, last)
                except Exception as error:
                    log.log(logging.DEBUG if isinstance(error, VenueError) else logging.ERROR, "%s: no look: %r", signed.signature, error)
                    outcome = Unknown(signed.signature, str(error))
                if not isinstance(outcome, Unknown):
                    break
                await anyio.sleep(self._poll_s)
                if anyio.current_time() >= again:
                    try:
                        await send(signed, times)
                    except VenueError as error:
                        log.debug("%s was sent again in vain: %s", signed.signature, error)
                    except Exception:
                        log.exception("%s could not be sent again", signed.signature)
                    times, again = times + 1, anyio.current_time() + self._resend_s
        return evolve(outcome, last=last) if isinstance(outcome, Unknown) else outcome

    async def good_until(self, valid: Blockhash | None) -> int:
        """The last block height at which what is signed by now may land: as told with its blockhash, else one that is surely no less."""
        if valid is not None:
            return valid.last_valid_block_height
        return (await self._rpc.epoch_info("processed")).block_height + GOOD_FOR + UNSEEN

    def _noted(self, signed: Signed, last: int | None) -> int | None:
        """Note until when a transaction of a name may land, and say what was noted before; None: it was not sent.

        Raises `VenueRejected` where another was signed for its name since.
        """
        if not signed.name:
            return None
        noted = self._named.get(signed.name)
        if noted is None or noted.signature != signed.signature:
            raise VenueRejected(f"{signed.name}: another transaction was signed for it since {signed.signature}")
        before, noted.last = noted.last, last
        return before

    async def _first(self, signed: Signed, send: Broadcast) -> tuple[int, str]:
        """Send until it may have been taken: how often that was, and what is unknown about it."""
        for times in range(self._tries):
            try:
                await send(signed, times)
            except VenueUnknown as error:
                return times + 1, str(error)
            except VenueUnavailable:
                if times + 1 == self._tries:
                    raise
                await anyio.sleep(min(self._poll_s, self._resend_s))
            except VenueRejected:
                raise
            except Exception as error:
                log.exception("%s: whether it was sent is not known", signed.signature)
                return times + 1, f"it may have been sent: {error!r}"
            else:
                return times + 1, "sent, and in no block yet"
        raise AssertionError("it is sent at least once")

    async def _try(self, slot: int | None, signed: Signed, _: int) -> None:
        """Through the node, which tries it first; one that knows its blockhash."""
        await self._rpc.send(signed.raw, min_slot=slot)

    async def _again(self, signed: Signed, _: int) -> None:
        """The same bytes once more, whatever a try would say of them now."""
        await self._rpc.send(signed.raw, skip_preflight=True)

    async def outcome(self, signature: Signature, blockhash: Hash | None = None, last_valid: int | None = None) -> Outcome:
        """One look at what became of a transaction.

        `Expired` only with both: its blockhash, and the last height at which that is good. In that order: what the chain's final
        height is, that the blockhash is good no more, and then that a node which is no less far along knows no such transaction.
        Raises `VenueUnavailable`.
        """
        status = (await self._rpc.statuses([signature], search=blockhash is None or last_valid is None)).values[0]
        if status is not None:
            return _landed(signature, status.slot, status.err, status.confirmed)
        if blockhash is None or last_valid is None:
            return Unknown(signature, "no node knows it, and until when it may land is not known")
        now = await self._rpc.epoch_info(self._certain)
        if now.block_height <= last_valid:
            return Unknown(signature, f"it may land until block {last_valid}; the chain is at {now.block_height}")
        if await self._rpc.is_blockhash_valid(blockhash, self._certain):
            return Unknown(signature, "its blockhash is still good")
        seen = await self._rpc.statuses([signature], search=True)
        status = seen.values[0]
        if status is not None:
            return _landed(signature, status.slot, status.err, status.confirmed)
        if seen.slot < now.slot:
            return Unknown(signature, f"the node that knows nothing of it is at slot {seen.slot}, behind {now.slot}")
        return Expired(signature)


def _landed(signature: Signature, slot: int, err: Any, confirmed: bool) -> Outcome:
    if not confirmed:
        return Unknown(signature, f"it is in the block of slot {slot}, which is not confirmed yet")
    return Landed(signature, slot, err)
