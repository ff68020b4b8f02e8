"""Pools that lie in accounts of a local chain, routes through them, and the program that swaps with them.

The program is a stand-in for Jupiter's and for those of the DEXes, in one: it reads a pool out of its account, works the swap
out with the pool's own integers, writes the pool back, and has the token program move the coins. It knows no HTTP.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from typing import Any

from attrs import asdict, frozen
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ...amm import Concentrated, ConstantProduct, Outside, Pool, Range, Stable
from ...errors import InvalidAmount, InvalidMarket
from ...market import BP
from ..solana_server import Call, Chain, ProgramError
from ..solana_server.layout import NATIVE_MINT, TOKEN, ata, read_decimals

__all__ = ["JUPITER", "SLIPPAGE", "WSOL", "Amm", "Dexes", "Hop", "Path"]

JUPITER = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
WSOL = NATIVE_MINT
SLIPPAGE = 6001
"""The program's own number for less than the threshold."""
_DISCRIMINATOR = sha256(b"global:route_v2").digest()[:8]
_ARGS = struct.Struct("<8sQQHHHI")
"""As `route_v2` has them: what goes in, what was quoted, slippage, platform fee, fee of what comes beyond, steps of the route."""
_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (ConstantProduct, Concentrated, Stable, Outside)}
_PROGRAMS = {
    "Raydium": "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
    "Raydium CLMM": "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK",
    "Orca Whirlpool": "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc",
    "Meteora DLMM": "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo",
}


@frozen(order=False)
class Amm:
    """A pool under a DEX's label: coin 0 is `base`, coin 1 is `quote`, both by mint, in raw units of the chain."""

    label: str
    base: Pubkey
    quote: Pubkey
    pool: Pool


@frozen(order=False)
class Hop:
    """One pool of a route: which, which way, and what goes in and comes out."""

    place: int
    sells: bool
    input_mint: Pubkey
    output_mint: Pubkey
    paid: int
    got: int


@frozen(order=False)
class Path:
    """A route of one or two hops."""

    hops: tuple[Hop, ...]

    @property
    def paid(self) -> int:
        return self.hops[0].paid

    @property
    def got(self) -> int:
        return self.hops[-1].got


@frozen(order=False)
class _Place:
    """Where a pool lies: its account, who owns its coins, and where these are."""

    label: str
    base: Pubkey
    quote: Pubkey
    account: Pubkey
    authority: Pubkey
    base_vault: Pubkey
    quote_vault: Pubkey

    @property
    def accounts(self) -> tuple[Pubkey, ...]:
        return self.account, self.authority, self.base_vault, self.quote_vault


