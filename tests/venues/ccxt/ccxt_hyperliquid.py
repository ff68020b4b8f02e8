"""Hyperliquid's shape, its perpetuals: what an unmodified ccxt asks of it, answered from a `House`. Actions must be signed."""

from __future__ import annotations

import json
from typing import Any

from ccxt_house import House, Request, Row, Trade, shape_app

from sleeves.money import Rounding

ADDRESS = "0x14791697260E4c9A71f18484C9f997B308e59325"
PRIVATE = "0x0123456789012345678901234567890123456789012345678901234567890123"
REFUSALS = {
    "insufficient": "Insufficient margin to place order. asset=0",
    "leverage": "Insufficient margin to place order. asset=0",
    "post only": "Post only order would have immediately matched, bbo was 1999.9@2000.0. asset=0",
    "reduce only": "Reduce only order would increase position. asset=0",
    "minimum or lot": "Order has invalid size.",
    "tick": "Price must be divisible by tick size. asset=0",
    "cost minimum": "Order must have minimum value of $10. asset=0",
}


def ms(ns: int) -> int:
    return ns // 1_000_000


class Hyperliquid:
    def __init__(self, house: House) -> None:
        self.house = house
        self.app = shape_app(self.handle, house)
        self.coin = house.market.base.code
        self.actions: list[dict[str, Any]] = []

    def config(self, url: str) -> dict[str, Any]:
        hosts = {"public": url, "private": url}
        return {"enableRateLimit": False, "urls": {"api": hosts}, "options": {"fetchMarkets": {"types": ["swap"]}}}

    def handle(self, request: Request) -> Any:
        said = json.loads(request.body)
        if request.path == "/exchange":
            return self.exchange(said)
        return getattr(self, said["type"])(said)

    # -- what anybody may ask -----------------------------------------------------------------------------------------

    def spotMeta(self, said: dict[str, Any]) -> Any:
        return {
            "tokens": [{"name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0, "tokenId": "0x6d", "isCanonical": True}],
            "universe": [],
        }

    def metaAndAssetCtxs(self, said: dict[str, Any]) -> Any:
        house = self.house
        price = house.price_text(house.price)
        places = len(house.market.lot.partition(".")[2])
        universe = [{"maxLeverage": 50, "name": self.coin, "onlyIsolated": False, "szDecimals": places}]
        context = {
            "funding": "0.0000125",
            "markPx": price,
            "midPx": price,
            "oraclePx": price,
            "openInterest": "1",
            "premium": "0",
            "prevDayPx": price,
        }
        return [{"universe": universe}, [context | {"dayNtlVlm": "1", "impactPxs": [price, price]}]]

    def l2Book(self, said: dict[str, Any]) -> Any:
        level = [{"px": self.house.price_text(self.house.price), "sz": "10", "n": 1}]
        return {"coin": self.coin, "time": ms(self.house.now), "levels": [level, level]}

    def userAbstraction(self, said: dict[str, Any]) -> Any:
        return '"default"'

    # -- orders -------------------------------------------------------------------------------------------------------

    def exchange(self, said: dict[str, Any]) -> Any:
        action = said["action"]
        self.actions.append(action)
        signed = {"r", "s", "v"} <= said.get("signature", {}).keys() and type(said.get("nonce")) is int
        if not signed:
            return {"status": "err", "response": f"User or API Wallet {ADDRESS.lower()} does not exist."}
        if action["type"] == "order":
            return {"status": "ok", "response": {"type": "order", "data": {"statuses": [self.place(one) for one in action["orders"]]}}}
        if action["type"] in ("cancel", "cancelByCloid"):
            return {"status": "ok", "response": {"type": "cancel", "data": {"statuses": [self.off(one) for one in action["cancels"]]}}}
        return {"status": "err", "response": f"not here: {action['type']}"}

    def place(self, one: dict[str, Any]) -> Any:
        house, kind = self.house, one["t"]
        tif = kind.get("limit", {}).get("tif", "Gtc")
        row = house.order(
            one.get("c", ""),
            "buy" if one["b"] else "sell",
            one["s"],
            limit=one["p"],
            tif="ioc" if tif == "Ioc" else "gtc",
            post_only=tif == "Alo",
            reduce_only=one["r"],
            stop=kind["trigger"]["triggerPx"] if "trigger" in kind else None,
        )
        if row.status == "rejected":
            del house.rows[row.id]
            return {"error": next((text for word, text in REFUSALS.items() if word in row.reason.lower()), row.reason)}
        return {"resting": {"oid": row.id}}

    def off(self, one: dict[str, Any]) -> Any:
        row = self.house.find(str(one.get("o", "")), one.get("cloid"))
        if row is None or not self.house.cancel(row):
            return {"error": "Order was never placed, already canceled, or filled. asset=0"}
        return "success"

    def row(self, row: Row) -> dict[str, Any]:
        house = self.house
        return {
            "coin": self.coin,
            "side": "B" if row.side == "buy" else "A",
            "limitPx": house.price_text(row.limit),
            "sz": house.qty_text(row.qty - row.filled),
            "origSz": house.qty_text(row.qty),
            "oid": row.id,
            "cloid": row.own,
            "timestamp": ms(row.at),
            "orderType": "Limit",
            "tif": "Alo" if row.post_only else row.tif.capitalize(),
            "reduceOnly": row.reduce_only,
            "isTrigger": row.stop is not None,
            "triggerPx": house.price_text(row.stop),
            "triggerCondition": "N/A",
            "isPositionTpsl": False,
            "children": [],
        }

    def frontendOpenOrders(self, said: dict[str, Any]) -> Any:
        return [self.row(row) for row in self.house.rows.values() if row.status == "open"]

    def orderStatus(self, said: dict[str, Any]) -> Any:
        wanted = str(said["oid"])
        row = self.house.find(None if wanted.startswith("0x") else wanted, wanted)
        if row is None:
            return {"status": "unknownOid"}
        return {"status": "order", "order": {"order": self.row(row), "status": row.status, "statusTimestamp": ms(row.updated)}}

    # -- the past -----------------------------------------------------------------------------------------------------

    def userFillsByTime(self, said: dict[str, Any]) -> Any:
        return [self.fill(one) for one in self.house.trades if ms(one.at) >= said["startTime"]][:2_000]

    def fill(self, trade: Trade) -> dict[str, Any]:
        house = self.house
        row = house.rows.get(trade.order)
        said = {
            "coin": self.coin,
            "px": house.price_text(trade.price),
            "sz": house.qty_text(trade.qty),
            "side": "B" if trade.side == "buy" else "A",
            "time": ms(trade.at),
            "startPosition": ("-" if trade.start < 0 else "") + house.qty_text(abs(trade.start)),
            "dir": "Liquidated Cross Long" if trade.forced else "Open Long",
            "closedPnl": house.money_text(trade.realized),
            "hash": "0x" + "ab" * 32,
            "oid": trade.order,
            "crossed": not trade.maker,
            "fee": trade.fee.text,
            "tid": trade.id,
            "feeToken": trade.fee.asset.code,
        }
        if row is not None and row.own:
            said["cloid"] = row.own
        if trade.forced:
            said["liquidation"] = {"liquidatedUser": ADDRESS.lower(), "markPx": house.price_text(trade.price), "method": "market"}
        return said

    def userFunding(self, said: dict[str, Any]) -> Any:
        house, found = self.house, []
        for one in house.funding:
            if one.qty and ms(one.at) >= said["startTime"]:
                size = ("-" if one.qty < 0 else "") + house.qty_text(abs(one.qty))
                rate = f"{one.rate.rate_ppb / 10**9:.9f}"
                delta = {
                    "type": "funding",
                    "coin": self.coin,
                    "usdc": house.money_text(one.amount),
                    "szi": size,
                    "fundingRate": rate,
                    "nSamples": None,
                }
                found.append({"time": ms(one.at), "hash": "0x" + "00" * 32, "delta": delta})
        return found

    def userNonFundingLedgerUpdates(self, said: dict[str, Any]) -> Any:
        found = []
        for line in self.house.lines:
            if line.kind in ("deposit", "withdraw") and ms(line.at) >= said.get("startTime", 0):
                units = abs(line.amount)
                delta: dict[str, Any] = {"type": line.kind, "usdc": units.text}
                if line.kind == "withdraw":
                    delta |= {"nonce": 1, "fee": "0.0"}
                found.append({"time": ms(line.at), "hash": f"0x{line.id:064x}", "delta": delta})
        return found

    def clearinghouseState(self, said: dict[str, Any]) -> Any:
        house, (qty, cost) = self.house, self.house.position
        raw = house.cash().units - cost
        worth = house.market.cost(house.price, abs(qty), Rounding.DOWN) * (1 if qty > 0 else -1)
        positions = []
        if qty:
            entry = f"{abs(cost) / 10**house.market.quote.scale / (abs(qty) / 10**house.market.base.scale):.4f}"
            size = ("-" if qty < 0 else "") + house.qty_text(abs(qty))
            one = {"coin": self.coin, "szi": size, "entryPx": entry, "positionValue": house.money_text(abs(worth)), "marginUsed": "1.0"}
            one |= {"unrealizedPnl": house.money_text(worth - cost), "leverage": {"type": "cross", "value": 10}, "liquidationPx": None}
            positions.append({"type": "oneWay", "position": one})
        summary = {
            "accountValue": house.money_text(raw + worth),
            "totalRawUsd": house.money_text(raw),
            "totalNtlPos": "0",
            "totalMarginUsed": "0",
        }
        return {
            "assetPositions": positions,
            "marginSummary": summary,
            "crossMarginSummary": summary,
            "withdrawable": "0",
            "time": ms(house.now),
        }
