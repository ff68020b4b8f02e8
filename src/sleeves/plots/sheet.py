"""The figures of a tear sheet beside the five graphs: why equity is what it is, trades on candles, drawdown, months.

Drawn from what `Report` says; nothing is worked out here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..errors import VaultError
from ..tearsheet import Deal, candles, thin
from .canvas import NEUTRAL, canvas, colours, label, or_empty, over_time, places, plain, points, time_text
from .graphs import figures

if TYPE_CHECKING:
    from ..market import Instrument
    from ..money import Asset
    from ..report import Report

__all__ = ["MARKERS", "drawdown", "monthly", "plot", "stacked", "trades", "waterfall"]

MARKERS = 1_000
"""The most deals of one sleeve that one picture marks."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def plot(report: Report, name: str | None = None) -> go.Figure:
    """One figure by name, or the five graphs in one without. Raises `VaultError` for a name that is none."""
    five = ("balance", "profit", "returned", "fees", "tradeable")
    more: Mapping[str, Callable[[Report], go.Figure]] = {
        "waterfall": waterfall,
        "trades": trades,
        "drawdown": drawdown,
        "monthly": monthly,
    }
    if name is None:
        return stacked(figures(report))
    if name in five:
        return figures(report)[name]
    if name not in more:
        raise VaultError(f"no figure {name!r}: there are {', '.join([*five, *more])}")
    return more[name](report)


def stacked(of: Mapping[str, go.Figure]) -> go.Figure:
    """Figures over time below each other over one axis, each panel with its title; a sleeve stands in the legend once."""
    heads: list[str] = []
    for one in of.values():
        title = str(one.layout.title.text)
        panels = _panels(one) if one.data else 1
        empty = "" if one.data else f" ({one.layout.annotations[-1].text})"
        named = [note.text for note in one.layout.annotations] if one.data and panels > 1 else [""] * panels
        heads += [f"{title}{empty}" + (f": {panel}" if panel else "") for panel in named]
    rows = len(heads)
    height = 90 + 230 * rows
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=40 / height, subplot_titles=heads)
    plain(figure, height)
    over_time(figure)
    figure.update_layout(hovermode="x unified", margin={"t": 64}, legend={"y": 1 + 24 / height, "yanchor": "bottom"})
    row, listed = 0, set()
    for one in of.values():
        for trace in one.data:
            panel = int((trace.yaxis or "y")[1:] or 1)
            trace = go.Scatter(trace)
            figure.update_yaxes(title={"text": _unit(one, trace), "standoff": 8}, row=row + panel, col=1)
            trace.update(showlegend=bool(trace.showlegend) and trace.legendgroup not in listed, xaxis=None, yaxis=None)
            if trace.showlegend:
                listed.add(trace.legendgroup)
            figure.add_trace(trace, row=row + panel, col=1)
        row += _panels(one) if one.data else 1
    return figure


def _unit(figure: go.Figure, trace: Any) -> str:
    """In what a trace is counted: the title of its axis."""
    return str(figure.layout["yaxis" + str(trace.yaxis or "y")[1:]].title.text or "")


def _panels(figure: go.Figure) -> int:
    return sum(1 for key in figure.layout.to_plotly_json() if key.startswith("yaxis"))


# -- why ---------------------------------------------------------------------------------------------------------------


def waterfall(report: Report) -> go.Figure:
    """Per sleeve a panel: from nothing, by cause, to its equity; what cannot be valued is said and not drawn."""
    told = report.waterfalls
    counts = [len(one.lines) + 1 for one in told.values()]
    height = 40 + sum(34 * count + 62 for count in counts)
    rows = max(1, len(told))
    figure = make_subplots(
        rows=rows,
        cols=1,
        vertical_spacing=0 if rows == 1 else min(62 / height, 1 / (rows - 1)),
        row_heights=counts or None,
        subplot_titles=[label(name) for name in told] or None,
    )
    plain(figure, height)
    figure.update_layout(hovermode="closest", showlegend=False, margin={"t": 72}, title=_title("Who earned what, and why"))
    figure.update_yaxes(autorange="reversed", type="category", automargin=True, ticklabelstandoff=6, fixedrange=True)
    for row, (name, one) in enumerate(told.items(), 1):
        asset = report.story.sleeves[name].fold.asset
        steps = [(line.cause, line.amount.text, "relative") for line in one.lines]
        if one.end is not None:
            steps.append(("equity", one.end.text, "total"))
        figure.add_waterfall(
            orientation="h",
            name=label(name),
            y=[f"{label(cause)}<br><b>{_money(text, asset, sign=how == 'relative')}</b>" for cause, text, how in steps],
            x=[float(text) for _, text, _ in steps],
            measure=[how for _, _, how in steps],
            customdata=[f"{label(cause)} {_money(text, asset, sign=how == 'relative')} {label(asset.code)}" for cause, text, how in steps],
            hovertemplate="%{customdata}<extra></extra>",
            increasing={"marker": {"color": "#009E73"}},
            decreasing={"marker": {"color": "#D55E00"}},
            totals={"marker": {"color": NEUTRAL}},
            connector={"line": {"color": NEUTRAL, "width": 1}},
            row=row,
            col=1,
        )
    return or_empty(figure, "no sleeve was opened")


