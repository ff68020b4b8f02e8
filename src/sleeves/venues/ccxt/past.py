"""What has happened to an account, as the exchange's own lists tell it: trades, funding, ledger lines; read whole, and told exactly.

A fact is made once, from what never changes, and kept: however often it is told it is the same. Coins are read from the exchange's
ledger where it has one (`manners.Lines`), and a trade is told when the ledger has its lines, since its own figures may be rounded
otherwise. Where there is no ledger, trades, deposits and withdrawals are all that is known, and the rest is found as a difference.

This module asks through a function that is handed in, and sends nothing that changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from ...errors import InvalidAmount, InvalidMarket, VenueUnavailable
from ...facts import CashFlow, FlowKind, FundingPaid, Liquidated, Settled
from ...market import DAY, HOUR, PPB, SECOND, Basis, FundingRate, Instrument
from ...money import Amount, Rounding, divide
from ...orders import Fill, Liquidity, Position, Side
from .manners import Lines, Manner, Pages, Realized
from .names import Names, exact
from .paging import Page, Row, backward, by_id, by_offset, forward, in_windows
from .slate import Fact, Paid, Slate, Traded

__all__ = ["FULL", "MILLISECOND", "Asks", "Past", "instant"]

MILLISECOND = 1_000_000
_SECONDS = re.compile(r"[0-9]{9,11}\.[0-9]{1,12}")
MARGIN = 2_000
"""Milliseconds before an instant from which rows are asked for: times are rounded on their way."""
WEEK = 7 * DAY // MILLISECOND
NEAR = 5 * 60_000
"""A settled rate that is told so near, in milliseconds, is the one that was paid."""
FULL = {Pages.OFFSET: 50, Pages.BACK: 100, Pages.FROM_ID: 1_000}


class Asks(Protocol):
    """How the exchange is asked: `has` a method, and call it. Raises `VenueUnavailable`."""

    def has(self, what: str) -> bool: ...
    def feature(self, method: str, name: str) -> Any: ...
    async def ask(self, method: str, *args: Any) -> Any: ...
    async def ask_if_told(self, method: str, *args: Any) -> Any: ...


def instant(row: Row) -> int:
    """A row's own time in ns, as finely as the exchange wrote it. Raises `VenueUnavailable` for one without."""
    at = row.get("timestamp")
    if type(at) is not int:
        raise VenueUnavailable(f"a row without a time of its own: {row.get('id')!r}")
    info = row.get("info")
    written = info.get("time") if isinstance(info, Mapping) else None
    if isinstance(written, str) and _SECONDS.fullmatch(written):
        fine = int(Decimal(written) * SECOND)
        if 0 <= fine - at * MILLISECOND < MILLISECOND:
            return fine
    return at * MILLISECOND


