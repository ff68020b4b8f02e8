"""Logs: what the journal keeps is said as it happens, with its fields; files are the application's choice; nothing else is touched."""

from __future__ import annotations

import ast
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import Puppet, carry, new_desk
from sleeves import FLASH, QUIET, SOL, USD, USDC, CoreVault, Desk, Instrument, Place, Side
from sleeves.codec import KINDS
from sleeves.engines import Trend
from sleeves.errors import VaultError
from sleeves.facts import Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from sleeves.guards import Profit
from sleeves.ledger import Entry, EntryKind
from sleeves.logs import LEVEL, PREFIX, JsonLines, Plain, dump, follow, level_named, stands, to_files
from sleeves.market import HOUR, MINUTE, SECOND, FundingRate, Kind
from sleeves.money import Rounding
from sleeves.orders import Bundle, Fill, Liquidity, Order, OrderStatus, SubmitOrder, Transfer
from sleeves.records import (
    Alert,
    Answered,
    Asked,
    Bundled,
    BundleStatus,
    BundleUpdate,
    Cause,
    Changed,
    Crossed,
    Instructed,
    Level,
    Marked,
    Opened,
    OrderUpdate,
    Placed,
    Policy,
    Quarantined,
    Reconciled,
    Recovered,
    Refusal,
    Residual,
)
from sleeves.sim import Fees, Rules, Tape, VirtualDriver, replay
from strategies import law

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sleeves"
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
AT = 1_700_000_000 * SECOND + 5
TIME = "2023-11-14T22:13:20.000000005Z"


class Kept(logging.Handler):
    """Remembers what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, name: str) -> list[logging.LogRecord]:
        return [one for one in self.records if one.name == f"sleeves.{name}"]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a log record, their names without the prefix."""
    return {name.removeprefix(PREFIX): value for name, value in record.__dict__.items() if name.startswith(PREFIX)}


@pytest.fixture
def kept() -> Iterator[Kept]:
    """All that is logged under "sleeves", from DEBUG on."""
    handler, logger = Kept(), logging.getLogger("sleeves")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def contracts(price: str = "100") -> tuple[Desk, CoreVault, Puppet]:
    """A desk whose sleeve has bought 60 contracts at 100 with 1,000."""
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk, puppet = Desk(vault), Puppet(PERP)
    puppet.price = "100"
    puppet.sit(desk, vault.sleeve("a", QUIET, allocate="1000"))
    puppet.quote("100")
    command = puppet.wish(Place(PERP, Side.BUY, PERP.qty("60")))
    assert isinstance(command, SubmitOrder), command
    cost = PERP.cost(PERP.price("100"), PERP.qty("60"), Rounding.CEIL)
    what = (PERP, Side.BUY, PERP.qty("60"), PERP.price("100"), cost, USDC.zero, Liquidity.TAKER)
    desk.step(Fill(command.order.id, desk.books.now, *what, "t1", "v"))
    puppet.quote(price)
    return desk, vault, puppet


# -- criteria 10.3 to 10.7 -----------------------------------------------------------------------------------------------------