# -- trades ------------------------------------------------------------------------------------------------------------


def trades(report: Report, symbol: str | None = None) -> go.Figure:
    """A panel per market, or one market's: its candles where a tape of it was played, else its marks as a line, and the deals.

    Up is a buy, down a sale, in the colour of the sleeve: filled where it opens, hollow where it closes; a cross is a forced
    close. Of a sleeve with more than `MARKERS` deals in a market, those with the largest gains and losses are among those shown.
    """
    sheet = report.sheet
    symbols = list(dict.fromkeys(deal.symbol for deal in sheet.deals)) if symbol is None else [symbol]
    markets = [sheet.instruments[one] for one in symbols]
    figure = canvas("Trades", [market.quote for market in markets], [label(one) for one in symbols])
    rows = max(1, len(symbols))
    figure.update_layout(height=90 + 380 * rows, hovermode="closest")
    by_sleeve = colours(report)
    listed: set[str] = set()
    for row, market in enumerate(markets, 1):
        _market(figure, report, market, row)
        for sleeve in report.story.sleeves:
            deals = [deal for deal in sheet.deals if deal.sleeve == sleeve and deal.symbol == market.symbol]
            if deals:
                _deals(figure, report, market, deals, by_sleeve[sleeve], row, listed=sleeve not in listed)
                listed.add(sleeve)
    figure.update_xaxes(rangeslider={"visible": False})
    return or_empty(figure, "nothing was traded")


def _market(figure: go.Figure, report: Report, market: Instrument, row: int) -> None:
    """The price of a market: candles of its tape, or a line through the journal's marks."""
    tape = next((tape for tape in report.tapes if tape.instrument.symbol == market.symbol), None)
    price, quote = market.price_float, label(market.quote.code)
    if tape is not None:
        _, bars = candles(tape)
        figure.add_candlestick(
            x=[time_text(bar.at) for bar in bars],
            **{name: [price(getattr(bar, name)) for bar in bars] for name in ("open", "high", "low", "close")},
            name=label(market.symbol),
            showlegend=False,
            increasing={"line": {"color": NEUTRAL, "width": 1}, "fillcolor": "rgba(0,0,0,0)"},
            decreasing={"line": {"color": NEUTRAL, "width": 1}, "fillcolor": NEUTRAL},
            whiskerwidth=0,
            row=row,
            col=1,
        )
        return
    marks = report.sheet.prices.get(market.symbol, [])
    kept = thin([float(units) for _, units in marks])
    figure.add_scatter(
        x=[time_text(marks[i][0]) for i in kept],
        y=[price(marks[i][1]) for i in kept],
        name=label(market.symbol),
        showlegend=False,
        mode="lines" if len(kept) > 1 else "markers",
        line={"color": NEUTRAL, "width": 1.2},
        hovertemplate=f"mark %{{y}} {quote}<extra></extra>",
        row=row,
        col=1,
    )


def _deals(figure: go.Figure, report: Report, market: Instrument, deals: Sequence[Deal], colour: str, row: int, *, listed: bool) -> None:
    asset = report.story.sleeves[deals[0].sleeve].fold.asset
    shown = [deals[i] for i in thin([float(deal.net) for deal in deals], MARKERS)]
    name = label(deals[0].sleeve)
    figure.add_scatter(
        x=[time_text(deal.at) for deal in shown],
        y=[market.price_float(deal.price) for deal in shown],
        name=name,
        legendgroup=name,
        showlegend=listed,
        mode="markers",
        marker={
            "symbol": [_symbol(deal) for deal in shown],
            "size": 9,
            "color": colour,
            "line": {"width": [1.6 if deal.opens or deal.forced else 2 for deal in shown], "color": colour},
        },
        meta="deals",
        customdata=[_told(report, market, deal, asset) for deal in shown],
        hovertemplate=f"<b>{name}</b> %{{customdata}}<extra></extra>",
        row=row,
        col=1,
    )


