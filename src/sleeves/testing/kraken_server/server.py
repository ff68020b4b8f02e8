"""The local Kraken on a loopback socket.

with kraken_server(pairs=["ETH/USD"], balances={"USD": "10000"}) as exchange:
    bot(exchange.url, exchange.key.api_key, exchange.key.secret)
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from ..serving import Server
from .app import App
from .exchange import KrakenExchange

__all__ = ["KrakenServer", "kraken_server"]


class KrakenServer(KrakenExchange):
    """An exchange that listens from `start` to `stop`, or while a `with` block runs. Takes what `KrakenExchange` takes.

    `url` is for REST, `socket_url` and `private_socket_url` are for WebSocket v2. `port` is for bots that are other processes; by
    default any that is free. Raises `MissingExtra` at `start` where uvicorn is not installed, `OSError` for a port in use.
    """

    def __init__(self, *, port: int = 0, **terms: Any) -> None:
        super().__init__(**terms)
        self.app = App(self)
        self._server = Server(self.app, port=port)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v2"

    @property
    def private_socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/private/v2"

    def start(self) -> KrakenServer:
        """Listen on a free port of this machine."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Cut every connection and stop."""
        self._server.stop()

    def __enter__(self) -> KrakenServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def kraken_server(**terms: Any) -> KrakenServer:
    """A local Kraken, to be used as a context manager. Takes what `KrakenServer` takes."""
    return KrakenServer(**terms)
