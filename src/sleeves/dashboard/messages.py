"""What a desk's page is told, and what it may say: each message a value, each a JSON object with a "type" on the wire.

    to_json(Snapshot(...))                 bytes
    from_json(b'{"type":"ping"}')          Ping()           what a page says
    from_json(data, side="server")         Snapshot(...)    what a page is told

Times are whole milliseconds since 1970, UTC. Money, prices and quantities are exact decimal text, what is unknown is null,
and no number is ever NaN. Points of charts alone are floats: they are drawn, and never counted with. Rows have types of their
own, so that what is shown, what is sent and what the JSON Schema says cannot drift apart.

A message that is none is refused as `BadMessage`, with a code and the place that is wrong in it. Nothing here knows a desk.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from attrs import NOTHING, fields, frozen

from ..errors import VaultError
from ..instructions import Instruction, from_terms

__all__ = [
    "CHART_FIELDS",
    "CODES",
    "FROM_PAGE",
    "FROM_SERVER",
    "KEPT",
    "LARGEST",
    "LEVELS",
    "PARTS",
    "POINTS",
    "STREAMS",
    "TABLES",
    "AccountRow",
    "AlertItem",
    "Answer",
    "Ask",
    "AtLeast",
    "BadMessage",
    "BookRow",
    "Chart",
    "ConfirmationRow",
    "Delta",
    "Depth",
    "DeskRow",
    "Do",
    "FundingRow",
    "Hello",
    "HoldingRow",
    "LogItem",
    "MarketRow",
    "Matches",
    "Message",
    "OrderRow",
    "OwnOrder",
    "Ping",
    "Pong",
    "PositionRow",
    "Preview",
    "Previewed",
    "Refused",
    "Resync",
    "SleeveRow",
    "Snapshot",
    "VaultRow",
    "fields_of",
    "from_json",
    "instruction_of",
    "plain",
    "to_json",
    "type_of",
]

LARGEST = 16_384
"""The most bytes that a message of a page may have."""
KEPT = 500
"""The most items of a stream that are kept; older ones are let go, here and on the page."""
POINTS = 2_000
"""The most points of a chart's series; with one more every second one is let go, see `halved`."""


# -- what a field may hold ---------------------------------------------------------------------------------------------


@frozen(order=False)
class Matches:
    """Text that a pattern matches whole, and what that is in words."""

    pattern: str
    about: str
    most: int = 0
    """The most characters; 0 for as many as there are."""


@frozen(order=False)
class AtLeast:
    """A whole number that is no less than this."""

    least: int


Exact = Annotated[str, Matches(r"-?[0-9]{1,80}(?:\.[0-9]{1,80})?", "an exact decimal number in text")]
Millis = Annotated[int, AtLeast(0)]
Count = Annotated[int, AtLeast(0)]
Words = tuple[str, ...]
RequestId = Annotated[str, Matches(r"[A-Za-z0-9_][A-Za-z0-9_\-:.]{0,63}", "the id of a request, as instructions have it")]
Ticket = Annotated[str, Matches(r"[A-Za-z0-9_\-]{1,128}", "what a preview gave", 128)]
Session = Annotated[str, Matches(r"[A-Za-z0-9_\-]{1,64}", "the name of a feed's run", 64)]
Level = Literal["info", "warning", "critical"]
LEVELS: tuple[str, ...] = get_args(Level)


# -- rows ----------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class DeskRow:
    """The desk itself. Its only key is "desk:main"."""

    status: str
    ok: bool
    why: Words
    """What is not well, in words; nothing where all is."""
    latches: Words
    recovering: bool
    records: Count
    """How many records the journal has."""
    waiting: Count
    """How many of them are not durable yet."""
    in_doubt: Words
    """Orders of unknown fate."""
    not_armed: Words
    """Venues of real money that take no new risk now."""
    residuals: Words
    """What stands unexplained."""
    engines: Count
    running: bool | None
    """Whether a run is on, which hears its venues; null where none was seen yet."""
    real_money: bool | None
    """Whether any venue of this run moves real money; null where no venue was named."""
    laws: str
    """ "hold", or what is broken; empty while nobody has looked."""
    time_ms: Millis
    """The desk's own time."""


