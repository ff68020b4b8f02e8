"""What a human, or a program that stands for one, may instruct a desk to do, and what it is answered: values, all of text.

    Open("r-17", "ann", sleeve="flash", market="BTC/USD", side="buy", qty="0.01")

Each bears a request id, by which it is carried out at most once, and who it is by. It names sleeves, vaults, venues and
markets; it holds none of them. `to_terms` writes it as plain text by field, `from_terms` reads that back, and what cannot be
is refused by name. Whether it can be done is not known here: `control.Control` does it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import Attribute, field, fields, frozen

from .errors import VaultError
from .standings import DESK

__all__ = [
    "DESK",
    "INSTRUCTIONS",
    "Allocate",
    "Answer",
    "Arm",
    "Cancel",
    "Close",
    "CloseAll",
    "Code",
    "Confirm",
    "Decline",
    "Deposit",
    "Disarm",
    "Instruction",
    "Kill",
    "Open",
    "Pause",
    "Rebalance",
    "Reclaim",
    "Resume",
    "Revive",
    "SetTradeable",
    "Settle",
    "Start",
    "Stop",
    "Withdraw",
    "from_terms",
    "to_terms",
    "what_of",
]


# -- what a field may hold -------------------------------------------------------------------------------------------------


def _shown(value: object) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 60 else shown[:60] + "..."


def _text(pattern: str, rule: str, *, about: str, empty: bool = False, **more: Any) -> Any:
    """A field of text that a pattern matches whole; with `empty` it may be left out.

    `metadata` says so to whoever draws a form or a schema of it.
    """
    matches = re.compile(pattern).fullmatch

    def check(one: Instruction, attribute: Attribute[str], value: object) -> None:
        if not isinstance(value, str) or (matches(value) is None and not (empty and not value)):
            raise VaultError(f"{what_of(type(one))} {attribute.name} {_shown(value)} must be {rule}")

    said = {"pattern": f"(?:{pattern})?" if empty else pattern, "rule": rule, "about": about}
    options: dict[str, Any] = {"validator": check, "metadata": said, **({"default": ""} if empty else {}), **more}
    return field(**options)


def _yes_no(default: bool | None, about: str) -> Any:
    def check(one: Instruction, attribute: Attribute[bool], value: object) -> None:
        if type(value) is not bool:
            raise VaultError(f"{what_of(type(one))} {attribute.name} {_shown(value)} must be True or False")

    options: dict[str, Any] = {"validator": check, "metadata": {"rule": "yes or no", "about": about}}
    return field(**(options if default is None else options | {"default": default}))


def _seconds(default: int, most: int, about: str) -> Any:
    def check(one: Instruction, attribute: Attribute[int], value: object) -> None:
        if type(value) is not int or not 1 <= value <= most:
            raise VaultError(f"{what_of(type(one))} {attribute.name} {_shown(value)} must be a whole number of seconds, 1 to {most}")

    return field(default=default, validator=check, metadata={"rule": f"whole seconds, 1 to {most}", "about": about})


def _id(about: str, **more: Any) -> Any:
    rule = "1 to 64 of A-Z a-z 0-9 _ - : . and start with a letter, a digit or _"
    return _text(r"[A-Za-z0-9_][A-Za-z0-9_\-:.]{0,63}", rule, about=about, **more)


def _line(most: int, about: str, **more: Any) -> Any:
    pattern = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]" + f"{{1,{most}}}"
    return _text(pattern, f"one line of text, {most} characters at most", about=about, **more)


def _sleeve() -> Any:
    return _text(r"[a-z0-9][a-z0-9_-]{0,31}", "a sleeve's name", about="the sleeve")


def _vault() -> Any:
    return _text(
        r"core:[a-z0-9][a-z0-9_-]{0,31}:[A-Za-z0-9][A-Za-z0-9._-]{0,15}", "a core vault's name, such as core:main:USD", about="the vault"
    )


def _target() -> Any:
    return _text(
        r"[a-z0-9][a-z0-9_-]{0,31}|core:[a-z0-9][a-z0-9_-]{0,31}:[A-Za-z0-9][A-Za-z0-9._-]{0,15}|desk:main",
        f"a sleeve's name, a core vault's such as core:main:USD, or {DESK}",
        about="the sleeve, the vault with all its sleeves, or the desk",
    )


def _market() -> Any:
    return _text(r"[A-Za-z0-9][A-Za-z0-9/:._-]{0,31}", "an instrument's symbol", about="the instrument")


def _venue(*, empty: bool = False) -> Any:
    return _text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", "a venue's name", about="the venue; none where there is one", empty=empty)


def _amount(about: str, *, empty: bool = False) -> Any:
    return _text(r"[0-9]{1,40}(?:\.[0-9]{1,30})?", 'a plain decimal number in text, such as "12.5"', about=about, empty=empty)


def _cap(about: str, **more: Any) -> Any:
    """An amount that may name its asset, for desks that have several."""
    pattern = r"[0-9]{1,40}(?:\.[0-9]{1,30})?(?: [A-Za-z0-9][A-Za-z0-9._-]{0,15})?"
    return _text(pattern, 'a number in text, with its asset or without, such as "1000" or "1000 USD"', about=about, **more)


_WHO = "1 to 64 of A-Z a-z 0-9 _ - : . @ and space, and start with a letter or digit"


# -- the instructions --------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Instruction:
    """What every one has. Bad fields raise `VaultError` with the field, its value and the rule."""

    id: str = _id("the request: the same id is carried out at most once")
    by: str = _text(r"[A-Za-z0-9][A-Za-z0-9_\-:.@ ]{0,63}", _WHO, about="who instructs")
    why: str = _line(500, "why", empty=True, kw_only=True)

    @property
    def author(self) -> str:
        """Who does what follows from it, in the journal."""
        return f"{self.by}/{self.id}"


@frozen(order=False)
class Start(Instruction):
    """Ask a sleeve's engine again. What it trades on is where its instruments are: a paper venue, or one that is armed."""

    sleeve: str = _sleeve()


