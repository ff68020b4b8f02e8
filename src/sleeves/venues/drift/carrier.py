"""One transaction: from instructions to a certain end. Limit and price of compute, a memo, a look, a run, a signature, the sending.

    prepared = await carrier.prepare(name, load)      looked at, run and signed; nothing is sent
    outcome  = await carrier.follow(prepared)         Landed or Expired; it ends when the chain has decided, and not before

The units of compute are those of a run with a fifth added. What is paid for them is what others lately paid to write to the same
accounts, within a cap. Where a block engine is given the transaction goes to it first, three times, then through the node: the same
bytes each time, which land once. A transaction with a durable nonce never expires, so that its fate could stay open for ever, and
the guard refuses one (that was how the keys of April 2026 were used): all that is signed here dies with its blockhash.

It knows no order and no transfer, and it never takes a landed transaction with an error for a success.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import anyio
from attrs import field, frozen
from solders.instruction import Instruction as Written
from solders.pubkey import Pubkey

from ...errors import InvalidMarket, VenueError, VenueRejected, VenueUnavailable
from ..jito import Jito, bundles_first
from ..solana import (
    Blockhash,
    Expired,
    Guard,
    Landed,
    Rpc,
    Sender,
    Signed,
    Signer,
    Spending,
    Unknown,
    compile_v0,
    memo,
    transfer_sol,
    unit_limit,
    unit_price,
)
from ..solana.send import Broadcast, Outcome
from ..solana.written import address
from .deployment import Deployment
from .refusals import ProgramSaidNo, not_sent_on, verdict_of

__all__ = ["MOST_UNITS", "PER_SIGNATURE", "Carrier", "Load", "Prepared", "fitting_price"]

MOST_UNITS = 1_400_000
"""The most compute units of a transaction."""
PER_SIGNATURE = 5_000
"""Lamports of fee for the one signature."""
_MICRO = 1_000_000
_MOST_ASKED = 128
"""The most accounts that a question about priority fees may name."""

log = logging.getLogger("sleeves.venues.drift")


def _tuple(given: Iterable[Written]) -> tuple[Written, ...]:
    return tuple(given)


@frozen(order=False)
class Load:
    """What one transaction is to do: instructions, the note of whose it is, and what it may move.

    `out` is the most that leaves our token accounts and `into` the least that comes, raw units by mint. `rent` is the most lamports
    that may stay in new accounts of the program's.
    """

    instructions: tuple[Written, ...] = field(converter=_tuple)
    note: str
    out: Mapping[Pubkey, int] = field(factory=dict)
    into: Mapping[Pubkey, int] = field(factory=dict)
    rent: int = 0


@frozen(order=False)
class Prepared:
    """A transaction that is signed and not sent."""

    signed: Signed
    blockhash: Blockhash
    programs: tuple[str, ...]
    """What its instructions call, in order."""
    tip: int

    @property
    def signature(self) -> str:
        return str(self.signed.signature)


def fitting_price(offered: int, units: int, most_fee: int) -> int:
    """A price of a compute unit, in micro-lamports, at which signature and priority together stay within `most_fee` lamports."""
    return max(0, min(offered, (most_fee - PER_SIGNATURE) * _MICRO // units))


class Carrier:
    """One wallet's way from instructions to the chain.

    `most_fee` caps what a transaction pays for signature and priority, `tip` is what a bundle tips where `jito` is given; both in
    lamports. Raises `InvalidMarket` for a cap below the fee of a signature.
    """

    def __init__(
        self,
        deployment: Deployment,
        rpc: Rpc,
        guard: Guard,
        signer: Signer,
        *,
        jito: Jito | None = None,
        most_fee: int = 1_000_000,
        tip: int = 10_000,
        poll_s: float = 0.5,
        resend_s: float = 2.0,
        clock: Callable[[], int],
    ) -> None:
        if type(most_fee) is not int or most_fee < PER_SIGNATURE:
            raise InvalidMarket(f"most_fee {most_fee!r} must be whole lamports, at least the {PER_SIGNATURE} of a signature")
        if type(tip) is not int or tip < 0:
            raise InvalidMarket(f"tip {tip!r} must be whole lamports from 0 on")
        self._deployment, self._rpc, self._guard, self._signer, self._jito = deployment, rpc, guard, signer, jito
        self._most_fee, self._tip = most_fee, tip
        self._poll_s, self._clock = poll_s, clock
        self._sender = Sender(rpc, guard, signer, poll_s=poll_s, resend_s=resend_s)

    # -- before it is sent ---------------------------------------------------------------------------------------------------

    async def prepare(self, name: str, load: Load) -> Prepared:
        """Have a transaction put together, looked at, run and signed. Nothing is sent.

        Raises `ProgramSaidNo` where a run of it fails, `Refused` where it is not to be signed, `VenueUnavailable` where that could not
        be found out; `AlreadyLanded` when one of that name has landed well, and `VenueUnknown` while one of it may still land.
        """
        blockhash = await self._rpc.latest_blockhash()
        tip, tip_account = await self._tip_for()
        offered = await self._offered(load)
        raw, spending, programs = self._write(load, blockhash, MOST_UNITS, offered, tip, tip_account)
        units = await self._units(raw, spending, programs)
        raw, spending, programs = self._write(load, blockhash, units, offered, tip, tip_account)
        try:
            signed = await self._sender.prepare(raw, spending, name=name)
        except VenueRejected as error:
            if not_sent_on(error):
                raise VenueUnavailable(f"the node is behind: {error}; nothing was sent") from None
            raise
        return Prepared(signed, blockhash, programs, tip)

    async def rehearse(self, load: Load) -> None:
        """Have the same looked at and run, and not signed. Raises as `prepare` does where it would be refused."""
        blockhash = await self._rpc.latest_blockhash()
        raw, spending, programs = self._write(load, blockhash, MOST_UNITS, 0, 0, "")
        await self._units(raw, spending, programs)
        await self._sender.clear(raw, spending)

    def _write(
        self, load: Load, blockhash: Blockhash, units: int, offered: int, tip: int, tip_account: str
    ) -> tuple[bytes, Spending, tuple[str, ...]]:
        """The unsigned bytes, what they may move, and which programs they call. The list that was handed in is left as it is."""
        me = self._signer.address
        price = fitting_price(offered, units, self._most_fee)
        tips = [transfer_sol(me, address(tip_account), tip)] if tip else []
        written = [unit_limit(units), unit_price(price), *load.instructions, *tips, memo(load.note, me)]
        raw = compile_v0(me, written, blockhash.hash, static=[address(tip_account)] if tip else ())
        fee = PER_SIGNATURE - (-price * units // _MICRO)
        spending = Spending(
            most_out=dict(load.out), least_in=dict(load.into), lamports=fee + tip + load.rent, fee=fee, tip=tip, rent=load.rent
        )
        return raw, spending, tuple(str(one.program_id) for one in written)

    async def _units(self, raw: bytes, spending: Spending, programs: tuple[str, ...]) -> int:
        """How many compute units a run takes, with a fifth added. Raises `ProgramSaidNo` where it fails."""
        self._guard.examine(raw, {}, spending)
        run = await self._rpc.simulate(raw)
        if run.err is not None:
            if not_sent_on(Exception(str(run.err))):
                raise VenueUnavailable("the node is behind: it does not know the blockhash that it gave; nothing was sent")
            raise ProgramSaidNo(verdict_of(self._deployment, run.err, programs, run.logs), run.err)
        if run.units is None:
            return MOST_UNITS
        return min(MOST_UNITS, -(-run.units * 12 // 10))

    async def _offered(self, load: Load) -> int:
        """What others lately paid for a compute unit to write to these accounts: the upper quartile by slot, in micro-lamports."""
        keys = dict.fromkeys(meta.pubkey for one in load.instructions for meta in one.accounts if meta.is_writable)
        try:
            paid = sorted(price for _, price in await self._rpc.priority_fees(tuple(keys)[:_MOST_ASKED]))
        except VenueError as error:
            log.info("what others pay is not known: %s", error)
            return 0
        return paid[len(paid) * 3 // 4] if paid else 0

    async def _tip_for(self) -> tuple[int, str]:
        """What is tipped for a bundle, in lamports, and to whom; 0: it goes through the node."""
        if self._jito is None or not self._tip:
            return 0, ""
        try:
            accounts = await self._jito.tip_accounts()
        except VenueError as error:
            log.warning("no bundle: %s", error)
            return 0, ""
        self._guard.tip_accounts = frozenset(map(address, accounts))
        return self._tip, accounts[self._clock() // 1_000_000 % len(accounts)]

    # -- to its end ----------------------------------------------------------------------------------------------------------

    async def follow(self, prepared: Prepared) -> Landed | Expired:
        """Send it and follow it until the chain has decided, however long that takes.

        Raises `VenueRejected` and `VenueUnavailable` where the first sending surely came to nothing. After that nothing is raised but
        what cancels; a canceled one may still land.
        """
        signed, outcome = prepared.signed, None
        last: int | None = prepared.blockhash.last_valid_block_height
        try:
            outcome = await self._sender.land(signed, prepared.blockhash, broadcast=self._by_bundle() if prepared.tip else None)
        except VenueRejected as error:
            if not_sent_on(error):
                raise VenueUnavailable(f"the node is behind: {error}; nothing was sent") from None
            err = getattr(error, "err", None)
            if err is not None:
                raise ProgramSaidNo(verdict_of(self._deployment, err, prepared.programs, getattr(error, "logs", ())), err) from None
            raise
        except VenueUnavailable:
            raise
        except Exception:
            log.exception("%s: whether it was sent is not known", signed.signature)
            outcome = Unknown(signed.signature, "whether it was sent is not known")
        while isinstance(outcome, Unknown):
            await anyio.sleep(self._poll_s)
            outcome = await self._look(signed, last) or outcome
        return outcome

    async def _look(self, signed: Signed, last: int | None) -> Outcome | None:
        """One more look at what became of it; None where it could not be had."""
        try:
            return await self._sender.outcome(signed.signature, signed.blockhash, last)
        except VenueError as error:
            log.warning("%s is not decided yet: %s", signed.signature, error)
        except Exception:
            log.exception("%s cannot be followed, and is asked about again", signed.signature)
        return None

    def why_failed(self, prepared: Prepared, err: Any, logs: Sequence[str] = ()) -> str:
        """What the error of a landed transaction means."""
        return verdict_of(self._deployment, err, prepared.programs, logs).reason

    def _by_bundle(self) -> Broadcast:
        """As a bundle first, then through the node."""
        assert self._jito is not None
        through = bundles_first(self._jito, lambda raw, skip: self._rpc.send(raw, skip_preflight=skip))

        async def broadcast(signed: Signed, times: int) -> None:
            await through(signed.raw, times)

        return broadcast
