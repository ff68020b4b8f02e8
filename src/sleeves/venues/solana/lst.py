"""What staking tokens are worth in SOL, read from the accounts of the pools that redeem them, and how old that is.

    found = await FairValues(rpc).read()
    found.worths["jitoSOL"].value         a FairValue: what the pool holds over the tokens it has issued

A stake pool's figures are right as of its last update, which it gets within minutes of an epoch's beginning. Until then it tells
the worth of the epoch before, and its `FairValue` bears the time at which that epoch ended. All accounts are read together with
the chain's own clock, so that epoch, time and figures are of one slot. What cannot be read is missing, with a reason: there is
no figure here to fall back on.

Sources: the layouts of spl-stake-pool (Borsh) and of Marinade's State (Anchor) from their source; offsets checked on accounts
of the real chain. Marinade tells no epoch of its last update, and Sanctum's API no time: of those two the age is not known, and
the time is that of the look.
"""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from fractions import Fraction
from typing import Final
from urllib.parse import urlencode

import anyio
from attrs import field, frozen
from solders.pubkey import Pubkey

from ...errors import InvalidMarket, VenueError, VenueUnavailable
from ...money import SOL, Asset
from ...news import FairValue
from ..retry import Reading, Retry
from ..wire import Wire
from .addresses import CLOCK
from .rpc import Rpc
from .tokens import Account

__all__ = [
    "MARINADE_PROGRAM",
    "MARINADE_STATE",
    "SANCTUM",
    "STAKE_POOL_PROGRAMS",
    "STAKING_TOKENS",
    "ChainClock",
    "FairValues",
    "Found",
    "Marinade",
    "Sanctum",
    "StakePool",
    "StakingToken",
    "Worth",
]

_NS: Final = 1_000_000_000
EPOCH_NS: Final = 2 * 86_400 * _NS
"""How long an epoch is, nearly: 432,000 slots of 0.4 s. Only for the age of what was not updated for several."""

STAKE_POOL_PROGRAMS: Final = {
    Pubkey.from_string("SPoo1Ku8WFXoNDMHPsrGSTSG1Y47rzgn41SLUNakuHy"): "spl-stake-pool",
    Pubkey.from_string("SP12tWFxD9oJsVWNavTTBZvMbA6gkAmxtVgxdqvyvhY"): "Sanctum's spl-stake-pool",
    Pubkey.from_string("SPMBzsVUuoHA4Jm6KunbsotaahvVikZs1JyTW6iJvbn"): "Sanctum's spl-stake-pool, several validators",
}
"""The programs that pools of one and the same layout belong to."""
MARINADE_PROGRAM: Final = Pubkey.from_string("MarBmsSgKXdrN1egZf5sqe1TMai9K1rChYNDJgjq7aD")
MARINADE_STATE: Final = Pubkey.from_string("8szGkuLTAux9XMgZ2vtY39jVSowEcpBfFfD8hXSEqdGC")
SANCTUM: Final = "https://extra-api.sanctum.so"

_SYSVAR = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
_CLOCK = struct.Struct("<QqQQq")
_MARINADE_MARK = bytes.fromhex("d8926b5e684bb6b1")
"""The first eight bytes of SHA-256 of "account:State", as Anchor marks an account."""


@frozen(order=False)
class StakingToken:
    """A staking token: its asset, its mint, and the account of its pool, or None where only Sanctum's API tells its worth.

    Raises `InvalidMarket` unless it is counted with nine decimals, as SOL is.
    """

    asset: Asset
    mint: Pubkey = field(repr=str)
    pool: Pubkey | None = field(default=None, repr=str)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.asset, Asset) or self.asset.scale != 9:
            raise InvalidMarket(f"a staking token is an Asset of nine decimals, not {self.asset!r}")


def _token(code: str, mint: str, pool: str | None = None) -> StakingToken:
    return StakingToken(Asset(code, 9), Pubkey.from_string(mint), None if pool is None else Pubkey.from_string(pool))


