"""Small tables as HTML, for notebooks: what `_repr_html_` of vaults, sleeves, inventories and reports is made of.

It takes the colours of the page that it stands in, light or dark, and brings no style sheet and no script. Every word is
escaped here, so that a name is never markup. It knows how a table is written, and nothing of what stands in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from .money import Amount

__all__ = ["block", "cell", "figures", "table"]

_WORD = 'style="text-align:left;padding:.2em .7em"'
_FIGURE = 'style="text-align:right;padding:.2em .7em;font-variant-numeric:tabular-nums;white-space:nowrap"'


def cell(value: object) -> str:
    """What a cell says, as plain text: an amount in full with commas between thousands, "unknown" for None."""
    if value is None:
        return "unknown"
    return f"{value.decimal:,f} {value.asset}" if isinstance(value, Amount) else str(value)


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, words: int = 1, caption: str = "") -> str:
    """A table with a row of heads: the first `words` columns are text, and the first of them heads its row; the rest are figures."""
    told = f"<caption {_WORD}>{escape(caption)}</caption>" if caption else ""
    heads = "".join(f'<th scope="col" {_WORD if n < words else _FIGURE}>{escape(cell(one))}</th>' for n, one in enumerate(head))
    body = "".join(f"<tr>{_row(row, words)}</tr>" for row in rows)
    return f'<div style="overflow-x:auto"><table>{told}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def figures(named: Mapping[str, object]) -> str:
    """A table of one row: each figure under its name."""
    return table(list(named), [list(named.values())], words=0)


def _row(row: Sequence[object], words: int) -> str:
    told = [escape(cell(one)) for one in row]
    cells = [f"<td {_WORD if n < words else _FIGURE}>{one}</td>" for n, one in enumerate(told)]
    if words:
        cells[0] = f'<th scope="row" {_WORD}>{told[0]}</th>'
    return "".join(cells)


def block(title: str, *tables: str, notes: Iterable[object] = ()) -> str:
    """A title, tables as `table` writes them, and a sentence or more below."""
    below = "".join(f'<p style="margin:.25em 0">{escape(cell(note))}</p>' for note in notes)
    return f'<div><p style="margin:.25em 0"><strong>{escape(title)}</strong></p>{"".join(tables)}{below}</div>'
