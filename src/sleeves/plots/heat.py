"""A heat map of two parameters: one colour for what lost, another for what gained. It is handed numbers, and what is said of each."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from .canvas import COLOURS, label, or_empty, plain

__all__ = ["heatmap"]

_LOST, _NOTHING, _GAINED = COLOURS[1], "#f2f2f2", COLOURS[0]


def heatmap(
    across: Sequence[str],
    down: Sequence[str],
    numbers: Sequence[Sequence[float | None]],
    words: Sequence[Sequence[str]],
    *,
    x: str,
    y: str,
    value: str,
) -> go.Figure:
    """A row of cells for each of `down`; None is a gap. Colours part at zero where there are figures on both sides of it."""
    figure = go.Figure()
    plain(figure, max(260, min(900, 120 + 34 * len(down))))
    known = [number for row in numbers for number in row if number is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if low < 0 < high:
        scale: list[list[object]] = [[0, _LOST], [0.5, _NOTHING], [1, _GAINED]]
        most = max(high, -low)
        low, high = -most, most
    else:
        scale = [[0, _NOTHING], [1, _GAINED]] if low >= 0 else [[0, _LOST], [1, _NOTHING]]
    if known:
        figure.add_heatmap(
            x=[label(one) for one in across],
            y=[label(one) for one in down],
            z=[list(row) for row in numbers],
            text=[[label(one) for one in row] for row in words],
            texttemplate="%{text}" if len(across) <= 12 else None,
            hovertemplate=f"{label(x)} %{{x}}, {label(y)} %{{y}}: %{{text}}<extra></extra>",
            colorscale=scale,
            zmin=low,
            zmax=high if high > low else low + 1,
            xgap=1,
            ygap=1,
            colorbar={"outlinewidth": 0, "thickness": 12},
        )
    figure.update_layout(title={"text": label(value), "x": 0, "xref": "paper", "font": {"size": 16}})
    figure.update_xaxes(type="category", title={"text": label(x)}, showgrid=False)
    figure.update_yaxes(type="category", title={"text": label(y)}, showgrid=False)
    return or_empty(figure, "no trial has this figure")