STAKING_TOKENS: Final = {
    token.asset.code: token
    for token in (
        _token("jitoSOL", "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn", "Jito4APyf642JPZPx3hGc6WWJ8zPKtRbRs4P815Awbb"),
        _token("mSOL", "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So", str(MARINADE_STATE)),
        _token("bSOL", "bSo13r4TkiE4KumL71LsHTPpL2euBYLFx6h9HP3piy1", "stk9ApL5HeVAwPLr3TLhDXdZS8ptVu7zp6ov8HFDuMi"),
        _token("jupSOL", "jupSoLaHXQiZZTSfEWMTRRgpnyFm8f6sZdosWBjx93v", "8VpRhuxa7sUUepdY3kQiTmX9rS5vx4WgaXiAnXq4KCtr"),
        _token("INF", "5oVNBeEEQvYi1cX3ir8Dx5n1P7pdxydbGF2X4TxVusJm"),
        _token("dSOL", "Dso1bDeDjCQxTrWHqUUi63oBvV7Mdm6WaobLbQ7gnPQ"),
        _token("hSOL", "he1iusmfkpAdwvxLNGV8Y1iSbj4rUy6yMhEA3fotn9A"),
        _token("bbSOL", "Bybit2vBJGhPF52GBdNaQfUJ6ZpThSgHBobjWZpLPb4B"),
        _token("BNSOL", "BNso1VUJnh4zcfpZa6986Ea66P6TCp59hvtNJ8b1X85"),
        _token("PSOL", "pSo1f9nQXWgXibFtKf7NWYxb5enAM4qfP6UJSiXRQfL"),
        _token("vSOL", "vSoLxydx6akxyMD9XEcPvGYNGq6Nn66oqVb3UkGkei7"),
        _token("JSOL", "7Q2afV64in6N6SeZsAAB81TJzwDoD6zpqmHkzi9Dcavn"),
        _token("laineSOL", "LAinEtNLgpmCP9Rvsf5Hn8W6EhNiKLZQti1xfWMLy6X"),
    )
}
"""Staking tokens by code. Mints from Sanctum's published list; the pools of those whose account is known for certain."""


@frozen(order=False)
class ChainClock:
    """The chain's own time: a slot, its epoch, when that began, and what time it is, all in UTC nanoseconds."""

    slot: int
    epoch: int
    epoch_began: int
    now: int

    @classmethod
    def decode(cls, account: Account) -> ChainClock:
        """From the clock's account. Raises `InvalidMarket` for any other."""
        if account.address != CLOCK or account.owner != _SYSVAR or len(account.data) < _CLOCK.size:
            raise InvalidMarket(f"{account.address} is not the chain's clock")
        slot, began, epoch, _, now = _CLOCK.unpack(account.data[: _CLOCK.size])
        if not 0 <= began <= now:
            raise InvalidMarket(f"the chain's clock says that it is {now}, and that the epoch began at {began}")
        return cls(slot, epoch, began * _NS, now * _NS)

    def as_of(self, epoch: int) -> int:
        """Until when figures of an epoch were right: now for this one, its end for one before."""
        return self.now if epoch >= self.epoch else self.epoch_began - (self.epoch - epoch - 1) * EPOCH_NS


class _Borsh:
    """Bytes read from the front. Raises `InvalidMarket` at their end, and for a choice that there is not."""

    def __init__(self, data: bytes, at: int, of: object) -> None:
        self._data, self._at, self._of = data, at, of

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            raise InvalidMarket(f"the data of {self._of} ends after {len(self._data)} bytes, within a field")
        self._at += size
        return part

    def u8(self) -> int:
        return self.take(1)[0]

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def key(self) -> Pubkey:
        return Pubkey(self.take(32))

    def fee(self) -> Fraction:
        """A part of one. The denominator stands first; nothing over nothing is no fee."""
        below, above = self.u64(), self.u64()
        if not below:
            return Fraction(0)
        if above > below:
            raise InvalidMarket(f"{self._of} has a fee of {above}/{below}")
        return Fraction(above, below)

    def choice(self, most: int) -> int:
        found = self.u8()
        if found > most:
            raise InvalidMarket(f"{self._of} has an option of kind {found} where there are {most + 1}")
        return found

    def future_fee(self) -> Fraction | None:
        """A fee that is to come in one epoch or in two."""
        return self.fee() if self.choice(2) else None

    def optional_key(self) -> Pubkey | None:
        return self.key() if self.choice(1) else None


