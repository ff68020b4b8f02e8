"""The figures of a tear sheet: what they measure, that they add up to the unit, and that the page shows them."""

from __future__ import annotations

import importlib.util
import itertools
import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import BTCUSD, Puppet, carry, fill, new_desk
from sleeves import FLASH, QUIET, SOL, USD, USDC, CoreVault, Desk, Instrument, Place, Side
from sleeves.demo import run
from sleeves.errors import VaultError
from sleeves.explain import explain, explain_each
from sleeves.market import DAY, HOUR, Kind
from sleeves.orders import OrderStatus
from sleeves.records import OrderUpdate, Refusal
from sleeves.report import Report, Sample
from sleeves.sim import Fees, Rules, Slippage, Tape, replay
from sleeves.tearsheet import CANDLES, LARGEST, Period, candles, days, months, periods, together, underwater, years


@pytest.fixture(scope="module")
def report():
    return run(progress=False)


def sample(at, equity, paid_in=0, taken_out=0):
    return Sample(at, equity or 0, equity, 0, 0, 0, 0, paid_in, taken_out)


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def report_page(report):
    from sleeves.plots import page

    return page(report)


class Scripted:
    """An engine that wishes what it is told to, by the number of the row that it sees."""

    name = "scripted"
    every = 0
    watches = (BTCUSD,)

    def __init__(self, **wishes):
        self.wishes = {int(row[1:]): wish for row, wish in wishes.items()}

    def begin(self):
        return [0]

    def decide(self, memory, view):
        memory[0] += 1
        wish = self.wishes.get(memory[0])
        return None if wish is None else [wish]


def played(prices, rules, **wishes):
    """One sleeve over hourly bars that open where the one before has closed, but for "open>close"."""
    opens = [price.partition(">")[0] for price in prices]
    closes = [price.partition(">")[2] or price for price in prices]
    highs = [max(pair, key=Decimal) for pair in zip(opens, closes, strict=True)]
    lows = [min(pair, key=Decimal) for pair in zip(opens, closes, strict=True)]
    tape = Tape.from_columns(
        BTCUSD, ts=[1_600_000_000 + 3600 * n for n in range(len(prices))], open=opens, high=highs, low=lows, close=closes
    )
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    desk.assign(Scripted(**wishes), to=vault.sleeve("a", QUIET, allocate="10000"))
    return replay(desk, tape, rules=rules, bounds=False, progress=False)


def buy(qty, **terms):
    return Place(BTCUSD, Side.BUY, BTCUSD.qty(qty), **terms)


def sell(qty, **terms):
    return Place(BTCUSD, Side.SELL, BTCUSD.qty(qty), **terms)


# -- deals and costs ---------------------------------------------------------------------------------------------------


def test_deals_and_costs_are_those_of_the_books(report):
    rows = {row["sleeve"]: row for row in report.rows()}
    assert sum(row["fills"] for row in rows.values()) == len(report.sheet.deals) > 200
    for name, row in rows.items():
        deals = [deal for deal in report.sheet.deals if deal.sleeve == name]
        costs = [cost for cost in report.costs() if cost["sleeve"] == name]
        assert sum(Decimal(cost["fees"]) for cost in costs) == Decimal(row["fees"])
        assert sum(Decimal(cost["realized"]) for cost in costs) == Decimal(row["realized"])
        assert sum(deal.net for deal in deals) == USD(row["realized"]).units - USD(row["fees"]).units
        assert sum(Decimal(cost["turnover"]) for cost in costs) == sum(USD.units(deal.cost).decimal for deal in deals)
        assert costs[0]["fees_bp"] == pytest.approx(40, abs=1e-4), "the taker's fee of 0.4%"
        sides = {side: sum(deal.qty for deal in deals if deal.side == side) for side in ("buy", "sell")}
        assert sides["buy"] - sides["sell"] == report.story.sleeves[name].fold.positions["BTC/USD"]
        assert all(deal.opens is (deal.side == "buy") for deal in deals), "nobody is short of coins"