def test_criterion_10_3_every_trade_is_logged_with_its_six_fields(kept: Kept) -> None:
    """P46: time, market, side, size, price and signature, of every fill of a run, as exact as the journal has them."""
    tape = Tape.sample().slice(0, 600)
    vault = CoreVault(USD, total="20000", tradeable="15000", at=tape.at[0])
    desk = Desk(vault)
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="15000"))
    follow(desk)
    replay(desk, tape)
    fills = [record for record in vault.books.journal if isinstance(record, Fill)]
    assert len(fills) > 5
    market, logged = tape.instrument, kept.of("trades")
    assert [one.levelno for one in logged] == [logging.INFO] * len(fills)
    for fill, one in zip(fills, logged, strict=True):
        said = fields(one)
        assert said["at"] == fill.at
        assert datetime.fromisoformat(said["time"][:19] + "+00:00") == datetime.fromtimestamp(fill.at // SECOND, UTC)
        assert said["market"] == "BTC/USD"
        assert said["side"] == fill.side.value
        assert market.qty(said["size"]) == fill.qty
        assert market.price(said["price"]) == fill.price
        assert said["signature"] == fill.trade_id
        assert (said["order_id"], said["sleeve"], said["fee"]) == (fill.order_id, "flash", str(fill.fee))
        for word in ("time", "market", "side", "size", "price", "signature"):
            assert str(said[word]) in one.getMessage(), "a line of plain text says all six as well"


def test_criterion_10_4_state_is_logged_at_each_mark_where_there_are_contracts(kept: Kept) -> None:
    """P47: health, leverage, total and free collateral. 60 at 95 on 1,000: 700 stand behind 285 to keep and 570 to open."""
    desk, vault, _ = contracts("95")
    end = follow(desk)
    desk.mark(desk.books.now)
    (one,) = kept.of("state")[:1]
    assert one.levelno == logging.INFO
    said = fields(one)
    assert said["vault"] == vault.owner
    assert (said["health"], said["leverage"]) == ("59.28", "8.1428")
    assert (said["total_collateral"], said["free_collateral"]) == ("700 USDC", "130 USDC")
    assert one.getMessage() == f"{vault.owner}: health 59.28, leverage 8.1428, total collateral 700 USDC, free collateral 130 USDC"
    assert desk.exposure(vault).joint.health == 59
    end()
    desk.mark(desk.books.now + HOUR)
    assert len([one for one in kept.of("state") if one.levelno == logging.INFO]) == 1


def test_without_contracts_or_a_fresh_price_there_is_no_such_state(kept: Kept) -> None:
    desk, vault, _, _ = new_desk(FLASH)
    follow(desk)
    desk.mark(desk.books.now)
    assert stands(desk, vault) is None
    assert [one for one in kept.of("state") if one.levelno == logging.INFO] == []
    desk, vault, puppet = contracts()
    follow(desk)
    assert stands(desk, vault) is not None
    desk.books.now += HOUR
    assert stands(desk, vault) is None
    desk.mark(desk.books.now)
    assert [one for one in kept.of("state") if one.levelno == logging.INFO] == []


class Breaks:
    """An engine that raises."""

    name, every, watches = "breaks", 0, (SPOT,)

    def begin(self) -> None:
        return None

    def decide(self, memory: object, view: object) -> None:
        raise ZeroDivisionError("of nothing\nERROR forged: line")


def test_criterion_10_5_errors_are_logged_at_error_with_their_exception(kept: Kept) -> None:
    """P48, and criterion 9.8: time, type, context and stack."""
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(Breaks(), to=vault.sleeve("a", QUIET, allocate="500"))
    follow(desk)
    desk.quote(desk.index(SPOT), AT, SPOT.price("100"), SPOT.price("100"))
    (one,) = kept.of("errors")
    assert one.levelno == logging.ERROR
    said = fields(one)
    assert (said["at"], said["time"]) == (AT, TIME)
    assert (said["error"], said["subject"], said["code"]) == ("ZeroDivisionError", "a", "engine_fault")
    assert one.exc_info is not None
    assert isinstance(one.exc_info[1], ZeroDivisionError)
    text = Plain().format(one)
    assert "in decide" in text, "the stack"
    assert 'raise ZeroDivisionError("of nothing' in text


def test_criterion_9_8_an_error_bears_time_type_context_and_stack_as_json(kept: Kept) -> None:
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(Breaks(), to=vault.sleeve("a", QUIET, allocate="500"))
    follow(desk)
    desk.quote(desk.index(SPOT), AT, SPOT.price("100"), SPOT.price("100"))
    line = json.loads(JsonLines().format(kept.of("errors")[0]))
    assert line["level"] == "ERROR"
    assert line["fields"]["time"] == TIME
    assert line["fields"]["error"] == "ZeroDivisionError"
    assert line["fields"]["subject"] == "a"
    assert line["exception"][0] == "Traceback (most recent call last):"
    assert any("in decide" in row for row in line["exception"])


def test_books_without_their_desk_have_no_exception_to_show(kept: Kept) -> None:
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    follow(vault.books)
    vault.books.record(Alert(AT, Level.CRITICAL, "a", "engine_fault", "breaks: ZeroDivisionError: of nothing"), Marked(AT))
    (one,) = kept.of("errors")
    assert (one.levelno, one.exc_info, fields(one)["error"]) == (logging.ERROR, None, "unknown")
    assert kept.of("state") == []


def test_criterion_10_6_refusals_are_logged_as_warnings_with_reason_and_numbers(kept: Kept) -> None:
    """P49."""
    desk, _, _, puppet = new_desk(FLASH, allocate="100")
    follow(desk)
    refusal = puppet.buy("1", "10000")
    (one,) = kept.of("gates")
    assert one.levelno == logging.WARNING
    said = fields(one)
    assert (said["gate"], said["reason"], said["sleeve"], said["times"]) == ("funds", "funds", "a", 1)
    assert said["numbers"] == dict(refusal.numbers)
    assert set(said["numbers"]) == {"needed", "free"}
    assert one.getMessage() == str(refusal)


def test_a_refusal_that_was_repeated_says_how_often(kept: Kept) -> None:
    desk, _, _, puppet = new_desk(FLASH, allocate="100")
    follow(desk)
    for _ in range(4):
        puppet.buy("1", "10000")
    desk.mark(desk.books.now)
    assert [fields(one)["times"] for one in kept.of("gates")] == [1, 3]
    assert kept.of("gates")[1].getMessage().endswith(", 3 times")


def test_criterion_10_7_what_a_trade_is_to_bring_is_logged_with_revenue_cost_and_net_where_it_is_refused(kept: Kept) -> None:
    """P50."""
    costs = Profit(fee="0.1%")
    desk, _, _, puppet = new_desk(FLASH, gates=[costs])
    follow(desk)
    puppet.buy("0.1", "10000", expect=USD("1.98").units)
    (one,) = kept.of("profit")
    assert one.levelno == logging.INFO
    said = fields(one)
    assert (said["revenue"], said["cost"], said["net"], said["outcome"]) == ("0.99", "1", "-0.01", "refused")
    assert one.getMessage() == "refused buy 0.1 BTC/USD at market of a: revenue 0.99, cost 1, net -0.01"
    puppet.buy("0.1", "10000")  # one that says nothing of what it expects has no sums
    assert len(kept.of("profit")) == 1
    assert len(kept.of("gates")) == 2


def test_criterion_10_7_and_where_it_is_ordered(kept: Kept) -> None:
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    follow(vault.books)
    order = Order("a-1", "a", Place(SPOT, Side.BUY, SPOT.qty("2"), limit=SPOT.price("10")), AT)
    vault.books.record(Placed(AT, order, "carry", notes={"revenue": "2", "cost": "0.5", "net": "1.5"}))
    vault.books.record(Placed(AT, Order("a-2", "a", order.place, AT), "carry"))
    (one,) = kept.of("profit")
    said = fields(one)
    assert (said["revenue"], said["cost"], said["net"], said["outcome"], said["order_id"]) == ("2", "0.5", "1.5", "ordered", "a-1")
    assert one.getMessage() == "ordered buy 2 SOL/USDC of a: revenue 2, cost 0.5, net 1.5"


def test_criterion_10_10_a_dump_of_the_state_is_logged_at_debug(kept: Kept) -> None:
    desk, vault, _ = contracts("95")
    follow(desk)
    desk.mark(desk.books.now)
    (one,) = [one for one in kept.of("state") if one.levelno == logging.DEBUG]
    said = fields(one)["state"]
    assert json.loads(json.dumps(said)) == json.loads(json.dumps(dump(desk)))
    assert said["accounts"][vault.owner]["health"] == "59.28"
    assert said["prices"] == {"SOL-PERP": {"price": "95", "at": desk.books.now}}
    assert said["statuses"]["a"] == "active"
    assert one.getMessage().startswith('state: {"accounts":{')
    logging.getLogger("sleeves").setLevel(logging.INFO)
    desk.mark(desk.books.now + 1)
    assert len([one for one in kept.of("state") if one.levelno == logging.DEBUG]) == 1


def test_a_dump_has_all_that_there_is() -> None:
    desk, vault, sleeve, puppet = new_desk(FLASH)
    command = puppet.buy("0.1", "10000")
    said = dump(desk)
    assert said["orders"] == [
        {"id": "a-1", "status": "submitted", "market": "BTC/USD", "side": "buy", "size": "0.1", "limit": "market"},
    ]
    carry(desk, command)
    said = dump(desk)
    assert said["orders"] == []
    assert {row["place"] for row in said["holdings"]} == {"idle", "free"}
    assert list(said["engines"]) == ["a"]
    assert said["engines"]["a"].startswith("a: puppet")
    assert said["accounts"] == {vault.owner: None}
    assert (said["records"], said["waiting"]) == (len(desk.books.journal), 0)
    json.dumps(said)


# -- every kind of record --------------------------------------------------------------------------------------------------------

RATE = FundingRate.of(PERP, "0.01%", price=PERP.price("100"), at=AT)
ORDER = Order("a-b-7", "a-b", Place(SPOT, Side.SELL, SPOT.qty("1.5"), limit=SPOT.price("100")), AT)
FILL = Fill("a-b-7", AT, SPOT, Side.SELL, SPOT.qty("1.5"), SPOT.price("100"), USDC("150").units, USDC("0.15"), Liquidity.MAKER, "t9", "v")
LEGS = Bundle((Place(SPOT, Side.BUY, SPOT.qty("1")), Place(PERP, Side.SELL, PERP.qty("1"))))
DEBUG, INFO, WARNING, CRITICAL = logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL
EACH: list[tuple[Any, str, int, dict[str, Any], str]] = [
    (
        FILL,
        "trades",
        INFO,
        {"sleeve": "a-b", "fee": "0.15 USDC", "cost": "150 USDC"},
        "sell 1.5 SOL/USDC at 100",
    ),
    (
        Liquidated(AT, PERP, -PERP.qty("2"), PERP.price("90"), USDC("180").units, USDC("1"), "l1", "v"),
        "trades",
        WARNING,
        {"side": "sell", "size": "2", "price": "90", "signature": "l1", "fee": "1 USDC", "liquidation": True},
        "liquidation by v: sell 2 SOL-PERP at 90",
    ),
    (
        Crossed(AT, SPOT, SPOT.qty("1"), SPOT.price("100"), "a-1", "b-1", USDC("0.05").units),
        "trades",
        INFO,
        {"buy": "a-1", "sell": "b-1", "saved": "0.05 USDC"},
        "inside: 1 SOL/USDC at 100 between a-1 and b-1",
    ),
    (
        FundingPaid(RATE, PERP.qty("2"), -USDC("0.02").units, "f1", "v"),
        "funds",
        INFO,
        {"amount": "-0.02 USDC"},
        "funding -0.02 USDC",
    ),
    (Settled(AT, PERP, USDC("3").units, "s1", "v"), "funds", INFO, {"amount": "3 USDC", "what": "settled"}, "settled 3 USDC"),
    (Bankrupted(AT, PERP, USDC("3").units, "b1", "v"), "funds", WARNING, {"amount": "3 USDC"}, "borne by others 3 USDC"),
    (
        Shifted(AT, USDC("3"), 0, 2, "x1", "v"),
        "funds",
        INFO,
        {"amount": "3 USDC", "source": 0, "target": 2, "signature": "x1"},
        "shifted 3 USDC from sub-account 0 to 2",
    ),
    (
        Asked(AT, "desk", "core:USDC", Transfer("w-2", USDC("5"), "v", 0, 2), "a"),
        "orders",
        INFO,
        {"transfer": "w-2", "amount": "5 USDC", "sleeve": "a", "source": 0, "target": 2},
        "transfer w-2 of a, sub-account 0 to 2: 5 USDC by desk",
    ),
    (Transferred(AT, USDC("-3"), "x1", "v"), "funds", INFO, {"amount": "-3 USDC", "signature": "x1"}, "transferred -3 USDC"),
    (Entry(AT, EntryKind.HOLD, "desk", (), "a-1", "why"), "funds", DEBUG, {"entry": "hold", "ref": "a-1", "by": "desk"}, "hold"),
    (
        Placed(AT, ORDER, "ann", True, "bu-1"),
        "orders",
        INFO,
        {"order_id": "a-b-7", "limit": "100", "by": "ann", "closes": True, "bundle": "bu-1"},
        "a-b-7: sell 1.5 SOL/USDC at 100 by ann",
    ),
    (OrderUpdate(AT, "a-1", OrderStatus.OPEN), "orders", INFO, {"status": "open"}, "a-1 is open"),
    (OrderUpdate(AT, "a-1", OrderStatus.REJECTED, "no"), "orders", WARNING, {"reason": "no"}, "a-1 is rejected: no"),
    (OrderUpdate(AT, "a-1", OrderStatus.UNKNOWN), "orders", WARNING, {"status": "unknown"}, "a-1 is unknown"),
    (
        Bundled(AT, "bu-1", "a", "arb", LEGS, (1, 2)),
        "orders",
        INFO,
        {"bundle": "bu-1", "sleeve": "a", "by": "arb"},
        "bu-1 by arb: buy 1 SOL/USDC then sell 1 SOL-PERP",
    ),
    (BundleUpdate(AT, "bu-1", BundleStatus.DONE), "orders", INFO, {"status": "done"}, "bundle bu-1 is done"),
    (BundleUpdate(AT, "bu-1", BundleStatus.LEFT, "x"), "orders", WARNING, {"reason": "x"}, "bundle bu-1 is left: x"),
    (
        Asked(AT, "ann", "core:USDC", Transfer("w-1", USDC("-5"), "v")),
        "orders",
        INFO,
        {"transfer": "w-1", "amount": "-5 USDC", "by": "ann"},
        "transfer w-1 of core:USDC: -5 USDC by ann",
    ),
    (Refusal(AT, "a", "size", "lot"), "gates", WARNING, {"gate": "size", "reason": "lot"}, "size refused a wish of a: lot"),
    (
        Alert(AT, Level.INFO, "kraken", "reconnected", "again"),
        "alerts",
        INFO,
        {"code": "reconnected"},
        "kraken: reconnected: again",
    ),
    (Alert(AT, Level.WARNING, "a", "health", "48"), "alerts", WARNING, {"subject": "a"}, "a: health: 48"),
    (Alert(AT, Level.CRITICAL, "a", "health", "18"), "alerts", CRITICAL, {"alert": "critical"}, "a: health: 18"),
    (
        Changed(AT, "ann", "a", "status", "active", "paused", "lunch"),
        "status",
        INFO,
        {"by": "ann"},
        "active -> paused by ann: lunch",
    ),
    (Changed(AT, "ann", "a", "status", "active", "halted"), "status", WARNING, {"after": "halted"}, "active -> halted by ann"),
    (Changed(AT, "limit", "a", "latch drawdown", "", "5"), "status", WARNING, {"what": "latch drawdown"}, "none -> 5 by limit"),
    (Changed(AT, "ann", "a", "latch drawdown", "5", ""), "status", INFO, {"before": "5"}, "5 -> none by ann"),
    (
        Opened(AT, "ann", "sleeve", "a", {"policy": "QUIET"}),
        "status",
        INFO,
        {"terms": {"policy": "QUIET"}},
        "sleeve a opened by ann",
    ),
    (Instructed(AT, "ann", "r-1", "pause", {"who": "a"}), "status", INFO, {"request": "r-1", "what": "pause"}, "r-1 by ann: pause"),
    (
        Answered(AT, "r-1", "done", "paused", {"a": "b"}),
        "status",
        INFO,
        {"answer": "done", "evidence": {"a": "b"}},
        "r-1 answered done",
    ),
    (Quarantined(AT, FILL, "unattributed"), "recovery", WARNING, {"fact": "Fill", "key": FILL.key}, "is not booked: unattributed"),
    (
        Residual(AT, "r1", "core:USDC", USDC("3"), Cause.DEPOSIT, note="n"),
        "recovery",
        WARNING,
        {"amount": "3 USDC", "cause": "deposit", "note": "n"},
        "residual of core:USDC: r1 3 USDC deposit (n)",
    ),
    (
        Reconciled(AT, "reconcile", "main", {"USDC": ("5", "5")}),
        "recovery",
        INFO,
        {"wallet": "main", "holdings": {"USDC": ["5", "5"]}},
        "main reconciled by reconcile",
    ),
    (
        Recovered(AT, "ann", Policy.HOLD, {"booked": "2"}),
        "recovery",
        INFO,
        {"policy": "hold", "found": {"booked": "2"}},
        "then hold",
    ),
]


@pytest.mark.parametrize(("record", "logger", "level", "said", "words"), EACH, ids=lambda value: type(value).__name__)
def test_each_kind_of_record_is_said_with_its_fields(
    record: Any, logger: str, level: int, said: dict[str, Any], words: str, kept: Kept
) -> None:
    vault = CoreVault(USDC, total="10", tradeable="10")
    end = follow(vault.books)
    vault.books._tell((record,))
    (one,) = kept.records
    end()
    assert (one.name, one.levelno) == (f"sleeves.{logger}", level)
    found = fields(one)
    assert (found["at"], found["time"]) == (AT, TIME)
    assert {name: found[name] for name in said} == said
    assert words in one.getMessage()
    json.loads(JsonLines().format(one))
    assert len(Plain().format(one).splitlines()) == 1


def test_no_kind_of_record_is_left_out() -> None:
    assert {type(record) for record, *_ in EACH} | {Marked} == set(KINDS)


def test_a_record_of_a_kind_to_come_is_said_too(kept: Kept) -> None:
    class Later(Marked):
        pass

    vault = CoreVault(USDC, total="10", tradeable="10")
    follow(vault.books)
    vault.books._tell((Later(AT),))
    assert [fields(one)["record"] for one in kept.of("status")] == ["Later"]


def test_no_field_clashes_with_logging_itself() -> None:
    """`Logger.makeRecord` raises for a field of `extra` that it knows: ours are all prefixed, and the prefix is nobody's."""
    plain = logging.LogRecord("n", 0, "p", 1, "m", (), None)
    assert not [name for name in plain.__dict__ if name.startswith(PREFIX)]


def test_following_changes_nothing_in_the_journal_and_ends_when_told(kept: Kept) -> None:
    def run(followed: bool) -> str:
        tape = Tape.sample().slice(0, 200)
        vault = CoreVault(USD, total="20000", tradeable="15000", at=tape.at[0])
        desk = Desk(vault)
        end = follow(desk) if followed else None
        desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="15000"))
        replay(desk, tape)
        if end is not None:
            end()
            end()
            assert desk.books.listeners == []
        return vault.books.journal.digest()

    assert run(True) == run(False)


