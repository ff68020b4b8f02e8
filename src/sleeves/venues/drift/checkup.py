"""A look at Drift v2 or Velocity, its node and one authority's sub-accounts there, before money is trusted to them.

    async with Rpc(url) as rpc:
        print(await checkup(rpc, VELOCITY, authority))

It only asks, and needs no key: an authority is looked at by its address. What is there is held against the deployment's layouts,
owners and derived addresses; what is not answered is a finding, in the words of whoever was asked.

What cannot be known by looking (which version of the program runs, whether the order book is live, whether a floor of equity is
enforced) is listed under `verify`, and never passed as good.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen
from solders.pubkey import Pubkey

from ...errors import InvalidMarket, SleevesError, VenueError, VenueUnavailable
from ...market import SECOND
from ...money import decimal_text
from ..checkup import Checkup, Grade, Isolation, virtual
from ..checkup import Look as Findings
from ..jito import Jito
from ..solana import SYSTEM, Account, Mint, Rpc, TokenAccount, ata
from ..solana.addresses import TOKEN, TOKEN_2022
from ..solana.looks import look_at_node, look_at_powers
from ..solana.written import address
from .account import Look, look
from .accounts import PerpMarket, SpotMarket, State, User, UserStats, WrongAccount, read_perp_market, read_spot_market, read_state
from .deployment import DRIFT_V2, VELOCITY, VELOCITY_CLOB, VELOCITY_DEVNET, Deployment, Feature
from .driver import FROZEN, LEAST_HEALTH, Drift
from .markets import Perp
from .oracles import PRICE
from .risk import Figures, Price, figures_of, funding_ratio, price_of
from .risk import tokens as tokens_in
from .words import ExchangePause, MarketStatus, OracleSource, PerpPause, SpotPause

if TYPE_CHECKING:
    from enum import Flag

__all__ = ["DEVNET", "ISOLATION", "LEAST_SOL", "MAINNET", "MOST_MARKETS", "OFF_PEG", "checkup"]

MAINNET, DEVNET = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d", "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"
"""The hashes of the first blocks of Solana's mainnet and of its devnet: which chain a node is of."""
LEAST_SOL = 20_000_000
"""Lamports besides the rent of what is to be created, below which a wallet soon cannot pay its fees and tips."""
OFF_PEG = 10_000
"""From how many millionths off one dollar on the price of the quote coin is a warning: it scales every figure of every account."""
MOST_MARKETS = 500
"""From how many perp markets on a State is not believed."""
_GENESIS = {DRIFT_V2.name: MAINNET, VELOCITY.name: MAINNET, VELOCITY_DEVNET.name: DEVNET}
_CHAINS = {MAINNET: "mainnet", DEVNET: "devnet"}
_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
_PROGRAM, _PROGRAM_DATA, _HEAD = 2, 3, 45
"""Tags of the loader's accounts, and how much of the second is not the program itself. Source: Solana's upgradeable loader."""
_SOL_PLACES, _PLACES = 9, 6
_AT_ONCE = 20
"""Markets that are looked at in one question, with their oracles: a node tells of a hundred accounts as of one slot."""
_SUBS_AT_ONCE = 16

T = TypeVar("T")

_VERIFY = (
    "which version of the program runs: no chain tells it, and others were seen to use a newer IDL (2.169) than that of {version} here",
    "whether the order book on chain is live: with it resting orders leave the sub-account, and positions lie elsewhere in its bytes",
    "whether the floor of equity and its breaker are enforced for ordinary accounts",
    "the fees: what the State says is shown above, and what is charged is in the record of the first fill",
)
"""What a look at Velocity cannot tell."""
_NONCES = (
    "whether somebody has a transaction that this key once signed on a durable nonce: it never expires and no chain tells of it; that "
    "was the way in April 2026. This driver signs none; a key that ever signed unread transactions elsewhere should be replaced"
)