def _symbol(deal: Deal) -> str:
    if deal.forced:
        return "x"
    return ("triangle-up" if deal.side == "buy" else "triangle-down") + ("" if deal.opens else "-open")


def _told(report: Report, market: Instrument, deal: Deal, asset: Asset) -> str:
    """A deal in a few words: size, price, fee, and what it made."""
    what = "was closed by force:" if deal.forced else ("opens:" if deal.opens else "closes:")
    net = _money(report.story.sleeves[deal.sleeve].amount(deal.net).text, asset, sign=True)
    lines = [
        f"{what} {deal.side} {market.qty_text(deal.qty)} {market.base.code} at {market.price_text(deal.price)}",
        f"fee {deal.fee.text} {deal.fee.asset.code}, net {net} {asset.code}" + (", inside" if deal.inside else ""),
        f"record {deal.record}" + (f", order {deal.order}" if deal.order else ""),
    ]
    return "<br>".join(label(line) for line in lines)


# -- drawdown and months -----------------------------------------------------------------------------------------------


def drawdown(report: Report) -> go.Figure:
    """How far each sleeve's index of returns, flows apart, stands below its high before."""
    figure = canvas("Drawdown: below the highest index of returns so far", ())
    figure.update_yaxes(tickformat=".2~%", rangemode="tozero")
    by_sleeve = colours(report)
    for sleeve in report.story.sleeves:
        series = report.underwater(sleeve)
        values = [one["underwater"] for one in series]
        kept = thin(values, points(len(report.story.sleeves)))
        if kept:
            figure.add_scatter(
                x=[time_text(series[i]["at"]) for i in kept],
                y=[values[i] for i in kept],
                name=label(sleeve),
                meta="underwater",
                mode="lines",
                fill="tozeroy" if len(by_sleeve) <= 4 else "none",
                fillcolor=_faint(by_sleeve[sleeve]),
                line={"color": by_sleeve[sleeve], "width": 1.5},
                hovertemplate="%{y:.1%}",
                row=1,
                col=1,
            )
    return or_empty(figure, "nothing was marked twice yet" if report.story.sleeves else "no sleeve was opened")


def monthly(report: Report) -> go.Figure:
    """Each sleeve's return by calendar month, UTC, flows apart; months that are not whole are hatched."""
    figure = canvas("Return by month", ())
    figure.update_xaxes(type="category", hoverformat=None)
    figure.update_yaxes(tickformat=".2~%")
    figure.update_layout(barmode="group", bargap=0.25, hovermode="closest")
    by_sleeve = colours(report)
    rows = [row for row in report.months() if row["return"] is not None]
    order = sorted({(row["year"], row["month"]) for row in report.months()})
    figure.update_xaxes(categoryorder="array", categoryarray=[_month(*one) for one in order])
    aside = max(0, 6 - len(order)) / 2
    figure.update_xaxes(range=[-0.5 - aside, len(order) - 0.5 + aside])  # few months make no wider bars
    for sleeve in report.story.sleeves:
        mine = [row for row in rows if row["sleeve"] == sleeve]
        if mine:
            asset = report.story.sleeves[sleeve].fold.asset
            part = ["" if row["whole"] else ", not a whole month" for row in mine]
            figure.add_bar(
                x=[_month(row["year"], row["month"]) for row in mine],
                y=[row["return"] for row in mine],
                name=label(sleeve),
                meta="monthly",
                marker={
                    "color": by_sleeve[sleeve],
                    "pattern": {"shape": ["" if row["whole"] else "/" for row in mine], "solidity": 0.3},
                },
                customdata=[
                    f"{_money(row['net'], asset, sign=True)} {label(asset.code)}{said}" for row, said in zip(mine, part, strict=True)
                ],
                hovertemplate="%{x}: %{y:+.2%}, %{customdata}",
                row=1,
                col=1,
            )
    return or_empty(figure, "nothing was marked twice yet" if report.story.sleeves else "no sleeve was opened")


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "x": 0, "xref": "paper", "y": 1, "yanchor": "top", "pad": {"t": 14}, "font": {"size": 16}}


def _month(year: int, month: int) -> str:
    return f"{_MONTHS[month - 1]} {year}"


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.12)"


def _money(text: str, asset: Asset, *, sign: bool = False) -> str:
    value: Any = Decimal(text)
    return f"{value:{'+' if sign and value else ''}z,.{places(asset.scale)}f}"
