"""What was made window by window, beside what else could have been: bars in groups, one group a window. Nothing is worked out here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from .canvas import COLOURS, NEUTRAL, label, or_empty, plain, time_text

__all__ = ["windows"]


def windows(title: str, unit: str, at: Sequence[int], bars: Mapping[str, Sequence[float | None]]) -> go.Figure:
    """A group of bars for each window, which begins `at`, in nanoseconds: one bar by each name. None leaves its place empty."""
    figure = go.Figure()
    plain(figure, 380)
    figure.update_layout(
        title={"text": label(title), "x": 0, "xref": "paper", "y": 1, "yanchor": "top", "pad": {"t": 14}, "font": {"size": 16}},
        barmode="group",
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "y": -0.14, "yanchor": "top"},
    )
    figure.update_xaxes(type="category")
    figure.update_yaxes(title={"text": label(unit), "standoff": 8})
    for n, (name, values) in enumerate(bars.items()):
        colour = NEUTRAL if n >= len(COLOURS) else COLOURS[n]
        told = f"%{{y:,.2f}} {label(unit)}"
        figure.add_bar(
            x=[time_text(one)[:16] for one in at], y=list(values), name=label(name), marker={"color": colour}, hovertemplate=told
        )
    return or_empty(figure, "no windows")