ISOLATION = (
    virtual("sleeves without a number are slices of sub-account 0 in the books of sleeves; the program knows of none"),
    Isolation(
        "sub-account",
        True,
        "a sleeve with a number has a sub-account of its own: its coins, its contracts and its margin; the program keeps them apart",
        (
            "money has to move in time: from one sub-account to another it is a transaction, and leaves health at 80 or above",
            "the account is the authority's: whoever has that key has all sub-accounts",
            "a coin's loss that nobody can bear is shared by all who hold that coin, in whichever sub-account",
        ),
    ),
    Isolation(
        "on-chain",
        True,
        "sub-accounts are accounts of a program on the chain, and a delegate's key trades in one without being able to withdraw",
        (
            "the program is changed by whoever has its upgrade key: look at the finding on it",
            "the program or its admin's key is broken: Drift v2 was drained so on 2026-04-01, all sub-accounts together",
            "an oracle is wrong, or stops",
        ),
    ),
)
"""What keeps strategies apart there."""


async def checkup(
    of: Drift | Rpc,
    deployment: Deployment | None = None,
    authority: str | None = None,
    *,
    key: str | None = None,
    markets: Iterable[str] = (),
    genesis: str | None = None,
    jito: Jito | None = None,
    moving_within: float = 5.0,
    clock: Callable[[], int] = time.time_ns,
) -> Checkup:
    """Look at a node, a deployment, its markets, and an authority's wallet and sub-accounts; of a driver that is open, at its own.

    `key` is the address of the key that shall sign, where it is not the authority's own. `markets` are names of perpetuals; without
    them all are looked at. `genesis` is the hash that the chain must begin with; without it, the deployment's own. The block height
    has to rise within `moving_within` seconds. Raises `InvalidMarket` for an address that is none or a deployment that is not given,
    and nothing for what the other side does: that is a finding.
    """
    names = list(markets)
    if isinstance(of, Drift):
        deployment, jito, clock, key = of.deployment, jito or of._jito, of._clock, key or of._key
        authority = of.authority if authority is None else authority
        names += of.names
        of = of._rpc
    if deployment is None:
        raise InvalidMarket("which deployment shall be looked at? DRIFT_V2, VELOCITY or VELOCITY_DEVNET")
    owner, signs = (None if one is None else str(address(one)) for one in (authority, key))
    found = Findings(deployment.name)
    _about(found, deployment)
    if await look_at_node(found, of, clock, moving_within):
        await _chain(found, of, deployment, genesis)
        await _program(found, of, deployment)
        exchange = await _exchange(found, of, deployment)
        if exchange is not None:
            await _markets(found, of, deployment, exchange, list(dict.fromkeys(names)), clock)
        if owner is None:
            found.warning("wallet", "none was named: whether it can pay, and what stands in its sub-accounts, was not looked at")
        elif exchange is not None:
            await _owner(found, of, deployment, exchange, owner, signs or owner)
    await _engine(found, jito)
    _unknown(found, deployment)
    return found.done(*ISOLATION)


def _about(found: Findings, deployment: Deployment) -> None:
    """What is known of a deployment before anybody is asked."""
    frozen_why = FROZEN.get(deployment.name)
    if frozen_why is not None or deployment.program_id == DRIFT_V2.program_id:
        found.bad("deployment", "Drift v2 was drained on 2026-04-01 and has been frozen since: it can be read, and is nothing to trade on")
    elif deployment.layouts is VELOCITY_CLOB.layouts:
        found.bad("deployment", "of the branch with an order book only the sub-account's layout is known here: nothing else can be read")
    else:
        found.note("deployment", f"{deployment.name}, program {deployment.program_id}, read by the layouts of {deployment.version}")


def _unknown(found: Findings, deployment: Deployment) -> None:
    """What looking cannot tell: to be verified by a human, on chain, before money moves."""
    if deployment.program_id != DRIFT_V2.program_id:
        for one in _VERIFY:
            found.warning("verify", one.format(version=deployment.version))
    found.warning("verify", _NONCES)


# -- the chain and the program -----------------------------------------------------------------------------------------------


