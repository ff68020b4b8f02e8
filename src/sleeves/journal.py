"""The journal: the book of original entry. Append-only and hash-chained; the ledger is the fold of its entries.

A record is written as one line of canonical JSON. Its digest is SHA-256 over the digest before it and that line, so
changing, dropping or swapping any line changes every digest after it. `Memory` keeps records as objects and works out
lines and digests when asked: equal runs give equal bytes.

What a record means is not known here, only how it is written and read back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from .errors import JournalError, SleevesError
from .facts import Bankrupted, FundingPaid, Liquidated, Settled, Transferred
from .ledger import Account, Entry, EntryKind, Posting, Role
from .market import Basis, FundingRate, Instrument
from .money import Asset
from .orders import Fill, Liquidity, Order, OrderStatus, Place, Side, TimeInForce
from .records import Alert, Changed, Level, Marked, Opened, OrderUpdate, Placed, Record, Refusal

__all__ = ["Journal", "Memory", "chain", "encode"]

VERSION = 1
GENESIS = hashlib.sha256(b"sleeves journal 1").hexdigest()


class Journal(Protocol):
    """Where records are kept. `append` takes records that belong together and keeps all of them or none.

    Raises `JournalError` when they could not be kept; the books then change nothing.
    """

    def append(self, *records: Record) -> None: ...

    def __iter__(self) -> Iterator[Record]: ...

    def __len__(self) -> int: ...


class Memory:
    """A journal in memory: for simulation, tests and notebooks. It ends with the process."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    def append(self, *records: Record) -> None:
        for record in records:
            if type(record) not in _ENCODERS:
                raise JournalError(f"{record!r} is no record that a journal keeps")
        self._records.extend(records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def lines(self) -> Iterator[str]:
        """The journal as JSON lines, each with its digest: the same bytes for the same run."""
        yield from chain(encode(record) for record in self._records)

    def digest(self) -> str:
        """The digest of the last line: one value that stands for the whole journal."""
        digest = GENESIS
        for record in self._records:
            digest = _link(digest, encode(record))
        return digest

    @classmethod
    def read(cls, lines: Iterable[str]) -> Memory:
        """Read lines back, checking each link. Raises `JournalError` with the number of the first bad line."""
        journal = cls()
        digest = GENESIS
        codec = _Decoder()
        for number, line in enumerate(lines, 1):
            try:
                text, _, claimed = line.rstrip("\n").rpartition(" ")
                digest = _link(digest, text)
                if digest != claimed:
                    raise JournalError("its digest does not follow from the lines before it")
                journal.append(codec.record(json.loads(text)))
            except (SleevesError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
                raise JournalError(f"journal line {number}: {error}") from error
        return journal


def _link(before: str, text: str) -> str:
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def chain(texts: Iterable[str]) -> Iterator[str]:
    """Each line followed by a space and its digest."""
    digest = GENESIS
    for text in texts:
        digest = _link(digest, text)
        yield f"{text} {digest}"


def encode(record: Record) -> str:
    """One line of canonical JSON: sorted keys, no spaces, numbers of money as integers of units."""
    kind, body = _ENCODERS[type(record)](record)
    return json.dumps({"v": VERSION, "kind": kind, **body}, sort_keys=True, separators=(",", ":"))


def _asset(asset: Asset) -> list[Any]:
    return [asset.code, asset.scale]


def _place(place: Place) -> dict[str, Any]:
    return {
        "instrument": place.instrument.symbol,
        "side": place.side.value,
        "qty": place.qty,
        "limit": place.limit,
        "stop": place.stop,
        "tif": place.tif.value,
        "reduce_only": place.reduce_only,
        "post_only": place.post_only,
        "expect": place.expect,
        "why": place.why,
    }


def _entry(r: Entry) -> tuple[str, dict[str, Any]]:
    postings = [[*p.account, *_asset(p.asset), p.units] for p in r.postings]
    return "entry", {"at": r.at, "entry": r.kind.value, "by": r.by, "postings": postings, "ref": r.ref, "why": r.why}


def _fill(r: Fill) -> tuple[str, dict[str, Any]]:
    return "fill", {
        "at": r.at,
        "order": r.order_id,
        "instrument": r.instrument.symbol,
        "side": r.side.value,
        "qty": r.qty,
        "price": r.price,
        "cost": r.cost,
        "fee": [*_asset(r.fee.asset), r.fee.units],
        "liquidity": r.liquidity.value,
        "trade": r.trade_id,
        "venue": r.venue,
    }


def _order(order: Order) -> dict[str, Any]:
    body = {"id": order.id, "sleeve": order.sleeve, "at": order.at, "worst": order.worst, "place": _place(order.place)}
    return body | ({"netted": True} if order.netted else {})


def _funding(r: FundingPaid) -> tuple[str, dict[str, Any]]:
    return "funding", {
        "at": r.at,
        "instrument": r.instrument.symbol,
        "rate_ppb": r.rate.rate_ppb,
        "price": r.rate.price,
        "every": r.rate.every,
        "basis": r.rate.basis.value,
        "qty": r.qty,
        "amount": r.amount,
        "id": r.id,
        "venue": r.venue,
    }


def _liquidated(r: Liquidated) -> tuple[str, dict[str, Any]]:
    return "liquidated", {
        "at": r.at,
        "instrument": r.instrument.symbol,
        "change": r.change,
        "price": r.price,
        "cost": r.cost,
        "fee": [*_asset(r.fee.asset), r.fee.units],
        "id": r.id,
        "venue": r.venue,
    }


def _of_contract(kind: str, r: Settled | Bankrupted) -> tuple[str, dict[str, Any]]:
    return kind, {"at": r.at, "instrument": r.instrument.symbol, "amount": r.amount, "id": r.id, "venue": r.venue}


_ENCODERS: Mapping[type, Any] = {
    Opened: lambda r: ("opened", {"at": r.at, "by": r.by, "what": r.what, "name": r.name, "terms": dict(r.terms)}),
    Changed: lambda r: (
        "changed",
        {"at": r.at, "by": r.by, "subject": r.subject, "what": r.what, "before": r.before, "after": r.after, "why": r.why},
    ),
    Entry: _entry,
    Placed: lambda r: ("placed", {"at": r.at, "by": r.by, "order": _order(r.order)}),
    OrderUpdate: lambda r: ("update", {"at": r.at, "order": r.order_id, "status": r.status.value, "reason": r.reason}),
    Fill: _fill,
    FundingPaid: _funding,
    Settled: lambda r: _of_contract("settled", r),
    Liquidated: _liquidated,
    Bankrupted: lambda r: _of_contract("bankrupted", r),
    Transferred: lambda r: (
        "transferred",
        {"at": r.at, "amount": [*_asset(r.amount.asset), r.amount.units], "id": r.id, "venue": r.venue},
    ),
    Refusal: lambda r: (
        "refusal",
        {
            "at": r.at,
            "sleeve": r.sleeve,
            "gate": r.gate,
            "reason": r.reason,
            "numbers": dict(r.numbers),
            "wish": r.wish,
            "times": r.times,
        },
    ),
    Alert: lambda r: ("alert", {"at": r.at, "level": r.level.value, "subject": r.subject, "code": r.code, "text": r.text}),
    Marked: lambda r: ("marked", {"at": r.at, "prices": {symbol: list(seen) for symbol, seen in r.prices.items()}}),
}


class _Decoder:
    """Reads records back in order; a record that names an instrument needs its `Opened` record before it."""

    def __init__(self) -> None:
        self._assets: dict[tuple[str, int], Asset] = {}
        self._instruments: dict[str, Instrument] = {}

    def asset(self, code: str, scale: int) -> Asset:
        return self._assets.setdefault((code, scale), Asset(code, scale))

    def instrument(self, symbol: str) -> Instrument:
        try:
            return self._instruments[symbol]
        except KeyError:
            raise JournalError(f"instrument {symbol!r} is used before it was opened") from None

    def record(self, body: dict[str, Any]) -> Record:
        if body.get("v") != VERSION:
            raise JournalError(f"written by version {body.get('v')!r} of the journal; this one reads version {VERSION}")
        read = _READERS.get(body["kind"])
        if read is None:
            raise JournalError(f"unknown kind of record {body['kind']!r}")
        return read(self, body)

    def _opened(self, b: dict[str, Any]) -> Opened:
        if b["what"] == "instrument":
            self._instruments[b["name"]] = Instrument.from_terms(b["name"], b["terms"])
        return Opened(b["at"], b["by"], b["what"], b["name"], b["terms"])

    def _changed(self, b: dict[str, Any]) -> Changed:
        return Changed(b["at"], b["by"], b["subject"], b["what"], b["before"], b["after"], b["why"])

    def _entry(self, b: dict[str, Any]) -> Entry:
        postings = tuple(
            Posting(Account(_text(owner), Role(role), _text(of)), self.asset(code, scale), _int(units))
            for owner, role, of, code, scale, units in b["postings"]
        )
        return Entry(b["at"], EntryKind(b["entry"]), b["by"], postings, b["ref"], b["why"])

    def _placed(self, b: dict[str, Any]) -> Placed:
        o, p = b["order"], b["order"]["place"]
        place = Place(
            self.instrument(p["instrument"]),
            Side(p["side"]),
            p["qty"],
            limit=p["limit"],
            stop=p["stop"],
            tif=TimeInForce(p["tif"]),
            reduce_only=p["reduce_only"],
            post_only=p["post_only"],
            expect=p["expect"],
            why=p["why"],
        )
        return Placed(b["at"], Order(o["id"], o["sleeve"], place, o["at"], o["worst"], o.get("netted", False)), _text(b.get("by", "")))

    def _update(self, b: dict[str, Any]) -> OrderUpdate:
        return OrderUpdate(b["at"], b["order"], OrderStatus(b["status"]), b["reason"])

    def _fill(self, b: dict[str, Any]) -> Fill:
        code, scale, units = b["fee"]
        return Fill(
            b["order"],
            b["at"],
            self.instrument(b["instrument"]),
            Side(b["side"]),
            b["qty"],
            b["price"],
            b["cost"],
            self.asset(code, scale).units(units),
            Liquidity(b["liquidity"]),
            b["trade"],
            b["venue"],
        )

    def _funding(self, b: dict[str, Any]) -> FundingPaid:
        rate = FundingRate(self.instrument(b["instrument"]), b["at"], b["rate_ppb"], b["price"], b["every"], Basis(b["basis"]))
        return FundingPaid(rate, b["qty"], b["amount"], b["id"], b["venue"])

    def _settled(self, b: dict[str, Any]) -> Settled:
        return Settled(b["at"], self.instrument(b["instrument"]), b["amount"], b["id"], b["venue"])

    def _liquidated(self, b: dict[str, Any]) -> Liquidated:
        code, scale, units = b["fee"]
        market, fee = self.instrument(b["instrument"]), self.asset(code, scale).units(units)
        return Liquidated(b["at"], market, b["change"], b["price"], b["cost"], fee, b["id"], b["venue"])

    def _bankrupted(self, b: dict[str, Any]) -> Bankrupted:
        return Bankrupted(b["at"], self.instrument(b["instrument"]), b["amount"], b["id"], b["venue"])

    def _transferred(self, b: dict[str, Any]) -> Transferred:
        code, scale, units = b["amount"]
        return Transferred(b["at"], self.asset(code, scale).units(units), b["id"], b["venue"])

    def _refusal(self, b: dict[str, Any]) -> Refusal:
        return Refusal(b["at"], b["sleeve"], b["gate"], b["reason"], b["numbers"], b["wish"], b["times"])

    def _alert(self, b: dict[str, Any]) -> Alert:
        return Alert(b["at"], Level(b["level"]), b["subject"], b["code"], b["text"])

    def _marked(self, b: dict[str, Any]) -> Marked:
        return Marked(b["at"], {symbol: (seen[0], seen[1]) for symbol, seen in b["prices"].items()})


def _int(value: object) -> int:
    if type(value) is not int:
        raise JournalError(f"{value!r} stands where a whole number must")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise JournalError(f"{value!r} stands where text must")
    return value


_READERS: Mapping[str, Callable[[_Decoder, dict[str, Any]], Record]] = {
    "opened": _Decoder._opened,
    "changed": _Decoder._changed,
    "entry": _Decoder._entry,
    "placed": _Decoder._placed,
    "update": _Decoder._update,
    "fill": _Decoder._fill,
    "funding": _Decoder._funding,
    "settled": _Decoder._settled,
    "liquidated": _Decoder._liquidated,
    "bankrupted": _Decoder._bankrupted,
    "transferred": _Decoder._transferred,
    "refusal": _Decoder._refusal,
    "alert": _Decoder._alert,
    "marked": _Decoder._marked,
}