class Past:
    """An account's past. `own_id` finds our id of an order that a trade names; `flat_at` is when no contracts were held."""

    def __init__(
        self,
        asks: Asks,
        names: Names,
        manner: Manner,
        markets: Sequence[Instrument],
        own_id: Callable[[Sequence[Row]], Awaitable[Mapping[str, str]]],
        *,
        venue: str,
        flat_at: int,
        now: Callable[[], int],
        rates_every: int,
    ) -> None:
        self._asks = asks
        self._names = names
        self._manner = manner
        self._markets = tuple(markets)
        self._own_id = own_id
        self._venue = venue
        self._flat_at = flat_at
        self._now = now
        self._contracts = any(market.contract is not None for market in markets)
        self._coins = any(market.contract is None for market in markets)
        self._fills: dict[str, Fill | None] = {}
        """Trades of coins by ccxt's symbol and their id; None for one of a market that is not handled."""
        self._slates: dict[str, Slate] = {}
        self._seen: dict[str, int] = {}
        """Milliseconds until which a market's trades of contracts, or "" for all, were read, and "funding"."""
        self._last_id: dict[str, int] = {}
        self._opened = now()
        self._rates: dict[str, dict[int, FundingRate]] = {}
        self._rates_begin: dict[str, int] = {}
        self._rates_asked: dict[str, int] = {}
        self._rates_every = rates_every
        self._paid_at = -rates_every
        self.asked: list[Settled] = []
        """Settlements of nothing, as they were asked for."""

    # -- facts -------------------------------------------------------------------------------------------------------

    async def facts(self, since: int, *, whole: bool = True) -> list[Fact]:
        """All facts from an instant on, oldest first; not `whole`: funding is asked for now and then only. Raises `VenueUnavailable`."""
        found: list[Fact] = []
        if self._coins:
            found += await self._coin_facts(since)
        if self._contracts:
            await self.catch_up(whole=whole)
            for slate in self._slates.values():
                found += slate.facts
            found += [*self.asked, *await self._nothing_paid(since)]
        found = [fact for fact in found if fact.at >= since]
        found.sort(key=lambda fact: fact.at)
        return found

    async def _coin_facts(self, since: int) -> list[Fact]:
        start = max(1, since // MILLISECOND - MARGIN)
        rows = [row for row in await self._trades(start, contracts=False) if self._is(row, contract=False)]
        new = [row for row in rows if _name(row) not in self._fills]
        if new:
            legs = await self._legs(new) if self._manner.lines is Lines.LEDGER else {}
            owners = await self._own_id(new)
            for row in new:
                own = self._manner.lines is not Lines.LEDGER or not _on_margin(row)
                self._fills[_name(row)] = self._fill(row, owners[str(row.get("order"))], legs) if own else None
        return [fill for row in rows if (fill := self._fills[_name(row)]) is not None]

    def _is(self, row: Row, *, contract: bool) -> bool:
        """Whether a trade is of coins, or of contracts, that are handled at all."""
        symbol = row.get("symbol")
        try:
            market = self._names.instrument(str(symbol)) if symbol in self._names else None
        except InvalidMarket:
            return False
        return market is not None and (market.contract is not None) is contract

    def _fill(self, row: Row, order_id: str, legs: Mapping[str, Sequence[Row]]) -> Fill | None:
        market = self._names.instrument(str(row["symbol"]))
        trade_id, side = str(row["id"]), _side(row)
        try:
            if self._manner.lines is Lines.LEDGER:
                qty, cost, fee = self._of_ledger(market, row, legs.get(trade_id, ()))
            else:
                qty = self._names.qty(market, row["amount"], f"amount of trade {trade_id}")
                cost = self._names.amount(market.quote.code, row["cost"], f"cost of trade {trade_id}").units
                fee = self._fee(market, row)
            price = market.whole_price(str(exact(row["price"], f"price of trade {trade_id}")))
        except (InvalidAmount, InvalidMarket, KeyError) as error:
            raise VenueUnavailable(f"trade {trade_id} of {market} at {self._venue} cannot be read exactly: {error}") from None
        maker = Liquidity.MAKER if row.get("takerOrMaker") == "maker" else Liquidity.TAKER
        return Fill(order_id, instant(row), market, side, qty, price, cost, fee, maker, trade_id=trade_id, venue=self._venue)

    def _fee(self, market: Instrument, row: Row) -> Amount:
        """What a trade says that it cost in fees, in one coin. Raises `InvalidAmount` for one that says nothing, or says two."""
        said = row.get("fees") or [row.get("fee")]
        found: dict[str, Amount] = {}
        for one in said:
            if one and one.get("cost") is not None:
                code = str(one.get("currency") or market.quote.code)
                amount = self._names.amount(code, one["cost"], f"fee of trade {row.get('id')}")
                found[code] = found[code] + amount if code in found else amount
        charged = [amount for amount in found.values() if amount.units]
        if len(charged) > 1:
            raise InvalidAmount(f"fees in {len(charged)} coins, {', '.join(map(str, charged))}, where one fill has one fee")
        if not found:
            raise InvalidAmount("it says no fee")
        return charged[0] if charged else next(iter(found.values()))

    async def _legs(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        """The ledger's lines of trades, by the trades' ids. Raises `VenueUnavailable` where it does not have those of one yet."""
        legs: dict[str, list[Row]] = {}
        start = min(instant(row) for row in rows) // MILLISECOND - MARGIN
        for line in await self._ledger(start):
            legs.setdefault(str(line.get("referenceId")), []).append(line)
        missing = [str(row["id"]) for row in rows if str(row["id"]) not in legs and not _on_margin(row)]
        if missing:
            raise VenueUnavailable(f"the ledger of {self._venue} does not have the lines of {', '.join(missing[:5])} yet")
        return legs

    def _of_ledger(self, market: Instrument, row: Row, lines: Sequence[Row]) -> tuple[int, int, Amount]:
        """Quantity, cost and fee of a trade as the ledger's lines of it moved them."""
        sums: dict[str, Amount] = {}
        fees: dict[str, Amount] = {}
        for line in lines:
            code = self._names.wallet(str(line.get("currency")))
            if code is None:
                continue
            moved, fee = self._line(code, line)
            sums[code] = sums[code] + moved if code in sums else moved
            fees[code] = fees[code] + fee if code in fees else fee
        base, quote = market.base, market.quote
        if set(sums) - {base.code, quote.code} or len(sums) < 2:
            raise InvalidAmount(f"the ledger's lines of it are of {', '.join(sorted(sums)) or 'nothing'}, not of {base} and {quote}")
        sign = _side(row).sign
        qty, cost = sign * sums[base.code].units, -sign * sums[quote.code].units
        if qty <= 0 or cost < 0:
            raise InvalidAmount(f"the ledger's lines of it are {sums[base.code]} and {sums[quote.code]}, which is no {_side(row)}")
        charged = [fee for fee in fees.values() if fee.units]
        if len(charged) > 1:
            raise InvalidAmount(f"fees in {len(charged)} coins, where one fill has one fee")
        return qty, cost, charged[0] if charged else quote.zero

    def _line(self, code: str, line: Row) -> tuple[Amount, Amount]:
        """What a ledger line moved, fee apart, and the fee."""
        what = f"ledger line {line.get('id')}"
        moved = self._names.amount(code, line.get("amount"), what)
        fee = (line.get("fee") or {}).get("cost")
        taken = self._names.amount(code, fee, f"fee of {what}") if fee is not None else moved.asset.zero
        return (-moved if line.get("direction") == "out" else moved), taken

    # -- contracts ---------------------------------------------------------------------------------------------------

    async def catch_up(self, *, whole: bool = True) -> None:
        """Read what is new of all contracts. Raises `VenueUnavailable`; then all of it is new again the next time."""
        now = self._now()
        whole |= now - self._paid_at >= self._rates_every
        told = await self._contract_trades()
        rows = [row for market in told.values() for row in market if self._is(row, contract=True)]
        new = [row for row in rows if str(row["id"]) not in self._slates.get(str(row["symbol"]), ())]
        logged: Mapping[str, Row] = {}
        entries: dict[str, list[Traded | Paid]] = {}
        latest: int | None = None
        if self._manner.realized is Realized.LOG and (new or whole):
            logged, entries, latest = await self._log(new)
        elif whole and self._asks.has("fetchFundingHistory"):
            entries, latest = await self._payments()
        owners = await self._own_id(new) if new else {}
        for row in new:
            traded = self._traded(row, owners[str(row.get("order"))], logged)
            entries.setdefault(str(row["symbol"]), []).append(traded)
        for symbol, some in entries.items():
            slate = self._slates.get(symbol)
            if slate is None:
                slate = self._slates[symbol] = Slate(self._names.instrument(symbol), self._venue)
            slate.add(some)
        self._read(told, latest, now)

    def _read(self, told: Mapping[str, Sequence[Row]], latest: int | None, now: int) -> None:
        """All that was told is taken in: what comes is asked for from there on. Of funding from an hour before now, at the latest."""
        for name, rows in told.items():
            self._seen[name] = max([self._seen.get(name, 0), *(instant(row) // MILLISECOND for row in rows)])
            if rows and self._manner.trades is Pages.FROM_ID:
                self._last_id[name] = max(self._last_id.get(name, 0), *(int(row["id"]) for row in rows))
        if latest is not None:
            self._seen["funding"] = max(self._seen.get("funding", 0), latest, (now - HOUR) // MILLISECOND)
            self._paid_at = now

    def positions(self) -> dict[str, Position]:
        """What the trades that were read make, by symbol; those of nothing left out."""
        return {symbol: slate.position for symbol, slate in self._slates.items() if slate.qty or slate.money}

    async def _contract_trades(self) -> dict[str, list[Row]]:
        """Trades since those that were read, by market where each is asked for by itself."""
        found: dict[str, list[Row]] = {}
        for symbol in self._symbols(contracts=True):
            name = symbol or ""
            since = max(self._seen.get(name, 0) - 60_000, self._flat_at // MILLISECOND)
            found[name] = await self._of_market(symbol, since)
        return found

    def _traded(self, row: Row, order_id: str, logged: Mapping[str, Row]) -> Traded:
        market, trade_id = self._names.instrument(str(row["symbol"])), str(row["id"])
        info: Mapping[str, Any] = row.get("info") or {}
        realized: int | None = None
        funding: Paid | None = None
        seq = int(trade_id) if trade_id.isdigit() else 0
        what = f"trade {trade_id}"
        try:
            qty = self._names.qty(market, row["amount"], f"amount of {what}")
            price = market.whole_price(str(exact(row["price"], f"price of {what}")))
            cost = self._cost(market, row, qty, price)
            if self._manner.realized is Realized.LOG:
                line = logged[trade_id]
                seq = int(line.get("id") or 0)
                realized = self._units(market, (line.get("info") or {}).get("realized_pnl"), f"profit of {what}")
                fee = self._names.amount(market.quote.code, (line.get("info") or {}).get("fee") or "0", f"fee of {what}")
                funding = self._logged_funding(market, line, self._start(market, info))
            else:
                fee = self._fee(market, row)
                if self._manner.realized is Realized.TRADE:
                    realized = self._units(market, info["realizedPnl"], f"profit of {what}")
        except (InvalidAmount, InvalidMarket, KeyError) as error:
            raise VenueUnavailable(f"{what} of {market} at {self._venue} cannot be read exactly: {error}") from None
        liquidity = Liquidity.MAKER if row.get("takerOrMaker") == "maker" else Liquidity.TAKER
        start = self._start(market, info)
        return Traded(
            trade_id,
            instant(row),
            order_id,
            _side(row),
            qty,
            price,
            cost,
            fee,
            liquidity,
            realized=realized,
            start=start,
            forced=self._forced(info),
            funding=funding,
            seq=seq,
        )

    def _start(self, market: Instrument, info: Mapping[str, Any]) -> int | None:
        """The position before a trade, where it says so."""
        said = info.get("startPosition")
        return None if said is None else self._names.qty(market, said, "position before a trade")

    def _forced(self, info: Mapping[str, Any]) -> bool:
        """Whether a trade was a liquidation of this account."""
        if isinstance(info.get("liquidation"), Mapping):
            return str(info.get("dir", "")).startswith("Liquidated") or str(info.get("dir", "")) == "Auto-Deleveraging"
        return str(info.get("fillType", "")) in self._manner.forced

    def _cost(self, market: Instrument, row: Row, qty: int, price: int) -> int:
        """What a trade of contracts was for: as the exchange says it, where that is exact, else price times quantity."""
        own = market.cost(price, qty, Rounding.CEIL if _side(row) is Side.BUY else Rounding.FLOOR)
        said = (row.get("info") or {}).get("quoteQty")
        if said is None:
            return own
        units = self._names.amount(market.quote.code, said, f"cost of trade {row['id']}").units
        return units if abs(units - own) <= 1 else own

    def _units(self, market: Instrument, value: object, what: str) -> int:
        return 0 if value is None else self._names.amount(market.quote.code, value, what).units

    # -- funding -----------------------------------------------------------------------------------------------------

    async def _payments(self) -> tuple[dict[str, list[Traded | Paid]], int]:
        """Funding that was paid since the last look, by symbol, and the time of the last payment in ms."""
        since = max(1, self._seen.get("funding", 0) - NEAR, self._flat_at // MILLISECOND)

        async def page(at: int) -> Sequence[Row]:
            return list(await self._asks.ask("fetch_funding_history", None, at, 1_000))

        now = self._now() // MILLISECOND
        if self._manner.lines is Lines.INCOME and since <= now - WEEK:
            rows = await in_windows(page, max(since, now - 13 * WEEK), now, WEEK, name=_payment_of_all)
        else:
            full = 1_000 if self._manner.lines is Lines.INCOME else None
            rows = await forward(page, since, name=_payment_of_all, full=full, first_known=self._manner.oldest_first)
        found: dict[str, list[Traded | Paid]] = {}
        for row in rows:
            symbol = str(row.get("symbol"))
            if self._is(row, contract=True) and _payment(row) not in self._slates.get(symbol, ()):
                found.setdefault(symbol, []).append(await self._paid(self._names.instrument(symbol), row))
        return found, max((instant(row) // MILLISECOND for row in rows), default=0)

    async def _paid(self, market: Instrument, row: Row) -> Paid:
        info = row.get("info") or {}
        delta = info.get("delta") if isinstance(info.get("delta"), Mapping) else {}
        assert delta is not None
        what = f"funding {_payment(row)}"
        try:
            amount = self._units(market, row.get("amount"), what)
            if delta.get("fundingRate") is not None:
                qty = self._names.qty(market, delta["szi"], f"position of {what}")
                rate = _ppb(delta["fundingRate"])
                return Paid(_payment(row), instant(row), amount, self._every(), qty=qty, rate_ppb=rate, basis=self._manner.basis)
            settled = await self._settled_rate(market, instant(row) // MILLISECOND)
            return Paid(_payment(row), instant(row), amount, settled.every, rate_ppb=settled.rate_ppb, price=settled.price)
        except (InvalidAmount, InvalidMarket, KeyError) as error:
            raise VenueUnavailable(f"{what} of {market} at {self._venue} cannot be read exactly: {error}") from None

    async def _settled_rate(self, market: Instrument, at: int) -> FundingRate:
        """The rate that was paid at an instant, in ms, as the exchange's own history of rates has it."""
        rows = list(await self._asks.ask("fetch_funding_rate_history", market.symbol, at - 9 * HOUR // MILLISECOND, 100))
        near = [row for row in rows if abs(instant(row) // MILLISECOND - at) <= NEAR]
        if not near:
            raise VenueUnavailable(f"{self._venue} tells no rate of {market} for the funding that was paid at {at} ms")
        rate = self._rate(market, min(near, key=lambda one: abs(instant(one) // MILLISECOND - at)), rows)
        if rate is None:
            raise VenueUnavailable(f"{self._venue} does not tell at what price, and for how long, {market} was funded at {at} ms")
        return rate

    def _rate(self, market: Instrument, row: Row, rows: Sequence[Row]) -> FundingRate | None:
        """A settled rate; its interval is to the one before it. None where its price or its interval is not told."""
        every, info = self._manner.funding_every, row.get("info") or {}
        if every is None:
            before = [instant(one) for one in rows if instant(one) < instant(row) - NEAR * MILLISECOND]
            every = None if not before else max(HOUR, divide(instant(row) - max(before), HOUR, Rounding.HALF_EVEN) * HOUR)
        price = info.get("markPrice")
        if not price and info.get("relativeFundingRate") and (part := exact(info["relativeFundingRate"], "relative funding rate")):
            price = exact(info["fundingRate"], "funding rate") / part
        if every is None or not price:
            return None
        units = market.whole_price(exact(price, "mark price") if isinstance(price, str) else price)
        return FundingRate(market, instant(row), _ppb(row["fundingRate"]), units, every, Basis.MARK)

    async def _nothing_paid(self, since: int) -> list[FundingPaid]:
        """Funding that fell due while no contract was held: slices that cancel out pay each other all the same.

        From when this account first traded a contract, or from when the driver was opened; where rates are told with their price.
        """
        found: list[FundingPaid] = []
        if not self._asks.has("fetchFundingRateHistory") or self._manner.lines is Lines.UPDATES:
            return found
        for market in self._markets:
            if market.contract is None:
                continue
            slate = self._slates.get(market.symbol)
            first = min(self._opened, self._opened if slate is None or not slate.facts else slate.facts[0].at)
            for rate in await self._rates_of(market, max(since, first)):
                if rate.at >= max(since, first) and (slate is None or not slate.qty_at(rate.at)):
                    found.append(FundingPaid(rate, 0, 0, f"rate {rate.at // MILLISECOND}", self._venue))
        return found

    async def _rates_of(self, market: Instrument, since: int) -> list[FundingRate]:
        """The settled rates of a contract from an instant on, as far as they are told whole."""
        known = self._rates.setdefault(market.symbol, {})
        begun, asked = self._rates_begin.get(market.symbol), self._rates_asked.get(market.symbol)
        now = self._now()
        if begun is None or since < begun or asked is None or now - asked >= self._rates_every:
            start = since - 9 * HOUR if begun is None or since < begun else max(known, default=since - 9 * HOUR) - 9 * HOUR
            rows = await self._forward("fetch_funding_rate_history", market.symbol, max(1, start // MILLISECOND), name=_moment)
            try:
                told = {instant(row): self._rate(market, row, rows) for row in rows}
            except (InvalidAmount, InvalidMarket, KeyError) as error:
                raise VenueUnavailable(f"the funding rates of {market} at {self._venue} cannot be read: {error}") from None
            known |= {at: rate for at, rate in told.items() if rate is not None and at not in known}
            self._rates_begin[market.symbol] = since if begun is None else min(begun, since)
            self._rates_asked[market.symbol] = now
        return [known[at] for at in sorted(known) if at >= since]

    def _every(self) -> int:
        if self._manner.funding_every is None:
            raise InvalidMarket("the time between two funding payments is not known")
        return self._manner.funding_every

    # -- the account log -----------------------------------------------------------------------------------------------

    async def _log(self, new: Sequence[Row]) -> tuple[dict[str, Row], dict[str, list[Traded | Paid]], int]:
        """The log's lines of new trades, by their ids, the funding that it has by itself, by symbol, and the time of its last line."""
        since = max(1, self._seen.get("funding", 0) - 60_000, self._flat_at // MILLISECOND)
        since = min([since, *(instant(row) // MILLISECOND - MARGIN for row in new)])
        logged: dict[str, Row] = {}
        paid: dict[str, list[Traded | Paid]] = {}
        lines = await self._ledger(max(1, since))
        for line in lines:
            info = line.get("info") or {}
            if info.get("execution"):
                logged[str(info["execution"])] = line
            elif info.get("realized_funding") and (symbol := self._symbol_of(info)) is not None:
                market = self._names.instrument(symbol)
                one = self._logged_funding(market, line, None)
                if one is not None and one.id not in self._slates.get(symbol, ()):
                    paid.setdefault(symbol, []).append(one)
        missing = [str(row["id"]) for row in new if str(row["id"]) not in logged]
        if missing:
            raise VenueUnavailable(f"the account log of {self._venue} does not have {', '.join(missing[:5])} yet")
        return logged, paid, max((instant(line) // MILLISECOND for line in lines), default=0)

    def _symbol_of(self, info: Mapping[str, Any]) -> str | None:
        """The symbol of a log line's contract, which it writes in lower case, where it is one that is handled."""
        wanted = str(info.get("contract") or "").lower()
        symbol = self._names.symbol_of(wanted)
        return symbol if symbol is not None and self._is({"symbol": symbol}, contract=True) else None

    def _logged_funding(self, market: Instrument, line: Row, qty: int | None) -> Paid | None:
        info = line.get("info") or {}
        if not info.get("realized_funding"):
            return None
        amount = self._units(market, info["realized_funding"], f"funding of log line {line.get('id')}")
        if not amount:
            return None
        mark = info.get("mark_price")
        price = market.whole_price(str(exact(mark, "mark price"))) if mark else None
        return Paid(f"log {line.get('id')}", instant(line), amount, self._every(), qty=qty, price=price, seq=int(line.get("id") or 0))

    # -- the exchange's own lines ----------------------------------------------------------------------------------------

    async def flows(self, since: int) -> list[CashFlow]:
        """The lines of the account's coins from an instant on, oldest first. Raises `VenueUnavailable`."""
        lines = self._manner.lines
        if lines is Lines.LEDGER:
            found = await self._ledger_flows(since)
        elif lines is Lines.LOG:
            found = await self._log_flows(since)
        elif lines is Lines.INCOME:
            found = await self._income_flows(since)
        else:
            found = [*_flows_of(await self.facts(since)), *await self._other_flows(since)]
        found = [line for line in found if line.at >= since]
        found.sort(key=lambda line: (line.at, line.id))
        return found

    async def _ledger_flows(self, since: int) -> list[CashFlow]:
        facts = {str(fact.trade_id): fact.key for fact in await self._coin_facts(since - MARGIN * MILLISECOND) if isinstance(fact, Fill)}
        found = []
        for line in await self._ledger(max(1, since // MILLISECOND - MARGIN)):
            code = self._names.wallet(str(line.get("currency")))
            if code is None:
                continue
            try:
                moved, fee = self._line(code, line)
            except InvalidAmount as error:
                raise VenueUnavailable(f"the ledger of {self._venue} cannot be read exactly: {error}") from None
            info = line.get("info") or {}
            kind = _kind(str(info.get("type") or line.get("type")), str(info.get("subtype") or ""), moved.units)
            ref = facts.get(str(line.get("referenceId")), "")
            at, name = instant(line), str(line["id"])
            if moved.units:
                found.append(CashFlow(at, moved, kind, name, ref, self._venue))
            if fee.units:
                found.append(CashFlow(at, -fee, FlowKind.FEE, f"{name}/fee", ref, self._venue))
        return found

    async def _log_flows(self, since: int) -> list[CashFlow]:
        keys = {fact.key for fact in await self.facts(since - MARGIN * MILLISECOND) if isinstance(fact, Settled)}
        found = []
        for line in await self._ledger(max(1, since // MILLISECOND - MARGIN)):
            code, info = str(line.get("currency")), line.get("info") or {}
            try:
                moved, fee = self._line(code, line)
            except InvalidAmount as error:
                raise VenueUnavailable(f"the account log of {self._venue} cannot be read exactly: {error}") from None
            change, symbol = moved - fee, self._symbol_of(info)
            ref = ""
            if symbol is not None:
                name = f"trade {info['execution']}" if info.get("execution") else f"funding log {line.get('id')}"
                ref = Settled(0, self._names.instrument(symbol), 0, name, self._venue).key
            if change.units:
                kind = FlowKind.SETTLEMENT if info.get("execution") else _kind(str(info.get("info")), "", change.units)
                found.append(CashFlow(instant(line), change, kind, str(line["id"]), ref if ref in keys else "", self._venue))
        return found

    async def _income_flows(self, since: int) -> list[CashFlow]:
        facts = await self.facts(since - MARGIN * MILLISECOND)
        keys = {fact.key for fact in facts if isinstance(fact, (Fill, Settled))}
        by_trade = {fact.trade_id: fact for fact in facts if isinstance(fact, Fill)}

        async def page(at: int) -> Sequence[Row]:
            return list(await self._asks.ask("fetch_ledger", None, at, 1_000))

        start, now = max(1, since // MILLISECOND - MARGIN), self._now() // MILLISECOND
        start = max(start, now - 13 * WEEK)
        old = start <= now - WEEK
        rows = await in_windows(page, start, now, WEEK, name=_income) if old else await forward(page, start, name=_income, full=1_000)
        found = []
        for row in rows:
            info, code = row.get("info") or {}, str(row.get("currency"))
            try:
                moved, _ = self._line(code, row)
            except InvalidAmount as error:
                raise VenueUnavailable(f"the income of {self._venue} cannot be read exactly: {error}") from None
            what, symbol = str(info.get("incomeType")), self._names.symbol_of(str(info.get("symbol") or "").lower())
            kind = _INCOMES.get(what, FlowKind.OTHER)
            if kind is FlowKind.OTHER and "TRANSFER" in what:
                kind = FlowKind.DEPOSIT if moved.units > 0 else FlowKind.WITHDRAWAL
            ref = ""
            if symbol is not None:
                market = self._names.instrument(symbol)
                trade = by_trade.get(str(info.get("tradeId") or ""))
                if trade is not None and kind is FlowKind.FEE and moved.asset != market.quote:
                    ref = trade.key
                elif info.get("tradeId"):
                    ref = Settled(0, market, 0, f"trade {info['tradeId']}", self._venue).key
                else:
                    ref = Settled(0, market, 0, f"funding {_payment(row)}", self._venue).key
            if moved.units:
                found.append(CashFlow(instant(row), moved, kind, _income(row), ref if ref in keys else "", self._venue))
        return found

    async def _other_flows(self, since: int) -> list[CashFlow]:
        """Deposits and withdrawals, where they are told; of Hyperliquid all its updates of the contract wallet."""
        start = max(1, since // MILLISECOND - MARGIN)
        found: list[CashFlow] = []
        try:
            if self._manner.lines is Lines.UPDATES:
                for row in await self._forward("fetch_ledger", None, start, name=_update):
                    found += self._update(row)
                return found
            for method, sign in (("fetch_deposits", 1), ("fetch_withdrawals", -1)):
                if self._asks.has(_camel(method)) and await self._asks.ask_if_told(method, None, self._now() // MILLISECOND) is not None:
                    for row in await self._forward(method, None, start, name=_moved):
                        found += self._transaction(row, sign)
        except InvalidAmount as error:
            raise VenueUnavailable(f"the transfers of {self._venue} cannot be read exactly: {error}") from None
        return found

    def _transaction(self, row: Row, sign: int) -> Iterable[CashFlow]:
        if row.get("status") not in ("ok", None):
            return
        code, name = str(row.get("currency")), _moved(row)
        amount = self._names.amount(code, row.get("amount"), f"transfer {name}")
        fee = (row.get("fee") or {}).get("cost")
        kind = FlowKind.DEPOSIT if sign > 0 else FlowKind.WITHDRAWAL
        if amount.units:
            yield CashFlow(instant(row), amount if sign > 0 else -amount, kind, name, "", self._venue)
        if fee is not None and sign < 0 and (taken := self._names.amount(code, fee, f"fee of transfer {name}")).units:
            yield CashFlow(instant(row), -taken, FlowKind.FEE, f"{name}/fee", "", self._venue)

    def _update(self, row: Row) -> Iterable[CashFlow]:
        """One update of Hyperliquid's: what it did to the wallet that contracts are traded with."""
        delta = (row.get("info") or {}).get("delta") or {}
        what, name = str(delta.get("type")), _update(row)
        code = next((market.quote.code for market in self._markets), "USDC")
        incoming = {"deposit": 1, "withdraw": -1, "vaultDeposit": -1, "vaultWithdraw": 1, "subAccountTransfer": 0, "internalTransfer": 0}
        sign = incoming.get(what, 0)
        if what == "accountClassTransfer":
            sign = 1 if delta.get("toPerp") else -1
        said = delta.get("usdc", delta.get("netWithdrawnUsd"))
        if said is None:
            return
        if not sign:
            sign = 1 if str(delta.get("destination", "")).lower() == self._asks.feature("account", "address") else -1
        amount = self._names.amount(code, said, f"update {name}")
        kind = FlowKind.DEPOSIT if sign > 0 else FlowKind.WITHDRAWAL
        if amount.units:
            yield CashFlow(instant(row), amount if sign > 0 else -amount, kind, name, "", self._venue)
        if sign < 0 and delta.get("fee") and (fee := self._names.amount(code, delta["fee"], f"fee of update {name}")).units:
            yield CashFlow(instant(row), -fee, FlowKind.FEE, f"{name}/fee", "", self._venue)

    # -- pages ---------------------------------------------------------------------------------------------------------

    def _symbols(self, *, contracts: bool) -> list[str | None]:
        """For which markets trades are asked for: one by one, or all together."""
        per_market = self._manner.per_market
        if per_market is None:
            per_market = self._asks.feature("fetchMyTrades", "symbolRequired") is not False
        if not per_market:
            return [None]
        return [market.symbol for market in self._markets if (market.contract is not None) is contracts]

    async def _trades(self, since: int, *, contracts: bool) -> list[Row]:
        found: list[Row] = []
        for symbol in self._symbols(contracts=contracts):
            found += await self._of_market(symbol, since)
        return found

    async def _of_market(self, symbol: str | None, since: int) -> list[Row]:
        """Trades from an instant on; of all markets where none is named."""
        way = self._manner.trades
        if way is Pages.OFFSET:
            return await by_offset(lambda ofs: self._asks.ask("fetch_my_trades", symbol, _second(since), None, {"ofs": ofs}), FULL[way])
        if way is Pages.BACK:

            async def page(before: int | None) -> Sequence[Row]:
                params = {} if before is None else {"lastFillTime": _iso(before + 1)}
                return list(await self._asks.ask("fetch_my_trades", symbol, None, None, params))

            return await backward(page, since, FULL[way])
        if way is Pages.FROM_ID and symbol is not None:
            return await self._by_id(symbol, since)
        return await self._forward("fetch_my_trades", symbol, max(1, since))

    async def _by_id(self, symbol: str, since: int) -> list[Row]:
        contract, now = self._names.instrument(symbol).contract is not None, self._now() // MILLISECOND
        full = FULL[Pages.FROM_ID]

        async def from_id(first: int) -> Sequence[Row]:
            return list(await self._asks.ask("fetch_my_trades", symbol, None, full, {"fromId": first}))

        async def at(start: int) -> Sequence[Row]:
            return list(await self._asks.ask("fetch_my_trades", symbol, start, full))

        if contract and symbol in self._last_id:
            rows = await by_id(from_id, await from_id(self._last_id[symbol] + 1), full)
        elif contract and since <= 0:
            rows = await by_id(from_id, await from_id(0), full)
        elif contract and since <= now - WEEK:
            first: Sequence[Row] = ()
            while not first and since <= now:
                first, since = await at(since), since + WEEK
            rows = await by_id(from_id, first, full)
        else:
            rows = await by_id(from_id, await at(max(1, since)), full)
        return rows

    async def _ledger(self, since: int) -> list[Row]:
        if self._manner.lines is Lines.LEDGER:
            return await by_offset(lambda ofs: self._asks.ask("fetch_ledger", None, _second(since), None, {"ofs": ofs}), FULL[Pages.OFFSET])
        return await self._forward("fetch_ledger", None, since)

    async def _forward(self, method: str, symbol: str | None, since: int, *, name: Callable[[Row], str] | None = None) -> list[Row]:
        full = self._asks.feature(_camel(method), "limit")
        if method == "fetch_funding_rate_history" and self._manner.lines is Lines.INCOME:
            full = 1_000
        most = (full,) if type(full) is int else ()
        page: Page = lambda at: self._asks.ask(method, symbol, at, *most)  # noqa: E731
        days = self._asks.feature(_camel(method), "untilDays")
        now = self._now() // MILLISECOND

        async def until(at: int, end: int) -> Sequence[Row]:
            return list(await self._asks.ask(method, symbol, at, most[0] if most else None, {"until": end}))

        kept: dict[str, Any] = {"full": most[0] if most else None, "first_known": self._manner.oldest_first}
        kept |= {} if name is None else {"name": name}
        back = until if type(days) is int else None
        if type(days) is int and 0 < days < 1_000 and since < now - days * DAY // MILLISECOND:
            return await in_windows(page, since, now, days * DAY // MILLISECOND, back=back, **kept)
        return await forward(page, since, until=back, **kept)


_INCOMES: Mapping[str, FlowKind] = {
    "REALIZED_PNL": FlowKind.SETTLEMENT,
    "COMMISSION": FlowKind.FEE,
    "FUNDING_FEE": FlowKind.FUNDING,
    "INSURANCE_CLEAR": FlowKind.LIQUIDATION,
    "WELCOME_BONUS": FlowKind.REWARD,
    "CONTEST_REWARD": FlowKind.REWARD,
    "COMMISSION_REBATE": FlowKind.REWARD,
    "API_REBATE": FlowKind.REWARD,
    "REFERRAL_KICKBACK": FlowKind.REWARD,
}
_KINDS: Mapping[str, FlowKind] = {
    "trade": FlowKind.TRADE,
    "margin": FlowKind.TRADE,
    "spend": FlowKind.TRADE,
    "receive": FlowKind.TRADE,
    "conversion": FlowKind.TRADE,
    "deposit": FlowKind.DEPOSIT,
    "withdrawal": FlowKind.WITHDRAWAL,
    "staking": FlowKind.REWARD,
    "reward": FlowKind.REWARD,
    "dividend": FlowKind.REWARD,
    "nftrebate": FlowKind.REWARD,
    "creditrebate": FlowKind.REWARD,
    "earn": FlowKind.EARN,
    "dustsweeping": FlowKind.DUST,
    "rollover": FlowKind.FEE,
    "interest payment": FlowKind.FEE,
    "settled": FlowKind.SETTLEMENT,
    "settlement": FlowKind.SETTLEMENT,
    "funding rate change": FlowKind.FUNDING,
    "futures liquidation": FlowKind.LIQUIDATION,
    "covered liquidation": FlowKind.LIQUIDATION,
}
"""What an exchange's own words for its lines mean."""


def _kind(word: str, detail: str, units: int) -> FlowKind:
    if word == "earn" and detail == "reward":
        return FlowKind.REWARD
    if "transfer" in word:
        return FlowKind.DEPOSIT if units > 0 else FlowKind.WITHDRAWAL
    return _KINDS.get(word, FlowKind.OTHER)


def _flows_of(facts: Iterable[Fact]) -> Iterable[CashFlow]:
    """The coins that facts have moved, where the exchange has no lines of its own."""
    for fact in facts:
        if isinstance(fact, Fill):
            market, sign = fact.instrument, fact.side.sign
            moved = [("fee", -fact.fee, FlowKind.FEE)] if market.contract is None or fact.fee.asset != market.quote else []
            if market.contract is None:
                moved += [("base", Amount(sign * fact.qty, market.base), FlowKind.TRADE)]
                moved += [("quote", Amount(-sign * fact.cost, market.quote), FlowKind.TRADE)]
        elif isinstance(fact, Settled):
            kind = FlowKind.FUNDING if fact.id.startswith("funding ") else FlowKind.SETTLEMENT
            moved = [("settled", Amount(fact.amount, fact.instrument.quote), kind)]
        else:
            assert isinstance(fact, (FundingPaid, Liquidated))
            continue
        for part, amount, kind in moved:
            if amount.units:
                yield CashFlow(fact.at, amount, kind, f"{fact.key}/{part}", fact.key, fact.venue)


def _side(row: Row) -> Side:
    try:
        return Side(str(row.get("side")))
    except ValueError:
        raise VenueUnavailable(f"trade {row.get('id')} says no side: {row.get('side')!r}") from None


def _name(row: Row) -> str:
    return f"{row.get('symbol')} {row.get('id')}"


def _payment(row: Row) -> str:
    """What names a funding payment among those of its contract: where all bear the same hash, or none, its time."""
    told = str(row.get("id"))
    return f"{row.get('timestamp')}" if not told.strip("0x") or told == "None" else told


def _moved(row: Row) -> str:
    """What names a deposit or a withdrawal: the exchange's id of it, or the transaction's on its chain."""
    told = row.get("id") or row.get("txid")
    if not told:
        raise VenueUnavailable(f"a transfer without an id, of {row.get('timestamp')!r}: it cannot be told from others")
    return str(told)


def _payment_of_all(row: Row) -> str:
    return f"{row.get('symbol')} {_payment(row)}"


def _on_margin(row: Row) -> bool:
    """Whether a trade was on borrowed coins, so that it moved none of the account's own."""
    margin = (row.get("info") or {}).get("margin")
    return margin is not None and exact(margin, "margin of a trade") > 0


def _income(row: Row) -> str:
    info = row.get("info") or {}
    return f"{info.get('incomeType')} {row.get('id')} {info.get('tradeId') or ''}".strip()


def _moment(row: Row) -> str:
    return str(row.get("timestamp"))


def _update(row: Row) -> str:
    delta = (row.get("info") or {}).get("delta") or {}
    return f"{row.get('id')} {delta.get('type')} {row.get('timestamp')}"


def _ppb(value: object) -> int:
    """A rate in parts per billion, half-even."""
    numerator, denominator = exact(value, "funding rate").as_integer_ratio()
    return divide(numerator * PPB, denominator, Rounding.HALF_EVEN)


def _second(ms: int) -> int:
    """Whole seconds before an instant, in ms: Kraken leaves out what is exactly at the second that it is asked from."""
    return max(1_000, ms // 1_000 * 1_000 - 1_000)


def _iso(ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601, UTC."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}Z"


def _camel(method: str) -> str:
    first, *rest = method.split("_")
    return first + "".join(part.capitalize() for part in rest)
