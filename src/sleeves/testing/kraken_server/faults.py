"""What can go wrong with a call on purpose: refused, lost before it was done or after, cut off, late, garbled.

Each fault is taken once, by the next call of its method. What the call would have done is not known here.
"""

from __future__ import annotations

from collections import deque

from attrs import evolve, frozen

__all__ = ["Fault", "Faults"]

_HTML = "<!DOCTYPE html><html><head><title>520: Web server is returning an unknown error</title></head><body>Error 520</body></html>"


@frozen
class Fault:
    """What becomes of one call. Made by the class's own words: `Fault.error("EService:Busy")`, `Fault.lost()`."""

    error_text: str = ""
    """The error that is answered instead of a result."""
    code: int = 200
    body: str | None = None
    """The body that is answered instead of any."""
    delay: float | None = 0.0
    """Seconds; None: until the server stops."""
    answers: bool = True
    """False: the connection is cut instead of an answer."""
    done: bool = False
    """Whether the call is carried out before this strikes."""

    @classmethod
    def error(cls, text: str) -> Fault:
        """Refused with an error string; nothing was done."""
        return cls(error_text=text)

    @classmethod
    def status(cls, code: int, body: str = _HTML) -> Fault:
        """An HTTP status and a body that is no JSON; nothing was done."""
        return cls(code=code, body=body)

    @classmethod
    def html(cls) -> Fault:
        """A page of HTML with status 200; nothing was done."""
        return cls(body=_HTML)

    @classmethod
    def garbage(cls) -> Fault:
        """JSON that breaks off; nothing was done."""
        return cls(body='{"error":[],"result":{"tx')

    @classmethod
    def hang(cls, seconds: float | None = None) -> Fault:
        """No answer, and nothing was done: after the seconds, or when the server stops, the connection is cut."""
        return cls(delay=seconds, answers=False)

    @classmethod
    def lost(cls, seconds: float | None = None) -> Fault:
        """Done, and no answer: a time-out after accept."""
        return cls(delay=seconds, answers=False, done=True)

    @classmethod
    def drop(cls) -> Fault:
        """The connection is cut at once; nothing was done."""
        return cls(answers=False)

    @classmethod
    def cut(cls) -> Fault:
        """Done, and the connection is cut instead of an answer."""
        return cls(answers=False, done=True)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """It arrives so much later, is judged then, and answered."""
        return cls(delay=seconds)

    @classmethod
    def after(cls, fault: Fault) -> Fault:
        """Done first; then this."""
        return evolve(fault, done=True)

    @property
    def processed(self) -> bool:
        """Whether the call is carried out at all."""
        return self.done or (self.answers and not self.error_text and self.body is None)


class Faults:
    """Faults that wait, by method; "*" is for any."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = {}

    def add(self, method: str, fault: Fault | str, times: int) -> None:
        kind = Fault.error(fault) if isinstance(fault, str) else fault
        self._waiting.setdefault(method, deque()).extend([kind] * times)

    def take(self, method: str) -> Fault | None:
        for name in (method, "*"):
            if self._waiting.get(name):
                return self._waiting[name].popleft()
        return None

    def clear(self) -> None:
        self._waiting.clear()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))
