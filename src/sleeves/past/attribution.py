"""Past trades shared out among sleeves by rules, booked by the house's own functions, and what nobody claims beside them.

Each sleeve's trades, and the rest's, are posted to one ledger as `booking.fill` books a live one: average cost, every
division rounded against a gain. What all of them hold together is then compared with the plain sum over all trades, coin
by coin; a unit of difference is a `LedgerError`. Flows of the venue's own ledger are listed and are nobody's profit.

This module does not know where trades come from, or what anything is worth today.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import frozen

from .. import booking
from ..errors import LedgerError
from ..facts import CashFlow, FlowKind
from ..ledger import Account, Entry, EntryKind, Ledger, Posting, Role
from ..market import Instrument
from ..markup import block, table
from ..money import Amount, Asset
from ..orders import Fill, Side
from .history import History, PastTrade, gather
from .rules import REST, Rule
from .table import BadHistory

__all__ = ["Attribution", "Holding", "Part", "attribute"]

BY = "past"


@frozen(order=False)
class Holding:
    """What one sleeve's trades in one instrument came to.

    `position` is in base coins, below zero where more was sold than the history saw bought; `cost` is what it cost, at
    average cost. `realized` is before fees, `fees` as booked in the quote asset: a fee in the base coin at its trade's
    price, one in a third coin not at all (`Part.fees` has it). `cash` is what the quote asset gained or lost.
    """

    instrument: Instrument
    fills: int
    position: Amount
    cost: Amount
    realized: Amount
    fees: Amount
    cash: Amount

    @classmethod
    def none(cls, market: Instrument) -> Holding:
        """Of an instrument that was not traded."""
        zero = market.quote.zero
        return cls(market, 0, market.base.zero, zero, zero, zero, zero)

    def plus(self, other: Holding) -> Holding:
        """Two sleeves' figures in one instrument, added."""
        return Holding(
            self.instrument,
            self.fills + other.fills,
            self.position + other.position,
            self.cost + other.cost,
            self.realized + other.realized,
            self.fees + other.fees,
            self.cash + other.cash,
        )


@frozen(order=False, repr=False)
class Part:
    """One sleeve's share of the past, or what is left over.

    `holdings` are by symbol. `coins` is by how much its trades changed each coin of the account, by code, fees included;
    `fees` what was charged in each coin.
    """

    name: str
    trades: tuple[PastTrade, ...]
    holdings: Mapping[str, Holding]
    coins: Mapping[str, Amount]
    fees: Mapping[str, Amount]

    @property
    def fills(self) -> tuple[Fill, ...]:
        return tuple(trade.fill for trade in self.trades)

    def __repr__(self) -> str:
        return f"<Part {self.name}: {len(self.trades)} trades>"


