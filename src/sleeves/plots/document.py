"""The tear sheet: a report as one HTML document. It opens offline, and its own policy forbids any request.

Its sections are functions here, one each, in the order of the page. Figures come from `graphs` and `sheet`, numbers from
`Report`; what is shown is rounded for the eye, but for the tables of causes, which add up to the unit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from ..market import BP, DAY, HOUR, MINUTE
from ..tearsheet import candles
from .canvas import colours, places, time_text, vault_name
from .graphs import figures
from .sheet import MARKERS, drawdown, monthly, trades, waterfall
from .style import CSS, PAGE, SCRIPT

if TYPE_CHECKING:
    from ..report import Report
    from ..tearsheet import Moved

__all__ = ["page"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MANY = 6
"""From more sleeves on, their own tables are folded away, each behind its name."""
_LONG = 60
"""From more records on, their table is folded away."""
_ASSUMED = 20
"""The most lines of data and assumptions that are not folded away."""
_MOST_LISTED = 200
"""The most alerts and lost orders that are listed; the rest is counted."""

_CAPTIONS = {
    "balance": (
        "Balance and equity",
        "Thick is each sleeve's balance, open positions at cost; thin is its equity at market prices; between them lies the unrealized.",
    ),
    "profit": (
        "Profit, realized and unrealized",
        "Solid is what closed trades made, before fees; dotted is what open positions would add or cost at market prices.",
    ),
    "returned": (
        "Profit swept back",
        "Each step is a close whose profit went back to Tradeable; sleeves that keep all their profit are not drawn.",
    ),
    "fees": ("Fees", "All fees paid so far: the steeper the climb, the more a sleeve traded."),
    "tradeable": (
        "Tradeable against Total",
        "Thick is what each vault puts at risk, and rises by what was swept back; thin is all that it holds, open positions at cost.",
    ),
}

_MONEY = {
    "net_profit": "net profit",
    "realized": "realized, before fees",
    "unrealized": "unrealized",
    "fees": "fees",
    "funding": "funding",
    "returned": "swept to Tradeable",
    "allocation": "allocation",
    "balance": "balance, positions at cost",
    "equity": "equity",
}
_PERCENT = {"win_rate": "win rate", "return": "return, flows apart", "drawdown": "deepest drawdown"}
_RATIO = {"profit_factor": "profit factor", "sharpe": "Sharpe (365 days)", "sortino": "Sortino (365 days)"}
_VAULT_MONEY = {
    "total": "Total",
    "tradeable": "Tradeable",
    "in_sleeves": "in sleeves, at cost",
    "idle_and_reserve": "idle and reserve",
    "returned": "swept back by sleeves",
    "suspense": "in suspense",
}


class _Html(str):
    """Text that is markup already: all that came from elsewhere has been escaped in it."""

    __slots__ = ()


class _Section:
    """A section of the page: the id it is linked by, its heading, and a shorter one for the table of contents."""

    def __init__(self, name: str, heading: str, content: str, short: str = "") -> None:
        self.name = name
        self.short = short or heading
        self.html = f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{escape(heading)}</h2>{content}</section>'


def page(report: Report, title: str = "sleeves report") -> str:
    """The whole report as one HTML document, plotly.js included.

    Money in it is exact text from the books, shown to two places (to six for assets that are counted finer than that), and in
    full where it is added up. The same report gives the same page.
    """
    rows = report.rows()
    shown = {sleeve.fold.asset.code: places(sleeve.fold.asset.scale) for sleeve in report.story.sleeves.values()}
    shown |= {vault.asset.code: places(vault.asset.scale) for vault in report.story.vaults.values()}
    drawn: dict[str, go.Figure] = {}
    sections = [
        _why(report, drawn),
        *_graphs(report, drawn),
        *_deals(report, drawn),
        _drawdown(report, drawn),
        _monthly(report, drawn, shown),
        _costs(report, shown),
        _refusals(report),
        _numbers(report, rows, shown),
        _made(report, shown),
        _proof(report),
        _records(report),
    ]
    contents = "".join(f'<li><a href="#{one.name}">{escape(one.short)}</a></li>' for one in sections)
    body = [
        _headline(report, rows, shown, title),
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav>',
        _cards(rows, shown, colours(report)),
        *(one.html for one in sections),
    ]
    return PAGE.format(title=escape(title), css=CSS, body="\n".join(body), figures=_json(drawn), plotly=get_plotlyjs(), script=SCRIPT)


# -- what is said first ------------------------------------------------------------------------------------------------


def _headline(report: Report, rows: Sequence[Mapping[str, Any]], shown: Mapping[str, int], title: str) -> str:
    marks = [sample.at for vault in report.story.vaults.values() for sample in vault.samples]
    span = f" · {time_text(min(marks))[:16]} to {time_text(max(marks))[:16]} UTC" if marks else ""
    return (
        f'<header><p class="over">{escape(title + span)}</p><h1>{escape(_answer(rows, shown))}</h1>'
        f"<p>{escape(_together(rows, shown))}</p>{_verdict(report)}</header>"
    )


def _answer(rows: Sequence[Mapping[str, Any]], shown: Mapping[str, int]) -> str:
    """Who earned what, in one sentence."""
    if not rows:
        return "No sleeve was opened"
    if len(rows) > 3:
        earned = sum(1 for row in rows if row["net_profit"] is not None and Decimal(row["net_profit"]) > 0)
        return f"{earned} of {len(rows)} sleeves earned a profit"
    return ", ".join(_deed(row, shown) for row in rows)


def _deed(row: Mapping[str, Any], shown: Mapping[str, int]) -> str:
    name, asset = row["sleeve"], row["asset"]
    if row["net_profit"] is None:
        return f"{name}'s profit is unknown"
    net = Decimal(row["net_profit"])
    if not net:
        return f"{name} broke even" if row["fills"] else f"{name} did not trade"
    return f"{name} {'earned' if net > 0 else 'lost'} {_money(str(abs(net)), shown[asset])} {asset}"


def _together(rows: Sequence[Mapping[str, Any]], shown: Mapping[str, int]) -> str:
    """The sums per asset, as sentences."""
    sentences = []
    for asset in dict.fromkeys(row["asset"] for row in rows):
        of = [row for row in rows if row["asset"] == asset]
        fees, returned = (f"{_money(_sum(row[key] for row in of), shown[asset])} {asset}" for key in ("fees", "returned"))
        if any(row["net_profit"] is None for row in of):
            earned = f"Together unknown, for a position in {asset} has no price; "
        else:
            earned = f"Together {_money(_sum(row['net_profit'] for row in of), shown[asset])} {asset}, " if len(of) > 1 else ""
        sentences.append(f"{earned}after {fees} of fees; {returned} swept back to Tradeable.")
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _verdict(report: Report) -> str:
    if not report.proof.holds:
        return '<p class="verdict broken"><a href="#proof">The books are BROKEN: see the proof</a></p>'
    venue = " and equal the venue's balances" if report.holdings is not None else ""
    return f'<p class="verdict"><a href="#proof">The books are exact to the unit{venue}</a></p>'


def _cards(rows: Sequence[Mapping[str, Any]], shown: Mapping[str, int], by_sleeve: Mapping[str, str]) -> str:
    cards = "".join(_card(row, shown[row["asset"]], by_sleeve[row["sleeve"]]) for row in rows)
    note = (
        "Return is time-weighted: money that is allocated, taken back or swept is neither gain nor loss in it. So a sleeve that swept a "
        "good start back and lost on what it kept can show a net profit beside a negative return."
    )
    return f'<section class="cards" aria-label="Sleeves">{cards}</section><p class="note">{note}</p>' if rows else ""


def _card(row: Mapping[str, Any], to: int, colour: str) -> str:
    asset = escape(row["asset"])
    facts = {
        "return, flows apart": _percent(row["return"]),
        "deepest drawdown": _percent(row["drawdown"]),
        "fees": _money(row["fees"], to),
        "swept back": _money(row["returned"], to),
        "trades": f"{row['trades']:,}",
    }
    listed = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in facts.items())
    what = f"{row['policy']} policy, " + (f"engine {row['engine']}" if row["engine"] else "no engine")
    return (
        f'<article class="card" style="--sleeve:{colour}"><h2>{escape(row["sleeve"])}</h2><p class="what">{escape(what)}</p>'
        f'<p class="net {_sign(row["net_profit"])}">{_money(row["net_profit"], to, sign=True)} <small>{asset} net profit</small></p>'
        f"<dl>{listed}</dl></article>"
    )


# -- who earned what, and why ------------------------------------------------------------------------------------------


def _why(report: Report, drawn: dict[str, go.Figure]) -> _Section:
    caption = (
        "From nothing to its equity: what was allocated, what trading made and cost, what was handed back. The tables below say the "
        "same to the last unit, with the records of the journal that did it."
    )
    content = _figure("waterfall", waterfall(report), caption, "Who earned what, by cause", drawn) if report.waterfalls else ""
    many = len(report.waterfalls) > _MANY
    tables = "".join(_folded(_summed(report, name), _causes(report, name), many) for name in report.waterfalls)
    return _Section("why", "Who earned what, and why", content + f'<div class="tables">{tables}</div>', "Why")


def _summed(report: Report, sleeve: str) -> str:
    """A sleeve and what it has, in a line."""
    end = report.waterfalls[sleeve].end
    return f"{sleeve}: " + ("equity unknown" if end is None else f"equity {_exact(end.text)} {end.asset.code}")


def _causes(report: Report, sleeve: str) -> str:
    """The waterfall of one sleeve as a table that adds up."""
    told = report.waterfalls[sleeve]
    code = report.story.sleeves[sleeve].fold.asset.code
    rows = [[line.cause, _signed(line.amount.text), _Html(_links(report, sleeve, line.cause, line.records))] for line in told.lines]
    end = "unknown: a position has no price" if told.end is None else _exact(told.end.text)
    rows.append(["equity at the end", end, "adds up to the unit" if told.exact else "cannot be added up"])
    return _table(f"Why {sleeve} has what it has", [sleeve, f"{code}", "records of the journal"], rows, sums=True, words=(2,))


def _links(report: Report, sleeve: str, cause: str, records: Sequence[int]) -> str:
    """How many records, and links to those that are listed on the page."""
    kept = [one.record for one in report.sheet.moved.get((sleeve, cause), [])] or list(records[-1:])
    links = ", ".join(f'<a href="#r{number}">{number}</a>' for number in kept)
    if len(records) == len(kept):
        return f"{'record' if len(kept) == 1 else 'records'} {links}"
    return f"{len(records):,} records; first, largest, last: {links}"


def _records(report: Report) -> _Section:
    """The records that the causes are linked to."""
    by_number: dict[int, list[tuple[str, Moved]]] = {}
    for (sleeve, _), kept in report.sheet.moved.items():
        for one in kept:
            by_number.setdefault(one.record, []).append((sleeve, one))
    rows: list[tuple[int, list[str]]] = []
    for number, told in by_number.items():
        sleeve, first = told[0]
        did = "; ".join(f"{one.cause} {_signed(report.story.sleeves[name].amount(one.units).text)}" for name, one in told)
        note = " ".join(part for part in (first.ref, first.why) if part)
        rows.append((number, [str(number), _moment(first.at), sleeve, first.kind, first.by, did, note]))
    if report.sheet.marked is not None:
        number, at = report.sheet.marked
        rows.append((number, [str(number), _moment(at), "all", "mark", "desk", "prices at which positions are valued", ""]))
    rows.sort(key=lambda row: row[0])
    if not rows:
        return _Section("records", "Records named above", "<p>No record moved money.</p>", "Records")
    head = ["record", "when, UTC", "sleeve", "kind", "by", "what it did", "reference, why"]
    anchors = {n: f"r{number}" for n, (number, _) in enumerate(rows)}
    table = _table("Records of the journal", head, [row for _, row in rows], words=(1, 2, 3, 4, 5, 6), anchors=anchors)
    text = "The first, the last and the largest of each cause. Numbers count the journal's records from 1; the journal has them all."
    return _Section(
        "records",
        "Records named above",
        f'<p class="text">{text}</p>{_folded(f"{len(rows):,} records", table, len(rows) > _LONG)}',
        "Records",
    )


# -- graphs ------------------------------------------------------------------------------------------------------------


def _graphs(report: Report, drawn: dict[str, go.Figure]) -> list[_Section]:
    return [
        _Section(name, _CAPTIONS[name][0], _figure(name, figure, _CAPTIONS[name][1], _CAPTIONS[name][0], drawn))
        for name, figure in figures(report).items()
    ]


def _deals(report: Report, drawn: dict[str, go.Figure]) -> list[_Section]:
    """Each market that was traded, with its deals."""
    symbols = list(dict.fromkeys(deal.symbol for deal in report.sheet.deals))
    out = []
    for n, symbol in enumerate(symbols):
        name = "trades" if not n else f"trades-{n}"
        heading = f"Trades in {symbol}"
        figure = trades(report, symbol)
        out.append(_Section(name, heading, _figure(name, figure, _of_market(report, symbol), heading, drawn)))
    return out or [_Section("trades", "Trades", "<p>Nothing was traded.</p>")]


def _of_market(report: Report, symbol: str) -> str:
    tape = next((tape for tape in report.tapes if tape.instrument.symbol == symbol), None)
    if tape is not None:
        step, bars = candles(tape)
        price = f"Each candle is {_span(step)} of {tape.name}" if step else f"The price is from {tape.name}"
        price += f", which has {len(tape):,} rows." if len(bars) < len(tape) else "."
    else:
        price = "The line is the price at the journal's marks, for this report has no tape of the market: what lies between is not known."
    deals: dict[str, int] = {}
    for deal in report.sheet.deals:
        if deal.symbol == symbol:
            deals[deal.sleeve] = deals.get(deal.sleeve, 0) + 1
    told = ", ".join(f"{name} {count:,}" for name, count in deals.items())
    more = (
        f" Of more than {MARKERS:,} of one sleeve a part is drawn, largest gains and losses among it."
        if max(deals.values()) > MARKERS
        else ""
    )
    signs = "Up is a buy, down a sale: filled where it opens, hollow where it closes, a cross where the venue closed by force."
    return f"{price} {signs} Fills: {told}.{more}"


def _drawdown(report: Report, drawn: dict[str, go.Figure]) -> _Section:
    caption = (
        "How far each sleeve's index of returns, flows apart, stood below its high before: money that came, left or was swept is no fall."
    )
    content = _figure("drawdown", drawdown(report), caption, "Drawdown by sleeve", drawn)
    rows = []
    for name in report.story.sleeves:
        fall = report.falls(name)
        if fall is not None and fall.deepest < 0:
            back = "not yet" if fall.recovered_at is None else _moment(fall.recovered_at)
            deep = [f"{fall.deepest:.1%}", _moment(fall.high_at), _moment(fall.low_at), back]
            rows.append([name, *deep, _span(fall.longest), f"{fall.current:z.1%}"])
    head = ["sleeve", "deepest", "from its high", "to its low", "made up for", "longest below a high", "at the end"]
    table = (
        _table("The deepest and the longest fall of each sleeve", head, rows, words=(2, 3, 4))
        if rows
        else "<p>No sleeve fell below a high.</p>"
    )
    return _Section("drawdown", "Drawdown", content + table)


def _monthly(report: Report, drawn: dict[str, go.Figure], shown: Mapping[str, int]) -> _Section:
    caption = (
        "A month's return is that of all periods between two marks or transfers that end in it (UTC; a mark at midnight ends the month "
        "before), one after the other: money that is paid in counts from a period's begin, what is taken out to its end, so neither is "
        "profit. Below it is what was made, in money, to the unit of the books and rounded for the eye; months sum to the year, and all "
        "of them to the net profit. A year's return is that of its months, one after the other. A star marks what is not whole: "
        "measured between times more than a day from its begin and its end."
    )
    content = _figure("monthly", monthly(report), "Return by calendar month; hatched months are not whole.", "Return by month", drawn)
    tables = []
    months, years = report.months(), report.years()
    for name, sleeve in report.story.sleeves.items():
        mine = [row for row in [*months, *years] if row["sleeve"] == name]
        if mine:
            table = _calendar(name, mine, shown[sleeve.fold.asset.code])
            made = _money(_sum(row["net"] for row in mine if row["month"]), shown[sleeve.fold.asset.code], sign=True)
            tables.append(_folded(f"{name}: {made} {sleeve.fold.asset.code}", table, len(report.story.sleeves) > _MANY))
    all_of = report.together()
    for asset in dict.fromkeys(row["asset"] for row in all_of):
        rows = [row for row in all_of if row["asset"] == asset]
        tables.insert(0, _calendar("all", rows, shown[asset]))
    return _Section("monthly", "Month by month", f'{content}<p class="text">{caption}</p>{"".join(tables)}', "Months")


def _calendar(name: str, rows: Sequence[Mapping[str, Any]], to: int) -> str:
    """Years down, months across, those that are in no year left out: the return, and below it what was made."""
    cells = {(row["year"], row["month"]): row for row in rows}
    across = [*sorted({row["month"] for row in rows if row["month"]}), None]
    table = [
        [str(year), *(_month(cells.get((year, month)), to) for month in across)] for year in dict.fromkeys(row["year"] for row in rows)
    ]
    head = [name, *("year" if month is None else _MONTHS[month - 1] for month in across)]
    return _table(f"Months of {name}", head, table, kind="calendar", code=str(rows[0]["asset"]))


def _month(row: Mapping[str, Any] | None, to: int) -> _Html:
    if row is None or row["return"] is None:
        return _Html('<span class="none">&ndash;</span>')
    star = "" if row["whole"] else '<abbr title="not whole">*</abbr>'
    gain, size = row["return"], abs(row["return"])
    heat = 0 if not gain else 1 + (size >= 0.02) + (size >= 0.05) + (size >= 0.15)
    side = "up" if gain > 0 else "down"
    times = f"{_moment(row['since'])} to {_moment(row['until'])}"
    return _Html(
        f'<span class="{side}{heat}" title="{times} UTC"><b>{gain:+z.1%}{star}</b><small>{_money(row["net"], to, sign=True)}</small></span>'
    )


# -- what it cost, what was refused ------------------------------------------------------------------------------------


def _costs(report: Report, shown: Mapping[str, int]) -> _Section:
    costs = [row for row in report.costs() if row["fills"] or Decimal(row["fees"]) or Decimal(row["funding"])]
    text = (
        "Turnover is the money that changed hands, both ways, fees apart; bp are hundredths of a percent of it. Slippage is what orders at "
        "market paid against the close of the tape when they were ordered, and stops against their stop: what the market did in between is "
        "in it, as gain or loss, and it is part of what was realized. Limits and trades inside have none."
    )
    if not costs:
        return _Section("costs", "Costs", "<p>Nothing was traded, and nothing was paid.</p>")
    rows = []
    for row in costs:
        to = shown[row["asset"]]
        rows.append(
            [
                f"{row['sleeve']}, {row['market']}",
                f"{row['fills']:,}",
                _money(row["turnover"], to),
                _money(row["fees"], to),
                _rate(row["fees_bp"]),
                _money(row["funding"], to, sign=True),
                "not known" if row["slippage"] is None else _money(row["slippage"], to),
                _rate(row["slippage_bp"]),
            ]
        )
    for asset in dict.fromkeys(row["asset"] for row in costs):
        of = [row for row in costs if row["asset"] == asset]
        if len(of) > 1:
            rows.append(_all_costs(asset, of, shown[asset]))
    head = ["sleeve, market", "fills", "turnover", "fees", "fees, bp", "funding received", "slippage", "slippage, bp"]
    parts = [f'<p class="text">{text}</p>', _table("Costs by sleeve and market", head, rows)]
    for one in report.saved():
        saved = f"{_money(one['saved'], shown.get(one['asset'], 2))} {one['asset']}"
        part = "" if one["saved_bp"] is None else f", {_rate(one['saved_bp'])} bp of what both sides traded"
        what = f"{one['times']:,} trades were made inside, between two sleeves, with no fee: a spread of {saved} was not paid{part}."
        parts.append(f'<p class="text">{escape(what)}</p>')
    if any(one.elsewhere for one in report.sheet.costs.values()):
        parts.append('<p class="text">Fills that were paid in another coin than the sleeve counts in are not in its turnover.</p>')
    if not report.tapes:
        parts.append(
            '<p class="text">This report has no tape, and a journal keeps no price at the time of an order: only stops have a slippage.</p>'
        )
    return _Section("costs", "Costs", "".join(parts))


def _all_costs(asset: str, costs: Sequence[Mapping[str, Any]], to: int) -> list[str]:
    """The sum of one asset. A rate of slippage is left out: it is of other turnover than the fees' is."""
    turnover, fees, funding = (_sum(row[name] for row in costs) for name in ("turnover", "fees", "funding"))
    slipped = [row["slippage"] for row in costs]
    rate = float(Decimal(fees) / Decimal(turnover) * BP) if Decimal(turnover) else None
    known = None if None in slipped else _sum(slipped)
    fills = f"{sum(row['fills'] for row in costs):,}"
    money = [_money(turnover, to), _money(fees, to), _rate(rate), _money(funding, to, sign=True)]
    return [f"all in {asset}", fills, *money, "not known" if known is None else _money(known, to), ""]