def test_slippage_is_the_fill_against_the_close_that_the_order_was_made_on():
    """Bought on a close of 100, filled at the next open of 100.20; sold on 104, filled at 103; each 0.1% worse, to the tick."""
    rules = Rules(fees=Fees(0, 0), slippage=Slippage(1_000, 1_000))
    report = played(["100", "100.2>104", "103", "103"], rules, n1=buy("2"), n2=sell("2"))
    bought, sold = report.fills()
    assert (bought["price"], bought["slippage"]) == ("100.31", "0.62")
    assert (sold["price"], sold["slippage"]) == ("102.89", "2.22")
    (cost,) = report.costs()
    assert (cost["slippage"], cost["turnover"]) == ("2.84", "406.4")
    assert cost["slippage_bp"] == pytest.approx(2.84 / 406.4 * 10_000)


def test_a_stop_slips_from_its_stop_and_a_limit_never():
    rules = Rules(fees=Fees(0, 0), slippage=Slippage(10_000, 10_000))
    stop, limit = sell("1", stop=BTCUSD.price("95")), buy("1", limit=BTCUSD.price("101"))
    report = played(["100", "100", "100>90", "90"], rules, n1=limit, n2=stop)
    bought, sold = report.fills()
    assert bought["slippage"] == "0"
    assert (sold["price"], sold["slippage"]) == ("94.05", "0.95")


def test_a_forced_close_is_a_deal_of_each_sleeve_whose_slice_it_takes():
    """Two sleeves are long of one position that the venue closes: each has its part of it, its fee and its loss."""
    perp = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
    prices = ["100", "100", "100", "91", "86", "86"]
    tape = Tape.from_columns(perp, ts=[1_600_000_000 + 3600 * n for n in range(6)], open=prices, high=prices, low=prices, close=prices)
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk = Desk(vault, most_leverage=10)
    for name, qty in (("a", "40"), ("b", "20")):
        engine = Scripted(n1=Place(perp, Side.BUY, perp.qty(qty)))
        engine.watches = (perp,)
        desk.assign(engine, to=vault.sleeve(name, QUIET, allocate="500"))
    report = replay(desk, tape, rules=Rules(fees=Fees(0, 500), slippage=Slippage.none()), bounds=False, progress=False)
    forced = [row for row in report.fills() if row["forced"]]
    assert {row["sleeve"] for row in forced} == {"a", "b"}
    assert all((row["side"], row["opens"], row["slippage"], row["order"]) == ("sell", False, None, "") for row in forced)
    for row in report.rows():
        mine = [one for one in report.fills() if one["sleeve"] == row["sleeve"]]
        assert sum(Decimal(one["net"]) for one in mine) == Decimal(row["realized"]) - Decimal(row["fees"])
        assert (
            sum(Decimal(one["qty"]) * (1 if one["side"] == "buy" else -1) for one in mine)
            == desk.treasury["USDC"].sleeves[row["sleeve"]].position(perp).decimal
        )
        assert sum(Decimal(month["net"]) for month in report.months() if month["sleeve"] == row["sleeve"]) == Decimal(row["net_profit"])
    if importlib.util.find_spec("plotly"):
        assert [symbol for trace in report.plot("trades").data[1:] for symbol in trace.marker.symbol].count("x") == len(forced)


def test_without_a_tape_slippage_is_not_known():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.1", price="10000"))
    report = Report(desk)
    assert [row["slippage"] for row in report.fills()] == [None]
    (cost,) = report.costs()
    assert (cost["slippage"], cost["slippage_bp"], cost["turnover"]) == (None, None, "1000")


def test_the_spread_that_two_sleeves_saved_is_told_once_for_both():
    """Two buys and sales of 4 between a bid of 150 and an ask of 150.10: each would have paid half of 0.10 a coin."""
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk, puppets = Desk(vault, self_trade="cross"), [Puppet(name="one"), Puppet(name="other")]
    for name, puppet in zip("ab", puppets, strict=True):
        puppet.sit(desk, vault.sleeve(name, QUIET, allocate="5000"))
    market = puppets[0].market
    desk.quote(puppets[0].index, HOUR, market.price("150"), market.price("150.10"))
    puppets[1].wishes = [buy("8")]
    (command,) = desk.quote(puppets[0].index, 2 * HOUR, market.price("150"), market.price("150.10"))
    desk.step(fill(command.order, price="150.10"))
    for hour in (3, 4):
        puppets[0].wishes, puppets[1].wishes = [buy("4")], [sell("4")]
        assert not desk.quote(puppets[0].index, hour * HOUR, market.price("150"), market.price("150.10"))
    report = Report(desk)
    (saved,) = report.saved()
    assert (saved["asset"], saved["times"], saved["saved"], saved["turnover"]) == ("USD", 2, "0.8", "2400.8")  # 2 x 2 x 4 x 150.05
    assert saved["saved_bp"] == pytest.approx(0.8 / 2400.8 * 10_000)
    assert [row["inside"] for row in report.fills()] == [False, True, True, True, True]
    assert [row["slippage"] for row in report.fills()] == [None, "0", "0", "0", "0"]
    assert {row["sleeve"]: row["inside"] for row in report.costs()} == {"a": 2, "b": 2}
    if importlib.util.find_spec("plotly"):
        page = report_page(report)
        assert "2 trades were made inside, between two sleeves, with no fee: a spread of 0.80 USD was not paid, 3.3 bp" in page


