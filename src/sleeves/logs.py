"""Logs: what the journal keeps, told to the standard library's logging as it happens, and files for an application to put it in.

    end = follow(desk)                      each record becomes a log record under "sleeves."
    undo = to_files("logs")                 an application's own choice: a file for each day, and stderr

    logger             level            what
    sleeves.trades     INFO             fills, liquidations: time, market, side, size, price, signature, fee, order, sleeve
    sleeves.state      INFO             at each mark, where there are contracts: health, leverage, total and free collateral
                       DEBUG            at each mark: a dump of all that there is
    sleeves.gates      WARNING          refusals: gate, reason, numbers
    sleeves.profit     INFO             revenue, cost and net of what was ordered, and of what was refused for it
    sleeves.orders     INFO, WARNING    orders, bundles, transfers, and what became of them
    sleeves.status     INFO, WARNING    statuses, latches, terms; instructions and their answers
    sleeves.funds      INFO, DEBUG      funding, settlements, coins that came and went; each entry of the ledger
    sleeves.errors     ERROR            engines that raised, with the exception
    sleeves.alerts     by their level   all other alerts
    sleeves.recovery   INFO, WARNING    reconciliations, residuals, quarantine, recoveries

A log record's `extra` has the fields, their names prefixed with `sleeves_`. Amounts, prices and sizes are exact text. The
library adds no handler to any logger but a NullHandler; it neither configures logging nor knows where logs go. `to_files` is
for the application to call, or not.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any

from .books import Books
from .desk import Desk
from .errors import VaultError
from .facts import Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from .ledger import Entry
from .margin import Check, MarginAccount, collateral, free_collateral, health_bp, leverage_bp
from .market import SECOND
from .money import Amount, Asset, decimal_text
from .orders import Fill, OrderStatus, Place
from .records import (
    Alert,
    Answered,
    Asked,
    Bundled,
    BundleStatus,
    BundleUpdate,
    Changed,
    Crossed,
    Instructed,
    Level,
    Marked,
    Opened,
    OrderUpdate,
    Placed,
    Quarantined,
    Reconciled,
    Record,
    Recovered,
    Refusal,
    Residual,
)
from .vault import CoreVault

__all__ = ["LEVEL", "PREFIX", "JsonLines", "Plain", "account_of", "accounts_of", "dump", "follow", "level_named", "stands", "to_files"]

PREFIX = "sleeves_"
"""What the names of all fields in a log record's `extra` begin with, so that none is ever one of logging's own."""
LEVEL = "SLEEVES_LOG_LEVEL"
"""The environment variable that names the level of `to_files`."""

_NAMES = ("trades", "state", "gates", "profit", "orders", "status", "funds", "errors", "alerts", "recovery")
_LOGGERS = {name: logging.getLogger(f"sleeves.{name}") for name in _NAMES}
for _logger in _LOGGERS.values():
    _logger.addHandler(logging.NullHandler())

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_OF_ALERTS = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.CRITICAL: logging.CRITICAL}
_WORSE = frozenset({"impaired", "close_only", "halted", "deactivated"})
_PROFIT = ("revenue", "cost", "net")


# -- following a desk ------------------------------------------------------------------------------------------------


def follow(desk: Desk | Books) -> Callable[[], None]:
    """Log each record that the journal keeps from here on; returns what ends it.

    With a desk its state is logged at each mark, and engines' errors with their exceptions; books alone know neither. What is
    followed already is not followed twice. Raises `VaultError` for what is neither a desk nor books.
    """
    follower = _Follower(desk)
    if any(isinstance(getattr(one, "__self__", None), _Follower) for one in follower.books.listeners):
        return lambda: None
    return follower.books.listen(follower.hear)


class _Follower:
    """Puts records into words."""

    def __init__(self, desk: Desk | Books) -> None:
        self.desk = desk if isinstance(desk, Desk) else None
        books = desk.books if isinstance(desk, Desk) else desk
        if not isinstance(books, Books):
            raise VaultError(f"followed is a Desk or its Books, not {desk!r}")
        self.books = books
        self._words: Mapping[type, Callable[[Any], None]] = {
            Alert: self._alert,
            Answered: self._answered,
            Asked: self._asked,
            Bankrupted: self._paid,
            Bundled: self._bundled,
            BundleUpdate: self._bundle_update,
            Changed: self._changed,
            Crossed: self._crossed,
            Entry: self._entry,
            Fill: self._filled,
            FundingPaid: self._paid,
            Instructed: self._instructed,
            Liquidated: self._liquidated,
            Marked: self._marked,
            Opened: self._opened,
            OrderUpdate: self._order_update,
            Placed: self._placed,
            Quarantined: self._quarantined,
            Reconciled: self._reconciled,
            Recovered: self._recovered,
            Refusal: self._refused,
            Residual: self._residual,
            Settled: self._paid,
            Shifted: self._shifted,
            Transferred: self._transferred,
        }

    def hear(self, record: Record) -> None:
        say = self._words.get(type(record))
        if say is None:
            _log("status", logging.DEBUG, record.at, str(record), {"record": type(record).__name__})
        else:
            say(record)

    # -- trades ----------------------------------------------------------------------------------------------------

    def _filled(self, fill: Fill) -> None:
        market = fill.instrument
        side, size, price, fee = fill.side.value, market.qty_text(fill.qty), market.price_text(fill.price), str(fill.fee)
        fields = {
            "market": market.symbol,
            "side": side,
            "size": size,
            "price": price,
            "signature": fill.trade_id,
            "fee": fee,
            "cost": _money(fill.cost, fill),
            "order_id": fill.order_id,
            "sleeve": fill.order_id.rpartition("-")[0],
            "venue": fill.venue,
            "liquidity": fill.liquidity.value,
        }
        text = f"{_utc(fill.at)}: {side} {size} {market} at {price}, fee {fee}, order {fill.order_id}, trade {fill.trade_id}"
        _log("trades", logging.INFO, fill.at, text, fields)

    def _liquidated(self, fact: Liquidated) -> None:
        market, side = fact.instrument, "buy" if fact.change > 0 else "sell"
        size, price = market.qty_text(abs(fact.change)), market.price_text(fact.price)
        fields = {"market": market.symbol, "side": side, "size": size, "price": price, "signature": fact.id}
        text = f"{_utc(fact.at)}: liquidation by {fact.venue}: {side} {size} {market} at {price}, fee {fact.fee}, {fact.id}"
        _log("trades", logging.WARNING, fact.at, text, {**fields, "fee": str(fact.fee), "venue": fact.venue, "liquidation": True})

    def _crossed(self, record: Crossed) -> None:
        market = record.instrument
        size, price, saved = market.qty_text(record.qty), market.price_text(record.price), _money(record.saved, record)
        fields = {"market": market.symbol, "size": size, "price": price, "buy": record.buy, "sell": record.sell, "saved": saved}
        text = f"inside: {size} {market} at {price} between {record.buy} and {record.sell}, saved {saved}"
        _log("trades", logging.INFO, record.at, text, fields)

    # -- state -----------------------------------------------------------------------------------------------------

    def _marked(self, record: Marked) -> None:
        if self.desk is None or not _LOGGERS["state"].isEnabledFor(logging.INFO):
            return
        for vault in self.desk.treasury.vaults:
            for name, account in accounts_of(self.desk, vault).items():
                fields = _standing(account, vault.asset)
                text = ", ".join(f"{one.replace('_', ' ')} {value}" for one, value in fields.items())
                _log("state", logging.INFO, record.at, f"{name}: {text}", {"vault": name, **fields})
        if _LOGGERS["state"].isEnabledFor(logging.DEBUG):
            state = dump(self.desk)
            text = json.dumps(state, separators=(",", ":"), sort_keys=True)
            _log("state", logging.DEBUG, record.at, f"state: {text}", {"state": state})

    # -- gates and their sums --------------------------------------------------------------------------------------

    def _refused(self, refusal: Refusal) -> None:
        fields = {
            "sleeve": refusal.sleeve,
            "gate": refusal.gate,
            "reason": refusal.reason,
            "numbers": dict(refusal.numbers),
            "wish": refusal.wish,
            "times": refusal.times,
        }
        text = f"{refusal}, {refusal.times} times" if refusal.times > 1 else str(refusal)
        _log("gates", logging.WARNING, refusal.at, text, fields)
        self._weighed(refusal.at, refusal.numbers, "refused", refusal.wish, {"sleeve": refusal.sleeve})

    def _placed(self, record: Placed) -> None:
        order, place = record.order, _place(record.order.place)
        wish = f"{place['side']} {place['size']} {place['market']}"
        fields = {
            "order_id": order.id,
            "sleeve": order.sleeve,
            "by": record.by,
            **place,
            "closes": record.closes,
            "bundle": record.bundle,
            "notes": dict(record.notes),
        }
        _log("orders", logging.INFO, record.at, f"{order.id}: {wish} at {place['limit']} by {record.by}", fields)
        self._weighed(record.at, record.notes, "ordered", wish, {"sleeve": order.sleeve, "order_id": order.id})

    @staticmethod
    def _weighed(at: int, numbers: Mapping[str, str], outcome: str, wish: str, fields: Mapping[str, str]) -> None:
        """What an order was expected to bring and to cost, where a gate has weighed it."""
        if all(name in numbers for name in _PROFIT):
            sums = {name: numbers[name] for name in _PROFIT}
            text = f"{outcome} {wish} of {fields['sleeve']}: " + ", ".join(f"{name} {value}" for name, value in sums.items())
            _log("profit", logging.INFO, at, text, {**sums, "outcome": outcome, "wish": wish, **fields})

    # -- orders ----------------------------------------------------------------------------------------------------

    def _order_update(self, record: OrderUpdate) -> None:
        level = logging.WARNING if record.status in (OrderStatus.REJECTED, OrderStatus.UNKNOWN) else logging.INFO
        fields = {"order_id": record.order_id, "status": record.status.value, "reason": record.reason}
        _log("orders", level, record.at, f"{record.order_id} is {record.status}{_why(record.reason)}", fields)

    def _bundled(self, record: Bundled) -> None:
        legs = [_place(leg) for leg in record.bundle.legs]
        words = " then ".join(f"{leg['side']} {leg['size']} {leg['market']}" for leg in legs)
        fields = {"bundle": record.id, "sleeve": record.sleeve, "by": record.by, "legs": legs, "why": record.bundle.why}
        _log("orders", logging.INFO, record.at, f"{record.id} by {record.by}: {words}", fields)

    def _bundle_update(self, record: BundleUpdate) -> None:
        level = logging.WARNING if record.status in (BundleStatus.ROLLING_BACK, BundleStatus.LEFT) else logging.INFO
        fields = {"bundle": record.id, "status": record.status.value, "reason": record.why}
        _log("orders", level, record.at, f"bundle {record.id} is {record.status}{_why(record.why)}", fields)

    def _asked(self, record: Asked) -> None:
        one = record.transfer
        fields: dict[str, Any] = {"transfer": one.id, "vault": record.vault, "amount": str(one.amount), "venue": one.venue, "by": record.by}
        fields |= {"sleeve": record.sleeve, "source": one.source, "target": one.target} if one.inside else {}
        whose = f"{record.sleeve}, sub-account {one.source} to {one.target}" if one.inside else record.vault
        _log("orders", logging.INFO, record.at, f"transfer {one.id} of {whose}: {one.amount} by {record.by}", fields)

    # -- statuses and instructions -------------------------------------------------------------------------------------

    def _changed(self, record: Changed) -> None:
        latched = record.what.startswith("latch ") and bool(record.after)
        level = logging.WARNING if latched or record.after in _WORSE else logging.INFO
        fields = {
            "subject": record.subject,
            "what": record.what,
            "before": record.before,
            "after": record.after,
            "by": record.by,
            "why": record.why,
        }
        moved = f"{record.before or 'none'} -> {record.after or 'none'}"
        _log("status", level, record.at, f"{record.subject}: {record.what} {moved} by {record.by}{_why(record.why)}", fields)

    def _opened(self, record: Opened) -> None:
        fields = {"what": record.what, "subject": record.name, "by": record.by, "terms": dict(record.terms)}
        _log("status", logging.INFO, record.at, f"{record.what} {record.name} opened by {record.by}", fields)

    def _instructed(self, record: Instructed) -> None:
        fields = {"request": record.id, "by": record.by, "what": record.what, "terms": dict(record.terms)}
        _log("status", logging.INFO, record.at, f"{record.id} by {record.by}: {record.what}", fields)

    def _answered(self, record: Answered) -> None:
        fields = {"request": record.id, "answer": record.code, "text": record.message, "evidence": dict(record.evidence)}
        _log("status", logging.INFO, record.at, f"{record.id} answered {record.code}: {record.message}", fields)

    # -- money that moves without an order -----------------------------------------------------------------------------

    def _paid(self, fact: FundingPaid | Settled | Bankrupted) -> None:
        kind, amount = type(fact), _money(fact.amount, fact)
        what = {FundingPaid: "funding", Settled: "settled", Bankrupted: "bankrupt, borne by others"}[kind]
        fields = {"what": what, "market": fact.instrument.symbol, "amount": amount, "signature": fact.id, "venue": fact.venue}
        level = logging.WARNING if kind is Bankrupted else logging.INFO
        _log("funds", level, fact.at, f"{fact.instrument}: {what} {amount}, {fact.id} at {fact.venue}", fields)

    def _transferred(self, fact: Transferred) -> None:
        fields = {"what": "transferred", "amount": str(fact.amount), "signature": fact.id, "venue": fact.venue}
        _log("funds", logging.INFO, fact.at, f"transferred {fact.amount}, {fact.id} at {fact.venue}", fields)

    def _shifted(self, fact: Shifted) -> None:
        fields: dict[str, Any] = {"what": "shifted", "amount": str(fact.amount), "signature": fact.id, "venue": fact.venue}
        fields |= {"source": fact.source, "target": fact.target}
        text = f"shifted {fact.amount} from sub-account {fact.source} to {fact.target}, {fact.id} at {fact.venue}"
        _log("funds", logging.INFO, fact.at, text, fields)

    def _entry(self, entry: Entry) -> None:
        if _LOGGERS["funds"].isEnabledFor(logging.DEBUG):
            fields = {"entry": entry.kind.value, "by": entry.by, "ref": entry.ref, "why": entry.why}
            _log("funds", logging.DEBUG, entry.at, f"{entry.kind}: {entry}", fields)

    # -- errors and alerts ---------------------------------------------------------------------------------------------

    def _alert(self, alert: Alert) -> None:
        fields = {"subject": alert.subject, "code": alert.code, "text": alert.text, "alert": alert.level.value}
        if alert.code != "engine_fault":
            _log("alerts", _OF_ALERTS[alert.level], alert.at, f"{alert.subject}: {alert.code}: {alert.text}", fields)
            return
        error = self._fault(alert.subject)
        kind = "unknown" if error is None else type(error).__name__
        _log("errors", logging.ERROR, alert.at, f"{alert.subject}: {alert.text}", {**fields, "error": kind}, error)

    def _fault(self, sleeve: str) -> Exception | None:
        """What the engine of a sleeve raised last; None where books are followed without their desk."""
        faults = [] if self.desk is None else self.desk.faults
        return next((error for name, error in reversed(faults) if name == sleeve), None)

    # -- books against venue -------------------------------------------------------------------------------------------

    def _reconciled(self, record: Reconciled) -> None:
        fields = {"wallet": record.wallet, "by": record.by, "holdings": {code: list(pair) for code, pair in record.holdings.items()}}
        _log("recovery", logging.INFO, record.at, f"{record.wallet} reconciled by {record.by}", fields)

    def _residual(self, record: Residual) -> None:
        fields = {"residual": record.id, "vault": record.vault, "amount": str(record.amount), "cause": record.cause.value}
        fields |= {"note": record.note, "ref": record.ref}
        _log("recovery", logging.WARNING, record.at, f"residual of {record.vault}: {record}", fields)

    def _quarantined(self, record: Quarantined) -> None:
        fields = {"fact": type(record.fact).__name__, "key": record.fact.key, "why": record.why}
        _log("recovery", logging.WARNING, record.at, f"{fields['fact']} {record.fact.key} is not booked: {record.why}", fields)

    def _recovered(self, record: Recovered) -> None:
        fields = {"policy": record.policy.value, "by": record.by, "found": dict(record.found)}
        _log("recovery", logging.INFO, record.at, f"recovered by {record.by}, then {record.policy}", fields)


def _log(name: str, level: int, at: int, text: str, fields: Mapping[str, object], error: BaseException | None = None) -> None:
    """One log record with its fields."""
    logger = _LOGGERS[name]
    if logger.isEnabledFor(level):
        extra = {PREFIX + key: value for key, value in {"at": at, "time": _utc(at), **fields}.items()}
        logger.log(level, "%s", text, exc_info=error, extra=extra)


def _why(reason: str) -> str:
    return f": {reason}" if reason else ""


def _money(units: int, fact: FundingPaid | Settled | Bankrupted | Fill | Crossed) -> str:
    """Units of what a fact's instrument is quoted in, as text."""
    return str(Amount(units, fact.instrument.quote))


