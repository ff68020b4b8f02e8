"""A report as pictures: five plotly figures, and one HTML page that holds all of it and asks the network for nothing.

It draws what `Report` says and works nothing out itself. Needs the `plots` extra; `Report.figures` and `Report.save`
import this module when they are called.

Whatever was named by a human (sleeves, engines, tapes, the page's title) is escaped, in the page and inside the
figures, where plotly reads tags in labels too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from .errors import VaultError
from .money import Asset
from .policy import QUIET

if TYPE_CHECKING:
    from .megavault import PoolSample
    from .report import Report

__all__ = ["POINTS", "figures", "page", "pool", "thin"]

POINTS = 4_000
"""The most points of one line in a picture: more than any screen is wide."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette for all kinds of colour vision, those first that stand out on light and dark alike."""
NEUTRAL = "#808790"
_GRID = "rgba(128, 135, 144, 0.22)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


# -- figures ---------------------------------------------------------------------------------------------------------


class _Line(NamedTuple):
    """How one column of a series is drawn."""

    column: str
    width: float = 2
    dash: str = "solid"
    shape: str = "hv"
    rises: bool = False
    """A sum that starts at zero and mostly grows."""


_SLEEVE_GRAPHS = {
    "balance": ("Balance at cost (thick) and equity at marks (thin)", (_Line("balance", 2.5), _Line("equity", 1.2, shape="linear"))),
    "profit": ("Profit realized (solid) and unrealized (dotted)", (_Line("realized"), _Line("unrealized", 1.2, "dot", "linear"))),
    "returned": ("Profit swept back to Tradeable", (_Line("returned", rises=True),)),
    "fees": ("Fees paid", (_Line("fees", rises=True),)),
}
_VAULT_LINES = (_Line("total", 1.2), _Line("tradeable", 2.5))


def figures(report: Report) -> dict[str, go.Figure]:
    """The five graphs of a report, by name and in this order: balance, profit, returned, fees, tradeable.

    A sleeve has one colour in all of them. Sleeves of different assets stand in panels of their own, and so does each
    vault. An unknown value is a gap in its line. Each trace says in `meta` which column of the series it draws.
    """
    colours = _colours(report)
    found = {}
    for name, (title, lines) in _SLEEVE_GRAPHS.items():
        shown = [sleeve for sleeve in report.story.sleeves if name != "returned" or _sweeps(report, sleeve)]
        found[name] = _sleeve_graph(report, title, lines, shown, colours)
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
    figure = _canvas(_label(title), [asset, asset], ["Whose it is", "Price of a share"])
    figure.update_yaxes(title={"text": _label(f"units of {asset.code}")}, row=2, col=1)
    kept = [samples[i] for i in thin([float(one.equity) for one in samples])] if samples else []
    at = [_time(one.at) for one in kept]
    for n, name in enumerate(dict.fromkeys(name for one in samples for name in one.worth)):
        worth = [float(one.worth[name].decimal) if name in one.worth else 0.0 for one in kept]
        colour = COLOURS[n % len(COLOURS)]
        figure.add_scatter(x=at, y=worth, name=_label(name), stackgroup="worth", line={"color": colour, "width": 1}, row=1, col=1)
    prices = [None if one.price is None else float(one.price) for one in kept]
    if not kept:
        return _or_empty(figure, "no samples")
    figure.add_scatter(x=at, y=prices, name="price", line={"color": NEUTRAL, "width": 2}, connectgaps=False, row=2, col=1)
    return figure