# -- refused and lost --------------------------------------------------------------------------------------------------


def test_refusals_are_counted_by_gate_and_reason():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    for _ in range(3):
        puppet.buy("100")
    vault.pause(by="ann", why="lunch")
    puppet.buy("0.1")
    desk.mark(puppet.now)
    report = Report(desk)
    found = {(row["gate"], row["reason"]): row for row in report.refusals()}
    assert len(found) == 2
    assert sum(row["times"] for row in report.refusals()) == report.rows()[0]["refusals"] == 4
    funds = next(row for key, row in found.items() if "funds" in key[1])
    assert (funds["sleeve"], funds["times"]) == ("a", 3)
    assert "100" in funds["wish"]
    assert funds["first"] < funds["last"]


def test_orders_that_were_lost_are_listed_with_what_became_of_them():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    command = puppet.buy("0.1", price="10000")
    desk.books.journal.append(OrderUpdate(puppet.now, command.order.id, OrderStatus.REJECTED, "the market is halted"))
    (lost,) = Report(desk).lost()
    assert (lost["sleeve"], lost["order"], lost["status"], lost["reason"]) == ("a", "a-1", "rejected", "the market is halted")
    assert list(desk.books.journal)[lost["record"] - 1].order_id == "a-1"


# -- why ---------------------------------------------------------------------------------------------------------------


def test_all_waterfalls_in_one_pass_are_each_one_by_itself(report):
    journal = report.desk.books.journal
    assert set(report.waterfalls) == {"quiet", "flash"}
    for name, told in report.waterfalls.items():
        assert told == report.explain(name) == explain(journal, name, USD)
        assert told.exact
    middle = at("2017-12-15")
    windows = explain_each(journal, {"quiet": USD, "flash": USD}, since=middle), explain_each(journal, {"quiet": USD}, until=middle)
    assert windows[0]["quiet"] == explain(journal, "quiet", USD, since=middle)
    assert windows[1]["quiet"] == explain(journal, "quiet", USD, until=middle)
    assert windows[0]["quiet"].start == windows[1]["quiet"].end


def test_the_records_that_are_kept_of_a_cause_are_the_first_the_last_and_the_largest(report):
    journal = list(report.desk.books.journal)
    for (sleeve, cause), kept in report.sheet.moved.items():
        (line,) = (line for line in report.waterfalls[sleeve].lines if line.cause == cause)
        numbers = [one.record for one in kept]
        assert numbers == sorted(set(numbers)) and set(numbers) <= set(line.records)
        assert (numbers[0], numbers[-1]) == (line.records[0], line.records[-1])
        assert len(kept) == min(len(line.records), LARGEST + 2)
        assert all(journal[one.record - 1].at == one.at for one in kept)
        if len(line.records) <= LARGEST + 2:
            assert sum(one.units for one in kept) == line.amount.units
    realized = [deal for deal in report.sheet.deals if deal.sleeve == "flash" and not deal.opens]
    most = max(realized, key=lambda deal: deal.net)
    assert most.record in [one.record for one in report.sheet.moved["flash", "realized BTC/USD"]]


# -- months and falls --------------------------------------------------------------------------------------------------


