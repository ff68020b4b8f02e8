"""A desk to look at, live: as a page in your own web app, as a widget in a notebook, as one HTML file; the same parts in all three.

Each part reads a desk and moves nothing. Instructions reach a desk through a `Control` that is handed in, and through nothing else.
"""

from __future__ import annotations

__all__: list[str] = []
