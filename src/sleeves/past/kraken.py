"""Kraken's own exports: trades.csv and ledgers.csv, as its history page hands them out (times in UTC, unzipped).

Names are looked up, never sliced: XXBTZUSD is a pair because BTC may be called XXBT and USD may be called ZUSD. An
asset's other wallets (ETH.F, SOL03.S, or the column "wallet") are kept apart and shown. What the columns mean is from
Kraken's support pages "How to interpret Trades history fields" and "How to interpret Ledger history fields".

This module knows nothing of sleeves, and asks Kraken nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import product
from types import MappingProxyType

from ..errors import InvalidAmount
from ..facts import FlowKind
from ..market import Instrument, Kind
from ..money import Amount, AmountLike, Asset
from ..orders import Liquidity, Side
from .cells import Clock, exact
from .history import History, Line, Note, PastTrade, forward, gather, place
from .table import BadHistory, Place, Row, read_all, shown, table
from .trade import Rounded, amount_of, trade_of

__all__ = ["KRAKEN_NAMES", "kraken_balances", "kraken_ledgers", "kraken_trades"]

VENUE = "kraken"

KRAKEN_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "XXBT": "BTC",
        "XBT": "BTC",
        "XETH": "ETH",
        "XXRP": "XRP",
        "XLTC": "LTC",
        "XXLM": "XLM",
        "XXMR": "XMR",
        "XZEC": "ZEC",
        "XETC": "ETC",
        "XXDG": "DOGE",
        "XDG": "DOGE",
        "XMLN": "MLN",
        "XREP": "REP",
        "ZUSD": "USD",
        "ZEUR": "EUR",
        "ZGBP": "GBP",
        "ZCAD": "CAD",
        "ZJPY": "JPY",
        "ZAUD": "AUD",
    }
)
"""Names that Kraken has for assets besides the usual code."""

_SUFFIXES = ("F", "S", "M", "B", "P", "T", "HOLD")
"""Wallets of an asset: earning automatically, staked, opt-in rewards, yield products, parachain, tokenised, on hold."""

_MAIN = ("", "spot / main")
Names = Mapping[str, "str | tuple[str, str]"]
Wallet = tuple[Asset, str]

_KINDS: Mapping[str, FlowKind] = {
    "trade": FlowKind.TRADE,
    "spend": FlowKind.TRADE,
    "receive": FlowKind.TRADE,
    "spend/dustsweeping": FlowKind.DUST,
    "receive/dustsweeping": FlowKind.DUST,
    "deposit": FlowKind.DEPOSIT,
    "withdrawal": FlowKind.WITHDRAWAL,
    "transfer": FlowKind.OTHER,
    "transfer/airdrop": FlowKind.REWARD,
    "transfer/spottostaking": FlowKind.EARN,
    "transfer/stakingfromspot": FlowKind.EARN,
    "transfer/stakingtospot": FlowKind.EARN,
    "transfer/spotfromstaking": FlowKind.EARN,
    "transfer/spottofutures": FlowKind.WITHDRAWAL,
    "transfer/spotfromfutures": FlowKind.DEPOSIT,
    "earn/allocation": FlowKind.EARN,
    "earn/deallocation": FlowKind.EARN,
    "earn/autoallocate": FlowKind.EARN,
    "earn/autoallocation": FlowKind.EARN,
    "earn/migration": FlowKind.EARN,
    "earn/reward": FlowKind.REWARD,
    "earn/airdrop": FlowKind.REWARD,
    "staking": FlowKind.REWARD,
    "reward": FlowKind.REWARD,
    "dividend": FlowKind.REWARD,
    "invite bonus": FlowKind.REWARD,
    "margin": FlowKind.SETTLEMENT,
    "margin trade": FlowKind.SETTLEMENT,
    "settled": FlowKind.SETTLEMENT,
    "rollover": FlowKind.FUNDING,
    "adjustment": FlowKind.OTHER,
    "collateralconversion": FlowKind.OTHER,
}
"""Kraken's type, with its subtype where that says more, and what it is to us."""