def _refusals(report: Report) -> _Section:
    refused = report.refusals()
    parts = []
    if refused:
        rows = [
            [one["sleeve"], one["gate"], one["reason"], f"{one['times']:,}", _moment(one["last"]), one["wish"], one["numbers"]]
            for one in sorted(refused, key=lambda one: -one["times"])
        ]
        head = ["sleeve", "gate", "reason", "times", "last, UTC", "last wish", "the numbers that decided"]
        parts.append(_table("Refused wishes by gate and reason", head, rows, words=(1, 2, 4, 5, 6)))
    else:
        parts.append('<p class="text">No gate refused a wish.</p>')
    lost = report.lost()
    if lost:
        counted: dict[tuple[str, str, str], list[str]] = {}
        for one in lost:
            counted.setdefault((one["sleeve"], one["status"], one["reason"]), []).append(one["order"])
        rows = [[*key, f"{len(orders):,}", ", ".join(orders[-5:])] for key, orders in counted.items()]
        head = ["sleeve", "what became of it", "reason", "orders", "the last of them"]
        parts.append("<h3>Orders that the venue rejected, or canceled unasked</h3>")
        parts.append(_table("Orders rejected or canceled unasked", head, rows[:_MOST_LISTED], words=(1, 2, 4)))
    else:
        parts.append('<p class="text">The venue rejected no order, and canceled none unasked.</p>')
    return _Section("refusals", "Refused, rejected, lost", "".join(parts), "Refused")