def test_months_add_up_to_the_year_and_to_the_net_profit_and_the_return(report):
    for row in report.rows():
        mine = [month for month in report.months() if month["sleeve"] == row["sleeve"]]
        assert [(month["year"], month["month"]) for month in mine] == [(2017, 10), (2017, 11), (2017, 12), (2018, 1), (2018, 2), (2018, 3)]
        assert sum(Decimal(month["net"]) for month in mine) == Decimal(row["net_profit"])
        made = 1.0
        for month in mine:
            made *= 1 + month["return"]
        assert made - 1 == pytest.approx(row["return"], rel=1e-9)
        assert all(month["whole"] for month in mine)
        of_years = [year for year in report.years() if year["sleeve"] == row["sleeve"]]
        assert [year["year"] for year in of_years] == [2017, 2018]
        assert sum(Decimal(year["net"]) for year in of_years) == Decimal(row["net_profit"])
        assert not any(year["whole"] for year in of_years), "three months are no year"
    for year, month in ((2017, 10), (2018, 3)):
        (both,) = (row for row in report.together() if (row["year"], row["month"]) == (year, month))
        parts = [row for row in report.months() if (row["year"], row["month"]) == (year, month)]
        assert Decimal(both["net"]) == sum(Decimal(row["net"]) for row in parts)
        assert min(row["return"] for row in parts) <= both["return"] <= max(row["return"] for row in parts)


def test_a_mark_at_midnight_ends_the_month_before():
    begin, end = at("2024-01-01"), at("2024-02-01")
    spans = periods([sample(begin, 1000, 1000), sample(end, 1100, 1000), sample(end + 1, 1100, 1000)])
    january, february = months(spans)
    assert (january.month, january.net, january.whole) == (1, 100, True)
    assert january.gain == pytest.approx(0.1)
    assert (february.month, february.gain, february.net, february.whole) == (2, 0, 0, False)


@pytest.mark.parametrize(("since", "until", "whole"), [(0, 0, True), (DAY, -DAY, True), (DAY + 1, 0, False), (0, -DAY - 1, False)])
def test_a_month_is_whole_when_it_was_measured_to_within_a_day(since, until, whole):
    (month,) = months([Period(at("2024-05-01") + since, at("2024-06-01") + until, 0.0, 0)])
    assert month.whole is whole


def test_a_month_without_a_mark_has_no_return_and_the_next_is_not_whole():
    spans = [Period(at("2024-01-01"), at("2024-02-01"), 0.5, 5), Period(at("2024-02-01"), at("2024-03-31T12:00"), 0.1, 1)]
    january, february, march = months(spans)
    assert (february.gain, february.net, february.whole) == (None, 0, False)
    assert (march.gain, march.net, march.whole) == (pytest.approx(0.1), 1, False)
    (year,) = years([january, february, march])
    assert year.gain == pytest.approx(0.65)
    assert (year.net, year.whole) == (6, False)


flows = st.lists(st.tuples(st.integers(0, 400), st.integers(-90, 200), st.integers(0, 500), st.integers(0, 100)), min_size=1, max_size=40)