def kraken_trades(
    path: str | os.PathLike[str],
    instruments: Iterable[Instrument] | Mapping[str, Instrument],
    *,
    names: Names | None = None,
    repair: bool = False,
) -> History:
    """The trades of a trades.csv, in order of time.

    A pair is known by every way of writing its base and quote together or with a slash, or, where `instruments` is a
    mapping, by that table alone. `names` adds to `KRAKEN_NAMES`. The fee is what this file says: in the quote asset,
    though it may have been charged in another one; `by_ledger` takes it from the ledger. The file does not say who made
    the market, unless it has a column `maker`: taker is assumed. Tags are from a column `cl_ord_id` or `userref`.

    Raises `BadHistory` with file, row, value and rule for whatever cannot be read: an unknown pair, a figure that is no
    exact number of its asset's units, a margin trade (it moves no coins), one txid with two contents. With `repair` such
    rows, two contents apart, are left out and listed in `left_out`.
    """
    pairs = dict(instruments) if isinstance(instruments, Mapping) else _pairs(tuple(instruments), _codes(names))
    rows, _ = table(path, ("txid", "ordertxid", "pair", "time", "type", "price", "cost", "fee", "vol", "margin"))
    told: list[tuple[str, PastTrade]] = []
    rounded, clock = Rounded(), Clock()
    left_out = read_all(rows, lambda row: told.append((str(row.place), _trade(row, pairs, clock, rounded))), repair)
    pair_of: dict[str, Instrument] = {}
    for where, trade in told:
        first = pair_of.setdefault(trade.fill.trade_id, trade.fill.instrument)
        if first != trade.fill.instrument:
            raise BadHistory(f"txid {shown(trade.fill.trade_id)} in {where} is of {trade.fill.instrument}, and of {first} before")
    return gather(forward(told, lambda trade: trade.fill.at), notes=rounded.notes, left_out=left_out)


def _trade(row: Row, pairs: Mapping[str, Instrument], clock: Clock, rounded: Rounded) -> PastTrade:
    pair, kind = row.text("pair"), row.text("type")
    if pair not in pairs:
        raise row.place.wrong(f"pair {shown(pair)} is none of {_listed(pairs)}")
    market = pairs[pair]
    if kind not in ("buy", "sell"):
        raise row.place.wrong(f"type {shown(kind)} is neither buy nor sell")
    closes = {"closing", "liquidated"} & set(row.maybe("misc").split(","))
    if _number(row, "margin") or closes:
        raise row.place.wrong(f"a margin trade (margin {row.text('margin')}, misc {shown(row.maybe('misc'))}): it moves no coins")
    maker = row.maybe("maker").lower()
    return trade_of(
        row.place,
        market,
        id=row.text("txid"),
        order=row.text("ordertxid"),
        at=_time(row, clock),
        side=Side(kind),
        qty=_number(row, "vol"),
        price=_number(row, "price"),
        cost=_number(row, "cost"),
        fees=[amount_of(row.place, "fee", _number(row, "fee"), market.quote)],
        liquidity=Liquidity.MAKER if maker in ("true", "1") else Liquidity.TAKER,
        venue=VENUE,
        rounded=rounded,
        tag=row.maybe("cl_ord_id") or row.maybe("userref"),
    )


def kraken_ledgers(path: str | os.PathLike[str], assets: Iterable[Asset], *, names: Names | None = None, repair: bool = False) -> History:
    """The lines of a ledgers.csv, in order of time, with the wallet that each stands in.

    An asset is known by its code, by what `KRAKEN_NAMES` and `names` call it (a name may stand for a wallet too:
    `{"ETH2": ("ETH", ".S")}`), and by those names with a wallet's suffix. Kraken counts bitcoin and ether with ten
    decimal places, so `Asset("BTC", 10)`. A row without txid and balance was asked for and not booked: it is no line,
    and noted. A type that is not known here is `FlowKind.OTHER`, and noted.

    Raises `BadHistory` with file, row, value and rule for whatever cannot be read; `repair` as in `kraken_trades`.
    """
    wallets = _wallets(tuple(assets), _codes(names), names or {})
    rows, _ = table(path, ("txid", "refid", "time", "type", "asset", "amount", "fee", "balance"))
    told: list[tuple[str, Line]] = []
    pending: list[str] = []
    unknown: dict[str, list[str]] = {}
    clock = Clock()

    def read(row: Row) -> None:
        if not row.maybe("txid") and not row.maybe("balance"):
            pending.append(str(row.place))
            return
        line = _line(row, wallets, clock)
        if line.type not in _KINDS and line.type.partition("/")[0] not in _KINDS:
            unknown.setdefault(line.type, []).append(str(row.place))
        told.append((str(row.place), line))

    left_out = read_all(rows, read, repair)
    notes = [Note("rows asked for and not booked, no lines", tuple(pending))] if pending else []
    notes += [Note(f"lines of the unknown type {shown(name)}, taken as other", tuple(places)) for name, places in unknown.items()]
    return gather(lines=forward(told, lambda line: line.at), notes=tuple(notes), left_out=left_out)