# -- numbers, how it was made, proof -----------------------------------------------------------------------------------


def _numbers(report: Report, rows: Sequence[Mapping[str, Any]], shown: Mapping[str, int]) -> _Section:
    return _Section("numbers", "In numbers", f'<div class="tables">{_sleeves(rows, shown)}{_vaults(report, shown)}</div>', "Numbers")


def _sleeves(rows: Sequence[Mapping[str, Any]], shown: Mapping[str, int]) -> str:
    if not rows:
        return ""
    table = [["policy", *(row["policy"] for row in rows)], ["engine", *(row["engine"] or "none" for row in rows)]]
    for key, label in _MONEY.items():
        if key != "funding" or any(Decimal(row[key]) for row in rows):
            table.append([label, *(_money(row[key], shown[row["asset"]]) for row in rows)])
    for key in ("fills", "trades", "refusals"):
        table.append([key, *(f"{row[key]:,}" for row in rows)])
    for key, label in _PERCENT.items():
        table.append([label, *(_percent(row[key]) for row in rows)])
    for key, label in _RATIO.items():
        table.append([label, *("n/a" if row[key] is None else f"{row[key]:,.2f}" for row in rows)])
    return _table("Sleeves in numbers", ["sleeve", *(f"{row['sleeve']} ({row['asset']})" for row in rows)], table)


