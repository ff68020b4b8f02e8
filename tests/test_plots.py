"""The pictures say what the report says, and the page asks nobody for anything, whatever a sleeve is called."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sleeves import BTC, EUR, FLASH, QUIET, USD, Books, CoreVault, Desk, Instrument, Megavault, Place, Side
from sleeves.errors import VaultError
from sleeves.ledger import Account, Entry, EntryKind, Posting, Role
from sleeves.market import HOUR
from sleeves.money import Rounding
from sleeves.orders import Fill, Liquidity
from sleeves.proof import Finding, Proof
from sleeves.records import Alert, Level, Marked, Opened
from sleeves.report import Report

pytest.importorskip("plotly")

from plotly.offline import get_plotlyjs

from helpers import Puppet
from sleeves import plots

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.0001")
NAMES = ["balance", "profit", "returned", "fees", "tradeable"]
ON_THE_PAGE = ["waterfall", *NAMES, "trades", "drawdown", "monthly"]
SLEEVE_COLUMNS = {"balance": ["balance", "equity"], "profit": ["realized", "unrealized"], "returned": ["returned"], "fees": ["fees"]}


# -- runs to draw ------------------------------------------------------------------------------------------------------


def fill(order, now, price):
    place = order.place
    cost = MARKET.cost(price, place.qty, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
    return Fill(order.id, now, MARKET, place.side, place.qty, price, cost, USD("1.25"), Liquidity.TAKER, f"t-{order.id}")


def run(trades=True):
    """An hour a row: both sleeves buy at 10,000; flash sells with a gain and sweeps it, quiet holds on."""
    vault = CoreVault(USD, total="20000", tradeable="15000")
    sleeves = [vault.sleeve("quiet", QUIET, allocate="5000"), vault.sleeve("flash", FLASH, allocate="4000")]
    desk = Desk(vault)
    quiet, flash = engines = [Puppet(MARKET, "slow"), Puppet(MARKET, "quick")]
    for engine, sleeve in zip(engines, sleeves, strict=True):
        desk.assign(engine, to=sleeve)
    index, qty = desk.index(MARKET), MARKET.qty("0.1")
    for row, text in enumerate(("10000", "10000", "11000", "12000", "9000")):
        if trades and row == 1:
            quiet.wishes, flash.wishes = [Place(MARKET, Side.BUY, qty)], [Place(MARKET, Side.BUY, qty)]
        if trades and row == 3:
            flash.wishes = [Place(MARKET, Side.SELL, qty)]
        now, price = row * HOUR, MARKET.price(text)
        for command in desk.quote(index, now, price, price):
            desk.step(fill(command.order, now, price))
    desk.mark(4 * HOUR)
    return Report(desk)


class Told:
    """A desk that knows a journal from elsewhere and nothing else, so that names may be anything."""

    def __init__(self, *records, findings=()):
        self.books = Books()
        self.books.journal.append(*records)
        self.findings = findings

    def check(self, holdings=None, *, positions=None, deep=False):
        return Proof(tuple(self.findings))


def opened(*sleeves, vault="core:main:USD", asset="USD:6", policy="quiet"):
    return [Opened(0, "owner", "vault", vault, {"asset": asset})] + [
        Opened(0, "owner", "sleeve", name, {"vault": vault, "policy": policy}) for name in sleeves
    ]


def gain(sleeve, at, units, asset=USD):
    """A profit out of nothing, in units."""
    there, here = Posting(Account(sleeve, Role.FREE), asset, units), Posting(Account(sleeve, Role.PNL), asset, -units)
    return Entry(at, EntryKind.FILL, "venue", (there, here))


def marked(at, price=None):
    return Marked(at, {} if price is None else {MARKET.symbol: (price, at)})


# -- reading a page ----------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """A page as its tags, its scripts, its styles, and the text that a reader sees; plotly's own code left aside."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.styles, self.words = [], [], [], []
        self._inside = ""
        self.feed(page.replace(get_plotlyjs(), "plotly"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "style":
            self.styles.append(data)
        elif data.strip():
            self.words.append(data.strip())

    @property
    def text(self):
        return " ".join(self.words)

    def row(self, label):
        """The cells beside a label of a table."""
        return self.words[self.words.index(label) + 1 :]


@pytest.fixture(scope="module")
def report():
    return run()


@pytest.fixture(scope="module")
def page(report):
    return plots.page(report)


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


def trace(figure, name, column):
    (found,) = (t for t in figure.data if t.name == name and t.meta == column)
    return found


def clock(at):
    return datetime.fromtimestamp(at // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")


# -- figures -----------------------------------------------------------------------------------------------------------


def test_there_are_five_graphs_in_order(report):
    assert list(plots.figures(report)) == NAMES == list(report.figures())


@pytest.mark.parametrize("name", SLEEVE_COLUMNS)
def test_a_sleeve_is_drawn_as_its_series_says(report, name):
    figure = plots.figures(report)[name]
    drawn = ["flash"] if name == "returned" else ["quiet", "flash"]
    assert [(t.name, t.meta) for t in figure.data] == [(sleeve, column) for sleeve in drawn for column in SLEEVE_COLUMNS[name]]
    for t in figure.data:
        series = report.series(t.name)
        assert list(t.y) == [sample[t.meta] for sample in series]
        assert list(t.x) == [clock(sample["at"]) for sample in series]


def test_the_run_that_is_drawn_is_not_flat(report):
    figures = plots.figures(report)
    assert trace(figures["returned"], "flash", "returned").y[-1] == 197.5
    assert trace(figures["profit"], "quiet", "unrealized").y[-1] == -100
    assert trace(figures["fees"], "flash", "fees").y[-1] == 2.5
    assert trace(figures["balance"], "quiet", "equity").y[-1] == 4898.75


def test_a_vault_is_drawn_as_its_series_says(report):
    figure = plots.figures(report)["tradeable"]
    series = report.vault_series("core:main:USD")
    for name, column in (("Total", "total"), ("Tradeable", "tradeable")):
        assert list(trace(figure, name, column).y) == [sample[column] for sample in series]
    assert trace(figure, "Tradeable", "tradeable").y[-1] == 15197.5


def test_a_sleeve_keeps_one_colour_in_all_graphs(report):
    colours = {}
    for name in SLEEVE_COLUMNS:
        for t in plots.figures(report)[name].data:
            colours.setdefault(t.name, set()).add(t.line.color)
    assert colours == {"quiet": {plots.COLOURS[0]}, "flash": {plots.COLOURS[1]}}


def test_balance_and_sums_are_steps_and_unrealized_is_dotted(report):
    figures = plots.figures(report)
    assert {t.line.shape for name in ("returned", "fees", "tradeable") for t in figures[name].data} == {"hv"}
    assert trace(figures["balance"], "quiet", "balance").line.shape == "hv"
    assert trace(figures["balance"], "quiet", "balance").line.width > trace(figures["balance"], "quiet", "equity").line.width
    assert trace(figures["profit"], "quiet", "realized").line.dash == "solid"
    assert trace(figures["profit"], "quiet", "unrealized").line.dash == "dot"


def test_a_name_stands_once_in_each_legend(report):
    for figure in plots.figures(report).values():
        listed = [t.name for t in figure.data if t.showlegend]
        assert listed == list(dict.fromkeys(t.name for t in figure.data))


def test_vaults_and_assets_have_panels_of_their_own():
    records = opened("a") + opened("b", vault="core:cold:BTC", asset="BTC:8")
    report = Report(Told(*records, gain("a", 0, 10**9), gain("b", 0, 5, BTC), marked(HOUR), marked(2 * HOUR)))
    figures = plots.figures(report)
    assert [t.yaxis for t in figures["fees"].data] == ["y", "y2"]
    assert [axis.title.text for axis in (figures["fees"].layout.yaxis, figures["fees"].layout.yaxis2)] == ["USD", "BTC"]
    assert [note.text for note in figures["tradeable"].layout.annotations] == ["USD (main)", "BTC (cold)"]
    assert trace(figures["balance"], "b", "balance").y[-1] == 5e-8


def test_what_is_not_known_is_a_gap():
    bought = Entry(
        HOUR, EntryKind.FILL, "venue", (Posting(Account("a", Role.FREE), BTC, 5), Posting(Account("a", Role.TRADING, "BTC/USD"), BTC, -5))
    )
    instrument = Opened(0, "owner", "instrument", MARKET.symbol, MARKET.terms())
    records = [*opened("a"), instrument, gain("a", 0, 10**6), marked(0), bought, marked(HOUR), marked(2 * HOUR), marked(3 * HOUR, 100)]
    report = Report(Told(*records))
    figure = plots.figures(report)["balance"]
    equity = trace(figure, "a", "equity")
    assert list(equity.y) == [1.0, None, None, 1.0]
    assert equity.connectgaps is False
    assert json.loads(figure.to_json())["data"][1]["y"] == [1.0, None, None, 1.0]


def test_a_profit_that_is_not_known_is_called_so():
    bought = Entry(
        HOUR, EntryKind.FILL, "venue", (Posting(Account("a", Role.FREE), BTC, 5), Posting(Account("a", Role.TRADING, "BTC/USD"), BTC, -5))
    )
    read = Reader(plots.page(Report(Told(*opened("a"), bought, marked(HOUR)))))
    assert "a's profit is unknown" in read.words
    assert read.row("net profit")[0] == "unknown"


# -- thinning ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(-1e9, 1e9), max_size=300), st.integers(5, 60))
@example([1.0] * 9 + [None] + [1.0] * 9, 5)
@example([0.0] * 9 + [-5.0, 5.0] + [0.0] * 9, 5)
def test_thinning_keeps_the_ends_the_extremes_and_that_there_are_gaps(values, most):
    kept = plots.thin(values, most)
    assert kept == sorted(set(kept))
    assert len(kept) <= most
    if len(values) <= most:
        assert kept == list(range(len(values)))
        return
    assert {0, len(values) - 1} <= set(kept)
    known = [value for value in values if value is not None]
    shown = [values[i] for i in kept if values[i] is not None]
    assert (min(shown, default=0), max(shown, default=0)) == (min(known, default=0), max(known, default=0))
    assert (None in values) == (None in [values[i] for i in kept])


def test_a_long_line_is_thinned():
    count, spike, dip = 3 * plots.POINTS, 7_001, 7_777
    records = opened("a")
    for n in range(count):
        records += [gain("a", n * HOUR, {spike: 10**12, spike + 1: -(10**12), dip: -(10**12), dip + 1: 10**12}.get(n, 1)), marked(n * HOUR)]
    report = Report(Told(*records))
    series = report.series("a")
    line = trace(plots.figures(report)["balance"], "a", "balance")
    assert len(line.y) <= plots.POINTS
    assert (line.y[0], line.y[-1]) == (series[0]["balance"], series[-1]["balance"])
    assert (line.x[0], line.x[-1]) == (clock(0), clock((count - 1) * HOUR))
    assert (clock(spike * HOUR), series[spike]["balance"]) in set(zip(line.x, line.y, strict=True))
    assert (clock(dip * HOUR), series[dip]["balance"]) in set(zip(line.x, line.y, strict=True))
    assert (max(line.y), min(line.y)) == (series[spike]["balance"], series[dip]["balance"])


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_holds_plotly_once_and_its_figures(page, read):
    assert page.count(get_plotlyjs()) == 1
    assert len(read.scripts) == 3
    assert read.scripts[1] == "plotly"
    assert list(json.loads(read.scripts[0])) == ON_THE_PAGE
    assert [attrs["data-figure"] for _, attrs in read.tags if "data-figure" in attrs] == ON_THE_PAGE


def test_the_page_asks_nobody_for_anything(page, read):
    assert all("src" not in attrs and "action" not in attrs for _, attrs in read.tags)
    assert all(attrs["href"].startswith(("#", "data:")) for _, attrs in read.tags if "href" in attrs)
    assert not any(word in style for style in read.styles for word in ("@import", "url("))
    around = page.replace(get_plotlyjs(), "")
    assert "http://" not in around
    assert "https://" not in around
    (policy,) = (attrs["content"] for tag, attrs in read.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy


def test_the_page_fits_a_phone_a_dark_room_and_a_screen_reader(read):
    assert ("html", {"lang": "en"}) in read.tags
    assert ("meta", {"charset": "utf-8"}) in read.tags
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in read.tags
    assert "prefers-color-scheme: dark" in read.styles[0]
    assert all(attrs["aria-label"] for _, attrs in read.tags if attrs.get("role") == "img")


def test_the_page_says_first_who_earned_what(read):
    assert "quiet lost 101.25 USD, flash earned 197.50 USD" in read.words[:3]
    assert "Together 96.25 USD, after 3.75 USD of fees; 197.50 USD swept back to Tradeable." in read.words
    assert "-101.25" in read.words
    assert "+197.50" in read.words


def test_the_table_shows_the_rows_of_the_report(report, read):
    quiet, flash = report.rows()
    for key, label in (("allocation", "allocation"), ("equity", "equity"), ("realized", "realized, before fees"), ("fees", "fees")):
        at = next(i for i, word in enumerate(read.words) if word == label and i > read.words.index("engine"))
        assert read.words[at + 1 : at + 3] == [f"{Decimal(row[key]):,.2f}" for row in (quiet, flash)]
    assert read.row("win rate")[:2] == ["n/a", "100.0%"]
    assert read.row("profit factor")[:2] == ["n/a", "n/a"]
    assert read.row("vault")[0] == "USD (main)"
    assert read.row("Tradeable")[0] == "15,197.50"


def test_the_page_says_how_it_was_made_and_proves_it(report, read):
    assert "The books are exact to the unit" in read.words
    for finding in report.proof.findings:
        at = read.words.index(f"law {finding.law}")
        assert read.words[at + 1 : at + 3] == [finding.name, "holds"]


def test_each_graph_has_one_caption(read):
    captions = [i for i, (tag, _) in enumerate(read.tags) if tag == "figcaption"]
    assert len(captions) == len(ON_THE_PAGE)


def test_money_in_the_page_is_exact_however_large():
    read = Reader(plots.page(Report(Told(*opened("a"), gain("a", 0, 12_345_678_901_234_567_890_000), marked(0)))))
    assert "+12,345,678,901,234,567.89" in read.words
    assert read.row("realized, before fees")[0] == "12,345,678,901,234,567.89"


def test_what_rounds_to_nothing_is_not_shown_below_zero():
    read = Reader(plots.page(Report(Told(*opened("a"), gain("a", 0, -1), marked(0)))))
    assert "-0.00" not in read.words
    assert "-0.000001" in read.words, "in full where it is added up"


def test_a_finely_counted_coin_shows_six_places():
    read = Reader(plots.page(Report(Told(*opened("a", vault="core:cold:BTC", asset="BTC:8"), gain("a", 0, 12_345, BTC), marked(0)))))
    assert read.row("realized, before fees")[0] == "0.000123"


def test_the_same_report_gives_the_same_page(page):
    assert plots.page(run()) == page


def test_save_writes_the_page(report, page, tmp_path):
    report.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


def test_a_run_without_trades_still_shows():
    report = run(trades=False)
    read = Reader(plots.page(report, title="a quiet week"))
    assert "quiet did not trade, flash did not trade" in read.words
    assert read.row("win rate")[:2] == ["n/a", "n/a"]
    assert [list(t.y) for t in plots.figures(report)["fees"].data] == [[0.0] * 5] * 2


def test_a_report_of_nothing_still_shows():
    report = Report(Told())
    assert all(len(figure.layout.annotations) == 1 and not figure.data for figure in plots.figures(report).values())
    assert "No sleeve was opened" in Reader(plots.page(report)).words


def test_no_sweeping_sleeve_is_said_in_the_graph():
    figure = plots.figures(Report(Told(*opened("a"), marked(0))))["returned"]
    assert not figure.data
    assert "sweeps" in figure.layout.annotations[0].text


def test_a_broken_law_is_said_first_and_in_full():
    read = Reader(plots.page(Report(Told(*opened("a"), marked(0), findings=[Finding(1, "conservation", ("USD sums to 1 unit",))]))))
    assert "The books are BROKEN: see the proof" in read.words
    assert read.row("conservation")[:2] == ["BROKEN", "USD sums to 1 unit"]


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<a href='javascript:alert(1)'>b</a>",
    "&lt;b&gt;",
    "%{x}$y$",
    "{0}{css}",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_as_it_is_and_does_nothing(name):
    engine = Opened(0, "owner", "engine", name, {"sleeve": name})
    alert = Alert(0, Level.WARNING, name, "odd", name)
    broken = Finding(1, name, (name,))
    report = Report(Told(*opened(name, policy=name), engine, alert, gain(name, 0, 1), marked(0), marked(HOUR), findings=[broken]))
    calm = Reader(
        plots.page(
            Report(Told(*opened("a", policy="b"), alert, gain("a", 0, 1), marked(0), marked(HOUR), findings=[Finding(1, "c", ("d",))]))
        )
    )
    page = plots.page(report, title=name)
    read = Reader(page)
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in calm.tags]
    assert not any(key.startswith("on") for _, attrs in read.tags for key in attrs)
    assert read.words[0] == name
    assert {f"{name} earned 0.00 USD", f"{name} policy, engine {name}", f"{name} (USD)", f"alert odd ({name}): {name}"} <= set(read.words)
    assert not set(read.scripts[0]) & set("<>&")
    for figure in plots.figures(report).values():
        for t in figure.data:
            shown = t.name + t.legendgroup
            assert not any(mark in shown for mark in ("<", ">", "%{", "$"))
    assert name not in plots.figures(report)["balance"].to_json() or name == "{0}{css}"


# -- pools -------------------------------------------------------------------------------------------------------------


def samples():
    """A pool from hour to hour: ann comes, bob comes, some of it is lost, ann leaves."""
    vault = CoreVault(USD, total="0")
    pool = Megavault(vault)
    pool.deposit("ann", "600", at=HOUR)
    found = [pool.sample(at=HOUR)]
    pool.deposit("bob", "300", at=2 * HOUR)
    found.append(pool.sample(at=2 * HOUR))
    vault.observe_balance("450", at=3 * HOUR)
    found.append(pool.sample(at=3 * HOUR))
    pool.withdraw("ann", "all", at=4 * HOUR)
    return [*found, pool.sample(at=4 * HOUR)]


def test_a_pool_is_drawn_as_its_samples_say():
    given_samples = samples()
    figure = plots.pool(given_samples)
    drawn = {trace.name: list(trace.y) for trace in figure.data}
    assert drawn["ann"] == [600.0, 600.0, 300.0, 0.0] and drawn["bob"] == [0.0, 300.0, 150.0, 150.0]
    assert drawn["price"] == [float(one.price) for one in given_samples]
    assert [trace.stackgroup for trace in figure.data] == ["worth", "worth", None]


def test_a_pool_without_samples_says_so_and_two_assets_are_no_pool():
    assert "no samples" in plots.pool([]).layout.annotations[-1].text
    other = Megavault(CoreVault(EUR, total="0")).sample(at=1)
    with pytest.raises(VaultError, match=r"EUR, USD"):
        plots.pool([*samples(), other])
