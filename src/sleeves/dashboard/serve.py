"""The page of a desk behind a socket of this machine, beside the run that it shows: `await serve(desk, ...)`.

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(trade, desk, venue, pulse=pulse))
        tasks.start_soon(partial(serve, desk, pulse=pulse, on_ready=lambda page: print(page.login)))

It needs the `dashboard` extra, takes no signal, and ends with the scope that it runs in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from ..control import Control
from ..desk import Desk
from ..keys import Secret
from ..pulse import Pulse
from .app import Authorize
from .feed import Feed

__all__ = ["Served", "serve"]


@frozen(order=False)
class Served:
    """Where a page is served."""

    url: str
    """Such as "http://127.0.0.1:8000/"."""
    token: Secret | None
    """What opens it; None where the host app's own sign-in does."""

    @property
    def login(self) -> str:
        """An address that opens the page once and signs in: to be shown to its owner and nobody else."""
        return self.url if self.token is None else f"{self.url}login?token={self.token.reveal()}"


async def serve(
    desk: Desk,
    *,
    control: Control | None = None,
    pulse: Pulse | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | Secret | None = None,
    hosts: Iterable[str] | None = None,
    origins: Iterable[str] = (),
    frames: Iterable[str] = (),
    title: str = "sleeves",
    feed: Feed | None = None,
    depth: Callable[[str], Any] | None = None,
    authorize: Authorize | None = None,
    by: str = "page",
    on_ready: Callable[[Served], object] | None = None,
    grace: float = 2.0,
) -> None:
    """Serve the page until the surrounding scope is canceled."""
    raise NotImplementedError
