"""How a record is written and read back: one line of canonical JSON, and the same record again.

Every number of units is text, because a reader in another language, or a database, would make a float of a large one.
Each line names the version it was written by. Older lines are read by lifting them, one version at a time, to the
present one; a line of a later version is refused.

What a record means, and where it is kept, is not known here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .errors import JournalError, SleevesError
from .facts import Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from .ledger import Account, Entry, EntryKind, Posting, Role
from .market import Basis, FundingRate, Instrument
from .money import Amount, Asset
from .orders import Bundle, Fill, Liquidity, Order, OrderStatus, Place, Side, TimeInForce, Transfer
from .records import (
    Alert,
    Answered,
    Asked,
    Bundled,
    BundleStatus,
    BundleUpdate,
    Cause,
    Changed,
    Crossed,
    Fact,
    Instructed,
    Level,
    Marked,
    Opened,
    OrderUpdate,
    Placed,
    Policy,
    Quarantined,
    Reconciled,
    Record,
    Recovered,
    Refusal,
    Residual,
)

__all__ = ["GENESIS", "KINDS", "VERSION", "Decoder", "canonical", "chain", "encode", "link", "read"]

VERSION = 2
GENESIS = hashlib.sha256(b"sleeves journal 1").hexdigest()
"""What the first line's digest follows from."""

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
"""A value as JSON: sorted keys, no spaces, ASCII, and neither NaN nor infinity."""


def link(before: str, text: str) -> str:
    """The digest of a line that follows a digest."""
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def chain(texts: Iterable[str]) -> Iterator[str]:
    """Each line followed by a space and its digest."""
    digest = GENESIS
    for text in texts:
        digest = link(digest, text)
        yield f"{text} {digest}"


def read(lines: Iterable[str]) -> Iterator[Record]:
    """Read chained lines back, checking each link. Raises `JournalError` with the number of the first bad line."""
    digest, codec = GENESIS, Decoder()
    for number, line in enumerate(lines, 1):
        text, _, claimed = line.rstrip("\n").rpartition(" ")
        digest = link(digest, text) if text.isascii() else ""
        if digest != claimed:
            raise JournalError(f"journal line {number}: its digest does not follow from the lines before it")
        yield codec.read(text, number)


def encode(record: Record) -> str:
    """One line of canonical JSON. Raises `JournalError` for what is no record, or cannot be written."""
    write = _ENCODERS.get(type(record))
    if write is None:
        raise JournalError(f"{record!r} is no record that a journal keeps")
    try:
        kind, body = write(record)
        return canonical({"v": VERSION, "kind": kind, **body})
    except (AttributeError, TypeError, ValueError) as error:
        raise JournalError(f"{record!r} cannot be written: {error}") from error


# -- writing -----------------------------------------------------------------------------------------------------------


def _asset(asset: Asset) -> list[Any]:
    return [asset.code, asset.scale]


def _amount(amount: Amount) -> list[Any]:
    return [amount.asset.code, amount.asset.scale, str(amount.units)]


def _maybe(units: int | None) -> str | None:
    return None if units is None else str(units)


def _place(place: Place) -> dict[str, Any]:
    return {
        "instrument": place.instrument.symbol,
        "side": place.side.value,
        "qty": str(place.qty),
        "limit": _maybe(place.limit),
        "stop": _maybe(place.stop),
        "tif": place.tif.value,
        "reduce_only": place.reduce_only,
        "post_only": place.post_only,
        "expect": _maybe(place.expect),
        "why": place.why,
        **({} if place.good_til is None else {"good_til": place.good_til}),
        **({"tag": place.tag} if place.tag else {}),
    }


def _entry(r: Entry) -> tuple[str, dict[str, Any]]:
    postings = [[*p.account, p.asset.code, p.asset.scale, str(p.units)] for p in r.postings]
    return "entry", {"at": r.at, "entry": r.kind.value, "by": r.by, "postings": postings, "ref": r.ref, "why": r.why}