def thin(values: Sequence[float | None], most: int = POINTS) -> list[int]:
    """Which of these values to draw, as rising indexes: all of them when there are at most `most`.

    Of more, the first, and of each of equal stretches its least, its greatest, its last and its first unknown value:
    neither an extreme nor a gap is lost, and the line ends where it ended. `most` is at least 5.
    """
    if len(values) <= most:
        return list(range(len(values)))
    buckets = (most - 1) // 4
    kept = {0}
    for bucket in range(buckets):
        indexes = range(bucket * len(values) // buckets, (bucket + 1) * len(values) // buckets)
        known = [(value, i) for i in indexes if (value := values[i]) is not None]
        kept.add(indexes[-1])
        if known:
            kept |= {min(known)[1], max(known)[1]}
        if len(known) < len(indexes):
            kept.add(next(i for i in indexes if values[i] is None))
    return sorted(kept)


def _sleeve_graph(report: Report, title: str, lines: Sequence[_Line], sleeves: Sequence[str], colours: Mapping[str, str]) -> go.Figure:
    story = report.story.sleeves
    assets = list(dict.fromkeys(story[sleeve].fold.asset for sleeve in sleeves))
    figure = _canvas(title, assets)
    for sleeve in sleeves:
        series = report.series(sleeve)
        asset = story[sleeve].fold.asset
        for number, line in enumerate(lines):
            row, said = assets.index(asset) + 1, line.column
            _draw(figure, series, line, name=sleeve, colour=colours[sleeve], said=said, asset=asset, row=row, listed=not number)
    if all(line.rises for line in lines):
        figure.update_yaxes(rangemode="tozero")
    return _or_empty(figure, "nothing was marked yet" if sleeves or not story else "no sleeve here sweeps its profit back")


def _vault_graph(report: Report) -> go.Figure:
    vaults = report.story.vaults
    figure = _canvas("Tradeable (thick) against Total (thin)", [v.asset for v in vaults.values()], [_vault(name) for name in vaults])
    for row, (name, vault) in enumerate(vaults.items(), 1):
        series = report.vault_series(name)
        for line in _VAULT_LINES:
            label = line.column.capitalize()
            _draw(figure, series, line, name=label, colour=NEUTRAL, said="", asset=vault.asset, row=row, listed=row == 1)
    return _or_empty(figure, "nothing was marked yet")


def _canvas(title: str, assets: Sequence[Asset], names: Sequence[str] = ()) -> go.Figure:
    """An empty figure with one panel per asset below the other, over one axis of time; `names` head them if they are more than one."""
    rows = max(1, len(assets))
    height = 110 + 270 * rows
    heads = [_label(name) for name in names] if rows > 1 else []
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=36 / height, subplot_titles=heads or None)
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    figure.update_layout(
        template="none",
        title={"text": title, "x": 0, "xref": "paper", "y": 1, "yanchor": "top", "pad": {"t": 14}, "font": {"size": 16}},
        height=height,
        margin={"l": 8, "r": 8, "t": 64 if heads else 48, "b": 8},
        font={"family": _FONT, "size": 12, "color": NEUTRAL},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified",
        hoverlabel={"namelength": -1},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL},
        legend={"orientation": "h", "x": 0, "y": -52 / height, "yanchor": "top"},
    )
    figure.update_xaxes(type="date", gridcolor=_GRID, zeroline=False, hoverformat="%Y-%m-%d %H:%M UTC", automargin=True)
    figure.update_xaxes(spikecolor=NEUTRAL, spikethickness=1, spikedash="solid", tickangle=0, ticklabelstandoff=6)
    figure.update_yaxes(gridcolor=_GRID, zerolinecolor=NEUTRAL, exponentformat="none", separatethousands=True, automargin=True)
    for row, asset in enumerate(assets, 1):
        figure.update_yaxes(title={"text": _label(asset.code), "standoff": 8}, row=row, col=1)
    return figure


def _draw(
    figure: go.Figure,
    series: Sequence[Mapping[str, Any]],
    line: _Line,
    *,
    name: str,
    colour: str,
    said: str,
    asset: Asset,
    row: int,
    listed: bool,
) -> None:
    """Add one line to a panel. `said` stands before the value when one points at it; `listed` lines are in the legend."""
    if not series:
        return
    values = [sample[line.column] for sample in series]
    kept = thin(values)
    figure.add_scatter(
        x=[_time(series[i]["at"]) for i in kept],
        y=[values[i] for i in kept],
        name=_label(name),
        meta=line.column,
        legendgroup=_label(name),
        showlegend=listed,
        mode="lines" if len(kept) > 1 else "markers",
        line={"color": colour, "width": line.width, "dash": line.dash, "shape": line.shape},
        connectgaps=False,
        hovertemplate=f"{said} %{{y:,.{_places(asset.scale)}f}} {_label(asset.code)}".strip(),
        row=row,
        col=1,
    )


def _or_empty(figure: go.Figure, why: str) -> go.Figure:
    """The figure; when nothing was drawn, with a word that says why."""
    if not figure.data:
        figure.add_annotation(text=why, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 14})
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    return figure