@frozen(order=False)
class VaultRow:
    """A core vault, by its name."""

    asset: str
    wallet: str
    status: str
    latches: Words
    total: Exact
    tradeable: Exact
    allocated: Exact
    remaining: Exact
    """What can still be allocated."""
    idle: Exact
    reserve: Exact
    in_transit: Exact
    suspense: Exact
    returned: Exact
    """Swept back by its sleeves so far."""
    in_sleeves: Exact
    """The balances of its sleeves, with open positions at cost."""


@frozen(order=False)
class SleeveRow:
    """A sleeve with its engine, by the sleeve's name. Money is in `asset`."""

    vault: str
    asset: str
    engine: str
    """The engine's name; empty where none sits there."""
    policy: str
    backing: str
    """ "virtual", or "sub-account 1 of main"; empty without an engine."""
    account: Count | None
    status: str
    latches: Words
    allocation: Exact
    pending: Exact
    """Set aside for its next buy."""
    between: Exact
    """On its way to or from its sub-account."""
    available: Exact
    """What it may use for an order now."""
    held: Exact
    margin: Exact
    deployed: Exact
    balance: Exact
    """Its money with open positions at cost."""
    equity: Exact | None
    """The same with open positions at the latest prices; null while one has none."""
    realized: Exact
    unrealized: Exact | None
    fees: Exact
    funding: Exact
    returned: Exact
    net: Exact | None
    """realized + unrealized - fees + funding."""
    idle_reason: str
    """Why its engine is not asked; empty where it is."""
    wished: str
    """What its engine last wished for."""
    wished_ms: Millis | None
    refused: str
    """The last refusal of one of its wishes."""
    refused_ms: Millis | None
    return_pct: Exact | None
    """Flow-aware, in percent, over the journal's marks and up to the equity of now; null while there is no mark to begin at."""
    drawdown_pct: Exact | None
    """The deepest fall of that return's index, in percent, 0 or more."""


@frozen(order=False)
class HoldingRow:
    """Coins of one asset in one place, by "owner|place|asset"."""

    vault: str
    sleeve: str
    """Empty for what is in none."""
    engine: str
    place: str
    asset: str
    amount: Exact | None
    """Null for what a contract has won or lost while it has no price."""
    value: Exact | None
    valued_in: str
    mark_ms: Millis | None
    """When the price was seen that it is valued at; null where none is needed, or there is none."""
    deployed: bool
    """Whether it is in a sleeve."""


@frozen(order=False)
class PositionRow:
    """A sleeve's open position, or its slice of one that the venue nets, by "sleeve|symbol"."""

    sleeve: str
    vault: str
    market: str
    venue: str
    kind: Literal["coins", "contract"]
    side: Literal["long", "short"]
    size: Exact
    """Of the base, never below zero."""
    base: str
    quote: str
    entry: Exact | None
    """The average price, rounded to two places beyond the tick's."""
    mark: Exact | None
    mark_ms: Millis | None
    value: Exact | None
    """At the mark, in the quote asset; below zero for what was sold short."""
    unrealized: Exact | None
    liquidation: Exact | None
    """The price that liquidates the account that it is in while all others stay; null where none does, or none is known."""
    margin: Exact | None
    """Set aside behind a contract; null for coins."""
    funding: Exact
    """Received, net of paid."""


@frozen(order=False)
class AccountRow:
    """An account at a venue that contracts are in, by the vault's name, a sub-account with ":" and its number behind it."""

    vault: str
    account: Count
    asset: str
    health: Exact | None
    """0 to 100; null, as all behind it, while a contract or collateral has no fresh price."""
    leverage: Exact | None
    """In times of equity; null also where there is no equity."""
    total_collateral: Exact | None
    free_collateral: Exact | None
    maintenance: Exact | None
    initial: Exact | None


@frozen(order=False)
class MarketRow:
    """An instrument, by its symbol."""

    venue: str
    kind: Literal["spot", "perp"]
    base: str
    quote: str
    bid: Exact | None
    ask: Exact | None
    mark: Exact | None
    mark_ms: Millis | None
    tick: Exact
    lot: Exact
    change_pct: Exact | None
    """Over the last 24 hours, in percent; null while the journal's marks do not reach back so far."""