async def _chain(found: Findings, rpc: Rpc, deployment: Deployment, genesis: str | None) -> None:
    """Which chain the node is of, and which software it runs."""
    told = await found.ask("node", partial(rpc.call, "getVersion"), grade=Grade.NOTE)
    if isinstance(told, Mapping) and isinstance(told.get("solana-core"), str):
        found.note("node", f"runs {told['solana-core'][:40]}")
    wanted = genesis or _GENESIS.get(deployment.name, MAINNET)
    first = await found.ask("chain", partial(rpc.call, "getGenesisHash"))
    if first is None:
        return
    if first == wanted:
        found.good("chain", f"begins with {first}, {'as was asked for' if genesis else _CHAINS[wanted]}")
        return
    told_as = _CHAINS.get(first, "none that is known here") if isinstance(first, str) else "which is no hash"
    found.bad("chain", f"begins with {first!r} ({told_as}), and {deployment.name} is on that of {wanted} ({_CHAINS.get(wanted, 'given')})")


async def _program(found: Findings, rpc: Rpc, deployment: Deployment) -> None:
    """Whether the program is there, when it was changed, and who may change it."""
    at = address(deployment.program_id)

    async def ask() -> Account | None:
        return await rpc.account(at)

    account = await found.ask("program", partial(_some, ask))
    if account is None:
        return
    (program,) = account
    if program is None:
        found.bad("program", f"there is none at {at} on this chain")
        return
    if program.owner != _LOADER or len(program.data) < 36 or int.from_bytes(program.data[:4], "little") != _PROGRAM:
        found.bad("program", f"{at} belongs to {program.owner}, and is no program that the upgradeable loader ({_LOADER}) has")
        return
    code = Pubkey(program.data[4:36])
    config = {"encoding": "base64", "dataSlice": {"offset": 0, "length": _HEAD}, "commitment": "confirmed"}
    told = await found.ask("program", partial(rpc.call, "getAccountInfo", str(code), config), grade=Grade.WARNING)
    if told is None:
        return
    head = _head_of(told)
    if head is None:
        found.bad("program", f"its code at {code} is not there: it was closed, or the node does not say")
        return
    slot, by = int.from_bytes(head[4:12], "little"), Pubkey(head[13:45]) if head[12] else None
    if by is None:
        found.good("program", f"was last written in slot {slot}, and nobody can change it any more")
    else:
        found.note(
            "program", f"was last written in slot {slot}; {by} can change it at any time: note the slot, and look again if it is another"
        )


def _head_of(told: Any) -> bytes | None:
    """The head of a program's code as the loader keeps it; None for anything else."""
    try:
        head = b64decode(told["value"]["data"][0], validate=True)
    except (TypeError, KeyError, IndexError, ValueError):
        return None
    return head if len(head) >= _HEAD and int.from_bytes(head[:4], "little") == _PROGRAM_DATA and head[12] in (0, 1) else None


async def _some(ask: Callable[[], Any]) -> tuple[Any]:
    """An answer that may be None, so that it can be told from no answer."""
    return (await ask(),)


# -- the exchange ------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class _Exchange:
    """What was read of the exchange and is what it should be."""

    state: State
    quote: SpotMarket


async def _exchange(found: Findings, rpc: Rpc, deployment: Deployment) -> _Exchange | None:
    """The State and the quote coin with its vault. None where one of the two cannot be read: then nothing else is."""
    home = deployment.spot_market(deployment.quote.market)
    keys = [deployment.state(), home, deployment.spot_vault(deployment.quote.market), deployment.quote.mint]
    told = await found.ask("exchange", lambda: rpc.accounts([address(key) for key in keys]))
    if told is None:
        return None
    state_at, home_at, vault_at, mint_at = told.values
    state = _read(found, "State", deployment, read_state, state_at, keys[0])
    quote = _read(found, "quote coin", deployment, read_spot_market, home_at, keys[1])
    if state is not None:
        found.good("State", _layout("State", deployment, state_at))
        _paused(found, state)
        _fees(found, state)
    if quote is not None:
        _quote(found, deployment, quote, home_at, mint_at)
        _vault(found, deployment, quote, vault_at)
    return None if state is None or quote is None else _Exchange(state, quote)


def _read(found: Findings, subject: str, deployment: Deployment, read: Callable[..., T], account: Account | None, at: str) -> T | None:
    """An account as the deployment reads it; None, and a bad finding, where it is not there or is another."""
    if account is None:
        found.bad(subject, f"there is no account at {at}, the address that {deployment.name} derives")
        return None
    try:
        return read(deployment, str(account.address), str(account.owner), account.data, account.slot)
    except WrongAccount as error:
        found.bad(subject, str(error))
        return None