class Dexes:
    """All pools of a chain, by their place. Making it registers the stand-in program there."""

    def __init__(self, chain: Chain, amms: Iterable[Amm] = ()) -> None:
        self.chain = chain
        self.places: list[_Place] = []
        self.table: Pubkey | None = None
        """A lookup table with the pools' accounts."""
        for amm in amms:
            self.add(amm)

    # -- pools ---------------------------------------------------------------------------------------------------------------

    def add(self, amm: Amm) -> int:
        """Open a pool, with all the coins that it can pay out. Returns its place."""
        serial = len(self.places)
        account, authority = (Pubkey(sha256(f"sleeves {what} {serial}".encode()).digest()) for what in ("pool", "authority"))
        vaults = [self.chain.mint_to(mint, authority, 0) for mint in (amm.base, amm.quote)]
        self.places.append(_Place(amm.label, amm.base, amm.quote, account, authority, *vaults))
        self.put(serial, amm.pool)
        self.chain.program(JUPITER, self.swap, owns=[place.authority for place in self.places])
        self.table = self.chain.create_table([TOKEN, *(key for place in self.places for key in place.accounts)])
        return serial

    def put(self, place: int, pool: Pool) -> None:
        """Have a pool be like this from now on; coins that it may have to pay out are there."""
        at = self.places[place]
        self.chain.set_account(at.account, owner=JUPITER, data=_dump(pool))
        for mint, need in zip((at.base, at.quote), pool.reserves(), strict=True):
            lacks = need + 1 - self.chain.tokens(at.authority, mint)
            if lacks > 0:
                self.chain.mint_to(mint, at.authority, lacks)

    def pool(self, place: int) -> Pool:
        """A pool as it is now."""
        state = self.chain.account(self.places[place].account)
        assert state is not None
        return _load(state.data)

    def find(self, label: str, base: Pubkey | None = None, quote: Pubkey | None = None) -> int:
        """The place of the pool of a DEX, and of a pair where it has several. Raises `InvalidMarket` for none and for several."""
        found = [
            number for number, at in enumerate(self.places) if at.label == label and base in (None, at.base) and quote in (None, at.quote)
        ]
        if len(found) != 1:
            raise InvalidMarket(f"{len(found)} pools are of {label!r}: name its base and quote")
        return found[0]

    def move(self, place: int, price: str | Decimal) -> None:
        """Have a pool's price be another, in quote coins per base coin; its liquidity stays as it is."""
        at, exact = self.places[place], Fraction(price)
        for mint, power in ((at.quote, 1), (at.base, -1)):
            exact *= Fraction(10) ** (power * self.decimals(mint))
        self.put(place, self.pool(place).at_price(exact.numerator, exact.denominator))

    def decimals(self, mint: Pubkey) -> int:
        state = self.chain.account(mint)
        if state is None:
            raise InvalidMarket(f"{mint} is no mint of this chain")
        return read_decimals(state.data)

    # -- routes --------------------------------------------------------------------------------------------------------------

    def path(self, goes: Pubkey, comes: Pubkey, amount: int, labels: Sequence[str] = (), without: Sequence[str] = ()) -> Path | None:
        """The route that brings most for exactly `amount`: of one hop, or of two where there is no single one; None for none."""
        usable = [number for number, at in enumerate(self.places) if (not labels or at.label in labels) and at.label not in without]
        direct = [path for number in usable for path in self._one((), number, goes, amount) if path.hops[-1].output_mint == comes]
        if direct:
            return max(direct, key=lambda path: path.got)
        first = [path for number in usable for path in self._one((), number, goes, amount)]
        both = [
            path
            for one in first
            for number in usable
            for path in self._one(one.hops, number, one.hops[-1].output_mint, one.got)
            if path.hops[-1].output_mint == comes and number != one.hops[0].place
        ]
        return max(both, key=lambda path: path.got, default=None)

    def _one(self, before: tuple[Hop, ...], place: int, goes: Pubkey, amount: int) -> list[Path]:
        at = self.places[place]
        if goes not in (at.base, at.quote) or amount <= 0:
            return []
        sells = goes == at.base
        try:
            got = _take(self.pool(place), amount, sells)[0]
        except (InvalidMarket, InvalidAmount):
            return []
        comes = at.quote if sells else at.base
        return [Path((*before, Hop(place, sells, goes, comes, amount, got)))] if got else []

    def for_out(self, goes: Pubkey, comes: Pubkey, out: int, labels: Sequence[str] = ()) -> Path | None:
        """The single hop that brings at least `out` for least."""
        found = []
        for number, at in enumerate(self.places):
            if (labels and at.label not in labels) or {goes, comes} != {at.base, at.quote}:
                continue
            pool, sells = self.pool(number), goes == at.base
            try:
                swap = pool.sell_for(out) if sells else pool.buy(out)
            except (InvalidMarket, InvalidAmount):
                continue
            found.append(Path((Hop(number, sells, goes, comes, swap.paid, swap.got),)))
        return min(found, key=lambda path: path.paid, default=None)

    # -- the program ---------------------------------------------------------------------------------------------------------

    def instruction(self, path: Path, wallet: Pubkey, slippage_bps: int) -> Instruction:
        """The swap of a route out of a wallet's associated accounts and into them."""
        source, target = (ata(wallet, mint) for mint in (path.hops[0].input_mint, path.hops[-1].output_mint))
        metas = [
            AccountMeta(TOKEN, False, False),
            AccountMeta(wallet, True, False),
            AccountMeta(source, False, True),
            AccountMeta(target, False, True),
        ]
        ways = bytearray()
        for hop in path.hops:
            at = self.places[hop.place]
            writes = (True, False, True, True)
            metas += [AccountMeta(key, False, write) for key, write in zip(at.accounts, writes, strict=True)]
            ways += bytes([hop.sells])
        data = _ARGS.pack(_DISCRIMINATOR, path.paid, path.got, slippage_bps, 0, 0, len(ways)) + bytes(ways)
        return Instruction(JUPITER, data, metas)

    def swap(self, call: Call) -> list[Instruction]:
        """What the program does when it is called."""
        if len(call.data) < _ARGS.size or call.data[:8] != _DISCRIMINATOR:
            raise ProgramError(101, "InstructionFallbackNotFound")
        _, paid, quoted, slippage_bps, _, _, count = _ARGS.unpack(call.data[: _ARGS.size])
        ways = call.data[_ARGS.size :]
        keys = [meta.pubkey for meta in call.accounts]
        if len(ways) != count or not count or len(keys) != 4 + 4 * count or not call.accounts[1].is_signer:
            raise ProgramError(3005, "AccountNotEnoughKeys")
        _, wallet, source, target = keys[:4]
        made, amount, whence, owner = [], paid, source, wallet
        for hop in range(count):
            account, authority, *vaults = keys[4 + 4 * hop : 8 + 4 * hop]
            if not any(place.accounts == (account, authority, *vaults) for place in self.places):
                raise ProgramError(2006, "ConstraintSeeds")
            sells = bool(ways[hop])
            state = call.account(account)
            if state is None or state.owner != JUPITER:
                raise ProgramError(3007, "AccountOwnedByWrongProgram")
            try:
                got, after = _take(_load(state.data), amount, sells)
            except (InvalidMarket, InvalidAmount) as error:
                raise ProgramError(6024, f"InsufficientFunds: {error}") from None
            call.write(account, _dump(after))
            into, out_of = vaults if sells else reversed(vaults)
            made.append(_transfer(whence, into, owner, amount))
            amount, whence, owner = got, out_of, authority
        if amount < threshold(quoted, slippage_bps):
            raise ProgramError(SLIPPAGE, "SlippageToleranceExceeded")
        made.append(_transfer(whence, target, owner, amount))
        call.log(f"swapped {paid} for {amount}")
        return made


def threshold(out: int, slippage_bps: int) -> int:
    """The least that a swap may bring: what was quoted less the slippage, rounded up."""
    return -(-out * (BP - slippage_bps) // BP)


def _take(pool: Pool, amount: int, sells: bool) -> tuple[int, Pool]:
    swap = pool.sell(amount) if sells else pool.buy_with(amount)
    return swap.got, swap.pool


def _transfer(source: Pubkey, to: Pubkey, owner: Pubkey, amount: int) -> Instruction:
    metas = [AccountMeta(source, False, True), AccountMeta(to, False, True), AccountMeta(owner, True, False)]
    return Instruction(TOKEN, b"\3" + amount.to_bytes(8, "little"), metas)


def _dump(pool: Pool) -> bytes:
    kind: Any = pool
    return json.dumps([type(pool).__name__, asdict(kind)]).encode()


def _load(data: bytes) -> Pool:
    name, fields = json.loads(data)
    if "ranges" in fields:
        fields["ranges"] = tuple(Range(**one) for one in fields["ranges"])
    return _KINDS[name](**fields)  # type: ignore[no-any-return]