@frozen(order=False)
class FundingRow:
    """The latest funding rate of a perpetual that is known, by its symbol."""

    market: str
    rate: Exact
    """In percent of notional for one interval; above zero, longs pay shorts."""
    every_s: Count
    """The interval, in seconds."""
    apr: Exact
    """The same rate over 365 days, not compounded, in percent."""
    direction: Literal["longs pay shorts", "shorts pay longs", "nobody pays"]
    open_interest: Exact | None
    at_ms: Millis
    price: Exact
    basis: str
    """Whose price that is: mark, oracle or index."""


@frozen(order=False)
class OrderRow:
    """An order, by its id: all open ones, and the last that are done."""

    sleeve: str
    market: str
    side: Literal["buy", "sell"]
    qty: Exact
    filled: Exact
    base: str
    limit: Exact | None
    stop: Exact | None
    kind: Literal["market", "limit", "stop", "stop limit"]
    status: Literal["submitted", "unknown", "open", "filled", "canceled", "rejected"]
    reason: str
    by: str
    at_ms: Millis
    closes: bool
    """Whether it took no new risk when it was ordered."""
    bundle: str
    average: Exact | None
    """The average price of what is filled, rounded to two places beyond the tick's."""


@frozen(order=False)
class OwnOrder:
    """An own order that rests."""

    side: Literal["buy", "sell"]
    price: Exact
    qty: Exact
    left: Exact
    order: str


@frozen(order=False)
class Depth:
    """What rests at a venue, the best first, as (price, quantity)."""

    bids: tuple[tuple[Exact, Exact], ...]
    asks: tuple[tuple[Exact, Exact], ...]


@frozen(order=False)
class BookRow:
    """The market of a sleeve that has, or lately had, orders that rest, with its own ones, by "sleeve|symbol"."""

    sleeve: str
    market: str
    bid: Exact | None
    ask: Exact | None
    own: tuple[OwnOrder, ...]
    depth: Depth | None


@frozen(order=False)
class ConfirmationRow:
    """A wish that waits for a human, by its id."""

    sleeve: str
    wish: str
    asked_ms: Millis
    expires_ms: Millis
    by: str
    notional: str
    """What it is worth, with its asset."""


Row = DeskRow | VaultRow | SleeveRow | HoldingRow | PositionRow | AccountRow | MarketRow | FundingRow | OrderRow | BookRow | ConfirmationRow

TABLES: Mapping[str, type] = {
    "desk": DeskRow,
    "vaults": VaultRow,
    "sleeves": SleeveRow,
    "holdings": HoldingRow,
    "positions": PositionRow,
    "accounts": AccountRow,
    "markets": MarketRow,
    "funding": FundingRow,
    "orders": OrderRow,
    "books": BookRow,
    "confirmations": ConfirmationRow,
}
"""The tables by name, and what a row of each is. Every snapshot has all of them."""


# -- streams and charts --------------------------------------------------------------------------------------------------


@frozen(order=False)
class AlertItem:
    """An alert. `n` is the number of its journal record, from 1."""

    n: Count
    at_ms: Millis
    level: Level
    subject: str
    code: str
    text: str


@frozen(order=False)
class LogItem:
    """Something that happened, in words."""

    n: Count
    at_ms: Millis
    kind: Literal["order", "fill", "refusal", "status", "funds", "instruction", "recovery"]
    subject: str
    text: str
    level: Level


STREAMS: Mapping[str, type] = {"alerts": AlertItem, "log": LogItem}
"""The streams by name, and what an item of each is. The last `KEPT` of each are kept, oldest first."""

Point = tuple[float | None, ...]
"""Milliseconds since 1970, then the series' figures; None is unknown. For drawing only."""

CHART_FIELDS: Mapping[str, tuple[str, ...]] = {
    "sleeve": ("at_ms", "balance", "equity", "realized", "unrealized", "fees", "returned"),
    "vault": ("at_ms", "total", "tradeable"),
}
"""What the points of a series are, by what stands before the colon in its name ("sleeve:flash", "vault:core:main:USD")."""


@frozen(order=False)
class Chart:
    """A series of a chart."""

    fields: Words
    points: tuple[Point, ...]


def fields_of(series: str) -> tuple[str, ...]:
    """What the points of a series are. Raises `VaultError` for a name that is none."""
    known = CHART_FIELDS.get(series.partition(":")[0])
    if known is None:
        raise VaultError(f"series {series!r} is of none of {', '.join(CHART_FIELDS)}")
    return known