@frozen(order=False)
class StakePool:
    """The account of a stake pool: `total_lamports` back `supply` tokens, as of the epoch `updated`.

    Fees are parts of one: `epoch_fee` of rewards, `stake_fee` of what is redeemed as stake, `sol_fee` of what is redeemed from
    the reserve at once; `next_` is one that is to come.
    """

    mint: Pubkey = field(repr=str)
    program: Pubkey = field(repr=str)
    total_lamports: int
    supply: int
    updated: int
    epoch_fee: Fraction
    next_epoch_fee: Fraction | None
    stake_deposit_fee: Fraction
    stake_fee: Fraction
    next_stake_fee: Fraction | None
    sol_deposit_fee: Fraction
    sol_fee: Fraction
    next_sol_fee: Fraction | None

    @classmethod
    def decode(cls, account: Account) -> StakePool:
        """Raises `InvalidMarket` for an account that is no stake pool, of another program, or cut short."""
        if account.owner not in STAKE_POOL_PROGRAMS:
            raise InvalidMarket(f"{account.address} belongs to {account.owner}, which is no stake pool program")
        read = _Borsh(account.data, 0, account.address)
        if read.u8() != 1:
            raise InvalidMarket(f"{account.address} is no stake pool in use")
        read.take(3 * 32 + 1 + 2 * 32)  # manager, staker, deposit authority; a bump; validator list, reserve
        mint = read.key()
        read.take(32 + 32)  # the manager's fee account, the token program
        total, supply, updated = read.u64(), read.u64(), read.u64()
        read.take(48)  # lockup
        epoch_fee, next_epoch_fee = read.fee(), read.future_fee()
        read.optional_key(), read.optional_key()  # preferred validators
        stake_deposit_fee, stake_fee, next_stake_fee = read.fee(), read.fee(), read.future_fee()
        read.u8()  # referral
        read.optional_key()
        sol_deposit_fee = read.fee()
        read.u8()
        read.optional_key()
        sol_fee, next_sol_fee = read.fee(), read.future_fee()
        if not total or not supply:
            raise InvalidMarket(f"the stake pool {account.address} holds {total} lamports for {supply} tokens")
        fees = (epoch_fee, next_epoch_fee, stake_deposit_fee, stake_fee, next_stake_fee, sol_deposit_fee, sol_fee, next_sol_fee)
        return cls(mint, account.owner, total, supply, updated, *fees)


@frozen(order=False)
class Marinade:
    """Marinade's State: what backs mSOL is stake, active and cooling down, and the reserve, less what tickets have a claim on.

    `price` is the copy for display, in 2^-32 SOL. Fees are parts of one: `delayed_fee` of a delayed unstake, `liquid_most` and
    `liquid_least` of one at once, by how much SOL its pool has.
    """

    mint: Pubkey = field(repr=str)
    active: int
    cooling: int
    emergency: int
    reserve: int
    tickets: int
    supply: int
    price: int
    reward_fee: Fraction
    delayed_fee: Fraction
    liquid_most: Fraction
    liquid_least: Fraction
    paused: bool

    @property
    def total_lamports(self) -> int:
        """What backs all tokens, exactly."""
        return self.active + self.cooling + self.emergency + self.reserve - self.tickets

    @classmethod
    def decode(cls, account: Account) -> Marinade:
        """Raises `InvalidMarket` for any other account."""
        data = account.data
        if account.owner != MARINADE_PROGRAM or data[:8] != _MARINADE_MARK or len(data) < 618:
            raise InvalidMarket(f"{account.address} is not Marinade's State: {len(data)} bytes of {account.owner}")

        def u64(at: int) -> int:
            return int.from_bytes(data[at : at + 8], "little")

        def u32(at: int) -> int:
            return int.from_bytes(data[at : at + 4], "little")

        found = cls(
            mint=Pubkey(data[8:40]),
            active=u64(376),
            cooling=u64(226),
            emergency=u64(568),
            reserve=u64(496),
            tickets=u64(528),
            supply=u64(504),
            price=u64(512),
            reward_fee=Fraction(u32(146), 10_000),
            delayed_fee=Fraction(u32(609), 1_000_000),
            liquid_most=Fraction(u32(460), 10_000),
            liquid_least=Fraction(u32(464), 10_000),
            paused=bool(data[608]),
        )
        if found.total_lamports <= 0 or not found.supply:
            raise InvalidMarket(f"Marinade's State has {found.total_lamports} lamports for {found.supply} tokens")
        return found


