"""Kraken Futures' shape: what an unmodified ccxt asks of it, answered from a `House`. Signatures are checked, numbers are numbers."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

from ccxt_house import House, Number, Request, Row, Trade, shape_app

from sleeves.market import SECOND

KEY, SECRET = "futures-key-0123456789", base64.b64encode(b"futures secret of sixty-four bytes, or some more.").decode()
STATUSES = {
    "insufficient": "insufficientAvailableFunds",
    "leverage": "insufficientAvailableFunds",
    "post only": "postWouldExecute",
    "reduce only": "wouldNotReducePosition",
    "minimum or lot": "invalidSize",
    "tick": "invalidPrice",
}
FINISHED_FOR = 5 * SECOND
"""How long `orders/status` still knows an order that is done."""


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ns // 10**6 % 1000:03}Z"


def ms(ns: int) -> int:
    return ns // 1_000_000


class Futures:
    def __init__(self, house: House) -> None:
        self.house = house
        self.app = shape_app(self.handle, house)
        self.id = f"PF_{house.market.base.code}USD".replace("BTC", "XBT")
        self.page = 100

    def config(self, url: str) -> dict[str, Any]:
        hosts = {
            "public": f"{url}/derivatives/api/",
            "private": f"{url}/derivatives/api/",
            "history": f"{url}/api/history/",
            "charts": f"{url}/c/",
        }
        return {"enableRateLimit": False, "urls": {"api": hosts}}

    def handle(self, request: Request) -> Any:
        path = request.path.removeprefix("/derivatives")
        name = path.rsplit("/", 1)[1]
        if name in ("instruments", "tickers", "historicalfundingrates"):
            return getattr(self, name)(request.args)
        endpoint = path.removeprefix("/api/")
        auth = hashlib.sha256((request.query + "/api/" + endpoint).encode()).digest()
        made = base64.b64encode(hmac.new(base64.b64decode(SECRET), auth, hashlib.sha512).digest()).decode()
        if request.headers.get("apikey") != KEY or request.headers.get("authent") != made:
            return {"result": "error", "error": "authenticationError", "serverTime": iso(self.house.now)}
        if path.endswith("orders/status"):
            return self.status(request.query)
        answer = getattr(self, name.replace("-", "_"))(request.args)
        return answer if "history" in path else {"result": "success", "serverTime": iso(self.house.now)} | answer

    def instruments(self, args: dict[str, str]) -> Any:
        market = self.house.market
        one = {
            "symbol": self.id,
            "type": "flexible_futures" if False else "futures_vanilla",
            "tickSize": Number(market.tick),
            "contractSize": 1,
            "tradeable": True,
            "contractValueTradePrecision": len(market.lot.partition(".")[2]),
            "fundingRateCoefficient": 8,
        }
        inverse = {"symbol": "PI_ETHUSD", "type": "futures_inverse", "tickSize": Number("0.05"), "contractSize": 1, "tradeable": True}
        return {"result": "success", "instruments": [one, inverse | {"contractValueTradePrecision": 0}], "serverTime": iso(self.house.now)}

    def tickers(self, args: dict[str, str]) -> Any:
        price = Number(self.house.price_text(self.house.price))
        one = {"tag": "perpetual", "pair": "ETH:USD", "symbol": self.id, "markPrice": price, "bid": price, "ask": price, "last": price}
        one |= {"indexPrice": price, "fundingRate": Number("0.02"), "fundingRatePrediction": Number("-1.5E-7"), "suspended": False}
        return {"result": "success", "tickers": [one | {"lastTime": "2020-01-01T00:00:00.000Z", "vol24h": 1, "bidSize": 1, "askSize": 1}]}

    def historicalfundingrates(self, args: dict[str, str]) -> Any:
        rates = []
        for one in self.house.funding:
            relative = f"{one.rate.rate_ppb / 10**9:.9f}"
            absolute = f"{one.rate.rate_ppb * one.rate.price / 10**9 / 10**self.house.market.price_scale:.14f}"
            rates.append({"timestamp": iso(one.at), "fundingRate": Number(absolute), "relativeFundingRate": Number(relative)})
        return {"result": "success", "rates": rates}

    # -- orders -------------------------------------------------------------------------------------------------------

    def sendorder(self, args: dict[str, str]) -> Any:
        house, kind = self.house, args["orderType"]
        assert args.get("timeInForce") is None
        row = house.order(
            args.get("cliOrdId", ""),
            args["side"],
            args["size"],
            limit=args.get("limitPrice"),
            stop=args.get("stopPrice"),
            tif="ioc" if kind == "ioc" else "gtc",
            post_only=kind == "post",
            reduce_only=args.get("reduceOnly") in ("true", "True"),
        )
        said: dict[str, Any] = {"receivedTime": iso(house.now), "orderEvents": []}
        if row.status == "rejected":
            del house.rows[row.id]
            said["status"] = next((word for text, word in STATUSES.items() if text in row.reason.lower()), "invalidSize")
            return {"sendStatus": said}
        event = {"type": "PLACE", "order": self.order(row, kind), "reducedQuantity": None}
        return {"sendStatus": said | {"status": "placed", "order_id": str(row.id), "orderEvents": [event]}}

    def order(self, row: Row, kind: str = "lmt") -> dict[str, Any]:
        house = self.house
        return {
            "orderId": str(row.id),
            "cliOrdId": row.own,
            "type": kind,
            "symbol": self.id,
            "side": row.side,
            "quantity": Number(house.qty_text(row.qty)),
            "filled": Number(house.qty_text(row.filled)),
            "limitPrice": Number(house.price_text(row.limit)),
            "reduceOnly": row.reduce_only,
            "timestamp": iso(row.at),
            "lastUpdateTimestamp": iso(row.updated),
        }

    def status(self, query: str) -> Any:
        wanted = [part.partition("=")[2] for part in query.split("&") if part.startswith("orderIds")]
        names = {"open": "ENTERED_BOOK", "filled": "FULLY_EXECUTED", "canceled": "CANCELLED"}
        found = []
        for number in wanted:
            row = self.house.find(number)
            if row is not None and (row.status == "open" or self.house.now - row.updated <= FINISHED_FOR):
                found.append(
                    {"order": self.order(row) | {"type": "ORDER"}, "status": names[row.status], "updateReason": None, "error": None}
                )
        return {"result": "success", "serverTime": iso(self.house.now), "orders": found}

    def cancelorder(self, args: dict[str, str]) -> Any:
        row = self.house.find(args.get("order_id"), args.get("cliOrdId"))
        if row is None or not self.house.cancel(row):
            return {
                "cancelStatus": {
                    "status": "notFound" if row is None or row.status != "filled" else "filled",
                    "receivedTime": iso(self.house.now),
                }
            }
        event = {"type": "CANCEL", "uid": str(row.id), "order": self.order(row)}
        return {
            "cancelStatus": {"status": "cancelled", "order_id": str(row.id), "receivedTime": iso(self.house.now), "orderEvents": [event]}
        }

    def openorders(self, args: dict[str, str]) -> Any:
        found = []
        for row in self.house.rows.values():
            if row.status == "open":
                one = {"order_id": str(row.id), "symbol": self.id, "side": row.side, "orderType": "lmt", "reduceOnly": row.reduce_only}
                one |= {
                    "limitPrice": Number(self.house.price_text(row.limit)),
                    "unfilledSize": Number(self.house.qty_text(row.qty - row.filled)),
                }
                one |= {
                    "receivedTime": iso(row.at),
                    "status": "untouched",
                    "filledSize": Number(self.house.qty_text(row.filled)),
                    "cliOrdId": row.own,
                }
                found.append(one | {"lastUpdateTime": iso(row.updated)})
        return {"openOrders": found}

    def orders(self, args: dict[str, str]) -> Any:
        """The history of orders: placed, updated, canceled; quantities are what is left, and numbers are text."""
        found: list[Any] = []
        for row in self.house.rows.values():
            inner = {
                "uid": str(row.id),
                "accountUid": "a",
                "tradeable": self.id,
                "direction": row.side.capitalize(),
                "quantity": self.house.qty_text(row.qty - row.filled),
                "filled": self.house.qty_text(row.filled),
                "timestamp": str(ms(row.at)),
                "limitPrice": self.house.price_text(row.limit),
                "orderType": "Limit",
                "clientId": row.own,
                "reduceOnly": row.reduce_only,
                "lastUpdateTimestamp": str(ms(row.updated)),
            }
            placed = {
                "OrderPlaced": {"order": inner | {"quantity": self.house.qty_text(row.qty), "filled": "0"}, "reason": "new_user_order"}
            }
            events = [(row.at, placed)]
            if row.status == "filled":
                events.append((row.updated, {"OrderUpdated": {"newOrder": inner, "reason": "full_fill"}}))
            elif row.status == "canceled":
                events.append((row.updated, {"OrderCancelled": {"order": inner, "reason": "cancelled_by_user"}}))
            found += [{"uid": f"{row.id}-{n}", "timestamp": ms(at), "event": event} for n, (at, event) in enumerate(events)]
        return {"elements": [one for one in found if one["timestamp"] >= int(args.get("since", 0))], "len": len(found)}

    # -- the past and the money ---------------------------------------------------------------------------------------

    def fills(self, args: dict[str, str]) -> Any:
        before = args.get("lastFillTime")
        rows = [one for one in self.house.trades if before is None or iso(one.at) < before]
        return {"fills": [self.fill(one) for one in reversed(rows[-self.page :])]}

    def fill(self, trade: Trade) -> dict[str, Any]:
        row = self.house.rows.get(trade.order)
        said = {"fill_id": f"e-{trade.id}", "symbol": self.id, "side": trade.side, "order_id": str(trade.order), "fillTime": iso(trade.at)}
        said |= {"size": Number(self.house.qty_text(trade.qty)), "price": Number(self.house.price_text(trade.price))}
        said["fillType"] = "liquidation" if trade.forced else "maker" if trade.maker else "taker"
        return said | ({"cliOrdId": row.own} if row is not None and row.own else {})

    def account_log(self, args: dict[str, str]) -> Any:
        house, logs, balance, trades = self.house, list[Any](), 0, {one.id: one for one in self.house.trades}
        for line in house.lines:
            before, balance = balance, balance + line.amount.units
            one: dict[str, Any] = {
                "id": line.id,
                "date": iso(line.at),
                "asset": house.market.quote.code.lower(),
                "contract": self.id.lower(),
                "info": "futures trade",
                "booking_uid": f"b-{line.id}",
                "margin_account": "flex",
                "old_balance": Number(house.money_text(before)),
                "new_balance": Number(house.money_text(balance)),
                "fee": 0,
                "funding_rate": None,
                "execution": None,
                "realized_pnl": None,
                "realized_funding": None,
                "mark_price": None,
            }
            if line.kind == "pnl":
                one |= {
                    "execution": f"e-{line.trade}",
                    "realized_pnl": Number(house.money_text(line.realized)),
                    "fee": Number(house.money_text(line.fee)),
                }
                one["trade_price"] = Number(house.price_text(trades[line.trade or 0].price))
            elif line.kind == "funding":
                one |= {"info": "funding rate change", "realized_funding": Number(line.amount.text), "funding_rate": Number("1E-7")}
            else:
                one |= {"info": "cross-exchange transfer", "contract": None}
            if args.get("info") in (None, one["info"]):
                logs.append(one)
                if line.kind == "pnl":
                    leg = {
                        "asset": self.id.lower(),
                        "id": line.id * 1_000,
                        "old_balance": 0,
                        "new_balance": 1,
                        "realized_pnl": None,
                        "fee": None,
                    }
                    logs.append(one | leg)
        found = [one for one in logs if one["date"] >= iso(int(args.get("since", 0)) * 10**6)]
        return {"accountUid": "a", "logs": found[: int(args.get("count", 500))]}

    def accounts(self, args: dict[str, str]) -> Any:
        cash = self.house.cash()
        wallet = {
            "quantity": Number(cash.text),
            "value": Number(cash.text),
            "collateral": Number(cash.text),
            "available": Number(cash.text),
        }
        flex = {"currencies": {cash.asset.code: wallet}, "type": "multiCollateralMarginAccount", "pnl": Number("0.0")}
        return {"accounts": {"flex": flex, "cash": {"balances": {}, "type": "cashAccount"}}}

    def openpositions(self, args: dict[str, str]) -> Any:
        house, (qty, cost) = self.house, self.house.position
        if not qty:
            return {"openPositions": []}
        entry = f"{abs(cost) / 10**house.market.quote.scale / (abs(qty) / 10**house.market.base.scale):.6f}"
        one = {"side": "long" if qty > 0 else "short", "symbol": self.id, "price": Number(entry), "fillTime": iso(house.now)}
        return {"openPositions": [one | {"size": Number(house.qty_text(abs(qty))), "unrealizedFunding": None, "pnlCurrency": "USD"}]}
