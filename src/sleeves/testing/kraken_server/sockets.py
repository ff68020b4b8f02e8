"""WebSocket v2: who listens to what, and what each is told, in the order in which it happened.

A `Socket` is one connection's list of messages that are to go out; who carries them is not known here.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...orders import Side
from .account import Account, Entry, Trade
from .market import INTERVALS, Level, Market
from .orders import KrakenOrder
from .wire import Number, fixed, number, shortened, stamp, text_of

if TYPE_CHECKING:
    from .exchange import KrakenExchange

__all__ = ["Socket", "Sockets"]

_PUBLIC = ("ticker", "ohlc", "trade", "book", "instrument")
_PRIVATE = ("executions", "balances")
_LAST_TRADES = 50
_DEPTHS = (10, 25, 100, 500, 1000)


class Socket:
    """One connection: what it listens to, and what waits to be sent to it. `wake` is called when something does."""

    def __init__(self, *, private: bool, wake: Callable[[], None], connection_id: int) -> None:
        self.private = private
        self.wake = wake
        self.connection_id = connection_id
        self.waiting: deque[str] = deque()
        self.dropped = False
        self.tickers: dict[str, str] = {}
        """Symbols, and what triggers an update."""
        self.candles: set[tuple[str, int]] = set()
        self.trades: set[str] = set()
        self.books: dict[str, tuple[int, tuple[list[Level], list[Level]]]] = {}
        self.instruments = False
        self.executions: dict[str, Any] | None = None
        self.balances: dict[str, Any] | None = None

    def send(self, message: dict[str, Any]) -> None:
        self.waiting.append(text_of(message))


class Sockets:
    """All connections of an exchange. Called under its lock."""

    def __init__(self, exchange: KrakenExchange) -> None:
        self.exchange = exchange
        self.open: list[Socket] = []
        self.repeat = 0
        self.lose = 0
        self._connected = 0

    # -- connections ---------------------------------------------------------------------------------------------------

    def connect(self, *, private: bool, wake: Callable[[], None]) -> Socket:
        """A new connection; the first thing that it is told is how the exchange is."""
        self._connected += 1
        socket = Socket(private=private, wake=wake, connection_id=self._connected)
        self.open.append(socket)
        socket.send(self._status(socket))
        return socket

    def leave(self, socket: Socket) -> None:
        if socket in self.open:
            self.open.remove(socket)

    def drop(self, *, private: bool, public: bool) -> None:
        for socket in list(self.open):
            if private if socket.private else public:
                socket.dropped = True
                self.open.remove(socket)
                socket.wake()

    def flush(self) -> None:
        """Have everything that waits sent."""
        for socket in self.open:
            if socket.waiting:
                socket.wake()

    def skip(self, n: int) -> None:
        for socket in self.open:
            for channel in (socket.executions, socket.balances):
                if channel is not None:
                    channel["sequence"] += n

    # -- what clients ask ----------------------------------------------------------------------------------------------

    def hear(self, socket: Socket, text: str) -> None:
        """A message of a client; answers wait in the socket."""
        began = self.exchange.clock()
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            socket.send({"error": "Malformed request", **self._times(began), "success": False})
            return
        method, params, answer = message.get("method"), message.get("params"), {}
        if isinstance(message.get("req_id"), int):
            answer["req_id"] = message["req_id"]
        if method == "ping":
            socket.send({"method": "pong", **answer, **self._times(began)})
            return
        if method not in ("subscribe", "unsubscribe"):
            known = {"method": method} if isinstance(method, str) else {}
            socket.send({**known, **answer, "error": "Unsupported method", "success": False, **self._times(began)})
            return
        for asked in self._asked(params if isinstance(params, dict) else {}):
            result, error = self._serve(socket, method, asked)
            if error:
                symbol = {"symbol": asked["symbol"]} if "symbol" in asked else {}
                socket.send({"error": error, "method": method, **answer, "success": False, **symbol, **self._times(began)})
                continue
            socket.send({"method": method, **answer, "result": result[0], "success": True, **self._times(began)})
            for snapshot in result[1:]:
                socket.send(snapshot)

    def _times(self, began: int) -> dict[str, str]:
        return {"time_in": stamp(began), "time_out": stamp(self.exchange.clock())}

    @staticmethod
    def _asked(params: dict[str, Any]) -> list[dict[str, Any]]:
        """What is asked, apart by symbol: each is answered for itself."""
        symbols = params.get("symbol")
        if isinstance(symbols, list) and params.get("channel") not in _PRIVATE:
            return [{**params, "symbol": symbol} for symbol in symbols] or [params]
        return [params]

    def _serve(self, socket: Socket, method: str, params: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        """The result and the snapshots that follow it, or an error."""
        channel = params.get("channel")
        if channel in _PRIVATE:
            if not socket.private:
                return [], "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
            return self._serve_private(socket, method, params)
        if channel not in _PUBLIC:
            return [], f"Channel {channel} not found" if isinstance(channel, str) else "Missing or malformed channel"
        if channel == "instrument":
            return self._serve_instruments(socket, method, params)
        symbol = params.get("symbol")
        market = self.exchange.markets.get(symbol) if isinstance(symbol, str) else None
        if market is None:
            return [], f"Currency pair not supported {symbol}"
        if method == "unsubscribe":
            return self._leave(socket, channel, market, params)
        return getattr(self, f"_join_{channel}")(socket, market, params)  # type: ignore[no-any-return]

    def _leave(self, socket: Socket, channel: str, market: Market, params: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        symbol, was = market.listed.symbol, True
        if channel == "ticker":
            was = socket.tickers.pop(symbol, None) is not None
        elif channel == "book":
            was = socket.books.pop(symbol, None) is not None
        elif channel == "trade":
            was = symbol in socket.trades
            socket.trades.discard(symbol)
        else:
            minutes = params.get("interval", 1)
            was = (symbol, minutes) in socket.candles
            socket.candles.discard((symbol, minutes))
        return ([{"channel": channel, "symbol": symbol}], "") if was else ([], "Subscription Not Found")

    def _join_ticker(self, socket: Socket, market: Market, params: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        symbol, trigger = market.listed.symbol, params.get("event_trigger", "trades")
        if trigger not in ("bbo", "trades"):
            return [], "event_trigger must be bbo or trades"
        if symbol in socket.tickers:
            return [], "Already subscribed"
        socket.tickers[symbol] = trigger
        snapshot = params.get("snapshot", True) is not False
        told = [{"channel": "ticker", "type": "snapshot", "data": [market.ws_ticker()]}] if snapshot else []
        return [{"channel": "ticker", "event_trigger": trigger, "snapshot": snapshot, "symbol": symbol}, *told], ""

    def _join_ohlc(self, socket: Socket, market: Market, params: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        symbol, minutes = market.listed.symbol, params.get("interval", 1)
        if minutes not in INTERVALS:
            return [], f"Ohlc interval not supported {minutes}"
        if (symbol, minutes) in socket.candles:
            return [], "Already subscribed"
        socket.candles.add((symbol, minutes))
        snapshot = params.get("snapshot", True) is not False
        rows = market.ws_ohlc(minutes, self.exchange.now, 720)
        told = [{"channel": "ohlc", "type": "snapshot", "timestamp": stamp(self.exchange.now), "data": rows}] if snapshot else []
        return [{"channel": "ohlc", "interval": minutes, "snapshot": snapshot, "symbol": symbol}, *told], ""

    def _join_trade(self, socket: Socket, market: Market, params: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        symbol = market.listed.symbol
        if symbol in socket.trades:
            return [], "Already subscribed"
        socket.trades.add(symbol)
        snapshot = params.get("snapshot", False) is True
        told = [{"channel": "trade", "type": "snapshot", "data": market.ws_trades(_LAST_TRADES)}] if snapshot else []
        return [{"channel": "trade", "snapshot": snapshot, "symbol": symbol}, *told], ""

    def _join_book(self, socket: Socket, market: Market, params: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        symbol, depth = market.listed.symbol, params.get("depth", 10)
        if depth not in _DEPTHS:
            return [], f"Book depth not supported {depth}"
        if symbol in socket.books:
            return [], "Already subscribed"
        socket.books[symbol] = depth, (market.bids, market.asks)
        snapshot = params.get("snapshot", True) is not False
        told = [{"channel": "book", "type": "snapshot", "data": [market.ws_book(depth, None)]}] if snapshot else []
        return [{"channel": "book", "depth": depth, "snapshot": snapshot, "symbol": symbol}, *told], ""

    def _serve_instruments(self, socket: Socket, method: str, params: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        if (method == "subscribe") is socket.instruments:
            return [], "Already subscribed" if socket.instruments else "Subscription Not Found"
        socket.instruments = method == "subscribe"
        snapshot = params.get("snapshot", True) is not False
        if not socket.instruments:
            return [{"channel": "instrument"}], ""
        assets = [
            {
                "id": code,
                "status": "enabled",
                "precision": asset.scale,
                "precision_display": self.exchange.listing.asset_info(code)["display_decimals"],
                "borrowable": False,
                "collateral_value": number(0, 0, 2),
                "margin_rate": number(0, 0, 6),
            }
            for code, asset in self.exchange.listing.assets.items()
        ]
        data = {"assets": assets, "pairs": [self._pair(market) for market in self.exchange.markets.values()]}
        told = [{"channel": "instrument", "type": "snapshot", "data": data}] if snapshot else []
        return [{"channel": "instrument", "snapshot": snapshot}, *told], ""

    @staticmethod
    def _pair(market: Market) -> dict[str, Any]:
        listed, instrument = market.listed, market.market
        return {
            "symbol": listed.symbol,
            "base": instrument.base.code,
            "quote": instrument.quote.code,
            "status": market.status,
            "qty_precision": listed.lot_decimals,
            "qty_increment": Number(instrument.lot),
            "qty_min": Number(instrument.min_qty),
            "price_precision": listed.pair_decimals,
            "price_increment": Number(instrument.tick),
            "tick_size": Number(instrument.tick),
            "cost_precision": listed.cost_decimals,
            "cost_min": Number(instrument.min_notional),
            "marginable": False,
            "has_index": True,
        }

    # -- private channels ----------------------------------------------------------------------------------------------

    def _serve_private(self, socket: Socket, method: str, params: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        token, channel = params.get("token"), params["channel"]
        key, expires = self.exchange.tokens.get(token, (None, 0)) if isinstance(token, str) else (None, 0)
        joined = socket.executions or socket.balances
        known = joined is not None and joined["token"] == token
        if key is None or (not known and expires < self.exchange.clock()):
            return [], "ESession:Invalid session"
        if (getattr(socket, channel) is None) is (method == "unsubscribe"):
            return [], "Subscription Not Found" if method == "unsubscribe" else "Already subscribed"
        if method == "unsubscribe":
            setattr(socket, channel, None)
            return [{"channel": channel}], ""
        account = self.exchange.account(key.account)
        state = {"account": account, "token": token, "sequence": 0, **params}
        setattr(socket, channel, state)
        return (self._join_executions if channel == "executions" else self._join_balances)(state), ""

    def _join_executions(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        account: Account = state["account"]
        orders = state["snap_orders"] = state.get("snap_orders", True) is not False
        trades = state["snap_trades"] = state.get("snap_trades", False) is True
        state["order_status"] = state.get("order_status", True) is not False
        most = self.exchange.tier.engine if self.exchange.tier is not None else 180
        result = {"channel": "executions", "maxratecount": most, "snap_orders": orders, "snap_trades": trades}
        data: list[dict[str, Any]] = []
        if trades:
            data += [self._of_trade(trade, snapshot=True) for trade in list(account.trades.values())[-_LAST_TRADES:][::-1]]
        if orders:
            data += [self._of_open(order) for order in account.orders.values() if order.open]
        if not trades and not orders:
            return [result]
        state["sequence"] += 1
        return [result, {"channel": "executions", "type": "snapshot", "data": data, "sequence": state["sequence"]}]

    def _join_balances(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        account: Account = state["account"]
        snapshot = state["snapshot"] = state.get("snapshot", True) is not False
        result = {"channel": "balances", "snapshot": snapshot}
        if not snapshot:
            return [result]
        by_code: dict[str, list[dict[str, Any]]] = {}
        sums: dict[str, int] = {}
        for asset, earning, units, _ in account.wallets():
            place = {"type": "earn", "id": "flex"} if earning else {"type": "spot", "id": "main"}
            by_code.setdefault(asset.code, []).append({**place, "balance": number(units, asset.scale)})
            sums[asset.code] = sums.get(asset.code, 0) + units
        data = [
            {"asset": code, "asset_class": "currency", "balance": number(sums[code], account.assets[code].scale), "wallets": wallets}
            for code, wallets in by_code.items()
        ]
        state["sequence"] += 1
        return [result, {"channel": "balances", "type": "snapshot", "data": data, "sequence": state["sequence"]}]

    # -- what happens --------------------------------------------------------------------------------------------------

    def tell(self, account: Account, what: str, subject: Any) -> None:
        """Something happened to an account: its sockets are told."""
        if what == "entry":
            self._tell_balances(account, subject)
            return
        order: KrakenOrder = subject.order if isinstance(subject, Trade) else subject
        if what == "new":
            self._report(account, [self._of_pending(order)], always=False)
            report = self._short(order, "new", "new", order.opentm)
        elif what == "trade":
            report = self._of_trade(subject, snapshot=False)
        else:
            report = self._of_end(order, what)
        self._report(account, [report], always=True)

    def _report(self, account: Account, data: list[dict[str, Any]], *, always: bool) -> None:
        lost = self.lose > 0
        self.lose -= lost
        times = 1 + (self.repeat > 0 and not lost)
        self.repeat -= times - 1
        for socket in self.open:
            state = socket.executions
            if state is None or state["account"] is not account or not (always or state["order_status"]):
                continue
            if state.get("ratecounter") is True and self.exchange.tier is not None:
                decay = self.exchange.tier.engine_decay
                level = max((one.now(self.exchange.clock(), decay) for one in account.engine.values()), default=0)
                data = [{**one, "ratecount": level} for one in data]
            for _ in range(times):
                state["sequence"] += 1
                if not lost:
                    socket.send({"channel": "executions", "type": "update", "data": data, "sequence": state["sequence"]})

    def _tell_balances(self, account: Account, entry: Entry) -> None:
        for socket in self.open:
            state = socket.balances
            if state is None or state["account"] is not account:
                continue
            state["sequence"] += 1
            data = {
                "ledger_id": entry.id,
                "ref_id": entry.refid,
                "timestamp": stamp(entry.at),
                "type": entry.type,
                **({"subtype": entry.subtype} if entry.subtype else {}),
                "asset": entry.asset.code,
                "asset_class": "currency",
                "category": {"earn": "staking-rewards"}.get(entry.type, entry.type),
                "wallet_type": "earn" if entry.earning else "spot",
                "wallet_id": "flex" if entry.earning else "main",
                "amount": number(entry.amount, entry.asset.scale),
                "fee": number(entry.fee, entry.asset.scale),
                "balance": number(entry.total, entry.asset.scale),
            }
            socket.send({"channel": "balances", "type": "update", "data": [data], "sequence": state["sequence"]})

    @staticmethod
    def _ids(order: KrakenOrder) -> dict[str, Any]:
        return {
            "order_id": order.txid,
            **({"cl_ord_id": order.cl_ord_id} if order.cl_ord_id is not None else {}),
            **({"order_userref": order.userref} if order.userref is not None else {}),
        }

    def _short(self, order: KrakenOrder, exec_type: str, status: str, at: int) -> dict[str, Any]:
        return {"timestamp": stamp(at), "order_status": status, "exec_type": exec_type, **self._ids(order)}

    def _sums(self, order: KrakenOrder) -> dict[str, Any]:
        market, places = order.market, order.market.listed.cost_decimals
        return {
            "cum_qty": Number(market.qty_text(order.filled)),
            "cum_cost": number(order.cost, places),
            "avg_price": Number(market.price_text(order.average)),
            "fee_usd_equiv": number(order.fee, order.fee_places),
        }

    def _terms(self, order: KrakenOrder) -> dict[str, Any]:
        market = order.market
        scale = market.market.price_scale
        terms: dict[str, Any] = {
            "symbol": market.listed.symbol,
            "side": order.side.value,
            "order_type": order.ordertype,
            "order_qty": Number(market.qty_text(order.volume)),
            "time_in_force": order.tif,
            "fee_ccy_pref": "fcib" if order.fee_in_base else "fciq",
        }
        if order.limit is not None:
            terms |= {"limit_price_type": "static", "limit_price": shortened(order.limit, scale)}
        if order.post:
            terms["post_only"] = True
        if order.expiretm:
            terms["expire_time"] = stamp(order.expiretm)
        if order.trigger is not None:
            price = shortened(order.trigger, scale)
            terms["stop_price"] = price
            status = {"status": "triggered", "timestamp": stamp(order.triggered)} if order.triggered else {"status": "untriggered"}
            terms["triggers"] = {"reference": "last", "price": price, "price_type": "static", "actual_price": price, **status}
        return terms

    def _of_pending(self, order: KrakenOrder) -> dict[str, Any]:
        zero = fixed(0, 0, order.market.listed.cost_decimals)
        of = {"cum_cost": Number(zero), "fee_usd_equiv": Number(zero)}
        return {
            **self._ids(order),
            **self._terms(order),
            **of,
            "exec_type": "pending_new",
            "order_status": "pending_new",
            "timestamp": stamp(order.opentm),
        }

    def _of_open(self, order: KrakenOrder) -> dict[str, Any]:
        status = "partially_filled" if order.filled else "new"
        terms = {"exec_type": "new", "order_status": status, "timestamp": stamp(order.opentm), "amended": False}
        return {**self._ids(order), **self._terms(order), **self._sums(order), **terms}

    def _of_trade(self, trade: Trade, *, snapshot: bool) -> dict[str, Any]:
        """A trade; the last one of an order still says partially_filled: that it is filled comes apart."""
        order, market = trade.order, trade.order.market
        places = market.listed.cost_decimals
        fee = number(trade.fee, trade.fee_places)
        told = {
            **self._ids(order),
            "exec_id": trade.id,
            "exec_type": "trade",
            "trade_id": trade.number,
            "symbol": market.listed.symbol,
            "side": "buy" if order.side is Side.BUY else "sell",
            "order_type": order.ordertype,
            "last_qty": Number(market.qty_text(trade.qty)),
            "last_price": shortened(trade.price, market.market.price_scale),
            "liquidity_ind": "m" if trade.maker else "t",
            "cost": number(trade.cost, places),
            "order_status": "filled" if snapshot and not order.open else "partially_filled",
            "timestamp": stamp(trade.at),
            "fee_usd_equiv": fee,
            "fees": [{"asset": trade.fee_code, "qty": fee}],
        }
        return told if snapshot else {**told, **self._sums(order)}

    def _of_end(self, order: KrakenOrder, what: str) -> dict[str, Any]:
        reason = {"reason": order.reason, "cancel_reason": order.reason} if order.reason else {}
        return {**self._short(order, what, what, order.closetm), **self._sums(order), **reason}

    def price(self, market: Market, *, traded: bool) -> None:
        """The market has moved, or only its best bid and ask."""
        symbol = market.listed.symbol
        for socket in self.open:
            if socket.tickers.get(symbol) == "bbo" or (traded and symbol in socket.tickers):
                socket.send({"channel": "ticker", "type": "update", "data": [market.ws_ticker()]})
            if symbol in socket.books:
                depth, before = socket.books[symbol]
                socket.books[symbol] = depth, (market.bids, market.asks)
                socket.send({"channel": "book", "type": "update", "data": [market.ws_book(depth, before)]})
            if not traded:
                continue
            if symbol in socket.trades and market.trades and market.trades[-1].at == market.at:
                socket.send({"channel": "trade", "type": "update", "data": market.ws_trades(1)})
            for other, minutes in socket.candles:
                if other == symbol:
                    now = self.exchange.now
                    rows = market.ws_ohlc(minutes, now)
                    socket.send({"channel": "ohlc", "type": "update", "timestamp": stamp(now), "data": rows})

    def _status(self, socket: Socket) -> dict[str, Any]:
        state = {"system": self.exchange.system, "api_version": "v2", "connection_id": socket.connection_id, "version": "2.0.10"}
        return {"channel": "status", "type": "update", "data": [state]}

    def status(self) -> None:
        for socket in self.open:
            socket.send(self._status(socket))

    def instrument(self, market: Market) -> None:
        for socket in self.open:
            if socket.instruments:
                socket.send({"channel": "instrument", "type": "update", "data": {"assets": [], "pairs": [self._pair(market)]}})
