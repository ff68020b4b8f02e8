"""Binance's shape, spot and USD-M futures: what an unmodified ccxt asks of it, answered from a `House`. Signatures are checked."""

from __future__ import annotations

import hashlib
import hmac
import urllib.parse
from typing import Any

from ccxt_house import KEY, SECRET, Answer, House, Number, Request, Row, Trade, shape_app

from sleeves.market import HOUR
from sleeves.money import Amount, Rounding

STATUS = {"open": "NEW", "filled": "FILLED", "canceled": "CANCELED", "rejected": "REJECTED"}
REFUSALS = {
    "insufficient": (-2019, "Margin is insufficient."),
    "leverage": (-2019, "Margin is insufficient."),
    "post only": (-5022, "Due to the order could not be executed as maker, the Post Only order will be rejected."),
    "reduce only": (-2022, "ReduceOnly Order is rejected."),
    "minimum or lot": (-4003, "Quantity less than or equal to zero."),
    "tick": (-4014, "Price not increased by tick size."),
    "cost minimum": (-4164, "Order's notional must be no smaller than 5 (unless you choose reduce only)."),
}


def ms(ns: int) -> int:
    return ns // 1_000_000


class Binance:
    """`futures` says which of the two it is."""

    def __init__(self, house: House, *, futures: bool) -> None:
        self.house, self.futures = house, futures
        self.app = shape_app(self.handle, house)
        self.id = house.market.base.code + house.market.quote.code

    def config(self, url: str) -> dict[str, Any]:
        fapi = dict.fromkeys(("fapiPublic", "fapiPrivate"), f"{url}/fapi/v1") | {
            "fapiPrivateV2": f"{url}/fapi/v2",
            "fapiPrivateV3": f"{url}/fapi/v3",
        }
        hosts = fapi | {"public": f"{url}/api/v3", "private": f"{url}/api/v3", "sapi": f"{url}/sapi/v1"}
        types = ["linear"] if self.futures else ["spot"]
        return {"enableRateLimit": False, "urls": {"api": hosts}, "options": {"fetchMarkets": {"types": types}}}

    def handle(self, request: Request) -> Any:
        path = request.path
        name = path.rsplit("/", 1)[1]
        if name == "exchangeInfo":
            return {"symbols": [self.listing()]}
        if name == "bookTicker":
            price = self.house.price_text(self.house.price)
            row = {"symbol": self.id, "bidPrice": price, "bidQty": "10", "askPrice": price, "askQty": "10", "time": ms(self.house.now)}
            return row if "symbol" in request.args else [row]
        if name == "premiumIndex":
            price, rate = self.house.price_text(self.house.price), "0.00010000"
            return [{"symbol": self.id, "markPrice": price, "indexPrice": price, "lastFundingRate": rate, "nextFundingTime": 0, "time": 1}]
        if name == "fundingInfo":
            return [{"symbol": self.id, "adjustedFundingRateCap": "0.02", "fundingIntervalHours": 8}]
        if name == "fundingRate":
            return self.rates(request.args)
        self.check(request)
        method = {"POST": self.place, "GET": self.order, "DELETE": self.cancel}[request.method] if name == "order" else None
        if method is not None:
            return method(request.args)
        return getattr(self, name.replace("/", "_"))(request.args)

    def check(self, request: Request) -> None:
        said = request.body or request.query
        query, _, signature = said.rpartition("&signature=")
        made = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        if request.headers.get("x-mbx-apikey") != KEY:
            raise Answer(401, {"code": -2014, "msg": "API-key format invalid."})
        if urllib.parse.unquote(signature) != made:
            raise Answer(400, {"code": -1022, "msg": "Signature for this request is not valid."})

    def listing(self) -> dict[str, Any]:
        market, house = self.house.market, self.house
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": market.tick, "maxPrice": "1000000", "tickSize": market.tick},
            {"filterType": "LOT_SIZE", "minQty": market.min_qty, "maxQty": "10000", "stepSize": market.lot},
            {"filterType": "MIN_NOTIONAL", "notional": house.money_text(market.min_notional_units)},
        ]
        row: dict[str, Any] = {
            "symbol": self.id,
            "status": "TRADING",
            "baseAsset": market.base.code,
            "quoteAsset": market.quote.code,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "orderTypes": ["LIMIT", "MARKET", "STOP_MARKET", "STOP", "STOP_LOSS", "STOP_LOSS_LIMIT", "LIMIT_MAKER"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
            "filters": filters,
        }
        if self.futures:
            row |= {"contractType": "PERPETUAL", "deliveryDate": 4133404800000, "marginAsset": market.quote.code, "pair": self.id}
            row |= {"pricePrecision": 2, "quantityPrecision": 3, "underlyingType": "COIN"}
        return row

    # -- orders -------------------------------------------------------------------------------------------------------

    def place(self, args: dict[str, str]) -> Any:
        tif = {"GTC": "gtc", "IOC": "ioc", "FOK": "fok", "GTX": "gtc"}.get(args.get("timeInForce", "GTC"), "gtc")
        known = self.house.find(own=args.get("newClientOrderId"))
        if known is not None and known.status == "open":
            raise Answer(400, {"code": -4116, "msg": "ClientOrderId is duplicated."})
        row = self.house.order(
            args["newClientOrderId"],
            args["side"].lower(),
            args["quantity"],
            limit=args.get("price"),
            stop=args.get("stopPrice"),
            tif=tif,
            post_only=args.get("timeInForce") == "GTX" or args["type"] == "LIMIT_MAKER",
            reduce_only=args.get("reduceOnly") in ("true", "True"),
        )
        if row.status == "rejected":
            del self.house.rows[row.id]
            code, text = next((said for word, said in REFUSALS.items() if word in row.reason.lower()), (-2010, row.reason))
            if not self.futures and code == -2019:
                code, text = -2010, "Account has insufficient balance for requested action."
            raise Answer(400, {"code": code, "msg": text})
        return self.row(row)

    def row(self, row: Row) -> dict[str, Any]:
        house = self.house
        status = "PARTIALLY_FILLED" if row.status == "open" and row.filled else STATUS[row.status]
        if row.status == "canceled" and row.reason != "requested":
            status = "EXPIRED"
        said = {
            "symbol": self.id,
            "orderId": row.id,
            "clientOrderId": row.own,
            "price": house.price_text(row.limit),
            "origQty": house.qty_text(row.qty),
            "executedQty": house.qty_text(row.filled),
            "status": status,
            "timeInForce": "GTX" if row.post_only else row.tif.upper(),
            "type": "MARKET" if row.limit is None else "LIMIT",
            "side": row.side.upper(),
            "stopPrice": house.price_text(row.stop),
            "time": ms(row.at),
            "updateTime": ms(row.updated),
        }
        if self.futures:
            said |= {"cumQuote": house.money_text(row.spent), "positionSide": "BOTH", "reduceOnly": row.reduce_only, "avgPrice": "0.00"}
        else:
            said |= {"cummulativeQuoteQty": house.money_text(row.spent), "orderListId": -1, "isWorking": True}
        return said

    def found(self, args: dict[str, str]) -> Row:
        row = self.house.find(args.get("orderId"), args.get("origClientOrderId"))
        if row is None:
            raise Answer(400, {"code": -2013, "msg": "Order does not exist."})
        return row

    def order(self, args: dict[str, str]) -> Any:
        return self.row(self.found(args))

    def cancel(self, args: dict[str, str]) -> Any:
        row = self.house.find(args.get("orderId"), args.get("origClientOrderId"))
        if row is None or not self.house.cancel(row):
            raise Answer(400, {"code": -2011, "msg": "Unknown order sent."})
        return self.row(row)

    def openOrders(self, args: dict[str, str]) -> Any:
        return [self.row(row) for row in self.house.rows.values() if row.status == "open"]

    # -- the past -----------------------------------------------------------------------------------------------------

    def userTrades(self, args: dict[str, str]) -> Any:
        return [self.trade(one) for one in self.selected(self.house.trades, args, 500)]

    def myTrades(self, args: dict[str, str]) -> Any:
        return [self.trade(one) for one in self.selected(self.house.trades, args, 500)]

    @staticmethod
    def selected(rows: list[Any], args: dict[str, str], usual: int) -> list[Any]:
        limit = int(args.get("limit", usual))
        if "fromId" in args:
            return [one for one in rows if one.id >= int(args["fromId"])][:limit]
        start, end = int(args.get("startTime", 0)), int(args.get("endTime", 10**15))
        found = [one for one in rows if start <= ms(one.at) <= end]
        return found[:limit] if "startTime" in args else found[-limit:]

    def trade(self, trade: Trade) -> dict[str, Any]:
        house = self.house
        said = {
            "symbol": self.id,
            "id": trade.id,
            "orderId": trade.order,
            "price": house.price_text(trade.price),
            "qty": house.qty_text(trade.qty),
            "quoteQty": house.money_text(trade.cost),
            "commission": trade.fee.text,
            "commissionAsset": trade.fee.asset.code,
            "time": ms(trade.at),
        }
        if self.futures:
            said |= {"side": trade.side.upper(), "buyer": trade.side == "buy", "maker": trade.maker, "positionSide": "BOTH"}
            said |= {"realizedPnl": house.money_text(trade.realized)}
        else:
            said |= {"isBuyer": trade.side == "buy", "isMaker": trade.maker, "isBestMatch": True, "orderListId": -1}
        return said

    def income(self, args: dict[str, str]) -> Any:
        rows: list[tuple[int, dict[str, Any]]] = []
        for line in self.house.lines:
            common = {"asset": line.amount.asset.code, "time": ms(line.at), "info": "", "symbol": "", "tradeId": ""}
            if line.kind == "pnl":
                of = {"symbol": self.id, "tradeId": str(line.trade)}
                if line.realized:
                    rows.append(
                        (
                            line.at,
                            common | of | {"incomeType": "REALIZED_PNL", "income": self.house.money_text(line.realized), "tranId": line.id},
                        )
                    )
                if line.fee:
                    rows.append(
                        (line.at, common | of | {"incomeType": "COMMISSION", "income": self.house.money_text(-line.fee), "tranId": line.id})
                    )
            elif line.kind == "funding":
                rows.append(
                    (line.at, common | {"symbol": self.id, "incomeType": "FUNDING_FEE", "income": line.amount.text, "tranId": line.id})
                )
            else:
                rows.append((line.at, common | {"incomeType": "TRANSFER", "income": line.amount.text, "tranId": line.id}))
        wanted, start = args.get("incomeType"), int(args.get("startTime", 0))
        found = [row for at, row in rows if ms(at) >= start and wanted in (None, row["incomeType"])]
        return found[: int(args.get("limit", 100))]

    def rates(self, args: dict[str, str]) -> Any:
        rows = []
        for rate in sorted({one.rate.at: one.rate for one in self.house.funding}.values(), key=lambda one: one.at):
            for at in (rate.at - 8 * HOUR, rate.at):
                share = f"{rate.rate_ppb / 10**9:.9f}"
                rows.append(
                    {"symbol": self.id, "fundingTime": ms(at), "fundingRate": share, "markPrice": self.house.price_text(rate.price)}
                )
        rows.sort(key=lambda row: row["fundingTime"])
        return [row for row in rows if row["fundingTime"] >= int(args.get("startTime", 0))]

    # -- money --------------------------------------------------------------------------------------------------------

    def account(self, args: dict[str, str]) -> Any:
        house = self.house
        if not self.futures:
            held = house.exchange.account.held
            rows = [
                {"asset": code, "free": (amount - Amount(held[code], amount.asset)).text, "locked": Amount(held[code], amount.asset).text}
                for code, amount in house.coins().items()
            ]
            return {"balances": rows, "updateTime": ms(house.now), "accountType": "SPOT"}
        cash, (qty, cost) = house.cash(), house.position
        worth = house.market.quote.units(house.market.cost(house.price, abs(qty), Rounding.DOWN)) if qty else house.market.quote.zero
        open_ = worth.units * (1 if qty > 0 else -1) - cost if qty else 0
        row = {
            "asset": cash.asset.code,
            "walletBalance": cash.text,
            "unrealizedProfit": house.money_text(open_),
            "marginBalance": house.money_text(cash.units + open_),
            "availableBalance": cash.text,
            "initialMargin": "0",
            "updateTime": ms(house.now),
        }
        return {"assets": [row], "positions": []}

    def leverageBracket(self, args: dict[str, str]) -> Any:
        bracket = {
            "bracket": 1,
            "initialLeverage": 10,
            "notionalCap": 50_000,
            "notionalFloor": 0,
            "maintMarginRatio": Number("0.05"),
            "cum": 0,
        }
        return [{"symbol": self.id, "brackets": [bracket]}]

    def positionRisk(self, args: dict[str, str]) -> Any:
        house, (qty, cost) = self.house, self.house.position
        if not qty:
            return []
        entry = f"{abs(cost) / 10**house.market.quote.scale / (abs(qty) / 10**house.market.base.scale):.8f}"
        value = house.money_text(house.market.cost(house.price, abs(qty), Rounding.DOWN) * (1 if qty > 0 else -1))
        sign = "" if qty > 0 else "-"
        return [
            {
                "symbol": self.id,
                "positionSide": "BOTH",
                "positionAmt": sign + house.qty_text(abs(qty)),
                "entryPrice": entry,
                "breakEvenPrice": entry,
                "markPrice": house.price_text(house.price),
                "unRealizedProfit": "0.00000000",
                "liquidationPrice": "0",
                "isolatedMargin": "0",
                "notional": value,
                "marginAsset": house.market.quote.code,
                "isolatedWallet": "0",
                "initialMargin": "1",
                "maintMargin": "1",
                "updateTime": ms(house.now),
            }
        ]

    def hisrec(self, args: dict[str, str]) -> Any:
        """Deposits."""
        rows = [line for line in self.house.lines if line.kind == "deposit"]
        return [
            {
                "id": str(one.id),
                "amount": one.amount.text,
                "coin": one.amount.asset.code,
                "status": 1,
                "insertTime": ms(one.at),
                "txId": f"tx{one.id}",
            }
            for one in rows
            if ms(one.at) >= int(args.get("startTime", 0))
        ]

    def history(self, args: dict[str, str]) -> Any:
        """Withdrawals."""
        return []