def _fill(r: Fill) -> tuple[str, dict[str, Any]]:
    body = {
        "at": r.at,
        "order": r.order_id,
        "instrument": r.instrument.symbol,
        "side": r.side.value,
        "qty": str(r.qty),
        "price": str(r.price),
        "cost": str(r.cost),
        "fee": _amount(r.fee),
        "liquidity": r.liquidity.value,
        "trade": r.trade_id,
        "venue": r.venue,
    }
    if r.account or r.leg:
        body |= {"account": r.account, "leg": r.leg}
    return "fill", body


def _order(order: Order) -> dict[str, Any]:
    worst = _maybe(order.worst)
    body = {"id": order.id, "sleeve": order.sleeve, "at": order.at, "worst": worst, "place": _place(order.place)}
    return body | ({"netted": True} if order.netted else {})


def _placed(r: Placed) -> tuple[str, dict[str, Any]]:
    body = {"at": r.at, "by": r.by, "order": _order(r.order), "closes": r.closes}
    body |= {"notes": dict(r.notes)} if r.notes else {}
    return "placed", body | ({"bundle": r.bundle, "leg": r.leg} if r.bundle else {})


def _bundled(r: Bundled) -> tuple[str, dict[str, Any]]:
    bundle = r.bundle
    body = {"at": r.at, "by": r.by, "id": r.id, "sleeve": r.sleeve, "legs": [_place(leg) for leg in bundle.legs], "why": bundle.why}
    body |= {"notes": dict(r.notes)} if r.notes else {}
    return "bundled", body | {"tries": bundle.tries, "rollback": bundle.rollback, "reserves": [str(units) for units in r.reserves]}


def _crossed(r: Crossed) -> tuple[str, dict[str, Any]]:
    body = {"at": r.at, "instrument": r.instrument.symbol, "qty": str(r.qty), "price": str(r.price)}
    return "crossed", body | {"buy": r.buy, "sell": r.sell, "saved": str(r.saved)}


def _funding(r: FundingPaid) -> tuple[str, dict[str, Any]]:
    return "funding", {
        "at": r.at,
        "instrument": r.instrument.symbol,
        "rate_ppb": str(r.rate.rate_ppb),
        "price": str(r.rate.price),
        "every": r.rate.every,
        "basis": r.rate.basis.value,
        "qty": str(r.qty),
        "amount": str(r.amount),
        "id": r.id,
        "venue": r.venue,
    }


def _liquidated(r: Liquidated) -> tuple[str, dict[str, Any]]:
    return "liquidated", {
        "at": r.at,
        "instrument": r.instrument.symbol,
        "change": str(r.change),
        "price": str(r.price),
        "cost": str(r.cost),
        "fee": _amount(r.fee),
        "id": r.id,
        "venue": r.venue,
    }


def _of_contract(kind: str, r: Settled | Bankrupted) -> tuple[str, dict[str, Any]]:
    return kind, {"at": r.at, "instrument": r.instrument.symbol, "amount": str(r.amount), "id": r.id, "venue": r.venue}


def _refusal(r: Refusal) -> tuple[str, dict[str, Any]]:
    body = {"at": r.at, "sleeve": r.sleeve, "gate": r.gate, "reason": r.reason, "numbers": dict(r.numbers)}
    return "refusal", body | {"wish": r.wish, "times": r.times}


def _marked(r: Marked) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"at": r.at, "prices": {symbol: [str(price), at] for symbol, (price, at) in r.prices.items()}}
    if r.watched:
        body["watched"] = {name: [day, str(pnl), str(peak)] for name, (day, pnl, peak) in r.watched.items()}
    return "marked", body


def _quarantined(r: Quarantined) -> tuple[str, dict[str, Any]]:
    kind, body = _ENCODERS[type(r.fact)](r.fact)
    return "quarantined", {"at": r.at, "why": r.why, "fact": {"kind": kind, **body}}


