"""The five graphs of a report, and the graph of a pool. Drawn from `Report.series` and samples; nothing is worked out here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ..errors import VaultError
from ..money import Asset
from ..policy import QUIET
from ..tearsheet import thin
from .canvas import COLOURS, NEUTRAL, Line, canvas, colours, draw, label, or_empty, points, time_text, vault_name

if TYPE_CHECKING:
    from ..megavault import PoolSample
    from ..report import Report

__all__ = ["figures", "pool"]


_SLEEVE_GRAPHS = {
    "balance": ("Balance at cost (thick) and equity at marks (thin)", (Line("balance", 2.5), Line("equity", 1.2, shape="linear"))),
    "profit": ("Profit realized (solid) and unrealized (dotted)", (Line("realized"), Line("unrealized", 1.2, "dot", "linear"))),
    "returned": ("Profit swept back to Tradeable", (Line("returned", rises=True),)),
    "fees": ("Fees paid", (Line("fees", rises=True),)),
}
_VAULT_LINES = (Line("total", 1.2), Line("tradeable", 2.5))


def figures(report: Report) -> dict[str, go.Figure]:
    """The five graphs of a report, by name and in this order: balance, profit, returned, fees, tradeable.

    A sleeve has one colour in all of them. Sleeves of different assets stand in panels of their own, and so does each
    vault. An unknown value is a gap in its line. Each trace says in `meta` which column of the series it draws.
    """
    by_sleeve = colours(report)
    series = {sleeve: report.series(sleeve) for sleeve in report.story.sleeves}
    found = {}
    for name, (title, lines) in _SLEEVE_GRAPHS.items():
        shown = [sleeve for sleeve in report.story.sleeves if name != "returned" or _sweeps(report, sleeve)]
        found[name] = _sleeve_graph(report, title, lines, {sleeve: series[sleeve] for sleeve in shown}, by_sleeve)
    found["tradeable"] = _vault_graph(report)
    return found


def pool(samples: Sequence[PoolSample], title: str = "Whose it is, and what a share is worth") -> go.Figure:
    """Two panels over time, of samples of a megavault: what each investor has, stacked, and the price of a share in units.

    Raises `VaultError` for samples of several assets.
    """
    assets = {sample.asset for sample in samples}
    if len(assets) > 1:
        raise VaultError(f"samples of one pool are counted in one asset, not in {', '.join(sorted(asset.code for asset in assets))}")
    asset = next(iter(assets), Asset("USD", 6))
    figure = canvas(label(title), [asset, asset], ["Whose it is", "Price of a share"])
    figure.update_yaxes(title={"text": label(f"units of {asset.code}")}, row=2, col=1)
    kept = [samples[i] for i in thin([float(one.equity) for one in samples])] if samples else []
    at = [time_text(one.at) for one in kept]
    for n, name in enumerate(dict.fromkeys(name for one in samples for name in one.worth)):
        worth = [float(one.worth[name].decimal) if name in one.worth else 0.0 for one in kept]
        colour = COLOURS[n % len(COLOURS)]
        figure.add_scatter(x=at, y=worth, name=label(name), stackgroup="worth", line={"color": colour, "width": 1}, row=1, col=1)
    prices = [None if one.price is None else float(one.price) for one in kept]
    if not kept:
        return or_empty(figure, "no samples")
    figure.add_scatter(x=at, y=prices, name="price", line={"color": NEUTRAL, "width": 2}, connectgaps=False, row=2, col=1)
    return figure


def _sleeve_graph(
    report: Report, title: str, lines: Sequence[Line], series: Mapping[str, Sequence[Mapping[str, Any]]], colours: Mapping[str, str]
) -> go.Figure:
    story = report.story.sleeves
    assets = list(dict.fromkeys(story[sleeve].fold.asset for sleeve in series))
    figure, most = canvas(title, assets), points(len(lines) * len(series))
    for sleeve, rows in series.items():
        asset = story[sleeve].fold.asset
        for number, line in enumerate(lines):
            row, said = assets.index(asset) + 1, line.column
            draw(figure, rows, line, name=sleeve, colour=colours[sleeve], said=said, asset=asset, row=row, listed=not number, most=most)
    if all(line.rises for line in lines):
        figure.update_yaxes(rangemode="tozero")
    return or_empty(figure, "nothing was marked yet" if series or not story else "no sleeve here sweeps its profit back")


def _vault_graph(report: Report) -> go.Figure:
    vaults = report.story.vaults
    figure = canvas("Tradeable (thick) against Total (thin)", [v.asset for v in vaults.values()], [vault_name(name) for name in vaults])
    for row, (name, vault) in enumerate(vaults.items(), 1):
        series = report.vault_series(name)
        for line in _VAULT_LINES:
            draw(figure, series, line, name=line.column.capitalize(), colour=NEUTRAL, said="", asset=vault.asset, row=row, listed=row == 1)
    return or_empty(figure, "nothing was marked yet")


def _sweeps(report: Report, sleeve: str) -> bool:
    story = report.story.sleeves[sleeve]
    return bool(story.swept) or story.policy != QUIET.name