def _utc(at: int) -> str:
    """A time in nanoseconds as ISO 8601 text, exact; one that no calendar has, as its number."""
    try:
        return f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{at % SECOND:09d}Z"
    except (OverflowError, OSError, ValueError):
        return f"{at} ns"


def _place(place: Place) -> dict[str, str]:
    market = place.instrument
    limit = place.limit if place.limit is not None else place.stop
    return {
        "market": market.symbol,
        "side": place.side.value,
        "size": market.qty_text(place.qty),
        "limit": "market" if limit is None else market.price_text(limit),
    }


# -- what there is ----------------------------------------------------------------------------------------------------


def account_of(desk: Desk, vault: CoreVault) -> MarginAccount | None:
    """The main account of a vault, as its venue sees it; None without contracts in it, or where one has no fresh price."""
    return accounts_of(desk, vault).get(vault.owner)


def accounts_of(desk: Desk, vault: CoreVault) -> dict[str, MarginAccount]:
    """The accounts that a vault's contracts are in, as their venue sees them: the main one by the vault's name, each sub-account
    with its number behind a colon. Without those in which a contract has no fresh price.
    """
    found = {}
    for number in sorted({sleeve.account or 0 for sleeve in vault.sleeves.values() if sleeve.contracts()}):
        account = desk.account(vault, number)
        if account is not None:
            found[f"{vault.owner}:{number}" if number else vault.owner] = account
    return found