@frozen(order=False)
class Worth:
    """What a staking token is worth, and what is known of it.

    `updated` is the epoch of its pool's last update, None where that is not told; `stale` says that it was before this epoch.
    `stake_fee` is what redeeming as stake costs, `sol_fee` what redeeming at once does, None where not told.
    """

    token: StakingToken
    value: FairValue
    epoch: int | None
    updated: int | None
    slot: int | None
    stake_fee: Fraction | None
    sol_fee: Fraction | None

    @property
    def stale(self) -> bool:
        return self.epoch is not None and self.updated is not None and self.updated < self.epoch


@frozen(order=False)
class Found:
    """What was read: worths by code, and why there is none of the others."""

    worths: Mapping[str, Worth]
    missing: Mapping[str, str]


class Sanctum:
    """Sanctum's API: the worth of any token of its list. It tells no time, so that the time is that of the look.

    Raises `VenueUnavailable` where it does not answer.
    """

    def __init__(
        self, base_url: str = SANCTUM, *, clock: Callable[[], int] = time.time_ns, retry: Retry | None = None, timeout: float = 10.0
    ) -> None:
        self._wire = Wire(base_url, timeout=timeout, extra="jupiter")
        self._clock = clock
        self._retry = retry or Retry()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def read(self, tokens: Sequence[StakingToken]) -> Found:
        """The worth of each token, asked for by its mint."""
        if not tokens:
            return Found({}, {})
        path = "/v1/sol-value/current?" + urlencode([("lst", str(token.mint)) for token in tokens])

        async def ask() -> dict[str, object]:
            reply = await self._wire.get(path)
            said = reply.json() if reply.status == 200 else None
            if not isinstance(said, dict) or not isinstance(said.get("solValues"), dict):
                raise VenueUnavailable(f"Sanctum's API answers with status {reply.status} and no values")
            return said

        said = await self._retry(Reading("Sanctum's API", ask))
        now = self._clock()
        values, errors = said["solValues"], said.get("errs")
        worths: dict[str, Worth] = {}
        missing: dict[str, str] = {}
        for token in tokens:
            text = values.get(str(token.mint)) if isinstance(values, dict) else None
            if not isinstance(text, str) or not text.isascii() or not text.isdigit() or not 0 < len(text) <= 20 or not int(text):
                why = errors.get(str(token.mint)) if isinstance(errors, dict) else None
                missing[token.asset.code] = f"Sanctum's API tells no worth of it: {why or text!r}"
                continue
            value = FairValue(token.asset, SOL, now, int(text), 10**9, "Sanctum's API")
            worths[token.asset.code] = Worth(token, value, None, None, None, None, None)
        return Found(worths, missing)