def _layout(kind: str, deployment: Deployment, account: Account | None) -> str:
    size, has = deployment.layout(kind).size, 0 if account is None else len(account.data)
    spare = f", of which {has - size} are beyond the layout" if has > size else ""
    return f"owner, address, discriminator and length are those of {deployment.version}: {has} bytes{spare}"


def _paused(found: Findings, state: State) -> None:
    if not state.exchange_status:
        found.good("exchange", "nothing is paused for the whole of it")
        return
    stops = ExchangePause.DEPOSIT | ExchangePause.WITHDRAW | ExchangePause.FILL | ExchangePause.LIQUIDATION | ExchangePause.SETTLE_PNL
    grade = Grade.BAD if state.exchange_status & stops else Grade.WARNING
    found.finds(grade, "exchange", f"paused for the whole of it: {_flags(state.exchange_status)}")


def _flags(flags: Flag) -> str:
    return ", ".join(str(one.name).lower().replace("_", " ") for one in type(flags) if one in flags)


def _fees(found: Findings, state: State) -> None:
    """The fee table as the State has it: rows that are the same are shown once."""
    rows: dict[str, None] = {}
    for one in state.perp_fees:
        if one.fee_denominator <= 0 or one.maker_denominator <= 0:
            break
        rows[f"{_bps(one.fee_numerator, one.fee_denominator)} / -{_bps(one.maker_numerator, one.maker_denominator)}"] = None
    if not rows:
        found.warning("fees", "the State has no table of them that can be read")
        return
    found.note("fees", f"the State says, in bps of the turnover by tier (taker / maker): {', '.join(rows)}")