def _residual(r: Residual) -> tuple[str, dict[str, Any]]:
    body = {"at": r.at, "id": r.id, "vault": r.vault, "amount": _amount(r.amount)}
    return "residual", body | {"cause": r.cause.value, "ref": r.ref, "line": r.line, "note": r.note}


def _asked(r: Asked) -> tuple[str, dict[str, Any]]:
    t = r.transfer
    body = {"at": r.at, "by": r.by, "vault": r.vault, "id": t.id, "amount": _amount(t.amount), "venue": t.venue}
    return "asked", body | ({"sleeve": r.sleeve, "source": t.source, "target": t.target} if t.inside else {})


def _shifted(r: Shifted) -> tuple[str, dict[str, Any]]:
    body = {"at": r.at, "amount": _amount(r.amount), "id": r.id, "venue": r.venue}
    return "shifted", body | {"source": r.source, "target": r.target}


def _settled(r: Settled) -> tuple[str, dict[str, Any]]:
    kind, body = _of_contract("settled", r)
    return kind, body | ({"fee": str(r.fee)} if r.fee else {})


_ENCODERS: Mapping[type, Any] = {
    Opened: lambda r: ("opened", {"at": r.at, "by": r.by, "what": r.what, "name": r.name, "terms": dict(r.terms)}),
    Changed: lambda r: (
        "changed",
        {"at": r.at, "by": r.by, "subject": r.subject, "what": r.what, "before": r.before, "after": r.after, "why": r.why},
    ),
    Entry: _entry,
    Placed: _placed,
    Bundled: _bundled,
    BundleUpdate: lambda r: ("bundle", {"at": r.at, "id": r.id, "status": r.status.value, "why": r.why}),
    Crossed: _crossed,
    OrderUpdate: lambda r: ("update", {"at": r.at, "order": r.order_id, "status": r.status.value, "reason": r.reason}),
    Fill: _fill,
    FundingPaid: _funding,
    Settled: _settled,
    Liquidated: _liquidated,
    Bankrupted: lambda r: _of_contract("bankrupted", r),
    Shifted: _shifted,
    Transferred: lambda r: ("transferred", {"at": r.at, "amount": _amount(r.amount), "id": r.id, "venue": r.venue}),
    Refusal: _refusal,
    Alert: lambda r: ("alert", {"at": r.at, "level": r.level.value, "subject": r.subject, "code": r.code, "text": r.text}),
    Marked: _marked,
    Asked: _asked,
    Instructed: lambda r: ("instructed", {"at": r.at, "by": r.by, "id": r.id, "what": r.what, "terms": dict(r.terms)}),
    Answered: lambda r: (
        "answered",
        {"at": r.at, "id": r.id, "code": r.code, "message": r.message, "evidence": dict(r.evidence)},
    ),
    Quarantined: _quarantined,
    Residual: _residual,
    Reconciled: lambda r: (
        "reconciled",
        {"at": r.at, "by": r.by, "wallet": r.wallet, "holdings": {code: list(pair) for code, pair in r.holdings.items()}},
    ),
    Recovered: lambda r: ("recovered", {"at": r.at, "by": r.by, "policy": r.policy.value, "found": dict(r.found)}),
}

KINDS = frozenset(_ENCODERS)
"""The classes of all records."""


# -- reading -----------------------------------------------------------------------------------------------------------