class FairValues:
    """Reads what staking tokens are worth: from their pools' accounts, and those without one from Sanctum's API, where given.

    `tokens` are codes of `STAKING_TOKENS`, or tokens of your own. A pool that is of another mint than its token is no source.
    """

    def __init__(
        self,
        rpc: Rpc,
        tokens: Sequence[str | StakingToken] = ("jitoSOL", "mSOL", "bSOL", "jupSOL"),
        *,
        sanctum: Sanctum | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._tokens = tuple(_known(one) for one in tokens)
        if len({token.asset.code for token in self._tokens}) != len(self._tokens):
            raise InvalidMarket("a staking token was named twice")
        if len(self._tokens) > 99:
            raise InvalidMarket(f"{len(self._tokens)} staking tokens cannot be read at once; at most 99")
        self._rpc = rpc
        self._sanctum = sanctum
        self._clock = clock

    async def read(self) -> Found:
        """All of them now. What cannot be read is under `missing`; nothing is raised for it."""
        pooled = [token for token in self._tokens if token.pool is not None]
        others = [token for token in self._tokens if token.pool is None]
        worths: dict[str, Worth] = {}
        missing: dict[str, str] = {}
        if pooled:
            await self._pools(pooled, worths, missing)
        if others and self._sanctum is None:
            missing.update({token.asset.code: "its pool is not known, and no API was given" for token in others})
        elif others and self._sanctum is not None:
            try:
                found = await self._sanctum.read(others)
            except VenueError as error:
                missing.update({token.asset.code: str(error) for token in others})
            else:
                worths.update(found.worths)
                missing.update(found.missing)
        order = [token.asset.code for token in self._tokens]
        return Found({code: worths[code] for code in order if code in worths}, missing)

    async def news(self, every_s: float = 30.0) -> AsyncIterator[FairValue]:
        """Fair values as news, again and again. One that cannot be read is not told: what was told before grows old."""
        while True:
            for worth in (await self.read()).worths.values():
                yield worth.value
            await anyio.sleep(every_s)

    async def _pools(self, tokens: Sequence[StakingToken], worths: dict[str, Worth], missing: dict[str, str]) -> None:
        try:
            read = await self._rpc.accounts([CLOCK, *(token.pool for token in tokens if token.pool is not None)])
            if read.values[0] is None:
                raise VenueUnavailable("the node does not know the chain's clock")
            clock = ChainClock.decode(read.values[0])
        except (VenueError, InvalidMarket) as error:
            missing.update({token.asset.code: str(error) for token in tokens})
            return
        for token, account in zip(tokens, read.values[1:], strict=True):
            try:
                worths[token.asset.code] = self._worth(token, account, clock)
            except InvalidMarket as error:
                missing[token.asset.code] = str(error)

    def _worth(self, token: StakingToken, account: Account | None, clock: ChainClock) -> Worth:
        """One token's worth. Raises `InvalidMarket` where its pool's account tells none."""
        if account is None:
            raise InvalidMarket(f"there is no account at {token.pool}")
        now = self._clock()
        if account.owner == MARINADE_PROGRAM:
            state = Marinade.decode(account)
            mint, total, supply, updated, source = state.mint, state.total_lamports, state.supply, None, "Marinade's state"
            stake_fee, sol_fee = state.delayed_fee, None
        else:
            pool = StakePool.decode(account)
            mint, total, supply, updated = pool.mint, pool.total_lamports, pool.supply, pool.updated
            stake_fee, sol_fee, source = pool.stake_fee, pool.sol_fee, STAKE_POOL_PROGRAMS[pool.program]
        if mint != token.mint:
            raise InvalidMarket(f"the pool {account.address} is of {mint}, not of {token.asset}")
        if updated is not None and updated > clock.epoch:
            raise InvalidMarket(f"the pool {account.address} was updated in epoch {updated}, and it is {clock.epoch}")
        at = min(now, clock.now if updated is None else clock.as_of(updated))
        value = FairValue(token.asset, SOL, at, total, supply, source)
        return Worth(token, value, clock.epoch, updated, clock.slot, stake_fee, sol_fee)


def _known(one: str | StakingToken) -> StakingToken:
    if isinstance(one, StakingToken):
        return one
    if one not in STAKING_TOKENS:
        raise InvalidMarket(f"{one!r} is no staking token that is known here: {', '.join(STAKING_TOKENS)}")
    return STAKING_TOKENS[one]