def _vaults(report: Report, shown: Mapping[str, int]) -> str:
    rows = report.vault_rows()
    if not rows:
        return ""
    table = []
    for key, label in _VAULT_MONEY.items():
        if key != "suspense" or any(Decimal(row[key]) for row in rows):
            table.append([label, *(_money(row[key], shown[row["asset"]]) for row in rows)])
    return _table("Vaults in numbers", ["vault", *(vault_name(row["vault"]) for row in rows)], table)


def _made(report: Report, shown: Mapping[str, int]) -> _Section:
    """The data and the assumptions, the bounds, what paper and live would differ in, and what the run met with."""
    made = report.made()
    parts = ["<h3>Data and assumptions</h3>"]
    if made:
        parts.append(_list(made[:_ASSUMED]))
        if len(made) > _ASSUMED:
            parts.append(_folded(f"{len(made) - _ASSUMED} more", _list(made[_ASSUMED:]), fold=True))
    else:
        parts.append('<p class="text">No tape and no rules were handed to this report: it was made of a journal alone.</p>')
    bounds = report.bounds
    if not isinstance(bounds, str):
        rows = []
        found = {name: {row["sleeve"]: row for row in one.rows()} for name, one in zip(("worst", "best"), bounds, strict=True)}
        for row in report.rows():
            cells = [
                found["worst"].get(row["sleeve"], {}).get("net_profit"),
                row["net_profit"],
                found["best"].get(row["sleeve"], {}).get("net_profit"),
            ]
            rows.append([f"{row['sleeve']} ({row['asset']})", *(_money(cell, shown[row["asset"]], sign=True) for cell in cells)])
        parts.append("<h3>Bounds: the same run on the venue's worst and best day</h3>")
        parts.append(_table("Net profit under other rules", ["net profit", "pessimistic", "as played", "optimistic"], rows))
    parts.append("<h3>What paper and live would differ in</h3>")
    parts.append(_list(_parity(report)))
    met = [line for name in report.story.sleeves for line in report.remarks(name)]
    counted: dict[str, int] = {}
    for alert in report.story.alerts:
        line = f"alert {alert.code} ({alert.subject}): {alert.text}"
        counted[line] = counted.get(line, 0) + 1
    told = [line if times == 1 else f"{line} ({times:,}x)" for line, times in counted.items()]
    met += told[:_MOST_LISTED] + ([f"and {len(told) - _MOST_LISTED:,} more alerts, in the journal"] if len(told) > _MOST_LISTED else [])
    if met:
        parts.append("<h3>What it met with</h3>")
        parts.append(_list(met))
    return _Section("made", "How this run was made", "".join(parts), "How it was made")


