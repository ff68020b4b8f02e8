"""What all figures share: an empty figure, a line in it, colours, and text that plotly takes for nothing but text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..money import Asset
from ..tearsheet import POINTS, thin

if TYPE_CHECKING:
    from ..report import Report

__all__ = [
    "COLOURS",
    "FONT",
    "NEUTRAL",
    "Line",
    "canvas",
    "colours",
    "draw",
    "label",
    "or_empty",
    "over_time",
    "places",
    "plain",
    "points",
    "time_text",
    "vault_name",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette for all kinds of colour vision, those first that stand out on light and dark alike."""
NEUTRAL = "#808790"
_GRID = "rgba(128, 135, 144, 0.22)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


class Line(NamedTuple):
    """How one column of a series is drawn."""

    column: str
    width: float = 2
    dash: str = "solid"
    shape: str = "hv"
    rises: bool = False
    """A sum that starts at zero and mostly grows."""


def canvas(title: str, assets: Sequence[Asset], names: Sequence[str] = ()) -> go.Figure:
    """An empty figure with one panel per asset below the other, over one axis of time; `names` head them if they are more than one."""
    rows = max(1, len(assets))
    height = 110 + 270 * rows
    heads = [label(name) for name in names] if rows > 1 else []
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=36 / height, subplot_titles=heads or None)
    plain(figure, height)
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper", "y": 1, "yanchor": "top", "pad": {"t": 14}, "font": {"size": 16}},
        margin={"l": 8, "r": 8, "t": 64 if heads else 48, "b": 8},
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "y": -52 / height, "yanchor": "top"},
    )
    over_time(figure)
    for row, asset in enumerate(assets, 1):
        figure.update_yaxes(title={"text": label(asset.code), "standoff": 8}, row=row, col=1)
    return figure


def plain(figure: go.Figure, height: int) -> None:
    """What every figure looks like: no ground of its own, a quiet grid, numbers in full."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 8, "t": 48, "b": 8},
        font={"family": FONT, "size": 12, "color": NEUTRAL},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"namelength": -1},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL},
        legend={"orientation": "h", "x": 0},
    )
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    figure.update_xaxes(gridcolor=_GRID, zerolinecolor=NEUTRAL, exponentformat="none", separatethousands=True, automargin=True)
    figure.update_yaxes(gridcolor=_GRID, zerolinecolor=NEUTRAL, exponentformat="none", separatethousands=True, automargin=True)


def over_time(figure: go.Figure) -> None:
    """Its x axes are time, UTC."""
    figure.update_xaxes(type="date", zeroline=False, hoverformat="%Y-%m-%d %H:%M UTC")
    figure.update_xaxes(spikecolor=NEUTRAL, spikethickness=1, spikedash="solid", tickangle=0, ticklabelstandoff=6)


def points(lines: int) -> int:
    """The most points of each of so many lines in one picture: `POINTS`, and fewer where they are many, so that it stays light."""
    return min(POINTS, max(1_000, 4 * POINTS // max(1, lines)))


def draw(
    figure: go.Figure,
    series: Sequence[Mapping[str, Any]],
    line: Line,
    *,
    name: str,
    colour: str,
    said: str,
    asset: Asset,
    row: int,
    listed: bool,
    most: int = POINTS,
) -> None:
    """Add one line, of at most `most` points, to a panel.

    `said` stands before the value when one points at it; `listed` lines are in the legend.
    """
    if not series:
        return
    values = [sample[line.column] for sample in series]
    kept = thin(values, most)
    figure.add_scatter(
        x=[time_text(series[i]["at"]) for i in kept],
        y=[values[i] for i in kept],
        name=label(name),
        meta=line.column,
        legendgroup=label(name),
        showlegend=listed,
        mode="lines" if len(kept) > 1 else "markers",
        line={"color": colour, "width": line.width, "dash": line.dash, "shape": line.shape},
        connectgaps=False,
        hovertemplate=f"{said} %{{y:,.{places(asset.scale)}f}} {label(asset.code)}".strip(),
        row=row,
        col=1,
    )


def or_empty(figure: go.Figure, why: str) -> go.Figure:
    """The figure; when nothing was drawn, with a word that says why."""
    if not figure.data:
        figure.add_annotation(text=why, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 14})
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    return figure


def colours(report: Report) -> dict[str, str]:
    return {sleeve: COLOURS[i % len(COLOURS)] for i, sleeve in enumerate(report.story.sleeves)}


def label(text: str) -> str:
    """Text for plotly, which takes tags, entities, `%{...}` and `$...$` in labels for markup."""
    return escape(text, quote=False).replace("%{", "%&#123;").replace("$", "&#36;")


def time_text(at: int) -> str:
    """Nanoseconds as plotly reads time, to the microsecond. UTC."""
    return (_EPOCH + timedelta(microseconds=at // 1000)).replace(tzinfo=None).isoformat(" ")


def vault_name(owner: str) -> str:
    """A vault's name for people: "core:main:USD" is USD (main)."""
    kind, _, rest = owner.partition(":")
    wallet, _, asset = rest.rpartition(":")
    return f"{asset} ({wallet})" if kind == "core" and wallet else owner


def places(scale: int) -> int:
    """Decimal places to show of an asset: two for money, six for coins that are counted finer than six places."""
    return 2 if scale <= 6 else 6