def _line(row: Row, wallets: Mapping[str, Wallet], clock: Clock) -> Line:
    name, type_, subtype = row.text("asset"), row.text("type"), row.maybe("subtype")
    if name not in wallets:
        raise row.place.wrong(f"asset {shown(name)} is none of {_listed({asset.code: 0 for asset, _ in wallets.values()})}")
    asset, wallet = wallets[name]
    charged = row.maybe("feecurrency")
    if charged and wallets.get(charged, (None, ""))[0] != asset:
        raise row.place.wrong(f"fee in {shown(charged)} on a line of {name}: a line is of one asset")
    column = row.maybe("wallet")
    if column not in _MAIN:
        wallet = f"{wallet} {column}".strip()
    words = f"{type_}/{subtype}" if subtype else type_
    amount, fee, balance = (amount_of(row.place, what, _number(row, what), asset) for what in ("amount", "fee", "balance"))
    kind = _KINDS.get(words) or _KINDS.get(type_, FlowKind.OTHER)
    return Line(_time(row, clock), kind, amount, fee, balance, wallet, row.text("txid"), row.maybe("refid"), words, VENUE)


def kraken_balances(reply: Mapping[str, AmountLike], assets: Iterable[Asset], *, names: Names | None = None) -> dict[str, Amount]:
    """What Kraken's `Balance` call answers, as amounts by the name of their wallet, for `explain_balances`.

    Raises `BadHistory` for an asset that is none of these, or a figure that is no exact amount.
    """
    wallets = _wallets(tuple(assets), _codes(names), names or {})
    found: dict[str, Amount] = {}
    for number, (name, value) in enumerate(reply.items(), 1):
        where = Place("Kraken's balances", number)
        if name not in wallets:
            raise where.wrong(f"asset {shown(name)} is none of {_listed({asset.code: 0 for asset, _ in wallets.values()})}")
        asset, wallet = wallets[name]
        try:
            amount = value if isinstance(value, Amount) else amount_of(where, name, exact(value), asset)
        except InvalidAmount as error:
            raise where.wrong(f"{name}: {error}") from error
        key = place(asset, wallet)
        found[key] = found.get(key, asset.zero) + amount
    return found


# -- names ---------------------------------------------------------------------------------------------------------------


def _codes(names: Names | None) -> dict[str, list[str]]:
    """All names of each code, its own first."""
    codes: dict[str, list[str]] = {}
    for name, code in {**KRAKEN_NAMES, **(names or {})}.items():
        if isinstance(code, str):
            codes.setdefault(code, [code]).append(name)
    return codes


def _pairs(instruments: tuple[Instrument, ...], codes: Mapping[str, list[str]]) -> dict[str, Instrument]:
    """Every name under which Kraken may write a pair. Raises `BadHistory` for a name that two instruments could have."""
    pairs: dict[str, Instrument] = {}
    for market in instruments:
        if market.kind is not Kind.SPOT:
            raise BadHistory(f"{market} is a perpetual: Kraken's spot export has none")
        bases, quotes = (codes.get(asset.code, [asset.code]) for asset in (market.base, market.quote))
        for base, quote, between in product(bases, quotes, ("", "/")):
            name = base + between + quote
            if pairs.setdefault(name, market) != market:
                raise BadHistory(f"pair {name!r} could be {pairs[name]} or {market}: give a mapping of pair names to instruments")
    return pairs


def _wallets(assets: tuple[Asset, ...], codes: Mapping[str, list[str]], names: Names) -> dict[str, Wallet]:
    """Every name under which Kraken may write a wallet of an asset. Raises `BadHistory` for a name that two could have."""
    wallets: dict[str, Wallet] = {}
    known = {asset.code: asset for asset in assets}

    def add(name: str, wallet: Wallet) -> None:
        if wallets.setdefault(name, wallet) != wallet:
            raise BadHistory(f"asset {name!r} could be {wallets[name]} or {wallet}: leave one of them out of names")

    for asset in assets:
        for name in codes.get(asset.code, [asset.code]):
            add(name, (asset, ""))
            for suffix in _SUFFIXES:
                add(f"{name}.{suffix}", (asset, f".{suffix}"))
            for days in range(100):
                add(f"{name}{days:02}.S", (asset, f"{days:02}.S"))
    for name, meant in names.items():
        if isinstance(meant, tuple) and meant[0] in known:
            wallets[name] = known[meant[0]], meant[1]
    return wallets


def _listed(names: Iterable[str]) -> str:
    found = sorted(set(names))
    return ", ".join(found[:12]) + (", ..." if len(found) > 12 else "") or "none: no instrument or asset was given"


# -- cells ---------------------------------------------------------------------------------------------------------------


def _number(row: Row, name: str) -> Decimal:
    try:
        return exact(row.text(name))
    except InvalidAmount as error:
        raise row.place.wrong(f"{name} {error}") from error


def _time(row: Row, clock: Clock) -> int:
    try:
        return clock.read(row.text("time"))
    except InvalidAmount as error:
        raise row.place.wrong(str(error)) from error