@frozen(order=False)
class Stop(Instruction):
    """Ask a sleeve's engine no more and take its opening orders off; positions and exits stay."""

    sleeve: str = _sleeve()


@frozen(order=False)
class Deposit(Instruction):
    """Bring coins into the account of a vault's wallet."""

    vault: str = _vault()
    amount: str = _amount("coins of the vault's asset")
    venue: str = _venue(empty=True)


@frozen(order=False)
class Withdraw(Instruction):
    """Take idle coins out of the account of a vault's wallet."""

    vault: str = _vault()
    amount: str = _amount("coins of the vault's asset")
    venue: str = _venue(empty=True)


@frozen(order=False)
class Allocate(Instruction):
    """Give a sleeve more to trade with."""

    sleeve: str = _sleeve()
    amount: str = _amount("coins of its vault's asset")


@frozen(order=False)
class Reclaim(Instruction):
    """Take free coins back from a sleeve."""

    sleeve: str = _sleeve()
    amount: str = _amount("coins of its vault's asset")


@frozen(order=False)
class SetTradeable(Instruction):
    """Say anew how much of a vault is at risk, and with `cap` how far deposits may raise it."""

    vault: str = _vault()
    amount: str = _amount("coins of the vault's asset")
    cap: str = _amount("the most that deposits raise it to; as it is where none is said", empty=True)


@frozen(order=False)
class Open(Instruction):
    """Place an order for a sleeve through its gates: at market, or at a limit."""

    sleeve: str = _sleeve()
    market: str = _market()
    side: str = _text("buy|sell", "buy or sell", about="the side")
    qty: str = _amount("coins, or contracts, of the market's base")
    limit: str = _amount("the price of a limit order; at market where none is said", empty=True)
    reduce_only: bool = _yes_no(False, "never opens or grows a position")
    post_only: bool = _yes_no(False, "never takes liquidity; for a limit order")


