"""A desk to look at, live: as a page in your own web app, as a widget in a notebook, as one HTML file; the same parts in all three.

    app(desk, token=...)        an ASGI app, to be mounted or served
    await serve(desk)           the same behind a socket of this machine
    save(desk, "desk.html")     as it stands, in one file

Each part reads a desk and moves nothing. Instructions reach a desk through a `Control` that is handed in, and through nothing else.
"""

from __future__ import annotations

from .app import app
from .bundle import save
from .feed import Feed
from .serve import Served, serve

__all__ = ["Feed", "Served", "app", "save", "serve"]
