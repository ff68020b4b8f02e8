"""The risk view: folded from the journal alone, blind to money that comes and goes, and silent where there is too little."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import BTCUSD, Puppet, carry, fill
from sleeves import BTC, EUR, FLASH, QUIET, SOL, USD, Books, CoreVault, Desk, Instrument
from sleeves.errors import InvalidAmount, VaultError
from sleeves.journal import Memory
from sleeves.market import DAY, HOUR, MINUTE, Kind
from sleeves.records import Marked, Opened
from sleeves.report import Report
from sleeves.risk import Tier, correlation, expected_shortfall, volatility
from sleeves.riskview import FIGURES, LEAST_DAYS, Breach, RiskLimit, RiskView, check
from strategies import heavy

SOLUSD = Instrument("SOL/USD", base=SOL, quote=USD, tick="0.01", lot="0.001")
PERP = Instrument("SOL-PERP", base=SOL, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)
MARKETS = {"btc": BTCUSD, "sol": SOLUSD, "perp": PERP}
START = {"btc": 10_000.0, "sol": 100.0, "perp": 100.0}
BEGIN = 20_000 * DAY


class Floor:
    """Sleeves of 10,000 each, every one on a market of its own, marked once a day at midnight."""

    def __init__(self, *names, policy=QUIET, total="100000"):
        self.vault = CoreVault(USD, total=total, tradeable=total, at=BEGIN)
        self.desk, self.puppets, self.now = Desk(self.vault), {}, BEGIN
        self.prices, self.equity = dict(START), []
        for name in names:
            puppet = self.puppets[name] = Puppet(MARKETS[name.partition("-")[0]], name=f"engine-{name}")
            puppet.sit(self.desk, self.vault.sleeve(name, policy, allocate="10000", at=BEGIN))
        self.mark()

    def show(self, name):
        market = self.puppets[name].market
        self.puppets[name].price = f"{self.prices[name.partition('-')[0]]:.2f}"
        units = market.price(self.puppets[name].price)
        self.desk.quote(self.puppets[name].index, self.now, units, units)

    def day(self, *, after=DAY, **moves):
        """The next midnight: prices move by so many parts, and are marked."""
        self.now += after
        for name, move in moves.items():
            self.prices[name] *= 1 + move
        self.mark()

    def mark(self):
        for name in self.puppets:
            self.show(name)
        self.desk.mark(self.now)
        self.equity.append({name: self.sleeve(name).equity(self.desk.marks()).units for name in self.puppets})

    def days(self, count=25, seed=1):
        """Days whose prices move up and down by up to 6%, never alike for two markets."""
        for i in range(count):
            self.day(**{name: 0.06 * math.sin(seed * (1.7 + k) * (i + 1) ** 1.3) for k, name in enumerate(START)})

    def buy(self, name, qty):
        carry(self.desk, self.puppets[name].buy(qty))

    def sell(self, name, qty):
        carry(self.desk, self.puppets[name].sell(qty))

    def sleeve(self, name):
        return self.vault.sleeves[name]

    def view(self, **how):
        return RiskView.of(self.desk, **how)


@pytest.fixture(scope="module")
def floor():
    """Two coins held for 25 days."""
    floor = Floor("btc", "sol")
    floor.buy("btc", "0.8")
    floor.buy("sol", "50")
    floor.days(25)
    return floor


def close_to(value):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def gains(floor, name):
    """What the sleeve's own equity made each day, from the live books and not from the journal."""
    return [float(Fraction(b[name], a[name]) - 1) for a, b in itertools.pairwise(floor.equity)]