class Decoder:
    """Reads records back in order; a record that names an instrument needs its `Opened` record before it."""

    def __init__(self, instruments: Mapping[str, Instrument] | None = None) -> None:
        self._assets: dict[tuple[str, int], Asset] = {}
        self._instruments: dict[str, Instrument] = dict(instruments or {})

    def read(self, text: str, number: int) -> Record:
        """The record of a line, or `JournalError` with the line's number."""
        try:
            return self.record(json.loads(text))
        except (SleevesError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise JournalError(f"journal line {number}: {error}") from error

    def record(self, body: dict[str, Any]) -> Record:
        """The record of a body. Raises all that a body that means nothing can raise; `read` names the line."""
        version = body.get("v")
        while version != VERSION:
            lift = _LIFTS.get(version) if type(version) is int else None
            if lift is None:
                raise JournalError(f"written by version {version!r} of the journal; this one reads versions {min(_LIFTS)} to {VERSION}")
            body = lift(body)
            version = body["v"]
        return self._record(body)

    def _record(self, body: dict[str, Any]) -> Record:
        read = _READERS.get(body["kind"])
        if read is None:
            raise JournalError(f"unknown kind of record {body['kind']!r}")
        return read(self, body)

    def asset(self, code: str, scale: int) -> Asset:
        asset = self._assets.get((code, scale))
        if asset is None:
            asset = self._assets[code, scale] = Asset(code, scale)
        return asset

    def amount(self, parts: list[Any]) -> Amount:
        code, scale, units = parts
        return self.asset(code, scale).units(_units(units))

    def instrument(self, symbol: str) -> Instrument:
        try:
            return self._instruments[symbol]
        except KeyError:
            raise JournalError(f"instrument {symbol!r} is used before it was opened") from None

    def _opened(self, b: dict[str, Any]) -> Opened:
        if b["what"] == "instrument":
            self._instruments[b["name"]] = Instrument.from_terms(b["name"], b["terms"])
        return Opened(b["at"], b["by"], b["what"], b["name"], b["terms"])

    def _changed(self, b: dict[str, Any]) -> Changed:
        return Changed(b["at"], b["by"], b["subject"], b["what"], b["before"], b["after"], b["why"])

    def _entry(self, b: dict[str, Any]) -> Entry:
        postings = tuple(
            Posting(Account(_text(owner), Role(role), _text(of)), self.asset(code, scale), _units(units))
            for owner, role, of, code, scale, units in b["postings"]
        )
        return Entry(b["at"], EntryKind(b["entry"]), b["by"], postings, b["ref"], b["why"])

    def place(self, p: dict[str, Any]) -> Place:
        return Place(
            self.instrument(p["instrument"]),
            Side(p["side"]),
            _units(p["qty"]),
            limit=_maybe_units(p["limit"]),
            stop=_maybe_units(p["stop"]),
            tif=TimeInForce(p["tif"]),
            reduce_only=p["reduce_only"],
            post_only=p["post_only"],
            expect=_maybe_units(p["expect"]),
            why=p["why"],
            good_til=p.get("good_til"),
            tag=p.get("tag", ""),
        )

    def order(self, o: dict[str, Any]) -> Order:
        place = self.place(o["place"])
        return Order(_text(o["id"]), _text(o["sleeve"]), place, o["at"], _maybe_units(o["worst"]), o.get("netted", False))

    def _placed(self, b: dict[str, Any]) -> Placed:
        if type(b["closes"]) is not bool:
            raise JournalError(f"closes {b['closes']!r} must be true or false")
        bundle, leg = _text(b.get("bundle", "")), _index(b.get("leg", 0))
        return Placed(b["at"], self.order(b["order"]), _text(b.get("by", "")), b["closes"], bundle, leg, _notes(b))

    def _bundled(self, b: dict[str, Any]) -> Bundled:
        bundle = Bundle(tuple(self.place(leg) for leg in b["legs"]), b["tries"], b["rollback"], b["why"])
        reserves, notes = tuple(map(_units, b["reserves"])), _notes(b)
        return Bundled(b["at"], _text(b["id"]), _text(b["sleeve"]), _text(b["by"]), bundle, reserves, notes)

    def _bundle(self, b: dict[str, Any]) -> BundleUpdate:
        return BundleUpdate(b["at"], _text(b["id"]), BundleStatus(b["status"]), _text(b["why"]))

    def _crossed(self, b: dict[str, Any]) -> Crossed:
        market, saved = self.instrument(b["instrument"]), _units(b["saved"])
        return Crossed(b["at"], market, _units(b["qty"]), _units(b["price"]), _text(b["buy"]), _text(b["sell"]), saved)

    def _update(self, b: dict[str, Any]) -> OrderUpdate:
        return OrderUpdate(b["at"], b["order"], OrderStatus(b["status"]), b["reason"])

    def _fill(self, b: dict[str, Any]) -> Fill:
        return Fill(
            b["order"],
            b["at"],
            self.instrument(b["instrument"]),
            Side(b["side"]),
            _units(b["qty"]),
            _units(b["price"]),
            _units(b["cost"]),
            self.amount(b["fee"]),
            Liquidity(b["liquidity"]),
            b["trade"],
            b["venue"],
            b.get("account", ""),
            b.get("leg", ""),
        )

    def _funding(self, b: dict[str, Any]) -> FundingPaid:
        market = self.instrument(b["instrument"])
        rate = FundingRate(market, b["at"], _units(b["rate_ppb"]), _units(b["price"]), b["every"], Basis(b["basis"]))
        return FundingPaid(rate, _units(b["qty"]), _units(b["amount"]), b["id"], b["venue"])

    def _settled(self, b: dict[str, Any]) -> Settled:
        fee = _units(b["fee"]) if "fee" in b else 0
        return Settled(b["at"], self.instrument(b["instrument"]), _units(b["amount"]), b["id"], b["venue"], fee)

    def _liquidated(self, b: dict[str, Any]) -> Liquidated:
        market, change, price, cost = self.instrument(b["instrument"]), _units(b["change"]), _units(b["price"]), _units(b["cost"])
        return Liquidated(b["at"], market, change, price, cost, self.amount(b["fee"]), b["id"], b["venue"])

    def _bankrupted(self, b: dict[str, Any]) -> Bankrupted:
        return Bankrupted(b["at"], self.instrument(b["instrument"]), _units(b["amount"]), b["id"], b["venue"])

    def _shifted(self, b: dict[str, Any]) -> Shifted:
        return Shifted(b["at"], self.amount(b["amount"]), b["source"], b["target"], b["id"], b["venue"])

    def _transferred(self, b: dict[str, Any]) -> Transferred:
        return Transferred(b["at"], self.amount(b["amount"]), b["id"], b["venue"])

    def _refusal(self, b: dict[str, Any]) -> Refusal:
        return Refusal(b["at"], b["sleeve"], b["gate"], b["reason"], b["numbers"], b["wish"], b["times"])

    def _alert(self, b: dict[str, Any]) -> Alert:
        return Alert(b["at"], Level(b["level"]), b["subject"], b["code"], b["text"])

    def _marked(self, b: dict[str, Any]) -> Marked:
        prices = {symbol: (_units(price), at) for symbol, (price, at) in b["prices"].items()}
        watched = {name: (day, _units(pnl), _units(peak)) for name, (day, pnl, peak) in b.get("watched", {}).items()}
        return Marked(b["at"], prices, watched)

    def _asked(self, b: dict[str, Any]) -> Asked:
        transfer = Transfer(b["id"], self.amount(b["amount"]), b["venue"], b.get("source"), b.get("target"))
        return Asked(b["at"], b["by"], b["vault"], transfer, _text(b.get("sleeve", "")))

    def _instructed(self, b: dict[str, Any]) -> Instructed:
        return Instructed(b["at"], _text(b["by"]), _text(b["id"]), _text(b["what"]), b["terms"])

    def _answered(self, b: dict[str, Any]) -> Answered:
        return Answered(b["at"], _text(b["id"]), _text(b["code"]), _text(b["message"]), b["evidence"])

    def _quarantined(self, b: dict[str, Any]) -> Quarantined:
        fact = self._record(b["fact"])
        if not isinstance(fact, Fact):
            raise JournalError(f"{fact!r} stands where a fact must")
        return Quarantined(b["at"], fact, b["why"])

    def _residual(self, b: dict[str, Any]) -> Residual:
        return Residual(b["at"], b["id"], b["vault"], self.amount(b["amount"]), Cause(b["cause"]), b["ref"], b["line"], b["note"])

    def _reconciled(self, b: dict[str, Any]) -> Reconciled:
        holdings = {code: (_text(theirs), _text(ours)) for code, (theirs, ours) in b["holdings"].items()}
        return Reconciled(b["at"], b["by"], b["wallet"], holdings)

    def _recovered(self, b: dict[str, Any]) -> Recovered:
        return Recovered(b["at"], b["by"], Policy(b["policy"]), b["found"])


def _units(value: object) -> int:
    """A whole number that stands as text: just as `str` writes it, no sign or zero more."""
    if isinstance(value, str):
        number = int(value)
        if str(number) == value:
            return number
    raise JournalError(f"{value!r} stands where a whole number must, as text")


def _maybe_units(value: object) -> int | None:
    return None if value is None else _units(value)


def _index(value: object) -> int:
    if type(value) is not int or value < 0:
        raise JournalError(f"{value!r} stands where the number of a leg must")
    return value


def _notes(b: Mapping[str, Any]) -> dict[str, str]:
    return {_text(name): _text(word) for name, word in b.get("notes", {}).items()}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise JournalError(f"{value!r} stands where text must")
    return value


_READERS: Mapping[str, Callable[[Decoder, dict[str, Any]], Record]] = {
    "opened": Decoder._opened,
    "changed": Decoder._changed,
    "entry": Decoder._entry,
    "placed": Decoder._placed,
    "bundled": Decoder._bundled,
    "bundle": Decoder._bundle,
    "crossed": Decoder._crossed,
    "update": Decoder._update,
    "fill": Decoder._fill,
    "funding": Decoder._funding,
    "settled": Decoder._settled,
    "shifted": Decoder._shifted,
    "liquidated": Decoder._liquidated,
    "bankrupted": Decoder._bankrupted,
    "transferred": Decoder._transferred,
    "refusal": Decoder._refusal,
    "alert": Decoder._alert,
    "marked": Decoder._marked,
    "asked": Decoder._asked,
    "instructed": Decoder._instructed,
    "answered": Decoder._answered,
    "quarantined": Decoder._quarantined,
    "residual": Decoder._residual,
    "reconciled": Decoder._reconciled,
    "recovered": Decoder._recovered,
}


# -- older versions ----------------------------------------------------------------------------------------------------


def _from_1(body: dict[str, Any]) -> dict[str, Any]:
    """Version 1 wrote units as JSON numbers."""
    new = body | {"v": 2}
    for name in ("qty", "price", "cost", "change", "rate_ppb"):
        if name in new:
            new[name] = _said(new[name])
    kind = body["kind"]
    if "amount" in new and kind != "transferred":
        new["amount"] = _said(new["amount"])
    for name in ("fee", "amount"):
        if isinstance(new.get(name), list):
            code, scale, units = new[name]
            new[name] = [code, scale, _said(units)]
    if kind == "entry":
        new["postings"] = [[*rest, _said(units)] for *rest, units in body["postings"]]
    elif kind == "placed":
        place = body["order"]["place"]
        lifted = {name: _said(place[name]) for name in ("qty", "limit", "stop", "expect")}
        new["order"] = body["order"] | {"worst": _said(body["order"]["worst"]), "place": place | lifted}
        new["closes"] = body["order"]["worst"] is None
    elif kind == "marked":
        new["prices"] = {symbol: [_said(price), at] for symbol, (price, at) in body["prices"].items()}
    return new


def _said(value: object) -> str | None:
    if value is None or type(value) is int:
        return None if value is None else str(value)
    raise JournalError(f"{value!r} stands where a whole number must")


_LIFTS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
"""By version, what lifts a body to the next one."""