class Attribution:
    """The past of an account, sleeve by sleeve. Print it, show it in a notebook, or take its rows.

    `sleeves` are the parts by name, in the order of the rules; `rest` is what no rule claims; `whole` is all of them
    together. `matched` counts the trades that each rule took.
    """

    def __init__(self, history: History, rules: Sequence[Rule], parts: Mapping[str, Part], matched: Sequence[int]) -> None:
        self.history = history
        self.rules = tuple(rules)
        self.matched = tuple(matched)
        self.rest = parts[REST]
        self.sleeves: Mapping[str, Part] = {name: part for name, part in parts.items() if name != REST}
        self.whole = _together(tuple(parts.values()))

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every sleeve, and the rest."""
        return (*self.sleeves.values(), self.rest)

    # -- rows --------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per part and instrument that it traded: money as exact text. For pandas or polars."""
        return [
            {
                "sleeve": part.name,
                "instrument": symbol,
                "base": held.instrument.base.code,
                "quote": held.instrument.quote.code,
                "fills": held.fills,
                "position": held.position.text,
                "cost": held.cost.text,
                "realized": held.realized.text,
                "fees": held.fees.text,
                "cash": held.cash.text,
            }
            for part in self.parts
            for symbol, held in part.holdings.items()
        ]

    def coin_rows(self) -> list[dict[str, Any]]:
        """One plain row per part and coin: by how much its trades changed the account, fees included, and those fees."""
        return [
            {"sleeve": part.name, "coin": code, "change": change.text, "fees": part.fees.get(code, change.asset.zero).text}
            for part in self.parts
            for code, change in part.coins.items()
        ]

    def flow_rows(self) -> list[dict[str, Any]]:
        """One plain row per kind of flow and wallet of the venue's own ledger, lines of the trades above left out.

        A trade that stands in the ledger alone (a purchase in Kraken's app) is among them: no file of trades has it.
        """
        ours = {(fill.venue, fill.trade_id) for fill in self.history.fills}
        found: dict[tuple[str, str], list[Amount]] = {}
        for line in self.history.lines:
            if line.kind is not FlowKind.TRADE or (line.venue, line.ref) not in ours:
                for flow in line.flows:
                    found.setdefault((flow.kind.value, line.place), []).append(flow.amount)
        return [
            {
                "kind": kind,
                "wallet": wallet,
                "flows": len(amounts),
                "received": Amount(sum(max(0, a.units) for a in amounts), amounts[0].asset).text,
                "given": Amount(sum(max(0, -a.units) for a in amounts), amounts[0].asset).text,
            }
            for (kind, wallet), amounts in sorted(found.items())
        ]

    # -- for people --------------------------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        """What each rule took, positions below zero, and all that was told while reading."""
        told = []
        for number, (rule, taken) in enumerate(zip(self.rules, self.matched, strict=True), 1):
            told.append(f"rule {number}, {rule}: {taken} trade{'s' * (taken != 1)}")
        for part in self.parts:
            for held in part.holdings.values():
                if held.position.units < 0:
                    told.append(f"{part.name} sold {-held.position} more of {held.instrument} than this history saw it buy")
        told += [str(note) for note in self.history.notes]
        return told + [f"left out: {error}" for error in self.history.left_out]

    def _table(self) -> list[list[str]]:
        columns = (*self.parts, self.whole)
        rows = [["", *(part.name for part in columns)], ["trades", *(f"{len(part.trades):,}" for part in columns)]]
        for symbol, held in self.whole.holdings.items():
            each = [part.holdings.get(symbol, Holding.none(held.instrument)) for part in columns]
            base, quote = held.instrument.base.code, held.instrument.quote.code
            rows.append([f"{symbol} position, {base}", *(_figure(h.position) for h in each)])
            rows.append([f"{symbol} open cost, {quote}", *(_figure(h.cost) for h in each)])
            rows.append([f"{symbol} realized before fees, {quote}", *(_figure(h.realized) for h in each)])
            rows.append([f"{symbol} fees as booked, {quote}", *(_figure(h.fees) for h in each)])
            rows.append([f"{symbol} net cash, {quote}", *(_figure(h.cash) for h in each)])
        for code, change in self.whole.coins.items():
            rows.append([f"all {code}, net", *(_figure(part.coins.get(code, change.asset.zero)) for part in columns)])
        for code, fee in self.whole.fees.items():
            rows.append([f"fees charged, {code}", *(_figure(part.fees.get(code, fee.asset.zero)) for part in columns)])
        return rows

    def _flow_lines(self) -> list[str]:
        rows = self.flow_rows()
        if not rows:
            return []
        told = ["flows of the ledger, nobody's profit:"]
        for row in rows:
            apart = " (told by no file of trades)" if row["kind"] == FlowKind.TRADE else ""
            moved = f"received {Decimal(row['received']):,f}, given {Decimal(row['given']):,f}"
            told.append(f"  {row['kind']} {row['wallet']}: {row['flows']}, {moved}{apart}")
        return told

    def _verdict(self) -> str:
        coins = ", ".join(self.whole.coins) or "no coins"
        count = len(self.sleeves)
        return f"{count} sleeve{'s' * (count != 1)} and the rest add up to all trades, to the unit: {coins}"

    def __str__(self) -> str:
        table = self._table()
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]).rstrip()
            for row in table
        ]
        lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join([*lines, "", *self._flow_lines(), *self.notes(), self._verdict()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._table()
        return block("Past trades, shared out", table(head, body), notes=[*self._flow_lines(), *self.notes(), self._verdict()])


def _figure(amount: Amount) -> str:
    """Exact, with commas between thousands."""
    return f"{amount.decimal:,f}"


def attribute(past: History | Iterable[Fill], rules: Iterable[Rule]) -> Attribution:
    """Share out past trades: each to the sleeve of the first rule that fits it, or to the rest.

    Fills are taken in order of time, each once. Spot alone: what a perpetual came to hangs on funding and settlements
    that no list of trades has. Raises `BadHistory` for a perpetual, for two instruments of one symbol, for two
    scales of one asset, and for one trade told in two ways.
    """
    history = past if isinstance(past, History) else gather((f"fill {n}", PastTrade(fill)) for n, fill in enumerate(past, 1))
    rules = tuple(rules)
    _check_instruments(history)
    ledger = Ledger()
    matched = [0] * len(rules)
    shares: dict[str, list[PastTrade]] = {name: [] for name in (*(rule.to for rule in rules), REST)}
    for trade in history.trades:
        number = next((number for number, rule in enumerate(rules) if rule.fits(trade)), None)
        owner = REST if number is None else rules[number].to
        if number is not None:
            matched[number] += 1
        shares[owner].append(trade)
        _book(ledger, owner, trade)
    found = Attribution(history, rules, {name: _part(ledger, name, tuple(trades)) for name, trades in shares.items()}, matched)
    _prove(found)
    return found


def _check_instruments(history: History) -> None:
    known: dict[str, Instrument] = {}
    for fill in history.fills:
        market = fill.instrument
        if market.contract is not None:
            raise BadHistory(f"trade {fill.trade_id!r} is of {market}, a perpetual: only trades of coins are attributed")
        if known.setdefault(market.symbol, market) != market:
            raise BadHistory(f"two instruments are called {market}: {known[market.symbol]!r} and {market!r}")


def _book(ledger: Ledger, owner: str, trade: PastTrade) -> None:
    fill = trade.fill
    market = fill.instrument
    trading = Account(owner, Role.TRADING, market.symbol)
    position, cost = -ledger.units(trading, market.base), ledger.units(trading, market.quote)
    ledger.post(booking.fill(owner, fill, held=0, position=position, open_cost=cost, by=BY))
    for flow in trade.fees:
        ledger.post(_further_fee(owner, fill, flow))


def _further_fee(owner: str, fill: Fill, flow: CashFlow) -> Entry:
    """FREE -fee | FEES +fee, in a further coin of the same trade."""
    amount, fees = flow.amount, Account(owner, Role.FEES, fill.instrument.symbol)
    postings = (Posting(Account(owner, Role.FREE), amount.asset, amount.units), Posting(fees, amount.asset, -amount.units))
    return Entry(fill.at, EntryKind.FILL, BY, postings, flow.key)


def _part(ledger: Ledger, name: str, trades: tuple[PastTrade, ...]) -> Part:
    counts: dict[str, int] = {}
    markets: dict[str, Instrument] = {}
    charged: dict[str, Amount] = {}
    for trade in trades:
        symbol = trade.fill.instrument.symbol
        counts[symbol] = counts.get(symbol, 0) + 1
        markets[symbol] = trade.fill.instrument
        for fee in trade.charged:
            if fee.units or fee.asset.code in charged:
                charged[fee.asset.code] = charged.get(fee.asset.code, fee.asset.zero) + fee
    coins = {balance.asset.code: balance for account, balance in ledger.accounts(name) if account.role is Role.FREE}
    holdings = {symbol: _holding(ledger, name, markets[symbol], counts[symbol]) for symbol in sorted(markets)}
    return Part(name, trades, holdings, dict(sorted(coins.items())), dict(sorted(charged.items())))


def _holding(ledger: Ledger, name: str, market: Instrument, fills: int) -> Holding:
    def balance(role: Role, asset: Asset) -> Amount:
        return ledger.balance(Account(name, role, market.symbol), asset)

    cost, fees, pnl = (balance(role, market.quote) for role in (Role.TRADING, Role.FEES, Role.PNL))
    return Holding(market, fills, -balance(Role.TRADING, market.base), cost, -pnl, fees, -(cost + fees + pnl))


def _together(parts: Sequence[Part]) -> Part:
    holdings: dict[str, Holding] = {}
    coins: dict[str, Amount] = {}
    fees: dict[str, Amount] = {}
    for part in parts:
        for symbol, held in part.holdings.items():
            holdings[symbol] = holdings[symbol].plus(held) if symbol in holdings else held
        for sums, found in ((coins, part.coins), (fees, part.fees)):
            for code, amount in found.items():
                sums[code] = sums.get(code, amount.asset.zero) + amount
    trades = tuple(sorted((trade for part in parts for trade in part.trades), key=lambda trade: trade.fill.at))
    return Part("whole", trades, dict(sorted(holdings.items())), dict(sorted(coins.items())), dict(sorted(fees.items())))


def _prove(found: Attribution) -> None:
    """Hold the parts against the plain sum over all trades. Raises `LedgerError` when a unit is missing."""
    plain: dict[str, int] = {}

    def add(amount: Amount) -> None:
        plain[amount.asset.code] = plain.get(amount.asset.code, 0) + amount.units

    for trade in found.history.trades:
        fill, sign = trade.fill, 1 if trade.fill.side is Side.BUY else -1
        add(Amount(sign * fill.qty, fill.instrument.base))
        add(Amount(-sign * fill.cost, fill.instrument.quote))
        for fee in trade.charged:
            add(-fee)
    booked = {code: amount.units for code, amount in found.whole.coins.items()}
    wrong = {code for code in plain.keys() | booked.keys() if plain.get(code, 0) != booked.get(code, 0)}
    if wrong:
        raise LedgerError(f"the parts do not add up to all trades in {', '.join(sorted(wrong))}: {booked} against {plain}")