# -- what it says ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["btc", "sol"])
def test_figures_are_those_of_the_equity_that_the_books_show_day_by_day(floor, name):
    numpy = pytest.importorskip("numpy")
    daily, track = gains(floor, name), floor.view(benchmark=BTCUSD).sleeves[name]
    assert track.returns == close_to(daily)
    assert [one.equity for one in track.days] == [one[name] for one in floor.equity]
    assert track["volatility"].value == close_to(float(numpy.std(daily, ddof=1)) * 365**0.5)
    assert track["var_1d"].value == close_to(sorted(daily)[1])
    assert track["shortfall_1d"].value == close_to(expected_shortfall(daily))
    assert track["return"].value == close_to(floor.equity[-1][name] / 10_000e6 - 1)
    prices = [float(price) for _, price in sorted(marked(floor, "BTC/USD").items())]
    moves = numpy.diff(prices) / prices[:-1]
    assert track["beta"].value == close_to(numpy.cov(daily, moves)[0, 1] / numpy.var(moves, ddof=1))


def marked(floor, symbol):
    return {record.at: record.prices[symbol][0] for record in floor.desk.books.journal if isinstance(record, Marked)}


def test_the_whole_is_what_sleeves_and_idle_coins_are_worth_together(floor):
    whole = floor.view().whole
    totals = [80_000e6 + sum(one.values()) for one in floor.equity]
    assert [one.equity for one in whole.days] == totals
    assert whole.returns == close_to([b / a - 1 for a, b in itertools.pairwise(totals)])
    assert whole.equity.units == totals[-1]
    assert whole.name == "all USD"


def test_the_correlation_of_sleeves_is_that_of_their_daily_returns(floor):
    view = floor.view()
    expected = correlation(gains(floor, "btc"), gains(floor, "sol"))
    assert view.correlations["btc"]["sol"].value == view.correlations["sol"]["btc"].value == close_to(expected)
    assert view.whole["correlation"].value == view.sleeves["sol"]["correlation"].value == close_to(expected)


def test_q01_the_summary_has_every_figure_of_every_sleeve_and_of_the_whole(floor):
    view = floor.view(benchmark="BTC/USD")
    assert list(view.sleeves) == ["btc", "sol"] and list(view.wholes) == ["USD"]
    for track in (*view.sleeves.values(), view.whole):
        assert list(track.figures) == list(FIGURES)
        assert all(figure.value is not None for figure in track.figures.values())
    rows = view.rows()
    assert [row["name"] for row in rows] == ["btc", "sol", "all USD"]
    assert {*FIGURES, "name", "engine", "asset", "equity", "days"} == set(rows[0])
    assert rows[0]["equity"] == floor.sleeve("btc").equity(floor.desk.marks()).text
    text = str(view)
    assert all(
        words in text for words in (*FIGURES.values(), "longest drawdown", "exposure by engine", "beta to BTC/USD", "2024-10-29 00:00 UTC")
    )
    assert "not enough data" not in text


def test_q02_each_position_says_whose_it_is_what_it_is_worth_and_what_it_adds(floor):
    btc, sol = floor.view().positions
    assert (btc.sleeve, btc.engine, btc.symbol, btc.coin, btc.contract) == ("btc", "engine-btc", "BTC/USD", "BTC", False)
    assert (btc.qty, sol.qty) == (BTCUSD.qty("0.8"), SOLUSD.qty("50"))
    for one, market in ((btc, BTCUSD), (sol, SOLUSD)):
        assert one.value == one.qty * marked(floor, one.symbol)[floor.now] * market.ratio[0] // market.ratio[1]
        assert one.contribution is not None and one.margin == 0


def test_q03_shares_sum_to_a_hundred_percent(floor):
    view = floor.view()
    for by in ("asset", "instrument", "engine", "sleeve"):
        assert math.fsum(one.share for one in view.exposure(by)) == pytest.approx(1, abs=1e-4)
    asset, _ = view.exposure("asset")
    assert asset.gross == asset.net
    assert asset.of_equity == close_to(asset.gross.units / view.whole.equity.units)


# -- contracts ---------------------------------------------------------------------------------------------------------


def contracts():
    floor = Floor("perp", "perp-short", "sol")
    floor.buy("perp", "300")
    floor.sell("perp-short", "100")
    floor.days(25)
    return floor