def stands(desk: Desk, vault: CoreVault) -> dict[str, str] | None:
    """Where the main account stands: health, leverage, total and free collateral, as text; None where there is none.

    Health is 0 to 100, leverage in times of equity; collateral is what counts at maintenance weights, and free what the
    initial requirement, open orders filled, leaves of it.
    """
    account = account_of(desk, vault)
    return None if account is None else _standing(account, vault.asset)


def _standing(account: MarginAccount, asset: Asset) -> dict[str, str]:
    leverage = leverage_bp(account)
    return {
        "health": decimal_text(health_bp(account), 2),
        "leverage": "none" if leverage is None else decimal_text(leverage, 4),
        "total_collateral": str(Amount(collateral(account, Check.MAINTENANCE), asset)),
        "free_collateral": str(Amount(free_collateral(account, Check.INITIAL), asset)),
    }


def _all_standing(desk: Desk, vault: CoreVault) -> dict[str, dict[str, str] | None]:
    """Where each account of a vault stands, by its name as in `accounts_of`; None for a main account of which it is not known."""
    known = {name: _standing(account, vault.asset) for name, account in accounts_of(desk, vault).items()}
    return {vault.owner: None} | known


def dump(desk: Desk) -> dict[str, Any]:
    """All that a desk stands at now, as plain values that JSON can hold: for people who look for a fault."""
    books = desk.books
    return {
        "at": books.now,
        "time": _utc(books.now),
        "statuses": {name: str(status) for name, status in desk.statuses.items()},
        "accounts": {name: known for vault in desk.treasury.vaults for name, known in _all_standing(desk, vault).items()},
        "holdings": desk.inventory().rows(),
        "orders": [{"id": one.id, "status": desk.status_of(one.id).value, **_place(one.place)} for one in desk.open_orders()],
        "in_doubt": [one.id for one in desk.in_doubt],
        "residuals": [str(one) for one in books.residuals.values()],
        "quarantine": sorted(books.quarantine),
        "prices": {symbol: {"price": mark.instrument.price_text(mark.price), "at": mark.at} for symbol, mark in desk.marks().items()},
        "engines": {name: str(desk.telemetry(name)) for name in desk.engines},
        "faults": [f"{name}: {type(error).__name__}: {error}" for name, error in desk.faults],
        "records": len(books.journal),
        "waiting": books.journal.waiting,
    }