def _colours(report: Report) -> dict[str, str]:
    return {sleeve: COLOURS[i % len(COLOURS)] for i, sleeve in enumerate(report.story.sleeves)}


def _sweeps(report: Report, sleeve: str) -> bool:
    story = report.story.sleeves[sleeve]
    return bool(story.swept) or story.policy != QUIET.name


def _label(text: str) -> str:
    """Text for plotly, which takes tags, entities, `%{...}` and `$...$` in labels for markup."""
    return escape(text, quote=False).replace("%{", "%&#123;").replace("$", "&#36;")


def _time(at: int) -> str:
    """Nanoseconds as plotly reads time, to the microsecond. UTC."""
    return (_EPOCH + timedelta(microseconds=at // 1000)).replace(tzinfo=None).isoformat(" ")


def _vault(owner: str) -> str:
    """A vault's name for people: "core:main:USD" is USD (main)."""
    kind, _, rest = owner.partition(":")
    wallet, _, asset = rest.rpartition(":")
    return f"{asset} ({wallet})" if kind == "core" and wallet else owner


# -- the page --------------------------------------------------------------------------------------------------------

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


def page(report: Report, title: str = "sleeves report") -> str:
    """The whole report as one HTML document, plotly.js included: it opens offline, and its own policy forbids any request.

    Money in it is exact text from the books, shown to two places (to six for assets that are counted finer than that).
    The same report gives the same page.
    """
    rows = report.rows()
    places = {sleeve.fold.asset.code: _places(sleeve.fold.asset.scale) for sleeve in report.story.sleeves.values()}
    places |= {vault.asset.code: _places(vault.asset.scale) for vault in report.story.vaults.values()}
    drawn = {name: _headless(figure) for name, figure in figures(report).items()}
    body = [
        _headline(report, rows, places, title),
        _cards(rows, places, _colours(report)),
        _section("numbers", "In numbers", f'<div class="tables">{_sleeve_table(rows, places)}{_vault_table(report, places)}</div>'),
        *(_graph(name, int(figure.layout.height)) for name, figure in drawn.items()),
        _section("made", "How this run was made", _notes(report.notes())),
        _section("proof", "Proof", _proof(report)),
    ]
    return _PAGE.format(title=escape(title), css=_CSS, body="\n".join(body), figures=_json(drawn), plotly=get_plotlyjs(), script=_SCRIPT)


def _headless(figure: go.Figure) -> go.Figure:
    """The figure without its title, which the page has as a heading, and with its legend where the title was."""
    above = 24 / figure.layout.height if len(figure.layout.annotations) > 1 else 0
    return figure.update_layout(title=None, margin={"t": 8}, legend={"y": 1 + above, "yanchor": "bottom"})


def _headline(report: Report, rows: Sequence[Mapping[str, Any]], places: Mapping[str, int], title: str) -> str:
    marks = [sample.at for vault in report.story.vaults.values() for sample in vault.samples]
    span = f" · {_time(min(marks))[:16]} to {_time(max(marks))[:16]} UTC" if marks else ""
    return (
        f'<header><p class="over">{escape(title + span)}</p><h1>{escape(_answer(rows, places))}</h1>'
        f"<p>{escape(_together(rows, places))}</p>{_verdict(report)}</header>"
    )


def _answer(rows: Sequence[Mapping[str, Any]], places: Mapping[str, int]) -> str:
    """Who earned what, in one sentence."""
    if not rows:
        return "No sleeve was opened"
    if len(rows) > 3:
        earned = sum(1 for row in rows if row["net_profit"] is not None and Decimal(row["net_profit"]) > 0)
        return f"{earned} of {len(rows)} sleeves earned a profit"
    return ", ".join(_deed(row, places) for row in rows)


def _deed(row: Mapping[str, Any], places: Mapping[str, int]) -> str:
    name, asset = row["sleeve"], row["asset"]
    if row["net_profit"] is None:
        return f"{name}'s profit is unknown"
    net = Decimal(row["net_profit"])
    if not net:
        return f"{name} broke even" if row["fills"] else f"{name} did not trade"
    return f"{name} {'earned' if net > 0 else 'lost'} {_money(str(abs(net)), places[asset])} {asset}"


def _together(rows: Sequence[Mapping[str, Any]], places: Mapping[str, int]) -> str:
    """The sums per asset, as sentences."""
    sentences = []
    for asset in dict.fromkeys(row["asset"] for row in rows):
        of = [row for row in rows if row["asset"] == asset]
        fees, returned = (f"{_money(_sum(row[key] for row in of), places[asset])} {asset}" for key in ("fees", "returned"))
        if any(row["net_profit"] is None for row in of):
            earned = f"Together unknown, for a position in {asset} has no price; "
        else:
            earned = f"Together {_money(_sum(row['net_profit'] for row in of), places[asset])} {asset}, " if len(of) > 1 else ""
        sentences.append(f"{earned}after {fees} of fees; {returned} swept back to Tradeable.")
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _verdict(report: Report) -> str:
    if not report.proof.holds:
        return '<p class="verdict broken"><a href="#proof">The books are BROKEN: see the proof</a></p>'
    venue = " and equal the venue's balances" if report.holdings is not None else ""
    return f'<p class="verdict"><a href="#proof">The books are exact to the unit{venue}</a></p>'


def _cards(rows: Sequence[Mapping[str, Any]], places: Mapping[str, int], colours: Mapping[str, str]) -> str:
    cards = "".join(_card(row, places[row["asset"]], colours[row["sleeve"]]) for row in rows)
    note = (
        "Return is time-weighted: money that is allocated, taken back or swept is neither gain nor loss in it. So a sleeve that swept a "
        "good start back and lost on what it kept can show a net profit beside a negative return."
    )
    return f'<section class="cards">{cards}</section><p class="note">{note}</p>' if rows else ""


def _card(row: Mapping[str, Any], places: int, colour: str) -> str:
    asset = escape(row["asset"])
    facts = {
        "return, flows apart": _percent(row["return"]),
        "fees": _money(row["fees"], places),
        "swept back": _money(row["returned"], places),
        "trades": f"{row['trades']:,}",
    }
    listed = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in facts.items())
    what = f"{row['policy']} policy, " + (f"engine {row['engine']}" if row["engine"] else "no engine")
    return (
        f'<article class="card" style="--sleeve:{colour}"><h2>{escape(row["sleeve"])}</h2><p class="what">{escape(what)}</p>'
        f'<p class="net">{_money(row["net_profit"], places, sign=True)} <small>{asset} net profit</small></p><dl>{listed}</dl></article>'
    )


def _sleeve_table(rows: Sequence[Mapping[str, Any]], places: Mapping[str, int]) -> str:
    if not rows:
        return ""
    table = [["sleeve", *(f"{row['sleeve']} ({row['asset']})" for row in rows)]]
    table.append(["policy", *(row["policy"] for row in rows)])
    table.append(["engine", *(row["engine"] or "none" for row in rows)])
    for key, label in _MONEY.items():
        if key != "funding" or any(Decimal(row[key]) for row in rows):
            table.append([label, *(_money(row[key], places[row["asset"]]) for row in rows)])
    for key in ("fills", "trades", "refusals"):
        table.append([key, *(f"{row[key]:,}" for row in rows)])
    for key, label in _PERCENT.items():
        table.append([label, *(_percent(row[key]) for row in rows)])
    for key, label in _RATIO.items():
        table.append([label, *("n/a" if row[key] is None else f"{row[key]:,.2f}" for row in rows)])
    return _table(table)


def _vault_table(report: Report, places: Mapping[str, int]) -> str:
    rows = report.vault_rows()
    if not rows:
        return ""
    table = [["vault", *(_vault(row["vault"]) for row in rows)]]
    for key, label in _VAULT_MONEY.items():
        if key != "suspense" or any(Decimal(row[key]) for row in rows):
            table.append([label, *(_money(row[key], places[row["asset"]]) for row in rows)])
    return _table(table)


def _table(table: Sequence[Sequence[str]]) -> str:
    """Rows of text, the first of them the head, as an HTML table that scrolls by itself where it is too wide."""
    head, *body = table
    top = f"<td>{escape(head[0])}</td>" + "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head[1:])
    lines = "".join(
        f'<tr><th scope="row">{escape(line[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in line[1:]) + "</tr>" for line in body
    )
    return f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def _graph(name: str, height: int) -> str:
    heading, caption = _CAPTIONS[name]
    return (
        f'<section id="{name}"><h2>{heading}</h2><figure><figcaption>{caption}</figcaption>'
        f'<div data-figure="{name}" style="height:{height}px" role="img" aria-label="{heading}"></div></figure></section>'
    )


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return "<p>No tape and no rules were handed to this report: it was made of a journal alone.</p>"
    return "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"


def _proof(report: Report) -> str:
    lines = []
    for finding in report.proof.findings:
        verdict, mark = ("holds", "ok") if finding.holds else ("BROKEN", "broken")
        breaches = "".join(f"<p>{escape(breach)}</p>" for breach in finding.breaches)
        lines.append(f'<li class="{mark}"><span>law {finding.law}</span><b>{escape(finding.name)}</b><em>{verdict}</em>{breaches}</li>')
    return (
        "<p>The laws of the books, checked at the end of the run by folding the whole journal anew.</p>"
        f'<ul class="laws">{"".join(lines)}</ul>'
    )


def _section(name: str, heading: str, content: str) -> str:
    return f'<section id="{name}"><h2>{heading}</h2>{content}</section>'


def _json(drawn: Mapping[str, go.Figure]) -> str:
    """Figures as JSON that may stand inside a script element: no name in it can end that element."""
    text = json.dumps({name: json.loads(figure.to_json()) for name, figure in drawn.items()}, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _places(scale: int) -> int:
    """Decimal places to show of an asset: two for money, six for coins that are counted finer than six places."""
    return 2 if scale <= 6 else 6


def _money(text: str | None, places: int, *, sign: bool = False) -> str:
    """Exact decimal text, rounded for the eye only."""
    if text is None:
        return "unknown"
    value = Decimal(text)
    return f"{value:{'+' if sign and value else ''}z,.{places}f}"


def _sum(texts: Iterable[str]) -> str:
    return str(sum((Decimal(text) for text in texts), Decimal(0)))


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:z,.1%}"


_CSS = """
:root {
  color-scheme: light dark;
  --paper: #f7f8f9; --card: #ffffff; --ink: #1b2026; --soft: #58616c; --line: #e1e5e9; --grid: #e8ebee; --zero: #aab2bb;
  --good: #00704f; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #111418; --card: #191d23; --ink: #e7eaed; --soft: #9ca6b1; --line: #2b313a; --grid: #262c34; --zero: #5a6470;
    --good: #4cc38a; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
}
main { max-width: 66rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3rem) clamp(0.875rem, 4vw, 2rem) 4rem; }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.25rem); line-height: 1.2; margin: 0.25rem 0 0.5rem; letter-spacing: -0.015em; }
h1, h2 { text-wrap: balance; }
h2 { font-size: 1.125rem; line-height: 1.3; margin: 0 0 0.25rem; }
p { margin: 0 0 0.5rem; }
header p, figcaption, .what, .note, dt, #proof > p, #made li { color: var(--soft); }
.over { font-size: 0.875rem; }
.verdict a { color: var(--good); text-decoration: none; font-weight: 600; font-size: 0.9375rem; }
.verdict a::before { content: "\\2713\\00a0"; }
.verdict.broken a { color: var(--bad); }
.verdict.broken a::before { content: "\\2717\\00a0"; }
.verdict a:hover, .verdict a:focus-visible { text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 0.875rem; margin: 1.5rem 0 0.75rem; }
.card, main > section:not(.cards) { background: var(--card); border: 1px solid var(--line); border-radius: 0.625rem; }
.card { display: flex; flex-direction: column; border-top: 4px solid var(--sleeve); padding: 0.875rem 1.125rem 0.75rem; }
.what { font-size: 0.875rem; margin-bottom: 0.625rem; }
.net { font-size: 1.75rem; font-weight: 650; line-height: 1.2; margin: auto 0 0.625rem; letter-spacing: -0.01em; }
.net small { font-size: 0.875rem; font-weight: 400; color: var(--soft); letter-spacing: 0; white-space: nowrap; }
.net, dd, td { font-variant-numeric: tabular-nums; }
dl { margin: 0; font-size: 0.9375rem; }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: 0.25rem 0; border-top: 1px solid var(--line); }
dd { margin: 0; text-align: right; }
.note { font-size: 0.8125rem; max-width: 60rem; }
main > section:not(.cards) { margin: 1rem 0 0; padding: 1rem 1.125rem; }
.tables { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 1.5rem 3.5rem; }
.wide { overflow-x: auto; flex: 1 1 auto; min-width: min(100%, 17rem); max-width: 100%; }
.wide:first-child { flex-grow: 2; }
table { border-collapse: collapse; width: 100%; font-size: 0.9375rem; overflow-wrap: break-word; }
th, td { padding: 0.3125rem 0 0.3125rem 1.25rem; text-align: right; border-bottom: 1px solid var(--line); }
thead th, thead td { border-bottom: 1px solid var(--soft); vertical-align: bottom; }
thead td { color: var(--soft); text-align: left; padding-left: 0; }
tbody th { font-weight: 400; color: var(--soft); text-align: left; padding-left: 0; min-width: 10.5rem; }
thead td, tbody th { position: sticky; left: 0; background: var(--card); }
tbody tr:last-child > * { border-bottom: 0; }
figure { margin: 0; }
figcaption, #proof > p { font-size: 0.9375rem; }
figcaption { margin-bottom: 0.5rem; max-width: 52rem; text-wrap: pretty; }
#made ul { margin: 0.25rem 0 0; padding-left: 1.125rem; font-size: 0.9375rem; }
#made li { margin: 0.1875rem 0; }
.laws { list-style: none; margin: 0.5rem 0 0; padding: 0; font-size: 0.9375rem; columns: 19rem; column-gap: 2.5rem; }
.laws li {
  display: grid; grid-template-columns: 3.75rem 1fr auto; padding: 0.25rem 0; border-bottom: 1px solid var(--line); break-inside: avoid;
}
.laws span { color: var(--soft); }
.laws b { font-weight: 400; }
.laws em { font-style: normal; font-weight: 600; color: var(--good); }
.laws .broken em { color: var(--bad); }
.laws p { grid-column: 2 / -1; margin: 0.125rem 0; color: var(--bad); }
footer { color: var(--soft); font-size: 0.8125rem; margin-top: 1rem; }
@media (pointer: coarse) { .mouse { display: none; } }
@media (max-width: 30rem) {
  main > section:not(.cards), .card { padding-left: 0.875rem; padding-right: 0.875rem; }
  th, td { padding-left: 0.625rem; }
  tbody th { min-width: 6rem; }
  table { font-size: 0.875rem; }
}
@media print { .card, main > section:not(.cards) { break-inside: avoid; } }
"""

_SCRIPT = """
(function () {
  "use strict";
  const figures = JSON.parse(document.getElementById("data").textContent);
  const touch = matchMedia("(pointer: coarse)").matches;
  function look(layout) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const change = {
      "paper_bgcolor": colour("--card"), "plot_bgcolor": colour("--card"),
      "font.color": colour("--soft"), "legend.font.color": colour("--ink"),
      "hoverlabel.font.color": colour("--ink"), "hoverlabel.bgcolor": colour("--card"), "hoverlabel.bordercolor": colour("--line"),
    };
    for (const name of Object.keys(layout)) {
      if (/^xaxis\\d*$/.test(name)) change[name + ".nticks"] = innerWidth < 600 ? 4 : 0;
      if (/^[xy]axis\\d*$/.test(name)) {
        change[name + ".gridcolor"] = colour("--grid");
        change[name + ".zerolinecolor"] = colour("--zero");
        if (touch) change[name + ".fixedrange"] = true;
      }
    }
    return change;
  }
  const drawn = [];
  for (const place of document.querySelectorAll("[data-figure]")) {
    const figure = figures[place.dataset.figure];
    if (touch) figure.layout.dragmode = false;
    if (innerWidth < 600 && figure.data.length > 6) figure.layout.hovermode = "closest";
    const config = { responsive: true, displayModeBar: false, displaylogo: false };
    Plotly.newPlot(place, figure.data, figure.layout, config).then((graph) => Plotly.relayout(graph, look(graph.layout)));
    drawn.push(place);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const graph of drawn) Plotly.relayout(graph, look(graph.layout));
  });
})();
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
{body}
<footer>Times are UTC. <span class="mouse">Drag over a graph to zoom in, double-click to zoom out.</span> Click a name to hide its lines.
<noscript>The graphs need JavaScript; every number above stands without it.</noscript></footer>
</main>
<script type="application/json" id="data">{figures}</script>
<script>{plotly}</script>
<script>{script}</script>
</body>
</html>
"""
