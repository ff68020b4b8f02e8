"""A server of bytes on a loopback socket: each request is answered by a function, which may also cut, hang or lie.

    with raw(lambda request: reply(200, '{"a": 1}')) as (url, requests): ...

What the function returns is sent as it stands and the connection is closed after; `HANG` sends nothing and keeps it open until
the end; several parts (a list) are sent one after another. `requests` has each request as the bytes that came.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

HANG = object()


def reply(status=200, body="", *, headers=(), length=None):
    """A whole answer in HTTP/1.1."""
    raw = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw) if length is None else length}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + raw


def _read(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    wanted = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < wanted:
        if not (part := connection.recv(65536)):
            break
        body += part
    return head + b"\r\n\r\n" + body


@contextmanager
def raw(answer):
    listener = socket.create_server(("127.0.0.1", 0))
    over, requests, open_ones = threading.Event(), [], []

    def serve(connection):
        with suppress(OSError):
            request = _read(connection)
            if request:
                requests.append(request)
                said = answer(request)
                if said is HANG:
                    over.wait(30)
                for part in said if isinstance(said, list) else [] if said is HANG else [said]:
                    if isinstance(part, float):
                        time.sleep(part)
                    else:
                        connection.sendall(part)
        with suppress(OSError):
            connection.close()

    def accept():
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_ones.append(connection)
            threads.append(thread := threading.Thread(target=serve, args=(connection,), daemon=True))
            thread.start()

    threads = [threading.Thread(target=accept, daemon=True)]
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_ones:
            with suppress(OSError):
                connection.close()
        for thread in threads:
            thread.join(5)


def closed_port():
    """The URL of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return f"http://127.0.0.1:{one.getsockname()[1]}"
