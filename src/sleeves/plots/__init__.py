"""A report as pictures: plotly figures, and one HTML page, the tear sheet, that holds all of it and asks the network for nothing.

    graphs      the five graphs of a run, and the graph of a pool
    sheet       who earned what and why, trades on candles, drawdown, months; all five in one
    heat        heat maps of sweeps
    document    the tear sheet, with `style`

It draws what `Report` says and works nothing out itself. Needs the `plots` extra; `Report.figures`, `Report.plot` and
`Report.save` import this package when they are called.

Whatever was named by a human (sleeves, engines, tapes, the page's title) is escaped, in the page and inside the
figures, where plotly reads tags in labels too.
"""

from __future__ import annotations

import plotly.graph_objects as _  # noqa: F401 first, so that a plotly that is missing is missed here

from ..tearsheet import POINTS, thin
from .canvas import COLOURS, NEUTRAL
from .document import page
from .graphs import figures, pool
from .heat import heatmap
from .sheet import plot

__all__ = ["COLOURS", "NEUTRAL", "POINTS", "figures", "heatmap", "page", "plot", "pool", "thin"]
