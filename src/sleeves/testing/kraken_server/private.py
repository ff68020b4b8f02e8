"""Kraken's private endpoints: what each does and answers for an account.

Whether a call was signed, and how often one may call, was judged before.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ...money import Rounding, divide
from .account import Account, Entry, Trade
from .keys import Key
from .limits import Counter, cancel_cost
from .listing import schedule, wallet_id
from .market import Market
from .orders import KrakenOrder, flag, read_order
from .wire import Refused, fixed, seconds, stamp

if TYPE_CHECKING:
    from .exchange import KrakenExchange

__all__ = ["PRIVATE"]

SECOND = 1_000_000_000
PAGE = 50
_MOST_IDS = 50
_ID = re.compile(r"[A-Z0-9]{6}-[A-Z0-9]{5}-[A-Z0-9]{6}")
_TOKEN_LIVES = 900
_LONGEST_DEAD_MAN = 86_400
_VOLUME_CURRENCY = "ZUSD"

Args = Mapping[str, Any]


def _given(args: Args, name: str) -> str:
    value = args.get(name)
    return "" if value is None else str(value).strip()


# -- money ---------------------------------------------------------------------------------------------------------------


def _balance(exchange: KrakenExchange, key: Key, _args: Args) -> dict[str, Any]:
    wallets = exchange.account(key.account).wallets()
    return {wallet_id(asset.code, earning): fixed(units, asset.scale, asset.scale) for asset, earning, units, _ in wallets}


def _balance_ex(exchange: KrakenExchange, key: Key, _args: Args) -> dict[str, Any]:
    told = {}
    for asset, earning, units, held in exchange.account(key.account).wallets():
        zero = fixed(0, 0, asset.scale)
        told[wallet_id(asset.code, earning)] = {
            "balance": fixed(units, asset.scale, asset.scale),
            "hold_trade": fixed(held, asset.scale, asset.scale),
            "credit": zero,
            "credit_used": zero,
        }
    return told


def _trade_balance(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    code = exchange.listing.code_of(_given(args, "asset") or _VOLUME_CURRENCY)
    account = exchange.account(key.account)
    if code is None:
        raise Refused("EQuery:Unknown asset")
    scale = account.assets[code].scale
    own = account.sim.account.coins[code]
    worth = own
    for market in exchange.markets.values():
        if market.market.quote.code == code:
            units = account.sim.account.coins[market.market.base.code]
            worth += market.market.cost(market.last, units, Rounding.FLOOR)
    zero, text = fixed(0, 0, 4), fixed(worth, scale, 4)
    zeros = dict.fromkeys(("m", "uv", "n", "c", "v"), zero)
    return {"eb": text, "tb": fixed(own, scale, 4), **zeros, "e": text, "mf": text}


def _trade_volume(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account, fees = exchange.account(key.account), exchange.rules.fees
    asked = [name for name in _given(args, "pair").split(",") if name]
    since = exchange.now - 30 * 86_400 * SECOND
    volume = sum(
        divide(trade.cost * 10**4, 10**trade.order.market.listed.cost_decimals, Rounding.DOWN)
        for trade in account.trades.values()
        if trade.at > since and trade.order.market.market.quote.code == "USD"
    )
    told: dict[str, Any] = {"currency": _VOLUME_CURRENCY, "volume": fixed(volume, 4, 4)}
    if not asked:
        return told

    def of(rates: list[list[Any]]) -> dict[str, Any]:
        told = [f"{Decimal(rate):.4f}" for _, rate in rates]
        if len(rates) == 1:
            return dict.fromkeys(("fee", "minfee", "maxfee"), told[0]) | {"nextfee": None, "tiervolume": "0.0000", "nextvolume": None}
        return {
            "fee": told[0],
            "minfee": told[-1],
            "maxfee": told[0],
            "nextfee": told[1],
            "tiervolume": "0.0000",
            "nextvolume": f"{rates[1][0]}.0000",
        }

    taker, maker = schedule(fees)
    ids = [_pair(exchange, name).listed.id for name in asked]
    told["fees"] = {one: of(taker) for one in ids}
    told["fees_maker"] = {one: of(maker) for one in ids}
    return told


# -- orders --------------------------------------------------------------------------------------------------------------


def _pair(exchange: KrakenExchange, name: str) -> Market:
    listed = exchange.listing.pair(name)
    if listed is None:
        raise Refused("EQuery:Unknown asset pair")
    return exchange.markets[listed.symbol]


def _check_modes(exchange: KrakenExchange, market: Market, args: Args) -> None:
    """Whether the exchange and the pair take such orders now."""
    post = "post" in _given(args, "oflags").split(",")
    for mode in (exchange.system, market.status):
        closed = {
            "cancel_only": True,
            "post_only": not post,
            "limit_only": not _given(args, "ordertype").endswith("limit"),
            "reduce_only": True,
        }
        if closed.get(mode, False):
            raise Refused(f"EService:Market in {mode} mode")


def _count_engine(exchange: KrakenExchange, account: Account, market: Market, cost: int, *, refuses: bool = True) -> None:
    tier = exchange.tier
    if tier is None:
        return
    counter = account.engine.setdefault(market.listed.symbol, Counter())
    if not counter.add(cost, exchange.clock(), tier.engine_decay, tier.engine) and refuses:
        raise Refused("EOrder:Rate limit exceeded")


def _add_order(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    if not _given(args, "pair"):
        raise Refused("EGeneral:Invalid arguments:pair")
    market = _pair(exchange, _given(args, "pair"))
    validate = flag(args, "validate")
    if not validate:
        _count_engine(exchange, account, market, 1)
    _check_modes(exchange, market, args)
    order = read_order(args, market, exchange.now, "" if validate else exchange.ids.make("O")[0])
    standing = [one for one in account.orders.values() if one.open]
    if order.cl_ord_id is not None and any(one.cl_ord_id == order.cl_ord_id for one in standing):
        raise Refused("EGeneral:Invalid arguments:cl_ord_id")
    if exchange.tier is not None and sum(one.market is market for one in standing) >= exchange.tier.open_orders:
        raise Refused("EOrder:Orders limit exceeded")
    account.check(order)
    described = {"descr": {"order": order.text}}
    if validate:
        return described
    account.place(order)
    return {**described, "txid": [order.txid]}


def _add_order_batch(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    orders = args.get("orders")
    if not isinstance(orders, list) or not 2 <= len(orders) <= 15 or not all(isinstance(one, dict) for one in orders):
        raise Refused("EGeneral:Invalid arguments:orders")
    told: list[dict[str, Any]] = []
    for one in orders:
        terms = {"pair": args.get("pair"), "deadline": args.get("deadline"), "validate": args.get("validate"), **one}
        try:
            made = _add_order(exchange, key, terms)
        except Refused as refused:
            told.append({"error": refused.error})
        else:
            told.append({**made, **({"txid": made["txid"][0]} if "txid" in made else {})})
    return {"orders": told}


def _named(account: Account, args: Args, *, standing: bool) -> list[KrakenOrder]:
    """The orders that a txid, a userref in its place, or a cl_ord_id names."""
    name, cl_ord_id = _given(args, "txid"), _given(args, "cl_ord_id")
    if bool(name) is bool(cl_ord_id):
        raise Refused("EGeneral:Invalid arguments")
    orders = [one for one in account.orders.values() if one.open or not standing]
    if cl_ord_id:
        return [one for one in orders if one.cl_ord_id == cl_ord_id]
    found = [one for one in orders if one.txid == name]
    return found or [one for one in orders if one.userref is not None and str(one.userref) == name]


def _cancel_order(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    orders = _named(account, args, standing=True)
    if not orders:
        raise Refused("EOrder:Unknown order")
    for order in orders:
        _cancel_one(exchange, account, order)
    return {"count": len(orders)}


def _cancel_one(exchange: KrakenExchange, account: Account, order: KrakenOrder) -> None:
    _count_engine(exchange, account, order.market, cancel_cost(exchange.now - order.opentm), refuses=False)
    account.cancel(order, exchange.now)


def _cancel_batch(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    names = [("txid", one) for one in _listed(args, "orders")] + [("cl_ord_id", one) for one in _listed(args, "cl_ord_ids")]
    if not 1 <= len(names) <= _MOST_IDS:
        raise Refused("EGeneral:Invalid arguments:orders")
    count = 0
    for what, one in names:
        for order in _named(account, {what: one}, standing=True):
            _cancel_one(exchange, account, order)
            count += 1
    if not count:
        raise Refused("EOrder:Unknown order")
    return {"count": count}


def _listed(args: Args, name: str) -> list[str]:
    value = args.get(name) or []
    if not isinstance(value, list):
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return [str(one.get("txid", one.get("cl_ord_id", ""))) if isinstance(one, dict) else str(one) for one in value]


def _cancel_all(exchange: KrakenExchange, key: Key, _args: Args) -> dict[str, Any]:
    return {"count": exchange.account(key.account).cancel_all(exchange.now)}


def _dead_man(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    text = _given(args, "timeout")
    if not (text.isascii() and text.isdigit()) or int(text) > _LONGEST_DEAD_MAN:
        raise Refused("EGeneral:Invalid arguments:timeout")
    timeout = int(text) * SECOND
    exchange.account(key.account).dead_man = exchange.clock() + timeout if timeout else 0
    return {"currentTime": stamp(exchange.now, 0), "triggerTime": stamp(exchange.now + timeout, 0) if timeout else "0"}


def _open_orders(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    orders = [one for one in account.orders.values() if one.open and _wanted(one, args)]
    return {"open": {one.txid: one.info(trades=flag(args, "trades")) for one in reversed(orders)}}


def _wanted(order: KrakenOrder, args: Args) -> bool:
    userref, cl_ord_id = _given(args, "userref"), _given(args, "cl_ord_id")
    return (not userref or str(order.userref) == userref) and (not cl_ord_id or order.cl_ord_id == cl_ord_id)


def _closed_orders(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    which = _given(args, "closetime") or "both"
    if which not in ("open", "close", "both"):
        raise Refused("EGeneral:Invalid arguments:closetime")

    def times(order: KrakenOrder) -> tuple[int, ...]:
        return {"open": (order.opentm,), "close": (order.closetm,), "both": (order.opentm, order.closetm)}[which]

    orders = [one for one in account.orders.values() if not one.open and _wanted(one, args)]
    orders.sort(key=lambda one: one.closetm)
    between = _between(args, lambda name: account.orders[name].opentm if name in account.orders else None)
    orders = [one for one in orders if any(map(between, times(one)))]
    page, count = _page(orders, args)
    return {"closed": {one.txid: one.info(trades=flag(args, "trades")) for one in page}, **count}


def _query_orders(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    cl_ord_id = _given(args, "cl_ord_id")
    if cl_ord_id:
        found = {one.txid: one for one in account.orders.values() if one.cl_ord_id == cl_ord_id}
    else:
        found = {name: account.orders[name] for name in _ids(args, "txid") if name in account.orders}
    return {name: one.info(trades=flag(args, "trades")) for name, one in found.items() if _wanted(one, {**args, "cl_ord_id": ""})}


def _ids(args: Args, name: str) -> list[str]:
    found = [one.strip() for one in _given(args, name).split(",") if one.strip()]
    if any(_ID.fullmatch(one) is None for one in found):
        raise Refused("EOrder:Invalid order" if name == "txid" else f"EGeneral:Invalid arguments:{name}")
    if not 1 <= len(found) <= _MOST_IDS:
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return found


# -- the past ------------------------------------------------------------------------------------------------------------


def _between(args: Args, by_name: Callable[[str], int | None]) -> Callable[[int], bool]:
    """Whether an instant lies after `start`, which is left out, and not after `end`, as times are told: to 4 decimals."""

    def bound(name: str) -> Decimal | None:
        text = _given(args, name)
        if not text:
            return None
        at = by_name(text)
        if at is not None:
            return Decimal(seconds(at))
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise Refused(f"EGeneral:Invalid arguments:{name}") from None
        if not value.is_finite():
            raise Refused(f"EGeneral:Invalid arguments:{name}")
        return value

    start, end = bound("start"), bound("end")

    def inside(at: int) -> bool:
        shown = Decimal(seconds(at))
        return (start is None or shown > start) and (end is None or shown <= end)

    return inside


def _page(rows: list[Any], args: Args) -> tuple[list[Any], dict[str, int]]:
    """Fifty rows of all, given oldest first and told newest first, from `ofs` on, and how many there are."""
    text = _given(args, "ofs") or "0"
    if not (text.isascii() and text.isdigit()):
        raise Refused("EGeneral:Invalid arguments:ofs")
    count = {} if flag(args, "without_count") else {"count": len(rows)}
    return rows[::-1][int(text) : int(text) + PAGE], count


def _trades_history(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    kind = _given(args, "type") or "all"
    if kind not in ("all", "any position", "closed position", "closing position", "no position"):
        raise Refused("EGeneral:Invalid arguments:type")
    between = _between(args, lambda name: account.trades[name].at if name in account.trades else None)
    trades: list[Trade] = [one for one in account.trades.values() if between(one.at) and kind in ("all", "no position")]
    page, count = _page(trades, args)
    lines = flag(args, "ledgers") if _given(args, "ledgers") else exchange.names_lines
    return {"trades": {one.id: one.info(lines=lines) for one in page}, **count}


def _query_trades(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    return {name: account.trades[name].info() for name in _ids(args, "txid") if name in account.trades}


def _shown(exchange: KrakenExchange, account: Account) -> Iterable[Entry]:
    now = exchange.clock()
    return (one for one in account.ledger.values() if one.shown_at <= now)


def _ledgers(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    wanted = [name for name in _given(args, "asset").split(",") if name and name != "all"]
    codes = [exchange.listing.code_of(name.removesuffix(".F")) for name in wanted]
    if any(code is None for code in codes):
        raise Refused("EQuery:Unknown asset")
    kind = _given(args, "type") or "all"
    wallets = {wallet_id(code, name.endswith(".F")) for code, name in zip(codes, wanted, strict=True) if code is not None}
    between = _between(args, lambda name: account.ledger[name].at if name in account.ledger else None)
    entries = [
        one
        for one in _shown(exchange, account)
        if between(one.at) and kind in ("all", one.type) and (not wallets or wallet_id(one.asset.code, one.earning) in wallets)
    ]
    page, count = _page(entries, args)
    return {"ledger": {one.id: one.info() for one in page}, **count}


def _query_ledgers(exchange: KrakenExchange, key: Key, args: Args) -> dict[str, Any]:
    account = exchange.account(key.account)
    shown = {one.id: one for one in _shown(exchange, account)}
    return {name: shown[name].info() for name in _ids(args, "id") if name in shown}


# -- the key -------------------------------------------------------------------------------------------------------------


def _token(exchange: KrakenExchange, key: Key, _args: Args) -> dict[str, Any]:
    made = sha256(f"{key.api_key} {key.highest} {exchange.clock()}".encode()).digest()
    token = base64.b64encode(made).decode().rstrip("=")
    exchange.tokens[token] = key, exchange.clock() + _TOKEN_LIVES * SECOND
    return {"token": token, "expires": _TOKEN_LIVES}


def _key_info(_exchange: KrakenExchange, key: Key, _args: Args) -> dict[str, Any]:
    return key.info()


PRIVATE: dict[str, Callable[[KrakenExchange, Key, Args], dict[str, Any]]] = {
    "Balance": _balance,
    "BalanceEx": _balance_ex,
    "TradeBalance": _trade_balance,
    "TradeVolume": _trade_volume,
    "AddOrder": _add_order,
    "AddOrderBatch": _add_order_batch,
    "CancelOrder": _cancel_order,
    "CancelOrderBatch": _cancel_batch,
    "CancelAll": _cancel_all,
    "CancelAllOrdersAfter": _dead_man,
    "OpenOrders": _open_orders,
    "ClosedOrders": _closed_orders,
    "QueryOrders": _query_orders,
    "TradesHistory": _trades_history,
    "QueryTrades": _query_trades,
    "Ledgers": _ledgers,
    "QueryLedgers": _query_ledgers,
    "GetWebSocketsToken": _token,
    "GetApiKeyInfo": _key_info,
}
"""By name, what a private endpoint does and answers."""