def _parity(report: Report) -> list[str]:
    if report.tapes and report.rules is not None:
        return [
            "paper on the same tape: nothing; the desk, the simulated venue and the journal are the same, record for record",
            "paper on prices of the moment: prices between two bars are seen, and acted on, at the time of their own",
            "live: the venue fills. Fees, slippage, resting limits and latency are assumptions here, and facts there",
            "live: our own orders move the market, and others see them; nothing here does",
            "live: answers get lost, feeds fall silent, calls are refused for their rate; this run met with none of it",
        ]
    if report.tapes:
        return [
            "this report was not told by which rules its orders were filled: whether another run would do the same cannot be said from it"
        ]
    return [
        "fills, fees and funding are those that the journal has: what a venue, or its simulation, said",
        "prices between two marks are not in a journal: what was opened and closed between them shows in what was realized alone",
    ]


def _proof(report: Report) -> _Section:
    lines = []
    for finding in report.proof.findings:
        verdict, mark = ("holds", "ok") if finding.holds else ("BROKEN", "broken")
        breaches = "".join(f"<p>{escape(breach)}</p>" for breach in finding.breaches)
        lines.append(f'<li class="{mark}"><span>law {finding.law}</span><b>{escape(finding.name)}</b><em>{verdict}</em>{breaches}</li>')
    content = (
        '<p class="text">The laws of the books, checked at the end of the run by folding the whole journal anew.</p>'
        f'<ul class="laws">{"".join(lines)}</ul>'
    )
    return _Section("proof", "Proof", content)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _figure(name: str, figure: go.Figure, caption: str, what: str, drawn: dict[str, go.Figure]) -> str:
    """A place for a figure, which has its title from the page and its legend where its title was; or why there is nothing to draw."""
    if not figure.data:
        return f'<p class="text">{escape(caption)}</p><p class="text">{figure.layout.annotations[-1].text.capitalize()}.</p>'
    above = 24 / figure.layout.height if len(figure.layout.annotations) > 1 else 0
    drawn[name] = figure.update_layout(title=None, legend={"y": 1 + above, "yanchor": "bottom"})
    figure.update_layout(margin={"t": 32 if name == "waterfall" else 8})
    label = escape(f"{what}: a picture, its numbers are in the tables")
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption><div data-figure="{name}" style="height:{int(figure.layout.height)}px" '
        f'role="img" aria-label="{label}"></div></figure>'
    )