# -- server to page --------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Snapshot:
    """All of it, as it stands at `seq` of a session."""

    session: Session
    seq: Count
    at_ms: Millis
    title: str
    version: str
    commands: bool
    """Whether instructions are taken here."""
    tables: Mapping[str, Mapping[str, Row]]
    streams: Mapping[str, tuple[AlertItem | LogItem, ...]]
    charts: Mapping[str, Chart]


@frozen(order=False)
class Delta:
    """What is other than at `seq - 1`. In this order: rows set whole, rows dropped, items added, points added.

    After its items a stream keeps the last `KEPT`. After its points a series of more than `POINTS` is `halved`, once and again
    until it is not. A series that was not there begins with `fields_of` its name.
    """

    session: Session
    seq: Count
    at_ms: Millis
    set: Mapping[str, Mapping[str, Row]]
    drop: Mapping[str, tuple[str, ...]]
    add: Mapping[str, tuple[AlertItem | LogItem, ...]]
    points: Mapping[str, tuple[Point, ...]]


@frozen(order=False)
class Previewed:
    """What an instruction would do, before it is sent. With a ticket it may be done until `expires_ms`."""

    type_ = "preview"

    id: str
    ok: bool
    code: str
    message: str
    numbers: Mapping[str, str]
    before: Mapping[str, str]
    after: Mapping[str, str]
    warnings: Words
    ticket: str | None
    expires_ms: Millis | None


@frozen(order=False)
class Answer:
    """What an instruction was answered, and later what became of it, under the same id. While `open`, more is to come."""

    id: str
    code: str
    ok: bool
    open: bool
    message: str
    evidence: Mapping[str, str]


Refusal = Literal[
    "read_only", "bad_message", "bad_instruction", "too_fast", "needs_ticket", "ticket_expired", "ticket_mismatch", "too_large"
]
CODES: tuple[str, ...] = get_args(Refusal)
"""Why a page's message is refused."""


@frozen(order=False)
class Refused:
    """A message of the page was not taken. `id` is that of its instruction, where it had one."""

    id: str | None
    code: Refusal
    message: str


@frozen(order=False)
class Pong:
    at_ms: Millis


# -- page to server --------------------------------------------------------------------------------------------------------

Terms = Mapping[str, str | bool | int]


@frozen(order=False)
class Hello:
    """The first message of a page. With what it saw last it is told what it missed since, if that is still known."""

    session: Session | None = None
    seq: Count | None = None


@frozen(order=False)
class Resync:
    """A delta is missing: tell all of it anew."""


@frozen(order=False)
class Preview:
    """What would this instruction do?"""

    instruction: Terms


@frozen(order=False)
class Do:
    """Carry out this instruction; `ticket` is what its preview gave."""

    instruction: Terms
    ticket: Ticket | None = None


@frozen(order=False)
class Ask:
    """What became of an instruction?"""

    id: RequestId


@frozen(order=False)
class Ping:
    pass


Message = Snapshot | Delta | Previewed | Answer | Refused | Pong | Hello | Resync | Preview | Do | Ask | Ping


def type_of(kind: type) -> str:
    """What stands under "type" for a class of messages."""
    return getattr(kind, "type_", kind.__name__.lower())


FROM_SERVER: Mapping[str, type] = {type_of(kind): kind for kind in (Snapshot, Delta, Previewed, Answer, Refused, Pong)}
"""What a page is told, by type."""
FROM_PAGE: Mapping[str, type] = {type_of(kind): kind for kind in (Hello, Resync, Preview, Do, Ask, Ping)}
"""What a page may say, by type."""