def test_q04_leverage_is_what_contracts_are_worth_over_equity_and_utilisation_their_margin_over_it():
    floor = contracts()
    view = floor.view()
    price = marked(floor, "SOL-PERP")[floor.now]
    for name, qty in (("perp", 300), ("perp-short", 100)):
        worth, equity = price * 10_000 * qty, floor.sleeve(name).equity(floor.desk.marks()).units
        assert view.sleeves[name]["leverage"].value == close_to(worth / equity)
        assert view.sleeves[name]["utilisation"].value == pytest.approx(worth / 10 / equity, rel=1e-6)  # the contract's initial 10%
        assert view.sleeves[name]["leverage"].value == close_to(view.sleeves[name]["exposure"].value)
    assert view.whole["leverage"].value == close_to(price * 10_000 * 400 / view.whole.equity.units)
    assert (view.sleeves["sol"]["leverage"].value, view.sleeves["sol"]["leverage"].note) == (0.0, "no contracts")
    (asset,) = view.exposure("asset")
    assert asset.gross.units == 2 * asset.net.units == price * 10_000 * 400


def test_a_short_slice_takes_from_the_volatility_of_the_whole_and_is_closed_last():
    floor = contracts()
    view = floor.view()
    assert [one.sleeve for one in view.to_close()] == ["perp", "perp-short"]
    assert view.sleeves["perp-short"]["position_volatility"].value < 0
    moves = [b / a - 1 for a, b in itertools.pairwise(marked(floor, "SOL-PERP")[at] for at in sorted(marked(floor, "SOL-PERP")))]
    net = marked(floor, "SOL-PERP")[floor.now] * 10_000 * 200 / view.whole.equity.units
    assert view.whole["position_volatility"].value == pytest.approx(net * volatility(moves), rel=1e-6)
    assert view.sleeves["sol"]["position_volatility"].value == 0.0


# -- laws over any history ---------------------------------------------------------------------------------------------

STEPS = st.tuples(
    st.integers(-90, 100),
    st.integers(-90, 100),
    st.sampled_from(["", "", "buy", "sell", "allocate", "reclaim", "deposit"]),
    st.sampled_from(["btc", "sol"]),
)