def _table(
    label: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    sums: bool = False,
    kind: str = "",
    words: Sequence[int] = (),
    anchors: Mapping[int, str] | None = None,
    code: str = "",
) -> str:
    """A table that scrolls by itself where it is too wide. The last row is a sum with `sums`; `words` are columns of text."""

    def cell(tag: str, text: str, n: int, extra: str = "") -> str:
        side = ' class="word"' if n in words else ""
        return f"<{tag}{extra}{side}>{text if isinstance(text, _Html) else escape(text)}</{tag}>"

    first = escape(head[0]) + (f" <small>{escape(code)}</small>" if code else "")
    top = f"<td>{first}</td>" + "".join(cell("th", text, n, ' scope="col"') for n, text in enumerate(head[1:], 1))
    lines = []
    for number, row in enumerate(rows):
        mark = f' id="{anchors[number]}"' if anchors else ' class="sum"' if sums and number == len(rows) - 1 else ""
        cells = cell("th", row[0], 0, ' scope="row"') + "".join(cell("td", text, n) for n, text in enumerate(row[1:], 1))
        lines.append(f"<tr{mark}>{cells}</tr>")
    classes = f"wide {kind}".strip()
    wide = f' style="--across:{len(head) - 1}"' if kind else ""
    return (
        f'<div class="{classes}"{wide} role="group" aria-label="{escape(label)}" tabindex="0"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _folded(summary: str, content: str, fold: bool) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>" if fold else content


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _json(drawn: Mapping[str, go.Figure]) -> str:
    """Figures as JSON that may stand inside a script element: no name in it can end that element."""
    text = "{" + ",".join(f"{json.dumps(name)}:{figure.to_json()}" for name, figure in drawn.items()) + "}"
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _money(text: str | None, to: int, *, sign: bool = False) -> str:
    """Exact decimal text, rounded for the eye only."""
    if text is None:
        return "unknown"
    value = Decimal(text)
    return f"{value:{'+' if sign and value else ''}z,.{to}f}"


def _exact(text: str) -> str:
    """Exact decimal text in full."""
    return f"{Decimal(text):,f}"


def _signed(text: str) -> str:
    return f"{Decimal(text):+,f}" if Decimal(text) else "0"


def _sign(text: str | None) -> str:
    value = Decimal(text or 0)
    return "gain" if value > 0 else "loss" if value < 0 else ""


def _sum(texts: Iterable[str]) -> str:
    return str(sum((Decimal(text) for text in texts), Decimal(0)))


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:z,.1%}"


def _rate(value: float | None) -> str:
    return "n/a" if value is None else f"{value:z,.1f}"


def _moment(at: int) -> str:
    """A time to the minute; what was set up before any time was known has none."""
    return "at the start" if at <= 0 else time_text(at)[:16]


def _span(ns: int) -> str:
    """A length of time in its largest whole unit."""
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1_000_000_000, "second")):
        if ns >= unit and (ns % unit == 0 or ns >= 10 * unit):
            count = ns // unit
            return f"{count:,} {name}{'' if count == 1 else 's'}"
    return f"{ns / 1e9:g} seconds"
