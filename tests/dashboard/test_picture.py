"""The rows of a desk say what its books say, to the unit; what nobody knows is null, and nothing is guessed."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from stand import MARKUP, PERP, SPOT, make_desk

import test_journal
import test_passages
from helpers import Puppet, fill, new_desk
from sleeves import QUIET, USD, Books, CoreVault, Desk, Place, Side, Treasury
from sleeves.dashboard import history
from sleeves.dashboard.history import DONE, History
from sleeves.dashboard.messages import TABLES, Depth, plain, to_json
from sleeves.dashboard.picture import laws_of, tables
from sleeves.dashboard.schema import definitions
from sleeves.facts import CashFlow, FlowKind
from sleeves.instructions import Arm, to_terms
from sleeves.journal import Memory
from sleeves.logs import stands
from sleeves.market import DAY, HOUR, MINUTE, SECOND, FundingRate, Quote
from sleeves.orders import Accepted, Cancel, Canceled
from sleeves.records import Alert, Entry, Instructed, Marked
from sleeves.report import Report
from sleeves.status import Hold
from strategies import heavy, law


def units(text, asset=USD):
    return asset(text).units


@pytest.fixture(scope="module")
def moments():
    """A desk at several moments of its life, with all its rows."""
    found = []
    for rows in (30, 90, 180, 300):
        stand = make_desk(4, hostile=True)
        stand.play(rows)
        stand.desk.mark(stand.desk.books.now)
        found.append((tables(stand.desk, venues=[stand.venue], laws=laws_of(stand.desk)), stand))
    return found


# -- money ---------------------------------------------------------------------------------------------------------------


def test_what_a_sleeve_made_adds_up_by_the_law_of_the_books():
    stand = make_desk(4)
    for _ in range(12):
        stand.play(25)
        shown = tables(stand.desk)
        for name, row in shown["sleeves"].items():
            net = units(row.realized) + units(row.unrealized) - units(row.fees) + units(row.funding)
            assert units(row.net) == net
            put_in = units(row.equity) - net
            ledger = stand.desk.books.ledger
            assert put_in == ledger.net_flow(name, USD), "equity is what came from the vault, and what was made of it"
            assert units(row.balance) + units(row.unrealized) == units(row.equity)


def test_what_a_sleeve_made_is_what_explain_says_to_the_unit(moments):
    shown, stand = moments[-1]
    for name, row in shown["sleeves"].items():
        told = stand.desk.explain(name)
        assert told.exact
        assert told.end.text == row.equity, "at the marks of this instant"
        flows = sum(line.amount.units for line in told.lines if line.cause.startswith(("allocated", "reclaimed", "swept")))
        assert told.end.units - flows == units(row.net)


def test_rows_are_those_of_a_report_of_the_same_instant(moments):
    shown, stand = moments[-1]
    for said in Report(stand.desk).rows():
        row = shown["sleeves"][said["sleeve"]]
        for field in ("balance", "equity", "realized", "unrealized", "fees", "funding", "returned", "allocation", "policy", "asset"):
            assert getattr(row, field) == said[field], field
        assert (row.net, row.engine) == (said["net_profit"], said["engine"])
        assert float(row.return_pct) == pytest.approx(said["return"] * 100, abs=1e-4)
        assert float(row.drawdown_pct) == pytest.approx(said["drawdown"] * 100, abs=1e-4)
    for said in Report(stand.desk).vault_rows():
        row = shown["vaults"][said["vault"]]
        for field in ("total", "tradeable", "in_sleeves", "suspense", "returned", "asset"):
            assert getattr(row, field) == said[field], field
        assert units(row.idle) + units(row.reserve) + units(row.in_transit) == units(said["idle_and_reserve"])


def test_no_coin_is_shown_twice_or_not_at_all(moments):
    for shown, stand in moments:
        (row,) = shown["vaults"].values()
        parts = [row.idle, row.reserve, row.in_sleeves, row.suspense, row.in_transit]
        assert sum(map(units, parts)) == units(row.total)
        held = {}
        for one in shown["holdings"].values():
            if not one.place.startswith(("unrealized", "unsettled")):
                held[one.asset] = held.get(one.asset, Decimal(0)) + Decimal(one.amount)
        for code, amount in stand.venue.exchange.balances().items():
            assert held.get(code, 0) == amount.decimal, f"what the venue holds of {code}"


def test_rows_of_holdings_are_those_of_the_inventory(moments):
    shown, stand = moments[-1]
    stock = stand.desk.inventory()
    assert len(shown["holdings"]) == len(stock.holdings) > 8
    for said in stock.rows():
        row = shown["holdings"][f"{said['sleeve'] or said['vault']}|{said['place']}|{said['asset']}"]
        for field in ("vault", "sleeve", "engine", "place", "asset", "amount", "value", "valued_in"):
            assert getattr(row, field) == said[field], field
        assert row.deployed == bool(said["sleeve"])
        age = None if row.mark_ms is None else (shown["desk"]["desk:main"].time_ms - row.mark_ms) / 1000
        assert age == said["mark_age_s"] or (age is None and said["mark_age_s"] == 0)
    assert any(row.mark_ms for row in shown["holdings"].values())


# -- positions, accounts, markets ------------------------------------------------------------------------------------------


def test_positions_are_the_slices_of_the_sleeves(moments):
    kinds = set()
    for shown, _ in moments:
        for name, row in shown["sleeves"].items():
            own = [one for one in shown["positions"].values() if one.sleeve == name]
            assert sum(units(one.unrealized) for one in own) == (units(row.unrealized) if own else 0)
            kinds |= {(one.kind, one.side) for one in own}
            for one in own:
                worth = Decimal(one.size) * Decimal(one.mark) * (1 if one.side == "long" else -1)
                assert abs(Decimal(one.value) - worth) < Decimal("0.000001")
                cost = Decimal(one.size) * Decimal(one.entry) * (1 if one.side == "long" else -1)
                assert abs(Decimal(one.value) - Decimal(one.unrealized) - cost) < Decimal("0.001"), "the entry is the average cost"
                assert (one.margin is not None) == (one.kind == "contract")
    assert kinds == {("coins", "long"), ("contract", "long"), ("contract", "short")}


def test_slices_of_all_sleeves_are_what_the_venue_nets(moments):
    for shown, stand in moments:
        net = sum(Decimal(one.size) * (1 if one.side == "long" else -1) for one in shown["positions"].values() if one.market == PERP.symbol)
        held = stand.venue.exchange.positions().get(PERP.symbol)
        assert net == (0 if held is None else Decimal(PERP.qty_text(held.qty)))


def test_the_price_that_liquidates_is_the_accounts_own():
    stand = make_desk(2)
    stand.play(30)
    shown = tables(stand.desk)
    (row,) = {one.liquidation for one in shown["positions"].values() if one.kind == "contract"}
    footing = stand.desk.exposure(stand.vault)
    assert Decimal(row) == footing.joint.liquidation[PERP.symbol], "one account, one price, whoever's slice it is"
    assert all(one.liquidation is None for one in shown["positions"].values() if one.kind == "coins")


def test_accounts_stand_where_the_logs_say(moments):
    for shown, stand in moments:
        row = shown["accounts"]["core:main:USD"]
        joint = stand.desk.exposure(stand.vault).joint
        assert (row.vault, row.account, row.asset) == ("core:main:USD", 0, "USD")
        assert abs(Decimal(row.health) - joint.health) < 1
        assert (row.total_collateral, row.maintenance, row.initial) == (joint.collateral.text, joint.requirement.text, joint.initial.text)
    said = stands(stand.desk, stand.vault)
    assert (row.health, row.leverage) == (said["health"], said["leverage"])
    assert f"{row.free_collateral} USD" == said["free_collateral"]


def test_an_account_whose_contract_has_no_fresh_price_is_not_known():
    stand = make_desk(1)
    stand.play(30)
    assert tables(stand.desk)["accounts"]["core:main:USD"].health is not None
    stand.desk.pass_time(stand.desk.books.now + 3 * HOUR)
    shown = tables(stand.desk)
    row = shown["accounts"]["core:main:USD"]
    assert [row.health, row.leverage, row.total_collateral, row.free_collateral, row.maintenance, row.initial] == [None] * 6
    assert {one.liquidation for one in shown["positions"].values()} == {None}
    assert shown["markets"][PERP.symbol].mark is not None, "the price itself is shown, with when it was seen"
    assert shown["desk"]["desk:main"].time_ms - shown["markets"][PERP.symbol].mark_ms == 3 * HOUR // 1_000_000


def test_without_a_price_nothing_that_needs_one_is_shown():
    stand = make_desk(2)
    stand.play(120)
    old = tables(stand.desk)
    treasury = Treasury.reopen(Books(Memory.read(list(stand.desk.books.journal.lines()))))
    shown = tables(Desk(*treasury.vaults))
    assert shown["positions"].keys() == old["positions"].keys() and shown["positions"]
    for row in shown["positions"].values():
        assert [row.mark, row.mark_ms, row.value, row.unrealized, row.liquidation] == [None] * 5
        assert row.entry is not None
    for name in {row.sleeve for row in shown["positions"].values()}:
        row = shown["sleeves"][name]
        assert [row.equity, row.unrealized, row.net] == [None] * 3
        assert row.balance == old["sleeves"][name].balance
    for row in shown["holdings"].values():
        if row.place.startswith("unrealized"):
            assert [row.amount, row.value, row.mark_ms] == [None] * 3
        elif row.asset != "USD":
            assert [row.value, row.mark_ms] == [None] * 2 and row.amount is not None
    for row in shown["markets"].values():
        assert [row.bid, row.ask, row.mark, row.mark_ms, row.change_pct] == [None] * 5
    assert shown["desk"]["desk:main"].recovering
    assert "null" in to_json(shown["sleeves"]["swing"]).decode()


def test_markets_show_the_best_prices_and_the_change_of_a_day():
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault, mark_every=HOUR)
    begin = 1_700_000_000 * SECOND

    def price(hours, bid, ask):
        desk.step(Quote(SPOT, begin + int(hours * HOUR), SPOT.price(bid), SPOT.price(ask)))

    price(0, "10000", "10000")
    row = tables(desk)["markets"][SPOT.symbol]
    assert (row.bid, row.ask, row.mark, row.change_pct) == ("10000", "10000", "10000", None)
    assert (row.kind, row.base, row.quote, row.tick, row.lot) == ("spot", "BTC", "USD", SPOT.tick, SPOT.lot)
    for hour in range(1, 24):
        price(hour, "10000", "10000")
    assert tables(desk)["markets"][SPOT.symbol].change_pct is None, "not a day yet"
    for hour in (24, 25, 26):
        price(hour, "10249.98", "10250.02")
    row = tables(desk)["markets"][SPOT.symbol]
    assert (row.bid, row.ask, row.mark, row.change_pct) == ("10249.98", "10250.02", "10250", "2.5")
    price(80, "5000", "5000")
    price(80.1, "5000", "5000")
    assert tables(desk)["markets"][SPOT.symbol].change_pct is None, "what was there a day before is not known after a gap"


@pytest.mark.parametrize(
    ("rate", "every", "percent", "apr", "direction"),
    [
        ("0.01%", 8 * HOUR, "0.01", "10.95", "longs pay shorts"),
        ("-0.05%", HOUR, "-0.05", "-438", "shorts pay longs"),
        ("0", 8 * HOUR, "0", "0", "nobody pays"),
        ("0.0000001%", 8 * HOUR, "0.0000001", "0.0001095", "longs pay shorts"),
    ],
)
def test_funding_is_shown_for_its_interval_and_for_a_year(rate, every, percent, apr, direction):
    desk = Desk(CoreVault(USD, total="20000", tradeable="15000"))
    desk.index(PERP)
    assert tables(desk)["funding"] == {}
    desk.step(FundingRate.of(PERP, rate, price="9000.5", at=1_700_000_000 * SECOND, every=every))
    row = tables(desk)["funding"][PERP.symbol]
    assert (row.rate, row.every_s, row.apr, row.direction) == (percent, every // SECOND, apr, direction)
    assert (row.price, row.basis, row.at_ms, row.open_interest) == ("9000.5", "mark", 1_700_000_000_000, None)


def test_funding_that_was_paid_is_known_though_nobody_told_of_it():
    stand = make_desk(1)
    stand.play(60)
    told = tables(stand.desk)["funding"]
    assert set(stand.desk.latest(FundingRate)) == {PERP.symbol}
    treasury = Treasury.reopen(Books(Memory.read(list(stand.desk.books.journal.lines()))))
    again = Desk(*treasury.vaults)
    assert again.latest(FundingRate) == {}
    row = tables(again)["funding"][PERP.symbol]
    assert (row.rate, row.direction) == ("0.01", "longs pay shorts") and row == told[PERP.symbol]
    later = FundingRate.of(PERP, "-0.02%", price="5000", at=row.at_ms * 1_000_000 + HOUR)
    again.step(later)
    assert tables(again)["funding"][PERP.symbol].rate == "-0.02", "the later of the two"
    assert again.latest(FundingRate) == {PERP.symbol: later}


# -- orders --------------------------------------------------------------------------------------------------------------


def test_orders_stand_as_the_desk_has_them(moments):
    for shown, stand in moments:
        for name, row in shown["orders"].items():
            assert row.status == stand.desk.status_of(name), name
            market = stand.desk.books.instruments[row.market]
            assert row.filled == market.qty_text(stand.desk.filled(name))
        opened = {order.id for order in stand.desk.open_orders()}
        assert opened <= set(shown["orders"])
        assert {name for name, row in shown["orders"].items() if row.status in ("submitted", "unknown", "open")} == opened
    kinds = {(row.kind, row.status) for shown, _ in moments for row in shown["orders"].values()}
    assert {("market", "filled"), ("limit", "canceled")} <= kinds
    assert {row.by for row in shown["orders"].values()} >= {"swing", "carry", "rest"}


def test_an_order_shows_what_is_filled_of_it_and_at_what_average():
    desk, _, _, puppet = new_desk(QUIET)
    order = puppet.buy("0.3", limit=puppet.market.price("10000"), why="a dip").order
    row = tables(desk)["orders"][order.id]
    assert (row.kind, row.status, row.limit, row.qty, row.filled, row.average) == ("limit", "submitted", "10000", "0.3", "0", None)
    desk.step(Accepted(order.id, order.at + 1))
    desk.step(fill(order, qty="0.1", price="9900", trade="one"))
    desk.step(fill(order, qty="0.1", price="9999.99", trade="two"))
    row = tables(desk)["orders"][order.id]
    exact = (Fraction("0.1") * Fraction("9900") + Fraction("0.1") * Fraction("9999.99")) / Fraction("0.2")
    assert (row.status, row.filled, row.average) == ("open", "0.2", "9949.995") and Fraction(row.average) == exact
    (book,) = tables(desk)["books"].values()
    (own,) = book.own
    assert (own.side, own.price, own.qty, own.left, own.order) == ("buy", "10000", "0.3", "0.1", order.id)
    desk.step(Canceled(order.id, order.at + 9, "requested"))
    shown = tables(desk)
    assert (shown["orders"][order.id].status, shown["orders"][order.id].reason) == ("canceled", "requested")
    assert [book.own for book in shown["books"].values()] == [()], "whoever lately had orders that rest is still shown"
    stop = puppet.wish(Place(puppet.market, Side.SELL, puppet.market.qty("0.1"), stop=puppet.market.price("9000"))).order
    row = tables(desk)["orders"][stop.id]
    assert (row.kind, row.stop, row.limit, row.closes) == ("stop", "9000", None, True)


def test_so_many_orders_that_are_done_are_kept():
    desk, _, _, puppet = new_desk(QUIET)
    first = puppet.buy("0.001", limit=puppet.market.price("10000")).order
    for _ in range(DONE + 25):
        order = puppet.buy("0.001", limit=puppet.market.price("10000")).order
        desk.step(Canceled(order.id, order.at + 1, "requested"))
    shown = tables(desk)["orders"]
    assert len(shown) == DONE + 1 and first.id in shown, "open ones stay, however old"
    assert list(shown)[-1] == order.id
    assert len(History().read(desk.books.journal).orders) == DONE + 1
    desk.step(fill(order, qty="0.001", price="10000"))
    assert tables(desk)["orders"][order.id].status == "filled", "a fill that came too late"


def test_depth_is_shown_where_somebody_knows_it():
    stand = make_desk(1)
    stand.play(30)
    seen = []

    def depth(market):
        seen.append(market)
        return [("9999", "1.5")], [("10001", "2"), ("10002", "0.25")]

    shown = tables(stand.desk, depth=depth)["books"]["rest|BTC/USD"]
    assert plain(shown.depth) == {"bids": [["9999", "1.5"]], "asks": [["10001", "2"], ["10002", "0.25"]]}
    assert seen == [SPOT]
    assert tables(stand.desk, depth=lambda market: None)["books"]["rest|BTC/USD"].depth is None
    assert tables(stand.desk)["books"]["rest|BTC/USD"].own


# -- who, and how it stands ------------------------------------------------------------------------------------------------


def test_a_wish_that_waits_for_a_human_is_shown():
    desk, _, _, puppet = new_desk(QUIET)
    desk.require_arming("live")
    assert tables(desk)["desk"]["desk:main"].not_armed == ("live",)
    desk.arm("live", per_hour="1000", phrase="arm live for 1000 USD an hour", by="ada")
    puppet.buy("0.05", why="large")
    ((key, row),) = tables(desk)["confirmations"].items()
    one = desk.confirmations[0]
    assert (key, row.sleeve, row.by) == (one.id, "a", "puppet")
    assert row.wish == "buy 0.05 BTC/USD at market"
    assert row.notional == str(one.worth) and row.expires_ms - row.asked_ms == 30_000
    desk.pass_time(desk.books.now + MINUTE)
    assert tables(desk)["confirmations"] == {}


def test_what_holds_a_sleeve_its_vault_and_the_desk_is_shown():
    stand = make_desk(2)
    stand.play(10)
    desk, vault, quiet = stand.desk, stand.vault, stand.sleeves["quiet"]
    desk.pause(quiet, by="ann")
    desk.stop(stand.sleeves["flash"], by="ann", why="looks odd")
    shown = tables(desk)
    assert shown["sleeves"]["quiet"].status == "paused"
    assert shown["sleeves"]["flash"].latches == ("stopped",)
    assert shown["sleeves"]["flash"].idle_reason.startswith("stopped by ann")
    desk.latch(vault, Hold.SYNC, by="ann")
    desk.kill(desk, flatten=False, by="ann")
    shown = tables(desk)
    assert shown["desk"]["desk:main"].status == "halted"
    assert shown["vaults"][vault.owner].latches == ("sync",)
    assert {row.status for row in shown["sleeves"].values()} == {"halted"}


def test_the_desk_says_what_is_not_well():
    stand = make_desk(2)
    stand.play(20)
    (row,) = tables(stand.desk, venues=[stand.venue]).pop("desk").values()
    assert (row.ok, row.why, row.engines, row.real_money, row.recovering) == (True, (), 5, False, False)
    assert row.records == len(stand.desk.books.journal) and row.laws == ""
    assert row.time_ms == stand.desk.books.now // 1_000_000
    assert tables(stand.desk)["desk"]["desk:main"].real_money is None, "no venue was named"
    stand.venue.real_money = True
    assert tables(stand.desk, venues=[stand.venue])["desk"]["desk:main"].real_money is True
    assert laws_of(stand.desk) == "hold"
    balances = dict(stand.venue.exchange.balances())
    stand.desk.reconcile({**balances, "USD": balances["USD"] - USD("7")}, [CashFlow(stand.desk.books.now, USD("-7"), FlowKind.OTHER, "x")])
    (row,) = tables(stand.desk).pop("desk").values()
    assert not row.ok and len(row.residuals) == 1 and "7" in row.residuals[0]
    assert row.why and "does not add up" in row.why[0]


def test_broken_books_say_which_law(moments):
    desk, vault, sleeve, _ = new_desk(QUIET)
    entry = next(one for one in desk.books.journal if isinstance(one, Entry))
    desk.books.ledger.apply(evolve(entry, postings=entry.postings[:1]))
    assert laws_of(desk) != "hold" and "1" in laws_of(desk)
    assert moments[0][0]["desk"]["desk:main"].laws == "hold"


def test_wishes_and_refusals_are_shown():
    stand = make_desk(2)
    stand.play(80)
    row = tables(stand.desk)["sleeves"]["swing"]
    assert row.refused.startswith("funds refused buy 1000 BTC-PERP") and row.refused_ms
    assert row.wished and row.wished_ms >= row.refused_ms
    assert tables(stand.desk)["sleeves"]["quiet"].refused == ""


def test_many_wishes_are_told_in_few_words():
    desk, _, _, puppet = new_desk(QUIET)
    orders = [puppet.buy("0.001", limit=puppet.market.price("9000")).order for _ in range(8)]
    puppet.wish(*(Cancel(order.id) for order in orders))
    assert tables(desk)["sleeves"]["a"].wished == ", ".join(f"cancel a-{n}" for n in range(1, 7)) + " and 2 more"


def test_names_are_told_as_they_are():
    """What is text is text: whoever shows it sees to it that it is not run."""
    stand = make_desk(2, hostile=True)
    stand.play(60)
    shown = tables(stand.desk)
    assert shown["sleeves"]["flash"].engine == MARKUP
    assert json.loads(to_json(shown["sleeves"]["flash"]))["engine"] == MARKUP


def test_a_sub_account_is_shown_apart():
    stand = test_passages.Stand()
    stand.vault.allocate(stand["a"], "300")
    stand.chain.take(stand.desk.pass_time(stand.desk.books.now + SECOND))
    row = tables(stand.desk)["sleeves"]["a"]
    assert (row.account, row.backing, row.between, row.available, row.allocation) == (
        1,
        "sub-account 1 of main",
        "300",
        "0",
        row.allocation,
    )
    stand.chain.all()
    row = tables(stand.desk)["sleeves"]["a"]
    assert (row.between, row.available) == ("0", "300")
    assert tables(stand.desk)["sleeves"]["c"].backing == "virtual"
    stand.trade("a", Side.BUY, "2", "100")
    shown = tables(stand.desk)
    assert list(shown["accounts"]) == ["core:main:USDC:1"]
    row = shown["accounts"]["core:main:USDC:1"]
    assert (row.account, row.vault, row.total_collateral) == (1, "core:main:USDC", "300")
    total = shown["vaults"]["core:main:USDC"]
    assert units(total.in_sleeves) + units(total.idle) == units(total.total)


def test_a_sleeve_without_an_engine_is_shown_too():
    vault = CoreVault(USD, total="20000", tradeable="15000")
    vault.sleeve("a", QUIET, allocate="100")
    row = tables(Desk(vault))["sleeves"]["a"]
    assert (row.engine, row.backing, row.equity, row.net, row.return_pct, row.status) == ("", "", "100", "0", None, "stand_by")


# -- the rows as such ------------------------------------------------------------------------------------------------------


def test_every_row_matches_its_schema_at_every_moment(moments):
    root = {"$defs": definitions()}
    for name, kind in TABLES.items():
        check = Draft202012Validator({**root, "$ref": f"#/$defs/row.{kind.__name__}"})
        for shown, _ in moments:
            for row in shown[name].values():
                assert type(row) is kind
                check.validate(plain(row))


def test_a_look_changes_nothing():
    stand = make_desk(3)
    stand.play(50)
    before = stand.desk.books.journal.digest(), stand.desk.books.now
    first, second = tables(stand.desk), tables(stand.desk)
    assert first == second
    assert (stand.desk.books.journal.digest(), stand.desk.books.now) == before


# -- what the journal tells ------------------------------------------------------------------------------------------------


def test_a_history_is_the_same_whenever_it_began():
    """Read at once, or record by record behind a look: orders, streams, rates, returns."""
    stand = make_desk(3)
    stand.play(20)
    kept = History().read(stand.desk.books.journal)
    stand.desk.books.listen(kept.apply)
    stand.play(150)
    fresh = History().read(stand.desk.books.journal)
    for part in ("count", "done", "resting", "alerts", "log", "prices", "paid", "marks", "instruments"):
        assert getattr(kept, part) == getattr(fresh, part), part
    assert {name: evolve(one, row=None) for name, one in kept.orders.items()} == fresh.orders
    for name, track in fresh.sleeves.items():
        assert (kept.sleeves[name].index, kept.sleeves[name].fall) == (track.index, track.fall)
        assert kept.sleeves[name].fold == track.fold
    assert len(fresh.alerts) > 1 and len(fresh.log) > 100


@law
@given(test_journal.records)
def test_any_record_can_be_put_in_words(record):
    """Whatever words people, engines and venues use: an item of the log is text, and can be written."""
    said = history._words(record)
    if said is not None:
        kind, subject, text, level = said
        assert kind in ("order", "fill", "refusal", "status", "funds", "instruction", "recovery")
        assert level in ("info", "warning", "critical")
        assert isinstance(subject, str) and isinstance(text, str) and text
        to_json([subject, text])


@heavy
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 10**6)), min_size=1, max_size=60))
def test_the_price_of_a_day_ago_is_of_a_mark_that_old(steps):
    past, at, marks = History(), 1_700_000_000 * SECOND, []
    for hours, price in steps:
        at += hours * HOUR
        past.apply(Marked(at, {"X": (price, at)}))
        marks.append((at, price))
    known = past.price_before("X", at)
    old = [(when, price) for when, price in marks if when <= at - DAY]
    assert known == (old[-1][1] if old and at - old[-1][0] <= 25 * HOUR else None)
    assert len(past.marks) <= len([one for one in marks if one[0] > at - DAY]) + 1


def test_what_arms_a_venue_is_not_repeated():
    """Who instructs is told, and what: what a human said to arm a venue stands in the journal alone."""
    said = Arm("r-1", "ann", venue="live", per_hour="1000", phrase="arm live for 1000 USD an hour")
    text = history._words(Instructed(1, "ann", "r-1", "arm", to_terms(said)))[2]
    assert text == "arm live by ann"


def test_alerts_are_all_there():
    stand = make_desk(2)
    stand.play(120)
    past = History().read(stand.desk.books.journal)
    said = [one for one in stand.desk.books.journal if isinstance(one, Alert)]
    assert [(one.code, one.text, one.level) for one in past.alerts] == [(one.code, one.text, one.level.value) for one in said] and said


def test_an_engine_that_raises_shows_why_it_is_idle():
    class Broken(Puppet):
        def decide(self, memory, view):
            raise RuntimeError("<b>no</b>")

    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    puppet = Broken()
    puppet.sit(desk, vault.sleeve("a", QUIET, allocate="100"))
    puppet.quote()
    shown = tables(desk)
    assert "raised RuntimeError" in shown["sleeves"]["a"].idle_reason
    assert shown["sleeves"]["a"].status == "close_only"
    assert not shown["desk"]["desk:main"].ok
    assert "<b>no</b>" in History().read(desk.books.journal).alerts[-1].text


@pytest.mark.parametrize(
    "depth",
    [
        lambda market: 1 / 0,
        lambda market: "abc",
        lambda market: ([("nan", "1")], []),
        lambda market: ([("1e5", "x")], []),
        lambda market: ([("1", "2", "3")], []),
    ],
)
def test_a_page_goes_on_without_a_depth_that_cannot_be_had(depth, caplog):
    stand = make_desk(3)
    stand.play(60)
    books = tables(stand.desk, depth=depth)["books"]
    assert books and all(row.depth is None for row in books.values())
    assert "no depth of" in caplog.text


def test_a_depth_is_told_as_plain_decimals():
    stand = make_desk(3)
    stand.play(60)
    books = tables(stand.desk, depth=lambda market: ([("1.5E+3", "2")], [(Decimal("1501.0"), 3)]))["books"]
    assert {row.depth for row in books.values()} == {Depth((("1500", "2"),), (("1501.0", "3"),))}