def played(steps, policy=QUIET):
    floor = Floor("btc", "sol", policy=policy)
    for btc, sol, what, name in steps:
        sleeve = floor.sleeve(name)
        market = MARKETS[name]
        spend = market.affordable(sleeve.free.units // 2, round(floor.prices[name] * 100), 20_000)
        if what == "buy" and spend:
            floor.buy(name, market.qty_text(spend))
        elif what == "sell" and sleeve.position_units(market) >= 2 * market.min_qty_units + 2:
            floor.sell(name, market.qty_text(market.round_qty(sleeve.position_units(market) // 2)))
        elif what == "allocate":
            floor.vault.allocate(sleeve, "1000", at=floor.now + MINUTE)
        elif what == "reclaim" and sleeve.free > USD("1000"):
            floor.vault.reclaim(sleeve, "500", at=floor.now + MINUTE)
        elif what == "deposit":
            floor.vault.observe_balance(floor.vault.coins + USD("5000"), at=floor.now + MINUTE)
        floor.day(btc=btc / 1000, sol=sol / 1000)
    return floor


@settings(heavy, max_examples=60)
@given(st.lists(STEPS, min_size=22, max_size=28), st.sampled_from([QUIET, FLASH]))
def test_what_holds_of_every_view(steps, policy):
    floor = played(steps, policy)
    view = floor.view(benchmark="BTC/USD")
    report = {row["sleeve"]: row for row in Report(floor.desk).rows()}
    for track in (*view.sleeves.values(), view.whole):
        daily = [one for one in track.returns if one is not None]
        assert len(daily) == len(steps)
        assert min(0.0, *daily) <= track["shortfall_1d"].value <= track["var_1d"].value <= 0  # Q5
        fall = track.fall
        assert -1 <= fall.deepest <= fall.current <= 0 and 0 <= fall.duration <= fall.longest  # Q7
        assert 1 + track.over(len(steps)).value == close_to(math.prod(1 + one for one in daily))  # Q19
        assert track["beta"].value is None or math.isfinite(track["beta"].value)  # Q10
    for name, row in report.items():  # the report folds the same journal: it cannot say something else
        assert view.sleeves[name]["return"].value == close_to(row["return"])
        assert view.sleeves[name]["deepest_drawdown"].value == close_to(-row["drawdown"])
    for a, b in itertools.product(view.sleeves, repeat=2):  # Q8
        value = view.correlations[a][b].value
        assert value == view.correlations[b][a].value and (value is None or -1 <= value <= 1) and (a != b or value == 1)
    whole = view.whole["position_volatility"].value
    assert math.fsum(view.sleeves[name]["position_volatility"].value for name in view.sleeves) == pytest.approx(whole, abs=1e-9)  # Q9
    assert math.fsum(one.contribution for one in view.positions) == pytest.approx(whole, abs=1e-9)
    for by in ("asset", "instrument", "engine"):  # Q3
        shares = [one.share for one in view.exposure(by)]
        assert not view.positions or math.fsum(shares) == pytest.approx(1, abs=1e-9)
    added = [one.contribution for one in view.to_close()]
    assert added == sorted(added, reverse=True)  # Q18


@settings(heavy, max_examples=30)
@given(st.lists(STEPS, min_size=22, max_size=24), st.integers(0, 21), st.sampled_from(["allocate", "deposit"]))
def test_money_that_comes_is_never_profit(steps, when, what):
    """While nothing is held, whatever comes or goes, every day makes nothing, of each sleeve and of the whole."""
    still = [(btc, sol, "" if kind in ("buy", "sell") else kind, name) for btc, sol, kind, name in steps]
    still[when] = (*still[when][:2], what, "btc")
    view = played(still).view()
    for track in (*view.sleeves.values(), view.whole):
        assert set(track.returns) == {0.0}
        assert [track[name].value for name in ("return", "var_1d", "var_7d", "volatility", "drawdown", "deepest_drawdown")] == [0] * 6
        assert (track["sharpe"].value, track["sharpe"].missing) == (None, "returns do not vary")


def test_a_sweep_moves_money_and_makes_none():
    floor = Floor("btc", policy=FLASH)
    floor.buy("btc", "0.5")
    floor.day(btc=0.1)
    floor.sell("btc", "0.5")
    assert floor.sleeve("btc").returned > USD("400")
    floor.day()
    view = floor.view()
    profit = floor.sleeve("btc").returned.units
    assert view.whole["return"].value == close_to(profit / 100_000e6)
    assert view.sleeves["btc"]["return"].value == pytest.approx(profit / 10_000e6, abs=2e-4)  # fees on both sides of a mark
    assert view.sleeves["btc"].returns[-1] == pytest.approx(0, abs=2e-3)


def test_money_from_outside_is_no_profit_of_the_whole_while_something_is_held():
    floor = Floor("btc")
    floor.buy("btc", "0.8")
    floor.day(btc=0.01)
    before = floor.view().whole
    floor.vault.observe_balance(floor.vault.coins + USD("50000"), at=floor.now + HOUR)
    floor.day()
    after = floor.view().whole
    assert after.returns[-1] == 0
    assert after.equity.units == before.equity.units + 50_000_000_000
    floor.day(btc=0.01)
    made = floor.equity[-1]["btc"] - floor.equity[-2]["btc"]
    assert floor.view().whole.returns[-1] == close_to(made / after.equity.units)


@pytest.mark.parametrize(("gone", "left"), [("40000", "60000"), ("95000", "10000")])
def test_money_that_leaves_is_no_loss_of_the_whole_and_what_is_in_suspense_is_nobodys(gone, left):
    """Of 100,000, 90,000 are idle: beyond that the wallet lacks what it owes to a sleeve, and SUSPENSE says so."""
    floor = Floor("btc")
    floor.day()
    floor.vault.observe_balance(floor.vault.coins - USD(gone), at=floor.now + HOUR)
    floor.day()
    whole = floor.view().whole
    assert whole.equity == USD(left)
    assert whole.days[-1].equity == whole.equity.units
    assert set(whole.returns) == {0.0}
    assert whole["drawdown"].value == 0


# -- not enough data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 1, LEAST_DAYS - 1, LEAST_DAYS])
def test_without_enough_days_nothing_is_said_and_how_many_there_are(days):
    floor = Floor("btc", "sol")
    floor.buy("btc", "0.5")
    floor.buy("sol", "20")
    floor.days(days)
    view = floor.view(benchmark="BTC/USD")
    names = ("var_1d", "var_7d", "shortfall_1d", "shortfall_7d", "volatility", "sharpe", "beta", "correlation")
    for track in (*view.sleeves.values(), view.whole):
        for name in names:
            figure = track[name]
            assert (figure.have, figure.need) == (days, 20)
            assert (figure.value is not None) == (days == LEAST_DAYS), name
            assert figure.missing == ("" if days == LEAST_DAYS else f"not enough data: {days} of 20 days")
        assert track["position_volatility"].missing == ("" if days >= LEAST_DAYS else f"not enough data: {days} of 20 days of prices")
    assert (f"not enough data: {days} of 20 days" in str(view)) == (days < LEAST_DAYS)
    assert all((row["var_1d"] is None) == (days < LEAST_DAYS) for row in view.rows())


@pytest.mark.parametrize(("days", "note"), [(25, "root of time"), (26, "20 windows, 3 of them apart")])
def test_over_seven_days_it_says_how_it_was_found(days, note):
    floor = Floor("btc")
    floor.buy("btc", "0.5")
    floor.days(days)
    view = floor.view()
    assert view.sleeves["btc"]["var_7d"].note == note
    assert ("(root of time)" in str(view)) == (days == 25)


def test_a_higher_confidence_takes_more_days(floor):
    view = floor.view(confidence="99%")
    assert view.whole["var_1d"].missing == "not enough data: 25 of 100 days"
    assert view.whole["volatility"].value is not None
    assert "value at risk at 99%" in str(view)


def test_a_view_of_nothing_says_so():
    view = RiskView.of(Memory())
    assert (view.rows(), view.exposure("asset"), view.to_close(), view.marked) == ([], [], [], None)
    assert str(view) == "risk, nothing was marked yet, value at risk at 95%"
    with pytest.raises(VaultError, match="no one whole"):
        _ = view.whole
    vault = CoreVault(USD, total="100", tradeable="50")
    vault.sleeve("idle", QUIET)
    (idle, whole) = RiskView.of(vault.books).rows()
    assert idle["equity"] == "0" and whole["equity"] == "100"
    assert all(idle[name] is None for name in ("return", "var_1d", "drawdown", "deepest_drawdown", "volatility", "beta"))


def test_a_sleeve_without_money_has_no_returns_of_zero():
    """Nobody was at risk: that is no day without a loss."""
    floor = Floor("btc")
    floor.vault.sleeve("empty", QUIET, at=floor.now)
    floor.days(22)
    view = floor.view()
    assert view.sleeves["empty"].returns == ()
    assert view.sleeves["empty"]["var_1d"].missing == "not enough data: 0 of 20 days"
    assert view.sleeves["empty"]["drawdown"].missing == "not enough data: 0 of 1 stretches between marks"
    assert len(view.sleeves["btc"].returns) == 22


def test_a_position_without_a_price_makes_figures_unknown_and_is_closed_first(floor):
    records = [record for record in floor.desk.books.journal if not isinstance(record, Marked)]
    view = RiskView.of(records)
    for track in (*view.sleeves.values(), view.whole):
        assert track.equity is None
        assert track["exposure"].value is track["leverage"].value is track["position_volatility"].value is None
    assert view.sleeves["btc"]["exposure"].missing == "not enough data: 0 of 1 prices"
    assert [one.gross for one in view.exposure("asset")] == [None, None]
    assert "no price" in str(view)
    assert {one.sleeve for one in view.to_close()} == {"btc", "sol"}
    assert [one.tier for one in check(view, [RiskLimit("exposure", "30%"), RiskLimit("exposure", "30%", of="BTC")])] == [Tier.UNKNOWN] * 2


def test_a_gap_in_the_days_is_no_day():
    floor = Floor("btc")
    floor.buy("btc", "0.5")
    floor.days(10)
    floor.day(after=3 * DAY, btc=-0.5)
    floor.days(10)
    returns = floor.view().sleeves["btc"].returns
    assert len(returns) == 23 and returns.count(None) == 3
    assert returns[10:13] == (None, None, None)
    assert min(one for one in returns if one is not None) > -0.1, "what three days made is not the loss of one"
    assert floor.view().sleeves["btc"]["deepest_drawdown"].value < -0.2, "and yet it was lost"


@pytest.mark.parametrize(("hours", "counts"), [(19, False), (20, True), (24, True), (28, True), (29, False)])
def test_a_day_lasts_from_20_to_28_hours(hours, counts):
    floor = Floor("btc")
    floor.day(after=12 * HOUR)  # from here on days end at noon
    floor.day()
    floor.day(after=hours * HOUR)
    days = floor.view().sleeves["btc"].days
    assert days[-2].gain is not None
    if days[-1].day == days[-2].day + 1:
        assert (days[-1].gain is not None) is counts


def test_a_price_that_was_not_seen_again_is_no_day_without_a_move():
    """The marks repeat the last price of a feed that is down: no return of 0 is made of that."""
    floor = Floor("btc", "sol")
    floor.buy("btc", "0.5")
    floor.buy("sol", "20")
    floor.days(12)
    silent, floor.puppets = floor.puppets, {"btc": floor.puppets["btc"]}
    floor.days(10)
    floor.puppets = silent
    moved = floor.view(benchmark="SOL/USD").whole
    assert (moved["beta"].have, moved["beta"].need, moved["beta"].value) == (12, 20, None)
    assert moved["position_volatility"].missing == "not enough data: 12 of 20 days of prices"


def test_only_the_latest_days_are_looked_at_where_that_is_asked_for():
    floor = Floor("btc")
    floor.buy("btc", "0.8")
    floor.day(btc=-0.5)
    floor.days(30)
    all_, late = floor.view(), floor.view(last=25)
    assert len(late.sleeves["btc"].returns) == 25
    assert late.sleeves["btc"].returns == all_.sleeves["btc"].returns[-25:]
    assert late.sleeves["btc"]["deepest_drawdown"].value > all_.sleeves["btc"]["deepest_drawdown"].value
    assert 1 + late.sleeves["btc"]["return"].value == close_to(math.prod(1 + one for one in late.sleeves["btc"].returns))
    assert late.sleeves["btc"]["exposure"] == all_.sleeves["btc"]["exposure"]


def test_q19_a_week_is_its_seven_days_one_after_the_other(floor):
    track = floor.view().sleeves["btc"]
    assert track.over(7).value == close_to(math.prod(1 + one for one in track.returns[-7:]) - 1)
    assert track.over(25).value == close_to(floor.equity[-1]["btc"] / floor.equity[0]["btc"] - 1)
    assert (track.over(26).value, track.over(26).missing) == (None, "not enough data: 25 of 26 days")
    for days in (0, -1, 1.5, True, None):
        with pytest.raises(VaultError, match="days"):
            track.over(days)


# -- where it comes from -----------------------------------------------------------------------------------------------


def test_a_view_can_be_made_of_a_desk_of_books_of_a_journal_and_of_one_that_was_read_back(floor):
    journal = floor.desk.books.journal
    views = [
        RiskView.of(one) for one in (floor.desk, floor.desk.books, journal, list(journal), iter(journal), Memory.read(journal.lines()))
    ]
    assert len({str(view) for view in views}) == 1
    assert all(view.rows() == views[0].rows() for view in views)


@pytest.mark.parametrize("source", [None, 5, "main.sleeves", b"x", object(), ["a line"], [None]])
def test_what_has_no_records_is_refused(source):
    with pytest.raises(VaultError):
        RiskView.of(source)


@pytest.mark.parametrize("how", [{"benchmark": "NO/ONE"}, {"last": 0}, {"last": -1}, {"last": 1.5}, {"last": True}, {"last": "7"}])
def test_a_view_of_what_is_not_there_is_refused(floor, how):
    with pytest.raises(VaultError):
        floor.view(**how)


@pytest.mark.parametrize("confidence", [0.95, "100%", "40%", "nan"])
def test_a_confidence_that_is_none_is_refused(floor, confidence):
    with pytest.raises(InvalidAmount):
        floor.view(confidence=confidence)


def test_two_assets_make_two_wholes_and_no_sum():
    books = Books()
    for asset in (USD, EUR):
        CoreVault(asset, total="1000", tradeable="1000", books=books).sleeve(f"in-{asset.code.lower()}", QUIET, allocate="100")
    view = RiskView.of(books)
    assert {code: track.equity for code, track in view.wholes.items()} == {"USD": USD("1000"), "EUR": EUR("1000")}
    with pytest.raises(VaultError, match="USD, EUR"):
        _ = view.whole


def test_a_view_changes_nothing(floor):
    digest, equity = floor.desk.books.journal.digest(), floor.sleeve("btc").equity(floor.desk.marks())
    str(floor.view(benchmark="BTC/USD")), floor.view().rows()
    assert (floor.desk.books.journal.digest(), floor.sleeve("btc").equity(floor.desk.marks())) == (digest, equity)


# -- rows and text -----------------------------------------------------------------------------------------------------


def test_rows_are_plain_data(floor):
    pandas = pytest.importorskip("pandas")
    view = floor.view()
    plain = (str, int, float, type(None))
    for row in (*view.rows(), *view.exposure_rows(), *view.curve("btc"), *view.curve("all USD")):
        assert all(type(value) in plain for value in row.values())
    assert list(pandas.DataFrame(view.rows())["name"]) == ["btc", "sol", "all USD"]
    assert [row["equity"] for row in view.curve("btc")] == [USD.units(one["btc"]).text for one in floor.equity]
    assert [(row["by"], row["name"]) for row in view.exposure_rows()][::2] == [
        ("asset", "BTC"),
        ("instrument", "BTC/USD"),
        ("engine", "engine-btc"),
    ]


@pytest.mark.parametrize("ask", [lambda v: v.exposure("color"), lambda v: v.curve("nobody"), lambda v: v.whole["luck"]])
def test_what_the_view_does_not_have_is_named(floor, ask):
    with pytest.raises(VaultError, match=r"color|nobody|luck"):
        ask(floor.view())


def test_many_sleeves_are_printed_in_blocks():
    vault = CoreVault(USD, total="1000", tradeable="1000")
    for i in range(12):
        vault.sleeve(f"s{i}", QUIET, allocate="10")
    lines = str(RiskView.of(vault.books)).splitlines()
    blocks = [line.split(" (USD)") for line in lines if "(USD)" in line]
    assert [name.strip() for block in blocks for name in block if name.strip().startswith("s")] == [f"s{i}" for i in range(12)]
    assert sum("all USD" in line for line in lines) == 1
    assert sum(line.startswith("equity") for line in lines) == 3


def test_hostile_names_are_shown_as_text():
    floor = Floor("btc")
    floor.buy("btc", "0.1")
    records = [
        evolve(one, name="<img src=x>") if isinstance(one, Opened) and one.what == "engine" else one for one in floor.desk.books.journal
    ]
    view = RiskView.of(records)
    assert "<img" in str(view) == repr(view)
    assert "<img" not in view._repr_html_() and "&lt;img" in view._repr_html_()


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def exposed():
    """A view of a whole that is exposed to exactly 24% of its equity: 2.4 coins at 10,000 of 100,000."""
    vault = CoreVault(USD, total="100000", tradeable="100000", at=BEGIN)
    desk, puppet = Desk(vault), Puppet()
    puppet.sit(desk, vault.sleeve("a", QUIET, allocate="50000", at=BEGIN))
    puppet.now = BEGIN
    order = puppet.buy("2.4", price="10000").order
    desk.step(fill(order, price="10000", fee=USD("0")))
    desk.mark(puppet.now + HOUR)
    return RiskView.of(desk)


@pytest.mark.parametrize(
    ("most", "state"),
    [  # both sides of 80%, 90% and 100%
        ("30.0001%", Tier.OK),
        ("30%", Tier.NEAR),
        ("26.6667%", Tier.NEAR),
        ("26.66666%", Tier.CLOSE),
        ("24.0001%", Tier.CLOSE),
        ("24%", Tier.BREACHED),
        ("0.24", Tier.BREACHED),
        ("1%", Tier.BREACHED),
        (1, Tier.OK),
    ],
)
def test_q16_a_limit_warns_at_exactly_80_and_90_percent(exposed, most, state):
    limits = [RiskLimit("exposure", most, of=of) for of in ("", "BTC", "BTC/USD", "puppet")]
    found = check(exposed, limits)
    assert [(one.tier, one.value) for one in found] == [(state, 0.24)] * 4
    assert [one.subject for one in found] == ["all USD", "BTC", "BTC/USD", "puppet"]
    assert str(found[0]) == f"all USD: exposure, of equity 24.00% of {most}, {state}"


def test_q16_losses_are_compared_by_their_size(floor):
    view = floor.view(benchmark="BTC/USD")
    for name in ("var_1d", "var_7d", "shortfall_1d", "deepest_drawdown"):
        (found,) = check(view, [RiskLimit(name, "0.1%")])
        assert found.value == -view.whole[name].value > 0
        assert found.tier is Tier.BREACHED
        assert check(view, [RiskLimit(name, "99%")])[0].tier is Tier.OK
    (found,) = check(view, [RiskLimit("var_1d", "0.1%", of="sol")])
    assert (found.subject, found.value) == ("sol", -view.sleeves["sol"]["var_1d"].value)


def test_a_figure_that_is_not_known_is_not_ok(exposed):
    (found,) = check(exposed, [RiskLimit("var_1d", "5%")])
    assert found == Breach(RiskLimit("var_1d", "5%"), "all USD", None, Tier.UNKNOWN, "not enough data: 0 of 20 days")
    assert str(found) == "all USD: value at risk, 1 day unknown, not enough data: 0 of 20 days"


def test_what_is_not_held_is_not_exposed_and_what_is_not_known_is_refused(exposed):
    assert [one.tier for one in check(exposed, [RiskLimit("leverage", 3), RiskLimit("utilisation", "80%")])] == [Tier.OK] * 2
    for limit in (RiskLimit("exposure", "30%", of="DOGE"), RiskLimit("var_1d", "5%", of="BTC")):
        with pytest.raises(VaultError, match=limit.of):
            check(exposed, [limit])
    floor = Floor("btc")
    assert check(floor.view(), [RiskLimit("exposure", "30%", of="BTC")])[0].value == 0


@pytest.mark.parametrize("name", ["sharpe", "return", "luck", "", None])
def test_a_limit_on_what_is_none_is_refused(name):
    with pytest.raises(VaultError, match="risk limit"):
        RiskLimit(name, "5%")


@pytest.mark.parametrize("most", [0.05, "0", "-5%", "nan", None, True])
def test_a_limit_of_no_amount_is_refused(most):
    with pytest.raises(InvalidAmount):
        RiskLimit("var_1d", most)


def test_a_limit_is_of_a_name():
    with pytest.raises(VaultError, match="name"):
        RiskLimit("var_1d", "5%", of=BTC)


def test_one_pair_too_young_to_tell_does_not_hide_the_others():
    floor = Floor("btc", "btc-2")
    floor.buy("btc", "0.5")
    floor.buy("btc-2", "0.5")
    floor.days(20)
    floor.vault.sleeve("young", QUIET, allocate="100", at=floor.now)
    floor.days(3)
    (found,) = check(floor.view(), [RiskLimit("correlation", "0.7")])
    assert found.tier is Tier.BREACHED
    assert floor.view().whole["correlation"].note == "1 of 3 pairs"