@frozen(order=False)
class Close(Instruction):
    """Close a sleeve's whole position in an instrument at market."""

    sleeve: str = _sleeve()
    market: str = _market()


@frozen(order=False)
class CloseAll(Instruction):
    """Take opening orders off and close every position at market, the largest first. Engines go on: to end them, kill."""

    target: str = _target()


@frozen(order=False)
class Cancel(Instruction):
    """Take an open order off its venue's book."""

    order: str = _text(r"[a-z0-9][a-z0-9_-]{0,31}-[0-9]{1,18}", "an order's id, such as flash-3", about="the order")


@frozen(order=False)
class Settle(Instruction):
    """Have the venue move what is unsettled of a perpetual to cash."""

    market: str = _market()


@frozen(order=False)
class Rebalance(Instruction):
    """Ask a sleeve's engine now, at the latest price, whatever its rhythm; its wishes go through its gates as ever."""

    sleeve: str = _sleeve()


@frozen(order=False)
class Pause(Instruction):
    """No new risk, and opening orders off; positions wait for their exits."""

    target: str = _target()


@frozen(order=False)
class Resume(Instruction):
    """Take what was paused back to work."""

    target: str = _target()


@frozen(order=False)
class Kill(Instruction):
    """Engines are asked no more and orders are canceled; with `flatten`, positions are then closed at market."""

    target: str = _target()
    flatten: bool = _yes_no(None, "whether positions are closed too")


@frozen(order=False)
class Revive(Instruction):
    """Take back what was killed: paused, to be resumed. Needs a reason, `why`."""

    target: str = _target()


@frozen(order=False)
class Arm(Instruction):
    """Let new risk be taken with real money at a venue, within these caps and for so long. The phrase must say it."""

    venue: str = _venue()
    per_hour: str = _cap("the most that may be put at risk in an hour")
    phrase: str = _line(200, 'what says it, such as "arm kraken for 1000 USD an hour"')
    total: str = _cap("the most that may be put at risk while it is armed; no such cap where none is said", empty=True)
    confirm_above: str = _cap("a larger order waits for a human's yes", default="100")
    confirm_within: int = _seconds(30, 3_600, "how long such an order waits")
    lasts: int = _seconds(28_800, 2_678_400, "how long it stays armed")


@frozen(order=False)
class Disarm(Instruction):
    """No more new risk with real money at a venue."""

    venue: str = _venue()


@frozen(order=False)
class Confirm(Instruction):
    """A human's yes to an order that waits for it: it goes through all gates again."""

    confirmation: str = _id("what waits, by its id")


@frozen(order=False)
class Decline(Instruction):
    """A human's no."""

    confirmation: str = _id("what waits, by its id")


_ALL: tuple[type[Instruction], ...] = (
    Start,
    Stop,
    Deposit,
    Withdraw,
    Allocate,
    Reclaim,
    SetTradeable,
    Open,
    Close,
    CloseAll,
    Cancel,
    Settle,
    Rebalance,
    Pause,
    Resume,
    Kill,
    Revive,
    Arm,
    Disarm,
    Confirm,
    Decline,
)