class BadMessage(VaultError):
    """What was said is no message. `code` is one of `CODES`, `id` that of the instruction in it, where one could be read."""

    def __init__(self, message: str, code: str = "bad_message", request: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.id = request


# -- writing ---------------------------------------------------------------------------------------------------------------


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def plain(value: object) -> Any:
    """A message, a row or a part of one as plain dicts, lists, text and numbers, as JSON has them."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    kind: Any = type(value)
    if hasattr(kind, "__attrs_attrs__"):
        body = {name: plain(getattr(value, name)) for name in _names(kind)}
        said = _TYPES.get(kind)
        return body if said is None else {"type": said, **body}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value]  # type: ignore[attr-defined]


def to_json(message: object) -> bytes:
    """A message on the wire: one line of ASCII. Raises `VaultError` for what is none, such as one with a NaN."""
    try:
        return json.dumps(plain(message), separators=(",", ":"), allow_nan=False, ensure_ascii=True).encode()
    except (TypeError, ValueError) as error:
        raise VaultError(f"{type(message).__name__} cannot be written as JSON: {error}") from error


_TYPES: Mapping[type, str] = {kind: name for kinds in (FROM_SERVER, FROM_PAGE) for name, kind in kinds.items()}


# -- reading ---------------------------------------------------------------------------------------------------------------


def from_json(raw: bytes | bytearray | str, *, side: Literal["page", "server"] = "page", most: int | None = None) -> Message:
    """Read a message that a page says, or that it is told. Raises `BadMessage` with a code and the place that is wrong.

    Of a page at most `LARGEST` bytes are read; `most` says otherwise. An unknown field, a missing one, a field twice, a value of
    another kind, NaN and infinity are all refused.
    """
    limit = LARGEST if most is None and side == "page" else most
    size = len(raw) if not isinstance(raw, str) else len(raw.encode("utf-8", "surrogatepass"))
    if limit is not None and size > limit:
        raise BadMessage(f"the message has {size} bytes; at most {limit} are read", "too_large")
    try:
        body = json.loads(raw, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except BadMessage:
        raise
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"the message is no JSON: {_brief(error)}") from None
    if not isinstance(body, dict):
        raise BadMessage(f"a message is an object with a type, not {_kind_of(body)}")
    known = FROM_PAGE if side == "page" else FROM_SERVER
    said = body.pop("type", None)
    kind = known.get(said) if isinstance(said, str) else None
    if kind is None:
        raise BadMessage(f"type {_brief(said)} is none of {', '.join(known)}")
    try:
        message: Message = _object(kind, body, str(said))
    except BadMessage as error:
        error.id = _id_in(body)
        raise
    return message


def instruction_of(message: Preview | Do, by: str) -> Instruction:
    """The instruction in a message, by whoever is known to send it, whatever it says itself.

    Raises `BadMessage` with the code "bad_instruction" and the rule that it breaks.
    """
    try:
        return from_terms({**message.instruction, "by": by})
    except VaultError as error:
        raise BadMessage(str(error), "bad_instruction", _id_in({"instruction": dict(message.instruction)})) from None


def _id_in(body: Mapping[str, object]) -> str | None:
    """The id of the request in a message, where it has one that can be told back."""
    inner = body.get("instruction", body)
    found = inner.get("id") if isinstance(inner, Mapping) else None
    return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_\-:.]{0,63}", found) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        names = [name for name, _ in pairs]
        raise BadMessage(f"field {_brief(next(name for name in names if names.count(name) > 1))} is there twice")
    return body


def _no_number(text: str) -> NoReturn:
    raise BadMessage(f"{text} is no number here")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadMessage(f"{_brief(text)} is too large a number")
    return value


def _brief(value: object) -> str:
    shown = ascii(value) if not isinstance(value, Exception) else str(value)
    return shown if len(shown) <= 60 else shown[:60] + "..."


def _kind_of(value: object) -> str:
    return {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")


Reader = Callable[[Any, str], Any]


def _object(kind: type, body: Mapping[str, Any], where: str) -> Any:
    readers = _readers(kind)
    for name in body:
        if name not in readers:
            raise BadMessage(f"{where} has no field {_brief(name)}: it has {', '.join(readers) or 'none'}")
    values = {}
    for name, (reader, needed) in readers.items():
        if name in body:
            values[name] = reader(body[name], f"{where}.{name}")
        elif needed:
            raise BadMessage(f"{where} needs {name}")
    return kind(**values)


@cache
def _readers(kind: type) -> dict[str, tuple[Reader, bool]]:
    hints = get_type_hints(kind, include_extras=True)
    return {one.name: (_reader(hints[one.name], PARTS.get((kind, one.name))), one.default is NOTHING) for one in fields(kind)}


def _reader(hint: Any, parts: Mapping[str, type] | None = None) -> Reader:
    """What reads a value of a type: the same types that the schema is made of. `parts` are classes by the key they stand under."""
    origin, args = get_origin(hint), get_args(hint)
    if parts is not None:
        return _by_name(parts, origin=get_args(hint)[1])
    if origin is Annotated:
        return _annotated(args[0], args[1])
    if origin is Literal:
        return _one_of(args)
    if origin in (Union, types.UnionType):
        return _union(args)
    if origin is tuple:
        return _list(_reader(args[0])) if args[-1] is ... else _exactly([_reader(one) for one in args])
    if origin in (Mapping, dict) or origin is getattr(types, "MappingProxyType", None):
        return _mapping(_reader(args[1]))
    if hasattr(hint, "__attrs_attrs__"):
        return lambda value, where: _object(hint, _is(value, dict, where), where)
    return lambda value, where: _is(value, hint, where)


def _is(value: Any, kind: type, where: str) -> Any:
    if kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is not kind:
        names = {str: "text", int: "a whole number", bool: "true or false", dict: "an object", float: "a number"}
        raise BadMessage(f"{where} must be {names[kind]}, not {_kind_of(value)}")
    return value


def _annotated(kind: type, rule: Matches | AtLeast) -> Reader:
    if isinstance(rule, AtLeast):

        def whole(value: Any, where: str) -> Any:
            if _is(value, kind, where) < rule.least or value >= 1 << 53:
                raise BadMessage(f"{where} must be a whole number from {rule.least} to 2**53 - 1")
            return value

        return whole
    matches = re.compile(rule.pattern).fullmatch

    def text(value: Any, where: str) -> Any:
        if matches(_is(value, kind, where)) is None:
            raise BadMessage(f"{where} {_brief(value)} must be {rule.about}")
        return value

    return text


def _one_of(words: Sequence[str]) -> Reader:
    def read(value: Any, where: str) -> Any:
        if type(value) is not str or value not in words:
            raise BadMessage(f"{where} {_brief(value)} must be one of {', '.join(words)}")
        return value

    return read


def _union(kinds: Sequence[Any]) -> Reader:
    """A type or null, or one of some plain types: nothing here is a choice between objects."""
    others = [one for one in kinds if one is not type(None)]
    empty = len(others) < len(kinds)
    if len(others) == 1:
        inner = _reader(others[0])
        return lambda value, where: None if value is None else inner(value, where)

    def read(value: Any, where: str) -> Any:
        if (value is None and empty) or type(value) in others:
            return value
        raise BadMessage(f"{where} must be text, a whole number, or true or false, not {_kind_of(value)}")

    return read


def _list(inner: Reader) -> Reader:
    return lambda value, where: tuple(inner(one, f"{where}[{i}]") for i, one in enumerate(_listed(value, where)))


def _exactly(inner: Sequence[Reader]) -> Reader:
    def read(value: Any, where: str) -> Any:
        given = _listed(value, where)
        if len(given) != len(inner):
            raise BadMessage(f"{where} must have {len(inner)} parts, not {len(given)}")
        return tuple(reader(one, f"{where}[{i}]") for i, (reader, one) in enumerate(zip(inner, given, strict=True)))

    return read


def _listed(value: Any, where: str) -> list[Any]:
    if type(value) is not list:
        raise BadMessage(f"{where} must be a list, not {_kind_of(value)}")
    return value


def _mapping(inner: Reader) -> Reader:
    return lambda value, where: {key: inner(one, f"{where}.{_brief(key)}") for key, one in _is(value, dict, where).items()}


def _by_name(parts: Mapping[str, type], origin: Any) -> Reader:
    """By the name of a table or a stream, its rows by key, or its items."""
    items = get_origin(origin) is tuple

    def read(value: Any, where: str) -> Any:
        found = {}
        for name, body in _is(value, dict, where).items():
            kind = parts.get(name)
            if kind is None:
                raise BadMessage(f"{where} has no {_brief(name)}: there are {', '.join(parts)}")
            one: Reader = _object_of(kind)
            found[name] = (_list(one) if items else _mapping(one))(body, f"{where}.{name}")
        return found

    return read


def _object_of(kind: type) -> Reader:
    return lambda value, where: _object(kind, _is(value, dict, where), where)


PARTS: Mapping[tuple[type, str], Mapping[str, type]] = {
    (Snapshot, "tables"): TABLES,
    (Delta, "set"): TABLES,
    (Snapshot, "streams"): STREAMS,
    (Delta, "add"): STREAMS,
}
"""Fields that hold a class of their own for each name."""
