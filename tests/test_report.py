"""Reports: folded from the journal alone, flow-aware, and true to the books."""

from __future__ import annotations

import pytest

from helpers import BTCUSD, Puppet, carry, fill, new_desk
from sleeves import FLASH, QUIET, USD, Books, CoreVault, Desk, Place, Side
from sleeves.facts import Transferred
from sleeves.market import DAY, HOUR
from sleeves.report import Report, fold
from sleeves.sim import Tape


def test_the_rows_say_what_the_books_say():
    desk, vault, flash, puppet = new_desk(FLASH, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.05", price="11000"))
    carry(desk, puppet.buy("0.05", price="11000"))
    puppet.quote("11500")
    desk.mark(puppet.now)
    (row,) = Report(desk).rows()

    assert row["allocation"] == flash.allocation.text
    assert row["balance"] == flash.balance.text
    assert row["realized"] == flash.realized.text == "50"
    assert row["fees"] == flash.fees.text
    assert row["returned"] == flash.returned.text
    assert row["unrealized"] == flash.unrealized(desk.marks()).text == "25"
    assert USD(row["net_profit"]) == flash.realized + USD("25") - flash.fees
    assert (row["fills"], row["trades"], row["win_rate"], row["profit_factor"]) == (3, 1, 1.0, None)
    (vault_row,) = Report(desk).vault_rows()
    assert vault_row["total"] == vault.total.text
    assert vault_row["tradeable"] == vault.tradeable.text
    assert vault_row["returned"] == flash.returned.text


@pytest.mark.parametrize("client", ["", "ann"])
def test_a_vault_has_its_own_coins_on_their_way_and_never_a_clients(client):
    """A client's 300 come, and 200 of the client's, or of the vault's own, go out: at each step the report has what the vault has."""
    desk, vault, sleeve, puppet = new_desk(QUIET)

    def told(total):
        desk.mark(puppet.now)
        (row,) = Report(desk).vault_rows()
        assert row["total"] == vault.total.text == total

    told("20000")
    (comes,) = desk.deposit(vault, "300", client="ann")
    told("20000")
    desk.step(Transferred(puppet.now, comes.amount, comes.id, "v"))
    told("20000")
    (goes,) = desk.withdraw(vault, "200", by="own", client=client)
    assert vault.coins == USD("20300"), "it has not left yet"
    told("20000")
    desk.step(Transferred(puppet.now, goes.amount, goes.id, "v"))
    left = "20000" if client else "19800"
    told(left)
    assert vault.client_money("ann") == USD("100" if client else "300")


def test_a_report_can_be_made_of_a_journal_that_was_written_out_and_read_back():
    from sleeves.journal import Memory

    desk, vault, flash, puppet = new_desk(FLASH, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.05", price="11000"))
    desk.mark(puppet.now + HOUR)
    again = fold(Memory.read(vault.books.journal.lines()))
    assert again == Report(desk).story


def test_wins_and_losses_are_round_trips_after_all_their_fees():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    for sold in ("11000", "9000", "10010"):
        carry(desk, puppet.buy("0.1", price="10000"))
        carry(desk, puppet.sell("0.06", price=sold))
        carry(desk, puppet.sell("0.04", price=sold))
    (row,) = Report(desk).rows()
    nets = [USD(trade["net"]) for trade in Report(desk).trades()]
    assert [net > USD("0") for net in nets] == [True, False, False], "a gain of 1 USD does not pay its fees"
    assert row["win_rate"] == pytest.approx(1 / 3)
    assert row["profit_factor"] == pytest.approx(float(nets[0].decimal / -(nets[1] + nets[2]).decimal))
    assert sum(net.units for net in nets) == (sleeve.realized - sleeve.fees).units


@pytest.mark.parametrize("flow", ["allocate", "reclaim", "both", "none"])
def test_a_flow_is_never_a_return(flow):
    """The same trade with money coming or going between marks gives the same return, when equity did not move then."""
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="2000")
    for hour in range(1, 6):
        puppet.now = hour * HOUR
        desk.mark(puppet.now)
        if hour == 2 and flow in ("allocate", "both"):
            vault.allocate(sleeve, "1000")
        if hour == 4 and flow in ("reclaim", "both"):
            vault.reclaim(sleeve, "500")
    (row,) = Report(desk).rows()
    assert row["return"] == 0
    assert row["drawdown"] == 0
    assert row["net_profit"] == "0"


def test_a_return_is_time_weighted():
    """Plus 10% on 1,000, then nothing on 11,000: a return of 10%, whatever the average capital was."""
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    desk.mark(HOUR)
    free = USD("0")
    order = puppet.buy("0.05", price="10000").order
    desk.step(fill(order, price="10000", fee=free))
    order = puppet.sell("0.05", price="12000").order
    desk.step(fill(order, price="12000", fee=free))
    desk.mark(2 * HOUR)
    vault.allocate(sleeve, "10000")
    desk.mark(3 * HOUR)
    (row,) = Report(desk).rows()
    assert row["return"] == pytest.approx(0.10)


def test_ratios_say_not_enough_data_instead_of_a_number():
    desk, *_ = new_desk(QUIET)
    (row,) = Report(desk).rows()
    assert [row[name] for name in ("sharpe", "sortino", "win_rate", "profit_factor")] == [None] * 4
    assert "n/a" in str(Report(desk))


def test_the_series_has_one_row_a_mark():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    for hour in range(1, 30):
        puppet.now = hour * HOUR
        puppet.quote()
    report = Report(desk)
    assert len(report.series("a")) == len(report.vault_series(vault.owner)) >= 28
    assert report.series("a")[-1]["balance"] == 5000.0
    assert report.vault_series(vault.owner)[-1] == {"at": report.series("a")[-1]["at"], "total": 20000.0, "tradeable": 15000.0}


def test_rows_feed_pandas_and_polars():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    desk, *_ = new_desk(QUIET)
    rows = Report(desk).rows()
    assert list(pandas.DataFrame(rows)["sleeve"]) == list(polars.DataFrame(rows)["sleeve"]) == ["a"]


def test_notes_name_the_data_its_repairs_the_venues_rules_and_the_refusals():
    from sleeves.sim import Rules

    tape = Tape.from_columns(
        BTCUSD, ts=[0, 3600, 10800], open=["1", "1", "1.001"], high=["1"] * 2 + ["1.001"], low=["1"] * 3, close=["1"] * 3
    )
    desk, vault, sleeve, puppet = new_desk(QUIET)
    puppet.buy("100")
    notes = "\n".join(Report(desk, tape=tape, rules=Rules()).notes())
    for part in ("3 rows of BTC/USD", "gap", "tick", "maker 0.25%", "slippage", "a: refused 1x for funds"):
        assert part in notes, part


def test_hostile_names_are_shown_as_text():
    desk, *_ = new_desk(QUIET)
    desk.engines["a"].engine = "x"
    report = Report(desk)
    report.story.sleeves["a"].engine = "<img src=x onerror=alert(1)>"
    html = report._repr_html_()
    assert "<img" not in html
    assert "&lt;img" in html


def test_drawdown_is_measured_on_returns_and_not_on_swept_money():
    desk, vault, flash, puppet = new_desk(FLASH, allocate="1000")
    for day in range(1, 6):
        puppet.now = day * DAY
        carry(desk, puppet.buy("0.05", price="10000"))
        puppet.quote("10000")
        carry(desk, puppet.sell("0.05", price="12000"))
        desk.mark(puppet.now)
    (row,) = Report(desk).rows()
    assert row["returned"] != "0"
    assert row["return"] > 0.4
    assert row["drawdown"] < 0.01


def test_a_return_counts_from_the_first_coin_and_not_from_the_first_mark():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    desk._mark_at = 10**30
    order = puppet.buy("0.05", price="10000").order
    desk.step(fill(order, price="10000", fee=USD("0")))
    order = puppet.sell("0.05", price="1000").order
    desk.step(fill(order, price="1000", fee=USD("0")))
    desk.mark(puppet.now)
    (row,) = Report(desk).rows()
    assert row["net_profit"] == "-450"
    assert row["return"] == pytest.approx(-0.45)


@pytest.mark.parametrize("marked", [True, False])
def test_a_return_does_not_depend_on_how_often_one_marks(marked):
    """Plus 9% of 1,000 swept, then minus 9.9%: 1.09 x 0.901 - 1, with a mark in between or without."""
    desk, vault, flash, puppet = new_desk(FLASH, allocate="1000")
    for sold in ("11800", "8020"):
        order = puppet.buy("0.05", price="10000").order
        desk.step(fill(order, price="10000", fee=USD("0")))
        order = puppet.sell("0.05", price=sold).order
        desk.step(fill(order, price=sold, fee=USD("0")))
        if marked:
            desk.mark(puppet.now)
    desk.mark(puppet.now)
    (row,) = Report(desk).rows()
    assert row["returned"] == "90"
    assert row["return"] == pytest.approx(1.09 * 0.901 - 1)


@pytest.mark.parametrize("clock", [None, lambda: 20_000 * DAY], ids=["tape time", "a real clock"])
@pytest.mark.parametrize("first", [0, HOUR], ids=["at midnight", "later"])
def test_days_are_counted_from_the_first_mark(first, clock):
    """Three days after the first mark are three returns, whatever its hour: one day more would change every ratio."""
    vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(clock=clock))
    sleeve = vault.sleeve("a", QUIET, allocate="1000")
    desk, puppet = Desk(vault), Puppet()
    puppet.sit(desk, sleeve)
    start, units = 10 * DAY + first, BTCUSD.price("10000")
    puppet.wishes = [Place(BTCUSD, Side.BUY, BTCUSD.qty("0.05"))]
    (command,) = desk.quote(puppet.index, start, units, units)
    carry(desk, command)
    for day, price in enumerate(("10100", "10050", "10300"), 1):
        units = BTCUSD.price(price)
        desk.quote(puppet.index, start + day * DAY, units, units)
    desk.mark(start + 3 * DAY)
    assert len(Report(desk)._daily("a")) == 3