def what_of(kind: type) -> str:
    """The name of a kind of instruction in text: `CloseAll` is "close_all"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


INSTRUCTIONS: Mapping[str, type[Instruction]] = {what_of(kind): kind for kind in _ALL}
"""Every kind by its name in text."""


# -- as text -----------------------------------------------------------------------------------------------------------------


def to_terms(instruction: Instruction) -> dict[str, str]:
    """All of it as text by field, with its kind under "what"; `from_terms` reads it back."""
    terms = {"what": what_of(type(instruction))}
    for one in fields(type(instruction)):
        value = getattr(instruction, one.name)
        terms[one.name] = ("yes" if value else "no") if type(value) is bool else str(value)
    return terms


def from_terms(terms: Mapping[str, object]) -> Instruction:
    """Read an instruction from text by field; numbers and truth values may also stand as themselves, as JSON has them.

    Raises `VaultError` for a kind that is none, a field that it does not have or that is missing, and a value that breaks
    the field's rule.
    """
    if not isinstance(terms, Mapping):
        raise VaultError(f"an instruction is read from its terms by name, not from {_shown(terms)}")
    what = terms.get("what")
    kind = INSTRUCTIONS.get(what) if isinstance(what, str) else None
    if kind is None:
        raise VaultError(f"instruction {_shown(what)} is none of {', '.join(INSTRUCTIONS)}")
    known = {one.name: one for one in fields(kind)}
    for name in terms:
        if name != "what" and name not in known:
            raise VaultError(f"{what} has no field {_shown(name)}: it has {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, one in known.items():
        if name in terms:
            values[name] = _read(terms[name], str(one.type))
        elif one.default is not None and not isinstance(one.default, (str, bool, int)):
            raise VaultError(f"{what} needs {name}: {one.metadata['about']}")
    return kind(**values)


def _read(value: object, kind: str) -> object:
    """A field's value; what is no value of its kind is left for the field to refuse."""
    if isinstance(value, str):
        if kind == "bool":
            return {"yes": True, "no": False}.get(value, value)
        if kind == "int" and re.fullmatch(r"[0-9]{1,9}", value):
            return int(value)
    return value


# -- answers -----------------------------------------------------------------------------------------------------------------


class Code(StrEnum):
    """What became of an instruction."""

    DONE = "done"
    CONFIRMED = "confirmed"
    SENT = "sent"
    UNDER_WAY = "under_way"
    NOTHING = "nothing"
    CANCELED = "canceled"
    REJECTED = "rejected"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"
    RESIDUAL = "residual"
    GATE_REFUSED = "gate_refused"
    NOT_ARMED = "not_armed"
    NEEDS_CONFIRMATION = "needs_confirmation"
    NOT_ENOUGH = "not_enough"
    BAD_AMOUNT = "bad_amount"
    HEALTH = "health"
    WRONG_STATUS = "wrong_status"
    VAULT_REFUSED = "vault_refused"
    ENGINE_FAULT = "engine_fault"
    RECOVERING = "recovering"
    UNKNOWN_SLEEVE = "unknown_sleeve"
    UNKNOWN_VAULT = "unknown_vault"
    UNKNOWN_MARKET = "unknown_market"
    UNKNOWN_VENUE = "unknown_venue"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_CONFIRMATION = "unknown_confirmation"
    ID_USED = "id_used"
    TOO_MANY = "too_many"
    BUSY = "busy"
    INTERNAL = "internal"

    @property
    def ok(self) -> bool:
        """Whether it went, or goes, as it was instructed."""
        return self in _OK

    @property
    def open(self) -> bool:
        """Whether more is to come: `Control.outcome` waits for it."""
        return self in _OPEN


_OK = frozenset({Code.DONE, Code.CONFIRMED, Code.SENT, Code.UNDER_WAY, Code.NOTHING})
_OPEN = frozenset({Code.SENT, Code.UNDER_WAY, Code.UNKNOWN})


@frozen(order=False)
class Answer:
    """What an instruction was answered. `evidence` are the names and numbers behind it, in text."""

    id: str
    code: Code
    message: str
    evidence: Mapping[str, str] = field(factory=dict, hash=False)

    @property
    def ok(self) -> bool:
        return self.code.ok

    def to_terms(self) -> dict[str, object]:
        """All of it as plain data, for JSON."""
        return {"id": self.id, "ok": self.ok, "code": self.code.value, "message": self.message, "evidence": dict(self.evidence)}

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value}" for name, value in self.evidence.items())
        return f"{self.code}: {self.message}" + (f" ({numbers})" if numbers else "")