@settings(deadline=None)
@given(flows)
def test_nets_add_up_whatever_comes_and_goes(given_flows):
    """Money in and out is in no net; what trading made is, to the unit; returns one after the other are the return."""
    now, equity, paid, taken, made = at("2020-01-15"), 10_000, 10_000, 0, 0
    samples = [sample(now, equity, paid)]
    for hours, gain, come, go in given_flows:
        now += hours * HOUR
        gain = max(gain, -equity // 2)
        equity, paid, taken, made = equity + gain + come - go, paid + come, taken + go, made + gain
        samples.append(sample(now, equity, paid, taken))
    spans = periods(samples)
    found = months(spans)
    assert sum(month.net for month in found) == sum(span.net for span in spans) == made
    index = 1.0
    for span in spans:
        index *= 1 + span.gain
    total = 1.0
    for month in found:
        total *= 1 + (month.gain or 0)
    assert total == pytest.approx(index)
    by_day = 1.0
    for gain in days(spans).values():
        by_day *= 1 + gain
    assert by_day == pytest.approx(index)
    assert sum(year.net for year in years(found)) == made
    falls = underwater(spans)
    assert falls[0][1] == 0 and all(-1 <= value <= 0 for _, value in falls)


def test_underwater_is_as_deep_as_the_table_says(report):
    for row in report.rows():
        series = report.underwater(row["sleeve"])
        assert -min(one["underwater"] for one in series) == pytest.approx(row["drawdown"])
        fall = report.falls(row["sleeve"])
        assert fall.deepest == pytest.approx(-row["drawdown"])
        (low,) = (one["underwater"] for one in series if one["at"] == fall.low_at)
        assert low == pytest.approx(fall.deepest)


def test_a_sweep_is_no_fall():
    desk, vault, flash, puppet = new_desk(FLASH, allocate="1000")
    for day in range(1, 4):
        puppet.now = day * DAY
        carry(desk, puppet.buy("0.05", price="10000"))
        carry(desk, puppet.sell("0.05", price="13000"))
        desk.mark(puppet.now)
    assert Report(desk).rows()[0]["returned"] != "0"
    assert min(one["underwater"] for one in Report(desk).underwater("a")) > -0.01


def test_sleeves_together_are_the_sum_at_the_marks():
    """One sleeve gains 10% of 1,000, the other loses 10% of 3,000, and 500 go from the first to the second: minus 5% of 4,000."""
    a = [sample(0, 1000, 1000), sample(10, 1100, 1000), sample(15, 600, 1000, 500), sample(20, 600, 1000, 500)]
    b = [sample(0, 3000, 3000), sample(10, 2700, 3000), sample(16, 3200, 3500), sample(20, 3200, 3500)]
    found = together([a, b], [0, 10, 20], Sample)
    assert [(one.at, one.equity) for one in found] == [(0, 4000), (10, 3800), (20, 3800)]
    first, second = periods(found)
    assert (first.gain, first.net) == (pytest.approx(-0.05), -200)
    assert (second.gain, second.net) == (pytest.approx(0), 0)
    unknown = together([a, [sample(0, None)]], [0, 10], Sample)
    assert [one.equity for one in unknown] == [None, None]
    late = together([a, [sample(10, 50, 50)]], [0, 10], Sample)
    assert [(one.equity, one.paid_in) for one in late] == [(1000, 1000), (1150, 1050)]


def test_daily_returns_of_all_need_one_asset_and_a_sleeve_that_is_there(report):
    assert len(report.daily()) == len(report.daily("flash")) == 182
    with pytest.raises(VaultError, match="no sleeve 'x'"):
        report.daily("x")
    with pytest.raises(VaultError, match="none"):
        Report(Desk(CoreVault(USD, total="1"))).daily()


# -- candles -----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(90, 110), min_size=1, max_size=200), st.integers(3, 50))
def test_candles_lose_no_extreme(closes, most):
    opens = [closes[0], *closes[:-1]]
    tape = Tape.from_columns(
        BTCUSD,
        ts=[1_600_000_000 + 900 * n for n in range(len(closes))],
        open=opens,
        high=[max(pair) + 1 for pair in zip(opens, closes, strict=True)],
        low=[min(pair) - 1 for pair in zip(opens, closes, strict=True)],
        close=closes,
    )
    step, found = candles(tape, most)
    assert len(found) <= max(most, 1) or len(closes) <= most
    assert (max(one.high for one in found), min(one.low for one in found)) == (max(tape.high), min(tape.low))
    assert (found[0].open, found[-1].close) == (tape.open[0], tape.close[-1])
    assert all(a.at < b.at and (b.at - a.at) % step == 0 for a, b in itertools.pairwise(found)) or len(closes) <= most
    assert all(one.low <= min(one.open, one.close) <= max(one.open, one.close) <= one.high for one in found)


def test_the_sample_is_drawn_in_candles_of_whole_hours():
    tape = Tape.sample()
    step, found = candles(tape)
    assert step == 3 * HOUR
    assert len(found) <= CANDLES < len(tape)
    assert all(one.at % step == 0 for one in found)
    assert candles(tape.slice(0, 100))[1] == [tuple(row[:5]) for row in tape.slice(0, 100).rows()]


# -- the page ----------------------------------------------------------------------------------------------------------


class Tables(HTMLParser):
    """The tables of a page by their label, as rows of text; all ids, and all places within the page that it links to."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.ids, self.links, self.words = {}, [], [], []
        self._rows = self._cell = None
        self.feed(re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.S))
        self.close()

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.ids += [known[name] for name in ("id",) if name in known]
        self.links += [known[name] for name in ("href",) if name in known]
        if tag == "div" and "aria-label" in known and known.get("role") == "group":
            self._rows = self.tables[known["aria-label"]] = []
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("td", "th") and self._rows is not None:
            self._cell = []

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self._cell is not None:
            self._rows[-1].append("".join(self._cell))
            self._cell = None
        elif tag == "table":
            self._rows = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)
        if data.strip():
            self.words.append(data.strip())


@pytest.fixture(scope="module")
def page(report):
    pytest.importorskip("plotly")
    return report_page(report)


@pytest.fixture(scope="module")
def shown(page):
    return Tables(page)


def test_each_table_of_causes_adds_up_to_the_unit(report, shown):
    for name, told in report.waterfalls.items():
        head, *lines, end = shown.tables[f"Why {name} has what it has"]
        assert head[1] == "USD"
        assert [line[0] for line in lines] == [line.cause for line in told.lines]
        assert sum(Decimal(line[1].replace(",", "")) for line in lines) == Decimal(end[1].replace(",", "")) == told.end.decimal
        assert end[2] == "adds up to the unit"
        for line, cause in zip(lines, told.lines, strict=True):
            assert f"{len(cause.records):,} records" in line[2] or len(cause.records) <= LARGEST + 2


def test_every_link_leads_somewhere_and_every_id_is_there_once(report, shown):
    assert len(set(shown.ids)) == len(shown.ids)
    inside = [link for link in shown.links if link.startswith("#")]
    assert {link[1:] for link in inside} <= set(shown.ids)
    numbers = {int(link[2:]) for link in inside if re.fullmatch(r"#r\d+", link)}
    assert len(numbers) > 10
    assert {int(row[0]) for row in shown.tables["Records of the journal"][1:]} == numbers


def test_the_page_has_all_its_sections_in_order(shown):
    inside = [link[1:] for link in shown.links if re.fullmatch(r"#[a-z]+", link)]
    order = ["why", "balance", "profit", "returned", "fees", "tradeable", "trades", "drawdown", "monthly", "costs", "refusals"]
    assert [name for name in inside if name != "proof"] == [*order, "numbers", "made", "records"]


def test_months_in_the_page_are_those_of_the_report(report, shown):
    head, first, second = shown.tables["Months of flash"]
    assert head == ["flash USD", "Jan", "Feb", "Mar", "Oct", "Nov", "Dec", "year"]
    october = next(row for row in report.months() if row["sleeve"] == "flash")
    assert first[4] == f"{october['return']:+.1%}{Decimal(october['net']):+,.2f}"
    assert first[1] == second[6] == "\N{EN DASH}"
    assert first[7].startswith("+37.7%*"), "a year of three months is not whole"
    assert "Months of all" in shown.tables


def test_costs_in_the_page_sum(report, shown):
    *rows, both = shown.tables["Costs by sleeve and market"]
    assert [row[0] for row in rows] == ["sleeve, market", "flash, BTC/USD", "quiet, BTC/USD"]
    assert both[:5] == ["all in USD", "256", "806,041.76", "3,224.17", "40.0"]
    assert Decimal(both[6].replace(",", "")) == sum(Decimal(row[6]) for row in rows[1:])


def test_the_bounds_and_what_would_differ_are_said(report, shown):
    _, quiet, flash = shown.tables["Net profit under other rules"]
    worst, best = report.bounds
    told = [f"{Decimal(next(row['net_profit'] for row in one.rows() if row['sleeve'] == 'flash')):+,.2f}" for one in (worst, report, best)]
    assert flash == ["flash (USD)", *told]
    assert any(line.startswith("paper on the same tape: nothing") for line in shown.words)
    assert any(line.startswith("live: the venue fills") for line in shown.words)
    assert any(line.startswith("Each candle is 3 hours of btc-usd-1h") for line in shown.words)


def test_a_journal_alone_is_drawn_with_its_marks_and_says_so():
    pytest.importorskip("plotly")
    desk, vault, sleeve, puppet = new_desk(QUIET)
    for hour in range(1, 5):
        puppet.now = hour * HOUR
        puppet.quote(str(10_000 + 100 * hour))
    carry(desk, puppet.buy("0.1"))
    carry(desk, puppet.sell("0.1"))
    desk.mark(puppet.now)
    report = Report(desk)
    marks, deals = report.plot("trades").data
    assert (marks.type, marks.mode, list(marks.y)) == ("scatter", "lines", [10000.0, 10100.0, 10200.0, 10300.0, 10400.0, 10400.0])
    assert list(deals.marker.symbol) == ["triangle-up", "triangle-down-open"]
    read = Tables(report_page(report))
    assert any("this report has no tape of the market" in line for line in read.words)
    assert any(line.startswith("fills, fees and funding are those that the journal has") for line in read.words)
    assert any("only stops have a slippage" in line for line in read.words)


def test_candles_and_deals_are_drawn_as_the_tape_and_the_journal_say(report):
    pytest.importorskip("plotly")
    figure = report.plot("trades")
    bars, quiet, flash = figure.data
    step, found = candles(report.tape)
    market = report.tape.instrument
    assert bars.type == "candlestick"
    for name in ("open", "high", "low", "close"):
        assert list(getattr(bars, name)) == [market.price_float(getattr(one, name)) for one in found]
    assert (len(quiet.x), len(flash.x)) == (67, 189)
    assert [name.endswith("open") for name in flash.marker.symbol] == [
        not deal.opens for deal in report.sheet.deals if deal.sleeve == "flash"
    ]
    first = flash.customdata[0]
    assert "opens: buy 1.14755252 BTC at 4323.33" in first and "fee 19.844993 USD, net -19.84 USD" in first and "record 120" in first


def test_a_picture_of_many_deals_keeps_the_largest(report, monkeypatch):
    pytest.importorskip("plotly")
    from sleeves.plots import sheet

    monkeypatch.setattr(sheet, "MARKERS", 20)
    flash = report.plot("trades").data[2]
    assert len(flash.x) <= 20
    deals = [deal for deal in report.sheet.deals if deal.sleeve == "flash"]
    records = " ".join(flash.customdata)
    for deal in (max(deals, key=lambda deal: deal.net), min(deals, key=lambda deal: deal.net)):
        assert f"record {deal.record}," in records


def test_one_figure_by_name_or_the_five_in_one(report):
    pytest.importorskip("plotly")
    from sleeves.plots import figures

    five = figures(report)
    for name, figure in five.items():
        assert report.plot(name).to_json() == figure.to_json()
    together = report.plot()
    assert sum(len(figure.data) for figure in five.values()) == len(together.data)
    assert [list(trace.y) for trace in together.data] == [list(trace.y) for figure in five.values() for trace in figure.data]
    assert [trace.name for trace in together.data if trace.showlegend] == ["quiet", "flash", "Total", "Tradeable"]
    assert together.layout.yaxis5.title.text == "USD"
    waterfall = report.plot("waterfall")
    for trace, told in zip(waterfall.data, report.waterfalls.values(), strict=True):
        assert list(trace.x) == [float(line.amount.text) for line in told.lines] + [float(told.end.text)]
    assert list(report.plot("monthly").data[0].y) == [row["return"] for row in report.months() if row["sleeve"] == "quiet"]
    assert min(report.plot("drawdown").data[1].y) == pytest.approx(-report.rows()[1]["drawdown"])
    with pytest.raises(VaultError, match="no figure 'pie'"):
        report.plot("pie")


def test_a_report_of_nothing_has_a_page_and_figures():
    pytest.importorskip("plotly")
    report = Report(Desk(CoreVault(USD, total="1")))
    read = Tables(report_page(report))
    assert {"No sleeve was opened", "Nothing was traded.", "No gate refused a wish."} <= set(read.words)
    for name in (None, "waterfall", "trades", "drawdown", "monthly"):
        assert not report.plot(name).data


HOSTILE = ("<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "%{x}$y$", "&lt;b&gt;")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_reasons_are_text_in_every_new_section(name):
    """A reason of a venue, an order's id, who did it and why: all may be anything."""
    get_plotlyjs = pytest.importorskip("plotly.offline").get_plotlyjs
    desk, vault, sleeve, puppet = new_desk(QUIET)
    vault.allocate(sleeve, "5", by=name, why=name)
    carry(desk, puppet.buy("0.1", price="10000"))
    command = puppet.buy("0.1", price="10000")
    journal = desk.books.journal
    refusal = Refusal(puppet.now, "a", name, name, {name: name}, name)
    journal.append(OrderUpdate(puppet.now, command.order.id, OrderStatus.CANCELED, name), refusal)
    desk.mark(puppet.now)
    report = Report(desk)
    page = report_page(report)
    read = Tables(page)
    assert read.tables["Refused wishes by gate and reason"][1][1:3] == [name, name]
    assert read.tables["Refused wishes by gate and reason"][1][5:] == [name, f"{name} {name}"]
    assert read.tables["Orders rejected or canceled unasked"][1][2] == name
    assert [name in row[4] and name in row[6] for row in read.tables["Records of the journal"]].count(True) == 1
    assert "<img" not in page.replace(get_plotlyjs(), "")
    assert page.count("</script>") == report_page(Report(new_desk(QUIET)[0])).count("</script>")
    for figure in ("waterfall", "trades"):
        assert name not in report.plot(figure).to_json()
