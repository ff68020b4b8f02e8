"""The page of a desk as an ASGI app, to be served alone or mounted into another: `app(desk)`.

It needs the `dashboard` extra, and only when it is called. Who may see it is `guard`'s to say, what a page is told is `feed`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..control import Control
from ..desk import Desk
from ..errors import MissingExtra
from ..keys import Secret
from ..pulse import Pulse

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from .feed import Feed

__all__ = ["Authorize", "app"]

Authorize = Callable[[Any], "str | Awaitable[str | None] | None"]
"""A host app's own sign-in: handed the connection (Starlette's `HTTPConnection`), it names who that is, or None for nobody."""


def app(
    desk: Desk,
    *,
    control: Control | None = None,
    pulse: Pulse | None = None,
    token: str | Secret | None = None,
    hosts: Iterable[str] | None = None,
    origins: Iterable[str] = (),
    frames: Iterable[str] = (),
    title: str = "sleeves",
    feed: Feed | None = None,
    depth: Callable[[Any], Any] | None = None,
    authorize: Authorize | None = None,
    by: str = "page",
) -> Starlette:
    """The page of a desk, its data and its socket, as a Starlette app; `app(...).state.token` is the token that opens it.

    Everything needs the token, or where `authorize` is handed in what that says instead; `state.token` is None then. Without
    `token` one is made. `hosts` are the names that it answers to, the loopback ones by default ("*" for any); `origins` are
    other origins ("https://host") whose pages may use it, and `frames` those that may show it in a frame. It only shows, unless
    a `control` is handed in: what is instructed through it is by `by`, or by the name that `authorize` gave.

    It runs on the desk's own event loop, and reads it there. Raises `MissingExtra` without Starlette, and `VaultError` for a
    token that is too short or no token, a host or an origin that is none, and a control of another desk.
    """
    try:
        from .routes import build
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "starlette":
            raise
        raise MissingExtra("starlette", "dashboard", "the dashboard") from error
    return build(
        desk,
        control=control,
        pulse=pulse,
        token=token,
        hosts=hosts,
        origins=origins,
        frames=frames,
        title=title,
        feed=feed,
        depth=depth,
        authorize=authorize,
        by=by,
    )