# -- for an application -----------------------------------------------------------------------------------------------


def level_named(name: str) -> int:
    """A level by its name, in any case. Raises `VaultError` with the list for what is none."""
    found = name.strip().upper() if isinstance(name, str) else ""
    if found not in _LEVELS:
        raise VaultError(f"log level {name!r} is none of {', '.join(_LEVELS)}")
    return int(getattr(logging, found))


_ESCAPES = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160))} | {10: "\\n", 13: "\\r", 9: "\\t"}
_ESCAPES |= {number: f"\\u{number:04x}" for number in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


class Plain(logging.Formatter):
    """A line for people: time in UTC, level, logger, message; an exception's lines follow, indented.

    What a venue or an engine says can begin no line of its own: control characters of a message are written as escapes.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = _escaped(record.getMessage())
        lines = [f"{_moment(record)} {record.levelname} {record.name}: {message}", *_stack(self, record)]
        return "\n  ".join(lines)


class JsonLines(logging.Formatter):
    """A line of JSON: at, level, logger, message, the fields without their prefix under `fields`, the exception's lines."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = {name.removeprefix(PREFIX): value for name, value in record.__dict__.items() if name.startswith(PREFIX)}
        stack = _stack(self, record)
        line |= {"fields": fields} if fields else {}
        line |= {"exception": stack} if stack else {}
        return json.dumps(line, default=str, separators=(",", ":"))


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stack(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """The lines of a log record's exception and stack."""
    text = formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else record.exc_text or ""
    more = formatter.formatStack(record.stack_info) if record.stack_info else ""
    return [_escaped(line) for part in (text, more) if part for line in re.split(r"\r?\n", part)]


def to_files(
    folder: str | Path,
    level: str | None = None,
    *,
    name: str = "sleeves.log",
    days: int = 30,
    stderr: bool = True,
    lines: logging.Formatter | None = None,
    environ: Mapping[str, str] | None = None,
) -> Callable[[], None]:
    """Have all that is logged under "sleeves" written to a file in `folder`, and to stderr; returns what undoes it.

    The file begins anew at midnight UTC; the last `days` days are kept beside it, under their dates. `level` is the name of
    the least level; None takes it from the environment variable SLEEVES_LOG_LEVEL, or INFO. `lines` is how a line is made,
    `Plain()` or `JsonLines()`. The folder is made where it is not there.

    Raises `VaultError` for a level or a number of days that cannot be, `OSError` when the file cannot be opened; then nothing
    has changed.
    """
    named = level if level is not None else (os.environ if environ is None else environ).get(LEVEL, "").strip() or "INFO"
    least = level_named(named)
    if type(days) is not int or days < 1:
        raise VaultError(f"days {days!r} must be a whole number, 1 or more")
    if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name:
        raise VaultError(f"name {name!r} must be a file's name, without a folder")
    formatter = Plain() if lines is None else lines
    if not isinstance(formatter, logging.Formatter):
        raise VaultError(f"lines {lines!r} must be a logging.Formatter such as Plain() or JsonLines()")
    Path(folder).mkdir(parents=True, exist_ok=True)
    file = TimedRotatingFileHandler(Path(folder) / name, when="midnight", backupCount=days, encoding="utf-8", utc=True, errors="replace")
    handlers: list[logging.Handler] = [file, *([logging.StreamHandler(sys.stderr)] if stderr else [])]
    logger = logging.getLogger("sleeves")
    before = logger.level
    for handler in handlers:
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    logger.setLevel(least)

    def undo() -> None:
        if handlers:
            logger.setLevel(before)
        while handlers:
            handler = handlers.pop()
            logger.removeHandler(handler)
            handler.close()

    return undo