def test_what_is_followed_is_not_followed_twice(kept: Kept) -> None:
    """A run follows its desk, whether the application does or not."""
    desk, _, _, puppet = new_desk(QUIET)
    end, again = follow(desk), follow(desk)
    puppet.buy("0.1")
    assert len([one for one in kept.records if one.name == "sleeves.orders"]) == 1
    again()
    assert len(desk.books.listeners) == 1
    end()
    assert not desk.books.listeners


def test_nothing_is_put_into_words_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are many: where nobody listens for DEBUG they cost a look."""
    vault = CoreVault(USDC, total="10", tradeable="10")
    logging.getLogger("sleeves").setLevel(logging.INFO)
    monkeypatch.setattr(Entry, "__str__", lambda entry: pytest.fail("it was put into words"))
    try:
        follow(vault.books)
        vault.sleeve("a", QUIET, allocate="5")
    finally:
        logging.getLogger("sleeves").setLevel(logging.NOTSET)


@pytest.mark.parametrize("what", [None, "desk", 3])
def test_followed_is_a_desk_or_books(what: Any) -> None:
    with pytest.raises(VaultError, match="Desk or its Books"):
        follow(what)


# -- criteria 10.1, 10.2, 10.8, 10.9 ---------------------------------------------------------------------------------------------


def calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    """Every call of a function or method of this name in the package."""
    for path, node in _calls():
        if name == (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")):
            yield path, node


@cache
def _calls() -> list[tuple[Path, ast.Call]]:
    trees = [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(SOURCE.rglob("*.py"))]
    return [(path, node) for path, tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_criterion_10_1_nothing_is_printed_and_all_loggers_are_of_one_tree() -> None:
    """The command line prints: that is what it is for."""
    assert {path.name for path, _ in calls("print")} == {"cli.py"}
    for name in ("write", "writelines"):
        for path, node in calls(name):
            stream = ast.unparse(node.func)
            assert not stream.startswith(("sys.stdout", "sys.stderr")) or path.name == "cli.py", f"{path}: {stream}"
    named = [ast.unparse(node.args[0]) for _, node in calls("getLogger") if node.args]
    assert len(named) == len(list(calls("getLogger"))), "the root logger is nobody's"
    own = [name for name in named if name.strip("f'\"").startswith("sleeves")]
    assert len(own) >= 5
    others = {"name", "'stamina'"}
    assert set(named) - set(own) == others, "alerts looks at others' loggers to blot credentials out, retry has one not print by itself"


def test_the_library_adds_only_null_handlers_and_configures_nothing() -> None:
    for path, node in calls("addHandler"):
        assert ast.unparse(node.args[0]) == "logging.NullHandler()" or path.name == "logs.py", path
    for name in ("basicConfig", "dictConfig", "fileConfig", "captureWarnings", "disable"):
        assert not [path for path, node in calls(name) if ast.unparse(node.func).startswith("logging")]
    code = (
        "import logging, pkgutil, importlib, sleeves\n"
        "for one in pkgutil.walk_packages(sleeves.__path__, 'sleeves.'):\n"
        "    if not any(word in one.name for word in ('plots', '__main__', 'postgres', '.driftpy')):\n"
        "        importlib.import_module(one.name)\n"
        "ours = {n: l for n, l in logging.root.manager.loggerDict.items() if n.split('.')[0] == 'sleeves'}\n"
        "kinds = {type(h).__name__ for l in ours.values() for h in getattr(l, 'handlers', [])}\n"
        "levels = {getattr(l, 'level', 0) for l in ours.values()}\n"
        "print(kinds, levels, logging.root.handlers, len(ours) > 5)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'NullHandler'} {0} [] True"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("level", "environ", "seen"),
    [
        (None, {}, ["WARNING", "INFO"]),
        (None, {LEVEL: ""}, ["WARNING", "INFO"]),
        (None, {LEVEL: " debug "}, ["WARNING", "INFO", "DEBUG"]),
        (None, {LEVEL: "Warning"}, ["WARNING"]),
        (None, {LEVEL: "CRITICAL"}, []),
        ("INFO", {LEVEL: "DEBUG"}, ["WARNING", "INFO"]),
    ],
)
def test_criterion_10_2_the_level_comes_from_the_environment(
    level: str | None, environ: dict[str, str], seen: list[str], tmp_path: Path
) -> None:
    undo = to_files(tmp_path, level, stderr=False, environ=environ)
    try:
        log = logging.getLogger("sleeves.test")
        log.warning("one")
        log.info("two")
        log.debug("three")
    finally:
        undo()
    assert [line.split()[1] for line in (tmp_path / "sleeves.log").read_text().splitlines()] == seen


def test_criterion_10_2_the_real_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLEEVES_LOG_LEVEL", "ERROR")
    undo = to_files(tmp_path, stderr=False)
    try:
        assert logging.getLogger("sleeves").level == logging.ERROR
    finally:
        undo()


@pytest.mark.parametrize("name", ["LOUD", "10", "INFO;DEBUG", "NOTSET", "WARN ING"])
def test_criterion_10_2_an_unknown_level_is_refused_with_the_list(name: str, tmp_path: Path) -> None:
    before = logging.getLogger("sleeves").handlers[:]
    for how in ({"level": name}, {"environ": {LEVEL: name}}):
        with pytest.raises(VaultError, match="is none of DEBUG, INFO, WARNING, ERROR, CRITICAL"):
            to_files(tmp_path, **how)  # type: ignore[arg-type]
    assert logging.getLogger("sleeves").handlers == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [None, 10, b"INFO", "", " "])
def test_a_level_is_a_name(name: Any) -> None:
    with pytest.raises(VaultError, match="none of"):
        level_named(name)


def handler_of(folder: Path) -> TimedRotatingFileHandler:
    found = [one for one in logging.getLogger("sleeves").handlers if isinstance(one, TimedRotatingFileHandler)]
    (one,) = [one for one in found if Path(one.baseFilename).parent == folder]
    return one


def test_criterion_10_8_the_file_begins_anew_at_midnight_utc_and_30_days_are_kept(tmp_path: Path) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for back in range(2, 42):
        (tmp_path / f"sleeves.log.{today - timedelta(days=back):%Y-%m-%d}").write_text("old")
    undo = to_files(tmp_path, "INFO", stderr=False)
    try:
        handler = handler_of(tmp_path)
        assert datetime.fromtimestamp(handler.rolloverAt, UTC) == today + timedelta(days=1)
        log = logging.getLogger("sleeves.test")
        log.info("yesterday's")
        handler.rolloverAt = int(today.timestamp())  # the day is over
        log.info("today's")
        assert datetime.fromtimestamp(handler.rolloverAt, UTC) > today
    finally:
        undo()
    names = sorted(path.name for path in tmp_path.iterdir())
    yesterday = f"sleeves.log.{today - timedelta(days=1):%Y-%m-%d}"
    assert names == ["sleeves.log", *sorted([f"sleeves.log.{today - timedelta(days=back):%Y-%m-%d}" for back in range(1, 31)])]
    assert (tmp_path / yesterday).read_text().endswith("yesterday's\n")
    assert (tmp_path / "sleeves.log").read_text().endswith("today's\n")


def test_criterion_10_8_midnight_is_utc_wherever_the_machine_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for place in ("Pacific/Auckland", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", place)
        time.tzset()
        undo = to_files(tmp_path / place.replace("/", "-"), "INFO", stderr=False)
        try:
            assert handler_of(tmp_path / place.replace("/", "-")).rolloverAt == (today + timedelta(days=1)).timestamp()
            assert line_of(Plain(), "hello").startswith("2023-11-14T22:13:20.250Z")
        finally:
            undo()
            monkeypatch.delenv("TZ")
            time.tzset()


def test_criterion_10_9_it_goes_to_the_file_and_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deep" / "er"
    undo = to_files(str(folder), "INFO")
    try:
        desk, _, _, puppet = new_desk(FLASH, allocate="100")
        follow(desk)
        puppet.buy("1", "10000")
    finally:
        undo()
    line = "WARNING sleeves.gates: funds refused buy 1 BTC/USD at market of a: funds"
    assert line in (folder / "sleeves.log").read_text()
    said = capsys.readouterr()
    assert line in said.err
    assert said.out == ""


def test_and_undoing_it_leaves_everything_as_it_was(tmp_path: Path) -> None:
    logger = logging.getLogger("sleeves")
    before = logger.level, logger.handlers[:], logger.propagate
    undo = to_files(tmp_path, "DEBUG")
    handler = handler_of(tmp_path)
    assert len(logger.handlers) == len(before[1]) + 2
    undo()
    assert (logger.level, logger.handlers, logger.propagate) == before
    assert handler.stream is None
    logger.setLevel(logging.ERROR)
    undo()  # twice changes nothing
    assert logger.level == logging.ERROR
    logger.setLevel(before[0])


@pytest.mark.parametrize(
    "terms", [{"days": 0}, {"days": 1.5}, {"days": True}, {"name": ""}, {"name": "a/b"}, {"name": ".."}, {"lines": "json"}]
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(terms: dict[str, Any], tmp_path: Path) -> None:
    before = logging.getLogger("sleeves").handlers[:]
    with pytest.raises(VaultError):
        to_files(tmp_path / "new", "INFO", **terms)
    assert logging.getLogger("sleeves").handlers == before
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_is_an_error_and_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = logging.getLogger("sleeves").handlers[:]
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            to_files(folder, "INFO")
    (tmp_path / "sleeves.log").mkdir()
    with pytest.raises(OSError, match="sleeves"):
        to_files(tmp_path, "INFO")
    assert logging.getLogger("sleeves").handlers == before


# -- lines ---------------------------------------------------------------------------------------------------------------------


def line_of(lines: logging.Formatter, text: str, **extra: Any) -> str:
    record = logging.makeLogRecord({"name": "sleeves.x", "levelname": "INFO", "msg": text, "created": 1_700_000_000.25, **extra})
    return lines.format(record)


def test_a_plain_line_begins_with_its_time_in_utc() -> None:
    assert line_of(Plain(), "hello") == "2023-11-14T22:13:20.250Z INFO sleeves.x: hello"


FORGED = "ok\n2023-11-14T22:13:20.250Z CRITICAL sleeves.x: all is lost\r\x1b[2J\u2028\u202e\x85"


def test_nobody_can_forge_a_line() -> None:
    line = line_of(Plain(), FORGED)
    assert line.splitlines() == [line]
    assert line.isprintable()
    assert "ok\\n2023" in line
    line = line_of(JsonLines(), FORGED, sleeves_text=FORGED)
    assert line.splitlines() == [line]
    said = json.loads(line)
    assert said["message"] == said["fields"]["text"] == FORGED


@law
@given(st.text(max_size=200))
def test_whatever_is_said_a_line_is_one_line(text: str) -> None:
    for lines in (Plain(), JsonLines()):
        line = line_of(lines, text.replace("%", "%%"), sleeves_more=text)
        assert len(line.splitlines()) == 1


def test_an_exception_is_indented_behind_its_line_and_forges_none() -> None:
    try:
        raise ValueError("one\n2023-11-14T22:13:20.250Z CRITICAL sleeves.x: two\rthree\x1b[2J")
    except ValueError:
        exc_info = sys.exc_info()
    first, *rest = line_of(Plain(), "it failed", exc_info=exc_info, stack_info="Stack:\n  here").splitlines()
    assert first.endswith("it failed")
    assert all(line.startswith("  ") and line.isprintable() for line in rest)
    assert rest[0] == "  Traceback (most recent call last):"
    said = json.loads(line_of(JsonLines(), "it failed", exc_info=exc_info))
    assert said["exception"][0] == "Traceback (most recent call last):"


def test_json_lines_hold_what_json_does_not_know() -> None:
    said = json.loads(line_of(JsonLines(), "x", sleeves_amount=USD("1.5"), sleeves_none=None, other="not ours"))
    assert said == {
        "at": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "sleeves.x",
        "message": "x",
        "fields": {"amount": "1.5 USD", "none": None},
    }


def test_text_that_no_encoding_holds_is_written_all_the_same(tmp_path: Path) -> None:
    undo = to_files(tmp_path, "INFO", stderr=False)
    try:
        logging.getLogger("sleeves.test").info("a lone \ud800 half")
    finally:
        undo()
    assert (tmp_path / "sleeves.log").read_text().endswith("a lone ? half\n")


def test_json_lines_in_files(tmp_path: Path) -> None:
    undo = to_files(tmp_path, "INFO", name="desk.jsonl", stderr=False, lines=JsonLines())
    try:
        desk, _, _, puppet = new_desk(FLASH)
        follow(desk)
        carry(desk, puppet.buy("0.1", "10000"))
    finally:
        undo()
    said = [json.loads(line) for line in (tmp_path / "desk.jsonl").read_text().splitlines()]
    (trade,) = [one for one in said if one["logger"] == "sleeves.trades"]
    assert {name: trade["fields"][name] for name in ("market", "side", "size", "price")} == {
        "market": "BTC/USD",
        "side": "buy",
        "size": "0.1",
        "price": "10000",
    }


# -- a whole run ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Plain, JsonLines])
def test_a_run_with_contracts_funding_and_faults_is_told_without_a_stumble(
    make: Callable[[], logging.Formatter], kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that raises is dropped, and a handler that raises prints to stderr: neither happens."""
    monkeypatch.setattr(logging, "raiseExceptions", True)
    desk, _, puppet = contracts()
    end = follow(desk)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(make())
    logger = logging.getLogger("sleeves")
    logger.addHandler(handler)
    try:
        for minute, price in enumerate(("101", "99", "95", "90", "88.5", "86", "95", "100")):
            puppet.quote(price, after=10 * MINUTE)
            desk.step(FundingPaid(FundingRate.of(PERP, "0.01%", price=PERP.price(price), at=desk.books.now), 0, 0, f"f{minute}", "v"))
            puppet.buy("1")
        desk.kill(desk.treasury["USDC"].sleeves["a"], flatten=True, by="ann")
    finally:
        logger.removeHandler(handler)
    assert desk.books.listeners, "it was not dropped"
    end()
    assert len(stream.getvalue().splitlines()) >= len(kept.records) > 30
    names = {one.name for one in kept.records}
    assert {"sleeves.gates", "sleeves.alerts", "sleeves.orders", "sleeves.funds", "sleeves.status"} <= names


def test_following_a_paper_venue_logs_what_its_journal_has(kept: Kept) -> None:
    import anyio

    from sleeves.live import trade

    tape = Tape.sample().slice(0, 300)
    vault = CoreVault(USD, total="20000", tradeable="15000", at=tape.at[0])
    desk = Desk(vault)
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="15000"))
    follow(desk)
    anyio.run(trade, desk, VirtualDriver(tape, {"USD": USD("20000")}, Rules(Fees(1_600, 2_600))))
    journal = list(vault.books.journal)
    assert len(kept.of("trades")) == sum(isinstance(record, Fill) for record in journal) > 0
    assert len([one for one in kept.of("orders") if "by" in fields(one)]) == sum(isinstance(record, Placed) for record in journal)