def _bps(numerator: int, denominator: int) -> str:
    return decimal_text(numerator * 10_000 * 10**4 // denominator, 4)


def _quote(found: Findings, deployment: Deployment, quote: SpotMarket, account: Account | None, mint: Account | None) -> None:
    """The coin that everything is counted in: whether it is the one that the deployment says."""
    asset = deployment.quote.asset
    if quote.mint != deployment.quote.mint:
        found.bad("quote coin", f"its market has the mint {quote.mint}, and {asset} of {deployment.name} is {deployment.quote.mint}")
        return
    if mint is None:
        found.bad("quote coin", f"there is no mint {quote.mint} on this chain")
        return
    try:
        decimals = Mint.decode(mint).decimals
    except InvalidMarket as error:
        found.bad("quote coin", str(error))
        return
    if not decimals == quote.decimals == asset.scale:
        found.bad("quote coin", f"{asset} has {decimals} decimals by its mint, {quote.decimals} by its market, {asset.scale} here")
        return
    found.good("quote coin", f"{asset} by its mint {quote.mint}; {_layout('SpotMarket', deployment, account)}")
    if quote.status is not MarketStatus.ACTIVE:
        found.bad("quote coin", f"its market is {quote.status.value}")
    if quote.paused:
        grade = Grade.BAD if quote.paused & (SpotPause.DEPOSIT | SpotPause.WITHDRAW) else Grade.WARNING
        found.finds(grade, "quote coin", f"paused in its market: {_flags(quote.paused)}")


def _vault(found: Findings, deployment: Deployment, quote: SpotMarket, account: Account | None) -> None:
    """Whether the coins that are owed lie in the vault, and the vault is the program's."""
    vault = TokenAccount.find(account)
    if vault is None:
        found.bad("vault", f"there is no token account at {quote.vault}, where deposits lie")
        return
    if str(vault.owner) != deployment.signer() or str(vault.mint) != quote.mint:
        found.bad("vault", f"{quote.vault} is of {vault.owner} and {vault.mint}: should be of {deployment.signer()} and {quote.mint}")
        return
    scale = 10 ** (19 - quote.decimals)
    deposits = quote.deposit_balance * quote.deposit_index // scale
    lent = -(-quote.borrow_balance * quote.borrow_index // scale)
    owed = deposits - lent
    coin, places = deployment.quote.asset.code, quote.decimals
    has, due, out = (decimal_text(units, places) for units in (vault.amount, deposits, lent))
    text = f"holds {has} {coin}; {due} are owed to depositors, {out} are lent"
    if vault.amount < owed:
        found.bad("vault", f"{text}: {decimal_text(owed - vault.amount, places)} are missing")
    else:
        found.good("vault", text)
    if vault.frozen:
        found.bad("vault", f"{quote.vault} is frozen by the issuer: nothing goes in or out")


# -- markets -----------------------------------------------------------------------------------------------------------------


async def _markets(
    found: Findings, rpc: Rpc, deployment: Deployment, exchange: _Exchange, names: list[str], clock: Callable[[], int]
) -> None:
    """The perpetuals that are named, or all of them: their accounts, their status, their prices."""
    count = exchange.state.perp_markets
    if count > MOST_MARKETS:
        found.bad("markets", f"the State says that there are {count}: that is more than {MOST_MARKETS}, and none was looked at")
        return
    keys = [deployment.perp_market(index) for index in range(count)]
    told = await found.ask("markets", lambda: rpc.accounts([address(key) for key in keys]))
    if told is None:
        return
    there: dict[str, PerpMarket] = {}
    lengths: set[int] = set()
    for key, account in zip(keys, told.values, strict=True):
        market = _read(found, "markets", deployment, read_perp_market, account, key)
        if market is not None and account is not None:
            there[market.name.strip()] = market
            lengths.add(len(account.data))
    if there:
        sizes = ", ".join(map(str, sorted(lengths)))
        size = deployment.layout("PerpMarket").size
        text = f"{len(there)} of {count} perp markets are read by the layout of {size} bytes; theirs have {sizes}"
        found.finds(Grade.GOOD if len(there) == count else Grade.BAD, "markets", text)
    for name in names:
        if name not in there:
            near = get_close_matches(name, there, n=3, cutoff=0.4) or sorted(there)[:5]
            found.bad(f"market {name}", "there is none of this name" + (f"; there are {', '.join(near)}" if near else ""))
    chosen = [there[name] for name in names if name in there] if names else list(there.values())
    unasked: list[PerpMarket] = []
    if not names:  # what is no market to trade on is told in one line
        unasked = [one for one in chosen if one.status in (MarketStatus.DELISTED, MarketStatus.SETTLEMENT, MarketStatus.INITIALIZED)]
        chosen = [one for one in chosen if one not in unasked]
    if unasked:
        found.note("markets", f"not traded any more, or not yet: {', '.join(one.name.strip() for one in unasked)}")
    for start in range(0, max(1, len(chosen)), _AT_ONCE):
        part = chosen[start : start + _AT_ONCE]
        sight = await found.ask("prices", partial(_sight, rpc, deployment, part))
        if sight is None:
            return
        if not start:
            _quote_price(found, sight)
        for index in sorted(sight.perps):
            _market(found, deployment, sight, sight.perps[index], clock())


async def _sight(rpc: Rpc, deployment: Deployment, perps: Sequence[PerpMarket]) -> Look:
    """State, quote coin, markets and oracles of one slot. The oracles are known from a look before; one that moved is asked anew."""
    home = deployment.spot_market(deployment.quote.market)
    fixed = [deployment.state(), home, *(one.address for one in perps)]
    oracles = dict.fromkeys(one.oracle for one in perps)
    for _ in range(3):
        wanted = list(dict.fromkeys([*fixed, *oracles]))
        told = await rpc.accounts([address(key) for key in wanted])
        at = dict(zip(wanted, told.values, strict=True))
        state, quote = (_must(deployment, at[fixed[0]], read_state), _must(deployment, at[home], read_spot_market))
        markets = {one.index: one for one in (_must(deployment, at[key], read_perp_market) for key in fixed[2:])}
        priced: list[SpotMarket | PerpMarket] = [quote, *markets.values()]
        needed = {one.oracle for one in priced if one.oracle_source is not OracleSource.QUOTE_ASSET}
        if needed <= set(at):
            return Look(deployment, told.slot, state, None, {}, {quote.index: quote}, markets, {key: at[key] for key in oracles})
        oracles.update(dict.fromkeys(sorted(needed)))
    raise VenueUnavailable("the markets name other oracles each time that they are looked at")


def _must(deployment: Deployment, account: Account | None, read: Callable[..., T]) -> T:
    if account is None:
        raise VenueUnavailable("an account that was there a moment ago is not there any more")
    return read(deployment, str(account.address), str(account.owner), account.data, account.slot)


def _price(found: Findings, subject: str, sight: Look, market: PerpMarket | SpotMarket) -> Price | None:
    try:
        return price_of(sight, market)
    except SleevesError as error:
        found.bad(subject, str(error))
        return None


def _quote_price(found: Findings, sight: Look) -> None:
    quote = sight.spots[sight.deployment.quote.market]
    price = _price(found, "quote coin", sight, quote)
    if price is None:
        return
    text = f"its oracle says ${decimal_text(price.price, _PLACES)}, {price.age} slots old"
    if not price.validity.usable:
        found.bad("quote coin", f"{text}: {price.validity.value} for the program to work out margin with")
    elif abs(price.price - PRICE) >= OFF_PEG:
        found.warning("quote coin", f"{text}: it is off its peg, which scales every figure of every account")
    else:
        found.good("quote coin", text)


def _market(found: Findings, deployment: Deployment, sight: Look, market: PerpMarket, now: int) -> None:
    """One perpetual: whether it can be traded, at which terms, and whether its price and its funding go on."""
    name = market.name.strip()
    subject = f"market {name}"
    try:
        perp = Perp.of(deployment, market)
        least, step = (decimal_text(units, 9) for units in (perp.min_size, perp.step))
        terms = f"at least {least} {perp.base.code} in steps of {step}, prices in steps of {decimal_text(perp.tick, _PLACES)}"
        margin = f"margin {decimal_text(market.initial_ratio, 2)}% to open, {decimal_text(market.maintenance_ratio, 2)}% to keep"
        text = f"{market.status.value}; {terms}; {margin}"
        found.finds(Grade.GOOD if market.status is MarketStatus.ACTIVE else Grade.BAD, subject, text)
    except InvalidMarket as error:
        found.bad(subject, f"cannot be traded here: {error}")
    if market.paused:
        grade = Grade.BAD if market.paused & (PerpPause.FILL | PerpPause.SETTLE_PNL | PerpPause.LIQUIDATION) else Grade.WARNING
        found.finds(grade, subject, f"paused in it: {_flags(market.paused)}")
    price = _price(found, subject, sight, market)
    if price is not None:
        age = f"{price.age} slots old" + ("" if price.at is None else f", of {max(0, now - price.at) / SECOND:.0f} s ago")
        text = f"its oracle says {decimal_text(price.price, _PLACES)}, {age}"
        if price.validity.usable:
            found.good(subject, text)
        else:
            found.bad(subject, f"{text}: {price.validity.value} for the program to work out margin with")
    _funding(found, subject, market, now)


def _funding(found: Findings, subject: str, market: PerpMarket, now: int) -> None:
    """The last funding as a ratio of the price, and whether somebody goes on updating it."""
    try:
        ratio = funding_ratio(market)
    except InvalidMarket as error:
        found.bad(subject, str(error))
        return
    if ratio is None or market.funding_period <= 0:
        found.note(subject, "there was no funding yet")
        return
    text = f"the last funding was {float(ratio) * 100:.6f}% of the price in {market.funding_period} s"
    late = now // SECOND - market.last_funding_at
    if late >= 2 * market.funding_period:
        found.warning(subject, f"{text}, {late} s ago: nobody updates it")
    else:
        found.note(subject, text)


# -- the authority -----------------------------------------------------------------------------------------------------------


async def _owner(found: Findings, rpc: Rpc, deployment: Deployment, exchange: _Exchange, owner: str, signs: str) -> None:
    """The wallet, its quote coins, and its sub-accounts."""
    seen = await found.ask("sub-accounts", lambda: look(rpc, deployment, owner, (), ()))
    if seen is None:
        return
    made = 0 if seen.stats is None else seen.stats.sub_accounts_created
    await _wallet(found, rpc, deployment, owner, made)
    if signs != owner:
        await _fee_payer(found, rpc, signs)
    await _coins(found, rpc, deployment, exchange.quote, owner)
    if seen.stats is None:
        found.note("sub-accounts", "there are none yet: the first deposit creates what it needs")
    else:
        _stats(found, seen.stats)
    for start in range(0, made, _SUBS_AT_ONCE):
        numbers = range(start, min(made, start + _SUBS_AT_ONCE))
        part = await found.ask("sub-accounts", partial(look, rpc, deployment, owner, numbers))
        if part is None:
            continue
        lengths = await found.ask("sub-accounts", partial(_lengths, rpc, deployment, owner, numbers))
        for sub in sorted(part.users):
            _sub(found, deployment, part, part.users[sub], owner, signs, (lengths or {}).get(sub))


async def _lengths(rpc: Rpc, deployment: Deployment, owner: str, numbers: range) -> dict[int, int]:
    told = await rpc.accounts([address(deployment.user(owner, sub)) for sub in numbers])
    return {sub: len(one.data) for sub, one in zip(numbers, told.values, strict=True) if one is not None}


async def _wallet(found: Findings, rpc: Rpc, deployment: Deployment, owner: str, made: int) -> None:
    """Whether the authority is a wallet, and has SOL for fees, tips and the rent of what is not there yet."""

    async def ask() -> tuple[Account | None, int, int]:
        account = await rpc.account(address(owner))
        sizes = [deployment.layout(kind).size for kind in ("User", "UserStats")]
        user, stats = [await rpc.rent(size) for size in sizes]
        return account, user, stats

    told = await found.ask("wallet", ask)
    if told is None:
        return
    account, user, stats = told
    if account is None:
        found.bad("wallet", f"{owner} does not exist: nothing was ever sent there, so it can pay no fee")
        return
    if account.owner != SYSTEM:
        found.bad("wallet", f"{owner} is no wallet: it belongs to {account.owner}")
        return
    rent = user if made else user + stats
    has, one = decimal_text(account.lamports, _SOL_PLACES), decimal_text(rent, _SOL_PLACES)
    what = "the next sub-account" if made else "the first sub-account"
    text = f"{has} SOL; {what} locks {one} SOL of it as rent"
    if account.lamports < LEAST_SOL + rent:
        found.warning("wallet", f"{text}: less than {decimal_text(LEAST_SOL, _SOL_PLACES)} SOL would be left for fees and tips")
    else:
        found.good("wallet", text)


async def _fee_payer(found: Findings, rpc: Rpc, signs: str) -> None:
    """A delegate's key pays its own transactions."""
    lamports = await found.ask("key", lambda: rpc.balance(address(signs)))
    if lamports is None:
        return
    text = f"{signs} signs and pays as a delegate; it has {decimal_text(lamports, _SOL_PLACES)} SOL"
    if not lamports:
        found.bad("key", f"{text}: it can pay no fee")
    elif lamports < LEAST_SOL:
        found.warning("key", f"{text}: less than {decimal_text(LEAST_SOL, _SOL_PLACES)} SOL is soon used up by fees and tips")
    else:
        found.good("key", text)
    found.note("key", "a delegate moves no coins: deposits, withdrawals and moves between sub-accounts need the authority's key")


async def _coins(found: Findings, rpc: Rpc, deployment: Deployment, quote: SpotMarket, owner: str) -> None:
    """The authority's own coins, and who besides it can move them."""
    wallet, mint = address(owner), address(quote.mint)
    at = ata(wallet, mint, TOKEN_2022 if quote.token_2022 else TOKEN)
    told = await found.ask("coins", lambda: _some(lambda: rpc.account(at)))
    if told is None:
        return
    (account,) = told
    coin = deployment.quote.asset.code
    if account is None:
        found.note("coins", f"the wallet has no {coin} account: nothing can be deposited, and the first withdrawal opens one")
        return
    held = TokenAccount.find(account)
    if held is None or held.owner != wallet:
        found.bad("coins", f"{at} is not the wallet's {coin} account: it was given to somebody else")
        return
    found.good("coins", f"{decimal_text(held.amount, quote.decimals)} {coin} in the wallet")
    look_at_powers(found, "coins", held, wallet)


def _stats(found: Findings, stats: UserStats) -> None:
    """What the program keeps of an authority as a whole."""
    found.good("sub-accounts", f"{stats.sub_accounts} of {stats.sub_accounts_created} that were made are there")
    if stats.equity_breaker:
        found.bad("sub-accounts", "their breaker is set: no new risk, no withdrawals and no moves until an admin resets it")


def _sub(found: Findings, deployment: Deployment, seen: Look, user: User, owner: str, signs: str, length: int | None) -> None:
    """One sub-account: what is in it, who may act for it, and how it stands."""
    subject = f"sub-account {user.sub}"
    size = deployment.layout("User").size
    if length is not None and length != size:
        found.warning(subject, f"has {length} bytes, and {size} by the layout of {deployment.version}: another version?")
    coins = ", ".join(f"{decimal_text(tokens_in(one, market), market.decimals)} {market.name.strip()}" for one, market in _held(seen, user))
    contracts = [one for one in user.perps if one.base or one.quote]
    text = f"{user.name.strip()!r}: {coins or 'no coins'}, {_many(len(contracts), 'position')}, {_many(len(user.orders), 'open order')}"
    found.note(subject, text)
    for so, what in (
        (user.bankrupt, "is bankrupt"),
        (user.being_liquidated, "is being liquidated"),
        (any(one.is_isolated or one.isolated for one in user.perps), "has an isolated position, which no books here hold"),
        (any(one.being_liquidated or one.bankrupt for one in user.perps), "has a position that is being liquidated or is bankrupt"),
    ):
        if so:
            found.bad(subject, what)
    if user.reduce_only:
        found.warning(subject, "may only reduce: the program refuses new risk and borrowing in it")
    if user.high_leverage_maintenance:
        found.warning(subject, f"its margin mode is {user.margin_mode.value}: fees are higher, and the margin that keeps it is lower")
    if deployment.has(Feature.EQUITY_FLOOR) and user.equity_floor:
        floor = decimal_text(user.equity_floor, _PLACES)
        found.warning(subject, f"has a floor of equity of {floor}: below it, with its buffer, the program may refuse new risk")
    _delegate(found, subject, user, owner, signs)
    if contracts or any(one.borrowed for one in user.spots):
        _standing(found, subject, seen, user)


def _held(seen: Look, user: User) -> list[tuple[Any, SpotMarket]]:
    return [(one, seen.spots[one.market]) for one in user.spots if one.balance]


def _many(count: int, what: str) -> str:
    return f"no {what}s" if not count else f"{count} {what}{'' if count == 1 else 's'}"


def _delegate(found: Findings, subject: str, user: User, owner: str, signs: str) -> None:
    """Who besides the authority may trade in a sub-account, and whether the key that shall sign may."""
    if signs != owner:
        if user.delegate == signs:
            found.good(subject, "the key is its delegate: it may trade, cancel and settle")
        else:
            found.bad(subject, f"its delegate is {user.delegate or 'nobody'}, and {signs} shall sign: its orders would be refused")
    elif user.delegate is not None:
        found.warning(subject, f"{user.delegate} is its delegate, and may trade, cancel and settle in it beside this key")


def _standing(found: Findings, subject: str, seen: Look, user: User) -> None:
    """How far from liquidation it is."""
    try:
        figures: Figures = figures_of(seen, user)
    except VenueError as error:
        found.bad(subject, f"what it is worth is not known: {error}")
        return
    worth = decimal_text(figures.net_equity, _PLACES)
    text = f"health {figures.health}, equity {worth} {seen.deployment.quote.asset}"
    if figures.doubts:
        text = f"{text}, by prices that the program would not rely on: {'; '.join(figures.doubts)}"
    if figures.liquidatable:
        found.bad(subject, f"{text}: it can be liquidated now")
    elif figures.health < LEAST_HEALTH:
        found.warning(subject, f"{text}: nothing is taken out of it below {LEAST_HEALTH}")
    else:
        found.finds(Grade.WARNING if figures.doubts else Grade.GOOD, subject, text)


# -- the block engine --------------------------------------------------------------------------------------------------------


async def _engine(found: Findings, jito: Jito | None) -> None:
    if jito is None:
        found.note("jito", "no block engine was handed in: transactions go through the node, for everybody to see")
        return
    accounts = await found.ask("jito", jito.tip_accounts, grade=Grade.WARNING, hint="transactions go through the node then")
    if accounts is not None:
        found.good("jito", f"the block engine is reached, and has {len(accounts)} tip accounts")
